package data

import (
	"encoding/binary"
	"fmt"
	"math"
)

// cursor reads Avro's wire primitives. Its error sticks: after the first, all
// reads return zero values and move nothing. No read allocates.
type cursor struct {
	b   []byte
	i   int
	err error
}

func (c *cursor) fail(err error) {
	if c.err == nil {
		c.err = err
	}
}

func (c *cursor) corrupt(format string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf("%w: "+format, append([]any{ErrCorrupt}, args...)...)
	}
}

func (c *cursor) left() int { return len(c.b) - c.i }

// varint reads a zig-zag varint of up to 64 bits.
func (c *cursor) varint() int64 {
	if c.i < len(c.b) && c.b[c.i] < 0x80 && c.err == nil { // nearly all are of one byte
		c.i++
		return int64(c.b[c.i-1]>>1) ^ -int64(c.b[c.i-1]&1)
	}
	return c.longVarint()
}

func (c *cursor) longVarint() int64 {
	if c.err != nil {
		return 0
	}
	v, n := binary.Varint(c.b[c.i:])
	switch {
	case n > 0:
		c.i += n
		return v
	case n == 0:
		c.fail(ErrTruncated)
	default:
		c.corrupt("number of more than 64 bits")
	}
	return 0
}

// integer reads a varint within a range.
func (c *cursor) integer(low, high int64) int64 {
	v := c.varint()
	if v < low || v > high {
		c.corrupt("%d is out of range", v)
		return 0
	}
	return v
}

// raw takes n bytes, nil if there are fewer. n is at most the size of a fixed.
func (c *cursor) raw(n int) []byte {
	if c.err != nil {
		return nil
	}
	if n > c.left() {
		c.fail(ErrTruncated)
		return nil
	}
	c.i += n
	return c.b[c.i-n : c.i : c.i]
}

// bytes reads a length and that many bytes.
func (c *cursor) bytes() []byte {
	n := c.varint()
	if n < 0 || n > int64(c.left()) {
		c.corrupt("length %d with %d bytes left", n, c.left())
	}
	return c.raw(int(n))
}

func (c *cursor) boolean() bool {
	b := c.raw(1)
	if b == nil {
		return false
	}
	if b[0] > 1 {
		c.corrupt("boolean is %#x", b[0])
	}
	return b[0] == 1
}

func (c *cursor) float32() float32 {
	if b := c.raw(4); b != nil {
		return math.Float32frombits(binary.LittleEndian.Uint32(b))
	}
	return 0
}

func (c *cursor) float64() float64 {
	if b := c.raw(8); b != nil {
		return math.Float64frombits(binary.LittleEndian.Uint64(b))
	}
	return 0
}

// branch reads a union's branch number, below n.
func (c *cursor) branch(n int) int { return int(c.integer(0, int64(n-1))) }

// null reads what tells whether a value of p is null: the branch of its union
// with null. An opUnion has its own branches; see pick.
func (c *cursor) null(p *plan) bool { return p.null >= 0 && c.nullBranch(p) }

func (c *cursor) nullBranch(p *plan) bool {
	if c.i < len(c.b) && c.b[c.i]&^2 == 0 && c.err == nil { // 0 or 1
		c.i++
		return int8(c.b[c.i-1]>>1) == p.null
	}
	c.branch(2) // says what is wrong
	return false
}

// pick reads the branch of an opUnion: the index of its field, or -1 for null.
func (c *cursor) pick(p *plan) int {
	if p.null >= 0 {
		return c.branch(len(p.fields)+1) - 1
	}
	return c.branch(len(p.fields))
}

// blocks is the state of reading an array's or map's blocks.
type blocks struct {
	min   int // fewest bytes an element takes
	left  int // elements left in the block
	end   int // where the block ends, 0 when its size was not given
	empty int // elements claimed so far where min is 0
	done  bool
}

// open reports whether there is another element, reading block headers as
// needed. The caller counts down left. Counts are checked against the bytes
// that are there, so that no claim is believed that the input does not back.
func (c *cursor) open(b *blocks) bool {
	if b.left > 0 || b.done {
		return c.err == nil && !b.done
	}
	if b.end > 0 && c.err == nil && c.i != b.end {
		c.corrupt("a block has another size than it says")
	}
	b.end = 0
	n := c.varint()
	if n < 0 {
		size := c.varint()
		if size < 0 || size > int64(c.left()) {
			c.corrupt("a block of %d bytes with %d left", size, c.left())
			return false
		}
		b.end = c.i + int(size)
		n = -n
	}
	switch {
	case c.err != nil || n == 0:
		b.done = true
		return false
	case n < 0 || n > math.MaxInt32:
		c.corrupt("a block claims too many elements")
	case b.min > 0 && n > int64(c.left()/b.min):
		c.corrupt("a block claims %d elements with %d bytes left", n, c.left())
	case b.min == 0:
		if b.empty += int(n); b.empty > maxEmptyElements {
			c.corrupt("more than %d elements that take no bytes", maxEmptyElements)
		}
	}
	b.left = int(n)
	return c.err == nil
}

// skip moves past a value of p, with its branch.
func (c *cursor) skip(p *plan) {
	if p.op != opUnion && c.null(p) {
		return
	}
	c.skipPresent(p)
}

func (c *cursor) skipPresent(p *plan) {
	switch p.op {
	case opInt8:
		c.integer(math.MinInt8, math.MaxInt8)
	case opInt16:
		c.integer(math.MinInt16, math.MaxInt16)
	case opInt32, opTime:
		c.integer(math.MinInt32, math.MaxInt32)
	case opInt64:
		c.varint()
	case opFloat32:
		c.raw(4)
	case opFloat64:
		c.raw(8)
	case opBoolean:
		c.boolean()
	case opString, opBytes, opDecimal:
		c.bytes()
	case opFixed, opFixedDecimal:
		c.raw(p.size)
	case opArray, opMap, opEntries:
		c.skipRest(p, blocks{min: p.elementBytes()})
	case opStruct:
		for _, f := range p.fields {
			c.skip(f)
		}
	case opUnion:
		if i := c.pick(p); i >= 0 && c.err == nil {
			c.skipPresent(p.fields[i])
		}
	}
}

// skipRest moves past the elements of an array or map that are left, over
// whole blocks where their size is given.
func (c *cursor) skipRest(p *plan, b blocks) {
	for c.open(&b) {
		if b.end > 0 {
			c.i, b.left = b.end, 0
			continue
		}
		b.left--
		if p.key != nil {
			c.skip(p.key)
		}
		c.skip(p.elem)
	}
}

// elementBytes is the fewest bytes an element of an array or map takes.
func (p *plan) elementBytes() int {
	if p.key != nil {
		return p.key.minBytes + p.elem.minBytes
	}
	return p.elem.minBytes
}
