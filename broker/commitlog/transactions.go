package commitlog

import (
	"math"
	"slices"
	"sync/atomic"
)

// transactions knows what keeps the last stable offset back: transactions that
// are open, and those whose marker is not below the high watermark yet.
// Guarded by Log.mu except for the two atomics.
type transactions struct {
	open  []transaction // in the order they began
	ended []transaction // in the order they ended

	unstable atomic.Int64 // smallest first offset of both, math.MaxInt64 if none
	pending  atomic.Int64 // marker of the oldest in ended, math.MaxInt64 if none
}

type transaction struct {
	producer int64
	first    int64
	marker   int64
}

func (t *transactions) begin(id, first int64) {
	t.open = append(t.open, transaction{producer: id, first: first})
	t.publish()
}

func (t *transactions) end(id, marker int64) {
	i := slices.IndexFunc(t.open, func(x transaction) bool { return x.producer == id })
	if i < 0 {
		return
	}
	x := t.open[i]
	x.marker = marker
	t.open = slices.Delete(t.open, i, i+1)
	t.ended = append(t.ended, x)
	t.publish()
}

// decidedTo returns up to which offset no transaction is open, at most end.
func (t *transactions) decidedTo(end int64) int64 {
	if len(t.open) > 0 {
		return min(end, t.open[0].first)
	}
	return end
}

// settle forgets the ended transactions whose marker is below hw.
func (t *transactions) settle(hw int64) {
	n := 0
	for n < len(t.ended) && t.ended[n].marker < hw {
		n++
	}
	t.ended = slices.Delete(t.ended, 0, n)
	t.publish()
}

func (t *transactions) publish() {
	unstable, pending := int64(math.MaxInt64), int64(math.MaxInt64)
	if len(t.open) > 0 {
		unstable = t.open[0].first
	}
	for _, x := range t.ended {
		unstable = min(unstable, x.first)
	}
	if len(t.ended) > 0 {
		pending = t.ended[0].marker
	}
	t.unstable.Store(unstable)
	t.pending.Store(pending)
}
