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

// Options say how to reach the topic and what it is like.
type Options struct {
	// Topic is its name, "_schemas" if empty.
	Topic string
	// ReplicationFactor is used when the topic must be created; 0 leaves the
	// choice to the broker.
	ReplicationFactor int16
	// InitTimeout bounds Open, 60 seconds if 0; Timeout bounds every later
	// write and catching up, 30 seconds if 0.
	InitTimeout, Timeout time.Duration
	// ClientOpts lead to the log: seed brokers, dialer, security.
	ClientOpts []kgo.Opt
	// Logger receives what is skipped and why. Nil discards.
	Logger *slog.Logger
}

func (o Options) withDefaults() Options {
	if o.Topic == "" {
		o.Topic = "_schemas"
	}
	if o.ReplicationFactor == 0 {
		o.ReplicationFactor = -1
	}
	if o.InitTimeout == 0 {
		o.InitTimeout = time.Minute
	}
	if o.Timeout == 0 {
		o.Timeout = 30 * time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

var (
	// ErrTimeout is wrapped when the log did not answer in time. What was to
	// be written may be, or come to be, on the topic.
	ErrTimeout = errors.New("the log did not answer in time")
	// ErrClosed is returned once the log is closed.
	ErrClosed = errors.New("the registry's log is closed")
)

// partition is the topic's only one: its order is the order of changes.
const partition = 0

// stall is how long reading may make no headway short of the end before a
// record is written to read: compaction can leave an end that no record is at.
const stall = time.Second

// Log is the topic, followed from its beginning.
type Log struct {
	opts   Options
	client *kgo.Client
	admin  *kadm.Client
	apply  func(Change)
	cancel context.CancelFunc
	done   chan struct{}

	clusterID string // known once the topic has been looked at

	// pending is closed when the last write's outcome is known. Append waits
	// for it, so that a write that came late is read before the next is made.
	// Append is its only user and is not called concurrently.
	pending chan struct{}

	mu      sync.Mutex    // guards below
	next    int64         // offset that will be applied next
	changed chan struct{} // closed and replaced when next moves
	maxIDs  *MaxIDs       // the last ones read
	reign   reign         // who writes, as far as has been read
	mine    reign         // the one that Lead began; the zero one appends where nobody ever led
	void    []Key         // of records that did not count
	err     error         // why reading ended
}

// Open creates the topic if need be and applies what is on it, and from then
// on whatever is added to it, by anyone. apply is called for one record at a
// time, in order, from one goroutine.
func Open(ctx context.Context, opts Options, apply func(Change)) (*Log, error) {
	l := &Log{opts: opts.withDefaults(), apply: apply, done: make(chan struct{}), changed: make(chan struct{})}
	ctx, stop := context.WithTimeoutCause(ctx, l.opts.InitTimeout, fmt.Errorf("%w: %s", ErrTimeout, l.opts.InitTimeout))
	defer stop()
	client, err := kgo.NewClient(append([]kgo.Opt{
		kgo.ClientID("millrace-schema-registry"),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerLinger(0),
		kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.ProducerBatchMaxBytes(maxRecordBytes),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.KeepControlRecords(),
		kgo.FetchMaxWait(time.Second),
	}, l.opts.ClientOpts...)...)
	if err != nil {
		return nil, fmt.Errorf("topic %s: %w", l.opts.Topic, err)
	}
	l.client, l.admin = client, kadm.NewClient(client)
	err = l.prepare(ctx)
	if err == nil {
		var meta kadm.Metadata
		if meta, err = l.admin.BrokerMetadata(ctx); err == nil {
			l.clusterID = meta.Cluster
		}
	}
	if err != nil {
		client.Close()
		return nil, fmt.Errorf("topic %s: %w", l.opts.Topic, err)
	}
	client.AddConsumePartitions(map[string]map[int32]kgo.Offset{l.opts.Topic: {partition: kgo.NewOffset().AtStart()}})
	rctx, cancel := context.WithCancel(context.WithoutCancel(ctx)) // ctx bounds the opening only
	l.cancel = cancel
	go l.read(rctx)
	if err := l.catchUp(ctx); err != nil {
		l.Close()
		return nil, fmt.Errorf("topic %s: replay: %w", l.opts.Topic, err)
	}
	return l, nil
}

// maxRecordBytes is Kafka's default message.max.bytes: with a schema's text at
// most 1 MiB no broker of default settings takes a larger one either.
const maxRecordBytes = 1048588

// prepare creates the topic, or checks the one there is.
func (l *Log) prepare(ctx context.Context) error {
	compact := "compact"
	resp, err := l.admin.CreateTopic(ctx, 1, l.opts.ReplicationFactor, map[string]*string{"cleanup.policy": &compact}, l.opts.Topic)
	if err == nil {
		err = resp.Err
	}
	switch {
	case err == nil:
		l.opts.Logger.Info("schemas topic created", "topic", l.opts.Topic)
		return nil
	case errors.Is(err, kerr.TopicAlreadyExists):
		return l.check(ctx)
	case errors.Is(err, kerr.TopicAuthorizationFailed), errors.Is(err, kerr.ClusterAuthorizationFailed):
		return l.check(ctx) // it may be there, made by somebody who was allowed to
	}
	return fmt.Errorf("create: %w", err)
}

// check refuses a topic that would forget schemas or has no order.
func (l *Log) check(ctx context.Context) error {
	topics, err := l.admin.ListTopicsWithInternal(ctx, l.opts.Topic)
	if err != nil {
		return fmt.Errorf("describe: %w", err)
	}
	if err := topics.Error(); err != nil {
		return fmt.Errorf("describe: %w", err)
	}
	if n := len(topics[l.opts.Topic].Partitions); n != 1 {
		return fmt.Errorf("the topic has %d partitions; the registry needs exactly one, or changes have no order", n)
	}
	configs, err := l.admin.DescribeTopicConfigs(ctx, l.opts.Topic)
	if err != nil {
		l.opts.Logger.Warn("cleanup policy unknown", "topic", l.opts.Topic, "err", err)
		return nil
	}
	for _, rc := range configs {
		for _, c := range rc.Configs {
			if c.Key == "cleanup.policy" && c.MaybeValue() != "compact" {
				return fmt.Errorf("cleanup.policy is %q: schemas would be deleted with time; set it to compact", c.MaybeValue())
			}
		}
	}
	return nil
}

func (l *Log) read(ctx context.Context) {
	defer close(l.done)
	for {
		fetches := l.client.PollFetches(ctx)
		if ctx.Err() != nil || fetches.IsClientClosed() {
			l.advance(0, ErrClosed)
			return
		}
		fetches.EachError(func(_ string, _ int32, err error) {
			l.opts.Logger.Warn("schemas topic not readable, retrying", "topic", l.opts.Topic, "err", err)
		})
		next := int64(0)
		fetches.EachRecord(func(r *kgo.Record) {
			l.one(r)
			next = r.Offset + 1
		})
		l.advance(next, nil)
	}
}

// one applies a record. What cannot be read is left on the topic and told.
func (l *Log) one(r *kgo.Record) {
	if r.Attrs.IsControl() {
		return
	}
	c, err := Decode(r.Key, r.Value, r.Offset)
	switch {
	case errors.Is(err, ErrUnknownKey):
		l.opts.Logger.Debug("record of an unknown kind skipped", "topic", l.opts.Topic, "offset", r.Offset)
	case err != nil:
		l.opts.Logger.Warn("unreadable record skipped", "topic", l.opts.Topic, "offset", r.Offset, "err", err)
	case !l.counts(r):
		l.opts.Logger.Warn("record of a registry that is no longer primary left out", "topic", l.opts.Topic, "offset", r.Offset)
		l.noteVoid(c.Key)
	default:
		if c.MaxIDs != nil {
			l.mu.Lock()
			l.maxIDs = c.MaxIDs
			l.mu.Unlock()
		}
		c.Timestamp = r.Timestamp.UnixMilli()
		l.apply(c)
	}
}

// advance publishes how far reading has come.
func (l *Log) advance(next int64, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.next = max(l.next, next)
	l.err = err
	close(l.changed)
	l.changed = make(chan struct{})
}

// await waits until everything below end has been applied. With a stalled
// function, it is called whenever reading has not moved for a while.
func (l *Log) await(ctx context.Context, end int64, stalled func() (int64, error)) error {
	timer := time.NewTimer(stall)
	defer timer.Stop()
	for {
		l.mu.Lock()
		next, changed, err := l.next, l.changed, l.err
		l.mu.Unlock()
		if next >= end || err != nil {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-timer.C:
			if stalled != nil {
				if end, err = stalled(); err != nil {
					return err
				}
				stalled = nil
			}
		}
	}
}

// ClusterID returns the id of the cluster that the topic is on.
func (l *Log) ClusterID() string { return l.clusterID }

// Client returns the client that the log uses, for requests that are no
// business of the topic's.
func (l *Log) Client() *kgo.Client { return l.client }
