package read

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/parquet-go/parquet-go"

	"github.com/millrace/millrace/plugins/data"
)

// Parquet is the kind of files of columns. What reads one holds a copy of the
// file, since its end says where everything is: in memory if it is small, else
// in a temporary file. Its Reader is an io.Closer.
const Parquet Kind = "Parquet"

// maxHeld is the size of files in bytes up to which they are held in memory.
const maxHeld = 4 << 20

// ParquetFile reads a Parquet file, of any writer. It is used by one goroutine.
type ParquetFile struct {
	spool   *os.File // nil for a file in memory
	schema  *data.Schema
	root    *cell
	writer  *data.RowWriter
	groups  []parquet.RowGroup
	rows    parquet.Rows // of the first group, nil before it is opened
	buf     [rowBatch]parquet.Row
	n, next int // rows in buf, and the one to return
	columns [][]parquet.Value
}

const rowBatch = 64

func newColumnFile(in io.Reader) (Reader, error) {
	f := &ParquetFile{}
	at, size, err := f.hold(in)
	if err == nil {
		err = guarded(func() error { return f.open(at, size) })
	}
	if err != nil {
		return nil, errors.Join(classed(err), f.Close())
	}
	return f, nil
}

// OpenParquet starts to read a file of so many bytes, which it reads as it
// needs and leaves open. Errors of r are taken for the file's own.
func OpenParquet(r io.ReaderAt, size int64) (*ParquetFile, error) {
	f := &ParquetFile{}
	if err := guarded(func() error { return f.open(r, size) }); err != nil {
		return nil, classed(err)
	}
	return f, nil
}

// Schema is of all records.
func (f *ParquetFile) Schema() *data.Schema { return f.schema }

// Skip passes over the first n records. It comes before Next.
func (f *ParquetFile) Skip(n int64) error {
	return guarded(func() error {
		for len(f.groups) > 0 && n >= f.groups[0].NumRows() {
			n -= f.groups[0].NumRows()
			f.groups = f.groups[1:]
		}
		if n == 0 {
			return nil
		}
		if len(f.groups) == 0 {
			return badData("it has %d records less than were read of it before", n)
		}
		f.rows = f.groups[0].Rows()
		return classed(f.rows.SeekToRow(n))
	})
}

// hold copies the file to where it can be read from any place.
func (f *ParquetFile) hold(in io.Reader) (io.ReaderAt, int64, error) {
	var head bytes.Buffer
	n, err := io.CopyN(&head, in, maxHeld)
	if errors.Is(err, io.EOF) {
		return bytes.NewReader(head.Bytes()), n, nil
	}
	if err != nil {
		return nil, 0, err
	}
	if f.spool, err = os.CreateTemp("", "millrace-parquet-*"); err != nil {
		return nil, 0, &sourceError{fmt.Errorf("hold a Parquet file: %w", err)}
	}
	if err := os.Remove(f.spool.Name()); err != nil { // it stays while it is open
		return nil, 0, &sourceError{err}
	}
	size, err := io.Copy(f.spool, io.MultiReader(&head, in))
	return f.spool, size, err
}

// guarded turns a panic of the library, which foreign files may cause, into an
// error.
func guarded(do func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = badData("it cannot be read as Parquet: %v", p)
		}
	}()
	return do()
}

func (f *ParquetFile) open(at io.ReaderAt, size int64) error {
	if err := checkFooter(at, size); err != nil {
		return err
	}
	file, err := parquet.OpenFile(at, size, parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true))
	if err != nil {
		return badData("it is no Parquet file: %v", err)
	}
	if err := checkPages(at, size, file.Metadata()); err != nil {
		return err
	}
	if err := f.compile(file); err != nil {
		return &DataError{err}
	}
	f.groups, f.writer = file.RowGroups(), data.NewRowWriter(f.schema)
	return nil
}

// compile finds the schema: the Avro one that writers of Avro records leave in
// the file, else one made of the columns.
func (f *ParquetFile) compile(file *parquet.File) (err error) {
	c := &compiler{}
	if text, ok := file.Lookup("parquet.avro.schema"); ok {
		schema, err := data.ParseAvro(text, data.AvroOptions{Enhanced: true})
		if err == nil {
			f.root, err = c.compile(file.Root(), schema)
		}
		if err == nil {
			f.schema, f.columns = schema, make([][]parquet.Value, c.leaves)
			return nil
		}
		*c = compiler{}
	}
	if f.schema, err = derive(file.Root()); err != nil {
		return err
	}
	f.root, err = c.compile(file.Root(), f.schema)
	f.columns = make([][]parquet.Value, c.leaves)
	return err
}

// Next implements Reader.
func (f *ParquetFile) Next() (d data.Datum, err error) {
	err = guarded(func() (err error) {
		d, err = f.read()
		return err
	})
	if errors.Is(err, io.EOF) {
		return d, io.EOF
	}
	return d, classed(err)
}

func (f *ParquetFile) read() (data.Datum, error) {
	for f.next == f.n {
		if err := f.fill(); err != nil {
			return data.Datum{}, err
		}
	}
	for i := range f.columns {
		f.columns[i] = f.columns[i][:0]
	}
	for _, v := range f.buf[f.next] {
		c := v.Column()
		if c < 0 || c >= len(f.columns) {
			return data.Datum{}, badData("a value is of column %d of %d", c, len(f.columns))
		}
		f.columns[c] = append(f.columns[c], v)
	}
	f.next++
	f.writer.Reset(nil)
	r := row{f.columns}
	r.write(f.writer, f.root)
	out, nullDefault, err := f.writer.Finish()
	if err != nil {
		return data.Datum{}, &DataError{err}
	}
	return data.Datum{Schema: f.schema, State: data.Present, NullDefault: nullDefault, Row: out}, nil
}

// fill reads rows of the next group that has some, io.EOF after the last.
func (f *ParquetFile) fill() error {
	if f.rows == nil {
		if len(f.groups) == 0 {
			return io.EOF
		}
		f.rows = f.groups[0].Rows()
	}
	n, err := f.rows.ReadRows(f.buf[:])
	f.n, f.next = n, 0
	if errors.Is(err, io.EOF) || err == nil && n == 0 {
		err = f.rows.Close()
		f.rows, f.groups = nil, f.groups[1:]
	}
	return err
}

// Close lets go of the file.
func (f *ParquetFile) Close() error {
	var errs []error
	if f.rows != nil {
		errs = append(errs, f.rows.Close())
		f.rows = nil
	}
	if f.spool != nil {
		errs = append(errs, f.spool.Close())
		f.spool = nil
	}
	return errors.Join(errs...)
}
