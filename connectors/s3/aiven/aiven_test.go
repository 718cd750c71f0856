package aiven

import (
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/plugins/data"
	"github.com/millrace/millrace/plugins/sdktest"
)

var person = data.NewStructBuilder().Name("Person").Field("name", data.StringSchema).Field("age", data.OptionalInt64Schema).MustBuild()

// record is a record of a topic with a key, headers and a time.
func record(t *testing.T, value any, schema *data.Schema) *data.Record {
	t.Helper()
	r := sdktest.LogRecord(t, "people", 7, 42, schema, value)
	r.Timestamp = 1_600_000_000_123
	r.Key = datum(t, data.StringSchema, "k/1")
	r.Headers = []data.Header{{Name: "h", Value: datum(t, data.BytesSchema, []byte("v"))}, {Name: "n", Value: datum(t, data.Int64Schema, int64(5))}}
	return &r
}

func datum(t *testing.T, s *data.Schema, v any) data.Datum {
	t.Helper()
	d, err := data.NewDatum(s, v)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestNames(t *testing.T) {
	now := time.Date(2026, 3, 1, 23, 30, 0, 0, time.UTC)
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	r := record(t, "v", data.StringSchema)
	for _, tt := range []struct {
		template      string
		event         bool
		want          string // of offset 9
		deterministic bool
		latest        bool
	}{
		{"{{topic}}-{{partition}}-{{start_offset}}.gz", false, "people-7-9.gz", true, false},
		{"a/{{ topic }}-{{ partition:padding=true }}-{{start_offset : padding=true}}", false, "a/people-0000000007-00000000000000000009", true, false},
		{"{{topic}}/{{partition:padding=false}}/{{start_offset}}/{{timestamp:unit=yyyy}}{{timestamp:unit=MM}}{{timestamp:unit=dd}}{{timestamp:unit=HH}}", false, "people/7/9/2026030200", false, false},
		{"{{topic}}{{partition}}{{start_offset}}{{timestamp:unit=YYYY}}", true, "people792020", true, false},
		{"{{key}}", false, "k/1", false, true},
		{"{{topic}}-{{partition}}-{{key}}", false, "people-7-k/1", false, true},
		{"{{topic}}-{{partition}}-{{key}}-{{start_offset}}", false, "people-7-k/1-9", true, false},
		{"{{utc_date}}{{topic}}-{{partition}}-{{start_offset}}", false, "2026-03-01people-7-9", false, false},
	} {
		names, err := Parse(tt.template, berlin, tt.event)
		if err == nil {
			err = names.Check()
		}
		if err != nil {
			t.Errorf("%s: %v", tt.template, err)
			continue
		}
		group, err := names.Group(r, now)
		if err != nil || Name(group, 9) != tt.want || names.Deterministic() != tt.deterministic || names.Latest() != tt.latest {
			t.Errorf("%s is %q, %v, deterministic %v, latest %v; want %q, %v, %v", tt.template, Name(group, 9), err, names.Deterministic(), names.Latest(), tt.want, tt.deterministic, tt.latest)
		}
		if group, err := names.After("p{{/").Group(r, now); err != nil || Name(group, 9) != "p{{/"+tt.want {
			t.Errorf("%s after a prefix is %q, %v", tt.template, group, err)
		}
	}
}

func TestNamesThatAreRefused(t *testing.T) {
	for _, tt := range []struct{ template, want string }{
		{"", "the variables must be"},
		{"plain", "the variables must be"},
		{"{{topic}}-{{partition}}", "the variables must be"},
		{"{{key}}-{{topic}}", "the variables must be"},
		{"{{key}}-{{timestamp:unit=HH}}", "the variables must be"},
		{"{{topic", "no closing"},
		{"{{offset}}", "is no variable"},
		{"{{timestamp}}", "unit=yyyy"},
		{"{{timestamp:unit=mm}}", "unit=yyyy"},
		{"{{partition:padding=yes}}", "padding=true"},
		{"{{topic:padding=true}}", "no parameters"},
	} {
		names, err := Parse(tt.template, time.UTC, false)
		if err == nil {
			err = names.Check()
		}
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: error %v, want one with %q", tt.template, err, tt.want)
		}
	}
	names, err := Parse("{{key}}", time.UTC, false)
	if err != nil {
		t.Fatal(err)
	}
	r := record(t, "v", data.StringSchema)
	r.Key = datum(t, data.StringSchema, strings.Repeat("x", 2000))
	if _, err := names.Group(r, time.Now()); err == nil || !strings.Contains(err.Error(), "2000 bytes") {
		t.Errorf("a key of 2000 bytes: %v", err)
	}
	r.Key = datum(t, data.StringSchema, "a\x01b")
	if group, err := names.Group(r, time.Now()); err != nil || Name(group, 5) != "ab" {
		t.Errorf("a key with the mark of an offset is %q, %v", Name(group, 5), err)
	}
	r.Key = data.Datum{}
	if group, err := names.Group(r, time.Now()); err != nil || group != "null" {
		t.Errorf("no key is %q, %v", group, err)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"{{topic}}-{{partition:padding=true}}", "{{", "}}", "{{}}", "{{timestamp:unit=yyyy}}"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if names, err := Parse(s, time.UTC, false); err == nil && names.Check() == nil && !strings.Contains(s, "{{") {
			t.Errorf("%q has no variables and is allowed", s)
		}
	})
}

func TestLines(t *testing.T) {
	all := []string{Key, Value, Offset, Timestamp, Headers}
	p := data.NewStruct(person)
	if err := p.Put("name", "Jo"); err != nil {
		t.Fatal(err)
	}
	text := record(t, "v\"1", data.StringSchema)
	bare := record(t, nil, nil)
	bare.Key, bare.Headers, bare.Timestamp = data.Datum{}, nil, data.NoTimestamp
	whole := record(t, map[string]any{"a": []any{int64(1), nil}}, nil)
	whole.Timestamp = 1_600_000_000_000
	for _, tt := range []struct {
		name string
		line func([]byte, *data.Record) ([]byte, error)
		r    *data.Record
		want string
	}{
		{"CSV", CSV([]string{Key, Value, Offset, Timestamp}, false), text, "ay8x,diIx,42,1600000000123"},
		{"CSV, plain", CSV([]string{Value, Key}, true), text, "v\"1,ay8x"},
		{"CSV of nothing", CSV(all, false), bare, ",,42,,"},
		{"JSON", JSON(all, true), text, `{"key":"k/1","value":"v\"1","offset":42,"timestamp":"2020-09-13T12:26:40.123Z","headers":[{"key":"h","value":"dg=="},{"key":"n","value":5}]}`},
		{"JSON of nothing", JSON(all, true), bare, `{"key":null,"value":null,"offset":42,"timestamp":null,"headers":[]}`},
		{"JSON of a struct", JSON([]string{Value}, true), record(t, p, person), `{"value":{"name":"Jo","age":null}}`},
		{"JSON without envelope", JSON([]string{Value}, false), record(t, p, person), `{"name":"Jo","age":null}`},
		{"JSON of what has no schema", JSON([]string{Timestamp, Value}, true), whole, `{"timestamp":"2020-09-13T12:26:40Z","value":{"a":[1,null]}}`},
	} {
		d, err := Lines(tt.line)(tt.r)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		v, err := d.Value()
		if got, _ := v.([]byte); err != nil || string(got) != tt.want {
			t.Errorf("%s is\n%s, %v, want\n%s", tt.name, got, err, tt.want)
		}
	}
	h := record(t, "v", data.StringSchema)
	h.Headers = h.Headers[:1]
	if got, err := CSV([]string{Headers}, false)(nil, h); err != nil || string(got) != "aA==:dg==;" {
		t.Errorf("headers in CSV are %q, %v", got, err)
	}
	if _, err := CSV([]string{Value}, false)(nil, record(t, p, person)); err == nil || !strings.Contains(err.Error(), "format.output.type=csv") {
		t.Errorf("a struct in CSV: %v", err)
	}
}

func TestEnvelopes(t *testing.T) {
	p := data.NewStruct(person)
	if err := p.Put("name", "Jo"); err != nil {
		t.Fatal(err)
	}
	r := record(t, p, person)
	e := NewEnvelope([]string{Key, Offset, Timestamp, Headers, Value}, false)
	d, err := e.Datum(r)
	if err != nil {
		t.Fatal(err)
	}
	got, err := data.AppendJSON(nil, d.Schema, d.Row, data.JSONOptions{})
	if want := `{"key":"k/1","offset":42,"timestamp":1600000000123,"headers":{"h":"dg==","n":"5"},"value":{"name":"Jo","age":null}}`; err != nil || string(got) != want {
		t.Errorf("a record is %s, %v, want %s", got, err, want)
	}
	if again, err := e.Schema(record(t, p, person)); err != nil || again != d.Schema {
		t.Errorf("another record of the same schemas has another schema, %v", err)
	}
	if d, err := NewEnvelope([]string{Value}, true).Datum(r); err != nil || d.Schema != person {
		t.Errorf("a struct without envelope is of %v, %v", d.Schema, err)
	}
	if d, err := NewEnvelope([]string{Offset}, true).Datum(r); err != nil || d.Schema.Type() != data.TypeStruct {
		t.Errorf("an offset without envelope is of %v, %v", d.Schema, err)
	}
	if _, err := NewEnvelope([]string{Value}, false).Datum(record(t, map[string]any{}, nil)); err == nil || !strings.Contains(err.Error(), "no schema") {
		t.Errorf("a value without schema: %v", err)
	}
}
