package jsonschema

import (
	"math"
	"slices"
	"strconv"

	"github.com/millrace/millrace/schema-registry/jsontext"
)

// keywords are those of one dialect that make nodes.
type keywords struct {
	id                            string // of the identifier
	array, object, number, string []string
	constant, conditional         bool // the dialect has const, if
	modern                        bool // 2019-09 and later
}

var (
	numberWords = []string{"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}
	stringWords = []string{"minLength", "maxLength", "pattern"}
	oldArray    = []string{"items", "additionalItems", "minItems", "maxItems", "uniqueItems"}
	oldObject   = []string{"properties", "required", "minProperties", "maxProperties", "dependencies", "patternProperties", "additionalProperties"}
)

// The dialects. 2019-09 is read as 2020-12, and before it format made a string
// node, both as Confluent's registry has it.
var (
	draft4 = &keywords{id: "id", array: oldArray, object: oldObject, number: numberWords, string: append(slices.Clip(stringWords), "format")}
	draft6 = &keywords{
		id: "$id", array: append(slices.Clip(oldArray), "contains"), object: append(slices.Clip(oldObject), "propertyNames"),
		number: numberWords, string: draft4.string, constant: true,
	}
	draft7 = &keywords{
		id: "$id", array: draft6.array, object: draft6.object,
		number: numberWords, string: draft4.string, constant: true, conditional: true,
	}
	modern = &keywords{
		id:    "$id",
		array: []string{"items", "prefixItems", "minItems", "maxItems", "uniqueItems", "contains", "unevaluatedItems"},
		object: []string{"properties", "required", "minProperties", "maxProperties", "dependentRequired", "dependentSchemas",
			"patternProperties", "additionalProperties", "unevaluatedProperties", "propertyNames"},
		number: numberWords, string: stringWords, constant: true, conditional: true, modern: true,
	}
)

// builder makes nodes of texts.
type builder struct {
	*resolver
	words *keywords
	nodes map[*jsontext.Value]*node
	fault *Error // the first one met
}

// at is a place in a text: where it is, and what it is relative to.
type at struct {
	value *jsontext.Value
	base  string
	path  *step // from the root, last step first
}

func (p at) down(v *jsontext.Value, names ...string) at {
	p.value = v
	for _, n := range names {
		p.path = &step{n, p.path}
	}
	return p
}

// node returns the node of a place, which may still be in the making.
func (b *builder) node(p at) *node {
	if n, ok := b.nodes[p.value]; ok {
		return n
	}
	n := &node{}
	b.nodes[p.value] = n
	switch p.value.Kind {
	case jsontext.True:
		n.kind = kindTrue
	case jsontext.False:
		n.kind = kindFalse
	case jsontext.Object:
		b.object(n, p)
	}
	return n
}

func (b *builder) object(n *node, p at) {
	v := p.value
	if id, ok := v.Str(b.words.id); ok {
		p.base = resolveURI(p.base, id)
	}
	ref, isRef := v.Str("$ref")
	if isRef && !b.words.modern {
		n.kind, n.target = kindRef, b.reference(p, ref)
		return
	}
	s := sheet{builder: b, at: p, index: index(v), used: map[string]bool{}}
	parts := s.parts()
	switch len(parts) {
	case 0:
		n.kind = kindEmpty
	case 1:
		*n = *parts[0]
	default:
		n.kind, n.criterion, n.implicit, n.members = kindCombined, allOf, true, parts
		for i, part := range parts {
			part.sum = sumOf(v, strconv.Itoa(i))
		}
	}
	n.id, _ = v.Str(b.words.id)
	n.title, _ = v.Str("title")
	n.description, _ = v.Str("description")
	if def, ok := s.index["default"]; ok {
		n.fallback = canonicalValue(def)
	}
	connect, _ := v.Str("connect.type")
	n.connectBytes = connect == "bytes"
}

func index(v *jsontext.Value) map[string]*jsontext.Value {
	m := make(map[string]*jsontext.Value, len(v.Members))
	for i := range v.Members {
		m[v.Members[i].Key] = &v.Members[i].Value
	}
	return m
}

// sheet is a schema object while it is taken apart.
type sheet struct {
	*builder
	at
	index map[string]*jsontext.Value
	used  map[string]bool // keywords that a typed node has taken
}

// take returns a keyword's value, nil without.
func (s *sheet) take(key string) *jsontext.Value {
	v, ok := s.index[key]
	if ok {
		s.used[key] = true
	}
	return v
}

func (s *sheet) child(v *jsontext.Value, path ...string) *node { return s.node(s.down(v, path...)) }

// parts makes the nodes of a schema object, in the order in which Confluent's
// registry has them.
func (s *sheet) parts() []*node {
	var out []*node
	if ref, ok := s.index["$ref"]; ok && ref.Kind == jsontext.String {
		out = append(out, &node{kind: kindRef, target: s.reference(s.at, ref.Text)})
	}
	if ref, ok := s.index["$dynamicRef"]; ok && ref.Kind == jsontext.String {
		out = append(out, &node{kind: kindRef, target: s.reference(s.at, ref.Text)})
	}
	if v := s.index["enum"]; v != nil && v.Kind == jsontext.Array {
		n := &node{kind: kindEnum}
		for i := range v.Items {
			n.values = append(n.values, canonicalValue(&v.Items[i]))
		}
		out = append(out, n)
	}
	for _, c := range []criterion{allOf, anyOf, oneOf} {
		if v := s.index[string(c)]; v != nil && v.Kind == jsontext.Array {
			out = append(out, s.combined(c, v))
		}
	}
	if v := s.index["not"]; v != nil {
		out = append(out, &node{kind: kindNot, not: s.child(v, "not")})
	}
	if v := s.index["const"]; v != nil && s.words.constant {
		out = append(out, &node{kind: kindConst, values: []string{canonicalValue(v)}})
	}
	out = append(out, s.types()...)
	for _, k := range []string{"if", "then", "else"} {
		if s.words.conditional && s.index[k] != nil {
			return append(out, &node{kind: kindConditional})
		}
	}
	return out
}

func (s *sheet) combined(c criterion, v *jsontext.Value) *node {
	n := &node{kind: kindCombined, criterion: c}
	for i := range v.Items {
		m := s.child(&v.Items[i], string(c), strconv.Itoa(i))
		// Confluent's registry loses, in the newer dialects, where one member
		// of several parts begins and ends.
		if s.words.modern && m.kind == kindCombined && m.implicit {
			n.members = append(n.members, m.members...)
			continue
		}
		n.members = append(n.members, &node{kind: kindRef, target: m, sum: sumOf(&v.Items[i], "")})
	}
	return n
}

// types makes the nodes of the keyword type, and of keywords whose type it
// does not name.
func (s *sheet) types() []*node {
	var out []*node
	switch v := s.index["type"]; {
	case v == nil:
	case v.Kind == jsontext.String:
		if n := s.typed(v.Text); n != nil {
			out = append(out, n)
		}
	case v.Kind == jsontext.Array:
		n := &node{kind: kindCombined, criterion: anyOf}
		for i := range v.Items {
			if t := s.typed(v.Items[i].Text); t != nil {
				t.sum = sumOf(s.value, v.Items[i].Text)
				n.members = append(n.members, t)
			}
		}
		out = append(out, n)
	}
	for _, rest := range []struct {
		words []string
		make  func() *node
	}{
		{s.words.array, s.arrayNode}, {s.words.object, s.objectNode},
		{s.words.number, func() *node { return s.numberNode(false) }}, {s.words.string, s.stringNode},
	} {
		if slices.ContainsFunc(rest.words, func(w string) bool { return s.index[w] != nil && !s.used[w] }) {
			out = append(out, rest.make())
		}
	}
	return out
}

func (s *sheet) typed(name string) *node {
	switch name {
	case "string":
		return s.stringNode()
	case "number", "integer":
		return s.numberNode(name == "integer")
	case "object":
		return s.objectNode()
	case "array":
		return s.arrayNode()
	case "boolean":
		return &node{kind: kindBoolean}
	case "null":
		return &node{kind: kindNull}
	}
	return nil // refused where schemas are new
}

func (s *sheet) limits(n *node, list []limit) {
	for _, l := range list {
		v := s.take(l.keyword)
		if v == nil || v.Kind != jsontext.Number { // draft 4's exclusive limits are booleans
			continue
		}
		if n.limits == nil {
			n.limits = map[string]float64{}
		}
		f, err := strconv.ParseFloat(v.Text, 64)
		if err != nil { // out of range
			f = math.Inf(1)
			if v.Text[0] == '-' {
				f = math.Inf(-1)
			}
		}
		n.limits[l.keyword] = f
	}
}

func (s *sheet) stringNode() *node {
	n := &node{kind: kindString}
	s.limits(n, stringLimits)
	if v := s.take("pattern"); v != nil {
		n.pattern, n.hasPattern = v.Text, true
	}
	s.take("format")
	return n
}

func (s *sheet) numberNode(integer bool) *node {
	n := &node{kind: kindNumber, integer: integer}
	s.limits(n, numberLimits)
	for _, l := range numberLimits {
		s.take(l.keyword)
	}
	if v := s.take("multipleOf"); v != nil && v.Kind == jsontext.Number {
		n.multipleOf = v.Text
	}
	return n
}
