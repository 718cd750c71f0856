package group

import (
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// Join is a JoinGroup whose group and session timeout have been checked. done
// is answered at once, or parked until the rebalance completes.
func (g *Group) Join(now time.Time, r JoinRequest, done func(JoinResult)) []Action {
	fail := func(err error) []Action {
		return []Action{{Reply: func() { done(JoinResult{Err: err, MemberID: r.MemberID, Generation: -1}) }}}
	}
	switch {
	case g.dead():
		return fail(kerr.CoordinatorNotAvailable)
	case !g.room(r.MemberID):
		return append(g.evict(now, r.MemberID), fail(kerr.GroupMaxSizeReached)...)
	case !g.supports(r.ProtocolType, r.Protocols) || g.occupied():
		return fail(kerr.InconsistentGroupProtocol)
	case r.MemberID == "" && g.consumer != nil:
		return append(g.becomeClassic(now), g.Join(now, r, done)...)
	case r.MemberID == "" && r.InstanceID != "":
		return g.joinStatic(now, r, done)
	case r.MemberID == "":
		return g.joinNew(now, r, done)
	}
	if _, ok := g.pending[r.MemberID]; ok && r.InstanceID == "" {
		return g.admit(now, r, r.MemberID, done)
	}
	m, err := g.checkMember(r.MemberID, r.InstanceID)
	if err != nil {
		return fail(err)
	}
	return g.rejoin(now, m, r, done)
}

// room reports whether the group may hold the member (KIP-389).
func (g *Group) room(id string) bool {
	if g.state == Empty {
		return true
	}
	if m := g.members[id]; m != nil && (g.state != PreparingRebalance || m.join != nil) {
		return true
	}
	taken := len(g.members)
	if g.state == PreparingRebalance {
		taken = 0
		for _, m := range g.members {
			if m.join != nil {
				taken++
			}
		}
	}
	return taken < g.cfg.MaxSize
}

// evict removes a member for whom there is no room in the next generation.
func (g *Group) evict(now time.Time, id string) []Action {
	if g.members[id] == nil {
		return nil
	}
	return g.removeAndRebalance(now, id, kerr.GroupMaxSizeReached)
}

// joinNew takes in a dynamic member without an id.
func (g *Group) joinNew(now time.Time, r JoinRequest, done func(JoinResult)) []Action {
	id := r.ClientID + "-" + g.cfg.NewID()
	if !r.RequireMemberID {
		return g.admit(now, r, id, done)
	}
	g.pending[id] = now.Add(r.SessionTimeout)
	return []Action{{Reply: func() { done(JoinResult{Err: kerr.MemberIDRequired, MemberID: id, Generation: -1}) }}}
}

// joinStatic takes in a static member that does not know its id: a new one, or
// one whose process was started again (KIP-345).
func (g *Group) joinStatic(now time.Time, r JoinRequest, done func(JoinResult)) []Action {
	id := r.InstanceID + "-" + g.cfg.NewID()
	old, ok := g.static[r.InstanceID]
	if !ok {
		return g.admit(now, r, id, done)
	}
	m := g.members[old]
	same := m.offers(r.Protocols)
	out := g.replace(now, m, id, r)
	if g.state != Stable {
		m.join = done
		return append(out, g.prepareRebalance(now)...)
	}
	if !same {
		m.join = done
		return append(out, g.prepareRebalance(now)...)
	}
	result := g.joined(m)
	if !r.SkipAssignment && m.id == g.leader {
		// It would assign if it saw itself as the leader, and a stable group
		// would not hear of it.
		result.Leader, result.Members = old, nil
	}
	result.SkipAssignment = r.SkipAssignment && m.id == g.leader
	return append(out, Action{
		Append: []Record{g.metadataRecord(nil)},
		Then: func(now time.Time, err error) []Action {
			if err != nil {
				result = JoinResult{Err: storeError(err), MemberID: id, Generation: -1}
			}
			return []Action{{Reply: func() { done(result) }}}
		},
	})
}

// replace gives a static member a new id. The old one is fenced.
func (g *Group) replace(now time.Time, m *member, id string, r JoinRequest) []Action {
	out := m.fail(kerr.FencedInstanceID)
	old := m.id
	delete(g.members, old)
	if g.unsynced[old] {
		delete(g.unsynced, old)
		g.unsynced[id] = true
	}
	for i := range g.order {
		if g.order[i] == old {
			g.order[i] = id
		}
	}
	if g.leader == old {
		g.leader = id
	}
	m.id = id
	g.members[id], g.static[m.instance] = m, id
	g.update(now, m, r)
	return out
}

// admit adds a member under the id and begins a rebalance.
func (g *Group) admit(now time.Time, r JoinRequest, id string, done func(JoinResult)) []Action {
	delete(g.pending, id)
	m := &member{id: id, instance: r.InstanceID}
	g.update(now, m, r)
	m.join = done
	g.add(m, r.ProtocolType)
	g.grew = true
	return g.prepareRebalance(now)
}

// update takes over what a JoinGroup says of its member.
func (g *Group) update(now time.Time, m *member, r JoinRequest) {
	m.clientID, m.clientHost = r.ClientID, r.ClientHost
	m.session, m.rebalance = r.SessionTimeout, r.RebalanceTimeout
	if m.rebalance <= 0 {
		m.rebalance = m.session // as for v0, which has no such field
	}
	m.protocols = r.Protocols
	m.touch(now)
}

// rejoin is a JoinGroup of a member with an id.
func (g *Group) rejoin(now time.Time, m *member, r JoinRequest, done func(JoinResult)) []Action {
	same := m.offers(r.Protocols)
	switch {
	case g.state == CompletingRebalance && same, g.state == Stable && same && m.id != g.leader:
		// The answer was lost, or a consumer makes sure.
		m.touch(now)
		result := g.joined(m)
		return []Action{{Reply: func() { done(result) }}}
	case g.state == Empty:
		return []Action{{Reply: func() { done(JoinResult{Err: kerr.UnknownMemberID, MemberID: m.id, Generation: -1}) }}}
	}
	// A parked join of the same member is from a connection that is gone.
	out := m.failJoin(kerr.RebalanceInProgress)
	g.update(now, m, r)
	m.join = done
	return append(out, g.prepareRebalance(now)...)
}

// failJoin answers a parked join only.
func (m *member) failJoin(err error) []Action {
	sync := m.sync
	m.sync = nil
	out := m.fail(err)
	m.sync = sync
	return out
}

// joined is what a member hears of the current generation; the leader hears
// of all members.
func (g *Group) joined(m *member) JoinResult {
	r := JoinResult{
		Generation: g.generation, ProtocolType: g.protocolType, Protocol: g.protocol,
		Leader: g.leader, MemberID: m.id,
	}
	if m.id == g.leader {
		for _, o := range g.each() {
			r.Members = append(r.Members, JoinMember{o.id, o.instance, o.metadata(g.protocol)})
		}
	}
	return r
}
