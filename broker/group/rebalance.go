package group

import (
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// prepareRebalance asks all members to join again, and completes at once if
// all have. A group that was empty waits for more members to come.
func (g *Group) prepareRebalance(now time.Time) []Action {
	var out []Action
	switch g.state {
	case Empty:
		g.enter(PreparingRebalance, now)
		delay := g.cfg.InitialRebalanceDelay
		g.initial = delay > 0
		g.grew = false
		g.extendable = max(g.rebalanceTimeout()-delay, 0)
		g.rebalanceBy = now.Add(delay)
		if !g.initial {
			g.rebalanceBy = now.Add(g.rebalanceTimeout())
		}
	case Stable, CompletingRebalance:
		out = g.abandonAssignment(kerr.RebalanceInProgress)
		g.enter(PreparingRebalance, now)
		g.rebalanceBy = now.Add(g.rebalanceTimeout())
	}
	return append(out, g.maybeComplete(now)...)
}

// abandonAssignment answers the parked syncs with an error.
func (g *Group) abandonAssignment(err error) []Action {
	var out []Action
	for _, m := range g.each() {
		if reply := m.sync; reply != nil {
			m.sync = nil
			out = append(out, Action{Reply: func() { reply(SyncResult{Err: err}) }})
		}
	}
	g.assigning = false
	return out
}

// maybeComplete completes the rebalance if nobody is waited for.
func (g *Group) maybeComplete(now time.Time) []Action {
	if g.state != PreparingRebalance || g.initial || len(g.pending) > 0 {
		return nil
	}
	for _, m := range g.members {
		if m.join == nil {
			return nil
		}
	}
	return g.completeJoin(now)
}

// rebalanceDue is what the deadline of a rebalance does.
func (g *Group) rebalanceDue(now time.Time) []Action {
	if g.initial && g.grew && g.extendable > 0 {
		delay := min(g.cfg.InitialRebalanceDelay, g.extendable)
		g.grew = false
		g.extendable -= delay
		g.rebalanceBy = now.Add(delay)
		return nil
	}
	return g.completeJoin(now)
}

// completeJoin begins the next generation with those who have joined. Static
// members stay until their session ends.
func (g *Group) completeJoin(now time.Time) []Action {
	g.initial = false
	var out []Action
	for _, m := range g.each() {
		if m.join == nil && m.instance == "" {
			out = append(out, g.remove(m.id, kerr.UnknownMemberID)...)
		}
	}
	if len(g.members) > 0 && !g.electLeader() {
		g.rebalanceBy = now.Add(g.rebalanceTimeout()) // only static ones, all silent
		return out
	}
	g.generation++
	if len(g.members) == 0 {
		g.protocol, g.leader = "", ""
		g.enter(Empty, now)
		return append(out, g.persist())
	}
	g.protocol = g.vote()
	g.enter(CompletingRebalance, now)
	g.syncBy = now.Add(g.rebalanceTimeout())
	for _, m := range g.each() {
		g.unsynced[m.id] = true
		if reply := m.join; reply != nil {
			m.join = nil
			m.touch(now)
			result := g.joined(m)
			out = append(out, Action{Reply: func() { reply(result) }})
		}
	}
	return out
}

// electLeader keeps the leader if it has joined, or takes the first member
// that has; false if none has.
func (g *Group) electLeader() bool {
	if m := g.members[g.leader]; m != nil && m.join != nil {
		return true
	}
	i := slices.IndexFunc(g.order, func(id string) bool { return g.members[id].join != nil })
	if i >= 0 {
		g.leader = g.order[i]
	}
	return i >= 0
}

// persist appends the group's metadata. Nothing waits for it: if it is lost,
// the group is loaded as it was before.
func (g *Group) persist() Action {
	return Action{
		Append: []Record{g.metadataRecord(nil)},
		Then: func(_ time.Time, err error) []Action {
			if err != nil {
				g.log.Warn("group metadata not stored", "group", g.id, "generation", g.generation, "err", err)
			}
			return nil
		},
	}
}

// removeAndRebalance removes a member and lets the others share its work.
func (g *Group) removeAndRebalance(now time.Time, id string, err error) []Action {
	out := g.remove(id, err)
	switch g.state {
	case Stable, CompletingRebalance:
		return append(out, g.prepareRebalance(now)...)
	case PreparingRebalance:
		return append(out, g.maybeComplete(now)...)
	}
	return out
}

// Tick does what is due at the time: sessions end, rebalances complete, and
// members that did not sync are removed.
func (g *Group) Tick(now time.Time) []Action {
	if g.dead() {
		return nil
	}
	if g.consumer != nil {
		return g.tickConsumer(now)
	}
	var out []Action
	for id, until := range g.pending {
		if !until.After(now) {
			delete(g.pending, id)
			out = append(out, g.maybeComplete(now)...)
		}
	}
	for _, m := range g.each() {
		if g.members[m.id] == m && !m.parked() && !m.deadline.After(now) {
			g.log.Info("group member expired", "group", g.id, "member", m.id, "generation", g.generation)
			out = append(out, g.removeAndRebalance(now, m.id, kerr.UnknownMemberID)...)
		}
	}
	if g.state == PreparingRebalance && !g.rebalanceBy.After(now) {
		out = append(out, g.rebalanceDue(now)...)
	}
	if g.state == CompletingRebalance && !g.syncBy.After(now) {
		out = append(out, g.dropUnsynced(now)...)
	}
	return out
}

// dropUnsynced removes the members that have not synced in time. If all have,
// the leader's assignment is on its way to the log.
func (g *Group) dropUnsynced(now time.Time) []Action {
	if len(g.unsynced) == 0 {
		g.syncBy = now.Add(g.rebalanceTimeout())
		return nil
	}
	var out []Action
	for _, id := range slices.Clone(g.order) {
		if g.unsynced[id] {
			g.log.Info("group member did not sync", "group", g.id, "member", id, "generation", g.generation)
			out = append(out, g.remove(id, kerr.UnknownMemberID)...)
		}
	}
	return append(out, g.prepareRebalance(now)...)
}
