package s3

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy/xerial"
	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go"

	"github.com/millrace/millrace/connectors/s3/s3test"
	"github.com/millrace/millrace/plugins/data"
	"github.com/millrace/millrace/plugins/sdk"
	"github.com/millrace/millrace/plugins/sdktest"
)

// aivenConnector is Aiven's sink with a clock and faults.
func aivenConnector(now func() time.Time, f *faults) sdk.Connector {
	c := Connectors()[2]
	sink := AivenSink{Sink{now: now}}
	if f != nil {
		sink.wrap = f.wrap
	}
	c.Sink = sink
	return c
}

func aivenConfigOf(s *s3test.Server, bucket string, changes map[string]string) map[string]string {
	config := map[string]string{
		"name": "lake", "connector.class": AivenClass, "topics": "orders", "aws.s3.region": s3test.Region, "aws.s3.bucket.name": bucket,
		"aws.s3.endpoint": s.URL, "aws.access.key.id": s3test.AccessKey, "aws.secret.access.key": s3test.Secret,
		"aws.s3.backoff.max.retries": "1", "kafka.retry.backoff.ms": "1",
	}
	maps.Copy(config, changes)
	return config
}

// textRecords are records with text for keys and values.
func textRecords(tb testing.TB, from, to int64) []data.Record {
	tb.Helper()
	var out []data.Record
	for i := from; i < to; i++ {
		r := sdktest.LogRecord(tb, "orders", 0, i, data.StringSchema, fmt.Sprintf("v%d", i))
		key, err := data.NewDatum(data.StringSchema, fmt.Sprintf("k%d", i%3))
		if err != nil {
			tb.Fatal(err)
		}
		r.Key = key
		out = append(out, r)
	}
	return out
}

// plain is an object's content without its compression.
func plain(tb testing.TB, o s3test.Object) string {
	tb.Helper()
	var r io.Reader = bytes.NewReader(o.Content)
	var err error
	switch {
	case strings.HasSuffix(o.Key, ".gz"):
		r, err = gzip.NewReader(r)
	case strings.HasSuffix(o.Key, ".zst"):
		r, err = zstd.NewReader(r)
	case strings.HasSuffix(o.Key, ".snappy"):
		var b []byte
		b, err = xerial.Decode(o.Content)
		r = bytes.NewReader(b)
	}
	if err != nil {
		tb.Fatalf("%s: %v", o.Key, err)
	}
	b, err := io.ReadAll(r)
	if err != nil {
		tb.Fatalf("%s: %v", o.Key, err)
	}
	return string(b)
}

// contents are the objects of a bucket by their names.
func contents(tb testing.TB, s *s3test.Server, bucket string) map[string]string {
	tb.Helper()
	out := make(map[string]string)
	for _, o := range s.Objects(tb, bucket) {
		out[o.Key] = plain(tb, o)
	}
	return out
}

// TestAivenObjects writes five records, of which three are committed first, in
// the forms that Aiven's connector has.
func TestAivenObjects(t *testing.T) {
	for _, tt := range []struct {
		name    string
		changes map[string]string
		want    map[string]string
	}{
		{"defaults", nil, map[string]string{"orders-0-0.gz": "djA=\ndjE=\ndjI=", "orders-0-3.gz": "djM=\ndjQ="}},
		{"most records", map[string]string{"file.max.records": "2", "file.compression.type": "none", "format.output.fields.value.encoding": "none"},
			map[string]string{"orders-0-0": "v0\nv1", "orders-0-2": "v2", "orders-0-3": "v3\nv4"}},
		{"JSON lines", map[string]string{"format.output.type": "jsonl", "format.output.fields": "key,value,offset,timestamp", "file.compression.type": "zstd",
			"file.name.template": "dir/{{topic}}-{{partition:padding=true}}-{{start_offset:padding=true}}.zst"},
			map[string]string{
				"dir/orders-0000000000-00000000000000000000.zst": `{"key":"k0","value":"v0","offset":0,"timestamp":"2023-11-14T22:13:20Z"}` + "\n" +
					`{"key":"k1","value":"v1","offset":1,"timestamp":"2023-11-14T22:13:20.001Z"}` + "\n" + `{"key":"k2","value":"v2","offset":2,"timestamp":"2023-11-14T22:13:20.002Z"}`,
				"dir/orders-0000000000-00000000000000000003.zst": `{"key":"k0","value":"v3","offset":3,"timestamp":"2023-11-14T22:13:20.003Z"}` + "\n" +
					`{"key":"k1","value":"v4","offset":4,"timestamp":"2023-11-14T22:13:20.004Z"}`,
			}},
		{"JSON, old names of keys", map[string]string{"format.output.type": "json", "format.output.envelope": "false", "output_compression": "none", "aws_s3_prefix": "old/{{topic}}/"},
			map[string]string{"old/orders/orders-0-00000000000000000000": "[\n\"v0\",\n\"v1\",\n\"v2\"\n]", "old/orders/orders-0-00000000000000000003": "[\n\"v3\",\n\"v4\"\n]"}},
		{"the latest of each key", map[string]string{"file.name.template": "by/{{key}}", "file.compression.type": "none", "format.output.fields.value.encoding": "none", "file.name.prefix": "p/"},
			map[string]string{"p/by/k0": "v3", "p/by/k1": "v4", "p/by/k2": "v2"}},
		{"files of keys and hours, snappy", map[string]string{"file.name.template": "{{timestamp:unit=HH}}/{{key}}-{{topic}}-{{partition}}-{{start_offset}}.snappy", "file.name.timestamp.source": "event",
			"file.name.timestamp.timezone": "Europe/Berlin", "file.compression.type": "snappy", "format.output.fields": "offset"},
			map[string]string{"23/k0-orders-0-0.snappy": "0", "23/k1-orders-0-1.snappy": "1", "23/k2-orders-0-2.snappy": "2", "23/k0-orders-0-3.snappy": "3", "23/k1-orders-0-4.snappy": "4"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, bucket := shared(t)
			run := sdktest.StartSink(t, aivenConnector(nil, nil), aivenConfigOf(s, bucket, tt.changes))
			run.Assign(sdk.Offsets{orders: 0})
			run.MustPut(textRecords(t, 0, 3)...)
			if got := run.PreCommit(sdk.Offsets{orders: 3}); got[orders] != 3 {
				t.Errorf("committed %v of 3", got)
			}
			run.MustPut(textRecords(t, 3, 5)...)
			if got := run.PreCommit(sdk.Offsets{orders: 5}); got[orders] != 5 {
				t.Errorf("committed %v of 5", got)
			}
			if got := contents(t, s, bucket); !maps.Equal(got, tt.want) {
				t.Errorf("objects are %q, want %q", got, tt.want)
			}
		})
	}
}

// TestAivenColumns writes structs as Avro and Parquet, with a schema that
// changes.
func TestAivenColumns(t *testing.T) {
	newer := data.NewStructBuilder().Name("Order").Field("id", data.Int64Schema).Field("more", data.OptionalStringSchema).MustBuild()
	for _, tt := range []struct{ name, typ, envelope, first, second string }{
		{"Parquet", "parquet", "true", "orders-0-0.gz", "orders-0-2.gz"},
		{"Avro", "avro", "true", "orders-0-0.avro.gz", "orders-0-2.avro.gz"},
		{"Avro without envelope", "avro", "false", "orders-0-0.avro.gz", "orders-0-2.avro.gz"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, bucket := shared(t)
			run := sdktest.StartSink(t, aivenConnector(nil, nil), aivenConfigOf(s, bucket, map[string]string{"format.output.type": tt.typ, "format.output.envelope": tt.envelope}))
			run.Assign(sdk.Offsets{orders: 0})
			v := data.NewStruct(newer)
			if err := v.Put("id", int64(2)); err != nil {
				t.Fatal(err)
			}
			run.MustPut(append(orderRecords(t, 0, 2), sdktest.LogRecord(t, "orders", 0, 2, newer, v))...)
			run.PreCommit(sdk.Offsets{orders: 3})
			objects := s.Objects(t, bucket)
			if len(objects) != 2 || objects[0].Key != tt.first || objects[1].Key != tt.second {
				t.Fatalf("objects are %v", keys(t, s, bucket))
			}
			if tt.typ == "parquet" {
				f, err := parquet.OpenFile(bytes.NewReader(objects[0].Content), int64(len(objects[0].Content)))
				if err != nil || f.NumRows() != 2 || f.Root().Column("value").Column("who") == nil {
					t.Errorf("the file has %v, %v", f, err)
				}
				return
			}
			text := plain(t, objects[0])
			if !strings.HasPrefix(text, "Obj\x01") || strings.Contains(text, "connector_records") != (tt.envelope == "true") {
				t.Errorf("the file is %.300q", text)
			}
		})
	}
}

// TestAivenWritesOnce kills a task after its objects were written and before
// their offsets were committed; the next one gets the records again, in other
// pieces.
func TestAivenWritesOnce(t *testing.T) {
	s, bucket := shared(t)
	config := aivenConfigOf(s, bucket, map[string]string{"format.output.type": "jsonl", "format.output.fields": "offset", "format.output.envelope": "false", "file.compression.type": "none"})
	first := sdktest.StartSink(t, aivenConnector(nil, nil), config)
	first.Assign(sdk.Offsets{orders: 0})
	first.MustPut(textRecords(t, 0, 5)...)
	first.PreCommit(sdk.Offsets{orders: 5}) // nobody stores the answer
	first.Close()
	second := sdktest.StartSink(t, aivenConnector(nil, nil), config)
	second.Assign(sdk.Offsets{orders: 0})
	second.MustPut(textRecords(t, 0, 3)...)
	if got := second.PreCommit(sdk.Offsets{orders: 3}); got[orders] > 0 {
		t.Errorf("committed %v with an object that another task has written", got)
	}
	second.MustPut(textRecords(t, 3, 4)...)
	if to, ok := second.Events().Rewind[orders]; !ok || to != 0 {
		t.Fatalf("it asks for records from %d again (%v), want 0", to, ok)
	}
	second.MustPut(textRecords(t, 0, 8)...)
	committed := second.PreCommit(sdk.Offsets{orders: 8})
	want := map[string]string{"orders-0-0": "0\n1\n2\n3\n4", "orders-0-5": "5\n6\n7"}
	if got := contents(t, s, bucket); !maps.Equal(got, want) || committed[orders] != 8 {
		t.Errorf("objects are %q, committed %v, want %q", got, committed, want)
	}
}

// TestAivenTriesAgain lets the store fail for a while: nothing is committed
// before it is stored.
func TestAivenTriesAgain(t *testing.T) {
	s, bucket := shared(t)
	f := &faults{}
	f.set(func(r *http.Request) (int, string) {
		if r.Method == http.MethodPut {
			return 503, "SlowDown"
		}
		return 0, ""
	})
	c := newClock(noon)
	run := sdktest.StartSink(t, aivenConnector(c.now, f), aivenConfigOf(s, bucket, nil))
	run.Assign(sdk.Offsets{orders: 0})
	run.MustPut(textRecords(t, 0, 3)...)
	if got := run.PreCommit(sdk.Offsets{orders: 3}); got[orders] == 3 {
		t.Errorf("committed %v with the store down", got)
	}
	f.set(nil)
	for range 3 {
		c.advance(time.Second)
		run.MustPut()
	}
	if got := run.PreCommit(sdk.Offsets{orders: 3}); got[orders] != 3 {
		t.Errorf("committed %v with the store up again", got)
	}
	if got := contents(t, s, bucket); len(got) != 1 {
		t.Errorf("objects are %q", got)
	}
}

func TestAivenConfigurationsAreRefused(t *testing.T) {
	base := map[string]string{"name": "x", "topics": "t", "aws.s3.bucket.name": "b"}
	for _, tt := range []struct {
		name    string
		changes map[string]string
		want    string // "" is none
	}{
		{"good", nil, ""},
		{"role", map[string]string{"aws.sts.role.arn": "arn:aws:iam::1:role/x", "aws.sts.role.session.name": "s", "aws.sts.role.external.id": "e"}, ""},
		{"half a role", map[string]string{"aws.sts.role.arn": "arn:aws:iam::1:role/x"}, "aws.sts.role.session.name"},
		{"half a key", map[string]string{"aws.access.key.id": "a"}, "aws.secret.access.key"},
		{"provider", map[string]string{"aws.credentials.provider": "com.example.Mine"}, "cannot run here"},
		{"grouper", map[string]string{"file.record.grouper.builder": "com.example.Mine"}, "file.name.template"},
		{"template", map[string]string{"file.name.template": "{{topic}}"}, "the variables must be"},
		{"template and prefix", map[string]string{"file.name.template": aivenTemplate, "aws.s3.prefix": "p"}, "file.name.template"},
		{"keys in large files", map[string]string{"file.name.template": "{{key}}", "file.max.records": "2"}, "file.max.records"},
		{"two fields without envelope", map[string]string{"format.output.fields": "key,value", "format.output.envelope": "false"}, "one field"},
		{"unknown field", map[string]string{"format.output.fields": "topic"}, "is not one of"},
		{"field twice", map[string]string{"format.output.fields": "key,key"}, "twice"},
		{"time of a header", map[string]string{"file.name.timestamp.source": "HEADER:at"}, "file.name.timestamp.source"},
		{"zone", map[string]string{"timestamp.timezone": "Mars"}, "file.name.timestamp.timezone"},
		{"compression", map[string]string{"file.compression.type": "lz4"}, "file.compression.type"},
		{"small parts", map[string]string{"aws.s3.part.size.bytes": "1000"}, "aws.s3.part.size.bytes"},
	} {
		config := maps.Clone(base)
		maps.Copy(config, tt.changes)
		problems := sdktest.Validate(t, Connectors()[2], config)
		text, err := json.Marshal(problems)
		if err != nil {
			t.Fatal(err)
		}
		if tt.want == "" && len(problems) > 0 || !strings.Contains(string(text), tt.want) {
			t.Errorf("%s: problems are %s, want %q", tt.name, text, tt.want)
		}
	}
}
