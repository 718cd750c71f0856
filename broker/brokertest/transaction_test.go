package brokertest_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/millrace/millrace/broker/brokertest"
)

// worker moves records from topic in to topic out, each batch with its offsets
// in one transaction. When its session fails for good it begins a new one.
func worker(ctx context.Context, t *testing.T, c *brokertest.Cluster, id string, opts []kgo.Opt) {
	for ctx.Err() == nil {
		s, err := kgo.NewGroupTransactSession(append([]kgo.Opt{
			kgo.SeedBrokers(c.Addr()), kgo.TransactionalID(id), kgo.ConsumerGroup("movers"), kgo.ConsumeTopics("in"),
			kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.DefaultProduceTopic("out"),
			kgo.TransactionTimeout(20 * time.Second), kgo.RetryBackoffFn(func(int) time.Duration { return 20 * time.Millisecond }),
		}, opts...)...)
		if err != nil {
			t.Error(err)
			return
		}
		for err == nil {
			err = moveSome(ctx, s)
		}
		s.Close()
	}
}

func moveSome(ctx context.Context, s *kgo.GroupTransactSession) error {
	fs := s.PollRecords(ctx, 50)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if fs.Empty() {
		return nil // errors are of a broker that is being killed, and pass
	}
	if err := s.Begin(); err != nil {
		return err
	}
	first := kgo.AbortingFirstErrPromise(s.Client())
	fs.EachRecord(func(r *kgo.Record) {
		s.Produce(context.WithoutCancel(ctx), &kgo.Record{Value: r.Value}, first.Promise())
	})
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
	defer cancel()
	_, err := s.End(end, kgo.TransactionEndTry(first.Err() == nil))
	return err
}

// Two workers move records from topic to topic while the broker is killed. In
// the end each record is in the second topic once, for those who read
// committed records.
func TestExactlyOnce(t *testing.T) {
	for _, tt := range []struct {
		name string
		opts []kgo.Opt
	}{
		{"transaction.version 2", nil},
		{"transaction.version 1", []kgo.Opt{kgo.MaxVersions(kversion.V3_7_0())}},
	} {
		t.Run(tt.name, func(t *testing.T) { exactlyOnce(t, tt.opts) })
	}
}

func exactlyOnce(t *testing.T, opts []kgo.Opt) {
	c := brokertest.Start(t, brokertest.With("transaction.abort.timed.out.transaction.cleanup.interval.ms", "200"),
		brokertest.With("offsets.topic.num.partitions", "5"), brokertest.With("transaction.state.log.num.partitions", "5"))
	const records = 2000
	c.CreateTopic(t, "in", 4)
	c.CreateTopic(t, "out", 3)
	in := c.Client(t, kgo.DefaultProduceTopic("in"))
	for i := range records {
		in.Produce(within(t), &kgo.Record{Value: fmt.Append(nil, i)}, func(_ *kgo.Record, err error) {
			if err != nil {
				t.Errorf("produce: %v", err)
			}
		})
	}
	if err := in.Flush(within(t)); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	for i := range 2 {
		running.Go(func() { worker(ctx, t, c, fmt.Sprint("worker-", i), opts) })
	}
	out := c.Client(t, kgo.ConsumeTopics("out"), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	seen, kills := map[string]int{}, 0
	limit, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	for len(seen) < records {
		fs := out.PollFetches(limit)
		if err := limit.Err(); err != nil {
			t.Fatalf("%d of %d records arrived: %v", len(seen), records, errors.Join(err, fs.Err()))
		}
		fs.EachRecord(func(r *kgo.Record) {
			if seen[string(r.Value)]++; seen[string(r.Value)] > 1 {
				t.Errorf("record %s is there %d times", r.Value, seen[string(r.Value)])
			}
		})
		if len(seen) > (kills+1)*records/4 && kills < 3 {
			c.Kill(t)
			c.Resume(t)
			kills++
		}
	}
	stop()
	running.Wait()
	t.Logf("%d records over %d kills", len(seen), kills)
}
