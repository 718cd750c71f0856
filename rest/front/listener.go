package front

import (
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// Timeouts bound what a client may keep waiting. They are kept to a second.
type Timeouts struct {
	Header time.Duration // until the first request has come
	Idle   time.Duration // between requests
	Write  time.Duration // for an answer
}

// maxRequest is the size of a request that is looked at, in bytes.
const maxRequest = 2 << 10

// copiedBody is the size of a body, in bytes, up to which it is copied behind
// its header; longer ones are sent from where they are.
const copiedBody = 16 << 10

// Listener is a net.Listener for net/http that answers requests while they
// are ones that Answer knows. At the first other one the connection comes out
// of Accept, with that request in it, and is net/http's from then on.
//
// Only whole requests that come in one packet's worth are looked at, so there
// is no state between reads and nothing here that a slow client can hold up.
type Listener struct {
	net.Listener
	answer   Answer
	timeouts Timeouts

	handed chan net.Conn
	failed chan error
	closed chan struct{}
	tick   atomic.Pointer[tick]
	done   sync.WaitGroup

	mu    sync.Mutex // guards below
	conns map[net.Conn]struct{}
	ended bool
}

// tick is the time to the second, and as an answer says it.
type tick struct {
	at   time.Time
	date string
}

// Listen begins to accept connections from l, which Close closes.
func Listen(l net.Listener, answer Answer, timeouts Timeouts) *Listener {
	f := &Listener{
		Listener: l, answer: answer, timeouts: timeouts,
		handed: make(chan net.Conn), failed: make(chan error), closed: make(chan struct{}),
		conns: map[net.Conn]struct{}{},
	}
	f.tick.Store(tickAt(time.Now()))
	f.done.Go(f.keepTime)
	f.done.Go(f.acceptAll)
	return f
}

// Accept returns the next connection whose request is for others.
func (f *Listener) Accept() (net.Conn, error) {
	select {
	case c := <-f.handed:
		return c, nil
	case err := <-f.failed:
		return nil, err
	case <-f.closed:
		return nil, net.ErrClosed
	}
}

// Close stops accepting, and ends the connections that are still here when
// their answer is out. It waits for that, no longer than a write may take.
func (f *Listener) Close() error {
	f.mu.Lock()
	again := f.ended
	f.ended = true
	for c := range f.conns {
		_ = c.SetReadDeadline(time.Unix(1, 0)) // a connection that is gone has no reader
	}
	f.mu.Unlock()
	if again {
		return net.ErrClosed
	}
	close(f.closed)
	err := f.Listener.Close()
	f.done.Wait()
	return err
}

func (f *Listener) keepTime() {
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for {
		select {
		case now := <-t.C:
			f.tick.Store(tickAt(now))
		case <-f.closed:
			return
		}
	}
}

func tickAt(now time.Time) *tick {
	return &tick{at: now, date: now.UTC().Format(http.TimeFormat)}
}

// acceptAll passes errors to the caller of Accept, who says how long to wait
// by when it calls again.
func (f *Listener) acceptAll() {
	for {
		c, err := f.Listener.Accept()
		if err != nil {
			select {
			case f.failed <- err:
				continue
			case <-f.closed:
				return
			}
		}
		f.done.Go(func() { f.serve(c) })
	}
}

// enter notes a connection, unless the listener is closed.
func (f *Listener) enter(c net.Conn) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.ended {
		f.conns[c] = struct{}{}
	}
	return !f.ended
}

// leave forgets a connection and reports whether the listener is open.
func (f *Listener) leave(c net.Conn) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.conns, c)
	return !f.ended
}

// serve answers what it can and hands the connection over at the first request
// that it cannot answer.
func (f *Listener) serve(c net.Conn) {
	if !f.enter(c) {
		_ = c.Close() // nothing was sent
		return
	}
	rest := f.talk(c)
	if open := f.leave(c); rest == nil || !open || c.SetDeadline(time.Time{}) != nil {
		_ = c.Close() // every answer is out, or cannot get out
		return
	}
	select {
	case f.handed <- &handedOver{Conn: c, rest: rest}:
	case <-f.closed:
		_ = c.Close() // as a server that stops does with a request it has not read
	}
}

// talk returns the bytes of a request that it cannot answer, or nil when the
// connection is at its end.
func (f *Listener) talk(c net.Conn) (rest []byte) {
	in, out := make([]byte, maxRequest), []byte(nil)
	var readFrom, writeFrom *tick // of which the deadlines are
	for wait := f.timeouts.Header; ; wait = f.timeouts.Idle {
		if now := f.tick.Load(); now != readFrom {
			readFrom = now
			if !f.waitUntil(c, now.at.Add(wait)) {
				return nil
			}
		}
		n, err := c.Read(in)
		if err != nil {
			return nil
		}
		path, accept, ok := parse(in[:n])
		if !ok {
			return in[:n]
		}
		contentType, body := f.answer(path, accept)
		if body == nil {
			return in[:n]
		}
		now := f.tick.Load()
		if now != writeFrom {
			writeFrom = now
			if c.SetWriteDeadline(now.at.Add(f.timeouts.Write)) != nil {
				return nil
			}
		}
		if out = appendHead(out[:0], contentType, now.date, len(body)); len(body) <= copiedBody {
			out = append(out, body...)
			_, err = c.Write(out)
		} else {
			_, err = (&net.Buffers{out, body}).WriteTo(c)
		}
		if err != nil {
			return nil
		}
	}
}

// waitUntil sets the deadline of reads, unless Close has set one that is to
// stay.
func (f *Listener) waitUntil(c net.Conn, at time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return !f.ended && c.SetReadDeadline(at) == nil
}

// appendHead writes what net/http would have written.
func appendHead(out []byte, contentType, date string, length int) []byte {
	out = append(out, "HTTP/1.1 200 OK\r\nContent-Type: "...)
	out = append(out, contentType...)
	out = append(out, "\r\nDate: "...)
	out = append(out, date...)
	out = append(out, "\r\nContent-Length: "...)
	out = strconv.AppendInt(out, int64(length), 10)
	return append(out, "\r\n\r\n"...)
}

// handedOver is a connection with what was read of it already.
type handedOver struct {
	net.Conn
	rest []byte
}

func (h *handedOver) Read(p []byte) (int, error) {
	if len(h.rest) > 0 {
		n := copy(p, h.rest)
		h.rest = h.rest[n:]
		return n, nil
	}
	return h.Conn.Read(p)
}
