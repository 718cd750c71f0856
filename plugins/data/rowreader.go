package data

import (
	"errors"
	"fmt"
	"math"
	"strings"
)

// RowReader walks a row in schema order without boxing a value. Create one
// per schema, Reset it for each row, and read the fields in order:
//
//	r.Reset(row)
//	r.EnterStruct()
//	id := r.Int64()
//	if !r.Null() {
//		name = r.Bytes() // aliases the row
//	}
//	r.EnterArray()
//	for r.More() {
//		sum += r.Int32()
//	}
//	r.Leave() // the array
//	r.Leave() // the struct, over the fields that are left
//	err := r.Finish()
//
// Call Null before an optional value: reading a null as a value is an error.
// Errors stick: after the first every read returns zero values, and Err and
// Finish report it with its path. Hostile bytes give errors, never panics, and
// cost no more than their length. A RowReader is used by one goroutine.
type RowReader struct {
	cursor
	root   *plan
	cur    *plan // the value that is next, once it is known not to be null
	pick   int   // the branch read for cur, when it is an opUnion
	done   bool  // the root was begun
	frames []readFrame
}

// readFrame is an open struct, array or map.
type readFrame struct {
	p    *plan
	next int // what is next: a field, an element, of a map half an entry
	pick int // opUnion: the field that is set
	blk  blocks
}

// opSet is a set of ops.
type opSet uint32

const (
	anyInt32  opSet = 1<<opInt32 | 1<<opTime
	anyBytes  opSet = 1<<opString | 1<<opBytes | 1<<opFixed
	anyNumber opSet = 1<<opDecimal | 1<<opFixedDecimal
	anyStruct opSet = 1<<opStruct | 1<<opUnion
	anyMap    opSet = 1<<opMap | 1<<opEntries
)

// NewRowReader returns a reader of rows of s.
func NewRowReader(s *Schema) *RowReader { return &RowReader{root: s.compiled()} }

// Reset starts reading a row. Values returned as bytes alias it.
func (r *RowReader) Reset(row []byte) {
	r.cursor = cursor{b: row}
	r.cur, r.done, r.frames = nil, false, r.frames[:0]
}

// Err returns the first error, with the path of the value it came at.
func (r *RowReader) Err() error {
	if r.err == nil {
		return nil
	}
	if _, ok := r.err.(*PathError); !ok {
		r.err = &PathError{Path: r.path(), Err: r.err}
	}
	return fmt.Errorf("read row: %w", r.err)
}

// Finish reports the first error, or that something of the row was not read.
func (r *RowReader) Finish() error {
	switch {
	case r.err != nil:
	case len(r.frames) > 0:
		r.fail(errors.New("a struct, array or map was not left"))
	case !r.done || r.cur != nil:
		r.fail(errors.New("the value was not read"))
	case r.left() != 0:
		r.corrupt("%d bytes follow the value", r.left())
	}
	return r.Err()
}

// path names the value that was read last.
func (r *RowReader) path() string {
	var b strings.Builder
	for _, f := range r.frames {
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

// Null reports whether the next value is null, and if so moves past it; else
// the value must be read next. After an error it reports true.
func (r *RowReader) Null() bool {
	if r.err != nil {
		return true
	}
	if r.cur != nil {
		return false
	}
	p := r.advance()
	if p == nil {
		return true
	}
	if n := len(r.frames); n > 0 {
		if f := &r.frames[n-1]; f.p.op == opUnion && f.next-1 != f.pick {
			return true
		}
	}
	null := false
	if p.op == opUnion {
		r.pick = r.cursor.pick(p)
		null = r.pick < 0
	} else {
		null = r.null(p)
	}
	if null || r.err != nil {
		return true
	}
	r.cur = p
	return false
}

// advance finds the plan of the next value, nil after failing when there is
// none.
func (r *RowReader) advance() *plan {
	if len(r.frames) == 0 {
		if r.done {
			r.fail(errors.New("a row has one value"))
			return nil
		}
		r.done = true
		return r.root
	}
	f := &r.frames[len(r.frames)-1]
	if f.p.elem == nil {
		if f.next == len(f.p.fields) {
			r.fail(fmt.Errorf("a struct has %d fields", f.next))
			return nil
		}
		f.next++
		return f.p.fields[f.next-1]
	}
	f.next++
	if f.p.key != nil && f.next%2 == 0 {
		return f.p.elem
	}
	if f.blk.left == 0 {
		r.fail(errors.New("an element is read that More has not announced"))
		return nil
	}
	f.blk.left--
	if f.p.key != nil {
		return f.p.key
	}
	return f.p.elem
}

// take returns the plan of the next value, which must be one of want.
func (r *RowReader) take(want opSet) *plan {
	if r.cur == nil && r.Null() {
		if r.err == nil {
			r.fail(errors.New("a null is read as a value"))
		}
		return nil
	}
	p := r.cur
	r.cur = nil
	if r.err != nil {
		return nil
	}
	if want&(1<<p.op) == 0 {
		r.fail(fmt.Errorf("a value of type %s is read as another", opNames[p.op]))
		return nil
	}
	return p
}

// Int8 reads an Int8.
func (r *RowReader) Int8() int8 {
	if r.take(1<<opInt8) == nil {
		return 0
	}
	return int8(r.integer(math.MinInt8, math.MaxInt8))
}

// Int16 reads an Int16.
func (r *RowReader) Int16() int16 {
	if r.take(1<<opInt16) == nil {
		return 0
	}
	return int16(r.integer(math.MinInt16, math.MaxInt16))
}

// Int32 reads an Int32.
func (r *RowReader) Int32() int32 {
	if r.take(anyInt32) == nil {
		return 0
	}
	return int32(r.integer(math.MinInt32, math.MaxInt32))
}

// Int64 reads an Int64.
func (r *RowReader) Int64() int64 {
	if r.take(1<<opInt64) == nil {
		return 0
	}
	return r.varint()
}

// Boolean reads a Boolean.
func (r *RowReader) Boolean() bool { return r.take(1<<opBoolean) != nil && r.boolean() }

// Float32 reads a Float32.
func (r *RowReader) Float32() float32 {
	if r.take(1<<opFloat32) == nil {
		return 0
	}
	return r.float32()
}

// Float64 reads a Float64.
func (r *RowReader) Float64() float64 {
	if r.take(1<<opFloat64) == nil {
		return 0
	}
	return r.float64()
}

// Bytes reads a String or Bytes. The result aliases the row.
func (r *RowReader) Bytes() []byte {
	p := r.take(anyBytes)
	switch {
	case p == nil:
		return nil
	case p.op == opFixed:
		return r.raw(p.size)
	default:
		return r.bytes()
	}
}

// Text reads a String into a new string.
func (r *RowReader) Text() string {
	if r.take(1<<opString) == nil {
		return ""
	}
	return string(r.bytes())
}

// Unscaled reads a Decimal's unscaled number: two's complement, big endian, in
// as few bytes as possible. The result may alias the row. The scale is the
// schema's.
func (r *RowReader) Unscaled() []byte {
	p := r.take(anyNumber)
	switch {
	case p == nil:
		return nil
	case p.op == opFixedDecimal:
		return trimTwos(r.raw(p.size))
	default:
		return trimTwos(r.bytes())
	}
}

// Decimal reads a Decimal into a new value. No bytes read as zero.
func (r *RowReader) Decimal() Decimal {
	p := r.take(anyNumber)
	if p == nil {
		return Decimal{}
	}
	r.cur = p
	return Decimal{unscaledFrom(r.Unscaled()), p.scale}
}

// EnterStruct goes into a struct, whose fields are then read in order. Of a
// union's fields all but one are null.
func (r *RowReader) EnterStruct() {
	if p := r.take(anyStruct); p != nil {
		r.frames = append(r.frames, readFrame{p: p, pick: r.pick})
	}
}

// EnterArray goes into an array, whose elements are then read while More says
// that there is one.
func (r *RowReader) EnterArray() { r.enterBlocks(1 << opArray) }

// EnterMap goes into a map, of which then key and value are read in turn while
// More says that there is an entry.
func (r *RowReader) EnterMap() { r.enterBlocks(anyMap) }

func (r *RowReader) enterBlocks(want opSet) {
	if p := r.take(want); p != nil {
		r.frames = append(r.frames, readFrame{p: p, blk: blocks{min: p.elementBytes()}})
	}
}

// More reports whether the array or map that was entered last has another
// element, and false after an error.
func (r *RowReader) More() bool {
	if r.err != nil {
		return false
	}
	if n := len(r.frames); n > 0 && r.frames[n-1].p.elem != nil {
		f := &r.frames[n-1]
		if f.p.key != nil && f.next%2 == 1 {
			r.fail(errors.New("a map entry's value was not read"))
			return false
		}
		return r.open(&f.blk)
	}
	r.fail(errors.New("More is for arrays and maps"))
	return false
}

// Value reads the next value, null or not, into a new one as Decode returns
// them. It is for the few that need no speed.
func (r *RowReader) Value() any {
	if r.Null() {
		return nil
	}
	p := r.cur
	r.cur = nil
	d := decoder{r.cursor}
	var v any
	var err error
	if p.op == opUnion {
		v, err = d.branch(p, r.pick)
	} else {
		v, err = d.present(p)
	}
	if r.cursor = d.cursor; err != nil {
		if path := r.path(); path != "" {
			err = under(path, err)
		}
		r.err = err
		return nil
	}
	return v
}

// Skip moves past the next value, null or not.
func (r *RowReader) Skip() {
	if r.Null() {
		return
	}
	p := r.cur
	r.cur = nil
	if p.op == opUnion {
		r.skipPresent(p.fields[r.pick])
		return
	}
	r.skipPresent(p)
}

// Leave goes out of the struct, array or map that was entered last, past what
// is left of it.
func (r *RowReader) Leave() {
	if r.err != nil {
		return
	}
	n := len(r.frames)
	if n == 0 {
		r.fail(errors.New("nothing was entered"))
		return
	}
	if r.cur != nil {
		r.Skip()
	}
	f := &r.frames[n-1]
	if f.p.elem == nil {
		for f.next < len(f.p.fields) && r.err == nil {
			r.Skip()
		}
	} else {
		if f.p.key != nil && f.next%2 == 1 {
			r.Skip()
		}
		r.skipRest(f.p, f.blk)
	}
	if r.err == nil {
		r.frames = r.frames[:n-1]
	}
}
