package s3

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hamba/avro/v2/ocf"
	"github.com/klauspost/compress/gzip"
	"github.com/parquet-go/parquet-go"

	"github.com/millrace/millrace/connectors/s3/s3test"
	"github.com/millrace/millrace/plugins/data"
	"github.com/millrace/millrace/plugins/sdk"
	"github.com/millrace/millrace/plugins/sdktest"
)

var (
	serverOnce sync.Once
	server     *s3test.Server
	serverErr  error
	buckets    atomic.Int64
)

// shared returns the server that the tests share, and a bucket of the test's
// own.
func shared(tb testing.TB) (*s3test.Server, string) {
	tb.Helper()
	serverOnce.Do(func() { server, serverErr = s3test.New() })
	if serverErr != nil {
		tb.Fatal(serverErr)
	}
	return server, server.Bucket(tb, fmt.Sprintf("lake-%d", buckets.Add(1)))
}

func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.DiscardHandler))
	code := m.Run()
	if server != nil {
		if err := server.Close(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	http.DefaultClient.CloseIdleConnections()
	if code == 0 && leaked() {
		code = 1
	}
	os.Exit(code)
}

// leaked waits for goroutines of this package to end and reports those that
// stay.
func leaked() bool {
	buf := make([]byte, 1<<20)
	deadline := time.Now().Add(5 * time.Second)
	for {
		stacks := string(buf[:runtime.Stack(buf, true)])
		left := slices.DeleteFunc(strings.Split(stacks, "\n\n"), func(s string) bool {
			return !strings.Contains(s, "connectors/s3") || strings.Contains(s, "s3.leaked")
		})
		if len(left) == 0 {
			return false
		}
		if time.Now().After(deadline) {
			fmt.Fprintln(os.Stderr, "goroutines left:\n"+strings.Join(left, "\n\n"))
			return true
		}
		runtime.Gosched()
	}
}

// none, as a change, removes a key.
const none = "<none>"

// sinkConfigOf is a configuration that works, with changes.
func sinkConfigOf(s *s3test.Server, bucket string, changes map[string]string) map[string]string {
	config := map[string]string{
		"name": "lake", "connector.class": "io.confluent.connect.s3.S3SinkConnector", "topics": "orders",
		"s3.region": s3test.Region, "s3.bucket.name": bucket, "store.url": s.URL, "s3.part.size": "5242880", "flush.size": "100",
		"aws.access.key.id": s3test.AccessKey, "aws.secret.access.key": s3test.Secret,
		"storage.class": "io.confluent.connect.s3.storage.S3Storage", "format.class": "io.confluent.connect.s3.format.json.JsonFormat",
		"s3.part.retries": "1", "retry.backoff.ms": "1",
	}
	maps.Copy(config, changes)
	maps.DeleteFunc(config, func(_, v string) bool { return v == none })
	return config
}

var orders = sdk.TopicPartition{Topic: "orders", Partition: 0}

// orderSchema is what most tests write.
var orderSchema = data.NewStructBuilder().Name("Order").Field("id", data.Int64Schema).Field("who", data.StringSchema).
	Field("at", data.TimestampSchema).Field("note", data.OptionalStringSchema).MustBuild()

func order(tb testing.TB, id int64, who string) *data.Struct {
	tb.Helper()
	v := data.NewStruct(orderSchema)
	for name, x := range map[string]any{"id": id, "who": who, "at": int64(1_700_000_000_000) + id*1000} {
		if err := v.Put(name, x); err != nil {
			tb.Fatal(err)
		}
	}
	return v
}

// orderRecords are records of partition 0 with offsets from..to-1.
func orderRecords(tb testing.TB, from, to int64) []data.Record {
	tb.Helper()
	var out []data.Record
	for i := from; i < to; i++ {
		out = append(out, sdktest.LogRecord(tb, "orders", 0, i, orderSchema, order(tb, i, fmt.Sprintf("w%d", i%3))))
	}
	return out
}

// keys are the keys of a bucket's objects.
func keys(tb testing.TB, s *s3test.Server, bucket string) []string {
	tb.Helper()
	var out []string
	for _, o := range s.Objects(tb, bucket) {
		out = append(out, o.Key)
	}
	return out
}

// ids reads the id of every record in a bucket, object by object.
func ids(tb testing.TB, s *s3test.Server, bucket string) []int64 {
	tb.Helper()
	var out []int64
	for _, o := range s.Objects(tb, bucket) {
		out = append(out, idsOf(tb, o)...)
	}
	return out
}

func idsOf(tb testing.TB, o s3test.Object) []int64 {
	tb.Helper()
	content := o.Content
	if strings.HasSuffix(o.Key, ".gz") {
		r, err := gzip.NewReader(bytes.NewReader(content))
		if err != nil {
			tb.Fatalf("%s: %v", o.Key, err)
		}
		if content, err = io.ReadAll(r); err != nil {
			tb.Fatalf("%s: %v", o.Key, err)
		}
	}
	if strings.HasSuffix(o.Key, ".avro") {
		return avroIDs(tb, o.Key, content)
	}
	var out []int64
	if strings.HasSuffix(o.Key, ".parquet") {
		type row struct {
			ID int64 `parquet:"id"`
		}
		rows, err := parquet.Read[row](bytes.NewReader(content), int64(len(content)))
		if err != nil {
			tb.Fatalf("%s: %v", o.Key, err)
		}
		for _, r := range rows {
			out = append(out, r.ID)
		}
		return out
	}
	for line := range bytes.Lines(content) {
		var v struct{ ID int64 }
		if err := json.Unmarshal(line, &v); err != nil {
			tb.Fatalf("%s: %q: %v", o.Key, line, err)
		}
		out = append(out, v.ID)
	}
	return out
}

// avroIDs reads a container file with a reader that is not ours.
func avroIDs(tb testing.TB, name string, content []byte) []int64 {
	tb.Helper()
	d, err := ocf.NewDecoder(bytes.NewReader(content))
	if err != nil {
		tb.Fatalf("%s: %v", name, err)
	}
	var out []int64
	for d.HasNext() {
		var v map[string]any
		if err := d.Decode(&v); err != nil {
			tb.Fatalf("%s: %v", name, err)
		}
		out = append(out, v["id"].(int64))
	}
	if err := d.Error(); err != nil {
		tb.Fatalf("%s: %v", name, err)
	}
	return out
}

// once checks that a list holds each number from..to-1 exactly once.
func once(tb testing.TB, got []int64, from, to int64) {
	tb.Helper()
	slices.Sort(got)
	want := make([]int64, 0, to-from)
	for i := from; i < to; i++ {
		want = append(want, i)
	}
	if !slices.Equal(got, want) {
		tb.Errorf("%d records are stored, want %d, each once: %v", len(got), len(want), difference(got, want))
	}
}

// difference shows what a list has too often or not at all.
func difference(got, want []int64) map[int64]int {
	out := make(map[int64]int)
	for _, n := range got {
		out[n]++
	}
	for _, n := range want {
		out[n]--
	}
	maps.DeleteFunc(out, func(_ int64, n int) bool { return n == 0 })
	return out
}

// faults makes requests fail. It is safe for concurrent use.
type faults struct {
	mu   sync.Mutex
	fail func(*http.Request) (status int, code string) // 0 lets a request pass
	lose func(*http.Request) bool                      // the answer is lost
}

func (f *faults) set(fail func(*http.Request) (int, string)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fail = fail
}

type faultyTransport struct {
	faults *faults
	next   http.RoundTripper
}

func (f *faults) wrap(next http.RoundTripper) http.RoundTripper { return &faultyTransport{f, next} }

// RoundTrip implements http.RoundTripper.
func (t *faultyTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	t.faults.mu.Lock()
	status, code, lose := 0, "", false
	if t.faults.fail != nil {
		status, code = t.faults.fail(r)
	}
	if t.faults.lose != nil {
		lose = t.faults.lose(r)
	}
	t.faults.mu.Unlock()
	if status != 0 {
		if r.Body != nil {
			if err := r.Body.Close(); err != nil {
				return nil, err
			}
		}
		body := "<Error><Code>" + code + "</Code><Message>made up by the test</Message></Error>"
		return &http.Response{
			StatusCode: status, Status: http.StatusText(status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r,
			Header: http.Header{"Content-Type": {"application/xml"}}, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)),
		}, nil
	}
	resp, err := t.next.RoundTrip(r)
	if err == nil && lose {
		return nil, fmt.Errorf("answer lost: %w", io.ErrUnexpectedEOF)
	}
	return resp, err
}

// connectorWith is the sink with a clock and faults of the test's.
func connectorWith(now func() time.Time, f *faults) sdk.Connector {
	c := Connectors()[0]
	sink := Sink{now: now}
	if f != nil {
		sink.wrap = f.wrap
	}
	c.Sink = sink
	return c
}
