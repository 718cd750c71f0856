package channel

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/connect/client"
	"github.com/millrace/millrace/plugins/configdef"
)

// Topic is a topic of signals. Its records' values are signals, and their keys
// say whom for. As in Debezium, partition 0 alone is read.
type Topic struct {
	Name string
	// Key is what the key of a record has to be.
	Key string
	// Group is the consumer group that is told how far signals were acted on, and
	// that says where to begin if nothing else does.
	Group string
	// Brokers are the addresses to start from.
	Brokers []string
	// Consumer are settings of the consumer under Kafka's names.
	Consumer map[string]string
}

// Keys defines the settings of the consumer, under a prefix.
func Keys(prefix string) configdef.Def {
	own := configdef.Def{
		{Name: "bootstrap.servers", Type: configdef.String, Doc: "Brokers that have the topic of signals."},
		{Name: "group.id", Type: configdef.String, Doc: "Consumer group of signals."},
		{Name: "client.id", Type: configdef.String, Default: "millrace-signals", Doc: "What the consumer calls itself."},
		{Name: "auto.offset.reset", Type: configdef.String, Default: "earliest", Rules: []configdef.Rule{configdef.OneOfFold("earliest", "latest")},
			Doc: "Where reading begins when nothing says how far signals were acted on: earliest, latest."},
		{Name: "isolation.level", Type: configdef.String, Default: "read_uncommitted", Rules: []configdef.Rule{configdef.OneOfFold("read_uncommitted", "read_committed")},
			Doc: "Whether signals of transactions are read before they commit."},
	}
	for _, name := range idle {
		own = append(own, configdef.Key{Name: name, Type: configdef.String, Importance: configdef.Low, Doc: "Accepted and has no effect: it tunes the consumer of Java."})
	}
	all := slices.Concat(own, client.Keys())
	for i := range all {
		all[i].Name = prefix + all[i].Name
	}
	return all
}

// idle are settings that tune Java's consumer.
var idle = []string{
	"key.deserializer", "value.deserializer", "enable.auto.commit", "auto.commit.interval.ms", "max.poll.records", "max.poll.interval.ms",
	"session.timeout.ms", "heartbeat.interval.ms", "fetch.min.bytes", "fetch.max.bytes", "fetch.max.wait.ms", "max.partition.fetch.bytes",
}

// Check checks the consumer's settings together.
func (t Topic) Check() []configdef.Problem {
	_, problems := t.target()
	return problems
}

func (t Topic) target() (client.Target, []configdef.Problem) {
	return client.Target{Seeds: t.Brokers}.With(client.Only(t.Consumer))
}

// setting is one of the consumer's, or what stands for it.
func (t Topic) setting(name, otherwise string) string {
	if v := strings.TrimSpace(t.Consumer[name]); v != "" {
		return v
	}
	return otherwise
}

// topicReader reads the topic.
type topicReader struct {
	Topic
	client *kgo.Client
	admin  *kadm.Client
	log    *slog.Logger

	queue  []*kgo.Record
	failed string // the last error, which is logged once
}

const (
	// openTimeout bounds the questions to the brokers at the start, and
	// commitTimeout the telling of the group.
	openTimeout   = 10 * time.Second
	commitTimeout = 5 * time.Second
	// fetchBytes bounds what is held of the topic.
	fetchBytes = 1 << 20
	// queued is how many records are taken over at a time.
	queued = 100
)

func openTopic(ctx context.Context, t Topic, log *slog.Logger, place *Place) (_ *topicReader, err error) {
	target, problems := t.target()
	if len(problems) > 0 {
		return nil, problems[0]
	}
	t.Group = t.setting("group.id", t.Group)
	opts := []kgo.Opt{
		kgo.ClientID(t.setting("client.id", "millrace-signals")), kgo.FetchMaxBytes(fetchBytes), kgo.FetchMaxPartitionBytes(fetchBytes),
		kgo.ConsumeResetOffset(reset(t.setting("auto.offset.reset", "earliest"))),
	}
	if strings.EqualFold(t.setting("isolation.level", ""), "read_committed") {
		opts = append(opts, kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	}
	c, err := kgo.NewClient(append(opts, target.Opts(nil)...)...)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			c.Close()
		}
	}()
	r := &topicReader{Topic: t, client: c, admin: kadm.NewClient(c), log: log}
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	if err := r.look(ctx); err != nil {
		return nil, err
	}
	at := reset(t.setting("auto.offset.reset", "earliest"))
	if place.Topic != t.Name {
		place.Topic = t.Name
		if place.Next, err = r.committed(ctx); err != nil {
			return nil, err
		}
	}
	if place.Next > 0 {
		at = kgo.NewOffset().At(place.Next)
	}
	c.AddConsumePartitions(map[string]map[int32]kgo.Offset{t.Name: {0: at}})
	return r, nil
}

func reset(word string) kgo.Offset {
	if strings.EqualFold(word, "latest") {
		return kgo.NewOffset().AtEnd()
	}
	return kgo.NewOffset().AtStart()
}

// look warns of a topic in which signals may go unread.
func (r *topicReader) look(ctx context.Context) error {
	topics, err := r.admin.ListTopics(ctx, r.Name)
	if err != nil {
		return err
	}
	switch n := len(topics[r.Name].Partitions); {
	case n == 0:
		r.log.Info("the topic of signals is not there yet", "topic", r.Name)
	case n > 1:
		r.log.Warn("signals are read of partition 0 alone", "topic", r.Name, "partitions", n)
	}
	return nil
}

// committed is the offset that the group has, 0 for none.
func (r *topicReader) committed(ctx context.Context) (int64, error) {
	offsets, err := r.admin.FetchOffsets(ctx, r.Group)
	if err != nil {
		return 0, fmt.Errorf("offset of group %s: %w", r.Group, err)
	}
	o, ok := offsets.Lookup(r.Name, 0)
	if !ok {
		return 0, nil
	}
	return max(o.At, 0), o.Err
}

// commit tells the group how far signals were acted on.
func (r *topicReader) commit(ctx context.Context, next int64) error {
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	offsets := kadm.Offsets{}
	offsets.AddOffset(r.Name, 0, next, -1)
	got, err := r.admin.CommitOffsets(ctx, r.Group, offsets)
	return errors.Join(err, got.Error())
}

// next implements source.
func (r *topicReader) next(p *Place) (Signal, bool, error) {
	for {
		if len(r.queue) == 0 {
			//lint:ignore SA1012 with nil it does not wait
			fetches := r.client.PollRecords(nil, queued)
			r.note(fetches)
			if r.queue = fetches.Records(); len(r.queue) == 0 {
				return Signal{}, false, nil
			}
		}
		record := r.queue[0]
		if string(record.Key) == r.Key && len(record.Value) > 0 {
			s, err := parse(record.Value)
			if err == nil {
				return s, true, nil
			}
			r.log.Warn("a record of the topic of signals is no signal and is passed over", "topic", r.Name, "offset", record.Offset, "err", err)
		}
		r.done(p)
	}
}

// done implements source.
func (r *topicReader) done(p *Place) {
	p.Topic, p.Next = r.Name, r.queue[0].Offset+1
	r.queue = r.queue[1:]
}

// note logs what is wrong with fetching, when it changes.
func (r *topicReader) note(fetches kgo.Fetches) {
	failed := ""
	fetches.EachError(func(_ string, _ int32, err error) { failed = err.Error() })
	if failed != "" && failed != r.failed {
		r.log.Warn("the topic of signals cannot be read, trying again", "topic", r.Name, "err", failed)
	}
	if failed != "" || len(fetches.Records()) > 0 {
		r.failed = failed
	}
}
