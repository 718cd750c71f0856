package format

import (
	"io"

	"github.com/millrace/millrace/plugins/data"
)

// Text writes a line for each value, as Java's toString prints it.
type Text struct{ Compression Compression }

// Extension implements Format.
func (f Text) Extension() string { return ".txt" + f.Compression.extension() }

// Open implements Format.
func (f Text) Open(w io.Writer, _ *data.Schema) (Writer, error) {
	out, end, err := f.Compression.wrap(w)
	return &textFile{out: out, end: end}, err
}

type textFile struct {
	out  io.Writer
	end  func() error
	line []byte
}

// Prepare implements Writer.
func (f *textFile) Prepare(d data.Datum) error {
	v, err := d.Value()
	if err != nil {
		return &DataError{err}
	}
	f.line = append(append(f.line[:0], data.Text(v)...), '\n')
	return nil
}

// Append implements Writer.
func (f *textFile) Append() error {
	_, err := f.out.Write(f.line)
	return err
}

// Close implements Writer.
func (f *textFile) Close() error { return f.end() }
