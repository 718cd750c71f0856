package data

import (
	"bytes"
	"math"
)

// Entry is one pair of a Map.
type Entry struct{ Key, Value any }

// Map is the value of a Map schema: its entries in any order. Rows hold them
// sorted by key. Keys must differ.
type Map []Entry

// Get returns the value of a key and whether it is there. It looks at every
// entry, so it is for small maps.
func (m Map) Get(key any) (any, bool) {
	for _, e := range m {
		if EqualValues(e.Key, key) {
			return e.Value, true
		}
	}
	return nil, false
}

// EqualValues reports whether two values are the same: structs by schema and
// fields, maps whatever their order, decimals with their scale, floats with
// NaN equal to itself and the two zeros different, as in Java.
func EqualValues(a, b any) bool {
	switch a := a.(type) {
	case []byte:
		b, ok := b.([]byte)
		return ok && bytes.Equal(a, b)
	case Decimal:
		b, ok := b.(Decimal)
		return ok && a.Equal(b)
	case float32:
		b, ok := b.(float32)
		return ok && (math.Float32bits(a) == math.Float32bits(b) || a != a && b != b)
	case float64:
		b, ok := b.(float64)
		return ok && (math.Float64bits(a) == math.Float64bits(b) || a != a && b != b)
	case []any:
		b, ok := b.([]any)
		return ok && equalSlices(a, b)
	case Map:
		b, ok := b.(Map)
		return ok && equalMaps(a, b)
	case *Struct:
		b, ok := b.(*Struct)
		return ok && a.schema.Equal(b.schema) && equalSlices(a.values, b.values)
	case map[string]any:
		b, ok := b.(map[string]any)
		if !ok || len(a) != len(b) {
			return false
		}
		for k, v := range a {
			w, ok := b[k]
			if !ok || !EqualValues(v, w) {
				return false
			}
		}
		return true
	default:
		return a == b
	}
}

func equalSlices(a, b []any) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !EqualValues(a[i], b[i]) {
			return false
		}
	}
	return true
}

func equalMaps(a, b Map) bool {
	if len(a) != len(b) {
		return false
	}
	for _, e := range a {
		v, ok := b.Get(e.Key)
		if !ok || !EqualValues(e.Value, v) {
			return false
		}
	}
	return true
}

// cloneValue copies a validated value deeply, so that a schema's default stays
// what it was.
func cloneValue(v any) any {
	switch v := v.(type) {
	case []byte:
		return bytes.Clone(v)
	case []any:
		c := make([]any, len(v))
		for i, e := range v {
			c[i] = cloneValue(e)
		}
		return c
	case Map:
		c := make(Map, len(v))
		for i, e := range v {
			c[i] = Entry{cloneValue(e.Key), cloneValue(e.Value)}
		}
		return c
	case *Struct:
		c := &Struct{schema: v.schema, values: make([]any, len(v.values))}
		for i, e := range v.values {
			c.values[i] = cloneValue(e)
		}
		return c
	default:
		return v
	}
}
