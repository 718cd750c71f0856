package avro

import (
	"fmt"
	"strings"

	"github.com/millrace/millrace/schema-registry/jsontext"
)

// Schema is a parsed schema. It does not change and may be shared.
type Schema struct {
	root  *node
	names map[string]*node // by full name, those of references among them
}

// Name returns the full name of the schema's type, "" if it has none.
func (s *Schema) Name() string {
	if s.root.kind.named() {
		return s.root.name.full()
	}
	return ""
}

// Error says why a text is no schema and where.
type Error struct {
	Reason   string
	Path     string // JSON pointer into the schema, "" while it is no JSON yet
	Offset   int    // in bytes, where reading had come to
	TooLarge bool   // the text is over jsontext.MaxBytes
}

func (e *Error) Error() string {
	switch {
	case e.Path != "":
		return fmt.Sprintf("at %s, offset %d: %s", e.Path, e.Offset, e.Reason)
	case e.Offset > 0:
		return fmt.Sprintf("at offset %d: %s", e.Offset, e.Reason)
	}
	return e.Reason
}

// kind is a schema's type. Primitives come first.
type kind uint8

const (
	kindNull kind = iota
	kindBoolean
	kindInt
	kindLong
	kindFloat
	kindDouble
	kindBytes
	kindString
	kindRecord
	kindEnum
	kindFixed
	kindArray
	kindMap
	kindUnion
)

var kindNames = [...]string{"null", "boolean", "int", "long", "float", "double", "bytes", "string", "record", "enum", "fixed", "array", "map", "union"}

func (k kind) String() string  { return kindNames[k] }
func (k kind) primitive() bool { return k <= kindString }
func (k kind) named() bool     { return k == kindRecord || k == kindEnum || k == kindFixed }

// primitives by their names.
var primitives = func() map[string]kind {
	m := map[string]kind{}
	for k := kindNull; k <= kindString; k++ {
		m[k.String()] = k
	}
	return m
}()

// node is one type in a schema. A named type is one node however often it is
// used.
type node struct {
	kind     kind
	isError  bool // a record declared as "error"
	external bool // declared in a reference
	name     name
	doc      *string
	aliases  []name
	fields   []*field
	index    map[string]*field // fields by name
	symbols  []string
	fallback string // enum's default
	hasDef   bool   // fallback is given
	size     int
	items    *node // of an array; of a map, its values
	branches []*node
	props    []jsontext.Member // logicalType among them, in the order given
}

// field is a record's.
type field struct {
	name    string
	doc     *string
	typ     *node
	def     *jsontext.Value // nil without a default
	order   string          // "" for ascending
	aliases []string
	props   []jsontext.Member
	at      int
}

// name is a full name in its parts.
type name struct{ space, local string }

func (n name) full() string {
	if n.space == "" {
		return n.local
	}
	return n.space + "." + n.local
}

// makeName splits a dotted name; one without a dot is in space.
func makeName(text, space string) name {
	if i := strings.LastIndexByte(text, '.'); i >= 0 {
		return name{text[:i], text[i+1:]}
	}
	return name{space, text}
}

// Fields returns the names of a record's fields, none for other types.
func (s *Schema) Fields() []string {
	out := make([]string, len(s.root.fields))
	for i, f := range s.root.fields {
		out[i] = f.name
	}
	return out
}
