package avro

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/millrace/millrace/schema-registry/jsontext"
)

// Parse reads a new schema, which has to obey Avro's rules for names and
// defaults. references are the texts of the schemas it refers to, each after
// those it refers to itself. Errors are of type *Error.
func Parse(text string, references []string) (*Schema, error) {
	return parse(text, references, true)
}

// ParseStored reads a schema that was registered before, here or by another
// registry: names and defaults are taken as they are.
func ParseStored(text string, references []string) (*Schema, error) {
	return parse(text, references, false)
}

func parse(text string, references []string, strict bool) (*Schema, error) {
	p := parser{names: map[string]*node{}}
	for i, ref := range references {
		p.external = true // checked when it was registered itself
		if _, err := p.text(ref); err != nil {
			err.Reason = fmt.Sprintf("reference %d: %s", i+1, err.Reason)
			return nil, err
		}
	}
	p.external, p.strict, p.records = false, strict, nil
	root, err := p.text(text)
	if err != nil {
		return nil, err
	}
	if strict {
		if err := checkDefaults(p.records); err != nil {
			return nil, err
		}
	}
	return &Schema{root, p.names}, nil
}

type parser struct {
	names    map[string]*node
	records  []*located // in the order they were met
	strict   bool
	external bool
	path     []string
	at       int
}

// located is a record and its place.
type located struct {
	*node
	path string
}

func (p *parser) text(text string) (*node, *Error) {
	v, err := jsontext.Parse(text)
	var fault *jsontext.Error
	if errors.As(err, &fault) {
		return nil, &Error{Reason: fault.Reason, Offset: fault.Offset, TooLarge: fault.TooLarge}
	}
	p.path = p.path[:0]
	return p.schema(&v, "")
}

func (p *parser) fail(format string, args ...any) *Error {
	return &Error{Reason: fmt.Sprintf(format, args...), Path: "/" + strings.Join(p.path, "/"), Offset: p.at}
}

// within parses v a step further down.
func (p *parser) within(v *jsontext.Value, space string, steps ...string) (*node, *Error) {
	n := len(p.path)
	p.path = append(p.path, steps...)
	typ, err := p.schema(v, space)
	p.path = p.path[:n]
	return typ, err
}

func (p *parser) schema(v *jsontext.Value, space string) (*node, *Error) {
	p.at = v.End
	switch v.Kind {
	case jsontext.String:
		return p.byName(v.Text, space)
	case jsontext.Array:
		return p.union(v, space)
	case jsontext.Object:
		return p.object(v, space)
	}
	return nil, p.fail("a type is expected: a name, an object or an array")
}

// byName finds a primitive, or a type declared before: in the enclosing
// namespace or without any.
func (p *parser) byName(text, space string) (*node, *Error) {
	if k, ok := primitives[text]; ok {
		return &node{kind: k}, nil
	}
	if n, ok := p.names[makeName(text, space).full()]; ok {
		return n, nil
	}
	if n, ok := p.names[makeName(text, "").full()]; ok {
		return n, nil
	}
	return nil, p.fail("undefined name: %q; a type must be declared, or referenced, before it is used", text)
}

func (p *parser) union(v *jsontext.Value, space string) (*node, *Error) {
	n := &node{kind: kindUnion}
	seen := map[string]bool{}
	for i := range v.Items {
		b, err := p.within(&v.Items[i], space, strconv.Itoa(i))
		if err != nil {
			return nil, err
		}
		key := b.kind.String()
		if b.kind.named() {
			key = "." + b.name.full()
		}
		switch {
		case b.kind == kindUnion:
			return nil, p.fail("nested union: a union may not hold a union directly")
		case seen[key]:
			return nil, p.fail("duplicate in union: %s", strings.TrimPrefix(key, "."))
		}
		seen[key] = true
		n.branches = append(n.branches, b)
	}
	return n, nil
}

func (p *parser) object(v *jsontext.Value, space string) (*node, *Error) {
	t, ok := v.Member("type")
	if !ok {
		return nil, p.fail("the object has no type")
	}
	if t.Kind != jsontext.String {
		if p.strict && len(v.Members) > 1 {
			return nil, p.fail("the type is not a name, so the attributes beside it mean nothing: move them into it")
		}
		return p.within(t, space, "type")
	}
	if k, ok := primitives[t.Text]; ok {
		return &node{kind: k, props: propsOf(v, schemaReserved)}, nil
	}
	switch t.Text {
	case "array", "map":
		return p.container(v, t.Text, space)
	case "record", "error", "enum", "fixed":
		return p.declare(v, t.Text, space)
	}
	return p.byName(t.Text, space)
}

func (p *parser) container(v *jsontext.Value, typ, space string) (*node, *Error) {
	n := &node{kind: kindArray, props: propsOf(v, schemaReserved)}
	key := "items"
	if typ == "map" {
		n.kind, key = kindMap, "values"
	}
	inner, ok := v.Member(key)
	if !ok {
		return nil, p.fail("%s has no %s type", typ, key)
	}
	var err *Error
	n.items, err = p.within(inner, space, key)
	return n, err
}

// declare parses a named type.
func (p *parser) declare(v *jsontext.Value, typ, space string) (*node, *Error) {
	n := &node{external: p.external, props: propsOf(v, schemaReserved)}
	if err := p.nameOf(v, n, space); err != nil {
		return nil, err
	}
	if doc, ok := v.Str("doc"); ok {
		n.doc = &doc
	}
	aliases, err := p.strings(v, "aliases")
	if err != nil {
		return nil, err
	}
	for _, a := range aliases {
		if nm := makeName(a, n.name.space); !slices.Contains(n.aliases, nm) {
			n.aliases = append(n.aliases, nm)
		}
	}
	p.names[n.name.full()] = n
	switch typ {
	case "enum":
		n.kind = kindEnum
		n.props = propsOf(v, enumReserved)
		return n, p.enum(v, n)
	case "fixed":
		n.kind = kindFixed
		return n, p.fixed(v, n)
	}
	n.kind, n.isError = kindRecord, typ == "error"
	return n, p.record(v, n)
}

func (p *parser) nameOf(v *jsontext.Value, n *node, space string) *Error {
	text, ok := v.Str("name")
	if !ok || text == "" {
		return p.fail("a named type has no name")
	}
	if ns, ok := v.Str("namespace"); ok {
		space = ns
	}
	n.name = makeName(text, space)
	if p.strict {
		if !validName(n.name.local) {
			return p.fail("illegal name: %q; names are letters, digits and _, and do not begin with a digit", n.name.local)
		}
		for part := range strings.SplitSeq(n.name.space, ".") {
			if n.name.space != "" && !validName(part) {
				return p.fail("illegal namespace: %q", n.name.space)
			}
		}
		if _, ok := primitives[n.name.full()]; ok {
			return p.fail("a type may not be named after a primitive: %s", n.name.full())
		}
	}
	if _, taken := p.names[n.name.full()]; taken {
		return p.fail("can't redefine: %s", n.name.full())
	}
	return nil
}

func (p *parser) enum(v *jsontext.Value, n *node) *Error {
	symbols, ok := v.Member("symbols")
	if !ok || symbols.Kind != jsontext.Array {
		return p.fail("enum %s has no symbols", n.name.full())
	}
	list, err := p.strings(v, "symbols")
	if err != nil {
		return err
	}
	seen := make(map[string]bool, len(list))
	for _, s := range list {
		if p.strict && !validName(s) {
			return p.fail("illegal enum symbol: %q", s)
		}
		if seen[s] {
			return p.fail("duplicate enum symbol: %s", s)
		}
		seen[s] = true
	}
	n.symbols = list
	if n.fallback, n.hasDef = v.Str("default"); n.hasDef && !seen[n.fallback] {
		return p.fail("enum %s: the default %q is not one of its symbols", n.name.full(), n.fallback)
	}
	return nil
}

func (p *parser) fixed(v *jsontext.Value, n *node) *Error {
	size, ok := v.Member("size")
	if !ok || size.Kind != jsontext.Number {
		return p.fail("fixed %s has no size", n.name.full())
	}
	i, err := strconv.ParseInt(size.Text, 10, 32)
	if err != nil || i < 0 {
		return p.fail("fixed %s: the size %s is not a number of bytes", n.name.full(), size.Text)
	}
	n.size = int(i)
	return nil
}

// strings reads an optional array of strings.
func (p *parser) strings(v *jsontext.Value, key string) ([]string, *Error) {
	m, ok := v.Member(key)
	if !ok || m.Kind == jsontext.Null {
		return nil, nil
	}
	if m.Kind != jsontext.Array {
		return nil, p.fail("%s is not an array", key)
	}
	out := make([]string, len(m.Items))
	for i := range m.Items {
		if m.Items[i].Kind != jsontext.String {
			return nil, p.fail("%s holds what is no string", key)
		}
		out[i] = m.Items[i].Text
	}
	return out, nil
}

// Attributes with a meaning of their own; all others are properties.
var (
	schemaReserved = []string{"type", "name", "namespace", "doc", "fields", "items", "values", "size", "symbols", "aliases"}
	enumReserved   = append(slices.Clone(schemaReserved), "default")
	fieldReserved  = []string{"name", "type", "doc", "default", "order", "aliases"}
)

func propsOf(v *jsontext.Value, reserved []string) []jsontext.Member {
	var out []jsontext.Member
	for _, m := range v.Members {
		if !slices.Contains(reserved, m.Key) {
			out = append(out, m)
		}
	}
	return out
}

func validName(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := c|0x20 >= 'a' && c|0x20 <= 'z' || c == '_'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}
