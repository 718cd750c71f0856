package converter

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/millrace/millrace/connect/converter/rule"
)

// tagsKey is the attribute that holds the tags in Avro and JSON Schema.
const tagsKey = "confluent:tags"

// texts returns the strings of a JSON list, nil for what is none.
func texts(v any) []string {
	list, _ := v.([]any)
	var out []string
	for _, e := range list {
		if s, ok := e.(string); ok {
			out = append(out, s)
		}
	}
	return out
}

// avroNames calls a field by its record's full name, a dot and its own.
func avroNames(text string) (rule.Names, error) {
	var root any
	if err := json.Unmarshal([]byte(text), &root); err != nil {
		return nil, fmt.Errorf("read Avro schema: %w", err)
	}
	t := avroText{}
	t.collect(avroPlace{root, ""})
	return func(path []string) (string, []string, bool) { return t.named(avroPlace{root, ""}, path) }, nil
}

// avroText has the records of a schema, by their full names.
type avroText map[string]*avroRecord

type avroRecord struct {
	full, local string
	fields      map[string]avroField
}

type avroField struct {
	tags []string
	in   avroPlace
}

// avroPlace is a type, and the namespace that it is in.
type avroPlace struct {
	typ   any
	space string
}

// avroName returns the full name of a declared type, and its namespace.
func (p avroPlace) avroName(m map[string]any) (full, space, local string) {
	local, _ = m["name"].(string)
	space = p.space
	if given, ok := m["namespace"].(string); ok {
		space = given
	}
	if i := strings.LastIndexByte(local, '.'); i >= 0 {
		space, local = local[:i], local[i+1:]
	}
	return strings.TrimPrefix(space+"."+local, "."), space, local
}

// inner returns the types that one holds: those of a list or a map, of a union,
// and the one that is spelled as an object's type.
func (p avroPlace) inner() []avroPlace {
	switch v := p.typ.(type) {
	case []any:
		out := make([]avroPlace, len(v))
		for i := range v {
			out[i] = avroPlace{v[i], p.space}
		}
		return out
	case map[string]any:
		switch v["type"] {
		case "array":
			return []avroPlace{{v["items"], p.space}}
		case "map":
			return []avroPlace{{v["values"], p.space}}
		case "record", "error", "enum", "fixed":
			return nil
		}
		return []avroPlace{{v["type"], p.space}}
	}
	return nil
}

func isAvroRecord(m map[string]any) bool { return m["type"] == "record" || m["type"] == "error" }

func (t avroText) collect(p avroPlace) {
	for _, in := range p.inner() {
		t.collect(in)
	}
	m, ok := p.typ.(map[string]any)
	if !ok || !isAvroRecord(m) {
		return
	}
	r := &avroRecord{fields: map[string]avroField{}}
	var space string
	r.full, space, r.local = p.avroName(m)
	t[r.full] = r
	fields, _ := m["fields"].([]any)
	for _, f := range fields {
		f, _ := f.(map[string]any)
		if name, ok := f["name"].(string); ok {
			r.fields[name] = avroField{texts(f[tagsKey]), avroPlace{f["type"], space}}
			t.collect(r.fields[name].in)
		}
	}
}

// records returns the records that a type is or holds.
func (t avroText) records(p avroPlace) []*avroRecord {
	var out []*avroRecord
	for _, in := range p.inner() {
		out = append(out, t.records(in)...)
	}
	var found *avroRecord
	switch v := p.typ.(type) {
	case string:
		if found = t[p.space+"."+v]; found == nil {
			found = t[v]
		}
	case map[string]any:
		if isAvroRecord(v) {
			full, _, _ := p.avroName(v)
			found = t[full]
		}
	}
	if found != nil {
		out = append(out, found)
	}
	return out
}

// named follows a path. A union of several types is a struct in Connect, with a
// field for each: those are no fields here, and leave the union's field.
func (t avroText) named(p avroPlace, path []string) (full string, tags []string, ok bool) {
steps:
	for _, name := range path {
		records := t.records(p)
		for _, r := range records {
			if len(records) > 1 && (name == r.local || name == r.full) {
				p = avroPlace{r.full, ""}
				continue steps
			}
		}
		for _, r := range records {
			if f, has := r.fields[name]; has {
				full, tags, p = r.full+"."+name, f.tags, f.in
				continue steps
			}
		}
		if list, union := p.typ.([]any); !union || len(list) < 2 {
			return "", nil, false
		}
		if len(records) == 1 && (name == records[0].local || name == records[0].full) {
			p = avroPlace{records[0].full, ""}
		} else {
			p = avroPlace{}
		}
	}
	return full, tags, full != ""
}

// jsonNames calls a field by its path from $, without the places in lists.
//
// Differs from Confluent: there, a field of an element of a list is called after
// the element too, as in $.lines[0].price.
func jsonNames(text string, others map[string]string) (rule.Names, error) {
	r, err := newJSONSchemaReader(text, others, false)
	if err != nil {
		return nil, err
	}
	return func(path []string) (full string, tags []string, ok bool) {
		at, full := &r.root, "$"
		for _, name := range path {
			if strings.HasPrefix(name, jsonOneOf+".field.") {
				continue
			}
			if at = r.property(at, name); at == nil {
				return "", nil, false
			}
			full += "." + name
		}
		var list any
		if len(at.Tags) > 0 {
			if err := json.Unmarshal(at.Tags, &list); err != nil { // it was read as JSON before
				return "", nil, false
			}
		}
		return full, texts(list), at != &r.root
	}, nil
}

// maxAlternatives bounds the schemas that are looked into for a property.
const maxAlternatives = 1000

// property finds a property of a schema, or of what that is combined of, refers
// to or has for its elements; nil without.
func (r *jsonSchemaReader) property(n *jsonNode, name string) *jsonNode {
	open := []*jsonNode{n}
	for i := 0; i < len(open) && i < maxAlternatives; i++ {
		n := open[i]
		for j := range n.Properties {
			if n.Properties[j].name == name {
				return &n.Properties[j].node
			}
		}
		if n.Ref != "" {
			if to, err := r.target(n.Ref); err == nil {
				open = append(open, to)
			}
		}
		for _, list := range [][]jsonNode{n.OneOf, n.AnyOf, n.AllOf} {
			for j := range list {
				open = append(open, &list[j])
			}
		}
		for _, raw := range []json.RawMessage{n.Items, n.Additional} {
			var in jsonNode
			if len(raw) > 0 && raw[0] == '{' && json.Unmarshal(raw, &in) == nil {
				open = append(open, &in)
				for j := range in.Properties { // the entries of a map
					if n.ConnectType == "map" && in.Properties[j].name == "value" {
						open = append(open, &in.Properties[j].node)
					}
				}
			}
		}
	}
	return nil
}

// protoNames calls a field by its full name, with the package.
func protoNames(ctx context.Context, text string, others map[string]string, indexes []int) (rule.Names, error) {
	file, err := compileProto(ctx, text, others)
	if err != nil {
		return nil, err
	}
	root, err := messageAt(file, indexes)
	if err != nil {
		return nil, err
	}
	return func(path []string) (full string, tags []string, ok bool) {
		m := root
		var last protoreflect.FieldDescriptor
		for _, name := range path {
			if m == nil {
				return "", nil, false
			}
			fd := m.Fields().ByName(protoreflect.Name(name))
			if fd == nil {
				if !isOneofName(m, name) {
					return "", nil, false
				}
				continue
			}
			last, m = fd, fd.Message()
			if fd.IsMap() {
				m = fd.MapValue().Message()
			}
		}
		if last == nil {
			return "", nil, false
		}
		return string(last.FullName()), fieldTags(last), true
	}, nil
}

// isOneofName reports whether a field of a struct stands for a oneof, whose
// members are fields of the message itself.
func isOneofName(m protoreflect.MessageDescriptor, name string) bool {
	for i := range m.Oneofs().Len() {
		o := string(m.Oneofs().Get(i).Name())
		if number, ok := strings.CutPrefix(name, o+"_"); name == o || ok && strings.Trim(number, "0123456789") == "" {
			return true
		}
	}
	return false
}
