package avro

import (
	"strconv"

	"github.com/millrace/millrace/schema-registry/jsontext"
)

// Canonical returns the text that the registry stores: without blanks, with
// attributes in a fixed order, and with docs, defaults, aliases and properties
// kept. Types of references are named, not written out.
func (s *Schema) Canonical() string {
	p := printer{names: s.names, seen: map[*node]bool{}}
	p.schema(s.root, "")
	return string(p.out)
}

// Resolved returns the canonical text with the types of references written
// out where they are first used.
func (s *Schema) Resolved() string {
	p := printer{names: s.names, seen: map[*node]bool{}, inline: true}
	p.schema(s.root, "")
	return string(p.out)
}

// printer writes canonical texts.
type printer struct {
	out    []byte
	names  map[string]*node
	seen   map[*node]bool
	inline bool // write out what references declare

	// Properties in place of those that a type or a field has.
	nodeProps  map[*node][]jsontext.Member
	fieldProps map[*field][]jsontext.Member
}

func (p *printer) schema(n *node, space string) {
	switch {
	case n.kind.primitive() && len(n.props) == 0:
		p.out = jsontext.AppendString(p.out, n.kind.String())
	case n.kind == kindUnion:
		p.out = append(p.out, '[')
		for i, b := range n.branches {
			if i > 0 {
				p.out = append(p.out, ',')
			}
			p.schema(b, space)
		}
		p.out = append(p.out, ']')
	case n.kind.named() && (p.seen[n] || n.external && !p.inline):
		p.out = jsontext.AppendString(p.out, reference(n.name, space, p.names))
	default:
		p.seen[n] = true
		p.object(n, space)
	}
}

func (p *printer) object(n *node, space string) {
	typ := n.kind.String()
	if n.isError {
		typ = "error"
	}
	p.out = append(p.out, `{"type":`...)
	p.out = jsontext.AppendString(p.out, typ)
	if n.kind.named() {
		p.key("name")
		p.out = jsontext.AppendString(p.out, n.name.local)
		if n.name.space != space {
			p.key("namespace")
			p.out = jsontext.AppendString(p.out, n.name.space)
		}
		p.doc(n.doc)
	}
	switch n.kind {
	case kindRecord:
		p.fields(n)
	case kindEnum:
		p.strings("symbols", n.symbols)
		if n.hasDef {
			p.key("default")
			p.out = jsontext.AppendString(p.out, n.fallback)
		}
	case kindFixed:
		p.key("size")
		p.out = strconv.AppendInt(p.out, int64(n.size), 10)
	case kindArray:
		p.key("items")
		p.schema(n.items, space)
	case kindMap:
		p.key("values")
		p.schema(n.items, space)
	}
	props, other := p.nodeProps[n]
	if !other {
		props = n.props
	}
	p.props(props)
	if len(n.aliases) > 0 {
		p.strings("aliases", aliasTexts(n))
	}
	p.out = append(p.out, '}')
}

func (p *printer) fields(n *node) {
	p.key("fields")
	p.out = append(p.out, '[')
	for i, f := range n.fields {
		if i > 0 {
			p.out = append(p.out, ',')
		}
		p.out = append(p.out, `{"name":`...)
		p.out = jsontext.AppendString(p.out, f.name)
		p.key("type")
		p.schema(f.typ, n.name.space)
		p.doc(f.doc)
		if f.def != nil {
			p.key("default")
			p.out = jsontext.Append(p.out, f.def, false)
		}
		if f.order != "" {
			p.key("order")
			p.out = jsontext.AppendString(p.out, f.order)
		}
		if len(f.aliases) > 0 {
			p.strings("aliases", f.aliases)
		}
		props, other := p.fieldProps[f]
		if !other {
			props = f.props
		}
		p.props(props)
		p.out = append(p.out, '}')
	}
	p.out = append(p.out, ']')
}

func (p *printer) key(k string) {
	p.out = append(p.out, ',')
	p.out = append(jsontext.AppendString(p.out, k), ':')
}

func (p *printer) doc(doc *string) {
	if doc != nil {
		p.key("doc")
		p.out = jsontext.AppendString(p.out, *doc)
	}
}

func (p *printer) strings(key string, list []string) {
	p.key(key)
	p.out = append(p.out, '[')
	for i, s := range list {
		if i > 0 {
			p.out = append(p.out, ',')
		}
		p.out = jsontext.AppendString(p.out, s)
	}
	p.out = append(p.out, ']')
}

func (p *printer) props(props []jsontext.Member) {
	for i := range props {
		p.key(props[i].Key)
		p.out = jsontext.Append(p.out, &props[i].Value, false)
	}
}

// aliasTexts returns a type's aliases, without the namespace where it is the
// type's own.
func aliasTexts(n *node) []string {
	out := make([]string, len(n.aliases))
	for i, a := range n.aliases {
		switch {
		case a.space == n.name.space:
			out[i] = a.local
		case a.space == "":
			out[i] = "." + a.local
		default:
			out[i] = a.full()
		}
	}
	return out
}

// reference is how a type is named inside of space. A leading dot says that
// it has no namespace, where its bare name would find another type.
func reference(n name, space string, names map[string]*node) string {
	_, primitive := primitives[n.local]
	switch {
	case n.space == space && !primitive:
		return n.local
	case n.space == "":
		if _, hidden := names[name{space, n.local}.full()]; hidden && space != "" {
			return "." + n.local
		}
	}
	return n.full()
}
