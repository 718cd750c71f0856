package rebalance

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/connect/connector"
)

// lead divides the work over the members of a round.
func (m *Member) lead(ctx context.Context, join *kmsg.JoinGroupResponse) ([]kmsg.SyncGroupRequestGroupAssignment, error) {
	p := protocolOf(join)
	var peers []Peer
	highest := int64(-1)
	answers := map[string]Assignment{}
	blank := Assignment{Version: p.Version(), Leader: join.MemberID, LeaderURL: m.cfg.URL, Storage: m.cfg.Storage}
	for _, jm := range join.Members {
		answers[jm.MemberID] = blank
		md, err := ParseMetadata(jm.ProtocolMetadata)
		if err != nil {
			m.log.Error("member left out: its metadata cannot be read", "member", jm.MemberID, "err", err)
			continue
		}
		if md.Storage != "" && md.Storage != m.cfg.Storage {
			m.log.Error("member left out: it belongs to another Connect cluster; give one of the two another group.id",
				"group", m.cfg.Group, "url", md.URL, "theirs", md.Storage, "ours", m.cfg.Storage)
			continue
		}
		peer := Peer{ID: jm.MemberID, URL: md.URL, Running: Work{}}
		if md.Allocation != nil {
			peer.Running = md.Allocation.Assigned
		}
		peers = append(peers, peer)
		highest = max(highest, md.Offset)
	}
	c, err := m.configured(ctx, highest)
	if err != nil {
		return nil, err
	}
	if c.Offset < highest {
		for id, a := range answers {
			a.Error, a.Offset = configMismatch, highest
			answers[id] = a
		}
		return m.parts(answers), nil
	}
	changes, delay := m.divide(p, join.Generation, peers, c)
	for id, a := range answers {
		a.Offset, a.Assigned, a.Revoked, a.Delay = c.Offset, changes[id].Assigned, changes[id].Revoked, delay
		answers[id] = a
	}
	return m.parts(answers), nil
}

// configured returns what there is to run, read at least up to an offset if
// that can be had.
func (m *Member) configured(ctx context.Context, upTo int64) (Configured, error) {
	c, err := m.owner.Configured(ctx, false)
	if err == nil && c.Offset < upTo {
		c, err = m.owner.Configured(ctx, true)
	}
	if err != nil {
		return c, fmt.Errorf("divide the work: %w", err)
	}
	return c, nil
}

// divide divides the work as the group's protocol does, and remembers who runs
// what.
func (m *Member) divide(p Protocol, generation int32, peers []Peer, c Configured) (map[string]Change, time.Duration) {
	m.owners, m.active = map[connector.TaskID]string{}, Work{}
	for _, peer := range peers {
		m.active.add(peer.Running)
	}
	if p == Eager {
		changes := AssignEagerly(peers, c.Work)
		for _, peer := range peers {
			for id := range changes[peer.ID].Assigned {
				m.owners[id] = peer.URL
			}
		}
		return changes, 0
	}
	plan := m.assignor.Assign(Round{Now: time.Now(), Generation: generation, Completed: m.complete, Members: peers, Configured: c.Work, Last: c.Last})
	m.owners = plan.Owners
	return plan.Changes, plan.Delay
}

// parts encodes the members' assignments.
func (m *Member) parts(answers map[string]Assignment) []kmsg.SyncGroupRequestGroupAssignment {
	var out []kmsg.SyncGroupRequestGroupAssignment
	for id, a := range answers {
		part := kmsg.NewSyncGroupRequestGroupAssignment()
		part.MemberID, part.MemberAssignment = id, a.AppendTo(nil)
		out = append(out, part)
	}
	return out
}
