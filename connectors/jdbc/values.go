package jdbc

import (
	"encoding/hex"
	"math/big"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/plugins/data"
)

// text returns a value that is not null in the form that the server reads for
// a column. isJSON says that the column holds JSON.
func (c *config) text(s *data.Schema, v any, isJSON bool) ([]byte, error) {
	if special := special[s.Name()]; special != nil {
		b, err := special(c, s, v)
		if err != nil {
			return nil, bad("value of %s: %w", s.Name(), err)
		}
		return b, nil
	}
	switch v := v.(type) {
	case string:
		return []byte(v), nil
	case []byte:
		return hexBytes(v), nil
	case bool:
		return strconv.AppendBool(nil, v), nil
	case int8:
		return number(int64(v)), nil
	case int16:
		return number(int64(v)), nil
	case int32:
		return number(int64(v)), nil
	case int64:
		return number(v), nil
	case float32:
		return float(float64(v), 32), nil
	case float64:
		return float(v, 64), nil
	case data.Decimal:
		return decimal(v), nil
	case []any:
		if !isJSON {
			return c.array(s, v)
		}
	}
	return asJSON(s, v)
}

func hexBytes(v []byte) []byte { return hex.AppendEncode([]byte(`\x`), v) }

func float(v float64, bits int) []byte { return appendFloat(nil, v, bits) }

// decimal writes a number without expanding its exponent: a hostile scale
// costs nothing here and is refused by the server.
func decimal(d data.Decimal) []byte {
	unscaled := d.Unscaled
	if unscaled == nil {
		unscaled = new(big.Int)
	}
	b := unscaled.Append(nil, 10)
	if d.Scale == 0 {
		return b
	}
	return strconv.AppendInt(append(b, 'e'), -int64(d.Scale), 10)
}

func asJSON(s *data.Schema, v any) ([]byte, error) {
	d, err := data.NewDatum(data.AsRequired(s), v)
	if err != nil {
		return nil, bad("%w", err)
	}
	b, err := data.AppendJSON(nil, d.Schema, d.Row, data.JSONOptions{NumericDecimals: true, KeepNulls: true})
	if err != nil {
		return nil, bad("%w", err)
	}
	return b, nil
}

func (c *config) array(s *data.Schema, v []any) ([]byte, error) {
	elem := s.ValueSchema()
	if (elem.Type() == data.TypeStruct || elem.Type() == data.TypeMap) && special[elem.Name()] == nil {
		return asJSON(s, v)
	}
	var out textArray
	for _, e := range v {
		if e == nil {
			out.add(nil, true)
			continue
		}
		b, err := c.text(elem, e, false)
		if err != nil {
			return nil, err
		}
		if elem.Type() == data.TypeArray && special[elem.Name()] == nil {
			out.addArray(b)
		} else {
			out.add(b, false)
		}
	}
	return out.bytes(), nil
}

// clock writes a point in time. The offset at its end counts for columns with
// a zone only; others take what the clock shows.
func clock(t time.Time) []byte { return dated(t, "-01-02 15:04:05.999999-07:00") }

func dated(t time.Time, layout string) []byte {
	y, era := t.Year(), ""
	if y <= 0 {
		y, era = 1-y, " BC"
	}
	b := strconv.AppendInt(nil, int64(y), 10)
	for len(b) < 4 {
		b = append([]byte{'0'}, b...)
	}
	return append(t.AppendFormat(b, layout), era...)
}

// isoText turns an ISO 8601 text into PostgreSQL's: years before 1 have the
// era behind them, and none has a sign.
func isoText(text string) []byte {
	text = strings.TrimPrefix(text, "+")
	rest, negative := strings.CutPrefix(text, "-")
	if !negative {
		return []byte(text)
	}
	year, rest, _ := strings.Cut(rest, "-")
	y, err := strconv.Atoi(year)
	if err != nil {
		return []byte(text) // "-infinity"
	}
	b := strconv.AppendInt(nil, int64(y)+1, 10)
	for len(b) < 4 {
		b = append([]byte{'0'}, b...)
	}
	return append(append(append(b, '-'), rest...), " BC"...)
}

// timeOfDay writes microseconds since midnight, of which 24:00:00 is the last.
func timeOfDay(micros int64) []byte {
	b := strconv.AppendInt(nil, micros/3_600_000_000, 10)
	b = append(b, ':')
	b = strconv.AppendInt(b, micros/60_000_000%60, 10)
	b = append(b, ':')
	b = strconv.AppendInt(b, micros/1_000_000%60, 10)
	b = append(b, '.')
	fraction := strconv.FormatInt(1_000_000+micros%1_000_000, 10)
	return append(b, fraction[1:]...)
}
