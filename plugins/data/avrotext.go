package data

import (
	"fmt"
	"strconv"
	"strings"
)

// AvroSchema returns the Avro schema text of a Connect schema, as Confluent's
// AvroConverter registers it: the same union order, names, properties and
// their order, defaults, and names in place of types already defined. It fails
// on names that Avro refuses (see AvroOptions.ScrubInvalidNames), on two
// different types under one name, and on types that a union may hold once.
func AvroSchema(s *Schema, o AvroOptions) (string, error) {
	n, err := AvroForm(s, o)
	if err != nil {
		return "", err
	}
	return n.Text()
}

// Text returns the schema as JSON text. It fails as AvroSchema does.
func (n *AvroNode) Text() (string, error) {
	p := avroPrinter{defined: make(map[string]*AvroNode)}
	if err := p.node(n, ""); err != nil {
		return "", fmt.Errorf("avro schema: %w", err)
	}
	return string(p.out), nil
}

type avroPrinter struct {
	out     []byte
	defined map[string]*AvroNode
}

// node prints n within the namespace of the type around it.
func (p *avroPrinter) node(n *AvroNode, space string) error {
	switch {
	case n.kind == AvroUnion:
		return p.union(n, space)
	case n.kind.named():
		return p.namedType(n, space)
	case n.kind < AvroRecord && len(n.props) == 0:
		p.out = appendJSONString(p.out, n.kind.String())
		return nil
	}
	p.out = append(p.out, `{"type":"`...)
	p.out = append(append(p.out, n.kind.String()...), '"')
	if n.kind == AvroArray || n.kind == AvroMap {
		p.out = append(p.out, map[AvroKind]string{AvroArray: `,"items":`, AvroMap: `,"values":`}[n.kind]...)
		if err := p.node(n.items, space); err != nil {
			return err
		}
	}
	p.props(n.props)
	p.out = append(p.out, '}')
	return nil
}

func (p *avroPrinter) props(props []avroProp) {
	for _, a := range props {
		p.out = append(appendJSONString(append(p.out, ','), a.key), ':')
		p.out = append(p.out, a.value...)
	}
}

func (p *avroPrinter) union(n *AvroNode, space string) error {
	seen := make(map[string]bool)
	p.out = append(p.out, '[')
	for i, b := range n.branches {
		id := b.kind.String()
		if b.kind.named() {
			id = b.FullName()
		}
		switch {
		case seen[id]:
			return schemaErrorf("a union holds %s twice", id)
		case b.kind == AvroUnion:
			return schemaErrorf("a union holds a union")
		}
		seen[id] = true
		p.out = comma(p.out, i)
		if err := p.node(b, space); err != nil {
			return err
		}
	}
	p.out = append(p.out, ']')
	return nil
}

func (p *avroPrinter) namedType(n *AvroNode, space string) error {
	full := n.FullName()
	if d := p.defined[full]; d != nil {
		if !d.sameDefinition(n) {
			return schemaErrorf("two different types are named %s: rename one, or rebuild both from one schema", full)
		}
		if n.namespace == space || n.namespace == "" {
			full = n.name
		}
		p.out = appendJSONString(p.out, full)
		return nil
	}
	for _, part := range strings.Split(full, ".") {
		if err := checkAvroName(part); err != nil {
			return err
		}
	}
	p.defined[full] = n
	p.out = append(append(append(p.out, `{"type":"`...), n.kind.String()...), '"')
	p.member("name", n.name)
	if n.namespace != space {
		p.member("namespace", n.namespace)
	}
	if n.doc != nil {
		p.member("doc", *n.doc)
	}
	if err := p.content(n); err != nil {
		return err
	}
	p.props(n.props)
	p.list("aliases", n.aliases)
	p.out = append(p.out, '}')
	return nil
}

// content prints what makes a named type the type it is.
func (p *avroPrinter) content(n *AvroNode) error {
	switch n.kind {
	case AvroRecord:
		return p.fields(n)
	case AvroFixed:
		p.out = strconv.AppendInt(append(p.out, `,"size":`...), int64(n.size), 10)
	case AvroEnum:
		for _, s := range n.symbols {
			if err := checkAvroName(s); err != nil {
				return err
			}
		}
		p.out = append(p.out, `,"symbols":[`...)
		for i, s := range n.symbols {
			p.out = appendJSONString(comma(p.out, i), s)
		}
		p.out = append(p.out, ']')
		if n.symDef != nil {
			p.member("default", *n.symDef)
		}
	}
	return nil
}

func (p *avroPrinter) fields(n *AvroNode) error {
	seen := make(map[string]bool, len(n.fields))
	p.out = append(p.out, `,"fields":[`...)
	for i, f := range n.fields {
		if err := checkAvroName(f.name); err != nil {
			return err
		}
		if seen[f.name] {
			return schemaErrorf("record %s has two fields %q", n.FullName(), f.name)
		}
		seen[f.name] = true
		p.out = append(comma(p.out, i), `{"name":`...)
		p.out = append(appendJSONString(p.out, f.name), `,"type":`...)
		if err := p.node(f.typ, n.namespace); err != nil {
			return under(f.name, err)
		}
		if f.doc != nil {
			p.member("doc", *f.doc)
		}
		if f.def != nil {
			p.out = append(append(p.out, `,"default":`...), f.def...)
		}
		p.props(f.props)
		p.list("aliases", f.aliases)
		p.out = append(p.out, '}')
	}
	p.out = append(p.out, ']')
	return nil
}

func (p *avroPrinter) member(key, value string) {
	p.out = append(appendJSONString(append(p.out, ','), key), ':')
	p.out = appendJSONString(p.out, value)
}

func (p *avroPrinter) list(key string, values []string) {
	if len(values) == 0 {
		return
	}
	p.out = append(appendJSONString(append(p.out, ','), key), ':', '[')
	for i, v := range values {
		p.out = appendJSONString(comma(p.out, i), v)
	}
	p.out = append(p.out, ']')
}

func checkAvroName(name string) error {
	if !validAvroName(name) {
		return schemaErrorf("%q is not a valid Avro name: rename it, or set scrub.invalid.names=true on the converter", name)
	}
	return nil
}
