package converter

import (
	"errors"
	"fmt"
)

// RecordError is the fault of one record: converting it again will fail again,
// and other records are not concerned. It may be skipped or dead-lettered.
type RecordError struct{ Err error }

// Error returns the cause's text.
func (e *RecordError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *RecordError) Unwrap() error { return e.Err }

// TransientError may pass by itself: the registry cannot be reached, or is
// overloaded. The same record should be tried again later.
type TransientError struct{ Err error }

// Error returns the cause's text.
func (e *TransientError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *TransientError) Unwrap() error { return e.Err }

// FatalError needs somebody to act: every record will fail until the
// configuration or the registry is changed.
type FatalError struct{ Err error }

// Error returns the cause's text.
func (e *FatalError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *FatalError) Unwrap() error { return e.Err }

func recordf(format string, args ...any) error {
	return &RecordError{fmt.Errorf(format, args...)}
}

// asClass reports whether an error is of one of the classes.
func asClass[T error](err error) bool {
	var c T
	return errors.As(err, &c)
}
