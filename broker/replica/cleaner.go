package replica

import (
	"context"
	"errors"
	"math"
	"sync"
	"time"

	"github.com/millrace/millrace/broker/commitlog"
)

// CleanerStats is what compaction has done since the set was opened.
type CleanerStats struct {
	Rounds        int64
	BytesCleaned  int64   // read and rewritten
	BytesFreed    int64   // of those, left out
	MaxDirtyRatio float64 // of the logs that can be compacted, when last looked
	MapFill       float64 // share of log.cleaner.dedupe.buffer.size that the last round used
	LastClean     time.Time
	Uncleanable   int // logs that compaction has failed on and leaves alone
}

// cleaner compacts the logs of a Set, the dirtiest first.
type cleaner struct {
	set     *Set
	work    *commitlog.Cleaner
	backoff time.Duration

	mu     sync.Mutex // guards below
	stats  CleanerStats
	failed map[*commitlog.Log]failure
}

// failure is why a log is left alone, and until when.
type failure struct {
	until time.Time // zero for as long as it is open
	times int
}

func newCleaner(s *Set) *cleaner {
	b := s.cfg.Broker
	c := &cleaner{
		set: s, backoff: b.Milliseconds("log.cleaner.backoff.ms"),
		failed: make(map[*commitlog.Log]failure),
	}
	cfg := commitlog.CleanerConfig{MapBytes: b.Int("log.cleaner.dedupe.buffer.size")}
	if rate := b.Float("log.cleaner.io.max.bytes.per.second"); rate < math.MaxInt64 {
		cfg.Wait = (&throttle{rate: rate}).wait
	}
	c.work = commitlog.NewCleaner(cfg)
	return c
}

// run compacts until ctx ends.
func (c *cleaner) run(ctx context.Context) {
	pause := time.NewTimer(c.backoff)
	defer pause.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-pause.C:
		}
		for ctx.Err() == nil {
			p := c.dirtiest()
			if p == nil {
				break
			}
			c.clean(ctx, p)
		}
		pause.Reset(c.backoff)
	}
}

// dirtiest returns the partition that needs compaction most, nil if none does:
// one that max.compaction.lag.ms makes due, else the one with the largest share
// of dirty bytes above min.cleanable.dirty.ratio.
func (c *cleaner) dirtiest() *Partition {
	now := c.set.cfg.Clock()
	var best *Partition
	most, dirtiest := -1.0, 0.0
	ps := c.set.all()
	c.forget(ps)
	for _, p := range ps {
		cfg := p.Config()
		if !cfg.Compact || p.log == nil || p.log.Err() != nil || c.resting(p.log, now) {
			continue
		}
		if err := p.log.RollOverdue(now); err != nil {
			if !errors.Is(err, ErrClosed) {
				c.fail(p, err)
			}
			continue
		}
		dirty := p.log.Cleanable(now)
		ratio := dirty.Ratio()
		dirtiest = max(dirtiest, ratio)
		if dirty.Overdue {
			ratio += 1
		} else if ratio <= cfg.MinDirtyRatio {
			continue
		}
		if dirty.From < dirty.To && ratio > most {
			best, most = p, ratio
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stats.MaxDirtyRatio = dirtiest
	return best
}

func (c *cleaner) clean(ctx context.Context, p *Partition) {
	began := time.Now()
	s, err := c.work.Clean(ctx, p.log)
	switch {
	case ctx.Err() != nil || errors.Is(err, ErrClosed):
		return
	case err != nil:
		c.fail(p, err)
		return
	case s.Moved:
		return // retention was faster; what is left is looked at again
	}
	c.set.cfg.Logger.Debug("log compacted", "topic", p.Topic, "partition", p.ID, "offset", s.To,
		"bytes_before", s.BytesBefore, "bytes_after", s.BytesAfter, "took", time.Since(began))
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.failed, p.log)
	c.stats.Rounds++
	c.stats.BytesCleaned += s.BytesBefore
	c.stats.BytesFreed += max(0, s.BytesBefore-s.BytesAfter)
	c.stats.MapFill = s.MapFill
	c.stats.LastClean = c.set.cfg.Clock()
}

const (
	firstRest = time.Minute
	longRest  = time.Hour
)

// fail leaves a log alone: for a while if what failed may work later, such as
// a write to a full disk, and else until it is opened again. It is logged once.
func (c *cleaner) fail(p *Partition, err error) {
	c.mu.Lock()
	f := c.failed[p.log]
	f.times++
	f.until = time.Time{}
	var again interface{ SafeToRetry() bool }
	if errors.As(err, &again) && again.SafeToRetry() {
		rest := min(firstRest<<min(f.times-1, 6), longRest)
		f.until = c.set.cfg.Clock().Add(rest)
	}
	c.failed[p.log] = f
	c.mu.Unlock()
	if f.times == 1 {
		c.set.cfg.Logger.Error("log cannot be compacted and will grow", "topic", p.Topic, "partition", p.ID,
			"retried", !f.until.IsZero(), "err", err)
	}
}

func (c *cleaner) resting(l *commitlog.Log, now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	f, ok := c.failed[l]
	return ok && (f.until.IsZero() || now.Before(f.until))
}

// forget drops the failures of logs that are gone.
func (c *cleaner) forget(ps []*Partition) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.failed) == 0 {
		return
	}
	left := make(map[*commitlog.Log]failure, len(c.failed))
	for _, p := range ps {
		if f, ok := c.failed[p.log]; ok {
			left[p.log] = f
		}
	}
	c.failed = left
}

func (c *cleaner) statsNow() CleanerStats {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.stats
	s.Uncleanable = len(c.failed)
	return s
}

// throttle spreads bytes over time. It is used by one goroutine.
type throttle struct {
	rate float64 // bytes in a second
	free time.Time
}

// burst is how much of unused time a throttle makes up for.
const burst = 100 * time.Millisecond

// wait blocks until the bytes before have had their time.
func (t *throttle) wait(ctx context.Context, bytes int) error {
	now := time.Now()
	if earliest := now.Add(-burst); t.free.Before(earliest) {
		t.free = earliest
	}
	pause := t.free.Sub(now)
	t.free = t.free.Add(time.Duration(min(float64(bytes)/t.rate*float64(time.Second), float64(24*time.Hour))))
	if pause <= 0 {
		return context.Cause(ctx)
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
