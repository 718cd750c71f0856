package protobuf

import (
	"cmp"
	"errors"
	"slices"
	"strconv"
	"strings"
)

// Difference is one way in which a newer schema differs from an older one.
type Difference struct {
	Kind Kind
	Path string // message names, then a oneof's name, then a field's number, as in "#/Order/3"
	// Compatible says that messages of the older one can be read all the same.
	Compatible bool
	// Text explains it: a format of the path, the newer side's name and the
	// older's.
	Text string
}

// Bounds of one comparison.
const (
	maxDifferences = 10000   // further ones are not told
	maxRefusals    = 100     // after which the verdict is clear, and nothing more is compared
	maxMessages    = 1 << 17 // messages compared
)

// ErrTooComplex is returned for schemas that would take too long to compare.
var ErrTooComplex = errors.New("the schemas are too complex to compare: too many referenced messages differ")

// Compare tells how update, the reader, differs from original, the writer. An
// error is to be taken for incompatible.
func Compare(update, original *Schema) ([]Difference, error) {
	c := &comparer{o: original.index, u: update.index, budget: new(int), refusals: new(int), busy: map[*message]bool{}, fine: map[pair]bool{}}
	*c.budget = maxMessages
	if original.file.pkg != update.file.pkg {
		c.add("PACKAGE_CHANGED")
	}
	c.types(&original.file.types, &update.file.types)
	if *c.budget < 0 {
		return nil, ErrTooComplex
	}
	return c.out, nil
}

type pair struct{ original, update *message }

// comparer walks two schemas in step.
type comparer struct {
	o, u     *index
	path     []string // to where it is
	within   []string // of path, the messages
	busy     map[*message]bool
	fine     map[pair]bool // referenced messages found compatible
	budget   *int          // messages that may still be compared
	refusals *int          // met so far
	out      []Difference
}

func (c *comparer) add(k Kind, path ...string) {
	if !rules[k].compatible {
		*c.refusals++
	}
	if len(c.out) < maxDifferences || !rules[k].compatible {
		c.out = append(c.out, Difference{k, "#/" + strings.Join(slices.Concat(c.path, path), "/"), rules[k].compatible, rules[k].text})
	}
}

// enter runs f one message further down.
func (c *comparer) enter(name string, f func()) {
	path, within := c.path, c.within
	c.path, c.within = append(slices.Clip(path), name), append(slices.Clip(within), name)
	f()
	c.path, c.within = path, within
}

// types compares the declarations of a file or a message.
func (c *comparer) types(o, u *types) {
	from, to := byName(o.messages), byName(u.messages)
	for _, name := range both(from, to) {
		a, had := from[name]
		b, has := to[name]
		c.enter(name, func() {
			switch {
			case had && has:
				c.messages(a.message, b.message)
				if a.at != b.at {
					c.add("MESSAGE_MOVED")
				}
			case had && !a.mapEntry():
				c.add("MESSAGE_REMOVED")
			case has && !b.mapEntry():
				c.add("MESSAGE_ADDED")
			}
		})
	}
	olds, news := map[string]*enum{}, map[string]*enum{}
	for _, e := range o.enums {
		olds[e.name] = e
	}
	for _, e := range u.enums {
		news[e.name] = e
	}
	for _, name := range both(olds, news) {
		c.enter(name, func() { c.enums(olds[name], news[name]) })
	}
}

// placed is a message and its index among those of its scope.
type placed struct {
	*message
	at int
}

func byName(list []*message) map[string]placed {
	out := make(map[string]placed, len(list))
	for i, m := range list {
		out[m.name] = placed{m, i}
	}
	return out
}

// both lists the keys of two maps, sorted.
func both[K cmp.Ordered, A, B any](a map[K]A, b map[K]B) []K {
	return slices.Compact(slices.Sorted(func(yield func(K) bool) {
		for k := range a {
			if !yield(k) {
				return
			}
		}
		for k := range b {
			if !yield(k) {
				return
			}
		}
	}))
}

func (c *comparer) enums(o, u *enum) {
	switch {
	case u == nil:
		c.add("ENUM_REMOVED")
		return
	case o == nil:
		c.add("ENUM_ADDED")
		return
	}
	from, to := constants(o), constants(u)
	for _, tag := range both(from, to) {
		was, had := from[tag]
		is, has := to[tag]
		switch at := strconv.Itoa(tag); {
		case !has:
			c.add("ENUM_CONST_REMOVED", at)
		case !had:
			c.add("ENUM_CONST_ADDED", at)
		case was != is:
			c.add("ENUM_CONST_CHANGED", at)
		}
	}
}

// constants are an enum's names by number; of aliases the last counts.
func constants(e *enum) map[int]string {
	out := make(map[int]string, len(e.constants))
	for _, c := range e.constants {
		out[c.tag] = c.name
	}
	return out
}

// fieldKind is what kind of thing a field holds.
type fieldKind uint8

const (
	holdsScalar fieldKind = iota
	holdsMessage
	holdsMap
)

// side is one schema's view of a field's type.
type side struct {
	kind   fieldKind
	scalar scalar
	typ    string // as written
	full   string // "" if the type is not to be found
	info   *info
}

// sideOf resolves a type. Messages that stand for map entries are maps.
func (c *comparer) sideOf(x *index, typ string) side {
	if s, ok := scalars[typ]; ok {
		return side{kind: holdsScalar, scalar: s, typ: typ}
	}
	if _, _, ok := mapTypes(typ); ok {
		return side{kind: holdsMap, typ: typ}
	}
	full, found := x.resolve(typ, c.within)
	switch {
	case found == nil:
		return side{kind: holdsMessage, typ: typ}
	case found.enum != nil:
		return side{kind: holdsScalar, scalar: general, typ: typ}
	case found.message.mapEntry():
		key, val := found.message.field("key"), found.message.field("value")
		if key != nil && val != nil {
			return side{kind: holdsMap, typ: "map<" + key.typ + ", " + val.typ + ">"}
		}
	}
	return side{kind: holdsMessage, typ: typ, full: full, info: found}
}

// compareTypes compares what two fields hold, labels included where both are
// written.
func (c *comparer) compareTypes(from, to, oldLabel, newLabel string) {
	o, u := c.sideOf(c.o, from), c.sideOf(c.u, to)
	switch {
	case o.kind != u.kind:
		c.add("FIELD_KIND_CHANGED")
	case o.kind == holdsMap:
		oldKey, oldVal, _ := mapTypes(o.typ)
		newKey, newVal, _ := mapTypes(u.typ)
		c.compareTypes(oldKey, newKey, "", "")
		c.compareTypes(oldVal, newVal, "", "")
	case o.kind == holdsMessage:
		c.messageTypes(o, u)
	case o.scalar != u.scalar:
		c.add("FIELD_SCALAR_KIND_CHANGED")
	case oldLabel == "" || newLabel == "" || oldLabel == newLabel:
	case o.scalar == text:
		c.add("FIELD_STRING_OR_BYTES_LABEL_CHANGED")
	default:
		c.add("FIELD_NUMERIC_LABEL_CHANGED")
	}
}

// messageTypes compares by name, without the package. Messages of other files
// are compared themselves, unless they are of the same version of a subject.
func (c *comparer) messageTypes(o, u side) {
	if o.full == "" || u.full == "" {
		if o.typ != u.typ {
			c.add("FIELD_NAMED_TYPE_CHANGED")
		}
		return
	}
	name := strings.TrimPrefix(o.full, o.info.pkg+".")
	if name != strings.TrimPrefix(u.full, u.info.pkg+".") {
		c.add("FIELD_NAMED_TYPE_CHANGED")
		return
	}
	if o.info.origin == u.info.origin && o.info.origin != "" || o.info.message == u.info.message {
		return
	}
	key := pair{o.info.message, u.info.message}
	if c.fine[key] {
		return
	}
	before, after := *c.o, *c.u
	before.pkg, after.pkg = o.info.pkg, u.info.pkg
	at := strings.Split(name, ".") // told where it is declared, not where it is used
	inner := comparer{o: &before, u: &after, path: at, within: at, busy: c.busy, fine: c.fine, budget: c.budget, refusals: c.refusals}
	inner.messages(o.info.message, u.info.message)
	c.out = append(c.out, inner.out...)
	c.fine[key] = !slices.ContainsFunc(inner.out, func(d Difference) bool { return !d.Compatible })
	if !c.fine[key] {
		c.add("FIELD_NAMED_TYPE_CHANGED")
	}
}
