package converter

import (
	"errors"
	"strings"
	"testing"

	"github.com/millrace/millrace/connect/converter/rule"
	"github.com/millrace/millrace/plugins/data"
)

// Each converter for registries holds values against the rules of their schema,
// on writing and on reading.
func TestContracts(t *testing.T) {
	s := data.NewStructBuilder().Name("N").Field("a", data.Int32Schema).MustBuild()
	for _, class := range []string{"io.confluent.connect.avro.AvroConverter", jsonSchemaClass, protobufClass} {
		t.Run(class, func(t *testing.T) {
			r := newRegistry()
			r.contract.Rules = []rule.Rule{
				{Name: "positive", Kind: "CONDITION", Mode: "WRITE", Type: "CEL", Expr: "message.a > 0"},
				{Name: "small", Kind: "CONDITION", Mode: "READ", Type: "CEL", Expr: "message.a < 10"},
			}
			c := make1(t, class, Value, r, "schema.registry.url", "http://r")
			for a, want := range map[int32]string{5: "", 0: "positive", 11: "small"} {
				d := datum(t, s, newStruct(t, s, a))
				out, _, err := c.FromConnect(t.Context(), "t", d, nil)
				if err == nil {
					_, err = c.ToConnect(t.Context(), "t", out)
				}
				var record *RecordError
				if (err != nil) != (want != "") || err != nil && (!errors.As(err, &record) || !errors.Is(err, rule.ErrViolated) || !strings.Contains(err.Error(), want)) {
					t.Errorf("%d: %v, want a refusal of %q", a, err, want)
				}
			}
		})
	}
}

// Rules for tagged fields see the tags in the schema's text and those of its
// metadata, on writing and on reading.
func TestTagsOfContracts(t *testing.T) {
	in := data.NewStructBuilder().Name("In").Field("b", data.StringSchema).MustBuild()
	s := data.NewStructBuilder().Name("N").Field("a", data.StringSchema).Field("in", data.ArrayOf(in).MustBuild()).Field("free", data.StringSchema).MustBuild()
	for _, tt := range []struct{ class, kind, text, a, b, free string }{
		{"io.confluent.connect.avro.AvroConverter", "AVRO", `{"type":"record","name":"N","fields":[{"name":"a","type":"string","confluent:tags":["PII"]},
			{"name":"in","type":{"type":"array","items":{"type":"record","name":"In","fields":[{"name":"b","type":"string","confluent:tags":["SECRET","PII"]}]}}},{"name":"free","type":"string"}]}`,
			"N.a", "In.b", "N.free"},
		{jsonSchemaClass, "JSON", `{"type":"object","title":"N","properties":{"a":{"type":"string","confluent:tags":["PII"],"connect.index":0},
			"in":{"type":"array","items":{"$ref":"#/definitions/In"},"connect.index":1},"free":{"type":"string","connect.index":2}},
			"definitions":{"In":{"type":"object","title":"In","properties":{"b":{"type":"string","confluent:tags":["SECRET","PII"]}}}}}`,
			"$.a", "$.in.b", "$.free"},
		// without the import, as registries leave a text that they add tags to
		{protobufClass, "PROTOBUF", `syntax = "proto3"; message N { string a = 1 [(confluent.field_meta).tags = "PII"]; repeated In in = 2; string free = 3; }
			message In { string b = 1 [(confluent.field_meta) = {tags: ["SECRET", "PII"]}]; }`,
			"N.a", "In.b", "N.free"},
	} {
		t.Run(tt.kind, func(t *testing.T) {
			inner := newStruct(t, in, "yes")
			d := datum(t, s, newStruct(t, s, "yes", []any{inner}, "yes"))
			start := func(c rule.Contract) Converter {
				r := newRegistry()
				r.contract = c
				if _, err := r.Register(t.Context(), "t-value", tt.text, tt.kind, false); err != nil {
					t.Fatal(err)
				}
				return make1(t, tt.class, Value, r, "schema.registry.url", "http://r", "auto.register.schemas", "false", "use.latest.version", "true")
			}
			raw, _, err := start(rule.Contract{}).FromConnect(t.Context(), "t", d, nil)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range []struct {
				tags []string // of the rule
				expr string
				want string // the field refused, "" for none
			}{
				{[]string{"PII"}, `value == "no"`, tt.a},
				{[]string{"SECRET"}, `value == "no"`, tt.b},
				{[]string{"SECRET"}, `tags == ["SECRET", "PII"] && name == "b" && fullName == "` + tt.b + `"`, ""},
				{[]string{"OPEN"}, `value == "no"`, tt.free},
				{[]string{"NONE"}, `false`, ""},
			} {
				contract := rule.Contract{
					Rules: []rule.Rule{{Name: "r", Kind: "CONDITION", Mode: "WRITEREAD", Type: "CEL_FIELD", Expr: c.expr, Tags: c.tags}},
					Tags:  map[string][]string{"**.fr?e": {"OPEN"}, "*": {"NONE"}},
				}
				_, _, writing := start(contract).FromConnect(t.Context(), "t", d, nil)
				_, reading := start(contract).ToConnect(t.Context(), "t", raw)
				for _, err := range []error{writing, reading} {
					if (err != nil) != (c.want != "") || err != nil && (!errors.Is(err, rule.ErrViolated) || !strings.Contains(err.Error(), "field "+c.want+":")) {
						t.Errorf("tags %v, %s: %v, want a refusal of %q", c.tags, c.expr, err, c.want)
					}
				}
			}
		})
	}
}

// A rule for the encoding is not carried out, and so nothing passes that is to
// obey it.
func TestEncodingRules(t *testing.T) {
	s := data.NewStructBuilder().Name("N").Field("a", data.Int32Schema).MustBuild()
	for _, class := range []string{"io.confluent.connect.avro.AvroConverter", jsonSchemaClass, protobufClass} {
		for _, tt := range []struct {
			mode, onFailure string
			disabled        bool
			writes, reads   bool
		}{
			{"WRITEREAD", "", false, false, false},
			{"WRITE", "", false, false, true},
			{"READ", "ERROR", false, true, false},
			{"WRITEREAD", "NONE,ERROR", false, true, false},
			{"WRITEREAD", "NONE", false, true, true},
			{"WRITEREAD", "", true, true, true},
		} {
			r := newRegistry()
			c := make1(t, class, Value, r, "schema.registry.url", "http://r")
			d := datum(t, s, newStruct(t, s, int32(5)))
			raw, _, err := c.FromConnect(t.Context(), "t", d, nil)
			if err != nil {
				t.Fatal(err)
			}
			r.contract.Rules = []rule.Rule{{Name: "crypt", Kind: "TRANSFORM", Type: "ENCRYPT_PAYLOAD", Mode: tt.mode, OnFailure: tt.onFailure, Disabled: tt.disabled, Encoding: true}}
			c = make1(t, class, Value, r, "schema.registry.url", "http://r")
			_, _, writing := c.FromConnect(t.Context(), "t", d, nil)
			_, reading := c.ToConnect(t.Context(), "t", raw)
			for _, got := range []struct {
				err    error
				passes bool
			}{{writing, tt.writes}, {reading, tt.reads}} {
				var record *RecordError
				named := errors.As(got.err, &record) && errors.Is(got.err, rule.ErrViolated) && strings.Contains(got.err.Error(), `encoding rule "crypt": rules of type ENCRYPT_PAYLOAD`)
				if got.passes != (got.err == nil) || got.err != nil && !named {
					t.Errorf("%s, %+v: %v", class, tt, got.err)
				}
			}
		}
	}
}
