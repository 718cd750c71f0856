package s3

import (
	"fmt"

	"github.com/millrace/millrace/connectors/objectfile/format"
	"github.com/millrace/millrace/plugins/data"
)

func valueOf(r *data.Record) (data.Datum, error) { return r.Value, nil }

// keyOf returns what a file of keys holds of a record.
func keyOf(f format.Format) func(*data.Record) (data.Datum, error) {
	if _, ok := f.(format.Parquet); !ok {
		return func(r *data.Record) (data.Datum, error) { return r.Key, nil }
	}
	var last, wrapped *data.Schema // keys have one schema as a rule
	return func(r *data.Record) (data.Datum, error) {
		if last == nil || last != r.Key.Schema {
			d, err := format.WrapKey(r.Key)
			if err != nil {
				return d, err
			}
			last, wrapped = r.Key.Schema, d.Schema
		}
		d := r.Key
		d.Schema = wrapped // as WrapKey does
		return d, nil
	}
}

// headerSchema is a header as it is stored: its value as text.
var (
	headerSchema = data.NewStructBuilder().Name("RecordHeader").
			Field("key", data.StringSchema).Field("value", data.OptionalStringSchema).MustBuild()
	headersSchema = data.NewStructBuilder().Name("RecordHeaders").
			Field("headers", data.ArrayOf(headerSchema).MustBuild()).MustBuild()
)

// headersOf returns a record's headers as one value, in the form that files of
// headers have.
func headersOf(r *data.Record) (data.Datum, error) {
	list := make([]any, len(r.Headers))
	for i, h := range r.Headers {
		v, err := h.Value.Value()
		if err != nil {
			return data.Datum{}, fmt.Errorf("header %q: %w", h.Name, err)
		}
		one := data.NewStruct(headerSchema)
		if err := one.Put("key", h.Name); err != nil {
			return data.Datum{}, err
		}
		if v != nil {
			if err := one.Put("value", data.Text(v)); err != nil {
				return data.Datum{}, err
			}
		}
		list[i] = one
	}
	all := data.NewStruct(headersSchema)
	if err := all.Put("headers", list); err != nil {
		return data.Datum{}, err
	}
	return data.NewDatum(headersSchema, all)
}

// projection brings values of other schemas into that of a file.
type projection struct {
	to   *data.Schema
	from *data.Schema
	way  *data.Projection
	row  []byte
}

func newProjection(to *data.Schema) *projection { return &projection{to: to} }

func (p *projection) apply(d data.Datum) (data.Datum, error) {
	if d.Schema == p.to || d.Schema.Equal(p.to) {
		return d, nil
	}
	if p.from != d.Schema {
		from, err := data.AvroForm(d.Schema, data.AvroOptions{})
		if err != nil {
			return d, err
		}
		to, err := data.AvroForm(p.to, data.AvroOptions{})
		if err != nil {
			return d, err
		}
		if p.way, err = data.NewProjection(from, to); err != nil {
			return d, fmt.Errorf("bring the value into the schema of its file: %w", err)
		}
		p.from = d.Schema
	}
	var err error
	if p.row, err = p.way.Append(p.row[:0], d.Row); err != nil {
		return d, err
	}
	return data.Datum{Schema: p.to, State: data.Present, NullDefault: d.NullDefault, Row: p.row}, nil
}
