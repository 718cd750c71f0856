package wire

import (
	"encoding/binary"
	"fmt"
)

const keyProduce = 0

// maxProduced bounds the topics and partitions that one Produce request may
// name. Clients send what they have buffered, a few thousand at most.
const maxProduced = 100_000

// checkProduce walks the body of a Produce request, which alone may be as
// large as socket.request.max.bytes, and refuses counts that the bytes do not
// bear out, before the decoder allocates by them. Versions 3 and up:
//
//	transactional_id nullable string, acks i16, timeout_ms i32,
//	topics [ name string, partitions [ index i32, records bytes ] ]
//
// of which v9 makes lengths compact and appends tagged fields to every
// structure. Tagged fields at the end of the request are left to the decoder.
func checkProduce(version int16, b []byte) error {
	w := walker{b: b, flexible: version >= 9}
	if version >= 3 {
		w.skip(w.length(2))
	}
	w.skip(2 + 4)
	named := 0
	for range w.count(&named) {
		w.skip(w.length(2))
		for range w.count(&named) {
			w.skip(4)
			w.skip(w.length(4))
			w.tags()
		}
		w.tags()
		if w.bad {
			break
		}
	}
	if w.bad {
		return fmt.Errorf("produce version %d of %d bytes: %w", version, len(b), ErrMalformed)
	}
	return nil
}

// walker skips over fields. bad is set, and stays, once one does not fit.
type walker struct {
	b        []byte
	flexible bool
	bad      bool
}

func (w *walker) skip(n int) {
	if n < 0 || n > len(w.b) {
		w.bad, w.b = true, nil
		return
	}
	w.b = w.b[n:]
}

func (w *walker) uvarint() int {
	v, n := binary.Uvarint(w.b)
	if n <= 0 || v > 1<<31 {
		w.bad, w.b = true, nil
		return 0
	}
	w.b = w.b[n:]
	return int(v)
}

// length reads the length of a string (size 2), or of bytes or an array (size
// 4); null is 0.
func (w *walker) length(size int) int {
	if w.flexible {
		return max(w.uvarint()-1, 0)
	}
	if len(w.b) < size {
		w.bad, w.b = true, nil
		return 0
	}
	n := int(int16(binary.BigEndian.Uint16(w.b)))
	if size == 4 {
		n = int(int32(binary.BigEndian.Uint32(w.b)))
	}
	w.b = w.b[size:]
	return max(n, 0)
}

// count reads the length of an array and adds it to named.
func (w *walker) count(named *int) int {
	n := w.length(4)
	if *named += n; *named > maxProduced || n > len(w.b) {
		w.bad, w.b = true, nil
		return 0
	}
	return n
}

func (w *walker) tags() {
	if !w.flexible {
		return
	}
	for n := w.uvarint(); n > 0 && !w.bad; n-- {
		w.uvarint()
		w.skip(w.uvarint())
	}
}
