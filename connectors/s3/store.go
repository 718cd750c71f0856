package s3

import (
	"context"
	"crypto/md5"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"

	"github.com/millrace/millrace/connectors/s3/upload"
	"github.com/millrace/millrace/plugins/sdk"
)

// store is a bucket, for package upload.
type store struct {
	client  *s3.Client
	release func() // lets go of idle connections
	cfg     storeConfig
	log     *slog.Logger
	// tagsMustWork makes an object that cannot be tagged an error.
	tagsMustWork bool
}

var _ upload.Store = (*store)(nil)

// openStore connects to a bucket, which must be there.
func openStore(ctx context.Context, c storeConfig, wrap func(http.RoundTripper) http.RoundTripper, log *slog.Logger) (*store, error) {
	client, release, err := newClient(ctx, c, wrap)
	if err != nil {
		return nil, err
	}
	s := &store{client: client, release: release, cfg: c, log: log}
	if err := s.check(ctx); err != nil {
		release()
		return nil, err
	}
	return s, nil
}

func text(s string) *string {
	if s == "" {
		return nil
	}
	return aws.String(s)
}

// customer returns the headers of an encryption with a key of one's own.
func (s *store) customer() (algorithm, key, sum *string) {
	if s.cfg.customerKey == "" {
		return nil, nil, nil
	}
	raw, err := base64.StdEncoding.DecodeString(s.cfg.customerKey)
	if err != nil {
		return nil, nil, nil // checked with the configuration
	}
	digest := md5.Sum(raw)
	return aws.String("AES256"), aws.String(s.cfg.customerKey), aws.String(base64.StdEncoding.EncodeToString(digest[:]))
}

// encryption is what the store does by itself, none with a key of one's own.
func (s *store) encryption() types.ServerSideEncryption {
	if s.cfg.customerKey != "" {
		return ""
	}
	return types.ServerSideEncryption(s.cfg.encryption)
}

func ifAbsent(o upload.Object) *string {
	if o.IfAbsent {
		return aws.String("*")
	}
	return nil
}

// algorithm is the checksum of parts, which has to be named when an upload is
// begun if the parts have one.
func (s *store) algorithm() types.ChecksumAlgorithm {
	if s.cfg.checksums {
		return types.ChecksumAlgorithmCrc32
	}
	return ""
}

// sum is the checksum of a body for the store's header, nil where none is sent.
func (s *store) sum(b upload.Body) *string {
	if !s.cfg.checksums {
		return nil
	}
	return aws.String(base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, b.CRC32)))
}

// unsigned leaves the payload out of the signature of a request where that is
// configured.
func (s *store) unsigned(o *s3.Options) {
	if s.cfg.unsigned {
		o.APIOptions = append(o.APIOptions, v4.SwapComputePayloadSHA256ForUnsignedPayloadMiddleware)
	}
}

// Put implements upload.Store.
func (s *store) Put(ctx context.Context, o upload.Object, b upload.Body) error {
	in := &s3.PutObjectInput{
		Bucket: &s.cfg.bucket, Key: &o.Key, Body: b, ContentLength: &b.Size, ChecksumCRC32: s.sum(b), Metadata: o.Metadata, IfNoneMatch: ifAbsent(o),
		ACL: types.ObjectCannedACL(s.cfg.acl), ServerSideEncryption: s.encryption(), SSEKMSKeyId: text(s.cfg.kmsKey), ChecksumAlgorithm: s.algorithm(),
	}
	in.SSECustomerAlgorithm, in.SSECustomerKey, in.SSECustomerKeyMD5 = s.customer()
	_, err := s.client.PutObject(ctx, in, s.unsigned)
	if err = s.settle(ctx, o, "write object", err); err != nil {
		return err
	}
	return s.tag(ctx, o)
}

// Create implements upload.Store.
func (s *store) Create(ctx context.Context, o upload.Object) (string, error) {
	in := &s3.CreateMultipartUploadInput{
		Bucket: &s.cfg.bucket, Key: &o.Key, Metadata: o.Metadata, ChecksumAlgorithm: s.algorithm(),
		ACL: types.ObjectCannedACL(s.cfg.acl), ServerSideEncryption: s.encryption(), SSEKMSKeyId: text(s.cfg.kmsKey),
	}
	in.SSECustomerAlgorithm, in.SSECustomerKey, in.SSECustomerKeyMD5 = s.customer()
	out, err := s.client.CreateMultipartUpload(ctx, in)
	if err != nil {
		return "", s.fail("begin the upload of", o.Key, err)
	}
	return aws.ToString(out.UploadId), nil
}

// SendPart implements upload.Store.
func (s *store) SendPart(ctx context.Context, o upload.Object, id string, number int32, b upload.Body) (upload.Part, error) {
	in := &s3.UploadPartInput{
		Bucket: &s.cfg.bucket, Key: &o.Key, UploadId: &id, PartNumber: &number, Body: b, ContentLength: &b.Size,
		ChecksumAlgorithm: s.algorithm(), ChecksumCRC32: s.sum(b),
	}
	in.SSECustomerAlgorithm, in.SSECustomerKey, in.SSECustomerKeyMD5 = s.customer()
	out, err := s.client.UploadPart(ctx, in, s.unsigned)
	if err != nil {
		return upload.Part{}, s.fail("send a part of", o.Key, err)
	}
	return upload.Part{Number: number, ETag: aws.ToString(out.ETag), Checksum: aws.ToString(out.ChecksumCRC32)}, nil
}

// Complete implements upload.Store.
func (s *store) Complete(ctx context.Context, o upload.Object, id string, parts []upload.Part) error {
	list := make([]types.CompletedPart, len(parts))
	for i, p := range parts {
		list[i] = types.CompletedPart{PartNumber: aws.Int32(p.Number), ETag: aws.String(p.ETag), ChecksumCRC32: text(p.Checksum)}
	}
	in := &s3.CompleteMultipartUploadInput{
		Bucket: &s.cfg.bucket, Key: &o.Key, UploadId: &id, MultipartUpload: &types.CompletedMultipartUpload{Parts: list}, IfNoneMatch: ifAbsent(o),
	}
	in.SSECustomerAlgorithm, in.SSECustomerKey, in.SSECustomerKeyMD5 = s.customer()
	out, err := s.client.CompleteMultipartUpload(ctx, in)
	if err == nil && (o.Doubtful || repeated(out.ResultMetadata)) {
		err = s.verify(ctx, o)
	} else {
		err = s.settle(ctx, o, "complete the upload of", err)
	}
	if err != nil {
		return err
	}
	return s.tag(ctx, o)
}

// repeated reports whether the client sent a request more than once.
func repeated(m middleware.Metadata) bool {
	attempts, ok := retry.GetAttemptResults(m)
	return ok && len(attempts.Results) > 1
}

// verify looks whether an object is there that the store says is complete, where
// an attempt before may have been cut off: a store that was killed while it put
// the parts together may take a second attempt for one that waits for the first.
// Where it does not let its callers look, its word has to do.
func (s *store) verify(ctx context.Context, o upload.Object) error {
	head, err := s.head(ctx, o.Key)
	switch {
	case err == nil && head.Metadata[writerMetadata] == o.Metadata[writerMetadata], status(err) == 403:
		return nil
	case err == nil && o.IfAbsent:
		return &existsError{key: o.Key, metadata: head.Metadata}
	case err == nil || status(err) == 404:
		return sdk.Fatal(fmt.Errorf("the store says that the upload of %s to bucket %s of %s is complete, and does not have the object: "+
			"the task writes it anew when it is started again", o.Key, s.cfg.bucket, s.where()))
	}
	return s.fail("look at", o.Key, err)
}

// Abort implements upload.Store.
func (s *store) Abort(ctx context.Context, o upload.Object, id string) error {
	_, err := s.client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &s.cfg.bucket, Key: &o.Key, UploadId: &id})
	if code(err) == "NoSuchUpload" {
		return nil
	}
	return s.fail("abort the upload of", o.Key, err)
}

// writerMetadata names a value that differs for each object that is written,
// by which a writer knows its own.
const writerMetadata = "mr-writer"

// settle looks after writes that failed because they had already worked: the
// answer to the first attempt was lost, and the second finds the upload gone or
// the object there.
func (s *store) settle(ctx context.Context, o upload.Object, what string, err error) error {
	if err == nil {
		return nil
	}
	exists := code(err) == "PreconditionFailed" || code(err) == "ConditionalRequestConflict"
	if !exists && code(err) != "NoSuchUpload" {
		return s.fail(what, o.Key, err)
	}
	head, headErr := s.head(ctx, o.Key)
	switch {
	case headErr == nil && head.Metadata[writerMetadata] == o.Metadata[writerMetadata]:
		return nil
	case headErr == nil && exists:
		return &existsError{key: o.Key, metadata: head.Metadata}
	case headErr != nil && code(headErr) != "NotFound":
		return s.fail("look at", o.Key, headErr)
	}
	return s.fail(what, o.Key, err)
}

func (s *store) head(ctx context.Context, key string) (*s3.HeadObjectOutput, error) {
	in := &s3.HeadObjectInput{Bucket: &s.cfg.bucket, Key: &key}
	in.SSECustomerAlgorithm, in.SSECustomerKey, in.SSECustomerKeyMD5 = s.customer()
	return s.client.HeadObject(ctx, in)
}

// tag puts an object's tags on it.
func (s *store) tag(ctx context.Context, o upload.Object) error {
	if len(o.Tags) == 0 {
		return nil
	}
	var set []types.Tag
	for _, k := range slices.Sorted(maps.Keys(o.Tags)) {
		set = append(set, types.Tag{Key: aws.String(k), Value: aws.String(o.Tags[k])})
	}
	_, err := s.client.PutObjectTagging(ctx, &s3.PutObjectTaggingInput{Bucket: &s.cfg.bucket, Key: &o.Key, Tagging: &types.Tagging{TagSet: set}})
	if err == nil {
		return nil
	}
	if s.tagsMustWork {
		return s.fail("tag", o.Key, err)
	}
	s.log.Warn("object not tagged; s3.object.behavior.on.tagging.error=ignore lets that be", "object", o.Key, "err", err)
	return nil
}

// check looks whether the bucket is there. A store that does not let its
// callers ask is taken at its word when it is written to.
func (s *store) check(ctx context.Context) error {
	_, err := s.client.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &s.cfg.bucket})
	if err == nil {
		return nil
	}
	switch status(err) {
	case 404:
		return fatal("Non-existent S3 bucket: " + s.cfg.bucket + ": make it, or check " + s.cfg.bucketKey + "; " +
			"some stores answer so to wrong credentials, too")
	case 403, 301:
		s.log.Warn("the store does not say whether the bucket exists; going on as if it did", "bucket", s.cfg.bucket, "status", status(err))
		return nil
	}
	return s.fail("look for bucket", s.cfg.bucket, err)
}

// where names the store for people.
func (s *store) where() string {
	if s.cfg.endpoint == "" {
		return "S3 in " + s.cfg.region
	}
	u, err := url.Parse(s.cfg.endpoint)
	if err != nil {
		return "the store"
	}
	return u.Redacted()
}

// code is the error code of the store's answer, "" if there was none.
func code(err error) string {
	e := smithy.APIError(nil)
	if errors.As(err, &e) {
		return e.ErrorCode()
	}
	return ""
}
