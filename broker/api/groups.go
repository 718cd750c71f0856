package api

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/millrace/millrace/broker/group"
	"github.com/millrace/millrace/broker/group/consumer"
	"github.com/millrace/millrace/broker/metadata"
	"github.com/millrace/millrace/broker/recordbatch"
	"github.com/millrace/millrace/broker/replica"
)

// groups connects the group coordinator with the partitions of
// __consumer_offsets: it loads those that this broker leads and is the
// coordinator's Store.
type groups struct {
	*group.Coordinator
	*led
}

// newGroups makes the coordinator for as many partitions as the topic has, or
// will have.
func newGroups(a *API) (*groups, error) {
	b := a.cfg.Broker
	n := int32(b.Int("offsets.topic.num.partitions"))
	if t := a.cfg.Controller.Image().Topic(offsetsTopic); t != nil {
		n = int32(len(t.Partitions))
	}
	g := &groups{led: newLed(a)}
	delay := b.Milliseconds("group.initial.rebalance.delay.ms")
	if delay == 0 {
		delay = group.NoDelay
	}
	var err error
	g.Coordinator, err = group.New(group.Config{
		Partitions:            n,
		MinSessionTimeout:     b.Milliseconds("group.min.session.timeout.ms"),
		MaxSessionTimeout:     b.Milliseconds("group.max.session.timeout.ms"),
		InitialRebalanceDelay: delay,
		MaxSize:               b.Int("group.max.size"),
		MaxMetadataBytes:      b.Int("offset.metadata.max.bytes"),
		OffsetsRetention:      time.Duration(b.Int("offsets.retention.minutes")) * time.Minute,
		Topics:                func() consumer.Topics { return topicView{a.cfg.Controller.Image()} },
		Consumer: consumer.Config{
			MaxSize:   b.Int("group.consumer.max.size"),
			Assignors: metadata.Split(b.String("group.consumer.assignors")),
			Timing:    a.consumerTiming,
		},
		Store:  g,
		Logger: a.cfg.Logger,
	})
	if err != nil {
		return nil, fmt.Errorf("group coordinator: %w", err)
	}
	return g, nil
}

// Lead implements replica.Watcher: a partition of __consumer_offsets brings its
// groups, one of __transaction_state its transactional ids.
func (a *API) Lead(p *replica.Partition) {
	switch p.Topic {
	case offsetsTopic:
		a.groups.lead(p, func() error { return a.groups.LoadLog(p.ID, a.groups.records(p)) })
	case txnTopic:
		epoch := p.LeaderEpoch()
		a.txns.lead(p, func() error { return a.txns.Load(p.ID, epoch, a.txns.records(p)) })
	}
}

// Drop implements replica.Watcher.
func (a *API) Drop(p *replica.Partition) {
	switch p.Topic {
	case offsetsTopic:
		a.groups.forget(p.ID)
		a.groups.Unload(p.ID)
	case txnTopic:
		a.txns.forget(p.ID)
		a.txns.Unload(p.ID)
	}
}

// Follow is told of metadata images: offsets of deleted topics go, and quotas
// change.
func (a *API) Follow(_ context.Context, before, after *metadata.Image) {
	if !metadata.SameQuotas(before, after) {
		a.quotas.Follow(after)
	}
	for _, c := range metadata.Diff(before, after) {
		if c.After == nil && after.Topic(c.Before.Name) == nil {
			a.groups.TopicDeleted(c.Before.Name)
		}
	}
}

// Run does what groups and transactions need from time to time, until ctx ends.
func (a *API) Run(ctx context.Context) error {
	b := a.cfg.Broker
	offsets := time.NewTicker(b.Milliseconds("offsets.retention.check.interval.ms"))
	defer offsets.Stop()
	timeouts := time.NewTicker(b.Milliseconds("transaction.abort.timed.out.transaction.cleanup.interval.ms"))
	defer timeouts.Stop()
	ids := time.NewTicker(b.Milliseconds("transaction.remove.expired.transaction.cleanup.interval.ms"))
	defer ids.Stop()
	for {
		select {
		case <-offsets.C:
			a.groups.ExpireOffsets()
		case <-timeouts.C:
			a.txns.AbortTimedOut()
		case <-ids.C:
			a.txns.ExpireIDs()
		case <-ctx.Done():
			return nil
		}
	}
}

// close ends the coordinator, and waits for loads, which end because the API
// stops; joins and syncs that wait are answered.
func (g *groups) close() {
	g.loads.Wait()
	g.Close()
}

// records iterates over the records of a partition, and over the ends of its
// transactions.
func (g *groups) records(p *replica.Partition) iter.Seq2[group.Stored, error] {
	return func(yield func(group.Stored, error) bool) {
		for v, err := range g.batches(p) {
			if err != nil {
				yield(group.Stored{}, err)
				return
			}
			if !yieldStored(v, yield) {
				return
			}
		}
	}
}

// yieldStored yields what a batch holds; false when the consumer has enough or
// got an error.
func yieldStored(v recordbatch.View, yield func(group.Stored, error) bool) bool {
	if v.Control() {
		m, ok, err := marker(v)
		if err != nil || ok {
			return yield(group.Stored{Producer: v.ProducerID(), Marker: true, Commit: m.Type == recordbatch.Commit}, err) && err == nil
		}
		return true
	}
	producer := int64(-1)
	if v.Transactional() {
		producer = v.ProducerID()
	}
	for r, err := range v.Records(loadRecordsBytes) {
		if !yield(group.Stored{Record: group.Record{Key: r.Key, Value: r.Value}, Producer: producer}, err) || err != nil {
			return false
		}
	}
	return true
}

// Append implements group.Store.
func (g *groups) Append(partition int32, records []group.Record, done func(error)) {
	g.append(partition, records, recordbatch.NoProducer, done, func(p *replica.Partition, v recordbatch.View) (replica.Appended, error) {
		return p.AppendOwn(v)
	})
}

// append appends records as one batch.
func (g *groups) append(partition int32, records []group.Record, producer recordbatch.Producer, done func(error),
	write func(*replica.Partition, recordbatch.View) (replica.Appended, error)) {
	op := g.part(partition)
	if op == nil {
		done(kerr.NotCoordinator)
		return
	}
	var b recordbatch.Builder
	now := g.api.cfg.Now().UnixMilli()
	for _, r := range records {
		if err := b.Add(now, r.Key, r.Value); err != nil {
			done(kerrOf(err))
			return
		}
	}
	at, err := write(op.p, b.Batch(producer))
	if err != nil {
		g.api.cfg.Logger.Warn("group state not written", "topic", offsetsTopic, "partition", partition, "err", err)
		done(kerrOf(err))
		return
	}
	op.p.NotifyCommitted(at.LastOffset+1, func(err error) { done(kerrOf(err)) })
}

// kerrOf returns the Kafka error that err is; nil for nil.
func kerrOf(err error) error { return kerr.ErrorForCode(errorCode(err)) }
