package converter

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/millrace/millrace/connect/converter/rule"
	"github.com/millrace/millrace/plugins/data"
)

// memoryRegistry is a registry in a test's memory.
type memoryRegistry struct {
	texts    []string // by id - 1
	subjects map[string][]int32
	kinds    map[int32]string
	imports  map[string]string
	contract rule.Contract
	err      error // what every call returns, if set
	calls    int
}

func newRegistry() *memoryRegistry {
	return &memoryRegistry{subjects: make(map[string][]int32), kinds: make(map[int32]string)}
}

func (r *memoryRegistry) Dependencies(context.Context, int32) (map[string]string, error) {
	return r.imports, nil
}

func (r *memoryRegistry) Contract(context.Context, int32) (rule.Contract, error) {
	return r.contract, nil
}

func (r *memoryRegistry) Register(_ context.Context, subject, text, kind string, _ bool) (int32, error) {
	if r.calls++; r.err != nil {
		return 0, r.err
	}
	id := int32(0)
	for i, t := range r.texts {
		if t == text {
			id = int32(i + 1)
		}
	}
	if id == 0 {
		r.kinds[int32(len(r.texts)+1)] = kind
		r.texts = append(r.texts, text)
		id = int32(len(r.texts))
	}
	r.subjects[subject] = append(r.subjects[subject], id)
	return id, nil
}

func (r *memoryRegistry) Lookup(_ context.Context, subject, text, _ string, _ bool) (int32, error) {
	if r.calls++; r.err != nil {
		return 0, r.err
	}
	for _, id := range r.subjects[subject] {
		if r.texts[id-1] == text {
			return id, nil
		}
	}
	return 0, errors.New("schema not found; error code: 40403")
}

func (r *memoryRegistry) Latest(_ context.Context, subject string) (RegisteredSchema, error) {
	if r.calls++; r.err != nil {
		return RegisteredSchema{}, r.err
	}
	ids := r.subjects[subject]
	if len(ids) == 0 {
		return RegisteredSchema{}, errors.New("subject not found; error code: 40401")
	}
	id := ids[len(ids)-1]
	return RegisteredSchema{ID: id, Version: int32(len(ids)), Text: r.texts[id-1]}, nil
}

func (r *memoryRegistry) ByID(_ context.Context, id int32) (string, string, error) {
	if r.calls++; r.err != nil {
		return "", "", r.err
	}
	if id < 1 || int(id) > len(r.texts) {
		return "", "", errors.New("schema not found; error code: 40403")
	}
	if k := r.kinds[id]; k != "" {
		return r.texts[id-1], k, nil
	}
	return r.texts[id-1], kindAvro, nil
}

func (r *memoryRegistry) VersionOf(_ context.Context, subject string, id int32) (int32, bool, error) {
	for i, have := range r.subjects[subject] {
		if have == id {
			return int32(i + 1), true, nil
		}
	}
	return 0, false, nil
}

func make1(t testing.TB, class string, side Side, r Registry, props ...string) Converter {
	t.Helper()
	c, ok := Lookup(class)
	if !ok {
		t.Fatalf("no converter %s", class)
	}
	m := make(map[string]string)
	for i := 0; i < len(props); i += 2 {
		m[props[i]] = props[i+1]
	}
	out, err := c.New(Settings{Side: side, Props: m, Registry: r})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func datum(t testing.TB, s *data.Schema, v any) data.Datum {
	t.Helper()
	d, err := data.NewDatum(s, v)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func write(t *testing.T, c Converter, d data.Datum) (string, bool) {
	t.Helper()
	out, null, err := c.FromConnect(t.Context(), "t", d, []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	if null && string(out) != "x" {
		t.Errorf("a null has bytes: %q", out)
	}
	return string(out[1:]), null
}

func TestTable(t *testing.T) {
	for _, c := range Classes() {
		if err := c.Def.Check(); err != nil {
			t.Errorf("%s: %v", c.Name, err)
		}
		simple := c.Name[strings.LastIndexByte(c.Name, '.')+1:]
		for _, name := range []string{c.Name, simple, strings.TrimSuffix(simple, "Converter")} {
			if got, ok := Lookup(name); !ok || got.Name != c.Name {
				t.Errorf("%s finds %s", name, got.Name)
			}
		}
	}
	if _, ok := Lookup("io.confluent.connect.replicator.util.ByteArrayConverter"); !ok {
		t.Error("the replicator's ByteArrayConverter is not known")
	}
	if _, ok := Lookup("com.example.NoConverter"); ok {
		t.Error("an unknown class is found")
	}
	header, _ := Lookup("SimpleHeaderConverter")
	if _, err := header.New(Settings{Side: Value}); !asClass[*FatalError](err) {
		t.Errorf("SimpleHeaderConverter for values: %v", err)
	}
	avro, _ := Lookup("Avro")
	_, err := avro.New(Settings{Side: Value, Registry: newRegistry(), Props: map[string]string{
		"schema.registry.url": "http://r", "use.schema.guid": "x", "schemas.cache.config": "many"}})
	if !asClass[*FatalError](err) || !strings.Contains(err.Error(), "use.schema.guid") || !strings.Contains(err.Error(), "schemas.cache.config") {
		t.Errorf("two bad settings: %v", err)
	}
}

var point = data.NewStructBuilder().Name("p.Point").
	Field("id", data.Int32Schema).
	Field("name", data.OptionalStringSchema).
	Field("amt", data.AsOptional(data.DecimalBuilder(2).Param(data.PrecisionParam, "10").MustBuild())).
	MustBuild()

func newPoint(t testing.TB, id int32, name any, amt any) *data.Struct {
	t.Helper()
	p := data.NewStruct(point)
	if err := errors.Join(p.Put("id", id), p.Put("name", name), p.Put("amt", amt)); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestJSONNullMatrix(t *testing.T) {
	withDefault := data.NewBuilder(data.TypeInt32).Default(int32(7)).MustBuild()
	optional := data.OptionalInt32Schema
	for _, tt := range []struct {
		name     string
		d        data.Datum
		enable   string
		replace  string
		want     string
		null     bool
		mustFail bool
	}{
		{"no schema", data.Datum{}, "true", "true", "", true, false},
		{"no schema, plain", data.Datum{}, "false", "true", "", true, false},
		{"optional", datum(t, optional, nil), "true", "true", `{"schema":{"type":"int32","optional":true},"payload":null}`, false, false},
		{"optional, plain", datum(t, optional, nil), "false", "true", "null", false, false},
		{"default", datum(t, withDefault, nil), "true", "true", `{"schema":{"type":"int32","optional":false,"default":7},"payload":7}`, false, false},
		{"default, plain", datum(t, withDefault, nil), "false", "true", "7", false, false},
		{"default kept out", datum(t, withDefault, nil), "false", "false", "", false, true},
		{"required", data.Datum{Schema: data.Int32Schema, State: data.Null}, "true", "true", "", false, true},
		{"schemaless", datum(t, nil, int64(1)), "true", "true", `{"schema":null,"payload":1}`, false, false},
		{"schemaless, plain", datum(t, nil, map[string]any{"b": 1.5, "a": nil}), "false", "true", `{"a":null,"b":1.5}`, false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := make1(t, "JsonConverter", Value, nil, "schemas.enable", tt.enable, "replace.null.with.default", tt.replace)
			out, null, err := c.FromConnect(t.Context(), "t", tt.d, []byte("x"))
			if tt.mustFail {
				if !asClass[*RecordError](err) || string(out) != "x" {
					t.Errorf("got %q, %v", out, err)
				}
				return
			}
			if err != nil || null != tt.null || string(out) != "x"+tt.want {
				t.Errorf("got %q, %v, %v, want %q, %v", out[1:], null, err, tt.want, tt.null)
			}
		})
	}
}

func TestJSONEnvelope(t *testing.T) {
	c := make1(t, "JsonConverter", Value, nil)
	d := datum(t, point, newPoint(t, 1, nil, data.NewDecimal(57, 2)))
	want := `{"schema":{"type":"struct","fields":[{"type":"int32","optional":false,"field":"id"},{"type":"string","optional":true,"field":"name"},` +
		`{"type":"bytes","optional":true,"name":"org.apache.kafka.connect.data.Decimal","version":1,"parameters":{"scale":"2","connect.decimal.precision":"10"},"field":"amt"}],` +
		`"optional":false,"name":"p.Point"},"payload":{"id":1,"name":null,"amt":"OQ=="}}`
	for range 2 {
		if got, _ := write(t, c, d); got != want {
			t.Fatalf("got\n%s\nwant\n%s", got, want)
		}
	}
	if !json.Valid([]byte(want)) {
		t.Fatal("not JSON")
	}
	for range 2 {
		back, err := c.ToConnect(t.Context(), "t", []byte(want))
		if err != nil || !back.Schema.Equal(point) || string(back.Row) != string(d.Row) {
			t.Fatalf("came back as %+v, %v", back, err)
		}
	}
}

func TestJSONToConnect(t *testing.T) {
	plain := make1(t, "JsonConverter", Value, nil, "schemas.enable", "false")
	enveloped := make1(t, "JsonConverter", Value, nil)
	for _, tt := range []struct {
		c    Converter
		raw  string
		want any
		err  string
	}{
		{plain, ``, nil, ""},
		{plain, `null`, nil, ""},
		{plain, `{"a":[1,2.5,"x",true,null]}`, map[string]any{"a": []any{int64(1), 2.5, "x", true, nil}}, ""},
		{plain, `{"a":`, nil, "invalid JSON"},
		{enveloped, ``, nil, "invalid JSON"},
		{enveloped, `{"schema":null,"payload":1}`, int64(1), ""},
		{enveloped, `{"schema":null,"payload":null}`, nil, ""},
		{enveloped, `{"schema":null,"payload":1,"x":2}`, nil, "schemas.enable=false"},
		{enveloped, `1`, nil, "schemas.enable=false"},
		{enveloped, `{"payload":5,"schema":{"type":"int8"}}`, int8(5), ""},
		{enveloped, `{"schema":{"type":"int8"},"payload":null}`, nil, "invalid null value"},
		{enveloped, `{"schema":{"type":"int8","default":3},"payload":null}`, int8(3), ""},
		{enveloped, `{"schema":{"type":"int8","optional":true},"payload":null}`, nil, ""},
		{enveloped, `{"schema":{"type":"int99"},"payload":1}`, nil, "unknown schema type"},
		{enveloped, `{"schema":{"type":"int8"},"payload":"x"}`, nil, "JSON text where the schema is int8"},
	} {
		d, err := tt.c.ToConnect(t.Context(), "t", []byte(tt.raw))
		if err != nil || tt.err != "" {
			if !asClass[*RecordError](err) || tt.err == "" || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%s: error is %v, want %q", tt.raw, err, tt.err)
			}
			continue
		}
		v, err := d.Value()
		if err != nil || !data.EqualValues(v, tt.want) {
			t.Errorf("%s reads as %v, %v, want %v", tt.raw, v, err, tt.want)
		}
	}
	if d, err := plain.ToConnect(t.Context(), "t", nil); err != nil || !d.IsNull() {
		t.Errorf("nil reads as %+v, %v", d, err)
	}
}

// TestEnvelopeLikeTheOneBefore reads envelopes by a converter that has just seen
// one that begins alike, and by one that has not.
func TestEnvelopeLikeTheOneBefore(t *testing.T) {
	const head = `{"schema":{"type":"struct","fields":[{"type":"int8","field":"a","optional":true,"default":3}]},"payload":`
	for _, rest := range []string{
		`{"a":1}}`, ` {"a" : 1} } `, `null}`, `{"a":null}}`, `{}}`, `{"a":1},"payload":{"a":2}}`, `{"a":1},"schema":null}`, `{"a":1},"x":1}`,
		`{"a":1}`, `{"a":1}}}`, `{"a":300}}`, `{"a":1}} x`, `}`, ``, `{"a":1,"a":2}}`, "{\"a\":\xff}}",
	} {
		raw := []byte(head + rest)
		fresh, freshErr := make1(t, "JsonConverter", Value, nil).ToConnect(t.Context(), "t", raw)
		c := make1(t, "JsonConverter", Value, nil)
		if _, err := c.ToConnect(t.Context(), "t", []byte(head+`{"a":5}}`)); err != nil {
			t.Fatal(err)
		}
		d, err := c.ToConnect(t.Context(), "t", raw)
		if fmt.Sprint(err) != fmt.Sprint(freshErr) || d.State != fresh.State || d.NullDefault != fresh.NullDefault || !bytes.Equal(d.Row, fresh.Row) ||
			err == nil && d.Schema != nil && !d.Schema.Equal(fresh.Schema) {
			t.Errorf("%s reads as %+v, %v; by a converter that saw nothing before as %+v, %v", rest, d, err, fresh, freshErr)
		}
	}
}

func TestPrimitives(t *testing.T) {
	p := newPoint(t, 1, "x", nil)
	for _, tt := range []struct {
		class string
		d     data.Datum
		want  string // hex, or the error
	}{
		{"String", datum(t, data.StringSchema, "é"), "c3a9"},
		{"String", datum(t, data.OptionalStringSchema, "a"), "61"},
		{"String", datum(t, point, p), hex.EncodeToString([]byte("Struct{id=1,name=x}"))},
		{"String", datum(t, data.Float64Schema, 100.0), hex.EncodeToString([]byte("100.0"))},
		{"String", datum(t, nil, []any{int64(1), "a"}), hex.EncodeToString([]byte("[1, a]"))},
		{"ByteArray", datum(t, data.BytesSchema, []byte{0xde, 0xad}), "dead"},
		{"ByteArray", datum(t, data.OptionalBytesSchema, []byte{}), ""},
		{"ByteArray", datum(t, nil, []byte{1}), "01"},
		{"ByteArray", datum(t, data.StringSchema, "x"), "takes bytes only"},
		{"ByteArray", datum(t, nil, "x"), "takes bytes only"},
		{"Integer", datum(t, data.Int32Schema, int32(-2)), "fffffffe"},
		{"Integer", datum(t, data.Int64Schema, int64(1)), "cannot be written by IntegerConverter"},
		{"Integer", datum(t, data.DateSchema, int32(1)), "cannot be written by IntegerConverter"},
		{"Integer", datum(t, nil, int64(7)), "00000007"},
		{"Integer", datum(t, nil, int64(1)<<40), "cannot be written by IntegerConverter"},
		{"Long", datum(t, data.Int64Schema, int64(1)), "0000000000000001"},
		{"Short", datum(t, data.OptionalInt16Schema, int16(258)), "0102"},
		{"Float", datum(t, data.Float32Schema, float32(1)), "3f800000"},
		{"Double", datum(t, data.Float64Schema, 1.0), "3ff0000000000000"},
		{"Boolean", datum(t, data.BooleanSchema, true), "01"},
		{"Boolean", datum(t, data.StringSchema, "true"), "cannot be written by BooleanConverter"},
	} {
		c := make1(t, tt.class, Value, nil)
		out, _, err := c.FromConnect(t.Context(), "t", tt.d, nil)
		if err != nil {
			if !asClass[*RecordError](err) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s: error is %v, want %q", tt.class, err, tt.want)
			}
			continue
		}
		if hex.EncodeToString(out) != tt.want {
			t.Errorf("%s writes %x, want %s", tt.class, out, tt.want)
		}
		if tt.class == "String" || tt.d.Schema == nil {
			continue
		}
		back, err := c.ToConnect(t.Context(), "t", append([]byte{}, out...))
		if err != nil {
			t.Errorf("%s: %v", tt.class, err)
			continue
		}
		got, _ := back.Value()
		want, _ := tt.d.Value()
		if !data.EqualValues(got, want) || !back.Schema.Optional() {
			t.Errorf("%s reads %v, want %v", tt.class, got, want)
		}
	}
	for _, class := range []string{"String", "ByteArray", "Integer", "Long", "Short", "Float", "Double", "Boolean"} {
		c := make1(t, class, Key, nil)
		if _, null := write(t, c, data.Datum{}); !null {
			t.Errorf("%s: a null is written as bytes", class)
		}
		if d, err := c.ToConnect(t.Context(), "t", nil); err != nil || d.State != data.Null || d.Schema == nil {
			t.Errorf("%s reads nil as %+v, %v", class, d, err)
		}
		if class != "String" && class != "ByteArray" {
			if _, err := c.ToConnect(t.Context(), "t", []byte{9, 9, 9}); !asClass[*RecordError](err) {
				t.Errorf("%s: three bytes: %v", class, err)
			}
		}
	}
}

func TestSimpleHeaderRead(t *testing.T) {
	c := make1(t, "SimpleHeaderConverter", Header, nil)
	mixed := data.MapOf(data.StringSchema, data.AsOptional(data.Int8Schema)).MustBuild()
	for _, tt := range []struct {
		raw  string
		s    *data.Schema
		want any
	}{
		{"5", data.Int8Schema, int8(5)},
		{"-5", data.Int8Schema, int8(-5)},
		{"300", data.Int16Schema, int16(300)},
		{"70000", data.Int32Schema, int32(70000)},
		{"5000000000", data.Int64Schema, int64(5000000000)},
		{"1.5", data.Float32Schema, float32(1.5)},
		{"1.0", data.Int8Schema, int8(1)},
		{"1e300", data.Float64Schema, 1e300},
		{"true", data.BooleanSchema, true},
		{"null", nil, nil},
		{"", data.StringSchema, ""},
		{"2024-01-02", data.DateSchema, int32(19724)},
		{"2024-01-02T03:04:05.678Z", data.TimestampSchema, int64(1704164645678)},
		{"03:04:05.678Z", data.TimeSchema, int32(11045678)},
		{"[1,2]", data.ArrayOf(data.Int8Schema).MustBuild(), []any{int8(1), int8(2)}},
		{"[1, 300]", data.ArrayOf(data.Int16Schema).MustBuild(), []any{int16(1), int16(300)}},
		{`["a","b\"c"]`, data.ArrayOf(data.StringSchema).MustBuild(), []any{"a", `b"c`}},
		{`{"a":1,"b":null}`, mixed, data.Map{{Key: "a", Value: int8(1)}, {Key: "b", Value: nil}}},
		{"[1,2", data.StringSchema, "[1,2"},
		{"[1,true]", data.StringSchema, "[1,true]"},
		{" hello ", data.StringSchema, " hello "},
		{"1-2", data.StringSchema, "1-2"},
		{"1.2.3.4", data.StringSchema, "1.2.3.4"},
		{`"quoted"`, data.StringSchema, `"quoted"`},
		{"a\xffb", data.StringSchema, "a\uFFFDb"},
	} {
		d, err := c.ToConnect(t.Context(), "", []byte(tt.raw))
		if err != nil {
			t.Errorf("%q: %v", tt.raw, err)
			continue
		}
		v, err := d.Value()
		if err != nil || !d.Schema.Equal(tt.s) || !data.EqualValues(v, tt.want) {
			t.Errorf("%q reads as %T %v of %v, %v, want %T %v", tt.raw, v, v, d.Schema, err, tt.want, tt.want)
		}
	}
}

func TestSimpleHeaderWrite(t *testing.T) {
	c := make1(t, "SimpleHeaderConverter", Header, nil)
	for _, tt := range []struct {
		d    data.Datum
		want string
	}{
		{datum(t, data.StringSchema, `a"b`), `a"b`},
		{datum(t, data.Float32Schema, float32(1.1)), "1.1"},
		{datum(t, data.BytesSchema, []byte{1, 2}), "AQI="},
		{datum(t, data.ArrayOf(data.StringSchema).MustBuild(), []any{"a", `b"`}), `["a","b\""]`},
		{datum(t, data.MapOf(data.StringSchema, data.Int32Schema).MustBuild(), data.Map{{Key: "k", Value: int32(1)}}), `{"k":1}`},
		{datum(t, point, newPoint(t, 1, "x", data.NewDecimal(150, 2))), `{"id":1,"name":"x","amt":1.50}`},
		{datum(t, data.DateSchema, int32(19724)), "2024-01-02"},
		{datum(t, data.TimestampSchema, int64(1704164645678)), "2024-01-02T03:04:05.678Z"},
		{datum(t, data.TimeSchema, int32(11045678)), "03:04:05.678Z"},
		{datum(t, nil, map[string]any{"a": []any{int64(1), nil}}), `{"a":[1,null]}`},
	} {
		if got, _ := write(t, c, tt.d); got != tt.want {
			t.Errorf("writes %s, want %s", got, tt.want)
		}
	}
	if _, null := write(t, c, data.Datum{}); !null {
		t.Error("a null is written as bytes")
	}
}

func TestConvertersDoNotAllocate(t *testing.T) {
	d := datum(t, point, newPoint(t, 1, "name", data.NewDecimal(57, 2)))
	avro := make1(t, "Avro", Value, newRegistry(), "schema.registry.url", "http://r")
	jsonPlain := make1(t, "Json", Value, nil, "schemas.enable", "false", "decimal.format", "numeric")
	jsonFull := make1(t, "Json", Value, nil)
	text := datum(t, data.StringSchema, "hello")
	for _, tt := range []struct {
		name string
		c    Converter
		d    data.Datum
	}{{"avro", avro, d}, {"plain json", jsonPlain, d}, {"json", jsonFull, d}, {"string", make1(t, "String", Value, nil), text},
		{"bytes", make1(t, "ByteArray", Value, nil), datum(t, data.BytesSchema, []byte{1})}} {
		buf := make([]byte, 0, 4096)
		ctx := context.Background()
		n := testing.AllocsPerRun(100, func() {
			if _, _, err := tt.c.FromConnect(ctx, "t", tt.d, buf[:0]); err != nil {
				t.Fatal(err)
			}
		})
		if n != 0 {
			t.Errorf("%s: writing a record allocates %v times", tt.name, n)
		}
	}
	raw, _, err := avro.FromConnect(t.Context(), "t", d, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	if n := testing.AllocsPerRun(100, func() {
		if _, err := avro.ToConnect(ctx, "t", raw); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("avro: reading a record allocates %v times", n)
	}
}

func TestLRU(t *testing.T) {
	c := newLRU[int, string](2)
	c.put(1, "a", 1)
	c.put(2, "b", 1)
	c.get(1)
	c.put(3, "c", 1)
	if _, ok := c.get(2); ok {
		t.Error("what was used least recently is still there")
	}
	for _, k := range []int{1, 3} {
		if _, ok := c.get(k); !ok {
			t.Errorf("%d is gone", k)
		}
	}
	c.put(1, "z", 1)
	if v, _ := c.get(1); v != "z" || len(c.items) != 2 || c.weight != 2 {
		t.Errorf("1 is %q of %d items weighing %d", v, len(c.items), c.weight)
	}
	c.put(4, "heavy", cacheBytes)
	if _, ok := c.get(4); !ok || len(c.items) != 1 || c.weight != cacheBytes {
		t.Errorf("an item of the whole budget leaves %d items weighing %d", len(c.items), c.weight)
	}
	c.put(5, "too heavy", cacheBytes+1)
	if _, ok := c.get(5); ok || len(c.items) != 1 {
		t.Error("an item over the budget is remembered")
	}
}

// FuzzToConnect feeds foreign bytes to every converter. What one takes it must
// write again.
func FuzzToConnect(f *testing.F) {
	for _, s := range []string{"", "null", `{"schema":{"type":"int8"},"payload":1}`, "[1,{2:3}]", "2024-01-02", "\x00\x00\x00\x00\x01\x02\x00\x00",
		"\x00\x00\x00\x00\x02\x00", "\x00\x00\x00\x00\x03\x00\x02\x02ab"} {
		f.Add([]byte(s))
	}
	registry := newRegistry()
	for _, text := range []string{
		`{"type":"record","name":"R","fields":[{"name":"e","type":{"type":"enum","name":"E","symbols":["A","B"]}},{"name":"m","type":[{"type":"map","values":"int"},"null"]}]}`,
		anythingText, `"bytes"`, `["null",{"type":"array","items":{"type":"int","connect.type":"int8"}}]`,
	} {
		if _, err := registry.Register(context.Background(), "t-value", text, kindAvro, false); err != nil {
			f.Fatal(err)
		}
	}
	var all []Converter
	for _, c := range Classes() {
		all = append(all, make1(f, c.Name, c.Sides[len(c.Sides)-1], registry, "schema.registry.url", "http://r"))
	}
	all = append(all, make1(f, "Json", Value, nil, "schemas.enable", "false"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		for i, c := range all {
			d, err := c.ToConnect(t.Context(), "t", raw)
			if err != nil {
				if !asClass[*RecordError](err) {
					t.Fatalf("converter %d: %x is not the record's fault: %v", i, raw, err)
				}
				continue
			}
			if _, err := d.Value(); err != nil {
				t.Fatalf("converter %d: %x reads as a row that does not decode: %v", i, raw, err)
			}
			if _, _, err := c.FromConnect(t.Context(), "t", d, nil); err != nil {
				t.Fatalf("converter %d: %x reads and does not write: %v", i, raw, err)
			}
		}
	})
}

func ExampleLookup() {
	class, _ := Lookup("org.apache.kafka.connect.json.JsonConverter")
	c, err := class.New(Settings{Side: Value, Props: map[string]string{"schemas.enable": "false"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	d, err := data.NewDatum(data.ArrayOf(data.Float64Schema).MustBuild(), []any{1.0, math.Inf(1)})
	if err != nil {
		fmt.Println(err)
		return
	}
	out, _, err := c.FromConnect(context.Background(), "t", d, nil)
	fmt.Println(string(out), err)
	// Output: [1.0,"Infinity"] <nil>
}
