package data

import (
	"encoding/base64"
	"fmt"
	"math"
	"math/big"
	"strconv"
)

// AppendJSON appends a row as JSON, in the form of Connect's JsonConverter:
// structs as objects with all their fields, maps with text keys as objects and
// others as arrays of pairs, bytes in base64. It walks the row and builds
// nothing in between.
func AppendJSON(dst []byte, s *Schema, row []byte, o JSONOptions) ([]byte, error) {
	w := jsonWriter{cursor: cursor{b: row}, out: dst, o: o}
	w.value(s.compiled())
	if w.err == nil && w.left() > 0 {
		w.corrupt("%d bytes follow the value", w.left())
	}
	if w.err != nil {
		return dst, fmt.Errorf("write row as JSON: %w", w.err)
	}
	return w.out, nil
}

// AppendDefaultJSON appends a schema's default as JSON and reports whether
// there is one.
func AppendDefaultJSON(dst []byte, s *Schema, o JSONOptions) ([]byte, bool) {
	if !s.hasDef {
		return dst, false
	}
	return append(dst, defaultJSON(s.compiled(), o)...), true
}

// defaultJSON is the default of p, without its branch, as JSON.
func defaultJSON(p *plan, o JSONOptions) []byte {
	w := jsonWriter{cursor: cursor{b: p.defRow}, o: o}
	if p.op != opUnion && p.null >= 0 {
		w.varint() // the branch: a default is no null
	}
	w.present(p)
	return w.out // written by the encoder, it cannot fail
}

type jsonWriter struct {
	cursor
	out []byte
	o   JSONOptions
}

func (w *jsonWriter) value(p *plan) {
	if p.op != opUnion && w.null(p) {
		w.nothing(p)
		return
	}
	w.present(p)
}

// nothing writes a null, or the default in its place.
func (w *jsonWriter) nothing(p *plan) {
	if p.defRow != nil && !w.o.KeepNulls {
		w.out = append(w.out, defaultJSON(p, w.o)...)
		return
	}
	w.out = append(w.out, "null"...)
}

func (w *jsonWriter) present(p *plan) {
	switch p.op {
	case opString:
		w.out = appendJSONString(w.out, w.bytes())
	case opInt8, opInt16, opInt32, opTime, opInt64:
		w.out = strconv.AppendInt(w.out, w.varint(), 10)
	case opFloat32:
		w.out = appendJSONFloat(w.out, float64(w.float32()), 32)
	case opFloat64:
		w.out = appendJSONFloat(w.out, w.float64(), 64)
	case opBoolean:
		w.out = strconv.AppendBool(w.out, w.boolean())
	case opBytes:
		w.base64(w.bytes())
	case opFixed:
		w.base64(w.raw(p.size))
	case opDecimal:
		w.decimal(p, w.bytes())
	case opFixedDecimal:
		w.decimal(p, w.raw(p.size))
	case opArray:
		w.array(p)
	case opMap, opEntries:
		if p.schema.key.typ == TypeString {
			w.object(p)
		} else {
			w.pairs(p)
		}
	case opStruct:
		if w.o.oneOf(p) {
			w.oneOf(p)
			return
		}
		for i, f := range p.fields {
			w.out = append(w.out, p.keys[i]...)
			w.value(f)
		}
		w.out = append(w.out, "{}"[flag(len(p.fields) > 0):]...)
	case opUnion:
		w.union(p)
	}
}

// oneOf writes the struct that stands for one of several types: the first field
// that is set, null without.
func (w *jsonWriter) oneOf(p *plan) {
	written := false
	for _, f := range p.fields {
		if f.op != opUnion && w.null(f) {
			continue
		}
		start := len(w.out)
		w.present(f)
		if written {
			w.out = w.out[:start]
		}
		written = true
	}
	if !written {
		w.out = append(w.out, "null"...)
	}
}

func (w *jsonWriter) base64(b []byte) {
	w.out = append(w.out, '"')
	w.out = base64.StdEncoding.AppendEncode(w.out, b)
	w.out = append(w.out, '"')
}

func (w *jsonWriter) decimal(p *plan, b []byte) {
	b = trimTwos(b)
	switch {
	case w.o.NumericDecimals && len(b) <= 8 && p.scale >= 0:
		w.out = appendFixedPoint(w.out, int64FromTwos(b), p.scale)
	case w.o.NumericDecimals:
		w.out = append(w.out, Decimal{unscaledFrom(b), p.scale}.String()...)
	case len(b) == 0:
		w.out = append(w.out, `"AA=="`...)
	default:
		w.base64(b)
	}
}

// int64FromTwos reads two's complement of up to 8 bytes.
func int64FromTwos(b []byte) int64 {
	var v int64
	if len(b) > 0 && b[0]&0x80 != 0 {
		v = -1
	}
	for _, c := range b {
		v = v<<8 | int64(c)
	}
	return v
}

// appendFixedPoint appends an unscaled number as Decimal.String prints it.
func appendFixedPoint(dst []byte, v int64, scale int32) []byte {
	if scale == 0 {
		return strconv.AppendInt(dst, v, 10)
	}
	if v == math.MinInt64 || scale > 17 {
		return append(dst, Decimal{big.NewInt(v), scale}.String()...)
	}
	if v < 0 {
		dst, v = append(dst, '-'), -v
	}
	var room [40]byte
	digits := strconv.AppendInt(room[20:20], v, 10)
	if int64(len(digits)-1)-int64(scale) < -6 {
		return append(dst, Decimal{big.NewInt(v), scale}.String()...)
	}
	pad := max(int(scale)-len(digits)+1, 0)
	for range pad {
		dst = append(dst, '0')
	}
	dst = append(dst, digits...)
	point := len(dst) - int(scale)
	dst = append(dst, 0)
	copy(dst[point+1:], dst[point:])
	dst[point] = '.'
	return dst
}

func (w *jsonWriter) array(p *plan) {
	w.out = append(w.out, '[')
	b := blocks{min: p.elementBytes()}
	for n := 0; w.open(&b); n++ {
		b.left--
		w.out = comma(w.out, n)
		w.value(p.elem)
	}
	w.out = append(w.out, ']')
}

func (w *jsonWriter) object(p *plan) {
	w.out = append(w.out, '{')
	b := blocks{min: p.elementBytes()}
	for n := 0; w.open(&b); n++ {
		b.left--
		w.out = comma(w.out, n)
		if w.null(p.key) {
			w.fail(fmt.Errorf("%w as the key of a map", ErrRequired))
			return
		}
		w.present(p.key)
		w.out = append(w.out, ':')
		w.value(p.elem)
	}
	w.out = append(w.out, '}')
}

func (w *jsonWriter) pairs(p *plan) {
	open, middle, end := "[", ",", "]"
	if w.o.EntryObjects {
		open, middle, end = `{"key":`, `,"value":`, "}"
	}
	w.out = append(w.out, '[')
	b := blocks{min: p.elementBytes()}
	for n := 0; w.open(&b); n++ {
		b.left--
		w.out = append(comma(w.out, n), open...)
		w.value(p.key)
		w.out = append(w.out, middle...)
		w.value(p.elem)
		w.out = append(w.out, end...)
	}
	w.out = append(w.out, ']')
}

// union writes the struct that stands for a union: all fields, one of them
// set.
func (w *jsonWriter) union(p *plan) {
	pick := w.pick(p)
	if pick < 0 {
		w.nothing(p)
		return
	}
	for i, f := range p.fields {
		w.out = append(w.out, p.keys[i]...)
		if i == pick {
			w.present(f)
		} else {
			w.out = append(w.out, "null"...) // a default would set a second branch
		}
	}
	w.out = append(w.out, '}')
}
