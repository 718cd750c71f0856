package transform

import (
	"errors"

	"github.com/millrace/millrace/plugins/configdef"
	"github.com/millrace/millrace/plugins/data"
)

var setSchemaMetadataDef = configdef.Def{
	{Name: "schema.name", Type: configdef.String, Importance: configdef.High, Doc: "New name of the schema."},
	{Name: "schema.version", Type: configdef.Int, Importance: configdef.High, Doc: "New version of the schema."},
	replaceNull,
}

// setSchemaMetadata is Kafka's SetSchemaMetadata: a new name or version for
// the schema.
type setSchemaMetadata struct {
	side         Side
	name         string
	version      *int32
	withDefaults bool
	plans        perSchema[*data.Schema]
}

func newSetSchemaMetadata(s settings, c configdef.Config) (Transform, error) {
	t := &setSchemaMetadata{side: s.side, name: c.String("schema.name"), withDefaults: c.Bool(replaceNull.Name)}
	if !c.IsNull("schema.version") {
		v := int32(c.Int64("schema.version"))
		t.version = &v
	}
	if t.name == "" && t.version == nil {
		return nil, errors.New("Neither schema name nor version configured")
	}
	return t, nil
}

// Apply relabels the row, whose bytes do not depend on the name.
func (t *setSchemaMetadata) Apply(r *Record) (bool, error) {
	c := r.side(t.side)
	s := c.schema()
	if s == nil {
		if c.isNull() {
			return true, nil
		}
		return false, errors.New("a value without schema has no schema to name")
	}
	out, err := t.plans.get(s, func(s *data.Schema) (*data.Schema, error) { return renamed(s, t.name, t.version) })
	if err != nil {
		return false, err
	}
	if c.isNull() {
		r.setDatum(c, nullOf(out))
		return true, nil
	}
	if !c.replaced && !(t.withDefaults && c.datum.NullDefault) && sameRows(s, out) {
		d := c.datum
		d.Schema = out
		r.setDatum(c, d)
		return true, nil
	}
	v, err := c.get()
	if err != nil {
		return false, err
	}
	if in, ok := v.(*data.Struct); ok {
		to := data.NewStruct(out)
		for i := range out.Fields() {
			if err := put(to, i, fieldOf(in, i, t.withDefaults)); err != nil {
				return false, err
			}
		}
		v = to
	}
	r.set(c, out, v)
	return true, nil
}

// sameRows reports whether the bytes of rows are the same under both names: a
// union, a decimal and a time are what they are by name.
func sameRows(a, b *data.Schema) bool {
	special := func(s *data.Schema) bool { return s.IsLogical() || s.Name() == data.UnionName }
	return !special(a) && !special(b)
}

// renamed copies a schema with another name or version. Everything else stays,
// but for a struct's default, whose schema is the old one.
func renamed(s *data.Schema, name string, version *int32) (*data.Schema, error) {
	b := basicsAs(s, name, version)
	if s.Optional() {
		b.Optional()
	}
	if v, ok := s.Default(); ok && s.Type() != data.TypeStruct {
		b.Default(v)
	}
	return withFields(b, s).Build()
}

// basicsAs is data.CopyBasics with another name and version, "" and nil
// leaving them.
func basicsAs(s *data.Schema, name string, version *int32) *data.Builder {
	var b *data.Builder
	switch s.Type() {
	case data.TypeArray:
		b = data.ArrayOf(s.ValueSchema())
	case data.TypeMap:
		b = data.MapOf(s.KeySchema(), s.ValueSchema())
	default:
		b = data.NewBuilder(s.Type())
	}
	if name == "" {
		name = s.Name()
	}
	if name != "" {
		b.Name(name)
	}
	if version != nil {
		b.Version(*version)
	} else if v, ok := s.Version(); ok {
		b.Version(v)
	}
	if doc, ok := s.Doc(); ok {
		b.Doc(doc)
	}
	return b.Params(s.Params()...)
}
