package logtail

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// compression is how a file is compressed.
type compression int

const (
	plain compression = iota
	gzipped
	zstandard
)

// sniff says how a file that begins with b is compressed.
func sniff(b []byte) compression {
	switch {
	case len(b) >= 3 && b[0] == 0x1f && b[1] == 0x8b && b[2] == 8:
		return gzipped
	case len(b) >= 4 && b[0] == 0x28 && b[1] == 0xb5 && b[2] == 0x2f && b[3] == 0xfd:
		return zstandard
	}
	return plain
}

// content is what a file holds, uncompressed. It is used by one goroutine.
type content interface {
	// readAt fills p from a position. Fewer bytes are all that there are.
	readAt(p []byte, at int64) (n int, err error)
	// complete reports whether there can be no more: of a compressed file whose
	// end was reached.
	complete() bool
	stat() (os.FileInfo, error)
	close()
}

// openPath opens a file that must be a regular one: opening a pipe without a
// writer would wait for one.
func openPath(path string) (*os.File, os.FileInfo, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	fi, err := f.Stat()
	if err == nil && !fi.Mode().IsRegular() {
		err = fmt.Errorf("%s is no regular file any more", path)
	}
	if err != nil {
		_ = f.Close() // nothing was written
		return nil, nil, err
	}
	return f, fi, nil
}

// newContent reads an open file.
func newContent(f *os.File, c compression) content {
	if c == plain {
		return plainContent{f}
	}
	return &packedContent{file: f, kind: c}
}

// plainContent is a file as it stands.
type plainContent struct{ file *os.File }

func (c plainContent) readAt(p []byte, at int64) (int, error) {
	n, err := c.file.ReadAt(p, at)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

func (c plainContent) complete() bool             { return false }
func (c plainContent) stat() (os.FileInfo, error) { return c.file.Stat() }
func (c plainContent) close()                     { _ = c.file.Close() } // nothing was written

// maxWindow bounds what a zstandard file may ask a decoder to remember.
const maxWindow = 128 << 20

// packedContent is a compressed file, which can be read forward only: it begins
// again for what lies behind. What was read last is kept, since the end of it
// is asked for again.
type packedContent struct {
	file   *os.File
	kind   compression
	in     io.Reader
	finish func()
	kept   []byte // before at
	at     int64
	ended  bool
}

func (c *packedContent) begin() error {
	c.stop()
	if _, err := c.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	c.at, c.kept, c.ended = 0, c.kept[:0], false
	in := bufio.NewReaderSize(c.file, 64<<10)
	if c.kind == gzipped {
		z, err := gzip.NewReader(in)
		c.in, c.finish = z, func() {}
		return unfinished(err)
	}
	z, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
	if err != nil {
		return err
	}
	c.in, c.finish = z, z.Close
	return nil
}

// errUnfinished is a compressed file that ends too early: it is being written.
var errUnfinished = errors.New("the compressed file ends too early; it is read when it is complete")

// errSeeking asks for the same call again: the position is far, and there may be
// other things to do.
var errSeeking = errors.New("on the way to the position")

// seekStep is how far a compressed file is read over in one call.
const seekStep = 16 << 20

func unfinished(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return errUnfinished
	}
	return err
}

func (c *packedContent) complete() bool { return c.ended }

// readAt implements content. It reads over what is before at.
func (c *packedContent) readAt(p []byte, at int64) (int, error) {
	if c.in == nil || at < c.at-int64(len(c.kept)) {
		if err := c.begin(); err != nil {
			c.stop()
			return 0, err
		}
	}
	if at > c.at {
		c.kept = c.kept[:0]
		n, err := io.CopyN(io.Discard, c.in, min(at-c.at, seekStep))
		c.at += n
		if errors.Is(err, io.EOF) {
			c.ended = true
			return 0, nil
		}
		if err != nil {
			c.stop()
			return 0, unfinished(err)
		}
		if c.at < at {
			return 0, errSeeking
		}
	}
	c.kept = append(c.kept[:0], c.kept[len(c.kept)-int(c.at-at):]...)
	for len(c.kept) < len(p) && !c.ended {
		have := len(c.kept)
		if cap(c.kept) < len(p) {
			c.kept = append(make([]byte, 0, len(p)), c.kept...)
		}
		n, err := c.in.Read(c.kept[have:len(p)])
		c.kept = c.kept[:have+n]
		c.at += int64(n)
		switch {
		case errors.Is(err, io.EOF):
			c.ended = true
		case err != nil:
			c.stop()
			return 0, unfinished(err)
		}
	}
	return copy(p, c.kept), nil
}

func (c *packedContent) stat() (os.FileInfo, error) { return c.file.Stat() }

// stop ends the decoder.
func (c *packedContent) stop() {
	if c.in != nil {
		c.finish()
		c.in = nil
	}
}

func (c *packedContent) close() {
	c.stop()
	_ = c.file.Close() // nothing was written
}
