package jsonschema

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/millrace/millrace/schema-registry/jsontext"
)

// rootURI is where a schema is that does not say. Nothing is ever fetched.
const rootURI = "mem://input/"

// place is a value and what URIs in it are relative to.
type place struct {
	value *jsontext.Value
	base  string
}

// resolver finds what $ref names: in the text itself, and in the references
// that it is registered with.
type resolver struct {
	byURI map[string]place // documents and subschemas with an identifier or an anchor
	// indexes are those of great objects that pointers led through.
	indexes map[*jsontext.Value]map[string]*jsontext.Value
}

func newResolver() *resolver {
	return &resolver{byURI: map[string]place{}, indexes: map[*jsontext.Value]map[string]*jsontext.Value{}}
}

// member finds an object's member, in a great one by an index.
func (r *resolver) member(v *jsontext.Value, key string) *jsontext.Value {
	const great = 50
	if len(v.Members) < great {
		return step1(v, key)
	}
	if r.indexes[v] == nil {
		r.indexes[v] = index(v)
	}
	return r.indexes[v][key]
}

// add makes a document known under a URI, and what it holds under theirs.
func (r *resolver) add(uri string, doc *jsontext.Value) {
	r.enter(uri, place{doc, uri})
	r.walk(doc, uri)
}

func (r *resolver) enter(uri string, p place) {
	if _, known := r.byURI[uri]; !known {
		r.byURI[uri] = p
	}
}

// notSchemas hold values in which an identifier is none.
var notSchemas = map[string]bool{"enum": true, "const": true, "default": true, "examples": true}

func (r *resolver) walk(v *jsontext.Value, base string) {
	for _, key := range []string{"$id", "id"} {
		if id, ok := v.Str(key); ok {
			base = resolveURI(base, id)
			r.enter(base, place{v, base})
			r.enter(strings.TrimSuffix(base, "#"), place{v, base})
			break
		}
	}
	for _, key := range []string{"$anchor", "$dynamicAnchor"} {
		if name, ok := v.Str(key); ok {
			r.enter(withoutFragment(base)+"#"+name, place{v, base})
		}
	}
	for i := range v.Items {
		r.walk(&v.Items[i], base)
	}
	for i := range v.Members {
		if m := &v.Members[i]; !notSchemas[m.Key] {
			r.walk(&m.Value, base)
		}
	}
}

// find returns what a reference made at base leads to.
func (r *resolver) find(base, ref string) (place, bool) {
	for _, uri := range []string{resolveURI(base, ref), ref} {
		doc, fragment, _ := strings.Cut(uri, "#")
		if fragment != "" && fragment[0] != '/' {
			if p, ok := r.byURI[doc+"#"+fragment]; ok {
				return p, true
			}
			continue
		}
		p, ok := r.byURI[doc]
		if !ok {
			continue
		}
		if p, ok = r.point(p, fragment); ok {
			return p, true
		}
	}
	return place{}, false
}

// point follows a JSON pointer, written as a URI's fragment. What is asked for
// in a document's $defs may be in its definitions.
func (r *resolver) point(p place, pointer string) (place, bool) {
	if text, err := url.PathUnescape(pointer); err == nil {
		pointer = text
	}
	if pointer == "" {
		return p, true
	}
	for i, token := range strings.Split(pointer[1:], "/") {
		token = strings.NewReplacer("~1", "/", "~0", "~").Replace(token)
		next := r.member(p.value, token)
		if next == nil && i == 0 && token == "$defs" {
			next = r.member(p.value, "definitions")
		}
		if next == nil {
			return place{}, false
		}
		p.value = next
		if id, ok := next.Str("$id"); ok {
			p.base = resolveURI(p.base, id)
		}
	}
	return p, true
}

func step1(v *jsontext.Value, token string) *jsontext.Value {
	if v.Kind == jsontext.Array {
		if i, err := strconv.Atoi(token); err == nil && i >= 0 && i < len(v.Items) {
			return &v.Items[i]
		}
		return nil
	}
	m, _ := v.Member(token)
	return m
}

// reference returns the node that a $ref stands for.
func (b *builder) reference(p at, ref string) *node {
	found, ok := b.find(p.base, ref)
	if ok {
		return b.node(at{found.value, found.base, &step{ref, p.path}})
	}
	if metaschemaOf(ref) != nil { // a schema of schemas: all that counts is which
		return &node{kind: kindConst, values: []string{ref}}
	}
	b.fail(p.down(p.value, "$ref"), "unresolved reference %q: nothing of that name is in the schema or in its references, and nothing is fetched from elsewhere", ref)
	return &node{kind: kindConst, values: []string{"unresolved " + ref}}
}

func (b *builder) fail(p at, format string, args ...any) {
	if b.fault == nil {
		b.fault = &Error{Reason: fmt.Sprintf(format, args...), Path: p.path.reversed(), Offset: p.value.End}
	}
}

// resolveURI resolves a reference against a base. What is no URI stands for
// itself.
func resolveURI(base, ref string) string {
	b, err := url.Parse(base)
	if err != nil {
		return ref
	}
	u, err := b.Parse(ref)
	if err != nil {
		return ref
	}
	return u.String()
}

func withoutFragment(uri string) string {
	doc, _, _ := strings.Cut(uri, "#")
	return doc
}
