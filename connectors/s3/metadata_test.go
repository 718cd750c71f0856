package s3

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/millrace/millrace/plugins/data"
	"github.com/millrace/millrace/plugins/sdktest"
)

// datum is a datum of a test.
func datum(tb testing.TB, s *data.Schema, v any) data.Datum {
	tb.Helper()
	d, err := data.NewDatum(s, v)
	if err != nil {
		tb.Fatal(err)
	}
	return d
}

// allSorts are records with and without keys, values and headers, of which
// values are made by value.
func allSorts(tb testing.TB, n int, value func(i int) data.Datum) []data.Record {
	tb.Helper()
	var out []data.Record
	for i := range n {
		r := sdktest.LogRecord(tb, "orders", 0, int64(i*2), nil, nil) // with gaps, as transactions make
		r.Timestamp = 1_600_000_000_000 + int64(i*i)
		if i%5 != 1 {
			r.Value = value(i)
		}
		if i%3 != 0 {
			r.Key = datum(tb, data.BytesSchema, []byte{0, '\n', byte(i)})
		}
		for h := range i % 4 {
			header := data.Header{Name: fmt.Sprint("h", h%2)} // a name may come twice
			switch h {
			case 0:
				header.Value = datum(tb, data.BytesSchema, []byte{0xff, byte(i)})
			case 1:
				header.Value = datum(tb, data.StringSchema, "text\n")
			}
			r.Headers = append(r.Headers, header)
		}
		out = append(out, r)
	}
	return out
}

// exactText shows all that a restored record must have.
func exactText(tb testing.TB, r data.Record) string {
	tb.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "%d %d %d:%x %d:%x", r.Partition, r.Timestamp, r.Key.State, r.Key.Row, r.Value.State, r.Value.Row)
	for _, h := range r.Headers {
		fmt.Fprintf(&b, " %s=%d:%x", h.Name, h.Value.State, h.Value.Row)
	}
	return b.String()
}

// TestRecordsComeBackAsTheyWere writes records of all sorts with their metadata,
// and reads them back: order, keys, values, headers, timestamps and nulls are
// the same, also when the task is stopped after each of them.
func TestRecordsComeBackAsTheyWere(t *testing.T) {
	for _, tt := range []struct {
		format string
		value  func(i int) data.Datum
	}{
		{"avro.AvroFormat", func(i int) data.Datum { return datum(t, data.BytesSchema, []byte{0, '\n', byte(i), 0xff}) }},
		{"avro.AvroFormat", func(i int) data.Datum { return datum(t, orderSchema, order(t, int64(i), "x")) }},
		{"parquet.ParquetFormat", func(i int) data.Datum { return datum(t, orderSchema, order(t, int64(i), "x")) }},
		{"json.JsonFormat", func(i int) data.Datum {
			return datum(t, nil, map[string]any{"id": int64(i), "list": []any{nil, "a"}})
		}},
		{"bytearray.ByteArrayFormat", func(i int) data.Datum { return datum(t, data.BytesSchema, []byte{'b', byte(i)}) }},
	} {
		t.Run(tt.format, func(t *testing.T) {
			s, bucket := shared(t)
			n := 51 // the last of them ends a file: nulls before values with a schema make files of one record
			if tt.format == "json.JsonFormat" {
				n = 56
			}
			records := allSorts(t, n, tt.value)
			config := back(t, s, bucket, map[string]string{
				"flush.size": "7", "format.class": formatPrefix + tt.format, "store.kafka.keys": "true", metadataKey: "true",
				"behavior.on.null.values": "write", separatorKey: "||",
			}, records)
			offsets := sdktest.Offsets{}
			for i := 0; i < n; {
				run := sdktest.StartSource(t, Connectors()[1], config, offsets)
				got := run.Take(min(5, n-i))
				offsets.Apply(got)
				run.Close()
				for _, r := range got {
					want := records[i]
					want.Partition = want.OriginalPartition
					if exactText(t, r.Record) != exactText(t, want) {
						t.Fatalf("record %d is\n%s, want\n%s", i, exactText(t, r.Record), exactText(t, want))
					}
					i++
				}
			}
		})
	}
}

func TestMetadataNeeds(t *testing.T) {
	s, bucket := shared(t)
	for want, changes := range map[string]map[string]string{
		"store.kafka.keys":     {},
		"store.kafka.headers":  {"store.kafka.keys": "true", "store.kafka.headers": "true"},
		"schema.compatibility": {"store.kafka.keys": "true", "schema.compatibility": "FULL", "behavior.on.null.values": "write"},
	} {
		changes[metadataKey] = "true"
		problems := sdktest.Validate(t, Connectors()[0], sinkConfigOf(s, bucket, changes))
		if !slices.ContainsFunc(problems, func(p string) bool { return strings.Contains(p, metadataKey) && strings.Contains(p, want) }) {
			t.Errorf("%v has the problems %q, want %s", changes, problems, want)
		}
	}
}

// TestMetadataWithoutItsValues is an error that names the object.
func TestMetadataWithoutItsValues(t *testing.T) {
	s, bucket := shared(t)
	config := back(t, s, bucket, map[string]string{"flush.size": "2", "store.kafka.keys": "true", metadataKey: "true"}, orderRecords(t, 0, 2))
	for _, key := range keys(t, s, bucket) {
		if strings.HasSuffix(key, "+0000000000.json") {
			if _, err := s.Client.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: aws.String(bucket), Key: aws.String(key)}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := sdktest.StartSource(t, Connectors()[1], config, nil).Fail(); !strings.Contains(err.Error(), ".meta.avro says that there are values") {
		t.Errorf("it fails with %v", err)
	}
}
