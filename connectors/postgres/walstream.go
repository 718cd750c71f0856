package postgres

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/millrace/millrace/plugins/sdk"
)

const (
	readSize = 256 << 10 // a buffer
	minRead  = 16 << 10  // free space that is worth reading into
	chunks   = 4         // full buffers between reader and decoder
	// maxFrame bounds one change. It is above what can leave the process.
	maxFrame = 128 << 20
)

// walStream reads the replication stream. One goroutine reads whole frames
// into a few buffers and stops when nobody takes them; another tells the
// server how far changes are stored, whatever the first is doing, so that the
// server never takes the connection for dead.
type walStream struct {
	conn    net.Conn
	in      *frameBuffer
	flushed atomic.Uint64 // what the server may forget
	wake    chan struct{} // a status is asked for
	quit    chan struct{}
	stop    sync.Once
	done    sync.WaitGroup
	ackErr  atomic.Pointer[error] // why acknowledge gave up
}

// startStream starts streaming from a position over a replication connection,
// which it takes over.
func startStream(ctx context.Context, pg *pgconn.PgConn, command string, flushed lsn, interval time.Duration) (*walStream, error) {
	h, err := pg.Hijack()
	if err != nil {
		closeConn(pg)
		return nil, err
	}
	s := &walStream{
		conn: h.Conn, in: newFrameBuffer(),
		wake: make(chan struct{}, 1), quit: make(chan struct{}),
	}
	s.flushed.Store(uint64(flushed))
	stop := context.AfterFunc(ctx, s.hangUp)
	q := pgproto3.Query{String: command}
	msg, err := q.Encode(nil)
	if err == nil {
		_, err = s.conn.Write(msg)
	}
	if err != nil {
		stop()
		s.hangUp()
		return nil, fmt.Errorf("start streaming: %w", err)
	}
	first := make(chan error, 1)
	s.done.Add(2)
	go s.read(first)
	go s.acknowledge(interval)
	err = <-first
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		s.close()
		return nil, fmt.Errorf("start streaming: %w", err)
	}
	return s, nil
}

func (s *walStream) hangUp() {
	s.stop.Do(func() { close(s.quit) })
	// What the server may make of the end of the connection is its own affair.
	_ = s.conn.Close()
}

// close ends the stream and waits for its goroutines.
func (s *walStream) close() {
	s.hangUp()
	s.done.Wait()
}

// read is the reading goroutine. It reports on first whether streaming began.
func (s *walStream) read(first chan<- error) {
	defer s.done.Done()
	err := s.frames(first)
	select {
	case first <- err:
	default:
	}
	if ack := s.ackErr.Load(); ack != nil {
		err = fmt.Errorf("send status: %w", *ack)
	}
	s.in.close(err)
}

func (s *walStream) frames(first chan<- error) error {
	buf := make([]byte, 0, readSize)
	published := 0
	started := false
	in := newTide(s.conn)
	for {
		n, err := in.read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = errors.New("the server ended the connection")
			}
			return err
		}
		whole, need, err := s.scan(buf[published:], &started)
		if err != nil {
			return err
		}
		if started {
			select {
			case first <- nil:
			default:
			}
		}
		s.in.publish(buf[published : published+whole])
		published += whole
		if cap(buf)-len(buf) >= minRead {
			continue
		}
		rest := buf[published:]
		// It grows with what has come, not with what is said to come.
		size := max(2*minRead+len(rest), min(2*len(rest), need))
		next, ok := s.in.turn(buf[:published], size, s.quit)
		if !ok {
			return net.ErrClosed
		}
		buf, published = append(next, rest...), 0
	}
}

// scan finds how many bytes of b are whole frames and how many the next one
// needs. It answers keepalives that ask for it.
func (s *walStream) scan(b []byte, started *bool) (whole, need int, err error) {
	for len(b)-whole >= 5 {
		size := int(binary.BigEndian.Uint32(b[whole+1:])) + 1
		if size < 5 || size > maxFrame {
			return 0, 0, fmt.Errorf("the server sends a change of %d bytes: more than %d cannot be taken, leave large columns out with column.exclude.list and a column list of the publication", size, maxFrame)
		}
		if len(b)-whole < size {
			return whole, size, nil
		}
		frame := b[whole : whole+size]
		switch frame[0] {
		case 'W':
			*started = true
		case 'E':
			var e pgproto3.ErrorResponse
			if err := e.Decode(frame[5:]); err != nil {
				return 0, 0, err
			}
			return 0, 0, pgconn.ErrorResponseToPgError(&e)
		case 'd':
			if k, ok := parseKeepalive(frame[5:]); ok && k.reply {
				s.tell()
			}
		}
		whole += size
	}
	return whole, 0, nil
}

type keepalive struct {
	end   lsn
	reply bool
}

func parseKeepalive(b []byte) (keepalive, bool) {
	if len(b) != 18 || b[0] != 'k' {
		return keepalive{}, false
	}
	return keepalive{lsn(binary.BigEndian.Uint64(b[1:])), b[17] != 0}, true
}

// confirm lets the server forget what is before l. It never goes back.
func (s *walStream) confirm(l lsn) {
	for {
		old := s.flushed.Load()
		if uint64(l) <= old {
			return
		}
		if s.flushed.CompareAndSwap(old, uint64(l)) {
			s.tell()
			return
		}
	}
}

// tell asks for a status message soon.
func (s *walStream) tell() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// acknowledge is the goroutine that sends status messages.
func (s *walStream) acknowledge(interval time.Duration) {
	defer s.done.Done()
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-s.quit:
			return
		case <-s.wake:
		case <-tick.C:
		}
		if err := s.status(); err != nil {
			s.ackErr.Store(&err)
			s.hangUp() // the reader finds the connection broken
			return
		}
	}
}

// status sends a standby status update.
func (s *walStream) status() error {
	if err := s.conn.SetWriteDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return err
	}
	flushed := s.flushed.Load()
	b := make([]byte, 0, 39)
	b = append(b, 'd', 0, 0, 0, 38, 'r')
	for range 3 {
		b = binary.BigEndian.AppendUint64(b, flushed)
	}
	b = binary.BigEndian.AppendUint64(b, uint64(time.Now().UnixMicro()-pgEpoch))
	_, err := s.conn.Write(append(b, 0))
	return err
}

// startCommand is START_REPLICATION for a configuration. Of the protocol it
// takes the version that what is asked for needs.
func startCommand(c *config, from lsn, major int, twoPhase bool) string {
	version, streaming := 1, c.streaming
	if streaming == "parallel" && major < 16 {
		streaming = "on"
	}
	switch {
	case streaming == "parallel":
		version = 4
	case twoPhase:
		version = 3
	case streaming == "on" && major >= 14:
		version = 2
	}
	var b strings.Builder
	fmt.Fprintf(&b, "START_REPLICATION SLOT %s LOGICAL %s (proto_version '%d', publication_names %s",
		quoteName(c.slot), from, version, quoteText(quoteName(c.publication)))
	if major >= 14 {
		b.WriteString(", messages 'true'")
	}
	if streaming == "on" && major >= 14 || streaming == "parallel" {
		fmt.Fprintf(&b, ", streaming '%s'", streaming)
	}
	for _, o := range c.streamOptions {
		fmt.Fprintf(&b, ", %s %s", o[0], quoteText(o[1]))
	}
	return b.String() + ")"
}

// openStream connects and starts streaming. flushed is what the server may
// forget already.
func openStream(ctx context.Context, c *config, flushed lsn, timeout time.Duration, command string) (*walStream, error) {
	pg, err := c.connect(ctx, true)
	if err != nil {
		return nil, err
	}
	interval := 10 * time.Second
	if c.statusInterval > 0 {
		interval = c.statusInterval
	}
	if timeout > 0 {
		interval = max(min(interval, timeout/3), 10*time.Millisecond)
	}
	s, err := startStream(ctx, pg, command, flushed, interval)
	switch {
	case sqlState(err) == codeUndefined:
		return nil, sdk.Fatal(fmt.Errorf("slot %s or publication %s is missing: %w", c.slot, c.publication, err))
	case sqlState(err) == codeActive:
		return nil, sdk.Retry(fmt.Errorf("slot %s is in use by another connection (pg_replication_slots.active_pid names it): %w", c.slot, err), c.slotDelay)
	}
	if err != nil {
		return nil, classify(err, c.restartWait)
	}
	return s, nil
}
