package sdk

import (
	"errors"
	"time"

	"github.com/millrace/millrace/plugins/proto"
)

// Error is an error with its class, as Retry, RecordError and Fatal make it.
type Error = proto.Error

var (
	errNoPoll = errors.New("the source task has neither Poll nor PollBatch")
	errNoPut  = errors.New("the sink task has no Put")
	// ErrStopping is the cause of the context's end when a task is asked to
	// stop.
	ErrStopping = errors.New("the task is stopping")
	// errGone is the cause when the worker is gone or cut the stream.
	errGone = errors.New("the worker ended the task")
)

// Retry says that the same may work after a while: a connection that broke, a
// server that is busy. after is the wait, 0 for one that grows with the
// number of failures. A nil err is nil.
func Retry(err error, after time.Duration) error {
	if err == nil {
		return nil
	}
	return &Error{Class: proto.Transient, Err: err, RetryAfter: after, Index: -1}
}

// RecordError says that the record at index in the batch of a Put cannot be
// written, whatever happens; -1 if it is one of them but not known which. The
// records before index must have been taken. A nil err is nil.
func RecordError(index int, err error) error {
	if err == nil {
		return nil
	}
	return &Error{Class: proto.Record, Err: err, Index: index}
}

// Fatal says that the task cannot go on until somebody changes something. It
// is the class of unwrapped errors too; Fatal overrides one that is wrapped
// deeper down. A nil err is nil.
func Fatal(err error) error {
	if err == nil {
		return nil
	}
	return &Error{Class: proto.Fatal, Err: err, Index: -1}
}

// retryable returns the wait that a transient error asks for.
func retryable(err error) (time.Duration, bool) {
	e := (*Error)(nil)
	if !errors.As(err, &e) || e.Class != proto.Transient {
		return 0, false
	}
	return e.RetryAfter, true
}
