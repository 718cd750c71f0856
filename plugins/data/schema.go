package data

import (
	"strconv"
	"sync"
)

// Type is one of Connect's twelve value types.
type Type uint8

// The types, in Kafka Connect's order. The Go value of each is named beside
// it; see the package comment for logical types.
const (
	TypeInt8    Type = iota + 1 // int8
	TypeInt16                   // int16
	TypeInt32                   // int32
	TypeInt64                   // int64
	TypeFloat32                 // float32
	TypeFloat64                 // float64
	TypeBoolean                 // bool
	TypeString                  // string
	TypeBytes                   // []byte
	TypeArray                   // []any
	TypeMap                     // Map
	TypeStruct                  // *Struct
)

var typeNames = [...]string{
	TypeInt8: "int8", TypeInt16: "int16", TypeInt32: "int32", TypeInt64: "int64",
	TypeFloat32: "float", TypeFloat64: "double", TypeBoolean: "boolean", TypeString: "string",
	TypeBytes: "bytes", TypeArray: "array", TypeMap: "map", TypeStruct: "struct",
}

// String returns the name that Connect's JSON schemas use: "int32", "double",
// "struct".
func (t Type) String() string {
	if int(t) < len(typeNames) && t != 0 {
		return typeNames[t]
	}
	return "type(" + strconv.Itoa(int(t)) + ")"
}

// Param is one schema parameter. Parameters keep the order they were set in.
type Param struct{ Key, Value string }

// Field is a member of a Struct schema.
type Field struct {
	Name   string
	Index  int // position in the schema, from 0
	Schema *Schema
}

// Schema describes a value: Connect's schema, with all the attributes that
// make up its identity. It is immutable once built and safe for concurrent
// use. Build one with a Builder, ParseAvro or ParseJSONSchema.
//
// Two schemas are equal when their hashes are: type, optional, name, version,
// doc, parameters, default, fields in order, key and value schemas all count,
// as in Connect's ConnectSchema.equals.
type Schema struct {
	typ      Type
	optional bool
	hasDef   bool
	def      any
	name     string
	version  int32
	hasVer   bool
	doc      string
	hasDoc   bool
	params   []Param // nil when never set, which differs from empty
	fields   []Field
	byName   map[string]int
	key      *Schema
	value    *Schema
	hash     Hash
	depth    int // levels of nesting, 1 for a primitive
	nodes    int // schemas in the tree, counted as often as they occur

	planOnce sync.Once // guards plan
	plan     *plan
}

// Hash identifies a schema by content: SHA-256 over a canonical dump of every
// attribute that Connect's equality looks at.
type Hash [32]byte

// Type returns the schema's type.
func (s *Schema) Type() Type { return s.typ }

// Optional reports whether a null is a legal value.
func (s *Schema) Optional() bool { return s.optional }

// Default returns the default value and whether one is set. A default of null
// on an optional schema is the same as none.
func (s *Schema) Default() (any, bool) { return s.def, s.hasDef }

// Name returns the schema's name, "" when it has none.
func (s *Schema) Name() string { return s.name }

// Version returns the version and whether one is set.
func (s *Schema) Version() (int32, bool) { return s.version, s.hasVer }

// Doc returns the documentation text and whether one is set.
func (s *Schema) Doc() (string, bool) { return s.doc, s.hasDoc }

// Params returns the parameters in order. The caller must not change them.
func (s *Schema) Params() []Param { return s.params }

// Param returns the value of one parameter and whether it is set.
func (s *Schema) Param(key string) (string, bool) {
	for _, p := range s.params {
		if p.Key == key {
			return p.Value, true
		}
	}
	return "", false
}

// HasParams reports whether parameters were ever set, even to none: a schema
// without parameters and one with an empty list differ.
func (s *Schema) HasParams() bool { return s.params != nil }

// Fields returns a Struct schema's fields in order. The caller must not change
// them.
func (s *Schema) Fields() []Field { return s.fields }

// Field returns the named field of a Struct schema.
func (s *Schema) Field(name string) (Field, bool) {
	i, ok := s.byName[name]
	if !ok {
		return Field{}, false
	}
	return s.fields[i], true
}

// KeySchema returns a Map schema's key schema, nil for other types.
func (s *Schema) KeySchema() *Schema { return s.key }

// ValueSchema returns the element schema of an Array or Map, nil for other
// types.
func (s *Schema) ValueSchema() *Schema { return s.value }

// Hash returns the identity of the schema, computed once when it was built.
func (s *Schema) Hash() Hash { return s.hash }

// Equal reports whether two schemas are the same to Connect. Nil equals only
// nil.
func (s *Schema) Equal(o *Schema) bool {
	return s == o || s != nil && o != nil && s.hash == o.hash
}
