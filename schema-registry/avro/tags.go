package avro

import (
	"fmt"
	"slices"
	"strings"

	"github.com/millrace/millrace/schema-registry/jsontext"
	"github.com/millrace/millrace/schema-registry/tag"
)

// Tags lists the tags of records, by their full names, and of their fields, by
// those and a dot and their own. Records of references are among them.
func (s *Schema) Tags() ([]tag.Tagged, error) {
	w := tagWalk{seen: map[*node]bool{}}
	if err := w.node(s.root); err != nil {
		return nil, err
	}
	return w.list.Tagged, nil
}

type tagWalk struct {
	list tag.List
	seen map[*node]bool
}

func (w *tagWalk) node(n *node) error {
	switch n.kind {
	case kindArray, kindMap:
		return w.node(n.items)
	case kindUnion:
		for _, b := range n.branches {
			if err := w.node(b); err != nil {
				return err
			}
		}
	case kindRecord:
		return w.record(n)
	}
	return nil
}

func (w *tagWalk) record(n *node) error {
	if w.seen[n] {
		return nil
	}
	w.seen[n] = true
	full := n.name.full()
	if err := w.list.Add(tag.Record, tagsIn(n.props), len(full), n.name.full); err != nil {
		return err
	}
	for _, f := range n.fields {
		err := w.list.Add(tag.Field, tagsIn(f.props), len(full)+1+len(f.name), func() string { return full + "." + f.name })
		if err == nil {
			err = w.node(f.typ)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func tagsIn(props []jsontext.Member) []string {
	i := slices.IndexFunc(props, func(m jsontext.Member) bool { return m.Key == tag.Key })
	if i < 0 {
		return nil
	}
	return props[i].Value.Strings()
}

// Retagged returns the canonical text with other tags.
func (s *Schema) Retagged(edits []tag.Edit) (string, error) {
	p := printer{names: s.names, seen: map[*node]bool{}, nodeProps: map[*node][]jsontext.Member{}, fieldProps: map[*field][]jsontext.Member{}}
	simple := s.bySimpleName()
	for _, e := range edits {
		record, name := e.Path, ""
		if e.Type == tag.Field {
			i := strings.LastIndexByte(e.Path, '.')
			if i < 0 {
				return "", fmt.Errorf("the path '%s' of a field has no record before it", e.Path)
			}
			record, name = e.Path[:i], e.Path[i+1:]
		}
		n := s.names[record]
		if n == nil {
			n = simple[record]
		}
		missing := n == nil || n.kind != kindRecord || e.Type == tag.Field && n.index[name] == nil
		if missing || n.external {
			err := e.Missing()
			switch {
			case err == nil:
				continue
			case !missing:
				err = fmt.Errorf("'%s' is declared in a reference: its tags are changed there", e.Path)
			}
			return "", err
		}
		if e.Type == tag.Record {
			p.nodeProps[n] = withTags(n.props, e)
			continue
		}
		f := n.index[name]
		p.fieldProps[f] = withTags(f.props, e)
	}
	p.schema(s.root, "")
	return string(p.out), nil
}

// bySimpleName finds records by their names without the namespace: of several
// the first, as they are declared.
func (s *Schema) bySimpleName() map[string]*node {
	out := map[string]*node{}
	seen := map[*node]bool{}
	var visit func(n *node)
	visit = func(n *node) {
		if n == nil || seen[n] || n.external {
			return
		}
		seen[n] = true
		if _, taken := out[n.name.local]; n.kind == kindRecord && !taken {
			out[n.name.local] = n
		}
		visit(n.items)
		for _, b := range n.branches {
			visit(b)
		}
		for _, f := range n.fields {
			visit(f.typ)
		}
	}
	visit(s.root)
	return out
}

// withTags returns a copy of properties with the tags changed, in the place
// where they were or else last.
func withTags(props []jsontext.Member, e tag.Edit) []jsontext.Member {
	return jsontext.WithStrings(props, tag.Key, e.Apply(tagsIn(props)))
}
