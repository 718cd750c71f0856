package data

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
)

// Encode appends the row of a value to dst. The value is checked as Validate
// does; a null field that is required and has a default is written as the
// default, since a row cannot hold a null there. nullDefault is what belongs
// in Datum.NullDefault. On an error dst is returned as it was.
//
// A null as a whole has no row; NewDatum tells the kinds of null apart.
func Encode(dst []byte, s *Schema, value any) (row []byte, nullDefault bool, err error) {
	if value == nil {
		return dst, false, errors.New("encode row: a null has no row")
	}
	e := encoder{buf: dst}
	if err := e.value(s.compiled(), value); err != nil {
		return dst, false, fmt.Errorf("encode row: %w", err)
	}
	return e.buf, e.nullDefault, nil
}

// NewDatum encodes a value into a Datum of its own. A nil schema makes it
// schemaless (see EncodeSchemaless), and a nil value a null.
func NewDatum(s *Schema, value any) (Datum, error) {
	switch {
	case s == nil && value == nil:
		return Datum{}, nil
	case value == nil:
		if !s.optional && !s.hasDef {
			return Datum{}, fmt.Errorf("encode row: %w", ErrRequired)
		}
		return Datum{Schema: s, State: Null, NullDefault: s.hasDef}, nil
	case s == nil:
		row, err := EncodeSchemaless(nil, value)
		return Datum{State: Present, Row: row}, err
	}
	row, nullDefault, err := Encode(nil, s, value)
	return Datum{Schema: s, State: Present, NullDefault: nullDefault, Row: row}, err
}

// encoder writes Go values as rows.
type encoder struct {
	buf         []byte
	nullDefault bool
}

// value writes a value or null with its branch.
func (e *encoder) value(p *plan, v any) error {
	if v == nil {
		return e.null(p)
	}
	e.buf = p.appendValueBranch(e.buf)
	return e.present(p, v)
}

func (e *encoder) null(p *plan) error {
	switch {
	case p.null >= 0:
		e.nullDefault = e.nullDefault || p.nullDefault()
		e.buf = binary.AppendVarint(e.buf, int64(p.null))
	case p.defRow != nil:
		e.buf = append(e.buf, p.defRow...)
	default:
		return &PathError{Err: ErrRequired}
	}
	return nil
}

// present writes a value that is not null, without its branch.
func (e *encoder) present(p *plan, v any) error {
	switch p.op {
	case opArray:
		if v, ok := v.([]any); ok {
			return e.array(p, v)
		}
	case opMap, opEntries:
		if v, ok := v.(Map); ok {
			return e.entries(p, v)
		}
	case opStruct, opUnion:
		if v, ok := v.(*Struct); ok && v != nil {
			return e.structure(p, v)
		}
	default:
		return e.scalar(p, v)
	}
	return typeError(p.schema, v)
}

func (e *encoder) scalar(p *plan, v any) error {
	switch v := v.(type) {
	case int8:
		if p.op == opInt8 {
			e.buf = binary.AppendVarint(e.buf, int64(v))
			return nil
		}
	case int16:
		if p.op == opInt16 {
			e.buf = binary.AppendVarint(e.buf, int64(v))
			return nil
		}
	case int32:
		if p.op == opInt32 || p.op == opTime {
			e.buf = binary.AppendVarint(e.buf, int64(v))
			if p.op == opTime {
				return checkTime(v)
			}
			return nil
		}
	case int64:
		if p.op == opInt64 {
			e.buf = binary.AppendVarint(e.buf, v)
			return nil
		}
	case float32:
		if p.op == opFloat32 {
			e.buf = binary.LittleEndian.AppendUint32(e.buf, math.Float32bits(v))
			return nil
		}
	case float64:
		if p.op == opFloat64 {
			e.buf = binary.LittleEndian.AppendUint64(e.buf, math.Float64bits(v))
			return nil
		}
	case bool:
		if p.op == opBoolean {
			e.buf = append(e.buf, flag(v))
			return nil
		}
	case string:
		if p.op == opString {
			e.buf = append(binary.AppendVarint(e.buf, int64(len(v))), v...)
			return nil
		}
	case []byte:
		return e.bytes(p, v)
	case Decimal:
		return e.decimal(p, v)
	}
	return typeError(p.schema, v)
}

func (e *encoder) bytes(p *plan, v []byte) error {
	switch p.op {
	case opBytes:
		e.buf = append(binary.AppendVarint(e.buf, int64(len(v))), v...)
		return nil
	case opFixed:
		e.buf = append(e.buf, v...)
		return checkFixed(p.schema, v)
	default:
		return typeError(p.schema, v)
	}
}

func (e *encoder) decimal(p *plan, v Decimal) error {
	if p.op != opDecimal && p.op != opFixedDecimal {
		return typeError(p.schema, v)
	}
	if v.Scale != p.scale {
		return fmt.Errorf("decimal has scale %d where the schema has %d", v.Scale, p.scale)
	}
	var room [32]byte
	var err error
	e.buf, err = appendDecimal(e.buf, p, v.AppendUnscaled(room[:0]))
	return err
}

// appendDecimal appends an unscaled number, already minimal, as p's bytes.
func appendDecimal(dst []byte, p *plan, unscaled []byte) ([]byte, error) {
	if p.op == opDecimal {
		return append(binary.AppendVarint(dst, int64(len(unscaled))), unscaled...), nil
	}
	if len(unscaled) > p.size {
		return dst, fmt.Errorf("decimal of %d bytes does not fit a fixed of %d", len(unscaled), p.size)
	}
	sign := byte(0)
	if len(unscaled) > 0 && unscaled[0]&0x80 != 0 {
		sign = 0xff
	}
	for range p.size - len(unscaled) {
		dst = append(dst, sign)
	}
	return append(dst, unscaled...), nil
}

func (e *encoder) array(p *plan, v []any) error {
	if len(v) > 0 {
		e.buf = binary.AppendVarint(e.buf, int64(len(v)))
	}
	for i, x := range v {
		if err := e.value(p.elem, x); err != nil {
			return underIndex(i, err)
		}
	}
	e.buf = append(e.buf, 0)
	return nil
}

// entries writes a map's entries sorted by the bytes of their keys.
func (e *encoder) entries(p *plan, m Map) error {
	if len(m) > 0 {
		e.buf = binary.AppendVarint(e.buf, int64(len(m)))
	}
	start := len(e.buf)
	spans := make([]span, 0, len(m))
	for i, x := range m {
		at := len(e.buf)
		if err := e.value(p.key, x.Key); err != nil {
			return underIndex(i, err)
		}
		value := len(e.buf)
		if err := e.value(p.elem, x.Value); err != nil {
			return underIndex(i, err)
		}
		spans = append(spans, span{at, value, len(e.buf)})
	}
	if _, err := sortEntries(e.buf, start, spans, nil, p.op == opMap); err != nil {
		return err
	}
	e.buf = append(e.buf, 0)
	return nil
}

// span is where one map entry lies: its key from start to value, its value
// from there to end.
type span struct{ start, value, end int }

// key returns the bytes that entries are ordered by: of a string its text, so
// that "b" comes before "aa" no more than it does in Java; of other keys their
// row.
func (s span) key(buf []byte, text bool) []byte {
	k := buf[s.start:s.value]
	if text {
		_, n := binary.Uvarint(k)
		k = k[n:]
	}
	return k
}

// sortEntries puts the map entries at buf[start:] in order, in place, and
// refuses equal keys. scratch is used for the move and returned grown.
func sortEntries(buf []byte, start int, spans []span, scratch []byte, text bool) ([]byte, error) {
	compare := func(a, b span) int { return bytes.Compare(a.key(buf, text), b.key(buf, text)) }
	sorted := slices.IsSortedFunc(spans, compare)
	if !sorted {
		slices.SortFunc(spans, compare)
	}
	for i := 1; i < len(spans); i++ {
		if compare(spans[i-1], spans[i]) == 0 {
			return scratch, fmt.Errorf("key %.40q is there twice", spans[i].key(buf, text))
		}
	}
	if sorted {
		return scratch, nil
	}
	scratch = append(scratch[:0], buf[start:]...)
	out := buf[start:start]
	for _, s := range spans {
		out = append(out, scratch[s.start-start:s.end-start]...)
	}
	return scratch, nil
}

func (e *encoder) structure(p *plan, v *Struct) error {
	if v.schema != p.schema && !sameStruct(v.schema, p.schema) {
		return errors.New("struct schemas do not match")
	}
	if p.op == opUnion {
		return e.union(p, v)
	}
	for i, f := range p.fields {
		if err := e.value(f, v.values[i]); err != nil {
			return under(p.schema.fields[i].Name, err)
		}
	}
	return nil
}

func (e *encoder) union(p *plan, v *Struct) error {
	chosen := -1
	for i, x := range v.values {
		if x == nil {
			continue
		}
		if chosen >= 0 {
			return fmt.Errorf("a union has both %s and %s set", p.schema.fields[chosen].Name, p.schema.fields[i].Name)
		}
		chosen = i
	}
	if chosen < 0 {
		return errors.New("a union has no field set")
	}
	e.buf = binary.AppendVarint(e.buf, int64(p.branch(chosen)))
	return under(p.schema.fields[chosen].Name, e.present(p.fields[chosen], v.values[chosen]))
}
