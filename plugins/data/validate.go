package data

import (
	"errors"
	"fmt"
)

// Validate reports whether v may be put where s is asked for: of the Go type
// that belongs to the schema's type (no widening), null only if s is optional,
// within a logical type's range, and so on for what it holds. A default does
// not make null acceptable here, only within a Struct.
func Validate(s *Schema, v any) error { return validate(s, v, s.optional) }

func validate(s *Schema, v any, nullable bool) error {
	if v == nil {
		if nullable {
			return nil
		}
		return &PathError{Err: ErrRequired}
	}
	if s.name == DecimalName {
		return validateDecimal(s, v)
	}
	ok := true
	switch s.typ {
	case TypeInt8:
		_, ok = v.(int8)
	case TypeInt16:
		_, ok = v.(int16)
	case TypeInt32:
		var n int32
		if n, ok = v.(int32); ok && s.name == TimeName {
			return checkTime(n)
		}
	case TypeInt64:
		_, ok = v.(int64)
	case TypeFloat32:
		_, ok = v.(float32)
	case TypeFloat64:
		_, ok = v.(float64)
	case TypeBoolean:
		_, ok = v.(bool)
	case TypeString:
		_, ok = v.(string)
	case TypeBytes:
		var b []byte
		if b, ok = v.([]byte); ok && isFixed(s) {
			return checkFixed(s, b)
		}
	case TypeArray, TypeMap, TypeStruct:
		return validateNested(s, v)
	}
	if !ok {
		return typeError(s, v)
	}
	return nil
}

func checkFixed(s *Schema, b []byte) error {
	n, err := fixedSize(s)
	if err == nil && len(b) != n {
		err = fmt.Errorf("%d bytes where fixed has %d", len(b), n)
	}
	return err
}

func validateDecimal(s *Schema, v any) error {
	d, ok := v.(Decimal)
	if !ok {
		return typeError(s, v)
	}
	scale, err := decimalScale(s)
	if err == nil && d.Scale != scale {
		err = fmt.Errorf("decimal has scale %d where the schema has %d", d.Scale, scale)
	}
	return err
}

func validateNested(s *Schema, v any) error {
	switch v := v.(type) {
	case []any:
		if s.typ != TypeArray {
			break
		}
		for i, e := range v {
			if err := Validate(s.value, e); err != nil {
				return underIndex(i, err)
			}
		}
		return nil
	case Map:
		if s.typ != TypeMap {
			break
		}
		for i, e := range v {
			if err := errors.Join(Validate(s.key, e.Key), Validate(s.value, e.Value)); err != nil {
				return underIndex(i, err)
			}
		}
		return nil
	case *Struct:
		if s.typ != TypeStruct {
			break
		}
		if v == nil {
			return errors.New("a nil *Struct is not a null: use nil")
		}
		if !sameStruct(v.schema, s) {
			return errors.New("struct schemas do not match")
		}
		return v.Validate()
	}
	return typeError(s, v)
}

// sameStruct decides whether a struct may stand where schema b is asked for:
// equal, or differing only in optional, default and texts about the struct as
// a whole. Connect insists on equality, which refuses a struct made with the
// required form of an optional field's schema.
func sameStruct(a, b *Schema) bool {
	if a.Equal(b) {
		return true
	}
	if a.name != b.name || len(a.fields) != len(b.fields) {
		return false
	}
	for i := range a.fields {
		if a.fields[i].Name != b.fields[i].Name || !a.fields[i].Schema.Equal(b.fields[i].Schema) {
			return false
		}
	}
	return true
}

func typeError(s *Schema, v any) error {
	want := s.typ.String()
	if s.IsLogical() {
		want = s.name
	}
	return fmt.Errorf("a %T where the schema is %s", v, want)
}
