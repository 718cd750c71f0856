package transform

import (
	"errors"
	"fmt"
	"maps"
	"strings"

	"github.com/millrace/millrace/plugins/configdef"
	"github.com/millrace/millrace/plugins/data"
)

var castDef = configdef.Def{
	{Name: "spec", Type: configdef.List, Required: true, Importance: configdef.High, Check: checkCastSpec,
		Doc: "Fields with their new types, as field:type, or one type for the whole value: int8, int16, int32, int64, float32, float64, boolean, string."},
	replaceNull,
}

// castTypes are the outputs of Cast.
var castTypes = map[string]data.Type{"int8": data.TypeInt8, "int16": data.TypeInt16, "int32": data.TypeInt32, "int64": data.TypeInt64,
	"float32": data.TypeFloat32, "float64": data.TypeFloat64, "boolean": data.TypeBoolean, "string": data.TypeString}

func checkCastSpec(v any) error {
	list, _ := v.([]string)
	_, _, err := parseCastSpec(list)
	return err
}

// parseCastSpec reads the spec: types by field, or the type of the whole.
func parseCastSpec(list []string) (fields map[string]data.Type, whole data.Type, err error) {
	if len(list) == 0 {
		return nil, 0, errors.New("Must specify at least one field to cast.")
	}
	fields = map[string]data.Type{}
	for _, e := range list {
		i := strings.LastIndexByte(e, ':')
		typ, ok := castTypes[strings.ToLower(strings.TrimSpace(e[i+1:]))]
		if !ok {
			return nil, 0, fmt.Errorf("%q names no type that Cast can make", e)
		}
		if i < 0 {
			whole = typ
			continue
		}
		name := strings.TrimSpace(e[:i])
		if _, twice := fields[name]; twice || name == "" {
			return nil, 0, fmt.Errorf("%q has no field, or one that is cast already", e)
		}
		fields[name] = typ
	}
	if whole != 0 && len(list) > 1 {
		return nil, 0, errors.New("a type for the whole value cannot stand beside others")
	}
	return fields, whole, nil
}

// cast is Kafka's Cast: changes the types of fields, or of the whole value.
type cast struct {
	side         Side
	fields       map[string]data.Type
	whole        data.Type // 0 for casts of fields
	withDefaults bool
	plans        perSchema[*data.Schema]
}

func newCast(s settings, c configdef.Config) (Transform, error) {
	t := &cast{side: s.side, withDefaults: c.Bool(replaceNull.Name)}
	var err error
	t.fields, t.whole, err = parseCastSpec(c.List("spec"))
	return t, err
}

// Apply leaves nulls alone.
func (t *cast) Apply(r *Record) (bool, error) {
	c := r.side(t.side)
	if c.isNull() {
		return true, nil
	}
	if c.schema() == nil {
		return true, t.applyPlain(r, c)
	}
	out, err := t.plans.get(c.schema(), t.compile)
	if err != nil {
		return false, err
	}
	v, err := c.get()
	if err != nil {
		return false, err
	}
	if t.whole != 0 {
		x, err := castValue(c.schema(), v, t.whole)
		r.set(c, out, x)
		return true, err
	}
	in, to := v.(*data.Struct), data.NewStruct(out)
	for i, f := range in.Schema().Fields() {
		x := fieldOf(in, i, t.withDefaults)
		if typ, ok := t.fields[f.Name]; ok {
			if x, err = castValue(f.Schema, x, typ); err != nil {
				return false, fmt.Errorf("field %q: %w", f.Name, err)
			}
		}
		if err := put(to, i, x); err != nil {
			return false, err
		}
	}
	r.set(c, out, to)
	return true, nil
}

func (t *cast) compile(s *data.Schema) (*data.Schema, error) {
	if t.whole != 0 {
		if err := castable(s, t.whole); err != nil {
			return nil, err
		}
		return castSchema(s, t.whole)
	}
	if err := requireStruct(s, "casting fields"); err != nil {
		return nil, err
	}
	b := data.CopyBasics(s)
	if s.Optional() {
		b.Optional()
	}
	for _, f := range s.Fields() {
		child := f.Schema
		if typ, ok := t.fields[f.Name]; ok {
			if err := castable(f.Schema, typ); err != nil {
				return nil, fmt.Errorf("field %q: %w", f.Name, err)
			}
			var err error
			if child, err = castSchema(f.Schema, typ); err != nil {
				return nil, fmt.Errorf("field %q: %w", f.Name, err)
			}
		}
		b.Field(f.Name, child)
	}
	return b.Build()
}

// castSchema is the schema of a cast value: optional and default stay, all
// else goes. Differs from Kafka: there a cast of the whole value keeps the
// name, which may be that of a logical type that the value no longer is.
func castSchema(s *data.Schema, typ data.Type) (*data.Schema, error) {
	b := data.NewBuilder(typ)
	if s.Optional() {
		b.Optional()
	}
	if def, ok := s.Default(); ok {
		v, err := castValue(s, def, typ)
		if err != nil {
			return nil, fmt.Errorf("default: %w", err)
		}
		b.Default(v)
	}
	return b.Build()
}

// castable reports whether values of a schema can be cast to a type at all.
func castable(s *data.Schema, typ data.Type) error {
	switch s.Type() {
	case data.TypeArray, data.TypeMap, data.TypeStruct:
		return fmt.Errorf("a value of type %v cannot be cast", s.Type())
	case data.TypeBytes:
		if s.Name() != data.DecimalName && typ != data.TypeString {
			return errors.New("bytes can be cast to string only")
		}
	}
	return nil
}

func (t *cast) applyPlain(r *Record, c *cell) error {
	if t.whole != 0 {
		v, err := c.get()
		if err == nil {
			v, err = castValue(nil, v, t.whole)
		}
		r.set(c, nil, v)
		return err
	}
	in, err := c.mapOf("casting fields")
	if err != nil {
		return err
	}
	out := maps.Clone(in)
	if out == nil {
		out = map[string]any{}
	}
	for name, typ := range t.fields {
		v, err := castValue(nil, in[name], typ)
		if err != nil {
			return fmt.Errorf("field %q: %w", name, err)
		}
		out[name] = v
	}
	r.set(c, nil, out)
	return nil
}
