package converter

import (
	"context"
	"encoding/binary"

	"github.com/millrace/millrace/connect/converter/rule"
	"github.com/millrace/millrace/plugins/data"
)

// inKey names how values are read: the Connect schema of an id depends on the
// version that it has under the subject.
type inKey struct {
	id    int32
	topic string
}

// incoming is how values of one registered schema are read.
type incoming struct {
	schema  *data.Schema
	project *data.Projection // nil: the payload is the row
	lone    bool             // a lone bytes, written without its length
	any     bool             // schemaless data in an Anything record
	null    bool             // an optional top level: the payload may be null
	rules   *rule.Set        // nil for none
	weight  int              // the length of the schema's text
}

func (a *avroConverter) ToConnect(ctx context.Context, topic string, raw []byte) (data.Datum, error) {
	if raw == nil {
		return data.Datum{}, nil
	}
	id, payload, err := a.split(topic, raw)
	if err != nil {
		return data.Datum{}, err
	}
	in, err := a.incoming(ctx, topic, id)
	if err != nil {
		return data.Datum{}, err
	}
	d, err := in.datum(payload)
	if err != nil {
		return data.Datum{}, recordf("%s of topic %q with schema %d: %w", a.side, topic, id, err)
	}
	return d, a.obey(ctx, in.rules, topic, d)
}

func (in *incoming) datum(payload []byte) (data.Datum, error) {
	row := payload
	switch {
	case in.any:
		v, err := readAnything(payload)
		if err != nil {
			return data.Datum{}, err
		}
		return data.NewDatum(nil, v)
	case in.lone:
		row = binary.AppendVarint(make([]byte, 0, len(payload)+5), int64(len(payload)))
		row = append(row, payload...)
	}
	if in.project != nil {
		var err error
		if row, err = in.project.Append(nil, row); err != nil {
			return data.Datum{}, err
		}
	}
	if err := data.Check(in.schema, row); err != nil {
		return data.Datum{}, err
	}
	if in.null && data.IsNullRow(in.schema, row) {
		return data.NewDatum(in.schema, nil)
	}
	nullDefault, err := data.HasNullDefault(in.schema, row)
	return data.Datum{Schema: in.schema, State: data.Present, NullDefault: nullDefault, Row: row}, err
}

// incoming returns how values with an id are read, asking the registry the
// first time.
func (a *avroConverter) incoming(ctx context.Context, topic string, id int32) (*incoming, error) {
	key := inKey{id, topic}
	if in, ok := a.in.get(key); ok {
		return in, nil
	}
	in, err := a.understand(ctx, topic, id)
	if err == nil {
		in.rules, err = a.contract(ctx, id, nil, rule.Read)
	}
	if err != nil {
		return nil, err
	}
	a.in.put(key, in, in.weight+len(topic))
	return in, nil
}

func (a *avroConverter) understand(ctx context.Context, topic string, id int32) (*incoming, error) {
	text, err := a.known(ctx, id)
	if err != nil {
		return nil, err
	}
	if isAnything(text) {
		return &incoming{any: true}, nil
	}
	writer, err := data.ParseAvroNode(text)
	if err != nil {
		return nil, recordf("schema %d: %w", id, err)
	}
	options := a.options
	record := ""
	if writer.Kind() == data.AvroRecord {
		record = writer.FullName()
	}
	if options.Version, options.VersionKnown, err = a.version(ctx, topic, record, id); err != nil {
		return nil, err
	}
	in, err := newIncoming(writer, options, id)
	if err != nil {
		return nil, err
	}
	in.weight = len(text)
	return in, nil
}

func newIncoming(writer *data.AvroNode, options data.AvroOptions, id int32) (*incoming, error) {
	s, err := writer.Connect(options)
	if err != nil {
		return nil, recordf("schema %d: %w", id, err)
	}
	row, err := data.AvroForm(s, data.AvroOptions{NoConnectMeta: true})
	if err != nil {
		return nil, recordf("schema %d: %w", id, err)
	}
	in := &incoming{schema: s, null: s.Optional(), lone: writer.Kind() == data.AvroBytes}
	if data.SameWire(writer, row) {
		return in, nil // names may differ, places do not
	}
	if in.project, err = data.NewProjection(writer, row); err != nil {
		return nil, recordf("schema %d: %w", id, err)
	}
	return in, nil
}
