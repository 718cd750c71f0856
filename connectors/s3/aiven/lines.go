package aiven

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strconv"
	"time"

	"github.com/millrace/millrace/plugins/data"
)

// The fields of a record that an object may hold.
const (
	Key       = "key"
	Value     = "value"
	Offset    = "offset"
	Timestamp = "timestamp"
	Headers   = "headers"
)

// Lines returns what makes a record the bytes of a datum, which is valid until
// the next.
func Lines(line func(dst []byte, r *data.Record) ([]byte, error)) func(*data.Record) (data.Datum, error) {
	var text, row []byte
	return func(r *data.Record) (_ data.Datum, err error) {
		if text, err = line(text[:0], r); err != nil {
			return data.Datum{}, err
		}
		row = binary.AppendVarint(row[:0], int64(len(text)))
		row = append(row, text...)
		return data.Datum{Schema: data.BytesSchema, State: data.Present, Row: row}, nil
	}
}

// CSV returns what appends the fields of a record, separated by commas. Keys and
// headers are in base64, and so is the value unless plain is set.
func CSV(fields []string, plain bool) func(dst []byte, r *data.Record) ([]byte, error) {
	return func(dst []byte, r *data.Record) (_ []byte, err error) {
		for i, f := range fields {
			if i > 0 {
				dst = append(dst, ',')
			}
			switch f {
			case Key:
				dst, err = appendBytes(dst, "key", r.Key, false)
			case Value:
				dst, err = appendBytes(dst, "value", r.Value, plain)
			case Offset:
				dst = strconv.AppendInt(dst, r.OriginalOffset, 10)
			case Timestamp:
				if r.Timestamp != data.NoTimestamp {
					dst = strconv.AppendInt(dst, r.Timestamp, 10)
				}
			case Headers:
				for _, h := range r.Headers {
					dst = append(base64.StdEncoding.AppendEncode(dst, []byte(h.Name)), ':')
					if dst, err = appendBytes(dst, "header "+h.Name, h.Value, false); err != nil {
						break
					}
					dst = append(dst, ';')
				}
			}
			if err != nil {
				return dst, err
			}
		}
		return dst, nil
	}
}

// appendBytes appends a value that is bytes or text; of a null nothing.
func appendBytes(dst []byte, what string, d data.Datum, plain bool) ([]byte, error) {
	v, err := d.Value()
	if err != nil {
		return dst, fmt.Errorf("%s: %w", what, err)
	}
	var b []byte
	switch v := v.(type) {
	case nil:
		return dst, nil
	case []byte:
		b = v
	case string:
		b = []byte(v)
	default:
		return dst, fmt.Errorf("format.output.type=csv takes bytes and text, which the %s is not: use a ByteArrayConverter or StringConverter, or another format", what)
	}
	if plain {
		return append(dst, b...), nil
	}
	return base64.StdEncoding.AppendEncode(dst, b), nil
}

// JSON returns what appends a record as a JSON object of its fields, or without
// envelope the only field itself.
func JSON(fields []string, envelope bool) func(dst []byte, r *data.Record) ([]byte, error) {
	return func(dst []byte, r *data.Record) (_ []byte, err error) {
		if !envelope {
			return appendField(dst, fields[0], r)
		}
		for i, f := range fields {
			dst = append(dst, "{,"[min(i, 1)], '"')
			dst = append(append(dst, f...), '"', ':')
			if dst, err = appendField(dst, f, r); err != nil {
				return dst, err
			}
		}
		return append(dst, '}'), nil
	}
}

func appendField(dst []byte, field string, r *data.Record) (_ []byte, err error) {
	switch field {
	case Key:
		return appendJSON(dst, "key", r.Key)
	case Value:
		return appendJSON(dst, "value", r.Value)
	case Offset:
		return strconv.AppendInt(dst, r.OriginalOffset, 10), nil
	case Timestamp:
		if r.Timestamp == data.NoTimestamp {
			return append(dst, "null"...), nil
		}
		return append(time.UnixMilli(r.Timestamp).UTC().AppendFormat(append(dst, '"'), instant(r.Timestamp)), '"'), nil
	}
	dst = append(dst, '[')
	for i, h := range r.Headers {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, `{"key":`...)
		if dst, err = data.AppendSchemalessJSON(dst, h.Name, data.JSONOptions{}); err != nil {
			return dst, err
		}
		dst = append(dst, `,"value":`...)
		if dst, err = appendJSON(dst, "header "+h.Name, h.Value); err != nil {
			return dst, err
		}
		dst = append(dst, '}')
	}
	return append(dst, ']'), nil
}

// instant is the form of java.time's ISO_INSTANT: with milliseconds where there
// are some.
func instant(ms int64) string {
	if ms%1000 == 0 {
		return "2006-01-02T15:04:05Z"
	}
	return "2006-01-02T15:04:05.000Z"
}

func appendJSON(dst []byte, what string, d data.Datum) ([]byte, error) {
	if d.IsNull() {
		return append(dst, "null"...), nil
	}
	var err error
	if d.Schema != nil {
		dst, err = data.AppendJSON(dst, d.Schema, d.Row, data.JSONOptions{})
	} else {
		var v any
		if v, err = d.Value(); err == nil {
			dst, err = data.AppendSchemalessJSON(dst, v, data.JSONOptions{})
		}
	}
	if err != nil {
		return dst, fmt.Errorf("%s: %w", what, err)
	}
	return dst, nil
}
