package format

import (
	"fmt"
	"strconv"

	"github.com/parquet-go/parquet-go"

	"github.com/millrace/millrace/plugins/data"
)

// column is a node of a Parquet schema, compiled to take values from rows.
type column struct {
	kind     columnKind
	typ      data.Type
	decimal  bool
	optional bool
	depth    int       // repetition level of the elements of a list or map
	index    int       // of a leaf's column
	parts    []*column // fields, element, or key and value
}

type columnKind int

const (
	leafColumn columnKind = iota
	groupColumn
	listColumn
	mapColumn
)

// columns counts leaves while a schema is compiled.
type columns struct{ leaves int }

// ordered is a group whose fields keep the order of the schema; the library's
// own sorts them by name.
type ordered struct {
	parquet.Group
	names []string
}

// Fields implements parquet.Node.
func (o ordered) Fields() []parquet.Field {
	sorted := o.Group.Fields()
	out := make([]parquet.Field, 0, len(sorted))
	for _, name := range o.names {
		for _, f := range sorted {
			if f.Name() == name {
				out = append(out, f)
				break
			}
		}
	}
	return out
}

// node compiles a schema. depth is the number of repeated nodes above.
func (c *columns) node(s *data.Schema, depth int) (n parquet.Node, col *column, err error) {
	switch s.Type() {
	case data.TypeStruct:
		n, col, err = c.group(s, depth)
	case data.TypeArray:
		n, col, err = c.list(s, depth)
	case data.TypeMap:
		n, col, err = c.mapping(s, depth)
	default:
		col = &column{typ: s.Type(), index: c.leaves}
		c.leaves++
		n, col.decimal, err = leaf(s)
	}
	if err != nil {
		return nil, nil, err
	}
	if col.optional = s.Optional(); col.optional {
		n = parquet.Optional(n)
	}
	return n, col, nil
}

func (c *columns) group(s *data.Schema, depth int) (parquet.Node, *column, error) {
	if len(s.Fields()) == 0 {
		return nil, nil, fmt.Errorf("struct %q has no fields, which a Parquet file cannot hold", s.Name())
	}
	g, col := ordered{Group: parquet.Group{}}, &column{kind: groupColumn}
	for _, f := range s.Fields() {
		n, part, err := c.node(f.Schema, depth)
		if err != nil {
			return nil, nil, fmt.Errorf("field %s: %w", f.Name, err)
		}
		g.Group[f.Name], g.names = n, append(g.names, f.Name)
		col.parts = append(col.parts, part)
	}
	return g, col, nil
}

func (c *columns) list(s *data.Schema, depth int) (parquet.Node, *column, error) {
	n, part, err := c.node(s.ValueSchema(), depth+1)
	if err != nil {
		return nil, nil, err
	}
	return parquet.List(n), &column{kind: listColumn, depth: depth + 1, parts: []*column{part}}, nil
}

// mapping is a map, or a list of pairs where keys are no text, as in Avro.
func (c *columns) mapping(s *data.Schema, depth int) (parquet.Node, *column, error) {
	key, keyColumn, err := c.node(s.KeySchema(), depth+1)
	if err != nil {
		return nil, nil, err
	}
	value, valueColumn, err := c.node(s.ValueSchema(), depth+1)
	if err != nil {
		return nil, nil, err
	}
	col := &column{kind: mapColumn, depth: depth + 1, parts: []*column{keyColumn, valueColumn}}
	if s.KeySchema().Type() == data.TypeString && !s.KeySchema().Optional() {
		return parquet.Map(key, value), col, nil
	}
	return parquet.List(ordered{parquet.Group{"key": key, "value": value}, []string{"key", "value"}}), col, nil
}

// avroPrecision is what decimals have that do not say how many digits.
const avroPrecision = 64

func leaf(s *data.Schema) (n parquet.Node, decimal bool, err error) {
	if scale, ok := s.Scale(); ok {
		precision := avroPrecision
		if text, ok := s.Param(data.PrecisionParam); ok {
			if precision, err = strconv.Atoi(text); err != nil {
				return nil, false, fmt.Errorf("precision of a decimal: %w", err)
			}
		}
		if scale < 0 || int(scale) > precision || precision < 1 {
			return nil, false, fmt.Errorf("a decimal of %d digits with %d behind the point cannot be a Parquet column", precision, scale)
		}
		return parquet.Decimal(int(scale), precision, parquet.ByteArrayType), true, nil
	}
	switch {
	case s.Name() == data.DateName:
		n = parquet.Date()
	case s.Name() == data.TimeName:
		n = parquet.Time(parquet.Millisecond)
	case s.Name() == data.TimestampName:
		n = parquet.Timestamp(parquet.Millisecond)
	case s.Type() == data.TypeBoolean:
		return parquet.Leaf(parquet.BooleanType), false, nil
	case s.Type() == data.TypeString:
		n = parquet.String()
	case s.Type() == data.TypeBytes:
		n = parquet.Leaf(parquet.ByteArrayType)
	case s.Type() == data.TypeInt64:
		n = parquet.Leaf(parquet.Int64Type)
	case s.Type() == data.TypeFloat32:
		n = parquet.Leaf(parquet.FloatType)
	case s.Type() == data.TypeFloat64:
		n = parquet.Leaf(parquet.DoubleType)
	default:
		n = parquet.Leaf(parquet.Int32Type)
	}
	return parquet.Encoded(n, &parquet.RLEDictionary), false, nil
}

// read takes a value from a row into the cells. repetition and definition are
// the levels of what is above.
func (c *column) read(r *data.RowReader, cells [][]parquet.Value, repetition, definition int) {
	if c.optional {
		if r.Null() {
			c.missing(cells, repetition, definition)
			return
		}
		definition++
	}
	c.present(r, cells, repetition, definition)
}

func (c *column) present(r *data.RowReader, cells [][]parquet.Value, repetition, definition int) {
	switch c.kind {
	case leafColumn:
		cells[c.index] = append(cells[c.index], c.value(r).Level(repetition, definition, c.index))
		return
	case groupColumn:
		r.EnterStruct()
		for _, p := range c.parts {
			p.read(r, cells, repetition, definition)
		}
		r.Leave()
		return
	case listColumn:
		r.EnterArray()
	case mapColumn:
		r.EnterMap()
	}
	empty := true
	for r.More() {
		for _, p := range c.parts {
			p.read(r, cells, repetition, definition+1)
		}
		repetition, empty = c.depth, false
	}
	if empty {
		c.missing(cells, repetition, definition)
	}
	r.Leave()
}

// missing writes nulls into all columns beneath.
func (c *column) missing(cells [][]parquet.Value, repetition, definition int) {
	if c.kind == leafColumn {
		cells[c.index] = append(cells[c.index], parquet.NullValue().Level(repetition, definition, c.index))
		return
	}
	for _, p := range c.parts {
		p.missing(cells, repetition, definition)
	}
}

// value reads a leaf. Bytes alias the row.
func (c *column) value(r *data.RowReader) parquet.Value {
	if c.decimal {
		return parquet.ByteArrayValue(r.Unscaled())
	}
	switch c.typ {
	case data.TypeInt8:
		return parquet.Int32Value(int32(r.Int8()))
	case data.TypeInt16:
		return parquet.Int32Value(int32(r.Int16()))
	case data.TypeInt32:
		return parquet.Int32Value(r.Int32())
	case data.TypeInt64:
		return parquet.Int64Value(r.Int64())
	case data.TypeFloat32:
		return parquet.FloatValue(r.Float32())
	case data.TypeFloat64:
		return parquet.DoubleValue(r.Float64())
	case data.TypeBoolean:
		return parquet.BooleanValue(r.Boolean())
	default:
		return parquet.ByteArrayValue(r.Bytes())
	}
}
