package transform

import (
	"fmt"

	"github.com/millrace/millrace/plugins/configdef"
	"github.com/millrace/millrace/plugins/data"
)

var flattenDef = configdef.Def{
	{Name: "delimiter", Type: configdef.String, Default: ".", Importance: configdef.Medium,
		Doc: "Text between the names of the levels."},
}

// flatten is Kafka's Flatten: turns nested structs or maps into one level.
type flatten struct {
	side      Side
	delimiter string
	plans     perSchema[*flattening]
}

// flattening is the output schema with the way to each of its fields.
type flattening struct {
	out   *data.Schema
	paths [][]int
}

func newFlatten(s settings, c configdef.Config) (Transform, error) {
	return &flatten{side: s.side, delimiter: c.String("delimiter")}, nil
}

// Apply leaves nulls alone.
func (t *flatten) Apply(r *Record) (bool, error) {
	c := r.side(t.side)
	if c.isNull() {
		return true, nil
	}
	if c.schema() == nil {
		in, err := c.mapOf("flattening")
		if err != nil {
			return false, err
		}
		out := map[string]any{}
		t.flattenMap(out, "", in)
		r.set(c, nil, out)
		return true, nil
	}
	p, err := t.plans.get(c.schema(), t.compile)
	if err != nil {
		return false, err
	}
	in, err := c.structOf("flattening")
	if err != nil {
		return false, err
	}
	out := data.NewStruct(p.out)
	for i, path := range p.paths {
		if err := put(out, i, follow(in, path)); err != nil {
			return false, err
		}
	}
	r.set(c, p.out, out)
	return true, nil
}

// follow reads a nested field; a null on the way is a null, of which the field
// has the default.
func follow(v *data.Struct, path []int) any {
	for k, at := range path {
		x := v.At(at)
		if k == len(path)-1 {
			return x
		}
		next, ok := x.(*data.Struct)
		if !ok {
			return nil
		}
		v = next
	}
	return nil
}

func (t *flatten) compile(s *data.Schema) (*flattening, error) {
	if err := requireStruct(s, "flattening"); err != nil {
		return nil, err
	}
	p := &flattening{}
	b := data.CopyBasics(s)
	def, _ := s.Default()
	defaults, _ := def.(*data.Struct)
	if err := t.add(p, b, s, "", nil, s.Optional(), defaults); err != nil {
		return nil, err
	}
	var err error
	p.out, err = b.Build()
	return p, err
}

// add adds the fields below a struct. One is optional if anything above it is,
// and has the default that a default above holds for it.
func (t *flatten) add(p *flattening, b *data.Builder, s *data.Schema, prefix string, path []int, optional bool, defaults *data.Struct) error {
	for _, f := range s.Fields() {
		name, at := prefix+f.Name, append(path[:len(path):len(path)], f.Index)
		optional := optional || f.Schema.Optional()
		def, _ := f.Schema.Default()
		if defaults != nil {
			def = defaults.At(f.Index)
		}
		switch f.Schema.Type() {
		case data.TypeMap:
			return fmt.Errorf("field %q is a map, which Flatten does not support when there is a schema", name)
		case data.TypeStruct:
			below, _ := def.(*data.Struct)
			if err := t.add(p, b, f.Schema, name+t.delimiter, at, optional, below); err != nil {
				return err
			}
			continue
		}
		child, err := leafSchema(f.Schema, optional, def)
		if err != nil {
			return fmt.Errorf("field %q: %w", name, err)
		}
		b.Field(name, child)
		p.paths = append(p.paths, at)
	}
	return nil
}

// leafSchema copies a schema with another default, optional if asked to.
func leafSchema(s *data.Schema, optional bool, def any) (*data.Schema, error) {
	b := data.CopyBasics(s)
	if optional {
		b.Optional()
	}
	if def != nil {
		b.Default(def)
	}
	return b.Build()
}

func (t *flatten) flattenMap(out map[string]any, prefix string, in map[string]any) {
	for name, v := range in {
		if m, ok := v.(map[string]any); ok {
			t.flattenMap(out, prefix+name+t.delimiter, m)
			continue
		}
		out[prefix+name] = v
	}
}
