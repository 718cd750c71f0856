package postgres

import (
	"context"
	"slices"
	"sync"
	"time"
)

// frameBuffer is between the goroutine that reads the stream and the one that
// decodes it. The server writes each change by itself, and so most reads bring
// little; the decoder gets all that has come meanwhile at once.
//
// The reader fills the space after what is published, which the decoder never
// looks at; a buffer is used again only when the decoder has asked for more.
type frameBuffer struct {
	mu     sync.Mutex // guards below
	queue  [][]byte   // full buffers' frames that were not taken
	now    []byte     // frames of the buffer that is being filled, not taken
	free   [][]byte   // buffers to fill
	owed   [][]byte   // buffers whose frames the decoder has or will have
	taken  int        // of owed, how many the decoder has taken wholly
	closed bool
	err    error

	news chan struct{} // something was published
	room chan struct{} // something was taken
}

func newFrameBuffer() *frameBuffer {
	return &frameBuffer{news: make(chan struct{}, 1), room: make(chan struct{}, 1)}
}

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// publish offers frames that follow those offered before in the same buffer.
func (f *frameBuffer) publish(frames []byte) {
	if len(frames) == 0 {
		return
	}
	f.mu.Lock()
	if f.now == nil {
		f.now = frames
	} else {
		f.now = f.now[:len(f.now)+len(frames)] // they are neighbours
	}
	f.mu.Unlock()
	poke(f.news)
}

// turn ends a buffer and returns another with room for n bytes, once there are
// few enough waiting. quit ends the wait.
func (f *frameBuffer) turn(full []byte, n int, quit <-chan struct{}) ([]byte, bool) {
	f.mu.Lock()
	if f.now != nil {
		f.queue = append(f.queue, f.now)
		f.now = nil
	} else {
		f.queue = append(f.queue, full[len(full):]) // taken already; keeps the order of buffers
	}
	f.owed = append(f.owed, full)
	f.mu.Unlock()
	poke(f.news)
	for {
		f.mu.Lock()
		if len(f.queue) < chunks {
			next := f.reuse(n)
			f.mu.Unlock()
			return next, true
		}
		f.mu.Unlock()
		select {
		case <-quit:
			return nil, false
		case <-f.room:
		}
	}
}

// reuse returns a buffer that nobody looks at any more, or a new one.
func (f *frameBuffer) reuse(n int) []byte {
	for len(f.free) > 0 {
		b := f.free[len(f.free)-1]
		f.free = f.free[:len(f.free)-1]
		if cap(b) >= n && cap(b) <= 4*readSize {
			return b[:0]
		}
	}
	return make([]byte, 0, max(readSize, n))
}

// take returns the next frames, which are valid until the next call. Without
// waiting, or when d has passed, there may be none.
func (f *frameBuffer) take(ctx context.Context, d time.Duration) (frames []byte, closed bool, err error) {
	var timer *time.Timer
	for {
		frames, closed := f.grab()
		if len(frames) > 0 || closed || d <= 0 {
			if timer != nil {
				timer.Stop()
			}
			return frames, closed, nil
		}
		if timer == nil {
			timer = time.NewTimer(d)
		}
		select {
		case <-f.news:
		case <-timer.C:
			d = 0
		case <-ctx.Done():
			timer.Stop()
			return nil, false, context.Cause(ctx)
		}
	}
}

func (f *frameBuffer) grab() (frames []byte, closed bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	// What was taken before is not looked at any more.
	f.free = append(f.free, f.owed[:f.taken]...)
	f.owed = slices.Delete(f.owed, 0, f.taken)
	f.taken = 0
	for len(f.queue) > 0 {
		frames = f.queue[0]
		f.queue = slices.Delete(f.queue, 0, 1)
		f.taken++
		poke(f.room)
		if len(frames) > 0 {
			return frames, false
		}
	}
	if frames = f.now; frames != nil {
		f.now = nil
		return frames, false
	}
	return nil, f.closed
}

// waiting reports whether there are frames to take, or never will be any.
func (f *frameBuffer) waiting() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.queue) > 0 || f.now != nil || f.closed
}

// close says that nothing more will come, and why.
func (f *frameBuffer) close(err error) {
	f.mu.Lock()
	f.closed, f.err = true, err
	f.mu.Unlock()
	poke(f.news)
}

// reason returns why the buffer was closed.
func (f *frameBuffer) reason() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}
