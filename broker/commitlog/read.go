package commitlog

import (
	"errors"
	"fmt"
	"io"
)

// Read returns whole batches from the one that contains offset on, at most
// maxBytes of them, all below bound: the high watermark for consumers, the
// last stable offset for read_committed ones, the log end offset for
// followers. With minOne the first batch comes whole even if it alone exceeds
// maxBytes. The chunk ends at the latest where its segment does, and is empty
// when there is nothing to read; the caller closes it.
//
// ErrOffsetOutOfRange means an offset below the log start offset or above the
// log end offset. Nothing is decoded, and tail reads look nothing up.
func (l *Log) Read(offset int64, maxBytes int, bound int64, minOne bool) (Chunk, error) {
	for {
		start, end := l.start.Load(), l.end.Load()
		if offset < start || offset > end {
			return Chunk{}, fmt.Errorf("read offset %d of log from %d to %d: %w", offset, start, end, ErrOffsetOutOfRange)
		}
		bound := min(bound, end)
		if offset >= bound {
			return Chunk{}, nil
		}
		c, ok, err := l.tryRead(offset, maxBytes, bound, minOne)
		if ok || err != nil {
			return c, err
		}
		// The segment was removed or replaced in between, and the list has changed.
	}
}

// tryRead reads from a view of the segments; false if one is gone.
func (l *Log) tryRead(offset int64, maxBytes int, bound int64, minOne bool) (Chunk, bool, error) {
	p, epoch, known := l.remembered(offset)
	segs := *l.segments.Load()
	if len(segs) > 0 && segs[0].base > offset {
		return Chunk{}, false, nil // removed since Read looked: the log begins later now
	}
	i, pos, found := locate(segs, offset, p, known)
	for ; i < len(segs); i++ {
		s := segs[i]
		if !s.acquire() {
			return Chunk{}, false, l.gone()
		}
		end, err := l.boundary(segs, i, bound)
		if err == nil && !found {
			pos, err = s.seek(offset, end)
		}
		if err == nil && pos < end {
			var c Chunk
			upto := bound
			if i+1 < len(segs) {
				upto = min(bound, segs[i+1].base)
			}
			c, err = l.slice(s, span{pos, end, upto}, maxBytes, minOne, epoch)
			if err == nil {
				return c, true, nil
			}
		}
		if err = errors.Join(err, s.release()); err != nil {
			if l.truncatedSince(epoch) {
				return Chunk{}, false, nil
			}
			return Chunk{}, false, l.readError(offset, err)
		}
		if i+1 == len(segs) || segs[i+1].base >= bound {
			break
		}
		pos, found = 0, true // the batches go on in the next segment
	}
	return Chunk{}, true, nil
}

// gone explains a closed segment: the log is closed, or the segment removed.
func (l *Log) gone() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return ErrClosed
	}
	return nil
}

// truncatedSince reports whether the log was truncated since the epoch of the
// read cache was seen, which explains bytes that are not there.
func (l *Log) truncatedSince(epoch int) bool {
	l.mu.Lock() // waits for a truncation to end
	defer l.mu.Unlock()
	_, now, _ := l.read.find(0)
	return now != epoch
}

// readError makes malformed batches in a segment what they are: a disk that
// does not give back what was written.
func (l *Log) readError(offset int64, err error) error {
	if errors.Is(err, ErrStorage) {
		return err
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return storage(fmt.Sprintf("read offset %d of", offset), l.dir, err)
}

// remembered returns the place of an offset if a read or an append ended there.
func (l *Log) remembered(offset int64) (p place, epoch int, ok bool) {
	p, epoch, ok = l.read.find(offset)
	if !ok {
		p, _, ok = l.appended.find(offset)
	}
	return p, epoch, ok
}

// locate returns the segment that holds offset and, if its place is known, the
// position in it.
func locate(segs []*segment, offset int64, p place, known bool) (i int, pos int64, found bool) {
	i = floorSegment(segs, offset)
	for j := i; known && j >= 0 && j >= i-1; j-- { // the end of one is the start of the next
		if segs[j] == p.seg {
			return j, p.pos, true
		}
	}
	return i, 0, false
}

// floorSegment returns the index of the last segment that begins at or below
// offset, 0 if there is none.
func floorSegment(segs []*segment, offset int64) int {
	low, high := 0, len(segs)
	for low < high {
		mid := int(uint(low+high) >> 1)
		if segs[mid].base > offset {
			high = mid
		} else {
			low = mid + 1
		}
	}
	return max(low-1, 0)
}

// boundary returns the position in the i-th segment below which all batches
// are below bound.
func (l *Log) boundary(segs []*segment, i int, bound int64) (int64, error) {
	s := segs[i]
	if i+1 < len(segs) && segs[i+1].base <= bound {
		return s.size.Load(), nil
	}
	p, epoch, ok := l.appended.find(bound)
	if ok && p.seg == s {
		return p.pos, nil
	}
	pos, err := s.seek(bound, s.size.Load())
	if err == nil {
		l.appended.put(bound, s, pos, epoch)
	}
	return pos, err
}

// span is a run of batches: file positions, and the offset at its end.
type span struct{ pos, end, next int64 }

// slice makes the chunk of a span of s, cut to maxBytes between batches. It
// takes over the reference unless it fails.
func (l *Log) slice(s *segment, r span, maxBytes int, minOne bool, epoch int) (Chunk, error) {
	pos := r.pos
	limit := pos + int64(max(maxBytes, 0))
	if limit >= r.end {
		l.read.put(r.next, s, r.end, epoch)
		return Chunk{seg: s, pos: pos, n: r.end - pos, next: r.next}, nil
	}
	at, first, next, err := s.cut(pos, limit, r.end)
	switch {
	case err != nil:
		return Chunk{}, err
	case at == pos && !minOne:
		return Chunk{}, s.release()
	case at == pos:
		return Chunk{seg: s, pos: pos, n: first}, nil
	}
	l.read.put(next, s, at, epoch)
	return Chunk{seg: s, pos: pos, n: at - pos, next: next}, nil
}
