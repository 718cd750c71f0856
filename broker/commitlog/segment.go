package commitlog

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/broker/recordbatch"
)

// Suffixes of a segment's files.
const (
	logSuffix      = ".log"
	indexSuffix    = ".index"
	timeSuffix     = ".timeindex"
	txnSuffix      = ".txnindex"
	snapshotSuffix = ".snapshot"
)

func fileName(base int64, suffix string) string { return fmt.Sprintf("%020d%s", base, suffix) }

// segment is one N.log with its indexes. The log holds one reference, every
// chunk that is being read another; the file is closed with the last.
type segment struct {
	base int64
	dir  string
	name string // path of the log file
	fs   FS
	file File
	refs atomic.Int32
	size atomic.Int64 // bytes of whole batches, stored after they are written

	offsets index
	times   index
	aborted abortedIndex

	maxTimestamp atomic.Int64 // of all records, math.MinInt64 if none

	// Guarded by Log.mu.
	maxAt      int64 // last offset of the batch that first had maxTimestamp
	first      int64 // timestamp of the first batch, -1 if none: segment.ms counts from it
	created    time.Time
	sinceIndex int  // bytes appended since the last index entry
	dirty      bool // is among Log.dirty
	unindexed  bool // aborted is to be made again when the producer state is
}

func openSegment(fsys FS, dir string, base int64, flag int, now time.Time) (*segment, error) {
	return openSegmentAs(fsys, dir, base, "", flag, now)
}

// openSegmentAs opens a segment whose log file has a further suffix for now.
func openSegmentAs(fsys FS, dir string, base int64, suffix string, flag int, now time.Time) (*segment, error) {
	s := &segment{base: base, dir: dir, fs: fsys, first: -1, created: now}
	s.name = s.path(logSuffix)
	path := s.name + suffix
	f, err := fsys.OpenFile(path, os.O_RDWR|flag, filePerm)
	if err != nil {
		return nil, storage("open", path, err)
	}
	size, err := f.Size()
	if err != nil {
		return nil, errors.Join(storage("stat", path, err), f.Close())
	}
	s.file = f
	s.refs.Store(1)
	s.size.Store(size)
	s.maxTimestamp.Store(math.MinInt64)
	s.offsets = index{fs: fsys, path: s.path(indexSuffix), width: offsetEntry}
	s.times = index{fs: fsys, path: s.path(timeSuffix), width: timeEntry}
	s.aborted = abortedIndex{fs: fsys, path: s.path(txnSuffix)}
	return s, nil
}

func (s *segment) path(suffix string) string { return filepath.Join(s.dir, fileName(s.base, suffix)) }

// acquire takes a reference; false if the segment is closed.
func (s *segment) acquire() bool {
	for {
		n := s.refs.Load()
		if n == 0 {
			return false
		}
		if s.refs.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// release gives a reference back.
func (s *segment) release() error {
	if s.refs.Add(-1) > 0 {
		return nil
	}
	return storage("close", s.name, s.file.Close())
}

// note updates what the segment knows of its content, and its indexes, for the
// batch of size bytes at pos. A batch that compaction emptied has no record
// that could be found by its time.
func (s *segment) note(h recordbatch.View, pos, size int64, interval int) {
	if s.first < 0 {
		s.first = h.MaxTimestamp()
	}
	if ts := h.MaxTimestamp(); h.Count() > 0 && ts > s.maxTimestamp.Load() {
		s.maxAt = h.LastOffset()
		s.maxTimestamp.Store(ts)
	}
	if s.sinceIndex > interval {
		e := encodeOffsetEntry(int32(h.LastOffset()-s.base), pos)
		s.offsets.add(e[:])
		s.noteTime()
		s.sinceIndex = 0
	}
	s.sinceIndex += int(size)
}

// noteTime adds the largest timestamp so far to the time index, if it has risen.
func (s *segment) noteTime() {
	ts := s.maxTimestamp.Load()
	if ts < 0 {
		return
	}
	// The active segment's index is in memory, so last cannot fail.
	if last, ok, _ := s.times.last(); ok && timestamp(last[:]) >= ts {
		return
	}
	e := encodeTimeEntry(ts, int32(s.maxAt-s.base))
	s.times.add(e[:])
}

// writeIndexes puts the indexes on disk, not yet durably, ending with the
// largest timestamp.
func (s *segment) writeIndexes() error {
	s.noteTime()
	if err := s.offsets.write(); err != nil {
		return err
	}
	if err := s.times.write(); err != nil {
		return err
	}
	if s.unindexed {
		return nil // not made yet
	}
	return s.aborted.write()
}

// syncIndexes makes written indexes durable.
func (s *segment) syncIndexes() error {
	return errors.Join(syncFile(s.fs, s.offsets.path), syncFile(s.fs, s.times.path), s.aborted.sync())
}

// seal makes the segment one that is not appended to any more. Its indexes
// must have been written.
func (s *segment) seal() {
	s.offsets.seal()
	s.times.seal()
	if !s.unindexed {
		s.aborted.seal()
	}
}

// fits reports whether a batch ending at the offset last can be appended.
func (s *segment) fits(last int64, size, maxBytes, maxIndex int) bool {
	return last-s.base <= math.MaxInt32 &&
		s.size.Load()+int64(size) <= int64(maxBytes) &&
		(s.offsets.len()+1)*offsetEntry <= maxIndex &&
		(s.times.len()+2)*timeEntry <= maxIndex // one for sealing
}

// seek returns the position of the first batch whose last offset is at least
// target, or end if all below end are before it.
func (s *segment) seek(target, end int64) (int64, error) {
	start := int64(0)
	e, ok, err := s.offsets.floor(relativeOffset, target-s.base)
	if err != nil {
		return 0, err
	}
	if ok {
		start = position(e[:])
	}
	c := s.scan(min(start, end), end)
	defer c.release()
	for {
		pos := c.pos
		h, _, err := c.next()
		switch {
		case errors.Is(err, io.EOF):
			return end, nil
		case err != nil:
			return 0, err
		case h.LastOffset() >= target:
			return pos, nil
		}
	}
}

// baseAt returns the base offset of the batch at a position.
func (s *segment) baseAt(pos int64) (int64, error) {
	c := s.scan(pos, s.size.Load())
	defer c.release()
	h, _, err := c.next()
	if err != nil {
		return 0, err
	}
	return h.BaseOffset(), nil
}

// cut returns the largest boundary between batches that is at most limit and
// at least pos, itself a boundary; both are below end. first is the size of
// the batch at pos, next the base offset of the batch at the boundary.
func (s *segment) cut(pos, limit, end int64) (boundary, first, next int64, err error) {
	start := pos
	e, ok, err := s.offsets.floor(position, limit)
	if err != nil {
		return 0, 0, 0, err
	}
	if ok {
		start = max(pos, position(e[:]))
	}
	c := s.scan(start, end)
	defer c.release()
	for {
		boundary = c.pos
		h, size, err := c.next()
		if err != nil {
			return 0, 0, 0, err // the caller knows of a batch at limit
		}
		if boundary == pos {
			first = size
		}
		if boundary+size > limit {
			return boundary, first, h.BaseOffset(), nil
		}
	}
}

// remove deletes the files, the log first so that a crash leaves only orphans
// that the next Open clears away. Chunks being read keep the open file; who
// still looks something up does without the indexes, which are opened by name.
func (s *segment) remove() error {
	s.offsets.reset()
	s.times.reset()
	s.aborted.reset()
	var errs []error
	for _, suffix := range []string{logSuffix, indexSuffix, timeSuffix, txnSuffix, snapshotSuffix} {
		errs = append(errs, removeFile(s.fs, s.path(suffix)))
	}
	return errors.Join(append(errs, s.release())...)
}

// loadSealed opens the indexes of a segment that was sealed durably; end is
// the offset after it. fs.ErrNotExist and errIndex ask for a rebuild.
func (s *segment) loadSealed(end int64) error {
	if err := s.offsets.open(end-1-s.base, s.size.Load()); err != nil {
		return err
	}
	if err := s.times.open(end-1-s.base, 1); err != nil {
		return err
	}
	last, ok, err := s.times.last()
	if err != nil {
		return err
	}
	if ok {
		s.maxTimestamp.Store(timestamp(last[:]))
		s.maxAt = s.base + timeOffset(last[:])
	}
	return s.loadFirst()
}

// loadAborted opens the index of aborted transactions; one that is not sound
// is made again.
func (s *segment) loadAborted(active bool) error {
	err := s.aborted.load(active)
	if errors.Is(err, errIndex) {
		s.forgetAborted()
		return nil
	}
	return err
}

// forgetAborted has the index of aborted transactions made again.
func (s *segment) forgetAborted() {
	s.aborted.reset()
	s.unindexed = true
}

// loadActive brings the indexes of the last segment, closed cleanly, into
// memory; end is the log end offset.
func (s *segment) loadActive(end int64) error {
	if s.size.Load() == 0 {
		return nil
	}
	if err := s.loadSealed(end); err != nil {
		return err
	}
	if err := s.offsets.load(end-1-s.base, s.size.Load()); err != nil {
		return err
	}
	if err := s.times.load(end-1-s.base, 1); err != nil {
		return err
	}
	if last, ok, _ := s.offsets.last(); ok {
		s.sinceIndex = int(s.size.Load() - position(last[:]))
	} else {
		s.sinceIndex = int(s.size.Load())
	}
	return nil
}

func (s *segment) loadFirst() error {
	if s.size.Load() == 0 {
		return nil
	}
	c := s.scan(0, s.size.Load())
	defer c.release()
	h, _, err := c.next()
	if err != nil {
		return err
	}
	s.first = h.MaxTimestamp()
	return nil
}

// needsRebuild tells missing and unsound indexes from a failing disk.
func needsRebuild(err error) bool {
	return errors.Is(err, errIndex) || errors.Is(err, fs.ErrNotExist)
}
