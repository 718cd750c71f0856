package jsonschema

import (
	"strconv"

	"github.com/millrace/millrace/schema-registry/jsontext"
	"github.com/millrace/millrace/schema-registry/tag"
)

// Tags lists the tags of objects and of properties. A path names the parts of
// the schema as Confluent's registry does, from the root: "object" and what is
// in it, as in object.address.object.street, "array" and what its items are,
// "oneof", "anyof" or "allof" and a member's number, "not", "conditional" and
// "if", "then" or "else". A schema that says something of several types is an
// allof of parts that nobody wrote. References are not followed; definitions
// are found below their object, as object.definitions.Name.
func (s *Schema) Tags() ([]tag.Tagged, error) {
	words, _ := dialectOf(&s.value)
	var list tag.List
	w := tagWalk{words: words, visit: func(typ tag.Type, at *trail, v *jsontext.Value) error {
		tags, ok := v.Member(tag.Key)
		if !ok {
			return nil
		}
		return list.Add(typ, tags.Strings(), at.length, at.String)
	}}
	err := w.schema(&s.value, nil, false)
	return list.Tagged, err
}

// Retagged returns the canonical text with other tags.
func (s *Schema) Retagged(edits []tag.Edit) (string, error) {
	fresh, fault := readJSON(s.Canonical())
	if fault != nil {
		return "", fault
	}
	wanted, lengths := map[tag.Entity]*jsontext.Value{}, map[int]bool{}
	for _, e := range edits {
		wanted[e.Entity], lengths[len(e.Path)] = nil, true
	}
	words, _ := dialectOf(&fresh)
	w := tagWalk{words: words, visit: func(typ tag.Type, at *trail, v *jsontext.Value) error {
		if !lengths[at.length] {
			return nil
		}
		e := tag.Entity{Path: at.String(), Type: typ}
		if found, asked := wanted[e]; asked && found == nil {
			wanted[e] = v
		}
		return nil
	}}
	if err := w.schema(&fresh, nil, false); err != nil {
		return "", err
	}
	for _, e := range edits {
		v := wanted[e.Entity]
		if v == nil {
			if err := e.Missing(); err != nil {
				return "", err
			}
			continue
		}
		var tags []string
		if m, ok := v.Member(tag.Key); ok {
			tags = m.Strings()
		}
		v.Members = jsontext.WithStrings(v.Members, tag.Key, e.Apply(tags))
	}
	return string(jsontext.Append(nil, &fresh, false)), nil
}

// trail is a path, last step first; nil is the root.
type trail struct {
	step   string
	before *trail
	length int // of the text, in bytes
}

func (t *trail) down(steps ...string) *trail {
	for _, s := range steps {
		next := &trail{step: s, before: t, length: len(s)}
		if t != nil {
			next.length += t.length + 1
		}
		t = next
	}
	return t
}

// String prints the path.
func (t *trail) String() string {
	out := make([]byte, t.length)
	for end := t.length; t != nil; t = t.before {
		end -= len(t.step)
		copy(out[end:], t.step)
		if end > 0 {
			end--
			out[end] = '.'
		}
	}
	return string(out)
}

// tagWalk visits what may have tags, in the order written.
type tagWalk struct {
	words *keywords
	visit func(typ tag.Type, at *trail, v *jsontext.Value) error
}

// schema visits a schema. Tags on that of a property are the field's.
func (w *tagWalk) schema(v *jsontext.Value, at *trail, inField bool) error {
	parts := w.parts(v)
	if len(parts) == 1 {
		return w.part(v, parts[0], at, inField)
	}
	return w.unwritten(v, parts, at, "allof", inField)
}

// unwritten visits the parts of a combination that stands for one schema.
func (w *tagWalk) unwritten(v *jsontext.Value, parts []part, at *trail, criterion string, inField bool) error {
	for i, p := range parts {
		if err := w.part(v, p, at.down(criterion, strconv.Itoa(i)), inField); err != nil {
			return err
		}
	}
	return nil
}

func (w *tagWalk) part(v *jsontext.Value, p part, at *trail, inField bool) error {
	switch p.rank {
	case rankObject:
		return w.object(v, at.down("object"), inField)
	case rankArray:
		return w.below(v, "items", at.down("array"))
	case rankNot:
		return w.below(v, "not", at.down("not"))
	case rankConditional:
		for _, key := range []string{"if", "then", "else"} {
			if err := w.below(v, key, at.down("conditional", key)); err != nil {
				return err
			}
		}
	case rankCombined:
		if p.types != nil {
			return w.unwritten(v, p.types, at, p.criterion, inField)
		}
		for i, m := range w.sorted(p.members) {
			if err := w.schema(m, at.down(p.criterion, strconv.Itoa(i)), false); err != nil {
				return err
			}
		}
	}
	return nil
}

// below visits the schema that a keyword holds.
func (w *tagWalk) below(v *jsontext.Value, key string, at *trail) error {
	m, ok := v.Member(key)
	if !ok {
		return nil
	}
	return w.schema(m, at, false)
}

func (w *tagWalk) object(v *jsontext.Value, at *trail, inField bool) error {
	if !inField {
		if err := w.visit(tag.Record, at, v); err != nil {
			return err
		}
	}
	if properties, ok := v.Member("properties"); ok {
		for i := range properties.Members {
			m := &properties.Members[i]
			if m.Value.Kind != jsontext.Object { // true and false have no tags
				continue
			}
			name := at.down(m.Key)
			if err := w.visit(tag.Field, name, &m.Value); err != nil {
				return err
			}
			if err := w.schema(&m.Value, name, true); err != nil {
				return err
			}
		}
	}
	for _, key := range []string{"definitions", "$defs"} {
		definitions, ok := v.Member(key)
		if !ok {
			continue
		}
		for i := range definitions.Members {
			m := &definitions.Members[i]
			if err := w.schema(&m.Value, at.down(key, m.Key), false); err != nil {
				return err
			}
		}
	}
	return nil
}
