package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net"

	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	// copyBelow is the size under which a file range is read into the response
	// buffer: one pread and one write cost less than a write, a sendfile and
	// the extra packet between them.
	copyBelow = 32 << 10
	// keepScratch is the largest response buffer that a connection holds on to.
	keepScratch = 64 << 10

	keyApiVersions = 18
)

// responseWriter writes whole responses to a connection. It is used by one
// goroutine.
type responseWriter struct {
	conn    net.Conn
	scratch []byte
	out     int64 // bytes written so far
}

// write sends one response: size, header v0 or v1, body. ApiVersions always
// has header v0, because its client cannot know what the server speaks yet
// (KIP-511).
func (w *responseWriter) write(h Header, flexible bool, r Response) error {
	b := append(w.scratch[:0], 0, 0, 0, 0)
	b = binary.BigEndian.AppendUint32(b, uint32(h.CorrelationID))
	if flexible && h.Key != keyApiVersions {
		b = append(b, 0) // no tagged fields
	}
	var err error
	if r.Stream != nil {
		b, err = w.stream(b, r.Stream)
	} else {
		b, err = w.message(b, r.Message)
	}
	if cap(b) <= keepScratch {
		w.scratch = b
	}
	return err
}

func (w *responseWriter) message(b []byte, m kmsg.Response) ([]byte, error) {
	b = m.AppendTo(b)
	if err := putSize(b, int64(len(b)-4)); err != nil {
		return b, err
	}
	return b, w.flush(b)
}

// stream sends the parts in order, gathering bytes and small ranges.
func (w *responseWriter) stream(b []byte, s *Stream) (_ []byte, err error) {
	defer func() { err = errors.Join(err, s.Close()) }()
	if err := putSize(b, int64(len(b)-4)+s.Len()); err != nil {
		return b, err
	}
	from := 0
	for _, c := range s.chunks {
		b, from = append(b, s.Bytes[from:c.at]...), c.at
		if c.Len() < copyBelow {
			if b, err = c.AppendTo(b); err != nil {
				return b, err
			}
			continue
		}
		if err := w.flush(b); err != nil {
			return b, err
		}
		b = b[:0]
		n, err := c.WriteTo(w.conn)
		w.out += n
		if err != nil {
			return b, err
		}
	}
	b = append(b, s.Bytes[from:]...)
	return b, w.flush(b)
}

func putSize(b []byte, n int64) error {
	if n > math.MaxInt32 {
		return fmt.Errorf("response of %d bytes: %w", n, ErrFrameSize)
	}
	binary.BigEndian.PutUint32(b, uint32(n))
	return nil
}

func (w *responseWriter) flush(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	n, err := w.conn.Write(b)
	w.out += int64(n)
	return err
}
