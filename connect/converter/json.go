package converter

import (
	"context"
	"errors"
	"fmt"

	"github.com/millrace/millrace/plugins/configdef"
	"github.com/millrace/millrace/plugins/data"
)

var jsonDef = configdef.Def{
	{Name: "schemas.enable", Type: configdef.Boolean, Default: true, Importance: configdef.High, Group: "Schemas",
		DisplayName: "Enable Schemas", Width: configdef.MediumWidth, Doc: "Write and expect an envelope of schema and payload."},
	{Name: "schemas.cache.size", Type: configdef.Int, Default: 1000, Importance: configdef.High, Group: "Schemas",
		DisplayName: "Schema Cache Size", Width: configdef.MediumWidth, Doc: "The most schemas to remember, in either direction."},
	{Name: "decimal.format", Type: configdef.String, Default: "BASE64", Rules: []configdef.Rule{configdef.OneOfFold("BASE64", "NUMERIC")},
		Importance: configdef.Low, Group: "Serialization", DisplayName: "Decimal Format", Width: configdef.MediumWidth,
		Doc: "Whether decimals are written as base64 of their bytes or as numbers. Both are read."},
	{Name: "replace.null.with.default", Type: configdef.Boolean, Default: true, Importance: configdef.Low, Group: "Serialization",
		DisplayName: "Replace null with default", Width: configdef.MediumWidth,
		Doc: "Whether a null of a field that has a default becomes the default."},
	typeKey,
}

// typeKey is the setting by which a worker tells a converter its side.
var typeKey = configdef.Key{Name: "converter.type", Type: configdef.String,
	Rules: []configdef.Rule{configdef.OneOf("key", "value", "header")}, Importance: configdef.Low,
	Doc: "The side of the record that the converter is for. The worker sets it."}

// jsonConverter is Kafka's JsonConverter.
type jsonConverter struct {
	envelope bool
	options  data.JSONOptions
	heads    *lru[data.Hash, []byte]     // {"schema":...,"payload": by schema
	readers  *lru[string, *jsonIncoming] // by schema text

	lastSchema *data.Schema // a cache of one before heads
	lastHead   []byte
	lastIn     *jsonIncoming // likewise before readers
}

type jsonIncoming struct {
	text   string
	head   string       // what stands before the payload as JsonConverter writes it
	schema *data.Schema // nil for schemaless
	reader *data.JSONReader
}

func newJSON(_ Settings, c configdef.Config) (Converter, error) {
	size := c.Int("schemas.cache.size")
	return &jsonConverter{
		envelope: c.Bool("schemas.enable"),
		options: data.JSONOptions{
			NumericDecimals: foldEqual(c.String("decimal.format"), "NUMERIC"),
			KeepNulls:       !c.Bool("replace.null.with.default"),
		},
		heads:   newLRU[data.Hash, []byte](size),
		readers: newLRU[string, *jsonIncoming](size),
	}, nil
}

const nullSchemaHead = `{"schema":null,"payload":`

// head is what stands before the payload.
func (j *jsonConverter) head(s *data.Schema) []byte {
	if s == j.lastSchema && s != nil {
		return j.lastHead
	}
	if s == nil {
		return []byte(nullSchemaHead)
	}
	head, ok := j.heads.get(s.Hash())
	if !ok {
		head = data.AppendJSONSchema([]byte(`{"schema":`), s, j.options)
		head = append(head, `,"payload":`...)
		j.heads.put(s.Hash(), head, len(head))
	}
	j.lastSchema, j.lastHead = s, head
	return head
}

func (j *jsonConverter) FromConnect(_ context.Context, _ string, d data.Datum, dst []byte) ([]byte, bool, error) {
	if d.State == data.NullNoSchema || d.State == data.Null && d.Schema == nil {
		return dst, true, nil
	}
	out := dst
	if j.envelope {
		out = append(out, j.head(d.Schema)...)
	}
	out, err := j.payload(out, d)
	if err != nil {
		return dst, false, &RecordError{err}
	}
	if j.envelope {
		out = append(out, '}')
	}
	return out, false, nil
}

func (j *jsonConverter) payload(out []byte, d data.Datum) ([]byte, error) {
	switch {
	case d.State == data.Null:
		if !j.options.KeepNulls {
			if out, ok := data.AppendDefaultJSON(out, d.Schema, j.options); ok {
				return out, nil
			}
		}
		if !d.Schema.Optional() {
			return out, errors.New("null value for a field that is required and has no default value")
		}
		return append(out, "null"...), nil
	case d.Schema == nil:
		v, err := data.DecodeSchemaless(d.Row)
		if err != nil {
			return out, err
		}
		return data.AppendSchemalessJSON(out, v, j.options)
	default:
		return data.AppendJSON(out, d.Schema, d.Row, j.options)
	}
}

func (j *jsonConverter) ToConnect(_ context.Context, _ string, raw []byte) (data.Datum, error) {
	d, err := j.toConnect(raw)
	if err != nil {
		return data.Datum{}, &RecordError{fmt.Errorf("convert from JSON: %w", err)}
	}
	return d, nil
}

func (j *jsonConverter) toConnect(raw []byte) (data.Datum, error) {
	if raw == nil || len(raw) == 0 && !j.envelope {
		return data.Datum{}, nil
	}
	if !j.envelope {
		return schemalessJSON(raw)
	}
	if d, ok := j.asBefore(raw); ok {
		return d, nil
	}
	schema, payload, err := data.SplitEnvelope(raw)
	if err != nil {
		return data.Datum{}, fmt.Errorf("with schemas.enable a record is an object of just schema and payload "+
			"(set schemas.enable=false for plain JSON): %w", err)
	}
	in, err := j.incoming(schema)
	if err != nil {
		return data.Datum{}, err
	}
	if in.schema == nil {
		return schemalessJSON(payload)
	}
	if string(payload) == "null" {
		return j.null(in.schema)
	}
	row, nullDefault, err := in.reader.Append(nil, payload)
	return data.Datum{Schema: in.schema, State: data.Present, NullDefault: nullDefault, Row: row}, err
}

// asBefore reads an envelope that begins like the one before, byte for byte, so
// that its schema need not be looked through. ok is false for all others, and
// for those that are not valid.
func (j *jsonConverter) asBefore(raw []byte) (d data.Datum, ok bool) {
	in := j.lastIn
	if in == nil || in.reader == nil || len(raw) <= len(in.head) || raw[len(raw)-1] != '}' || string(raw[:len(in.head)]) != in.head {
		return d, false
	}
	payload := raw[len(in.head) : len(raw)-1]
	if string(payload) == "null" {
		return d, false
	}
	row, nullDefault, err := in.reader.Append(make([]byte, 0, len(payload)), payload)
	return data.Datum{Schema: in.schema, State: data.Present, NullDefault: nullDefault, Row: row}, err == nil
}

// incoming returns the schema of a text, from the cache if it was seen.
func (j *jsonConverter) incoming(text []byte) (*jsonIncoming, error) {
	if j.lastIn != nil && string(text) == j.lastIn.text {
		return j.lastIn, nil
	}
	if in, ok := j.readers.get(string(text)); ok {
		j.lastIn = in
		return in, nil
	}
	s, err := data.ParseJSONSchema(text)
	if err != nil {
		return nil, err
	}
	in := &jsonIncoming{text: string(text), schema: s}
	in.head = `{"schema":` + in.text + `,"payload":`
	if s != nil {
		in.reader = data.NewJSONReader(s, j.options)
	}
	j.readers.put(in.text, in, len(text))
	j.lastIn = in
	return in, nil
}

// null is a null payload under a schema.
func (j *jsonConverter) null(s *data.Schema) (data.Datum, error) {
	if v, ok := s.Default(); ok && !j.options.KeepNulls {
		return data.NewDatum(s, v)
	}
	if !s.Optional() {
		return data.Datum{}, fmt.Errorf("invalid null value for required %v field", s.Type())
	}
	return data.NewDatum(s, nil)
}

func schemalessJSON(text []byte) (data.Datum, error) {
	v, err := data.SchemalessFromJSON(text)
	if err != nil {
		return data.Datum{}, err
	}
	return data.NewDatum(nil, v)
}
