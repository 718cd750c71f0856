package format

import (
	"io"

	"github.com/millrace/millrace/plugins/data"
)

// Bytes writes values that are bytes as they are, each followed by a separator.
type Bytes struct {
	Suffix      string // format.bytearray.extension
	Separator   string
	Compression Compression
}

// Extension implements Format.
func (f Bytes) Extension() string { return f.Suffix + f.Compression.extension() }

// Open implements Format.
func (f Bytes) Open(w io.Writer, schema *data.Schema) (Writer, error) {
	b := &bytesFile{separator: []byte(f.Separator)}
	if schema != nil {
		if schema.Type() != data.TypeBytes {
			return nil, notBytes()
		}
		b.reader = data.NewRowReader(schema)
	}
	var err error
	b.out, b.end, err = f.Compression.wrap(w)
	return b, err
}

func notBytes() error {
	return badData("the ByteArrayFormat writes bytes, which the value is not: use org.apache.kafka.connect.converters.ByteArrayConverter")
}

type bytesFile struct {
	out       io.Writer
	end       func() error
	separator []byte
	reader    *data.RowReader
	next      []byte // prepared
}

// Prepare implements Writer.
func (f *bytesFile) Prepare(d data.Datum) (err error) {
	if f.next, err = f.bytes(d); err != nil && !IsData(err) {
		err = &DataError{err}
	}
	return err
}

// Append implements Writer.
func (f *bytesFile) Append() error {
	if _, err := f.out.Write(f.next); err != nil {
		return err
	}
	_, err := f.out.Write(f.separator)
	return err
}

func (f *bytesFile) bytes(d data.Datum) ([]byte, error) {
	if d.IsNull() {
		return nil, nil
	}
	if f.reader != nil {
		f.reader.Reset(d.Row)
		if f.reader.Null() {
			return nil, f.reader.Err()
		}
		b := f.reader.Bytes()
		return b, f.reader.Finish()
	}
	v, err := d.Value()
	if err != nil {
		return nil, err
	}
	b, ok := v.([]byte)
	if !ok {
		return nil, notBytes()
	}
	return b, nil
}

// Close implements Writer.
func (f *bytesFile) Close() error { return f.end() }
