package transform

import (
	"fmt"
	"slices"
	"strings"

	"github.com/millrace/millrace/plugins/data"
)

// reference is an entry of add.fields or add.headers: a field of the envelope
// (parent "") or of one of its structs, and the name it gets.
type reference struct {
	parent, field string
	as            string
}

func checkReferences(v any) error {
	list, _ := v.([]string)
	for _, e := range list {
		name, as, renamed := strings.Cut(e, ":")
		parent, field, nested := strings.Cut(name, ".")
		if name == "" || renamed && as == "" || strings.Contains(as, ":") || nested && (parent == "" || field == "") {
			return fmt.Errorf("%q is not of the form [struct.]field[:name]", e)
		}
	}
	return nil
}

func parseReferences(list []string, prefix string) []reference {
	var out []reference
	for _, e := range list {
		name, as, renamed := strings.Cut(e, ":")
		ref := reference{field: name}
		if parent, field, nested := strings.Cut(name, "."); nested {
			ref.parent, ref.field = parent, field
			name = parent + "_" + field
		} else {
			ref.parent = parentOf(name)
		}
		if !renamed {
			as = name
		}
		ref.as = prefix + as
		out = append(out, ref)
	}
	return out
}

// parentOf finds the struct that Debezium keeps a field in.
func parentOf(field string) string {
	switch {
	case slices.Contains([]string{"op", "ts_ms", "ts_us", "ts_ns", "updateDescription"}, field):
		return ""
	case slices.Contains([]string{"id", "total_order", "data_collection_order"}, field):
		return "transaction"
	default:
		return "source"
	}
}

// place is where a reference points to in a schema.
type place struct {
	outer, inner int // inner is added for a field of the envelope itself
	schema       *data.Schema
	how          holder
}

// locate finds a reference in an envelope: in its struct, else in the envelope
// itself. The schema is made optional and loses its default.
func (ref reference) locate(env *data.Schema) (place, bool) {
	if ref.parent != "" {
		if parent, ok := env.Field(ref.parent); ok {
			if f, ok := parent.Schema.Field(ref.field); ok {
				s, err := looseSchema(f.Schema)
				return place{parent.Index, f.Index, s, holderOf(f.Schema)}, err == nil
			}
		}
	}
	f, ok := env.Field(ref.field)
	if !ok {
		return place{}, false
	}
	s, err := looseSchema(f.Schema)
	return place{f.Index, added, s, holderOf(f.Schema)}, err == nil
}

// looseSchema returns a schema without default that allows null.
func looseSchema(s *data.Schema) (*data.Schema, error) {
	if _, ok := s.Default(); !ok {
		return data.AsOptional(s), nil
	}
	return withFields(data.CopyBasics(s), s).Optional().Build()
}

// withFields adds all fields of a struct schema to one that was started by
// CopyBasics.
func withFields(b *data.Builder, s *data.Schema) *data.Builder {
	if s.Type() == data.TypeStruct {
		for _, f := range s.Fields() {
			b.Field(f.Name, f.Schema)
		}
	}
	return b
}

// of reads the place in an envelope, as null where the struct is.
func (p place) of(env *data.Struct) any {
	v := env.AtWithoutDefault(p.outer)
	if p.inner == added {
		return v
	}
	s, ok := v.(*data.Struct)
	if !ok {
		return nil
	}
	return s.AtWithoutDefault(p.inner)
}

// scalar reports whether the value can be held without boxing it.
func (p place) scalar() bool { return p.schema.Type() < data.TypeArray }
