package consumer

import (
	"time"
)

// Change is what an event did to a group: records to be stored, and how to
// take it back. The zero Change changed nothing.
type Change struct {
	Records []Record
	undo    []change // in the order of the records
}

// put changes the state and notes it down.
func (g *Group) put(c *Change, one change) {
	c.Records = append(c.Records, one.encode(g.id))
	c.undo = append(c.undo, g.apply(one))
}

// Undo takes back the newest event, whose records could not be stored. Members
// that are there again have a whole session to show themselves.
func (g *Group) Undo(now time.Time, c Change) {
	for i := len(c.undo) - 1; i >= 0; i-- {
		g.apply(c.undo[i])
	}
	g.version = 0
	g.Restart(now)
}

// Replay changes the state as a stored record says.
func (g *Group) Replay(d Decoded) { g.apply(d.change) }

// Restart makes what is not stored fit what is, after Replay or Undo: members
// without deadlines get them, and records that miss the rest of their member,
// which only another program can have written, do not count.
func (g *Group) Restart(now time.Time) {
	session := g.cfg.Timing(g.id).Session
	for id := range g.currents {
		if g.members[id] == nil {
			g.setCurrent(id, nil)
		}
	}
	for id, m := range g.members {
		if g.currents[id] == nil {
			g.setCurrent(id, newCurrent())
		}
		t := g.timers[id]
		if t == nil {
			t = &timers{session: now.Add(session)}
			g.timers[id] = t
		}
		switch {
		case g.currents[id].state != unrevoked:
			t.revoke = time.Time{}
		case t.revoke.IsZero():
			t.revoke = now.Add(m.rebalance)
		}
	}
}

// newCurrent is what a member that has just come owns.
func newCurrent() *current {
	return &current{previous: -1, assigned: Assignment{}, revoking: Assignment{}}
}

// apply is the only place where the stored state changes. It returns the
// change that takes it back.
func (g *Group) apply(c change) (undo change) {
	undo = change{kind: c.kind, member: c.member}
	switch c.kind {
	case kindEpoch:
		undo.value = g.epoch
		g.epoch, _ = c.value.(int32)
	case kindTargetEpoch:
		undo.value = g.targetEpoch
		g.targetEpoch, _ = c.value.(int32)
	case kindTopics:
		undo.value = g.topics
		if g.topics, _ = c.value.(map[string]Topic); g.topics == nil {
			g.topics = map[string]Topic{}
		}
	case kindMember:
		if old := g.members[c.member]; old != nil {
			undo.value = old
		}
		m, _ := c.value.(*membership)
		g.setMember(c.member, m)
	case kindTarget:
		if old, ok := g.targets[c.member]; ok {
			undo.value = old
		}
		if a, ok := c.value.(Assignment); ok {
			g.targets[c.member] = a
		} else {
			delete(g.targets, c.member)
		}
	case kindCurrent:
		if old := g.currents[c.member]; old != nil {
			undo.value = old
		}
		cur, _ := c.value.(*current)
		g.setCurrent(c.member, cur)
	}
	return undo
}

func (g *Group) setMember(id string, m *membership) {
	if old := g.members[id]; old != nil && old.instance != "" && g.static[old.instance] == id {
		delete(g.static, old.instance)
	}
	if m == nil {
		delete(g.members, id)
		delete(g.timers, id)
		return
	}
	g.members[id] = m
	if m.instance != "" {
		g.static[m.instance] = id
	}
}

func (g *Group) setCurrent(id string, c *current) {
	since := map[partition]int32{}
	if old := g.currents[id]; old != nil {
		each(old, func(p partition) {
			if o := g.owners[p]; o.member == id {
				since[p] = o.since
				delete(g.owners, p)
			}
		})
	}
	if c == nil {
		delete(g.currents, id)
		return
	}
	g.currents[id] = c
	each(c, func(p partition) {
		at, had := since[p]
		if !had {
			at = c.epoch
		}
		g.owners[p] = owner{id, at}
	})
}

// each visits the partitions that a member owns: those it uses and those it
// has not confirmed to have let go of.
func each(c *current, visit func(partition)) {
	for _, a := range []Assignment{c.assigned, c.revoking} {
		for t, ps := range a {
			for _, p := range ps {
				visit(partition{t, p})
			}
		}
	}
}
