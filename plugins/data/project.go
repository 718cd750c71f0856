package data

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"
)

// Projection turns bytes of one Avro schema into bytes of another, as Avro's
// schema resolution does: record fields by name (or alias), missing ones from
// their default, union branches by type, numbers widened. Beyond that, enums
// and strings turn into each other, and so do fixed and bytes. Array and map
// blocks come out as one block each, map entries in the order they came.
//
// It is how rows from other writers become Connect's rows, and Connect's rows
// values of a registered schema. A Projection is immutable; Append is safe for
// concurrent use.
type Projection struct{ root *projector }

// NewProjection compiles the way from one schema to another, or reports the
// first place where there is none.
func NewProjection(from, to *AvroNode) (*Projection, error) {
	c := projectionCompiler{memo: make(map[[2]*AvroNode]*projector)}
	p, err := c.compile(from, to)
	if err != nil {
		return nil, fmt.Errorf("project avro schema: %w", err)
	}
	return &Projection{p}, nil
}

// Identity reports whether the projection changes nothing, so that bytes can
// pass as they are.
func (p *Projection) Identity() bool { return p.root.run == nil }

// Append appends the projected row to dst. Hostile bytes give errors, never
// panics.
func (p *Projection) Append(dst, row []byte) ([]byte, error) {
	r := projection{cursor: cursor{b: row}, out: dst}
	r.apply(p.root)
	if r.err == nil && r.left() > 0 {
		r.corrupt("%d bytes follow the value", r.left())
	}
	if r.err != nil {
		return dst, fmt.Errorf("project row: %w", r.err)
	}
	return r.out, nil
}

// projection is one run of a Projection.
type projection struct {
	cursor
	out []byte
}

// projector is the compiled way from one node to another.
type projector struct {
	from *AvroNode
	to   *AvroNode
	run  func(*projection, *projector) // nil: the bytes pass as they are

	branch int          // of the union in to that the value gets, -1 without
	fields []fieldPlan  // records, in to's order
	parts  []*projector // union: by from's branch; array, map: the element
	index  []int        // enum: to's number of from's symbol, -1 for none
}

// fieldPlan is where a field's value comes from: field from, or def.
type fieldPlan struct {
	from int
	p    *projector
	def  []byte
}

func (r *projection) apply(p *projector) {
	if p.run != nil {
		p.run(r, p)
		return
	}
	start := r.i
	r.skipNode(p.from)
	r.out = append(r.out, r.b[start:r.i]...)
}

type projectionCompiler struct {
	memo map[[2]*AvroNode]*projector
}

func (c *projectionCompiler) compile(from, to *AvroNode) (*projector, error) {
	key := [2]*AvroNode{from, to}
	if p := c.memo[key]; p != nil {
		return p, nil
	}
	p := &projector{from: from, to: to, branch: -1}
	if !SameWire(from, to) || !sameFieldNames(from, to) {
		if err := c.fill(p); err != nil {
			return nil, err
		}
	}
	c.memo[key] = p
	return p, nil
}

// sameFieldNames reports whether records of one wire form also mean the same
// fields by position.
func sameFieldNames(a, b *AvroNode) bool {
	if a == b {
		return true
	}
	for i := range a.fields {
		if a.fields[i].name != b.fields[i].name || !sameFieldNames(a.fields[i].typ, b.fields[i].typ) {
			return false
		}
	}
	for i := range a.branches {
		if !sameFieldNames(a.branches[i], b.branches[i]) {
			return false
		}
	}
	return a.items == nil || sameFieldNames(a.items, b.items)
}

func (c *projectionCompiler) fill(p *projector) error {
	switch {
	case p.from.kind == AvroUnion:
		return c.fromUnion(p)
	case p.to.kind == AvroUnion:
		return c.intoUnion(p)
	case p.from.kind == AvroRecord && p.to.kind == AvroRecord:
		return c.record(p)
	case p.from.kind == p.to.kind && (p.from.kind == AvroArray || p.from.kind == AvroMap):
		part, err := c.compile(p.from.items, p.to.items)
		p.parts, p.run = []*projector{part}, runElements
		return underIndexOf(p.from, err)
	case p.from.kind == AvroEnum && p.to.kind == AvroEnum:
		p.index, p.run = symbolIndex(p.from, p.to), runEnum
		return nil
	}
	if p.run = scalarRuns[[2]AvroKind{p.from.kind, p.to.kind}]; p.run == nil {
		return schemaErrorf("%s cannot become %s", describe(p.from), describe(p.to))
	}
	return nil
}

func underIndexOf(n *AvroNode, err error) error {
	return under(map[AvroKind]string{AvroArray: "[items]", AvroMap: "[values]"}[n.kind], err)
}

func describe(n *AvroNode) string {
	return strings.TrimSpace(n.kind.String() + " " + n.FullName())
}

func symbolIndex(from, to *AvroNode) []int {
	out := make([]int, len(from.symbols))
	for i, s := range from.symbols {
		out[i] = slices.Index(to.symbols, s)
		if out[i] < 0 && to.symDef != nil {
			out[i] = slices.Index(to.symbols, *to.symDef)
		}
	}
	return out
}

func (c *projectionCompiler) record(p *projector) error {
	p.run = runRecord
	for _, f := range p.to.fields {
		i := slices.IndexFunc(p.from.fields, func(g avroField) bool {
			return g.name == f.name || slices.Contains(f.aliases, g.name)
		})
		plan := fieldPlan{from: i}
		var err error
		switch {
		case i >= 0:
			plan.p, err = c.compile(p.from.fields[i].typ, f.typ)
		case f.def == nil:
			err = schemaErrorf("the field is missing and has no default")
		default:
			plan.def, err = appendNodeDefault(nil, f.typ, &scanner{b: f.def})
		}
		if err != nil {
			return under(f.name, err)
		}
		p.fields = append(p.fields, plan)
	}
	return nil
}

// fromUnion compiles each branch towards to. A branch that has no way is an
// error only when a value of it comes along, except when none has.
func (c *projectionCompiler) fromUnion(p *projector) error {
	p.run = runUnion
	targets := matchBranches(p.from, p.to)
	var last error
	found := false
	for i, b := range p.from.branches {
		var part *projector
		if p.to.kind != AvroUnion {
			part, last = c.compile(b, p.to)
		} else if j := targets[i]; j >= 0 {
			if part, last = c.compile(b, p.to.branches[j]); last == nil {
				part = &projector{from: b, to: p.to, branch: j, parts: []*projector{part}, run: runBranch}
			}
		} else {
			part, last = c.compile(b, p.to)
		}
		if last != nil {
			part = nil
		}
		found = found || part != nil && b.kind != AvroNull
		p.parts = append(p.parts, part)
	}
	if !found {
		return last
	}
	return nil
}

// matchBranches pairs the branches of two unions: by type and name if each has
// its like, else by place among those that are not null if there are as many.
// A pair of -1 is left to the first branch that fits.
func matchBranches(from, to *AvroNode) []int {
	pairs := make([]int, len(from.branches))
	if to.kind != AvroUnion {
		return pairs
	}
	exact := true
	for i, b := range from.branches {
		pairs[i] = slices.IndexFunc(to.branches, func(t *AvroNode) bool {
			return t.kind == b.kind && t.FullName() == b.FullName()
		})
		exact = exact && pairs[i] >= 0
	}
	if exact {
		return pairs
	}
	a, b := valueBranches(from), valueBranches(to)
	if len(a) != len(b) {
		return pairs
	}
	for k := range a {
		pairs[a[k]] = b[k]
	}
	return pairs
}

func valueBranches(u *AvroNode) []int {
	var out []int
	for i, b := range u.branches {
		if b.kind != AvroNull {
			out = append(out, i)
		}
	}
	return out
}

// intoUnion finds the first branch of to that takes from, the same type first.
func (c *projectionCompiler) intoUnion(p *projector) error {
	for pass := range 2 {
		for j, b := range p.to.branches {
			if pass == 0 && (b.kind != p.from.kind || b.FullName() != p.from.FullName()) {
				continue
			}
			if part, err := c.compile(p.from, b); err == nil {
				p.branch, p.parts, p.run = j, []*projector{part}, runBranch
				return nil
			}
		}
	}
	return schemaErrorf("%s fits no branch of the union", describe(p.from))
}

func runBranch(r *projection, p *projector) {
	r.out = binary.AppendVarint(r.out, int64(p.branch))
	r.apply(p.parts[0])
}

func runUnion(r *projection, p *projector) {
	i := r.cursor.branch(len(p.parts))
	switch {
	case r.err != nil:
	case p.parts[i] == nil:
		r.fail(fmt.Errorf("a value of %s cannot become %s", describe(p.from.branches[i]), describe(p.to)))
	default:
		r.apply(p.parts[i])
	}
}

func runEnum(r *projection, p *projector) {
	i := r.cursor.branch(len(p.index))
	switch {
	case r.err != nil:
	case p.index[i] < 0:
		r.fail(fmt.Errorf("%q is no symbol of enum %s", p.from.symbols[i], p.to.FullName()))
	default:
		r.out = binary.AppendVarint(r.out, int64(p.index[i]))
	}
}

func runElements(r *projection, p *projector) {
	start, count := len(r.out), 0
	b := blocks{min: p.from.elementBytes()}
	for r.open(&b) {
		b.left--
		count++
		if p.from.kind == AvroMap {
			r.out = appendLengthAnd(r.out, r.bytes())
		}
		r.apply(p.parts[0])
	}
	r.out = closeBlock(r.out, start, count)
}

// runRecord writes the fields in to's order. As long as that is also from's it
// reads on; a field out of order is looked up from the start of the record.
func runRecord(r *projection, p *projector) {
	start, at := r.i, 0
	for _, f := range p.fields {
		if f.p == nil {
			r.out = append(r.out, f.def...)
			continue
		}
		if f.from < at {
			r.i, at = start, 0
		}
		for ; at < f.from; at++ {
			r.skipNode(p.from.fields[at].typ)
		}
		r.apply(f.p)
		at++
	}
	// The record ends where its last field does, wherever reading stopped.
	for ; at < len(p.from.fields); at++ {
		r.skipNode(p.from.fields[at].typ)
	}
}

// scalarRuns are the ways between types that are not nested.
var scalarRuns = map[[2]AvroKind]func(*projection, *projector){
	{AvroInt, AvroLong}: func(r *projection, _ *projector) {
		r.out = binary.AppendVarint(r.out, r.varint())
	},
	{AvroInt, AvroFloat}:    toFloat,
	{AvroLong, AvroFloat}:   toFloat,
	{AvroInt, AvroDouble}:   toDouble,
	{AvroLong, AvroDouble}:  toDouble,
	{AvroFloat, AvroDouble}: widenFloat,
	{AvroString, AvroBytes}: copyBytes,
	{AvroBytes, AvroString}: copyBytes,
	{AvroEnum, AvroString}: func(r *projection, p *projector) {
		if i := r.cursor.branch(len(p.from.symbols)); r.err == nil {
			r.out = appendLengthAnd(r.out, []byte(p.from.symbols[i]))
		}
	},
	{AvroString, AvroEnum}: func(r *projection, p *projector) {
		text := r.bytes()
		i := slices.Index(p.to.symbols, string(text))
		if i < 0 && r.err == nil {
			r.fail(fmt.Errorf("%.40q is no symbol of enum %s", text, p.to.FullName()))
		}
		r.out = binary.AppendVarint(r.out, int64(i))
	},
	{AvroFixed, AvroBytes}: func(r *projection, p *projector) {
		r.out = appendLengthAnd(r.out, r.raw(p.from.size))
	},
	{AvroFixed, AvroFixed}: func(r *projection, p *projector) { toFixed(r, p, r.raw(p.from.size)) },
	{AvroBytes, AvroFixed}: func(r *projection, p *projector) { toFixed(r, p, r.bytes()) },
}

func toFloat(r *projection, _ *projector) {
	r.out = binary.LittleEndian.AppendUint32(r.out, math.Float32bits(float32(r.varint())))
}

func toDouble(r *projection, _ *projector) {
	r.out = binary.LittleEndian.AppendUint64(r.out, math.Float64bits(float64(r.varint())))
}

func widenFloat(r *projection, _ *projector) {
	r.out = binary.LittleEndian.AppendUint64(r.out, math.Float64bits(float64(r.float32())))
}

func copyBytes(r *projection, _ *projector) { r.out = appendLengthAnd(r.out, r.bytes()) }

func toFixed(r *projection, p *projector, b []byte) {
	if r.err == nil && len(b) != p.to.size {
		r.fail(fmt.Errorf("%d bytes do not make a fixed of %d", len(b), p.to.size))
	}
	r.out = append(r.out, b...)
}
