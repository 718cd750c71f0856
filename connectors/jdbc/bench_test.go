package jdbc

import (
	"testing"

	"github.com/millrace/millrace/plugins/data"
	"github.com/millrace/millrace/plugins/sdk"
)

// BenchmarkRows turns records into what COPY is given.
func BenchmarkRows(b *testing.B) {
	s := data.NewStructBuilder().
		Field("id", data.Int64Schema).Field("n", data.OptionalInt32Schema).Field("note", data.OptionalStringSchema).
		Field("ok", data.NewBuilder(data.TypeBoolean).Optional().MustBuild()).Field("f", data.NewBuilder(data.TypeFloat64).Optional().MustBuild()).MustBuild()
	v := data.NewStruct(s)
	for name, value := range map[string]any{"id": int64(123456), "n": int32(456), "note": "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", "ok": true, "f": 15432.125} {
		if err := v.Put(name, value); err != nil {
			b.Fatal(err)
		}
	}
	d, err := data.NewDatum(s, v)
	if err != nil {
		b.Fatal(err)
	}
	const rows = 3000
	batch := &data.Batch{Records: make([]data.Record, rows)}
	for i := range batch.Records {
		batch.Records[i] = data.Record{Topic: "t", OriginalTopic: "t", OriginalOffset: int64(i), Value: d}
	}
	cfg := &config{mode: "insert", batch: rows, table: "${topic}", key: "record_value", fields: []string{"id"}, defaults: true, once: true}
	t := &task{cfg: cfg, reader: reader{cfg: cfg, plans: map[planKey]*plan{}}, progress: map[sdk.TopicPartition]*progress{{Topic: "t"}: {}}}
	tb := &table{quoted: `"t"`, columns: map[string]*target{}, fits: map[*plan]*fit{}}
	for _, f := range s.Fields() {
		tb.columns[f.Name] = &target{name: f.Name}
	}
	t.tables = map[string]*table{`"t"`: tb}
	b.ReportAllocs()
	for b.Loop() {
		items, flawed, err := t.read(batch)
		if flawed != nil || err != nil {
			b.Fatal(flawed, err)
		}
		sections, err := t.sections(b.Context(), items)
		if err != nil || len(sections) != 1 {
			b.Fatal(err)
		}
		t.copied = appendLines(t.copied[:0], sections[0].lines)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*rows), "ns/row")
}
