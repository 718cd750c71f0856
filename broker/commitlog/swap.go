package commitlog

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A replacement of segments, as Kafka does it, so that either broker can finish
// what the other began:
//
//  1. the new segment's files are written as N.*.cleaned and fdatasynced
//  2. they are renamed to N.*.swap, the log last, and the directory synced:
//     from here on the replacement stands
//  3. the old files are renamed to *.deleted, and the directory synced
//  4. the swap files lose their suffix, the log first
//  5. the .deleted files are removed
const (
	cleanedSuffix = ".cleaned"
	swapSuffix    = ".swap"
	deletedSuffix = ".deleted"
)

// segmentSuffixes are those of the files that a replacement concerns.
var segmentSuffixes = []string{logSuffix, indexSuffix, timeSuffix, txnSuffix}

// errMoved means that the segments were removed or truncated while new ones
// were being made of them, which are of no use then.
var errMoved = errors.New("segments changed during compaction")

// swap puts fresh, whose .cleaned files are durable, in the place of old. If
// the replacement does not stand the old segments are in use still, and the
// caller discards fresh. If it does, fresh is in use even after an error, and
// the next Open puts the files in order.
func (l *Log) swap(old []taken, fresh *segment) (stands bool, err error) {
	l.syncMu.Lock() // no truncation, and no checkpoint, in between
	defer l.syncMu.Unlock()
	if err := l.inPlace(old); err != nil {
		return false, err
	}
	for _, suffix := range slices.Backward(segmentSuffixes) {
		if err := l.renameFile(fresh.path(suffix)+cleanedSuffix, fresh.path(suffix)+swapSuffix); err != nil {
			return false, err
		}
	}
	if err := l.syncDir(); err != nil {
		return false, err
	}
	if err := l.replace(old, fresh); err != nil {
		return false, err
	}
	err = l.settleSwap(old, fresh)
	for _, t := range old {
		err = errors.Join(err, t.seg.release())
	}
	if err != nil {
		l.mu.Lock()
		l.unswapped = err
		l.mu.Unlock()
	}
	return true, err
}

// replace lets readers see fresh instead of old.
func (l *Log) replace(old []taken, fresh *segment) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	i, err := l.find(old)
	if err != nil {
		return err
	}
	segs := *l.segments.Load()
	next := slices.Concat(segs[:i], []*segment{fresh}, segs[i+len(old):])
	l.segments.Store(&next)
	l.appended.forget()
	l.read.forget()
	for _, t := range old {
		// Readers that still hold the segment would find the new one's index
		// under its name; without one they read on from the start.
		t.seg.offsets.reset()
		t.seg.times.reset()
		t.seg.aborted.reset() // ReadCommitted looks again
	}
	return nil
}

// settleSwap brings the files into the order that replace has brought the
// segments in.
func (l *Log) settleSwap(old []taken, fresh *segment) error {
	for _, t := range old {
		for _, suffix := range segmentSuffixes {
			if err := l.renameFile(t.seg.path(suffix), t.seg.path(suffix)+deletedSuffix); err != nil {
				return err
			}
		}
	}
	if err := l.syncDir(); err != nil {
		return err
	}
	if err := l.adoptFiles(fresh); err != nil {
		return err
	}
	if err := l.syncDir(); err != nil {
		return err
	}
	var errs []error
	for _, t := range old {
		for _, suffix := range segmentSuffixes {
			errs = append(errs, removeFile(l.fs, t.seg.path(suffix)+deletedSuffix))
		}
		if t.seg.base != fresh.base {
			errs = append(errs, removeFile(l.fs, t.seg.path(snapshotSuffix)))
		}
	}
	return errors.Join(errs...)
}

// adoptFiles gives the files of fresh their names, unless retention took it
// off the list meanwhile.
func (l *Log) adoptFiles(fresh *segment) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !slices.Contains(*l.segments.Load(), fresh) {
		return l.removeFiles(fresh, swapSuffix)
	}
	for _, suffix := range segmentSuffixes {
		if err := l.renameFile(fresh.path(suffix)+swapSuffix, fresh.path(suffix)); err != nil {
			return err
		}
	}
	fresh.seal()
	return nil
}

// taken is a segment as it was when compaction began to read it.
type taken struct {
	seg  *segment
	size int64
}

// inPlace returns errMoved unless the log still has the segments, one after
// the other and as they were; ErrClosed or the failure if it is not usable.
func (l *Log) inPlace(old []taken) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, err := l.find(old)
	return err
}

// find returns where in the list the segments are; with mu held.
func (l *Log) find(old []taken) (int, error) {
	if err := l.usable(); err != nil {
		return 0, err
	}
	segs := *l.segments.Load()
	i := slices.Index(segs, old[0].seg)
	if i < 0 || i+len(old) >= len(segs) { // the active one is never among them
		return 0, errMoved
	}
	for j, t := range old {
		if segs[i+j] != t.seg || t.seg.size.Load() != t.size {
			return 0, errMoved
		}
	}
	return i, nil
}

// discard removes a segment that did not come into use.
func (l *Log) discard(fresh *segment) error {
	return errors.Join(l.removeFiles(fresh, cleanedSuffix), l.removeFiles(fresh, swapSuffix), fresh.release())
}

func (l *Log) removeFiles(s *segment, suffix string) error {
	var errs []error
	for _, kind := range segmentSuffixes {
		errs = append(errs, removeFile(l.fs, s.path(kind)+suffix))
	}
	return errors.Join(errs...)
}

// renameFile renames a file that need not be there.
func (l *Log) renameFile(from, to string) error {
	if err := l.fs.Rename(from, to); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return storage("rename", from, err)
	}
	return nil
}

func (l *Log) syncDir() error { return storage("sync directory", l.dir, l.fs.SyncDir(l.dir)) }

// swapFile is a file that a replacement left behind: a segment's, of the base
// and suffix.
type swapFile struct {
	base int64
	kind string
}

func parseSwapFile(name, suffix string) (swapFile, bool) {
	stem, ok := strings.CutSuffix(name, suffix)
	if !ok {
		return swapFile{}, false
	}
	for _, kind := range segmentSuffixes {
		if base, ok := parseName(stem, kind); ok {
			return swapFile{base, kind}, true
		}
	}
	return swapFile{}, false
}

// finishSwaps completes the replacements that stood when the process ended. A
// swap file at or above a cleaned one is not of those: its own was only being
// prepared.
func (l *Log) finishSwaps() error {
	names, err := l.list()
	if err != nil {
		return err
	}
	var swaps []swapFile
	unfinished := int64(math.MaxInt64)
	for _, name := range names {
		if f, ok := parseSwapFile(name, swapSuffix); ok {
			swaps = append(swaps, f)
		}
		if f, ok := parseSwapFile(name, cleanedSuffix); ok {
			unfinished = min(unfinished, f.base)
		}
	}
	if len(swaps) == 0 {
		return nil
	}
	// Logs first: where only the indexes are left, the log has its name.
	slices.SortFunc(swaps, func(a, b swapFile) int {
		return slices.Index(segmentSuffixes, a.kind) - slices.Index(segmentSuffixes, b.kind)
	})
	for _, f := range swaps {
		switch {
		case f.base >= unfinished:
			err = removeFile(l.fs, l.filePath(f, swapSuffix))
		case f.kind == logSuffix:
			err = l.clearFor(f, names)
		}
		if err != nil {
			return err
		}
	}
	if err := l.syncDir(); err != nil {
		return err
	}
	for _, f := range swaps {
		if f.base >= unfinished {
			continue
		}
		l.log.Info("interrupted compaction finished", "dir", l.dir, "offset", f.base, "file", f.kind)
		if err := l.renameFile(l.filePath(f, swapSuffix), l.filePath(f, "")); err != nil {
			return err
		}
	}
	return l.syncDir()
}

func (l *Log) filePath(f swapFile, suffix string) string {
	return filepath.Join(l.dir, fileName(f.base, f.kind)+suffix)
}

// clearFor removes the files of the segments that a swapped log stands for.
func (l *Log) clearFor(f swapFile, names []string) error {
	end, err := l.swapEnd(f.base)
	if err != nil {
		return fmt.Errorf("%s is not whole: restore the partition from another copy, or remove that file if the segment of the same number without .swap is there: %w",
			l.filePath(f, swapSuffix), err)
	}
	for _, name := range names {
		old, ok := parseSwapFile(name, "")
		if !ok || old.base < f.base || old.base >= max(end, f.base+1) {
			continue
		}
		if err := removeFile(l.fs, l.filePath(old, "")); err != nil {
			return err
		}
	}
	return nil
}

// swapEnd returns the offset after the last batch of a swapped log, all of
// which it checks.
func (l *Log) swapEnd(base int64) (end int64, err error) {
	s, err := openSegmentAs(l.fs, l.dir, base, swapSuffix, 0, l.now())
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, s.release()) }()
	c := s.scan(0, s.size.Load())
	defer c.release()
	buf := make([]byte, wideWindow)
	for end = base; ; {
		pos := c.pos
		h, n, err := c.next()
		if errors.Is(err, io.EOF) {
			return end, nil
		}
		if err == nil {
			err = l.checkBatch(s, h, pos, n, end, true, buf)
		}
		if err != nil {
			return 0, err
		}
		end = h.NextOffset()
	}
}

// createCleaned creates the segment at base that compaction writes to.
func (l *Log) createCleaned(base int64) (*segment, error) {
	return openSegmentAs(l.fs, l.dir, base, cleanedSuffix, os.O_CREATE|os.O_TRUNC, l.now())
}
