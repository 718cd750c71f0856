package data

import (
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"strconv"
)

// RowFromJSON appends the row of a JSON value to dst, reading it as Connect's
// JsonConverter does: members in any order and unknown ones skipped, a missing
// member like a null, decimals as numbers or base64. What Jackson would bend
// into shape without a word, such as text in a number's place or a number that
// does not fit its type, is an error here.
func RowFromJSON(dst []byte, s *Schema, text []byte, o JSONOptions) (row []byte, nullDefault bool, err error) {
	r := NewJSONReader(s, o)
	return r.Append(dst, text)
}

// JSONReader is RowFromJSON for many values of one schema. It is used by one
// goroutine.
type JSONReader struct {
	w        RowWriter
	o        JSONOptions
	spans    []int // of the open structs, by field, where the member's value is; 0 for none
	tmp      []byte
	disorder int // values for which no order is expected, the one at hand included
}

// NewJSONReader returns a reader of JSON values of s.
func NewJSONReader(s *Schema, o JSONOptions) *JSONReader {
	return &JSONReader{w: RowWriter{root: s.compiled()}, o: o}
}

// Append appends the row of a JSON value to dst. A null as a whole is an
// error: it has no row.
func (r *JSONReader) Append(dst, text []byte) (row []byte, nullDefault bool, err error) {
	r.w.Reset(dst)
	r.spans = r.spans[:0]
	r.disorder = max(r.disorder-1, 0)
	in := newScanner(text)
	r.value(r.w.root, &in)
	if r.w.err == nil {
		if err := in.end(); err != nil {
			return dst, false, err
		}
	}
	return r.w.Finish()
}

// value reads one value that the writer expects next.
func (r *JSONReader) value(p *plan, in *scanner) {
	if r.w.err != nil {
		return
	}
	k := in.kind()
	if k == 'n' {
		in.literal()
		r.nothing(p)
		return
	}
	if r.o.oneOf(p) {
		r.oneOf(p, k, in)
		return
	}
	if !kindFits(p, k) {
		r.reject(fmt.Errorf("JSON %s where the schema is %s", kindNames[k], opNames[p.op]))
		return
	}
	switch p.op {
	case opInt8, opInt16, opInt32, opTime, opInt64:
		r.integer(p, in)
	case opFloat32, opFloat64:
		r.float(p, in)
	case opBoolean:
		r.w.Boolean(in.literal() == 't')
	case opString:
		r.w.TextBytes(in.text())
	case opBytes, opFixed:
		if b, err := r.base64(in); err != nil {
			r.reject(err)
		} else {
			r.w.Bytes(b)
		}
	case opDecimal, opFixedDecimal:
		r.decimal(in)
	case opArray:
		r.array(p, in)
	case opMap, opEntries:
		if k == '{' {
			r.object(p, in)
		} else {
			r.pairs(p, in)
		}
	case opStruct, opUnion:
		r.structure(p, in)
	}
	if in.err != nil {
		r.w.fail(in.err)
	}
}

var kindNames = map[byte]string{
	'{': "object", '[': "array", '"': "text", '0': "number", 't': "true", 'f': "false",
	'x': "that is none", ']': "that is none", '}': "that is none", ',': "that is none", ':': "that is none",
}

// kindFits reports whether a value that begins with k may be one of p.
func kindFits(p *plan, k byte) bool {
	switch p.op {
	case opInt8, opInt16, opInt32, opTime, opInt64:
		return k == '0'
	case opFloat32, opFloat64, opDecimal, opFixedDecimal:
		return k == '0' || k == '"'
	case opBoolean:
		return k == 't' || k == 'f'
	case opString, opBytes, opFixed:
		return k == '"'
	case opArray:
		return k == '['
	case opMap, opEntries:
		return k == '{' == (p.schema.key.typ == TypeString) && (k == '{' || k == '[')
	default:
		return k == '{'
	}
}

// reject fails at the value that is next.
func (r *JSONReader) reject(err error) {
	if r.w.advance() != nil {
		r.w.fail(err)
	}
}

// nothing writes a null or, unless nulls are kept, the default.
func (r *JSONReader) nothing(p *plan) {
	if p.defRow == nil || r.o.KeepNulls && p.null >= 0 || r.w.inUnion() {
		r.w.Null()
		return
	}
	if r.o.KeepNulls {
		r.reject(ErrRequired)
		return
	}
	r.w.defaultValue()
}

// inUnion reports whether the next value is a branch of a union, of which all
// but one are null whatever their defaults.
func (w *RowWriter) inUnion() bool {
	n := len(w.frames)
	return n > 0 && w.frames[n-1].p.op == opUnion
}

// defaultValue writes the next value's default.
func (w *RowWriter) defaultValue() {
	if p := w.advance(); p != nil {
		w.buf = append(w.buf, p.defRow...)
	}
}

func (r *JSONReader) integer(p *plan, in *scanner) {
	bits := 64
	switch p.op {
	case opInt8:
		bits = 8
	case opInt16:
		bits = 16
	case opInt32, opTime:
		bits = 32
	}
	v, err := parseInteger(in.number(), bits)
	switch {
	case in.err != nil:
		return
	case err != nil:
		r.reject(err)
	case p.op == opTime || p.op == opInt32:
		r.w.Int32(int32(v))
	case p.op == opInt64:
		r.w.Int64(v)
	case p.op == opInt16:
		r.w.Int16(int16(v))
	default:
		r.w.Int8(int8(v))
	}
}

// parseInteger reads a JSON number that must be whole: 5, and also 5.0 or 5e2.
func parseInteger(text []byte, bits int) (int64, error) {
	v, err := strconv.ParseInt(string(text), 10, bits)
	if err == nil {
		return v, nil
	}
	if errors.Is(err, strconv.ErrSyntax) {
		d, derr := ParseDecimal(string(text))
		if derr == nil {
			d, derr = d.Rescale(0)
		}
		if derr == nil && d.Unscaled.IsInt64() {
			if v := d.Unscaled.Int64(); v<<(64-bits)>>(64-bits) == v {
				return v, nil
			}
		}
	}
	return 0, fmt.Errorf("%.40s is not an integer of %d bits", text, bits)
}

func (r *JSONReader) float(p *plan, in *scanner) {
	bits := 64
	if p.op == opFloat32 {
		bits = 32
	}
	var v float64
	var err error
	if in.kind() == '"' {
		text := in.text()
		special, ok := nonNumbers[string(text)]
		if v = special; !ok {
			err = fmt.Errorf("%.40q is not a number", text)
		}
	} else {
		text := in.number()
		v, err = strconv.ParseFloat(string(text), bits)
		if errors.Is(err, strconv.ErrRange) && math.IsInf(v, 0) {
			err = fmt.Errorf("%.40s is out of range", text)
		}
	}
	switch {
	case in.err != nil:
	case err != nil:
		r.reject(err)
	case bits == 32:
		r.w.Float32(float32(v))
	default:
		r.w.Float64(v)
	}
}

func (r *JSONReader) base64(in *scanner) ([]byte, error) {
	var err error
	r.tmp, err = base64.StdEncoding.AppendDecode(r.tmp[:0], in.text())
	if err != nil {
		return nil, fmt.Errorf("bytes are not base64: %w", err)
	}
	return r.tmp, nil
}

func (r *JSONReader) decimal(in *scanner) {
	if in.kind() == '0' {
		if text := in.number(); in.err == nil {
			r.w.DecimalText(text)
		}
		return
	}
	if b, err := r.base64(in); err != nil {
		r.reject(err)
	} else {
		r.w.DecimalBytes(b)
	}
}

func (r *JSONReader) array(p *plan, in *scanner) {
	n := 0
	r.w.BeginArray()
	in.open('[')
	for in.more(']', &n) && r.w.err == nil {
		r.value(p.elem, in)
	}
	r.w.End()
}

func (r *JSONReader) object(p *plan, in *scanner) {
	n := 0
	r.w.BeginMap()
	in.open('{')
	for in.more('}', &n) && r.w.err == nil {
		r.w.TextBytes(in.key())
		r.value(p.elem, in)
	}
	r.w.End()
}

func (r *JSONReader) pairs(p *plan, in *scanner) {
	n := 0
	r.w.BeginMap()
	in.open('[')
	for in.more(']', &n) && r.w.err == nil {
		if r.o.EntryObjects {
			r.entry(p, in)
			continue
		}
		pair := 0
		in.open('[')
		for in.more(']', &pair) && r.w.err == nil {
			switch pair {
			case 1:
				r.value(p.key, in)
			case 2:
				r.value(p.elem, in)
			default:
				r.w.fail(errors.New("a map entry of more than two values"))
			}
		}
		if pair != 2 {
			r.w.fail(errors.New("a map entry is an array of two values"))
		}
	}
	r.w.End()
}

// entry reads a map's entry from an object with key and value, in any order.
func (r *JSONReader) entry(p *plan, in *scanner) {
	var key, elem, n int
	in.open('{')
	for in.more('}', &n) {
		name := string(in.key())
		k := in.kind()
		switch name {
		case "key":
			key = in.i
		case "value":
			elem = in.i
		}
		in.skip(k)
	}
	if in.err != nil {
		return
	}
	if key == 0 || elem == 0 {
		r.w.fail(errors.New("a map entry is an object with key and value"))
		return
	}
	end := in.i
	in.depth++
	in.i = key
	r.value(p.key, in)
	in.i = elem
	r.value(p.elem, in)
	in.i = end
	in.depth--
}

// structure reads an object. Its members may be in any order; nearly always
// they are in that of the fields.
func (r *JSONReader) structure(p *plan, in *scanner) {
	if p.op != opStruct || r.disorder > 0 || !r.inOrder(p, in) {
		r.anyOrder(p, in)
	}
}

// afterDisorder is for how many values, from one on whose members are in another
// order than the fields, a reader does not expect them to be in it. So what is
// read twice is at most one object of one value.
const afterDisorder = 16

// inOrder reads an object whose members are the fields, each once, in their
// order. Of any other, and of one that is not valid, it takes nothing and
// reports false.
func (r *JSONReader) inOrder(p *plan, in *scanner) bool {
	before, at, spans := *in, r.w, len(r.spans)
	var top writeFrame
	depth := len(r.w.frames)
	if depth > 0 {
		top = r.w.frames[depth-1]
	}
	n := 0
	in.open('{')
	r.w.BeginStruct()
	for i := range p.fields {
		if !in.more('}', &n) || string(in.key()) != p.schema.fields[i].Name {
			break
		}
		in.kind() // past the space before the value
		if r.value(p.fields[i], in); r.w.err != nil {
			break
		}
		if i == len(p.fields)-1 && !in.more('}', &n) && in.err == nil {
			r.w.End()
			return true
		}
	}
	r.disorder = afterDisorder
	*in, r.spans = before, r.spans[:spans]
	// The buffers may have grown; what was in them before stands.
	at.buf, at.frames, at.spans, at.scratch = r.w.buf[:len(at.buf)], r.w.frames[:depth], r.w.spans[:len(at.spans)], r.w.scratch
	if r.w = at; depth > 0 {
		r.w.frames[depth-1] = top
	}
	return false
}

// anyOrder finds the members of an object, and then goes back to them in the
// order of the fields.
func (r *JSONReader) anyOrder(p *plan, in *scanner) {
	base := len(r.spans)
	for range p.fields {
		r.spans = append(r.spans, 0)
	}
	n := 0
	in.open('{')
	for in.more('}', &n) {
		i, ok := p.schema.byName[string(in.key())]
		k := in.kind() // past the space before the value, which is never at 0
		if ok {
			r.spans[base+i] = in.i
		}
		in.skip(k)
	}
	if in.err != nil {
		return
	}
	end := in.i
	in.depth++
	r.w.BeginStruct()
	for i, f := range p.fields {
		if r.w.err != nil {
			return
		}
		at := r.spans[base+i]
		if at == 0 {
			r.nothing(f)
			continue
		}
		in.i = at
		r.value(f, in)
	}
	r.w.End()
	in.i = end
	in.depth--
	r.spans = r.spans[:base]
}

// SplitEnvelope returns the two members of JsonConverter's envelope
// {"schema":...,"payload":...}, and an error if text is anything else. Either
// is JSON text, perhaps null.
func SplitEnvelope(text []byte) (schema, payload []byte, err error) {
	in := newScanner(text)
	n := 0
	in.open('{')
	for in.more('}', &n) {
		switch key := in.key(); string(key) {
		case "schema":
			schema = in.raw()
		case "payload":
			payload = in.raw()
		default:
			in.fail("member %.40q in an envelope", key)
		}
	}
	err = in.end()
	if err == nil && (schema == nil || payload == nil) {
		err = fmt.Errorf("%w: an envelope needs the members schema and payload", ErrJSON)
	}
	return schema, payload, err
}
