package postgres

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math"
	"strconv"
)

// form is how a value comes in the binary form of COPY. Types without one of
// their own here are sent as the text that the stream would have.
type form uint8

const (
	formText form = iota // bytes of the text
	formBool
	formInt2
	formInt4
	formInt8
	formOID
	formFloat4
	formFloat8
	formNumeric
	formBytea
	formUUID
	formJSONB
	formDate
	formTime
	formTimestamp
)

// binaryForms are the built-in types whose binary form is read.
var binaryForms = map[string]form{
	"bool": formBool, "int2": formInt2, "int4": formInt4, "int8": formInt8, "oid": formOID,
	"float4": formFloat4, "float8": formFloat8, "numeric": formNumeric, "bytea": formBytea, "uuid": formUUID,
	"jsonb": formJSONB, "date": formDate, "time": formTime, "timestamp": formTimestamp, "timestamptz": formTimestamp,
	"text": formText, "varchar": formText, "bpchar": formText, "name": formText, "json": formText,
}

// formOf returns the form of a type, and whether the server must be asked for
// the text instead.
func formOf(oid uint32, types map[uint32]pgType) (f form, asText bool) {
	t, ok := types[oid]
	for range maxDomains {
		if !ok || t.kind != 'd' {
			break
		}
		t, ok = types[t.base]
	}
	switch {
	case !ok:
		return formText, true
	case t.kind == 'e', !t.builtIn && t.name == "citext":
		return formText, false
	case t.builtIn && t.elem == 0:
		if f, ok := binaryForms[t.name]; ok {
			return f, false
		}
	}
	return formText, true
}

var errBinary = errors.New("not a value as PostgreSQL sends it")

// width is the length of each form, 0 where it varies.
var width = [...]int{
	formBool: 1, formInt2: 2, formInt4: 4, formInt8: 8, formOID: 4, formFloat4: 4, formFloat8: 8,
	formUUID: 16, formDate: 4, formTime: 8, formTimestamp: 8,
}

// binary writes a value that is not null. On an error nothing was written.
func (w *writer) binary(c *codec, f form, b []byte) error {
	if n := width[f]; n > 0 && len(b) != n {
		return errBinary
	}
	switch f {
	case formBool:
		w.Boolean(b[0] != 0)
	case formInt2:
		w.Int16(int16(binary.BigEndian.Uint16(b)))
	case formInt4:
		w.Int32(int32(binary.BigEndian.Uint32(b)))
	case formInt8:
		w.Int64(int64(binary.BigEndian.Uint64(b)))
	case formOID:
		w.Int64(int64(binary.BigEndian.Uint32(b)))
	case formFloat4:
		w.Float32(math.Float32frombits(binary.BigEndian.Uint32(b)))
	case formFloat8:
		w.Float64(math.Float64frombits(binary.BigEndian.Uint64(b)))
	case formNumeric:
		return w.binaryNumeric(c, b)
	case formBytea:
		w.binaryBytes(c, b)
	case formUUID:
		w.room = appendUUID(w.room[:0], b)
		w.TextBytes(w.room)
	case formJSONB:
		if len(b) == 0 || b[0] != 1 {
			return errBinary
		}
		w.TextBytes(b[1:])
	case formDate:
		w.days(c, dateFrom(int32(binary.BigEndian.Uint32(b))))
	case formTime:
		w.clock(c, int64(binary.BigEndian.Uint64(b)))
	case formTimestamp:
		return w.instant(c, timestampFrom(int64(binary.BigEndian.Uint64(b))))
	default:
		return w.text(c, b)
	}
	return nil
}

func appendUUID(dst, b []byte) []byte {
	for i, part := range [...][]byte{b[:4], b[4:6], b[6:8], b[8:10], b[10:]} {
		if i > 0 {
			dst = append(dst, '-')
		}
		dst = hex.AppendEncode(dst, part)
	}
	return dst
}

func (w *writer) binaryBytes(c *codec, b []byte) {
	if c.kind == kindBytes {
		w.Bytes(b)
		return
	}
	w.room = appendBinary(w.room[:0], c.kind, b)
	w.TextBytes(w.room)
}

// pgEpochDays is 2000-01-01 in days since 1970.
const pgEpochDays = 10957

func dateFrom(days int32) instant {
	switch days {
	case math.MaxInt32:
		return instant{inf: 1}
	case math.MinInt32:
		return instant{inf: -1}
	}
	return instant{days: int64(days) + pgEpochDays}
}

func timestampFrom(micros int64) instant {
	switch micros {
	case math.MaxInt64:
		return instant{inf: 1}
	case math.MinInt64:
		return instant{inf: -1}
	}
	t := instant{days: micros / microsPerDay, micros: micros % microsPerDay}
	if t.micros < 0 {
		t.days, t.micros = t.days-1, t.micros+microsPerDay
	}
	t.days += pgEpochDays
	return t
}

// The signs of a numeric.
const (
	numericNegative = 0x4000
	numericNaN      = 0xC000
	numericPlusInf  = 0xD000
	numericMinusInf = 0xF000
)

// numericParts are the fields of a numeric: base 10000 digits, the first of
// which counts 10000^weight.
type numericParts struct {
	weight, scale int // scale is the digits after the point
	sign          uint16
	digits        []byte // two bytes each
}

func parseNumeric(b []byte) (n numericParts, err error) {
	if len(b) < 8 {
		return n, errBinary
	}
	count := int(binary.BigEndian.Uint16(b))
	n.weight = int(int16(binary.BigEndian.Uint16(b[2:])))
	n.sign = binary.BigEndian.Uint16(b[4:])
	n.scale = int(binary.BigEndian.Uint16(b[6:]))
	if n.digits = b[8:]; len(n.digits) != 2*count {
		return n, errBinary
	}
	for i := range count {
		if n.digit(i) > 9999 {
			return n, errBinary
		}
	}
	return n, nil
}

// digit returns a digit, 0 beyond those that were sent.
func (n *numericParts) digit(i int) int {
	if i < 0 || 2*i >= len(n.digits) {
		return 0
	}
	return int(binary.BigEndian.Uint16(n.digits[2*i:]))
}

// appendText writes the number as the server would.
func (n *numericParts) appendText(dst []byte) []byte {
	switch n.sign {
	case numericNaN:
		return append(dst, "NaN"...)
	case numericPlusInf:
		return append(dst, "Infinity"...)
	case numericMinusInf:
		return append(dst, "-Infinity"...)
	case numericNegative:
		dst = append(dst, '-')
	}
	if n.weight < 0 {
		dst = append(dst, '0')
	} else {
		dst = strconv.AppendInt(dst, int64(n.digit(0)), 10)
	}
	for i := 1; i <= n.weight; i++ {
		dst = appendPadded(dst, int64(n.digit(i)), 4)
	}
	if n.scale == 0 {
		return dst
	}
	dst = append(dst, '.')
	end := len(dst) + n.scale
	for i := n.weight + 1; len(dst) < end; i++ {
		dst = appendPadded(dst, int64(n.digit(i)), 4)
	}
	return dst[:end]
}

// unscaled returns the number times 10^scale, if that is whole and small.
func (n *numericParts) unscaled(scale int) (v int64, ok bool) {
	count := len(n.digits) / 2
	if count > 4 || n.sign != 0 && n.sign != numericNegative {
		return 0, false
	}
	for i := range count {
		v = v*10000 + int64(n.digit(i)) // below 10^16
	}
	for e := 4*(n.weight-count+1) + scale; e != 0 && v != 0; {
		switch {
		case e > 0 && v < math.MaxInt64/10:
			v *= 10
			e--
		case e < 0 && v%10 == 0:
			v /= 10
			e++
		default:
			return 0, false
		}
	}
	if n.sign == numericNegative {
		v = -v
	}
	return v, true
}

func (w *writer) binaryNumeric(c *codec, b []byte) error {
	n, err := parseNumeric(b)
	if err != nil {
		return err
	}
	if c.kind == kindDecimal {
		if v, ok := n.unscaled(int(c.scale)); ok {
			w.DecimalInt64(v)
			return w.Err()
		}
	}
	// numeric has its own room: it writes into w.room.
	w.inner = n.appendText(w.inner[:0])
	return w.numeric(c, w.inner)
}
