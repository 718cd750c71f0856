package commitlog

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// TruncateTo cuts the log so that it ends at offset, or at the start of the
// batch that contains it: what a follower does when its leader has another
// history. Above the end it does nothing; below the log start offset the log
// is emptied and starts there. Waiters for what was cut off get ErrTruncated.
// Chunks above the cut come up short.
func (l *Log) TruncateTo(offset int64) error {
	if offset < 0 {
		return fmt.Errorf("truncate log %s to offset %d: %w", l.dir, offset, ErrOffsetOutOfRange)
	}
	return l.rewrite(offset, func() error {
		switch {
		case offset >= l.end.Load():
			return nil
		case offset < l.start.Load():
			return l.restart(offset)
		}
		return l.truncate(offset)
	})
}

// ResetTo empties the log and lets it start at offset: what a follower does
// when its leader no longer has the offset that would come next.
func (l *Log) ResetTo(offset int64) error {
	if offset < 0 {
		return fmt.Errorf("reset log %s to offset %d: %w", l.dir, offset, ErrOffsetOutOfRange)
	}
	return l.rewrite(offset, func() error { return l.restart(offset) })
}

// rewrite runs a change of history between rounds of fdatasyncs. An error in
// the midst of it leaves files and memory in disagreement, so it is fatal.
func (l *Log) rewrite(offset int64, change func() error) error {
	if err := l.locked(change); err != nil {
		l.failWaiters()
		return fmt.Errorf("truncate log %s to offset %d: %w", l.dir, offset, err)
	}
	end := l.end.Load()
	for _, w := range []*waiters{&l.durableWaiters, &l.endWaiters, &l.hwWaiters} {
		w.failAbove(end, ErrTruncated)
	}
	return nil
}

func (l *Log) locked(change func() error) error {
	l.syncMu.Lock()
	defer l.syncMu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.usable(); err != nil {
		return err
	}
	if err := change(); err != nil {
		return l.poison(err)
	}
	return nil
}

// truncate cuts at an offset from start to end.
func (l *Log) truncate(offset int64) error {
	segs := *l.segments.Load()
	i := floorSegment(segs, offset)
	s := segs[i]
	pos, err := s.seek(offset, s.size.Load())
	if err != nil {
		return err
	}
	end := offset
	if pos < s.size.Load() {
		base, err := s.baseAt(pos)
		if err != nil {
			return err
		}
		end = min(offset, base)
	}
	if end < l.start.Load() { // within the batch that holds the start
		return l.restart(l.start.Load())
	}
	// Before the file is cut: a recovery point above the end would vouch for
	// what is appended in its place.
	err = l.save(func(c *checkpoint) {
		if c.recoveryPoint >= end {
			c.recoveryPoint, c.recoverySegment, c.recoveryPosition = end, s.base, pos
		}
		c.logStart, c.highWatermark, c.clean = l.start.Load(), min(l.hw.Load(), end), 0
		c.firstDirty = min(c.firstDirty, end)
	})
	if err != nil {
		return err
	}
	if err := l.dropAfter(i); err != nil {
		return err
	}
	if err := l.cutFile(s, pos); err != nil {
		return err
	}
	s.forgetAborted()
	_, whole, err := l.check(s, s.base, pos, false)
	if err == nil && !whole {
		err = errors.New("segment is not whole")
	}
	if err != nil {
		return err
	}
	l.touch(s)
	l.dirDirty = true
	l.setEnd(end)
	if err := l.epochs.truncateEnd(l.end.Load()); err != nil {
		return err
	}
	return l.loadProducers(l.end.Load())
}

// setEnd moves the end, and what may not be above it, back.
func (l *Log) setEnd(end int64) {
	l.appended.forget()
	l.read.forget()
	l.end.Store(end)
	l.hw.Store(min(l.hw.Load(), end))
	l.durable.Store(min(l.durable.Load(), end))
	l.firstDirty.Store(min(l.firstDirty.Load(), end))
}

// touch puts a segment among those to be made durable.
func (l *Log) touch(s *segment) {
	if !s.dirty {
		s.dirty = true
		l.dirty = append(l.dirty, s)
	}
}

// restart replaces the whole content by one empty segment at offset.
func (l *Log) restart(offset int64) error {
	fresh := checkpoint{recoveryPoint: offset, recoverySegment: offset, logStart: offset, highWatermark: offset, firstDirty: offset}
	if err := l.save(func(c *checkpoint) { *c = fresh }); err != nil {
		return err
	}
	old := *l.segments.Load()
	var errs []error
	for _, s := range slices.Backward(old) {
		errs = append(errs, s.remove())
	}
	seg, err := openSegment(l.fs, l.dir, offset, os.O_CREATE|os.O_TRUNC, l.now())
	if err != nil {
		empty := []*segment{}
		l.segments.Store(&empty)
		return errors.Join(append(errs, err)...)
	}
	l.segments.Store(&[]*segment{seg})
	l.dirty = nil
	l.touch(seg)
	l.dirDirty = true
	l.start.Store(offset)
	l.hw.Store(offset)
	l.setEnd(offset)
	l.durable.Store(offset)
	errs = append(errs, l.epochs.truncateEnd(0), l.dropSnapshots(func(int64) bool { return true }))
	l.producers = newProducers()
	l.txns.Store(&l.producers.txns)
	return errors.Join(append(errs, storage("sync directory", l.dir, l.fs.SyncDir(l.dir)))...)
}

// dropSnapshots removes the producer snapshots at the offsets that match.
func (l *Log) dropSnapshots(match func(int64) bool) error {
	offsets, err := l.snapshots()
	if err != nil {
		return err
	}
	var errs []error
	for _, at := range offsets {
		if match(at) {
			errs = append(errs, removeFile(l.fs, filepath.Join(l.dir, fileName(at, snapshotSuffix))))
		}
	}
	return errors.Join(errs...)
}
