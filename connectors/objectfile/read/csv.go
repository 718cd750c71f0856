package read

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"

	"github.com/millrace/millrace/plugins/data"
)

// CSVOptions say how a CSV file is written.
type CSVOptions struct {
	Header    bool // the first row has the names of the fields
	Separator rune
}

// maxFields bounds the fields of a row.
const maxFields = 10_000

// rows reads rows of fields (RFC 4180) as structs of optional texts. An empty
// field is null.
type rows struct {
	in     *csv.Reader
	count  *counted
	schema *data.Schema
	writer *data.RowWriter
	first  []string // a row that was read to learn how many fields there are
}

// counted bounds how much one row may be.
type counted struct {
	r    io.Reader
	left int
}

// Read implements io.Reader.
func (c *counted) Read(p []byte) (int, error) {
	if c.left <= 0 {
		return 0, badData("a row is larger than %d bytes", maxRecord)
	}
	n, err := c.r.Read(p[:min(len(p), c.left)])
	c.left -= n
	return n, err
}

func newRows(in *bufio.Reader, o CSVOptions) (Reader, error) {
	count := &counted{in, maxRecord}
	c := csv.NewReader(count)
	c.Comma = o.Separator
	r := &rows{in: c, count: count}
	names, err := c.Read()
	if errors.Is(err, io.EOF) {
		return r, nil // an empty file has no rows
	}
	if err != nil {
		return nil, classed(err)
	}
	if len(names) > maxFields {
		return nil, badData("a row has %d fields; %d are the most", len(names), maxFields)
	}
	if !o.Header {
		r.first = names
		names = make([]string, len(names))
		for i := range names {
			names[i] = fmt.Sprintf("field%d", i+1)
		}
	}
	b := data.NewStructBuilder()
	for _, n := range names {
		b.Field(n, data.OptionalStringSchema)
	}
	if r.schema, err = b.Build(); err != nil {
		return nil, badData("the first row has no names of fields: %v", err)
	}
	r.writer = data.NewRowWriter(r.schema)
	return r, nil
}

// Next implements Reader.
func (r *rows) Next() (data.Datum, error) {
	if r.schema == nil {
		return data.Datum{}, io.EOF
	}
	row := r.first
	if r.first = nil; row == nil {
		var err error
		r.count.left = maxRecord
		if row, err = r.in.Read(); errors.Is(err, io.EOF) {
			return data.Datum{}, io.EOF
		} else if err != nil {
			return data.Datum{}, classed(err)
		}
	}
	r.writer.Reset(nil)
	r.writer.BeginStruct()
	for _, field := range row {
		if field == "" {
			r.writer.Null()
			continue
		}
		r.writer.Text(field)
	}
	r.writer.End()
	out, _, err := r.writer.Finish()
	if err != nil {
		return data.Datum{}, &DataError{err}
	}
	return data.Datum{Schema: r.schema, State: data.Present, Row: out}, nil
}
