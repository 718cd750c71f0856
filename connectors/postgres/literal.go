package postgres

import (
	"encoding/hex"
	"errors"
	"math"
	"strconv"

	"github.com/millrace/millrace/plugins/data"
)

var (
	errNumber  = errors.New("not a number as PostgreSQL writes it")
	errSpecial = errors.New("NaN and infinity have no exact form: set decimal.handling.mode to double or string")
	errBytes   = errors.New("not bytes in hex as bytea_output=hex writes them")
	errArray   = errors.New("not an array of one dimension")
	errHstore  = errors.New("not an hstore")
	errShape   = errors.New("not a point, vector or geometry as expected")
)

// parseInt reads a whole number of up to 64 bits.
func parseInt(b []byte, bits int) (int64, error) {
	neg := len(b) > 0 && b[0] == '-'
	if neg {
		b = b[1:]
	}
	if len(b) == 0 || len(b) > 19 {
		return 0, errNumber
	}
	var n uint64
	for _, c := range b {
		if c -= '0'; c > 9 {
			return 0, errNumber
		}
		n = n*10 + uint64(c)
	}
	limit := uint64(1) << (bits - 1)
	switch {
	case neg && n <= limit:
		return -int64(n), nil
	case !neg && n < limit:
		return int64(n), nil
	}
	return 0, errRange
}

var powersOfTen = [...]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22}

// parseFloat reads a number, NaN, Infinity or -Infinity. Numbers of up to 15
// digits, whose value is exact in one step, do not allocate.
func parseFloat(b []byte, bits int) (float64, error) {
	if m, places, ok := parseShort(b); ok && bits == 64 {
		f := float64(m)
		if places > 0 {
			f /= powersOfTen[places]
		}
		if m == 0 && b[0] == '-' {
			f = math.Copysign(0, -1)
		}
		return f, nil
	}
	switch string(b) {
	case "NaN":
		return math.NaN(), nil
	case "Infinity":
		return math.Inf(1), nil
	case "-Infinity":
		return math.Inf(-1), nil
	}
	if len(b) == 0 || b[0] != '-' && b[0]-'0' > 9 {
		return 0, errNumber
	}
	f, err := strconv.ParseFloat(string(b), bits)
	if err != nil && !math.IsInf(f, 0) {
		return 0, errNumber
	}
	return f, nil
}

// parseShort reads digits with a point in them as a whole number and the
// number of decimal places, if there are few enough digits.
func parseShort(b []byte) (m int64, places int, ok bool) {
	neg := len(b) > 0 && b[0] == '-'
	if neg {
		b = b[1:]
	}
	if len(b) == 0 || len(b) > 16 {
		return 0, 0, false
	}
	point := -1
	for i, c := range b {
		switch {
		case c == '.' && point < 0:
			point = i
		case c-'0' <= 9:
			m = m*10 + int64(c-'0')
		default:
			return 0, 0, false
		}
	}
	digits := len(b)
	if point >= 0 {
		digits--
		places = digits - point
	}
	if digits == 0 || digits > 15 {
		return 0, 0, false
	}
	if neg {
		m = -m
	}
	return m, places, true
}

// isSpecial finds the values of numeric that are no numbers.
func isSpecial(b []byte) bool {
	return len(b) > 0 && (b[0] == 'N' || b[0] == 'I' || len(b) > 1 && b[1] == 'I')
}

// appendUnscaled appends the digits of a number without its point and without
// trailing zeros after it as a two's complement number, and returns the scale.
func appendUnscaled(dst, b []byte) ([]byte, int32, error) {
	if isSpecial(b) {
		return dst, 0, errSpecial
	}
	point := -1
	for i, c := range b {
		if c == '.' {
			point = i
		}
	}
	if point >= 0 {
		for b[len(b)-1] == '0' {
			b = b[:len(b)-1]
		}
		if b[len(b)-1] == '.' {
			b = b[:len(b)-1]
		}
	}
	if m, places, ok := parseShort(b); ok {
		return appendTwos(dst, m), int32(places), nil
	}
	d, err := data.ParseDecimal(string(b))
	if err != nil || d.Scale < 0 {
		return dst, 0, errNumber
	}
	return d.AppendUnscaled(dst), d.Scale, nil
}

// appendTwos appends a number in as few bytes as hold it with its sign.
func appendTwos(dst []byte, v int64) []byte {
	n := 1
	for n < 8 && v>>(8*n-1) != 0 && v>>(8*n-1) != -1 {
		n++
	}
	for i := n - 1; i >= 0; i-- {
		dst = append(dst, byte(v>>(8*i)))
	}
	return dst
}

// parseMoney reads $1,234.50, -$5.00 or ($5.00) in the C locale as a number
// with a point, into dst.
func parseMoney(dst, b []byte) ([]byte, error) {
	start := len(dst)
	for _, c := range b {
		switch {
		case c-'0' <= 9 || c == '.' || c == '-' && len(dst) == start:
			dst = append(dst, c)
		case c == '(' && len(dst) == start:
			dst = append(dst, '-')
		case c == '$' || c == ',' || c == ')' || c == ' ':
		default:
			return dst[:start], errNumber
		}
	}
	if len(dst) == start {
		return dst, errNumber
	}
	return dst, nil
}

// appendBytea decodes \x0a0b.
func appendBytea(dst, b []byte) ([]byte, error) {
	if len(b) < 2 || b[0] != '\\' || b[1] != 'x' {
		return dst, errBytes
	}
	out, err := hex.AppendDecode(dst, b[2:])
	if err != nil {
		return dst, errBytes
	}
	return out, nil
}

// appendBits turns 0101 into bytes, the rightmost digit being bit 0 of the
// first, without zero bytes at the end.
func appendBits(dst, b []byte) ([]byte, error) {
	start := len(dst)
	var acc byte
	for i := range b {
		c := b[len(b)-1-i] - '0'
		if c > 1 {
			return dst[:start], errors.New("not a bit string")
		}
		if acc |= c << (i % 8); i%8 == 7 {
			dst, acc = append(dst, acc), 0
		}
	}
	if len(b)%8 != 0 {
		dst = append(dst, acc)
	}
	for len(dst) > start && dst[len(dst)-1] == 0 {
		dst = dst[:len(dst)-1]
	}
	return dst, nil
}
