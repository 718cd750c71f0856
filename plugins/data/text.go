package data

import (
	"encoding/base64"
	"math"
	"strconv"
	"strings"
)

// Text returns a value as Java's toString prints it, which is what Connect's
// StringConverter writes: Struct{a=1}, {k=v}, [1, 2], 1.0E10. Bytes, for which
// Java prints an object's identity, are base64. A null prints as "null".
func Text(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case string:
		return v
	case bool:
		return strconv.FormatBool(v)
	case int8:
		return strconv.Itoa(int(v))
	case int16:
		return strconv.Itoa(int(v))
	case int32:
		return strconv.Itoa(int(v))
	case int64:
		return strconv.FormatInt(v, 10)
	case float32:
		return string(AppendFloat(nil, float64(v), 32))
	case float64:
		return string(AppendFloat(nil, v, 64))
	case []byte:
		return base64.StdEncoding.EncodeToString(v)
	case Decimal:
		return v.String()
	case *Struct:
		return v.String()
	case []any:
		parts := make([]string, len(v))
		for i, e := range v {
			parts[i] = Text(e)
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case Map:
		parts := make([]string, len(v))
		for i, e := range v {
			parts[i] = Text(e.Key) + "=" + Text(e.Value)
		}
		return "{" + strings.Join(parts, ", ") + "}"
	case map[string]any:
		parts := make([]string, 0, len(v))
		for _, k := range sortedKeys(v) {
			parts = append(parts, k+"="+Text(v[k]))
		}
		return "{" + strings.Join(parts, ", ") + "}"
	default:
		return ""
	}
}

// AppendFloat appends a number as Java's Float.toString (bits 32) and
// Double.toString (bits 64) print it: the shortest digits that read back as
// the same number, always with a point, with E and an exponent from 1.0E7 on
// and below 0.001. It is the text in JSON as well, except that NaN and the
// infinities need quotes there.
func AppendFloat(dst []byte, v float64, bits int) []byte {
	switch {
	case v != v:
		return append(dst, "NaN"...)
	case math.IsInf(v, 1):
		return append(dst, "Infinity"...)
	case math.IsInf(v, -1):
		return append(dst, "-Infinity"...)
	}
	if abs := math.Abs(v); abs == 0 || abs >= 1e-3 && abs < 1e7 {
		start := len(dst)
		dst = strconv.AppendFloat(dst, v, 'f', -1, bits)
		for _, c := range dst[start:] {
			if c == '.' {
				return dst
			}
		}
		return append(dst, ".0"...)
	}
	start := len(dst)
	dst = strconv.AppendFloat(dst, v, 'e', -1, bits)
	return javaExponent(dst, start)
}

// javaExponent turns Go's "1e+10" at dst[start:] into Java's "1.0E10".
func javaExponent(dst []byte, start int) []byte {
	e := start
	point := false
	for ; dst[e] != 'e'; e++ {
		point = point || dst[e] == '.'
	}
	negative := dst[e+1] == '-'
	exp := 0
	for _, c := range dst[e+2:] {
		exp = exp*10 + int(c-'0')
	}
	dst = dst[:e]
	if !point {
		dst = append(dst, ".0"...)
	}
	dst = append(dst, 'E')
	if negative {
		dst = append(dst, '-')
	}
	return strconv.AppendInt(dst, int64(exp), 10)
}
