package spooldir

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"

	"github.com/millrace/millrace/connectors/objectfile/read"
	"github.com/millrace/millrace/plugins/data"
)

// maxRecord bounds one record, in bytes.
const maxRecord = 32 << 20

// reader reads the records of one file in order.
type reader interface {
	// next returns the next value, io.EOF after the last. It is valid until the
	// next call.
	next() (data.Datum, error)
	// skip passes over n records before the first next.
	skip(n int64) error
}

// fileError is a file that is not what it is taken for.
type fileError struct{ err error }

func (e *fileError) Error() string { return e.err.Error() }
func (e *fileError) Unwrap() error { return e.err }

func badFile(format string, args ...any) error { return &fileError{fmt.Errorf(format, args...)} }

// openReader starts to read a file.
func (c *settings) openReader(f *os.File) (reader, error) {
	if c.kind == parquetFiles {
		fi, err := f.Stat()
		if err != nil {
			return nil, err
		}
		p, err := read.OpenParquet(f, fi.Size())
		if err != nil {
			return nil, &fileError{err}
		}
		return parquetReader{p}, nil
	}
	in, err := decompress(f.Name(), f)
	if err != nil {
		return nil, &fileError{err}
	}
	switch c.kind {
	case avroFiles:
		r, err := read.Open(read.Avro, "", read.Options{}, in)
		if err != nil {
			return nil, &fileError{err}
		}
		return &skipper{read: r.Next}, nil
	case csvFiles:
		return c.newCSVReader(in)
	case lineFiles:
		l := &lines{in: bufio.NewReaderSize(in, 64<<10)}
		row := data.NewRowWriter(data.StringSchema)
		var buf []byte
		return &skipper{read: func() (data.Datum, error) {
			line, err := l.next()
			if err != nil {
				return data.Datum{}, err
			}
			buf = appendText(buf[:0], row, bytes.TrimSuffix(line, []byte("\r")))
			return data.Datum{Schema: data.StringSchema, State: data.Present, Row: buf}, nil
		}}, nil
	}
	return c.newJSONReader(in)
}

// appendText appends the row of a text.
func appendText(dst []byte, w *data.RowWriter, text []byte) []byte {
	w.Reset(dst)
	w.TextBytes(bytes.ToValidUTF8(text, []byte("\uFFFD")))
	dst, _, _ = w.Finish() // one text in a text schema cannot fail
	return dst
}

// decompress reads a file uncompressed, by the end of its name.
func decompress(name string, r io.Reader) (io.Reader, error) {
	switch {
	case strings.HasSuffix(name, ".gz"):
		return gzip.NewReader(bufio.NewReader(r))
	case strings.HasSuffix(name, ".bz2"):
		return bzip2.NewReader(bufio.NewReader(r)), nil
	case strings.HasSuffix(name, ".sz") || strings.HasSuffix(name, ".snappy"):
		return snappy.NewReader(r), nil
	case strings.HasSuffix(name, ".lz4"):
		return lz4.NewReader(r), nil
	case hasOneOf(name, ".xz", ".lzma", ".Z", ".7z", ".br", ".zip"):
		return nil, fmt.Errorf("files ending in %s are not read: compress with gzip, bzip2, zstd, snappy or lz4, or not at all", filepath.Ext(name))
	case strings.HasSuffix(name, ".zst") || strings.HasSuffix(name, ".zstd"):
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(128<<20))
		if err != nil {
			return nil, err
		}
		return z.IOReadCloser(), nil
	}
	return r, nil
}

func hasOneOf(name string, suffixes ...string) bool {
	return slices.ContainsFunc(suffixes, func(s string) bool { return strings.HasSuffix(name, s) })
}

// skipper passes over records by reading them.
type skipper struct {
	read func() (data.Datum, error)
}

func (s *skipper) next() (data.Datum, error) {
	d, err := s.read()
	if err != nil && !errors.Is(err, io.EOF) {
		err = &fileError{err}
	}
	return d, err
}

func (s *skipper) skip(n int64) error { return skipRecords(s.next, n) }

func skipRecords(next func() (data.Datum, error), n int64) error {
	for i := range n {
		if _, err := next(); err != nil {
			if errors.Is(err, io.EOF) {
				err = badFile("it has %d records, and %d were read of it before", i, n)
			}
			return err
		}
	}
	return nil
}

type parquetReader struct{ file *read.ParquetFile }

func (p parquetReader) next() (data.Datum, error) {
	d, err := p.file.Next()
	if err != nil && !errors.Is(err, io.EOF) {
		err = &fileError{err}
	}
	return d, err
}

func (p parquetReader) skip(n int64) error {
	if err := p.file.Skip(n); err != nil {
		return &fileError{err}
	}
	return nil
}

// lines reads lines. The last one need not end.
type lines struct {
	in  *bufio.Reader
	buf []byte
}

func (l *lines) next() ([]byte, error) {
	l.buf = l.buf[:0]
	for {
		part, err := l.in.ReadSlice('\n')
		if err == nil && len(l.buf) == 0 {
			return part[:len(part)-1], nil
		}
		l.buf = append(l.buf, part...)
		switch {
		case len(l.buf) > maxRecord:
			return nil, badFile("a line is longer than %d bytes", maxRecord)
		case errors.Is(err, io.EOF) && len(l.buf) == 0:
			return nil, io.EOF
		case err == nil || errors.Is(err, io.EOF):
			return bytes.TrimSuffix(l.buf, []byte("\n")), nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, err
		}
	}
}
