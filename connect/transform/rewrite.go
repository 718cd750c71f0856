package transform

import (
	"fmt"

	"github.com/millrace/millrace/plugins/data"
)

// column is where a field of the output of a rewrite comes from: a field of
// the input, perhaps masked, or the record.
type column struct {
	name   string
	schema *data.Schema
	from   int // index of the input's field, or added
	masked bool
	mask   any // instead of what is not null
	// Of an added column: its value, boxed and as written to a row. Null
	// is left to the schema.
	value func(*Record) any
	write func(*Record, *data.RowWriter)
}

const added = -1

// rewrite makes structs of one schema from structs of another, one level deep:
// drops, renames, masks and adds fields. It is compiled once per input schema
// and works from row to row, or on a decoded value where an earlier step has
// made one.
type rewrite struct {
	in, out      *data.Schema
	cols         []column
	withDefaults bool // nulls of some fields are read as their defaults

	copies []copying // of the column's field
	reader *data.RowReader
	writer *data.RowWriter
}

// compileRewrite builds the output schema on top of out.
func compileRewrite(in *data.Schema, out *data.Builder, cols []column, withDefaults bool) (*rewrite, error) {
	for _, c := range cols {
		out.Field(c.name, c.schema)
	}
	s, err := out.Build()
	if err != nil {
		return nil, err
	}
	return newRewrite(in, s, cols, withDefaults), nil
}

// newRewrite compiles a rewrite to a schema whose fields are those of cols.
func newRewrite(in, out *data.Schema, cols []column, withDefaults bool) *rewrite {
	p := &rewrite{in: in, out: out, cols: cols, copies: make([]copying, len(cols)),
		reader: data.NewRowReader(in), writer: data.NewRowWriter(out)}
	for i, c := range cols {
		if c.from != added {
			p.copies[i] = copyingOf(in.Fields()[c.from].Schema)
			p.withDefaults = p.withDefaults || withDefaults && replaceable(c.schema)
		}
	}
	return p
}

// replaceable reports whether a null of a schema may be read as its default.
func replaceable(s *data.Schema) bool {
	_, ok := s.Default()
	return ok && s.Optional()
}

// keepColumn takes over a field of the input.
func keepColumn(f data.Field) column {
	return column{name: f.Name, schema: f.Schema, from: f.Index}
}

// apply makes the output from one cell, which is not null, and puts it into
// another or the same.
func (p *rewrite) apply(r *Record, from, to *cell) error {
	if from.replaced || p.withDefaults && from.datum.NullDefault {
		return p.applyStruct(r, from, to)
	}
	return p.applyRow(r, from, to)
}

func (p *rewrite) applyRow(r *Record, from, to *cell) error {
	in, out := p.reader, p.writer
	in.Reset(from.datum.Row)
	out.Reset(r.mem.free())
	in.EnterStruct()
	out.BeginStruct()
	next := 0
	for i := range p.cols {
		c := &p.cols[i]
		if c.from == added {
			c.write(r, out)
			continue
		}
		if c.from < next {
			in.Reset(from.datum.Row)
			in.EnterStruct()
			next = 0
		}
		for ; next < c.from; next++ {
			in.Skip()
		}
		next++
		switch {
		case !c.masked:
			p.copies[i].copy(in, out)
		case in.Null():
			out.Null()
		default:
			in.Skip()
			write(out, c.mask)
		}
	}
	in.Leave()
	out.End()
	d, err := r.finish(in, out)
	if err != nil {
		return err
	}
	r.setDatum(to, d)
	return nil
}

// finish ends the copy of one row to another. An error of the reader comes
// first, as it makes errors of the writer.
func (r *Record) finish(in *data.RowReader, out *data.RowWriter) (data.Datum, error) {
	if err := in.Finish(); err != nil {
		return data.Datum{}, err
	}
	row, nullDefault, err := out.Finish()
	if err != nil {
		return data.Datum{}, err
	}
	return data.Datum{Schema: out.Schema(), State: data.Present, Row: r.mem.keep(row), NullDefault: nullDefault}, nil
}

func (p *rewrite) applyStruct(r *Record, from, to *cell) error {
	in, err := from.structOf("this transform")
	if err != nil {
		return err
	}
	out := data.NewStruct(p.out)
	for i := range p.cols {
		c := &p.cols[i]
		var v any
		if c.from == added {
			v = c.value(r)
		} else if v = fieldOf(in, c.from, p.withDefaults); v != nil && c.masked {
			v = c.mask
		}
		if err := put(out, i, v); err != nil {
			return err
		}
	}
	r.set(to, p.out, out)
	return nil
}

// requireStruct refuses schemas other than of structs.
func requireStruct(s *data.Schema, purpose string) error {
	if s.Type() != data.TypeStruct {
		return fmt.Errorf("only structs are supported for %s when there is a schema, not %v", purpose, s.Type())
	}
	return nil
}
