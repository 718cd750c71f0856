package s3

import (
	"errors"
	"fmt"

	"github.com/millrace/millrace/connectors/objectfile/read"
	"github.com/millrace/millrace/plugins/data"
)

// metadataKey switches files of metadata on: Millrace's own.
const metadataKey = "store.kafka.metadata"

// A file of metadata has a record for each that was written, in their order. It
// says what the files of values and keys do not: where a record was, when, its
// headers with their exact values, and whether it had a key and a value. Those
// files then hold the keys and values that there were, and no nulls.
var (
	metadataHeader = data.NewStructBuilder().Name("MetadataHeader").
			Field("key", data.StringSchema).Field("text", data.OptionalStringSchema).Field("bytes", data.AsOptional(data.BytesSchema)).MustBuild()
	metadataSchema = data.NewStructBuilder().Name("RecordMetadata").
			Field("offset", data.Int64Schema).Field("timestamp", data.OptionalInt64Schema).
			Field("hasKey", data.BooleanSchema).Field("hasValue", data.BooleanSchema).
			Field("headers", data.ArrayOf(metadataHeader).MustBuild()).MustBuild()
)

// metadataOf returns what makes a record's metadata. The result is valid until
// the next one.
func metadataOf() func(*data.Record) (data.Datum, error) {
	w := data.NewRowWriter(metadataSchema)
	var buf []byte
	return func(r *data.Record) (data.Datum, error) {
		w.Reset(buf[:0])
		w.BeginStruct()
		w.Int64(r.OriginalOffset)
		if r.Timestamp == data.NoTimestamp {
			w.Null()
		} else {
			w.Int64(r.Timestamp)
		}
		w.Boolean(!r.Key.IsNull())
		w.Boolean(!r.Value.IsNull())
		w.BeginArray()
		for _, h := range r.Headers {
			if err := writeHeader(w, h); err != nil {
				return data.Datum{}, fmt.Errorf("header %q: %w", h.Name, err)
			}
		}
		w.End()
		w.End()
		row, _, err := w.Finish()
		buf = row
		return data.Datum{Schema: metadataSchema, State: data.Present, Row: row}, err
	}
}

func writeHeader(w *data.RowWriter, h data.Header) error {
	v, err := h.Value.Value()
	if err != nil {
		return err
	}
	w.BeginStruct()
	w.Text(h.Name)
	switch x := v.(type) {
	case nil:
		w.Null()
		w.Null()
	case []byte:
		w.Null()
		w.Bytes(x)
	default:
		text := data.Text(v)
		if h.Value.Schema == nil || h.Value.Schema.Type() == data.TypeArray || h.Value.Schema.Type() == data.TypeMap || h.Value.Schema.Type() == data.TypeStruct {
			if text, err = asJSON(h.Value, v); err != nil {
				return err
			}
		}
		w.Text(text)
		w.Null()
	}
	w.End()
	return nil
}

// asJSON is a value that has parts as header converters write it.
func asJSON(d data.Datum, v any) (string, error) {
	if s, ok := v.(string); ok {
		return s, nil
	}
	if d.Schema != nil {
		b, err := data.AppendJSON(nil, d.Schema, d.Row, data.JSONOptions{})
		return string(b), err
	}
	b, err := data.AppendSchemalessJSON(nil, v, data.JSONOptions{})
	return string(b), err
}

// recordMetadata is a record of a file of metadata.
type recordMetadata struct {
	timestamp        int64
	hasKey, hasValue bool
	headers          []data.Header
}

// parseMetadata reads one.
func parseMetadata(d data.Datum) (out recordMetadata, err error) {
	bad := func(err error) (recordMetadata, error) {
		return out, &read.DataError{Err: fmt.Errorf("an object of metadata does not hold what the sink writes: %w", err)}
	}
	if d.Schema == nil || !d.Schema.Equal(metadataSchema) {
		return bad(errors.New("it has another schema"))
	}
	r := data.NewRowReader(metadataSchema)
	r.Reset(d.Row)
	r.EnterStruct()
	r.Int64()
	if out.timestamp = data.NoTimestamp; !r.Null() {
		out.timestamp = r.Int64()
	}
	out.hasKey, out.hasValue = r.Boolean(), r.Boolean()
	r.EnterArray()
	for r.More() {
		h := data.Header{}
		r.EnterStruct()
		h.Name = r.Text()
		if !r.Null() {
			h.Value, err = data.NewDatum(data.StringSchema, r.Text())
		}
		if !r.Null() && err == nil {
			h.Value, err = data.NewDatum(data.BytesSchema, append([]byte{}, r.Bytes()...))
		}
		r.Leave()
		if err != nil {
			return bad(err)
		}
		out.headers = append(out.headers, h)
	}
	r.Leave()
	r.Leave()
	if err := r.Finish(); err != nil {
		return bad(err)
	}
	return out, nil
}
