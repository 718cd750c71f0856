package commitlog

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"sync"

	"github.com/millrace/millrace/broker/recordbatch"
)

// scanner walks the batches of a segment by their headers, through a window
// over the file: small while batches are larger than it, large when they are not.
type scanner struct {
	file File
	path string
	pos  int64 // of the batch that next returns
	end  int64 // no byte at or after it is looked at
	at   int64 // file position of buf[0]
	n    int   // bytes of the file in buf
	buf  []byte
	wide bool // the last batch was within the window
}

const (
	narrowWindow = 4 << 10
	wideWindow   = 64 << 10
)

var scanners = sync.Pool{New: func() any { return &scanner{buf: make([]byte, wideWindow)} }}

// scan returns a scanner over [pos, end) of a segment; release it afterwards.
func (s *segment) scan(pos, end int64) *scanner {
	c := scanners.Get().(*scanner)
	c.file, c.path, c.pos, c.end, c.n, c.wide = s.file, s.name, pos, end, 0, false
	return c
}

func (c *scanner) release() {
	c.file = nil
	scanners.Put(c)
}

// next returns the header of the batch at pos with the size of the batch, and
// moves past it. io.EOF means that the batches end where the range does. A
// batch that is cut off or malformed is recordbatch.ErrTooShort, ErrCorrupt or
// ErrMagic. The header is valid until the next call.
func (c *scanner) next() (h recordbatch.View, size int64, err error) {
	if c.pos >= c.end {
		return nil, 0, io.EOF
	}
	b, err := c.window()
	if err != nil {
		return nil, 0, err
	}
	h, n, err := recordbatch.PeekHeader(b)
	if err != nil {
		return nil, 0, fmt.Errorf("batch at position %d of %s: %w", c.pos, c.path, err)
	}
	if int64(n) > c.end-c.pos {
		return nil, 0, fmt.Errorf("batch of %d bytes at position %d of %s: %w", n, c.pos, c.path, recordbatch.ErrTooShort)
	}
	c.pos += int64(n)
	return h, int64(n), nil
}

// window returns the file's bytes at pos, a header's worth unless the range ends.
func (c *scanner) window() ([]byte, error) {
	off := c.pos - c.at
	if c.n > 0 && off >= 0 && off+recordbatch.HeaderSize <= int64(c.n) {
		c.wide = true
		return c.buf[off:c.n], nil
	}
	size := int64(narrowWindow)
	if c.wide {
		size = wideWindow
	}
	c.wide = false
	size = min(size, c.end-c.pos)
	n, err := c.file.ReadAt(c.buf[:size], c.pos)
	if n < int(size) {
		c.n = 0
		if err == nil || errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, storage("read", c.path, err)
	}
	c.at, c.n = c.pos, n
	return c.buf[:n], nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checkCRC checksums the batch at pos without holding it in memory.
func (s *segment) checkCRC(h recordbatch.View, pos, size int64, buf []byte) error {
	const crcStart = 21
	var sum uint32
	for at, end := pos+crcStart, pos+size; at < end; {
		n := min(int64(len(buf)), end-at)
		if _, err := s.file.ReadAt(buf[:n], at); err != nil {
			return storage("read", s.name, err)
		}
		sum = crc32.Update(sum, castagnoli, buf[:n])
		at += n
	}
	if sum != h.CRC() {
		return fmt.Errorf("batch at position %d of %s: checksum is %08x, header says %08x: %w",
			pos, s.name, sum, h.CRC(), recordbatch.ErrCRC)
	}
	return nil
}

// readBatch reads one batch whole. Its size must come from a header that has
// been checked.
func (s *segment) readBatch(pos, size int64) (recordbatch.View, error) {
	b := make([]byte, size)
	if _, err := s.file.ReadAt(b, pos); err != nil {
		return nil, storage("read", s.name, err)
	}
	v, _, err := recordbatch.Parse(b)
	if err != nil {
		return nil, fmt.Errorf("batch at position %d of %s: %w", pos, s.name, err)
	}
	return v, nil
}
