package api

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/millrace/millrace/broker/recordbatch"
	"github.com/millrace/millrace/broker/replica"
)

// Bounds of loading a partition of a coordinator's topic.
const (
	loadChunkBytes   = 1 << 20
	loadRecordsBytes = 64 << 20
	loadsAtOnce      = 4
)

// loadPatience is how long FindCoordinator waits for a partition's state to be
// loaded before it names the coordinator all the same.
const loadPatience = time.Second

var errStopping = errors.New("broker is stopping")

// led are the partitions of a coordinator's topic that this broker leads. Each
// is loaded on a goroutine of its own when it begins to be.
type led struct {
	api   *API
	slots chan struct{} // bounds concurrent loads
	loads sync.WaitGroup

	mu    sync.Mutex // guards below
	parts map[int32]*ledPartition
}

// ledPartition is a partition that is led here.
type ledPartition struct {
	p      *replica.Partition
	loaded chan struct{} // closed when the load has ended
}

func newLed(a *API) *led {
	return &led{api: a, slots: make(chan struct{}, loadsAtOnce), parts: make(map[int32]*ledPartition)}
}

// lead has a partition loaded.
func (l *led) lead(p *replica.Partition, load func() error) {
	op := &ledPartition{p: p, loaded: make(chan struct{})}
	l.mu.Lock()
	l.parts[p.ID] = op
	l.mu.Unlock()
	l.loads.Go(func() {
		defer close(op.loaded)
		select {
		case l.slots <- struct{}{}:
			defer func() { <-l.slots }()
		case <-l.api.stopping:
			return
		}
		err := load()
		if err != nil && !errors.Is(err, errStopping) && !errors.Is(err, kerr.NotCoordinator) {
			l.api.cfg.Logger.Error("coordinator's partition not loaded; what it coordinates is unavailable", "topic", p.Topic, "partition", p.ID, "err", err)
		}
	})
}

func (l *led) forget(id int32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.parts, id)
}

func (l *led) part(id int32) *ledPartition {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.parts[id]
}

// awaitLoad waits a while for a partition to be loaded.
func (l *led) awaitLoad(ctx context.Context, id int32) {
	op := l.part(id)
	if op == nil {
		return
	}
	t := time.NewTimer(loadPatience)
	defer t.Stop()
	select {
	case <-op.loaded:
	case <-t.C:
	case <-ctx.Done():
	}
}

// batches iterates over all batches of a partition, once they are committed.
func (l *led) batches(p *replica.Partition) iter.Seq2[recordbatch.View, error] {
	return func(yield func(recordbatch.View, error) bool) {
		end := p.EndOffset()
		if err := l.awaitCommitted(p, end); err != nil {
			yield(nil, err)
			return
		}
		for at := p.StartOffset(); at < end; {
			b, err := readBatches(p, at, end)
			select {
			case <-l.api.stopping:
				err = errStopping
			default:
			}
			if err != nil {
				yield(nil, err)
				return
			}
			for len(b) > 0 {
				v, rest, err := recordbatch.Parse(b)
				if !yield(v, err) || err != nil {
					return
				}
				b, at = rest, v.NextOffset()
			}
		}
	}
}

// awaitCommitted waits for what a leader before this one appended.
func (l *led) awaitCommitted(p *replica.Partition, end int64) error {
	done := make(chan error, 1) // nobody may wait for this load any more
	cancel := p.NotifyCommitted(end, func(err error) { done <- err })
	select {
	case err := <-done:
		return err
	case <-l.api.stopping:
		cancel()
		return errStopping
	}
}

func readBatches(p *replica.Partition, at, end int64) ([]byte, error) {
	c, err := p.Read(at, loadChunkBytes, end, true)
	if err != nil {
		return nil, fmt.Errorf("read %s-%d at %d: %w", p.Topic, p.ID, at, err)
	}
	b, err := c.AppendTo(nil)
	if err = errors.Join(err, c.Close()); err == nil && len(b) == 0 {
		err = fmt.Errorf("nothing at %d of %s-%d, which is committed to %d", at, p.Topic, p.ID, end)
	}
	return b, err
}

// marker returns the end of a transaction that a control batch says, false if
// it says something else.
func marker(v recordbatch.View) (m recordbatch.Marker, ok bool, err error) {
	for r, err := range v.Records(loadRecordsBytes) {
		if err != nil {
			return m, false, err
		}
		return recordbatch.ParseMarker(r)
	}
	return m, false, nil
}
