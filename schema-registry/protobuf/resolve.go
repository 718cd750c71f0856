package protobuf

import (
	"maps"
	"slices"
	"strings"
)

// info is a type that can be named.
type info struct {
	pkg     string
	origin  string // of its file; see Reference
	message *message
	enum    *enum
}

// index are the types that a schema can name, by full name, and the fields
// with which it extends others.
type index struct {
	pkg   string
	types map[string]*info
}

// local is the origin of types that a schema declares itself.
const local = "local"

func newIndex(f *file, refs []loaded) *index {
	x := &index{types: maps.Clone(knownTypes())}
	for _, ref := range refs {
		x.add(ref.file, ref.origin)
	}
	x.add(f, local)
	x.pkg = f.pkg
	return x
}

func (x *index) add(f *file, origin string) {
	x.pkg = f.pkg
	x.collect(&f.types, f.pkg, origin)
}

func (x *index) collect(t *types, scope, origin string) {
	for _, m := range t.messages {
		name := qualified(scope, m.name)
		x.types[name] = &info{pkg: x.pkg, origin: origin, message: m}
		x.collect(&m.types, name, origin)
	}
	for _, e := range t.enums {
		x.types[qualified(scope, e.name)] = &info{pkg: x.pkg, origin: origin, enum: e}
	}
}

func qualified(scope, name string) string {
	if scope == "" {
		return name
	}
	return scope + "." + name
}

// resolve finds a type by the name used within a message, whose path below the
// package is given: innermost scope first. A leading dot makes a name
// absolute.
func (x *index) resolve(name string, within []string) (string, *info) {
	if full, ok := strings.CutPrefix(name, "."); ok {
		return full, x.types[full]
	}
	var scope []string
	if x.pkg != "" {
		scope = strings.Split(x.pkg, ".")
	}
	scope = slices.Concat(scope, within)
	for n := len(scope); n >= 0; n-- {
		full := qualified(strings.Join(scope[:n], "."), name)
		if found := x.types[full]; found != nil {
			return full, found
		}
	}
	return "", nil
}

// scalars are the types that need no declaration, in the groups within which
// they can be read for each other.
var scalars = map[string]scalar{
	"int32": general, "int64": general, "uint32": general, "uint64": general, "bool": general,
	"sint32": signed, "sint64": signed,
	"string": text, "bytes": text,
	"fixed32": fixed32, "sfixed32": fixed32,
	"fixed64": fixed64, "sfixed64": fixed64,
	"float": float, "double": double,
}

type scalar uint8

const (
	notScalar scalar = iota
	general          // varints; enums too
	signed           // zigzag varints
	text
	fixed32
	fixed64
	float
	double
)

// unresolved returns the first type that is named and not declared anywhere,
// with the message that names it.
func (x *index) unresolved(f *file) (name, in string) {
	w := &walker{x: x}
	w.types(&f.types, nil)
	for _, e := range f.extends {
		w.extend(e, nil)
	}
	for _, s := range f.services {
		for _, c := range s.rpcs {
			w.named(c.request, nil)
			w.named(c.response, nil)
		}
	}
	return w.name, w.in
}

type walker struct {
	x        *index
	name, in string
}

func (w *walker) named(typ string, within []string) {
	if _, isScalar := scalars[typ]; isScalar || w.name != "" {
		return
	}
	if _, val, ok := mapTypes(typ); ok {
		w.named(val, within)
		return
	}
	if _, found := w.x.resolve(typ, within); found == nil {
		w.name, w.in = typ, strings.Join(within, ".")
	}
}

func (w *walker) extend(e *extend, within []string) {
	w.named(e.name, within)
	for _, f := range e.fields {
		w.named(f.typ, within)
	}
}

func (w *walker) types(t *types, within []string) {
	for _, m := range t.messages {
		inner := append(slices.Clip(within), m.name)
		for f := range m.all {
			w.named(f.typ, inner)
		}
		for _, g := range m.groups {
			for _, f := range g.fields {
				w.named(f.typ, inner)
			}
		}
		for _, e := range m.extends {
			w.extend(e, inner)
		}
		w.types(&m.types, inner)
	}
}
