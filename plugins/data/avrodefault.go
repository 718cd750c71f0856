package data

import (
	"slices"
	"strconv"
)

// fieldDefault is the default of a record field of schema s and type n: its
// default, null if it is optional, nil for none. A default that Avro does not
// accept is left out, as AvroData does: that of an optional struct, whose union
// begins with null, of entries of a map that is none in Avro, of NaN.
func (f *former) fieldDefault(s *Schema, n *AvroNode) []byte {
	if !s.hasDef {
		if s.optional {
			return []byte("null")
		}
		return nil
	}
	def := f.appendDefault(nil, s, s.def)
	if in := newScanner(def); !validDefault(n, &in) {
		return nil
	}
	return def
}

// validDefault decides whether the next value is a default that Avro's
// specification accepts: of the right kind, and of a union's first type.
func validDefault(n *AvroNode, in *scanner) bool {
	k := in.kind()
	count := 0
	ok := true
	switch n.kind {
	case AvroUnion:
		return validDefault(n.branches[0], in)
	case AvroNull:
		return k == 'n' && in.literal() == 'n'
	case AvroBoolean:
		c := in.literal()
		return c == 't' || c == 'f'
	case AvroInt, AvroLong, AvroFloat, AvroDouble:
		return in.number() != nil
	case AvroString, AvroBytes, AvroEnum, AvroFixed:
		in.text()
		return in.err == nil
	case AvroArray:
		in.open('[')
		for in.more(']', &count) && ok {
			ok = validDefault(n.items, in)
		}
	case AvroMap:
		in.open('{')
		for in.more('}', &count) && ok {
			in.key()
			ok = validDefault(n.items, in)
		}
	case AvroRecord:
		in.open('{')
		for in.more('}', &count) && ok {
			name := string(in.key())
			i := slices.IndexFunc(n.fields, func(f avroField) bool { return f.name == name })
			ok = i >= 0 && validDefault(n.fields[i].typ, in)
		}
	}
	return ok && in.err == nil
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
