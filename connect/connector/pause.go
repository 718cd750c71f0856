package connector

import "sync"

// Switch tells a running task whether it should pause. The zero Switch is on:
// the task runs. It is safe for concurrent use.
type Switch struct {
	mu      sync.Mutex
	paused  bool
	changed chan struct{}
}

// Set pauses or resumes.
func (s *Switch) Set(paused bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.paused == paused {
		return
	}
	s.paused = paused
	if s.changed != nil {
		close(s.changed)
		s.changed = nil
	}
}

// Get returns the present wish and a channel that is closed when it changes.
func (s *Switch) Get() (paused bool, changed <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.changed == nil {
		s.changed = make(chan struct{})
	}
	return s.paused, s.changed
}
