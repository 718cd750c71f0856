package wire

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

const keyProduce = 0

// readAhead is the read buffer that an idle connection holds. Bodies larger
// than it are read straight into their frame.
const readAhead = 2 << 10

// Conn is one connection as handlers see it.
type Conn struct {
	// Listener names the listener that accepted the connection; Metadata
	// answers with that listener's addresses.
	Listener string
	// RemoteHost is the peer's address without the port, and empty in memory.
	RemoteHost string
	// ClientID is that of the newest request. It may be read within
	// Handler.Handle.
	ClientID string

	cfg      Config
	conn     net.Conn
	handler  Handler
	inFlight atomic.Int64 // requests read whose responses are not written
	moved    atomic.Int64 // time of the last response, Unix nanoseconds
	stopping atomic.Bool
	muted    atomic.Int64 // until when nothing is read, Unix nanoseconds
}

// pending is a request whose response is owed. It is small, because every
// connection has room for MaxInFlight of them.
type pending struct {
	reply       Reply
	start       time.Duration // since epoch
	size        int32         // of the frame
	correlation int32
	key         int16
	flexible    bool
	held        bool // the frame's memory is, until the answer
}

// epoch is what the start of requests is measured from.
var epoch = time.Now()

func (p *pending) took() time.Duration { return time.Since(epoch) - p.start }

// release gives back the memory of the frame.
func (p *pending) release(s *Shared) {
	if p.held {
		p.held = false
		s.queued.release(int64(p.size))
	}
}

// Serve answers requests on conn until the peer leaves, breaks the protocol or
// ctx ends, and then closes conn. When ctx ends it reads no further request but
// still answers those it has read, for as long as hard is not done. It returns
// nil when the peer left or ctx ended; any other reason has been logged.
func Serve(ctx, hard context.Context, conn net.Conn, listener string, h Handler, cfg Config) error {
	c := &Conn{Listener: listener, cfg: cfg.withDefaults(), conn: conn, handler: h}
	if host, _, err := net.SplitHostPort(conn.RemoteAddr().String()); err == nil {
		c.RemoteHost = host
	}
	c.moved.Store(time.Now().UnixNano())
	return c.serve(ctx, hard)
}

func (c *Conn) serve(ctx, hard context.Context) error {
	defer c.conn.Close()
	alive, gone := context.WithCancelCause(hard)
	defer gone(nil)
	unhook := context.AfterFunc(ctx, func() {
		c.stopping.Store(true)
		c.conn.SetReadDeadline(time.Unix(1, 0))
	})
	defer unhook()
	// The writer may be stuck in a write to a peer that reads nothing.
	unblock := context.AfterFunc(hard, func() { c.conn.Close() })
	defer unblock()

	queue := make(chan pending, c.cfg.MaxInFlight)
	wrote := make(chan error, 1)
	go func() { wrote <- c.writeAll(alive, queue, gone) }()
	readErr := c.readAll(ctx, alive, queue)
	close(queue)
	if !c.stopping.Load() {
		gone(io.EOF) // long polls end; nobody is there to read their answers
	}
	writeErr := <-wrote
	return c.verdict(readErr, writeErr)
}

// verdict logs why the connection ended, once, and decides whether that was in
// order.
func (c *Conn) verdict(readErr, writeErr error) error {
	// A failed write closes the connection, so that the reader's error only
	// says that it is closed.
	err := writeErr
	if err == nil || left(err) {
		err = readErr
	}
	switch {
	case err == nil, c.stopping.Load(), left(err):
		return nil
	case errors.Is(err, ErrFrameSize), errors.Is(err, ErrMalformed), errors.Is(err, ErrUnsupported):
		c.cfg.Shared.Malformed.Add(1)
		c.cfg.Logger.Warn("connection closed: bad request", "listener", c.Listener, "client", c.RemoteHost, "err", err)
	case errors.Is(err, ErrIdle):
		c.cfg.Logger.Debug("connection closed: idle", "listener", c.Listener, "client", c.RemoteHost)
	default:
		c.cfg.Logger.Warn("connection closed", "listener", c.Listener, "client", c.RemoteHost, "err", err)
	}
	return err
}

// left reports whether err is what a peer's departure looks like.
func left(err error) bool {
	var op *net.OpError
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.ErrClosedPipe) ||
		errors.Is(err, net.ErrClosed) || errors.Is(err, context.Canceled) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || // from sendfile
		errors.As(err, &op) && !op.Timeout()
}

// readAll reads and handles requests until the connection ends. No request is
// read after accepting has ended.
func (c *Conn) readAll(accepting, ctx context.Context, queue chan<- pending) error {
	r := bufio.NewReaderSize(c.conn, readAhead)
	for {
		size, err := c.awaitFrame(r)
		if err == nil {
			err = c.checkSize(r, size)
		}
		if err == nil {
			err = c.awaitVoice(accepting, ctx)
		}
		if err != nil {
			return err
		}
		if err := c.cfg.Shared.queued.acquire(accepting, ctx, int64(size)); err != nil {
			return err
		}
		p := pending{start: time.Since(epoch), size: int32(size), held: true}
		err = c.readOne(ctx, r, &p)
		if err != nil || p.reply == nil || p.key != keyProduce {
			p.release(c.cfg.Shared) // only records are held until the answer
		}
		switch {
		case err != nil:
			return err
		case p.reply == nil:
			c.cfg.Done(p.key, p.took(), int64(p.size)+4, 0)
			continue
		}
		c.inFlight.Add(1)
		select {
		case queue <- p:
		case <-ctx.Done():
			p.release(c.cfg.Shared)
			return errors.Join(context.Cause(ctx), discard(ctx, p.reply))
		}
	}
}

// readOne reads and handles one request.
func (c *Conn) readOne(ctx context.Context, r *bufio.Reader, p *pending) error {
	req, err := c.readRequest(r, int(p.size))
	if err != nil {
		return err
	}
	c.cfg.Shared.Requests.Add(1)
	c.ClientID = req.ClientID
	p.key, p.correlation, p.flexible = req.Key, req.CorrelationID, req.Body.IsFlexible()
	p.reply, err = c.handler.Handle(ctx, c, req)
	return err
}

// Mute has no further request read for a while (KIP-219). Requests that have
// been read are answered. It may be called from any goroutine.
func (c *Conn) Mute(d time.Duration) {
	until := time.Now().Add(d).UnixNano()
	for {
		was := c.muted.Load()
		if until <= was || c.muted.CompareAndSwap(was, until) {
			return
		}
	}
}

// awaitVoice waits until the connection is not muted.
func (c *Conn) awaitVoice(accepting, ctx context.Context) error {
	for {
		d := time.Until(time.Unix(0, c.muted.Load()))
		if d <= 0 {
			return nil
		}
		t := time.NewTimer(d)
		select {
		case <-t.C:
		case <-accepting.Done():
			t.Stop()
			return context.Canceled
		case <-ctx.Done():
			t.Stop()
			return context.Cause(ctx)
		}
	}
}

// discard calls a reply that nobody waits for, so that it gives back what it
// holds.
func discard(ctx context.Context, reply Reply) error {
	resp, err := reply(ctx)
	if err != nil || resp.Stream == nil {
		return nil // there is nothing to give back, and nobody to tell
	}
	return resp.Stream.Close()
}

// awaitFrame waits for the next frame and returns its size. It gives up on a
// silent peer only when no response is owed.
func (c *Conn) awaitFrame(r *bufio.Reader) (int, error) {
	for {
		if err := c.setReadDeadline(); err != nil {
			return 0, err
		}
		head, err := r.Peek(4)
		if err == nil {
			r.Discard(4) // just peeked
			return int(int32(binary.BigEndian.Uint32(head))), nil
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return 0, err
		}
		if c.stopping.Load() {
			return 0, context.Canceled
		}
		quiet := time.Since(time.Unix(0, c.moved.Load()))
		if c.inFlight.Load() == 0 && quiet >= c.cfg.IdleTimeout {
			return 0, ErrIdle
		}
	}
}

// setReadDeadline allows IdleTimeout for the next read. It never overrides the
// deadline in the past with which Serve stops the reader.
func (c *Conn) setReadDeadline() error {
	if err := c.conn.SetReadDeadline(time.Now().Add(c.cfg.IdleTimeout)); err != nil {
		return err
	}
	if c.stopping.Load() {
		return context.Canceled
	}
	return nil
}

// checkSize refuses a frame before anything is done about it.
func (c *Conn) checkSize(r *bufio.Reader, size int) error {
	if size < minHeader || size > int(c.cfg.MaxRequestBytes) {
		return fmt.Errorf("%d bytes, limit is %d (socket.request.max.bytes): %w", size, c.cfg.MaxRequestBytes, ErrFrameSize)
	}
	if size > int(c.cfg.MaxOtherBytes) {
		head, err := r.Peek(2)
		if err != nil {
			return err
		}
		if key := int16(binary.BigEndian.Uint16(head)); key != keyProduce {
			return fmt.Errorf("%s of %d bytes, limit is %d: %w", kmsg.NameForKey(key), size, c.cfg.MaxOtherBytes, ErrFrameSize)
		}
	}
	return nil
}

func (c *Conn) readRequest(r *bufio.Reader, size int) (*Request, error) {
	if r.Buffered() < size { // a frame has as long as an idle connection, from now on
		if err := c.setReadDeadline(); err != nil {
			return nil, err
		}
	}
	frame, err := readBody(r, size)
	if err != nil {
		return nil, fmt.Errorf("read frame of %d bytes: %w", size, err)
	}
	c.cfg.Shared.BytesIn.Add(int64(size) + 4)
	return Decode(c.handler, c.cfg.Shared, frame)
}

// writeAll sends the responses in the order of the requests. After a failure
// it ends the connection for the reader too, and lets the remaining replies
// give back what they hold.
func (c *Conn) writeAll(ctx context.Context, queue <-chan pending, gone context.CancelCauseFunc) error {
	w := &responseWriter{conn: c.conn}
	var failed error
	for p := range queue {
		err := failed
		if failed != nil {
			err = errors.Join(failed, discard(ctx, p.reply))
		} else {
			err = c.answer(ctx, w, &p)
		}
		p.release(c.cfg.Shared)
		c.inFlight.Add(-1)
		if failed == nil && err != nil {
			gone(err)
			c.conn.Close()
		}
		failed = err
	}
	return failed
}

// answer waits for a reply and sends it.
func (c *Conn) answer(ctx context.Context, w *responseWriter, p *pending) error {
	resp, err := p.reply(ctx)
	if err != nil {
		return err
	}
	if err := c.conn.SetWriteDeadline(time.Now().Add(c.cfg.IdleTimeout)); err != nil {
		return err
	}
	before := w.out
	err = w.write(p, resp)
	c.cfg.Shared.BytesOut.Add(w.out - before)
	c.moved.Store(time.Now().UnixNano())
	c.cfg.Done(p.key, p.took(), int64(p.size)+4, w.out-before)
	return err
}
