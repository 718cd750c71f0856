package converter

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/millrace/millrace/plugins/data"
)

const jsonSchemaClass = "io.confluent.connect.json.JsonSchemaConverter"

func jsonSchemaValue(t testing.TB, r Registry, props ...string) Converter {
	t.Helper()
	return make1(t, jsonSchemaClass, Value, r, append([]string{"schema.registry.url", "http://r"}, props...)...)
}

func TestJSONSchemaRoundTrips(t *testing.T) {
	inner := data.NewStructBuilder().Name("n.Inner").Version(1).Field("x", data.Float32Schema).MustBuild()
	in := data.NewStruct(inner)
	if err := in.Put("x", float32(1.5)); err != nil {
		t.Fatal(err)
	}
	outer := data.NewStructBuilder().Name("n.Outer").Version(2).Doc("of all").
		Field("z", data.Int8Schema).Field("a", data.OptionalStringSchema).Field("in", inner).
		Field("list", data.ArrayOf(data.OptionalInt16Schema).MustBuild()).
		Field("m", data.MapOf(data.StringSchema, data.Int64Schema).MustBuild()).
		Field("d", data.DecimalSchema(2)).Field("day", data.DateBuilder().MustBuild()).
		Field("n", data.NewBuilder(data.TypeInt32).Optional().Default(int32(7)).MustBuild()).MustBuild()
	v := data.NewStruct(outer)
	for name, x := range map[string]any{
		"z": int8(-1), "a": "é", "in": in, "list": []any{int16(1), nil}, "m": data.Map{{Key: "k", Value: int64(9)}},
		"d": data.NewDecimal(1234, 2), "day": int32(20000), "n": int32(3),
	} {
		if err := v.Put(name, x); err != nil {
			t.Fatal(err)
		}
	}
	choice := data.NewStructBuilder().Name(jsonOneOf).Version(1).Field(jsonOneOf+".field.0", data.OptionalStringSchema).
		Field(jsonOneOf+".field.1", data.AsOptional(inner)).MustBuild()
	maybe := data.AsOptional(choice)
	choices := data.ArrayOf(maybe).MustBuild()
	chosen := func(s *data.Schema, field string, v any) *data.Struct {
		out := data.NewStruct(s)
		if err := out.Put(jsonOneOf+".field."+field, v); err != nil {
			t.Fatal(err)
		}
		return out
	}
	optionalIn := data.NewStruct(data.AsOptional(inner))
	if err := optionalIn.Put("x", float32(1.5)); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name    string
		s       *data.Schema
		v       any
		props   []string
		text    string // of the schema registered
		payload string
	}{
		{"int8", data.Int8Schema, int8(5), nil, `{"type":"integer","connect.type":"int8"}`, `5`},
		{"optional text", data.OptionalStringSchema, "x", nil, `{"oneOf":[{"type":"null"},{"type":"string"}]}`, `"x"`},
		{"bytes", data.BytesSchema, []byte{1, 2}, nil, `{"type":"string","connect.type":"bytes"}`, `"AQI="`},
		{"decimal", data.DecimalSchema(1), data.NewDecimal(15, 1), []string{"decimal.format", "numeric"},
			`{"type":"number","connect.type":"bytes","title":"org.apache.kafka.connect.data.Decimal","connect.version":1,"connect.parameters":{"scale":"1"}}`, `1.5`},
		{"timestamp", data.TimestampBuilder().MustBuild(), int64(1000), nil,
			`{"type":"integer","connect.type":"int64","title":"org.apache.kafka.connect.data.Timestamp","connect.version":1}`, `1000`},
		{"map with numbers for keys", data.MapOf(data.Int32Schema, data.StringSchema).MustBuild(), data.Map{{Key: int32(1), Value: "a"}}, nil,
			`{"type":"array","connect.type":"map","items":{"type":"object","properties":{"key":{"type":"integer","connect.type":"int32","connect.index":0},"value":{"type":"string","connect.index":1}}}}`,
			`[{"key":1,"value":"a"}]`},
		{"closed struct", inner, in, []string{"object.additional.properties", "false"},
			`{"type":"object","properties":{"x":{"type":"number","connect.type":"float32","connect.index":0}},"additionalProperties":false,"title":"n.Inner","connect.version":1}`, `{"x":1.5}`},
		{"one of two", choice, chosen(choice, "0", "x"), nil, `{"oneOf":[{"type":"string","connect.index":0},{"type":"object","properties":{"x":{"type":"number","connect.type":"float32","connect.index":0}},"title":"n.Inner","connect.version":1,"connect.index":1}],"title":"io.confluent.connect.json.OneOf","connect.version":1}`, `"x"`},
		{"list of either or null", choices, []any{chosen(maybe, "1", optionalIn), nil, chosen(maybe, "0", "x")}, nil, "", `[{"x":1.5},null,"x"]`},
		{"everything", outer, v, nil, "", `{"z":-1,"a":"é","in":{"x":1.5},"list":[1,null],"m":{"k":9},"d":"BNI=","day":20000,"n":3}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRegistry()
			c := jsonSchemaValue(t, r, tt.props...)
			got, _ := write(t, c, datum(t, tt.s, tt.v))
			if got[5:] != tt.payload || got[0] != 0 || binary.BigEndian.Uint32([]byte(got[1:])) != 1 {
				t.Fatalf("written as %q, want %q", got, tt.payload)
			}
			text, kind, err := r.ByID(t.Context(), 1)
			if err != nil || kind != "JSON" || tt.text != "" && text != tt.text {
				t.Errorf("registered %s %s, %v\nwant %s", kind, text, err, tt.text)
			}
			back, err := c.ToConnect(t.Context(), "t", []byte(got))
			if err != nil {
				t.Fatal(err)
			}
			if !back.Schema.Equal(tt.s) {
				t.Errorf("read with schema %v, want %v", back.Schema, tt.s)
			}
			if v, err := back.Value(); err != nil || !data.EqualValues(v, tt.v) {
				t.Errorf("read %v, %v, want %v", v, err, tt.v)
			}
		})
	}
}

func TestJSONSchemaOfOthers(t *testing.T) {
	for _, tt := range []struct{ name, schema, payload, want string }{
		{"order of properties, missing ones", `{"type":"object","title":"T","properties":{"b":{"type":["string","null"]},"a":{"type":"integer"}},"required":["a"]}`, `{"a":1,"c":2}`, "Struct{a=1}"},
		{"definitions", `{"$ref":"#/definitions/T","definitions":{"T":{"type":"object","properties":{"n":{"$ref":"#/definitions/N"}}},"N":{"type":"number"}}}`, `{"n":1.5}`, "Struct{n=1.5}"},
		{"allOf", `{"allOf":[{"type":"object","properties":{"a":{"type":"string"}}},{"properties":{"b":{"type":"boolean"}}}]}`, `{"b":true,"a":"x"}`, "Struct{a=x,b=true}"},
		{"enum", `{"enum":["A","B"]}`, `"A"`, "A"},
		{"other schemas", `{"type":"object","properties":{"s":{"$ref":"street.json"},"n":{"$ref":"more.json#/definitions/n"}}}`, `{"s":"x","n":{"i":2}}`, "Struct{s=x,n=Struct{i=2}}"},
		{"oneOf: a number", `{"oneOf":[{"type":"string"},{"type":"number"},{"type":"integer"}]}`, `15`, "Struct{io.confluent.connect.json.OneOf.field.1=15.0}"},
		{"oneOf: whole numbers first", `{"anyOf":[{"type":"integer"},{"type":"number"}]}`, `1.5`, "Struct{io.confluent.connect.json.OneOf.field.1=1.5}"},
		{"oneOf: the struct with most members", `{"type":"object","properties":{"u":{"title":"U","oneOf":[{"type":"null"},{"type":"object","properties":{"a":{"type":"string"},"b":{"type":"string"}}},{"$ref":"#/definitions/T"}]}},
			"definitions":{"T":{"properties":{"a":{"type":"string"},"in":{"properties":{"x":{"type":"integer"}}}}}}}`, `{"u":{"in":{"x":1},"a":"y","more":[{}]}}`,
			"Struct{u=Struct{io.confluent.connect.json.OneOf.field.1=Struct{a=y,in=Struct{x=1}}}}"},
		{"oneOf: null", `{"properties":{"u":{"oneOf":[{"type":"null"},{"type":"string"},{"type":"array","items":{"type":"string"}}]}}}`, `{"u":null}`, "Struct{}"},
		{"types", `{"properties":{"u":{"type":["string","null","object","integer"],"properties":{"a":{"type":"string"}},"default":"x"},"v":{"type":["boolean","string"]}}}`, `{"u":{"a":"b"},"v":true}`,
			"Struct{u=Struct{io.confluent.connect.json.OneOf.field.1=Struct{a=b}},v=Struct{io.confluent.connect.json.OneOf.field.0=true}}"},
		{"oneOf within oneOf", `{"oneOf":[{"type":"string"},{"oneOf":[{"type":"boolean"},{"properties":{"a":{"type":"string"}}}]}]}`, `{"a":"b"}`,
			"Struct{io.confluent.connect.json.OneOf.field.1=Struct{io.confluent.connect.json.OneOf.field.1=Struct{a=b}}}"},
		{"anything", `{}`, `{"a":[1]}`, "map[a:[1]]"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRegistry()
			r.imports = map[string]string{"street.json": `{"type":"string"}`, "more.json": `{"definitions":{"n":{"type":"object","properties":{"i":{"$ref" : "#/definitions/i"}}},"i":{"type":"integer"}}}`}
			if _, err := r.Register(t.Context(), "t-value", tt.schema, "JSON", false); err != nil {
				t.Fatal(err)
			}
			d, err := jsonSchemaValue(t, r).ToConnect(t.Context(), "t", append([]byte{0, 0, 0, 0, 1}, tt.payload...))
			if err != nil {
				t.Fatal(err)
			}
			v, err := d.Value()
			if got := data.Text(v); err != nil || got != tt.want && d.Schema != nil {
				t.Errorf("read %s, %v, want %s", got, err, tt.want)
			}
		})
	}
}

func TestJSONSchemaRefusals(t *testing.T) {
	for _, tt := range []struct{ schema, payload, want string }{
		{`{"oneOf":[{"type":"string"},{"type":"integer"}]}`, `1.5`, "none of the types of its oneOf"},
		{`{"oneOf":[{"type":"string"},{"type":"integer"}]}`, `{}`, "none of the types of its oneOf"},
		{`{"oneOf":[{"type":"integer"},{"type":"boolean"}]}`, `-`, "JSON"},
		{`{"anyOf":[{"properties":{"a":{"type":"string"}}},{"properties":{"b":{"type":"string"}}}]}`, `{"c":1}`, "none of the types of its oneOf"},
		{`{"oneOf":[{"type":"string"},{"type":"integer"}],"properties":{"a":{"type":"string"}}}`, `1`, "properties beside a oneOf"},
		{`{"oneOf":[{"type":"null"}]}`, `null`, "nothing but null"},
		{`{"oneOf":[{"type":"string"},{}]}`, `"x"`, "oneOf, type 1: a schema without a type"},
		{`{"$ref":"other.json"}`, `1`, "names no schema"},
		{`{"definitions":{"a":{"type":"object","properties":{"a":{"$ref":"#/definitions/a"}}}},"$ref":"#/definitions/a"}`, `{}`, "refers to itself"},
		{`{"type":"object","properties":{"a":{"type":"integer"}}}`, `{"a":"x"}`, "a: JSON text"},
		{`{"type":"array"}`, `[]`, "without one schema for its items"},
		{`[]`, `1`, "read JSON Schema"},
	} {
		r := newRegistry()
		if _, err := r.Register(t.Context(), "t-value", tt.schema, "JSON", false); err != nil {
			t.Fatal(err)
		}
		_, err := jsonSchemaValue(t, r).ToConnect(t.Context(), "t", append([]byte{0, 0, 0, 0, 1}, tt.payload...))
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.schema, err, tt.want)
		}
	}
	_, _, err := jsonSchemaValue(t, newRegistry()).FromConnect(t.Context(), "t",
		data.Datum{Schema: data.NewStructBuilder().Name(data.UnionName).Field("a", data.OptionalInt32Schema).MustBuild(), State: data.Present, Row: []byte{0, 2}}, nil)
	if err == nil || !strings.Contains(err.Error(), "has no form in JSON Schema") {
		t.Errorf("union: %v", err)
	}
}

// A known schema costs neither a request nor memory.
func TestJSONSchemaHotPath(t *testing.T) {
	r := newRegistry()
	c := jsonSchemaValue(t, r)
	d := datum(t, point, newPoint(t, 1, "a", data.NewDecimal(57, 2)))
	buf := make([]byte, 0, 1024)
	if _, _, err := c.FromConnect(t.Context(), "t", d, buf); err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	if n := testing.AllocsPerRun(100, func() {
		if _, _, err := c.FromConnect(ctx, "t", d, buf); err != nil {
			t.Fatal(err)
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
	if r.calls != 1 {
		t.Errorf("the registry was asked %d times", r.calls)
	}
}
