package s3

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millrace/millrace/connectors/s3/s3test"
	"github.com/millrace/millrace/plugins/data"
	"github.com/millrace/millrace/plugins/sdk"
	"github.com/millrace/millrace/plugins/sdktest"
)

func TestSinkConformance(t *testing.T) {
	records := orderRecords(t, 0, 30)
	var want []string
	for i := range 30 {
		want = append(want, fmt.Sprint(i))
	}
	sdktest.TestSink(t, sdktest.Sink{
		Connector: Connectors()[0],
		Config: func(tb testing.TB) map[string]string {
			s, bucket := shared(tb)
			return sinkConfigOf(s, bucket, map[string]string{"flush.size": "7"})
		},
		Records: records,
		Read: func(tb testing.TB, config map[string]string) []string {
			var out []string
			for _, id := range ids(tb, server, config["s3.bucket.name"]) {
				out = append(out, fmt.Sprint(id))
			}
			return out
		},
		Want: want, ExactlyOnce: true,
		BadConfigs: map[string]map[string]string{
			"no bucket":  {"flush.size": "1", "format.class": "JsonFormat"},
			"no flush":   {"s3.bucket.name": "b", "format.class": "JsonFormat"},
			"bad format": {"s3.bucket.name": "b", "flush.size": "1", "format.class": "OrcFormat"},
		},
	})
}

func TestObjectsAndOffsetsFollowFlushSize(t *testing.T) {
	for _, tt := range []struct{ format, extension string }{
		{"json.JsonFormat", ".json"}, {"avro.AvroFormat", ".avro"}, {"parquet.ParquetFormat", ".snappy.parquet"},
	} {
		t.Run(tt.format, func(t *testing.T) {
			s, bucket := shared(t)
			run := sdktest.StartSink(t, Connectors()[0], sinkConfigOf(s, bucket, map[string]string{"format.class": formatPrefix + tt.format}))
			run.Assign(sdk.Offsets{orders: 0})
			run.MustPut(orderRecords(t, 0, 250)...)
			if got := run.PreCommit(sdk.Offsets{orders: 250}); got[orders] != 200 {
				t.Errorf("committed %v, want 200", got)
			}
			want := []string{
				"topics/orders/partition=0/orders+0+0000000000" + tt.extension, "topics/orders/partition=0/orders+0+0000000100" + tt.extension,
			}
			if got := keys(t, s, bucket); !slices.Equal(got, want) {
				t.Errorf("objects are %q, want %q", got, want)
			}
			once(t, ids(t, s, bucket), 0, 200)
			run.Close()
			if left := s.Unfinished(t, bucket); len(left) > 0 || len(keys(t, s, bucket)) != 2 {
				t.Errorf("after the end there are uploads %q, and objects %q", left, keys(t, s, bucket))
			}
		})
	}
}

func TestOffsetsBeyondTheirPadding(t *testing.T) {
	s, bucket := shared(t)
	run := sdktest.StartSink(t, Connectors()[0], sinkConfigOf(s, bucket, map[string]string{"flush.size": "2", "topics.dir": "", "file.delim": "-"}))
	const start = 12_345_678_901
	run.Assign(sdk.Offsets{orders: start})
	run.MustPut(orderRecords(t, start, start+2)...)
	run.PreCommit(sdk.Offsets{orders: start + 2})
	if got, want := keys(t, s, bucket), []string{"orders/partition=0/orders-0-12345678901.json"}; !slices.Equal(got, want) {
		t.Errorf("objects are %q, want %q", got, want)
	}
}

// TestGapsInOffsets covers compacted topics: the next offset is that after the
// last record, not the first one's plus their number.
func TestGapsInOffsets(t *testing.T) {
	s, bucket := shared(t)
	run := sdktest.StartSink(t, Connectors()[0], sinkConfigOf(s, bucket, map[string]string{"flush.size": "2"}))
	run.Assign(sdk.Offsets{orders: 0})
	for _, offset := range []int64{3, 10, 50} {
		run.MustPut(orderRecords(t, offset, offset+1)...)
	}
	if got := run.PreCommit(sdk.Offsets{orders: 51}); got[orders] != 11 {
		t.Errorf("committed %v, want 11", got)
	}
	if got, want := keys(t, s, bucket), []string{"topics/orders/partition=0/orders+0+0000000003.json"}; !slices.Equal(got, want) {
		t.Errorf("objects are %q, want %q", got, want)
	}
}

// byWho divides records into three directories.
var byWho = map[string]string{"partitioner.class": partitionerPrefix + "FieldPartitioner", "partition.field.name": "who"}

func TestSecondUploadFailingForAWhileMakesNoDuplicates(t *testing.T) {
	s, bucket := shared(t)
	f := &faults{}
	failed := 0
	f.set(func(r *http.Request) (int, string) {
		if r.Method == http.MethodPut && strings.Contains(r.URL.Path, "who=w1") && failed < 2 {
			failed++
			return 503, "SlowDown"
		}
		return 0, ""
	})
	run := sdktest.StartSink(t, connectorWith(nil, f), sinkConfigOf(s, bucket, byWho))
	run.Assign(sdk.Offsets{orders: 0})
	run.MustPut(orderRecords(t, 0, 100)...)
	var got sdk.Offsets
	for got[orders] != 100 { // each round is another attempt, as time passes
		run.MustPut()
		got = run.PreCommit(sdk.Offsets{orders: 100})
	}
	if failed != 2 {
		t.Errorf("%d requests failed, want 2", failed)
	}
	once(t, ids(t, s, bucket), 0, 100)
	want := []string{"who=w0/orders+0+0000000000", "who=w1/orders+0+0000000001", "who=w2/orders+0+0000000002"}
	for i, key := range keys(t, s, bucket) {
		if key != "topics/orders/"+want[i]+".json" {
			t.Errorf("object %d is %s, want %s", i, key, want[i])
		}
	}
}

// TestFailingStoreHoldsRecordsBack has a store that fails until it is let
// work: records beyond one rotation are refused, and none is lost or doubled.
func TestFailingStoreHoldsRecordsBack(t *testing.T) {
	s, bucket := shared(t)
	f := &faults{}
	f.set(func(r *http.Request) (int, string) {
		if r.Method == http.MethodPut {
			return 500, "InternalError"
		}
		return 0, ""
	})
	run := sdktest.StartSink(t, connectorWith(nil, f), sinkConfigOf(s, bucket, nil))
	run.Assign(sdk.Offsets{orders: 0})
	records := orderRecords(t, 0, 300)
	if n, err := run.Put(records...); err == nil || n >= 300 {
		t.Fatalf("%d records taken, error %v, while nothing can be stored", n, err)
	}
	f.set(nil)
	done, err := 0, error(nil)
	for range 1000 {
		var n int
		if n, err = run.Put(records[done:]...); err == nil {
			break
		}
		done += n // what the worker would not put again
	}
	if err != nil {
		t.Fatalf("the store works and records are refused: %v", err)
	}
	if got := run.PreCommit(sdk.Offsets{orders: 300}); got[orders] != 300 {
		t.Errorf("committed %v, want 300", got)
	}
	once(t, ids(t, s, bucket), 0, 300)
}

func TestErrorsThatDoNotPassEndTheTask(t *testing.T) {
	s, bucket := shared(t)
	for _, tt := range []struct {
		name, code string
		status     int
		want       string
	}{
		{"forbidden", "AccessDenied", 403, "s3:PutObject"},
		{"bucket gone", "NoSuchBucket", 404, "make the bucket"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := &faults{}
			f.set(func(r *http.Request) (int, string) {
				if r.Method == http.MethodPut {
					return tt.status, tt.code
				}
				return 0, ""
			})
			run := sdktest.StartSink(t, connectorWith(nil, f), sinkConfigOf(s, bucket, nil))
			run.Assign(sdk.Offsets{orders: 0})
			_, err := run.Put(orderRecords(t, 0, 100)...)
			run.PreCommit(sdk.Offsets{orders: 100})
			if err == nil {
				_, err = run.Put()
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), bucket) {
				t.Errorf("error is %v, want %q and the bucket in it", err, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), s3test.Secret) {
				t.Error("the secret is in the error")
			}
		})
	}
	if _, err := sdktest.OpenSink(t, Connectors()[0], sinkConfigOf(s, "no-such-bucket", nil)); err == nil || !strings.Contains(err.Error(), "Non-existent S3 bucket: no-such-bucket") {
		t.Errorf("a bucket that is not there: %v", err)
	}
}

// TestLostAnswer has the answer to a write lost: the second attempt finds what
// the first has written.
func TestLostAnswer(t *testing.T) {
	for _, tt := range []struct {
		name  string
		match func(*http.Request) bool
		big   bool
	}{
		{"put", func(r *http.Request) bool { return r.Method == http.MethodPut && r.URL.RawQuery == "x-id=PutObject" }, false},
		{"complete", func(r *http.Request) bool {
			return r.Method == http.MethodPost && strings.HasPrefix(r.URL.RawQuery, "uploadId")
		}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, bucket := shared(t)
			lost := 0
			f := &faults{lose: func(r *http.Request) bool {
				if tt.match(r) && lost == 0 {
					lost++
					return true
				}
				return false
			}}
			config := sinkConfigOf(s, bucket, map[string]string{
				"flush.size": "50", "rotate.schedule.interval.ms": "3600000", "timezone": "UTC", "s3.part.retries": "3", "s3.retry.backoff.ms": "1",
			})
			run := sdktest.StartSink(t, connectorWith(nil, f), config)
			run.Assign(sdk.Offsets{orders: 0})
			records := orderRecords(t, 0, 50)
			if tt.big {
				records = nil
				for i := range int64(50) {
					records = append(records, sdktest.LogRecord(t, "orders", 0, i, orderSchema, order(t, i, strings.Repeat("x", 200<<10))))
				}
			}
			run.MustPut(records...)
			if got := run.PreCommit(sdk.Offsets{orders: 50}); got[orders] != 50 {
				_, err := run.Put()
				t.Errorf("committed %v, want 50; %v", got, err)
			}
			if lost != 1 {
				t.Error("no answer was lost")
			}
			once(t, ids(t, s, bucket), 0, 50)
		})
	}
}

func TestLargeObjectsAreSentInPartsAndWhole(t *testing.T) {
	s, bucket := shared(t)
	config := sinkConfigOf(s, bucket, map[string]string{
		"format.class": formatPrefix + "bytearray.ByteArrayFormat", "flush.size": "40", separatorKey: "|", memoryKey: "1048576",
	})
	run := sdktest.StartSink(t, Connectors()[0], config)
	run.Assign(sdk.Offsets{orders: 0})
	random := rand.New(rand.NewPCG(1, 2))
	var want []byte
	for i := range int64(40) {
		b := make([]byte, 300<<10+random.IntN(1000))
		for j := range b {
			b[j] = byte(random.Uint32())
		}
		want = append(append(want, b...), '|')
		run.MustPut(sdktest.LogRecord(t, "orders", 0, i, data.BytesSchema, b))
	}
	run.PreCommit(sdk.Offsets{orders: 40})
	got := s.Objects(t, bucket)
	if len(got) != 1 || !got[0].Multipart() || string(got[0].Content) != string(want) {
		t.Fatalf("%d objects, the first of %d bytes; want one of %d bytes, sent in parts", len(got), len(got[0].Content), len(want))
	}
	if got[0].Key != "topics/orders/partition=0/orders+0+0000000000.bin" {
		t.Errorf("it is named %s", got[0].Key)
	}
}

// forgetful is a store that is cut off at the first attempt to complete an
// upload and answers all others as if that had worked.
type forgetful struct {
	next  http.RoundTripper
	tries atomic.Int32
}

func (f *forgetful) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method != http.MethodPost || !r.URL.Query().Has("uploadId") {
		return f.next.RoundTrip(r)
	}
	if f.tries.Add(1) == 1 {
		return nil, fmt.Errorf("cut off: %w", io.ErrUnexpectedEOF)
	}
	body := `<CompleteMultipartUploadResult><ETag>"x"</ETag></CompleteMultipartUploadResult>`
	return &http.Response{
		StatusCode: 200, Status: "200 OK", Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r,
		Header: http.Header{"Content-Type": {"application/xml"}}, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)),
	}, nil
}

// TestCompletedTwiceAndNotThere has the store lose an upload that it says is
// complete, at the second attempt of the client or of the sink: the offset is
// not committed, and the next task writes the object.
func TestCompletedTwiceAndNotThere(t *testing.T) {
	for _, retries := range []string{"3", "0"} {
		t.Run(retries+" retries of the client", func(t *testing.T) {
			s, bucket := shared(t)
			config := sinkConfigOf(s, bucket, map[string]string{
				"format.class": formatPrefix + "bytearray.ByteArrayFormat", "flush.size": "40", separatorKey: "|", "s3.part.retries": retries,
			})
			var records []data.Record
			for i := range int64(40) {
				records = append(records, sdktest.LogRecord(t, "orders", 0, i, data.BytesSchema, bytes.Repeat([]byte{byte(i)}, 200<<10)))
			}
			c := Connectors()[0]
			c.Sink = Sink{wrap: func(next http.RoundTripper) http.RoundTripper { return &forgetful{next: next} }}
			run := sdktest.StartSink(t, c, config)
			run.Assign(sdk.Offsets{orders: 0})
			run.MustPut(records...)
			var err error
			for end := time.Now().Add(time.Minute); err == nil && time.Now().Before(end); { // uploads go on beside
				if got := run.PreCommit(sdk.Offsets{orders: 40})[orders]; got > 0 {
					t.Fatalf("%d is committed", got)
				}
				_, err = run.Put()
			}
			if e := (*sdk.Error)(nil); err == nil || errors.As(err, &e) && e.SafeToRetry() || !strings.Contains(err.Error(), "does not have the object") {
				t.Fatalf("the error is %v", err)
			}
			if got := keys(t, s, bucket); len(got) != 0 {
				t.Fatalf("objects are %q", got)
			}
			next := sdktest.StartSink(t, Connectors()[0], config)
			next.Assign(sdk.Offsets{orders: 0})
			next.MustPut(records...)
			if got := next.PreCommit(sdk.Offsets{orders: 40})[orders]; got != 40 || len(keys(t, s, bucket)) != 1 {
				t.Errorf("%d is committed, objects are %q", got, keys(t, s, bucket))
			}
		})
	}
}

func TestRevokedPartitionsAloneAreClosed(t *testing.T) {
	s, bucket := shared(t)
	run := sdktest.StartSink(t, Connectors()[0], sinkConfigOf(s, bucket, map[string]string{"flush.size": "10"}))
	other := sdk.TopicPartition{Topic: "orders", Partition: 1}
	run.Assign(sdk.Offsets{orders: 0, other: 0})
	put := func(partition int32, from, to int64) {
		for _, r := range orderRecords(t, from, to) {
			r.Partition, r.OriginalPartition = partition, partition
			run.MustPut(r)
		}
	}
	put(0, 0, 5)
	put(1, 0, 5)
	run.Revoke(false, orders)
	put(1, 5, 10)
	if got := run.PreCommit(sdk.Offsets{other: 10}); got[other] != 10 {
		t.Errorf("committed %v, want 10 of the partition that stayed", got)
	}
	run.Assign(sdk.Offsets{orders: 0})
	put(0, 0, 10)
	if got := run.PreCommit(sdk.Offsets{orders: 10, other: 10}); got[orders] != 10 {
		t.Errorf("committed %v, want 10 of the partition that came back", got)
	}
	for _, o := range s.Objects(t, bucket) {
		once(t, idsOf(t, o), 0, 10)
	}
}

// TestCrashes kills tasks at random places, in the middle of objects and
// parts, again and again. In the end each record is stored once.
func TestCrashes(t *testing.T) {
	for _, tt := range []struct {
		name    string
		changes map[string]string
		pad     int
	}{
		{"default, Avro", map[string]string{"format.class": formatPrefix + "avro.AvroFormat", "avro.codec": "deflate"}, 0},
		{"fields, JSON", byWho, 0},
		{"record time", map[string]string{
			"partitioner.class": partitionerPrefix + "TimeBasedPartitioner", "path.format": "'minute'=mm", "locale": "en-US", "timezone": "UTC",
			"partition.duration.ms": "60000", "timestamp.extractor": "RecordField", "timestamp.field": "at", "rotate.interval.ms": "30000",
			"s3.compression.type": "gzip",
		}, 0},
		{"parts", map[string]string{memoryKey: "2097152"}, 60 << 10},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, bucket := shared(t)
			seed := time.Now().UnixNano()
			t.Logf("seed %d", seed)
			random := rand.New(rand.NewPCG(uint64(seed), 0))
			const total = 400
			var records []data.Record
			for i := range int64(total) {
				who := fmt.Sprintf("w%d%s", i%3, strings.Repeat("x", tt.pad))
				records = append(records, sdktest.LogRecord(t, "orders", 0, i, orderSchema, order(t, i, who)))
			}
			committed := int64(0)
			for round := 0; committed < total; round++ {
				f := &faults{}
				run := sdktest.StartSink(t, connectorWith(nil, f), sinkConfigOf(s, bucket, tt.changes))
				run.Assign(sdk.Offsets{orders: committed})
				if round < 6 { // the process can do no more from some request on
					left := random.IntN(8)
					f.set(func(r *http.Request) (int, string) {
						if left--; left < 0 && r.Method != http.MethodHead {
							return 503, "SlowDown"
						}
						return 0, ""
					})
				}
				at := committed
				for at < total {
					n := min(int64(1+random.IntN(60)), total-at)
					took, err := run.Put(records[at : at+n]...)
					at += int64(took)
					if random.IntN(3) == 0 {
						if o, ok := run.PreCommit(sdk.Offsets{orders: at})[orders]; ok {
							committed = max(committed, o)
						}
					}
					if err != nil || round < 6 && random.IntN(6) == 0 {
						break
					}
				}
				if round >= 6 {
					run.PreCommit(sdk.Offsets{orders: total})
					run.Close()
					break
				}
				run.Close()
			}
			once(t, ids(t, s, bucket), 0, stored(t, s, bucket))
			if n := stored(t, s, bucket); n < total-100 {
				t.Errorf("only records up to %d are stored", n)
			}
		})
	}
}

// stored is the number of records that are in objects, which is how far the
// last rotation came.
func stored(t *testing.T, s *s3test.Server, bucket string) int64 {
	t.Helper()
	last := int64(-1)
	for _, id := range ids(t, s, bucket) {
		last = max(last, id)
	}
	return last + 1
}
