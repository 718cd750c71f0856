package connector

import "fmt"

// Fault says whose fault a refused request is; the REST layer turns it into a
// status.
type Fault int

// The faults.
const (
	BadRequest  Fault = iota + 1 // the request is wrong as it stands
	NotFound                     // what it names does not exist
	Conflict                     // it clashes with the present state; later it may pass
	Unavailable                  // this worker cannot serve it now; later it may
	Forbidden                    // it is switched off here
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

// NotFoundError says, in Kafka Connect's words, that there is no such connector.
func NotFoundError(name string) error { return Errorf(NotFound, "Connector %s not found", name) }
