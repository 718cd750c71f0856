// Package trial runs a chain of transforms over sample records and shows what
// each step does to them. It touches no log and creates nothing.
//
// Records are read and written as JSON, one object each:
//
//	{"topic","partition","timestamp","keySchema","key","valueSchema","value",
//	 "headers":[{"key","schema","value"}]}
//
// Schemas are in the notation of Kafka Connect's JsonConverter, or null. In
// values, bytes are base64, a Decimal is {"decimal":"12.340"}, Date, Time and
// Timestamp are their integer, maps whose keys are no text are arrays of pairs,
// and NaN and the infinities are text.
package trial

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/millrace/millrace/plugins/data"
)

// AppendRecord appends a record as JSON, without a line end.
func AppendRecord(dst []byte, r *data.Record) ([]byte, error) {
	dst = append(dst, `{"topic":`...)
	dst = appendText(dst, r.Topic)
	dst = append(dst, `,"partition":`...)
	dst = appendUnless(dst, int64(r.Partition), int64(data.NoPartition))
	dst = append(dst, `,"timestamp":`...)
	dst = appendUnless(dst, r.Timestamp, data.NoTimestamp)
	var err error
	if dst, err = appendDatum(dst, `,"keySchema":`, `,"key":`, r.Key); err != nil {
		return nil, fmt.Errorf("key: %w", err)
	}
	if dst, err = appendDatum(dst, `,"valueSchema":`, `,"value":`, r.Value); err != nil {
		return nil, fmt.Errorf("value: %w", err)
	}
	dst = append(dst, `,"headers":[`...)
	for i, h := range r.Headers {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, `{"key":`...)
		dst = appendText(dst, h.Name)
		if dst, err = appendDatum(dst, `,"schema":`, `,"value":`, h.Value); err != nil {
			return nil, fmt.Errorf("header %s: %w", h.Name, err)
		}
		dst = append(dst, '}')
	}
	return append(dst, "]}"...), nil
}

func appendUnless(dst []byte, n, absent int64) []byte {
	if n == absent {
		return append(dst, "null"...)
	}
	return strconv.AppendInt(dst, n, 10)
}

func appendText(dst []byte, s string) []byte {
	raw, _ := json.Marshal(s) // of a string it cannot fail
	return append(dst, raw...)
}

func appendDatum(dst []byte, schemaName, valueName string, d data.Datum) ([]byte, error) {
	dst = append(dst, schemaName...)
	if d.Schema == nil {
		dst = append(dst, "null"...)
	} else {
		dst = data.AppendJSONSchema(dst, d.Schema, data.JSONOptions{})
	}
	v, err := d.Value()
	if err != nil {
		return nil, err
	}
	return appendValue(append(dst, valueName...), v), nil
}

// appendValue appends what Datum.Value returns.
func appendValue(dst []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return append(dst, "null"...)
	case bool:
		return strconv.AppendBool(dst, v)
	case string:
		return appendText(dst, v)
	case []byte:
		return appendText(dst, base64.StdEncoding.EncodeToString(v))
	case float32:
		return appendFloat(dst, float64(v), 32)
	case float64:
		return appendFloat(dst, v, 64)
	case data.Decimal:
		dst = append(dst, `{"decimal":`...)
		return append(appendText(dst, v.String()), '}')
	case *data.Struct:
		dst = append(dst, '{')
		for i, f := range v.Schema().Fields() {
			dst = appendText(separate(dst, i), f.Name)
			dst = appendValue(append(dst, ':'), v.AtWithoutDefault(i))
		}
		return append(dst, '}')
	case data.Map:
		return appendMap(dst, v)
	case map[string]any:
		entries := make(data.Map, 0, len(v))
		for k, item := range v {
			entries = append(entries, data.Entry{Key: k, Value: item})
		}
		return appendMap(dst, entries)
	case []any:
		dst = append(dst, '[')
		for i, item := range v {
			dst = appendValue(separate(dst, i), item)
		}
		return append(dst, ']')
	default: // the integers
		return fmt.Append(dst, v)
	}
}

// appendMap sorts the entries by their text, so that equal maps look alike.
func appendMap(dst []byte, m data.Map) []byte {
	type pair struct{ key, value []byte }
	pairs, text := make([]pair, len(m)), true
	for i, e := range m {
		if _, ok := e.Key.(string); !ok {
			text = false
		}
		pairs[i] = pair{appendValue(nil, e.Key), appendValue(nil, e.Value)}
	}
	slices.SortFunc(pairs, func(a, b pair) int { return slices.Compare(a.key, b.key) })
	open, between, end := "[", "", "]"
	if text {
		open, between, end = "{", ":", "}"
	}
	dst = append(dst, open...)
	for i, p := range pairs {
		dst = separate(dst, i)
		if text {
			dst = append(append(append(dst, p.key...), between...), p.value...)
			continue
		}
		dst = append(append(append(append(append(dst, '['), p.key...), ','), p.value...), ']')
	}
	return append(dst, end...)
}

func separate(dst []byte, i int) []byte {
	if i > 0 {
		return append(dst, ',')
	}
	return dst
}

func appendFloat(dst []byte, v float64, bits int) []byte {
	switch {
	case math.IsNaN(v):
		return append(dst, `"NaN"`...)
	case math.IsInf(v, 1):
		return append(dst, `"Infinity"`...)
	case math.IsInf(v, -1):
		return append(dst, `"-Infinity"`...)
	}
	return data.AppendFloat(dst, v, bits)
}
