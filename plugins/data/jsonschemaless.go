package data

import (
	"encoding/base64"
	"fmt"
	"strconv"
)

// AppendSchemalessJSON appends a schemaless value as JSON: map members sorted
// by key, bytes in base64, decimals as the options say.
func AppendSchemalessJSON(dst []byte, v any, o JSONOptions) ([]byte, error) {
	switch v := v.(type) {
	case nil:
		return append(dst, "null"...), nil
	case bool:
		return strconv.AppendBool(dst, v), nil
	case int64:
		return strconv.AppendInt(dst, v, 10), nil
	case float64:
		return appendJSONFloat(dst, v, 64), nil
	case string:
		return appendJSONString(dst, v), nil
	case []byte:
		return append(base64.StdEncoding.AppendEncode(append(dst, '"'), v), '"'), nil
	case Decimal:
		if o.NumericDecimals {
			return append(dst, v.String()...), nil
		}
		return append(base64.StdEncoding.AppendEncode(append(dst, '"'), v.AppendUnscaled(nil)), '"'), nil
	case []any:
		var err error
		dst = append(dst, '[')
		for i, e := range v {
			if dst, err = AppendSchemalessJSON(comma(dst, i), e, o); err != nil {
				return dst, err
			}
		}
		return append(dst, ']'), nil
	case map[string]any:
		var err error
		dst = append(dst, '{')
		for i, k := range sortedKeys(v) {
			dst = append(appendJSONString(comma(dst, i), k), ':')
			if dst, err = AppendSchemalessJSON(dst, v[k], o); err != nil {
				return dst, err
			}
		}
		return append(dst, '}'), nil
	default:
		return dst, fmt.Errorf("a %T has no schemaless JSON form", v)
	}
}

// SchemalessFromJSON returns the schemaless value of JSON text: whole numbers
// as int64, others, and whole ones beyond 64 bits, as float64. Of members with
// one name the last counts.
func SchemalessFromJSON(text []byte) (any, error) {
	in := newScanner(text)
	v := schemalessValue(&in)
	if err := in.end(); err != nil {
		return nil, err
	}
	return v, nil
}

func schemalessValue(in *scanner) any {
	n := 0
	switch in.kind() {
	case '{':
		out := make(map[string]any)
		in.open('{')
		for in.more('}', &n) {
			k := string(in.key())
			out[k] = schemalessValue(in)
		}
		return out
	case '[':
		out := []any{}
		in.open('[')
		for in.more(']', &n) {
			out = append(out, schemalessValue(in))
		}
		return out
	case '"':
		return string(in.text())
	case '0':
		text := string(in.number())
		if v, err := strconv.ParseInt(text, 10, 64); err == nil {
			return v
		}
		v, err := strconv.ParseFloat(text, 64)
		if err != nil && in.err == nil {
			in.fail("number %.40s is out of range", text)
		}
		return v
	}
	switch in.literal() {
	case 't':
		return true
	case 'f':
		return false
	}
	return nil
}
