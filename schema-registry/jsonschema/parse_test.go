package jsonschema

import (
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/schema-registry/jsontext"

	"github.com/millrace/millrace/schema-registry/verdicttest"
)

func TestRefusedTexts(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"no JSON", `{"type":`, "offset 8: not JSON"},
		{"two values", `{} {}`, "there is more after the schema"},
		{"an array", `[]`, "a schema is an object, true or false"},
		{"unknown type", `{"type":"int"}`, "at #/type, offset 13"},
		{"type of a keyword", `{"properties":{"a":{"minLength":"1"}}}`, "at #/properties/a/minLength"},
		{"limit of draft 4 in draft 7", `{"type":"number","maximum":3,"exclusiveMaximum":true}`, "at #/exclusiveMaximum"},
		{"pattern", `{"type":"string","pattern":"("}`, "at #/pattern"},
		{"pattern of properties", `{"patternProperties":{"^(?!x)":{}}}`, "cannot be used for properties"},
		{"reference to nothing", `{"properties":{"a":{"$ref":"#/definitions/b"}}}`, `unresolved reference "#/definitions/b"`},
		{"reference elsewhere", `{"$ref":"https://example.com/a.json"}`, "nothing is fetched from elsewhere"},
		{"file", `{"$ref":"file:///etc/passwd"}`, "nothing is fetched from elsewhere"},
		{"nesting", strings.Repeat(`{"not":`, 1000) + `{}` + strings.Repeat(`}`, 1000), "nests deeper than 200"},
		{"size", `{"title":"` + strings.Repeat("x", jsontext.MaxBytes) + `"}`, "more than the limit"},
	} {
		_, err := Parse(tt.text, nil)
		var fault *Error
		if !errors.As(err, &fault) || !strings.Contains(fault.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}

func TestTakenTexts(t *testing.T) {
	for _, text := range []string{
		`true`, `{}`, `{"type":["string","string"]}`, `{"required":[]}`, `{"enum":[]}`,
		`{"$schema":"http://json-schema.org/draft-04/schema#","id":"a","type":"number","maximum":3,"exclusiveMaximum":true}`,
		`{"$schema":"http://json-schema.org/draft-06/schema#","const":1}`,
		`{"$schema":"https://json-schema.org/draft/2019-09/schema","$defs":{"a":{}},"$ref":"#/$defs/a"}`,
		`{"$schema":"http://example.com/mine","type":"string"}`,
		`{"type":"string","pattern":"^(?!x)\\u0041+$"}`,
		`{"maximum":1e999999999}`, `{"multipleOf":1e-999999999}`,
		`{"$ref":"http://json-schema.org/draft-07/schema#"}`,
		`{"definitions":{"a":{"type":"string"}},"$ref":"#/$defs/a"}`,
		`{"$id":"http://x/root.json","definitions":{"a":{"$id":"a.json","type":"string"}},"properties":{"p":{"$ref":"a.json"}}}`,
		`{"$schema":"https://json-schema.org/draft/2020-12/schema","$defs":{"a":{"$anchor":"here"}},"$ref":"#here"}`,
	} {
		if _, err := Parse(text, nil); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestTexts(t *testing.T) {
	s := mustParse(t, "{ \"type\": \"object\",\n\"properties\": {\"b\": {}, \"a\": {\"multipleOf\": 1.50}} }")
	if got, want := s.Canonical(), `{"type":"object","properties":{"b":{},"a":{"multipleOf":1.50}}}`; got != want {
		t.Errorf("canonical: %s, want %s", got, want)
	}
	if got, want := s.Normalized(), `{"properties":{"a":{"multipleOf":1.50},"b":{}},"type":"object"}`; got != want {
		t.Errorf("normalized: %s, want %s", got, want)
	}
}

// References are found under their name, whatever they call themselves.
func TestReferences(t *testing.T) {
	street := Reference{"street.json", `{"definitions":{"no":{"type":"integer"}},"type":"string"}`}
	older := mustParse(t, `{"properties":{"a":{"$ref":"street.json"},"b":{"$ref":"street.json#/definitions/no"}}}`, street)
	same := mustParse(t, `{"properties":{"a":{"type":"string"},"b":{"type":"integer"}}}`)
	if got := summary(same, older, false) + summary(older, same, false); got != "--" {
		t.Errorf("got %s, want no difference", got)
	}
	street.Text = `{"definitions":{"no":{"type":"string"}},"type":"string"}`
	newer := mustParse(t, `{"properties":{"a":{"$ref":"street.json"},"b":{"$ref":"street.json#/definitions/no"}}}`, street)
	if got := summary(newer, older, false); got != "TYPE_CHANGED" {
		t.Errorf("got %s, want TYPE_CHANGED", got)
	}
}

// A change deep within a recursive schema is found, although the schema is met
// again on the way to it.
func TestRecursiveSchemas(t *testing.T) {
	tree := func(leaf string) string {
		return `{"definitions":{"n":{"type":"object","properties":{"next":{"$ref":"#/definitions/n"},"v":{"type":"` + leaf + `"}}}},"$ref":"#/definitions/n"}`
	}
	ints, texts := mustParse(t, tree("integer")), mustParse(t, tree("string"))
	if got := summary(ints, mustParse(t, tree("integer")), false); got != "-" {
		t.Errorf("equal: %s", got)
	}
	if got := summary(texts, ints, false); got != "TYPE_CHANGED+TYPE_CHANGED" { // where it is, and where it comes round
		t.Errorf("changed: %s", got)
	}
	loop := mustParse(t, `{"definitions":{"a":{"$ref":"#/definitions/b"},"b":{"$ref":"#/definitions/a"}},"$ref":"#/definitions/a"}`)
	if got := summary(loop, loop, false); got != "-" {
		t.Errorf("references to each other: %s", got)
	}
}

// Schemas made to take long are refused, or compared, in bounded time.
func TestHostileSchemas(t *testing.T) {
	var members []string
	for i := range 900 {
		members = append(members, `{"type":"object","properties":{"a`+strings.Repeat("x", i)+`":{"type":"string"}},"required":["a`+strings.Repeat("x", i)+`"]}`)
	}
	wide := `{"oneOf":[` + strings.Join(members, ",") + `]}`
	nested := strings.Repeat(`{"anyOf":[{"type":"null"},{"type":"string"},`, 90) + `{}` + strings.Repeat(`]}`, 90)
	var chain strings.Builder
	chain.WriteString(`{"definitions":{"d0":{"type":"string"}`)
	for i := range 4000 {
		chain.WriteString(`,"d` + itoa(i+1) + `":{"properties":{"p":{"$ref":"#/definitions/d` + itoa(i) + `"}}}`)
	}
	chain.WriteString(`},"$ref":"#/definitions/d4000"}`)
	regex := `{"patternProperties":{"^(a+)+$":{"type":"string"}},"properties":{"b":{}},"additionalProperties":false}`
	for name, text := range map[string]string{"wide": wide, "nested": nested, "chain": chain.String(), "regex": regex} {
		began := time.Now()
		older, newer := mustParse(t, text), mustParse(t, strings.Replace(text, `"string"`, `"integer"`, 1))
		parsed := time.Since(began)
		_, err := Compare(newer, older, false)
		t.Logf("%s: read in %s, compared in %s: %v", name, parsed, time.Since(began)-parsed, err)
		if took := time.Since(began); took > 20*time.Second {
			t.Errorf("%s took %s: %v", name, took, err)
		}
	}
}

var itoa = strconv.Itoa

func FuzzParse(f *testing.F) {
	raw := verdicttest.Rows(f, 59)
	for _, r := range raw {
		f.Add(r.Old, r.New)
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		older, err := ParseStored(a, nil)
		if err != nil {
			return
		}
		again, err := ParseStored(older.Canonical(), nil)
		if err != nil || again.Canonical() != older.Canonical() {
			t.Fatalf("%s became %s: %v", a, older.Canonical(), err)
		}
		if newer, err := ParseStored(b, []Reference{{"a", a}}); err == nil {
			_, _ = Compare(newer, older, false) // must end
		}
	})
}
