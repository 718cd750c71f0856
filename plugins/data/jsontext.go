package data

import (
	"math"
	"math/bits"
	"unicode/utf8"
)

// appendJSONString appends a JSON string with the escapes that Jackson writes:
// quotes, backslashes and control characters, nothing else. Bytes that are not
// UTF-8 become U+FFFD.
func appendJSONString[T string | []byte](dst []byte, s T) []byte {
	dst = append(dst, '"')
	start := 0
	for i := plain(s, 0); i < len(s); i = plain(s, i) {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, n := decodeRune(s[i:min(i+utf8.UTFMax, len(s))])
			if r == utf8.RuneError && n == 1 {
				dst = append(append(dst, s[start:i]...), "\uFFFD"...)
				start = i + 1
			}
			i += n
			continue
		}
		dst = append(dst, s[start:i]...)
		dst = appendEscape(dst, c)
		i++
		start = i
	}
	return append(append(dst, s[start:]...), '"')
}

// Eight bytes at a time, one in each of a word's.
const (
	ones  = 0x0101010101010101
	highs = 0x80 * ones
)

// plain returns where in s from i on the first byte is that a JSON string may
// not have as it is, or that is not ASCII.
func plain[T string | []byte](s T, i int) int {
	for ; i+8 <= len(s); i += 8 {
		v := uint64(s[i]) | uint64(s[i+1])<<8 | uint64(s[i+2])<<16 | uint64(s[i+3])<<24 |
			uint64(s[i+4])<<32 | uint64(s[i+5])<<40 | uint64(s[i+6])<<48 | uint64(s[i+7])<<56
		// A byte's high bit is set in what subtraction borrows from, or in
		// itself. A borrow reaches the bytes above only from one that is found.
		found := (v | (v - ' '*ones) | ((v ^ '"'*ones) - ones) | ((v ^ '\\'*ones) - ones)) & highs
		if found != 0 {
			return i + bits.TrailingZeros64(found)/8
		}
	}
	for ; i < len(s); i++ {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			return i
		}
	}
	return i
}

func decodeRune[T string | []byte](s T) (rune, int) {
	var b [utf8.UTFMax]byte
	return utf8.DecodeRune(b[:copy(b[:], s)])
}

func appendEscape(dst []byte, c byte) []byte {
	const hex = "0123456789ABCDEF"
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\n':
		return append(dst, '\\', 'n')
	case '\r':
		return append(dst, '\\', 'r')
	case '\t':
		return append(dst, '\\', 't')
	case '\b':
		return append(dst, '\\', 'b')
	case '\f':
		return append(dst, '\\', 'f')
	default:
		return append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
	}
}

// appendJSONFloat appends a number as Java writes it, what is not a number to
// JSON as a string.
func appendJSONFloat(dst []byte, v float64, bits int) []byte {
	if v-v != 0 { // NaN and the infinities
		return append(AppendFloat(append(dst, '"'), v, bits), '"')
	}
	return AppendFloat(dst, v, bits)
}

// nonNumbers are the floats that JSON has no number for, as Jackson writes
// them in strings.
var nonNumbers = map[string]float64{
	"NaN": math.NaN(), "Infinity": math.Inf(1), "-Infinity": math.Inf(-1),
}
