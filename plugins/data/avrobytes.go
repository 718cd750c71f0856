package data

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strconv"
)

// Size returns how many of b's first bytes are one value of the schema, for
// values that follow each other without lengths. Hostile bytes give errors.
func (n *AvroNode) Size(b []byte) (int, error) {
	c := cursor{b: b}
	c.skipNode(n)
	if c.err != nil {
		return 0, fmt.Errorf("size of a value: %w", c.err)
	}
	return c.i, nil
}

// skipNode moves past a value of an Avro schema.
func (c *cursor) skipNode(n *AvroNode) {
	switch n.kind {
	case AvroBoolean:
		c.boolean()
	case AvroInt, AvroLong, AvroEnum:
		c.varint()
	case AvroFloat:
		c.raw(4)
	case AvroDouble:
		c.raw(8)
	case AvroBytes, AvroString:
		c.bytes()
	case AvroFixed:
		c.raw(n.size)
	case AvroRecord:
		for _, f := range n.fields {
			c.skipNode(f.typ)
		}
	case AvroArray, AvroMap:
		b := blocks{min: n.elementBytes()}
		for c.open(&b) {
			if b.end > 0 {
				c.i, b.left = b.end, 0
				continue
			}
			b.left--
			if n.kind == AvroMap {
				c.bytes()
			}
			c.skipNode(n.items)
		}
	case AvroUnion:
		if i := c.branch(len(n.branches)); c.err == nil {
			c.skipNode(n.branches[i])
		}
	}
}

// elementBytes is the fewest bytes an element of an array or map takes.
func (n *AvroNode) elementBytes() int {
	if n.kind == AvroMap {
		return n.items.minBytes + 1
	}
	return n.items.minBytes
}

// appendNodeDefault appends the bytes of a default in Avro's JSON form.
func appendNodeDefault(dst []byte, n *AvroNode, in *scanner) ([]byte, error) {
	var err error
	switch n.kind {
	case AvroNull:
		in.literal()
	case AvroBoolean:
		dst = append(dst, flag(in.literal() == 't'))
	case AvroInt, AvroLong:
		bits := map[AvroKind]int{AvroInt: 32, AvroLong: 64}[n.kind]
		var v int64
		v, err = parseInteger(in.number(), bits)
		dst = binary.AppendVarint(dst, v)
	case AvroFloat:
		var v float64
		v, err = strconv.ParseFloat(string(in.number()), 32)
		dst = binary.LittleEndian.AppendUint32(dst, math.Float32bits(float32(v)))
	case AvroDouble:
		var v float64
		v, err = strconv.ParseFloat(string(in.number()), 64)
		dst = binary.LittleEndian.AppendUint64(dst, math.Float64bits(v))
	case AvroString:
		dst = appendLengthAnd(dst, in.text())
	case AvroBytes, AvroFixed:
		var b []byte
		b, err = latin1(in.text())
		if n.kind == AvroFixed {
			if len(b) != n.size {
				err = schemaErrorf("default of %d bytes for a fixed of %d", len(b), n.size)
			}
			return append(dst, b...), firstError(in.err, err)
		}
		dst = appendLengthAnd(dst, b)
	case AvroEnum:
		symbol := string(in.text())
		i := slices.Index(n.symbols, symbol)
		if i < 0 {
			return dst, schemaErrorf("default %.40q is no symbol of enum %s", symbol, n.FullName())
		}
		dst = binary.AppendVarint(dst, int64(i))
	case AvroUnion:
		return appendNodeDefault(append(dst, 0), n.branches[0], in)
	default:
		return appendNestedDefault(dst, n, in)
	}
	return dst, firstError(in.err, err)
}

func appendLengthAnd(dst, b []byte) []byte {
	return append(binary.AppendVarint(dst, int64(len(b))), b...)
}

func appendNestedDefault(dst []byte, n *AvroNode, in *scanner) ([]byte, error) {
	var err error
	count, start := 0, len(dst)
	switch n.kind {
	case AvroArray:
		in.open('[')
		for in.more(']', &count) && err == nil {
			dst, err = appendNodeDefault(dst, n.items, in)
		}
		return closeBlock(dst, start, count), firstError(in.err, err)
	case AvroMap:
		in.open('{')
		for in.more('}', &count) && err == nil {
			dst = appendLengthAnd(dst, in.key())
			dst, err = appendNodeDefault(dst, n.items, in)
		}
		return closeBlock(dst, start, count), firstError(in.err, err)
	}
	if in.kind() != '{' {
		return dst, schemaErrorf("default of record %s is not an object", n.FullName())
	}
	ms := in.members()
	for _, f := range n.fields {
		raw, ok := find(ms, f.name)
		if !ok {
			raw = f.def
		}
		if raw == nil {
			return dst, schemaErrorf("default of record %s has no %s", n.FullName(), f.name)
		}
		if dst, err = appendNodeDefault(dst, f.typ, &scanner{b: raw, depth: in.depth}); err != nil {
			return dst, under(f.name, err)
		}
	}
	return dst, in.err
}
