package group

import (
	"iter"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/millrace/millrace/broker/group/consumer"
)

// A group of the consumer protocol (KIP-848) is a Group in state Empty with a
// consumer.Group, which has the members; offsets are common to both protocols.
// A group without members changes to whichever protocol asks for it.
//
// Differs from Kafka: a group with members never changes its protocol
// (group.consumer.migration.policy=disabled). A classic member that would join
// a consumer group hears INCONSISTENT_GROUP_PROTOCOL, and the other way round
// GROUP_ID_NOT_FOUND.

// parkedEvent is an event that waits for the records of the one before it.
type parkedEvent struct {
	run  func(now time.Time) []Action
	fail func(err error) []Action
}

// occupied reports whether the consumer protocol has members here, or may have
// as soon as an append is done.
func (g *Group) occupied() bool {
	return g.consumer != nil && (g.consumer.Size() > 0 || g.busy)
}

// vacant reports whether no protocol has members here.
func (g *Group) vacant() bool {
	return g.state == Empty && len(g.pending) == 0 && !g.occupied()
}

// ConsumerHeartbeat is a ConsumerGroupHeartbeat that has been checked. done is
// called when what follows from it is durable.
func (g *Group) ConsumerHeartbeat(now time.Time, r consumer.Heartbeat, done func(consumer.Answer, error)) []Action {
	fail := func(err error) []Action {
		return []Action{{Reply: func() { done(consumer.Answer{}, err) }}}
	}
	switch {
	case g.dead():
		return fail(kerr.CoordinatorNotAvailable)
	case g.busy:
		g.parked = append(g.parked, parkedEvent{
			run:  func(now time.Time) []Action { return g.ConsumerHeartbeat(now, r, done) },
			fail: fail,
		})
		return nil
	case g.consumer == nil && !g.vacant():
		return fail(kerr.GroupIDNotFound)
	case g.consumer == nil && r.Epoch != 0:
		return fail(kerr.UnknownMemberID)
	}
	var classic []Record
	if g.consumer == nil {
		g.consumer = consumer.New(g.id, &g.cfg.Consumer)
		if g.generation > 0 || g.protocolType != "" {
			classic = []Record{{Key: metadataKey(g.id)}}
		}
	}
	answer, change, err := g.consumer.Heartbeat(now, r, g.cfg.Topics())
	if err != nil {
		if g.consumer.Blank() {
			g.consumer = nil
		}
		return fail(err)
	}
	return g.store(classic, change, func(err error) []Action {
		if err != nil {
			return fail(storeError(err))
		}
		return []Action{{Reply: func() { done(answer, nil) }}}
	})
}

// store appends what an event of the consumer protocol changed. Further events
// wait until that is done. then runs once it is.
func (g *Group) store(before []Record, change consumer.Change, then func(error) []Action) []Action {
	if len(before)+len(change.Records) == 0 {
		return then(nil)
	}
	records := before
	for _, r := range change.Records {
		records = append(records, Record(r))
	}
	g.busy = true
	return []Action{{
		Append: records,
		Then: func(now time.Time, err error) []Action {
			g.busy = false
			if g.state == Dead {
				return then(err)
			}
			if err != nil {
				g.log.Warn("consumer group not stored", "group", g.id, "err", err)
				g.consumer.Undo(now, change)
			}
			g.settleConsumer(now)
			return append(then(err), g.unpark(now)...)
		},
	}}
}

// settleConsumer follows from the members there are: a group that has never
// had one is none of this protocol, and one that has is none of the other.
func (g *Group) settleConsumer(now time.Time) {
	switch {
	case g.consumer.Blank():
		g.consumer = nil
	case g.consumer.Size() == 0:
		g.since = now
		fallthrough
	default:
		g.protocolType, g.protocol, g.leader, g.generation = "", "", "", 0
	}
}

// unpark runs the events that have waited, up to the next that must be stored.
func (g *Group) unpark(now time.Time) []Action {
	var out []Action
	for !g.busy && len(g.parked) > 0 {
		next := g.parked[0]
		g.parked = g.parked[1:]
		out = append(out, next.run(now)...)
	}
	return out
}

// killConsumer answers the events that wait.
func (g *Group) killConsumer(err error) []Action {
	var out []Action
	for _, p := range g.parked {
		out = append(out, p.fail(err)...)
	}
	g.parked = nil
	return out
}

// tickConsumer removes members that are silent or do not let go of partitions.
func (g *Group) tickConsumer(now time.Time) []Action {
	if g.busy {
		return nil
	}
	gone, change := g.consumer.Tick(now)
	for _, id := range gone {
		g.log.Info("group member expired", "group", g.id, "member", id)
	}
	return g.store(nil, change, func(error) []Action { return nil }) // tried again at the next deadline
}

// becomeClassic removes what is left of the consumer protocol in a group
// without members.
func (g *Group) becomeClassic(now time.Time) []Action {
	change := g.consumer.Destroy()
	g.consumer = nil
	records := make([]Record, 0, len(change.Records))
	for _, r := range change.Records {
		records = append(records, Record(r))
	}
	g.since = now
	return []Action{{
		Append: records,
		Then: func(_ time.Time, err error) []Action {
			if err != nil { // the classic group's own records will win over them
				g.log.Warn("consumer group not removed", "group", g.id, "err", err)
			}
			return nil
		},
	}}
}

// checkConsumerCommit is checkCommit for a group of the consumer protocol. A
// member must name its epoch, which versions before 9 cannot.
func (g *Group) checkConsumerCommit(r CommitRequest) error {
	if r.Generation >= 0 && !r.GroupIDNotFound {
		return kerr.UnsupportedVersion
	}
	return g.consumer.CheckCommit(r.MemberID, r.Generation, committing(r.Offsets))
}

// committing lists the partitions of a commit.
func committing(offsets []OffsetToCommit) iter.Seq[consumer.Committed] {
	return func(yield func(consumer.Committed) bool) {
		for _, o := range offsets {
			if !yield(consumer.Committed{Topic: o.Topic, Partition: o.Partition}) {
				return
			}
		}
	}
}

// noTopics is a cluster without topics.
type noTopics struct{}

func (noTopics) Version() uint64                         { return 1 }
func (noTopics) Topic(string) (t consumer.Topic, _ bool) { return t, false }
func (noTopics) Names() iter.Seq[string]                 { return func(func(string) bool) {} }
func (noTopics) Name(consumer.TopicID) (string, bool)    { return "", false }

// ConsumerHeartbeat is ConsumerGroupHeartbeat.
func (c *Coordinator) ConsumerHeartbeat(group string, r consumer.Heartbeat, done func(consumer.Answer, error)) {
	fail := func(err error) { done(consumer.Answer{}, err) }
	if err := c.cfg.Consumer.Check(&r); err != nil {
		fail(err)
		return
	}
	known := true
	err := c.do(group, r.Epoch == 0, func(g *Group, now time.Time) []Action {
		if known = g != nil; !known {
			return nil
		}
		return g.ConsumerHeartbeat(now, r, done)
	})
	if err == nil && !known {
		err = kerr.UnknownMemberID
		if r.Epoch < 0 {
			err = kerr.GroupIDNotFound
		}
	}
	if err != nil {
		fail(err)
	}
}

// DescribeConsumer is ConsumerGroupDescribe of one group.
func (c *Coordinator) DescribeConsumer(group string) (consumer.Description, error) {
	var d consumer.Description
	known := true
	err := c.existing(group, func(g *Group, _ time.Time) []Action {
		if known = g != nil && !g.dead() && g.consumer != nil; known {
			d = g.consumer.Describe()
		}
		return nil
	})
	if err == nil && !known {
		err = kerr.GroupIDNotFound
	}
	return d, err
}

// CheckFetch decides whether a member may fetch its group's offsets (KIP-848):
// UNKNOWN_MEMBER_ID or STALE_MEMBER_EPOCH if it is out of date. Groups of the
// classic protocol do not check.
func (c *Coordinator) CheckFetch(group, member string, epoch int32) error {
	var result error
	err := c.do(group, false, func(g *Group, _ time.Time) []Action {
		if g != nil && !g.dead() && g.consumer != nil {
			result = g.consumer.CheckEpoch(member, epoch)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return result
}
