package group

import (
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/millrace/millrace/broker/group/consumer"
)

// Action is one thing for the shell to do: either call Reply, or append Append
// to the group's partition of __consumer_offsets and, once it is durable or
// has failed, feed Then's actions back. Actions are performed in order.
type Action struct {
	Reply  func()
	Append []Record
	Via    func(records []Record, done func(error)) // instead of Store.Append
	Then   func(now time.Time, err error) []Action
}

// member is one member of a group. A member with a parked join or sync is
// alive; otherwise it is until its deadline.
type member struct {
	id, instance         string
	clientID, clientHost string
	session, rebalance   time.Duration
	protocols            []Protocol
	assignment           []byte
	join                 func(JoinResult)
	sync                 func(SyncResult)
	deadline             time.Time
}

// touch counts a sign of life.
func (m *member) touch(now time.Time) { m.deadline = now.Add(m.session) }

func (m *member) parked() bool { return m.join != nil || m.sync != nil }

func (m *member) metadata(protocol string) []byte {
	for _, p := range m.protocols {
		if p.Name == protocol {
			return p.Metadata
		}
	}
	return nil
}

// offers reports whether the member's protocols are exactly these.
func (m *member) offers(ps []Protocol) bool {
	return slices.EqualFunc(m.protocols, ps, func(a, b Protocol) bool {
		return a.Name == b.Name && slices.Equal(a.Metadata, b.Metadata)
	})
}

// Group is one group: a classic one (KIP-62, KIP-345, KIP-394), or the offsets
// of one whose members consumer.Group coordinates. It is not safe for
// concurrent use. Slices and strings given to it must not change afterwards.
type Group struct {
	id  string
	cfg *Config
	log *slog.Logger

	state        State
	since        time.Time // of the state
	protocolType string
	protocol     string
	generation   int32
	leader       string
	members      map[string]*member
	order        []string             // member ids in the order they joined
	static       map[string]string    // instance id to member id
	pending      map[string]time.Time // ids given out by KIP-394, until when

	rebalanceBy time.Time     // PreparingRebalance: when it is completed at the latest
	extendable  time.Duration // what is left to extend the initial delay by
	initial     bool          // the initial delay runs
	grew        bool          // a member joined since the delay was last set
	syncBy      time.Time     // CompletingRebalance: when those who did not sync are removed
	unsynced    map[string]bool
	assigning   bool // the leader's assignment is being appended
	deleting    bool // tombstones are being appended

	consumer *consumer.Group // nil unless the group is one of the consumer protocol
	busy     bool            // records of the consumer protocol are being appended
	parked   []parkedEvent   // wait for that

	offsets  map[TopicPartition]committed
	appends  int64                 // counts appends of offsets, to apply them in order
	inFlight int                   // appends of offsets that are not durable yet
	txns     map[int64]*txnOffsets // by producer id
}

func newGroup(id string, cfg *Config, now time.Time) *Group {
	return &Group{
		id: id, cfg: cfg, log: cfg.Logger, since: now,
		members:  make(map[string]*member),
		static:   make(map[string]string),
		pending:  make(map[string]time.Time),
		unsynced: make(map[string]bool),
		offsets:  make(map[TopicPartition]committed),
	}
}

// enter moves the group to a state that it may enter.
func (g *Group) enter(next State, now time.Time) {
	if !canEnter(g.state, next) {
		panic("group: " + g.state.String() + " to " + next.String())
	}
	g.log.Debug("group moved", "group", g.id, "from", g.state.String(), "to", next.String(), "generation", g.generation)
	g.state, g.since = next, now
}

// dead reports whether requests must find the group gone.
func (g *Group) dead() bool { return g.state == Dead || g.deleting }

// checkMember finds the member that a request names: UNKNOWN_MEMBER_ID, or
// FENCED_INSTANCE_ID if its instance has another member id by now.
func (g *Group) checkMember(id, instance string) (*member, error) {
	if g.dead() {
		return nil, kerr.CoordinatorNotAvailable
	}
	if instance != "" {
		current, ok := g.static[instance]
		if !ok {
			return nil, kerr.UnknownMemberID
		}
		if current != id {
			return nil, kerr.FencedInstanceID
		}
	}
	m := g.members[id]
	if m == nil {
		return nil, kerr.UnknownMemberID
	}
	return m, nil
}

// add takes in a member; the first one decides the protocol type.
func (g *Group) add(m *member, protocolType string) {
	if len(g.members) == 0 {
		g.protocolType = protocolType
	}
	g.members[m.id] = m
	g.order = append(g.order, m.id)
	if m.instance != "" {
		g.static[m.instance] = m.id
	}
	if g.leader == "" {
		g.leader = m.id
	}
}

// remove takes a member out and answers what it waits for.
func (g *Group) remove(id string, err error) []Action {
	m := g.members[id]
	delete(g.members, id)
	delete(g.unsynced, id)
	g.order = slices.DeleteFunc(g.order, func(x string) bool { return x == id })
	if m.instance != "" && g.static[m.instance] == id {
		delete(g.static, m.instance)
	}
	if g.leader == id {
		g.leader = ""
		if len(g.order) > 0 {
			g.leader = g.order[0]
		}
	}
	return m.fail(err)
}

// fail answers what the member waits for with an error.
func (m *member) fail(err error) []Action {
	var out []Action
	if reply := m.join; reply != nil {
		id := m.id
		m.join = nil
		out = append(out, Action{Reply: func() { reply(JoinResult{Err: err, MemberID: id, Generation: -1}) }})
	}
	if reply := m.sync; reply != nil {
		m.sync = nil
		out = append(out, Action{Reply: func() { reply(SyncResult{Err: err}) }})
	}
	return out
}

// each returns the members in the order they joined.
func (g *Group) each() []*member {
	out := make([]*member, 0, len(g.order))
	for _, id := range g.order {
		out = append(out, g.members[id])
	}
	return out
}

// rebalanceTimeout is the longest of the members'.
func (g *Group) rebalanceTimeout() time.Duration {
	var d time.Duration
	for _, m := range g.members {
		d = max(d, m.rebalance)
	}
	return d
}

// supports reports whether a member with these protocols can be in the group:
// one protocol at least that every other member offers.
func (g *Group) supports(protocolType string, ps []Protocol) bool {
	if protocolType == "" || len(ps) == 0 {
		return false
	}
	if len(g.members) == 0 {
		return true
	}
	if protocolType != g.protocolType {
		return false
	}
	return slices.ContainsFunc(ps, func(p Protocol) bool { return g.common(p.Name) })
}

// common reports whether every member offers the protocol.
func (g *Group) common(name string) bool {
	for _, m := range g.members {
		if !slices.ContainsFunc(m.protocols, func(p Protocol) bool { return p.Name == name }) {
			return false
		}
	}
	return true
}

// vote chooses the protocol: each member is for the first of its own that all
// offer, the most votes win, the name decides a tie.
func (g *Group) vote() string {
	votes := make(map[string]int)
	for _, m := range g.members {
		for _, p := range m.protocols {
			if g.common(p.Name) {
				votes[p.Name]++
				break
			}
		}
	}
	best := ""
	for _, name := range slices.Sorted(maps.Keys(votes)) {
		if best == "" || votes[name] > votes[best] {
			best = name
		}
	}
	return best
}

// Deadline returns when Tick must be called, false if time alone changes nothing.
func (g *Group) Deadline() (time.Time, bool) {
	var next time.Time
	earlier := func(t time.Time) {
		if next.IsZero() || t.Before(next) {
			next = t
		}
	}
	if g.dead() || g.busy {
		return next, false
	}
	if g.consumer != nil {
		return g.consumer.Deadline()
	}
	switch g.state {
	case PreparingRebalance:
		earlier(g.rebalanceBy)
	case CompletingRebalance:
		earlier(g.syncBy)
	}
	for _, m := range g.members {
		if !m.parked() {
			earlier(m.deadline)
		}
	}
	for _, t := range g.pending {
		earlier(t)
	}
	return next, !next.IsZero()
}
