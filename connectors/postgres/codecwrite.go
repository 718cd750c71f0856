package postgres

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"math"

	"github.com/millrace/millrace/plugins/data"
)

// Values that stand for infinity, as the Java driver of PostgreSQL and
// Debezium have them.
const (
	infiniteMicros         = 9223372036825200000
	negativeInfiniteMicros = -9223372036832400000
	infiniteDays           = -2147472692
	negativeInfiniteDays   = -2147472691
)

// errLabel is an enum value that the catalog did not have when it was read.
var errLabel = errors.New("a label that the enum did not have when its type was read")

// writer turns column texts into fields of a row. Its buffers are reused, so
// it belongs to one goroutine.
type writer struct {
	*data.RowWriter
	room  []byte // one value
	inner []byte // one element of an array or hstore, unescaped
	// mapper changes the texts and bytes that are written, nil for none.
	mapper    *mapper
	mapLength int    // of the column
	mapped    []byte // what became of one
}

// Text, TextBytes and Bytes write a value as the column's mapper has it.

// Text writes a text.
func (w *writer) Text(v string) {
	if w.mapper == nil {
		w.RowWriter.Text(v)
		return
	}
	w.TextBytes([]byte(v))
}

// TextBytes writes a text.
func (w *writer) TextBytes(v []byte) {
	if w.mapper != nil {
		w.mapped = w.mapper.apply(w.mapped[:0], v, w.mapLength)
		v = w.mapped
	}
	w.RowWriter.TextBytes(v)
}

// Bytes writes bytes.
func (w *writer) Bytes(v []byte) {
	if w.mapper != nil && w.mapper.kind == mapTruncate {
		v = v[:min(len(v), w.mapper.limit)]
	}
	w.RowWriter.Bytes(v)
}

// text writes a value that is not null. On an error nothing or a part of an
// array was written: the row must be begun again.
func (w *writer) text(c *codec, b []byte) error {
	switch c.kind {
	case kindText, kindEnum:
		if c.kind == kindEnum && !c.knows(b) {
			return errLabel
		}
		w.TextBytes(b)
		return nil
	case kindBool, kindBit:
		return w.boolean(b)
	case kindInt16, kindInt32, kindInt64, kindOID, kindFloat32, kindFloat64:
		return w.number(c, b)
	case kindDecimal, kindVariableDecimal, kindNumberDouble, kindNumberText:
		return w.numeric(c, b)
	case kindMoney, kindMoneyDouble, kindMoneyText:
		return w.money(c, b)
	case kindBytes, kindBase64, kindBase64URL, kindHex, kindRawBytes, kindRawBase64, kindRawBase64URL, kindRawHex, kindBits:
		return w.bytes(c, b)
	case kindArray:
		return w.array(c, b)
	case kindHstoreJSON, kindHstoreMap:
		return w.hstore(c, b)
	case kindPoint, kindGeometry, kindGeography, kindFloatVector, kindDoubleVector, kindSparseVector:
		return w.shape(c, b)
	}
	return w.temporal(c, b)
}

func (w *writer) boolean(b []byte) error {
	if len(b) == 1 {
		switch b[0] {
		case 't', '1':
			w.Boolean(true)
			return nil
		case 'f', '0':
			w.Boolean(false)
			return nil
		}
	}
	return errors.New("not a truth value")
}

func (w *writer) number(c *codec, b []byte) error {
	switch c.kind {
	case kindFloat32:
		f, err := parseFloat(b, 32)
		if err == nil {
			w.Float32(float32(f))
		}
		return err
	case kindFloat64:
		f, err := parseFloat(b, 64)
		if err == nil {
			w.Float64(f)
		}
		return err
	}
	bits := 64
	switch c.kind {
	case kindInt16:
		bits = 16
	case kindInt32:
		bits = 32
	}
	n, err := parseInt(b, bits)
	if err != nil {
		return err
	}
	switch c.kind {
	case kindInt16:
		w.Int16(int16(n))
	case kindInt32:
		w.Int32(int32(n))
	default:
		w.Int64(n)
	}
	return nil
}

func (w *writer) numeric(c *codec, b []byte) (err error) {
	switch {
	case c.kind == kindNumberDouble:
		f, err := parseFloat(b, 64)
		if err == nil {
			w.Float64(f)
		}
		return err
	case c.kind == kindNumberText:
		switch string(b) {
		case "NaN":
			w.Text("NAN")
		case "Infinity":
			w.Text("POSITIVE_INFINITY")
		case "-Infinity":
			w.Text("NEGATIVE_INFINITY")
		default:
			w.TextBytes(b)
		}
		return nil
	case isSpecial(b):
		return errSpecial
	case c.kind == kindDecimal:
		w.DecimalText(b)
		return w.Err()
	}
	var scale int32
	if w.room, scale, err = appendUnscaled(w.room[:0], b); err != nil {
		return err
	}
	w.BeginStruct()
	w.Int32(scale)
	w.Bytes(w.room)
	w.End()
	return nil
}

func (w *writer) money(c *codec, b []byte) (err error) {
	if w.room, err = parseMoney(w.room[:0], b); err != nil {
		return err
	}
	switch c.kind {
	case kindMoneyDouble:
		f, err := parseFloat(w.room, 64)
		if err == nil {
			w.Float64(f)
		}
		return err
	case kindMoneyText:
		w.TextBytes(w.room)
	default:
		w.DecimalText(w.room)
	}
	return w.Err()
}

func (w *writer) bytes(c *codec, b []byte) (err error) {
	switch c.kind {
	case kindRawBytes:
		w.Bytes(b)
		return nil
	case kindRawBase64, kindRawBase64URL, kindRawHex:
		w.room = appendBinary(w.room[:0], c.kind, b)
		w.TextBytes(w.room)
		return nil
	case kindBits:
		if w.room, err = appendBits(w.room[:0], b); err == nil {
			w.Bytes(w.room)
		}
		return err
	}
	if w.room, err = appendBytea(w.room[:0], b); err != nil {
		return err
	}
	switch n := len(w.room); c.kind {
	case kindBytes:
		w.Bytes(w.room)
	case kindHex:
		w.TextBytes(b[2:])
	default:
		w.room = appendBinary(w.room, c.kind, w.room[:n])
		w.TextBytes(w.room[n:])
	}
	return nil
}

// appendBinary appends bytes as the text that a kind has them in.
func appendBinary(dst []byte, k kind, b []byte) []byte {
	switch k {
	case kindHex, kindRawHex:
		return hex.AppendEncode(dst, b)
	case kindBase64, kindRawBase64:
		return base64.StdEncoding.AppendEncode(dst, b)
	}
	return base64.URLEncoding.AppendEncode(dst, b)
}

func (w *writer) temporal(c *codec, b []byte) error {
	switch c.kind {
	case kindDays, kindISODate, kindStructDate:
		return w.date(c, b)
	case kindTimeMillis, kindTimeMicros, kindTimeNanos, kindISOTime, kindZonedTime, kindStructTime:
		return w.time(c, b)
	case kindStructZonedTime:
		return w.structZonedTime(c, b)
	case kindMicroDuration, kindISODuration, kindStructDuration:
		iv, err := parseInterval(b)
		if err != nil {
			return err
		}
		if c.kind == kindStructDuration {
			w.structDuration(c, iv)
			return nil
		}
		if c.kind == kindISODuration {
			w.room = iv.appendISO(w.room[:0])
			w.TextBytes(w.room)
			return nil
		}
		n, err := iv.microseconds()
		if err == nil {
			w.Int64(n)
		}
		return err
	}
	return w.timestamp(c, b)
}

func (w *writer) date(c *codec, b []byte) error {
	t, err := parseDate(b)
	if err != nil {
		return err
	}
	w.days(c, t)
	return nil
}

// days writes a date.
func (w *writer) days(c *codec, t instant) {
	if c.kind == kindStructDate {
		w.structDate(t)
		return
	}
	switch t.inf {
	case 1:
		t.days = infiniteDays
	case -1:
		t.days = negativeInfiniteDays
	}
	if c.kind == kindISODate {
		w.room = append(appendDate(w.room[:0], t.days), 'Z')
		w.TextBytes(w.room)
		return
	}
	w.Int32(int32(t.days))
}

func (w *writer) time(c *codec, b []byte) error {
	parse := parseTime
	if c.kind == kindZonedTime {
		parse = parseTimeZone
	}
	micros, err := parse(b)
	if err != nil {
		return err
	}
	w.clock(c, micros)
	return nil
}

// clock writes a time of day in microseconds.
func (w *writer) clock(c *codec, micros int64) {
	switch c.kind {
	case kindTimeMillis:
		w.Int32(int32(micros / 1000))
	case kindTimeMicros:
		w.Int64(micros)
	case kindTimeNanos:
		w.Int64(micros * 1000)
	case kindStructTime:
		w.structTime(c, micros)
	default:
		// To Java's times 24:00 is 00:00.
		w.room = append(appendClock(w.room[:0], micros%microsPerDay, -1), 'Z')
		w.TextBytes(w.room)
	}
}

func (w *writer) timestamp(c *codec, b []byte) error {
	t, err := parseTimestamp(b)
	if err != nil {
		return err
	}
	return w.instant(c, t)
}

// instant writes a timestamp with or without a zone.
func (w *writer) instant(c *codec, t instant) error {
	switch c.kind {
	case kindZonedTimestamp, kindISOTimestamp:
		if t.inf != 0 && c.kind == kindZonedTimestamp {
			w.Text(t.inf.String())
			return nil
		}
		if t.inf != 0 {
			t = instantOf(t)
		}
		w.room = t.appendTimestamp(w.room[:0], c.digits)
		w.TextBytes(w.room)
		return nil
	case kindStructTimestamp, kindStructZonedTimestamp:
		w.structTimestamp(c, t)
		return nil
	case kindMillis:
		w.Int64(t.milli())
		return nil
	}
	n, err := t.micro()
	if err != nil {
		return err
	}
	if c.kind == kindNanos {
		switch {
		case t.inf > 0:
			n = math.MaxInt64
		case t.inf < 0:
			n = math.MinInt64
		case n > math.MaxInt64/1000 || n < math.MinInt64/1000:
			return errRange
		default:
			n *= 1000
		}
	}
	w.Int64(n)
	return nil
}

// instantOf is the point on the calendar that stands for infinity in the text
// of ISO 8601.
func instantOf(t instant) instant {
	n := int64(infiniteMicros)
	if t.inf < 0 {
		n = negativeInfiniteMicros
	}
	days := n / microsPerDay
	if n < days*microsPerDay {
		days--
	}
	return instant{days: days, micros: n - days*microsPerDay}
}
