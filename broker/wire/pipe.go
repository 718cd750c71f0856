package wire

import (
	"context"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// pipeBuffer is how much one direction of a Pipe holds before writers wait.
const pipeBuffer = 256 << 10

// PipeAddr is the address of both ends of a Pipe.
type PipeAddr struct{}

// Network returns "memory".
func (PipeAddr) Network() string { return "memory" }

// String returns "memory".
func (PipeAddr) String() string { return "memory" }

// Pipe returns the two ends of a connection in memory. Unlike net.Pipe each
// direction has a buffer, so that a writer need not meet a reader. Both ends
// keep deadlines, and closing one end lets the other read what is left, then
// io.EOF.
func Pipe() (net.Conn, net.Conn) {
	a, b := newHalf(), newHalf()
	return &pipeEnd{in: a, out: b}, &pipeEnd{in: b, out: a}
}

type pipeEnd struct{ in, out *half }

func (p *pipeEnd) Read(b []byte) (int, error)  { return p.in.read(b) }
func (p *pipeEnd) Write(b []byte) (int, error) { return p.out.write(b) }
func (p *pipeEnd) LocalAddr() net.Addr         { return PipeAddr{} }
func (p *pipeEnd) RemoteAddr() net.Addr        { return PipeAddr{} }

// Close closes both directions. It may be called again.
func (p *pipeEnd) Close() error {
	p.in.closeReader()
	p.out.closeWriter()
	return nil
}

func (p *pipeEnd) SetDeadline(t time.Time) error {
	p.in.readBy.set(p.in, t)
	p.out.writeBy.set(p.out, t)
	return nil
}
func (p *pipeEnd) SetReadDeadline(t time.Time) error  { p.in.readBy.set(p.in, t); return nil }
func (p *pipeEnd) SetWriteDeadline(t time.Time) error { p.out.writeBy.set(p.out, t); return nil }

// half is one direction: a ring of bytes.
type half struct {
	mu      sync.Mutex // guards all below
	changed sync.Cond
	buf     []byte // ring, allocated by the first write
	start   int
	n       int
	noRead  bool // the reading end is closed
	noWrite bool // the writing end is closed
	readBy  deadline
	writeBy deadline
}

func newHalf() *half {
	h := new(half)
	h.changed.L = &h.mu
	return h
}

func (h *half) read(b []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		switch {
		case h.noRead:
			return 0, io.ErrClosedPipe
		case h.readBy.passed:
			return 0, os.ErrDeadlineExceeded
		case len(b) == 0:
			return 0, nil
		case h.n > 0:
			n := h.take(b)
			h.changed.Broadcast()
			return n, nil
		case h.noWrite:
			return 0, io.EOF
		}
		h.changed.Wait()
	}
}

// take copies out of the ring; the caller holds mu.
func (h *half) take(b []byte) int {
	total := 0
	for total < len(b) && h.n > 0 {
		m := copy(b[total:], h.buf[h.start:min(h.start+h.n, len(h.buf))])
		h.start = (h.start + m) % len(h.buf)
		h.n -= m
		total += m
	}
	return total
}

func (h *half) write(b []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	total := 0
	for {
		switch {
		case h.noWrite, h.noRead:
			return total, io.ErrClosedPipe
		case h.writeBy.passed:
			return total, os.ErrDeadlineExceeded
		case len(b) == 0:
			return total, nil
		case h.n < pipeBuffer:
			if h.buf == nil {
				h.buf = make([]byte, pipeBuffer)
			}
			m := h.put(b)
			total, b = total+m, b[m:]
			h.changed.Broadcast()
			continue
		}
		h.changed.Wait()
	}
}

// put copies into the ring; the caller holds mu.
func (h *half) put(b []byte) int {
	total := 0
	for total < len(b) && h.n < len(h.buf) {
		at := (h.start + h.n) % len(h.buf)
		room := min(len(h.buf)-at, len(h.buf)-h.n)
		m := copy(h.buf[at:at+room], b[total:])
		h.n += m
		total += m
	}
	return total
}

func (h *half) closeReader() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.noRead = true
	h.readBy.stop()
	h.changed.Broadcast()
}

func (h *half) closeWriter() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.noWrite = true
	h.writeBy.stop()
	h.changed.Broadcast()
}

// deadline is guarded by the mutex of the half it belongs to.
type deadline struct {
	passed bool
	timer  *time.Timer
	serial int // tells a timer that fired late from the current one
}

func (d *deadline) set(h *half, t time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	d.stop()
	d.passed = false
	if h.noRead || h.noWrite && d == &h.writeBy {
		return
	}
	wait := time.Until(t)
	switch {
	case t.IsZero():
	case wait <= 0:
		d.passed = true
		h.changed.Broadcast()
	default:
		serial := d.serial
		d.timer = time.AfterFunc(wait, func() {
			h.mu.Lock()
			defer h.mu.Unlock()
			if d.serial == serial {
				d.passed = true
				h.changed.Broadcast()
			}
		})
	}
}

func (d *deadline) stop() {
	d.serial++
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
}

// PipeListener is a net.Listener whose connections are made by Dial in the
// same process.
type PipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

// NewPipeListener returns a listener that is ready for Dial and Accept.
func NewPipeListener() *PipeListener {
	return &PipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
}

// Dial connects to whoever calls Accept. It fails with net.ErrClosed after
// Close.
func (l *PipeListener) Dial(ctx context.Context) (net.Conn, error) {
	client, server := Pipe()
	select {
	case l.conns <- server:
		return client, nil
	case <-l.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// Accept waits for the next Dial.
func (l *PipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close ends Accept and Dial. It may be called again.
func (l *PipeListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// Addr returns PipeAddr.
func (l *PipeListener) Addr() net.Addr { return PipeAddr{} }
