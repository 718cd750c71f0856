package group

import (
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// Sync is a SyncGroup: the leader hands in the assignments, all others wait
// for theirs.
func (g *Group) Sync(now time.Time, r SyncRequest, done func(SyncResult)) []Action {
	m, err := g.checkMember(r.MemberID, r.InstanceID)
	switch {
	case err != nil:
	case r.Generation != g.generation:
		err = kerr.IllegalGeneration
	case r.ProtocolType != "" && r.ProtocolType != g.protocolType, r.Protocol != "" && r.Protocol != g.protocol:
		err = kerr.InconsistentGroupProtocol
	case g.state == Empty:
		err = kerr.UnknownMemberID
	case g.state == PreparingRebalance:
		err = kerr.RebalanceInProgress
	}
	if err != nil {
		return []Action{{Reply: func() { done(SyncResult{Err: err}) }}}
	}
	m.touch(now)
	delete(g.unsynced, m.id)
	if g.state == Stable {
		result := g.synced(m)
		return []Action{{Reply: func() { done(result) }}}
	}
	var out []Action
	if old := m.sync; old != nil { // its connection is gone
		out = append(out, Action{Reply: func() { old(SyncResult{Err: kerr.RebalanceInProgress}) }})
	}
	m.sync = done
	if m.id != g.leader || g.assigning {
		return out
	}
	return append(out, g.assign(r.Assignments))
}

// assign appends the leader's assignments; the group is stable once they are
// durable. A member that was forgotten gets an empty one.
func (g *Group) assign(assignments map[string][]byte) Action {
	g.assigning = true
	generation := g.generation
	given := make(map[string][]byte, len(g.members))
	for id := range g.members {
		given[id] = append([]byte{}, assignments[id]...)
	}
	return Action{
		Append: []Record{g.metadataRecord(given)},
		Then: func(now time.Time, err error) []Action {
			if g.state != CompletingRebalance || g.generation != generation || !g.assigning {
				return nil // a rebalance came in between and has answered
			}
			if err != nil {
				g.log.Warn("assignment not stored", "group", g.id, "generation", generation, "err", err)
				return append(g.abandonAssignment(storeError(err)), g.prepareRebalance(now)...)
			}
			return g.stabilise(now, given)
		},
	}
}

// stabilise gives every member that waits its assignment.
func (g *Group) stabilise(now time.Time, given map[string][]byte) []Action {
	g.assigning = false
	g.enter(Stable, now)
	var out []Action
	for _, m := range g.each() {
		m.assignment = given[m.id]
		if reply := m.sync; reply != nil {
			m.sync = nil
			m.touch(now)
			result := g.synced(m)
			out = append(out, Action{Reply: func() { reply(result) }})
		}
	}
	return out
}

func (g *Group) synced(m *member) SyncResult {
	return SyncResult{ProtocolType: g.protocolType, Protocol: g.protocol, Assignment: m.assignment}
}

// Heartbeat is a sign of life. REBALANCE_IN_PROGRESS asks the member to join
// again; while the others sync all is well, or clients would loop.
func (g *Group) Heartbeat(now time.Time, r HeartbeatRequest) error {
	m, err := g.checkMember(r.MemberID, r.InstanceID)
	if err != nil {
		return err
	}
	if r.Generation != g.generation {
		return kerr.IllegalGeneration
	}
	switch g.state {
	case Empty:
		return kerr.UnknownMemberID
	case PreparingRebalance:
		m.touch(now)
		return kerr.RebalanceInProgress
	}
	m.touch(now)
	return nil
}

// Leave removes members, and returns what became of each, nil for removed.
func (g *Group) Leave(now time.Time, members []LeaveMember) ([]Action, []error) {
	errs := make([]error, len(members))
	var out []Action
	for i, l := range members {
		var actions []Action
		actions, errs[i] = g.leave(now, l)
		out = append(out, actions...)
	}
	return out, errs
}

func (g *Group) leave(now time.Time, l LeaveMember) ([]Action, error) {
	id := l.MemberID
	if id == "" && l.InstanceID != "" {
		id = g.static[l.InstanceID] // an administrator knows the instance only
	}
	if _, ok := g.pending[id]; ok && !g.dead() {
		delete(g.pending, id)
		return g.maybeComplete(now), nil
	}
	m, err := g.checkMember(id, l.InstanceID)
	if err != nil {
		return nil, err
	}
	g.log.Info("group member left", "group", g.id, "member", m.id, "generation", g.generation)
	return g.removeAndRebalance(now, m.id, kerr.UnknownMemberID), nil
}
