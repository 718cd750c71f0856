package transform

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/millrace/millrace/plugins/configdef"
	"github.com/millrace/millrace/plugins/data"
)

var headerToValueDef = configdef.Def{
	{Name: "headers", Type: configdef.List, Required: true, Importance: configdef.High,
		Rules: []configdef.Rule{configdef.NonEmpty()}, Doc: "Names of the headers to put into the value."},
	{Name: "fields", Type: configdef.List, Required: true, Importance: configdef.High,
		Rules: []configdef.Rule{configdef.NonEmpty()}, Doc: "Fields for them, one for each, with dots for nested ones."},
	{Name: "operation", Type: configdef.String, Required: true, Importance: configdef.High,
		Rules: []configdef.Rule{configdef.OneOfFold("move", "copy")}, Doc: "Whether the headers are removed."},
}

// headerToValue is Debezium's HeaderToValue: puts headers into fields of the
// value.
type headerToValue struct {
	headers []string
	paths   []fieldPath
	move    bool
}

func newHeaderToValue(_ settings, c configdef.Config) (Transform, error) {
	t := &headerToValue{headers: c.List("headers"), move: strings.EqualFold(c.String("operation"), "move")}
	for _, f := range c.List("fields") {
		path := fieldPath(strings.Split(f, "."))
		if slices.Contains(path, "") {
			return nil, fmt.Errorf("field %q has an empty part", f)
		}
		t.paths = append(t.paths, path)
	}
	if len(t.paths) != len(t.headers) {
		return nil, fmt.Errorf("headers has %d names and fields %d: they must be as many", len(t.headers), len(t.paths))
	}
	return t, nil
}

// Apply leaves nulls and records without such headers alone.
func (t *headerToValue) Apply(r *Record) (bool, error) {
	c := &r.value
	found := t.find(r.Headers)
	if c.isNull() || len(found) == 0 {
		return true, nil
	}
	var err error
	if c.schema() == nil {
		err = t.intoMap(r, c, found)
	} else {
		err = t.intoStruct(r, c, found)
	}
	if err == nil && t.move {
		r.Headers = without(r.Headers, func(name string) bool { return slices.Contains(t.headers, name) })
	}
	return err == nil, err
}

// headerField is a header on its way to a field.
type headerField struct {
	path  fieldPath
	datum data.Datum
}

// find returns the last header of each name.
func (t *headerToValue) find(headers []data.Header) []headerField {
	var out []headerField
	for i, name := range t.headers {
		for _, h := range slices.Backward(headers) {
			if h.Name == name {
				out = append(out, headerField{t.paths[i], h.Value})
				break
			}
		}
	}
	return out
}

func (t *headerToValue) intoStruct(r *Record, c *cell, found []headerField) error {
	v, err := c.structOf("header to value")
	if err != nil {
		return err
	}
	for _, f := range found {
		x, err := f.datum.Value()
		if err != nil {
			return err
		}
		if f.datum.Schema == nil {
			return errors.New("the header has no schema, but the value has")
		}
		if v, err = withNested(v, f.path, f.datum.Schema, x); err != nil {
			return err
		}
	}
	r.set(c, v.Schema(), v)
	return nil
}

// withNested copies a struct with a field set at the end of a path. Structs on
// the way that are missing are made, as optional fields.
func withNested(v *data.Struct, path fieldPath, s *data.Schema, x any) (*data.Struct, error) {
	old := v.Schema()
	at := fieldIndex(old, path[0])
	if len(path) > 1 {
		child, err := childOf(v, at, path[0])
		if err != nil {
			return nil, err
		}
		next, err := withNested(child, path[1:], s, x)
		if err != nil {
			return nil, err
		}
		s, x = next.Schema(), next
	}
	b := data.CopyBasics(old)
	if old.Optional() {
		b.Optional()
	}
	for _, f := range old.Fields() {
		if f.Index == at {
			b.Field(f.Name, s)
		} else {
			b.Field(f.Name, f.Schema)
		}
	}
	if at < 0 {
		at = len(old.Fields())
		b.Field(path[0], s)
	}
	schema, err := b.Build()
	if err != nil {
		return nil, err
	}
	out := data.NewStruct(schema)
	for i := range schema.Fields() {
		value := x
		if i != at {
			value = v.AtWithoutDefault(i)
		}
		if err := put(out, i, value); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// childOf returns the struct in a field, a new one if it is missing or null.
func childOf(v *data.Struct, at int, name string) (*data.Struct, error) {
	if at < 0 {
		s, err := data.NewStructBuilder().Optional().Build()
		if err != nil {
			return nil, err
		}
		return data.NewStruct(s), nil
	}
	s := v.Schema().Fields()[at].Schema
	if s.Type() != data.TypeStruct {
		return nil, fmt.Errorf("field %q is of type %v and cannot hold others", name, s.Type())
	}
	if child, ok := v.AtWithoutDefault(at).(*data.Struct); ok {
		return child, nil
	}
	return data.NewStruct(s), nil
}

func (t *headerToValue) intoMap(r *Record, c *cell, found []headerField) error {
	m, err := c.mapOf("header to value")
	if err != nil {
		return err
	}
	for _, f := range found {
		x, err := f.datum.Value()
		if err != nil {
			return err
		}
		if m, err = withNestedMap(m, f.path, x); err != nil {
			return err
		}
	}
	r.set(c, nil, m)
	return nil
}

func withNestedMap(m map[string]any, path fieldPath, x any) (map[string]any, error) {
	out := maps.Clone(m)
	if out == nil {
		out = map[string]any{}
	}
	if len(path) == 1 {
		out[path[0]] = x
		return out, nil
	}
	child, ok := m[path[0]].(map[string]any)
	if !ok && m[path[0]] != nil {
		return nil, fmt.Errorf("field %q is %s and cannot hold others", path[0], kindOf(m[path[0]]))
	}
	next, err := withNestedMap(child, path[1:], x)
	out[path[0]] = next
	return out, err
}
