package avro

import (
	"cmp"
	"slices"
	"strconv"

	"github.com/millrace/millrace/schema-registry/jsontext"
)

// Normalized returns a text in which schemas that differ only in the order of
// attributes and properties, or in how names are qualified, are equal.
func (s *Schema) Normalized() string {
	p := normalizer{printer{names: s.names, seen: map[*node]bool{}}}
	p.schema(s.root, "")
	return string(p.out)
}

// Equal reports whether two schemas are the same to the registry: in
// structure, docs and aliases; the order of attributes does not count.
func (s *Schema) Equal(t *Schema) bool { return s.Normalized() == t.Normalized() }

type normalizer struct{ printer }

// wellKnown properties come before the others and in this order.
var wellKnown = []string{"logicalType", "precision", "scale"}

func (p *normalizer) schema(n *node, space string) {
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
	case n.kind.named() && (p.seen[n] || n.external):
		p.out = jsontext.AppendString(p.out, fullReference(n.name, space, p.names))
	default:
		p.seen[n] = true
		p.object(n, space)
	}
}

func fullReference(n name, space string, names map[string]*node) string {
	if n.space == "" {
		return reference(n, space, names)
	}
	return n.full()
}

func (p *normalizer) object(n *node, space string) {
	p.out = append(p.out, '{')
	if n.kind.named() {
		p.out = append(p.out, `"name":`...)
		p.out = jsontext.AppendString(p.out, n.name.full())
		if n.name.space == "" && space != "" { // or it would be taken to be in space
			p.key("namespace")
			p.out = jsontext.AppendString(p.out, "")
		}
		p.out = append(p.out, ',')
	}
	typ := n.kind.String()
	if n.isError {
		typ = "error"
	}
	p.out = append(p.out, `"type":`...)
	p.out = jsontext.AppendString(p.out, typ)
	switch n.kind {
	case kindRecord:
		p.fields(n)
	case kindEnum:
		p.strings("symbols", n.symbols)
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
	p.wellKnown(n.props)
	if n.kind.named() {
		p.doc(n.doc)
		if len(n.aliases) > 0 {
			p.strings("aliases", slices.Sorted(slices.Values(aliasTexts(n))))
		}
	}
	if n.hasDef {
		p.key("default")
		p.out = jsontext.AppendString(p.out, n.fallback)
	}
	p.rest(n.props)
	p.out = append(p.out, '}')
}

func (p *normalizer) fields(n *node) {
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
		p.key("order")
		p.out = jsontext.AppendString(p.out, cmp.Or(f.order, "ascending"))
		p.doc(f.doc)
		if len(f.aliases) > 0 {
			p.strings("aliases", slices.Sorted(slices.Values(f.aliases)))
		}
		if f.def != nil {
			p.key("default")
			p.out = jsontext.Append(p.out, f.def, true)
		}
		p.wellKnown(f.props)
		p.rest(f.props)
		p.out = append(p.out, '}')
	}
	p.out = append(p.out, ']')
}

func (p *normalizer) wellKnown(props []jsontext.Member) {
	for _, key := range wellKnown {
		for i := range props {
			if m := &props[i]; m.Key == key && !zeroScale(m) {
				p.key(key)
				p.out = jsontext.Append(p.out, &m.Value, true)
			}
		}
	}
}

// zeroScale reports whether m says of a decimal what is so without it.
func zeroScale(m *jsontext.Member) bool {
	return m.Key == "scale" && m.Value.Kind == jsontext.Number && m.Value.Text == "0"
}

func (p *normalizer) rest(props []jsontext.Member) {
	for _, m := range jsontext.Sorted(props) {
		if !slices.Contains(wellKnown, m.Key) {
			p.key(m.Key)
			p.out = jsontext.Append(p.out, &m.Value, true)
		}
	}
}
