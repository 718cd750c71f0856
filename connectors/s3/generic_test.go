package s3

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/millrace/millrace/connectors/s3/s3test"
	"github.com/millrace/millrace/plugins/sdk"
	"github.com/millrace/millrace/plugins/sdktest"
)

// put stores an object.
func put(tb testing.TB, s *s3test.Server, bucket, key, content string) {
	tb.Helper()
	_, err := s.Client.PutObject(tb.Context(), &s3.PutObjectInput{Bucket: aws.String(bucket), Key: aws.String(key), Body: strings.NewReader(content)})
	if err != nil {
		tb.Fatal(err)
	}
}

func genericConfig(s *s3test.Server, bucket string, extra ...string) map[string]string {
	out := map[string]string{
		"name": "any", "connector.class": "S3Source", "mode": "GENERIC", "topic.regex.list": "orders:.*orders.*,rest:.*\\.txt", "topics.dir": "in",
		"format.class": "io.confluent.connect.s3.format.json.JsonFormat", "s3.region": s3test.Region, "s3.bucket.name": bucket, "store.url": s.URL,
		"aws.access.key.id": s3test.AccessKey, "aws.secret.access.key": s3test.Secret, "s3.poll.interval.ms": "10", "record.batch.max.size": "3", "s3.part.retries": "1",
	}
	for i := 0; i+1 < len(extra); i += 2 {
		out[extra[i]] = extra[i+1]
	}
	return out
}

// jsonLines are the lines {"n":from} to {"n":to-1}.
func jsonLines(from, to int) string {
	var b strings.Builder
	for i := from; i < to; i++ {
		fmt.Fprintf(&b, "{\"n\":%d}\n", i)
	}
	return b.String()
}

func zipped(tb testing.TB, content string) string {
	tb.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(content)); err != nil {
		tb.Fatal(err)
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return b.String()
}

func TestGenericConformance(t *testing.T) {
	s, bucket := shared(t)
	put(t, s, bucket, "in/orders/a.json", jsonLines(0, 10))
	put(t, s, bucket, "in/orders/b.json.gz", zipped(t, jsonLines(10, 25)))
	put(t, s, bucket, "in/orders/empty.json", "")
	put(t, s, bucket, "in/other.json", "not read")
	put(t, s, bucket, "out/orders.json", "not read")
	put(t, s, bucket, "in/orders/z.json", jsonLines(25, 40))
	sdktest.TestSource(t, sdktest.Source{
		Connector: Connectors()[1],
		Config:    func(testing.TB) map[string]string { return genericConfig(s, bucket) },
		Records:   40,
		BadConfigs: map[string]map[string]string{
			"no topics":       genericConfig(s, bucket, "topic.regex.list", ""),
			"no pattern":      genericConfig(s, bucket, "topic.regex.list", "orders"),
			"bad pattern":     genericConfig(s, bucket, "topic.regex.list", "orders:("),
			"unknown format":  genericConfig(s, bucket, "format.class", "XmlFormat"),
			"unknown mode":    genericConfig(s, bucket, "mode", "EITHER"),
			"text of backups": genericConfig(s, bucket, "mode", "RESTORE_BACKUP", "format.class", "StringFormat"),
			"long separator":  genericConfig(s, bucket, "format.class", "CsvFormat", "format.csv.separator", "ab"),
		},
	})
	var got []string
	for _, r := range sdktest.StartSource(t, Connectors()[1], genericConfig(s, bucket), nil).Take(40) {
		got = append(got, r.Text())
	}
	for i, text := range got {
		if want := fmt.Sprintf("orders null {n=%d}", i); text != want {
			t.Fatalf("record %d is %q, want %q", i, text, want)
		}
	}
}

func TestGenericFormats(t *testing.T) {
	for _, tt := range []struct {
		format, content string
		extra           []string
		want            []string
	}{
		{"StringFormat", "one\r\ntwo\n", nil, []string{"rest null one", "rest null two"}},
		{"CsvFormat", "a;b\n1;2\n;3\n", []string{"format.csv.separator", ";"}, []string{"rest null Struct{a=1,b=2}", "rest null Struct{b=3}"}},
		{"io.confluent.connect.s3.format.bytearray.ByteArrayFormat", "a|b", []string{"format.bytearray.separator", "|"}, []string{"rest null YQ==", "rest null Yg=="}},
		{"io.confluent.connect.s3.format.bytearray.ByteArrayFormat", "a\nb", []string{"format.bytearray.separator", ""}, []string{"rest null YQpi"}},
	} {
		s, bucket := shared(t)
		put(t, s, bucket, "in/x.txt", tt.content)
		run := sdktest.StartSource(t, Connectors()[1], genericConfig(s, bucket, append(tt.extra, "format.class", tt.format)...), nil)
		for i, r := range run.Take(len(tt.want)) {
			if r.Text() != tt.want[i] {
				t.Errorf("%s: record %d is %q, want %q", tt.format, i, r.Text(), tt.want[i])
			}
		}
	}
}

// TestGenericFindsWhatComesLater has objects appear after others were read, one
// under a smaller name, and one replaced by another.
func TestGenericFindsWhatComesLater(t *testing.T) {
	s, bucket := shared(t)
	put(t, s, bucket, "in/orders/m.json", jsonLines(0, 2))
	run := sdktest.StartSource(t, Connectors()[1], genericConfig(s, bucket, "rescan.listings", "3"), nil)
	all := run.Take(2)
	put(t, s, bucket, "in/orders/z.json", jsonLines(2, 4))
	all = append(all, run.Take(2)...)
	put(t, s, bucket, "in/orders/a.json", jsonLines(4, 6))
	all = append(all, run.Take(2)...)
	put(t, s, bucket, "in/orders/m.json", jsonLines(90, 95)) // replaced
	put(t, s, bucket, "in/orders/n.json", jsonLines(6, 7))
	all = append(all, run.Take(1)...)
	if again := run.TakeFor(200 * time.Millisecond); len(again) > 0 {
		t.Errorf("%d records come again, such as %s", len(again), again[0].Text())
	}
	for i, r := range all {
		if want := fmt.Sprintf("orders null {n=%d}", i); r.Text() != want {
			t.Errorf("record %d is %q, want %q", i, r.Text(), want)
		}
	}
	offsets := sdktest.Offsets{}
	offsets.Apply(all)
	run.Close()
	// After a restart nothing is read again, and with reread.on.change what was
	// replaced is.
	if again := sdktest.StartSource(t, Connectors()[1], genericConfig(s, bucket), offsets).TakeFor(200 * time.Millisecond); len(again) > 0 {
		t.Errorf("after a restart %d records come again", len(again))
	}
	changed := sdktest.StartSource(t, Connectors()[1], genericConfig(s, bucket, "reread.on.change", "true"), offsets)
	if r := changed.Take(5)[0]; r.Text() != "orders null {n=90}" {
		t.Errorf("the new version begins with %s", r.Text())
	}
}

// TestGenericDownloadsThatBreak cuts three downloads in their middle: each
// record comes once.
func TestGenericDownloadsThatBreak(t *testing.T) {
	s, bucket := shared(t)
	put(t, s, bucket, "in/orders/a.json", jsonLines(0, 20_000))
	left := &atomic.Int64{}
	left.Store(3)
	c := Connectors()[1]
	c.Source = Source{wrap: func(next http.RoundTripper) http.RoundTripper { return cutting{next, left, "a.json", 100_000} }}
	run := sdktest.StartSource(t, c, genericConfig(s, bucket, "record.batch.max.size", "500"), nil)
	for i, r := range run.Take(20_000) {
		if want := fmt.Sprintf("orders null {n=%d}", i); r.Text() != want {
			t.Fatalf("record %d is %q, want %q", i, r.Text(), want)
		}
	}
	if left.Load() > 0 || len(run.Retries()) == 0 {
		t.Errorf("%d downloads were to break and did not, %d retries", left.Load(), len(run.Retries()))
	}
}

// TestGenericBadObjects stops at what cannot be read, or passes over it.
func TestGenericBadObjects(t *testing.T) {
	s, bucket := shared(t)
	put(t, s, bucket, "in/orders/a.json", jsonLines(0, 1)+"{\n"+jsonLines(1, 2))
	put(t, s, bucket, "in/orders/b.json", jsonLines(5, 6))
	run := sdktest.StartSource(t, Connectors()[1], genericConfig(s, bucket), nil)
	if r := run.Take(1)[0]; r.Text() != "orders null {n=0}" {
		t.Errorf("the first is %s", r.Text())
	}
	if err := run.Fail(); !strings.Contains(err.Error(), "in/orders/a.json") || !strings.Contains(err.Error(), "behavior.on.error=ignore") {
		t.Errorf("it fails with %v", err)
	}
	lenient := sdktest.StartSource(t, Connectors()[1], genericConfig(s, bucket, "behavior.on.error", "ignore"), nil)
	if r := lenient.Take(2)[1]; r.Text() != "orders null {n=5}" {
		t.Errorf("after the bad object comes %s", r.Text())
	}
}

// TestGenericTasksShareObjects has each object in one of three tasks.
func TestGenericTasksShareObjects(t *testing.T) {
	s, bucket := shared(t)
	for i := range 12 {
		put(t, s, bucket, fmt.Sprintf("in/orders/%02d.json", i), jsonLines(i, i+1))
	}
	seen := map[string]int{}
	var runs []*sdktest.SourceRun
	for i := range 3 {
		runs = append(runs, sdktest.StartSource(t, Connectors()[1], genericConfig(s, bucket, taskKey, fmt.Sprintf("%d/3", i)), nil))
	}
	for n, after := 0, 0; n < 100 && after < 2; n++ { // some more, for what comes twice
		for _, run := range runs {
			for _, r := range run.TakeFor(100 * time.Millisecond) {
				seen[r.Text()]++
			}
		}
		if len(seen) == 12 {
			after++
		}
	}
	if len(seen) != 12 {
		t.Errorf("three tasks read %v", seen)
	}
	for text, n := range seen {
		if n != 1 {
			t.Errorf("%s is read %d times", text, n)
		}
	}
}

func TestGenericAlterOffsets(t *testing.T) {
	for _, tt := range []struct {
		change sdk.Position
		ok     bool
	}{
		{sdk.Position{Partition: map[string]any{"bucket": "b", "objectKey": "k"}, Offset: sdk.Offset{"etag": "e", "recordCount": int64(3)}}, true},
		{sdk.Position{Partition: map[string]any{"bucket": "b", "objectKey": "k"}}, true},
		{sdk.Position{Partition: map[string]any{"objectKey": "k"}, Offset: sdk.Offset{"etag": "e", "recordCount": int64(3)}}, false},
		{sdk.Position{Partition: map[string]any{"bucket": "b", "objectKey": "k"}, Offset: sdk.Offset{"recordCount": int64(3)}}, false},
	} {
		if ok, err := (Source{}).AlterOffsets(t.Context(), sdk.Config{}, []sdk.Position{tt.change}); ok != tt.ok || (err == nil) != tt.ok {
			t.Errorf("%v: %v, %v", tt.change, ok, err)
		}
	}
}

// TestGenericReplacedBeforeItWasRead reads the object that is there.
func TestGenericReplacedBeforeItWasRead(t *testing.T) {
	s, bucket := shared(t)
	put(t, s, bucket, "in/orders/a.json", jsonLines(0, 1))
	var once atomic.Bool
	c := Connectors()[1]
	c.Source = Source{wrap: func(next http.RoundTripper) http.RoundTripper {
		return transport(func(r *http.Request) (*http.Response, error) {
			if r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "a.json") && once.CompareAndSwap(false, true) {
				put(t, s, bucket, "in/orders/a.json", jsonLines(7, 8))
			}
			return next.RoundTrip(r)
		})
	}}
	if r := sdktest.StartSource(t, c, genericConfig(s, bucket, "rescan.listings", "1"), nil).Take(1)[0]; r.Text() != "orders null {n=7}" {
		t.Errorf("it reads %s", r.Text())
	}
}

type transport func(*http.Request) (*http.Response, error)

// RoundTrip implements http.RoundTripper.
func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
