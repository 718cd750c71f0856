package generate

import (
	"errors"
	"fmt"

	"github.com/millrace/millrace/plugins/data"
)

// compiler turns the tree of an Avro schema, beside the Connect schema that
// comes of it, into nodes.
type compiler struct {
	named map[string]map[string]any // by name, as it is referred to
	space []string                  // namespaces around
}

// compile returns the node of a type. Errors name the field.
func (c *compiler) compile(avro any, s *data.Schema) (node, error) {
	switch t := avro.(type) {
	case string:
		if def, ok := c.named[t]; ok {
			return c.complex(def, s)
		}
		return c.plain(map[string]any{"type": t}, s)
	case []any:
		return c.union(t, s)
	case map[string]any:
		return c.complex(t, s)
	}
	return nil, fmt.Errorf("a type is a %T", avro)
}

func (c *compiler) complex(t map[string]any, s *data.Schema) (node, error) {
	c.define(t)
	kind, ok := t["type"].(string)
	if !ok { // a type in a type: the outer properties count
		inner, isMap := t["type"].(map[string]any)
		if p, has := t["arg.properties"]; has && isMap {
			clone := map[string]any{}
			for k, v := range inner {
				clone[k] = v
			}
			clone["arg.properties"] = p
			return c.complex(clone, s)
		}
		return c.compile(t["type"], s)
	}
	props, err := newProperties(t)
	if err != nil {
		return nil, err
	}
	if props.has("options") {
		return c.options(props, s)
	}
	switch kind {
	case "record", "error":
		return c.record(t, s)
	case "array":
		return c.array(t, props, s)
	case "map":
		return c.mapping(t, props, s)
	case "enum":
		return c.enum(t)
	}
	if def, ok := c.named[kind]; ok {
		return c.complex(def, s)
	}
	return c.plain(t, s)
}

// define remembers a named type under its name, alone and in full.
func (c *compiler) define(t map[string]any) {
	name, _ := t["name"].(string)
	switch t["type"] {
	case "record", "error", "enum", "fixed":
		c.named[name] = t
		if space, ok := t["namespace"].(string); ok {
			c.named[space+"."+name] = t
		} else if n := len(c.space); n > 0 {
			c.named[c.space[n-1]+"."+name] = t
		}
	}
}

func (c *compiler) record(t map[string]any, s *data.Schema) (node, error) {
	if space, ok := t["namespace"].(string); ok {
		c.space = append(c.space, space)
		defer func() { c.space = c.space[:len(c.space)-1] }()
	}
	fields, _ := t["fields"].([]any)
	if s.Type() != data.TypeStruct || len(fields) != len(s.Fields()) {
		return nil, fmt.Errorf("record %v has no counterpart in Connect", t["name"])
	}
	out := &record{key: -1}
	for i, f := range fields {
		field, _ := f.(map[string]any)
		n, err := c.compile(field["type"], s.Fields()[i].Schema)
		if err != nil {
			return nil, fmt.Errorf("%v: %w", field["name"], err)
		}
		out.fields = append(out.fields, n)
	}
	return out, nil
}

// union handles an optional type, and a choice of several, which Connect makes
// a struct with a field for each.
func (c *compiler) union(branches []any, s *data.Schema) (node, error) {
	out := &union{}
	several := s.Type() == data.TypeStruct && s.Name() == data.UnionName
	next := 0
	for _, b := range branches {
		if b == "null" {
			out.branches = append(out.branches, nil)
			continue
		}
		inner := s
		if several {
			inner = s.Fields()[next].Schema
		}
		n, err := c.compile(b, inner)
		if err != nil {
			return nil, err
		}
		if several {
			n = &branch{n, next, len(s.Fields())}
		}
		next++
		out.branches = append(out.branches, n)
	}
	if len(out.branches) == 0 {
		return nil, errors.New("a union has no branches")
	}
	return out, nil
}

func (c *compiler) array(t map[string]any, p properties, s *data.Schema) (node, error) {
	if s.Type() != data.TypeArray {
		return nil, errors.New("arrays of entries that Connect takes for a map are not generated: use a map")
	}
	n, err := c.compile(t["items"], s.ValueSchema())
	if err != nil {
		return nil, err
	}
	size, err := p.length()
	return &array{size, n}, err
}

func (c *compiler) mapping(t map[string]any, p properties, s *data.Schema) (node, error) {
	n, err := c.compile(t["values"], s.ValueSchema())
	if err != nil {
		return nil, err
	}
	keys, err := newProperties(map[string]any{"arg.properties": p.object("keys")})
	if err != nil {
		return nil, err
	}
	key, err := newText(keys)
	if err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	size, err := p.length()
	return &mapping{size, key, n}, err
}

func (c *compiler) enum(t map[string]any) (node, error) {
	list, _ := t["symbols"].([]any)
	out := &choice{values: list}
	if len(out.values) == 0 {
		return nil, errors.New("an enum has no symbols")
	}
	return out, nil
}

// options makes the node that picks one of the values that are listed.
func (c *compiler) options(p properties, s *data.Schema) (node, error) {
	list, err := p.options()
	if err != nil {
		return nil, err
	}
	out := &choice{}
	for i, o := range list {
		v, err := value(s, o)
		if err == nil {
			_, err = data.NewDatum(s, v)
		}
		if err != nil {
			return nil, fmt.Errorf("option %d: %w", i+1, err)
		}
		out.values = append(out.values, v)
	}
	return out, nil
}

// plain compiles the types that hold no others.
func (c *compiler) plain(t map[string]any, s *data.Schema) (node, error) {
	p, err := newProperties(t)
	if err != nil {
		return nil, err
	}
	switch s.Type() {
	case data.TypeBoolean:
		return newBoolean(p)
	case data.TypeInt8, data.TypeInt16, data.TypeInt32, data.TypeInt64:
		return newInteger(p, s)
	case data.TypeFloat32, data.TypeFloat64:
		return newFloat(p, s)
	case data.TypeString:
		return newText(p)
	case data.TypeBytes:
		if scale, ok := s.Scale(); ok {
			return newDecimal(p, t, scale)
		}
		if size, ok := number(t["size"]); ok {
			return &binary{span{int(size), int(size)}}, nil
		}
		size, err := p.length()
		return &binary{size}, err
	}
	return nil, fmt.Errorf("nothing is generated for %v", t["type"])
}
