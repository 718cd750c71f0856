package converter

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/millrace/millrace/plugins/data"
)

// The parameters by which Confluent's converter marks enums, and the name of the
// struct that it makes of a oneOf, which has a field for each type.
const (
	jsonEnumParam = "io.confluent.connect.json.Enum"
	jsonOneOf     = "io.confluent.connect.json.OneOf"
)

// jsonForm writes Connect schemas as JSON Schema.
type jsonForm struct {
	options data.JSONOptions
	closed  bool // structs allow no properties besides their fields
}

// jsonObject writes an object's members in order.
type jsonObject struct {
	b []byte
	n int
}

func (o *jsonObject) raw(key string, value []byte) {
	o.b = append(o.b, ","[:min(o.n, 1)]...)
	o.b = append(append(appendJSONText(o.b, key), ':'), value...)
	o.n++
}

func (o *jsonObject) text(key, value string) { o.raw(key, appendJSONText(nil, value)) }
func (o *jsonObject) number(key string, n int) {
	o.raw(key, strconv.AppendInt(nil, int64(n), 10))
}

func (o *jsonObject) done() []byte { return append(append([]byte{'{'}, o.b...), '}') }

// appendJSONText quotes a text without escaping what HTML would want escaped.
func appendJSONText(dst []byte, s string) []byte {
	raw, err := json.Marshal(s)
	if err != nil { // texts always have a form
		return append(dst, `""`...)
	}
	return append(dst, raw...)
}

func (f jsonForm) text(s *data.Schema) ([]byte, error) { return f.at(s, -1, 0) }

// maxFormDepth bounds how deep schemas nest.
const maxFormDepth = 200

// at writes a schema; index is its place among a struct's fields, -1 outside
// of one. For an optional one it is a oneOf with null.
func (f jsonForm) at(s *data.Schema, index, depth int) ([]byte, error) {
	if depth > maxFormDepth {
		return nil, errors.New("the schema nests too deep for JSON Schema")
	}
	var o jsonObject
	if err := f.typed(&o, s, depth); err != nil {
		return nil, err
	}
	f.annotate(&o, s)
	one := !s.Optional() || s.Name() == jsonOneOf // which has null among its types
	if index >= 0 && one {
		o.number("connect.index", index)
	}
	out := o.done()
	if one {
		return out, nil
	}
	var either jsonObject
	either.raw("oneOf", append(append([]byte(`[{"type":"null"},`), out...), ']'))
	if index >= 0 {
		either.number("connect.index", index)
	}
	return either.done(), nil
}

// jsonPrimitives are the types of JSON and their precise names.
var jsonPrimitives = map[data.Type][2]string{
	data.TypeInt8: {"integer", "int8"}, data.TypeInt16: {"integer", "int16"}, data.TypeInt32: {"integer", "int32"}, data.TypeInt64: {"integer", "int64"},
	data.TypeFloat32: {"number", "float32"}, data.TypeFloat64: {"number", "float64"},
	data.TypeBoolean: {"boolean", ""}, data.TypeString: {"string", ""}, data.TypeBytes: {"string", "bytes"},
}

func (f jsonForm) typed(o *jsonObject, s *data.Schema, depth int) error {
	switch s.Type() {
	case data.TypeStruct:
		return f.structure(o, s, depth)
	case data.TypeArray:
		return f.items(o, s.ValueSchema(), depth)
	case data.TypeMap:
		return f.mapping(o, s, depth)
	}
	p := jsonPrimitives[s.Type()]
	if s.Name() == data.DecimalName && f.options.NumericDecimals {
		p[0] = "number"
	}
	if symbols := enumSymbols(s, jsonEnumParam); symbols != nil {
		raw, err := json.Marshal(symbols)
		if err != nil {
			return err
		}
		o.raw("enum", raw)
	}
	o.text("type", p[0])
	if p[1] != "" {
		o.text("connect.type", p[1])
	}
	return nil
}

// enumSymbols lists the symbols of an enum, in order, nil for what is none.
func enumSymbols(s *data.Schema, param string) []string {
	if _, ok := s.Param(param); !ok || s.Type() != data.TypeString {
		return nil
	}
	var out []string
	for _, p := range s.Params() {
		if len(p.Key) > len(param)+1 && p.Key[:len(param)+1] == param+"." {
			out = append(out, p.Key[len(param)+1:])
		}
	}
	return out
}

func (f jsonForm) items(o *jsonObject, elem *data.Schema, depth int) error {
	raw, err := f.at(elem, -1, depth+1)
	o.text("type", "array")
	o.raw("items", raw)
	return err
}

func (f jsonForm) mapping(o *jsonObject, s *data.Schema, depth int) error {
	value, err := f.at(s.ValueSchema(), -1, depth+1)
	if err != nil {
		return err
	}
	if k := s.KeySchema(); k.Type() == data.TypeString && !k.Optional() {
		o.text("type", "object")
		o.text("connect.type", "map")
		o.raw("additionalProperties", value)
		return nil
	}
	key, err := f.at(s.KeySchema(), 0, depth+1)
	if err != nil {
		return err
	}
	if value, err = f.at(s.ValueSchema(), 1, depth+1); err != nil {
		return err
	}
	var entry, props jsonObject
	props.raw("key", key)
	props.raw("value", value)
	entry.text("type", "object")
	entry.raw("properties", props.done())
	o.text("type", "array")
	o.text("connect.type", "map")
	o.raw("items", entry.done())
	return nil
}

func (f jsonForm) structure(o *jsonObject, s *data.Schema, depth int) error {
	switch s.Name() {
	case jsonOneOf:
		return f.oneOf(o, s, depth)
	case data.UnionName:
		return fmt.Errorf("a union of Avro (a struct named %s) has no form in JSON Schema here: use the AvroConverter, or a struct named %s", s.Name(), jsonOneOf)
	}
	var props jsonObject
	for i, field := range s.Fields() {
		raw, err := f.at(field.Schema, i, depth+1)
		if err != nil {
			return err
		}
		props.raw(field.Name, raw)
	}
	o.text("type", "object")
	o.raw("properties", props.done())
	if f.closed {
		o.raw("additionalProperties", []byte("false"))
	}
	return nil
}

// oneOf writes the struct that stands for one of several types.
func (f jsonForm) oneOf(o *jsonObject, s *data.Schema, depth int) error {
	list := []byte{'['}
	if s.Optional() {
		list = append(list, `{"type":"null"},`...)
	}
	for i, field := range s.Fields() {
		if !field.Schema.Optional() {
			return fmt.Errorf("the field %q of a struct named %s is not optional, so it cannot be one of several", field.Name, jsonOneOf)
		}
		raw, err := f.at(data.AsRequired(field.Schema), i, depth+1)
		if err != nil {
			return err
		}
		list = append(append(list, ","[:min(i, 1)]...), raw...)
	}
	o.raw("oneOf", append(list, ']'))
	return nil
}

// annotate writes what Connect says besides the type.
func (f jsonForm) annotate(o *jsonObject, s *data.Schema) {
	if s.Name() != "" {
		o.text("title", s.Name())
	}
	if doc, ok := s.Doc(); ok {
		o.text("description", doc)
	}
	if v, ok := s.Version(); ok {
		o.number("connect.version", int(v))
	}
	var params jsonObject
	for _, p := range s.Params() {
		if len(p.Key) < len(jsonEnumParam) || p.Key[:len(jsonEnumParam)] != jsonEnumParam {
			params.text(p.Key, p.Value)
		}
	}
	if params.n > 0 {
		o.raw("connect.parameters", params.done())
	}
	if def, ok := data.AppendDefaultJSON(nil, s, f.options); ok {
		o.raw("default", def)
	}
}
