package data

import "fmt"

// AppendWithDefaults appends a row in which the nulls of fields that have a
// default are replaced by it, as Connect's converters do unless told not to.
// Rows without such nulls (Datum.NullDefault is false) need not come here.
func AppendWithDefaults(dst []byte, s *Schema, row []byte) ([]byte, error) {
	r := replacer{cursor: cursor{b: row}, out: dst}
	r.value(s.compiled())
	if r.err == nil && r.left() > 0 {
		r.corrupt("%d bytes follow the value", r.left())
	}
	if r.err != nil {
		return dst, fmt.Errorf("replace nulls by defaults: %w", r.err)
	}
	return r.flush(), nil
}

// replacer copies a row in as long stretches as it can.
type replacer struct {
	cursor
	out    []byte
	copied int // what of the row is in out
}

func (r *replacer) flush() []byte {
	r.out = append(r.out, r.b[r.copied:r.i]...)
	r.copied = r.i
	return r.out
}

func (r *replacer) value(p *plan) {
	if !p.defaults {
		r.skip(p)
		return
	}
	start := r.i
	if p.op == opUnion {
		pick := r.pick(p)
		switch {
		case r.err != nil:
		case pick >= 0:
			r.present(p.fields[pick])
		case p.defRow != nil:
			r.replace(p, start)
		}
		return
	}
	if !r.null(p) {
		r.present(p)
		return
	}
	if p.defRow != nil {
		r.replace(p, start)
	}
}

// replace puts p's default where the null from start on is.
func (r *replacer) replace(p *plan, start int) {
	end := r.i
	r.i = start
	r.flush()
	r.i, r.copied = end, end
	def := replacer{cursor: cursor{b: p.defRow}, out: r.out}
	def.value(p) // which holds no null of p, but perhaps nulls further down
	r.out = def.flush()
}

func (r *replacer) present(p *plan) {
	switch p.op {
	case opStruct:
		for _, f := range p.fields {
			r.value(f)
		}
	case opArray, opMap, opEntries:
		r.elements(p)
	default:
		r.skipPresent(p)
	}
}

// elements copies an array or map into one block, since replaced elements
// would belie a block's byte size.
func (r *replacer) elements(p *plan) {
	r.flush()
	count, head := 0, len(r.out)
	b := blocks{min: p.elementBytes()}
	for r.open(&b) {
		r.copied = r.i // past the header of a block, if one was read
		b.left--
		count++
		if p.key != nil {
			r.value(p.key)
		}
		r.value(p.elem)
		r.flush()
	}
	r.copied = r.i // past the end mark
	if r.err == nil {
		r.out = closeBlock(r.out, head, count)
	}
}
