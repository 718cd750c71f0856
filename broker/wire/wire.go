// Package wire carries Kafka requests and responses over one connection:
// frames, headers, and the order that clients count on.
//
// Serve runs a connection on two goroutines. The reader takes a frame off the
// socket, decodes it and calls the Handler, which does whatever must happen in
// arrival order (appending to a log, joining a group) and returns a Reply. The
// writer, in the order of the requests, waits for each Reply and sends it. So
// a long poll or a disk flush delays the responses behind it and nothing else,
// and no goroutine is made per request.
package wire

import (
	"context"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Header is what every request begins with (KIP-482 for the flexible form).
type Header struct {
	Key           int16
	Version       int16
	CorrelationID int32
	ClientID      string // empty when the client sent null
}

// Request is one decoded request. Byte slices in Body point into the frame
// that it was read from; strings do not.
type Request struct {
	Header
	Body kmsg.Request
	Size int // of the frame, in bytes

	frame []byte
}

// Release gives the frame back for reuse. Only a handler that is done with
// every byte slice in Body may call it, at most once; a handler that keeps one
// leaves the frame to the garbage collector.
func (r *Request) Release() {
	putFrame(r.frame)
	r.frame = nil
}

// Response is an encoded or encodable response body: either Message or Stream
// is set.
type Response struct {
	Message kmsg.Response
	Stream  *Stream
	// Busy is for how long the Reply worked for it, as opposed to waiting.
	Busy time.Duration
}

// Reply is the answer to one request, ready or yet to come. The connection's
// writer calls it once, from its own goroutine, when every earlier response of
// the connection has been sent. ctx ends when the client is gone or the server
// stops for good, and Reply must return promptly then. An error closes the
// connection. A nil Reply means that the request has no response at all
// (Produce with acks=0).
type Reply func(ctx context.Context) (Response, error)

// Ready returns a Reply that is already there.
func Ready(m kmsg.Response) Reply {
	return func(context.Context) (Response, error) { return Response{Message: m}, nil }
}

// Handler answers the requests of every connection it is given to. Its methods
// are called from many connections at once, for one connection in arrival
// order.
type Handler interface {
	// Open returns an empty message for the request with its version set, and
	// the layout of its body. A nil message closes the connection: the body of
	// an unknown key or version cannot be parsed. Without a layout the body is
	// left unread.
	Open(h Header) (m kmsg.Request, l *Layout)
	// Handle performs the request. It may block, which delays later requests
	// of the same connection. An error closes the connection.
	Handle(ctx context.Context, c *Conn, r *Request) (Reply, error)
}

// Config bounds a connection. The zero value of a field means its default.
type Config struct {
	// MaxRequestBytes is the largest frame that is read, socket.request.max.bytes.
	// Default 104857600.
	MaxRequestBytes int32
	// MaxOtherBytes is the largest frame of a request other than Produce, whose
	// size is in its records. Decoded arrays take many times the memory of
	// their bytes, and no client has use for more. Default 8 MiB, at most
	// MaxRequestBytes. Differs from Kafka: there all requests may be as large
	// as socket.request.max.bytes.
	MaxOtherBytes int32
	// MaxInFlight is how many requests are read ahead of their responses.
	// Default 64.
	MaxInFlight int
	// IdleTimeout closes a connection that has no request in flight and sends
	// none, or that stops in the middle of a frame or a response;
	// connections.max.idle.ms. Default 10 minutes.
	IdleTimeout time.Duration
	// Logger gets one line for a connection that is closed for a reason other
	// than the client leaving. Default slog.Default().
	Logger *slog.Logger
	// Shared is what the connection has in common with others. Default: with
	// none.
	Shared *Shared
	// Done, if set, is called after each response with the request's key and
	// the time from its frame being read to its response being written, and
	// with their sizes in bytes.
	Done func(key int16, took time.Duration, in, out int64)
}

func (c Config) withDefaults() Config {
	if c.MaxRequestBytes <= 0 {
		c.MaxRequestBytes = 104857600
	}
	if c.MaxOtherBytes <= 0 {
		c.MaxOtherBytes = 8 << 20
	}
	c.MaxOtherBytes = min(c.MaxOtherBytes, c.MaxRequestBytes)
	if c.MaxInFlight <= 0 {
		c.MaxInFlight = 64
	}
	if c.IdleTimeout <= 0 {
		c.IdleTimeout = 10 * time.Minute
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Shared == nil {
		c.Shared = new(Shared)
	}
	if c.Done == nil {
		c.Done = func(int16, time.Duration, int64, int64) {}
	}
	return c
}
