package data

import (
	"fmt"
	"math"
)

// Decode returns the value of a row: a *Struct, Map, []any or scalar, as the
// Type constants list. Nothing of it aliases the row. Nulls stay null, also
// where a field has a default. Both forms of array and map blocks are
// accepted. Hostile bytes give errors that wrap ErrTruncated or ErrCorrupt and
// a PathError.
func Decode(s *Schema, row []byte) (any, error) {
	d := decoder{cursor{b: row}}
	v, err := d.value(s.compiled())
	if err == nil && d.left() > 0 {
		err = fmt.Errorf("%w: %d bytes follow the value", ErrCorrupt, d.left())
	}
	if err != nil {
		return nil, fmt.Errorf("decode row: %w", err)
	}
	return v, nil
}

// Check reports whether bytes are a row of s, without making anything of them:
// lengths, counts, branches and the ranges of integers. Arrays and maps whose
// blocks give their size are believed to fill it.
func Check(s *Schema, row []byte) error {
	c := cursor{b: row}
	c.skip(s.compiled())
	if c.err == nil && c.left() > 0 {
		c.corrupt("%d bytes follow the value", c.left())
	}
	if c.err != nil {
		return fmt.Errorf("check row: %w", c.err)
	}
	return nil
}

// IsNullRow reports whether a row of an optional schema begins with the branch
// of null. Rows written here never do, since a null has no row; values from
// other writers may.
func IsNullRow(s *Schema, row []byte) bool {
	p := s.compiled()
	c := cursor{b: row}
	if p.op == opUnion {
		return c.pick(p) < 0 && c.err == nil
	}
	return c.null(p)
}

// Value decodes the datum: nil for both nulls, a value of DecodeSchemaless
// when it has no schema, else one of Decode.
func (d Datum) Value() (any, error) {
	switch {
	case d.IsNull():
		return nil, nil
	case d.Schema == nil:
		return DecodeSchemaless(d.Row)
	default:
		return Decode(d.Schema, d.Row)
	}
}

type decoder struct{ cursor }

func (d *decoder) value(p *plan) (any, error) {
	if p.op != opUnion && d.null(p) {
		return nil, nil
	}
	if d.err != nil {
		return nil, d.err
	}
	return d.present(p)
}

func (d *decoder) present(p *plan) (any, error) {
	var v any
	switch p.op {
	case opInt8:
		v = int8(d.integer(math.MinInt8, math.MaxInt8))
	case opInt16:
		v = int16(d.integer(math.MinInt16, math.MaxInt16))
	case opInt32, opTime:
		v = int32(d.integer(math.MinInt32, math.MaxInt32))
	case opInt64:
		v = d.varint()
	case opFloat32:
		v = d.float32()
	case opFloat64:
		v = d.float64()
	case opBoolean:
		v = d.boolean()
	case opString:
		v = string(d.bytes())
	case opBytes:
		v = copyOf(d.bytes())
	case opFixed:
		v = copyOf(d.raw(p.size))
	case opDecimal:
		v = Decimal{unscaledFrom(d.bytes()), p.scale}
	case opFixedDecimal:
		v = Decimal{unscaledFrom(d.raw(p.size)), p.scale}
	case opArray:
		return d.array(p)
	case opMap, opEntries:
		return d.entries(p)
	case opStruct:
		return d.structure(p)
	case opUnion:
		return d.union(p)
	}
	return v, d.err
}

// copyOf copies bytes, no bytes to an empty slice, which is not a null.
func copyOf(b []byte) []byte { return append(make([]byte, 0, len(b)), b...) }

func (d *decoder) array(p *plan) (any, error) {
	out := []any{}
	b := blocks{min: p.elementBytes()}
	for d.open(&b) {
		b.left--
		v, err := d.value(p.elem)
		if err != nil {
			return nil, underIndex(len(out), err)
		}
		out = append(out, v)
	}
	return out, d.err
}

func (d *decoder) entries(p *plan) (any, error) {
	out := Map{}
	b := blocks{min: p.elementBytes()}
	for d.open(&b) {
		b.left--
		k, err := d.value(p.key)
		if err != nil {
			return nil, underIndex(len(out), err)
		}
		v, err := d.value(p.elem)
		if err != nil {
			return nil, underIndex(len(out), err)
		}
		out = append(out, Entry{k, v})
	}
	return out, d.err
}

func (d *decoder) structure(p *plan) (any, error) {
	s := NewStruct(p.schema)
	for i, f := range p.fields {
		v, err := d.value(f)
		if err != nil {
			return nil, under(p.schema.fields[i].Name, err)
		}
		s.values[i] = v
	}
	return s, nil
}

func (d *decoder) union(p *plan) (any, error) {
	i := d.pick(p)
	if i < 0 || d.err != nil {
		return nil, d.err
	}
	return d.branch(p, i)
}

func (d *decoder) branch(p *plan, i int) (any, error) {
	s := NewStruct(p.schema)
	v, err := d.present(p.fields[i])
	if err != nil {
		return nil, under(p.schema.fields[i].Name, err)
	}
	s.values[i] = v
	return s, nil
}

// HasNullDefault reports whether a row that came from elsewhere holds a null
// of a field that has a default: what belongs in Datum.NullDefault.
func HasNullDefault(s *Schema, row []byte) (bool, error) {
	p := s.compiled()
	if !p.defaults {
		return false, nil
	}
	f := nullFinder{cursor: cursor{b: row}}
	f.value(p)
	if f.err != nil {
		return false, fmt.Errorf("look for nulls: %w", f.err)
	}
	return f.found, nil
}

// nullFinder walks a row until it finds a null that a default may replace.
type nullFinder struct {
	cursor
	found bool
}

func (f *nullFinder) value(p *plan) {
	switch {
	case f.found || f.err != nil:
		return
	case !p.defaults:
		f.skip(p)
		return
	}
	pick, null := 0, false
	if p.op == opUnion {
		pick = f.pick(p)
		null = pick < 0
	} else {
		null = f.null(p)
	}
	switch {
	case null:
		f.found = p.nullDefault()
	case p.op == opStruct:
		for _, c := range p.fields {
			f.value(c)
		}
	case p.op == opUnion && f.err == nil:
		f.value(p.fields[pick])
	case p.elem != nil:
		b := blocks{min: p.elementBytes()}
		for f.open(&b) && !f.found {
			b.left--
			if p.key != nil {
				f.value(p.key)
			}
			f.value(p.elem)
		}
	default:
		f.skipPresent(p)
	}
}
