package partition

import (
	"errors"
	"fmt"
	"strings"

	"github.com/millrace/millrace/plugins/data"
)

// path reads one field, perhaps nested, from values. It remembers where the
// field is in the schema that it saw last.
type path struct {
	name  string
	parts []string

	schema *data.Schema // that the rest is for
	reader *data.RowReader
	at     []int
	leaf   *data.Schema
}

// newPath takes a dotted name.
func newPath(name string) (*path, error) {
	parts := strings.Split(name, ".")
	for _, p := range parts {
		if p == "" {
			return nil, fmt.Errorf("%q has an empty part: write it as field or outer.inner", name)
		}
	}
	return &path{name: name, parts: parts}, nil
}

// value returns the field: nil, string, bool, int64, or for every other type
// the leaf's schema with a nil value that is not null, which callers refuse.
func (p *path) value(d data.Datum) (any, *data.Schema, error) {
	if d.State != data.Present {
		return nil, nil, fmt.Errorf("field %s is asked for and the value is null", p.name)
	}
	if d.Schema == nil {
		v, err := p.schemaless(d)
		return v, nil, err
	}
	if p.schema != d.Schema {
		if err := p.resolve(d.Schema); err != nil {
			return nil, nil, err
		}
	}
	return p.read(d.Row)
}

// unreadable is a value of a type that names no directory and is no time.
type unreadable struct{}

func (p *path) resolve(s *data.Schema) error {
	p.schema, p.at = nil, p.at[:0]
	cur := s
	for _, part := range p.parts {
		if cur.Type() != data.TypeStruct {
			return fmt.Errorf("field %s: %s is in no struct", p.name, part)
		}
		f, ok := cur.Field(part)
		if !ok {
			return fmt.Errorf("field %s: the schema %q has no field %s", p.name, cur.Name(), part)
		}
		p.at = append(p.at, f.Index)
		cur = f.Schema
	}
	p.leaf, p.reader, p.schema = cur, data.NewRowReader(s), s
	return nil
}

func (p *path) read(row []byte) (any, *data.Schema, error) {
	r := p.reader
	r.Reset(row)
	null := r.Null()
	for _, index := range p.at {
		if null {
			break
		}
		r.EnterStruct()
		for range index {
			r.Skip()
		}
		null = r.Null()
	}
	if err := r.Err(); err != nil {
		return nil, nil, fmt.Errorf("field %s: %w", p.name, err)
	}
	if null {
		v, _ := p.leaf.Default()
		return widen(v), p.leaf, nil
	}
	v := p.scalar()
	if err := r.Err(); err != nil {
		return nil, nil, fmt.Errorf("field %s: %w", p.name, err)
	}
	return v, p.leaf, nil
}

func (p *path) scalar() any {
	r := p.reader
	switch p.leaf.Type() {
	case data.TypeInt8:
		return int64(r.Int8())
	case data.TypeInt16:
		return int64(r.Int16())
	case data.TypeInt32:
		return int64(r.Int32())
	case data.TypeInt64:
		return r.Int64()
	case data.TypeBoolean:
		return r.Boolean()
	case data.TypeString:
		return r.Text()
	}
	return unreadable{}
}

func widen(v any) any {
	switch v := v.(type) {
	case int8:
		return int64(v)
	case int16:
		return int64(v)
	case int32:
		return int64(v)
	case nil, int64, bool, string:
		return v
	}
	return unreadable{}
}

func (p *path) schemaless(d data.Datum) (any, error) {
	v, err := d.Value()
	if err != nil {
		return nil, err
	}
	for _, part := range p.parts {
		m, ok := v.(map[string]any)
		if !ok {
			return nil, fmt.Errorf("field %s: %s is in no map", p.name, part)
		}
		if v, ok = m[part]; !ok {
			return nil, fmt.Errorf("field %s: the value has no %s", p.name, part)
		}
	}
	if f, ok := v.(float64); ok {
		return int64(f), nil
	}
	v = widen(v)
	if _, ok := v.(unreadable); ok {
		return nil, errors.New("field " + p.name + " is neither number nor text")
	}
	return v, nil
}
