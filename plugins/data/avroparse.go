package data

import (
	"fmt"
	"strconv"
)

// maxSchemaText bounds the text of a schema.
const maxSchemaText = 4 << 20

// ParseAvroNode reads an Avro schema. Names are not held to Avro's rules, so
// that what other writers let through can be read; recursive types are
// refused.
func ParseAvroNode(text string) (*AvroNode, error) {
	if len(text) > maxSchemaText {
		return nil, schemaErrorf("avro schema text of %d bytes is longer than %d", len(text), maxSchemaText)
	}
	s := newScanner([]byte(text))
	raw := s.raw()
	if err := s.end(); err != nil {
		return nil, fmt.Errorf("%w: avro schema: %w", ErrSchema, err)
	}
	p := avroParser{named: make(map[string]*AvroNode)}
	n, err := p.node(raw, "")
	if err != nil {
		return nil, fmt.Errorf("avro schema: %w", err)
	}
	return n, nil
}

type avroParser struct {
	named map[string]*AvroNode // nil while a type is being defined
	depth int
}

var avroPrimitives = map[string]AvroKind{
	"null": AvroNull, "boolean": AvroBoolean, "int": AvroInt, "long": AvroLong,
	"float": AvroFloat, "double": AvroDouble, "bytes": AvroBytes, "string": AvroString,
}

var avroComplex = map[string]AvroKind{
	"record": AvroRecord, "error": AvroRecord, "enum": AvroEnum, "array": AvroArray, "map": AvroMap, "fixed": AvroFixed,
}

// node reads the schema in raw, which is valid JSON. The depth is checked on
// the way down, since every level reads its text again.
func (p *avroParser) node(raw []byte, space string) (*AvroNode, error) {
	if p.depth++; p.depth > maxAvroDepth {
		return nil, schemaErrorf("more than %d levels of nesting", maxAvroDepth)
	}
	defer func() { p.depth-- }()
	s := scanner{b: raw}
	switch s.kind() {
	case '"':
		return p.reference(string(s.text()), space)
	case '[':
		return p.union(&s, space)
	case '{':
		return p.object(s.members(), space)
	}
	return nil, schemaErrorf("a schema is a string, an object or an array, not %.20s", raw)
}

// reference resolves a type by its name.
func (p *avroParser) reference(name, space string) (*AvroNode, error) {
	if k, ok := avroPrimitives[name]; ok {
		return avroPrimitive(k), nil
	}
	for _, full := range []string{qualify(name, space), name} {
		n, ok := p.named[full]
		switch {
		case ok && n == nil:
			return nil, schemaErrorf("type %s refers to itself: recursive schemas are not supported", full)
		case ok:
			return n, nil
		}
	}
	return nil, schemaErrorf("type %q is not defined", name)
}

// qualify completes a name without a namespace by the one around it.
func qualify(name, space string) string {
	if namespace, _ := splitFullName(name); namespace != "" || space == "" {
		return name
	}
	return space + "." + name
}

func (p *avroParser) union(s *scanner, space string) (*AvroNode, error) {
	u := &AvroNode{kind: AvroUnion}
	n := 0
	s.open('[')
	for s.more(']', &n) {
		b, err := p.node(s.raw(), space)
		if err != nil {
			return nil, err
		}
		if b.kind == AvroUnion {
			return nil, schemaErrorf("a union holds a union")
		}
		u.branches = append(u.branches, b)
	}
	if n == 0 {
		return nil, schemaErrorf("a union has no branches")
	}
	return u, u.measure()
}

func (p *avroParser) object(ms []member, space string) (*AvroNode, error) {
	raw, ok := find(ms, "type")
	if !ok {
		return nil, schemaErrorf("a schema object has no type")
	}
	if raw[0] != '"' {
		return p.node(raw, space)
	}
	name, err := stringOf(raw)
	if err != nil {
		return nil, err
	}
	n := &AvroNode{kind: avroPrimitives[name]}
	if n.kind == 0 {
		n.kind = avroComplex[name]
	}
	switch n.kind {
	case 0:
		return p.reference(name, space)
	case AvroArray:
		err = p.items(n, ms, "items", space)
	case AvroMap:
		err = p.items(n, ms, "values", space)
	case AvroRecord, AvroEnum, AvroFixed:
		err = p.namedType(n, ms, space)
	}
	if err != nil {
		return nil, err
	}
	for _, m := range ms {
		if !reservedKey(n.kind, m.key) {
			n.addProp(m.key, compactJSON(m.value))
		}
	}
	return n, n.measure()
}

// reservedKey reports whether Avro itself defines a member of a schema object.
func reservedKey(k AvroKind, key string) bool {
	switch key {
	case "type", "name", "namespace", "doc", "aliases", "fields", "symbols", "items", "values", "size":
		return true
	}
	return k == AvroEnum && key == "default"
}

func (p *avroParser) items(n *AvroNode, ms []member, key, space string) (err error) {
	raw, ok := find(ms, key)
	if !ok {
		return schemaErrorf("%s without %s", n.kind, key)
	}
	n.items, err = p.node(raw, space)
	return err
}

// textOf returns a string member, nil if it is absent.
func textOf(ms []member, key string) (*string, error) {
	raw, ok := find(ms, key)
	if !ok || raw[0] == 'n' {
		return nil, nil
	}
	text, err := stringOf(raw)
	if err != nil {
		return nil, schemaErrorf("%s is not a string", key)
	}
	return &text, nil
}

// listOf returns a member that is an array of strings.
func listOf(ms []member, key string) ([]string, error) {
	raw, ok := find(ms, key)
	if !ok {
		return nil, nil
	}
	s := scanner{b: raw}
	out := []string{}
	n := 0
	s.open('[')
	for s.more(']', &n) {
		out = append(out, string(s.text()))
	}
	if s.err != nil {
		return nil, schemaErrorf("%s is not an array of strings", key)
	}
	return out, nil
}

func (p *avroParser) namedType(n *AvroNode, ms []member, space string) error {
	name, err := textOf(ms, "name")
	if err != nil || name == nil || *name == "" {
		return schemaErrorf("a %s has no name", n.kind)
	}
	namespace, err := textOf(ms, "namespace")
	if err != nil {
		return err
	}
	if namespace != nil {
		space = *namespace
	}
	n.namespace, n.name = splitFullName(qualify(*name, space))
	full := n.FullName()
	if _, dup := p.named[full]; dup {
		return schemaErrorf("type %s is defined twice", full)
	}
	if n.doc, err = textOf(ms, "doc"); err != nil {
		return err
	}
	if n.aliases, err = listOf(ms, "aliases"); err != nil {
		return err
	}
	p.named[full] = nil
	switch n.kind {
	case AvroRecord:
		err = p.fields(n, ms)
	case AvroEnum:
		err = p.enum(n, ms)
	case AvroFixed:
		err = p.fixed(n, ms)
	}
	p.named[full] = n
	if err != nil {
		return under(full, err)
	}
	return nil
}

func (p *avroParser) enum(n *AvroNode, ms []member) (err error) {
	if n.symbols, err = listOf(ms, "symbols"); err != nil {
		return err
	}
	if n.symbols == nil {
		return schemaErrorf("an enum has no symbols")
	}
	n.symDef, err = textOf(ms, "default")
	return err
}

func (p *avroParser) fixed(n *AvroNode, ms []member) error {
	raw, _ := find(ms, "size")
	size, err := strconv.Atoi(string(raw))
	if err != nil || size < 0 || size > maxFixedBytes {
		return schemaErrorf("fixed size %.20s: must be an integer from 0 to %d", raw, maxFixedBytes)
	}
	n.size = size
	return nil
}

func (p *avroParser) fields(n *AvroNode, ms []member) error {
	raw, ok := find(ms, "fields")
	if !ok || raw[0] != '[' {
		return schemaErrorf("a record has no array of fields")
	}
	s := scanner{b: raw}
	seen := make(map[string]bool)
	count := 0
	s.open('[')
	for s.more(']', &count) {
		if s.kind() != '{' {
			return schemaErrorf("field %d is not an object", count-1)
		}
		f, err := p.field(s.members(), n.namespace)
		if err != nil {
			return err
		}
		if seen[f.name] {
			return schemaErrorf("field %q is there twice", f.name)
		}
		seen[f.name] = true
		n.fields = append(n.fields, f)
	}
	return s.err
}

func (p *avroParser) field(ms []member, space string) (avroField, error) {
	var f avroField
	name, err := textOf(ms, "name")
	if err != nil || name == nil || *name == "" {
		return f, schemaErrorf("a field has no name")
	}
	f.name = *name
	raw, ok := find(ms, "type")
	if !ok {
		return f, schemaErrorf("field %q has no type", f.name)
	}
	if f.typ, err = p.node(raw, space); err != nil {
		return f, under(f.name, err)
	}
	if f.doc, err = textOf(ms, "doc"); err != nil {
		return f, under(f.name, err)
	}
	if f.aliases, err = listOf(ms, "aliases"); err != nil {
		return f, under(f.name, err)
	}
	for _, m := range ms {
		switch m.key {
		case "name", "type", "doc", "aliases", "order":
		case "default":
			f.def = compactJSON(m.value)
		default:
			f.props = append(f.props, avroProp{m.key, compactJSON(m.value)})
		}
	}
	return f, nil
}
