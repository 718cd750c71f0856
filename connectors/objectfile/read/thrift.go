package read

import (
	"encoding/binary"
	"errors"
	"math"
)

// The compact protocol of Thrift, in which Parquet has its footer and the
// headers of its pages. What is here walks over a struct without building it, to
// hold what it claims to the bytes that are there: the library allocates lists
// and texts by their claimed lengths.
//
//	struct  := (field value)* 00
//	field   := delta<<4 | kind   the number is the last one plus delta
//	         | 0<<4 | kind, number as a zigzag varint
//	list    := size<<4 | kind, or f0 | kind and the size as a varint
//	binary  := length as a varint, bytes
type thriftKind byte

const (
	thriftStop thriftKind = iota
	thriftTrue
	thriftFalse
	thriftByte
	thriftI16
	thriftI32
	thriftI64
	thriftDouble
	thriftBinary
	thriftList
	thriftSet
	thriftMap
	thriftStruct
)

// The bounds of what is walked over: structs in structs, and structs in lists
// that the library would make room for at once.
const (
	thriftDepth   = 24
	thriftStructs = 1 << 20
	leastStruct   = 2 // bytes: one field of a truth value, and the end
)

// errThriftShort is a struct that goes on after the bytes that are there.
var errThriftShort = errors.New("it ends within a struct")

// thriftWalk walks over structs. Its first error sticks.
type thriftWalk struct {
	b       []byte
	i       int
	structs int
	err     error
}

func (w *thriftWalk) fail(err error) {
	if w.err == nil {
		w.err = err
	}
}

func (w *thriftWalk) byte() byte {
	if w.err != nil || w.i >= len(w.b) {
		w.fail(errThriftShort)
		return 0
	}
	w.i++
	return w.b[w.i-1]
}

func (w *thriftWalk) uvarint() uint64 {
	if w.err != nil {
		return 0
	}
	v, n := binary.Uvarint(w.b[w.i:])
	switch {
	case n == 0:
		w.fail(errThriftShort)
	case n < 0:
		w.fail(errors.New("a number has more than 64 bits"))
	default:
		w.i += n
		return v
	}
	return 0
}

func (w *thriftWalk) varint() int64 {
	u := w.uvarint()
	return int64(u>>1) ^ -int64(u&1)
}

func (w *thriftWalk) skip(n uint64) {
	switch {
	case w.err != nil:
	case n > uint64(len(w.b)-w.i):
		w.fail(errThriftShort)
	default:
		w.i += int(n)
	}
}

// fields calls each for the fields of a struct, which walks over the value. A
// field that each is nil for, or does not know, is walked over with value.
func (w *thriftWalk) fields(depth int, each func(number int64, kind thriftKind) (known bool)) {
	if depth > thriftDepth {
		w.fail(errors.New("structs are nested too deep"))
	}
	number := int64(0)
	for w.err == nil {
		head := w.byte()
		kind := thriftKind(head & 15)
		if kind == thriftStop {
			return
		}
		if delta := head >> 4; delta != 0 {
			number += int64(delta)
		} else {
			number = w.varint()
		}
		if w.err == nil && (each == nil || !each(number, kind)) {
			w.value(depth, kind, true)
		}
	}
}

// value walks over a value. A field of a truth value has it in its kind, an
// element of a list a byte.
func (w *thriftWalk) value(depth int, kind thriftKind, field bool) {
	switch kind {
	case thriftTrue, thriftFalse:
		if !field {
			w.byte()
		}
	case thriftByte:
		w.byte()
	case thriftI16, thriftI32, thriftI64:
		w.uvarint()
	case thriftDouble:
		w.skip(8)
	case thriftBinary:
		w.skip(w.uvarint())
	case thriftList, thriftSet:
		w.list(depth)
	case thriftMap:
		w.entries(depth)
	case thriftStruct:
		w.fields(depth+1, nil)
	default:
		w.fail(errors.New("a field is of no known kind"))
	}
}

func (w *thriftWalk) list(depth int) {
	head := w.byte()
	kind, size := thriftKind(head&15), uint64(head>>4)
	if size == 15 {
		size = w.uvarint()
	}
	w.elements(depth, size, kind)
}

func (w *thriftWalk) entries(depth int) {
	size := w.uvarint()
	if size == 0 {
		return
	}
	kinds := w.byte()
	w.claim(size, thriftKind(kinds>>4))
	for range size {
		w.value(depth+1, thriftKind(kinds>>4), false)
		w.value(depth+1, thriftKind(kinds&15), false)
		if w.err != nil {
			return
		}
	}
}

// claim holds a number of elements to the bytes that are left.
func (w *thriftWalk) claim(size uint64, kind thriftKind) {
	least := uint64(1)
	if kind == thriftStruct {
		least = leastStruct
		w.structs += int(min(size, thriftStructs+1))
	}
	switch {
	case w.err != nil:
	case size > math.MaxInt32 || size > uint64(len(w.b)-w.i)/least:
		w.fail(errThriftShort)
	case w.structs > thriftStructs:
		w.fail(errors.New("it has more parts than are read here"))
	}
}

func (w *thriftWalk) elements(depth int, size uint64, kind thriftKind) {
	if depth > thriftDepth {
		w.fail(errors.New("lists are nested too deep"))
	}
	w.claim(size, kind)
	for range size {
		if w.err != nil {
			return
		}
		w.value(depth+1, kind, false)
	}
}
