package rebalance

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// lease is how long after its last sign of life that the coordinator answered
// a worker trusts its membership: the rest of the session is for stopping, so
// that everything has stopped when the coordinator gives the work to others.
func (m *Member) lease() time.Duration { return m.cfg.Session * 4 / 5 }

// beat sends heartbeats until ctx ends, while the worker joins as well: a
// coordinator that waits for others to join may do so for long. A worker that
// has had no answer for the time of its lease stops its work. That holds too
// for one whose process was frozen: the clock has gone on, so it stops when it
// wakes, before it has heard from the coordinator.
func (m *Member) beat(ctx context.Context) {
	tick := time.NewTicker(m.cfg.Heartbeat)
	defer tick.Stop()
	watch := time.NewTicker(max(m.cfg.Session/50, time.Millisecond))
	defer watch.Stop()
	var under sync.WaitGroup // the request that is on its way
	defer under.Wait()
	var busy atomic.Bool
	for {
		select {
		case <-ctx.Done():
			return
		case <-watch.C:
			m.checkLease()
		case <-tick.C:
			if busy.CompareAndSwap(false, true) {
				under.Go(func() {
					defer busy.Store(false)
					m.heartbeat(ctx)
				})
			}
		}
	}
}

// Holds reports whether the worker may trust its membership at this moment. It
// goes by the clock, so that it is right in a process that was frozen, too.
func (m *Member) Holds() bool {
	at := m.heard.Load()
	return at != 0 && time.Since(clockStart)-time.Duration(at) < m.lease()
}

// clockStart is what times of Member.heard count from.
var clockStart = time.Now()

// checkLease stops the work when the coordinator has been silent for too long.
func (m *Member) checkLease() {
	m.mu.Lock()
	defer m.mu.Unlock()
	silent := time.Since(m.contact)
	if m.contact.IsZero() || silent < m.lease() {
		return
	}
	m.log.Warn("no answer from the group's coordinator, work stops", "group", m.cfg.Group, "silent", silent.Round(time.Millisecond))
	m.abandon()
}

// answered notes that the coordinator answered a request sent at a time.
func (m *Member) answered(sent time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if sent.After(m.contact) {
		m.contact = sent
		m.heard.Store(int64(sent.Sub(clockStart)) | 1) // not 0
	}
}

// heartbeat sends one.
func (m *Member) heartbeat(ctx context.Context) {
	m.mu.Lock()
	id, generation := m.id, m.generation
	m.mu.Unlock()
	if id == "" || generation < 0 {
		return
	}
	req := kmsg.NewPtrHeartbeatRequest()
	req.Group, req.MemberID, req.Generation = m.cfg.Group, id, generation
	sent := time.Now()
	ctx, stop := context.WithTimeout(ctx, m.cfg.Session)
	defer stop()
	raw, err := m.cfg.Client.Request(ctx, req)
	if err == nil {
		err = kerr.ErrorForCode(raw.(*kmsg.HeartbeatResponse).ErrorCode)
	}
	m.mu.Lock()
	joining, changed := m.joining, m.id != id || m.generation != generation
	m.mu.Unlock()
	switch {
	case err == nil:
		m.answered(sent)
	case errors.Is(err, kerr.RebalanceInProgress):
		m.answered(sent)
		if !joining && !changed {
			m.Rejoin()
		}
	case changed:
		// An answer to who this member was before.
	case errors.Is(err, kerr.UnknownMemberID), errors.Is(err, kerr.FencedInstanceID),
		errors.Is(err, kerr.IllegalGeneration) && !joining:
		m.lose(err.Error())
	case ctx.Err() == nil:
		m.log.Warn("heartbeat not answered", "group", m.cfg.Group, "err", err)
	}
}
