package rebalance

import (
	"maps"
	"net/url"
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
	// Last says at which worker, as host:port, each item was last known to be.
	// A leader that is new goes by it.
	Last map[connector.TaskID]string
}

// Plan is what the leader decides.
type Plan struct {
	Changes map[string]Change           // by member id
	Owners  map[connector.TaskID]string // URL of the member that runs each item
	Delay   time.Duration               // after which all members should rejoin, 0 for not
}

// Assignor is the leader's side of incremental cooperative rebalancing
// (KIP-415). What runs well stays where it is: work moves only when a worker
// has joined, off members that have more than their share, and in two rounds,
// so that it stops on one member before it starts on another. The work of a
// member that left waits for the delay, in case the member comes back.
//
// Differs from Kafka in what it spares:
//   - A worker that comes back within the delay, known by its address, gets its
//     own work at once; in Kafka Connect it waits for the delay to run out.
//   - Connectors that come, go or change their number of tasks move no work of
//     others. Kafka Connect balances anew when some are deleted.
//   - A leader that is new to a group that runs goes by what is said of where
//     work last was, so that the work of the leader before it waits as well. In
//     Kafka Connect a new leader deals it out at once.
//   - A round whose assignments never arrived is forgotten as if it had not
//     been. Kafka Connect forgets everything, and with it the delay.
//
// An Assignor belongs to one leader and is not safe for concurrent use. Who
// leads anew starts with a new one.
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
	owners     map[connector.TaskID]string // address of the worker that has or last had it
	members    map[string]bool
	candidates map[string]bool // members that joined empty while work waits

	waiting  bool // lost work waits until due
	due      time.Time
	owed     bool // a worker has joined and the work is not balanced since
	moved    bool // the last round took work off members to balance them
	moves    int  // how many rounds in a row would have
	throttle time.Time
}

func (m memory) clone() memory {
	m.assigned, m.revoked = m.assigned.Clone(), m.revoked.Clone()
	m.owners, m.members, m.candidates = cloned(m.owners), cloned(m.members), cloned(m.candidates)
	return m
}

// cloned returns a copy that can be written to.
func cloned[K comparable, V any](m map[K]V) map[K]V {
	out := make(map[K]V, len(m))
	maps.Copy(out, m)
	return out
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
	m.assigned.add(m.revoked.and(active)) // revocations that did not take effect
	if m.generation == 0 {
		d.recall(active)
	}
	deleted := m.assigned.minus(d.Configured)
	lost := m.assigned.minus(active, deleted)
	created := d.Configured.minus(m.assigned, active)
	d.revokeWhatMustGo(active.minus(d.Configured))
	// What is given away now is the base for balancing; what is new is not.
	delay := d.settleLost(lost, created)
	if !m.waiting && m.owed {
		if throttled := d.balance(created); throttled > 0 {
			delay = throttled
		}
	} else if m.waiting {
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
	case d.MaxDelay <= 0:
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

// recall makes a new leader's memory of what is not running from where it was
// last. A group that runs nothing at all starts afresh.
func (d *division) recall(active Work) {
	if len(active) == 0 {
		return
	}
	for id := range d.Configured.minus(active) {
		if at := d.Last[id]; at != "" {
			d.memory.assigned[id], d.memory.owners[id] = true, at
		}
	}
}

// giveBack returns lost work to the worker that had it, if it is there, and
// notes whether one has come that had none.
func (d *division) giveBack(lost Work) {
	byAddress, back := map[string]*load{}, map[*load]bool{}
	for _, l := range d.loads {
		if a := address(l.member.URL); byAddress[a] == nil {
			byAddress[a] = l
		}
	}
	for id := range lost {
		if l := byAddress[d.memory.owners[id]]; l != nil {
			l.work[id] = true
			back[l] = true
			delete(lost, id)
		}
	}
	for _, l := range d.loads {
		if !d.memory.members[l.member.ID] && len(l.member.Running) == 0 && !back[l] {
			d.memory.owed = true
		}
	}
}

// address returns the host and port of a worker's URL, which statuses name it
// by.
func address(rawURL string) string {
	if u, err := url.Parse(rawURL); err == nil && u.Host != "" {
		return u.Host
	}
	return rawURL
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
		m.owed, m.moved, m.moves, m.throttle = false, false, 0, time.Time{}
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
	plan := Plan{Changes: map[string]Change{}, Owners: map[connector.TaskID]string{}, Delay: delay}
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
			owners[id], plan.Owners[id] = address(l.member.URL), l.member.URL
		}
		m.assigned.add(l.work)
		m.revoked.add(revoked)
		m.members[l.member.ID] = true
	}
	m.owners, m.generation = owners, d.Generation
	return plan
}
