package task

import (
	"sync"
	"time"
)

// windowSlot is the length of one of a window's two slots, as in Kafka
// (metrics.sample.window.ms and metrics.num.samples).
const windowSlot = 30 * time.Second

// window keeps what was added in the present slot of time and in the one before
// it. It is safe for concurrent use.
type window struct {
	mu    sync.Mutex // guards below
	slots [2]slot
}

type slot struct {
	began    time.Time
	count    int
	sum, max float64
}

// add takes in a sample.
func (w *window) add(now time.Time, v float64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := &w.slots[0]
	if s.began.IsZero() || now.Sub(s.began) >= windowSlot {
		w.slots[1] = *s
		*s = slot{began: now}
	}
	s.count++
	s.sum += v
	s.max = max(s.max, v)
}

// recent returns what the slots add up to that are not over.
func (w *window) recent(now time.Time) (all slot) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.slots {
		if s.count == 0 || now.Sub(s.began) >= 2*windowSlot {
			continue
		}
		if all.count == 0 || s.began.Before(all.began) {
			all.began = s.began
		}
		all.count += s.count
		all.sum += s.sum
		all.max = max(all.max, s.max)
	}
	return all
}

// spread returns the mean and the largest of the recent samples.
func (w *window) spread(now time.Time) Spread {
	s := w.recent(now)
	if s.count == 0 {
		return Spread{}
	}
	return Spread{s.sum / float64(s.count), s.max}
}

// rate returns the sum of the recent samples per second. Less than a slot counts
// as one, as in Kafka: a rate does not begin with a peak.
func (w *window) rate(now time.Time) float64 {
	s := w.recent(now)
	if s.count == 0 {
		return 0
	}
	return s.sum / max(now.Sub(s.began), windowSlot).Seconds()
}
