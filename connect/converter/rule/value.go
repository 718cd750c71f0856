package rule

import (
	"context"
	"fmt"
	"slices"

	"github.com/millrace/millrace/connect/expr"
	"github.com/millrace/millrace/plugins/data"
)

// native is a value as CEL wants it, with decimals as texts.
func native(v any) any {
	return expr.Native(v, func(d data.Decimal) any { return d.String() })
}

// typeNames are what CEL_FIELD calls the types of primitives.
var typeNames = map[data.Type]string{
	data.TypeInt8: "INT", data.TypeInt16: "INT", data.TypeInt32: "INT", data.TypeInt64: "LONG", data.TypeFloat32: "FLOAT",
	data.TypeFloat64: "DOUBLE", data.TypeBoolean: "BOOLEAN", data.TypeString: "STRING", data.TypeBytes: "BYTES",
}

// structure evaluates a rule for each primitive field of a struct, also of those
// within. path leads to the struct.
func (s *Set) structure(ctx context.Context, c *compiled, path []string, schema *data.Schema, v, message any) error {
	st, ok := v.(*data.Struct)
	if !ok || schema == nil {
		return nil
	}
	for i, f := range st.Schema().Fields() {
		at := step{set: s, rule: c, message: message, path: append(slices.Clip(path), f.Name), record: schema.Name(), name: f.Name}
		if err := at.value(ctx, f.Schema, st.AtWithoutDefault(i)); err != nil {
			return err
		}
	}
	return nil
}

// step is a field on the way through a value.
type step struct {
	set          *Set
	rule         *compiled
	message      any
	path         []string
	record, name string
}

// value evaluates the rule for a field's value, or for all in it.
func (at *step) value(ctx context.Context, s *data.Schema, v any) error {
	if typeName, primitive := typeNames[s.Type()]; primitive {
		return at.one(ctx, typeName, v)
	}
	switch v := v.(type) {
	case *data.Struct:
		return at.set.structure(ctx, at.rule, at.path, s, v, at.message)
	case []any:
		for _, e := range v {
			if err := at.value(ctx, s.ValueSchema(), e); err != nil {
				return err
			}
		}
	case data.Map:
		for _, e := range v {
			if err := at.value(ctx, s.ValueSchema(), e.Value); err != nil {
				return err
			}
		}
	}
	return nil
}

func (at *step) one(ctx context.Context, typeName string, value any) error {
	f := at.set.field(at.path, at.record)
	if len(at.rule.Tags) > 0 && !slices.ContainsFunc(at.rule.Tags, func(t string) bool { return slices.Contains(f.tags, t) }) {
		return nil
	}
	err := at.rule.holds(ctx, map[string]any{
		"value": native(value), "fullName": f.full, "name": at.name, "typeName": typeName, "tags": f.tags, "message": at.message,
	})
	if err != nil {
		return fmt.Errorf("field %s: %w", f.full, err)
	}
	return nil
}
