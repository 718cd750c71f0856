package consumer

import (
	"maps"

	"github.com/millrace/millrace/broker/group/assignor"
)

// follow brings the group's view of its topics up to date. A new view, or a
// bump for another reason, begins a group epoch.
func (g *Group) follow(c *Change, topics Topics, bump bool) {
	if bump || g.version != topics.Version() {
		if view := g.view(topics); !maps.Equal(view, g.topics) {
			g.put(c, change{kindTopics, "", view})
			bump = true
		}
		g.version = topics.Version()
	}
	if bump {
		g.put(c, change{kindEpoch, "", g.epoch + 1})
	}
}

// view is the topics that members subscribe to and that exist.
func (g *Group) view(topics Topics) map[string]Topic {
	view := make(map[string]Topic)
	add := func(names []string) {
		for _, name := range names {
			if _, ok := view[name]; ok {
				continue
			}
			if t, ok := topics.Topic(name); ok {
				view[name] = t
			}
		}
	}
	for _, m := range g.members {
		add(m.names)
		if p := g.pattern(m.regex); p != nil {
			add(p.resolve(topics))
		}
	}
	return view
}

// retarget assigns the partitions anew if the group epoch has moved on.
func (g *Group) retarget(c *Change) {
	if g.epoch == g.targetEpoch {
		return
	}
	ids := g.ids()
	members := make([]assignor.Member, len(ids))
	for i, id := range ids {
		members[i] = assignor.Member{ID: id, Instance: g.members[id].instance, Topics: g.subscription(id), Target: g.targets[id]}
	}
	partitions := make(map[TopicID]int32, len(g.topics))
	for _, t := range g.topics {
		partitions[t.ID] = t.Partitions
	}
	for i, target := range assignor.ByName(g.Assignor())(members, partitions) {
		if was, ok := g.targets[ids[i]]; !ok || !target.Equal(was) {
			g.put(c, change{kindTarget, ids[i], target})
		}
	}
	g.put(c, change{kindTargetEpoch, "", g.epoch})
}

// subscription is the topics that a member subscribes to and that exist.
func (g *Group) subscription(id string) []TopicID {
	m := g.members[id]
	p := g.pattern(m.regex)
	var out []TopicID
	seen := make(map[TopicID]bool)
	add := func(t Topic, ok bool) {
		if ok && !seen[t.ID] {
			seen[t.ID] = true
			out = append(out, t.ID)
		}
	}
	for _, name := range m.names {
		t, ok := g.topics[name]
		add(t, ok)
	}
	if p != nil {
		for name, t := range g.topics {
			add(t, p.matches(name))
		}
	}
	return out
}

// Assignor is the one that most members ask for, among those that have a
// preference; the first of the configured ones decides a tie.
func (g *Group) Assignor() string {
	votes := make(map[string]int)
	for _, m := range g.members {
		if m.assignor != "" {
			votes[m.assignor]++
		}
	}
	best := g.cfg.Assignors[0]
	for _, name := range g.cfg.Assignors {
		if votes[name] > votes[best] {
			best = name
		}
	}
	return best
}

// reconcile takes a member the next step towards its target.
func (g *Group) reconcile(c *Change, id string, r *Heartbeat) {
	was := g.currents[id]
	next := was
	switch was.state {
	case stable:
		if was.epoch != g.targetEpoch {
			next = g.step(id, was.epoch, r)
		}
	case unrevoked:
		if !r.keeps(was.revoking) {
			next = g.step(id, was.epoch+1, r)
		}
	case unreleased:
		next = g.step(id, was.epoch, r)
	}
	if !next.equal(was) {
		g.put(c, change{kindCurrent, id, next})
	}
}

// keeps reports whether the member may still use one of the partitions.
func (r *Heartbeat) keeps(a Assignment) bool {
	return !r.OwnedGiven || len(r.Owned.Intersect(a)) > 0
}

// step is what a member is to have: first it lets go of what is not its own
// any more, keeping its epoch, and then it gets what is free.
//
// Differs from Kafka: a member always hears that a partition is not its own
// before its silence about it counts as letting go. In Kafka a partition that
// was given but not yet begun with could be begun with after it was given to
// another member, if one answer was lost.
func (g *Group) step(id string, epoch int32, r *Heartbeat) *current {
	was, target := g.currents[id], g.targets[id]
	kept := was.assigned.Intersect(target)
	revoke := was.assigned.Minus(target)
	if len(revoke) > 0 && r.Epoch != epochJoin {
		return was.next(epoch, unrevoked, kept, revoke)
	}
	wanted := target.Minus(kept)
	free := wanted.Filter(func(t TopicID, p int32) bool {
		owner, taken := g.owners[partition{t, p}]
		return !taken || owner.member == id
	})
	state := stable
	if !free.Equal(wanted) {
		state = unreleased
	}
	return was.next(g.targetEpoch, state, kept.Union(free), Assignment{})
}

// next keeps the epoch before, which counts until the member has shown the
// new one.
func (c *current) next(epoch int32, state progress, assigned, revoking Assignment) *current {
	n := &current{epoch: epoch, previous: c.previous, state: state, assigned: assigned, revoking: revoking}
	if epoch != c.epoch {
		n.previous = c.epoch
	}
	return n
}

func (c *current) equal(o *current) bool {
	return c.epoch == o.epoch && c.previous == o.previous && c.state == o.state &&
		c.assigned.Equal(o.assigned) && c.revoking.Equal(o.revoking)
}
