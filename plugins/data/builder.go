package data

import (
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"
)

// Builder builds one Schema. Its setters return the Builder, so that calls can
// be chained, and keep the first error for Build. Name, version, doc, default
// and optional may each be set once. A Builder is used by one goroutine and
// built once.
type Builder struct {
	s   Schema
	set attributes
	err error
}

type attributes uint8

const (
	attrName attributes = 1 << iota
	attrVersion
	attrDoc
	attrDefault
	attrOptional
	attrBuilt
)

// NewBuilder starts a schema of a primitive type or a Struct. Arrays and maps
// start with ArrayOf and MapOf, since they need their element schemas.
func NewBuilder(t Type) *Builder {
	b := &Builder{}
	b.s.typ = t
	if t < TypeInt8 || t > TypeStruct || t == TypeArray || t == TypeMap {
		b.fail("%v cannot be built from its type alone", t)
	}
	return b
}

// NewStructBuilder starts a Struct schema.
func NewStructBuilder() *Builder { return NewBuilder(TypeStruct) }

// ArrayOf starts an Array schema with the given element schema.
func ArrayOf(elem *Schema) *Builder {
	b := &Builder{}
	b.s.typ, b.s.value = TypeArray, elem
	if elem == nil {
		b.fail("an array needs an element schema")
	}
	return b
}

// MapOf starts a Map schema with the given key and value schemas. Keys may be
// of any type.
func MapOf(key, value *Schema) *Builder {
	b := &Builder{}
	b.s.typ, b.s.key, b.s.value = TypeMap, key, value
	if key == nil || value == nil {
		b.fail("a map needs a key schema and a value schema")
	}
	return b
}

// CopyBasics starts a schema of the same type with the same name, version, doc
// and parameters as s, and for an Array or Map the same element schemas.
// Fields, default and optional are not copied: it is what transforms start
// from when they rebuild a schema.
func CopyBasics(s *Schema) *Builder {
	b := &Builder{}
	b.s.typ, b.s.key, b.s.value = s.typ, s.key, s.value
	if s.name != "" {
		b.Name(s.name)
	}
	if s.hasVer {
		b.Version(s.version)
	}
	if s.hasDoc {
		b.Doc(s.doc)
	}
	b.s.params = slices.Clone(s.params)
	return b
}

func (b *Builder) fail(format string, args ...any) {
	if b.err == nil {
		b.err = schemaErrorf(format, args...)
	}
}

// once records that an attribute is set; setting it again is an error.
func (b *Builder) once(a attributes, what string) {
	if b.set&a != 0 {
		b.fail("%s is already set", what)
	}
	b.set |= a
}

func (b *Builder) text(what, s string) {
	if !utf8.ValidString(s) {
		b.fail("%s is not valid UTF-8: %q", what, s)
	}
}

// Name sets the schema's name. It must not be empty.
func (b *Builder) Name(name string) *Builder {
	b.once(attrName, "name")
	b.text("name", name)
	if name == "" {
		b.fail("name is empty")
	}
	b.s.name = name
	return b
}

// Version sets the schema's version.
func (b *Builder) Version(v int32) *Builder {
	b.once(attrVersion, "version")
	b.s.version, b.s.hasVer = v, true
	return b
}

// Doc sets the documentation text.
func (b *Builder) Doc(doc string) *Builder {
	b.once(attrDoc, "doc")
	b.text("doc", doc)
	b.s.doc, b.s.hasDoc = doc, true
	return b
}

// Optional allows null values.
func (b *Builder) Optional() *Builder {
	b.once(attrOptional, "optional")
	b.s.optional = true
	return b
}

// Param sets one parameter. Setting a key again replaces its value and keeps
// its place.
func (b *Builder) Param(key, value string) *Builder {
	b.text("parameter", key)
	b.text("parameter "+key, value)
	for i := range b.s.params {
		if b.s.params[i].Key == key {
			b.s.params[i].Value = value
			return b
		}
	}
	b.s.params = append(b.s.params, Param{key, value})
	return b
}

// Params sets several parameters in order. Setting none leaves the parameters
// unset.
func (b *Builder) Params(params ...Param) *Builder {
	for _, p := range params {
		b.Param(p.Key, p.Value)
	}
	return b
}

// Default sets the default value, which is checked against the schema as it
// stands: set the name of a logical type, the fields of a Struct and Optional
// (for a null default) first. A null default is the same as none.
func (b *Builder) Default(v any) *Builder {
	b.once(attrDefault, "default")
	if b.err != nil {
		return b
	}
	if v == nil {
		if !b.s.optional {
			b.fail("a required schema cannot have a null default")
		}
		return b
	}
	if err := validate(&b.s, v, true); err != nil {
		b.err = fmt.Errorf("%w: default: %w", ErrSchema, err)
		return b
	}
	if nullTextKey(&b.s, v) {
		b.fail("default: a map with text keys has a null key, which JSON cannot write")
		return b
	}
	b.s.def, b.s.hasDef = cloneValue(v), true
	if st, ok := b.s.def.(*Struct); ok {
		st.schema = &b.s
	}
	return b
}

// nullTextKey finds a null key in a map that is an object in JSON.
func nullTextKey(s *Schema, v any) bool {
	switch v := v.(type) {
	case *Struct:
		for i, f := range s.fields {
			if nullTextKey(f.Schema, v.values[i]) {
				return true
			}
		}
	case []any:
		return slices.ContainsFunc(v, func(e any) bool { return nullTextKey(s.value, e) })
	case Map:
		return slices.ContainsFunc(v, func(e Entry) bool {
			return e.Key == nil && s.key.typ == TypeString || nullTextKey(s.key, e.Key) || nullTextKey(s.value, e.Value)
		})
	}
	return false
}

// Field appends a field to a Struct schema. Names must not be empty and must
// differ within the struct.
func (b *Builder) Field(name string, s *Schema) *Builder {
	_, dup := b.s.byName[name]
	b.text("field name", name)
	switch {
	case b.s.typ != TypeStruct:
		b.fail("a schema of type %v has no fields", b.s.typ)
	case name == "":
		b.fail("a field name is empty")
	case s == nil:
		b.fail("field %q has no schema", name)
	case dup:
		b.fail("field %q is there twice", name)
	case b.set&attrDefault != 0:
		b.fail("field %q comes after the default", name)
	}
	if b.err != nil {
		return b
	}
	if b.s.byName == nil {
		b.s.byName = make(map[string]int)
	}
	b.s.byName[name] = len(b.s.fields)
	b.s.fields = append(b.s.fields, Field{Name: name, Index: len(b.s.fields), Schema: s})
	return b
}

// Build returns the schema, or the first error that setting it up met.
func (b *Builder) Build() (*Schema, error) {
	if b.err != nil {
		return nil, b.err
	}
	b.once(attrBuilt, "schema")
	if b.err != nil {
		return nil, b.err
	}
	s := &b.s
	if s.typ != TypeStruct {
		s.fields, s.byName = nil, nil
	}
	if err := finish(s); err != nil {
		b.err = err
		return nil, err
	}
	return s, nil
}

// MustBuild is Build for schemas that are written out in the program; it
// panics on an error.
func (b *Builder) MustBuild() *Schema {
	s, err := b.Build()
	if err != nil {
		panic(err)
	}
	return s
}

// finish checks the rules that need the whole schema and computes its size and
// hash.
func finish(s *Schema) error {
	if err := checkLogical(s); err != nil {
		return err
	}
	s.depth, s.nodes = 1, 1
	add := func(c *Schema) {
		s.depth = max(s.depth, c.depth+1)
		s.nodes += c.nodes
	}
	for _, f := range s.fields {
		add(f.Schema)
	}
	if s.key != nil {
		add(s.key)
	}
	if s.value != nil {
		add(s.value)
	}
	if s.depth > maxSchemaDepth {
		return schemaErrorf("more than %d levels of nesting", maxSchemaDepth)
	}
	if s.nodes > maxSchemaNodes {
		return schemaErrorf("more than %d nested schemas", maxSchemaNodes)
	}
	s.hash = hashSchema(s)
	return nil
}

// checkLogical checks what the four logical types and fixed bytes need beyond
// their name.
func checkLogical(s *Schema) error {
	if s.IsLogical() {
		if want := logicalBase[s.name]; s.typ != want {
			return schemaErrorf("%s must be of type %v, not %v", s.name, want, s.typ)
		}
	}
	if s.name == DecimalName {
		if _, err := decimalScale(s); err != nil {
			return err
		}
	}
	if isFixed(s) {
		if _, err := fixedSize(s); err != nil {
			return err
		}
	}
	if isUnion(s) && s.typ == TypeStruct && len(s.fields) == 0 {
		return errors.Join(ErrSchema, errors.New("a union has no branches"))
	}
	return nil
}

// AsOptional returns s with nulls allowed, s itself when they are.
func AsOptional(s *Schema) *Schema { return withOptional(s, true) }

// AsRequired returns s with nulls refused, s itself when they are. A default
// stays.
func AsRequired(s *Schema) *Schema { return withOptional(s, false) }

func withOptional(s *Schema, optional bool) *Schema {
	if s.optional == optional {
		return s
	}
	c := &Schema{
		typ: s.typ, optional: optional, hasDef: s.hasDef, def: s.def,
		name: s.name, version: s.version, hasVer: s.hasVer, doc: s.doc, hasDoc: s.hasDoc,
		params: s.params, fields: s.fields, byName: s.byName, key: s.key, value: s.value,
		depth: s.depth, nodes: s.nodes,
	}
	c.hash = hashSchema(c)
	return c
}
