package transform

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/millrace/millrace/plugins/configdef"
)

var keyToValueDef = configdef.Def{
	{Name: "key.fields", Type: configdef.List, Default: "", Importance: configdef.High, Doc: "Fields of the key to copy; nothing or * for the whole key."},
	{Name: "value.fields", Type: configdef.List, Default: "", Importance: configdef.High,
		Doc: "Names that they get in the value; by default those they have, and _key for the whole key."},
}

// keyToValue is Aiven's KeyToValue: copies the key, or fields of it, into the
// value.
type keyToValue struct{ from, to []string }

// wholeKey stands for the key as a whole in key.fields.
const wholeKey = "*"

func newKeyToValue(_ settings, c configdef.Config) (Transform, error) {
	t := keyToValue{c.List("key.fields"), slices.Clone(c.List("value.fields"))}
	if len(t.from) == 0 {
		t.from = []string{wholeKey}
	}
	if len(t.to) > len(t.from) {
		return nil, errors.New("value.fields has more names than key.fields")
	}
	for _, name := range t.from[len(t.to):] {
		if name == wholeKey {
			name = "_key"
		}
		t.to = append(t.to, name)
	}
	return t, nil
}

// Apply leaves records alone whose value is null.
func (t keyToValue) Apply(r *Record) (bool, error) {
	c := &r.value
	if c.isNull() {
		return true, nil
	}
	if c.schema() == nil {
		return true, t.intoMap(r, c)
	}
	v, err := c.structOf("key to value")
	if err != nil {
		return false, err
	}
	if r.key.schema() == nil {
		return false, errors.New("the key has no schema, but the value has")
	}
	for i, name := range t.from {
		s := r.key.schema()
		if name != wholeKey {
			f, ok := s.Field(name)
			if !ok {
				return false, fmt.Errorf("the key has no field %q", name)
			}
			s = f.Schema
		}
		x, err := t.member(&r.key, name)
		if err == nil {
			v, err = withNested(v, fieldPath{t.to[i]}, s, x)
		}
		if err != nil {
			return false, err
		}
	}
	r.set(c, v.Schema(), v)
	return true, nil
}

func (t keyToValue) member(key *cell, name string) (any, error) {
	if name == wholeKey {
		return key.get()
	}
	return key.member(name)
}

func (t keyToValue) intoMap(r *Record, c *cell) error {
	in, err := c.mapOf("key to value")
	if err != nil {
		return err
	}
	if r.key.schema() != nil {
		return errors.New("the key has a schema, but the value has none")
	}
	out := maps.Clone(in)
	if out == nil {
		out = map[string]any{}
	}
	for i, name := range t.from {
		x, err := t.member(&r.key, name)
		if err != nil {
			return err
		}
		out[t.to[i]] = x
	}
	r.set(c, nil, out)
	return nil
}
