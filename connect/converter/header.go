package converter

import (
	"context"
	"encoding/base64"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/millrace/millrace/plugins/configdef"
	"github.com/millrace/millrace/plugins/data"
)

// simpleHeader is Kafka's SimpleHeaderConverter: values as text, whose types
// are guessed when they are read. A round trip may change a type: the text "5"
// becomes a number.
type simpleHeader struct{}

func newSimpleHeader(Settings, configdef.Config) (Converter, error) { return simpleHeader{}, nil }

func (simpleHeader) FromConnect(_ context.Context, _ string, d data.Datum, dst []byte) ([]byte, bool, error) {
	if d.IsNull() {
		return dst, true, nil
	}
	v, err := d.Value()
	if err != nil || v == nil {
		return dst, v == nil && err == nil, asRecord(err)
	}
	return appendHeaderText(dst, d.Schema, v, false), false, nil
}

func (simpleHeader) ToConnect(_ context.Context, _ string, raw []byte) (data.Datum, error) {
	if raw == nil {
		return data.Datum{}, nil
	}
	text := string(raw)
	if !utf8.Valid(raw) {
		d, err := data.NewDatum(data.StringSchema, strings.ToValidUTF8(text, "\uFFFD"))
		return d, asRecord(err)
	}
	s, v := parseValue(text)
	d, err := data.NewDatum(s, v)
	return d, asRecord(err)
}

// appendHeaderText appends a value in the form of Connect's Values: text is
// quoted inside of other values only, structs and maps look like JSON.
func appendHeaderText(dst []byte, s *data.Schema, v any, inside bool) []byte {
	switch v := v.(type) {
	case nil:
		return append(dst, "null"...)
	case string:
		if !inside {
			return append(dst, v...)
		}
		return appendQuoted(dst, v)
	case []byte:
		return base64.StdEncoding.AppendEncode(dst, v)
	case int32:
		if s != nil && s.Name() == data.DateName {
			return appendInstant(dst, time.Unix(int64(v)*86400, 0))
		}
		if s != nil && s.Name() == data.TimeName {
			return appendInstant(dst, time.UnixMilli(int64(v)))
		}
	case int64:
		if s != nil && s.Name() == data.TimestampName {
			return appendInstant(dst, time.UnixMilli(v))
		}
	case []any:
		dst = append(dst, '[')
		for i, e := range v {
			dst = appendHeaderText(separate(dst, i), childOf(s), e, true)
		}
		return append(dst, ']')
	case data.Map:
		dst = append(dst, '{')
		for i, e := range v {
			dst = appendHeaderText(separate(dst, i), s.KeySchema(), e.Key, true)
			dst = appendHeaderText(append(dst, ':'), s.ValueSchema(), e.Value, true)
		}
		return append(dst, '}')
	case map[string]any:
		dst = append(dst, '{')
		for i, k := range slices.Sorted(maps.Keys(v)) {
			dst = appendQuoted(separate(dst, i), k)
			dst = appendHeaderText(append(dst, ':'), nil, v[k], true)
		}
		return append(dst, '}')
	case *data.Struct:
		dst = append(dst, '{')
		for i, f := range v.Schema().Fields() {
			dst = appendQuoted(separate(dst, i), f.Name)
			dst = appendHeaderText(append(dst, ':'), f.Schema, v.At(i), true)
		}
		return append(dst, '}')
	}
	return append(dst, data.Text(v)...)
}

func childOf(s *data.Schema) *data.Schema {
	if s == nil {
		return nil
	}
	return s.ValueSchema()
}

func separate(dst []byte, i int) []byte {
	if i > 0 {
		return append(dst, ',')
	}
	return dst
}

func appendQuoted(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for i := range len(s) {
		if s[i] == '"' || s[i] == '\\' {
			dst = append(dst, '\\')
		}
		dst = append(dst, s[i])
	}
	return append(dst, '"')
}

// The forms of instants: of the first day after the epoch as a time, of
// midnights as a date.
const (
	timeForm      = "15:04:05.000Z"
	dateForm      = "2006-01-02"
	timestampForm = "2006-01-02T15:04:05.000Z"
)

// appendInstant writes what Java has as a Date, in UTC: the form depends on
// the value, whatever its schema.
func appendInstant(dst []byte, t time.Time) []byte {
	t = t.UTC()
	ms := t.UnixMilli()
	switch {
	case ms > -86400000 && ms < 86400000:
		return t.AppendFormat(dst, timeForm)
	case ms%86400000 == 0:
		return t.AppendFormat(dst, dateForm)
	default:
		return t.AppendFormat(dst, timestampForm)
	}
}
