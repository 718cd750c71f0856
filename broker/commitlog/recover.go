package commitlog

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/millrace/millrace/broker/recordbatch"
)

// open does the work of Open, with nobody else looking.
func (l *Log) open() error {
	if err := l.fs.MkdirAll(l.dir, dirPerm); err != nil {
		return storage("create", l.dir, err)
	}
	if err := checkTopicID(l.fs, l.dir, l.config().TopicID); err != nil {
		return err
	}
	var err error
	if l.saved, err = loadCheckpoint(l.fs, l.dir); err != nil {
		return err
	}
	if l.epochs, err = loadEpochs(l.fs, l.dir); err != nil {
		return err
	}
	bases, err := l.listSegments()
	if err != nil {
		return err
	}
	fresh := len(bases) == 0
	flag := 0
	if fresh && l.saved.recoveryPoint > l.saved.logStart {
		return fmt.Errorf("%s holds no segments, yet offsets %d to %d were written there: "+
			"restore them, or remove the directory to begin anew",
			l.dir, l.saved.logStart, l.saved.recoveryPoint)
	}
	if fresh {
		bases, flag = []int64{l.saved.logStart}, os.O_CREATE
	}
	if err := l.openSegments(bases, flag); err != nil {
		return err
	}
	clean, end, err := l.recover()
	if err != nil {
		return err
	}
	if end < l.saved.recoveryPoint {
		l.log.Error("data that had been made durable is lost", "dir", l.dir, "offset", end, "recovery_point", l.saved.recoveryPoint)
	}
	if end < l.saved.logStart {
		l.log.Warn("log ends below its start offset; it is emptied", "dir", l.dir, "offset", end, "start", l.saved.logStart)
		return l.restart(l.saved.logStart)
	}
	l.end.Store(end)
	l.start.Store(max(l.saved.logStart, (*l.segments.Load())[0].base))
	l.firstDirty.Store(min(l.saved.firstDirty, end))
	l.hw.Store(max(l.start.Load(), min(l.saved.highWatermark, end)))
	if err := errors.Join(l.epochs.truncateEnd(end), l.epochs.truncateStart(l.start.Load())); err != nil {
		return err
	}
	if err := l.loadProducers(end); err != nil {
		return err
	}
	return l.settleOpen(clean, fresh, end)
}

// settleOpen makes durable what recovery found or cut off, so that all of an
// open log is durable to begin with.
func (l *Log) settleOpen(clean, fresh bool, end int64) error {
	if clean && !fresh {
		l.durable.Store(end)
		return nil
	}
	l.dirty, l.dirDirty = slices.Clone(*l.segments.Load()), true
	if fresh {
		parent := filepath.Dir(l.dir)
		if err := l.fs.SyncDir(parent); err != nil {
			return storage("sync directory", parent, err)
		}
	} else {
		l.log.Info("log recovered", "dir", l.dir, "offset", end, "recovery_point", l.saved.recoveryPoint)
	}
	return l.sync()
}

// listSegments returns the base offsets of the segments, rising, once the
// replacements that a crash interrupted are finished and what else they and
// deletions left behind is removed.
func (l *Log) listSegments() ([]int64, error) {
	if err := l.finishSwaps(); err != nil {
		return nil, err
	}
	names, err := l.list()
	if err != nil {
		return nil, err
	}
	var bases []int64
	for _, name := range names {
		if base, ok := parseName(name, logSuffix); ok {
			bases = append(bases, base)
		}
	}
	slices.Sort(bases)
	for _, name := range names {
		if !leftOver(name, bases) {
			continue
		}
		if err := removeFile(l.fs, filepath.Join(l.dir, name)); err != nil {
			return nil, err
		}
	}
	return bases, nil
}

// list returns the names of the files in the log's directory.
func (l *Log) list() ([]string, error) {
	entries, err := l.fs.ReadDir(l.dir)
	if err != nil {
		return nil, storage("list", l.dir, err)
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names, nil
}

func parseName(name, suffix string) (int64, bool) {
	digits, ok := strings.CutSuffix(name, suffix)
	if !ok || len(digits) != 20 {
		return 0, false
	}
	base, err := strconv.ParseUint(digits, 10, 63)
	return int64(base), err == nil
}

// leftOver reports whether a file belongs to nothing: unfinished or deleted
// ones, and indexes whose segment is gone. Snapshots need no segment.
func leftOver(name string, bases []int64) bool {
	for _, suffix := range []string{deletedSuffix, cleanedSuffix, ".tmp"} {
		if strings.HasSuffix(name, suffix) {
			return true
		}
	}
	for _, suffix := range []string{indexSuffix, timeSuffix, txnSuffix} {
		if base, ok := parseName(name, suffix); ok && !slices.Contains(bases, base) {
			return true
		}
	}
	return false
}

func (l *Log) openSegments(bases []int64, flag int) error {
	segs := make([]*segment, 0, len(bases))
	for _, base := range bases {
		s, err := openSegment(l.fs, l.dir, base, flag, l.now())
		if err != nil {
			l.segments.Store(&segs)
			return err
		}
		segs = append(segs, s)
	}
	l.segments.Store(&segs)
	return nil
}

// recover loads the segments below the recovery point as they are, checks the
// others, and cuts the log at the first batch that is not whole. It returns
// the log end offset, and whether there was nothing to check.
func (l *Log) recover() (clean bool, end int64, err error) {
	segs := *l.segments.Load()
	point := l.saved
	last := segs[len(segs)-1]
	clean = point.clean == 1 && last.base == point.recoverySegment && last.size.Load() == point.recoveryPosition
	end = segs[0].base
	for i, s := range segs {
		if i+1 < len(segs) && segs[i+1].base <= point.recoveryPoint {
			end = segs[i+1].base
			if err := errors.Join(l.loadSealed(s, end), s.loadAborted(false)); err != nil {
				return false, 0, err
			}
			continue
		}
		if clean {
			return true, point.recoveryPoint, errors.Join(l.loadActive(s, point.recoveryPoint), s.loadAborted(true))
		}
		trusted := int64(0)
		if s.base == point.recoverySegment {
			trusted = min(point.recoveryPosition, s.size.Load())
		}
		whole := false
		s.forgetAborted()
		if end, whole, err = l.check(s, max(end, s.base), trusted, true); err != nil {
			return false, 0, err
		}
		if !whole {
			return false, end, l.dropAfter(i)
		}
		if i+1 < len(segs) {
			if err := s.writeIndexes(); err != nil {
				return false, 0, err
			}
			s.seal()
		}
	}
	return false, end, nil
}

// loadSealed opens a segment below the recovery point, with new indexes if the
// old ones are missing or unsound.
func (l *Log) loadSealed(s *segment, end int64) error {
	err := s.loadSealed(end)
	if err == nil || !needsRebuild(err) {
		return err
	}
	l.log.Warn("index rebuilt", "dir", l.dir, "offset", s.base, "err", err)
	if err := l.rebuild(s); err != nil {
		return err
	}
	if err := s.writeIndexes(); err != nil {
		return err
	}
	s.seal()
	return s.syncIndexes()
}

// loadActive opens the last segment of a log that was closed cleanly.
func (l *Log) loadActive(s *segment, end int64) error {
	err := s.loadActive(end)
	if err == nil || !needsRebuild(err) {
		return err
	}
	l.log.Warn("index rebuilt", "dir", l.dir, "offset", s.base, "err", err)
	return l.rebuild(s)
}

// rebuild makes the indexes of a segment that is known to be whole. A batch
// that is not is corruption of durable data, never cut off in silence.
func (l *Log) rebuild(s *segment) error {
	_, whole, err := l.check(s, s.base, s.size.Load(), false)
	if err == nil && !whole {
		err = storage("rebuild index of", s.name, recordbatch.ErrCorrupt)
	}
	return err
}

// check walks a segment, makes its indexes again and, with repair, cuts it off
// at the first batch that is not whole. Batches below the position trusted are
// durable and only their headers are read. It returns the offset after the
// last batch, at least from, and whether all was whole.
func (l *Log) check(s *segment, from, trusted int64, repair bool) (end int64, whole bool, err error) {
	s.offsets.reset()
	s.times.reset()
	s.first, s.sinceIndex = -1, 0
	s.maxTimestamp.Store(math.MinInt64)
	size := s.size.Load()
	c := s.scan(0, size)
	defer c.release()
	crcBuf := make([]byte, wideWindow)
	end = from
	for {
		pos := c.pos
		h, n, err := c.next()
		if errors.Is(err, io.EOF) {
			return end, true, nil
		}
		if err == nil {
			err = l.checkBatch(s, h, pos, n, end, pos+n > trusted, crcBuf)
		}
		if err == nil {
			s.note(h, pos, n, l.config().IndexIntervalBytes)
			end = h.NextOffset()
			if repair {
				err = l.epochs.assign(h.LeaderEpoch(), h.BaseOffset())
			}
		}
		switch {
		case err == nil:
			continue
		case errors.Is(err, ErrStorage) || !repair:
			return end, false, err
		}
		l.log.Warn("log cut off at a batch that is not whole", "dir", l.dir, "offset", end, "lost_bytes", size-pos, "err", err)
		return end, false, l.cutFile(s, pos)
	}
}

func (l *Log) checkBatch(s *segment, h recordbatch.View, pos, size, end int64, crc bool, buf []byte) error {
	if h.BaseOffset() < end || h.LastOffset()-s.base > math.MaxInt32 {
		return fmt.Errorf("batch at position %d of %s has offset %d after %d: %w",
			pos, s.name, h.BaseOffset(), end, recordbatch.ErrCorrupt)
	}
	if !crc {
		return nil
	}
	return s.checkCRC(h, pos, size, buf)
}

// cutFile sets the size of a segment's file.
func (l *Log) cutFile(s *segment, size int64) error {
	s.size.Store(size)
	return storage("truncate", s.name, s.file.Truncate(size))
}

// dropAfter removes the segments after the i-th.
func (l *Log) dropAfter(i int) error {
	segs := *l.segments.Load()
	keep := slices.Clone(segs[:i+1])
	l.segments.Store(&keep)
	var errs []error
	for _, s := range slices.Backward(segs[i+1:]) {
		errs = append(errs, s.remove())
	}
	return errors.Join(errs...)
}

// loadProducers sets the producer state as of end: the newest sound snapshot
// at or below it, and the batches since. On the way it makes the indexes of
// aborted transactions that are missing, for which the snapshot must be as old
// as the first of their segments.
func (l *Log) loadProducers(end int64) error {
	l.producers = newProducers()
	usable := end
	for _, s := range *l.segments.Load() {
		if s.unindexed {
			usable = min(usable, s.base)
		}
	}
	from := l.start.Load()
	offsets, err := l.snapshots()
	if err != nil {
		return err
	}
	for _, at := range slices.Backward(offsets) {
		if at > end {
			if err := removeFile(l.fs, l.snapshotPath(at)); err != nil {
				return err
			}
			continue
		}
		if at > usable {
			continue
		}
		b, err := readFile(l.fs, l.snapshotPath(at))
		if err != nil {
			return storage("read", l.snapshotPath(at), err)
		}
		ps, err := parseSnapshot(b)
		if err == nil {
			l.producers, from = ps, at
			break
		}
		l.log.Warn("producer snapshot skipped", "dir", l.dir, "offset", at, "err", err)
		if err := removeFile(l.fs, l.snapshotPath(at)); err != nil {
			return err
		}
	}
	l.txns.Store(&l.producers.txns)
	if err := l.dropSnapshots(func(at int64) bool { return at != from && !l.isBase(at) }); err != nil {
		return err
	}
	if err := l.replay(from, end); err != nil {
		return err
	}
	return l.settleAborted()
}

// isBase reports whether a segment begins at offset.
func (l *Log) isBase(offset int64) bool {
	return slices.ContainsFunc(*l.segments.Load(), func(s *segment) bool { return s.base == offset })
}

// snapshots returns the offsets of the producer snapshots, rising.
func (l *Log) snapshots() ([]int64, error) {
	names, err := l.list()
	if err != nil {
		return nil, err
	}
	var offsets []int64
	for _, name := range names {
		if at, ok := parseName(name, snapshotSuffix); ok {
			offsets = append(offsets, at)
		}
	}
	slices.Sort(offsets)
	return offsets, nil
}

// replay takes the batches in [from, end) into the producer state.
func (l *Log) replay(from, end int64) error {
	segs := *l.segments.Load()
	for i, s := range segs {
		if from >= end || i+1 < len(segs) && segs[i+1].base <= from {
			continue
		}
		if err := l.replaySegment(s, from, end); err != nil {
			return err
		}
	}
	return nil
}

func (l *Log) replaySegment(s *segment, from, end int64) error {
	size := s.size.Load()
	pos, err := s.seek(from, size)
	if err != nil {
		return err
	}
	c := s.scan(pos, size)
	defer c.release()
	for {
		pos := c.pos
		h, n, err := c.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if h.ProducerID() < 0 || h.BaseOffset() >= end {
			continue
		}
		if !h.Control() {
			l.producers.note(h)
			continue
		}
		v, err := s.readBatch(pos, n)
		if err != nil {
			return err
		}
		m, err := parseMarker(v)
		if err != nil {
			return err
		}
		if m == nil {
			continue
		}
		if a, ok := l.producers.noteMarker(v, *m); ok && s.unindexed {
			s.aborted.add(a)
		}
	}
}
