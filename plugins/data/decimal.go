package data

import (
	"encoding/binary"
	"fmt"
	"math/big"
	"strconv"
	"strings"
)

// Decimal is an exact number: Unscaled times ten to the power of minus Scale.
// A nil Unscaled is zero. Its holder must not change Unscaled.
type Decimal struct {
	Unscaled *big.Int
	Scale    int32
}

// NewDecimal returns unscaled times ten to the power of minus scale.
func NewDecimal(unscaled int64, scale int32) Decimal {
	return Decimal{big.NewInt(unscaled), scale}
}

// maxDecimalText bounds the text and the exponent that ParseDecimal accepts,
// so that "1e999999999" cannot ask for a gigabyte of zeros.
const maxDecimalText = 1 << 16

// ParseDecimal reads the text of a number, as in "-12.50" or "1.25E+3". The
// scale is the number of digits after the point less the exponent, as in
// Java's BigDecimal; it may be negative.
func ParseDecimal(text string) (Decimal, error) {
	bad := func() (Decimal, error) { return Decimal{}, fmt.Errorf("%.40q is not a decimal number", text) }
	if len(text) > maxDecimalText {
		return Decimal{}, fmt.Errorf("decimal text of %d bytes is too long", len(text))
	}
	mantissa, exp := text, 0
	if i := strings.IndexAny(text, "eE"); i >= 0 {
		n, err := strconv.ParseInt(strings.TrimPrefix(text[i+1:], "+"), 10, 32)
		if err != nil || n > maxDecimalText || n < -maxDecimalText || strings.HasPrefix(text[i+1:], "+-") {
			return bad()
		}
		mantissa, exp = text[:i], int(n)
	}
	whole, frac, _ := strings.Cut(mantissa, ".")
	digits := strings.TrimLeft(whole, "+-") + frac
	if len(whole)-len(strings.TrimLeft(whole, "+-")) > 1 || digits == "" || strings.Trim(digits, "0123456789") != "" {
		return bad()
	}
	u, ok := new(big.Int).SetString(digits, 10)
	if !ok {
		return bad()
	}
	if strings.HasPrefix(whole, "-") {
		u.Neg(u)
	}
	return Decimal{u, int32(len(frac) - exp)}, nil
}

// String returns the number as Java's BigDecimal.toString does: plain digits
// where the exponent is small, else with an exponent ("1E+3").
func (d Decimal) String() string {
	digits := "0"
	if d.Unscaled != nil {
		digits = d.Unscaled.String()
	}
	if d.Scale == 0 {
		return digits
	}
	sign := ""
	if digits[0] == '-' {
		sign, digits = "-", digits[1:]
	}
	adjusted := int64(len(digits)-1) - int64(d.Scale)
	if d.Scale > 0 && adjusted >= -6 {
		if pad := int(d.Scale) - len(digits) + 1; pad > 0 {
			digits = strings.Repeat("0", pad) + digits
		}
		point := len(digits) - int(d.Scale)
		return sign + digits[:point] + "." + digits[point:]
	}
	if len(digits) > 1 {
		digits = digits[:1] + "." + digits[1:]
	}
	return sign + digits + "E" + fmt.Sprintf("%+d", adjusted)
}

// Equal reports whether two decimals have the same number and scale: 1.0 and
// 1.00 differ, as they do to Connect.
func (d Decimal) Equal(o Decimal) bool {
	a, b := d.Unscaled, o.Unscaled
	if a == nil {
		a = new(big.Int)
	}
	if b == nil {
		b = new(big.Int)
	}
	return d.Scale == o.Scale && a.Cmp(b) == 0
}

// Rescale returns the same number with another scale, or an error if that
// would drop digits other than zero.
func (d Decimal) Rescale(scale int32) (Decimal, error) {
	if d.Unscaled == nil || d.Unscaled.Sign() == 0 || d.Scale == scale {
		return Decimal{d.Unscaled, scale}, nil
	}
	shift := int64(scale) - int64(d.Scale)
	if shift > maxDecimalText || shift < -maxDecimalText {
		return Decimal{}, fmt.Errorf("decimal of scale %d cannot be brought to scale %d", d.Scale, scale)
	}
	power := new(big.Int).Exp(big.NewInt(10), big.NewInt(max(shift, -shift)), nil)
	if shift > 0 {
		return Decimal{power.Mul(power, d.Unscaled), scale}, nil
	}
	q, r := new(big.Int).QuoRem(d.Unscaled, power, new(big.Int))
	if r.Sign() != 0 {
		return Decimal{}, fmt.Errorf("%v has more digits after the point than scale %d allows", d, scale)
	}
	return Decimal{q, scale}, nil
}

// parseFixedPoint reads plain digits with an optional sign and point into the
// unscaled number of the given scale. It gives up (ok false) on anything that
// needs more care: exponents, digits to drop, more than 18 digits.
func parseFixedPoint(text []byte, scale int32) (v int64, ok bool) {
	if scale > 18 {
		return 0, false
	}
	i, negative := 0, false
	if len(text) > 0 && (text[0] == '-' || text[0] == '+') {
		i, negative = 1, text[0] == '-'
	}
	digits, fraction, point := 0, int32(0), false
	for ; i < len(text); i++ {
		c := text[i]
		switch {
		case c == '.' && !point:
			point = true
			continue
		case c < '0' || c > '9':
			return 0, false
		}
		digits++
		if point {
			fraction++
		}
		v = v*10 + int64(c-'0')
		if digits > 18 {
			return 0, false
		}
	}
	if digits == 0 || fraction > scale || int32(digits)+scale-fraction > 18 {
		return 0, false
	}
	for ; fraction < scale; fraction++ {
		v *= 10
	}
	if negative {
		v = -v
	}
	return v, true
}

// AppendUnscaled appends the unscaled number as two's complement, big endian,
// in as few bytes as possible. Zero is one byte.
func (d Decimal) AppendUnscaled(dst []byte) []byte {
	u := d.Unscaled
	if u == nil {
		return append(dst, 0)
	}
	if u.IsInt64() {
		return appendTwosInt64(dst, u.Int64())
	}
	if u.Sign() > 0 {
		b := u.Bytes()
		if b[0]&0x80 != 0 {
			dst = append(dst, 0)
		}
		return append(dst, b...)
	}
	b := new(big.Int).Not(u).Bytes() // -u-1, which has the same bits inverted
	if b[0]&0x80 != 0 {
		dst = append(dst, 0xff)
	}
	for _, x := range b {
		dst = append(dst, ^x)
	}
	return dst
}

func appendTwosInt64(dst []byte, v int64) []byte {
	n := twosLen(v)
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(v))
	return append(dst, b[8-n:]...)
}

// twosLen is the number of bytes v takes in two's complement.
func twosLen(v int64) int {
	n := 1
	for v < -128 || v > 127 {
		v >>= 8
		n++
	}
	return n
}

// unscaledFrom reads two's complement, big endian, of any length; no bytes are
// zero.
func unscaledFrom(b []byte) *big.Int {
	u := new(big.Int)
	if len(b) > 0 && b[0]&0x80 != 0 {
		inv := make([]byte, len(b))
		for i, x := range b {
			inv[i] = ^x
		}
		return u.Not(u.SetBytes(inv))
	}
	return u.SetBytes(b)
}

// trimTwos drops the leading bytes of a two's complement number that say
// nothing, so that equal numbers have equal bytes. No bytes become one zero.
func trimTwos(b []byte) []byte {
	for len(b) > 1 && (b[0] == 0 && b[1]&0x80 == 0 || b[0] == 0xff && b[1]&0x80 != 0) {
		b = b[1:]
	}
	return b
}
