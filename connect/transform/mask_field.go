package transform

import (
	"errors"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strconv"

	"github.com/millrace/millrace/plugins/configdef"
	"github.com/millrace/millrace/plugins/data"
)

var maskFieldDef = configdef.Def{
	{Name: "fields", Type: configdef.List, Required: true, Importance: configdef.High,
		Rules: []configdef.Rule{configdef.NonEmpty()}, Doc: "Fields to mask."},
	{Name: "replacement", Type: configdef.String, Importance: configdef.Low,
		Rules: []configdef.Rule{configdef.NonEmpty()}, Doc: "Value to put in the place of numbers and texts, instead of zero or nothing."},
	replaceNull,
}

// maskField is Kafka's MaskField: puts zeros, empty texts or a replacement in
// the place of values.
type maskField struct {
	side         Side
	fields       []string
	replacement  *string
	withDefaults bool
	plans        perSchema[*rewrite]
}

func newMaskField(s settings, c configdef.Config) (Transform, error) {
	t := &maskField{side: s.side, fields: c.List("fields"), withDefaults: c.Bool(replaceNull.Name)}
	if !c.IsNull("replacement") {
		text := c.String("replacement")
		t.replacement = &text
	}
	return t, nil
}

// Apply refuses null values, which have no fields: a predicate can keep
// tombstones away.
func (t *maskField) Apply(r *Record) (bool, error) {
	c := r.side(t.side)
	if c.isNull() {
		return false, errors.New("a null value has no fields to mask; bind the transform to a negated RecordIsTombstone")
	}
	if c.schema() == nil {
		return true, t.applyMap(r, c)
	}
	p, err := t.plans.get(c.schema(), t.compile)
	if err != nil {
		return false, err
	}
	return true, p.apply(r, c, c)
}

func (t *maskField) compile(s *data.Schema) (*rewrite, error) {
	if err := requireStruct(s, "field masking"); err != nil {
		return nil, err
	}
	var cols []column
	for _, f := range s.Fields() {
		col := keepColumn(f)
		if slices.Contains(t.fields, f.Name) {
			mask, err := t.maskOf(f.Schema)
			if err != nil {
				return nil, fmt.Errorf("field %q: %w", f.Name, err)
			}
			col.mask, col.masked = mask, true
		}
		cols = append(cols, col)
	}
	return newRewrite(s, s, cols, t.withDefaults), nil
}

// maskOf is the mask of values of a schema.
func (t *maskField) maskOf(s *data.Schema) (any, error) {
	if s.Name() == data.DecimalName {
		return t.maskDecimal(s)
	}
	if t.replacement != nil && !s.IsLogical() {
		return replacementAs(s.Type(), *t.replacement)
	}
	switch s.Type() {
	case data.TypeInt8:
		return int8(0), nil
	case data.TypeInt16:
		return int16(0), nil
	case data.TypeInt32:
		return int32(0), nil
	case data.TypeInt64:
		return int64(0), nil
	case data.TypeFloat32:
		return float32(0), nil
	case data.TypeFloat64:
		return float64(0), nil
	case data.TypeBoolean:
		return false, nil
	case data.TypeString:
		return "", nil
	case data.TypeArray:
		return []any{}, nil
	case data.TypeMap:
		return data.Map{}, nil
	}
	return nil, fmt.Errorf("values of type %v cannot be masked", s.Type())
}

// maskDecimal masks in the scale of the schema. Differs from Kafka: there the
// mask has scale 0, which the converters then refuse in most schemas.
func (t *maskField) maskDecimal(s *data.Schema) (any, error) {
	scale, _ := s.Scale()
	if t.replacement == nil {
		return data.NewDecimal(0, scale), nil
	}
	d, err := data.ParseDecimal(*t.replacement)
	if err != nil {
		return nil, fmt.Errorf("replacement: %w", err)
	}
	return d.Rescale(scale)
}

// replacementAs reads the replacement as a number or text.
func replacementAs(typ data.Type, text string) (any, error) {
	bits := map[data.Type]int{data.TypeInt8: 8, data.TypeInt16: 16, data.TypeInt32: 32, data.TypeInt64: 64}[typ]
	if bits > 0 {
		n, err := strconv.ParseInt(text, 10, bits)
		if err != nil {
			return nil, fmt.Errorf("replacement %q is no number of type %v", text, typ)
		}
		return integerOf(typ, n), nil
	}
	switch typ {
	case data.TypeFloat32, data.TypeFloat64:
		f, err := strconv.ParseFloat(text, 64)
		switch {
		case err != nil:
			return nil, fmt.Errorf("replacement %q is no number of type %v", text, typ)
		case typ == data.TypeFloat32:
			return float32(f), nil
		}
		return f, nil
	case data.TypeString:
		return text, nil
	}
	return nil, fmt.Errorf("values of type %v cannot be masked by a replacement", typ)
}

// integerOf narrows a number to one of the integer types, as Java does.
func integerOf(typ data.Type, n int64) any {
	switch typ {
	case data.TypeInt8:
		return int8(n)
	case data.TypeInt16:
		return int16(n)
	case data.TypeInt32:
		return int32(n)
	default:
		return n
	}
}

func (t *maskField) applyMap(r *Record, c *cell) error {
	in, err := c.mapOf("field masking")
	if err != nil {
		return err
	}
	out := maps.Clone(in)
	if out == nil {
		out = map[string]any{}
	}
	for _, name := range t.fields {
		v, err := t.maskPlain(in[name])
		if err != nil {
			return fmt.Errorf("field %q: %w", name, err)
		}
		out[name] = v
	}
	r.set(c, nil, out)
	return nil
}

// maskPlain is the mask of a value without schema.
func (t *maskField) maskPlain(v any) (any, error) {
	typ := data.TypeBytes
	switch v.(type) {
	case nil:
		return nil, nil
	case int64:
		typ = data.TypeInt64
	case float64:
		typ = data.TypeFloat64
	case string:
		typ = data.TypeString
	case data.Decimal:
		if t.replacement == nil {
			return data.Decimal{Unscaled: new(big.Int)}, nil
		}
		return data.ParseDecimal(*t.replacement)
	case bool:
		if t.replacement == nil {
			return false, nil
		}
	case []any:
		if t.replacement == nil {
			return []any{}, nil
		}
	case map[string]any:
		if t.replacement == nil {
			return map[string]any{}, nil
		}
	}
	switch {
	case typ == data.TypeBytes:
		return nil, fmt.Errorf("%s cannot be masked", kindOf(v))
	case t.replacement != nil:
		return replacementAs(typ, *t.replacement)
	case typ == data.TypeInt64:
		return int64(0), nil
	case typ == data.TypeFloat64:
		return float64(0), nil
	}
	return "", nil
}
