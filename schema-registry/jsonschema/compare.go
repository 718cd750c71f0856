package jsonschema

import (
	"errors"
	"math/big"
	"slices"
	"strings"
)

// Difference is one way in which a newer schema differs from an older one.
type Difference struct {
	Kind Kind
	Path string // into the schemas, as in "#/properties/a"
	// Compatible says that what was valid under the older one stays valid
	// all the same.
	Compatible bool
	// Text explains it: a format of the path, the newer side's name and the
	// older's.
	Text string
}

// Bounds of one comparison.
const (
	maxDifferences = 100     // for one pair of nodes; further ones are not told
	maxPairs       = 1 << 17 // pairs of nodes looked at
)

var (
	// ErrTooComplex is returned for schemas that would take too long to
	// compare.
	ErrTooComplex = errors.New("the schemas are too complex to compare: their combinations multiply; use fewer members in oneOf, anyOf and allOf")
	// ErrUnresolved is returned for schemas with references that lead nowhere,
	// or with patterns that cannot be matched in bounded time. Only schemas
	// from other registries have them.
	ErrUnresolved = errors.New("the schema cannot be compared")
)

// Compare tells how update, the reader, differs from original, the writer.
// With tolerant, it is by the policy LENIENT. An error is to be taken for
// incompatible.
func Compare(update, original *Schema, tolerant bool) ([]Difference, error) {
	for _, s := range []*Schema{update, original} {
		if s.fault != nil {
			return nil, errors.Join(ErrUnresolved, s.fault)
		}
	}
	c := comparer{tolerant: tolerant}
	for {
		c.memo, c.busy, c.assumed = map[pair][]found{}, map[pair]bool{}, false
		diffs := c.compare(original.root, update.root)
		if c.err != nil {
			return nil, c.err
		}
		// A pair met again while it is being compared is taken for compatible.
		// If it turns out not to be, what was concluded from that does not
		// hold: all is done again with those pairs known.
		refused := map[pair][]found{}
		for k, d := range c.memo {
			if c.bad(d) {
				refused[k] = d
			}
		}
		if !c.assumed || len(refused) == len(c.known) {
			return c.told(diffs), nil
		}
		c.known = refused
	}
}

type pair struct{ original, update *node }

// found is a difference with its path from the pair where it was found.
type found struct {
	kind Kind
	path *step
}

type comparer struct {
	tolerant bool
	memo     map[pair][]found
	busy     map[pair]bool
	known    map[pair][]found // refused in an earlier round
	assumed  bool
	pairs    int
	err      error
}

func (c *comparer) told(list []found) []Difference {
	out := make([]Difference, len(list))
	for i, f := range list {
		var names []string
		for p := f.path; p != nil; p = p.next {
			names = append(names, p.name)
		}
		out[i] = Difference{f.kind, "#/" + strings.Join(names, "/"), c.allows(f.kind), rules[f.kind].text}
	}
	return out
}

func (c *comparer) allows(k Kind) bool {
	r := rules[k].class
	return r == accepted || r == lenient && c.tolerant
}

func (c *comparer) bad(list []found) bool {
	return slices.ContainsFunc(list, func(f found) bool { return !c.allows(f.kind) })
}

// of is a single difference at the pair itself, or below it.
func of(k Kind, path ...string) []found {
	return under([]found{{kind: k}}, path...)
}

// under puts differences found below a path's end onto it.
func under(list []found, path ...string) []found {
	if len(path) == 0 || len(list) == 0 {
		return list
	}
	out := make([]found, len(list))
	for i, f := range list {
		for _, name := range slices.Backward(path) {
			f.path = &step{name, f.path}
		}
		out[i] = f
	}
	return out
}

// join adds b to a, up to maxDifferences; those that matter are kept first.
func (c *comparer) join(a, b []found) []found {
	out := append(slices.Clip(a), b...)
	if len(out) > maxDifferences {
		slices.SortStableFunc(out, func(x, y found) int { return rank(c.allows(x.kind)) - rank(c.allows(y.kind)) })
		out = out[:maxDifferences]
	}
	return out
}

func rank(allowed bool) int {
	if allowed {
		return 1
	}
	return 0
}

// compare compares what is at one place, nil if there is nothing.
func (c *comparer) compare(original, update *node) []found {
	switch {
	case c.err != nil || original == nil && update == nil:
		return nil
	case original == nil:
		return of("SCHEMA_ADDED")
	case update == nil:
		return of("SCHEMA_REMOVED")
	}
	original, update = original.deref(), update.deref()
	key := pair{original, update}
	if d, ok := c.memo[key]; ok {
		return d
	}
	if c.busy[key] {
		if d, ok := c.known[key]; ok {
			return d
		}
		c.assumed = true
		return nil
	}
	if c.pairs++; c.pairs > maxPairs {
		c.err = ErrTooComplex
		return nil
	}
	c.busy[key] = true
	d := c.nodes(original, update)
	delete(c.busy, key)
	c.memo[key] = d
	return d
}

// nodes compares two nodes, of which either may be a combination.
func (c *comparer) nodes(o, u *node) []found {
	if d, ok := c.unwrapped(o, u); ok {
		return d
	}
	if o.kind != u.kind {
		if o.kind == kindFalse || u.anything() || o.connectBytes && u.connectBytes {
			return nil
		}
		return of("TYPE_CHANGED")
	}
	var out []found
	for _, note := range []struct {
		kind   Kind
		differ bool
	}{
		{"ID_CHANGED", o.id != u.id}, {"TITLE_CHANGED", o.title != u.title},
		{"DESCRIPTION_CHANGED", o.description != u.description}, {"DEFAULT_CHANGED", o.fallback != u.fallback},
	} {
		if note.differ {
			out = c.join(out, of(note.kind))
		}
	}
	if compare := comparisons[o.kind]; compare != nil {
		out = c.join(out, compare(c, o, u))
	}
	return out
}

// comparisons are the rules of each kind of node that has any.
var comparisons map[kind]func(c *comparer, o, u *node) []found

func init() { // the rules lead back to the table
	comparisons = map[kind]func(c *comparer, o, u *node) []found{
		kindString: (*comparer).texts, kindNumber: (*comparer).numbers, kindObject: (*comparer).objects, kindArray: (*comparer).arrays,
		kindEnum: (*comparer).enums, kindConst: (*comparer).consts, kindNot: (*comparer).nots, kindCombined: (*comparer).combined,
	}
}

// unwrapped compares where one side only is a combination.
func (c *comparer) unwrapped(o, u *node) ([]found, bool) {
	switch {
	case o.kind != kindCombined && u.kind == kindCombined:
		if len(u.members) == 1 {
			d := c.compare(o, u.members[0])
			return d, !c.bad(d)
		}
		if u.criterion == allOf {
			return nil, false
		}
		for _, m := range u.members {
			if d := c.compare(o, m); !c.bad(d) {
				return c.join(d, of("SUM_TYPE_EXTENDED")), true
			}
		}
	case o.kind == kindCombined && u.kind != kindCombined:
		if len(o.members) == 1 {
			d := c.compare(o.members[0], u)
			return d, !c.bad(d)
		}
		if o.criterion != allOf {
			return nil, false
		}
		for _, m := range o.members {
			if d := c.compare(m, u); !c.bad(d) {
				return c.join(d, of("PRODUCT_TYPE_NARROWED")), true
			}
		}
	}
	return nil, false
}

// limits compares numbers that may not be left.
func (c *comparer) limits(o, u *node, list []limit) []found {
	var out []found
	for _, l := range list {
		from, had := o.limits[l.keyword]
		to, has := u.limits[l.keyword]
		var change Kind
		switch {
		case had == has && from == to:
			continue
		case !had:
			change = "_ADDED"
		case !has:
			change = "_REMOVED"
		case from < to:
			change = "_INCREASED"
		default:
			change = "_DECREASED"
		}
		out = c.join(out, of(l.prefix+change, l.keyword))
	}
	return out
}

func (c *comparer) texts(o, u *node) []found {
	out := c.limits(o, u, stringLimits)
	switch {
	case o.hasPattern == u.hasPattern && o.pattern == u.pattern:
	case !o.hasPattern:
		out = c.join(out, of("PATTERN_ADDED", "pattern"))
	case !u.hasPattern:
		out = c.join(out, of("PATTERN_REMOVED", "pattern"))
	default:
		out = c.join(out, of("PATTERN_CHANGED", "pattern"))
	}
	return out
}

func (c *comparer) numbers(o, u *node) []found {
	out := c.join(c.limits(o, u, numberLimits), multiples(o.multipleOf, u.multipleOf))
	switch {
	case o.integer && !u.integer:
		out = c.join(out, of("TYPE_EXTENDED"))
	case !o.integer && u.integer:
		out = c.join(out, of("TYPE_NARROWED"))
	}
	return out
}

// multiples compares exactly: 0.3 is a multiple of 0.1.
func multiples(from, to string) []found {
	if from == to {
		return nil
	}
	switch {
	case from == "":
		return of("MULTIPLE_OF_ADDED", "multipleOf")
	case to == "":
		return of("MULTIPLE_OF_REMOVED", "multipleOf")
	}
	o, u := rational(from), rational(to)
	switch {
	case o == nil || u == nil || o.Sign() == 0 || u.Sign() == 0:
		return of("MULTIPLE_OF_CHANGED", "multipleOf")
	case o.Cmp(u) == 0:
		return nil
	}
	quotient := new(big.Rat).Quo(u, o)
	if quotient.IsInt() {
		return of("MULTIPLE_OF_EXPANDED", "multipleOf")
	}
	if quotient.Inv(quotient).IsInt() {
		return of("MULTIPLE_OF_REDUCED", "multipleOf")
	}
	return of("MULTIPLE_OF_CHANGED", "multipleOf")
}

func (c *comparer) enums(o, u *node) []found {
	grown, shrunk := !subset(u.values, o.values), !subset(o.values, u.values)
	switch {
	case grown && shrunk:
		return of("ENUM_ARRAY_CHANGED", "enum")
	case grown:
		return of("ENUM_ARRAY_EXTENDED", "enum")
	case shrunk:
		return of("ENUM_ARRAY_NARROWED", "enum")
	}
	return nil
}

func (c *comparer) consts(o, u *node) []found {
	if o.values[0] != u.values[0] {
		return of("ENUM_ARRAY_CHANGED", "const")
	}
	return nil
}

func (c *comparer) nots(o, u *node) []found {
	if c.bad(c.compare(u.not, o.not)) {
		return of("NOT_TYPE_EXTENDED", "not")
	}
	return of("NOT_TYPE_NARROWED", "not")
}
