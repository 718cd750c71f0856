package jdbc

import (
	"encoding/hex"
	"strconv"

	"github.com/millrace/millrace/plugins/data"
)

// textForm is how values of a schema become texts.
type textForm uint8

const (
	boxed textForm = iota // by config.text
	integer8
	integer16
	integer32
	integer64
	real32
	real64
	truthText
	plainText
	bytesText
	decimalText
)

// formOf returns how values of a schema are written. Names that mean nothing
// special here, such as Debezium's Json and Uuid, are those of texts.
func formOf(s *data.Schema) textForm {
	if s.Name() == data.DecimalName {
		return decimalText
	}
	if special[s.Name()] != nil {
		return boxed
	}
	switch s.Type() {
	case data.TypeInt8:
		return integer8
	case data.TypeInt16:
		return integer16
	case data.TypeInt32:
		return integer32
	case data.TypeInt64:
		return integer64
	case data.TypeFloat32:
		return real32
	case data.TypeFloat64:
		return real64
	case data.TypeBoolean:
		return truthText
	case data.TypeString:
		return plainText
	case data.TypeBytes:
		return bytesText
	}
	return boxed
}

// cells reads the values of a record's columns.
func (rd *reader) cells(r *data.Record, p *plan, value image) ([]cell, error) {
	cells := rd.room(len(p.columns))
	if len(p.fromKey) > 0 {
		key := rd.form(r.Key.Schema).reader
		key.Reset(r.Key.Row)
		key.EnterStruct()
		if err := rd.fields(key, p.fromKey, p, cells); err != nil {
			return nil, bad("read the key: %w", err)
		}
	}
	if len(p.fromValue) > 0 {
		if err := rd.fields(value.row, p.fromValue, p, cells); err != nil {
			return nil, bad("read the value: %w", err)
		}
	}
	for i := range p.columns {
		c := &p.columns[i]
		if c.origin != fromValue && c.origin != fromKeyField {
			v, err := lone(r, c)
			if err != nil {
				return nil, err
			}
			cells[i] = cell{value: v, null: v == nil}
		}
		if cells[i].null && i < p.keys {
			return nil, bad("key column %s is null", c.name)
		}
	}
	return cells, nil
}

// room returns n empty cells.
func (rd *reader) room(n int) []cell {
	if cap(rd.slab)-len(rd.slab) < n {
		rd.slab = make([]cell, 0, max(2*cap(rd.slab), 64*n)) // cells that were given out stay where they are
	}
	at := len(rd.slab)
	rd.slab = rd.slab[:at+n]
	clear(rd.slab[at:])
	return rd.slab[at : at+n : at+n]
}

// lone reads a column that is no field.
func lone(r *data.Record, c *column) (any, error) {
	switch c.origin {
	case fromTopic:
		return r.OriginalTopic, nil
	case fromPartition:
		return r.OriginalPartition, nil
	case fromOffset:
		return r.OriginalOffset, nil
	case fromHeader:
		for i := len(r.Headers) - 1; i >= 0; i-- {
			if r.Headers[i].Name == c.header {
				v, err := r.Headers[i].Value.Value()
				if err != nil {
					return nil, bad("header %s: %w", c.header, err)
				}
				return v, nil
			}
		}
		return nil, bad("the record has no header %s", c.header)
	}
	v, err := r.Key.Value()
	if err != nil {
		return nil, bad("read the key: %w", err)
	}
	return v, nil
}

// fields reads the fields of a struct that was entered, up to the last that
// goes to a column.
func (rd *reader) fields(from *data.RowReader, to []int, p *plan, cells []cell) error {
	for _, i := range to {
		if i < 0 {
			from.Skip()
			continue
		}
		rd.cell(from, &p.columns[i], &cells[i], i < p.keys)
	}
	return from.Err()
}

// cell reads one value. What stands for a value that the source's server did
// not send counts in columns that are no key.
func (rd *reader) cell(from *data.RowReader, c *column, out *cell, key bool) {
	if from.Null() {
		*out = c.preset
		return
	}
	start := len(rd.arena)
	switch c.form {
	case integer8:
		rd.arena = strconv.AppendInt(rd.arena, int64(from.Int8()), 10)
	case integer16:
		rd.arena = strconv.AppendInt(rd.arena, int64(from.Int16()), 10)
	case integer32:
		rd.arena = strconv.AppendInt(rd.arena, int64(from.Int32()), 10)
	case integer64:
		rd.arena = strconv.AppendInt(rd.arena, from.Int64(), 10)
	case real32:
		rd.arena = appendFloat(rd.arena, float64(from.Float32()), 32)
	case real64:
		rd.arena = appendFloat(rd.arena, from.Float64(), 64)
	case truthText:
		rd.arena = strconv.AppendBool(rd.arena, from.Boolean())
	case plainText:
		out.text = from.Bytes()
		out.absent = !key && isUnavailableText(out.text)
		return
	case bytesText:
		b := from.Bytes()
		out.absent = !key && string(b) == unavailable
		rd.arena = hex.AppendEncode(append(rd.arena, `\x`...), b)
	case decimalText:
		out.text = decimal(from.Decimal())
		return
	default:
		out.value = c.meant(from.Value())
		out.absent = !key && isUnavailable(out.value)
		return
	}
	out.text = rd.arena[start:len(rd.arena):len(rd.arena)]
}
