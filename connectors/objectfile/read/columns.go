package read

import (
	"encoding/binary"
	"fmt"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"

	"github.com/millrace/millrace/plugins/data"
)

// cell is a node of a file's tree of columns, compiled to write its values into
// rows of a Connect schema.
type cell struct {
	kind     cellKind
	optional bool
	level    int // definition level at which the value is there
	some     int // list and map: definition level at which there is an element
	repeats  int // list and map: repetition level of a further element
	first    int // the first column beneath
	last     int // one more than the last
	put      func(*data.RowWriter, parquet.Value)
	parts    []*cell // fields, element, or key and value
}

type cellKind int

const (
	leafCell cellKind = iota
	structCell
	listCell
	mapCell
)

// logical returns what is said of a column beside its type, nil if nothing is.
func logical(c *parquet.Column) any {
	if t := c.Type(); t != nil {
		if l := t.LogicalType(); l != nil {
			return l.Value
		}
	}
	return nil
}

func isList(c *parquet.Column) bool { _, ok := logical(c).(*format.ListType); return ok && !c.Leaf() }
func isMap(c *parquet.Column) bool  { _, ok := logical(c).(*format.MapType); return ok && !c.Leaf() }

// element finds a list's repeated node and the node of its elements, by the
// rules of the format for old writers too.
func element(c *parquet.Column) (repeated, elem *parquet.Column, err error) {
	if len(c.Columns()) != 1 || !c.Columns()[0].Repeated() {
		return nil, nil, fmt.Errorf("list %s has no repeated node", c.Name())
	}
	r := c.Columns()[0]
	if r.Leaf() || len(r.Columns()) != 1 || r.Name() == "array" || r.Name() == c.Name()+"_tuple" {
		return r, r, nil
	}
	return r, r.Columns()[0], nil
}

func entries(c *parquet.Column) (repeated *parquet.Column, err error) {
	if len(c.Columns()) != 1 || !c.Columns()[0].Repeated() || len(c.Columns()[0].Columns()) != 2 {
		return nil, fmt.Errorf("map %s has no repeated pair of key and value", c.Name())
	}
	return c.Columns()[0], nil
}

// maxDepth bounds the nesting of columns.
const maxDepth = 100

// derive makes the Connect schema of a tree of columns.
func derive(c *parquet.Column) (*data.Schema, error) { return deriveAt(c, 0, false) }

// deriveAt makes the schema of a node; inner is an element that is its own
// repeated node.
func deriveAt(c *parquet.Column, depth int, inner bool) (s *data.Schema, err error) {
	var b *data.Builder
	switch {
	case depth > maxDepth:
		return nil, fmt.Errorf("columns are nested more than %d deep", maxDepth)
	case c.Repeated() && !inner: // a list that is not called one
		s, err := deriveAt(c, depth+1, true)
		if err != nil {
			return nil, err
		}
		return data.ArrayOf(s).Build()
	case c.Leaf():
		if b, err = leafSchema(c); err != nil {
			return nil, err
		}
	case isList(c):
		r, e, err := element(c)
		if err != nil {
			return nil, err
		}
		s, err := deriveAt(e, depth+1, r == e)
		if err != nil {
			return nil, err
		}
		b = data.ArrayOf(s)
	case isMap(c):
		r, err := entries(c)
		if err != nil {
			return nil, err
		}
		key, err := deriveAt(r.Columns()[0], depth+1, false)
		if err != nil {
			return nil, err
		}
		value, err := deriveAt(r.Columns()[1], depth+1, false)
		if err != nil {
			return nil, err
		}
		b = data.MapOf(key, value)
	default:
		b = data.NewStructBuilder()
		if depth == 0 && c.Name() != "" {
			b.Name(c.Name())
		}
		for _, f := range c.Columns() {
			s, err := deriveAt(f, depth+1, false)
			if err != nil {
				return nil, err
			}
			b.Field(f.Name(), s)
		}
	}
	if c.Optional() {
		b.Optional()
	}
	return b.Build()
}

func leafSchema(c *parquet.Column) (*data.Builder, error) {
	kind := c.Type().Kind()
	switch l := logical(c).(type) {
	case *format.DecimalType:
		return data.DecimalBuilder(l.Scale), nil
	case *format.DateType:
		return data.DateBuilder(), nil
	case *format.TimeType:
		return data.TimeBuilder(), nil
	case *format.TimestampType:
		return data.TimestampBuilder(), nil
	case *format.IntType:
		switch {
		case l.IsSigned && l.BitWidth == 8:
			return data.NewBuilder(data.TypeInt8), nil
		case l.IsSigned && l.BitWidth == 16 || !l.IsSigned && l.BitWidth == 8:
			return data.NewBuilder(data.TypeInt16), nil
		case !l.IsSigned && l.BitWidth == 32:
			return data.NewBuilder(data.TypeInt64), nil
		}
	case *format.StringType, *format.EnumType, *format.JsonType, *format.UUIDType:
		return data.NewBuilder(data.TypeString), nil
	}
	if kind == parquet.Int96 {
		return data.TimestampBuilder(), nil
	}
	t, ok := map[parquet.Kind]data.Type{
		parquet.Boolean: data.TypeBoolean, parquet.Int32: data.TypeInt32, parquet.Int64: data.TypeInt64, parquet.Float: data.TypeFloat32,
		parquet.Double: data.TypeFloat64, parquet.ByteArray: data.TypeBytes, parquet.FixedLenByteArray: data.TypeBytes,
	}[kind]
	if !ok {
		return nil, fmt.Errorf("column %s is of type %v, which is not read", c.Name(), c.Type())
	}
	return data.NewBuilder(t), nil
}

// compiler numbers leaves while a tree is compiled.
type compiler struct{ leaves int }

// compile makes the cell of a tree for rows of a schema.
func (c *compiler) compile(col *parquet.Column, s *data.Schema) (*cell, error) {
	return c.node(col, s, false)
}

func mismatch(col *parquet.Column, s *data.Schema) error {
	return fmt.Errorf("column %s does not hold %s", col.Name(), s.Type())
}

func (c *compiler) node(col *parquet.Column, s *data.Schema, inner bool) (out *cell, err error) {
	first := c.leaves
	switch {
	case col.Repeated() && !inner:
		out = &cell{kind: listCell, some: col.MaxDefinitionLevel(), repeats: col.MaxRepetitionLevel(), level: col.MaxDefinitionLevel() - 1}
		if s.Type() != data.TypeArray {
			return nil, mismatch(col, s)
		}
		err = c.into(out, col, s.ValueSchema(), true)
	case col.Leaf():
		c.leaves++
		out = &cell{kind: leafCell}
		out.put, err = leafPut(col, s)
	case isList(col) && s.Type() == data.TypeArray:
		var r, e *parquet.Column
		if r, e, err = element(col); err != nil {
			return nil, err
		}
		out = &cell{kind: listCell, some: r.MaxDefinitionLevel(), repeats: r.MaxRepetitionLevel()}
		err = c.into(out, e, s.ValueSchema(), r == e)
	case s.Type() == data.TypeMap:
		out, err = c.mapping(col, s)
	case s.Type() == data.TypeStruct && !isList(col) && !isMap(col) && len(s.Fields()) == len(col.Columns()):
		out = &cell{kind: structCell}
		err = c.fields(out, col, s)
	default:
		return nil, mismatch(col, s)
	}
	if err != nil {
		return nil, err
	}
	if !col.Repeated() || inner {
		out.level = col.MaxDefinitionLevel()
	}
	out.first, out.last, out.optional = first, c.leaves, col.Optional()
	if out.first == out.last {
		return nil, fmt.Errorf("%s has no columns", col.Name())
	}
	if out.optional && !s.Optional() {
		_, defaults := s.Default()
		if !defaults {
			return nil, mismatch(col, s)
		}
	}
	return out, nil
}

// into compiles a part of a cell.
func (c *compiler) into(out *cell, col *parquet.Column, s *data.Schema, inner bool) error {
	part, err := c.node(col, s, inner)
	out.parts = append(out.parts, part)
	return err
}

func (c *compiler) fields(out *cell, col *parquet.Column, s *data.Schema) error {
	for i, f := range s.Fields() {
		if col.Columns()[i].Name() != f.Name {
			return fmt.Errorf("column %s is not field %s", col.Columns()[i].Name(), f.Name)
		}
		if err := c.into(out, col.Columns()[i], f.Schema, false); err != nil {
			return err
		}
	}
	return nil
}

// mapping is a map, or the list of pairs that the sink writes where keys are no
// text.
func (c *compiler) mapping(col *parquet.Column, s *data.Schema) (*cell, error) {
	var r, pair *parquet.Column
	var err error
	switch {
	case isMap(col):
		r, err = entries(col)
		pair = r
	case isList(col):
		r, pair, err = element(col)
	default:
		return nil, mismatch(col, s)
	}
	if err == nil && len(pair.Columns()) != 2 {
		err = mismatch(col, s)
	}
	if err != nil {
		return nil, err
	}
	out := &cell{kind: mapCell, some: r.MaxDefinitionLevel(), repeats: r.MaxRepetitionLevel()}
	if err := c.into(out, pair.Columns()[0], s.KeySchema(), false); err != nil {
		return nil, err
	}
	return out, c.into(out, pair.Columns()[1], s.ValueSchema(), false)
}

// row is the values of one row, by column, of which those that were written are
// cut off.
type row struct{ columns [][]parquet.Value }

// peek returns the levels of the next value of a cell; ok is false after the
// last.
func (r *row) peek(c *cell) (definition, repetition int, ok bool) {
	if v := r.columns[c.first]; len(v) > 0 {
		return v[0].DefinitionLevel(), v[0].RepetitionLevel(), true
	}
	return 0, 0, false
}

// drop passes over a value that is not there.
func (r *row) drop(c *cell) {
	for i := c.first; i < c.last; i++ {
		if len(r.columns[i]) > 0 {
			r.columns[i] = r.columns[i][1:]
		}
	}
}

func (r *row) write(w *data.RowWriter, c *cell) {
	definition, _, ok := r.peek(c)
	if !ok || w.Err() != nil {
		w.Null() // fails where a value is needed
		return
	}
	if c.optional && definition < c.level {
		w.Null()
		r.drop(c)
		return
	}
	switch c.kind {
	case leafCell:
		c.put(w, r.columns[c.first][0])
		r.drop(c)
	case structCell:
		w.BeginStruct()
		for _, p := range c.parts {
			r.write(w, p)
		}
		w.End()
	case listCell, mapCell:
		r.elements(w, c, definition)
	}
}

func (r *row) elements(w *data.RowWriter, c *cell, definition int) {
	if c.kind == mapCell {
		w.BeginMap()
	} else {
		w.BeginArray()
	}
	if definition < c.some {
		r.drop(c)
		w.End()
		return
	}
	for more := true; more && w.Err() == nil; {
		for _, p := range c.parts {
			r.write(w, p)
		}
		_, repetition, ok := r.peek(c)
		more = ok && repetition == c.repeats
	}
	w.End()
}

// leafPut returns what writes a column's values as a schema's.
func leafPut(col *parquet.Column, s *data.Schema) (func(*data.RowWriter, parquet.Value), error) {
	kind := col.Type().Kind()
	binaries := kind == parquet.ByteArray || kind == parquet.FixedLenByteArray
	if _, ok := s.Scale(); ok {
		switch {
		case kind == parquet.Int32:
			return func(w *data.RowWriter, v parquet.Value) { w.DecimalInt64(int64(v.Int32())) }, nil
		case kind == parquet.Int64:
			return func(w *data.RowWriter, v parquet.Value) { w.DecimalInt64(v.Int64()) }, nil
		case binaries:
			return func(w *data.RowWriter, v parquet.Value) { w.DecimalBytes(v.ByteArray()) }, nil
		}
		return nil, mismatch(col, s)
	}
	if put := timePut(col, s); put != nil {
		return put, nil
	}
	type put = func(*data.RowWriter, parquet.Value)
	fits := map[data.Type]map[parquet.Kind]put{
		data.TypeBoolean: {parquet.Boolean: func(w *data.RowWriter, v parquet.Value) { w.Boolean(v.Boolean()) }},
		data.TypeInt8:    {parquet.Int32: func(w *data.RowWriter, v parquet.Value) { w.Int8(int8(v.Int32())) }},
		data.TypeInt16:   {parquet.Int32: func(w *data.RowWriter, v parquet.Value) { w.Int16(int16(v.Int32())) }},
		data.TypeInt32:   {parquet.Int32: func(w *data.RowWriter, v parquet.Value) { w.Int32(v.Int32()) }},
		data.TypeInt64: {
			parquet.Int32: func(w *data.RowWriter, v parquet.Value) { w.Int64(int64(v.Uint32())) },
			parquet.Int64: func(w *data.RowWriter, v parquet.Value) { w.Int64(v.Int64()) },
			parquet.Int96: func(w *data.RowWriter, v parquet.Value) { w.Int64(int96Millis(v)) },
		},
		data.TypeFloat32: {parquet.Float: func(w *data.RowWriter, v parquet.Value) { w.Float32(v.Float()) }},
		data.TypeFloat64: {parquet.Double: func(w *data.RowWriter, v parquet.Value) { w.Float64(v.Double()) }},
		data.TypeString:  {parquet.ByteArray: func(w *data.RowWriter, v parquet.Value) { w.TextBytes(v.ByteArray()) }},
		data.TypeBytes: {
			parquet.ByteArray:         func(w *data.RowWriter, v parquet.Value) { w.Bytes(v.ByteArray()) },
			parquet.FixedLenByteArray: func(w *data.RowWriter, v parquet.Value) { w.Bytes(v.ByteArray()) },
		},
	}
	if _, ok := logical(col).(*format.UUIDType); ok && s.Type() == data.TypeString {
		return func(w *data.RowWriter, v parquet.Value) {
			b := v.ByteArray()
			w.Text(fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:]))
		}, nil
	}
	if f := fits[s.Type()][kind]; f != nil {
		return f, nil
	}
	return nil, mismatch(col, s)
}

// timePut returns what writes times that are finer than Connect's, which count
// milliseconds: rounded down. It is nil for others.
func timePut(col *parquet.Column, s *data.Schema) func(*data.RowWriter, parquet.Value) {
	var unit format.TimeUnit
	switch l := logical(col).(type) {
	case *format.TimestampType:
		unit = l.Unit
	case *format.TimeType:
		unit = l.Unit
	}
	var per int64
	switch unit.Value.(type) {
	case *format.MicroSeconds:
		per = 1e3
	case *format.NanoSeconds:
		per = 1e6
	default:
		return nil
	}
	switch s.Name() {
	case data.TimestampName:
		return func(w *data.RowWriter, v parquet.Value) {
			n := v.Int64() / per
			if v.Int64()%per < 0 {
				n--
			}
			w.Int64(n)
		}
	case data.TimeName:
		return func(w *data.RowWriter, v parquet.Value) { w.Int32(int32(v.Int64() / per)) }
	}
	return nil
}

// int96Millis reads a time of old writers: nanoseconds of a day, and the day by
// the Julian calendar's count.
func int96Millis(v parquet.Value) int64 {
	x := v.Int96()
	var b [12]byte
	for i, part := range x {
		binary.LittleEndian.PutUint32(b[4*i:], part)
	}
	const unixDay, dayMillis = 2440588, 86_400_000
	return (int64(binary.LittleEndian.Uint32(b[8:]))-unixDay)*dayMillis + int64(binary.LittleEndian.Uint64(b[:8]))/1e6
}
