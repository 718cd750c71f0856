// Package format writes values to files: Avro object containers, lines of JSON,
// plain bytes and Parquet.
//
// A Format makes a Writer for each file, of one schema. A Writer appends
// records to an io.Writer and is used by one goroutine. What it reports as
// *DataError is the record's fault and leaves the file as it was; any other
// error comes from the io.Writer.
package format

import (
	"errors"
	"fmt"
	"io"

	"github.com/millrace/millrace/plugins/data"
)

// Format is a kind of file.
type Format interface {
	// Extension is the end of file names, with its dots.
	Extension() string
	// Open starts a file. schema is that of its records, nil for none. A
	// *DataError says that such records cannot be written.
	Open(w io.Writer, schema *data.Schema) (Writer, error)
}

// Writer writes one file, each record in two steps, so that files whose records
// belong together stay in step: what one file refuses goes into none.
type Writer interface {
	// Prepare takes a value of the file's schema, and fails with a *DataError
	// if it cannot be written. The value must stay as it is until Append.
	Prepare(d data.Datum) error
	// Append writes what was prepared last.
	Append() error
	// Close writes what is buffered and the end of the file. It does not close
	// what is beneath.
	Close() error
}

// DataError is a record that cannot be written to a file of this format.
type DataError struct{ Err error }

// Error returns the cause.
func (e *DataError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *DataError) Unwrap() error { return e.Err }

func badData(format string, args ...any) error { return &DataError{fmt.Errorf(format, args...)} }

// IsData reports whether an error is the record's fault.
func IsData(err error) bool {
	e := (*DataError)(nil)
	return errors.As(err, &e)
}
