package data

import (
	"errors"
	"fmt"
)

// Errors that callers test for with errors.Is.
var (
	// ErrRequired is a null where the schema is required and has no default.
	ErrRequired = errors.New("null in a required field without default")
	// ErrNoField is a field name that the schema does not have.
	ErrNoField = errors.New("no such field")
	// ErrTruncated is a row that ends inside a value.
	ErrTruncated = errors.New("row is truncated")
	// ErrCorrupt is a row whose bytes cannot be a value of its schema.
	ErrCorrupt = errors.New("row is corrupt")
	// ErrSchema is a schema that breaks the rules of the Builder, or a schema
	// text that cannot be understood.
	ErrSchema = errors.New("invalid schema")
)

// PathError is an error at one place within a value. Path names it as in
// "after.tags[2]"; it is "" for the value as a whole.
type PathError struct {
	Path string
	Err  error
}

// Error returns the path and the cause.
func (e *PathError) Error() string {
	if e.Path == "" {
		return e.Err.Error()
	}
	return e.Path + ": " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *PathError) Unwrap() error { return e.Err }

// under puts a step in front of an error's path. A field is a step with a dot
// between it and the next, an index has its brackets already.
func under(step string, err error) error {
	if err == nil {
		return nil
	}
	if pe, ok := err.(*PathError); ok {
		switch {
		case pe.Path == "":
			pe.Path = step
		case pe.Path[0] == '[':
			pe.Path = step + pe.Path
		default:
			pe.Path = step + "." + pe.Path
		}
		return pe
	}
	return &PathError{Path: step, Err: err}
}

func underIndex(i int, err error) error { return under(fmt.Sprintf("[%d]", i), err) }

func schemaErrorf(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrSchema, fmt.Errorf(format, args...))
}
