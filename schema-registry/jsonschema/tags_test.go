package jsonschema

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/millrace/millrace/schema-registry/tag"
)

// What is listed under a path is what a change under that path reaches.
func TestTagPaths(t *testing.T) {
	for _, tt := range []struct{ name, schema, want string }{
		{"object", `{"type":"object","confluent:tags":["r"],"properties":{"a":{"confluent:tags":["f"]}}}`, "sr_record object [r], sr_field object.a [f]"},
		{"a property's own tags are not its record's", `{"properties":{"a":{"type":"object","confluent:tags":["f"],"properties":{"b":{"confluent:tags":["g"]}}}}}`, "sr_field object.a [f], sr_field object.a.object.b [g]"},
		{"array", `{"type":"array","items":{"type":"object","confluent:tags":["r"]}}`, "sr_record array.object [r]"},
		{"members are numbered by kind", `{"oneOf":[{"type":"string"},{"type":"object","confluent:tags":["o"]},{"type":"null"},{"type":"array","items":{"type":"object","confluent:tags":["i"]}}]}`, "sr_record oneof.0.array.object [i], sr_record oneof.2.object [o]"},
		{"and by title, count and names of properties", `{"anyOf":[{"title":"b","properties":{"x":{"confluent:tags":["1"]}}},{"title":"a","properties":{"x":{"confluent:tags":["2"]}}},{"properties":{"y":{"confluent:tags":["3"]}}},{"properties":{"x":{"confluent:tags":["4"]}}}]}`,
			"sr_field anyof.0.object.x [4], sr_field anyof.1.object.y [3], sr_field anyof.2.object.x [2], sr_field anyof.3.object.x [1]"},
		{"several parts", `{"type":"object","properties":{"a":{"confluent:tags":["a"]}},"oneOf":[{"properties":{"b":{"confluent:tags":["b"]}}}]}`, "sr_field allof.0.oneof.0.object.b [b], sr_field allof.1.object.a [a]"},
		{"types", `{"type":["string","object"],"properties":{"a":{"confluent:tags":["a"]}}}`, "sr_field anyof.0.object.a [a]"},
		{"condition", `{"type":"object","if":{"properties":{"a":{"confluent:tags":["a"]}}},"else":{"properties":{"b":{"confluent:tags":["b"]}}}}`, "sr_field allof.0.conditional.if.object.a [a], sr_field allof.0.conditional.else.object.b [b]"},
		{"not", `{"not":{"properties":{"a":{"confluent:tags":["a"]}}}}`, "sr_field not.object.a [a]"},
		{"definitions", `{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object","$defs":{"D":{"type":"object","confluent:tags":["d"]}},"properties":{"r":{"$ref":"#/$defs/D","confluent:tags":["r"]}}}`, "sr_field object.r [r], sr_record object.$defs.D.object [d]"},
		{"nothing is said beside a reference", `{"$ref":"#/definitions/D","definitions":{"D":{"type":"object","confluent:tags":["d"]}}}`, ""},
		{"no list", `{"type":"object","confluent:tags":"r","properties":{"a":true}}`, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, err := Parse(tt.schema, nil)
			if err != nil {
				t.Fatal(err)
			}
			found, err := s.Tags()
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, f := range found {
				got = append(got, fmt.Sprintf("%s %s %v", f.Entity.Type, f.Entity.Path, f.Tags))
			}
			if text := strings.Join(got, ", "); text != tt.want {
				t.Errorf("tags: %s\nwant: %s", text, tt.want)
			}
			edits, err := tag.Change{Remove: found}.Edits()
			if err != nil {
				t.Fatal(err)
			}
			text, err := s.Retagged(edits)
			if err != nil || len(found) > 0 && strings.Contains(text, tag.Key) {
				t.Errorf("without tags: %s, %v", text, err)
			}
		})
	}
}

// Tags on many properties below a long name are not listed: their paths would
// take more room than the schema by far.
func TestTooManyTags(t *testing.T) {
	var b strings.Builder
	fmt.Fprintf(&b, `{"properties":{%q:{"properties":{`, strings.Repeat("n", 100_000))
	for i := range 1000 {
		fmt.Fprintf(&b, `%s"p%d":{"confluent:tags":["t"]}`, ","[:min(i, 1)], i)
	}
	s, err := Parse(b.String()+"}}}}", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Tags(); !errors.Is(err, tag.ErrTooMany) {
		t.Errorf("%v, want %v", err, tag.ErrTooMany)
	}
}
