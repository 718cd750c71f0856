package proto

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
)

// Class says what may be done about an error. It is decided where the cause is
// known, in the connector, and carried to the worker.
type Class uint8

// The classes. An error without one is Fatal.
const (
	Fatal     Class = iota // the task cannot go on
	Transient              // the same may work later
	Record                 // one record is at fault; it may be skipped or set aside
)

// String returns "fatal", "transient" or "record".
func (c Class) String() string {
	switch c {
	case Transient:
		return "transient"
	case Record:
		return "record"
	}
	return "fatal"
}

// Error is an error of a connector with its class.
type Error struct {
	Class Class
	Err   error
	// RetryAfter is the wait that a transient error asks for, 0 for the
	// caller's own choice.
	RetryAfter time.Duration
	// Index is the place of the record at fault in the batch of a sink's put,
	// from 0, or -1 when it is not known: then the caller can find it by
	// splitting the batch.
	Index int
}

// Error returns the cause's text.
func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns the cause. Across the boundary only its text survives.
func (e *Error) Unwrap() error { return e.Err }

// SafeToRetry reports whether the error is transient.
func (e *Error) SafeToRetry() bool { return e.Class == Transient }

// Transient reports the same, to those who ask by that name.
func (e *Error) Transient() bool { return e.Class == Transient }

// maxErrorText bounds the text of an error that crosses the boundary.
const maxErrorText = 16 << 10

// NewFailure turns an error into its message, nil into none.
func NewFailure(err error) *Failure {
	if err == nil {
		return nil
	}
	text := err.Error()
	if len(text) > maxErrorText {
		text = text[:maxErrorText] + " (shortened)"
	}
	f := &Failure{Text: strings.ToValidUTF8(text, "\uFFFD")} // messages take no other text
	if e := (*Error)(nil); errors.As(err, &e) {
		f.Class = FailureClass(e.Class)
		f.RetryAfterMs = e.RetryAfter.Milliseconds()
		f.Record = int64(e.Index) + 1
	}
	return f
}

// failed turns a message into an error, none into nil. An unknown class is
// Fatal.
func failed(f *Failure) error {
	if f == nil {
		return nil
	}
	e := &Error{Err: errors.New(f.Text), Index: -1}
	if f.Text == "" {
		e.Err = errors.New("the connector failed without saying why")
	}
	switch f.Class {
	case FailureClass_TRANSIENT:
		e.Class = Transient
		e.RetryAfter = time.Duration(min(max(f.RetryAfterMs, 0), maxWaitMs)) * time.Millisecond
	case FailureClass_RECORD:
		e.Class = Record
		if f.Record > 0 && f.Record <= math.MaxInt32 {
			e.Index = int(f.Record) - 1
		}
	}
	return e
}

// maxWaitMs bounds the waits that a connector may ask for: a day.
const maxWaitMs = 24 * 60 * 60 * 1000

// StreamError is the end of a task's stream that the task did not announce:
// its process is gone, or broke the protocol. What was in flight is lost.
type StreamError struct {
	Err error
}

// Error says that the connection ended, and how.
func (e *StreamError) Error() string { return "connection to the plugin ended: " + e.Err.Error() }

// Unwrap returns the cause.
func (e *StreamError) Unwrap() error { return e.Err }

// ErrProtocol is a message that has no place where it came.
var ErrProtocol = errors.New("plugin breaks the protocol")

func protocolErrorf(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrProtocol, fmt.Errorf(format, args...))
}
