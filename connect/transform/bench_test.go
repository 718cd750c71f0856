package transform

import (
	"fmt"
	"testing"

	"github.com/millrace/millrace/plugins/data"
)

// orders is a table of twelve columns.
func orders() *data.Schema {
	b := data.NewStructBuilder().Name("srv.public.orders.Value").Optional().Field("id", data.Int64Schema)
	for i := range 4 {
		b.Field(fmt.Sprintf("text%d", i), data.OptionalStringSchema)
	}
	for i := range 3 {
		b.Field(fmt.Sprintf("int%d", i), data.OptionalInt32Schema)
	}
	return b.Field("amount", data.AsOptional(data.DecimalSchema(2))).Field("rate", data.OptionalFloat64Schema).
		Field("at", data.OptionalTimestampSchema).Field("paid", data.BooleanSchema).MustBuild()
}

func order(t testing.TB, s *data.Schema) *data.Struct {
	return structOf(t, s, int64(4711), "Jane", "Doe", "a street somewhere", nil, int32(1), int32(20000), nil,
		data.NewDecimal(123456, 2), 0.5, int64(1700000000000), true)
}

// chains are those measured: their steps and what goes in.
var chains = []struct {
	name  string
	class string
	props map[string]string
	value func(testing.TB) data.Datum
}{
	{"RegexRouter", "RegexRouter", map[string]string{"regex": `(.*)\.public\.(.*)`, "replacement": "$2"}, envelopeOfOrder},
	{"ExtractNewRecordState", "ExtractNewRecordState", nil, envelopeOfOrder},
	{"ExtractNewRecordState with metadata", "ExtractNewRecordState",
		map[string]string{"add.fields": "op,table,source.ts_ms,ts_ms:ev", "delete.tombstone.handling.mode": "rewrite"}, envelopeOfOrder},
	{"ReplaceField", "ReplaceField$Value", map[string]string{"exclude": "text1,amount", "renames": "text0:name"}, rowOfOrder},
	{"MaskField", "MaskField$Value", map[string]string{"fields": "text1,int1"}, rowOfOrder},
	{"InsertField", "InsertField$Value", map[string]string{"static.field": "s", "static.value": "v", "topic.field": "t", "offset.field": "o"}, rowOfOrder},
	{"ExtractField", "ExtractField$Value", map[string]string{"field": "id"}, rowOfOrder},
	{"HoistField", "HoistField$Value", map[string]string{"field": "row"}, rowOfOrder},
	{"ValueToKey", "ValueToKey", map[string]string{"fields": "id"}, rowOfOrder},
}

func envelopeOfOrder(t testing.TB) data.Datum {
	s := orders()
	return changeIn(t, envelopeOf(s), "c", nil, order(t, s))
}

func rowOfOrder(t testing.TB) data.Datum { s := orders(); return datum(t, s, order(t, s)) }

func BenchmarkTransforms(b *testing.B) {
	for _, tt := range chains {
		b.Run(tt.name, func(b *testing.B) {
			c := chainOf(b, tt.class, tt.props)
			rec := data.Record{Topic: "srv.public.orders", Value: tt.value(b)}
			b.ReportAllocs()
			for b.Loop() {
				r := rec
				if keep, err := c.Apply(&r); err != nil || !keep {
					b.Fatal(keep, err)
				}
			}
		})
	}
}

// TestPlansDoNotAllocate holds that the plans from row to row allocate nothing
// per record but the chunks that rows get their memory from.
func TestPlansDoNotAllocate(t *testing.T) {
	for _, tt := range chains {
		c := chainOf(t, tt.class, tt.props)
		rec := data.Record{Topic: "srv.public.orders", Value: tt.value(t)}
		allocs := testing.AllocsPerRun(1000, func() {
			r := rec
			if keep, err := c.Apply(&r); err != nil || !keep {
				t.Fatal(keep, err)
			}
		})
		if allocs >= 1 {
			t.Errorf("%s: %v allocations per record", tt.name, allocs)
		}
	}
}
