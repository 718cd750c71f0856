package data

import (
	"fmt"
	"strconv"
)

// JSONOptions are the settings of JsonConverter that shape JSON, under names
// whose zero value is the converter's default.
type JSONOptions struct {
	NumericDecimals bool // decimal.format is NUMERIC: decimals are numbers, not base64
	KeepNulls       bool // replace.null.with.default is false: a null stays a null
	// EntryObjects writes maps whose keys are no text as arrays of objects with
	// key and value, as Confluent's JsonSchemaConverter does, not of pairs.
	EntryObjects bool
	// OneOf is the name of structs that stand for one of several types, each
	// field for one: they are written as the value of the field that is set. ""
	// for none.
	OneOf string
}

// oneOf reports whether a struct stands for one of several types.
func (o *JSONOptions) oneOf(p *plan) bool {
	return o.OneOf != "" && p.op == opStruct && p.schema.name == o.OneOf
}

// AppendJSONSchema appends a schema in the JSON form of Connect's
// JsonConverter. ParseJSONSchema reads an equal schema from it.
func AppendJSONSchema(dst []byte, s *Schema, o JSONOptions) []byte {
	return append(appendSchemaNode(dst, s, o), '}')
}

// appendSchemaNode leaves the object open for the member "field".
func appendSchemaNode(dst []byte, s *Schema, o JSONOptions) []byte {
	dst = append(append(append(dst, `{"type":"`...), s.typ.String()...), '"')
	switch s.typ {
	case TypeArray:
		dst = AppendJSONSchema(append(dst, `,"items":`...), s.value, o)
	case TypeMap:
		dst = AppendJSONSchema(append(dst, `,"keys":`...), s.key, o)
		dst = AppendJSONSchema(append(dst, `,"values":`...), s.value, o)
	case TypeStruct:
		dst = append(dst, `,"fields":[`...)
		for i, f := range s.fields {
			dst = appendSchemaNode(comma(dst, i), f.Schema, o)
			dst = append(appendJSONString(append(dst, `,"field":`...), f.Name), '}')
		}
		dst = append(dst, ']')
	}
	dst = strconv.AppendBool(append(dst, `,"optional":`...), s.optional)
	if s.name != "" {
		dst = appendJSONString(append(dst, `,"name":`...), s.name)
	}
	if s.hasVer {
		dst = strconv.AppendInt(append(dst, `,"version":`...), int64(s.version), 10)
	}
	if s.hasDoc {
		dst = appendJSONString(append(dst, `,"doc":`...), s.doc)
	}
	if s.params != nil {
		dst = append(dst, `,"parameters":{`...)
		for i, p := range s.params {
			dst = append(appendJSONString(comma(dst, i), p.Key), ':')
			dst = appendJSONString(dst, p.Value)
		}
		dst = append(dst, '}')
	}
	if s.hasDef {
		dst = append(append(dst, `,"default":`...), defaultJSON(s.compiled(), o)...)
	}
	return dst
}

// ParseJSONSchema reads a schema in the JSON form of Connect's JsonConverter.
// JSON null gives a nil schema: no schema. The default of a decimal may be a
// number or base64.
func ParseJSONSchema(text []byte) (*Schema, error) {
	if len(text) > maxSchemaText {
		return nil, schemaErrorf("JSON schema text of %d bytes is longer than %d", len(text), maxSchemaText)
	}
	in := newScanner(text)
	raw := in.raw()
	if err := in.end(); err != nil {
		return nil, fmt.Errorf("%w: JSON schema: %w", ErrSchema, err)
	}
	s, _, err := schemaNode(raw, 1)
	if err != nil {
		return nil, fmt.Errorf("JSON schema: %w", err)
	}
	return s, nil
}

// schemaNode reads one node, and the field name that it carries as a member of
// a struct. The depth is checked on the way down, since every level reads its
// text again.
func schemaNode(raw []byte, depth int) (s *Schema, field string, err error) {
	if depth > maxSchemaDepth {
		return nil, "", schemaErrorf("more than %d levels of nesting", maxSchemaDepth)
	}
	in := scanner{b: raw}
	if in.kind() == 'n' {
		return nil, "", nil
	}
	if in.kind() != '{' {
		return nil, "", schemaErrorf("a schema is an object, not %.20s", raw)
	}
	ms := in.members()
	b, err := nodeBuilder(ms, depth+1)
	if err != nil {
		return nil, "", err
	}
	if err := nodeAttributes(b, ms); err != nil {
		return nil, "", err
	}
	if name, err := textOf(ms, "field"); err != nil {
		return nil, "", err
	} else if name != nil {
		field = *name
	}
	s, err = b.Build()
	return s, field, err
}

var typesByName = func() map[string]Type {
	m := make(map[string]Type)
	for t := TypeInt8; t <= TypeStruct; t++ {
		m[t.String()] = t
	}
	return m
}()

func nodeBuilder(ms []member, depth int) (*Builder, error) {
	name, err := textOf(ms, "type")
	if err != nil || name == nil {
		return nil, schemaErrorf("a schema has no type")
	}
	t, ok := typesByName[*name]
	switch {
	case !ok:
		return nil, schemaErrorf("unknown schema type %q", *name)
	case t == TypeArray:
		elem, err := childNode(ms, "items", depth)
		return ArrayOf(elem), err
	case t == TypeMap:
		key, err := childNode(ms, "keys", depth)
		if err != nil {
			return nil, err
		}
		value, err := childNode(ms, "values", depth)
		return MapOf(key, value), err
	case t != TypeStruct:
		return NewBuilder(t), nil
	}
	b := NewStructBuilder()
	raw, _ := find(ms, "fields")
	in := scanner{b: raw}
	n := 0
	in.open('[')
	for in.more(']', &n) {
		s, field, err := schemaNode(in.raw(), depth)
		if err != nil {
			return nil, under(fmt.Sprintf("fields[%d]", n-1), err)
		}
		b.Field(field, s)
	}
	if in.err != nil {
		return nil, schemaErrorf("a struct has no array of fields")
	}
	return b, nil
}

func childNode(ms []member, key string, depth int) (*Schema, error) {
	raw, ok := find(ms, key)
	if !ok {
		return nil, schemaErrorf("schema without %s", key)
	}
	s, _, err := schemaNode(raw, depth)
	if err == nil && s == nil {
		err = schemaErrorf("schema with null %s", key)
	}
	return s, under(key, err)
}

func nodeAttributes(b *Builder, ms []member) error {
	if raw, ok := find(ms, "optional"); ok && raw[0] == 't' {
		b.Optional()
	}
	name, err := textOf(ms, "name")
	if err != nil {
		return err
	}
	if name != nil && *name != "" {
		b.Name(*name)
	}
	if raw, ok := find(ms, "version"); ok && raw[0] != 'n' {
		v, err := strconv.ParseInt(string(raw), 10, 32)
		if err != nil {
			return schemaErrorf("version is %.20s: must be an integer", raw)
		}
		b.Version(int32(v))
	}
	doc, err := textOf(ms, "doc")
	if err != nil {
		return err
	}
	if doc != nil {
		b.Doc(*doc)
	}
	if raw, ok := find(ms, "parameters"); ok && raw[0] != 'n' {
		params, err := parseParams(raw)
		if err != nil {
			return err
		}
		b.Params(params...)
	}
	raw, ok := find(ms, "default")
	if !ok || raw[0] == 'n' || b.err != nil {
		return nil
	}
	return nodeDefault(b, raw)
}

// nodeDefault reads a default, which is in payload form, by way of a schema
// that is like the one being built.
func nodeDefault(b *Builder, raw []byte) error {
	c := CopyBasics(&b.s)
	for _, f := range b.s.fields {
		c.Field(f.Name, f.Schema)
	}
	s, err := c.Build()
	if err != nil {
		return err
	}
	row, _, err := RowFromJSON(nil, s, raw, JSONOptions{KeepNulls: true})
	if err != nil {
		return schemaErrorf("default: %w", err)
	}
	v, err := Decode(s, row)
	if err != nil {
		return schemaErrorf("default: %w", err)
	}
	b.Default(v)
	return b.err
}
