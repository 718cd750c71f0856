package herder

import (
	"context"
	"maps"
	"math"
	"time"

	"github.com/millrace/millrace/connect/connector"
	"github.com/millrace/millrace/connect/rebalance"
)

// seat is this worker's place in the group as of now. It is not changed once
// it has been given out.
type seat struct {
	rebalance.View
	joined  bool // View is of a round, and the membership holds
	all     bool // everything runs here: the worker is alone
	version int  // counts the seats
	// ctx is that of all that runs here. It ends with connector.ErrFenced when
	// the membership is lost.
	ctx context.Context
}

// has reports whether an item is to run here.
func (s seat) has(id connector.TaskID) bool { return s.all || s.Assigned[id] }

// runs reports whether the leader knows of a task of a connector that runs, or
// is about to, on any worker.
func (s seat) runs(name string) bool {
	for id := range s.Owners {
		if id.Connector == name && id.Task != rebalance.Object {
			return true
		}
	}
	for id := range s.Running {
		if id.Connector == name && id.Task != rebalance.Object {
			return true
		}
	}
	return false
}

var _ rebalance.Owner = (*Herder)(nil)

// here returns the seat and a channel that is closed when it changes.
func (h *Herder) here() (seat, <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.seat, h.moved
}

// sitDown takes the first seat, on which nothing runs.
func (h *Herder) sitDown(ctx context.Context) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.run = ctx
	h.take(seat{})
}

// take changes the seat. A seat without a context goes on with that of the
// last. The caller holds mu.
func (h *Herder) take(s seat) {
	s.version = h.seat.version + 1
	if s.ctx = h.seat.ctx; s.ctx == nil || s.ctx.Err() != nil {
		s.ctx, h.fence = context.WithCancelCause(h.run)
	}
	h.seat = s
	close(h.moved)
	h.moved = make(chan struct{})
}

// stir wakes whoever watches the seat, which has not changed.
func (h *Herder) stir() {
	h.mu.Lock()
	defer h.mu.Unlock()
	close(h.moved)
	h.moved = make(chan struct{})
}

// Configured implements rebalance.Owner.
func (h *Herder) Configured(ctx context.Context, fresh bool) (rebalance.Configured, error) {
	if fresh {
		if err := h.configs.ReadToEnd(ctx); err != nil {
			return rebalance.Configured{}, err
		}
	}
	snap := h.configs.Snapshot()
	c := rebalance.Configured{Offset: snap.Offset, Work: rebalance.Work{}, Last: map[connector.TaskID]string{}}
	for _, name := range snap.Connectors() {
		id := rebalance.ObjectOf(name)
		c.Work[id] = true
		if st, ok := h.statuses.Connector(name); ok {
			c.Last[id] = st.WorkerID
		}
		for n := range snap.Tasks(name) {
			id.Task = n
			c.Work[id] = true
			if st, ok := h.statuses.Task(id); ok {
				c.Last[id] = st.WorkerID
			}
		}
	}
	return c, nil
}

// Take implements rebalance.Owner.
func (h *Herder) Take(v rebalance.View) {
	h.mu.Lock()
	if h.member == nil {
		v.Offset = math.MaxInt64 // nothing is ever to be divided
	}
	h.take(seat{View: v, joined: true, all: h.member == nil})
	h.mu.Unlock()
	snap := h.configs.Snapshot()
	for _, name := range snap.Connectors() {
		h.touch(name)
	}
	h.touchKept()
	if h.member != nil && snap.Structure > v.Offset {
		h.member.Rejoin()
	}
}

// Lost implements rebalance.Owner.
func (h *Herder) Lost() {
	h.mu.Lock()
	h.fence(connector.ErrFenced)
	h.take(seat{})
	h.mu.Unlock()
	h.touchKept()
}

// touchKept wakes every keeper.
func (h *Herder) touchKept() {
	h.mu.Lock()
	names := maps.Clone(h.keepers)
	h.mu.Unlock()
	for name := range names {
		h.touch(name)
	}
}

// revokePatience is how long a round waits for work to stop. What takes longer
// holds up no other: the member says that it still runs, and joins again when
// it has stopped.
const revokePatience = 10 * time.Second

// Revoke implements rebalance.Owner.
func (h *Herder) Revoke(ctx context.Context, w rebalance.Work) (rebalance.Work, error) {
	h.mu.Lock()
	s := h.seat
	s.Assigned = maps.Clone(s.Assigned)
	keepers := map[string]*keeper{}
	for id := range w {
		delete(s.Assigned, id)
		keepers[id.Connector] = h.keepers[id.Connector]
	}
	h.take(s)
	version := h.seat.version
	h.mu.Unlock()
	for name := range keepers {
		h.touch(name)
	}
	snap := h.configs.Snapshot()
	deadline := time.Now().Add(revokePatience)
	stopped := w.Clone()
	for name, k := range keepers {
		by := deadline
		if _, ok := snap.Connector(name); !ok {
			by = time.Now() // deleted: nobody waits for it
		}
		if k == nil || h.stops(ctx, k, version, by) {
			continue
		}
		maps.DeleteFunc(stopped, func(id connector.TaskID, _ bool) bool { return id.Connector == name })
	}
	return stopped, context.Cause(ctx)
}

// stops waits until a keeper has reached a version of the seat, and reports
// whether it did in time. One that did not is waited for beside, and a round
// follows.
func (h *Herder) stops(ctx context.Context, k *keeper, version int, by time.Time) bool {
	wctx, stop := context.WithDeadline(ctx, by)
	defer stop()
	if k.await(wctx, version) == nil {
		return true
	}
	h.late.Go(func() {
		if k.await(h.run, version) == nil {
			h.member.Rejoin()
		}
	})
	return false
}

// GroupStats are the figures of a worker's place in its group.
type GroupStats struct {
	rebalance.Stats
	Joined            bool
	Leader            bool
	Generation        int32
	Connectors, Tasks int // assigned to this worker
}

// GroupStats returns the figures of this worker's place in its group, and false
// if it is alone.
func (h *Herder) GroupStats() (GroupStats, bool) {
	if h.member == nil {
		return GroupStats{}, false
	}
	s, _ := h.here()
	g := GroupStats{Stats: h.member.Stats(), Joined: s.joined, Leader: s.Leader, Generation: s.Generation}
	for id := range s.Assigned {
		if id.Task == rebalance.Object {
			g.Connectors++
		} else {
			g.Tasks++
		}
	}
	return g, true
}

// Open reports whether this worker may be sure, at this moment, that what it
// runs is run by nobody else. It is asked before each write of a task.
func (h *Herder) Open() bool { return h.member == nil || h.member.Holds() }

// seatTimeout is how long a request waits for the group to settle before it is
// refused.
const seatTimeout = 20 * time.Second

// settled returns the seat once there is one. It refuses in Kafka Connect's
// words when the group takes too long.
func (h *Herder) settled(ctx context.Context) (seat, error) {
	timer := time.NewTimer(seatTimeout)
	defer timer.Stop()
	for {
		s, moved := h.here()
		if s.joined {
			return s, nil
		}
		select {
		case <-moved:
		case <-timer.C:
			return s, &connector.Elsewhere{}
		case <-ctx.Done():
			return s, &connector.Elsewhere{}
		}
	}
}

// leading returns nil when this worker leads, so that it may change the config
// topic, and otherwise says who does.
func (h *Herder) leading(ctx context.Context) error {
	s, err := h.settled(ctx)
	if err != nil || s.Leader {
		return err
	}
	return &connector.Elsewhere{URL: s.LeaderURL}
}

// owning returns nil when an item runs here, and otherwise says who must be
// asked: the leader, who knows everybody's work, or the worker that it names.
func (h *Herder) owning(ctx context.Context, id connector.TaskID) error {
	s, err := h.settled(ctx)
	switch {
	case err != nil || s.has(id):
		return err
	case s.Leader:
		return &connector.Elsewhere{URL: s.Owners[id]}
	}
	return &connector.Elsewhere{URL: s.LeaderURL}
}
