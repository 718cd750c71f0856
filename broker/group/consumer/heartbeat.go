package consumer

import (
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// Member epochs of a heartbeat that say something other than an epoch.
const (
	epochJoin        = 0
	epochLeave       = -1
	epochLeaveStatic = -2 // for a while: the instance keeps its partitions
)

// Heartbeat is a ConsumerGroupHeartbeat. Nil means that nothing changed since
// the last one, and is told from empty.
type Heartbeat struct {
	MemberID   string
	Epoch      int32
	InstanceID string // "" for a dynamic member, or if unchanged
	RackID     string
	ClientID   string
	ClientHost string
	Rebalance  time.Duration // negative if unchanged
	Names      []string
	Regex      *string
	Assignor   *string
	Owned      Assignment // what the member has; see OwnedGiven
	OwnedGiven bool
	MustHaveID bool // v1: the member makes its id
}

// Answer answers a heartbeat.
type Answer struct {
	MemberID   string
	Epoch      int32
	Interval   time.Duration // until the next heartbeat
	Assignment Assignment    // nil if unchanged
}

// Check returns what is wrong with a heartbeat whatever its group.
func (cfg *Config) Check(r *Heartbeat) error {
	invalid := func(ok bool, text string) error {
		if ok {
			return nil
		}
		return refuse(kerr.InvalidRequest, "%s", text)
	}
	checks := []error{
		invalid(r.MemberID != "" || r.Epoch == epochJoin && !r.MustHaveID, "member id must not be empty"),
		invalid(r.Epoch >= epochLeaveStatic, "member epoch is invalid"),
		invalid(r.Epoch != epochLeaveStatic || r.InstanceID != "", "only a member with an instance id can leave for a while"),
		invalid(len(r.MemberID) <= maxString && len(r.InstanceID) <= maxString && len(r.RackID) <= maxString, "an id is longer than 32767 bytes"),
	}
	if r.Epoch == epochJoin {
		checks = append(checks,
			invalid(r.Rebalance >= 0, "a member that joins must give its rebalance timeout"),
			invalid(r.OwnedGiven && len(r.Owned) == 0, "a member that joins must say that it owns nothing"),
			invalid(r.Names != nil || r.Regex != nil, "a member that joins must give its subscription"))
	}
	if r.Assignor != nil && *r.Assignor != "" && !slices.Contains(cfg.Assignors, *r.Assignor) {
		checks = append(checks, refuse(kerr.UnsupportedAssignor, "assignor %q is not supported: use one of %v", *r.Assignor, cfg.Assignors))
	}
	for _, err := range checks {
		if err != nil {
			return err
		}
	}
	if r.Regex != nil {
		_, err := compile(*r.Regex)
		return err
	}
	return nil
}

// maxString is the longest string in a record's key.
const maxString = 1<<15 - 1

// Heartbeat takes a heartbeat that Check has passed.
func (g *Group) Heartbeat(now time.Time, r Heartbeat, topics Topics) (Answer, Change, error) {
	if r.Epoch < 0 {
		return g.leave(now, r)
	}
	old, err := g.find(&r)
	if err != nil {
		return Answer{}, Change{}, err
	}
	var c Change
	id, before := r.MemberID, g.currents[old]
	if id == "" {
		id = g.cfg.NewID()
	}
	bump := old == ""
	switch old {
	case id:
	case "":
		g.put(&c, change{kindCurrent, id, newCurrent()})
	default:
		g.replace(&c, old, id)
	}
	was := g.members[id]
	if m := r.updated(was); was == nil || !m.equal(was) {
		g.put(&c, change{kindMember, id, m})
		bump = bump || m.regex != was.regex || !slices.Equal(m.names, was.names)
		g.forgetPatterns()
	}
	g.follow(&c, topics, bump)
	g.retarget(&c)
	g.reconcile(&c, id, &r)
	timing := g.cfg.Timing(g.id)
	t := g.timers[id]
	if t == nil {
		t = new(timers)
		g.timers[id] = t
	}
	t.session = now.Add(timing.Session)
	after := g.currents[id]
	t.follow(now, before, after, g.members[id].rebalance)
	out := Answer{MemberID: id, Epoch: after.epoch, Interval: timing.Heartbeat}
	if r.full() || before == nil || !after.assigned.Equal(before.assigned) {
		out.Assignment = after.assigned
	}
	return out, c, nil
}

// follow sets the deadline of a revocation.
func (t *timers) follow(now time.Time, before, after *current, rebalance time.Duration) {
	switch {
	case after.state != unrevoked:
		t.revoke = time.Time{}
	case t.revoke.IsZero() || before == nil || before.epoch != after.epoch || !before.revoking.Equal(after.revoking):
		t.revoke = now.Add(rebalance)
	}
}

// full reports whether the heartbeat says everything, to be told everything.
func (r *Heartbeat) full() bool {
	return r.Epoch == epochJoin || r.Rebalance >= 0 && (r.Names != nil || r.Regex != nil) && r.OwnedGiven
}

// find returns the id under which the group knows the member: "" for a new
// one, and another than its own if it takes over a static member's place.
func (g *Group) find(r *Heartbeat) (string, error) {
	joins := r.Epoch == epochJoin
	known := ""
	if g.members[r.MemberID] != nil {
		known = r.MemberID
	}
	if r.InstanceID != "" {
		holder, taken := g.static[r.InstanceID]
		switch {
		case !taken && !joins:
			return "", kerr.UnknownMemberID
		case !taken, holder == r.MemberID:
		case !joins:
			return "", kerr.FencedInstanceID
		case g.currents[holder].epoch != epochLeaveStatic:
			return "", refuse(kerr.UnreleasedInstanceID, "instance id %q is in use by member %q", r.InstanceID, holder)
		default:
			return holder, nil
		}
	}
	switch {
	case known == "" && !joins:
		return "", kerr.UnknownMemberID
	case known == "" && len(g.members) >= g.cfg.MaxSize:
		return "", refuse(kerr.GroupMaxSizeReached, "the group has %d members already", len(g.members))
	case known != "" && !joins:
		return known, g.checkEpoch(known, r)
	}
	return known, nil
}

// checkEpoch fences a member whose epoch is neither its current one, nor the
// one before it with nothing that it has not been given: then it has not heard
// the last answer.
func (g *Group) checkEpoch(id string, r *Heartbeat) error {
	c := g.currents[id]
	switch {
	case r.Epoch == c.epoch:
		return nil
	case r.Epoch == c.previous && r.Epoch < c.epoch && r.OwnedGiven && len(r.Owned.Minus(c.assigned)) == 0:
		return nil
	}
	return refuse(kerr.FencedMemberEpoch, "member epoch is %d, the group knows %d: give up all partitions and join again", r.Epoch, c.epoch)
}

// replace hands the place of a static member to its next process.
func (g *Group) replace(c *Change, old, id string) {
	m, target, cur := g.members[old], g.targets[old], *g.currents[old]
	cur.epoch, cur.previous, cur.state = 0, 0, stable
	g.drop(c, old)
	g.put(c, change{kindMember, id, m})
	if target != nil {
		g.put(c, change{kindTarget, id, target})
	}
	g.put(c, change{kindCurrent, id, &cur})
}

// drop removes a member's records.
func (g *Group) drop(c *Change, id string) {
	g.put(c, change{kindCurrent, id, nil})
	g.put(c, change{kindTarget, id, nil})
	g.put(c, change{kindMember, id, nil})
}

// updated is what the group knows of a member after a heartbeat.
func (r *Heartbeat) updated(was *membership) *membership {
	m := membership{instance: r.InstanceID, clientID: r.ClientID, clientHost: r.ClientHost}
	if was != nil {
		m = *was
		m.clientID, m.clientHost = r.ClientID, r.ClientHost
	}
	if r.RackID != "" {
		m.rack = r.RackID
	}
	if r.InstanceID != "" {
		m.instance = r.InstanceID
	}
	if r.Rebalance >= 0 {
		m.rebalance = r.Rebalance
	}
	if r.Names != nil {
		m.names = slices.Compact(slices.Sorted(slices.Values(r.Names)))
	}
	if r.Regex != nil {
		m.regex = *r.Regex
	}
	if r.Assignor != nil {
		m.assignor = *r.Assignor
	}
	return &m
}

func (m *membership) equal(o *membership) bool {
	a, b := *m, *o
	a.names, b.names = nil, nil
	return a.same(&b) && slices.Equal(m.names, o.names)
}

// same compares all but the names.
func (m *membership) same(o *membership) bool {
	return m.instance == o.instance && m.rack == o.rack && m.clientID == o.clientID && m.clientHost == o.clientHost &&
		m.regex == o.regex && m.rebalance == o.rebalance && m.assignor == o.assignor
}

// leave is a heartbeat that says goodbye, for good or for a while.
func (g *Group) leave(now time.Time, r Heartbeat) (Answer, Change, error) {
	id := r.MemberID
	if r.InstanceID != "" {
		holder, ok := g.static[r.InstanceID]
		switch {
		case !ok:
			return Answer{}, Change{}, kerr.UnknownMemberID
		case holder != id:
			return Answer{}, Change{}, kerr.FencedInstanceID
		}
	}
	m := g.members[id]
	if m == nil {
		return Answer{}, Change{}, kerr.UnknownMemberID
	}
	var c Change
	if r.Epoch == epochLeaveStatic && m.instance != "" {
		was := g.currents[id]
		g.put(&c, change{kindCurrent, id, &current{
			epoch: epochLeaveStatic, previous: was.epoch, assigned: was.assigned, revoking: Assignment{},
		}})
		g.timers[id].revoke = time.Time{}
	} else {
		g.remove(&c, id)
	}
	return Answer{MemberID: id, Epoch: r.Epoch}, c, nil
}

// remove takes members out; the next heartbeat of another one shares out what
// they had.
func (g *Group) remove(c *Change, ids ...string) {
	for _, id := range ids {
		g.drop(c, id)
	}
	g.put(c, change{kindEpoch, "", g.epoch + 1})
	g.forgetPatterns()
}

// Deadline returns when Tick must be called, false if time alone changes
// nothing.
func (g *Group) Deadline() (time.Time, bool) {
	var next time.Time
	for _, t := range g.timers {
		for _, at := range []time.Time{t.session, t.revoke} {
			if !at.IsZero() && (next.IsZero() || at.Before(next)) {
				next = at
			}
		}
	}
	return next, !next.IsZero()
}

// Tick removes the members whose session has ended, or who have not confirmed
// in time that they let go of partitions. It returns their ids.
func (g *Group) Tick(now time.Time) ([]string, Change) {
	var gone []string
	for _, id := range g.ids() {
		t := g.timers[id]
		if t != nil && (!t.session.After(now) || !t.revoke.IsZero() && !t.revoke.After(now)) {
			gone = append(gone, id)
		}
	}
	var c Change
	if len(gone) > 0 {
		g.remove(&c, gone...)
	}
	return gone, c
}

// Destroy removes the records of a group without members.
func (g *Group) Destroy() Change {
	var c Change
	for _, id := range slices.Sorted(maps.Keys(g.members)) {
		g.drop(&c, id)
	}
	g.put(&c, change{kind: kindTargetEpoch})
	g.put(&c, change{kind: kindTopics})
	g.put(&c, change{kind: kindEpoch})
	return c
}
