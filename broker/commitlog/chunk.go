package commitlog

import (
	"errors"
	"io"
	"os"
	"sync"
)

// Chunk is a run of whole batches in a segment's file. It keeps the file open,
// even if retention removes it, until Close. The zero Chunk is empty. A Chunk
// is used by one goroutine.
type Chunk struct {
	seg  *segment
	pos  int64
	n    int64
	next int64 // offset up to which the batches are, 0 if not known
}

// Len returns the size in bytes.
func (c *Chunk) Len() int64 { return c.n }

// Section returns the file, and the range of it that is the chunk, for
// sendfile; nil if the log is not on the operating system's file system. The
// file's own offset must not be used. It is valid until Close.
func (c *Chunk) Section() (f *os.File, offset, n int64) {
	if c.seg == nil {
		return nil, 0, 0
	}
	return c.seg.file.OS(), c.pos, c.n
}

// end returns an offset that is above all batches.
func (c *Chunk) end() (int64, error) {
	if c.next > 0 {
		return c.next, nil
	}
	s := c.seg.scan(c.pos, c.pos+c.n)
	defer s.release()
	h, _, err := s.next()
	if err != nil {
		return 0, err
	}
	return h.NextOffset(), nil // it is alone
}

// ReadAt implements io.ReaderAt, with offset 0 at the chunk's start.
func (c *Chunk) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off >= c.n {
		return 0, io.EOF
	}
	short := int64(len(p)) > c.n-off
	if short {
		p = p[:c.n-off]
	}
	n, err := c.seg.file.ReadAt(p, c.pos+off)
	if n < len(p) {
		if err == nil || errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF // the log was truncated below the chunk
		}
		return n, storage("read", c.seg.name, err)
	}
	if short {
		return n, io.EOF
	}
	return n, nil
}

// AppendTo appends the chunk to dst and returns it.
func (c *Chunk) AppendTo(dst []byte) ([]byte, error) {
	if c.n == 0 {
		return dst, nil
	}
	at := len(dst)
	if need := at + int(c.n); need > cap(dst) {
		dst = append(make([]byte, 0, need), dst...)
	}
	dst = dst[:at+int(c.n)]
	_, err := c.ReadAt(dst[at:], 0)
	return dst, err
}

const copySize = 256 << 10

var copyBuffers = sync.Pool{New: func() any { b := make([]byte, copySize); return &b }}

// WriteTo implements io.WriterTo: with sendfile into a plain TCP or Unix
// connection where the system has it, else through a buffer. An error after
// some bytes leaves the receiver with half a batch: close the connection.
func (c *Chunk) WriteTo(w io.Writer) (int64, error) {
	if n, handled, err := c.sendfile(w); handled {
		return n, err
	}
	b := copyBuffers.Get().(*[]byte)
	defer copyBuffers.Put(b)
	var done int64
	for done < c.n {
		part := (*b)[:min(int64(len(*b)), c.n-done)]
		if _, err := c.ReadAt(part, done); err != nil {
			return done, err
		}
		n, err := w.Write(part)
		done += int64(n)
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

// Close gives up the file. Closing again does nothing.
func (c *Chunk) Close() error {
	s := c.seg
	*c = Chunk{}
	if s == nil {
		return nil
	}
	return s.release()
}
