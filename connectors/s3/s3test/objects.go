package s3test

import (
	"context"
	"io"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// Object is an object of a bucket.
type Object struct {
	Key      string
	Content  []byte
	Metadata map[string]string
	ETag     string
}

// Multipart reports whether the object was sent in parts.
func (o Object) Multipart() bool { return strings.Contains(o.ETag, "-") }

// Objects returns all objects of a bucket, in the order of their keys.
func (s *Server) Objects(tb testing.TB, bucket string) []Object {
	tb.Helper()
	ctx := context.WithoutCancel(tb.Context()) // tests look when they end, too
	var out []Object
	pages := s3.NewListObjectsV2Paginator(s.Client, &s3.ListObjectsV2Input{Bucket: &bucket})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			tb.Fatalf("list bucket %s: %v", bucket, err)
		}
		for _, o := range page.Contents {
			got, err := s.Client.GetObject(ctx, &s3.GetObjectInput{Bucket: &bucket, Key: o.Key})
			if err != nil {
				tb.Fatalf("get %s: %v", *o.Key, err)
			}
			content, err := io.ReadAll(got.Body)
			if err != nil {
				tb.Fatalf("read %s: %v", *o.Key, err)
			}
			if err := got.Body.Close(); err != nil {
				tb.Fatal(err)
			}
			out = append(out, Object{Key: *o.Key, Content: content, Metadata: got.Metadata, ETag: strings.Trim(aws.ToString(got.ETag), `"`)})
		}
	}
	return out
}

// Unfinished returns the keys of uploads that were begun and neither completed
// nor aborted.
func (s *Server) Unfinished(tb testing.TB, bucket string) []string {
	tb.Helper()
	out, err := s.Client.ListMultipartUploads(context.WithoutCancel(tb.Context()), &s3.ListMultipartUploadsInput{Bucket: &bucket})
	if err != nil {
		tb.Fatalf("list uploads of %s: %v", bucket, err)
	}
	var keys []string
	for _, u := range out.Uploads {
		keys = append(keys, aws.ToString(u.Key))
	}
	return keys
}
