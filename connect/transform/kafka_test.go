package transform

import (
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/plugins/data"
)

func TestMaskField(t *testing.T) {
	s := data.NewStructBuilder().Name("m").Optional().Field("i", data.OptionalInt32Schema).Field("s", data.StringSchema).
		Field("d", data.DecimalSchema(2)).Field("l", data.ArrayOf(data.Int8Schema).MustBuild()).
		Field("day", data.DateSchema).Field("b", data.OptionalBytesSchema).MustBuild()
	in := structOf(t, s, int32(5), "secret", data.NewDecimal(99, 2), []any{int8(1)}, int32(12), []byte{1})
	null := structOf(t, s, nil, "secret", data.NewDecimal(99, 2), []any{}, int32(12), nil)
	all := map[string]string{"fields": "i,s,d,l,day"}
	runSteps(t, kafka+"MaskField$Value", []step{
		{name: "zeros", props: all, in: datum(t, s, in),
			want: datum(t, s, structOf(t, s, int32(0), "", data.NewDecimal(0, 2), []any{}, int32(0), []byte{1}))},
		{name: "null stays", props: all, in: datum(t, s, null),
			want: datum(t, s, structOf(t, s, nil, "", data.NewDecimal(0, 2), []any{}, int32(0), nil))},
		{name: "replacement", props: map[string]string{"fields": "i,s", "replacement": "7"}, in: datum(t, s, in),
			want: datum(t, s, structOf(t, s, int32(7), "7", data.NewDecimal(99, 2), []any{int8(1)}, int32(12), []byte{1}))},
		{name: "bytes", props: map[string]string{"fields": "b"}, in: datum(t, s, in), err: `field "b"`},
		{name: "schemaless", props: map[string]string{"fields": "a,b,c,l,none"},
			in:   datum(t, nil, map[string]any{"a": int64(5), "b": "x", "c": true, "l": []any{int64(1)}, "k": "kept"}),
			want: datum(t, nil, map[string]any{"a": int64(0), "b": "", "c": false, "l": []any{}, "k": "kept", "none": nil})},
		{name: "null value", props: all, err: "RecordIsTombstone"},
		{name: "schemaless replacement", props: map[string]string{"fields": "a", "replacement": "x"},
			in: datum(t, nil, map[string]any{"a": int64(5)}), err: `replacement "x" is no number`},
	})
}

func TestExtractField(t *testing.T) {
	inner := data.NewStructBuilder().Optional().Field("x.y", data.OptionalInt32Schema).MustBuild()
	withDefault := data.NewBuilder(data.TypeString).Optional().Default("d").MustBuild()
	s := data.NewStructBuilder().Optional().Field("a", inner).Field("b", withDefault).Field("c", data.Int64Schema).MustBuild()
	full := datum(t, s, structOf(t, s, structOf(t, inner, int32(3)), nil, int64(9)))
	empty := datum(t, s, structOf(t, s, nil, "set", int64(9)))
	v2 := map[string]string{"field": "a.`x.y`", "field.syntax.version": "V2"}
	runSteps(t, kafka+"ExtractField$Key", []step{
		{name: "plain", props: map[string]string{"field": "c"}, in: empty, want: datum(t, data.Int64Schema, int64(9))},
		{name: "struct", props: map[string]string{"field": "a"}, in: full, want: datum(t, inner, structOf(t, inner, int32(3)))},
		{name: "default for null", props: map[string]string{"field": "b"}, in: full, want: datum(t, withDefault, "d")},
		{name: "null kept", props: map[string]string{"field": "b", "replace.null.with.default": "false"}, in: full,
			want: datum(t, withDefault, nil)},
		{name: "nested", props: v2, in: full, want: datum(t, data.OptionalInt32Schema, int32(3))},
		{name: "null on the way", props: v2, in: empty, want: datum(t, data.OptionalInt32Schema, nil)},
		{name: "unknown", props: map[string]string{"field": "x"}, in: full, err: "Unknown field: x"},
		{name: "dots are part of a name in V1", props: map[string]string{"field": "a.x"}, in: full, err: "Unknown field: a.x"},
		{name: "null", props: map[string]string{"field": "c"}},
		{name: "null of schema", props: map[string]string{"field": "c"}, in: datum(t, s, nil), want: data.Datum{Schema: data.Int64Schema, State: data.Null}},
		{name: "schemaless", props: map[string]string{"field": "c"}, in: datum(t, nil, map[string]any{"c": "x"}), want: datum(t, nil, "x")},
		{name: "schemaless missing", props: v2, in: datum(t, nil, map[string]any{"a": int64(1)})},
		{name: "schemaless nested", props: v2, in: datum(t, nil, map[string]any{"a": map[string]any{"x.y": true}}), want: datum(t, nil, true)},
	})
}

func TestFieldPath(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"a.b", "a|b"}, {"`a.b`.c", "a.b|c"}, {"a.`b`", "a|b"}, {"a`b.c", "a`b|c"}, {"`a`b`.c", "a`b|c"},
		{"`a\\`.b`.c", "a`.b|c"}, {"a.", "a|"}, {"", ""}, {"``", ""},
	} {
		p, err := parseFieldPath(tt.text, "V2")
		if got := strings.Join(p, "|"); err != nil || got != tt.want {
			t.Errorf("%q: got %q, %v, want %q", tt.text, got, err, tt.want)
		}
	}
	for _, text := range []string{"`a", "`a.b", "`a`b.c", "`a\\`"} {
		if p, err := parseFieldPath(text, "V2"); err == nil || !strings.Contains(err.Error(), "Incomplete backtick pair in path: [") {
			t.Errorf("%q: got %q, %v", text, p, err)
		}
	}
}

func TestHoistField(t *testing.T) {
	wrapped := func(s *data.Schema) *data.Schema { return data.NewStructBuilder().Field("f", s).MustBuild() }
	props := map[string]string{"field": "f"}
	i, o := wrapped(data.Int32Schema), wrapped(data.OptionalStringSchema)
	runSteps(t, kafka+"HoistField$Value", []step{
		{name: "number", props: props, in: datum(t, data.Int32Schema, int32(4)), want: datum(t, i, structOf(t, i, int32(4)))},
		{name: "optional", props: props, in: datum(t, data.OptionalStringSchema, "x"), want: datum(t, o, structOf(t, o, "x"))},
		{name: "null of schema", props: props, in: datum(t, data.OptionalStringSchema, nil), want: datum(t, o, data.NewStruct(o))},
		{name: "null of required schema", props: props, in: data.Datum{Schema: data.Int32Schema, State: data.Null}, err: "null"},
		{name: "schemaless", props: props, in: datum(t, nil, "x"), want: datum(t, nil, map[string]any{"f": "x"})},
		{name: "null", props: props, want: datum(t, nil, map[string]any{"f": nil})},
	})
}

func TestCast(t *testing.T) {
	old := data.NewBuilder(data.TypeInt32).Name("n").Version(1).Doc("d").Optional().Default(int32(300)).MustBuild()
	cast8 := data.NewBuilder(data.TypeInt8).Optional().Default(int8(44)).MustBuild()
	s := data.NewStructBuilder().Name("c").Optional().Field("a", old).Field("d", data.DateSchema).Field("k", data.StringSchema).MustBuild()
	out := data.NewStructBuilder().Name("c").Optional().Field("a", cast8).Field("d", data.StringSchema).Field("k", data.StringSchema).MustBuild()
	props := map[string]string{"spec": "a:int8, d:STRING"}
	runSteps(t, kafka+"Cast$Value", []step{
		{name: "fields", props: props, in: datum(t, s, structOf(t, s, int32(-129), int32(1), "x")),
			want: datum(t, out, structOf(t, out, int8(127), "1970-01-02", "x"))},
		{name: "null", props: props},
		{name: "null of schema", props: props, in: datum(t, s, nil), want: datum(t, s, nil)},
		{name: "schemaless", props: props, in: datum(t, nil, map[string]any{"a": "12"}),
			want: datum(t, nil, map[string]any{"a": int8(12), "d": nil})},
		{name: "whole", props: map[string]string{"spec": "string"}, in: datum(t, data.TimestampSchema, int64(1704164645006)),
			want: datum(t, data.StringSchema, "2024-01-02T03:04:05.006Z")},
		{name: "map", props: map[string]string{"spec": "string"}, in: datum(t, nil, map[string]any{}), err: "cannot be cast"},
		{name: "bytes to number", props: map[string]string{"spec": "int8"}, in: datum(t, data.BytesSchema, []byte{1}), err: "bytes can be cast to string only"},
		{name: "out of range", props: map[string]string{"spec": "int8"}, in: datum(t, data.StringSchema, "128"), err: "no number of type int8"},
	})
	for _, spec := range []string{"", "a:b", "int8,a:int8", "a:int8,a:int16", "a:bytes", ":int8"} {
		if _, err := newChainOf("Cast$Value", map[string]string{"spec": spec}); err == nil {
			t.Errorf("spec %q is accepted", spec)
		}
	}
}

func TestCastValues(t *testing.T) {
	for _, tt := range []struct {
		v    any
		typ  data.Type
		want any
	}{
		{float64(1e20), data.TypeInt32, int32(2147483647)}, {float64(-1e20), data.TypeInt64, int64(-1 << 63)},
		{float64(300.9), data.TypeInt8, int8(44)}, {int64(1) << 40, data.TypeInt32, int32(0)},
		{true, data.TypeInt16, int16(1)}, {int64(-2), data.TypeBoolean, true}, {"TRUE", data.TypeBoolean, true}, {"1", data.TypeBoolean, false},
		{data.NewDecimal(-1999, 2), data.TypeInt32, int32(-19)}, {data.NewDecimal(5, -1), data.TypeInt8, int8(50)},
		{data.NewDecimal(1250, 2), data.TypeFloat64, 12.5}, {data.NewDecimal(1250, 2), data.TypeString, "12.50"},
		{[]byte{1, 2}, data.TypeString, "AQI="}, {float32(1), data.TypeString, "1.0"}, {" 1.5 ", data.TypeFloat32, float32(1.5)},
		{1e10, data.TypeString, "1.0E10"}, {nil, data.TypeString, nil},
	} {
		got, err := castValue(nil, tt.v, tt.typ)
		if err != nil || got != tt.want {
			t.Errorf("%v to %v: got %v, %v, want %v", tt.v, tt.typ, got, err, tt.want)
		}
	}
}

func TestFlatten(t *testing.T) {
	inner := data.NewStructBuilder().Optional().Field("x", data.Int32Schema).Field("l", data.ArrayOf(data.StringSchema).MustBuild()).MustBuild()
	s := data.NewStructBuilder().Name("f").Field("a", inner).Field("b", data.StringSchema).MustBuild()
	out := data.NewStructBuilder().Name("f").Field("a_x", data.OptionalInt32Schema).
		Field("a_l", data.AsOptional(data.ArrayOf(data.StringSchema).MustBuild())).Field("b", data.StringSchema).MustBuild()
	withMap := data.NewStructBuilder().Field("m", data.MapOf(data.StringSchema, data.StringSchema).MustBuild()).MustBuild()
	props := map[string]string{"delimiter": "_"}
	runSteps(t, kafka+"Flatten$Value", []step{
		{name: "struct", props: props, in: datum(t, s, structOf(t, s, structOf(t, inner, int32(1), []any{"q"}), "z")),
			want: datum(t, out, structOf(t, out, int32(1), []any{"q"}, "z"))},
		{name: "null inside", props: props, in: datum(t, s, structOf(t, s, nil, "z")), want: datum(t, out, structOf(t, out, nil, nil, "z"))},
		{name: "map", props: props, in: datum(t, withMap, structOf(t, withMap, data.Map{})), err: `"m" is a map`},
		{name: "schemaless", in: datum(t, nil, map[string]any{"a": map[string]any{"b": map[string]any{"c": int64(1)}, "d": []any{}}}),
			want: datum(t, nil, map[string]any{"a.b.c": int64(1), "a.d": []any{}})},
		{name: "null", props: props},
		{name: "text", props: props, in: datum(t, data.StringSchema, "x"), err: "only structs"},
	})
}

func TestHeaders(t *testing.T) {
	c := chainOf(t, "InsertHeader", map[string]string{"header": "h", "value.literal": "[1,2]"})
	rec := baseRecord()
	shared := make([]data.Header, 1, 4)
	shared[0] = data.Header{Name: "h"}
	rec.Headers = shared
	if _, err := c.Apply(&rec); err != nil || len(rec.Headers) != 2 || data.Text(decoded(t, rec.Headers[1].Value)) != "[1, 2]" {
		t.Errorf("got %v, %v", rec.Headers, err)
	}
	if shared[:2][1].Name != "" {
		t.Error("the list of the input was changed")
	}
	drop := chainOf(t, "DropHeaders", map[string]string{"headers": "x,h"})
	if _, err := drop.Apply(&rec); err != nil || len(rec.Headers) != 0 || shared[0].Name != "h" {
		t.Errorf("got %v, %v", rec.Headers, err)
	}
	if _, err := New(map[string]string{"transforms": "i", "transforms.i.type": "InsertHeader", "transforms.i.header": "h",
		"transforms.i.value.literal": "x"}, Options{}); err == nil {
		t.Error("InsertHeader works without a parser")
	}
}

func TestHeaderFrom(t *testing.T) {
	s := data.NewStructBuilder().Field("a", data.Int32Schema).Field("b", data.StringSchema).MustBuild()
	rest := data.NewStructBuilder().Field("b", data.StringSchema).MustBuild()
	move := map[string]string{"fields": "a", "headers": "h", "operation": "move"}
	both := map[string]string{"fields": "a", "headers": "h", "operation": "copy"}
	in := datum(t, s, structOf(t, s, int32(1), "x"))
	runSteps(t, kafka+"HeaderFrom$Value", []step{
		{name: "move", props: move, in: in, want: datum(t, rest, structOf(t, rest, "x"))},
		{name: "copy", props: both, in: in, want: in},
		{name: "schemaless move", props: move, in: datum(t, nil, map[string]any{"a": "x", "b": "y"}), want: datum(t, nil, map[string]any{"b": "y"})},
		{name: "unknown", props: map[string]string{"fields": "q", "headers": "h", "operation": "copy"}, in: in, err: "field does not exist: q"},
		{name: "null", props: move, err: "a null value has no fields"},
	})
	rec := baseRecord()
	rec.Value = in
	if _, err := chainOf(t, "HeaderFrom$Value", move).Apply(&rec); err != nil {
		t.Fatal(err)
	}
	sameDatum(t, "header", rec.Headers[0].Value, datum(t, data.Int32Schema, int32(1)))
	if _, err := newChainOf("HeaderFrom$Value", map[string]string{"fields": "a,b", "headers": "h", "operation": "copy"}); err == nil {
		t.Error("lists of different length are accepted")
	}
}

func TestSetSchemaMetadata(t *testing.T) {
	out := data.NewStructBuilder().Name("new").Version(9).Doc("a person").Param("p", "v").Optional()
	named := withFields(out, person).MustBuild()
	p := structOf(t, person, int64(1), "a", nil)
	number := data.NewBuilder(data.TypeInt32).Name("new").Version(9).Optional().Default(int32(4)).MustBuild()
	props := map[string]string{"schema.name": "new", "schema.version": "9"}
	runSteps(t, kafka+"SetSchemaMetadata$Value", []step{
		{name: "struct", props: props, in: datum(t, person, p), want: datum(t, named, structOf(t, named, int64(1), "a", int32(7)))},
		{name: "number", props: props, in: datum(t, data.NewBuilder(data.TypeInt32).Optional().Default(int32(4)).MustBuild(), int32(5)),
			want: datum(t, number, int32(5))},
		{name: "null of schema", props: props, in: datum(t, person, nil), want: datum(t, named, nil)},
		{name: "null", props: props},
		{name: "schemaless", props: props, in: datum(t, nil, "x"), err: "without schema"},
	})
	if _, err := newChainOf("SetSchemaMetadata$Key", nil); err == nil || !strings.Contains(err.Error(), "Neither schema name nor version") {
		t.Errorf("nothing to set: %v", err)
	}
}

func TestTimestampConverter(t *testing.T) {
	s := data.NewStructBuilder().Optional().Field("at", data.OptionalTimestampSchema).Field("k", data.StringSchema).MustBuild()
	text := data.NewStructBuilder().Optional().Field("at", data.OptionalStringSchema).Field("k", data.StringSchema).MustBuild()
	to := func(kv ...string) map[string]string {
		m := map[string]string{}
		for i := 0; i < len(kv); i += 2 {
			m[kv[i]] = kv[i+1]
		}
		return m
	}
	toText := to("field", "at", "target.type", "string", "format", "yyyy-MM-dd HH:mm:ss.SSS")
	runSteps(t, kafka+"TimestampConverter$Value", []step{
		{name: "field to text", props: toText, in: datum(t, s, structOf(t, s, int64(1704164645006), "x")),
			want: datum(t, text, structOf(t, text, "2024-01-02 03:04:05.006", "x"))},
		{name: "null field", props: toText, in: datum(t, s, structOf(t, s, nil, "x")), want: datum(t, text, structOf(t, text, nil, "x"))},
		{name: "text to timestamp", props: to("target.type", "Timestamp", "format", "yyyy-MM-dd'T'HH:mm:ssX"),
			in: datum(t, data.StringSchema, "2024-01-02T04:04:05+01"), want: datum(t, data.TimestampSchema, int64(1704164645000))},
		{name: "micros to date", props: to("target.type", "Date", "unix.precision", "microseconds"),
			in:   datum(t, data.NewBuilder(data.TypeInt64).Name("io.debezium.time.MicroTimestamp").Optional().MustBuild(), int64(-1)),
			want: datum(t, data.OptionalDateSchema, int32(-1))},
		{name: "date to seconds", props: to("target.type", "unix", "unix.precision", "seconds"),
			in: datum(t, data.DateSchema, int32(2)), want: datum(t, data.Int64Schema, int64(172800))},
		{name: "timestamp to time", props: to("target.type", "Time"), in: datum(t, data.TimestampSchema, int64(-1)),
			want: datum(t, data.TimeSchema, int32(86399999))},
		{name: "schemaless", props: to("field", "a", "target.type", "unix", "format", "yyyyMMddHHmmss"),
			in: datum(t, nil, map[string]any{"a": "20240102030405"}), want: datum(t, nil, map[string]any{"a": int64(1704164645000)})},
		{name: "null", props: toText},
		{name: "null of schema", props: toText, in: datum(t, s, nil), want: datum(t, text, nil)},
		{name: "wrong type", props: to("target.type", "Date"), in: datum(t, data.BooleanSchema, true), err: "no timestamp"},
		{name: "wrong text", props: to("target.type", "Date", "format", "yyyy"), in: datum(t, data.StringSchema, "x"), err: "does not fit the date format"},
		{name: "text without format", props: to("target.type", "Date"), in: datum(t, data.StringSchema, "x"), err: "format"},
	})
	if _, err := newChainOf("TimestampConverter$Value", to("target.type", "string")); err == nil {
		t.Error("a text without format is accepted")
	}
}

func TestTimestampRouter(t *testing.T) {
	c := chainOf(t, "TimestampRouter", map[string]string{"timestamp.format": "yyyyMMdd-HH"})
	rec := baseRecord()
	if _, err := c.Apply(&rec); err != nil || rec.Topic != "topic-20231114-22" {
		t.Errorf("got %s, %v", rec.Topic, err)
	}
	rec.Timestamp = data.NoTimestamp
	if _, err := c.Apply(&rec); err == nil {
		t.Error("a record without timestamp passes")
	}
}

func TestValueToKey(t *testing.T) {
	key := data.NewStructBuilder().Field("name", data.OptionalStringSchema).Field("id", data.Int64Schema).MustBuild()
	c := chainOf(t, "ValueToKey", map[string]string{"fields": "name,id"})
	rec := baseRecord()
	rec.Value = datum(t, person, structOf(t, person, int64(1), "a", int32(4)))
	if _, err := c.Apply(&rec); err != nil {
		t.Fatal(err)
	}
	sameDatum(t, "key", rec.Key, datum(t, key, structOf(t, key, "a", int64(1))))
	rec.Value = datum(t, nil, map[string]any{"id": int64(1)})
	if _, err := c.Apply(&rec); err != nil {
		t.Fatal(err)
	}
	sameDatum(t, "key", rec.Key, datum(t, nil, map[string]any{"id": int64(1), "name": nil}))
	for _, bad := range []data.Datum{{}, datum(t, key, structOf(t, key, "a", int64(1))), datum(t, nil, "x")} {
		rec.Value = bad
		only := chainOf(t, "ValueToKey", map[string]string{"fields": "age"})
		if _, err := only.Apply(&rec); err == nil {
			t.Errorf("%v has a key", bad)
		}
	}
}

func TestDateFormat(t *testing.T) {
	const ms = 1704164645006 // 2024-01-02 03:04:05.006, a Tuesday
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		pattern, text string
		back          int64 // -1: cannot be read
	}{
		{"yyyy-MM-dd'T'HH:mm:ss.SSSXXX", "2024-01-02T03:04:05.006Z", ms},
		{"EEE, d MMM yyyy HH:mm:ss Z", "Tue, 2 Jan 2024 03:04:05 +0000", ms - 6},
		{"EEEE dd MMMM yy hh:mm a z", "Tuesday 02 January 24 03:04 AM UTC", ms - 5006},
		{"D u ''yyyy", "2 2 '2024", 1704153600000},
		{"YYYY'w'ww", "2024w01", -1},
		{"yyyyMMddHHmmssSSS", "20240102030405006", ms},
		{"k K h", "3 3 3", 3 * 3600 * 1000},
	} {
		f, err := compileDateFormat(tt.pattern, now)
		if err != nil {
			t.Errorf("%s: %v", tt.pattern, err)
			continue
		}
		if got := f.format(ms); got != tt.text {
			t.Errorf("%s: wrote %q, want %q", tt.pattern, got, tt.text)
		}
		if err := f.canParse(); (err != nil) != (tt.back < 0) && tt.pattern[0] != 'D' {
			t.Errorf("%s: %v", tt.pattern, err)
		}
		if got, err := f.parse(tt.text); tt.back >= 0 && (err != nil || got != tt.back) {
			t.Errorf("%s: read %d, %v, want %d", tt.pattern, got, err, tt.back)
		}
	}
	for _, bad := range []string{"yyyy'", "b", "XXXX", strings.Repeat("y", 300)} {
		if _, err := compileDateFormat(bad, now); err == nil {
			t.Errorf("pattern %q is accepted", bad)
		}
	}
	f, err := compileDateFormat("yy", now)
	if err != nil {
		t.Fatal(err)
	}
	for text, year := range map[string]int{"45": 2045, "46": 1946, "26": 2026} {
		if got, err := f.parse(text); err != nil || time.UnixMilli(got).UTC().Year() != year {
			t.Errorf("yy of %s is %d, %v", text, time.UnixMilli(got).UTC().Year(), err)
		}
	}
}

func TestRegexTranslation(t *testing.T) {
	for _, tt := range []struct {
		pattern, text string
		want          bool
	}{
		{`(?<a>x)+`, "xx", true}, {`\Qa.b\E+`, "a.bb", true}, {`\p{Alpha}+`, "abc", true}, {`[\p{Alpha}_]+`, "a_b", true},
		{`[^\p{Digit}]`, "x", true}, {`\h`, "\t", true}, {`\s`, "\v", true}, {`\u0041\x42\0103`, "ABC", true}, {`\R`, "\r\n", true},
		{`(?i)ABC`, "abc", true}, {`a{2,3}?`, "aaa", true}, {`[\[\]]`, "]", true}, {`\p{L}`, "é", true}, {`\cA`, "\x01", true}, {`a|bc`, "abc", false},
	} {
		re, err := compileRegex(tt.pattern)
		if err != nil || re.matches(tt.text) != tt.want {
			t.Errorf("%s on %q: want %v, error %v", tt.pattern, tt.text, tt.want, err)
		}
	}
	for pattern, piece := range map[string]string{
		`x(?=y)`: `look-ahead "(?="`, `x(?!y)`: `negative look-ahead "(?!"`, `(?<=x)y`: `look-behind "(?<="`, `(?<!x)y`: `negative look-behind "(?<!"`,
		`(?>x)`: `atomic group "(?>"`, `(a)\1`: `back-reference \1`, `(?<n>a)\k<n>`: `back-reference \k`, `a*+`: `possessive quantifier "*+"`,
		`a++`: `possessive quantifier "++"`, `a?+`: `possessive quantifier "?+"`, `a{2}+`: `possessive quantifier "}+"`, `[a&&b]`: "intersection &&",
		`[a[bc]]`: "class within a class", `(?x)a`: `"(?x"`, `a\Z`: `\Z`, `[a`: "[ at 0 is not closed", `\`: "escapes nothing", `(`: "missing",
	} {
		if _, err := compileRegex(pattern); err == nil || !strings.Contains(err.Error(), piece) {
			t.Errorf("%s: got %v, want %s named", pattern, err, piece)
		}
	}
}
