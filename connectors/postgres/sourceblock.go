package postgres

import (
	"cmp"
	"strconv"

	"github.com/millrace/millrace/plugins/data"
)

// Where the fields of a source block stop being alike in all events of a
// transaction, but for those of the table.
const (
	fieldSequence  = 6
	fieldLSN       = 12
	fieldsOfSource = 16
)

// sourceWriters write the runs of fields between those, by themselves.
type sourceWriters struct {
	head, middle, tail *data.RowWriter
}

func newSourceWriters() *sourceWriters {
	part := func(from, to int) *data.RowWriter {
		b := data.NewStructBuilder()
		for _, f := range sourceSchema.Fields()[from:to] {
			b.Field(f.Name, f.Schema)
		}
		return data.NewRowWriter(b.MustBuild())
	}
	return &sourceWriters{part(0, fieldSequence), part(fieldSequence+1, fieldLSN), part(fieldLSN+1, fieldsOfSource)}
}

// sourceBlock is what the source blocks of a transaction have in common,
// written once.
type sourceBlock struct {
	of                 origin // less its lsn
	w                  *sourceWriters
	head, middle, tail []byte
	sequence           []byte // up to the lsn
	schema, table      string // of middle
}

// learn makes the block one of an origin and a table.
func (s *sourceBlock) learn(c *config, o *origin, schema, table string) error {
	of := *o
	of.lsn = 0
	known := s.w != nil && s.of == of
	if known && s.table == table && s.schema == schema {
		return nil
	}
	if s.w == nil {
		s.w = newSourceWriters()
	}
	var err error
	if !known {
		if err = s.common(c, &of); err != nil {
			return err
		}
	}
	w := s.w.middle
	w.Reset(s.middle[:0])
	w.BeginStruct()
	w.Int64(o.time)
	w.Int64(o.time * 1000)
	w.Text(schema)
	w.Text(table)
	optionalInt(w, int64(o.xid))
	w.End()
	if s.middle, _, err = w.Finish(); err == nil {
		s.of, s.schema, s.table = of, schema, table
	}
	return err
}

// common writes what does not depend on the table.
func (s *sourceBlock) common(c *config, o *origin) (err error) {
	w := s.w.head
	w.Reset(s.head[:0])
	w.BeginStruct()
	w.Text(Version)
	w.Text("postgresql")
	w.Text(c.prefix)
	w.Int64(o.time / 1000)
	w.Text(o.snapshot)
	w.Text(c.dbname)
	w.End()
	if s.head, _, err = w.Finish(); err != nil {
		return err
	}
	w = s.w.tail
	w.Reset(s.tail[:0])
	w.BeginStruct()
	optionalInt(w, o.xmin)
	if o.name == "" {
		w.Null()
		w.Null()
	} else {
		w.Text(o.name)
		w.Int64(int64(o.originLSN))
	}
	w.End()
	if s.tail, _, err = w.Finish(); err != nil {
		return err
	}
	s.sequence = append(s.sequence[:0], '[')
	if o.lastCommit == 0 {
		s.sequence = append(s.sequence, "null"...)
	} else {
		s.sequence = append(strconv.AppendInt(append(s.sequence, '"'), int64(o.lastCommit), 10), '"')
	}
	return nil
}

func optionalInt(w *data.RowWriter, v int64) {
	if v == 0 {
		w.Null()
		return
	}
	w.Int64(v)
}

// source writes the source block of an event.
func (e *emitter) source(w *writer, o *origin, schema, table string) error {
	s := &e.common
	if err := s.learn(e.cfg, o, schema, table); err != nil {
		return err
	}
	w.BeginStruct()
	w.Fields(fieldSequence, s.head)
	e.scratch = append(e.scratch[:0], s.sequence...)
	// Rows of an incremental snapshot have no position but that of the stream.
	if at := cmp.Or(o.lsn, o.lastCommit); at == 0 {
		e.scratch = append(e.scratch, ",null]"...)
	} else {
		e.scratch = append(strconv.AppendInt(append(e.scratch, `,"`...), int64(at), 10), `"]`...)
	}
	w.TextBytes(e.scratch)
	w.Fields(fieldLSN-fieldSequence-1, s.middle)
	optionalInt(w.RowWriter, int64(o.lsn))
	w.Fields(fieldsOfSource-fieldLSN-1, s.tail)
	w.End()
	return nil
}
