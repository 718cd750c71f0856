package format

import (
	"io"

	"github.com/millrace/millrace/plugins/data"
)

// JSON writes a line of JSON for each value, without its schema.
type JSON struct {
	Compression Compression
	Options     data.JSONOptions
}

// Extension implements Format.
func (f JSON) Extension() string { return ".json" + f.Compression.extension() }

// Open implements Format.
func (f JSON) Open(w io.Writer, _ *data.Schema) (Writer, error) {
	out, end, err := f.Compression.wrap(w)
	return &jsonFile{out: out, end: end, options: f.Options}, err
}

type jsonFile struct {
	out     io.Writer
	end     func() error
	options data.JSONOptions
	line    []byte
}

// Prepare implements Writer.
func (f *jsonFile) Prepare(d data.Datum) error {
	line, err := appendJSON(f.line[:0], d, f.options)
	if err != nil {
		return &DataError{err}
	}
	f.line = append(line, '\n')
	return nil
}

// Append implements Writer.
func (f *jsonFile) Append() error {
	_, err := f.out.Write(f.line)
	return err
}

func appendJSON(dst []byte, d data.Datum, o data.JSONOptions) ([]byte, error) {
	if d.IsNull() {
		return append(dst, "null"...), nil
	}
	if d.Schema != nil {
		return data.AppendJSON(dst, d.Schema, d.Row, o)
	}
	v, err := d.Value()
	if err != nil {
		return dst, err
	}
	return data.AppendSchemalessJSON(dst, v, o)
}

// Close implements Writer.
func (f *jsonFile) Close() error { return f.end() }
