package jsonschema

import (
	"crypto/sha256"
	"regexp"

	"github.com/millrace/millrace/schema-registry/jsontext"
)

// kind is what a node speaks of.
type kind uint8

const (
	kindEmpty kind = iota // {}
	kindTrue
	kindFalse
	kindRef // stands for target
	kindBoolean
	kindNull
	kindString
	kindNumber
	kindObject
	kindArray
	kindEnum
	kindConst
	kindNot
	kindCombined
	kindConditional
)

// criterion is how a combination combines.
type criterion string

const (
	allOf criterion = "allOf"
	anyOf criterion = "anyOf"
	oneOf criterion = "oneOf"
)

// node is one part of a schema: what it demands of values of one type, or a
// combination of nodes. Nodes are made once per place in the text, so that
// recursive schemas are cyclic graphs of them.
type node struct {
	kind kind
	sum  [sha256.Size]byte // of the text, whatever the order of members

	id, title, description string
	fallback               string // the default's JSON, "" without
	connectBytes           bool   // connect.type is bytes

	target *node // of kindRef

	limits     map[string]float64 // by keyword
	pattern    string
	hasPattern bool
	integer    bool
	multipleOf string // as written, "" without

	object objectPart
	array  arrayPart

	values []string // of an enum, as canonical JSON; of a const, one
	not    *node

	criterion criterion
	implicit  bool // a schema with several parts, not an allOf that is written
	members   []*node
}

// objectPart is what is demanded of an object.
type objectPart struct {
	names       []string // of properties, in the order written
	properties  map[string]*node
	required    map[string]bool
	patterns    []patternProperty
	closed      bool  // additionalProperties is false
	additional  *node // its schema, nil if it is none
	unevaluated *node
	needs       map[string][]string // dependencies on names
	needsNames  []string            // the keys of needs, as written
	schemas     map[string]*node    // dependencies on schemas
	schemaNames []string
}

type patternProperty struct {
	re     *regexp.Regexp // nil if the pattern is not to be had here
	schema *node
}

// arrayPart is what is demanded of an array.
type arrayPart struct {
	all         *node   // one schema for all items
	items       []*node // by position
	closed      bool    // no items besides
	additional  *node
	unevaluated *node
	unique      bool
}

// deref follows references. References that only lead to each other allow
// anything.
func (n *node) deref() *node {
	for range 1000 {
		if n == nil || n.kind != kindRef {
			return n
		}
		n = n.target
	}
	return &node{kind: kindEmpty}
}

// anything reports whether a node, as it stands, allows everything.
func (n *node) anything() bool { return n.kind == kindEmpty || n.kind == kindTrue }

// sumOf digests a JSON value, whatever the order of its members.
func sumOf(v *jsontext.Value, part string) [sha256.Size]byte {
	return sha256.Sum256(append(jsontext.Append(nil, v, true), part...))
}
