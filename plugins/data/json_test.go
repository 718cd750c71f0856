package data

import (
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestAppendJSON(t *testing.T) {
	union := NewStructBuilder().Name(UnionName).Field("int", OptionalInt32Schema).Field("string", OptionalStringSchema).MustBuild()
	qty := NewStructBuilder().Field("qty", NewBuilder(TypeInt32).Optional().Default(int32(7)).MustBuild()).MustBuild()
	for _, tt := range []struct {
		name string
		s    *Schema
		v    any
		o    JSONOptions
		want string
	}{
		{"record", orders, structOf(t, orders, int32(1), "a\"\n<é", NewDecimal(57, 2)), JSONOptions{}, `{"id":1,"name":"a\"\n<é","amt":"OQ=="}`},
		{"numeric", orders, structOf(t, orders, int32(1), nil, NewDecimal(-5, 2)), JSONOptions{NumericDecimals: true}, `{"id":1,"name":null,"amt":-0.05}`},
		{"large numeric", DecimalSchema(2), Decimal{bigInt("123456789012345678901234567890"), 2}, JSONOptions{NumericDecimals: true}, `1234567890123456789012345678.90`},
		{"negative scale", DecimalSchema(-3), NewDecimal(1, -3), JSONOptions{NumericDecimals: true}, `1E+3`},
		{"zeros kept", DecimalSchema(3), NewDecimal(1000, 3), JSONOptions{NumericDecimals: true}, `1.000`},
		{"tiny", DecimalSchema(9), NewDecimal(1, 9), JSONOptions{NumericDecimals: true}, `1E-9`},
		{"zero of scale 2", DecimalSchema(2), NewDecimal(0, 2), JSONOptions{NumericDecimals: true}, `0.00`},
		{"default for null", qty, NewStruct(qty), JSONOptions{}, `{"qty":7}`},
		{"null kept", qty, NewStruct(qty), JSONOptions{KeepNulls: true}, `{"qty":null}`},
		{"floats", ArrayOf(Float64Schema).MustBuild(), []any{100.0, 1e10, 1e-4, math.NaN(), math.Inf(-1), 0.1, math.Copysign(0, -1)}, JSONOptions{},
			`[100.0,1.0E10,1.0E-4,"NaN","-Infinity",0.1,-0.0]`},
		{"float32", Float32Schema, float32(0.1), JSONOptions{}, `0.1`},
		{"map", MapOf(StringSchema, Int32Schema).MustBuild(), Map{{"b", int32(2)}, {"a", int32(1)}}, JSONOptions{}, `{"a":1,"b":2}`},
		{"pairs", MapOf(Int32Schema, StringSchema).MustBuild(), Map{{int32(1), "a"}, {int32(2), "b"}}, JSONOptions{}, `[[1,"a"],[2,"b"]]`},
		{"bytes", BytesSchema, []byte{0xfb, 0xff}, JSONOptions{}, `"+/8="`},
		{"empty struct", NewStructBuilder().MustBuild(), NewStruct(NewStructBuilder().MustBuild()), JSONOptions{}, `{}`},
		{"union", union, structOf(t, union, nil, "x"), JSONOptions{}, `{"int":null,"string":"x"}`},
		{"control", StringSchema, "\x01\x1f", JSONOptions{}, `"\u0001\u001F"`},
		{"not UTF-8", StringSchema, "a\xffb", JSONOptions{}, "\"a\uFFFDb\""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			row, _, err := Encode(nil, tt.s, tt.v)
			if err != nil {
				t.Fatal(err)
			}
			got, err := AppendJSON([]byte("x"), tt.s, row, tt.o)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != "x"+tt.want {
				t.Errorf("JSON is %s, want %s", got[1:], tt.want)
			}
			if !json.Valid(got[1:]) {
				t.Errorf("%s is not JSON", got[1:])
			}
		})
	}
}

func TestJSONRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, v := anyTree(t)
		if hasNullKey(v) {
			return // JSON cannot write it
		}
		o := JSONOptions{KeepNulls: true, NumericDecimals: rapid.Bool().Draw(t, "numeric")}
		row, flag, err := Encode(nil, s, v)
		if err != nil {
			t.Fatal(err)
		}
		text, err := AppendJSON(nil, s, row, o)
		if err != nil || !json.Valid(text) {
			t.Fatalf("%s: %v", text, err)
		}
		back, flag2, err := RowFromJSON(nil, s, text, o)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if string(back) != string(row) || flag != flag2 {
			t.Fatalf("%s\nis row %x %v, want %x %v", text, back, flag2, row, flag)
		}
		schema := AppendJSONSchema(nil, s, o)
		if !json.Valid(schema) {
			t.Fatalf("schema is not JSON: %s", schema)
		}
		again, err := ParseJSONSchema(schema)
		if err != nil || !again.Equal(s) {
			t.Fatalf("schema %s came back as %v, %v", schema, again, err)
		}
	})
}

// hasNullKey finds a map whose null key JSON cannot write.
func hasNullKey(v any) bool {
	switch v := v.(type) {
	case *Struct:
		for _, e := range v.values {
			if hasNullKey(e) {
				return true
			}
		}
	case []any:
		for _, e := range v {
			if hasNullKey(e) {
				return true
			}
		}
	case Map:
		for _, e := range v {
			if e.Key == nil || hasNullKey(e.Value) {
				return true
			}
		}
	}
	return false
}

func TestRowFromJSON(t *testing.T) {
	inner := NewStructBuilder().Name("i").Field("b", BytesSchema).MustBuild()
	s := NewStructBuilder().Name("o").
		Field("a", Int8Schema).
		Field("d", AsOptional(DecimalSchema(2))).
		Field("n", NewBuilder(TypeInt32).Optional().Default(int32(3)).MustBuild()).
		Field("i", AsOptional(inner)).
		MustBuild()
	for _, tt := range []struct {
		text string
		o    JSONOptions
		want string // as JSON again, or the error
	}{
		{`{"a":1,"d":"OQ==","n":4,"i":{"b":"3q0="}}`, JSONOptions{}, `{"a":1,"d":"OQ==","n":4,"i":{"b":"3q0="}}`},
		{`{"i":{"x":[1,{}],"b":""}, "n":null, "a":007, "d":1.5}`, JSONOptions{}, `{"a":7,"d":"AJY=","n":3,"i":{"b":""}}`},
		{`{"a":1}`, JSONOptions{KeepNulls: true}, `{"a":1,"d":null,"n":null,"i":null}`},
		{`{"a":2.0}`, JSONOptions{}, `{"a":2,"d":null,"n":3,"i":null}`},
		{`{"a":1e2}`, JSONOptions{}, `{"a":100,"d":null,"n":3,"i":null}`},
		{`{}`, JSONOptions{}, "a: null in a required field"},
		{`{"a":128}`, JSONOptions{}, "a: 128 is not an integer of 8 bits"},
		{`{"a":1.5}`, JSONOptions{}, "1.5 is not an integer"},
		{`{"a":1e99}`, JSONOptions{}, "1e99 is not an integer"},
		{`{"a":"1"}`, JSONOptions{}, "a: JSON text where the schema is int8"},
		{`{"a":1,"d":1.234}`, JSONOptions{}, "more digits after the point"},
		{`{"a":1,"i":{"b":"!"}}`, JSONOptions{}, "i.b: bytes are not base64"},
		{`{"a":1,"i":[]}`, JSONOptions{}, "i: JSON array where the schema is struct"},
		{`{"a":1}x`, JSONOptions{}, "text after the value"},
		{`null`, JSONOptions{}, "a null has no row"},
	} {
		row, _, err := RowFromJSON(nil, s, []byte(tt.text), tt.o)
		if err != nil {
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s: error is %v, want %q in it", tt.text, err, tt.want)
			}
			continue
		}
		got, err := AppendJSON(nil, s, row, tt.o)
		if err != nil || string(got) != tt.want {
			t.Errorf("%s reads as %s, %v, want %s", tt.text, got, err, tt.want)
		}
	}
}

func TestJSONSchema(t *testing.T) {
	s := NewStructBuilder().Name("s.t.Value").Version(2).Doc("d").
		Field("id", Int32Schema).
		Field("amt", AsOptional(DecimalSchema(2))).
		Field("m", MapOf(StringSchema, Float64Schema).MustBuild()).
		Field("q", NewBuilder(TypeInt64).Default(int64(5)).MustBuild()).MustBuild()
	want := `{"type":"struct","fields":[{"type":"int32","optional":false,"field":"id"},` +
		`{"type":"bytes","optional":true,"name":"org.apache.kafka.connect.data.Decimal","version":1,"parameters":{"scale":"2"},"field":"amt"},` +
		`{"type":"map","keys":{"type":"string","optional":false},"values":{"type":"double","optional":false},"optional":false,"field":"m"},` +
		`{"type":"int64","optional":false,"default":5,"field":"q"}],"optional":false,"name":"s.t.Value","version":2,"doc":"d"}`
	got := AppendJSONSchema(nil, s, JSONOptions{})
	if string(got) != want {
		t.Fatalf("schema is\n%s\nwant\n%s", got, want)
	}
	back, err := ParseJSONSchema(got)
	if err != nil || !back.Equal(s) {
		t.Errorf("it reads as %v, %v", back, err)
	}
	if s, err := ParseJSONSchema([]byte("null")); s != nil || err != nil {
		t.Errorf("null reads as %v, %v", s, err)
	}
	for text, want := range map[string]string{
		`{}`:               "has no type",
		`{"type":"int"}`:   "unknown schema type",
		`{"type":"array"}`: "without items",
		`{"type":"map","keys":{"type":"string"}}`:                          "without values",
		`{"type":"struct","fields":{}}`:                                    "no array of fields",
		`{"type":"struct","fields":[{"type":"int32"}]}`:                    "field name is empty",
		`{"type":"string","parameters":{"a":1}}`:                           "not a string",
		`{"type":"int32","version":"1"}`:                                   "must be an integer",
		`{"type":"int32","default":"x"}`:                                   "JSON text where",
		`{"type":"bytes","name":"org.apache.kafka.connect.data.Decimal"}`:  `without a "scale"`,
		`{"type":"string","name":"org.apache.kafka.connect.data.Decimal"}`: "must be of type bytes",
		`[]`: "a schema is an object",
	} {
		if _, err := ParseJSONSchema([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error is %v, want %q in it", text, err, want)
		}
	}
}

func TestUnionJSON(t *testing.T) {
	u := NewStructBuilder().Name(UnionName).
		Field("int", NewBuilder(TypeInt32).Optional().Default(int32(7)).MustBuild()).
		Field("string", OptionalStringSchema).MustBuild()
	row, _, err := Encode(nil, u, structOf(t, u, nil, "x"))
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range []JSONOptions{{}, {KeepNulls: true}} {
		text, err := AppendJSON(nil, u, row, o)
		if want := `{"int":null,"string":"x"}`; err != nil || string(text) != want {
			t.Errorf("%+v: JSON is %s, %v, want %s", o, text, err, want)
		}
		back, _, err := RowFromJSON(nil, u, text, o)
		if err != nil || string(back) != string(row) {
			t.Errorf("%+v: it reads as %x, %v, want %x", o, back, err, row)
		}
	}
}

func TestDeepSchemaTexts(t *testing.T) {
	json := strings.Repeat(`{"type":"array","items":`, 101) + `{"type":"int8"}` + strings.Repeat(`}`, 101)
	if _, err := ParseJSONSchema([]byte(json)); !errors.Is(err, ErrSchema) || !strings.Contains(err.Error(), "levels of nesting") {
		t.Errorf("JSON schema: %v", err)
	}
	s := Int8Schema
	for range 99 {
		s = ArrayOf(s).MustBuild()
	}
	if back, err := ParseJSONSchema(AppendJSONSchema(nil, s, JSONOptions{})); err != nil || !back.Equal(s) {
		t.Errorf("100 levels: %v", err)
	}
	if _, err := ArrayOf(s).Build(); !errors.Is(err, ErrSchema) {
		t.Errorf("101 levels build: %v", err)
	}
}

func TestHugeScaleIsRefused(t *testing.T) {
	w := NewRowWriter(DecimalSchema(math.MaxInt32))
	w.Reset(nil)
	w.DecimalText([]byte("1.5"))
	if _, _, err := w.Finish(); err == nil || !strings.Contains(err.Error(), "cannot be brought to scale") {
		t.Errorf("error is %v", err)
	}
}

func TestSplitEnvelope(t *testing.T) {
	s, p, err := SplitEnvelope([]byte(` {"payload": {"a":1} ,"schema":null}`))
	if err != nil || string(s) != "null" || string(p) != `{"a":1}` {
		t.Errorf("split into %s and %s, %v", s, p, err)
	}
	for _, text := range []string{`{"schema":null}`, `{"schema":null,"payload":1,"x":2}`, `[]`, `1`, ``, `{"schema":null,"payload":1}1`} {
		if _, _, err := SplitEnvelope([]byte(text)); err == nil {
			t.Errorf("%s is taken for an envelope", text)
		}
	}
}

func TestSchemaless(t *testing.T) {
	v := map[string]any{
		"z": int64(-5), "a": []any{1.5, "x", nil, true}, "d": NewDecimal(-12345, 2),
		"b": []byte{1}, "m": map[string]any{}, "n": math.NaN(),
	}
	b, err := EncodeSchemaless(nil, v)
	if err != nil {
		t.Fatal(err)
	}
	back, err := DecodeSchemaless(b)
	if err != nil || !EqualValues(back, v) {
		t.Fatalf("came back as %v, %v", back, err)
	}
	again, err := EncodeSchemaless(nil, back)
	if err != nil || string(again) != string(b) {
		t.Errorf("encoded again it is %x, %v, want %x", again, err, b)
	}
	text, err := AppendSchemalessJSON(nil, back, JSONOptions{NumericDecimals: true})
	if want := `{"a":[1.5,"x",null,true],"b":"AQ==","d":-123.45,"m":{},"n":"NaN","z":-5}`; err != nil || string(text) != want {
		t.Errorf("JSON is %s, %v, want %s", text, err, want)
	}
	got, err := SchemalessFromJSON([]byte(`{"a":[1,2.0,1e400]}`))
	if err == nil {
		t.Errorf("1e400 reads as %v", got)
	}
	got, err = SchemalessFromJSON([]byte(`{"a":[1,2.0,"\ud83d\ude00\n",null,12345678901234567890],"a":[7]}`))
	if err != nil || !EqualValues(got, map[string]any{"a": []any{int64(7)}}) {
		t.Errorf("reads as %v, %v", got, err)
	}
	if _, err := EncodeSchemaless(nil, map[string]any{"a": []any{struct{}{}}}); err == nil || !strings.Contains(err.Error(), "a[0]") {
		t.Errorf("a struct: %v", err)
	}
	deep := strings.Repeat("[", 600) + strings.Repeat("]", 600)
	if _, err := SchemalessFromJSON([]byte(deep)); err == nil {
		t.Error("600 levels of nesting are taken")
	}
}

func TestScannerRejects(t *testing.T) {
	for _, text := range []string{``, `{`, `{"a"}`, `{"a":}`, `{"a":1,}`, `[1,]`, `[1 2]`, `{,}`, `-`, `1.`, `.5`, `1e`, `+1`, `tru`, `nul`,
		`"a`, "\"\n\"", `"\x"`, `"\u12"`, `"\u12G4"`, "\"\xff\"", `NaN`, `'a'`, `//`, `{1:2}`, `]`, `[}`} {
		if v, err := SchemalessFromJSON([]byte(text)); err == nil {
			t.Errorf("%q reads as %v", text, v)
		}
	}
}

// TestMembersInAnyOrder reads the same value from objects whose members are in
// all kinds of order, one after the other by one reader.
func TestMembersInAnyOrder(t *testing.T) {
	inner := NewStructBuilder().Field("x", Int32Schema).Field("y", OptionalStringSchema).MustBuild()
	s := NewStructBuilder().Field("a", Int64Schema).Field("in", AsOptional(inner)).
		Field("m", MapOf(StringSchema, inner).MustBuild()).
		Field("d", NewBuilder(TypeInt32).Optional().Default(int32(7)).MustBuild()).MustBuild()
	want := `{"a":1,"in":{"x":2,"y":"z"},"m":{"k":{"x":3,"y":null}},"d":7}`
	texts := []string{
		want,
		` { "a" : 1 , "in" : { "x" : 2 , "y" : "z" } , "m" : { "k" : { "x" : 3 , "y" : null } } , "d" : null } `,
		`{"d":null,"m":{"k":{"y":null,"x":3}},"in":{"y":"z","x":2},"a":1}`,
		`{"a":5,"in":{"x":2,"y":"z"},"m":{"k":{"x":3,"y":null}},"d":7,"a":1}`,             // the last counts
		`{"a":1,"in":{"x":2,"y":"z","more":[{}]},"m":{"k":{"x":3}},"d":7,"more":{"a":9}}`, // unknown ones do not
		`{"a":1,"in":{"x":2,"y":"z"},"m":{"k":{"x":3}}}`,
		`{"a":1,"in":{"x":9,"x":2,"y":"z"},"m":{"k":{"x":3}}}`,
	}
	r := NewJSONReader(s, JSONOptions{})
	for i := range 3 * afterDisorder * len(texts) {
		text := texts[i/(i%3+1)%len(texts)]
		row, _, err := r.Append([]byte("before"), []byte(text))
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		got, err := AppendJSON(nil, s, row[len("before"):], JSONOptions{})
		if err != nil || string(got) != want {
			t.Fatalf("%s reads as %s, %v; want %s", text, got, err, want)
		}
	}
	for _, text := range []string{`{"a":1,"in":{"x":2,"y":"z"},"m":{},"d":7`, `{"a":1,"in":{"x":2,"y":3},"m":{},"d":7}`, `{"a":1,"in":{"x":2},"m":{},"d":7}}`, `{"a":"1"`} {
		r.disorder = 0
		_, _, inOrder := r.Append(nil, []byte(text))
		r.disorder = 2
		_, _, anyOrder := r.Append(nil, []byte(text))
		if inOrder == nil || anyOrder == nil || inOrder.Error() != anyOrder.Error() {
			t.Errorf("%s: %v, and without expecting an order %v", text, inOrder, anyOrder)
		}
	}
}
