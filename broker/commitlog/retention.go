package commitlog

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// DeleteBefore moves the log start offset forward to offset, at most to the
// high watermark, durably, and removes the segments that lie below it
// (DeleteRecords). ErrOffsetOutOfRange means an offset above the high
// watermark; one below the start does nothing.
func (l *Log) DeleteBefore(offset int64) error {
	l.mu.Lock()
	gone, err := l.advanceStart(offset)
	l.mu.Unlock()
	return errors.Join(err, removeAll(gone))
}

// advanceStart does DeleteBefore but for the files, which it returns.
func (l *Log) advanceStart(offset int64) ([]*segment, error) {
	if err := l.usable(); err != nil {
		return nil, err
	}
	if hw := l.hw.Load(); offset > hw {
		return nil, fmt.Errorf("delete records before %d, high watermark is %d: %w", offset, hw, ErrOffsetOutOfRange)
	}
	if offset <= l.start.Load() {
		return nil, nil
	}
	if err := l.save(func(c *checkpoint) { c.logStart, c.highWatermark = offset, l.hw.Load() }); err != nil {
		return nil, err
	}
	l.start.Store(offset)
	return l.detach(offset)
}

// detach takes the segments that end at or below start off the list.
func (l *Log) detach(start int64) ([]*segment, error) {
	segs := *l.segments.Load()
	n := 0
	for n+1 < len(segs) && segs[n+1].base <= start {
		n++
	}
	gone, keep := segs[:n], append([]*segment(nil), segs[n:]...)
	l.segments.Store(&keep)
	err := l.epochs.truncateStart(start)
	if n > 0 {
		l.dirDirty = true
		oldest := keep[0].base
		err = errors.Join(err, l.dropSnapshots(func(at int64) bool { return at < oldest }))
	}
	return gone, err
}

func removeAll(segs []*segment) error {
	var errs []error
	for _, s := range segs {
		errs = append(errs, s.remove())
	}
	return errors.Join(errs...)
}

// EnforceRetention removes the oldest segments that retention.ms or
// retention.bytes no longer keep, never above the high watermark, and those
// below the log start offset. An active segment that is too old is rolled
// first. It returns how many segments went. The owner calls it every
// log.retention.check.interval.ms.
func (l *Log) EnforceRetention(now time.Time) (int, error) {
	l.mu.Lock()
	gone, err := l.enforce(now)
	l.mu.Unlock()
	if len(gone) > 0 {
		l.log.Info("segments removed", "dir", l.dir, "segments", len(gone), "offset", l.start.Load())
	}
	return len(gone), errors.Join(err, removeAll(gone))
}

func (l *Log) enforce(now time.Time) ([]*segment, error) {
	if err := l.usable(); err != nil {
		return nil, err
	}
	cfg := l.config()
	start := l.start.Load()
	if cfg.Delete {
		if a := l.active(); l.expired(a, now, cfg) && a.size.Load() > 0 && l.end.Load() <= l.hw.Load() {
			if _, err := l.roll(l.end.Load()); err != nil {
				return nil, err
			}
		}
		start = max(start, l.retainedFrom(now, cfg))
	}
	if start > l.start.Load() {
		return l.advanceStart(start)
	}
	return l.detach(start)
}

// retainedFrom returns the base of the oldest segment that is kept.
func (l *Log) retainedFrom(now time.Time, cfg *Config) int64 {
	segs := *l.segments.Load()
	size, hw := l.Size(), l.hw.Load()
	i := 0
	for ; i+1 < len(segs) && segs[i+1].base <= hw; i++ {
		n := segs[i].size.Load()
		tooMuch := cfg.RetentionBytes >= 0 && size-n >= cfg.RetentionBytes
		if !tooMuch && !l.expired(segs[i], now, cfg) {
			break
		}
		size -= n
	}
	return segs[i].base
}

// expired reports whether all of a segment is older than retention.ms, by its
// records, or by when it was opened if they have no timestamps.
func (l *Log) expired(s *segment, now time.Time, cfg *Config) bool {
	if cfg.RetentionAge < 0 {
		return false
	}
	newest := s.maxTimestamp.Load()
	if newest == math.MinInt64 || newest < 0 {
		newest = s.created.UnixMilli()
	}
	return newest < now.Add(-cfg.RetentionAge).UnixMilli()
}
