package connect

import (
	"context"
	"sync"
	"time"

	"github.com/millrace/millrace/connect/connector"
)

// touches records the topics that connectors use (KIP-558), without making a
// task wait for it.
type touches struct {
	enabled bool
	wake    chan struct{} // cap 1

	mu      sync.Mutex // guards below
	waiting []touch
}

// touch is one topic that a task used.
type touch struct {
	id    connector.TaskID
	topic string
}

func newTouches(enabled bool) *touches {
	return &touches{enabled: enabled, wake: make(chan struct{}, 1)}
}

// note leaves word and returns at once. A task notes each topic once.
func (t *touches) note(id connector.TaskID, topic string) {
	if !t.enabled {
		return
	}
	t.mu.Lock()
	t.waiting = append(t.waiting, touch{id, topic})
	t.mu.Unlock()
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// run stores what is noted until ctx ends. What could not be stored is
// forgotten after a few tries: it is noted again when a task restarts.
func (t *touches) run(ctx context.Context, put func(context.Context, connector.TaskID, string, int64) error) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.wake:
		}
		t.mu.Lock()
		batch := t.waiting
		t.waiting = nil
		t.mu.Unlock()
		for _, n := range batch {
			if err := put(ctx, n.id, n.topic, time.Now().UnixMilli()); err != nil && ctx.Err() == nil {
				return err
			}
		}
	}
}
