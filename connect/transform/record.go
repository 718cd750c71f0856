package transform

import (
	"fmt"

	"github.com/millrace/millrace/plugins/data"
)

// Record is a record on its way through a Chain. The exported fields may be
// set; Headers must be replaced, not changed in place.
type Record struct {
	Topic     string
	Partition int32 // data.NoPartition for none
	Timestamp int64 // milliseconds since the epoch, or data.NoTimestamp
	Headers   []data.Header

	offset     int64
	key, value cell
	stage      int
	mem        arena
}

// cell is the key or the value of a record: a datum as it came or as a plan
// wrote it, and what it decodes to once somebody asked, or a value that
// replaced it and has no bytes yet.
type cell struct {
	datum    data.Datum
	decoded  any
	open     bool // decoded is valid
	replaced bool // decoded is all there is, with datum.Schema
	stage    int  // that replaced it
}

func (r *Record) reset(rec *data.Record) {
	r.Topic, r.Partition, r.Timestamp, r.Headers = rec.Topic, rec.Partition, rec.Timestamp, rec.Headers
	r.offset = rec.Offset
	r.key, r.value = cell{datum: normal(rec.Key)}, cell{datum: normal(rec.Value)}
	r.stage = 0
}

// normal turns a null that another writer gave a row into one without.
func normal(d data.Datum) data.Datum {
	if d.State == data.Present && d.Schema != nil && d.Schema.Optional() && data.IsNullRow(d.Schema, d.Row) {
		return nullOf(d.Schema)
	}
	return d
}

// nullOf is the null of a schema.
func nullOf(s *data.Schema) data.Datum {
	_, hasDefault := s.Default()
	return data.Datum{Schema: s, State: data.Null, NullDefault: hasDefault}
}

// store writes the record back. On an error rec is as it was; stage is that
// which made the value at fault.
func (r *Record) store(rec *data.Record) (stage int, err error) {
	key, err := r.encoded(&r.key)
	if err != nil {
		return r.key.stage, fmt.Errorf("key: %w", err)
	}
	value, err := r.encoded(&r.value)
	if err != nil {
		return r.value.stage, fmt.Errorf("value: %w", err)
	}
	rec.Topic, rec.Partition, rec.Timestamp, rec.Headers = r.Topic, r.Partition, r.Timestamp, r.Headers
	rec.Key, rec.Value = key, value
	return 0, nil
}

// side returns the key or the value.
func (r *Record) side(s Side) *cell {
	if s == Key {
		return &r.key
	}
	return &r.value
}

// encoded returns a cell as a datum.
func (r *Record) encoded(c *cell) (data.Datum, error) {
	if !c.replaced {
		return c.datum, nil
	}
	return r.encode(c.datum.Schema, c.decoded)
}

func (r *Record) encode(s *data.Schema, v any) (data.Datum, error) {
	switch {
	case v == nil && s == nil:
		return data.Datum{}, nil
	case v == nil:
		return nullOf(s), nil
	case s == nil:
		row, err := data.EncodeSchemaless(r.mem.free(), v)
		return data.Datum{State: data.Present, Row: r.mem.keep(row)}, err
	}
	row, nullDefault, err := data.Encode(r.mem.free(), s, v)
	return data.Datum{Schema: s, State: data.Present, Row: r.mem.keep(row), NullDefault: nullDefault}, err
}

// schema returns the schema, nil for schemaless values.
func (c *cell) schema() *data.Schema { return c.datum.Schema }

// isNull reports whether the value is null, with or without schema.
func (c *cell) isNull() bool {
	if c.replaced {
		return c.decoded == nil
	}
	return c.datum.IsNull()
}

// get returns the decoded value, which must not be changed.
func (c *cell) get() (any, error) {
	if !c.open {
		v, err := c.datum.Value()
		if err != nil {
			return nil, err
		}
		c.decoded, c.open = v, true
	}
	return c.decoded, nil
}

// set replaces a cell by a value, which is checked against the schema when it
// is encoded.
func (r *Record) set(c *cell, s *data.Schema, v any) {
	*c = cell{datum: data.Datum{Schema: s}, decoded: v, open: true, replaced: true, stage: r.stage}
}

// setDatum replaces a cell by a datum.
func (r *Record) setDatum(c *cell, d data.Datum) { *c = cell{datum: d, stage: r.stage} }

// structOf returns the value of a cell that must be a struct.
func (c *cell) structOf(purpose string) (*data.Struct, error) {
	v, err := c.get()
	if err != nil {
		return nil, err
	}
	s, ok := v.(*data.Struct)
	if !ok {
		return nil, fmt.Errorf("only structs are supported for %s when there is a schema, not %s", purpose, kindOf(v))
	}
	return s, nil
}

// mapOf returns the value of a schemaless cell that must be a map.
func (c *cell) mapOf(purpose string) (map[string]any, error) {
	v, err := c.get()
	if err != nil {
		return nil, err
	}
	m, ok := v.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("only maps are supported for %s without schema, not %s", purpose, kindOf(v))
	}
	return m, nil
}

// fieldOf reads a field, with its default for null if asked to, as the
// setting replace.null.with.default says.
func fieldOf(s *data.Struct, i int, withDefault bool) any {
	if withDefault {
		return s.At(i)
	}
	return s.AtWithoutDefault(i)
}

// put sets a field unless the value is null, which is left to the check of
// the whole struct: a required field with a default gets that.
func put(s *data.Struct, i int, v any) error {
	if v == nil {
		return nil
	}
	return s.PutAt(i, v)
}

// addHeader appends a header to a copy of the list.
func (r *Record) addHeader(name string, s *data.Schema, v any) error {
	d, err := r.encode(s, v)
	if err != nil {
		return fmt.Errorf("header %q: %w", name, err)
	}
	r.Headers = append(r.Headers[:len(r.Headers):len(r.Headers)], data.Header{Name: name, Value: d})
	return nil
}
