package wire

import (
	"sync"
	"sync/atomic"
)

// Shared is what all connections of a server have in common. The counters only
// grow and may be read at any time.
type Shared struct {
	BytesIn   atomic.Int64 // frames and their length fields
	BytesOut  atomic.Int64 // the same for responses
	Requests  atomic.Int64 // frames that were handed to the Handler
	Malformed atomic.Int64 // connections closed for what the peer sent

	// decoding is held while a request above decodeFreely is decoded: arrays
	// take up to a hundred times the memory of their bytes, so that a few
	// hostile requests at the same time could use up that of the process.
	decoding sync.Mutex

	queued memory
}
