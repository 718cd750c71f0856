package converter

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/millrace/millrace/plugins/data"
)

// jsonSchemaReader makes a Connect schema of a JSON Schema.
type jsonSchemaReader struct {
	root     jsonNode
	others   map[string]string   // texts of other schemas, by the names that $ref has for them
	parsed   map[string]jsonNode // of them, those that were needed
	optional bool                // properties that are not required are
}

// jsonNode is what of a JSON Schema has a meaning for Connect.
type jsonNode struct {
	Type        json.RawMessage     `json:"type"`
	Title       string              `json:"title"`
	Description *string             `json:"description"`
	Default     json.RawMessage     `json:"default"`
	Enum        []json.RawMessage   `json:"enum"`
	Properties  orderedNodes        `json:"properties"`
	Required    []string            `json:"required"`
	Items       json.RawMessage     `json:"items"`
	Additional  json.RawMessage     `json:"additionalProperties"`
	OneOf       []jsonNode          `json:"oneOf"`
	AnyOf       []jsonNode          `json:"anyOf"`
	AllOf       []jsonNode          `json:"allOf"`
	Ref         string              `json:"$ref"`
	Definitions map[string]jsonNode `json:"definitions"`
	Defs        map[string]jsonNode `json:"$defs"`
	Tags        json.RawMessage     `json:"confluent:tags"`

	ConnectType    string                     `json:"connect.type"`
	ConnectIndex   *int                       `json:"connect.index"`
	ConnectVersion *int32                     `json:"connect.version"`
	ConnectParams  map[string]json.RawMessage `json:"connect.parameters"`
}

// orderedNodes are properties in the order written.
type orderedNodes []namedNode

type namedNode struct {
	name string
	node jsonNode
}

// UnmarshalJSON reads an object and keeps the order of its members.
func (o *orderedNodes) UnmarshalJSON(raw []byte) error {
	dec := json.NewDecoder(bytes.NewReader(raw))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return cmp.Or(err, errors.New("properties is no object"))
	}
	for dec.More() {
		t, err := dec.Token()
		if err != nil {
			return err
		}
		name, ok := t.(string)
		if !ok {
			return errors.New("a property has no name")
		}
		n := namedNode{name: name}
		if err := dec.Decode(&n.node); err != nil {
			return err
		}
		*o = append(*o, n)
	}
	return nil
}

// UnmarshalJSON reads a schema; true is an empty one.
func (n *jsonNode) UnmarshalJSON(raw []byte) error {
	type plain jsonNode
	switch string(bytes.TrimSpace(raw)) {
	case "true":
		*n = jsonNode{}
		return nil
	case "false":
		return errors.New("the schema false allows no value, and so has no Connect type")
	}
	return json.Unmarshal(raw, (*plain)(n))
}

func newJSONSchemaReader(text string, others map[string]string, optional bool) (*jsonSchemaReader, error) {
	r := &jsonSchemaReader{others: others, parsed: map[string]jsonNode{}, optional: optional}
	if err := json.Unmarshal([]byte(text), &r.root); err != nil {
		return nil, fmt.Errorf("read JSON Schema: %w", err)
	}
	return r, nil
}

// anything reports whether the schema says nothing of values, as that of
// schemaless data.
func (r *jsonSchemaReader) anything() bool {
	n := &r.root
	return n.Type == nil && n.Properties == nil && n.OneOf == nil && n.AnyOf == nil && n.AllOf == nil && n.Ref == "" && n.Enum == nil
}

// title is the name of the schema's record, "" if it has none.
func (r *jsonSchemaReader) title() string {
	if n, _, err := r.plain(&r.root); err == nil {
		return n.Title
	}
	return ""
}

// schema returns the Connect schema. One that tells no version has the one
// given.
func (r *jsonSchemaReader) schema(version int32, known bool) (*data.Schema, error) {
	s, err := r.read(&r.root, false, 0)
	if err != nil || !known {
		return s, err
	}
	if _, has := s.Version(); has || s.Type() != data.TypeStruct || s.Name() == "" {
		return s, nil
	}
	b := data.CopyBasics(s).Version(version)
	for _, f := range s.Fields() {
		b.Field(f.Name, f.Schema)
	}
	if s.Optional() {
		b.Optional()
	}
	return b.Build()
}

// plain follows references and takes a oneOf or anyOf with null apart. One of
// several types is returned as it is.
func (r *jsonSchemaReader) plain(n *jsonNode) (out *jsonNode, null bool, err error) {
	for range 100 {
		if n.Ref != "" {
			if n, err = r.target(n.Ref); err != nil {
				return nil, false, err
			}
			continue
		}
		branches := n.OneOf
		if len(branches) == 0 {
			branches = n.AnyOf
		}
		if len(branches) == 0 {
			return n, null, nil
		}
		var rest []*jsonNode
		for i := range branches {
			if string(branches[i].Type) == `"null"` {
				null = true
				continue
			}
			rest = append(rest, &branches[i])
		}
		switch len(rest) {
		case 0:
			return nil, false, errors.New("a oneOf of nothing but null has no Connect schema")
		case 1:
			n = rest[0]
		default:
			return n, null, nil
		}
	}
	return nil, false, errors.New("references that lead to each other have no Connect schema")
}

// target finds what a reference leads to: a definition of the schema, or another
// schema or one of its definitions.
func (r *jsonSchemaReader) target(ref string) (*jsonNode, error) {
	name, pointer, _ := strings.Cut(ref, "#")
	root := &r.root
	if name != "" {
		other, err := r.other(name)
		if err != nil {
			return nil, err
		}
		root = other
	}
	if pointer == "" && name == "" {
		return nil, errors.New("a schema that refers to itself has no Connect schema")
	}
	if pointer == "" || pointer == "/" {
		return root, nil
	}
	for prefix, in := range map[string]map[string]jsonNode{"/definitions/": root.Definitions, "/$defs/": root.Defs} {
		if key, ok := strings.CutPrefix(pointer, prefix); ok {
			if n, ok := in[key]; ok {
				return &n, nil
			}
		}
	}
	return nil, fmt.Errorf("the reference %q leads to none of the definitions", ref)
}

// localRef is a reference of a schema into itself.
var localRef = regexp.MustCompile(`"\$ref"\s*:\s*"#`)

// other reads another schema. Its references into itself are made to name it.
func (r *jsonSchemaReader) other(name string) (*jsonNode, error) {
	if n, ok := r.parsed[name]; ok {
		return &n, nil
	}
	text, ok := r.others[name]
	if !ok {
		return nil, fmt.Errorf("the reference %q names no schema that this one is registered with", name)
	}
	var n jsonNode
	text = localRef.ReplaceAllLiteralString(text, `"$ref":"`+strings.Trim(string(appendJSONText(nil, name)), `"`)+"#")
	if err := json.Unmarshal([]byte(text), &n); err != nil {
		return nil, fmt.Errorf("read JSON Schema %q: %w", name, err)
	}
	r.parsed[name] = n
	return &n, nil
}

// maxReadDepth bounds nesting, and so schemas that refer to themselves.
const maxReadDepth = 100

func (r *jsonSchemaReader) read(n *jsonNode, optional bool, depth int) (*data.Schema, error) {
	if depth > maxReadDepth {
		return nil, fmt.Errorf("the schema nests deeper than %d levels, or refers to itself", maxReadDepth)
	}
	n, null, err := r.plain(n)
	if err != nil {
		return nil, err
	}
	b, typeNull, err := r.typed(n, depth)
	if err != nil {
		return nil, err
	}
	if n.Title != "" && len(alternatives(n)) < 2 { // a oneOf is known by the name it has
		b.Name(n.Title)
	}
	if n.Description != nil {
		b.Doc(*n.Description)
	}
	if n.ConnectVersion != nil {
		b.Version(*n.ConnectVersion)
	}
	if err := params(b, n.ConnectParams); err != nil {
		return nil, err
	}
	if optional || null || typeNull {
		b.Optional()
	}
	if len(n.Default) == 0 || string(n.Default) == "null" {
		return b.Build()
	}
	return withDefault(b, n.Default)
}

// params sets parameters in the order of their names, since an object has none.
func params(b *data.Builder, all map[string]json.RawMessage) error {
	var names []string
	for name := range all {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		var text string
		if err := json.Unmarshal(all[name], &text); err != nil {
			return fmt.Errorf("connect.parameters: %s is no text", name)
		}
		b.Param(name, text)
	}
	return nil
}

// withDefault reads a default as a value of the schema that it is for.
func withDefault(b *data.Builder, raw json.RawMessage) (*data.Schema, error) {
	s, err := b.Build()
	if err != nil {
		return nil, err
	}
	row, _, err := data.RowFromJSON(nil, data.AsRequired(s), raw, data.JSONOptions{EntryObjects: true, OneOf: jsonOneOf})
	if err != nil {
		return nil, fmt.Errorf("default: %w", err)
	}
	v, err := data.Datum{Schema: data.AsRequired(s), State: data.Present, Row: row}.Value()
	if err != nil {
		return nil, fmt.Errorf("default: %w", err)
	}
	d := data.CopyBasics(s)
	for _, f := range s.Fields() {
		d.Field(f.Name, f.Schema)
	}
	if s.Optional() {
		d.Optional()
	}
	return d.Default(v).Build()
}

// exact are the types that connect.type names.
var exact = map[string]data.Type{
	"int8": data.TypeInt8, "int16": data.TypeInt16, "int32": data.TypeInt32, "int64": data.TypeInt64,
	"float32": data.TypeFloat32, "float64": data.TypeFloat64, "bytes": data.TypeBytes,
}

// typed starts a schema of a node's type, and says whether that is optional.
func (r *jsonSchemaReader) typed(n *jsonNode, depth int) (*data.Builder, bool, error) {
	if len(n.AllOf) > 0 {
		merged, err := r.merged(n)
		if err != nil {
			return nil, false, err
		}
		n = merged
	}
	if list := alternatives(n); len(list) > 1 {
		b, null, err := r.oneOf(n, list, depth)
		return b, null, err
	}
	typ, null, err := typeName(n)
	if err != nil {
		return nil, false, err
	}
	if t, ok := exact[n.ConnectType]; ok && typ != "object" && typ != "array" {
		return data.NewBuilder(t), null, nil
	}
	var b *data.Builder
	switch typ {
	case "integer":
		b = data.NewBuilder(data.TypeInt64)
	case "number":
		b = data.NewBuilder(data.TypeFloat64)
	case "boolean":
		b = data.NewBuilder(data.TypeBoolean)
	case "string":
		b, err = enumBuilder(n)
	case "array":
		b, err = r.array(n, depth)
	case "object":
		b, err = r.object(n, depth)
	default:
		err = fmt.Errorf("the type %q has no Connect schema", typ)
	}
	return b, null, err
}

// typeName returns a node's one type besides null.
func typeName(n *jsonNode) (name string, null bool, err error) {
	var list []string
	switch {
	case n.Type == nil && n.Properties != nil:
		list = []string{"object"}
	case n.Type == nil && n.Enum != nil:
		list = []string{"string"}
	case n.Type == nil:
		return "", false, errors.New("a schema without a type has no Connect schema")
	case n.Type[0] == '[':
		err = json.Unmarshal(n.Type, &list)
	default:
		list = make([]string, 1)
		err = json.Unmarshal(n.Type, &list[0])
	}
	if err != nil {
		return "", false, fmt.Errorf("type: %w", err)
	}
	rest := slices.DeleteFunc(slices.Clone(list), func(t string) bool { return t == "null" })
	if len(rest) != 1 {
		return "", false, fmt.Errorf("the types %q have no Connect schema", list)
	}
	return rest[0], len(rest) < len(list), nil
}

func enumBuilder(n *jsonNode) (*data.Builder, error) {
	b := data.NewBuilder(data.TypeString)
	if n.Enum == nil {
		return b, nil
	}
	b.Param(jsonEnumParam, n.Title)
	for _, raw := range n.Enum {
		var symbol string
		if err := json.Unmarshal(raw, &symbol); err != nil {
			return nil, fmt.Errorf("the enum value %s is no text, and has no Connect schema", raw)
		}
		b.Param(jsonEnumParam+"."+symbol, symbol)
	}
	return b, nil
}

func (r *jsonSchemaReader) array(n *jsonNode, depth int) (*data.Builder, error) {
	if len(n.Items) == 0 || n.Items[0] == '[' {
		return nil, errors.New("an array without one schema for its items has no Connect schema")
	}
	var items jsonNode
	if err := json.Unmarshal(n.Items, &items); err != nil {
		return nil, fmt.Errorf("items: %w", err)
	}
	if n.ConnectType != "map" {
		elem, err := r.read(&items, false, depth+1)
		if err != nil {
			return nil, err
		}
		return data.ArrayOf(elem), nil
	}
	var key, value *data.Schema
	for i := range items.Properties {
		p := &items.Properties[i]
		s, err := r.read(&p.node, false, depth+1)
		if err != nil {
			return nil, err
		}
		switch p.name {
		case "key":
			key = s
		case "value":
			value = s
		}
	}
	if key == nil || value == nil {
		return nil, errors.New("the entries of a map need a key and a value")
	}
	return data.MapOf(key, value), nil
}

func (r *jsonSchemaReader) object(n *jsonNode, depth int) (*data.Builder, error) {
	additional := bytes.HasPrefix(bytes.TrimSpace(n.Additional), []byte("{"))
	if n.ConnectType == "map" || additional && len(n.Properties) == 0 {
		var value jsonNode
		if err := json.Unmarshal(n.Additional, &value); err != nil {
			return nil, fmt.Errorf("additionalProperties of a map: %w", err)
		}
		v, err := r.read(&value, false, depth+1)
		if err != nil {
			return nil, err
		}
		return data.MapOf(data.StringSchema, v), nil
	}
	fields := slices.Clone(n.Properties)
	slices.SortStableFunc(fields, func(a, b namedNode) int { return cmp.Compare(place(a), place(b)) })
	b := data.NewStructBuilder()
	for i := range fields {
		f := &fields[i]
		s, err := r.read(&f.node, r.optional && !slices.Contains(n.Required, f.name), depth+1)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", strconv.Quote(f.name), err)
		}
		b.Field(f.name, s)
	}
	return b, nil
}

// place is where a property stands among the fields: those that do not say
// stay in their order behind the others.
func place(n namedNode) int {
	if n.node.ConnectIndex == nil {
		return 1 << 30
	}
	return *n.node.ConnectIndex
}

// merged puts the properties of an allOf together.
func (r *jsonSchemaReader) merged(n *jsonNode) (*jsonNode, error) {
	out := *n
	out.AllOf, out.Properties, out.Required = nil, slices.Clone(n.Properties), slices.Clone(n.Required)
	for i := range n.AllOf {
		part, _, err := r.plain(&n.AllOf[i])
		if err != nil {
			return nil, err
		}
		if out.Type == nil {
			out.Type = part.Type
		}
		out.Properties = append(out.Properties, part.Properties...)
		out.Required = append(out.Required, part.Required...)
	}
	return &out, nil
}
