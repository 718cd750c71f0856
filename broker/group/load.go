package group

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/millrace/millrace/broker/group/consumer"
)

// Load takes over a partition of __consumer_offsets, of which this broker has
// become the leader, from its committed records in order. Until it returns,
// the partition's groups answer COORDINATOR_LOAD_IN_PROGRESS. Members of
// loaded groups have a whole session to show themselves. Records of other
// kinds are skipped; a malformed one is an error, and the partition is not
// led. NOT_COORDINATOR means that Unload, or another Load, came in between.
func (c *Coordinator) Load(id int32, records iter.Seq2[Record, error]) error {
	return c.LoadLog(id, plain(records))
}

// plain makes of records what they are outside of transactions.
func plain(records iter.Seq2[Record, error]) iter.Seq2[Stored, error] {
	return func(yield func(Stored, error) bool) {
		for r, err := range records {
			if !yield(Stored{Record: r, Producer: -1}, err) {
				return
			}
		}
	}
}

// LoadLog is Load of a log with transactions: their offsets count, are
// forgotten, or are pending still, as their markers say.
func (c *Coordinator) LoadLog(id int32, records iter.Seq2[Stored, error]) error {
	p := c.parts[id]
	term := p.begin(true)
	groups, err := c.replay(records)
	p.mu.Lock()
	if p.term != term {
		p.mu.Unlock()
		return fmt.Errorf("load __consumer_offsets %d: %w", id, kerr.NotCoordinator)
	}
	p.loading = false
	if err != nil {
		p.mu.Unlock()
		return fmt.Errorf("load __consumer_offsets %d: %w", id, err)
	}
	now := time.Now()
	p.groups = make(map[string]*entry, len(groups))
	for name, g := range groups {
		for _, m := range g.members {
			m.touch(now)
		}
		if g.consumer != nil {
			g.consumer.Restart(now)
		}
		e := &entry{group: g}
		p.groups[name] = e
		p.settle(e, now, nil)
	}
	p.mu.Unlock()
	level := slog.LevelInfo
	if len(groups) == 0 {
		level = slog.LevelDebug // most of the fifty partitions of a small cluster
	}
	c.cfg.Logger.Log(context.Background(), level, "group partition loaded", "partition", id, "groups", len(groups))
	return nil
}

// Unload gives up a partition: its groups answer NOT_COORDINATOR, and so do
// the joins and syncs that wait.
func (c *Coordinator) Unload(id int32) { c.parts[id].begin(false) }

// begin drops the groups there are and starts a new term.
func (p *partition) begin(loading bool) int {
	p.mu.Lock()
	now := time.Now()
	for _, e := range p.groups {
		p.settle(e, now, e.group.kill(now))
	}
	p.groups, p.loading = nil, loading
	p.term++
	term := p.term
	p.drain()
	return term
}

// replay adds the records up to groups.
func (c *Coordinator) replay(records iter.Seq2[Stored, error]) (map[string]*Group, error) {
	groups := make(map[string]*Group)
	now := time.Now()
	for r, err := range records {
		if err != nil {
			return nil, err
		}
		if r.Marker {
			endTxn(groups, r.Producer, r.Commit)
			continue
		}
		d, ok, err := decodeRecord(r.Record)
		if err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		g := groups[d.group]
		if g == nil {
			g = newGroup(d.group, &c.cfg, now)
			groups[d.group] = g
		}
		if r.Producer >= 0 && !d.isMeta {
			g.restoreTxnOffset(r.Producer, d)
			continue
		}
		g.replay(now, d)
	}
	for name, g := range groups {
		if g.consumer != nil && g.consumer.Blank() {
			g.consumer = nil // all of it is tombstones
		}
		if g.blank() {
			delete(groups, name)
		}
	}
	return groups, nil
}

func (g *Group) replay(now time.Time, d decoded) {
	switch {
	case d.member != nil:
		if g.consumer == nil {
			g.consumer = consumer.New(g.id, &g.cfg.Consumer)
		}
		g.consumer.Replay(*d.member)
	case d.isMeta && d.meta != nil:
		g.restore(now, d.meta)
	case d.isMeta:
		offsets, appends, txns, modern := g.offsets, g.appends, g.txns, g.consumer
		*g = *newGroup(g.id, g.cfg, now)
		g.offsets, g.appends, g.txns, g.consumer = offsets, appends, txns, modern
	case d.offset != nil:
		g.restoreOffset(d.tp, d.offset)
	default:
		delete(g.offsets, d.tp)
	}
}

// blank reports whether the group is as if it had never been.
func (g *Group) blank() bool {
	return g.state == Empty && !g.deleting && g.generation == 0 && g.protocolType == "" &&
		len(g.pending) == 0 && len(g.offsets) == 0 && len(g.txns) == 0 && g.inFlight == 0 && g.consumer == nil
}

// kill ends the group here; another broker leads it.
func (g *Group) kill(now time.Time) []Action {
	if g.state == Dead {
		return nil
	}
	var out []Action
	for _, m := range g.each() {
		out = append(out, m.fail(kerr.NotCoordinator)...)
	}
	g.enter(Dead, now)
	out = append(out, g.killConsumer(kerr.NotCoordinator)...)
	return out
}

// Describe is DescribeGroups of one group. GROUP_ID_NOT_FOUND stands for what
// versions before 6 call a group in state Dead.
func (c *Coordinator) Describe(group string) (Description, error) {
	var d Description
	known := true
	err := c.existing(group, func(g *Group, _ time.Time) []Action {
		if known = g != nil && !g.dead() && g.consumer == nil; known {
			d = g.describe()
		}
		return nil
	})
	if err == nil && !known {
		err = kerr.GroupIDNotFound
	}
	return d, err
}

func (g *Group) describe() Description {
	d := Description{Group: g.id, State: g.state, ProtocolType: g.protocolType}
	if g.state == Stable {
		d.Protocol = g.protocol
	}
	for _, m := range g.each() {
		md := MemberDescription{MemberID: m.id, InstanceID: m.instance, ClientID: m.clientID, ClientHost: m.clientHost}
		if g.state == Stable {
			md.Metadata, md.Assignment = m.metadata(g.protocol), m.assignment
		}
		d.Members = append(d.Members, md)
	}
	return d
}

// List returns the groups this broker leads, by name.
// COORDINATOR_LOAD_IN_PROGRESS means that there may be more.
func (c *Coordinator) List() ([]Listing, error) {
	var out []Listing
	var err error
	for _, p := range c.parts {
		p.mu.Lock()
		if p.loading {
			err = kerr.CoordinatorLoadInProgress
		}
		for _, e := range p.groups {
			out = append(out, e.group.listing())
		}
		p.mu.Unlock()
	}
	slices.SortFunc(out, func(a, b Listing) int { return cmp.Compare(a.Group, b.Group) })
	return out, err
}

func (g *Group) listing() Listing {
	l := Listing{Group: g.id, ProtocolType: g.protocolType, State: g.state.String(), Type: "classic"}
	if g.consumer != nil && !g.dead() {
		l.ProtocolType, l.State, l.Type = "consumer", g.consumer.State().String(), "consumer"
	}
	return l
}

// ExpireOffsets drops the offsets that offsets.retention.minutes no longer
// keeps, and the groups that have nothing left. The owner calls it every
// offsets.retention.check.interval.ms.
func (c *Coordinator) ExpireOffsets() {
	c.each(func(g *Group, now time.Time) []Action { return g.Expire(now) })
}

// TopicDeleted drops all offsets of a topic that was deleted.
func (c *Coordinator) TopicDeleted(topic string) {
	c.each(func(g *Group, _ time.Time) []Action { return g.TopicDeleted(topic) })
}

func (c *Coordinator) each(event func(*Group, time.Time) []Action) {
	for _, p := range c.parts {
		p.mu.Lock()
		now := time.Now()
		for _, e := range p.groups {
			p.settle(e, now, event(e.group, now))
		}
		p.drain()
	}
}
