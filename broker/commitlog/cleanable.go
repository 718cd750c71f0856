package commitlog

import (
	"math"
	"time"
)

// Cleanable is what compaction could do to a log.
type Cleanable struct {
	From, To   int64 // the dirty offsets that may be cleaned; empty if equal
	CleanBytes int64 // in segments below From
	DirtyBytes int64 // in segments from From to To
	// Overdue says that the oldest dirty record is older than
	// max.compaction.lag.ms.
	Overdue bool
}

// Ratio returns the dirty share of the bytes up to To, 0 if nothing is dirty.
func (c Cleanable) Ratio() float64 {
	if c.DirtyBytes == 0 {
		return 0
	}
	return float64(c.DirtyBytes) / float64(c.CleanBytes+c.DirtyBytes)
}

// Cleanable returns what of the log is dirty and may be compacted: whole
// segments that are closed, durable, below the last stable offset, and without
// records younger than min.compaction.lag.ms.
func (l *Log) Cleanable(now time.Time) Cleanable {
	l.saveMu.Lock()
	settled := l.saved.recoveryPoint // recovery never looks at what is below
	l.saveMu.Unlock()
	limit := min(settled, l.LastStableOffset())
	cfg := l.config()
	l.mu.Lock()
	defer l.mu.Unlock()
	segs := *l.segments.Load()
	first := max(l.firstDirty.Load(), segs[0].base)
	out := Cleanable{From: first, To: first}
	oldest := int64(math.MaxInt64)
	for i, s := range segs[:len(segs)-1] {
		end := segs[i+1].base
		switch {
		case end <= first:
			out.CleanBytes += s.size.Load()
			continue
		case end > limit || s.young(now, cfg.MinCompactionLag):
			out.Overdue = overdue(oldest, now, cfg)
			return out
		}
		out.To = end
		out.DirtyBytes += s.size.Load()
		if s.first >= 0 && s.size.Load() > 0 {
			oldest = min(oldest, s.first)
		}
	}
	out.Overdue = overdue(oldest, now, cfg)
	return out
}

// young reports whether a segment has a record that min.compaction.lag.ms
// keeps from compaction.
func (s *segment) young(now time.Time, lag time.Duration) bool {
	return lag > 0 && s.maxTimestamp.Load() > now.Add(-lag).UnixMilli()
}

func overdue(oldest int64, now time.Time, cfg *Config) bool {
	return cfg.MaxCompactionLag >= 0 && oldest != math.MaxInt64 && oldest < now.Add(-cfg.MaxCompactionLag).UnixMilli()
}

// RollOverdue closes the active segment if its first record is older than
// max.compaction.lag.ms, so that it can be compacted although nothing more is
// appended. The owner calls it before it asks what is Cleanable.
func (l *Log) RollOverdue(now time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	cfg := l.config()
	if err := l.usable(); err != nil || !cfg.Compact {
		return err
	}
	active := l.active()
	if active.size.Load() == 0 || active.first < 0 || !overdue(active.first, now, cfg) {
		return nil
	}
	_, err := l.roll(l.end.Load())
	return err
}
