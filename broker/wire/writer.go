package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net"
	"sync"

	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	// copyBelow is the size under which a file range is read into the response
	// buffer: one pread and one write cost less than a write, a sendfile and
	// the extra packet between them.
	copyBelow = 32 << 10
	// keepScratch is the largest response buffer that is kept for reuse.
	keepScratch = 64 << 10

	keyApiVersions = 18
)

// scratch has response buffers. Connections share them, because an idle one
// that held its own would cost as much as the largest response it ever sent.
var scratch = sync.Pool{New: func() any { return new([]byte) }}

// responseWriter writes whole responses to a connection. It is used by one
// goroutine.
type responseWriter struct {
	conn net.Conn
	out  int64 // bytes written so far
}

// write sends one response: size, header v0 or v1, body. ApiVersions always
// has header v0, because its client cannot know what the server speaks yet
// (KIP-511).
func (w *responseWriter) write(p *pending, r Response) error {
	buf := scratch.Get().(*[]byte) // the pool makes nothing else
	b := append((*buf)[:0], 0, 0, 0, 0)
	b = binary.BigEndian.AppendUint32(b, uint32(p.correlation))
	if p.flexible && p.key != keyApiVersions {
		b = append(b, 0) // no tagged fields
	}
	var err error
	if r.Stream != nil {
		b, err = w.stream(b, r.Stream)
	} else {
		b, err = w.message(b, r.Message)
	}
	if cap(b) <= keepScratch {
		*buf = b
		scratch.Put(buf)
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
