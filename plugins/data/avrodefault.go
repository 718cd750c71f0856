package data

import (
	"math"
	"slices"
	"strconv"
)

// fieldDefault is the default of a record field of schema s: its default, null
// if it is optional, nil for none. A default that Avro would not accept for
// the first type of the union, and a float that JSON cannot write, are left
// out, as AvroData does.
func (f *former) fieldDefault(s *Schema) []byte {
	v := s.def
	if !s.hasDef {
		if s.optional {
			return []byte("null")
		}
		return nil
	}
	if s.typ == TypeStruct && s.optional || !jsonNumbers(v) {
		return nil
	}
	if isUnion(s) {
		if v.(*Struct).values[0] == nil {
			return nil
		}
	}
	return f.appendDefault(nil, s, v)
}

// jsonNumbers reports whether all floats in a value are numbers to JSON.
func jsonNumbers(v any) bool {
	switch v := v.(type) {
	case float32:
		return v == v && !math.IsInf(float64(v), 0)
	case float64:
		return v == v && !math.IsInf(v, 0)
	case []any:
		return !slices.ContainsFunc(v, func(e any) bool { return !jsonNumbers(e) })
	case *Struct:
		return !slices.ContainsFunc(v.values, func(e any) bool { return !jsonNumbers(e) })
	case Map:
		return !slices.ContainsFunc(v, func(e Entry) bool { return !jsonNumbers(e.Key) || !jsonNumbers(e.Value) })
	default:
		return true
	}
}

// appendDefault writes a value as Avro writes defaults: bytes as text of one
// character per byte, decimals by their bytes, entries of maps that are not
// Avro maps as pairs, a union as the value of its first branch.
func (f *former) appendDefault(dst []byte, s *Schema, v any) []byte {
	switch v := v.(type) {
	case nil:
		return append(dst, "null"...)
	case int8:
		return strconv.AppendInt(dst, int64(v), 10)
	case int16:
		return strconv.AppendInt(dst, int64(v), 10)
	case int32:
		return strconv.AppendInt(dst, int64(v), 10)
	case int64:
		return strconv.AppendInt(dst, v, 10)
	case float32:
		return appendJSONFloat(dst, float64(v), 32)
	case float64:
		return appendJSONFloat(dst, v, 64)
	case bool:
		return strconv.AppendBool(dst, v)
	case string:
		return appendJSONString(dst, v)
	case []byte:
		return appendLatin1(dst, v)
	case Decimal:
		return appendLatin1(dst, v.AppendUnscaled(nil))
	case []any:
		dst = append(dst, '[')
		for i, e := range v {
			dst = f.appendDefault(comma(dst, i), s.value, e)
		}
		return append(dst, ']')
	case Map:
		return f.appendMapDefault(dst, s, v)
	case *Struct:
		return f.appendStructDefault(dst, s, v)
	}
	return dst
}

func (f *former) appendMapDefault(dst []byte, s *Schema, m Map) []byte {
	native := mapIsNative(s, f.o.AllowOptionalMapKeys)
	dst = append(dst, "[{"[flag(native)])
	for i, e := range m {
		dst = comma(dst, i)
		if native {
			key, _ := e.Key.(string)
			dst = append(appendJSONString(dst, key), ':')
			dst = f.appendDefault(dst, s.value, e.Value)
			continue
		}
		dst = append(f.appendDefault(append(dst, '['), s.key, e.Key), ',')
		dst = append(f.appendDefault(dst, s.value, e.Value), ']')
	}
	return append(dst, "]}"[flag(native)])
}

func (f *former) appendStructDefault(dst []byte, s *Schema, v *Struct) []byte {
	if isUnion(s) {
		return f.appendDefault(dst, s.fields[0].Schema, v.values[0])
	}
	dst = append(dst, '{')
	for i, field := range s.fields {
		name := field.Name
		if f.o.ScrubInvalidNames {
			name = scrub(name)
		}
		dst = append(appendJSONString(comma(dst, i), name), ':')
		dst = f.appendDefault(dst, field.Schema, v.At(i))
	}
	return append(dst, '}')
}

// comma appends a comma before all elements but the first.
func comma(dst []byte, i int) []byte {
	if i > 0 {
		return append(dst, ',')
	}
	return dst
}

// appendLatin1 appends bytes as a JSON string of one character per byte.
func appendLatin1(dst, b []byte) []byte {
	text := make([]rune, len(b))
	for i, c := range b {
		text[i] = rune(c)
	}
	return appendJSONString(dst, string(text))
}
