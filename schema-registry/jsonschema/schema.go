package jsonschema

import (
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"strings"

	"github.com/millrace/millrace/schema-registry/jsontext"
)

// Schema is a schema that has been read. It does not change and may be shared.
type Schema struct {
	root  *node
	value jsontext.Value
	fault *Error // why references cannot be followed, nil if they can
}

// Reference is a schema under the name by which another's $ref knows it.
type Reference struct{ Name, Text string }

// Error says why a text is no schema and where.
type Error struct {
	Reason   string
	Path     string // JSON pointer into the schema, "" while it is no JSON yet
	Offset   int    // in bytes, where reading had come to
	TooLarge bool   // the text is over jsontext.MaxBytes
}

func (e *Error) Error() string {
	switch {
	case e.Path != "":
		return fmt.Sprintf("at %s, offset %d: %s", e.Path, e.Offset, e.Reason)
	case e.Offset > 0:
		return fmt.Sprintf("at offset %d: %s", e.Offset, e.Reason)
	}
	return e.Reason
}

// Parse reads a new schema, which has to be one by the rules of its dialect,
// and whose references have to lead somewhere. Errors are of type *Error.
func Parse(text string, refs []Reference) (*Schema, error) {
	s, err := read(text, refs)
	if err != nil {
		return nil, err
	}
	_, draft := dialectOf(&s.value)
	if err := checkAgainst(draft, &s.value); err != nil {
		return nil, err
	}
	if s.fault != nil {
		return nil, s.fault
	}
	return s, nil
}

// ParseStored reads a schema that was registered before, here or by another
// registry: it is taken as it is.
func ParseStored(text string, refs []Reference) (*Schema, error) { return read(text, refs) }

func read(text string, refs []Reference) (*Schema, error) {
	value, err := readJSON(text)
	if err != nil {
		return nil, err
	}
	switch value.Kind {
	case jsontext.Object, jsontext.True, jsontext.False:
	default:
		return nil, &Error{Reason: "a schema is an object, true or false", Path: "#", Offset: value.End}
	}
	s := &Schema{value: value}
	base := rootURI
	if id, ok := s.value.Str("$id"); ok {
		base = resolveURI(base, id)
	}
	r := newResolver()
	r.add(withoutFragment(base), &s.value)
	for _, ref := range refs {
		doc, err := readJSON(ref.Text)
		if err != nil {
			err.Reason = fmt.Sprintf("reference %q: %s", ref.Name, err.Reason)
			return nil, err
		}
		r.enter(ref.Name, place{&doc, resolveURI(base, ref.Name)})
		r.add(resolveURI(base, ref.Name), &doc)
	}
	words, _ := dialectOf(&s.value)
	b := builder{resolver: r, words: words, nodes: map[*jsontext.Value]*node{}}
	s.root = b.node(at{value: &s.value, base: base})
	s.fault = b.fault
	return s, nil
}

func readJSON(text string) (jsontext.Value, *Error) {
	v, err := jsontext.Parse(text)
	var fault *jsontext.Error
	if errors.As(err, &fault) {
		return v, &Error{Reason: fault.Reason, Offset: fault.Offset, TooLarge: fault.TooLarge}
	}
	return v, nil
}

// Canonical returns the text that the registry stores: without blanks, members
// in the order in which they were written.
func (s *Schema) Canonical() string { return string(jsontext.Append(nil, &s.value, false)) }

// Normalized returns a text that is the same for schemas that differ in the
// order of members only.
func (s *Schema) Normalized() string { return string(jsontext.Append(nil, &s.value, true)) }

// Properties returns the names of the properties of the schema's top level.
func (s *Schema) Properties() []string { return s.root.deref().object.names }

// step is a name on a path.
type step struct {
	name string
	next *step
}

// reversed prints a path whose last step comes first.
func (p *step) reversed() string {
	var names []string
	for ; p != nil; p = p.next {
		names = append([]string{p.name}, names...)
	}
	return "#/" + strings.Join(names, "/")
}

// canonicalValue prints a value so that equal values print alike: members
// sorted, numbers by their value.
func canonicalValue(v *jsontext.Value) string { return string(appendCanonical(nil, v)) }

func appendCanonical(dst []byte, v *jsontext.Value) []byte {
	switch v.Kind {
	case jsontext.Number:
		return append(dst, canonicalNumber(v.Text)...)
	case jsontext.Array:
		dst = append(dst, '[')
		for i := range v.Items {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendCanonical(dst, &v.Items[i])
		}
		return append(dst, ']')
	case jsontext.Object:
		dst = append(dst, '{')
		for i, m := range jsontext.Sorted(v.Members) {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(jsontext.AppendString(dst, m.Key), ':')
			dst = appendCanonical(dst, &m.Value)
		}
		return append(dst, '}')
	}
	return jsontext.Append(dst, v, false)
}

func canonicalNumber(text string) string {
	if r := rational(text); r != nil {
		return r.RatString()
	}
	return text
}

// maxExponent bounds numbers that are computed with exactly.
const maxExponent = 400

// rational returns a number exactly, nil for one with a great exponent, which
// would take a lot of room.
func rational(text string) *big.Rat {
	if i := strings.IndexAny(text, "eE"); i >= 0 {
		if e, err := strconv.Atoi(text[i+1:]); err != nil || e > maxExponent || e < -maxExponent {
			return nil
		}
	}
	if len(text) > maxExponent {
		return nil
	}
	r, ok := new(big.Rat).SetString(text)
	if !ok {
		return nil
	}
	return r
}
