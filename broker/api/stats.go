package api

import (
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/broker/txn"
)

// LatencyBuckets are the upper bounds of the buckets of RequestStats.Took. A
// last bucket has no bound.
var LatencyBuckets = [...]time.Duration{
	100 * time.Microsecond, 250 * time.Microsecond, 500 * time.Microsecond,
	time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond,
	10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2500 * time.Millisecond, 5 * time.Second, 10 * time.Second,
}

// RequestStats count the requests of one API key since the start.
type RequestStats struct {
	Name   string // such as "Produce"
	Count  int64  // responses written
	Errors int64  // error codes in responses, one per topic or partition
	// Took counts responses by the time from request to response, long polls
	// included: Took[i] is how many took at most LatencyBuckets[i] and more
	// than the bucket before.
	Took [len(LatencyBuckets) + 1]int64
	Sum  time.Duration // of all of them
}

// Transactions counts the transactions that this broker coordinates.
func (a *API) Transactions() txn.Stats { return a.txns.Stats() }

type meter struct {
	count, errors, sum atomic.Int64
	took               [len(LatencyBuckets) + 1]atomic.Int64
}

// Done records a response; it is wire.Config.Done.
func (a *API) Done(key int16, took time.Duration) {
	m := &a.meters[key]
	m.count.Add(1)
	m.sum.Add(int64(took))
	i := 0
	for i < len(LatencyBuckets) && took > LatencyBuckets[i] {
		i++
	}
	m.took[i].Add(1)
}

// Stats returns the counts of every key that is served, by key.
func (a *API) Stats() []RequestStats {
	var out []RequestStats
	for key := range a.routes {
		if a.routes[key].handle == nil {
			continue
		}
		m := &a.meters[key]
		s := RequestStats{Name: kmsg.NameForKey(int16(key)), Count: m.count.Load(), Errors: m.errors.Load(), Sum: time.Duration(m.sum.Load())}
		for i := range m.took {
			s.Took[i] = m.took[i].Load()
		}
		out = append(out, s)
	}
	return out
}
