package wire

import (
	"context"
	"sync"
)

// memory bounds the frames of requests that are being received, or have been
// and are not answered yet. As in Kafka a frame is let in while any of the
// memory is free, so that one of any size gets in at some time.
type memory struct {
	mu    sync.Mutex // guards below
	limit int64      // 0 for none
	used  int64
	freed chan struct{} // closed when there is room again; nil while nobody waits
}

// LimitQueued bounds the memory of requests that wait (queued.max.request.bytes);
// 0 lifts the bound. It is called before the first connection is served.
func (s *Shared) LimitQueued(bytes int64) { s.queued.limit = bytes }

// Queued returns how many bytes of requests wait.
func (s *Shared) Queued() int64 {
	s.queued.mu.Lock()
	defer s.queued.mu.Unlock()
	return s.queued.used
}

// acquire waits until there is room, or until accepting or ctx ends.
func (m *memory) acquire(accepting, ctx context.Context, n int64) error {
	if m.limit <= 0 {
		return nil
	}
	for {
		m.mu.Lock()
		if m.used < m.limit {
			m.used += n
			m.mu.Unlock()
			return nil
		}
		if m.freed == nil {
			m.freed = make(chan struct{})
		}
		freed := m.freed
		m.mu.Unlock()
		select {
		case <-freed:
		case <-accepting.Done():
			return context.Canceled
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (m *memory) release(n int64) {
	if m.limit <= 0 || n == 0 {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.used -= n
	if m.used < m.limit && m.freed != nil {
		close(m.freed)
		m.freed = nil
	}
}
