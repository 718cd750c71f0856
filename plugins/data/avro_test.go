package data

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/hamba/avro/v2"
	"pgregory.net/rapid"
)

// The texts are what Confluent's AvroConverter registers for these schemas.
func TestAvroText(t *testing.T) {
	value := NewStructBuilder().Name("s.t.Value").Optional().Field("id", Int32Schema).MustBuild()
	for _, tt := range []struct {
		name string
		s    *Schema
		o    AvroOptions
		want string
	}{
		{"plain", Int32Schema, AvroOptions{}, `"int"`},
		{"int8", Int8Schema, AvroOptions{}, `{"type":"int","connect.type":"int8"}`},
		{"int16 without metadata", Int16Schema, AvroOptions{NoConnectMeta: true}, `"int"`},
		{"optional", OptionalStringSchema, AvroOptions{}, `["null","string"]`},
		{"decimal", DecimalBuilder(2).Param(PrecisionParam, "10").MustBuild(), AvroOptions{},
			`{"type":"bytes","scale":2,"precision":10,"connect.version":1,"connect.parameters":{"scale":"2","connect.decimal.precision":"10"},"connect.name":"org.apache.kafka.connect.data.Decimal","logicalType":"decimal"}`},
		{"decimal of default precision", DecimalSchema(0), AvroOptions{NoConnectMeta: true},
			`{"type":"bytes","scale":0,"precision":64,"logicalType":"decimal"}`},
		{"date", DateSchema, AvroOptions{},
			`{"type":"int","connect.version":1,"connect.name":"org.apache.kafka.connect.data.Date","logicalType":"date"}`},
		{"time and timestamp", ArrayOf(AsOptional(TimestampSchema)).MustBuild(), AvroOptions{NoConnectMeta: true},
			`{"type":"array","items":["null",{"type":"long","logicalType":"timestamp-millis"}]}`},
		{"debezium", NewBuilder(TypeInt64).Name("io.debezium.time.MicroTimestamp").Version(1).MustBuild(), AvroOptions{},
			`{"type":"long","connect.version":1,"connect.name":"io.debezium.time.MicroTimestamp"}`},
		{"default flips the union", NewStructBuilder().Field("qty", withDefault).MustBuild(), AvroOptions{},
			`{"type":"record","name":"ConnectDefault","namespace":"io.confluent.connect.avro","fields":[{"name":"qty","type":[{"type":"int","connect.default":0},"null"],"default":0}]}`},
		{"second use is a name", NewStructBuilder().Name("s.t.Envelope").
			Field("before", value).Field("after", value).MustBuild(), AvroOptions{},
			`{"type":"record","name":"Envelope","namespace":"s.t","fields":[{"name":"before","type":["null",{"type":"record","name":"Value","fields":[{"name":"id","type":"int"}],"connect.name":"s.t.Value"}],"default":null},{"name":"after","type":["null","Value"],"default":null}],"connect.name":"s.t.Envelope"}`},
		{"other namespace within", NewStructBuilder().Name("a.A").
			Field("x", NewStructBuilder().Name("b.B").MustBuild()).
			Field("y", NewStructBuilder().Name("b.B").MustBuild()).
			Field("z", NewStructBuilder().Name("C").MustBuild()).MustBuild(), AvroOptions{NoConnectMeta: true},
			`{"type":"record","name":"A","namespace":"a","fields":[{"name":"x","type":{"type":"record","name":"B","namespace":"b","fields":[]}},{"name":"y","type":"b.B"},{"name":"z","type":{"type":"record","name":"C","namespace":"","fields":[]}}]}`},
		{"nameless structs", ArrayOf(NewStructBuilder().Field("a", NewStructBuilder().Field("b", Int32Schema).MustBuild()).MustBuild()).MustBuild(), AvroOptions{},
			`{"type":"array","items":{"type":"record","name":"ConnectDefault","namespace":"io.confluent.connect.avro","fields":[{"name":"a","type":{"type":"record","name":"ConnectDefault2","fields":[{"name":"b","type":"int"}]}}]}}`},
		{"map", MapOf(StringSchema, OptionalInt64Schema).MustBuild(), AvroOptions{}, `{"type":"map","values":["null","long"]}`},
		{"map of odd keys", MapOf(Int32Schema, StringSchema).MustBuild(), AvroOptions{},
			`{"type":"array","items":{"type":"record","name":"MapEntry","namespace":"io.confluent.connect.avro","fields":[{"name":"key","type":"int"},{"name":"value","type":"string"}]}}`},
		{"named map of odd keys", MapOf(OptionalStringSchema, StringSchema).Name("x.M").MustBuild(), AvroOptions{},
			`{"type":"array","items":{"type":"record","name":"M","namespace":"x","fields":[{"name":"key","type":["null","string"],"default":null},{"name":"value","type":"string"}],"connect.internal.type":"MapEntry"},"connect.name":"x.M"}`},
		{"optional keys allowed", MapOf(OptionalStringSchema, StringSchema).MustBuild(), AvroOptions{AllowOptionalMapKeys: true},
			`{"type":"map","values":"string"}`},
		{"fixed", NewBuilder(TypeBytes).Name("a.F").Param(FixedSizeParam, "4").MustBuild(), AvroOptions{},
			`{"type":"fixed","name":"F","namespace":"a","size":4,"connect.parameters":{"connect.fixed.size":"4"},"connect.name":"a.F"}`},
		{"union", NewStructBuilder().Name(UnionName).Optional().Field("int", OptionalInt32Schema).Field("string", OptionalStringSchema).MustBuild(),
			AvroOptions{}, `["null","int","string"]`},
		{"enum as string", enumSchema, AvroOptions{NoConnectMeta: true}, `"string"`},
		{"enum", enumSchema, AvroOptions{NoConnectMeta: true, Enhanced: true},
			`{"type":"enum","name":"Suit","namespace":"a","symbols":["SPADES","HEARTS"]}`},
		{"docs", NewStructBuilder().Name("R").Param(recordDocParam, "about R").Param(fieldDocPrefix+"a", "about a").
			Field("a", Int32Schema).MustBuild(), AvroOptions{NoConnectMeta: true},
			`{"type":"record","name":"R","doc":"about R","fields":[{"name":"a","type":"int","doc":"about a"}]}`},
		{"bytes default", NewStructBuilder().Name("R").
			Field("b", NewBuilder(TypeBytes).Default([]byte{0, 'a', 0xff}).MustBuild()).MustBuild(), AvroOptions{NoConnectMeta: true},
			`{"type":"record","name":"R","fields":[{"name":"b","type":"bytes","default":"\u0000aÿ"}]}`},
		{"scrubbed", NewStructBuilder().Name("my-db.t-1.Value").Field("a-b", Int32Schema).Field("1a", Int32Schema).
			Field("é", Int32Schema).MustBuild(), AvroOptions{ScrubInvalidNames: true},
			`{"type":"record","name":"Value","namespace":"my_db.t_1","fields":[{"name":"a_b","type":"int"},{"name":"x1a","type":"int"},{"name":"_C3_A9","type":"int"}],"connect.name":"my-db.t-1.Value"}`},
		{"avro parameters", NewBuilder(TypeString).Param("avro.java.string", "String").MustBuild(), AvroOptions{NoConnectMeta: true},
			`{"type":"string","avro.java.string":"String"}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := AvroSchema(tt.s, tt.o)
			if err != nil {
				t.Fatal(err)
			}
			if got != tt.want {
				t.Fatalf("text is\n%s\nwant\n%s", got, tt.want)
			}
			n, err := ParseAvroNode(got)
			if err != nil {
				t.Fatal(err)
			}
			if again, err := n.Text(); err != nil || again != got {
				t.Errorf("parsed and printed again it is\n%s, %v", again, err)
			}
		})
	}
}

var enumSchema = NewBuilder(TypeString).Name("a.Suit").Param(enumParam, "a.Suit").
	Param(enumParam+".SPADES", "SPADES").Param(enumParam+".HEARTS", "HEARTS").MustBuild()

func TestAvroTextErrors(t *testing.T) {
	one := NewStructBuilder().Name("X").Field("a", Int32Schema).MustBuild()
	two := NewStructBuilder().Name("X").Field("b", Int32Schema).MustBuild()
	for _, tt := range []struct {
		name string
		s    *Schema
		want string
	}{
		{"redefined", NewStructBuilder().Field("p", one).Field("q", two).MustBuild(), "two different types are named X"},
		{"bad field name", NewStructBuilder().Field("a-b", Int32Schema).MustBuild(), "scrub.invalid.names"},
		{"bad name", NewStructBuilder().Name("my db.T").MustBuild(), `"my db" is not a valid Avro name`},
		{"union of one type twice", NewStructBuilder().Name(UnionName).Field("a", OptionalStringSchema).
			Field("b", OptionalStringSchema).MustBuild(), "a union holds string twice"},
	} {
		if _, err := AvroSchema(tt.s, AvroOptions{}); !errors.Is(err, ErrSchema) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error is %v, want %q in it", tt.name, err, tt.want)
		}
	}
}

func TestParseAvro(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		o          AvroOptions
		want       *Schema
	}{
		{"enum", `{"type":"enum","name":"Suit","namespace":"a","symbols":["SPADES","HEARTS"]}`, AvroOptions{}, enumSchema},
		{"optional either way", `["int","null"]`, AvroOptions{}, OptionalInt32Schema},
		{"singleton union", `["int"]`, AvroOptions{}, Int32Schema},
		{"unknown logical type", `{"type":"long","logicalType":"timestamp-micros"}`, AvroOptions{}, Int64Schema},
		{"timestamp", `{"type":"long","logicalType":"timestamp-millis"}`, AvroOptions{}, TimestampSchema},
		{"decimal", `{"type":"bytes","logicalType":"decimal","precision":9}`, AvroOptions{},
			DecimalBuilder(0).Param(PrecisionParam, "9").MustBuild()},
		{"fixed", `{"type":"fixed","name":"F","size":4}`, AvroOptions{},
			NewBuilder(TypeBytes).Param(FixedSizeParam, "4").Name("F").MustBuild()},
		{"version of the subject", `{"type":"string"}`, AvroOptions{Version: 3, VersionKnown: true},
			NewBuilder(TypeString).Version(3).MustBuild()},
		{"own version wins", `{"type":"string","connect.version":7}`, AvroOptions{Version: 3, VersionKnown: true},
			NewBuilder(TypeString).Version(7).MustBuild()},
		{"field default", `{"type":"record","name":"R","fields":[{"name":"a","type":"int","default":5}]}`, AvroOptions{},
			NewStructBuilder().Name("R").Field("a", NewBuilder(TypeInt32).Param(fieldDefaultFlag, "true").Default(int32(5)).MustBuild()).MustBuild()},
		{"field default of a union is lost", `{"type":"record","name":"R","fields":[{"name":"a","type":["int","null"],"default":5}]}`, AvroOptions{},
			NewStructBuilder().Name("R").Field("a", OptionalInt32Schema).MustBuild()},
		{"bad default is dropped", `{"type":"int","connect.default":"x"}`, AvroOptions{}, Int32Schema},
		{"docs", `{"type":"record","name":"R","doc":"d","fields":[{"name":"a","type":"int","doc":"e"}]}`, AvroOptions{},
			NewStructBuilder().Name("R").Param(recordDocParam, "d").Param(fieldDocPrefix+"a", "e").Field("a", Int32Schema).MustBuild()},
		{"union", `["string",{"type":"record","name":"n.R","fields":[]}]`, AvroOptions{},
			NewStructBuilder().Name(UnionName).Field("string", OptionalStringSchema).
				Field("R", NewStructBuilder().Name("n.R").Optional().MustBuild()).MustBuild()},
		{"union by full name", `["string",{"type":"record","name":"n.R","fields":[]}]`, AvroOptions{Enhanced: true},
			NewStructBuilder().Name(UnionName).Field("string", OptionalStringSchema).
				Field("n.R", NewStructBuilder().Name("n.R").Optional().MustBuild()).MustBuild()},
		{"nameless", `{"type":"record","name":"ConnectDefault2","namespace":"io.confluent.connect.avro","fields":[]}`, AvroOptions{},
			NewStructBuilder().MustBuild()},
		{"nested type object", `{"type":{"type":"string"}}`, AvroOptions{}, StringSchema},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseAvro(tt.text, tt.o)
			if err != nil {
				t.Fatal(err)
			}
			if !got.Equal(tt.want) {
				t.Errorf("schema is %s, want %s", AppendJSONSchema(nil, got, JSONOptions{}), AppendJSONSchema(nil, tt.want, JSONOptions{}))
			}
		})
	}
	for name, text := range map[string]string{
		"recursive":      `{"type":"record","name":"R","fields":[{"name":"r","type":["null","R"]}]}`,
		"null":           `"null"`,
		"unknown":        `"no.Such"`,
		"twice":          `[{"type":"fixed","name":"F","size":1},{"type":"record","name":"F","fields":[]}]`,
		"union in union": `["int",["string"]]`,
		"two names":      `[{"type":"fixed","name":"a.F","size":1},{"type":"fixed","name":"b.F","size":2}]`,
		"version":        `{"type":"int","logicalType":"date","connect.version":2}`,
		"name":           `{"type":"int","logicalType":"date","connect.name":"x"}`,
		"parameters":     `{"type":"int","connect.parameters":{"a":1}}`,
		"huge fixed":     `{"type":"fixed","name":"F","size":2000000000}`,
		"not JSON":       `{"type":`,
		"deep":           strings.Repeat(`{"type":"array","items":`, 400) + `"int"` + strings.Repeat(`}`, 400),
		"explosive":      explosive(40),
	} {
		if _, err := ParseAvro(text, AvroOptions{}); !errors.Is(err, ErrSchema) {
			t.Errorf("%s: error is %v", name, err)
		}
	}
}

// explosive is a small text of records that each hold the one before twice.
func explosive(n int) string {
	text := `{"type":"record","name":"R0","fields":[]}`
	for i := 1; i <= n; i++ {
		text = fmt.Sprintf(`{"type":"record","name":"R%d","fields":[{"name":"a","type":%s},{"name":"b","type":"R%d"}]}`, i, text, i-1)
	}
	return text
}

func TestAvroRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, v := anyTree(t)
		text, err := AvroSchema(s, AvroOptions{})
		if err != nil {
			t.Fatal(err)
		}
		back, err := ParseAvro(text, AvroOptions{})
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if !back.Equal(s) {
			t.Fatalf("%s\ncame back as %s\nwant %s", text, AppendJSONSchema(nil, back, JSONOptions{}), AppendJSONSchema(nil, s, JSONOptions{}))
		}
		n, err := ParseAvroNode(text)
		if err != nil {
			t.Fatal(err)
		}
		form, err := AvroForm(s, AvroOptions{NoConnectMeta: true})
		if err != nil || !SameWire(n, form) {
			t.Fatalf("metadata changes the wire form of %s: %v", text, err)
		}
		row, _, err := Encode(nil, s, v)
		if err != nil {
			t.Fatal(err)
		}
		checkAgainstHamba(t, text, row, s, v)
	})
}

// checkAgainstHamba decodes a row with another implementation of Avro and
// compares what it finds.
func checkAgainstHamba(t *rapid.T, text string, row []byte, s *Schema, v any) {
	schema, err := avro.ParseWithCache(text, "", &avro.SchemaCache{})
	if err != nil {
		t.Fatalf("hamba refuses %s: %v", text, err)
	}
	var got any
	if err := avro.Unmarshal(schema, row, &got); err != nil {
		t.Fatalf("hamba on %x of %s: %v", row, text, err)
	}
	if !sameAsHamba(s, v, got) {
		t.Fatalf("hamba reads %x of %s as %v, want %s", row, text, got, Text(v))
	}
}

func sameAsHamba(s *Schema, v, got any) bool {
	if m, ok := got.(map[string]any); ok && s.optional && len(m) == 1 {
		for k, x := range m { // hamba's form of a union's value
			if i := strings.LastIndexByte(k, '.'); i >= 0 || s.typ != TypeStruct && s.typ != TypeMap || k == "map" || k == "array" {
				got = x
			}
		}
	}
	if v == nil || got == nil {
		return v == nil && got == nil
	}
	switch v := v.(type) {
	case int8:
		return got == int(v)
	case int16:
		return got == int(v)
	case int32:
		switch g := got.(type) {
		case time.Time:
			return g.Equal(time.Unix(int64(v)*86400, 0))
		case time.Duration:
			return g == time.Duration(v)*time.Millisecond
		default:
			return got == int(v)
		}
	case int64:
		return got == v
	case float32:
		return EqualValues(got, v)
	case float64:
		return EqualValues(got, v)
	case []byte:
		return EqualValues(got, v)
	case Decimal:
		r, ok := got.(*big.Rat)
		if !ok {
			return false
		}
		want := new(big.Rat).SetFrac(v.Unscaled, new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(v.Scale)), nil))
		return r.Cmp(want) == 0
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(v) {
			return false
		}
		for i := range v {
			if !sameAsHamba(s.value, v[i], g[i]) {
				return false
			}
		}
		return true
	case Map:
		return sameMapAsHamba(s, v, got)
	case *Struct:
		g, ok := got.(map[string]any)
		if !ok || len(g) != len(v.values) {
			return false
		}
		for i, f := range s.fields {
			if !sameAsHamba(f.Schema, v.values[i], g[f.Name]) {
				return false
			}
		}
		return true
	default:
		return got == v
	}
}

func sameMapAsHamba(s *Schema, v Map, got any) bool {
	if g, ok := got.(map[string]any); ok {
		if len(g) != len(v) {
			return false
		}
		for _, e := range v {
			if x, ok := g[e.Key.(string)]; !ok || !sameAsHamba(s.value, e.Value, x) {
				return false
			}
		}
		return true
	}
	g, ok := got.([]any)
	if !ok || len(g) != len(v) {
		return false
	}
	for _, x := range g {
		entry := x.(map[string]any)
		found := false
		for _, e := range v {
			found = found || sameAsHamba(s.key, e.Key, entry["key"]) && sameAsHamba(s.value, e.Value, entry["value"])
		}
		if !found {
			return false
		}
	}
	return true
}

func TestSameWire(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{`"int"`, `{"type":"int","logicalType":"date","connect.name":"x"}`, true},
		{`["null","int"]`, `["int","null"]`, false},
		{`"string"`, `"bytes"`, false},
		{`"int"`, `"long"`, false},
		{`{"type":"enum","name":"E","symbols":["A","B"]}`, `{"type":"enum","name":"F","symbols":["A","B"]}`, true},
		{`{"type":"enum","name":"E","symbols":["A","B"]}`, `{"type":"enum","name":"E","symbols":["B","A"]}`, false},
		{`{"type":"fixed","name":"E","size":2}`, `{"type":"fixed","name":"E","size":3}`, false},
		{`{"type":"record","name":"R","fields":[{"name":"a","type":"int","default":1}]}`,
			`{"type":"record","name":"S","doc":"x","fields":[{"name":"b","type":"int"}]}`, true},
		{`{"type":"record","name":"R","fields":[{"name":"a","type":"int"}]}`,
			`{"type":"record","name":"R","fields":[]}`, false},
		{`{"type":"map","values":"int"}`, `{"type":"array","items":"int"}`, false},
	} {
		a, err := ParseAvroNode(tt.a)
		if err != nil {
			t.Fatal(err)
		}
		b, err := ParseAvroNode(tt.b)
		if err != nil {
			t.Fatal(err)
		}
		if got := SameWire(a, b); got != tt.want || SameWire(b, a) != tt.want {
			t.Errorf("%s and %s: %v, want %v", tt.a, tt.b, got, tt.want)
		}
	}
}

// With discard.type.doc.default only the texts and defaults of fields are kept.
func TestDiscardTypeDocDefault(t *testing.T) {
	o := AvroOptions{DiscardTypeDocDefault: true}
	s := NewStructBuilder().Name("R").Param(connectRecordDoc, "about R").
		Field("a", NewBuilder(TypeInt32).Doc("about a").Default(int32(5)).MustBuild()).MustBuild()
	text, err := AvroSchema(s, o)
	want := `{"type":"record","name":"R","doc":"about R","fields":[{"name":"a","type":{"type":"int","connect.doc":"about a","connect.default":5},"doc":"about a","default":5}],` +
		`"connect.parameters":{"connect.record.doc":"about R"},"connect.name":"R"}`
	if err != nil || text != want {
		t.Fatalf("text is\n%s, %v, want\n%s", text, err, want)
	}
	back, err := ParseAvro(text, o)
	if err != nil {
		t.Fatal(err)
	}
	f, _ := back.Field("a")
	doc, _ := f.Schema.Doc()
	if def, ok := f.Schema.Default(); doc != "about a" || !ok || def != int32(5) || len(f.Schema.Params()) != 0 {
		t.Errorf("the field came back with doc %q, default %v, parameters %v", doc, def, f.Schema.Params())
	}
}

// A named type prints once; what its later fields add to it stands at the
// field and must come back.
func TestFieldParameters(t *testing.T) {
	point := func(unit string) *Schema {
		return NewStructBuilder().Name("P").Param("unit", unit).Field("x", Int32Schema).MustBuild()
	}
	s := NewStructBuilder().Name("R").Field("a", point("m")).Field("b", point("m")).MustBuild()
	text, err := AvroSchema(s, AvroOptions{})
	if err != nil || !strings.Contains(text, `{"name":"b","type":"P","connect.parameters":{"unit":"m"}}`) {
		t.Fatalf("text is %s, %v", text, err)
	}
	back, err := ParseAvro(strings.Replace(text, `"P","connect.parameters":{"unit":"m"}`, `"P","connect.parameters":{"unit":"km"}`, 1), AvroOptions{})
	if err != nil {
		t.Fatal(err)
	}
	want := NewStructBuilder().Name("R").Field("a", point("m")).Field("b", point("km")).MustBuild()
	if !back.Equal(want) {
		t.Errorf("schema is %s", AppendJSONSchema(nil, back, JSONOptions{}))
	}
}

func TestAvroFloatDefaults(t *testing.T) {
	s := NewStructBuilder().Name("R").Field("f", NewBuilder(TypeFloat64).Default(math.NaN()).MustBuild()).MustBuild()
	text, err := AvroSchema(s, AvroOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(text, `,"default":`) || !strings.Contains(text, `"connect.default":"NaN"`) {
		t.Errorf("a NaN default prints as %s", text)
	}
	back, err := ParseAvro(text, AvroOptions{})
	if err != nil || !back.Equal(s) {
		t.Errorf("it comes back as %v, %v", back, err)
	}
}

// TestSize parts values that follow each other without lengths.
func TestSize(t *testing.T) {
	node, err := ParseAvroNode(`{"type":"record","name":"r","fields":[{"name":"a","type":["null","string"]},{"name":"b","type":{"type":"array","items":"long"}}]}`)
	if err != nil {
		t.Fatal(err)
	}
	values := []string{"\x02\x04hi\x04\x02\x04\x00", "\x00\x00", "\x00\x01\x02\x02\x00"} // the last has a block with its size
	rest := []byte(strings.Join(values, ""))
	for i, want := range values {
		n, err := node.Size(rest)
		if err != nil || n != len(want) {
			t.Fatalf("value %d: size %d, %v, want %d", i, n, err, len(want))
		}
		rest = rest[n:]
	}
	for _, hostile := range []string{"", "\x06", "\x02\x7f", "\x00\xff\xff\xff\xff\x0f"} {
		if n, err := node.Size([]byte(hostile)); err == nil {
			t.Errorf("%q: size %d", hostile, n)
		}
	}
}
