package chaos

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

const logPartitions = 4

// Log kills the log under idempotent producers, transactional producers, a
// consumer group that commits, and a group that consumes, transforms and
// produces in transactions. It returns what was broken.
func Log(ctx context.Context, cfg Config) (err error) {
	m, err := newMortal(cfg, "--roles", "broker")
	if err != nil {
		return err
	}
	if err := m.start(ctx); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			m.node.Kill()
			return
		}
		err = m.node.Stop()
	}()
	client, err := kgo.NewClient(kgo.SeedBrokers(m.addr))
	if err != nil {
		return err
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	if _, err := admin.CreateTopics(ctx, logPartitions, 1, nil, "idempotent", "transactions", "copied"); err != nil {
		return err
	}
	idempotent := &idempotentLoad{addr: m.addr}
	copied := &copyLoad{addr: m.addr, from: idempotent}
	return m.under(ctx, map[string]load{
		"idempotent producers":    idempotent,
		"transactional producers": &transactionLoad{addr: m.addr, seed: cfg.Seed},
		"committing group":        &groupLoad{addr: m.addr, topic: "idempotent"},
		"copying group":           copied,
	})
}

// clientOptions are patient: a killed node must not fail a client.
func clientOptions(addr string, more ...kgo.Opt) []kgo.Opt {
	return append([]kgo.Opt{
		kgo.SeedBrokers(addr), kgo.RetryTimeout(2 * time.Minute), kgo.RequestRetries(1 << 20),
		kgo.RetryBackoffFn(func(int) time.Duration { return 20 * time.Millisecond }),
		kgo.MetadataMinAge(20 * time.Millisecond), kgo.DialTimeout(5 * time.Second),
	}, more...)
}

// idempotentLoad produces numbered records; every one must be there once and in
// order.
type idempotentLoad struct {
	addr string

	mu           sync.Mutex // guards below
	acknowledged [logPartitions]int64
}

func (l *idempotentLoad) run(ctx context.Context, stop <-chan struct{}) error {
	client, err := kgo.NewClient(clientOptions(l.addr, kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.DefaultProduceTopic("idempotent"),
		kgo.MaxBufferedRecords(500))...)
	if err != nil {
		return err
	}
	defer client.Close()
	failed := make(chan error, 1)
	for n := int64(0); !stopped(stop) && ctx.Err() == nil; n++ {
		for p := range int32(logPartitions) {
			r := &kgo.Record{Partition: p, Value: strconv.AppendInt(nil, n, 10)}
			client.Produce(ctx, r, func(_ *kgo.Record, err error) {
				if err != nil {
					select {
					case failed <- err:
					default:
					}
					return
				}
				l.mu.Lock()
				defer l.mu.Unlock()
				if l.acknowledged[p] == n {
					l.acknowledged[p]++
				}
			})
		}
		select {
		case err := <-failed:
			return err
		case <-time.After(200 * time.Microsecond): // the load's own clock
		}
	}
	if err := client.Flush(ctx); err != nil {
		return err
	}
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}

func (l *idempotentLoad) verify(ctx context.Context) error {
	records, err := readAll(ctx, l.addr, "idempotent", kgo.ReadUncommitted())
	if err != nil {
		return err
	}
	for p := range int32(logPartitions) {
		if got := int64(len(records[p])); got != l.acknowledged[p] || got == 0 {
			return fmt.Errorf("partition %d has %d records, %d were acknowledged", p, got, l.acknowledged[p])
		}
		for i, v := range records[p] {
			if v != strconv.Itoa(i) {
				return fmt.Errorf("partition %d: record %d is %s", p, i, v)
			}
		}
	}
	return nil
}

// readAll returns the values of a topic, by partition, in order.
func readAll(ctx context.Context, addr, topic string, isolation kgo.IsolationLevel) (map[int32][]string, error) {
	out := map[int32][]string{}
	err := eachRecord(ctx, addr, topic, isolation, func(r *kgo.Record) { out[r.Partition] = append(out[r.Partition], string(r.Value)) })
	return out, err
}

// eachRecord visits the records of a topic.
func eachRecord(ctx context.Context, addr, topic string, isolation kgo.IsolationLevel, visit func(*kgo.Record)) error {
	ctx, stop := context.WithTimeoutCause(ctx, time.Minute, errors.New("the topic could not be read to its end"))
	defer stop()
	client, err := kgo.NewClient(clientOptions(addr, kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(isolation), kgo.KeepControlRecords())...)
	if err != nil {
		return err
	}
	defer client.Close()
	ends, err := kadm.NewClient(client).ListEndOffsets(ctx, topic)
	if err = errors.Join(err, ends.Error()); err != nil {
		return err
	}
	at := map[int32]int64{}
	for !maps.EqualFunc(at, ends[topic], func(at int64, end kadm.ListedOffset) bool { return at >= end.Offset }) {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return errors.Join(err, context.Cause(ctx))
		}
		fetches.EachRecord(func(r *kgo.Record) {
			at[r.Partition] = r.Offset + 1
			if !r.Attrs.IsControl() {
				visit(r)
			}
		})
	}
	return nil
}

// groupLoad commits offsets; what was committed must never be behind what a
// commit acknowledged.
type groupLoad struct {
	addr, topic string
	committed   map[int32]int64
}

const committingGroup = "committing"

func (l *groupLoad) run(ctx context.Context, stop <-chan struct{}) error {
	client, err := kgo.NewClient(clientOptions(l.addr)...)
	if err != nil {
		return err
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	l.committed = map[int32]int64{}
	for n := int64(1); !stopped(stop) && ctx.Err() == nil; n++ {
		var offsets kadm.Offsets
		for p := range int32(logPartitions) {
			offsets.AddOffset(l.topic, p, n, -1)
		}
		resp, err := admin.CommitOffsets(ctx, committingGroup, offsets)
		if err == nil {
			err = resp.Error()
		}
		if err != nil {
			continue // not acknowledged; may have happened
		}
		for p := range int32(logPartitions) {
			l.committed[p] = n
		}
		fetched, err := admin.FetchOffsets(ctx, committingGroup)
		if err != nil {
			continue
		}
		if err := l.check(fetched); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func (l *groupLoad) check(fetched kadm.OffsetResponses) error {
	if err := fetched.Error(); err != nil {
		return nil // of a node that was just killed
	}
	for p, want := range l.committed {
		got, ok := fetched.Lookup(l.topic, p)
		if !ok || got.At < want {
			return fmt.Errorf("partition %d is committed at %d, and %d was acknowledged", p, got.At, want)
		}
	}
	return nil
}

func (l *groupLoad) verify(ctx context.Context) error {
	client, err := kgo.NewClient(clientOptions(l.addr)...)
	if err != nil {
		return err
	}
	defer client.Close()
	if len(l.committed) == 0 {
		return errors.New("nothing was committed")
	}
	fetched, err := kadm.NewClient(client).FetchOffsets(ctx, committingGroup)
	if err = errors.Join(err, fetched.Error()); err != nil {
		return err
	}
	return l.check(fetched)
}

// multiset counts strings.
func multiset(of map[int32][]string) map[string]int {
	out := map[string]int{}
	for _, values := range of {
		for _, v := range values {
			out[v]++
		}
	}
	return out
}

func some(values []string) string {
	slices.Sort(values)
	if len(values) > 5 {
		values = append(values[:5:5], "...")
	}
	return strings.Join(values, " ")
}
