package avro

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// DifferenceType names what keeps a reader from reading, in the words of
// Avro's own check.
type DifferenceType string

// The differences there are.
const (
	TypeMismatch        DifferenceType = "TYPE_MISMATCH"
	NameMismatch        DifferenceType = "NAME_MISMATCH"
	FixedSizeMismatch   DifferenceType = "FIXED_SIZE_MISMATCH"
	MissingEnumSymbols  DifferenceType = "MISSING_ENUM_SYMBOLS"
	MissingUnionBranch  DifferenceType = "MISSING_UNION_BRANCH"
	MissingFieldDefault DifferenceType = "READER_FIELD_MISSING_DEFAULT_VALUE"
)

// Difference is one reason why a reader cannot read what a writer wrote.
type Difference struct {
	Type DifferenceType
	Path string // JSON pointer into the reader's schema; in a union, the writer's branch
	Info string // what was met and what expected
}

// Bounds of one comparison.
const (
	maxDifferences = 100     // further ones are not told
	maxPairs       = 1 << 19 // pairs of types looked at
)

var (
	// ErrTooComplex is returned for schemas that would take too long to
	// compare.
	ErrTooComplex = errors.New("the schemas are too complex to compare: their unions multiply; use named types in place of repeated ones")
	// ErrAmbiguous is wrapped for a field that matches two fields of the
	// writer's record, by its name and its aliases.
	ErrAmbiguous = errors.New("ambiguous alias")
)

// Compare tells why data written with writer cannot be read with reader. No
// difference means that it can. An error is to be taken for incompatible.
func Compare(reader, writer *Schema) ([]Difference, error) {
	c := comparer{failed: map[pair][]Difference{}}
	for {
		c.seen, c.again = map[pair]bool{}, false
		diffs := c.compare(reader.root, writer.root, nil)
		if c.err != nil {
			return nil, c.err
		}
		if !c.again {
			return diffs, nil
		}
	}
}

type pair struct{ reader, writer *node }

// comparer looks at pairs of types. A pair met again while it is being looked
// at, which is how recursive types end, is taken to be compatible. When it then
// turns out not to be, what was concluded meanwhile does not hold, and the
// whole is done again with the pair known: verdicts are the largest consistent
// set, not an accident of the order of fields.
type comparer struct {
	failed map[pair][]Difference // incompatible, for certain
	seen   map[pair]bool         // compatible so far; true if somebody built on it
	again  bool
	pairs  int
	err    error
}

func (c *comparer) compare(r, w *node, path []string) []Difference {
	if c.err != nil {
		return nil
	}
	if r.kind.primitive() && w.kind.primitive() {
		return c.primitive(r, w, path)
	}
	if !c.count() {
		return nil
	}
	key := pair{r, w}
	if d, known := c.failed[key]; known {
		return d
	}
	if _, known := c.seen[key]; known {
		c.seen[key] = true
		return nil
	}
	c.seen[key] = false
	d := c.differences(r, w, path)
	if len(d) > 0 {
		c.failed[key] = d
		c.again = c.again || c.seen[key]
	}
	return d
}

func (c *comparer) differences(r, w *node, path []string) []Difference {
	switch {
	case w.kind == kindUnion && r.kind == kindUnion:
		return c.unions(r, w, path)
	case w.kind == kindUnion:
		return c.branches(r, w, path)
	case r.kind == kindUnion:
		if !c.readable(r, w, path) {
			return one(MissingUnionBranch, path, "reader union lacking writer type: "+typeName(w))
		}
		return nil
	case r.kind != w.kind:
		return c.primitive(r, w, path)
	}
	switch r.kind {
	case kindArray:
		return c.compare(r.items, w.items, step(path, "items"))
	case kindMap:
		return c.compare(r.items, w.items, step(path, "values"))
	case kindFixed:
		d := names(r, w, path)
		if r.size != w.size {
			d = merge(d, one(FixedSizeMismatch, step(path, "size"), fmt.Sprintf("expected: %d, found: %d", w.size, r.size)))
		}
		return d
	case kindEnum:
		return merge(names(r, w, path), symbols(r, w, path))
	}
	return merge(names(r, w, path), c.fields(r, w, path))
}

// branches demands that r reads each of the writer's branches.
func (c *comparer) branches(r, w *node, path []string) []Difference {
	var d []Difference
	for _, b := range w.branches {
		d = merge(d, c.compare(r, b, path))
	}
	return d
}

// promotions says which types a reader may read as its own.
var promotions = [kindUnion + 1][]kind{
	kindLong:   {kindInt},
	kindFloat:  {kindInt, kindLong},
	kindDouble: {kindInt, kindLong, kindFloat},
	kindBytes:  {kindString},
	kindString: {kindBytes},
}

// primitive compares types of which neither is a union and that have no parts
// to compare.
func (c *comparer) primitive(r, w *node, path []string) []Difference {
	if r.kind == w.kind || promoted(r, w) {
		return nil
	}
	return one(TypeMismatch, path, "reader type: "+typeName(r)+" not compatible with writer type: "+typeName(w))
}

// unions demands that each of the writer's branches finds a reader.
func (c *comparer) unions(r, w *node, path []string) []Difference {
	var d []Difference
	for i, b := range w.branches {
		if at := step(path, strconv.Itoa(i)); !c.readable(r, b, at) {
			d = merge(d, one(MissingUnionBranch, at, "reader union lacking writer type: "+typeName(b)))
		}
	}
	return d
}

// readable reports whether some branch of the union r reads w.
func (c *comparer) readable(r, w *node, path []string) bool {
	for _, b := range r.branches {
		if c.err != nil {
			return false
		}
		if hopeless(b, w) {
			c.count()
			continue
		}
		if len(c.compare(b, w, path)) == 0 {
			return true
		}
	}
	return false
}

// hopeless tells cheaply that types differ where their differences are not
// going to be told.
func hopeless(r, w *node) bool {
	if r.kind != w.kind {
		return r.kind != kindUnion && w.kind != kindUnion && !promoted(r, w)
	}
	return r.kind.named() && !sameName(r, w)
}

func promoted(r, w *node) bool { return slices.Contains(promotions[r.kind], w.kind) }

// count bounds the work.
func (c *comparer) count() bool {
	if c.pairs++; c.pairs > maxPairs {
		c.err = ErrTooComplex
	}
	return c.err == nil
}

// names compares without namespaces, or by the reader's aliases in full.
func names(r, w *node, path []string) []Difference {
	if sameName(r, w) {
		return nil
	}
	return one(NameMismatch, step(path, "name"), "expected: "+w.name.full())
}

func sameName(r, w *node) bool {
	return r.name.local == w.name.local || slices.Contains(r.aliases, w.name)
}

func symbols(r, w *node, path []string) []Difference {
	if r.hasDef {
		return nil
	}
	known := make(map[string]bool, len(r.symbols))
	for _, s := range r.symbols {
		known[s] = true
	}
	var missing []string
	for _, s := range w.symbols {
		if !known[s] {
			missing = append(missing, s)
		}
	}
	if missing == nil {
		return nil
	}
	slices.Sort(missing)
	return one(MissingEnumSymbols, step(path, "symbols"), "["+strings.Join(missing, ", ")+"]")
}

func (c *comparer) fields(r, w *node, path []string) []Difference {
	var d []Difference
	for i, f := range r.fields {
		at := step(path, "fields", strconv.Itoa(i))
		from, err := writerField(w, f)
		switch {
		case err != nil:
			c.err = err
			return nil
		case from != nil:
			d = merge(d, c.compare(f.typ, from.typ, step(at, "type")))
		case f.def != nil:
		case f.typ.kind == kindEnum && f.typ.hasDef:
			// Only the enum has a default, which is for symbols, not for
			// fields. Avro's own check reports it as this.
			d = merge(d, c.primitive(f.typ, w, step(at, "type")))
		default:
			d = merge(d, one(MissingFieldDefault, at, f.name))
		}
	}
	return d
}

// writerField finds where a field's data comes from, nil for nowhere.
func writerField(w *node, f *field) (*field, error) {
	found := w.index[f.name]
	for _, a := range f.aliases {
		other := w.index[a]
		if other == nil || other == found {
			continue
		}
		if found != nil {
			return nil, fmt.Errorf("%w: field %s matches the fields %s and %s of the record it is to be read from", ErrAmbiguous, f.name, found.name, other.name)
		}
		found = other
	}
	return found, nil
}

func typeName(n *node) string { return strings.ToUpper(n.kind.String()) }

func one(t DifferenceType, path []string, info string) []Difference {
	return []Difference{{t, "/" + strings.Join(path, "/"), info}} // steps are keywords and numbers: nothing to escape
}

// merge joins two lists without changing either, up to maxDifferences.
func merge(a, b []Difference) []Difference {
	if len(b) == 0 {
		return a
	}
	if len(a) == 0 {
		return b
	}
	out := slices.Concat(a, b)
	return out[:min(len(out), maxDifferences)]
}

// step extends a path without changing what shares it.
func step(path []string, names ...string) []string {
	return append(slices.Clip(path), names...)
}
