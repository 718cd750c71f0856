package wire

import "sync/atomic"

// Counters count what connections do. They only grow and may be read at any
// time.
type Counters struct {
	BytesIn   atomic.Int64 // frames and their length fields
	BytesOut  atomic.Int64 // the same for responses
	Requests  atomic.Int64 // frames that were handed to the Handler
	Malformed atomic.Int64 // connections closed for what the peer sent
}
