package quorum

import (
	"context"
	"sync"

	"github.com/millrace/millrace/broker/metadata"
)

// publisher hands images to the listeners, away from the goroutine that
// applies the log. It keeps no queue: a listener that is slow gets the newest
// image next, and the difference to the one before.
type publisher struct {
	fsm     *fsm
	changed chan struct{} // capacity 1: there is a newer image

	mu      sync.Mutex // guards below
	done    uint64     // index of the last image all listeners were called with
	waiting map[chan struct{}]uint64
}

func newPublisher(f *fsm) *publisher {
	p := &publisher{fsm: f, changed: make(chan struct{}, 1), waiting: make(map[chan struct{}]uint64)}
	notify := func() {
		select {
		case p.changed <- struct{}{}:
		default:
		}
	}
	f.notify.Store(&notify)
	notify()
	return p
}

func (p *publisher) run(ctx context.Context, listeners []Listener) {
	before := new(metadata.Image)
	for {
		select {
		case <-p.changed:
		case <-ctx.Done():
			return
		}
		after := p.fsm.image.Load()
		for _, l := range listeners {
			l(ctx, before, after)
		}
		before = after
		p.published(after.Index)
	}
}

func (p *publisher) published(index uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done = index
	for ch, want := range p.waiting {
		if want <= index {
			delete(p.waiting, ch)
			close(ch)
		}
	}
}

func (p *publisher) wait(ctx context.Context, index uint64) error {
	p.mu.Lock()
	if p.done >= index {
		p.mu.Unlock()
		return nil
	}
	ch := make(chan struct{})
	p.waiting[ch] = index
	p.mu.Unlock()
	select {
	case <-ch:
		return nil
	case <-ctx.Done():
		p.mu.Lock()
		delete(p.waiting, ch)
		p.mu.Unlock()
		return context.Cause(ctx)
	}
}
