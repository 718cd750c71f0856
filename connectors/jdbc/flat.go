package jdbc

import (
	"encoding/hex"
	"math"
	"strconv"

	"github.com/millrace/millrace/plugins/data"
)

// flat reads rows of a schema straight into the texts of their columns. It is
// for plans whose columns are all fields of the value, of one plain type each;
// nearly all are. Others are read by way of a data.Struct.
type flat struct {
	schema *data.Schema
	topic  string
	plan   *plan
	reader *data.RowReader
	fields []flatField
}

// flatField is a field of the value.
type flatField struct {
	column int // of the plan, -1 for none
	typ    data.Type
}

// flatten returns how records with the value's schema on a topic are read, nil
// for those that are not flat.
func (rd *reader) flatten(r *data.Record) (*flat, error) {
	s := r.Value.Schema
	if f := rd.last; f != nil && f.schema == s && f.topic == r.OriginalTopic {
		return f, nil
	}
	if s == nil || s.Type() != data.TypeStruct || isEnvelope(s) || rd.cfg.key == "record_key" || rd.cfg.key == "record_header" {
		return nil, nil
	}
	p, err := rd.plan(r, false, s)
	if err != nil {
		return nil, err
	}
	f := &flat{schema: s, topic: r.OriginalTopic, plan: p, reader: data.NewRowReader(s), fields: make([]flatField, len(s.Fields()))}
	for i := range f.fields {
		f.fields[i].column = -1
	}
	for i, c := range p.columns {
		if c.origin != fromValue || !plainly(c.schema) || f.fields[c.field].column >= 0 {
			return nil, nil
		}
		f.fields[c.field] = flatField{i, c.schema.Type()}
	}
	rd.last = f
	return f, nil
}

// plainly reports whether the type of a schema says all about its values.
func plainly(s *data.Schema) bool {
	switch s.Type() {
	case data.TypeInt8, data.TypeInt16, data.TypeInt32, data.TypeInt64, data.TypeFloat32, data.TypeFloat64, data.TypeBoolean, data.TypeString:
		return special[s.Name()] == nil
	case data.TypeBytes:
		return special[s.Name()] == nil && s.Name() != data.DecimalName
	}
	return false
}

// read returns the row of a record. The texts are good for as long as the
// record, and until the next put.
func (f *flat) read(rd *reader, r *data.Record) (*row, error) {
	schema, table, err := rd.tableOf(r, nil)
	if err != nil {
		return nil, err
	}
	start := len(rd.cells)
	for range f.plan.columns {
		rd.cells = append(rd.cells, cell{})
	}
	cells := rd.cells[start:len(rd.cells):len(rd.cells)]
	in := f.reader
	in.Reset(r.Value.Row)
	in.EnterStruct()
	for i := range f.fields {
		switch at := f.fields[i].column; {
		case at < 0:
			in.Skip()
		case in.Null():
			cells[at].null = true
		default:
			rd.text(f.fields[i].typ, in, &cells[at])
			cells[at].absent = at >= f.plan.keys && cells[at].absent
		}
	}
	in.Leave()
	if err := in.Finish(); err != nil {
		return nil, bad("read the value: %w", err)
	}
	for i := range f.plan.keys {
		if cells[i].null {
			return nil, bad("key column %s is null", f.plan.columns[i].name)
		}
	}
	return &row{op: opWrite, schema: schema, table: table, plan: f.plan, cells: cells}, nil
}

// text reads a value that is not null. It is absent if it is the placeholder.
func (rd *reader) text(t data.Type, in *data.RowReader, c *cell) {
	start := len(rd.texts)
	switch t {
	case data.TypeString:
		c.text = in.Bytes()
		c.absent = len(c.text) >= len(unavailable) && unavailableTexts[string(c.text)]
		return
	case data.TypeBytes:
		b := in.Bytes()
		c.absent = string(b) == unavailable
		rd.texts = hex.AppendEncode(append(rd.texts, `\x`...), b)
	case data.TypeBoolean:
		rd.texts = strconv.AppendBool(rd.texts, in.Boolean())
	case data.TypeFloat32:
		rd.texts = appendFloat(rd.texts, float64(in.Float32()), 32)
	case data.TypeFloat64:
		rd.texts = appendFloat(rd.texts, in.Float64(), 64)
	case data.TypeInt8:
		rd.texts = strconv.AppendInt(rd.texts, int64(in.Int8()), 10)
	case data.TypeInt16:
		rd.texts = strconv.AppendInt(rd.texts, int64(in.Int16()), 10)
	case data.TypeInt32:
		rd.texts = strconv.AppendInt(rd.texts, int64(in.Int32()), 10)
	default:
		rd.texts = strconv.AppendInt(rd.texts, in.Int64(), 10)
	}
	c.text = rd.texts[start:len(rd.texts):len(rd.texts)]
}

// appendFloat appends a number as the server reads it.
func appendFloat(dst []byte, v float64, bits int) []byte {
	switch {
	case math.IsNaN(v):
		return append(dst, "NaN"...)
	case math.IsInf(v, 1):
		return append(dst, "Infinity"...)
	case math.IsInf(v, -1):
		return append(dst, "-Infinity"...)
	}
	return strconv.AppendFloat(dst, v, 'g', -1, bits)
}
