package connector

import (
	"context"
	"errors"
	"fmt"
)

// Fault says whose fault a refused request is; the REST layer turns it into a
// status.
type Fault int

// The faults.
const (
	BadRequest  Fault = iota + 1 // the request is wrong as it stands
	NotFound                     // what it names does not exist
	Conflict                     // it clashes with the present state; later it may pass
	Unavailable                  // this worker cannot serve it now; later it may
	Forbidden                    // it is switched off here, or who asks may not
)

// Error is a refusal that the person who asked should read. Errors that are
// not of this type are failures of ours.
type Error struct {
	Fault Fault
	Msg   string
}

func (e *Error) Error() string { return e.Msg }

// Errorf makes an Error with a formatted message.
func Errorf(f Fault, format string, args ...any) error {
	return &Error{Fault: f, Msg: fmt.Sprintf(format, args...)}
}

// Elsewhere says that another worker must serve a request. URL is where that
// one's REST API is, "" if this worker does not know at the moment.
type Elsewhere struct{ URL string }

// Error names the worker.
func (e *Elsewhere) Error() string {
	if e.URL == "" {
		return "Cannot complete request momentarily due to no known leader URL, likely because a rebalance was underway."
	}
	return "the worker at " + e.URL + " must serve this request"
}

// ErrFenced is the cause of a context that ends because the worker may no
// longer run what it ran: another may do so already, and nothing may be
// written any more.
var ErrFenced = errors.New("the worker has lost its membership of the group, and others may run its work")

// Fenced reports whether ctx ended with ErrFenced.
func Fenced(ctx context.Context) bool { return errors.Is(context.Cause(ctx), ErrFenced) }

// NotFoundError says, in Kafka Connect's words, that there is no such connector.
func NotFoundError(name string) error { return Errorf(NotFound, "Connector %s not found", name) }
