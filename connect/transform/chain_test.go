package transform

import (
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/connect/converter"
	"github.com/millrace/millrace/plugins/configdef"
	"github.com/millrace/millrace/plugins/data"
)

// options are those of a sink with the parser that the worker gives.
func options() Options { return Options{Kind: Sink, ParseValue: converter.ParseValue} }

// chainOf makes a chain of one step.
func chainOf(t testing.TB, class string, props map[string]string) *Chain {
	t.Helper()
	c, err := newChainOf(class, props)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func newChainOf(class string, props map[string]string) (*Chain, error) {
	config := map[string]string{"transforms": "t", "transforms.t.type": class}
	for k, v := range props {
		config["transforms.t."+k] = v
	}
	return New(config, options())
}

func datum(t testing.TB, s *data.Schema, v any) data.Datum {
	t.Helper()
	d, err := data.NewDatum(s, v)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func decoded(t testing.TB, d data.Datum) any {
	t.Helper()
	v, err := d.Value()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// structOf makes a struct from values in the order of the fields; nil is left
// out.
func structOf(t testing.TB, s *data.Schema, values ...any) *data.Struct {
	t.Helper()
	out := data.NewStruct(s)
	for i, v := range values {
		if err := put(out, i, v); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// sameDatum compares schema, state, value and bytes.
func sameDatum(t testing.TB, what string, got, want data.Datum) {
	t.Helper()
	if !got.Schema.Equal(want.Schema) {
		t.Errorf("%s: schema is\n%s\nwant\n%s", what, schemaText(got.Schema), schemaText(want.Schema))
		return
	}
	if got.State != want.State || got.NullDefault != want.NullDefault {
		t.Errorf("%s: state %v, null default %v, want %v, %v", what, got.State, got.NullDefault, want.State, want.NullDefault)
	}
	if g, w := decoded(t, got), decoded(t, want); !data.EqualValues(g, w) && !reflect.DeepEqual(g, w) {
		t.Errorf("%s: value is %v, want %v", what, data.Text(g), data.Text(w))
	} else if !slices.Equal(got.Row, want.Row) {
		t.Errorf("%s: row is %x, want %x", what, got.Row, want.Row)
	}
}

func schemaText(s *data.Schema) string {
	if s == nil {
		return "no schema"
	}
	return string(data.AppendJSONSchema(nil, s, data.JSONOptions{}))
}

// step is a case of a transform of values: what becomes of one value.
type step struct {
	name  string
	props map[string]string
	in    data.Datum
	want  data.Datum
	err   string // part of the error, "" for none
	drop  bool
}

// runSteps runs cases on the value, or on the key for a class of keys.
func runSteps(t *testing.T, class string, steps []step) {
	t.Helper()
	for _, tt := range steps {
		t.Run(tt.name, func(t *testing.T) {
			c := chainOf(t, class, tt.props)
			in := baseRecord()
			part := &in.Value
			if strings.HasSuffix(class, "$Key") {
				part = &in.Key
			}
			*part = tt.in
			before := *part
			row := slices.Clone(part.Row)
			keep, err := c.Apply(&in)
			if tt.err != "" {
				var re *RecordError
				if !errors.As(err, &re) || !strings.Contains(err.Error(), tt.err) || re.Alias != "t" {
					t.Fatalf("got error %v, want a record error with %q", err, tt.err)
				}
				sameDatum(t, "record after the error", *part, before)
				return
			}
			if err != nil || keep == tt.drop {
				t.Fatalf("got keep %v, error %v, want keep %v", keep, err, !tt.drop)
			}
			if !tt.drop {
				sameDatum(t, "result", *part, tt.want)
			}
			if !slices.Equal(before.Row, row) {
				t.Errorf("the row of the input was changed to %x", before.Row)
			}
		})
	}
}

func baseRecord() data.Record {
	return data.Record{Topic: "topic", Partition: 3, Timestamp: 1700000000123, Offset: 42,
		OriginalTopic: "topic", OriginalPartition: 3, OriginalOffset: 42}
}

func TestChainOrderPredicatesAndDrop(t *testing.T) {
	config := map[string]string{
		"transforms":             "first, second,drop",
		"transforms.first.type":  "org.apache.kafka.connect.transforms.RegexRouter",
		"transforms.first.regex": `a-(.*)`, "transforms.first.replacement": "b-$1",
		"transforms.second.type": "RegexRouter", "transforms.second.regex": `b-(.*)`, "transforms.second.replacement": "c-$1",
		"transforms.second.predicate": "isB", "transforms.second.negate": "false",
		"transforms.drop.type": "Filter", "transforms.drop.predicate": "isC", "transforms.drop.negate": "true",
		"predicates":          "isB,isC",
		"predicates.isB.type": "org.apache.kafka.connect.transforms.predicates.TopicNameMatches", "predicates.isB.pattern": "b-.*",
		"predicates.isC.type": "TopicNameMatches", "predicates.isC.pattern": "c-.*",
	}
	c, err := New(config, options())
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		topic, want string
		keep        bool
	}{{"a-x", "c-x", true}, {"b-x", "c-x", true}, {"other", "other", false}} {
		rec := baseRecord()
		rec.Topic = tt.topic
		keep, err := c.Apply(&rec)
		if err != nil || keep != tt.keep || rec.Topic != tt.want {
			t.Errorf("%s: got %s, keep %v, error %v; want %s, %v", tt.topic, rec.Topic, keep, err, tt.want, tt.keep)
		}
		if rec.OriginalTopic != "topic" || rec.OriginalOffset != 42 {
			t.Errorf("%s: original coordinates became %s/%d", tt.topic, rec.OriginalTopic, rec.OriginalOffset)
		}
	}
}

func TestPredicates(t *testing.T) {
	rec := baseRecord()
	rec.Headers = []data.Header{{Name: "h"}}
	tombstone := rec
	rec.Value = datum(t, data.StringSchema, "x")
	typedNull := rec
	typedNull.Value = datum(t, data.OptionalStringSchema, nil)
	for _, tt := range []struct {
		class, key, value string
		rec               data.Record
		want              bool
	}{
		{"TopicNameMatches", "pattern", "topic", rec, true},
		{"TopicNameMatches", "pattern", "top", rec, false},
		{"HasHeaderKey", "name", "h", rec, true},
		{"HasHeaderKey", "name", "H", rec, false},
		{"RecordIsTombstone", "", "", rec, false},
		{"RecordIsTombstone", "", "", tombstone, true},
		{"RecordIsTombstone", "", "", typedNull, true},
	} {
		c, err := New(map[string]string{"transforms": "f", "transforms.f.type": "Filter", "transforms.f.predicate": "p",
			"predicates": "p", "predicates.p.type": tt.class, "predicates.p." + tt.key: tt.value}, options())
		if err != nil {
			t.Fatal(err)
		}
		got := tt.rec
		if keep, err := c.Apply(&got); err != nil || keep == tt.want {
			t.Errorf("%s %s: keep is %v, error %v", tt.class, tt.value, keep, err)
		}
	}
}

// An error in the end, when a replaced value does not fit its schema, names
// the step that made it.
func TestErrorsNameTheirStep(t *testing.T) {
	config := map[string]string{
		"transforms":          "one,two",
		"transforms.one.type": "HoistField$Value", "transforms.one.field": "f",
		"transforms.two.type": "RegexRouter", "transforms.two.regex": "x", "transforms.two.replacement": "y",
	}
	c, err := New(config, options())
	if err != nil {
		t.Fatal(err)
	}
	rec := baseRecord()
	rec.Value = data.Datum{Schema: data.StringSchema, State: data.Null}
	_, err = c.Apply(&rec)
	var re *RecordError
	if !errors.As(err, &re) || re.Alias != "one" || re.Class != kafka+"HoistField$Value" {
		t.Errorf("got %v (%+v), want a record error of step one", err, re)
	}
}

func TestNewReportsAllProblems(t *testing.T) {
	config := map[string]string{
		"transforms":          "a,a,b,c,,d",
		"transforms.a.type":   "com.example.Missing",
		"transforms.b.type":   "RegexRouter",
		"transforms.b.regex":  "x(?=y)",
		"transforms.c.type":   "InsertField$Value",
		"transforms.c.negate": "true",
		"transforms.d.type":   "DropHeaders", "transforms.d.headers": "h", "transforms.d.predicate": "nope",
	}
	_, err := New(config, options())
	var fatal *FatalError
	if !errors.As(err, &fatal) {
		t.Fatalf("got %v, want a fatal error", err)
	}
	for _, want := range []string{
		`alias "a" occurs twice`, "must not be empty", "com.example.Missing", "known are org.apache.kafka.connect.transforms.",
		`look-ahead "(?="`, `transforms.b.replacement`, "no transforms.c.predicate to negate", "no such alias in predicates",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error lacks %q:\n%v", want, err)
		}
	}
}

func TestValidate(t *testing.T) {
	config := map[string]string{
		"name": "c", "transforms": "unwrap, unwrap.more",
		"transforms.unwrap.type":            "io.debezium.transforms.ExtractNewRecordState",
		"transforms.unwrap.drop.tombstones": "false",
		"transforms.unwrap.add.filds":       "op",
		"transforms.unwrap.more.type":       "ReplaceField$Value",
		"transforms.unwrap.more.blacklist":  "x",
		"transforms.unused.type":            "X",
		"predicates":                        "p", "predicates.p.type": "HasHeaderKey",
	}
	report := Validate(config, options())
	byName := map[string]configdef.Info{}
	for _, in := range report.Infos {
		byName[in.Value.Name] = in
	}
	if in := byName["transforms.unwrap.add.fields"]; in.Definition == nil || *in.Definition.Group != "Transforms: unwrap" {
		t.Errorf("no entry of add.fields in its group: %+v", in)
	}
	if in := byName["predicates.p.name"]; in.Value == nil || len(in.Value.Errors) == 0 || *in.Definition.Group != "Predicates: p" {
		t.Errorf("predicates.p.name should miss: %+v", in)
	}
	if in := byName["transforms.unwrap.more.exclude"]; in.Value == nil || *in.Value.Value != "x" {
		t.Errorf("the old name blacklist does not set exclude: %+v", in)
	}
	warned := map[string]string{}
	for _, w := range report.Warnings {
		warned[w.Key] = w.Text
	}
	want := map[string]string{
		"transforms.unwrap.add.filds":      "did you mean transforms.unwrap.add.fields",
		"transforms.unwrap.more.blacklist": "old name of transforms.unwrap.more.exclude",
		"transforms.unused.type":           "its alias is not in transforms",
	}
	for key, text := range want {
		if !strings.Contains(warned[key], text) {
			t.Errorf("warning of %s is %q, want %q", key, warned[key], text)
		}
	}
	if len(warned) != len(want) {
		t.Errorf("got warnings of %v", slices.Sorted(maps.Keys(warned)))
	}
	if len(report.Problems) != 0 {
		t.Errorf("got problems %v", report.Problems)
	}
}

// Each class has a sound definition, and answers to its names.
func TestClasses(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range Classes() {
		if err := c.Def.Check(); err != nil {
			t.Errorf("%s: %v", c.Name, err)
		}
		for _, k := range c.Def {
			if k.Doc == "" {
				t.Errorf("%s: key %s has no text", c.Name, k.Name)
			}
		}
		for _, name := range append([]string{c.Name}, c.Aliases...) {
			if seen[name] {
				t.Errorf("%s is listed twice", name)
			}
			seen[name] = true
			if got, ok := Lookup(name); !ok || got.Name != c.Name {
				t.Errorf("Lookup(%q) finds %q", name, got.Name)
			}
		}
		if _, ok := Lookup(simple(c.Name)); !ok {
			t.Errorf("Lookup(%q) finds nothing", simple(c.Name))
		}
	}
	for _, c := range Predicates() {
		if err := c.Def.Check(); err != nil {
			t.Errorf("%s: %v", c.Name, err)
		}
		if got, ok := LookupPredicate(simple(c.Name)); !ok || got.Name != c.Name {
			t.Errorf("LookupPredicate(%q) finds %q", simple(c.Name), got.Name)
		}
	}
	if _, ok := Lookup("InsertField"); ok {
		t.Error("InsertField without side is known")
	}
}

func TestEmptyChainKeepsRecords(t *testing.T) {
	c, err := New(map[string]string{"transforms": ""}, options())
	if err != nil || c.Len() != 0 {
		t.Fatal(c, err)
	}
	rec := baseRecord()
	if keep, err := c.Apply(&rec); !keep || err != nil {
		t.Error(keep, err)
	}
}
