package transform

import (
	"errors"
	"slices"

	"github.com/millrace/millrace/plugins/data"
)

// unwrapPlan is what unwrap does with the change events of one schema.
type unwrapPlan struct {
	before, after *unwrapBody
	rowSchema     *data.Schema // of after
	reader        *data.RowReader
}

// unwrapBody is the way from an envelope to the row in one of its two states.
type unwrapBody struct {
	index     int // in the envelope
	in        *data.Schema
	out       *data.Schema
	deleted   string // of __deleted, "" for no such field
	metas     []place
	writer    *data.RowWriter
	reader    *data.RowReader
	copies    []copying
	held      []held
	visits    []visit
	rowToRow  bool
	defaults  bool // nulls of some columns are read as their defaults
	lastVisit int
}

func (t *unwrap) compile(s *data.Schema) (*unwrapPlan, error) {
	p := &unwrapPlan{reader: data.NewRowReader(s)}
	for _, side := range []struct {
		name, deleted string
		to            **unwrapBody
	}{{"before", "true", &p.before}, {"after", "false", &p.after}} {
		f, ok := s.Field(side.name)
		if !ok || f.Schema.Type() != data.TypeStruct {
			return nil, errors.New("the envelope has no struct named " + side.name)
		}
		if !t.rewrites() {
			side.deleted = ""
		}
		b, err := t.compileBody(s, f, side.deleted)
		if err != nil {
			return nil, err
		}
		*side.to = b
	}
	p.rowSchema = p.after.in
	return p, nil
}

func (t *unwrap) compileBody(env *data.Schema, f data.Field, deleted string) (*unwrapBody, error) {
	b := &unwrapBody{index: f.Index, in: f.Schema, deleted: deleted, rowToRow: true, lastVisit: f.Index}
	out := withFields(data.CopyBasics(f.Schema), f.Schema)
	for _, field := range f.Schema.Fields() {
		b.copies = append(b.copies, copyingOf(field.Schema))
		b.defaults = b.defaults || t.withDefaults && replaceable(field.Schema)
	}
	if deleted != "" {
		out.Field(deletedField, data.OptionalStringSchema)
	}
	for _, ref := range t.fields {
		at, ok := ref.locate(env)
		if !ok {
			continue
		}
		out.Field(ref.as, at.schema)
		b.addVisit(at, len(b.metas))
		b.metas = append(b.metas, at)
		b.rowToRow = b.rowToRow && at.scalar() && at.outer != f.Index
	}
	var err error
	if b.out, err = out.Build(); err != nil {
		return nil, err
	}
	b.held = make([]held, len(b.metas))
	b.reader, b.writer = data.NewRowReader(env), data.NewRowWriter(b.out)
	return b, nil
}

// visit is a field of the envelope that metadata is read from on the way:
// itself, or fields of its struct, in schema order.
type visit struct {
	outer int
	inner []int // by the index of the field
	slots []int // of held; one for each inner, or the only one
	how   []holder
}

func (b *unwrapBody) addVisit(at place, slot int) {
	b.lastVisit = max(b.lastVisit, at.outer)
	i := slices.IndexFunc(b.visits, func(v visit) bool { return v.outer == at.outer })
	if i < 0 {
		i = len(b.visits)
		b.visits = append(b.visits, visit{outer: at.outer})
	}
	v := &b.visits[i]
	if len(v.slots) > 0 && (slices.Contains(v.inner, at.inner) || at.inner == added || v.inner[0] == added) {
		b.rowToRow = false // one value in two places: the slow way reads it twice
		return
	}
	k, _ := slices.BinarySearch(v.inner, at.inner)
	v.inner = slices.Insert(v.inner, k, at.inner)
	v.slots = slices.Insert(v.slots, k, slot)
	v.how = slices.Insert(v.how, k, at.how)
	slices.SortFunc(b.visits, func(a, c visit) int { return a.outer - c.outer })
}

// present reports which of the two states are not null.
func (p *unwrapPlan) present(c *cell) (before, after bool, err error) {
	if c.replaced {
		env, err := c.structOf("change events")
		if err != nil {
			return false, false, err
		}
		return env.AtWithoutDefault(p.before.index) != nil, env.AtWithoutDefault(p.after.index) != nil, nil
	}
	r := p.reader
	r.Reset(c.datum.Row)
	r.EnterStruct()
	last := max(p.before.index, p.after.index)
	for i := 0; i <= last; i++ {
		there := !r.Null()
		switch i {
		case p.before.index:
			before = there
		case p.after.index:
			after = there
		}
		if there && i < last {
			r.Skip()
		}
	}
	return before, after, r.Err()
}

// apply makes the row the value, with what is added to it.
func (b *unwrapBody) apply(r *Record, c *cell) error {
	if c.replaced || !b.rowToRow || b.defaults && c.datum.NullDefault {
		return b.applyStruct(r, c)
	}
	return b.applyRow(r, c)
}

func (b *unwrapBody) applyRow(r *Record, c *cell) error {
	in, out := b.reader, b.writer
	in.Reset(c.datum.Row)
	out.Reset(r.mem.free())
	in.EnterStruct()
	out.BeginStruct()
	visits := b.visits
	for i := 0; i <= b.lastVisit; i++ {
		switch {
		case i == b.index:
			in.EnterStruct()
			for k := range b.copies {
				b.copies[k].copy(in, out)
			}
			in.Leave()
		case len(visits) > 0 && visits[0].outer == i:
			b.hold(in, &visits[0])
			visits = visits[1:]
		default:
			in.Skip()
		}
	}
	if err := in.Err(); err != nil {
		return err
	}
	if b.deleted != "" {
		out.Text(b.deleted)
	}
	for i := range b.metas {
		b.held[i].write(out)
	}
	out.End()
	row, nullDefault, err := out.Finish()
	if err != nil {
		return err
	}
	r.setDatum(c, data.Datum{Schema: b.out, State: data.Present, Row: r.mem.keep(row), NullDefault: nullDefault})
	return nil
}

func (b *unwrapBody) applyStruct(r *Record, c *cell) error {
	env, err := c.structOf("change events")
	if err != nil {
		return err
	}
	row, _ := env.AtWithoutDefault(b.index).(*data.Struct)
	out, next := data.NewStruct(b.out), len(b.copies)
	for i := range b.copies {
		if err := put(out, i, fieldOf(row, i, b.defaults)); err != nil {
			return err
		}
	}
	if b.deleted != "" {
		if err := out.PutAt(next, b.deleted); err != nil {
			return err
		}
		next++
	}
	for i, at := range b.metas {
		if err := put(out, next+i, at.of(env)); err != nil {
			return err
		}
	}
	r.set(c, b.out, out)
	return nil
}

// hold reads a field of the envelope, or fields of a struct there.
func (b *unwrapBody) hold(in *data.RowReader, v *visit) {
	if v.inner[0] == added {
		b.held[v.slots[0]].read(v.how[0], in)
		return
	}
	if in.Null() {
		for _, slot := range v.slots {
			b.held[slot] = held{}
		}
		return
	}
	in.EnterStruct()
	next := 0
	for k, at := range v.inner {
		for ; next < at; next++ {
			in.Skip()
		}
		next++
		b.held[v.slots[k]].read(v.how[k], in)
	}
	in.Leave()
}
