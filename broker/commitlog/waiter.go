package commitlog

import (
	"container/heap"
	"context"
	"math"
	"sync"
	"sync/atomic"
)

// Waiter is one registration of a function that is called once an offset has
// been reached.
type Waiter struct {
	offset int64
	fn     func(error)
	at     int // place in the heap, -1 once fired or cancelled
	in     *waiters
}

// Cancel withdraws the registration. It reports false when the function has
// been called, or is being called.
func (w *Waiter) Cancel() bool {
	w.in.mu.Lock()
	defer w.in.mu.Unlock()
	if w.at < 0 {
		return false
	}
	heap.Remove(&w.in.heap, w.at)
	w.in.publish()
	return true
}

// waiters calls functions when an offset that only it is told of reaches
// theirs. An advance that reaches none costs one atomic load.
type waiters struct {
	next atomic.Int64 // smallest offset waited for

	mu   sync.Mutex // guards below
	heap waiterHeap
	err  error // set once: nothing will be reached any more
}

func (s *waiters) init() { s.next.Store(math.MaxInt64) }

// add registers fn for when value has reached offset, at once if it has. The
// value must be stored before advance is called with it.
func (s *waiters) add(offset int64, value *atomic.Int64, fn func(error)) *Waiter {
	w := &Waiter{offset: offset, fn: fn, at: -1, in: s}
	s.mu.Lock()
	err := s.err
	if err == nil {
		heap.Push(&s.heap, w)
		s.publish()
	}
	s.mu.Unlock()
	switch {
	case err != nil:
		fn(err)
	case value.Load() >= offset && w.Cancel():
		fn(nil)
	}
	return w
}

// advance calls the functions that wait for offsets up to value.
func (s *waiters) advance(value int64) {
	if s.next.Load() > value {
		return
	}
	s.fire(func(w *Waiter) bool { return w.offset <= value }, nil)
}

// fire calls, smallest offset first, the functions of the waiters that match,
// up to the first that does not.
func (s *waiters) fire(match func(*Waiter) bool, err error) {
	s.mu.Lock()
	var ready []*Waiter
	for len(s.heap) > 0 && match(s.heap[0]) {
		ready = append(ready, heap.Pop(&s.heap).(*Waiter))
	}
	s.publish()
	s.mu.Unlock()
	for _, w := range ready {
		w.fn(err)
	}
}

// failAbove gives up on the offsets above end.
func (s *waiters) failAbove(end int64, err error) {
	s.mu.Lock()
	var gone []*Waiter
	for _, w := range append(waiterHeap(nil), s.heap...) {
		if w.offset > end {
			heap.Remove(&s.heap, w.at)
			gone = append(gone, w)
		}
	}
	s.publish()
	s.mu.Unlock()
	for _, w := range gone {
		w.fn(err)
	}
}

// fail gives up on all, and on those to come.
func (s *waiters) fail(err error) {
	s.mu.Lock()
	if s.err == nil {
		s.err = err
	}
	s.mu.Unlock()
	s.fire(func(*Waiter) bool { return true }, err)
}

// waiting reports whether someone waits for an offset above low, up to high.
func (s *waiters) waiting(high int64) bool { return s.next.Load() <= high }

func (s *waiters) publish() {
	if len(s.heap) == 0 {
		s.next.Store(math.MaxInt64)
		return
	}
	s.next.Store(s.heap[0].offset)
}

// waiterHeap is a container/heap, smallest offset first.
type waiterHeap []*Waiter

func (h waiterHeap) Len() int           { return len(h) }
func (h waiterHeap) Less(i, j int) bool { return h[i].offset < h[j].offset }
func (h waiterHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].at, h[j].at = i, j
}

// Push implements heap.Interface.
func (h *waiterHeap) Push(x any) {
	w := x.(*Waiter)
	w.at = len(*h)
	*h = append(*h, w)
}

// Pop implements heap.Interface.
func (h *waiterHeap) Pop() any {
	old := *h
	w := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	w.at = -1
	return w
}

// NotifyEnd calls fn once the log end offset has reached offset, or with an
// error when the log is closed or fails first. fn runs on the goroutine that
// appends, or on the caller's if the offset was reached before; it must not
// block, and may call the log.
func (l *Log) NotifyEnd(offset int64, fn func(error)) *Waiter {
	return l.endWaiters.add(offset, &l.end, fn)
}

// NotifyHighWatermark is NotifyEnd for the high watermark.
func (l *Log) NotifyHighWatermark(offset int64, fn func(error)) *Waiter {
	return l.hwWaiters.add(offset, &l.hw, fn)
}

// WaitHighWatermark blocks until the high watermark has reached offset, the
// context ends, or the log is closed or fails.
func (l *Log) WaitHighWatermark(ctx context.Context, offset int64) error {
	return wait(ctx, func(fn func(error)) *Waiter { return l.NotifyHighWatermark(offset, fn) })
}

func wait(ctx context.Context, register func(func(error)) *Waiter) error {
	done := make(chan error, 1) // the one call of fn never blocks
	w := register(func(err error) { done <- err })
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		if w.Cancel() {
			return context.Cause(ctx)
		}
		return <-done
	}
}
