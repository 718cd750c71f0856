// Package read reads files record by record: what package format writes, and
// what others write in these formats.
//
// A Reader is used by one goroutine. Foreign bytes give *DataError, cost no
// more memory than their bounds allow, and never panic; other errors come from
// what is beneath, such as a connection that broke.
package read

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"

	"github.com/millrace/millrace/plugins/data"
)

// maxRecord bounds a record, and a block of Avro records, in bytes.
const maxRecord = 64 << 20

// Reader reads one file.
type Reader interface {
	// Next returns the next record, io.EOF after the last. The record is the
	// caller's to keep.
	Next() (data.Datum, error)
}

// DataError is a file that is not what it is taken for.
type DataError struct{ Err error }

// Error returns the cause.
func (e *DataError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *DataError) Unwrap() error { return e.Err }

func badData(format string, args ...any) error { return &DataError{fmt.Errorf(format, args...)} }

// sourceError is an error of what is beneath, told from those of decoders.
type sourceError struct{ err error }

func (e *sourceError) Error() string { return e.err.Error() }
func (e *sourceError) Unwrap() error { return e.err }

// source marks the errors of a stream.
type source struct{ r io.Reader }

func (s source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = &sourceError{err}
	}
	return n, err
}

// classed says whose fault an error is.
func classed(err error) error {
	if s := (*sourceError)(nil); errors.As(err, &s) {
		return s.err
	}
	if d := (*DataError)(nil); err == nil || errors.As(err, &d) {
		return err
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return &DataError{err}
}

// Kind is a format.
type Kind string

// The kinds, by the names of Confluent's formats.
const (
	Avro  Kind = "Avro"
	JSON  Kind = "Json"
	Bytes Kind = "ByteArray"
	// Text is lines of text, CSV rows of fields.
	Text Kind = "String"
	CSV  Kind = "Csv"
)

// Options say more about a file.
type Options struct {
	Separator string // of the records of plain bytes
	CSV       CSVOptions
}

// Open starts to read a file. The end of its name says how it is compressed.
func Open(kind Kind, name string, o Options, r io.Reader) (Reader, error) {
	in, err := decompress(name, source{r})
	if err != nil {
		return nil, classed(err)
	}
	if kind == Parquet {
		return newColumnFile(in)
	}
	b := bufio.NewReaderSize(in, 64<<10)
	switch kind {
	case Avro:
		return newContainer(b)
	case JSON:
		return &lines{in: b, separator: "\n", datum: jsonDatum}, nil
	case Text:
		return &lines{in: b, separator: "\n", datum: textDatum}, nil
	case CSV:
		return newRows(b, o.CSV)
	}
	return &lines{in: b, separator: o.Separator, datum: func(b []byte) (data.Datum, error) { return data.NewDatum(data.BytesSchema, b) }}, nil
}

func decompress(name string, r io.Reader) (io.Reader, error) {
	switch {
	case strings.HasSuffix(name, ".gz"):
		return gzip.NewReader(r)
	case strings.HasSuffix(name, ".zst"):
		d, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxRecord))
		if err != nil {
			return nil, err
		}
		return d.IOReadCloser(), nil
	case strings.HasSuffix(name, ".sz"):
		return snappy.NewReader(r), nil
	}
	return r, nil
}

// lines are records with a separator behind each, or one record without one.
type lines struct {
	in        *bufio.Reader
	separator string
	datum     func([]byte) (data.Datum, error)
	buf       []byte
}

// Next implements Reader.
func (l *lines) Next() (data.Datum, error) {
	l.buf = l.buf[:0]
	last := byte(0)
	if l.separator != "" {
		last = l.separator[len(l.separator)-1]
	}
	for {
		part, err := l.in.ReadSlice(last)
		l.buf = append(l.buf, part...)
		switch {
		case len(l.buf) > maxRecord:
			return data.Datum{}, badData("a record is larger than %d bytes", maxRecord)
		case errors.Is(err, io.EOF) && len(l.buf) == 0:
			return data.Datum{}, io.EOF
		case errors.Is(err, io.EOF):
			return l.record(l.buf)
		case err != nil && !errors.Is(err, bufio.ErrBufferFull):
			return data.Datum{}, classed(err)
		case err == nil && l.separator != "" && bytes.HasSuffix(l.buf, []byte(l.separator)):
			return l.record(l.buf[:len(l.buf)-len(l.separator)])
		}
	}
}

func (l *lines) record(b []byte) (data.Datum, error) {
	d, err := l.datum(b)
	if err != nil {
		return d, &DataError{err}
	}
	return d, nil
}

func jsonDatum(line []byte) (data.Datum, error) {
	v, err := data.SchemalessFromJSON(line)
	if err != nil {
		return data.Datum{}, err
	}
	return data.NewDatum(nil, v)
}

// textDatum is a line without the carriage return that may be before its end.
func textDatum(line []byte) (data.Datum, error) {
	return data.NewDatum(data.StringSchema, strings.ToValidUTF8(string(bytes.TrimSuffix(line, []byte("\r"))), "\uFFFD"))
}
