package converter

import (
	"encoding/hex"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/millrace/millrace/plugins/data"
)

const protobufClass = "io.confluent.connect.protobuf.ProtobufConverter"

func protobufValue(t testing.TB, r Registry, props ...string) Converter {
	t.Helper()
	return make1(t, protobufClass, Value, r, append([]string{"schema.registry.url", "http://r"}, props...)...)
}

func newStruct(t testing.TB, s *data.Schema, values ...any) *data.Struct {
	t.Helper()
	v := data.NewStruct(s)
	for i, x := range values {
		if err := v.PutAt(i, x); err != nil {
			t.Fatal(err)
		}
	}
	return v
}

// everythingStruct has a field of each kind.
func everythingStruct(t testing.TB) (*data.Schema, *data.Struct) {
	inner := data.NewStructBuilder().Name("n.Inner").Field("x", data.Float32Schema).Field("y", data.OptionalBytesSchema).MustBuild()
	s := data.NewStructBuilder().Name("shop.v1.Outer").
		Field("z", data.Int8Schema).Field("n", data.Int64Schema).Field("text", data.OptionalStringSchema).Field("b", data.BooleanSchema).
		Field("inner", data.AsOptional(inner)).Field("again", data.AsOptional(inner)).
		Field("numbers", data.ArrayOf(data.Int32Schema).MustBuild()).Field("texts", data.ArrayOf(data.StringSchema).MustBuild()).
		Field("inners", data.ArrayOf(inner).MustBuild()).
		Field("m", data.MapOf(data.StringSchema, data.Float64Schema).MustBuild()).
		Field("d", data.DecimalSchema(2)).Field("day", data.DateBuilder().MustBuild()).Field("time", data.TimeBuilder().MustBuild()).
		Field("at", data.TimestampBuilder().Optional().MustBuild()).MustBuild()
	in := newStruct(t, inner, float32(1.5), []byte{1})
	return s, newStruct(t, s, int8(-3), int64(1)<<40, "é", true, in, nil, []any{int32(1), int32(-2), int32(300)}, []any{"a", ""}, []any{in},
		data.Map{{Key: "k", Value: 2.5}}, data.NewDecimal(-1234, 2), int32(19000), int32(3723004), int64(-1500))
}

// What is written is a message that Protocol Buffers' own library reads.
func TestProtobufIsReadByOthers(t *testing.T) {
	s, v := everythingStruct(t)
	r := newRegistry()
	c := protobufValue(t, r)
	got, _ := write(t, c, datum(t, s, v))
	if got[:6] != "\x00\x00\x00\x00\x01\x00" {
		t.Fatalf("prefix %x, want magic byte, id 1 and the index of the first message", got[:6])
	}
	text, kind, err := r.ByID(t.Context(), 1)
	if err != nil || kind != "PROTOBUF" {
		t.Fatalf("registered %s: %v", kind, err)
	}
	file, err := compileProto(t.Context(), text, nil)
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	m := dynamicpb.NewMessage(file.Messages().Get(0))
	if err := proto.Unmarshal([]byte(got[6:]), m); err != nil {
		t.Fatal(err)
	}
	raw, err := protojson.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	squeezed := strings.ReplaceAll(string(raw), " ", "")
	for _, want := range []string{
		`"z":-3`, `"n":"1099511627776"`, `"text":"é"`, `"b":true`, `"inner":{"x":1.5,"y":"AQ=="}`, `"numbers":[1,-2,300]`, `"texts":["a",""]`,
		`"inners":[{"x":1.5,"y":"AQ=="}]`, `"m":{"k":2.5}`, `"d":{"value":"+y4=","scale":2}`, `"day":{"year":2022,"month":1,"day":8}`,
		`"time":{"hours":1,"minutes":2,"seconds":3,"nanos":4000000}`, `"at":"1969-12-31T23:59:58.500Z"`,
	} {
		if !strings.Contains(squeezed, want) {
			t.Errorf("the message has no %s: %s", want, squeezed)
		}
	}
	if m.Has(file.Messages().Get(0).Fields().ByName("again")) {
		t.Error("a null is written")
	}
	if full := file.Messages().Get(0).FullName(); full != "shop.v1.Outer" {
		t.Errorf("the message is %s", full)
	}
}

func TestProtobufRoundTrips(t *testing.T) {
	s, v := everythingStruct(t)
	r := newRegistry()
	c := protobufValue(t, r)
	d := datum(t, s, v)
	got, _ := write(t, c, d)
	back, err := c.ToConnect(t.Context(), "t", []byte(got))
	if err != nil {
		t.Fatal(err)
	}
	x, err := back.Value()
	if err != nil {
		t.Fatal(err)
	}
	if want := data.Text(v); data.Text(x) != want {
		t.Errorf("read\n%s\nwant\n%s", data.Text(x), want)
	}
	if f, _ := back.Schema.Field("z"); f.Schema.Type() != data.TypeInt8 {
		t.Errorf("z is %s", f.Schema.Type())
	}
	// Read and written again, it is the same: the numbers of fields are kept.
	again, _ := write(t, protobufValue(t, r), back)
	if again[6:] != got[6:] {
		t.Errorf("written again it is %x, not %x", again[6:], got[6:])
	}
}

func TestProtobufPrimitivesAreWrapped(t *testing.T) {
	for _, tt := range []struct {
		s    *data.Schema
		v    any
		want string
	}{
		{data.StringSchema, "hi", "0000000001" + "020e" + "0a026869"},
		{data.OptionalInt64Schema, int64(0), "0000000001" + "0204" + ""},
		{data.Int32Schema, int32(-1), "0000000001" + "0208" + "08ffffffffffffffffff01"},
	} {
		c := protobufValue(t, newRegistry())
		got, _ := write(t, c, datum(t, tt.s, tt.v))
		if hex.EncodeToString([]byte(got)) != tt.want {
			t.Errorf("%v is %x, want %s", tt.v, got, tt.want)
			continue
		}
		back, err := c.ToConnect(t.Context(), "t", []byte(got))
		if err != nil {
			t.Fatal(err)
		}
		if v, err := back.Value(); err != nil || !data.EqualValues(v, tt.v) {
			t.Errorf("read %v, %v, want %v", v, err, tt.v)
		}
	}
}

const foreign = `syntax = "proto3";
package f;
import "other.proto";
enum Colour { RED = 0; BLUE = 5; }
message Zero {}
message Outer {
  message Inner {
    oneof pick { string s = 3; int32 i = 4; }
    Colour colour = 1;
    repeated sint64 zig = 2;
    optional int32 maybe = 5;
    o.Other other = 6;
    map<int32, Colour> colours = 7;
    uint32 big = 8;
  }
}`

// TestProtobufOfOthers reads what a library writes.
func TestProtobufOfOthers(t *testing.T) {
	imports := map[string]string{"other.proto": `syntax = "proto3"; package o; message Other { fixed64 f = 1; }`}
	file, err := compileProto(t.Context(), foreign, imports)
	if err != nil {
		t.Fatal(err)
	}
	inner := file.Messages().ByName("Outer").Messages().Get(0)
	for _, tt := range []struct {
		name, json string
		props      []string
		want       string
	}{
		{"all", `{"s":"x","colour":"BLUE","zig":["-1","2"],"maybe":7,"other":{"f":"9"},"colours":{"1":"BLUE"},"big":4294967295}`, nil,
			"Struct{pick_0=Struct{s=x},colour=BLUE,zig=[-1, 2],maybe=7,other=Struct{f=9},colours={1=BLUE},big=4294967295}"},
		{"nothing", `{}`, nil, "Struct{colour=RED,zig=[],colours={},big=0}"},
		{"enums as numbers, oneofs apart", `{"i":0,"colour":"BLUE"}`, []string{"int.for.enums", "true", "flatten.unions", "true"},
			"Struct{i=0,colour=5,zig=[],colours={},big=0}"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := dynamicpb.NewMessage(inner)
			if err := protojson.Unmarshal([]byte(tt.json), m); err != nil {
				t.Fatal(err)
			}
			raw, err := proto.Marshal(m)
			if err != nil {
				t.Fatal(err)
			}
			r := newRegistry()
			r.imports = imports
			if _, err := r.Register(t.Context(), "t-value", foreign, "PROTOBUF", false); err != nil {
				t.Fatal(err)
			}
			c := protobufValue(t, r, tt.props...)
			d, err := c.ToConnect(t.Context(), "t", append([]byte{0, 0, 0, 0, 1, 4, 2, 0}, raw...)) // [1, 0]
			if err != nil {
				t.Fatal(err)
			}
			v, err := d.Value()
			if got := data.Text(v); err != nil || got != tt.want {
				t.Errorf("read %s, %v\nwant %s", got, err, tt.want)
			}
			again, _, err := protobufValue(t, newRegistry()).FromConnect(t.Context(), "t", d, nil)
			if err != nil {
				t.Fatalf("written again: %v", err)
			}
			if tt.props == nil {
				back := dynamicpb.NewMessage(inner)
				if err := proto.Unmarshal(again[6:], back); err != nil || !proto.Equal(m, back) {
					t.Errorf("written again it is %v, %v, not %v", back, err, m)
				}
			}
		})
	}
	if inner.Fields().ByName("maybe").Cardinality() != protoreflect.Optional {
		t.Error("the schema is not what it should be")
	}
}

func TestProtobufOptions(t *testing.T) {
	s := data.NewStructBuilder().Name("N").Field("a-b", data.OptionalInt32Schema).Field("t", data.StringSchema).MustBuild()
	for _, tt := range []struct {
		props      []string
		want, wire string
	}{
		{[]string{"scrub.invalid.names", "true", "optional.for.nullables", "true"}, "  optional int32 a_2Db = 1;\n  string t = 2;\n", "0800"},
		{[]string{"scrub.invalid.names", "true", "wrapper.for.nullables", "true"}, "  google.protobuf.Int32Value a_2Db = 1;\n  string t = 2;\n", "0a00"},
	} {
		r := newRegistry()
		c := protobufValue(t, r, tt.props...)
		got, _ := write(t, c, datum(t, s, newStruct(t, s, int32(0), "")))
		if text, _, _ := r.ByID(t.Context(), 1); !strings.Contains(text, tt.want) || hex.EncodeToString([]byte(got[6:])) != tt.wire {
			t.Errorf("%v: %x with\n%s", tt.props, got[6:], text)
		}
		back, err := c.ToConnect(t.Context(), "t", []byte(got))
		if err != nil {
			t.Fatal(err)
		}
		if v, err := back.Value(); err != nil || data.Text(v) != "Struct{a_2Db=0,t=}" {
			t.Errorf("read %v, %v", v, err)
		}
		if f := back.Schema.Fields(); !f[0].Schema.Optional() || f[1].Schema.Optional() {
			t.Errorf("optional: %v, %v, want true, false", f[0].Schema.Optional(), f[1].Schema.Optional())
		}
	}
}

func TestProtobufRefusals(t *testing.T) {
	list := data.ArrayOf(data.OptionalInt32Schema).MustBuild()
	for _, tt := range []struct {
		s    *data.Schema
		v    any
		want string
	}{
		{data.NewStructBuilder().Name("N").Field("a", data.ArrayOf(list).MustBuild()).MustBuild(), []any{}, "arrays of arrays"},
		{data.NewStructBuilder().Name("N").Field("a", list).MustBuild(), []any{nil}, "a null in an array"},
		{data.NewStructBuilder().Name("N").Field("a b", data.Int32Schema).MustBuild(), int32(1), "set scrub.invalid.names"},
		{data.NewStructBuilder().Name("N").Field("a", data.MapOf(data.Float32Schema, data.Int32Schema).MustBuild()).MustBuild(), data.Map{}, "a map needs keys"},
	} {
		_, _, err := protobufValue(t, newRegistry()).FromConnect(t.Context(), "t", datum(t, tt.s, newStruct(t, tt.s, tt.v)), nil)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%v, want %q", err, tt.want)
		}
	}
	r := newRegistry()
	if _, err := r.Register(t.Context(), "t-value", `syntax = "proto3"; message M { int32 a = 1; M m = 2; }`, "PROTOBUF", false); err != nil {
		t.Fatal(err)
	}
	for raw, want := range map[string]string{
		"0000000001": "no message indexes", "000000000100": "holds itself", "00000000010204": "there is no message at [2]", "0100000001": "unknown magic byte",
	} {
		b, _ := hex.DecodeString(raw)
		if _, err := protobufValue(t, r).ToConnect(t.Context(), "t", b); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", raw, err, want)
		}
	}
}

func TestMessageIndexes(t *testing.T) {
	for _, tt := range []struct {
		indexes []int
		want    string
	}{{[]int{0}, "00"}, {[]int{1}, "0202"}, {[]int{0, 2}, "040004"}} {
		got := appendIndexes(nil, tt.indexes)
		back, rest, ok := readIndexes(append(got, 9))
		if hex.EncodeToString(got) != tt.want || !ok || len(rest) != 1 || len(back) != len(tt.indexes) || skipIndexes(got) != len(got) {
			t.Errorf("%v is %x, read %v %v", tt.indexes, got, back, ok)
		}
	}
}

// A known schema costs neither a request nor memory.
func TestProtobufHotPath(t *testing.T) {
	s, v := everythingStruct(t)
	r := newRegistry()
	c := protobufValue(t, r)
	d := datum(t, s, v)
	buf := make([]byte, 0, 1024)
	ctx := t.Context()
	run := func() {
		if _, _, err := c.FromConnect(ctx, "t", d, buf); err != nil {
			t.Fatal(err)
		}
	}
	run()
	if n := testing.AllocsPerRun(100, run); n > 0 {
		t.Errorf("%v allocations", n)
	}
	if r.calls != 1 {
		t.Errorf("the registry was asked %d times", r.calls)
	}
}

func FuzzProtobufRead(f *testing.F) {
	s, v := everythingStruct(f)
	r := newRegistry()
	c := protobufValue(f, r)
	out, _, err := c.FromConnect(f.Context(), "t", datum(f, s, v), nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(out[6:])
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := c.ToConnect(t.Context(), "t", append([]byte{0, 0, 0, 0, 1, 0}, b...))
		if err != nil {
			return
		}
		if err := data.Check(d.Schema, d.Row); err != nil {
			t.Fatalf("%x makes a row that is none: %v", b, err)
		}
	})
}
