package converter

import (
	"context"
	"encoding/binary"
	"math"
	"strings"
	"unicode/utf8"

	"github.com/millrace/millrace/plugins/configdef"
	"github.com/millrace/millrace/plugins/data"
)

var stringDef = configdef.Def{
	{Name: "converter.encoding", Type: configdef.String, Default: "UTF-8", Rules: []configdef.Rule{configdef.OneOfFold("UTF-8", "UTF8")},
		Importance: configdef.High, Doc: "The character encoding of the bytes. Only UTF-8 is supported."},
	typeKey,
}

var plainDef = configdef.Def{typeKey}

// rowBytes reads rows that are one text or bytes, keeping the reader of the
// last schema.
type rowBytes struct {
	schema *data.Schema
	reader *data.RowReader
}

// read returns a row's text or bytes, which alias it; null for the branch of
// null.
func (r *rowBytes) read(d data.Datum) (b []byte, null bool, err error) {
	if r.schema != d.Schema {
		r.schema, r.reader = d.Schema, data.NewRowReader(d.Schema)
	}
	r.reader.Reset(d.Row)
	if r.reader.Null() {
		return nil, true, r.reader.Finish()
	}
	b = r.reader.Bytes()
	return b, false, r.reader.Finish()
}

// optionalRow begins the row of an optional text or bytes of a length.
func optionalRow(dst []byte, length int) []byte {
	return binary.AppendVarint(append(dst, 2), int64(length)) // the branch that is not null
}

// stringConverter is Kafka's StringConverter: any value as its text.
type stringConverter struct{ rows rowBytes }

func newString(Settings, configdef.Config) (Converter, error) { return &stringConverter{}, nil }

func (c *stringConverter) FromConnect(_ context.Context, _ string, d data.Datum, dst []byte) ([]byte, bool, error) {
	if d.IsNull() {
		return dst, true, nil
	}
	if d.Schema != nil && d.Schema.Type() == data.TypeString {
		text, null, err := c.rows.read(d)
		if err != nil || null {
			return dst, null, asRecord(err)
		}
		return append(dst, text...), false, nil
	}
	v, err := d.Value()
	if err != nil {
		return dst, false, asRecord(err)
	}
	return append(dst, data.Text(v)...), v == nil, nil
}

func (c *stringConverter) ToConnect(_ context.Context, _ string, raw []byte) (data.Datum, error) {
	if raw == nil {
		return data.Datum{Schema: data.OptionalStringSchema, State: data.Null}, nil
	}
	if !utf8.Valid(raw) {
		raw = []byte(strings.ToValidUTF8(string(raw), "\uFFFD"))
	}
	row := append(optionalRow(make([]byte, 0, len(raw)+6), len(raw)), raw...)
	return data.Datum{Schema: data.OptionalStringSchema, State: data.Present, Row: row}, nil
}

// bytesConverter is Kafka's ByteArrayConverter: bytes as they are.
type bytesConverter struct{ rows rowBytes }

func newBytes(Settings, configdef.Config) (Converter, error) { return &bytesConverter{}, nil }

func (c *bytesConverter) FromConnect(_ context.Context, _ string, d data.Datum, dst []byte) ([]byte, bool, error) {
	switch {
	case d.Schema != nil && (d.Schema.Type() != data.TypeBytes || d.Schema.IsLogical()):
		return dst, false, recordf("a %v cannot be written by ByteArrayConverter: it takes bytes only", d.Schema.Type())
	case d.IsNull():
		return dst, true, nil
	case d.Schema != nil:
		b, null, err := c.rows.read(d)
		if err != nil || null {
			return dst, null, asRecord(err)
		}
		return append(dst, b...), false, nil
	}
	v, err := data.DecodeSchemaless(d.Row)
	if err != nil {
		return dst, false, asRecord(err)
	}
	b, ok := v.([]byte)
	if !ok {
		return dst, false, recordf("a %T cannot be written by ByteArrayConverter: it takes bytes only", v)
	}
	return append(dst, b...), false, nil
}

func (c *bytesConverter) ToConnect(_ context.Context, _ string, raw []byte) (data.Datum, error) {
	if raw == nil {
		return data.Datum{Schema: data.OptionalBytesSchema, State: data.Null}, nil
	}
	row := append(optionalRow(make([]byte, 0, len(raw)+6), len(raw)), raw...)
	return data.Datum{Schema: data.OptionalBytesSchema, State: data.Present, Row: row}, nil
}

// numberConverter is one of Kafka's converters of big-endian numbers.
type numberConverter struct {
	name   string
	schema *data.Schema // optional, of the type that is read
	size   int
}

func newNumber(name string, s *data.Schema, size int) func(Settings, configdef.Config) (Converter, error) {
	return func(Settings, configdef.Config) (Converter, error) {
		return &numberConverter{name, s, size}, nil
	}
}

func (c *numberConverter) FromConnect(_ context.Context, _ string, d data.Datum, dst []byte) ([]byte, bool, error) {
	if d.IsNull() {
		return dst, true, nil
	}
	if d.Schema != nil && (d.Schema.Type() != c.schema.Type() || d.Schema.IsLogical()) {
		return dst, false, recordf("a %v cannot be written by %s", d.Schema.Type(), c.name)
	}
	v, err := d.Value()
	if err != nil || v == nil {
		return dst, v == nil && err == nil, asRecord(err)
	}
	if d.Schema == nil {
		if v, err = c.narrow(v); err != nil {
			return dst, false, err
		}
	}
	switch v := v.(type) {
	case bool:
		if v {
			return append(dst, 1), false, nil
		}
		return append(dst, 0), false, nil
	case int16:
		return binary.BigEndian.AppendUint16(dst, uint16(v)), false, nil
	case int32:
		return binary.BigEndian.AppendUint32(dst, uint32(v)), false, nil
	case int64:
		return binary.BigEndian.AppendUint64(dst, uint64(v)), false, nil
	case float32:
		return binary.BigEndian.AppendUint32(dst, math.Float32bits(v)), false, nil
	case float64:
		return binary.BigEndian.AppendUint64(dst, math.Float64bits(v)), false, nil
	default:
		return dst, false, recordf("a %T cannot be written by %s", v, c.name)
	}
}

// narrow brings a schemaless number, which is of 64 bits, to the converter's
// size if it fits.
func (c *numberConverter) narrow(v any) (any, error) {
	switch n := v.(type) {
	case int64:
		switch {
		case c.schema.Type() == data.TypeInt64:
			return n, nil
		case c.schema.Type() == data.TypeInt32 && int64(int32(n)) == n:
			return int32(n), nil
		case c.schema.Type() == data.TypeInt16 && int64(int16(n)) == n:
			return int16(n), nil
		}
	case float64:
		switch {
		case c.schema.Type() == data.TypeFloat64:
			return n, nil
		case c.schema.Type() == data.TypeFloat32 && float64(float32(n)) == n:
			return float32(n), nil
		}
	case bool:
		if c.schema.Type() == data.TypeBoolean {
			return n, nil
		}
	}
	return nil, recordf("the %T %.40v cannot be written by %s", v, v, c.name)
}

func (c *numberConverter) ToConnect(_ context.Context, _ string, raw []byte) (data.Datum, error) {
	if raw == nil {
		return data.Datum{Schema: c.schema, State: data.Null}, nil
	}
	if len(raw) != c.size {
		return data.Datum{}, recordf("%s reads %d bytes, not %d", c.name, c.size, len(raw))
	}
	var v any
	switch c.schema.Type() {
	case data.TypeBoolean:
		if raw[0] > 1 {
			return data.Datum{}, recordf("%s reads 00 or 01, not %02x", c.name, raw[0])
		}
		v = raw[0] == 1
	case data.TypeInt16:
		v = int16(binary.BigEndian.Uint16(raw))
	case data.TypeInt32:
		v = int32(binary.BigEndian.Uint32(raw))
	case data.TypeInt64:
		v = int64(binary.BigEndian.Uint64(raw))
	case data.TypeFloat32:
		v = math.Float32frombits(binary.BigEndian.Uint32(raw))
	default:
		v = math.Float64frombits(binary.BigEndian.Uint64(raw))
	}
	d, err := data.NewDatum(c.schema, v)
	return d, asRecord(err)
}

func asRecord(err error) error {
	if err == nil {
		return nil
	}
	return &RecordError{err}
}

func foldEqual(a, b string) bool { return strings.EqualFold(a, b) }
