package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Config says how to reach the log and what an internal topic is like.
type Config struct {
	// Local keeps the records in this process instead of a topic, as standalone
	// workers do, and in File, in Kafka Connect's format, if that is not empty.
	Local bool
	File  string
	// Topic is its name.
	Topic string
	// Partitions and ReplicationFactor are used when the topic must be
	// created; -1 leaves the choice to the broker.
	Partitions        int32
	ReplicationFactor int16
	// TopicConfigs are further topic configs used at creation.
	TopicConfigs map[string]string
	// ClientID names the store's client, "<group.id>-configs" and the like.
	ClientID string
	// ClientOpts lead to the log: seed brokers, dialer, security.
	ClientOpts []kgo.Opt
	// Logger receives what the store skips and why. Nil discards.
	Logger *slog.Logger
}

func (c Config) withDefaults() Config {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// operationTimeout bounds one write or one catching up, as Kafka Connect's
// 30 seconds for an operation on the config topic do.
const operationTimeout = 30 * time.Second

// topicLog is a compacted topic read from its beginning into apply, which is
// called for one record at a time, in partition order.
type topicLog struct {
	cfg    Config
	log    *slog.Logger
	client *kgo.Client
	admin  *kadm.Client
	apply  func(*kgo.Record)
	cancel context.CancelFunc
	done   chan struct{}
	count  int // of the topic's partitions

	mu      sync.Mutex // guards below
	next    map[int32]int64
	changed chan struct{} // closed and replaced whenever next moves
	err     error         // why reading ended
}

// openTopic creates the topic if need be, starts reading it and returns when
// everything that was in it has been applied.
func openTopic(ctx context.Context, cfg Config, apply func(*kgo.Record)) (*topicLog, error) {
	t := &topicLog{
		cfg: cfg, log: cfg.Logger, apply: apply, done: make(chan struct{}),
		next: map[int32]int64{}, changed: make(chan struct{}),
	}
	opts := append([]kgo.Opt{
		kgo.ClientID(cfg.ClientID),
		kgo.MaxProduceRequestsInflightPerBroker(1),
		kgo.DisableIdempotentWrite(),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerLinger(0),
		kgo.KeepControlRecords(),
		kgo.FetchMaxWait(500 * time.Millisecond),
	}, cfg.ClientOpts...)
	client, err := kgo.NewClient(opts...)
	if err != nil {
		return nil, fmt.Errorf("topic %s: %w", cfg.Topic, err)
	}
	t.client, t.admin = client, kadm.NewClient(client)
	if err := t.start(ctx); err != nil {
		client.Close()
		return nil, fmt.Errorf("topic %s: %w", cfg.Topic, err)
	}
	if err := t.readCommitted(ctx); err != nil {
		t.close()
		return nil, err
	}
	return t, nil
}

// start creates or checks the topic and begins to read it.
func (t *topicLog) start(ctx context.Context) error {
	ctx, stop := context.WithTimeout(ctx, operationTimeout)
	defer stop()
	if err := t.create(ctx); err != nil {
		return err
	}
	ends, err := t.ends(ctx, t.admin.ListEndOffsets)
	for err != nil && kerr.IsRetriable(err) { // a topic just created has no leader yet
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("%w (%w)", err, context.Cause(ctx))
		}
		ends, err = t.ends(ctx, t.admin.ListEndOffsets)
	}
	if err != nil {
		return err
	}
	t.count = len(ends)
	parts := map[int32]kgo.Offset{}
	for p := range ends {
		parts[p] = kgo.NewOffset().AtStart()
	}
	t.client.AddConsumePartitions(map[string]map[int32]kgo.Offset{t.cfg.Topic: parts})
	// The reader outlives ctx, which only bounds the opening.
	rctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	t.cancel = cancel
	go t.read(rctx)
	return nil
}

func (t *topicLog) create(ctx context.Context) error {
	policy := "compact"
	configs := map[string]*string{"cleanup.policy": &policy}
	for k, v := range t.cfg.TopicConfigs {
		if k != "cleanup.policy" {
			configs[k] = &v
		}
	}
	resp, err := t.admin.CreateTopic(ctx, t.cfg.Partitions, t.cfg.ReplicationFactor, configs, t.cfg.Topic)
	if err == nil {
		err = resp.Err
	}
	switch {
	case err == nil:
		t.log.Info("internal topic created", "topic", t.cfg.Topic, "partitions", t.cfg.Partitions)
		return nil
	case errors.Is(err, kerr.TopicAlreadyExists):
		return t.checkPolicy(ctx)
	}
	return fmt.Errorf("create: %w", err)
}

// checkPolicy refuses a topic that would forget: a policy other than compact
// deletes state that nothing else holds. A policy that may not be read is let
// pass, as Kafka Connect does.
func (t *topicLog) checkPolicy(ctx context.Context) error {
	rcs, err := t.admin.DescribeTopicConfigs(ctx, t.cfg.Topic)
	if err != nil {
		t.log.Warn("cleanup policy unknown", "topic", t.cfg.Topic, "err", err)
		return nil
	}
	for _, rc := range rcs {
		for _, c := range rc.Configs {
			if c.Key == "cleanup.policy" && c.MaybeValue() != "compact" {
				return fmt.Errorf("cleanup.policy is %q: Connect's state would be deleted with time; set it to compact", c.MaybeValue())
			}
		}
	}
	return nil
}

// lister asks for offsets of the partitions of topics.
type lister = func(ctx context.Context, topics ...string) (kadm.ListedOffsets, error)

// ends returns the end of every partition, as list has it.
func (t *topicLog) ends(ctx context.Context, list lister) (map[int32]int64, error) {
	listed, err := list(ctx, t.cfg.Topic)
	if err != nil {
		return nil, fmt.Errorf("list end offsets: %w", err)
	}
	out := map[int32]int64{}
	for p, o := range listed[t.cfg.Topic] {
		if o.Err != nil {
			return nil, fmt.Errorf("list end offset of partition %d: %w", p, o.Err)
		}
		out[p] = o.Offset
	}
	if len(out) == 0 {
		return nil, kerr.UnknownTopicOrPartition
	}
	return out, nil
}

func (t *topicLog) read(ctx context.Context) {
	defer close(t.done)
	for {
		fetches := t.client.PollFetches(ctx)
		if ctx.Err() != nil || fetches.IsClientClosed() {
			t.advance(nil, errClosed)
			return
		}
		fetches.EachError(func(_ string, p int32, err error) {
			t.log.Warn("internal topic not readable, retrying", "topic", t.cfg.Topic, "partition", p, "err", err)
		})
		next := map[int32]int64{}
		fetches.EachRecord(func(r *kgo.Record) {
			if !r.Attrs.IsControl() {
				t.apply(r)
			}
			next[r.Partition] = r.Offset + 1
		})
		t.advance(next, nil)
	}
}

var errClosed = errors.New("store is closed")

// advance publishes how far reading has come and wakes readToEnd.
func (t *topicLog) advance(next map[int32]int64, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for p, o := range next {
		t.next[p] = o
	}
	t.err = err
	close(t.changed)
	t.changed = make(chan struct{})
}

// readToEnd waits until everything that was in the topic when it was called
// has been applied. It gives up after operationTimeout. If the topic is read
// committed, it waits for the end of open transactions.
func (t *topicLog) readToEnd(ctx context.Context) error {
	return t.readTo(ctx, t.admin.ListEndOffsets)
}

// readCommitted is readToEnd without waiting for open transactions: a worker
// that starts would wait for those that its own killed tasks left, which only
// it can end.
func (t *topicLog) readCommitted(ctx context.Context) error {
	return t.readTo(ctx, t.admin.ListCommittedOffsets)
}

func (t *topicLog) readTo(ctx context.Context, end lister) error {
	ctx, stop := context.WithTimeout(ctx, operationTimeout)
	defer stop()
	ends, err := t.ends(ctx, end)
	if err != nil {
		return fmt.Errorf("topic %s: read to end: %w", t.cfg.Topic, err)
	}
	for {
		t.mu.Lock()
		behind, changed, err := t.behind(ends), t.changed, t.err
		t.mu.Unlock()
		if !behind || err != nil {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("topic %s: read to end: %w", t.cfg.Topic, context.Cause(ctx))
		}
	}
}

// behind reports whether some end is not reached. The caller holds mu.
func (t *topicLog) behind(ends map[int32]int64) bool {
	for p, end := range ends {
		if end > t.next[p] {
			return true
		}
	}
	return false
}

// write produces the records in order and returns when all are acknowledged.
// One that gives up because ctx has ended does not know whether they are
// written.
func (t *topicLog) write(ctx context.Context, recs ...*kgo.Record) error {
	ctx, stop := context.WithTimeout(ctx, operationTimeout)
	defer stop()
	for _, r := range recs {
		r.Topic = t.cfg.Topic
	}
	// The client gives up records that are on their way only when it knows what
	// became of them. Whoever asked may not want to wait for that.
	done := make(chan error, len(recs))
	for _, r := range recs {
		t.client.Produce(ctx, r, func(_ *kgo.Record, err error) { done <- err })
	}
	for range recs {
		var err error
		select {
		case err = <-done:
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
		if err != nil {
			return fmt.Errorf("write to topic %s: %w", t.cfg.Topic, err)
		}
	}
	return nil
}

// writeAndRead writes and then waits until the store has read what it wrote.
func (t *topicLog) writeAndRead(ctx context.Context, recs ...*kgo.Record) error {
	if err := t.write(ctx, recs...); err != nil {
		return err
	}
	return t.readToEnd(ctx)
}

func (t *topicLog) partitions() int { return t.count }

// close ends reading and the client, and waits for both. It may be called
// twice.
func (t *topicLog) close() {
	t.cancel()
	<-t.done
	t.client.Close()
}
