package aiven

import (
	"fmt"
	"slices"

	"github.com/millrace/millrace/plugins/data"
)

// Envelope makes of records the structs that files of Avro and Parquet hold.
type Envelope struct {
	fields     []string
	bare       bool // without an envelope round a struct
	key, value *data.Schema
	schema     *data.Schema // of key and value
}

// NewEnvelope makes one of fields. bare leaves the envelope away where the only
// field is a struct itself.
func NewEnvelope(fields []string, bare bool) *Envelope { return &Envelope{fields: fields, bare: bare} }

// headersSchema is of headers, their values as text: of what type they are may
// differ from record to record, and one file has one schema.
//
// Differs from Aiven's, whose map has the type of the first record's values.
var headersSchema = data.MapOf(data.StringSchema, data.OptionalStringSchema).MustBuild()

// Schema returns the schema of a record's struct.
func (e *Envelope) Schema(r *data.Record) (*data.Schema, error) {
	if d, ok := e.alone(r); ok {
		return d.Schema, nil
	}
	if e.schema != nil && e.key == r.Key.Schema && e.value == r.Value.Schema {
		return e.schema, nil
	}
	b := data.NewStructBuilder().Name("io.aiven.connector_records")
	for _, f := range e.fields {
		switch f {
		case Key:
			if r.Key.Schema == nil {
				return nil, noSchema("key")
			}
			b.Field(f, r.Key.Schema)
		case Value:
			if r.Value.Schema == nil {
				return nil, noSchema("value")
			}
			b.Field(f, r.Value.Schema)
		case Offset:
			b.Field(f, data.Int64Schema)
		case Timestamp:
			b.Field(f, data.OptionalInt64Schema)
		case Headers:
			b.Field(f, headersSchema)
		}
	}
	s, err := b.Build()
	if err != nil {
		return nil, err
	}
	if e.schema == nil || !e.schema.Equal(s) {
		e.schema = s
	}
	e.key, e.value = r.Key.Schema, r.Value.Schema
	return e.schema, nil
}

func noSchema(what string) error {
	return fmt.Errorf("the %s has no schema, which files of Avro and Parquet need: use a converter that knows schemas", what)
}

// alone returns the only field if it is a struct that needs no envelope.
func (e *Envelope) alone(r *data.Record) (data.Datum, bool) {
	if !e.bare {
		return data.Datum{}, false
	}
	d := r.Value
	if e.fields[0] == Key {
		d = r.Key
	}
	return d, (e.fields[0] == Key || e.fields[0] == Value) && d.Schema != nil && d.Schema.Type() == data.TypeStruct && !d.IsNull()
}

// Datum returns a record's struct.
func (e *Envelope) Datum(r *data.Record) (data.Datum, error) {
	if d, ok := e.alone(r); ok {
		return d, nil
	}
	schema, err := e.Schema(r)
	if err != nil {
		return data.Datum{}, err
	}
	s := data.NewStruct(schema)
	for _, f := range e.fields {
		v, err := e.field(f, r)
		if err == nil {
			err = s.Put(f, v)
		}
		if err != nil {
			return data.Datum{}, fmt.Errorf("%s: %w", f, err)
		}
	}
	return data.NewDatum(schema, s)
}

func (e *Envelope) field(name string, r *data.Record) (any, error) {
	switch name {
	case Key:
		return r.Key.Value()
	case Value:
		return r.Value.Value()
	case Offset:
		return r.OriginalOffset, nil
	case Timestamp:
		if r.Timestamp == data.NoTimestamp {
			return nil, nil
		}
		return r.Timestamp, nil
	}
	return headersMap(r.Headers)
}

// headersMap is a record's headers, of those of one name the last.
func headersMap(headers []data.Header) (data.Map, error) {
	out := make(data.Map, 0, len(headers))
	for _, h := range headers {
		v, err := h.Value.Value()
		if err != nil {
			return nil, fmt.Errorf("header %s: %w", h.Name, err)
		}
		if v != nil {
			v = data.Text(v)
		}
		out = slices.DeleteFunc(out, func(e data.Entry) bool { return e.Key == h.Name })
		out = append(out, data.Entry{Key: h.Name, Value: v})
	}
	return out, nil
}
