package format

import (
	"bytes"
	"encoding/base64"
	"io"
	"strconv"
	"time"

	"github.com/millrace/millrace/plugins/data"
)

// CSV writes structs as separated values (RFC 4180), after a line with the names
// of their fields. A null is nothing, an empty string a pair of quotes. Times
// are ISO 8601, bytes base64; values that are structs, lists or maps are JSON.
type CSV struct {
	Compression Compression
	NoHeader    bool
	Separator   rune // a comma if it is 0
	Options     data.JSONOptions
}

// Extension implements Format.
func (f CSV) Extension() string { return ".csv" + f.Compression.extension() }

// Open implements Format.
func (f CSV) Open(w io.Writer, schema *data.Schema) (Writer, error) {
	if schema == nil || schema.Type() != data.TypeStruct {
		return nil, badData("a CSV file holds structs with a schema: use a converter that knows schemas, or another format")
	}
	out, end, err := f.Compression.wrap(w)
	if err != nil {
		return nil, err
	}
	separator := string(f.Separator)
	if f.Separator == 0 {
		separator = ","
	}
	c := &csvFile{out: out, end: end, separator: separator, special: separator + "\"\r\n", options: f.Options, reader: data.NewRowReader(schema), fields: schema.Fields(), optional: schema.Optional()}
	if f.NoHeader {
		return c, nil
	}
	for i, field := range c.fields {
		c.separate(i)
		c.quoted([]byte(field.Name))
	}
	return c, c.Append()
}

type csvFile struct {
	out      io.Writer
	end      func() error
	reader   *data.RowReader
	fields   []data.Field
	optional bool
	line     []byte

	separator, special string // special is what needs quotes
	options            data.JSONOptions
}

func (f *csvFile) separate(i int) {
	if i > 0 {
		f.line = append(f.line, f.separator...)
	}
}

// quoted writes text, in quotes where it needs them.
func (f *csvFile) quoted(text []byte) {
	if len(text) > 0 && !bytes.ContainsAny(text, f.special) && text[0] != ' ' && text[len(text)-1] != ' ' {
		f.line = append(f.line, text...)
		return
	}
	f.line = append(f.line, '"')
	for _, c := range text {
		if c == '"' {
			f.line = append(f.line, '"')
		}
		f.line = append(f.line, c)
	}
	f.line = append(f.line, '"')
}

// Prepare implements Writer.
func (f *csvFile) Prepare(d data.Datum) error {
	if d.State != data.Present {
		return badData("a null cannot be written as CSV")
	}
	row := d.Row
	if d.NullDefault {
		var err error
		if row, err = data.AppendWithDefaults(nil, d.Schema, row); err != nil {
			return &DataError{err}
		}
	}
	f.line = f.line[:0]
	f.reader.Reset(row)
	if f.optional && f.reader.Null() {
		return badData("a null cannot be written as CSV")
	}
	f.reader.EnterStruct()
	var whole *data.Struct // of a record with values that are no scalars
	for i, field := range f.fields {
		f.separate(i)
		if f.reader.Null() {
			continue
		}
		if f.scalar(field.Schema) {
			continue
		}
		if whole == nil {
			v, err := d.Value()
			if err != nil {
				return &DataError{err}
			}
			whole = v.(*data.Struct) // Open has looked at the schema
		}
		f.reader.Skip()
		one, err := data.NewDatum(field.Schema, whole.At(i))
		if err != nil {
			return &DataError{err}
		}
		text, err := data.AppendJSON(nil, field.Schema, one.Row, f.options)
		if err != nil {
			return &DataError{err}
		}
		f.quoted(text)
	}
	f.reader.Leave()
	if err := f.reader.Finish(); err != nil {
		return &DataError{err}
	}
	return nil
}

// scalar writes the value that is next, and reports whether it is one.
func (f *csvFile) scalar(s *data.Schema) bool {
	r := f.reader
	switch s.Name() {
	case data.TimestampName:
		f.line = time.UnixMilli(r.Int64()).UTC().AppendFormat(f.line, "2006-01-02T15:04:05.000Z")
		return true
	case data.DateName:
		f.line = time.Unix(int64(r.Int32())*86400, 0).UTC().AppendFormat(f.line, time.DateOnly)
		return true
	case data.TimeName:
		f.line = time.UnixMilli(int64(r.Int32())).UTC().AppendFormat(f.line, "15:04:05.000")
		return true
	case data.DecimalName:
		f.line = append(f.line, r.Decimal().String()...)
		return true
	}
	switch s.Type() {
	case data.TypeInt8:
		f.line = strconv.AppendInt(f.line, int64(r.Int8()), 10)
	case data.TypeInt16:
		f.line = strconv.AppendInt(f.line, int64(r.Int16()), 10)
	case data.TypeInt32:
		f.line = strconv.AppendInt(f.line, int64(r.Int32()), 10)
	case data.TypeInt64:
		f.line = strconv.AppendInt(f.line, r.Int64(), 10)
	case data.TypeFloat32:
		f.line = data.AppendFloat(f.line, float64(r.Float32()), 32)
	case data.TypeFloat64:
		f.line = data.AppendFloat(f.line, r.Float64(), 64)
	case data.TypeBoolean:
		f.line = strconv.AppendBool(f.line, r.Boolean())
	case data.TypeString:
		f.quoted(r.Bytes())
	case data.TypeBytes:
		f.line = base64.StdEncoding.AppendEncode(f.line, r.Bytes())
	default:
		return false
	}
	return true
}

// Append implements Writer.
func (f *csvFile) Append() error {
	f.line = append(f.line, '\n')
	_, err := f.out.Write(f.line)
	return err
}

// Close implements Writer.
func (f *csvFile) Close() error { return f.end() }
