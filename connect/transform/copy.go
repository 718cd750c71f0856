package transform

import "github.com/millrace/millrace/plugins/data"

// copying is a schema compiled for the copy of a value from row to row.
type copying struct {
	typ    data.Type
	null   bool // the value may be null
	number bool // a decimal
	fields []copying
	key    *copying
	elem   *copying
}

func copyingOf(s *data.Schema) copying {
	c := copying{typ: s.Type(), null: s.Optional(), number: s.Name() == data.DecimalName}
	switch s.Type() {
	case data.TypeStruct:
		for _, f := range s.Fields() {
			child := copyingOf(f.Schema)
			child.null = child.null || s.Name() == data.UnionName
			c.fields = append(c.fields, child)
		}
	case data.TypeMap:
		key := copyingOf(s.KeySchema())
		c.key = &key
		fallthrough
	case data.TypeArray:
		elem := copyingOf(s.ValueSchema())
		c.elem = &elem
	}
	return c
}

// copy moves the next value of r to w. Errors stay in the two.
func (c *copying) copy(r *data.RowReader, w *data.RowWriter) {
	if c.null && r.Null() {
		w.Null()
		return
	}
	switch c.typ {
	case data.TypeInt8:
		w.Int8(r.Int8())
	case data.TypeInt16:
		w.Int16(r.Int16())
	case data.TypeInt32:
		w.Int32(r.Int32())
	case data.TypeInt64:
		w.Int64(r.Int64())
	case data.TypeFloat32:
		w.Float32(r.Float32())
	case data.TypeFloat64:
		w.Float64(r.Float64())
	case data.TypeBoolean:
		w.Boolean(r.Boolean())
	case data.TypeString:
		w.TextBytes(r.Bytes())
	case data.TypeBytes:
		if c.number {
			w.DecimalBytes(r.Unscaled())
		} else {
			w.Bytes(r.Bytes())
		}
	default:
		c.copyNested(r, w)
	}
}

func (c *copying) copyNested(r *data.RowReader, w *data.RowWriter) {
	switch c.typ {
	case data.TypeArray:
		r.EnterArray()
		w.BeginArray()
		for r.More() {
			c.elem.copy(r, w)
		}
	case data.TypeMap:
		r.EnterMap()
		w.BeginMap()
		for r.More() {
			c.key.copy(r, w)
			c.elem.copy(r, w)
		}
	case data.TypeStruct:
		r.EnterStruct()
		w.BeginStruct()
		for i := range c.fields {
			c.fields[i].copy(r, w)
		}
	}
	r.Leave()
	w.End()
}

// write writes a value that is known ahead: one of a scalar type, or an empty
// array or map.
func write(w *data.RowWriter, v any) {
	switch v := v.(type) {
	case nil:
		w.Null()
	case int8:
		w.Int8(v)
	case int16:
		w.Int16(v)
	case int32:
		w.Int32(v)
	case int64:
		w.Int64(v)
	case float32:
		w.Float32(v)
	case float64:
		w.Float64(v)
	case bool:
		w.Boolean(v)
	case string:
		w.Text(v)
	case data.Decimal:
		w.DecimalBytes(v.AppendUnscaled(nil))
	case []any:
		w.BeginArray()
		w.End()
	case data.Map:
		w.BeginMap()
		w.End()
	}
}
