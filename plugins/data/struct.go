package data

import (
	"errors"
	"fmt"
	"strings"
)

// Struct is the value of a Struct schema: one value per field. The zero value
// of a field is null. A Struct is used by one goroutine at a time.
type Struct struct {
	schema *Schema
	values []any
}

// NewStruct returns a struct of nulls. It panics unless s is a Struct schema.
func NewStruct(s *Schema) *Struct {
	if s == nil || s.typ != TypeStruct {
		panic("data: NewStruct needs a struct schema")
	}
	return &Struct{schema: s, values: make([]any, len(s.fields))}
}

// Schema returns the schema the struct was made with.
func (v *Struct) Schema() *Schema { return v.schema }

func (v *Struct) index(name string) (int, error) {
	i, ok := v.schema.byName[name]
	if !ok {
		return 0, fmt.Errorf("%q: %w", name, ErrNoField)
	}
	return i, nil
}

// Put sets a field after validating the value against its schema. A default
// does not make null acceptable in a required field; leaving the field alone
// does.
func (v *Struct) Put(name string, value any) error {
	i, err := v.index(name)
	if err != nil {
		return err
	}
	return v.PutAt(i, value)
}

// PutAt is Put by the field's index.
func (v *Struct) PutAt(i int, value any) error {
	f := v.schema.fields[i]
	if err := validate(f.Schema, value, f.Schema.optional || isUnion(v.schema)); err != nil {
		return under(f.Name, err)
	}
	v.values[i] = value
	return nil
}

// Get returns a field's value, its default where that is null. It is what
// Connect's Struct.get does, and hides a true null: see GetWithoutDefault.
func (v *Struct) Get(name string) (any, error) {
	i, err := v.index(name)
	if err != nil {
		return nil, err
	}
	return v.At(i), nil
}

// At is Get by the field's index.
func (v *Struct) At(i int) any {
	if x := v.values[i]; x != nil {
		return x
	}
	return v.schema.fields[i].Schema.def
}

// GetWithoutDefault returns a field's value as it was put, null as null.
func (v *Struct) GetWithoutDefault(name string) (any, error) {
	i, err := v.index(name)
	if err != nil {
		return nil, err
	}
	return v.values[i], nil
}

// AtWithoutDefault is GetWithoutDefault by the field's index.
func (v *Struct) AtWithoutDefault(i int) any { return v.values[i] }

// typed returns a field's value without its default; ok is false for null.
func typed[T any](v *Struct, name string) (x T, ok bool, err error) {
	i, err := v.index(name)
	if err != nil || v.values[i] == nil {
		return x, false, err
	}
	if x, ok = v.values[i].(T); !ok {
		return x, false, fmt.Errorf("%s is of type %v, not %T", name, v.schema.fields[i].Schema.typ, x)
	}
	return x, true, nil
}

// Int8 returns an Int8 field, ok false for null. Like all typed getters it
// does not substitute the default and fails if the field is of another type.
func (v *Struct) Int8(name string) (x int8, ok bool, err error) { return typed[int8](v, name) }

// Int16 returns an Int16 field, ok false for null.
func (v *Struct) Int16(name string) (x int16, ok bool, err error) { return typed[int16](v, name) }

// Int32 returns an Int32 field, ok false for null.
func (v *Struct) Int32(name string) (x int32, ok bool, err error) { return typed[int32](v, name) }

// Int64 returns an Int64 field, ok false for null.
func (v *Struct) Int64(name string) (x int64, ok bool, err error) { return typed[int64](v, name) }

// Float32 returns a Float32 field, ok false for null.
func (v *Struct) Float32(name string) (x float32, ok bool, err error) {
	return typed[float32](v, name)
}

// Float64 returns a Float64 field, ok false for null.
func (v *Struct) Float64(name string) (x float64, ok bool, err error) {
	return typed[float64](v, name)
}

// Boolean returns a Boolean field, ok false for null.
func (v *Struct) Boolean(name string) (x, ok bool, err error) { return typed[bool](v, name) }

// String returns the struct as Connect prints it: Struct{a=1,b=x}, without the
// fields that are null.
func (v *Struct) String() string {
	var b strings.Builder
	b.WriteString("Struct{")
	first := true
	for i, f := range v.schema.fields {
		if v.values[i] == nil {
			continue
		}
		if !first {
			b.WriteByte(',')
		}
		first = false
		b.WriteString(f.Name)
		b.WriteByte('=')
		b.WriteString(Text(v.values[i]))
	}
	b.WriteByte('}')
	return b.String()
}

// Text returns a String field, ok false for null.
func (v *Struct) Text(name string) (x string, ok bool, err error) { return typed[string](v, name) }

// Bytes returns a Bytes field, ok false for null.
func (v *Struct) Bytes(name string) (x []byte, ok bool, err error) { return typed[[]byte](v, name) }

// Decimal returns a Decimal field, ok false for null.
func (v *Struct) Decimal(name string) (x Decimal, ok bool, err error) {
	return typed[Decimal](v, name)
}

// Array returns an Array field, ok false for null.
func (v *Struct) Array(name string) (x []any, ok bool, err error) { return typed[[]any](v, name) }

// Map returns a Map field, ok false for null.
func (v *Struct) Map(name string) (x Map, ok bool, err error) { return typed[Map](v, name) }

// Struct returns a Struct field, ok false for null.
func (v *Struct) Struct(name string) (x *Struct, ok bool, err error) {
	return typed[*Struct](v, name)
}

// Validate reports the first field that is null without being optional or
// having a default, or whose value does not fit; for a union that not exactly
// one field is set.
func (v *Struct) Validate() error {
	set, union := 0, isUnion(v.schema)
	for i, f := range v.schema.fields {
		x := v.values[i]
		if x != nil {
			set++
		}
		if err := validate(f.Schema, x, union || f.Schema.optional || f.Schema.hasDef); err != nil {
			return under(f.Name, err)
		}
	}
	if union && set != 1 {
		return errors.New("a union needs exactly one field set")
	}
	return nil
}
