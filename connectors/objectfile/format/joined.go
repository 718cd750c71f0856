package format

import (
	"io"

	"github.com/millrace/millrace/plugins/data"
)

// Joined writes values that are bytes with something between them, and before
// and after all of them.
type Joined struct {
	First, Between, Last string
	Suffix               string
	Compression          Compression
}

// Extension implements Format.
func (f Joined) Extension() string { return f.Suffix + f.Compression.extension() }

// Open implements Format.
func (f Joined) Open(w io.Writer, schema *data.Schema) (Writer, error) {
	inner, err := Bytes{Compression: f.Compression}.Open(w, schema)
	if err != nil {
		return nil, err
	}
	return &joinedFile{bytesFile: inner.(*bytesFile), before: f.First, between: f.Between, last: f.Last}, nil
}

type joinedFile struct {
	*bytesFile
	before, between, last string
}

// Append implements Writer.
func (f *joinedFile) Append() error {
	if _, err := io.WriteString(f.out, f.before); err != nil {
		return err
	}
	f.before = f.between
	_, err := f.out.Write(f.next)
	return err
}

// Close implements Writer.
func (f *joinedFile) Close() error {
	if _, err := io.WriteString(f.out, f.last); err != nil {
		return err
	}
	return f.bytesFile.Close()
}

// Compressed writes files of a format that are compressed as a whole.
type Compressed struct {
	Format
	Compression Compression
}

// Extension implements Format.
func (f Compressed) Extension() string { return f.Format.Extension() + f.Compression.extension() }

// Open implements Format.
func (f Compressed) Open(w io.Writer, schema *data.Schema) (Writer, error) {
	out, end, err := f.Compression.wrap(w)
	if err != nil {
		return nil, err
	}
	inner, err := f.Format.Open(out, schema)
	if err != nil {
		return nil, err
	}
	return &compressedFile{inner, end}, nil
}

type compressedFile struct {
	Writer
	end func() error
}

// Close implements Writer.
func (f *compressedFile) Close() error {
	if err := f.Writer.Close(); err != nil {
		return err
	}
	return f.end()
}
