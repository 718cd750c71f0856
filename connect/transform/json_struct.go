package transform

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/millrace/millrace/plugins/data"
)

// maxJSONDepth bounds the nesting of JSON that is turned into structs.
const maxJSONDepth = 64

// jsonStructs turns JSON text into structs whose schema is inferred from it,
// as Debezium does with payloads of an outbox.
type jsonStructs struct {
	nullBytes    bool // a null is an optional bytes; else the member is left out
	emptyStrings bool // an empty array is one of strings; else the member is left out
}

// members are those of a JSON object in their order; an array is []any.
type members []member

type member struct {
	name  string
	value any
}

// parse returns the schema and the value of a text that holds an object or an
// array.
func (j jsonStructs) parse(text string) (*data.Schema, any, error) {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	tree, err := readJSON(d, 0)
	if err != nil {
		return nil, nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, nil, errors.New("something follows the JSON value")
	}
	s, err := j.schema(tree)
	if err != nil || s == nil {
		return nil, nil, errors.Join(err, errIf(s == nil, "the JSON value has no type"))
	}
	v, err := j.value(s, tree)
	return s, v, err
}

func errIf(is bool, text string) error {
	if is {
		return errors.New(text)
	}
	return nil
}

// readJSON reads one value: members, []any, string, json.Number, bool, nil.
func readJSON(d *json.Decoder, depth int) (any, error) {
	if depth > maxJSONDepth {
		return nil, fmt.Errorf("more than %d levels of nesting", maxJSONDepth)
	}
	token, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch token {
	case json.Delim('{'):
		out := members{}
		for d.More() {
			name, err := d.Token()
			if err != nil {
				return nil, err
			}
			v, err := readJSON(d, depth+1)
			if err != nil {
				return nil, err
			}
			text, _ := name.(string)
			out = append(out, member{text, v})
		}
		_, err := d.Token()
		return out, err
	case json.Delim('['):
		out := []any{}
		for d.More() {
			v, err := readJSON(d, depth+1)
			if err != nil {
				return nil, err
			}
			out = append(out, v)
		}
		_, err := d.Token()
		return out, err
	}
	return token, nil
}

// schema infers the schema of a value, nil if it is to be left out. All are
// optional.
func (j jsonStructs) schema(v any) (*data.Schema, error) {
	switch v := v.(type) {
	case nil:
		if j.nullBytes {
			return data.OptionalBytesSchema, nil
		}
	case string:
		return data.OptionalStringSchema, nil
	case bool:
		return data.OptionalBooleanSchema, nil
	case json.Number:
		n, err := v.Int64()
		switch {
		case err != nil:
			return data.OptionalFloat64Schema, nil
		case n == int64(int32(n)):
			return data.OptionalInt32Schema, nil
		}
		return data.OptionalInt64Schema, nil
	case []any:
		return j.arraySchema(v)
	case members:
		b := data.NewStructBuilder().Optional()
		for _, m := range v {
			s, err := j.schema(m.value)
			if err != nil {
				return nil, err
			}
			if s != nil {
				b.Field(m.name, s)
			}
		}
		return b.Build()
	}
	return nil, nil
}

func (j jsonStructs) arraySchema(list []any) (*data.Schema, error) {
	var elem *data.Schema
	for _, e := range list {
		s, err := j.schema(e)
		if err != nil {
			return nil, err
		}
		if elem, err = merged(elem, s); err != nil {
			return nil, err
		}
	}
	if elem == nil {
		if !j.emptyStrings {
			return nil, nil
		}
		elem = data.OptionalStringSchema
	}
	return data.ArrayOf(elem).Optional().Build()
}

// merged finds one schema for two elements of an array: the wider number, or
// the fields of both structs.
func merged(a, b *data.Schema) (*data.Schema, error) {
	switch {
	case a == nil || b != nil && a.Equal(b):
		return b, nil
	case b == nil:
		return a, nil
	case number(a) && number(b):
		if b.Type() > a.Type() {
			return b, nil
		}
		return a, nil
	case a.Type() == data.TypeArray && b.Type() == data.TypeArray:
		elem, err := merged(a.ValueSchema(), b.ValueSchema())
		if err != nil {
			return nil, err
		}
		return data.ArrayOf(elem).Optional().Build()
	case a.Type() != data.TypeStruct || b.Type() != data.TypeStruct:
		return nil, fmt.Errorf("an array holds values of types %v and %v", a.Type(), b.Type())
	}
	out := data.NewStructBuilder().Optional()
	for _, f := range a.Fields() {
		other, _ := b.Field(f.Name)
		s, err := merged(f.Schema, other.Schema)
		if err != nil {
			return nil, err
		}
		out.Field(f.Name, s)
	}
	for _, f := range b.Fields() {
		if fieldIndex(a, f.Name) < 0 {
			out.Field(f.Name, f.Schema)
		}
	}
	return out.Build()
}

func number(s *data.Schema) bool {
	return s.Type() == data.TypeInt32 || s.Type() == data.TypeInt64 || s.Type() == data.TypeFloat64
}

// value brings a JSON value to its schema.
func (j jsonStructs) value(s *data.Schema, v any) (any, error) {
	switch v := v.(type) {
	case json.Number:
		if s.Type() == data.TypeFloat64 {
			return v.Float64()
		}
		n, err := v.Int64()
		return integerOf(s.Type(), n), err
	case []any:
		if s.Type() != data.TypeArray {
			return nil, nil // an empty array among other values has no type
		}
		out := make([]any, len(v))
		for i, e := range v {
			var err error
			if out[i], err = j.value(s.ValueSchema(), e); err != nil {
				return nil, err
			}
		}
		return out, nil
	case members:
		out := data.NewStruct(s)
		for _, m := range v {
			f, ok := s.Field(m.name)
			if !ok {
				continue
			}
			x, err := j.value(f.Schema, m.value)
			if err == nil {
				err = put(out, f.Index, x)
			}
			if err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	return v, nil
}
