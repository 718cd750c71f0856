package s3

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/millrace/millrace/connectors/s3/s3test"
	"github.com/millrace/millrace/plugins/data"
	"github.com/millrace/millrace/plugins/sdk"
	"github.com/millrace/millrace/plugins/sdktest"
)

// back has the sink write records in a configuration, and returns one for a
// source that reads them.
func back(tb testing.TB, s *s3test.Server, bucket string, changes map[string]string, records []data.Record) map[string]string {
	tb.Helper()
	config := sinkConfigOf(s, bucket, changes)
	run := sdktest.StartSink(tb, Connectors()[0], config)
	ends := make(sdk.Offsets)
	for _, r := range records {
		run.MustPut(r)
		ends[sdk.TopicPartition{Topic: r.OriginalTopic, Partition: r.OriginalPartition}] = r.OriginalOffset + 1
	}
	for tp, got := range run.PreCommit(ends) {
		if got != ends[tp] {
			tb.Fatalf("of %v only %d is written, want %d", tp, got, ends[tp])
		}
	}
	run.Close()
	out := map[string]string{"name": "back", "connector.class": "S3Source", "s3.poll.interval.ms": "10", "record.batch.max.size": "7"}
	for _, k := range []string{
		"s3.region", "s3.bucket.name", "store.url", "aws.access.key.id", "aws.secret.access.key", "format.class", "s3.part.retries", "partitioner.class",
		"partition.field.name", separatorKey, "topics.dir",
	} {
		if v, ok := config[k]; ok {
			out[k] = v
		}
	}
	return out
}

func TestSourceConformance(t *testing.T) {
	s, bucket := shared(t)
	config := back(t, s, bucket, map[string]string{"flush.size": "10", "format.class": formatPrefix + "avro.AvroFormat"}, orderRecords(t, 0, 40))
	sdktest.TestSource(t, sdktest.Source{
		Connector: Connectors()[1],
		Config:    func(testing.TB) map[string]string { return config },
		Records:   40,
		BadConfigs: map[string]map[string]string{
			"generic":  {"s3.bucket.name": bucket, "format.class": "JsonFormat", "mode": "GENERIC"},
			"no group": {"s3.bucket.name": bucket, "format.class": "JsonFormat", "filename.regex": "x"},
		},
	})
}

// TestWhatTheSinkWroteComesBack writes two partitions into directories of a
// field, with keys and headers, and reads them in the order that they had.
func TestWhatTheSinkWroteComesBack(t *testing.T) {
	for _, tt := range []struct{ format, keys, headers string }{
		{"avro.AvroFormat", "avro.AvroFormat", "avro.AvroFormat"}, {"json.JsonFormat", "json.JsonFormat", "json.JsonFormat"},
		{"avro.AvroFormat", "bytearray.ByteArrayFormat", "json.JsonFormat"},
	} {
		t.Run(tt.format+", "+tt.keys, func(t *testing.T) {
			s, bucket := shared(t)
			changes := map[string]string{
				"flush.size": "6", "store.kafka.keys": "true", "store.kafka.headers": "true", "format.class": formatPrefix + tt.format,
				"keys.format.class": formatPrefix + tt.keys, "headers.format.class": formatPrefix + tt.headers,
				"partitioner.class": byWho["partitioner.class"], "partition.field.name": byWho["partition.field.name"],
			}
			if tt.format == "json.JsonFormat" {
				changes["s3.compression.type"] = "gzip"
			}
			header, err := data.NewDatum(data.StringSchema, "seven")
			if err != nil {
				t.Fatal(err)
			}
			var records []data.Record
			for partition := range int32(2) {
				for i, r := range orderRecords(t, 0, 30) {
					r.OriginalPartition, r.Headers = partition, []data.Header{{Name: "h", Value: header}}
					schema, key := data.StringSchema, any(fmt.Sprintf("k%d", i))
					if tt.keys == "bytearray.ByteArrayFormat" {
						schema, key = data.BytesSchema, []byte(key.(string))
					}
					if r.Key, err = data.NewDatum(schema, key); err != nil {
						t.Fatal(err)
					}
					records = append(records, r)
				}
			}
			config := back(t, s, bucket, changes, records)
			run := sdktest.StartSource(t, Connectors()[1], config, nil)
			next := map[int32]map[string]int64{0: {}, 1: {}}
			for _, r := range run.Take(60) {
				value, err := r.Value.Value()
				if err != nil {
					t.Fatal(err)
				}
				id, who := field(value, "id").(int64), field(value, "who").(string)
				key, err := r.Key.Value()
				if err != nil {
					t.Fatal(err)
				}
				if b, ok := key.([]byte); ok {
					key = string(b)
				}
				if r.Topic != "orders" || key != fmt.Sprintf("k%d", id) || len(r.Headers) != 1 || r.Headers[0].Name != "h" || !bytes.Equal(r.Headers[0].Value.Row, header.Row) {
					t.Errorf("record %d came back with topic %s, key %v, headers %v", id, r.Topic, key, r.Headers)
				}
				if last, ok := next[r.Partition][who]; ok && id <= last {
					t.Errorf("in partition %d record %d comes after %d", r.Partition, id, last)
				}
				next[r.Partition][who] = id
			}
			for partition, whos := range next {
				if len(whos) != 3 {
					t.Errorf("partition %d has records of %v", partition, whos)
				}
			}
		})
	}
}

// TestNullsComeBack restores keys of records without a value.
func TestNullsComeBack(t *testing.T) {
	s, bucket := shared(t)
	changes := map[string]string{
		"behavior.on.null.values": "write", "store.kafka.keys": "true", "keys.format.class": formatPrefix + "json.JsonFormat", "flush.size": "2",
	}
	config := back(t, s, bucket, changes, []data.Record{tombstone(t, 0, "a"), withKey(t, orderRecords(t, 1, 2)[0], "b")})
	for i, r := range sdktest.StartSource(t, Connectors()[1], config, nil).Take(2) {
		key, err := r.Key.Value()
		if err != nil || key != string(rune('a'+i)) || r.Value.IsNull() != (i == 0) {
			t.Errorf("record %d: key %v, null %v, %v", i, key, r.Value.IsNull(), err)
		}
	}
}

// TestTasksShareWhatIsThere has each record in one of three tasks.
func TestTasksShareWhatIsThere(t *testing.T) {
	s, bucket := shared(t)
	var records []data.Record
	for partition := range int32(8) {
		for _, r := range orderRecords(t, 0, 5) {
			r.OriginalPartition = partition
			records = append(records, r)
		}
	}
	config := back(t, s, bucket, map[string]string{"flush.size": "5"}, records)
	cfg, problems := Source{}.ConfigDef().Parse(config)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	plans, err := Source{}.Plan(t.Context(), cfg, 3)
	if err != nil || len(plans) != 3 {
		t.Fatalf("%d tasks, %v", len(plans), err)
	}
	owners := make(map[int32]int)
	for _, plan := range plans {
		cfg, problems := Source{}.ConfigDef().Parse(plan)
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		c, problems := newSourceConfig(cfg)
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		for partition := range int32(8) {
			if c.mine(stream{folder: fmt.Sprint(partition), topic: "orders", partition: partition}) {
				owners[partition]++
			}
		}
	}
	for partition := range int32(8) {
		if owners[partition] != 1 {
			t.Errorf("partition %d is read by %d tasks", partition, owners[partition])
		}
	}
}

// cutting breaks the bodies of objects in the middle, a few times.
type cutting struct {
	next  http.RoundTripper
	left  *atomic.Int64
	name  string // in the names of objects
	after int    // bytes
}

type cutBody struct {
	io.ReadCloser
	left int
}

var errCut = errors.New("connection reset by the test")

func (b *cutBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errCut
	}
	n, err := b.ReadCloser.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

func (c cutting) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := c.next.RoundTrip(r)
	if err == nil && r.Method == http.MethodGet && strings.Contains(r.URL.Path, c.name) && c.left.Add(-1) >= 0 {
		resp.Body = &cutBody{resp.Body, c.after}
	}
	return resp, err
}

func TestBrokenDownloadsGoOn(t *testing.T) {
	s, bucket := shared(t)
	config := back(t, s, bucket, map[string]string{"flush.size": "100"}, orderRecords(t, 0, 200))
	left := &atomic.Int64{}
	left.Store(3)
	c := Connectors()[1]
	c.Source = Source{wrap: func(next http.RoundTripper) http.RoundTripper { return cutting{next, left, "orders+", 2000} }}
	var got []int64
	for _, r := range sdktest.StartSource(t, c, config, nil).Take(200) {
		v, err := r.Value.Value()
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, field(v, "id").(int64))
	}
	if !slices.IsSorted(got) {
		t.Errorf("out of order: %v", got)
	}
	once(t, got, 0, 200)
	if left.Load() > 0 {
		t.Errorf("%d downloads were to break and did not", left.Load())
	}
}

func TestObjectsThatCannotBeRead(t *testing.T) {
	for _, behavior := range []string{"fail", "ignore"} {
		t.Run(behavior, func(t *testing.T) {
			s, bucket := shared(t)
			config := back(t, s, bucket, map[string]string{"flush.size": "5"}, orderRecords(t, 0, 10))
			config["behavior.on.error"] = behavior
			key := "topics/orders/partition=0/orders+0+0000000003.json"
			if _, err := s.Client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: strings.NewReader("{\"id\":99}\n{\"id\":")}); err != nil {
				t.Fatal(err)
			}
			run := sdktest.StartSource(t, Connectors()[1], config, nil)
			if behavior == "ignore" {
				if n := len(run.Take(11)); n != 11 {
					t.Errorf("%d records, want 10 and the one before the fault", n)
				}
				return
			}
			run.Take(6)
			if err := run.Fail(); err == nil || !strings.Contains(err.Error(), key) {
				t.Errorf("error is %v, want the object's name in it", err)
			}
		})
	}
}

func TestNamesOfObjects(t *testing.T) {
	cfg, problems := Source{}.ConfigDef().Parse(map[string]string{"s3.bucket.name": "b", "format.class": "JsonFormat"})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	c, problems := newSourceConfig(cfg)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	for _, tt := range []struct{ key, want string }{
		{"topics/o/partition=3/o+3+0000000100.json", "topics/o/partition=3 o+3 o 3 100 1"},
		{"topics/o/year=2026/o+3+12345678901.json.gz", "topics/o/year=2026 o+3 o 3 12345678901 1"},
		{"topics/a+b/p/a+b+7+0000000001.json", "topics/a+b/p a+b+7 a+b 7 1 1"},
		{"topics/o/p/o+3+0000000100.keys.avro", "topics/o/p o+3 o 3 100 2"},
		{"topics/o/p/o+3+0000000100.headers.json.gz", "topics/o/p o+3 o 3 100 3"},
		{"topics/o/p/o+3+0000000100.avro", "no part"},
		{"topics/o/p/readme.json", "error"},
		{"topics/o/p/o+99999999999+1.json", "error"},
	} {
		s, offset, _, which, err := c.parse(tt.key)
		got := fmt.Sprint(s.folder, " ", s.file, " ", s.topic, " ", s.partition, " ", offset, " ", int(which))
		switch {
		case which == noPart:
			got = "no part"
		case err != nil:
			got = "error"
		}
		if got != tt.want {
			t.Errorf("%s: %s, want %s (%v)", tt.key, got, tt.want, err)
		}
	}
}
