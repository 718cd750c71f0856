package postgres

import (
	"errors"
	"net"
	"os"
	"syscall"
	"time"
)

const (
	// gather is the wait after a read that brought little at once.
	gather = 100 * time.Microsecond
	// tidePeriod is how long what comes is counted, and the longest wait for
	// more at high tide.
	tidePeriod = time.Millisecond
	// At high tide at least ebb bytes come in a period, and flood have to come
	// for it to begin. An event is 150 bytes at the least, with its transaction.
	ebb, flood = 1 << 10, 4 << 10
	// wave is what the reader waits for at high tide.
	wave = 64 << 10
)

// tide reads the stream's connection. The server sends each row by itself, and
// to be woken for each costs more than to decode it. At low tide, when little
// comes, it is read as it comes. At high tide the system is told not to wake
// anybody before much is there (SO_RCVLOWAT), and what there is after a
// millisecond is read all the same.
type tide struct {
	conn  net.Conn
	raw   syscall.RawConn // nil where there is no high tide
	plain bool            // reads bring all that has come
	high  bool
	began time.Time // of the period
	came  int       // bytes in it
}

func newTide(conn net.Conn) *tide {
	t := &tide{conn: conn}
	switch c := conn.(type) {
	case *net.TCPConn:
		t.plain = true
		if raw, err := c.SyscallConn(); err == nil { // else it is always low tide
			t.raw = raw
		}
	case *net.UnixConn: // does not heed SO_RCVLOWAT
		t.plain = true
	}
	return t
}

// read is Read of the connection. At high tide it may return nothing.
func (t *tide) read(b []byte) (n int, err error) {
	if t.high {
		n, err = t.wait(b)
	} else {
		began := time.Now()
		n, err = t.conn.Read(b)
		// When the stream flows, the next read finds many. Of an encrypted
		// stream each read brings one message, whatever has come.
		if err == nil && t.plain && n < minRead && time.Since(began) < gather {
			time.Sleep(gather)
		}
	}
	if err != nil || t.raw == nil {
		return n, err
	}
	return n, t.count(n, time.Now())
}

// wait reads when a wave has come, or a period is over.
func (t *tide) wait(b []byte) (int, error) {
	if err := t.conn.SetReadDeadline(time.Now().Add(tidePeriod)); err != nil {
		return 0, err
	}
	asked := false
	err := t.raw.Read(func(uintptr) bool { // is called at once, and when the system wakes us
		again := asked
		asked = true
		return again
	})
	if err != nil {
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return 0, err
		}
		// A read takes what there is before it looks at the time again.
		if err := t.conn.SetReadDeadline(time.Now().Add(tidePeriod)); err != nil {
			return 0, err
		}
	}
	n, err := t.conn.Read(b)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return n, nil
	}
	return n, err
}

// count decides which tide it is.
func (t *tide) count(n int, now time.Time) error {
	t.came += n
	took := now.Sub(t.began)
	if took < tidePeriod {
		return nil
	}
	rate := int64(t.came) * int64(tidePeriod) / int64(took)
	t.began, t.came = now, 0
	switch {
	case !t.high && rate >= flood:
		return t.turn(true, wave)
	case t.high && rate < ebb:
		return t.turn(false, 1)
	}
	return nil
}

// turn has the system wake the reader when that many bytes have come.
func (t *tide) turn(high bool, bytes int) error {
	var failed error
	err := t.raw.Control(func(fd uintptr) {
		failed = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVLOWAT, bytes)
	})
	if err != nil {
		return err
	}
	if failed != nil {
		if !t.high {
			t.raw = nil // a system that does not have it: low tide does as well
			return nil
		}
		return os.NewSyscallError("setsockopt SO_RCVLOWAT", failed)
	}
	t.high = high
	return t.conn.SetReadDeadline(time.Time{})
}
