package rebalance

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// round joins, divides if this member leads, and does what the round says. A
// nil error is a settled round.
func (m *Member) round(ctx context.Context) error {
	m.mu.Lock()
	epoch := m.epoch
	m.mu.Unlock()
	if epoch != m.lost {
		m.stopAll(ctx) // Lost has begun it; the others are told when it is done
		m.lost = epoch
	}
	if m.last == Eager {
		m.stopAll(ctx)
	}
	m.drainSignal()
	if _, err := m.revoke(ctx, m.stopping); err != nil {
		return err
	}
	join, err := m.join(ctx)
	if err != nil {
		return err
	}
	assignment, err := m.sync(ctx, join)
	if err != nil {
		return err
	}
	return m.settle(ctx, join, assignment, epoch)
}

// drainSignal forgets wishes for a round: it is about to begin.
func (m *Member) drainSignal() {
	select {
	case <-m.again:
	default:
	}
}

// metadata is what this member offers under a protocol.
func (m *Member) metadata(p Protocol, offset int64) []byte {
	md := Metadata{Version: p.Version(), URL: m.cfg.URL, Offset: offset, Storage: m.cfg.Storage}
	if len(m.running) > 0 {
		md.Allocation = &Assignment{Version: p.Version(), Leader: m.view.leader, LeaderURL: m.view.url, Offset: m.view.offset, Assigned: m.running}
	}
	return md.AppendTo(nil)
}

// join sends JoinGroup until it is answered with a generation.
func (m *Member) join(ctx context.Context) (*kmsg.JoinGroupResponse, error) {
	configured, err := m.owner.Configured(ctx, false)
	if err != nil {
		return nil, err
	}
	m.setJoining(true)
	defer m.setJoining(false)
	for {
		req := kmsg.NewPtrJoinGroupRequest()
		req.Group, req.MemberID, req.ProtocolType = m.cfg.Group, m.identity(), "connect"
		req.SessionTimeoutMillis = int32(m.cfg.Session.Milliseconds())
		req.RebalanceTimeoutMillis = int32(m.cfg.Rebalance.Milliseconds())
		for _, p := range m.cfg.Protocols {
			rp := kmsg.NewJoinGroupRequestProtocol()
			rp.Name, rp.Metadata = string(p), m.metadata(p, configured.Offset)
			req.Protocols = append(req.Protocols, rp)
		}
		sent := time.Now()
		raw, err := m.cfg.Client.Request(ctx, req)
		if err != nil {
			return nil, fmt.Errorf("join group: %w", err)
		}
		resp := raw.(*kmsg.JoinGroupResponse)
		err = kerr.ErrorForCode(resp.ErrorCode)
		switch {
		case err == nil:
			m.joined(resp.MemberID, resp.Generation)
			m.answered(sent)
			return resp, nil
		case errors.Is(err, kerr.MemberIDRequired):
			m.joined(resp.MemberID, -1)
		case errors.Is(err, kerr.UnknownMemberID), errors.Is(err, kerr.FencedInstanceID):
			m.lose(err.Error())
			return nil, errAgain
		case refused(m.cfg.Group, err) != nil:
			return nil, &fatalError{refused(m.cfg.Group, err)}
		default:
			return nil, fmt.Errorf("join group: %w", err)
		}
	}
}

func (m *Member) setJoining(on bool) {
	m.mu.Lock()
	m.joining = on
	m.mu.Unlock()
}

// joined notes who this member is.
func (m *Member) joined(id string, generation int32) {
	m.mu.Lock()
	renamed := m.id != id
	m.id, m.generation = id, generation
	m.mu.Unlock()
	if renamed && m.cfg.Named != nil {
		m.cfg.Named(id)
	}
}

// protocolOf returns the protocol that the coordinator picked.
func protocolOf(join *kmsg.JoinGroupResponse) Protocol {
	if join.Protocol == nil {
		return Eager
	}
	return Protocol(*join.Protocol)
}

// sync hands in the division if this member leads, and fetches its own part.
func (m *Member) sync(ctx context.Context, join *kmsg.JoinGroupResponse) (Assignment, error) {
	req := kmsg.NewPtrSyncGroupRequest()
	req.Group, req.MemberID, req.Generation = m.cfg.Group, join.MemberID, join.Generation
	protocolType := "connect"
	req.ProtocolType, req.Protocol = &protocolType, join.Protocol
	m.owners, m.active = nil, nil
	if join.LeaderID == join.MemberID {
		parts, err := m.lead(ctx, join)
		if err != nil {
			return Assignment{}, err
		}
		req.GroupAssignment = parts
	} else {
		m.assignor = &Assignor{MaxDelay: m.cfg.MaxDelay} // who leads later starts with no memory
	}
	sent := time.Now()
	raw, err := m.cfg.Client.Request(ctx, req)
	if err != nil {
		return Assignment{}, fmt.Errorf("sync group: %w", err)
	}
	resp := raw.(*kmsg.SyncGroupResponse)
	switch err := kerr.ErrorForCode(resp.ErrorCode); {
	case err == nil:
	case errors.Is(err, kerr.RebalanceInProgress):
		m.answered(sent)
		return Assignment{}, errAgain
	case errors.Is(err, kerr.UnknownMemberID), errors.Is(err, kerr.IllegalGeneration), errors.Is(err, kerr.FencedInstanceID):
		m.lose(err.Error())
		return Assignment{}, errAgain
	default:
		return Assignment{}, fmt.Errorf("sync group: %w", err)
	}
	m.answered(sent)
	a, err := ParseAssignment(resp.MemberAssignment)
	if err != nil {
		return Assignment{}, fmt.Errorf("from the group's leader %s: %w", join.LeaderID, err)
	}
	if a.Storage != "" && a.Storage != m.cfg.Storage {
		return Assignment{}, &StrangerError{Group: m.cfg.Group, LeaderURL: a.LeaderURL, Storage: m.cfg.Storage, TheirOwn: a.Storage}
	}
	m.complete = join.Generation
	return a, nil
}

// settle does what a round says: stops what is revoked, reads the config topic
// as far as the leader has, and takes on what is assigned.
func (m *Member) settle(ctx context.Context, join *kmsg.JoinGroupResponse, a Assignment, epoch int) error {
	m.last = protocolOf(join)
	m.view = place{leader: a.Leader, url: a.LeaderURL, offset: a.Offset}
	if a.Error != 0 {
		m.log.Info("the group's leader has not read the config topic to its end", "leader", a.LeaderURL)
		if _, err := m.owner.Configured(ctx, true); err != nil {
			return err
		}
		pause(ctx, mismatchPause)
		return errAgain
	}
	revoked := m.running.and(a.Revoked)
	if m.last == Eager { // which assigns everything anew
		revoked = m.running.minus(a.Assigned)
	}
	freed, err := m.revoke(ctx, revoked)
	if err != nil {
		return err
	}
	m.running.add(a.Assigned)
	if err := m.catchUp(ctx, a); err != nil {
		return err
	}
	v := View{
		Member: join.MemberID, Generation: join.Generation, Protocol: m.last, Leader: a.Leader == join.MemberID, LeaderURL: a.LeaderURL,
		Offset: a.Offset, Assigned: m.running.minus(m.stopping), Owners: m.owners, Running: m.active,
	}
	if a.Delay > 0 {
		v.Due = time.Now().Add(a.Delay)
		m.rejoinAfter(a.Delay)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.epoch != epoch {
		return errAgain // lost meanwhile
	}
	m.settled()
	m.owner.Take(v)
	m.log.Info("group settled", "group", m.cfg.Group, "generation", v.Generation, "protocol", v.Protocol, "leader", v.LeaderURL,
		"assigned", len(v.Assigned), "revoked", len(revoked), "delay", a.Delay)
	if freed {
		return errAgain // what was revoked can go to others now
	}
	return nil
}

// revoke has work stopped, and reports whether some of it has. What has not is
// still said to run, so that nobody else is given it.
func (m *Member) revoke(ctx context.Context, w Work) (freed bool, err error) {
	m.stopping = Work{}
	if len(w) == 0 {
		return false, nil
	}
	stopped, err := m.owner.Revoke(ctx, w)
	m.running, m.stopping = m.running.minus(stopped), w.minus(stopped)
	return len(stopped) > 0, err
}

// mismatchPause is the wait before a round that follows one whose leader was
// behind.
const mismatchPause = 100 * time.Millisecond

// rejoinAfter asks for a round when work that waits is due.
func (m *Member) rejoinAfter(d time.Duration) {
	if m.delayed != nil {
		m.delayed.Stop()
	}
	m.delayed = time.AfterFunc(d, m.Rejoin)
}

// syncAttempts is how often a worker tries to read the config topic as far as
// its leader has, before it gives its work up.
const syncAttempts = 5

// catchUp reads the config topic as far as the leader has.
func (m *Member) catchUp(ctx context.Context, a Assignment) error {
	for n := range syncAttempts {
		c, err := m.owner.Configured(ctx, false)
		if err == nil && c.Offset < a.Offset {
			sctx, stop := context.WithTimeout(ctx, m.cfg.SyncTimeout)
			c, err = m.owner.Configured(sctx, true)
			stop()
		}
		if err == nil && c.Offset >= a.Offset {
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		m.log.Warn("the config topic ends before the offset that the group's leader has read; does another Connect cluster use this group.id?",
			"group", m.cfg.Group, "leader", a.LeaderURL, "theirs", a.Offset, "ours", c.Offset, "err", err)
		pause(ctx, backoff(n))
	}
	return errUnsynced
}
