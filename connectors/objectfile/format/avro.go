package format

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"

	"github.com/millrace/millrace/plugins/data"
)

// Avro writes object container files: a header with the schema, then blocks of
// records.
//
//	"Obj" 01 | metadata: map of bytes | sync, 16 bytes
//	block: number of records | bytes | the records, compressed | sync
//
// A row is a record as it stands, unless the options give the file a schema of
// another wire form, as for enums.
type Avro struct {
	Codec   string // null, deflate, snappy or zstandard
	Options data.AvroOptions
	// Level is the level of deflate.
	Level int
}

// avroBlock is the size at which a block ends, before compression: that of
// Java's writer.
const avroBlock = 64000

// Extension implements Format.
func (Avro) Extension() string { return ".avro" }

// Open implements Format.
func (a Avro) Open(w io.Writer, schema *data.Schema) (Writer, error) {
	form, err := newAvroForm(schema, a.Options)
	if err != nil {
		return nil, err
	}
	f := &avroFile{out: w, avroForm: form}
	if f.compress, err = avroCodec(a.Codec, a.Level); err != nil {
		return nil, err
	}
	if _, err := rand.Read(f.sync[:]); err != nil {
		return nil, err
	}
	_, err = w.Write(f.header(a.Codec))
	return f, err
}

// avroForm is how values of one schema get into a file.
type avroForm struct {
	text    string
	project *data.Projection // nil if rows go as they are
	schema  *data.Schema
}

func newAvroForm(schema *data.Schema, o data.AvroOptions) (avroForm, error) {
	if schema == nil {
		return avroForm{}, badData("a value without a schema cannot be written as Avro: use a converter that knows schemas")
	}
	text, err := data.AvroSchema(schema, o)
	if err != nil {
		return avroForm{}, &DataError{err}
	}
	from, err := data.AvroForm(schema, data.AvroOptions{})
	if err != nil {
		return avroForm{}, &DataError{err}
	}
	to, err := data.ParseAvroNode(text)
	if err != nil {
		return avroForm{}, &DataError{err}
	}
	f := avroForm{text: text, schema: schema}
	if !data.SameWire(from, to) {
		if f.project, err = data.NewProjection(from, to); err != nil {
			return avroForm{}, &DataError{err}
		}
	}
	return f, nil
}

// record returns the record of a value. scratch is memory to use.
func (f *avroForm) record(scratch []byte, d data.Datum) (record, used []byte, err error) {
	if d.State != data.Present {
		return nil, scratch, badData("a null cannot be written as Avro")
	}
	row := d.Row
	if d.NullDefault {
		if row, err = data.AppendWithDefaults(nil, d.Schema, row); err != nil {
			return nil, scratch, &DataError{err}
		}
	}
	if f.project == nil {
		return row, scratch, nil
	}
	if used, err = f.project.Append(scratch[:0], row); err != nil {
		return nil, scratch, &DataError{err}
	}
	return used, used, nil
}

type avroFile struct {
	avroForm
	out      io.Writer
	sync     [16]byte
	compress func(dst, src []byte) ([]byte, error)
	scratch  []byte
	next     []byte // prepared
	block    []byte
	packed   []byte
	frame    []byte
	count    int64
}

func (f *avroFile) header(codec string) []byte {
	b := []byte("Obj\x01")
	b = binary.AppendVarint(b, 2)
	for _, kv := range [][2]string{{"avro.schema", f.text}, {"avro.codec", codec}} {
		for _, s := range kv {
			b = binary.AppendVarint(b, int64(len(s)))
			b = append(b, s...)
		}
	}
	return append(append(b, 0), f.sync[:]...)
}

// Prepare implements Writer.
func (f *avroFile) Prepare(d data.Datum) (err error) {
	f.next, f.scratch, err = f.record(f.scratch, d)
	return err
}

// Append implements Writer.
func (f *avroFile) Append() error {
	f.block = append(f.block, f.next...)
	f.count++
	if len(f.block) >= avroBlock {
		return f.flush()
	}
	return nil
}

// flush ends the block.
func (f *avroFile) flush() error {
	if f.count == 0 {
		return nil
	}
	body := f.block
	if f.compress != nil {
		var err error
		if f.packed, err = f.compress(f.packed[:0], f.block); err != nil {
			return fmt.Errorf("compress a block: %w", err)
		}
		body = f.packed
	}
	f.frame = binary.AppendVarint(f.frame[:0], f.count)
	f.frame = binary.AppendVarint(f.frame, int64(len(body)))
	f.count, f.block = 0, f.block[:0]
	for _, p := range [][]byte{f.frame, body, f.sync[:]} {
		if _, err := f.out.Write(p); err != nil {
			return err
		}
	}
	return nil
}

// Close implements Writer.
func (f *avroFile) Close() error { return f.flush() }

// avroCodec returns how a block is compressed, nil for not at all.
func avroCodec(name string, level int) (func(dst, src []byte) ([]byte, error), error) {
	switch name {
	case "null":
		return nil, nil
	case "deflate":
		buf := &appender{}
		w, err := flate.NewWriter(buf, level)
		if err != nil {
			return nil, fmt.Errorf("deflate: %w", err)
		}
		return func(dst, src []byte) ([]byte, error) {
			buf.b = dst
			w.Reset(buf)
			if _, err := w.Write(src); err != nil {
				return nil, err
			}
			err := w.Close()
			return buf.b, err
		}, nil
	case "snappy":
		return func(dst, src []byte) ([]byte, error) {
			dst = snappy.Encode(dst[:cap(dst)], src)
			return binary.BigEndian.AppendUint32(dst, crc32.ChecksumIEEE(src)), nil
		}, nil
	case "zstandard":
		w, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
		if err != nil {
			return nil, fmt.Errorf("zstandard: %w", err)
		}
		return func(dst, src []byte) ([]byte, error) { return w.EncodeAll(src, dst), nil }, nil
	}
	return nil, fmt.Errorf("avro.codec %q is not one of null, deflate, snappy, zstandard", name)
}

// appender collects what is written.
type appender struct{ b []byte }

func (a *appender) Write(p []byte) (int, error) {
	a.b = append(a.b, p...)
	return len(p), nil
}
