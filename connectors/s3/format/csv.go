package format

import (
	"encoding/base64"
	"encoding/csv"
	"io"

	"github.com/millrace/millrace/plugins/data"
)

// CSV writes a row of fields for each struct (RFC 4180): a null is empty, bytes
// are base64, and what has parts is JSON.
type CSV struct {
	Header      bool // begin with the names of the fields
	Separator   rune
	Compression Compression
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
	c := csv.NewWriter(out)
	c.Comma = f.Separator
	file := &csvFile{out: c, end: end, options: f.Options}
	if f.Header {
		for _, field := range schema.Fields() {
			file.row = append(file.row, field.Name)
		}
		err = c.Write(file.row)
	}
	return file, err
}

type csvFile struct {
	out     *csv.Writer
	end     func() error
	options data.JSONOptions
	row     []string // prepared
}

// Prepare implements Writer.
func (f *csvFile) Prepare(d data.Datum) error {
	v, err := d.Value()
	if err != nil {
		return &DataError{err}
	}
	s, ok := v.(*data.Struct)
	if !ok {
		return badData("a null cannot be written as CSV")
	}
	f.row = f.row[:0]
	for i, field := range s.Schema().Fields() {
		text, err := f.text(field.Schema, s.At(i))
		if err != nil {
			return &DataError{err}
		}
		f.row = append(f.row, text)
	}
	return nil
}

// text is a value as it stands in a row.
func (f *csvFile) text(s *data.Schema, v any) (string, error) {
	switch x := v.(type) {
	case nil:
		return "", nil
	case []byte:
		return base64.StdEncoding.EncodeToString(x), nil
	case *data.Struct, []any, data.Map:
		d, err := data.NewDatum(s, v)
		if err != nil {
			return "", err
		}
		b, err := data.AppendJSON(nil, s, d.Row, f.options)
		return string(b), err
	}
	return data.Text(v), nil
}

// Append implements Writer.
func (f *csvFile) Append() error { return f.out.Write(f.row) }

// Close implements Writer.
func (f *csvFile) Close() error {
	f.out.Flush()
	if err := f.out.Error(); err != nil {
		return err
	}
	return f.end()
}
