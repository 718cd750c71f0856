package wire

import "errors"

// Reasons for which Serve closes a connection on what the peer sent. The
// error that Serve returns wraps one of them with the figures.
var (
	// ErrFrameSize means a negative length, or one above the limit.
	ErrFrameSize = errors.New("frame size out of range")
	// ErrMalformed means bytes that are not the request they claim to be.
	ErrMalformed = errors.New("malformed request")
	// ErrUnsupported means a request key or version that is not served.
	ErrUnsupported = errors.New("unsupported request")
	// ErrIdle means that the peer was silent for longer than IdleTimeout.
	ErrIdle = errors.New("connection idle for too long")
)
