package api

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/millrace/millrace/broker/group"
	"github.com/millrace/millrace/broker/group/consumer"
	"github.com/millrace/millrace/broker/metadata"
	"github.com/millrace/millrace/broker/recordbatch"
	"github.com/millrace/millrace/broker/replica"
)

// Bounds of loading a partition of __consumer_offsets.
const (
	loadChunkBytes   = 1 << 20
	loadRecordsBytes = 64 << 20
	loadsAtOnce      = 4
)

// loadPatience is how long FindCoordinator waits for a group's state to be
// loaded before it names the coordinator all the same.
const loadPatience = time.Second

var errStopping = errors.New("broker is stopping")

// groups connects the group coordinator with the partitions of
// __consumer_offsets: it loads those that this broker leads and is the
// coordinator's Store.
type groups struct {
	*group.Coordinator
	api   *API
	slots chan struct{} // bounds concurrent loads
	loads sync.WaitGroup

	mu    sync.Mutex // guards below
	parts map[int32]*offsetsPartition
}

// offsetsPartition is a partition of __consumer_offsets that is led here.
type offsetsPartition struct {
	p      *replica.Partition
	loaded chan struct{} // closed when the load has ended
}

// newGroups makes the coordinator for as many partitions as the topic has, or
// will have.
func newGroups(a *API) (*groups, error) {
	b := a.cfg.Broker
	n := int32(b.Int("offsets.topic.num.partitions"))
	if t := a.cfg.Controller.Image().Topic(offsetsTopic); t != nil {
		n = int32(len(t.Partitions))
	}
	g := &groups{api: a, slots: make(chan struct{}, loadsAtOnce), parts: make(map[int32]*offsetsPartition)}
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
// groups.
func (a *API) Lead(p *replica.Partition) {
	if p.Topic == offsetsTopic {
		a.groups.lead(p)
	}
}

// Drop implements replica.Watcher.
func (a *API) Drop(p *replica.Partition) {
	if p.Topic == offsetsTopic {
		a.groups.drop(p)
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

// Run does what groups need from time to time, until ctx ends.
func (a *API) Run(ctx context.Context) error {
	tick := time.NewTicker(a.cfg.Broker.Milliseconds("offsets.retention.check.interval.ms"))
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			a.groups.ExpireOffsets()
		case <-ctx.Done():
			return nil
		}
	}
}

func (g *groups) lead(p *replica.Partition) {
	op := &offsetsPartition{p: p, loaded: make(chan struct{})}
	g.mu.Lock()
	g.parts[p.ID] = op
	g.mu.Unlock()
	g.loads.Go(func() {
		defer close(op.loaded)
		select {
		case g.slots <- struct{}{}:
			defer func() { <-g.slots }()
		case <-g.api.stopping:
			return
		}
		err := g.Load(p.ID, g.records(p))
		if err != nil && !errors.Is(err, errStopping) && !errors.Is(err, kerr.NotCoordinator) {
			g.api.cfg.Logger.Error("groups of a partition not loaded; they are unavailable", "topic", p.Topic, "partition", p.ID, "err", err)
		}
	})
}

func (g *groups) drop(p *replica.Partition) {
	g.mu.Lock()
	delete(g.parts, p.ID)
	g.mu.Unlock()
	g.Unload(p.ID)
}

func (g *groups) part(id int32) *offsetsPartition {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.parts[id]
}

// awaitLoad waits a while for the partition of a group to be loaded.
func (g *groups) awaitLoad(ctx context.Context, id int32) {
	op := g.part(id)
	if op == nil {
		return
	}
	t := time.NewTimer(loadPatience)
	defer t.Stop()
	select {
	case <-op.loaded:
	case <-t.C:
	case <-ctx.Done():
	}
}

// close ends the coordinator, and waits for loads, which end because the API
// stops; joins and syncs that wait are answered.
func (g *groups) close() {
	g.loads.Wait()
	g.Close()
}

// records iterates over the committed records of a partition.
func (g *groups) records(p *replica.Partition) iter.Seq2[group.Record, error] {
	return func(yield func(group.Record, error) bool) {
		end := p.HighWatermark()
		for at := p.StartOffset(); at < end; {
			b, err := readBatches(p, at, end)
			select {
			case <-g.api.stopping:
				err = errStopping
			default:
			}
			if err != nil {
				yield(group.Record{}, err)
				return
			}
			next, ok := yieldBatches(b, yield)
			if !ok {
				return
			}
			at = next
		}
	}
}

func readBatches(p *replica.Partition, at, end int64) ([]byte, error) {
	c, err := p.Read(at, loadChunkBytes, end, true)
	if err != nil {
		return nil, fmt.Errorf("read %s-%d at %d: %w", p.Topic, p.ID, at, err)
	}
	b, err := c.AppendTo(nil)
	if err = errors.Join(err, c.Close()); err == nil && len(b) == 0 {
		err = fmt.Errorf("nothing at %d of %s-%d, which is committed to %d", at, p.Topic, p.ID, end)
	}
	return b, err
}

// yieldBatches yields the records of whole batches and returns the offset
// after them; false when the consumer has enough or got an error.
func yieldBatches(b []byte, yield func(group.Record, error) bool) (next int64, ok bool) {
	for len(b) > 0 {
		v, rest, err := recordbatch.Parse(b)
		if err != nil {
			yield(group.Record{}, err)
			return 0, false
		}
		b, next = rest, v.NextOffset()
		if v.Control() {
			continue
		}
		for r, err := range v.Records(loadRecordsBytes) {
			if !yield(group.Record{Key: r.Key, Value: r.Value}, err) || err != nil {
				return 0, false
			}
		}
	}
	return next, true
}

// Append implements group.Store.
func (g *groups) Append(partition int32, records []group.Record, done func(error)) {
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
	at, err := op.p.AppendOwn(b.Batch(recordbatch.NoProducer))
	if err != nil {
		g.api.cfg.Logger.Warn("group state not written", "topic", offsetsTopic, "partition", partition, "err", err)
		done(kerrOf(err))
		return
	}
	op.p.NotifyCommitted(at.LastOffset+1, func(err error) { done(kerrOf(err)) })
}

// kerrOf returns the Kafka error that err is; nil for nil.
func kerrOf(err error) error { return kerr.ErrorForCode(errorCode(err)) }
