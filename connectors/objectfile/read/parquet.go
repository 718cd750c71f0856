package read

import (
	"errors"
	"fmt"
	"io"

	"github.com/parquet-go/parquet-go"

	"github.com/millrace/millrace/plugins/data"
)

// ParquetFile reads a Parquet file, of any writer. Structs keep the order of
// their columns. It is used by one goroutine.
type ParquetFile struct {
	groups []parquet.RowGroup
	rows   parquet.Rows // of the row group at hand, nil before and after
	total  int64
	at     int64
	schema *data.Schema
	root   *shredded
	writer *data.RowWriter
	buf    []parquet.Row
	ready  []parquet.Row
	cells  [][]parquet.Value // of the row at hand, by column
}

// OpenParquet starts to read a file of so many bytes. Errors of r are taken for
// the file's own: read from what is there as a whole, such as a file.
func OpenParquet(r io.ReaderAt, size int64) (f *ParquetFile, err error) {
	defer guard(&err)
	file, err := parquet.OpenFile(r, size, parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true))
	if err != nil {
		return nil, &DataError{err}
	}
	c := compiler{}
	f = &ParquetFile{groups: file.RowGroups(), total: file.NumRows()}
	if f.root, f.schema, err = c.group(file.Schema(), 0, 0); err != nil {
		return nil, &DataError{err}
	}
	if name := file.Schema().Name(); name != "" {
		if f.schema, err = named(f.schema, name); err != nil {
			return nil, &DataError{err}
		}
	}
	f.writer, f.cells = data.NewRowWriter(f.schema), make([][]parquet.Value, c.leaves)
	f.buf = make([]parquet.Row, 64)
	return f, nil
}

// named gives a schema a name, if it can be one of Avro's.
func named(s *data.Schema, name string) (*data.Schema, error) {
	for i, c := range []byte(name) {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_'
		if !letter && (i == 0 || (c < '0' || c > '9') && c != '.') {
			return s, nil
		}
	}
	b := data.NewStructBuilder().Name(name)
	for _, f := range s.Fields() {
		b.Field(f.Name, f.Schema)
	}
	return b.Build()
}

// guard turns a panic over a broken file, which the library does not rule out,
// into an error of the file.
func guard(err *error) {
	if p := recover(); p != nil {
		*err = badData("the Parquet file is broken: %v", p)
	}
}

// Schema is of all records.
func (f *ParquetFile) Schema() *data.Schema { return f.schema }

// Skip passes over n records.
func (f *ParquetFile) Skip(n int64) (err error) {
	defer guard(&err)
	if f.at != 0 {
		return errors.New("records were read already")
	}
	if n > f.total {
		return badData("it has %d records, and %d were read of it before", f.total, n)
	}
	f.at = n
	for len(f.groups) > 0 && n >= f.groups[0].NumRows() {
		n -= f.groups[0].NumRows()
		f.groups = f.groups[1:]
	}
	if n == 0 {
		return nil
	}
	f.next()
	if err := f.rows.SeekToRow(n); err != nil {
		return &DataError{err}
	}
	return nil
}

// next goes to the next row group.
func (f *ParquetFile) next() {
	f.rows, f.groups = f.groups[0].Rows(), f.groups[1:]
}

// Close releases what the file holds.
func (f *ParquetFile) Close() error {
	if f.rows == nil {
		return nil
	}
	err := f.rows.Close()
	f.rows = nil
	return err
}

// Next implements Reader.
func (f *ParquetFile) Next() (d data.Datum, err error) {
	defer guard(&err)
	for len(f.ready) == 0 {
		if err := f.fill(); err != nil {
			return data.Datum{}, err
		}
	}
	row := f.ready[0]
	f.ready = f.ready[1:]
	for i := range f.cells {
		f.cells[i] = f.cells[i][:0]
	}
	for _, v := range row {
		c := v.Column()
		if c < 0 || c >= len(f.cells) {
			return data.Datum{}, badData("a value of column %d, of which there is none", c)
		}
		f.cells[c] = append(f.cells[c], v)
	}
	f.writer.Reset(nil)
	f.writer.BeginStruct()
	for _, p := range f.root.parts {
		if err := p.write(f.writer, f.cells); err != nil {
			return data.Datum{}, &DataError{fmt.Errorf("row %d: %w", f.at, err)}
		}
	}
	f.writer.End()
	out, nullDefault, err := f.writer.Finish()
	if err != nil {
		return data.Datum{}, &DataError{fmt.Errorf("row %d: %w", f.at, err)}
	}
	f.at++
	return data.Datum{Schema: f.schema, State: data.Present, Row: out, NullDefault: nullDefault}, nil
}

// fill reads some rows.
func (f *ParquetFile) fill() error {
	if f.rows == nil {
		if len(f.groups) == 0 {
			return io.EOF
		}
		f.next()
	}
	n, err := f.rows.ReadRows(f.buf)
	f.ready = f.buf[:n]
	if err != nil && !errors.Is(err, io.EOF) {
		return &DataError{err}
	}
	if n == 0 {
		err := f.rows.Close()
		f.rows = nil
		return err
	}
	return nil
}
