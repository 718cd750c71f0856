package data

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
)

// RowWriter writes a row field by field, straight into bytes, without boxing a
// value. Create one per schema and Reset it for each row:
//
//	w.Reset(buf)
//	w.BeginStruct()
//	w.Int64(id)
//	w.TextBytes(name) // or w.Null()
//	w.BeginArray()
//	w.Int32(1)
//	w.End() // the array
//	w.End() // the struct
//	buf, nullDefault, err := w.Finish()
//
// Every field is written, in schema order. Errors stick: a value of the wrong
// type, a field too many or too few make all further calls do nothing, and
// Finish reports the first with its path and gives back the buffer as Reset
// got it. A RowWriter is used by one goroutine; in steady state it does not
// allocate.
type RowWriter struct {
	root        *plan
	buf         []byte
	start       int // where the row begins in buf
	frames      []writeFrame
	spans       []span // map entries of all open maps
	scratch     []byte
	done        bool
	nullDefault bool
	err         error
}

// writeFrame is an open struct, array or map.
type writeFrame struct {
	p     *plan
	next  int // what is next: a field, an element, of a map half an entry
	start int // array and map: where the elements begin
	spans int // map: where its entries begin in RowWriter.spans
	set   bool
}

// NewRowWriter returns a writer of rows of s.
func NewRowWriter(s *Schema) *RowWriter { return &RowWriter{root: s.compiled()} }

// Schema returns the schema whose rows are written.
func (w *RowWriter) Schema() *Schema { return w.root.schema }

// Reset starts a row that is appended to dst.
func (w *RowWriter) Reset(dst []byte) {
	w.buf, w.start = dst, len(dst)
	w.frames, w.spans = w.frames[:0], w.spans[:0]
	w.done, w.nullDefault, w.err = false, false, nil
}

// Err returns the first error.
func (w *RowWriter) Err() error { return w.err }

// Finish returns the buffer with the row appended, and what belongs in
// Datum.NullDefault. On an error the buffer is as Reset got it.
func (w *RowWriter) Finish() (buf []byte, nullDefault bool, err error) {
	switch {
	case w.err != nil:
	case len(w.frames) > 0:
		w.fail(errors.New("a struct, array or map was not ended"))
	case !w.done:
		w.fail(errors.New("nothing was written"))
	}
	if w.err != nil {
		return w.buf[:w.start], false, w.err
	}
	return w.buf, w.nullDefault, nil
}

func (w *RowWriter) fail(err error) {
	if w.err == nil {
		w.err = fmt.Errorf("write row: %w", &PathError{Path: w.path(), Err: err})
	}
}

// path names the value that was written last.
func (w *RowWriter) path() string {
	var b strings.Builder
	for _, f := range w.frames {
		switch {
		case f.p.op == opArray:
			fmt.Fprintf(&b, "[%d]", max(f.next-1, 0))
		case f.p.key != nil:
			fmt.Fprintf(&b, "[%d]", max(f.next-1, 0)/2)
		case f.next > 0:
			if b.Len() > 0 {
				b.WriteByte('.')
			}
			b.WriteString(f.p.schema.fields[f.next-1].Name)
		}
	}
	return b.String()
}

// advance finds the plan of the value to write next, nil after failing when
// there is none.
func (w *RowWriter) advance() *plan {
	if w.err != nil {
		return nil
	}
	if len(w.frames) == 0 {
		if w.done {
			w.fail(errors.New("a row has one value"))
			return nil
		}
		w.done = true
		return w.root
	}
	f := &w.frames[len(w.frames)-1]
	switch {
	case f.p.elem == nil:
		if f.next == len(f.p.fields) {
			w.fail(fmt.Errorf("a value more than the struct's %d fields", f.next))
			return nil
		}
		f.next++
		return f.p.fields[f.next-1]
	case f.p.key == nil:
		f.next++
		return f.p.elem
	}
	f.next++
	if f.next%2 == 1 {
		w.spans = append(w.spans, span{start: len(w.buf)})
		return f.p.key
	}
	w.spans[len(w.spans)-1].value = len(w.buf)
	return f.p.elem
}

// take returns the plan of the next value, which must be one of want, after
// writing its branch.
func (w *RowWriter) take(want opSet, what string) *plan {
	if p := w.field(); p != nil && want&(1<<p.op) != 0 {
		w.frames[len(w.frames)-1].next++
		if p.null >= 0 && p.op != opUnion {
			w.buf = append(w.buf, byte(1-p.null)<<1)
		}
		return p
	}
	return w.takeAny(want, what)
}

// field returns the plan of the value to write next if that is a field of a
// plain struct, as nearly all are, else nil.
func (w *RowWriter) field() *plan {
	n := len(w.frames)
	if n == 0 || w.err != nil {
		return nil
	}
	f := &w.frames[n-1]
	if f.p.op != opStruct || f.next >= len(f.p.fields) {
		return nil
	}
	return f.p.fields[f.next]
}

// takeAny is take of any value, and says what is wrong.
func (w *RowWriter) takeAny(want opSet, what string) *plan {
	p := w.advance()
	if p == nil {
		return nil
	}
	if want&(1<<p.op) == 0 {
		w.fail(fmt.Errorf("%s is written where the schema is %s", what, opNames[p.op]))
		return nil
	}
	if n := len(w.frames); n > 0 && w.frames[n-1].p.op == opUnion {
		f := &w.frames[n-1]
		if f.set {
			w.fail(errors.New("a union has two fields set"))
			return nil
		}
		f.set = true
		w.buf = binary.AppendVarint(w.buf, int64(f.p.branch(f.next-1)))
	}
	w.buf = p.appendValueBranch(w.buf)
	return p
}

// Null writes a null: of an optional field as such, of a required field with a
// default as the default.
func (w *RowWriter) Null() {
	if p := w.field(); p != nil && p.null == 0 && p.defRow == nil {
		w.frames[len(w.frames)-1].next++
		w.buf = append(w.buf, 0)
		return
	}
	p := w.advance()
	if p == nil {
		return
	}
	n := len(w.frames)
	switch {
	case n == 0:
		w.fail(errors.New("a null has no row: use a Datum with State Null"))
	case w.frames[n-1].p.op == opUnion: // the branch that is not null tells
	case p.null >= 0:
		w.nullDefault = w.nullDefault || p.nullDefault()
		w.buf = binary.AppendVarint(w.buf, int64(p.null))
	case p.defRow != nil:
		w.buf = append(w.buf, p.defRow...)
	default:
		w.fail(ErrRequired)
	}
}

func (w *RowWriter) varint(want opSet, what string, v int64) {
	if w.take(want, what) != nil {
		w.buf = binary.AppendVarint(w.buf, v)
	}
}

// Int8 writes an Int8.
func (w *RowWriter) Int8(v int8) { w.varint(1<<opInt8, "int8", int64(v)) }

// Int16 writes an Int16.
func (w *RowWriter) Int16(v int16) { w.varint(1<<opInt16, "int16", int64(v)) }

// Int32 writes an Int32.
func (w *RowWriter) Int32(v int32) {
	p := w.take(anyInt32, "int32")
	if p == nil {
		return
	}
	if p.op == opTime {
		if err := checkTime(v); err != nil {
			w.fail(err)
			return
		}
	}
	w.buf = binary.AppendVarint(w.buf, int64(v))
}

// Int64 writes an Int64.
func (w *RowWriter) Int64(v int64) { w.varint(1<<opInt64, "int64", v) }

// Float32 writes a Float32.
func (w *RowWriter) Float32(v float32) {
	if w.take(1<<opFloat32, "float") != nil {
		w.buf = binary.LittleEndian.AppendUint32(w.buf, math.Float32bits(v))
	}
}

// Float64 writes a Float64.
func (w *RowWriter) Float64(v float64) {
	if w.take(1<<opFloat64, "double") != nil {
		w.buf = binary.LittleEndian.AppendUint64(w.buf, math.Float64bits(v))
	}
}

// Boolean writes a Boolean.
func (w *RowWriter) Boolean(v bool) {
	if w.take(1<<opBoolean, "boolean") != nil {
		w.buf = append(w.buf, flag(v))
	}
}

// appendLength appends what stands before so many bytes.
func appendLength(dst []byte, n int) []byte {
	if n < 64 {
		return append(dst, byte(n)<<1)
	}
	return binary.AppendVarint(dst, int64(n))
}

// Text writes a String.
func (w *RowWriter) Text(v string) {
	if w.take(1<<opString, "string") != nil {
		w.buf = append(appendLength(w.buf, len(v)), v...)
	}
}

// TextBytes writes a String given as bytes, which should be UTF-8.
func (w *RowWriter) TextBytes(v []byte) {
	if w.take(1<<opString, "string") != nil {
		w.buf = append(appendLength(w.buf, len(v)), v...)
	}
}

// Bytes writes a Bytes, of the right length where that is fixed.
func (w *RowWriter) Bytes(v []byte) {
	p := w.take(1<<opBytes|1<<opFixed, "bytes")
	switch {
	case p == nil:
		return
	case p.op == opBytes:
		w.buf = appendLength(w.buf, len(v))
	case len(v) != p.size:
		w.fail(fmt.Errorf("%d bytes where fixed has %d", len(v), p.size))
		return
	}
	w.buf = append(w.buf, v...)
}

// DecimalInt64 writes a Decimal by its unscaled number; the scale is the
// schema's.
func (w *RowWriter) DecimalInt64(unscaled int64) {
	if p := w.take(anyNumber, "decimal"); p != nil {
		w.int64Unscaled(p, unscaled)
	}
}

func (w *RowWriter) int64Unscaled(p *plan, v int64) {
	var room [8]byte
	w.unscaled(p, appendTwosInt64(room[:0], v))
}

// DecimalBytes writes a Decimal by its unscaled number in two's complement,
// big endian, of any length; the scale is the schema's. No bytes are zero.
func (w *RowWriter) DecimalBytes(unscaled []byte) {
	if p := w.take(anyNumber, "decimal"); p != nil {
		if len(unscaled) == 0 {
			w.int64Unscaled(p, 0)
			return
		}
		w.unscaled(p, trimTwos(unscaled))
	}
}

func (w *RowWriter) unscaled(p *plan, b []byte) {
	var err error
	if w.buf, err = appendDecimal(w.buf, p, b); err != nil {
		w.fail(err)
	}
}

// DecimalText writes a Decimal from the text of a number, as a database sends
// it. The text may have fewer digits after the point than the schema's scale,
// and more only if they are zeros. Numbers of up to 18 digits do not allocate.
func (w *RowWriter) DecimalText(text []byte) {
	p := w.take(anyNumber, "decimal")
	if p == nil {
		return
	}
	if v, ok := parseFixedPoint(text, p.scale); ok {
		w.int64Unscaled(p, v)
		return
	}
	d, err := ParseDecimal(string(text))
	if err == nil {
		d, err = d.Rescale(p.scale)
	}
	if err != nil {
		w.fail(err)
		return
	}
	w.unscaled(p, d.AppendUnscaled(nil))
}

// Fields writes the next n fields of the struct at hand, which is no union, as
// they are in row: what another RowWriter made of a struct of n fields with the
// same schemas, no null in it that NullDefault would tell of. It is not looked
// into.
func (w *RowWriter) Fields(n int, row []byte) {
	if w.err != nil {
		return
	}
	var f *writeFrame
	if len(w.frames) > 0 {
		f = &w.frames[len(w.frames)-1]
	}
	if f == nil || f.p.op != opStruct || n < 0 || n > len(f.p.fields)-f.next {
		w.fail(fmt.Errorf("%d fields where there is no struct with as many left", n))
		return
	}
	f.next += n
	w.buf = append(w.buf, row...)
}

// BeginStruct starts a struct, whose fields are then written in order and
// closed with End. Of a union's fields all but one are written as Null.
func (w *RowWriter) BeginStruct() {
	if p := w.take(anyStruct, "struct"); p != nil {
		w.frames = append(w.frames, writeFrame{p: p})
	}
}

// BeginArray starts an array, whose elements are then written and closed with
// End.
func (w *RowWriter) BeginArray() { w.beginBlock(1<<opArray, "array") }

// BeginMap starts a map, of which key and value are then written in turn, in
// any order of keys, and closed with End.
func (w *RowWriter) BeginMap() { w.beginBlock(anyMap, "map") }

func (w *RowWriter) beginBlock(want opSet, what string) {
	if p := w.take(want, what); p != nil {
		w.frames = append(w.frames, writeFrame{p: p, start: len(w.buf), spans: len(w.spans)})
	}
}

// End closes the struct, array or map that was begun last. A struct must have
// all its fields, a union one that is set, a map a value to every key and no
// key twice.
func (w *RowWriter) End() {
	if w.err != nil {
		return
	}
	n := len(w.frames)
	if n == 0 {
		w.fail(errors.New("nothing was begun"))
		return
	}
	f := &w.frames[n-1]
	switch f.p.op {
	case opStruct, opUnion:
		if f.next < len(f.p.fields) {
			w.fail(fmt.Errorf("field %s is not written", f.p.schema.fields[f.next].Name))
		} else if f.p.op == opUnion && !f.set {
			w.fail(errors.New("a union has no field set"))
		}
	case opArray:
		w.buf = closeBlock(w.buf, f.start, f.next)
	default:
		w.endMap(f)
	}
	if w.err == nil {
		w.frames = w.frames[:n-1]
	}
}

// endMap sorts the entries and closes them as a block.
func (w *RowWriter) endMap(f *writeFrame) {
	if f.next%2 == 1 {
		w.fail(errors.New("a map key has no value"))
		return
	}
	spans := w.spans[f.spans:]
	for i := range spans {
		spans[i].end = len(w.buf)
		if i+1 < len(spans) {
			spans[i].end = spans[i+1].start
		}
	}
	var err error
	if w.scratch, err = sortEntries(w.buf, f.start, spans, w.scratch, f.p.op == opMap); err != nil {
		w.fail(err)
		return
	}
	w.spans = w.spans[:f.spans]
	w.buf = closeBlock(w.buf, f.start, f.next/2)
}

// closeBlock makes a block of the elements from dst[start:] on: it puts their
// count before and the end mark after them.
func closeBlock(dst []byte, start, count int) []byte {
	if count == 0 {
		return append(dst, 0)
	}
	var room [binary.MaxVarintLen64]byte
	n := binary.PutVarint(room[:], int64(count))
	end := len(dst)
	dst = append(append(dst, room[:n]...), 0)
	copy(dst[start+n:end+n], dst[start:end])
	copy(dst[start:], room[:n])
	return dst
}
