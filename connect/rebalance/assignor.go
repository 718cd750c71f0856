package rebalance

import (
	"maps"
	"time"

	"github.com/millrace/millrace/connect/connector"
)

// Peer is a member of the group as the leader sees it.
type Peer struct {
	ID      string
	URL     string
	Running Work // what it says it runs
}

// Change is what one round means for one member.
type Change struct {
	Assigned Work // new to it
	Revoked  Work // to be stopped, before others may have it in the next round
}

// Round is what the leader knows when it divides.
type Round struct {
	Now        time.Time
	Generation int32 // that the round makes
	Completed  int32 // the last generation in which the leader got its assignment, -1 for none
	Members    []Peer
	Configured Work // all there is to run
}

// Plan is what the leader decides.
type Plan struct {
	Changes map[string]Change // by member id
	Delay   time.Duration     // after which all members should rejoin, 0 for not
}

// Assignor is the leader's side of incremental cooperative rebalancing
// (KIP-415). What runs well stays where it is: work moves only off a member
// that has more than its share, and in two rounds, so that it stops on one
// member before it starts on another. The work of a member that left waits for
// the delay, in case the member comes back.
//
// Differs from Kafka: a member that comes back within the delay, known by its
// URL, gets its own work at once; in Kafka Connect it waits for the delay to
// run out. And a round whose assignments never arrived is forgotten as if it
// had not been, where Kafka Connect forgets everything, and with it the delay.
//
// An Assignor belongs to one leader and is not safe for concurrent use. A
// leader that is new starts with a new one.
type Assignor struct {
	// MaxDelay is scheduled.rebalance.max.delay.ms: how long the work of a
	// member that left waits for it. 0 reassigns at once.
	MaxDelay time.Duration

	memory  memory // as of the last round that arrived
	pending memory // as of the last round
}

// memory is what the leader keeps between rounds.
type memory struct {
	generation int32 // 0 before the first round
	assigned   Work  // what members should run after the round, and what is lost
	revoked    Work
	owners     map[connector.TaskID]string // URL of the member that has or last had it
	members    map[string]bool
	candidates map[string]bool // members that joined empty while work waits

	waiting  bool // lost work waits until due
	due      time.Time
	moved    bool // the last round took work off members to balance them
	moves    int  // how many rounds in a row would have
	throttle time.Time
}

func (m memory) clone() memory {
	m.assigned, m.revoked = m.assigned.Clone(), m.revoked.Clone()
	m.owners, m.members, m.candidates = maps.Clone(m.owners), maps.Clone(m.members), maps.Clone(m.candidates)
	return m
}

// Assign divides the work. It is called once for each round that this member
// leads.
func (a *Assignor) Assign(r Round) Plan {
	if a.pending.generation != 0 && a.pending.generation == r.Completed {
		a.memory = a.pending
	}
	d := &division{Assignor: a, Round: r, memory: a.memory.clone(), loads: loadsOf(r.Members), revoke: map[string]Work{}}
	plan := d.divide()
	a.pending = d.memory
	return plan
}

// division is one round of an Assignor.
type division struct {
	*Assignor
	Round
	memory memory
	loads  []*load
	revoke map[string]Work
}

func (d *division) divide() Plan {
	m := &d.memory
	active := Work{}
	for _, l := range d.loads {
		active.add(l.work)
	}
	if m.revoked.overlaps(active) { // a revocation did not take effect
		m.assigned = active
	}
	deleted := m.assigned.minus(d.Configured)
	lost := m.assigned.minus(active, deleted)
	created := d.Configured.minus(m.assigned, active)
	d.revokeWhatMustGo(active.minus(d.Configured))
	// What is given away now is the base for balancing; what is new is not.
	delay := d.settleLost(lost, created)
	if !m.waiting {
		if throttled := d.balance(created); throttled > 0 {
			delay = throttled
		}
	} else {
		m.moved = false
	}
	spread(created, d.loads)
	return d.conclude(lost, delay)
}

// revokeWhatMustGo takes away what is no longer configured, and what more than
// one member says it runs, from all of them.
func (d *division) revokeWhatMustGo(gone Work) {
	holders := map[connector.TaskID]int{}
	for _, l := range d.loads {
		for id := range l.work {
			holders[id]++
		}
	}
	for _, l := range d.loads {
		take := Work{}
		for id := range l.work {
			if gone[id] || holders[id] > 1 {
				take[id] = true
			}
		}
		d.take(l, take)
	}
}

// take revokes work of a member.
func (d *division) take(l *load, w Work) {
	if len(w) == 0 {
		return
	}
	if d.revoke[l.member.ID] == nil {
		d.revoke[l.member.ID] = Work{}
	}
	d.revoke[l.member.ID].add(w)
	l.work.remove(w)
}

// settleLost decides on work whose member is gone or no longer runs it. It
// moves what is to be given out into created or to its member, and returns the
// time until the rest is due.
func (d *division) settleLost(lost, created Work) time.Duration {
	m := &d.memory
	d.giveBack(lost)
	switch {
	case len(lost) == 0:
		m.waiting, m.candidates = false, map[string]bool{}
		return 0
	case d.MaxDelay <= 0 || !m.waiting && d.allStayed():
		// Without a member missing, some member only missed its assignment.
		created.add(lost)
		clear(lost)
		return 0
	case m.waiting && !d.Now.Before(m.due):
		d.giveAway(lost, created)
		m.waiting, m.candidates, m.moved = false, map[string]bool{}, false
		return 0
	case !m.waiting:
		m.waiting, m.due = true, d.Now.Add(d.MaxDelay)
	}
	for _, l := range d.loads {
		if len(l.work) == 0 {
			m.candidates[l.member.ID] = true
		}
	}
	return m.due.Sub(d.Now)
}

// giveBack returns lost work to the member that had it, if one with its URL is
// there.
func (d *division) giveBack(lost Work) {
	byURL := map[string]*load{}
	for _, l := range d.loads {
		if byURL[l.member.URL] == nil {
			byURL[l.member.URL] = l
		}
	}
	for id := range lost {
		if l := byURL[d.memory.owners[id]]; l != nil {
			l.work[id] = true
			delete(lost, id)
		}
	}
}

// allStayed reports whether every member of the last round is in this one.
func (d *division) allStayed() bool {
	here := map[string]bool{}
	for _, l := range d.loads {
		here[l.member.ID] = true
	}
	for id := range d.memory.members {
		if !here[id] {
			return false
		}
	}
	return true
}

// giveAway hands out work whose delay has run out: to members that joined
// empty meanwhile, or with the new work.
func (d *division) giveAway(lost, created Work) {
	var candidates []*load
	for _, l := range d.loads {
		if d.memory.candidates[l.member.ID] {
			candidates = append(candidates, l)
		}
	}
	if len(candidates) == 0 {
		created.add(lost)
	} else {
		deal(append(lost.of(objects), lost.of(tasks)...), candidates)
	}
	clear(lost)
}

// throttleBase and throttleGrowth pace rounds that take work off members one
// after the other: 40 ms, 1600 ms, 64 s, ... at most MaxDelay.
const (
	throttleBase   = time.Millisecond
	throttleGrowth = 40
)

// balance takes from members what is above their share, unless the last round
// did too: then it waits, and returns how long. What a member was given but
// does not run yet can go to another in this round, with created.
func (d *division) balance(created Work) time.Duration {
	m := &d.memory
	over := surplus(d.Configured, d.loads)
	for _, l := range d.loads {
		given := over[l.member.ID].minus(l.member.Running)
		created.add(given)
		l.work.remove(given)
		if over[l.member.ID].remove(given); len(over[l.member.ID]) == 0 {
			delete(over, l.member.ID)
		}
	}
	if len(over) == 0 {
		m.moved, m.moves, m.throttle = false, 0, time.Time{}
		return 0
	}
	if m.moved && d.MaxDelay > 0 {
		if m.throttle.IsZero() {
			m.moves++
			m.throttle = d.Now.Add(d.pause())
		}
		if wait := m.throttle.Sub(d.Now); wait > 0 {
			return wait
		}
		m.throttle = time.Time{}
	}
	for _, l := range d.loads {
		d.take(l, over[l.member.ID])
	}
	m.moved = true
	return 0
}

// pause is the wait before the next round in a row that takes work off members.
func (d *division) pause() time.Duration {
	p := throttleBase
	for range d.memory.moves {
		if p *= throttleGrowth; p >= d.MaxDelay {
			return d.MaxDelay
		}
	}
	return p
}

// conclude says what changes for each member and remembers the outcome.
func (d *division) conclude(lost Work, delay time.Duration) Plan {
	plan := Plan{Changes: map[string]Change{}, Delay: delay}
	m := &d.memory
	owners := map[connector.TaskID]string{}
	for id := range lost {
		owners[id] = m.owners[id]
	}
	m.assigned, m.revoked, m.members = lost.Clone(), Work{}, map[string]bool{}
	for _, l := range d.loads {
		revoked := d.revoke[l.member.ID]
		plan.Changes[l.member.ID] = Change{Assigned: l.work.minus(l.member.Running), Revoked: revoked}
		for id := range l.work {
			owners[id] = l.member.URL
		}
		m.assigned.add(l.work)
		m.revoked.add(revoked)
		m.members[l.member.ID] = true
	}
	m.owners, m.generation = owners, d.Generation
	return plan
}
