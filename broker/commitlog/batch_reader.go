package commitlog

import (
	"errors"
	"fmt"
	"io"

	"github.com/millrace/millrace/broker/recordbatch"
)

const (
	// readAhead is how much compaction reads at once.
	readAhead = 512 << 10
	// maxCleanBatch bounds the batches that compaction takes into memory, and
	// what they decompress to.
	maxCleanBatch = 256 << 20
)

// batchReader reads whole batches of segments one after the other and checks
// them.
type batchReader struct {
	wait func(bytes int) error // before so much is read

	s      *segment
	pos    int64 // in the file, of what is read next
	end    int64
	buf    []byte
	lo, hi int // what has been read and not returned
}

// open turns to a range of a segment.
func (r *batchReader) open(s *segment, pos, end int64) {
	r.s, r.pos, r.end, r.lo, r.hi = s, pos, end, 0, 0
}

// next returns the next batch, valid until the call after; io.EOF at the end.
func (r *batchReader) next() (recordbatch.View, error) {
	at := r.pos - int64(r.hi-r.lo)
	if r.done() {
		return nil, io.EOF
	}
	v, err := r.parse()
	if err == nil {
		err = v.CheckCRC()
	}
	if err != nil {
		if !errors.Is(err, ErrStorage) {
			err = fmt.Errorf("batch at position %d of %s: %w", at, r.s.name, err)
		}
		return nil, err
	}
	r.lo += len(v)
	return v, nil
}

func (r *batchReader) parse() (recordbatch.View, error) {
	if err := r.fill(recordbatch.HeaderSize); err != nil {
		return nil, err
	}
	_, size, err := recordbatch.PeekHeader(r.buf[r.lo:r.hi])
	if err != nil {
		return nil, err
	}
	if size > maxCleanBatch {
		return nil, fmt.Errorf("%d bytes, more than %d: %w", size, maxCleanBatch, recordbatch.ErrTooLarge)
	}
	if err := r.fill(size); err != nil {
		return nil, err
	}
	v, _, err := recordbatch.Parse(r.buf[r.lo:r.hi])
	return v, err
}

// fill makes at least n bytes of the range available.
func (r *batchReader) fill(n int) error {
	have := r.hi - r.lo
	if have >= n {
		return nil
	}
	if int64(n-have) > r.end-r.pos {
		return recordbatch.ErrTooShort
	}
	to := r.buf
	if len(to) < max(n, readAhead) {
		to = make([]byte, max(n, readAhead))
	}
	copy(to, r.buf[r.lo:r.hi])
	r.buf, r.lo, r.hi = to, 0, have
	more := r.buf[have:min(int64(len(r.buf)), int64(have)+r.end-r.pos)]
	if err := r.wait(len(more)); err != nil {
		return err
	}
	if got, err := r.s.file.ReadAt(more, r.pos); got < len(more) {
		if err == nil || errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return storage("read", r.s.name, err)
	}
	r.hi += len(more)
	r.pos += int64(len(more))
	return nil
}

// done reports whether all batches of the range have been returned.
func (r *batchReader) done() bool { return r.pos-int64(r.hi-r.lo) >= r.end }

// forget gives up a buffer that a large batch has made large.
func (r *batchReader) forget() {
	r.s = nil
	if len(r.buf) > 2*readAhead {
		r.buf = nil
	}
}
