package transform

import (
	"encoding/base64"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/plugins/data"
)

// castValue brings a value to a type with Java's rules: numbers are narrowed,
// texts parsed.
func castValue(s *data.Schema, v any, typ data.Type) (any, error) {
	if v == nil {
		return nil, nil
	}
	switch typ {
	case data.TypeString:
		return castText(s, v)
	case data.TypeBoolean:
		return castBoolean(v)
	case data.TypeFloat32, data.TypeFloat64:
		f, err := castFloat(v)
		if err != nil {
			return nil, err
		}
		if typ == data.TypeFloat32 {
			return float32(f), nil
		}
		return f, nil
	}
	if text, ok := v.(string); ok {
		bits := map[data.Type]int{data.TypeInt8: 8, data.TypeInt16: 16, data.TypeInt32: 32, data.TypeInt64: 64}[typ]
		n, err := strconv.ParseInt(text, 10, bits)
		if err != nil {
			return nil, fmt.Errorf("text %.80q is no number of type %v", text, typ)
		}
		return integerOf(typ, n), nil
	}
	n, err := castInteger(v, typ)
	return integerOf(typ, n), err
}

// castInteger returns a value as a number that integerOf narrows. As in Java,
// integers wrap, and fractions stop at the ends of int64, or of int32 for the
// smaller types.
func castInteger(v any, typ data.Type) (int64, error) {
	switch v := v.(type) {
	case int8:
		return int64(v), nil
	case int16:
		return int64(v), nil
	case int32:
		return int64(v), nil
	case int64:
		return v, nil
	case float32:
		return saturate(float64(v), typ), nil
	case float64:
		return saturate(v, typ), nil
	case bool:
		if v {
			return 1, nil
		}
		return 0, nil
	case data.Decimal:
		return wholeOf(v)
	}
	return 0, fmt.Errorf("%s cannot be cast to %v", kindOf(v), typ)
}

func saturate(f float64, typ data.Type) int64 {
	low, high := int64(math.MinInt32), int64(math.MaxInt32)
	if typ == data.TypeInt64 {
		low, high = math.MinInt64, math.MaxInt64
	}
	switch {
	case f != f:
		return 0
	case f >= float64(high):
		return high
	case f <= float64(low):
		return low
	}
	return int64(f)
}

// maxScale bounds the work on a decimal's scale.
const maxScale = 1 << 12

// wholeOf drops the digits after a decimal's point and all but the low 64
// bits, as BigDecimal.longValue does.
func wholeOf(d data.Decimal) (int64, error) {
	if d.Unscaled == nil {
		return 0, nil
	}
	if d.Scale > maxScale || d.Scale < -maxScale {
		return 0, fmt.Errorf("decimal of scale %d cannot be cast", d.Scale)
	}
	n := new(big.Int).Set(d.Unscaled)
	power := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(max(d.Scale, -d.Scale))), nil)
	if d.Scale > 0 {
		n.Quo(n, power)
	} else {
		n.Mul(n, power)
	}
	low := new(big.Int).And(n, new(big.Int).SetUint64(math.MaxUint64)) // two's complement
	return int64(low.Uint64()), nil
}

func castFloat(v any) (float64, error) {
	switch v := v.(type) {
	case float32:
		return float64(v), nil
	case float64:
		return v, nil
	case string:
		f, err := strconv.ParseFloat(strings.TrimSpace(v), 64)
		if err != nil && !math.IsInf(f, 0) || strings.ContainsAny(v, "_") {
			return 0, fmt.Errorf("text %.80q is no number", v)
		}
		return f, nil
	case data.Decimal:
		f, err := strconv.ParseFloat(v.String(), 64)
		if err != nil && !math.IsInf(f, 0) {
			return 0, err
		}
		return f, nil
	}
	n, err := castInteger(v, data.TypeInt64)
	return float64(n), err
}

func castBoolean(v any) (any, error) {
	switch v := v.(type) {
	case bool:
		return v, nil
	case string:
		return strings.EqualFold(v, "true"), nil
	}
	n, err := castInteger(v, data.TypeInt64)
	return n != 0, err
}

// castText writes a value as Java's toString, dates as Connect's Values does
// and bytes in base64.
func castText(s *data.Schema, v any) (any, error) {
	switch v := v.(type) {
	case string:
		return v, nil
	case []byte:
		return base64.StdEncoding.EncodeToString(v), nil
	case map[string]any, []any, *data.Struct, data.Map:
		return nil, fmt.Errorf("%s cannot be cast", kindOf(v))
	case int32:
		if s != nil && s.Name() == data.DateName {
			return valuesText(int64(v) * dayMillis), nil
		}
		if s != nil && s.Name() == data.TimeName {
			return valuesText(int64(v)), nil
		}
	case int64:
		if s != nil && s.Name() == data.TimestampName {
			return valuesText(v), nil
		}
	}
	return data.Text(v), nil
}

// valuesText writes an instant in the form that Connect's Values chooses by
// the value: a time on the day of the epoch, a date at midnight, else both.
func valuesText(ms int64) string {
	form := "2006-01-02T15:04:05.000Z"
	switch {
	case ms > -dayMillis && ms < dayMillis:
		form = "15:04:05.000Z"
	case ms%dayMillis == 0:
		form = "2006-01-02"
	}
	return time.UnixMilli(ms).UTC().Format(form)
}
