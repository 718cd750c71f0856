package data

import (
	"fmt"
	"math/big"
	"slices"

	"pgregory.net/rapid"
)

// anySchema draws a schema of any type down to a depth. Names of structs are
// unique within the schema, so that its Avro text never defines one twice.
func anySchema(t *rapid.T, depth int, names *int) *Schema {
	types := []Type{TypeStruct, TypeMap, TypeArray, TypeString, TypeBytes, TypeInt32, TypeInt64,
		TypeInt8, TypeInt16, TypeFloat32, TypeFloat64, TypeBoolean}
	if depth == 0 {
		types = types[3:]
	}
	typ := rapid.SampledFrom(types).Draw(t, "type")
	var b *Builder
	switch typ {
	case TypeArray:
		b = ArrayOf(anySchema(t, depth-1, names))
	case TypeMap:
		key := StringSchema
		if rapid.IntRange(0, 3).Draw(t, "odd key") == 0 {
			key = rapid.SampledFrom([]*Schema{Int32Schema, OptionalStringSchema, BooleanSchema}).Draw(t, "key")
		}
		b = MapOf(key, anySchema(t, depth-1, names))
		*names++
		b.Name(fmt.Sprintf("test.M%d", *names))
	case TypeStruct:
		b = NewStructBuilder()
		*names++
		b.Name(fmt.Sprintf("test.S%d", *names))
		for i := range rapid.IntRange(0, 4).Draw(t, "fields") {
			b.Field(fmt.Sprintf("f%d", i), anySchema(t, depth-1, names))
		}
	case TypeInt32:
		b = rapid.SampledFrom([]func() *Builder{
			func() *Builder { return NewBuilder(TypeInt32) }, DateBuilder, TimeBuilder,
		}).Draw(t, "int32")()
	case TypeBytes:
		b = NewBuilder(TypeBytes)
		if rapid.Bool().Draw(t, "decimal") {
			b = DecimalBuilder(int32(rapid.IntRange(0, 6).Draw(t, "scale")))
		}
	default:
		b = NewBuilder(typ)
	}
	if rapid.Bool().Draw(t, "optional") {
		b.Optional()
	}
	if typ != TypeStruct && rapid.IntRange(0, 4).Draw(t, "with default") == 0 {
		// AvroData substitutes defaults in the defaults of structs, which
		// changes a default that holds such a null.
		if v := anyPresent(t, &b.s); !hidesNull(v) && !hasNullKey(v) {
			b.Default(v)
		}
	}
	return b.MustBuild()
}

// hidesNull finds a null in a struct's field that has a default.
func hidesNull(v any) bool {
	switch v := v.(type) {
	case *Struct:
		for i, f := range v.schema.fields {
			if v.values[i] == nil && f.Schema.hasDef || hidesNull(v.values[i]) {
				return true
			}
		}
	case []any:
		return slices.ContainsFunc(v, hidesNull)
	case Map:
		return slices.ContainsFunc(v, func(e Entry) bool { return hidesNull(e.Value) })
	}
	return false
}

// anyValue draws a value of s, null where that is allowed.
func anyValue(t *rapid.T, s *Schema) any {
	if s.optional && rapid.IntRange(0, 2).Draw(t, "null") == 0 {
		return nil
	}
	return anyPresent(t, s)
}

func anyPresent(t *rapid.T, s *Schema) any {
	switch s.typ {
	case TypeInt8:
		return rapid.Int8().Draw(t, "int8")
	case TypeInt16:
		return rapid.Int16().Draw(t, "int16")
	case TypeInt32:
		if s.name == TimeName {
			return rapid.Int32Range(0, maxTime).Draw(t, "time")
		}
		return rapid.Int32().Draw(t, "int32")
	case TypeInt64:
		return rapid.Int64().Draw(t, "int64")
	case TypeFloat32:
		return rapid.Float32().Draw(t, "float")
	case TypeFloat64:
		return rapid.Float64().Draw(t, "double")
	case TypeBoolean:
		return rapid.Bool().Draw(t, "boolean")
	case TypeString:
		return rapid.StringN(0, 8, 32).Draw(t, "string")
	case TypeBytes:
		b := rapid.SliceOfN(rapid.Byte(), 0, 20).Draw(t, "bytes")
		if scale, ok := s.Scale(); ok {
			return Decimal{unscaledFrom(b), scale}
		}
		return append([]byte{}, b...)
	case TypeArray:
		out := []any{}
		for range rapid.IntRange(0, 3).Draw(t, "elements") {
			out = append(out, anyValue(t, s.value))
		}
		return out
	case TypeMap:
		out := Map{}
		for range rapid.IntRange(0, 3).Draw(t, "entries") {
			k := anyValue(t, s.key)
			if _, dup := out.Get(k); !dup {
				out = append(out, Entry{k, anyValue(t, s.value)})
			}
		}
		return out
	default:
		v := NewStruct(s)
		for i, f := range s.fields {
			v.values[i] = anyValue(t, f.Schema)
		}
		return v
	}
}

func anyTree(t *rapid.T) (*Schema, any) {
	names := 0
	b := NewStructBuilder().Name("test.Root")
	for i := range rapid.IntRange(1, 6).Draw(t, "fields") {
		b.Field(fmt.Sprintf("f%d", i), anySchema(t, 3, &names))
	}
	s := b.MustBuild()
	return s, anyPresent(t, s)
}

func bigInt(text string) *big.Int {
	n, ok := new(big.Int).SetString(text, 10)
	if !ok {
		panic(text)
	}
	return n
}
