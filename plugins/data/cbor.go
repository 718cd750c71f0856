package data

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/big"
	"slices"
	"unicode/utf8"
)

// The major types of CBOR, and the simple values and floats (RFC 8949, 3.1).
const (
	cborUint   = 0 << 5
	cborNegint = 1 << 5
	cborBytes  = 2 << 5
	cborText   = 3 << 5
	cborArray  = 4 << 5
	cborMap    = 5 << 5
	cborTag    = 6 << 5
	cborFalse  = 0xf4
	cborTrue   = 0xf5
	cborNull   = 0xf6
	cborHalf   = 0xf9
	cborDouble = 0xfb

	tagBignum, tagNegBignum = 2, 3
)

// Infinities and NaN are halves, the only ones that are written.
var (
	halfNaN    = []byte{cborHalf, 0x7e, 0x00}
	halfInf    = []byte{cborHalf, 0x7c, 0x00}
	halfNegInf = []byte{cborHalf, 0xfc, 0x00}
)

// appendHead appends a major type with its argument, in the shortest form.
func appendHead(dst []byte, major byte, n uint64) []byte {
	switch {
	case n < 24:
		return append(dst, major|byte(n))
	case n <= math.MaxUint8:
		return append(dst, major|24, byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(dst, major|25), uint16(n))
	case n <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(dst, major|26), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(dst, major|27), n)
}

func appendCBORInt(dst []byte, v int64) []byte {
	if v < 0 {
		return appendHead(dst, cborNegint, uint64(-1-v))
	}
	return appendHead(dst, cborUint, uint64(v))
}

// appendCBOR appends a value. On an error what it appended is of no use.
func appendCBOR(dst []byte, v any, depth int) ([]byte, error) {
	if depth >= maxSchemalessDepth {
		return dst, fmt.Errorf("more than %d levels of nesting", maxSchemalessDepth)
	}
	switch v := v.(type) {
	case nil:
		return append(dst, cborNull), nil
	case bool:
		if v {
			return append(dst, cborTrue), nil
		}
		return append(dst, cborFalse), nil
	case string:
		return append(appendHead(dst, cborText, uint64(len(v))), v...), nil
	case []byte:
		if v == nil {
			return append(dst, cborNull), nil
		}
		return append(appendHead(dst, cborBytes, uint64(len(v))), v...), nil
	case int64:
		return appendCBORInt(dst, v), nil
	case int8:
		return appendCBORInt(dst, int64(v)), nil
	case int16:
		return appendCBORInt(dst, int64(v)), nil
	case int32:
		return appendCBORInt(dst, int64(v)), nil
	case int:
		return appendCBORInt(dst, int64(v)), nil
	case float64:
		return appendCBORFloat(dst, v), nil
	case float32:
		return appendCBORFloat(dst, float64(v)), nil
	case Decimal:
		return appendCBORDecimal(dst, v), nil
	case []any:
		dst = appendHead(dst, cborArray, uint64(len(v)))
		for i, e := range v {
			var err error
			if dst, err = appendCBOR(dst, e, depth+1); err != nil {
				return dst, underIndex(i, err)
			}
		}
		return dst, nil
	case map[string]any:
		return appendCBORMap(dst, v, depth)
	default:
		return dst, fmt.Errorf("a %T has no schemaless form", v)
	}
}

func appendCBORFloat(dst []byte, v float64) []byte {
	switch {
	case v != v:
		return append(dst, halfNaN...)
	case math.IsInf(v, 1):
		return append(dst, halfInf...)
	case math.IsInf(v, -1):
		return append(dst, halfNegInf...)
	}
	return binary.BigEndian.AppendUint64(append(dst, cborDouble), math.Float64bits(v))
}

// appendCBORDecimal appends a decimal fraction: tag 4 on an array of exponent
// and mantissa, which is a bignum beyond 64 bits.
func appendCBORDecimal(dst []byte, v Decimal) []byte {
	dst = appendHead(appendHead(dst, cborTag, decimalTag), cborArray, 2)
	dst = appendCBORInt(dst, -int64(v.Scale))
	u := v.Unscaled
	if u == nil {
		return append(dst, 0)
	}
	if u.Sign() >= 0 {
		return appendMagnitude(dst, cborUint, tagBignum, u)
	}
	return appendMagnitude(dst, cborNegint, tagNegBignum, new(big.Int).Not(u)) // -1 - u
}

func appendMagnitude(dst []byte, major byte, tag uint64, n *big.Int) []byte {
	if n.IsUint64() {
		return appendHead(dst, major, n.Uint64())
	}
	b := n.Bytes()
	return append(appendHead(appendHead(dst, cborTag, tag), cborBytes, uint64(len(b))), b...)
}

// appendCBORMap appends the entries in the order of their encoded keys: shorter
// keys first, as their heads say, then by bytes.
func appendCBORMap(dst []byte, m map[string]any, depth int) ([]byte, error) {
	var few [16]string
	keys := few[:0]
	for k := range m {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b string) int {
		switch {
		case len(a) != len(b):
			return len(a) - len(b)
		case a < b:
			return -1
		case a > b:
			return 1
		}
		return 0
	})
	dst = appendHead(dst, cborMap, uint64(len(keys)))
	for _, k := range keys {
		dst = append(appendHead(dst, cborText, uint64(len(k))), k...)
		var err error
		if dst, err = appendCBOR(dst, m[k], depth+1); err != nil {
			return dst, under(k, err)
		}
	}
	return dst, nil
}

// plainDepth is how deep values may be nested that are read without the
// library.
const plainDepth = 32

// cborReader reads what appendCBOR writes most. Whatever else there is, wrong or
// only rare, it gives up on, and the library, which knows all of CBOR and its
// limits, decides.
type cborReader struct {
	b  []byte
	at int
	no bool // given up
}

// decodePlain reads a whole value; ok is false if the library has to.
func decodePlain(row []byte) (v any, ok bool) {
	r := cborReader{b: row}
	v = r.value(0)
	return v, !r.no && r.at == len(row)
}

// head reads a major type and its argument. Of floats the argument is their
// bits.
func (r *cborReader) head() (first byte, n uint64) {
	if r.at >= len(r.b) {
		r.no = true
		return 0, 0
	}
	first = r.b[r.at]
	r.at++
	info := first & 0x1f
	if info < 24 {
		return first, uint64(info)
	}
	size := 1 << (info - 24)
	if info > 27 || len(r.b)-r.at < size {
		r.no = true
		return 0, 0
	}
	for _, c := range r.b[r.at : r.at+size] {
		n = n<<8 | uint64(c)
	}
	r.at += size
	return first, n
}

// take returns the next n bytes.
func (r *cborReader) take(n uint64) []byte {
	if r.no || n > uint64(len(r.b)-r.at) {
		r.no = true
		return nil
	}
	out := r.b[r.at : r.at+int(n)]
	r.at += int(n)
	return out
}

// count checks the number of elements of an array or map, of which each takes
// least bytes or more.
func (r *cborReader) count(n uint64, least int) int {
	if n > maxSchemalessElements || n > uint64((len(r.b)-r.at)/least) {
		r.no = true
		return 0
	}
	return int(n)
}

func (r *cborReader) value(depth int) any {
	first, n := r.head()
	if r.no || depth >= plainDepth {
		r.no = true
		return nil
	}
	switch first {
	case cborFalse:
		return false
	case cborTrue:
		return true
	case cborNull:
		return nil
	case cborDouble:
		return math.Float64frombits(n)
	}
	switch first &^ 0x1f {
	case cborUint, cborNegint:
		if n > math.MaxInt64 {
			break
		}
		if first&^0x1f == cborNegint {
			return -1 - int64(n)
		}
		return int64(n)
	case cborText:
		return r.text(n)
	case cborBytes:
		return slices.Clone(r.take(n))
	case cborArray:
		return r.array(r.count(n, 1), depth)
	case cborMap:
		return r.object(r.count(n, 2), depth)
	}
	r.no = true
	return nil
}

func (r *cborReader) text(n uint64) string {
	b := r.take(n)
	if !utf8.Valid(b) {
		r.no = true
		return ""
	}
	return string(b)
}

func (r *cborReader) array(n, depth int) any {
	out := make([]any, n)
	for i := range out {
		if out[i] = r.value(depth + 1); r.no {
			return nil
		}
	}
	return out
}

func (r *cborReader) object(n, depth int) any {
	out := make(map[string]any, n)
	for range n {
		first, length := r.head()
		if r.no || first&^0x1f != cborText {
			r.no = true
			return nil
		}
		key := r.text(length)
		if v := r.value(depth + 1); !r.no {
			out[key] = v
		}
		if r.no {
			return nil
		}
	}
	if len(out) != n {
		r.no = true // a key twice
	}
	return out
}
