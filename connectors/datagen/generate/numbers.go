package generate

import (
	"errors"
	"fmt"
	"math"

	"github.com/millrace/millrace/plugins/data"
)

// integer is a whole number of 8 to 64 bits.
type integer struct {
	kind  data.Type
	least int64
	size  uint64     // how many values there are from least on, 0 for all of 64 bits
	iter  *iteration // nil for random numbers
}

// bounds are the least and the greatest value of the integer types.
var bounds = map[data.Type][2]int64{
	data.TypeInt8: {math.MinInt8, math.MaxInt8}, data.TypeInt16: {math.MinInt16, math.MaxInt16},
	data.TypeInt32: {math.MinInt32, math.MaxInt32}, data.TypeInt64: {math.MinInt64, math.MaxInt64},
}

func newInteger(p properties, s *data.Schema) (node, error) {
	b := bounds[s.Type()]
	if s.Name() == data.TimeName {
		b = [2]int64{0, 86_400_000 - 1}
	}
	out := &integer{kind: s.Type(), least: b[0], size: uint64(b[1]) - uint64(b[0]) + 1}
	if p.has("iteration") {
		var err error
		out.iter, err = newIteration(p, out.least, out.size)
		return out, err
	}
	r, ok := p["range"].(map[string]any)
	if !ok {
		return out, p.missing("range")
	}
	most := b[1] // included where it is the type's own
	if n, ok := number(r["min"]); ok {
		out.least = max(n, b[0])
	}
	if n, ok := number(r["max"]); ok {
		most = min(n-1, b[1])
	}
	if most < out.least || endless(r, true) {
		return nil, errors.New("range must have min or max, whole numbers, and min must be less than max")
	}
	out.size = uint64(most) - uint64(out.least) + 1
	return out, nil
}

// endless reports whether a range has neither end, or one that is no number of
// the type.
func endless(r map[string]any, whole bool) bool {
	for _, name := range []string{"min", "max"} {
		_, isWhole := number(r[name])
		if _, ok := fraction(r[name]); r[name] != nil && (!ok || whole && !isWhole) {
			return true
		}
	}
	return r["min"] == nil && r["max"] == nil
}

// missing complains of a property that is there but is no object.
func (p properties) missing(name string) error {
	if p.has(name) {
		return fmt.Errorf("%s must be an object", name)
	}
	return nil
}

func (n *integer) next(r *run) int64 {
	if n.iter != nil {
		return n.iter.at(r.number)
	}
	if n.size == 0 {
		return int64(r.Uint64())
	}
	return n.least + int64(r.Uint64N(n.size))
}

func (n *integer) write(w *data.RowWriter, r *run) {
	v := n.next(r)
	switch n.kind {
	case data.TypeInt8:
		w.Int8(int8(v))
	case data.TypeInt16:
		w.Int16(int16(v))
	case data.TypeInt32:
		w.Int32(int32(v))
	default:
		w.Int64(v)
	}
}

// iteration counts with the rows: initial, initial + step, and so on, back to
// start at restart, or where the type ends.
type iteration struct {
	start, first, step int64
	size               uint64 // of the circle that begins at start, 0 for 64 bits
}

func newIteration(p properties, least int64, size uint64) (*iteration, error) {
	m, _ := p["iteration"].(map[string]any)
	for name, v := range m {
		if _, ok := number(v); !ok {
			return nil, fmt.Errorf("%s of iteration is %v, not a whole number", name, v)
		}
	}
	start, ok := number(m["start"])
	if !ok || p.has("range") {
		return nil, errors.New("iteration needs start, a whole number, and excludes range")
	}
	out := &iteration{start: least, first: start, step: 1, size: size}
	if n, ok := number(m["initial"]); ok {
		out.first = n
	}
	restart, circle := number(m["restart"])
	if circle {
		if restart == start {
			return nil, errors.New("restart of iteration must differ from start")
		}
		out.start, out.size = start, uint64(restart)-uint64(start)
		if restart < start { // counts down
			out.start, out.size, out.step = restart+1, uint64(start)-uint64(restart), -1
		}
	}
	if n, ok := number(m["step"]); ok {
		out.step = n
	}
	if out.step == 0 {
		return nil, errors.New("step of iteration must not be 0")
	}
	return out, nil
}

func (i *iteration) at(n int64) int64 {
	d := uint64(i.first) - uint64(i.start) + uint64(n)*uint64(i.step)
	if i.size == 0 {
		return i.start + int64(d)
	}
	if int64(d) < 0 { // before the circle's start
		d = i.size - 1 - (uint64(^int64(d)) % i.size)
	}
	return i.start + int64(d%i.size)
}

// float is a number with a fraction.
type float struct {
	kind        data.Type
	least, most float64 // most is excluded
	iter        bool
	step        float64
	size        float64 // of the circle that begins at least, 0 for none
}

func newFloat(p properties, s *data.Schema) (node, error) {
	out := &float{kind: s.Type(), most: 1}
	if m, ok := p["iteration"].(map[string]any); ok {
		return out, out.iteration(m)
	}
	r, ok := p["range"].(map[string]any)
	if !ok {
		return out, errors.Join(p.missing("range"), p.missing("iteration"))
	}
	limit := math.MaxFloat64 / 2
	if s.Type() == data.TypeFloat32 {
		limit = math.MaxFloat32 / 2
	}
	out.least, out.most = -limit, limit
	if f, ok := fraction(r["min"]); ok {
		out.least = f
	}
	if f, ok := fraction(r["max"]); ok {
		out.most = f
	}
	if !(out.least < out.most) || endless(r, false) || math.IsInf(out.most-out.least, 0) {
		return nil, errors.New("range must have min or max, numbers, and min must be less than max")
	}
	return out, nil
}

func (f *float) iteration(m map[string]any) error {
	for name, v := range m {
		if _, ok := fraction(v); !ok {
			return fmt.Errorf("%s of iteration is %v, not a number", name, v)
		}
	}
	start, ok := fraction(m["start"])
	if !ok {
		return errors.New("iteration needs start, a number")
	}
	f.iter, f.least, f.most, f.step = true, start, start, 1
	if initial, ok := fraction(m["initial"]); ok {
		f.most = initial
	}
	if restart, ok := fraction(m["restart"]); ok {
		if f.size = restart - start; f.size == 0 {
			return errors.New("restart of iteration must differ from start")
		}
		f.step = math.Copysign(1, f.size)
	}
	if step, ok := fraction(m["step"]); ok {
		f.step = step
	}
	return nil
}

func (f *float) write(w *data.RowWriter, r *run) {
	var v float64
	switch {
	case !f.iter:
		v = f.least + r.Float64()*(f.most-f.least)
	case f.size == 0:
		v = f.most + float64(r.number)*f.step
	default:
		v = f.least + math.Mod(f.most-f.least+float64(r.number)*f.step, f.size)
	}
	if f.kind == data.TypeFloat32 {
		w.Float32(float32(v))
		return
	}
	w.Float64(v)
}

// boolean is true with some odds, or in turn.
type boolean struct {
	odds        float64
	turn, first bool
}

func newBoolean(p properties) (node, error) {
	out := &boolean{odds: 0.5}
	if m, ok := p["iteration"].(map[string]any); ok {
		if out.first, ok = m["start"].(bool); !ok || len(m) > 1 {
			return nil, errors.New("iteration of a boolean has start, true or false, and nothing else")
		}
		out.turn = true
	}
	if p.has("odds") {
		var ok bool
		if out.odds, ok = fraction(p["odds"]); !ok || out.odds < 0 || out.odds > 1 || out.turn {
			return nil, errors.New("odds is a number from 0 to 1, and excludes iteration")
		}
	}
	return out, nil
}

func (b *boolean) write(w *data.RowWriter, r *run) {
	if b.turn {
		w.Boolean(b.first == (r.number%2 == 0))
		return
	}
	w.Boolean(r.Float64() < b.odds)
}

// decimal is a number of the precision of its type.
type decimal struct{ least, size int64 }

// maxDigits is the most that is random in a decimal.
const maxDigits = 18

func newDecimal(p properties, t map[string]any, scale int32) (node, error) {
	unit := math.Pow10(int(scale))
	digits := int64(maxDigits)
	if n, ok := number(t["precision"]); ok && n > 0 {
		digits = min(n, maxDigits)
	}
	limit := int64(math.Pow10(int(digits)))
	least, most := 1-limit, limit
	if r, ok := p["range"].(map[string]any); ok {
		if endless(r, false) {
			return nil, errors.New("range must have min or max, numbers")
		}
		if f, ok := fraction(r["min"]); ok {
			least = max(least, int64(math.Ceil(f*unit)))
		}
		if f, ok := fraction(r["max"]); ok {
			most = min(most, int64(math.Ceil(f*unit)))
		}
	}
	if least >= most {
		return nil, errors.New("range leaves no number of this precision and scale")
	}
	return &decimal{least, most - least}, nil
}

func (d *decimal) write(w *data.RowWriter, r *run) { w.DecimalInt64(d.least + r.Int64N(d.size)) }
