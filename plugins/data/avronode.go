package data

import (
	"bytes"
	"slices"
)

// AvroKind is one of Avro's fourteen types.
type AvroKind uint8

// The kinds, primitives first.
const (
	AvroNull AvroKind = iota + 1
	AvroBoolean
	AvroInt
	AvroLong
	AvroFloat
	AvroDouble
	AvroBytes
	AvroString
	AvroRecord
	AvroEnum
	AvroArray
	AvroMap
	AvroUnion
	AvroFixed
)

var avroNames = [...]string{
	AvroNull: "null", AvroBoolean: "boolean", AvroInt: "int", AvroLong: "long",
	AvroFloat: "float", AvroDouble: "double", AvroBytes: "bytes", AvroString: "string",
	AvroRecord: "record", AvroEnum: "enum", AvroArray: "array", AvroMap: "map",
	AvroUnion: "union", AvroFixed: "fixed",
}

// String returns Avro's name for the kind.
func (k AvroKind) String() string { return avroNames[k] }

func (k AvroKind) named() bool { return k == AvroRecord || k == AvroEnum || k == AvroFixed }

// AvroNode is an Avro schema as a tree. It keeps the properties in the order
// of the text, which Avro libraries tend to lose. Types used twice are shared;
// recursive types are not supported. A node is immutable and safe for
// concurrent use.
type AvroNode struct {
	kind      AvroKind
	name      string // named types: without namespace
	namespace string
	doc       *string
	fields    []avroField
	items     *AvroNode   // array items, map values
	branches  []*AvroNode // union
	symbols   []string    // enum
	symDef    *string     // enum default
	aliases   []string
	size      int // fixed
	props     []avroProp

	depth, nodes int // as in Schema
	minBytes     int // the fewest bytes a value takes
}

type avroField struct {
	name    string
	typ     *AvroNode
	doc     *string
	def     []byte // JSON, nil without a default
	aliases []string
	props   []avroProp
}

// avroProp is a property that the Avro specification does not define. Its
// value is compact JSON.
type avroProp struct {
	key   string
	value []byte
}

// Kind returns the node's kind.
func (n *AvroNode) Kind() AvroKind { return n.kind }

// FullName returns a named type's name with its namespace, "" for others.
func (n *AvroNode) FullName() string {
	if n.namespace == "" {
		return n.name
	}
	return n.namespace + "." + n.name
}

func (n *AvroNode) prop(key string) ([]byte, bool) {
	for _, p := range n.props {
		if p.key == key {
			return p.value, true
		}
	}
	return nil, false
}

func avroPrimitive(k AvroKind) *AvroNode {
	n := &AvroNode{kind: k, depth: 1, nodes: 1, minBytes: 1}
	switch k {
	case AvroNull:
		n.minBytes = 0
	case AvroFloat:
		n.minBytes = 4
	case AvroDouble:
		n.minBytes = 8
	}
	return n
}

// measure counts the tree below n, bounded as a Schema's is, once n has all
// its parts.
func (n *AvroNode) measure() error {
	n.minBytes = avroPrimitive(n.kind).minBytes
	switch n.kind {
	case AvroRecord:
		n.minBytes = 0
		for _, f := range n.fields {
			n.minBytes += f.typ.minBytes
		}
	case AvroFixed:
		n.minBytes = n.size
	}
	n.depth, n.nodes = 1, 1
	add := func(c *AvroNode) {
		n.depth = max(n.depth, c.depth+1)
		n.nodes += c.nodes
	}
	for _, f := range n.fields {
		add(f.typ)
	}
	for _, b := range n.branches {
		add(b)
	}
	if n.items != nil {
		add(n.items)
	}
	if n.depth > maxAvroDepth {
		return schemaErrorf("more than %d levels of nesting", maxAvroDepth)
	}
	if n.nodes > maxAvroNodes {
		return schemaErrorf("more than %d nested schemas", maxAvroNodes)
	}
	return nil
}

// SameWire reports whether the bytes of one schema can pass as bytes of the
// other: the same tree of types with the same fields in order, union branches
// in order, enum symbols and fixed sizes. Names, docs, defaults, logical types
// and other properties do not change bytes and do not count; nor does the kind
// of text, since string and bytes have one form.
func SameWire(a, b *AvroNode) bool {
	if a == b {
		return true
	}
	if a.kind != b.kind || a.size != b.size || !slices.Equal(a.symbols, b.symbols) ||
		len(a.fields) != len(b.fields) || len(a.branches) != len(b.branches) {
		return false
	}
	if a.items != nil && !SameWire(a.items, b.items) {
		return false
	}
	for i := range a.fields {
		if !SameWire(a.fields[i].typ, b.fields[i].typ) {
			return false
		}
	}
	for i := range a.branches {
		if !SameWire(a.branches[i], b.branches[i]) {
			return false
		}
	}
	return true
}

// sameDefinition decides whether a second definition under one name is the
// first one again: Avro compares all but docs and aliases.
func (n *AvroNode) sameDefinition(o *AvroNode) bool {
	if n == o {
		return true
	}
	if n.kind != o.kind || n.FullName() != o.FullName() || n.size != o.size ||
		!slices.Equal(n.symbols, o.symbols) || !sameProps(n.props, o.props) ||
		len(n.fields) != len(o.fields) || len(n.branches) != len(o.branches) ||
		n.items != nil && !n.items.sameDefinition(o.items) {
		return false
	}
	for i, f := range n.fields {
		g := o.fields[i]
		if f.name != g.name || !bytes.Equal(f.def, g.def) || (f.def == nil) != (g.def == nil) ||
			!sameProps(f.props, g.props) || !f.typ.sameDefinition(g.typ) {
			return false
		}
	}
	for i, b := range n.branches {
		if !b.sameDefinition(o.branches[i]) {
			return false
		}
	}
	return true
}

func sameProps(a, b []avroProp) bool {
	return slices.EqualFunc(a, b, func(a, b avroProp) bool {
		return a.key == b.key && bytes.Equal(a.value, b.value)
	})
}
