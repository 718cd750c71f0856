package group

import (
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/broker/group/consumer"
)

// committed is one durable offset.
type committed struct {
	offset   int64
	epoch    int32
	metadata string
	at       time.Time // of the commit
	expireAt time.Time // explicit, or zero
	append   int64     // which append it came with; later ones win
}

// Commit is an OffsetCommit. done gets one error for each offset, in order,
// once they are durable.
func (g *Group) Commit(now time.Time, r CommitRequest, done func([]error)) []Action {
	if err := g.checkCommit(now, r); err != nil {
		return []Action{replyCommit(done, r, err)}
	}
	records, values, errs := g.encodeOffsets(now, r.Offsets)
	if len(records) == 0 {
		return []Action{{Reply: func() { done(errs) }}}
	}
	g.inFlight++
	return []Action{{
		Append: records,
		Then: func(_ time.Time, err error) []Action {
			g.inFlight--
			for i := range errs {
				if errs[i] == nil && err != nil {
					errs[i] = commitError(err)
				}
			}
			if err == nil {
				g.apply(values)
			}
			return []Action{{Reply: func() { done(errs) }}}
		},
	}}
}

// encodeOffsets returns offsets as records and as what they will be when those
// are durable, and one error for each, nil unless it is left out.
func (g *Group) encodeOffsets(now time.Time, offsets []OffsetToCommit) ([]Record, map[TopicPartition]committed, []error) {
	errs := make([]error, len(offsets))
	var records []Record
	values := make(map[TopicPartition]committed)
	g.appends++
	for i, o := range offsets {
		if len(o.Metadata) > min(g.cfg.MaxMetadataBytes, maxString) {
			errs[i] = kerr.OffsetMetadataTooLarge
			continue
		}
		c := committed{o.Offset, o.LeaderEpoch, o.Metadata, now, o.ExpireAt, g.appends}
		values[o.TopicPartition] = c
		records = append(records, offsetRecord(g.id, o.TopicPartition, c))
	}
	return records, values, errs
}

func replyCommit(done func([]error), r CommitRequest, err error) Action {
	return Action{Reply: func() { done(slices.Repeat([]error{err}, len(r.Offsets))) }}
}

// apply makes durable offsets visible, unless newer ones are.
func (g *Group) apply(values map[TopicPartition]committed) {
	for tp, c := range values {
		if old, ok := g.offsets[tp]; !ok || old.append <= c.append {
			g.offsets[tp] = c
		}
	}
}

// checkCommit decides who may commit: a member of this generation, also while
// the next is being prepared, or anyone if the group has no members.
func (g *Group) checkCommit(now time.Time, r CommitRequest) error {
	if g.dead() {
		return kerr.CoordinatorNotAvailable
	}
	if g.consumer != nil {
		return g.checkConsumerCommit(r)
	}
	if r.Generation < 0 && g.state == Empty {
		return nil
	}
	if r.Generation < 0 && r.MemberID == "" && r.InstanceID == "" {
		return kerr.UnknownMemberID
	}
	m, err := g.checkMember(r.MemberID, r.InstanceID)
	switch {
	case err != nil:
		return err
	case r.Generation != g.generation:
		return kerr.IllegalGeneration
	case g.state == CompletingRebalance:
		return kerr.RebalanceInProgress
	}
	m.touch(now)
	return nil
}

// Fetch returns the committed offsets of the partitions, or, if they are nil,
// of all that have one, by topic and partition.
func (g *Group) Fetch(tps []TopicPartition) []CommittedOffset {
	if tps == nil {
		for tp := range g.offsets {
			tps = append(tps, tp)
		}
		slices.SortFunc(tps, compareTopicPartition)
	}
	out := make([]CommittedOffset, 0, len(tps))
	for _, tp := range tps {
		o := CommittedOffset{TopicPartition: tp, Offset: -1, LeaderEpoch: -1}
		if c, ok := g.offsets[tp]; ok {
			o.Offset, o.LeaderEpoch, o.Metadata = c.offset, c.epoch, c.metadata
		}
		o.Unstable = len(g.txns) > 0 && g.unstable(tp)
		out = append(out, o)
	}
	return out
}

func compareTopicPartition(a, b TopicPartition) int {
	if c := strings.Compare(a.Topic, b.Topic); c != 0 {
		return c
	}
	return int(a.Partition) - int(b.Partition)
}

// DeleteOffsets is an OffsetDelete: done gets one error for each partition, or
// the one that all share.
func (g *Group) DeleteOffsets(tps []TopicPartition, done func([]error, error)) []Action {
	fail := func(err error) []Action { return []Action{{Reply: func() { done(nil, err) }}} }
	switch {
	case g.dead():
		return fail(kerr.GroupIDNotFound)
	case g.state != Empty && g.protocolType != "consumer":
		return fail(kerr.NonEmptyGroup)
	}
	errs := make([]error, len(tps))
	var gone []TopicPartition
	for i, tp := range tps {
		if g.subscribed(tp.Topic) {
			errs[i] = kerr.GroupSubscribedToTopic
		} else if _, ok := g.offsets[tp]; ok {
			gone = append(gone, tp)
		}
	}
	return g.dropOffsets(gone, nil, func(err error) []Action {
		if err != nil {
			return fail(storeError(err))
		}
		return []Action{{Reply: func() { done(errs, nil) }}}
	})
}

// dropOffsets appends tombstones for offsets, and extra ones, and forgets the
// offsets once those are durable.
func (g *Group) dropOffsets(gone []TopicPartition, extra []Record, then func(error) []Action) []Action {
	records := make([]Record, 0, len(gone)+len(extra))
	for _, tp := range gone {
		records = append(records, Record{Key: offsetKey(g.id, tp)})
	}
	records = append(records, extra...)
	if len(records) == 0 {
		return then(nil)
	}
	g.appends++
	at := g.appends
	return []Action{{
		Append: records,
		Then: func(_ time.Time, err error) []Action {
			for _, tp := range gone {
				if err == nil && g.offsets[tp].append <= at {
					delete(g.offsets, tp)
				}
			}
			return then(err)
		},
	}}
}

// subscribed reports whether an active consumer group reads the topic; if its
// members do not say what they subscribe to, it may be any.
func (g *Group) subscribed(topic string) bool {
	if g.consumer != nil {
		return g.consumer.Subscribed(topic)
	}
	if g.state == Empty || g.protocolType != "consumer" {
		return false
	}
	for _, m := range g.members {
		for _, p := range m.protocols {
			var c kmsg.ConsumerMemberMetadata
			if err := c.ReadFrom(p.Metadata); err != nil || slices.Contains(c.Topics, topic) {
				return true
			}
		}
	}
	return false
}

// Expire drops the offsets that have not been needed for offsets.retention
// (KIP-211), and the group with the last of them. What is in flight is left
// for the next time.
func (g *Group) Expire(now time.Time) []Action {
	if g.dead() || g.inFlight > 0 {
		return nil
	}
	var gone []TopicPartition
	for tp, c := range g.offsets {
		if g.expired(tp, c, now) && !g.unstable(tp) {
			gone = append(gone, tp)
		}
	}
	slices.SortFunc(gone, compareTopicPartition)
	if g.vacant() && len(g.txns) == 0 && len(gone) == len(g.offsets) {
		return g.destroy(gone, func(error) []Action { return nil })
	}
	return g.dropOffsets(gone, nil, g.logDrop)
}

func (g *Group) logDrop(err error) []Action {
	if err != nil {
		g.log.Warn("offsets not dropped", "group", g.id, "err", err)
	}
	return nil
}

func (g *Group) expired(tp TopicPartition, c committed, now time.Time) bool {
	since := c.at
	switch {
	case !c.expireAt.IsZero():
		return !now.Before(c.expireAt)
	case g.occupied():
		if g.subscribed(tp.Topic) {
			return false
		}
	case g.protocolType == "" && g.consumer == nil:
	case g.state == Empty:
		if g.since.After(since) {
			since = g.since
		}
	case g.protocolType != "consumer" || g.subscribed(tp.Topic):
		return false
	}
	return now.Sub(since) >= g.cfg.OffsetsRetention
}

// TopicDeleted drops the offsets of a deleted topic.
func (g *Group) TopicDeleted(topic string) []Action {
	if g.dead() {
		return nil
	}
	var gone []TopicPartition
	for tp := range g.offsets {
		if tp.Topic == topic {
			gone = append(gone, tp)
		}
	}
	slices.SortFunc(gone, compareTopicPartition)
	return g.dropOffsets(gone, nil, g.logDrop)
}

// Delete is a DeleteGroups of this group, which must be empty. The group is
// Dead once its tombstones are durable.
//
// Differs from Kafka: a group with offsets in a transaction that is not
// decided is not empty, or the transaction's end would bring it back.
func (g *Group) Delete(done func(error)) []Action {
	fail := func(err error) []Action { return []Action{{Reply: func() { done(err) }}} }
	switch {
	case g.dead():
		return fail(kerr.GroupIDNotFound)
	case g.busy:
		return fail(kerr.CoordinatorLoadInProgress) // a member comes or goes
	case g.state != Empty || g.occupied() || len(g.txns) > 0:
		return fail(kerr.NonEmptyGroup)
	case g.inFlight > 0:
		return fail(kerr.CoordinatorLoadInProgress) // its commits would outlive it
	}
	gone := make([]TopicPartition, 0, len(g.offsets))
	for tp := range g.offsets {
		gone = append(gone, tp)
	}
	slices.SortFunc(gone, compareTopicPartition)
	return g.destroy(gone, func(err error) []Action { return fail(storeError(err)) })
}

// destroy appends the tombstones of the group and the offsets it has left.
func (g *Group) destroy(gone []TopicPartition, then func(error) []Action) []Action {
	g.deleting = true
	extra := []Record{{Key: metadataKey(g.id)}}
	var change consumer.Change
	if g.consumer != nil {
		change, extra = g.consumer.Destroy(), nil
	}
	for _, r := range change.Records {
		extra = append(extra, Record(r))
	}
	return g.dropOffsets(gone, extra, func(err error) []Action {
		g.deleting = false
		if err != nil && g.consumer != nil {
			g.consumer.Undo(g.since, change)
		}
		switch {
		case err != nil:
			g.log.Warn("group not deleted", "group", g.id, "err", err)
		case g.state != Dead:
			g.enter(Dead, g.since)
		}
		return then(err)
	})
}
