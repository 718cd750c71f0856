package spooldir

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/millrace/millrace/plugins/data"
)

// schemaJSON is a schema as kafka-connect-spooldir writes it.
type schemaJSON struct {
	Name         string          `json:"name"`
	Type         string          `json:"type"`
	Version      *int32          `json:"version"`
	Optional     bool            `json:"isOptional"`
	Doc          string          `json:"doc"`
	Parameters   orderedStrings  `json:"parameters"`
	FieldSchemas orderedFields   `json:"fieldSchemas"`
	KeySchema    json.RawMessage `json:"keySchema"`
	ValueSchema  json.RawMessage `json:"valueSchema"`
	Default      json.RawMessage `json:"defaultValue"`
}

// orderedFields and orderedStrings keep the order of an object's members.
type (
	orderedFields []struct {
		name string
		raw  json.RawMessage
	}
	orderedStrings []data.Param
)

// UnmarshalJSON implements json.Unmarshaler.
func (o *orderedFields) UnmarshalJSON(b []byte) error {
	return members(b, func(name string, raw json.RawMessage) error {
		*o = append(*o, struct {
			name string
			raw  json.RawMessage
		}{name, raw})
		return nil
	})
}

// UnmarshalJSON implements json.Unmarshaler.
func (o *orderedStrings) UnmarshalJSON(b []byte) error {
	return members(b, func(name string, raw json.RawMessage) error {
		var v string
		err := json.Unmarshal(raw, &v)
		*o = append(*o, data.Param{Key: name, Value: v})
		return err
	})
}

func members(b []byte, add func(string, json.RawMessage) error) error {
	if string(bytes.TrimSpace(b)) == "null" {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(b))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return errors.Join(err, errors.New("an object is wanted"))
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return err
		}
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			return err
		}
		if err := add(name.(string), raw); err != nil { // names are strings in JSON
			return err
		}
	}
	return nil
}

var schemaTypes = map[string]data.Type{
	"INT8": data.TypeInt8, "INT16": data.TypeInt16, "INT32": data.TypeInt32, "INT64": data.TypeInt64, "FLOAT32": data.TypeFloat32,
	"FLOAT64": data.TypeFloat64, "BOOLEAN": data.TypeBoolean, "STRING": data.TypeString, "BYTES": data.TypeBytes, "STRUCT": data.TypeStruct,
}

// maxDepth bounds the nesting of a schema's text.
const maxDepth = 50

// parseSchema reads the schema of a struct.
func parseSchema(text string) (*data.Schema, error) {
	s, err := parseNode([]byte(text), 0)
	if err != nil {
		return nil, err
	}
	if s.Type() != data.TypeStruct {
		return nil, fmt.Errorf("it is of type %v, and records are structs", s.Type())
	}
	return s, nil
}

func parseNode(raw []byte, depth int) (*data.Schema, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("it is nested deeper than %d", maxDepth)
	}
	var in schemaJSON
	if err := json.Unmarshal(raw, &in); err != nil {
		return nil, fmt.Errorf("it is not the JSON of a schema: %w", err)
	}
	b, err := in.builder(depth)
	if err != nil {
		return nil, err
	}
	if in.Name != "" {
		b.Name(in.Name)
	}
	if in.Version != nil {
		b.Version(*in.Version)
	}
	if in.Doc != "" {
		b.Doc(in.Doc)
	}
	b.Params(in.Parameters...)
	if in.Optional {
		b.Optional()
	}
	for _, f := range in.FieldSchemas {
		s, err := parseNode(f.raw, depth+1)
		if err != nil {
			return nil, fmt.Errorf("field %s: %w", f.name, err)
		}
		b.Field(f.name, s)
	}
	if len(in.Default) > 0 && string(in.Default) != "null" {
		return nil, errors.New("default values are not read: leave defaultValue out")
	}
	return b.Build()
}

// builder starts a schema of the type.
func (in *schemaJSON) builder(depth int) (*data.Builder, error) {
	if t, ok := schemaTypes[in.Type]; ok {
		return data.NewBuilder(t), nil
	}
	if in.Type != "ARRAY" && in.Type != "MAP" {
		return nil, fmt.Errorf("%q is no type of Connect", in.Type)
	}
	value, err := parseNode(in.ValueSchema, depth+1)
	if err != nil {
		return nil, fmt.Errorf("valueSchema: %w", err)
	}
	if in.Type == "ARRAY" {
		return data.ArrayOf(value), nil
	}
	key, err := parseNode(in.KeySchema, depth+1)
	if err != nil {
		return nil, fmt.Errorf("keySchema: %w", err)
	}
	return data.MapOf(key, value), nil
}

// keyMaker makes keys of fields of values.
type keyMaker struct {
	schema *data.Schema
	way    *data.Projection
}

// newKeyMaker finds a key's fields in a value.
func newKeyMaker(value, key *data.Schema) (*keyMaker, error) {
	for _, f := range key.Fields() {
		v, ok := value.Field(f.Name)
		if !ok {
			return nil, fmt.Errorf("field %q of the key is not in the value", f.Name)
		}
		if v.Schema.Type() != f.Schema.Type() || v.Schema.Name() != f.Schema.Name() {
			return nil, fmt.Errorf("field %q of the key has another type in the value", f.Name)
		}
	}
	from, err := data.AvroForm(value, data.AvroOptions{})
	if err != nil {
		return nil, err
	}
	to, err := data.AvroForm(key, data.AvroOptions{})
	if err != nil {
		return nil, err
	}
	way, err := data.NewProjection(from, to)
	if err != nil {
		return nil, fmt.Errorf("make keys of values: %w", err)
	}
	return &keyMaker{key, way}, nil
}

func (k *keyMaker) key(dst []byte, value data.Datum) ([]byte, data.Datum, error) {
	buf, err := k.way.Append(dst, value.Row)
	if err != nil {
		return dst, data.Datum{}, fmt.Errorf("make the key: %w", err)
	}
	return buf, data.Datum{Schema: k.schema, State: data.Present, Row: buf[len(dst):len(buf):len(buf)]}, nil
}

// generatedKey is the schema of keys of some fields, nil for none.
func (g *generation) generatedKey(value *data.Schema) (*data.Schema, error) {
	if len(g.keyFields) == 0 {
		return nil, nil
	}
	b := data.NewStructBuilder().Name(g.keyName)
	for _, name := range g.keyFields {
		f, ok := value.Field(name)
		if !ok {
			return nil, fmt.Errorf("schema.generation.key.fields: the file has no field %q", name)
		}
		b.Field(name, f.Schema)
	}
	return b.Build()
}
