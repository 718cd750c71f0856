package wire

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"math/bits"
	"sync"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// minHeader is a v1 request header with a null client id.
const minHeader = 2 + 2 + 4 + 2

// Frames are pooled in classes of powers of two. A frame above the largest
// class is left to the garbage collector.
const (
	minClass = 12 // 4 KiB
	maxClass = 21 // 2 MiB, above the largest batch that the defaults allow
	// trustClass is how much is allocated before the peer has sent anything.
	trustClass = 16
)

var frames [maxClass - minClass + 1]sync.Pool

// getFrame returns up to n bytes: all of them, or as many as memory may be
// given for a bare claim. readBody adds the rest as the peer sends it.
func getFrame(n int) []byte {
	class := min(max(bits.Len(uint(max(n, 1)-1)), minClass), maxClass)
	if p, ok := frames[class-minClass].Get().(*[]byte); ok {
		return (*p)[:min(n, cap(*p))]
	}
	class = min(class, trustClass)
	return make([]byte, min(n, 1<<class), 1<<class)
}

func putFrame(b []byte) {
	class := bits.Len(uint(cap(b))) - 1
	if class < minClass || class > maxClass || cap(b) != 1<<class {
		return
	}
	b = b[:0]
	frames[class-minClass].Put(&b)
}

// readBody reads the n bytes that follow a frame's length field. Memory grows
// with what arrives, not with what was announced.
func readBody(r *bufio.Reader, n int) ([]byte, error) {
	b := getFrame(n)
	have := 0
	for {
		m, err := io.ReadFull(r, b[have:])
		have += m
		if err != nil {
			return nil, err
		}
		if have == n {
			return b, nil
		}
		room := 2 * cap(b)
		if room > 1<<maxClass {
			room = min(room, n) // not pooled, so it need not be a power of two
		}
		grown := make([]byte, min(n, room), room)
		copy(grown, b)
		putFrame(b)
		b = grown
	}
}

// parseHeader reads the fields that both header versions share. The rest
// starts with the tagged fields if the request turns out to be flexible.
func parseHeader(b []byte) (h Header, rest []byte, err error) {
	if len(b) < minHeader {
		return h, nil, fmt.Errorf("request header of %d bytes: %w", len(b), ErrMalformed)
	}
	h.Key = int16(binary.BigEndian.Uint16(b))
	h.Version = int16(binary.BigEndian.Uint16(b[2:]))
	h.CorrelationID = int32(binary.BigEndian.Uint32(b[4:]))
	n := int(int16(binary.BigEndian.Uint16(b[8:])))
	b = b[minHeader:]
	if n < -1 || n > len(b) {
		return h, nil, fmt.Errorf("client id of %d bytes in %d: %w", n, len(b), ErrMalformed)
	}
	if n > 0 {
		h.ClientID, b = string(b[:n]), b[n:]
	}
	return h, b, nil
}

// skipTags skips the tagged fields of a flexible request header.
func skipTags(b []byte) ([]byte, error) {
	count, b, err := uvarint(b)
	for ; err == nil && count > 0; count-- {
		var size uint64
		if _, b, err = uvarint(b); err != nil {
			break
		}
		if size, b, err = uvarint(b); err != nil {
			break
		}
		if size > uint64(len(b)) {
			return nil, fmt.Errorf("tagged field of %d bytes in %d: %w", size, len(b), ErrMalformed)
		}
		b = b[size:]
	}
	return b, err
}

func uvarint(b []byte) (uint64, []byte, error) {
	v, n := binary.Uvarint(b)
	if n <= 0 || v > 1<<32-1 {
		return 0, nil, fmt.Errorf("bad varint in request header: %w", ErrMalformed)
	}
	return v, b[n:], nil
}

// decodeFreely is the size up to which requests are decoded at the same time.
const decodeFreely = 256 << 10

// Decode reads the request in a frame, with the message and layout that
// h.Open names for it. The error wraps ErrMalformed or ErrUnsupported.
func Decode(h Handler, shared *Shared, frame []byte) (*Request, error) {
	head, rest, err := parseHeader(frame)
	if err != nil {
		return nil, err
	}
	m, layout := h.Open(head)
	if m == nil {
		return nil, fmt.Errorf("key %d version %d: %w", head.Key, head.Version, ErrUnsupported)
	}
	if layout != nil {
		if err := decodeBody(shared, layout, m, rest); err != nil {
			return nil, fmt.Errorf("decode %s version %d: %w", kmsg.NameForKey(head.Key), head.Version, err)
		}
	}
	return &Request{Header: head, Body: m, Size: len(frame), frame: frame}, nil
}

func decodeBody(shared *Shared, l *Layout, m kmsg.Request, b []byte) (err error) {
	if m.IsFlexible() {
		if b, err = skipTags(b); err != nil {
			return err
		}
	}
	if _, err := l.Check(m.GetVersion(), m.IsFlexible(), b); err != nil {
		return err
	}
	if m.Key() != keyProduce && len(b) > decodeFreely {
		shared.decoding.Lock()
		defer shared.decoding.Unlock()
	}
	if err := m.ReadFrom(b); err != nil {
		return fmt.Errorf("%w: %w", err, ErrMalformed)
	}
	return nil
}
