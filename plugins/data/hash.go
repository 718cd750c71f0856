package data

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"math"
	"slices"
	"strings"
)

// hashVersion is the first byte of the dump. It changes with the dump's form,
// so that hashes kept elsewhere never match by accident.
const hashVersion = 1

// hashSchema hashes the canonical dump of a schema. Children enter by their
// hash. Parameters enter sorted, since Connect compares them as a map; an
// unset list and an empty one differ.
func hashSchema(s *Schema) Hash {
	d := make([]byte, 0, 256)
	d = append(d, hashVersion, byte(s.typ), flag(s.optional))
	d = appendText(append(d, flag(s.name != "")), s.name)
	d = binary.AppendVarint(append(d, flag(s.hasVer)), int64(s.version))
	d = appendText(append(d, flag(s.hasDoc)), s.doc)
	d = append(d, flag(s.params != nil))
	params := s.params
	if !slices.IsSortedFunc(params, byKey) {
		params = slices.Clone(params)
		slices.SortFunc(params, byKey)
	}
	d = binary.AppendUvarint(d, uint64(len(params)))
	for _, p := range params {
		d = appendText(appendText(d, p.Key), p.Value)
	}
	d = appendCanonical(append(d, flag(s.hasDef)), s.def)
	d = binary.AppendUvarint(d, uint64(len(s.fields)))
	for _, f := range s.fields {
		d = append(appendText(d, f.Name), f.Schema.hash[:]...)
	}
	for _, c := range []*Schema{s.key, s.value} {
		if d = append(d, flag(c != nil)); c != nil {
			d = append(d, c.hash[:]...)
		}
	}
	return sha256.Sum256(d)
}

func byKey(a, b Param) int { return strings.Compare(a.Key, b.Key) }

func flag(b bool) byte {
	if b {
		return 1
	}
	return 0
}

func appendText(d []byte, s string) []byte {
	return append(binary.AppendUvarint(d, uint64(len(s))), s...)
}

// appendCanonical dumps a value so that equal values, and only those, have
// equal dumps: maps by sorted keys, floats by bits with one NaN, decimals with
// their scale.
func appendCanonical(d []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return append(d, 0)
	case int8:
		return binary.AppendVarint(append(d, 'b'), int64(v))
	case int16:
		return binary.AppendVarint(append(d, 'h'), int64(v))
	case int32:
		return binary.AppendVarint(append(d, 'i'), int64(v))
	case int64:
		return binary.AppendVarint(append(d, 'l'), v)
	case float32:
		if v != v {
			v = float32(math.NaN())
		}
		return binary.LittleEndian.AppendUint32(append(d, 'f'), math.Float32bits(v))
	case float64:
		if v != v {
			v = math.NaN()
		}
		return binary.LittleEndian.AppendUint64(append(d, 'd'), math.Float64bits(v))
	case bool:
		return append(d, 't', flag(v))
	case string:
		return appendText(append(d, 's'), v)
	case []byte:
		return append(binary.AppendUvarint(append(d, 'y'), uint64(len(v))), v...)
	case Decimal:
		d = binary.AppendVarint(append(d, 'n'), int64(v.Scale))
		u := v.AppendUnscaled(nil)
		return append(binary.AppendUvarint(d, uint64(len(u))), u...)
	case []any:
		d = binary.AppendUvarint(append(d, 'a'), uint64(len(v)))
		for _, e := range v {
			d = appendCanonical(d, e)
		}
		return d
	case Map:
		return appendCanonicalMap(append(d, 'm'), v)
	case *Struct:
		d = append(d, 'r') // its schema is known from where it stands
		for _, e := range v.values {
			d = appendCanonical(d, e)
		}
		return d
	default:
		panic("data: a validated value of an unknown Go type") // validate has seen it
	}
}

func appendCanonicalMap(d []byte, m Map) []byte {
	entries := make([][]byte, len(m))
	for i, e := range m {
		entries[i] = appendCanonical(appendCanonical(nil, e.Key), e.Value)
	}
	slices.SortFunc(entries, bytes.Compare)
	d = binary.AppendUvarint(d, uint64(len(m)))
	for _, e := range entries {
		d = append(d, e...)
	}
	return d
}
