package transform

import (
	"bytes"
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/millrace/millrace/plugins/data"
)

// anySchema draws a schema down to a depth.
func anySchema(t *rapid.T, depth int, names *int) *data.Schema {
	types := []data.Type{data.TypeStruct, data.TypeMap, data.TypeArray, data.TypeString, data.TypeBytes, data.TypeInt32,
		data.TypeInt64, data.TypeInt8, data.TypeInt16, data.TypeFloat32, data.TypeFloat64, data.TypeBoolean}
	if depth == 0 {
		types = types[3:]
	}
	typ := rapid.SampledFrom(types).Draw(t, "type")
	var b *data.Builder
	switch typ {
	case data.TypeArray:
		b = data.ArrayOf(anySchema(t, depth-1, names))
	case data.TypeMap:
		key := rapid.SampledFrom([]*data.Schema{data.StringSchema, data.Int32Schema, data.OptionalStringSchema}).Draw(t, "key")
		b = data.MapOf(key, anySchema(t, depth-1, names))
	case data.TypeStruct:
		*names++
		b = data.NewStructBuilder().Name(fmt.Sprintf("test.S%d", *names))
		for i := range rapid.IntRange(0, 4).Draw(t, "fields") {
			b.Field(fmt.Sprintf("f%d", i), anySchema(t, depth-1, names))
		}
	case data.TypeBytes:
		b = rapid.SampledFrom([]func() *data.Builder{
			func() *data.Builder { return data.NewBuilder(data.TypeBytes) },
			func() *data.Builder { return data.DecimalBuilder(3) },
		}).Draw(t, "bytes")()
	case data.TypeInt32:
		b = rapid.SampledFrom([]func() *data.Builder{
			func() *data.Builder { return data.NewBuilder(data.TypeInt32) }, data.DateBuilder, data.TimeBuilder,
		}).Draw(t, "int32")()
	default:
		b = data.NewBuilder(typ)
	}
	if rapid.Bool().Draw(t, "optional") {
		b.Optional()
	}
	s := b.MustBuild()
	if typ > data.TypeBytes || rapid.IntRange(0, 2).Draw(t, "default") > 0 {
		return s
	}
	b = data.CopyBasics(s).Default(anyPresent(t, s))
	if s.Optional() {
		b = data.CopyBasics(s).Optional().Default(anyPresent(t, s))
	}
	return b.MustBuild()
}

func anyValue(t *rapid.T, s *data.Schema) any {
	if s.Optional() && rapid.IntRange(0, 2).Draw(t, "null") == 0 {
		return nil
	}
	return anyPresent(t, s)
}

func anyPresent(t *rapid.T, s *data.Schema) any {
	switch s.Type() {
	case data.TypeInt8:
		return rapid.Int8().Draw(t, "v")
	case data.TypeInt16:
		return rapid.Int16().Draw(t, "v")
	case data.TypeInt32:
		return rapid.Int32Range(0, 86400000).Draw(t, "v")
	case data.TypeInt64:
		return rapid.Int64().Draw(t, "v")
	case data.TypeFloat32:
		return rapid.Float32().Draw(t, "v")
	case data.TypeFloat64:
		return rapid.Float64().Draw(t, "v")
	case data.TypeBoolean:
		return rapid.Bool().Draw(t, "v")
	case data.TypeString:
		return rapid.StringN(0, 6, 20).Draw(t, "v")
	case data.TypeBytes:
		if scale, ok := s.Scale(); ok {
			return data.NewDecimal(rapid.Int64().Draw(t, "v"), scale)
		}
		return append([]byte{}, rapid.SliceOfN(rapid.Byte(), 0, 6).Draw(t, "v")...)
	case data.TypeArray:
		out := []any{}
		for range rapid.IntRange(0, 3).Draw(t, "elements") {
			out = append(out, anyValue(t, s.ValueSchema()))
		}
		return out
	case data.TypeMap:
		out := data.Map{}
		for range rapid.IntRange(0, 3).Draw(t, "entries") {
			k := anyValue(t, s.KeySchema())
			if _, twice := out.Get(k); !twice {
				out = append(out, data.Entry{Key: k, Value: anyValue(t, s.ValueSchema())})
			}
		}
		return out
	}
	out := data.NewStruct(s)
	for i, f := range s.Fields() {
		if v := anyValue(t, f.Schema); v != nil {
			if err := out.PutAt(i, v); err != nil {
				t.Fatal(err)
			}
		}
	}
	return out
}

// twice runs a transform on a row and on the same value decoded, as an earlier
// step would leave it, and compares what comes out.
func twice(t *rapid.T, tr func() Transform, d data.Datum) {
	run := func(decode bool) (data.Datum, data.Datum, bool, error) {
		var r Record
		rec := data.Record{Topic: "t", Partition: 1, Offset: 5, Timestamp: 7, Value: d}
		r.reset(&rec)
		if decode {
			v, err := r.value.get()
			if err != nil {
				t.Fatal(err)
			}
			r.set(&r.value, d.Schema, v)
		}
		keep, err := tr().Apply(&r)
		if err == nil {
			_, err = r.store(&rec)
		}
		return rec.Key, rec.Value, keep, err
	}
	k1, v1, keep1, err1 := run(false)
	k2, v2, keep2, err2 := run(true)
	if keep1 != keep2 || (err1 == nil) != (err2 == nil) {
		t.Fatalf("row to row: %v, %v; decoded: %v, %v", keep1, err1, keep2, err2)
	}
	if err1 != nil {
		return
	}
	for _, pair := range [][2]data.Datum{{k1, k2}, {v1, v2}} {
		a, b := pair[0], pair[1]
		if !a.Schema.Equal(b.Schema) || a.State != b.State || a.NullDefault != b.NullDefault || !bytes.Equal(a.Row, b.Row) {
			t.Fatalf("row to row: %v %v %x; decoded: %v %v %x", a.State, a.NullDefault, a.Row, b.State, b.NullDefault, b.Row)
		}
		if a.State == data.Present && a.Schema != nil {
			if err := data.Check(a.Schema, a.Row); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func transformOf(t *rapid.T, class string, props map[string]string) func() Transform {
	c, ok := Lookup(class)
	if !ok {
		t.Fatalf("no class %s", class)
	}
	return func() Transform {
		config, problems := c.Def.Parse(props)
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		out, err := c.make(settings{options().withDefaults(), c.Side}, config)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
}

// What the plans make from row to row is what the decoded way makes.
func TestPlansAgreeWithStructs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := 0
		b := data.NewStructBuilder().Name("test.Root")
		for i := range rapid.IntRange(1, 6).Draw(t, "fields") {
			b.Field(fmt.Sprintf("f%d", i), anySchema(t, 2, &names))
		}
		if rapid.Bool().Draw(t, "optional") {
			b.Optional()
		}
		s := b.MustBuild()
		d, err := data.NewDatum(s, anyPresent(t, s))
		if err != nil {
			t.Fatal(err)
		}
		nulls := rapid.SampledFrom([]string{"true", "false"}).Draw(t, "replace.null.with.default")
		step := rapid.SampledFrom([]struct {
			class string
			props map[string]string
		}{
			{"ReplaceField$Value", map[string]string{"exclude": "f1,f3", "renames": "f0:g0,f2:f1"}},
			{"ReplaceField$Value", map[string]string{"include": "f0,f4,f5"}},
			{"MaskField$Value", map[string]string{"fields": "f0,f2"}},
			{"MaskField$Value", map[string]string{"fields": "f1", "replacement": "12"}},
			{"InsertField$Value", map[string]string{"topic.field": "t", "partition.field": "p!", "offset.field": "o", "timestamp.field": "ts", "static.field": "s", "static.value": "x"}},
			{"ExtractField$Value", map[string]string{"field": "f0"}},
			{"ExtractField$Value", map[string]string{"field": "f0.f1", "field.syntax.version": "V2"}},
			{"HoistField$Value", map[string]string{"field": "h"}},
			{"ValueToKey", map[string]string{"fields": "f1,f0"}},
			{"SetSchemaMetadata$Value", map[string]string{"schema.name": "n"}},
		}).Draw(t, "step")
		props := map[string]string{"replace.null.with.default": nulls}
		for k, v := range step.props {
			props[k] = v
		}
		twice(t, transformOf(t, step.class, props), d)
	})
}

func TestUnwrapPlansAgreeWithStructs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := 0
		row := data.NewStructBuilder().Name("test.Value").Optional()
		for i := range rapid.IntRange(1, 5).Draw(t, "columns") {
			row.Field(fmt.Sprintf("f%d", i), anySchema(t, 1, &names))
		}
		rowSchema := row.MustBuild()
		source := data.NewStructBuilder().Name("test.Source")
		if rapid.Bool().Draw(t, "optional source") {
			source.Optional()
		}
		for i := range rapid.IntRange(1, 5).Draw(t, "fields") {
			source.Field(fmt.Sprintf("s%d", i), anySchema(t, 1, &names))
		}
		parts := []data.Field{{Name: "before", Schema: rowSchema}, {Name: "after", Schema: rowSchema}, {Name: "source", Schema: source.MustBuild()},
			{Name: "op", Schema: data.StringSchema}, {Name: "ts_ms", Schema: data.OptionalInt64Schema}}
		b := data.NewStructBuilder().Name("test.Envelope")
		for _, f := range rapid.Permutation(parts).Draw(t, "order") {
			b.Field(f.Name, f.Schema)
		}
		env := b.MustBuild()
		d, err := data.NewDatum(env, anyPresent(t, env))
		if err != nil {
			t.Fatal(err)
		}
		props := map[string]string{
			"add.fields": rapid.SampledFrom([]string{"", "op", "s0,op,s2:x,ts_ms", "s3,source.s1,op", "op,op:again", "source:all"}).Draw(t, "add.fields"),
			"delete.tombstone.handling.mode": rapid.SampledFrom([]string{deleteDrop, deleteTombstone, deleteRewrite,
				deleteRewriteTombstone, deleteToTombstone}).Draw(t, "mode"),
			"replace.null.with.default": rapid.SampledFrom([]string{"true", "false"}).Draw(t, "replace.null.with.default"),
		}
		twice(t, transformOf(t, "ExtractNewRecordState", props), d)
	})
}
