package read

import (
	"errors"
	"fmt"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"

	"github.com/millrace/millrace/plugins/data"
)

// shredded is a node of a Parquet schema, compiled to put values together from
// columns. A value is null, or a list ends, as the levels of the next value in
// the node's first column say.
type shredded struct {
	kind       shreddedKind
	first      int // of the columns below
	last       int
	optional   bool
	definition int // level at which the value is there
	repetition int // level of a list's further elements
	parts      []*shredded
	leaf       func(w *data.RowWriter, v parquet.Value)
}

type shreddedKind int

const (
	leafNode shreddedKind = iota
	groupNode
	listNode
	mapNode
)

// compiler counts columns.
type compiler struct{ leaves int }

// maxColumns bounds the columns of a file.
const maxColumns = 10000

// node compiles a node. definition and repetition are the levels of what is
// above.
func (c *compiler) node(n parquet.Node, definition, repetition int) (*shredded, *data.Schema, error) {
	if n.Repeated() { // without the annotation of a list
		one, s, err := c.value(n, definition+1, repetition+1)
		if err != nil {
			return nil, nil, err
		}
		array, err := data.ArrayOf(s).Build()
		return &shredded{kind: listNode, first: one.first, last: one.last, definition: definition, repetition: repetition + 1, parts: []*shredded{one}}, array, err
	}
	optional := n.Optional()
	if optional {
		definition++
	}
	out, s, err := c.value(n, definition, repetition)
	if err != nil {
		return nil, nil, err
	}
	if out.optional = optional; optional {
		s = data.AsOptional(s)
	}
	return out, s, nil
}

// value compiles a node that is there.
func (c *compiler) value(n parquet.Node, definition, repetition int) (*shredded, *data.Schema, error) {
	if n.Leaf() {
		return c.column(n, definition)
	}
	if fields := n.Fields(); len(fields) == 1 && fields[0].Repeated() {
		switch logical(n.Type()).(type) {
		case *format.ListType:
			return c.list(fields[0], definition, repetition)
		case *format.MapType:
			if pair := fields[0]; !pair.Leaf() && len(pair.Fields()) == 2 {
				return c.mapping(pair.Fields(), definition, repetition)
			}
		}
	}
	return c.group(n, definition, repetition)
}

func (c *compiler) group(n parquet.Node, definition, repetition int) (*shredded, *data.Schema, error) {
	g, b := &shredded{kind: groupNode, first: c.leaves, definition: definition}, data.NewStructBuilder()
	for _, f := range n.Fields() {
		part, s, err := c.node(f, definition, repetition)
		if err != nil {
			return nil, nil, fmt.Errorf("column %s: %w", f.Name(), err)
		}
		g.parts = append(g.parts, part)
		b.Field(f.Name(), s)
	}
	g.last = c.leaves
	if g.first == g.last {
		return nil, nil, errors.New("a group has no columns")
	}
	s, err := b.Build()
	return g, s, err
}

// list compiles a list of three levels, or of two, whose repeated node is the
// element itself.
func (c *compiler) list(repeated parquet.Field, definition, repetition int) (*shredded, *data.Schema, error) {
	var one *shredded
	var s *data.Schema
	var err error
	if !repeated.Leaf() && len(repeated.Fields()) == 1 && repeated.Name() != "array" {
		one, s, err = c.node(repeated.Fields()[0], definition+1, repetition+1)
	} else {
		one, s, err = c.value(repeated, definition+1, repetition+1)
	}
	if err != nil {
		return nil, nil, err
	}
	array, err := data.ArrayOf(s).Build()
	return &shredded{kind: listNode, first: one.first, last: one.last, definition: definition, repetition: repetition + 1, parts: []*shredded{one}}, array, err
}

func (c *compiler) mapping(fields []parquet.Field, definition, repetition int) (*shredded, *data.Schema, error) {
	key, keySchema, err := c.node(fields[0], definition+1, repetition+1)
	if err != nil {
		return nil, nil, err
	}
	value, valueSchema, err := c.node(fields[1], definition+1, repetition+1)
	if err != nil {
		return nil, nil, err
	}
	m, err := data.MapOf(keySchema, valueSchema).Build()
	return &shredded{kind: mapNode, first: key.first, last: value.last, definition: definition, repetition: repetition + 1, parts: []*shredded{key, value}}, m, err
}

func (c *compiler) column(n parquet.Node, definition int) (*shredded, *data.Schema, error) {
	leaf, s, err := leafOf(n.Type())
	if err != nil {
		return nil, nil, err
	}
	out := &shredded{first: c.leaves, last: c.leaves + 1, definition: definition, leaf: leaf}
	if c.leaves++; c.leaves > maxColumns {
		return nil, nil, fmt.Errorf("there are more than %d columns", maxColumns)
	}
	return out, s, nil
}

// logical returns what a type means beyond how it is stored, nil for nothing.
func logical(t parquet.Type) format.LogicalTypeValue {
	if l := t.LogicalType(); l != nil {
		return l.Value
	}
	return nil
}

// leafOf returns how a column's values are written, and their schema.
func leafOf(t parquet.Type) (func(*data.RowWriter, parquet.Value), *data.Schema, error) {
	l := logical(t)
	if l, ok := l.(*format.DecimalType); ok {
		s, err := data.DecimalBuilder(l.Scale).Param(data.PrecisionParam, fmt.Sprint(l.Precision)).Build()
		return decimalLeaf(t.Kind()), s, err
	}
	switch t.Kind() {
	case parquet.Boolean:
		return func(w *data.RowWriter, v parquet.Value) { w.Boolean(v.Boolean()) }, data.BooleanSchema, nil
	case parquet.Int32:
		return int32Leaf(l)
	case parquet.Int64:
		return int64Leaf(l)
	case parquet.Int96: // what Hive and Impala wrote: a day and its nanoseconds
		return func(w *data.RowWriter, v parquet.Value) {
			i := v.Int96()
			w.Int64((int64(i[2])-2440588)*86400000 + (int64(i[1])<<32|int64(i[0]))/1e6)
		}, data.TimestampSchema, nil
	case parquet.Float:
		return func(w *data.RowWriter, v parquet.Value) { w.Float32(v.Float()) }, data.Float32Schema, nil
	case parquet.Double:
		return func(w *data.RowWriter, v parquet.Value) { w.Float64(v.Double()) }, data.Float64Schema, nil
	}
	switch l.(type) {
	case *format.StringType, *format.EnumType, *format.JsonType:
		return func(w *data.RowWriter, v parquet.Value) { w.TextBytes(v.ByteArray()) }, data.StringSchema, nil
	}
	return func(w *data.RowWriter, v parquet.Value) { w.Bytes(v.ByteArray()) }, data.BytesSchema, nil
}

func int32Leaf(l format.LogicalTypeValue) (func(*data.RowWriter, parquet.Value), *data.Schema, error) {
	plain := func(w *data.RowWriter, v parquet.Value) { w.Int32(v.Int32()) }
	switch l := l.(type) {
	case *format.DateType:
		return plain, data.DateSchema, nil
	case *format.TimeType:
		return plain, data.TimeSchema, nil
	case *format.IntType:
		if l.IsSigned || l.BitWidth < 32 {
			break
		}
		return func(w *data.RowWriter, v parquet.Value) { w.Int64(int64(v.Uint32())) }, data.Int64Schema, nil
	}
	return plain, data.Int32Schema, nil
}

func int64Leaf(l format.LogicalTypeValue) (func(*data.RowWriter, parquet.Value), *data.Schema, error) {
	perMilli := func(u format.TimeUnit) int64 {
		switch u.Value.(type) {
		case *format.MicroSeconds:
			return 1e3
		case *format.NanoSeconds:
			return 1e6
		}
		return 1
	}
	switch l := l.(type) {
	case *format.TimestampType:
		unit := perMilli(l.Unit)
		return func(w *data.RowWriter, v parquet.Value) { w.Int64(floor(v.Int64(), unit)) }, data.TimestampSchema, nil
	case *format.TimeType:
		unit := perMilli(l.Unit)
		return func(w *data.RowWriter, v parquet.Value) { w.Int32(int32(v.Int64() / unit)) }, data.TimeSchema, nil
	}
	return func(w *data.RowWriter, v parquet.Value) { w.Int64(v.Int64()) }, data.Int64Schema, nil
}

func floor(v, unit int64) int64 {
	if v < 0 {
		return -((-v + unit - 1) / unit)
	}
	return v / unit
}

func decimalLeaf(kind parquet.Kind) func(*data.RowWriter, parquet.Value) {
	switch kind {
	case parquet.Int32:
		return func(w *data.RowWriter, v parquet.Value) { w.DecimalInt64(int64(v.Int32())) }
	case parquet.Int64:
		return func(w *data.RowWriter, v parquet.Value) { w.DecimalInt64(v.Int64()) }
	}
	return func(w *data.RowWriter, v parquet.Value) { w.DecimalBytes(v.ByteArray()) }
}

// errColumns is a row whose columns do not belong together.
var errColumns = errors.New("its columns do not have the values that their levels promise")

// write puts a value together, and takes what it is made of from the cells.
func (n *shredded) write(w *data.RowWriter, cells [][]parquet.Value) error {
	if len(cells[n.first]) == 0 {
		return errColumns
	}
	if n.optional && cells[n.first][0].DefinitionLevel() < n.definition {
		w.Null()
		return n.drop(cells)
	}
	switch n.kind {
	case leafNode:
		n.leaf(w, cells[n.first][0])
		cells[n.first] = cells[n.first][1:]
		return nil
	case groupNode:
		w.BeginStruct()
		for _, p := range n.parts {
			if err := p.write(w, cells); err != nil {
				return err
			}
		}
		w.End()
		return nil
	case listNode:
		w.BeginArray()
	case mapNode:
		w.BeginMap()
	}
	if err := n.elements(w, cells); err != nil {
		return err
	}
	w.End()
	return w.Err()
}

func (n *shredded) elements(w *data.RowWriter, cells [][]parquet.Value) error {
	if cells[n.first][0].DefinitionLevel() <= n.definition {
		return n.drop(cells) // it is empty
	}
	for {
		for _, p := range n.parts {
			if err := p.write(w, cells); err != nil {
				return err
			}
		}
		if rest := cells[n.first]; len(rest) == 0 || rest[0].RepetitionLevel() < n.repetition {
			return nil
		}
	}
}

// drop takes a value of each column below: the nulls that stand for what is not
// there.
func (n *shredded) drop(cells [][]parquet.Value) error {
	for i := n.first; i < n.last; i++ {
		if len(cells[i]) == 0 {
			return errColumns
		}
		cells[i] = cells[i][1:]
	}
	return nil
}
