package rule

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/millrace/millrace/plugins/data"
)

// native is a value as CEL wants it: whole numbers as int64, structs as maps.
func native(v any) any {
	switch v := v.(type) {
	case int8:
		return int64(v)
	case int16:
		return int64(v)
	case int32:
		return int64(v)
	case float32:
		return float64(v)
	case data.Decimal:
		return v.String()
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = native(v[i])
		}
		return out
	case data.Map:
		out := make(map[any]any, len(v))
		for _, e := range v {
			out[native(e.Key)] = native(e.Value)
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, e := range v {
			out[k] = native(e)
		}
		return out
	case *data.Struct:
		out := make(map[string]any, len(v.Schema().Fields()))
		for i, f := range v.Schema().Fields() {
			out[f.Name] = native(v.AtWithoutDefault(i))
		}
		return out
	}
	return v
}

// typeNames are what CEL_FIELD calls the types of primitives.
var typeNames = map[data.Type]string{
	data.TypeInt8: "INT", data.TypeInt16: "INT", data.TypeInt32: "INT", data.TypeInt64: "LONG", data.TypeFloat32: "FLOAT",
	data.TypeFloat64: "DOUBLE", data.TypeBoolean: "BOOLEAN", data.TypeString: "STRING", data.TypeBytes: "BYTES",
}

// fields evaluates a rule for each primitive field of a struct, also of those
// within.
func (s *Set) fields(ctx context.Context, c *compiled, schema *data.Schema, v, message any) error {
	st, ok := v.(*data.Struct)
	if !ok || schema == nil {
		return nil
	}
	record := schema.Name()
	for i, f := range st.Schema().Fields() {
		value := st.AtWithoutDefault(i)
		full := strings.TrimPrefix(record+"."+f.Name, ".")
		typeName, primitive := typeNames[f.Schema.Type()]
		var err error
		switch {
		case primitive:
			err = s.one(ctx, c, full, f.Name, typeName, value, message)
		case f.Schema.Type() == data.TypeStruct:
			err = s.fields(ctx, c, f.Schema, value, message)
		case f.Schema.Type() == data.TypeArray:
			err = s.elements(ctx, c, f, full, value, message)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *Set) elements(ctx context.Context, c *compiled, f data.Field, full string, value, message any) error {
	list, _ := value.([]any)
	elem := f.Schema.ValueSchema()
	typeName, primitive := typeNames[elem.Type()]
	for _, e := range list {
		var err error
		if primitive {
			err = s.one(ctx, c, full, f.Name, typeName, e, message)
		} else {
			err = s.fields(ctx, c, elem, e, message)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *Set) one(ctx context.Context, c *compiled, full, name, typeName string, value, message any) error {
	tags := s.tags[full]
	if len(c.Tags) > 0 && !slices.ContainsFunc(c.Tags, func(t string) bool { return slices.Contains(tags, t) }) {
		return nil
	}
	if tags == nil {
		tags = []string{}
	}
	err := c.holds(ctx, map[string]any{
		"value": native(value), "fullName": full, "name": name, "typeName": typeName, "tags": tags, "message": message,
	})
	if err != nil {
		return fmt.Errorf("field %s: %w", full, err)
	}
	return nil
}
