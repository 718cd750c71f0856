package jdbc

import (
	"encoding/hex"
	"errors"
	"math"
	"math/big"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/plugins/data"
)

// writer writes the text of a value that is not null.
type writer func(c *config, s *data.Schema, v any) ([]byte, error)

// special are the writers of schemas whose name says what the value means.
var special map[string]writer

func init() { // a table that its own functions refer to
	special = map[string]writer{
		data.DateName: func(c *config, _ *data.Schema, v any) ([]byte, error) { return date(v, c.dates) },
		data.TimeName: func(c *config, _ *data.Schema, v any) ([]byte, error) {
			return instant(v, time.Millisecond, func(t time.Time) []byte {
				if t.Equal(time.UnixMilli(86400000)) {
					return timeOfDay(86400000000)
				}
				return t.In(c.zone).AppendFormat(nil, "15:04:05.999999")
			})
		},
		data.TimestampName: func(c *config, _ *data.Schema, v any) ([]byte, error) {
			return instant(v, time.Millisecond, func(t time.Time) []byte { return clock(t.In(c.zone)) })
		},
		"io.debezium.time.Date": func(_ *config, _ *data.Schema, v any) ([]byte, error) { return date(v, time.UTC) },
		"io.debezium.time.Time": ofDay(1000, 1), "io.debezium.time.MicroTime": ofDay(1, 1), "io.debezium.time.NanoTime": ofDay(1, 1000),
		"io.debezium.time.Timestamp":      since(time.Millisecond),
		"io.debezium.time.MicroTimestamp": since(time.Microsecond),
		"io.debezium.time.NanoTimestamp":  since(time.Nanosecond),
		"io.debezium.time.MicroDuration":  duration(1),
		"io.debezium.time.NanoDuration":   duration(1000),
		"io.debezium.time.ZonedTimestamp": zoned,
		"io.debezium.time.IsoDate":        iso, "io.debezium.time.IsoTime": iso, "io.debezium.time.IsoTimestamp": iso,
		"io.debezium.data.Bits":                 bits,
		"io.debezium.data.VariableScaleDecimal": variableDecimal,
		"io.debezium.data.geometry.Point":       point,
		"io.debezium.data.geometry.Geometry":    geometry, "io.debezium.data.geometry.Geography": geometry,
		"io.debezium.data.FloatVector": vector, "io.debezium.data.DoubleVector": vector, "io.debezium.data.FloatHalfVector": vector,
	}
}

var errType = errors.New("is not of the type that its name promises")

func integer(v any) (int64, error) {
	switch v := v.(type) {
	case int32:
		return int64(v), nil
	case int64:
		return v, nil
	}
	return 0, errType
}

// Values that stand for infinity, as Debezium has them.
const (
	infiniteDays, negativeInfiniteDays     = -2147472693, -2147472692
	infiniteMicros, negativeInfiniteMicros = 9223372036825200000, -9223372036832400000
)

func date(v any, zone *time.Location) ([]byte, error) {
	n, err := integer(v)
	if err != nil {
		return nil, err
	}
	switch n {
	case infiniteDays:
		return []byte("infinity"), nil
	case negativeInfiniteDays:
		return []byte("-infinity"), nil
	}
	return dated(time.Unix(n*86400, 0).In(zone), "-01-02"), nil
}

// infinite returns the text of a count that stands for infinity.
func infinite(n int64, unit time.Duration) string {
	limit, below := int64(infiniteMicros), int64(negativeInfiniteMicros)
	switch unit {
	case time.Millisecond:
		limit, below = limit/1000, below/1000
	case time.Nanosecond:
		limit, below = math.MaxInt64, math.MinInt64
	}
	switch n {
	case limit:
		return "infinity"
	case below:
		return "-infinity"
	}
	return ""
}

func instant(v any, unit time.Duration, write func(time.Time) []byte) ([]byte, error) {
	n, err := integer(v)
	if err != nil {
		return nil, err
	}
	if text := infinite(n, unit); text != "" {
		return []byte(text), nil
	}
	var t time.Time
	switch unit {
	case time.Millisecond:
		t = time.UnixMilli(n)
	case time.Microsecond:
		t = time.UnixMicro(n)
	default:
		t = time.Unix(0, n)
	}
	return write(t), nil
}

// since writes a point in time without a zone, counted from the epoch.
func since(unit time.Duration) writer {
	return func(_ *config, _ *data.Schema, v any) ([]byte, error) {
		return instant(v, unit, func(t time.Time) []byte { return clock(t.UTC()) })
	}
}

// epoch is a count since the epoch, as a number or its text, that is written as
// a timestamp though its schema does not say so.
type epoch struct {
	count any
	unit  time.Duration
}

func (e epoch) text(zone *time.Location) ([]byte, error) {
	count := e.count
	if s, ok := count.(string); ok {
		n, err := strconv.ParseInt(strings.TrimSpace(s), 10, 64)
		if err != nil {
			return nil, bad("%q, of timestamp.fields.list, is no number", s)
		}
		count = n
	}
	return instant(count, e.unit, func(t time.Time) []byte { return clock(t.In(zone)) })
}

// ofDay writes a time of day: times units and divided by parts it is
// microseconds.
func ofDay(times, parts int64) writer {
	return func(_ *config, _ *data.Schema, v any) ([]byte, error) {
		n, err := integer(v)
		if err == nil && (n < 0 || n/parts > 86_400_000_000/times) {
			err = errors.New("is not within a day")
		}
		if err != nil {
			return nil, err
		}
		return timeOfDay(n * times / parts), nil
	}
}

func duration(parts int64) writer {
	return func(_ *config, _ *data.Schema, v any) ([]byte, error) {
		n, err := integer(v)
		if err != nil {
			return nil, err
		}
		return append(number(n/parts), " microseconds"...), nil
	}
}

func zoned(c *config, _ *data.Schema, v any) ([]byte, error) {
	s, ok := v.(string)
	if !ok {
		return nil, errType
	}
	if t, err := time.Parse(time.RFC3339Nano, s); err == nil {
		return clock(t.In(c.zone)), nil
	}
	return isoText(s), nil // infinity, or a year that is not of four digits
}

func iso(_ *config, _ *data.Schema, v any) ([]byte, error) {
	s, ok := v.(string)
	if !ok {
		return nil, errType
	}
	return isoText(strings.TrimSuffix(s, "Z")), nil
}

// maxPadding bounds the zeros that a schema can ask for.
const maxPadding = 1 << 20

// bits writes a bit string, whose last bit is the lowest of the first byte.
// Zeros in front may be missing; of a varbit, whose length is not known, they
// are lost.
func bits(_ *config, s *data.Schema, v any) ([]byte, error) {
	b, ok := v.([]byte)
	if !ok {
		return nil, errType
	}
	n := len(b) * 8
	for n > 0 && b[(n-1)/8]>>((n-1)%8)&1 == 0 {
		n--
	}
	text, _ := s.Param("length")
	if length, err := strconv.Atoi(text); err == nil && length <= maxPadding {
		n = max(n, length)
	}
	out := make([]byte, n)
	for i := range out {
		bit := n - 1 - i
		if out[i] = '0'; bit/8 < len(b) {
			out[i] += b[bit/8] >> (bit % 8) & 1
		}
	}
	return out, nil
}

func variableDecimal(_ *config, _ *data.Schema, v any) ([]byte, error) {
	st, ok := v.(*data.Struct)
	if !ok {
		return nil, errType
	}
	scale, ok, err := st.Int32("scale")
	if err != nil || !ok {
		return nil, errType
	}
	b, ok, err := st.Bytes("value")
	if err != nil || !ok {
		return nil, errType
	}
	n := new(big.Int).SetBytes(b)
	if len(b) > 0 && b[0] >= 0x80 {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(len(b))*8))
	}
	return decimal(data.Decimal{Unscaled: n, Scale: scale}), nil
}

func point(_ *config, _ *data.Schema, v any) ([]byte, error) {
	st, ok := v.(*data.Struct)
	if !ok {
		return nil, errType
	}
	x, ok, err := st.Float64("x")
	y, ok2, err2 := st.Float64("y")
	if !ok || !ok2 || err != nil || err2 != nil {
		return nil, errType
	}
	return []byte("(" + string(float(x, 64)) + "," + string(float(y, 64)) + ")"), nil
}

// geometry writes PostGIS's text of a well-known binary with its reference
// system.
func geometry(_ *config, _ *data.Schema, v any) ([]byte, error) {
	st, ok := v.(*data.Struct)
	if !ok {
		return nil, errType
	}
	wkb, ok, err := st.Bytes("wkb")
	if err != nil || !ok {
		return nil, errType
	}
	var out []byte
	if srid, ok, err := st.Int32("srid"); err == nil && ok {
		out = append(append(append(out, "SRID="...), number(int64(srid))...), ';')
	}
	return hex.AppendEncode(out, wkb), nil
}

func vector(_ *config, _ *data.Schema, v any) ([]byte, error) {
	list, ok := v.([]any)
	if !ok {
		return nil, errType
	}
	out := []byte{'['}
	for i, e := range list {
		if i > 0 {
			out = append(out, ',')
		}
		switch e := e.(type) {
		case float32:
			out = append(out, float(float64(e), 32)...)
		case float64:
			out = append(out, float(e, 64)...)
		default:
			return nil, errType
		}
	}
	return append(out, ']'), nil
}
