// Package latency counts how long things take, in buckets. Counting is two or
// three atomic additions and takes no lock.
package latency

import (
	"sync/atomic"
	"time"
)

// Bounds are the upper bounds of the buckets. A last bucket has no bound.
var Bounds = [...]time.Duration{
	100 * time.Microsecond, 250 * time.Microsecond, 500 * time.Microsecond,
	time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond,
	10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2500 * time.Millisecond, 5 * time.Second, 10 * time.Second,
}

// Histogram counts durations. The zero value is ready, and its methods may be
// called from any goroutine.
type Histogram struct {
	took [len(Bounds) + 1]atomic.Int64
	sum  atomic.Int64
}

// Observe counts one duration.
func (h *Histogram) Observe(d time.Duration) {
	i := 0
	for i < len(Bounds) && d > Bounds[i] {
		i++
	}
	h.took[i].Add(1)
	h.sum.Add(int64(d))
}

// Snapshot is a Histogram at one moment: Took[i] is how many took at most
// Bounds[i] and more than the bound before.
type Snapshot struct {
	Took [len(Bounds) + 1]int64
	Sum  time.Duration // of all of them
}

// Snapshot returns the counts. What is observed meanwhile may be in some of
// them only.
func (h *Histogram) Snapshot() Snapshot {
	s := Snapshot{Sum: time.Duration(h.sum.Load())}
	for i := range h.took {
		s.Took[i] = h.took[i].Load()
	}
	return s
}

// Count returns how many durations were observed.
func (s *Snapshot) Count() int64 {
	n := int64(0)
	for _, t := range s.Took {
		n += t
	}
	return n
}
