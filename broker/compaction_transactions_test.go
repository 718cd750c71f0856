package broker_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/broker/brokertest"
)

// Offsets and transactional ids survive the compaction of their topics, and a
// crash after it: a group goes on where its transactions left it.
func TestCoordinatorTopicsAreCompacted(t *testing.T) {
	c := brokertest.Start(t, append(eager,
		brokertest.With("offsets.topic.num.partitions", "1"), brokertest.With("offsets.topic.segment.bytes", "3000"),
		brokertest.With("transaction.state.log.num.partitions", "1"), brokertest.With("transaction.state.log.segment.bytes", "3000"))...)
	c.CreateTopic(t, "in", 1)
	c.CreateTopic(t, "out", 1)
	const rounds, perRound = 3, 60
	in := c.Client(t, kgo.DefaultProduceTopic("in"))
	s, err := kgo.NewGroupTransactSession(kgo.SeedBrokers(c.Addr()), kgo.TransactionalID("mover"), kgo.ConsumerGroup("movers"),
		kgo.ConsumeTopics("in"), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.DefaultProduceTopic("out"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	moved := 0
	for round := range rounds {
		for i := range perRound {
			r := kgo.StringRecord(fmt.Sprint(round*perRound + i))
			if err := in.ProduceSync(ctx, r).FirstErr(); err != nil {
				t.Fatal(err)
			}
			moved += move(ctx, t, s, i%4 != 3)
		}
		for moved < (round+1)*perRound {
			moved += move(ctx, t, s, true)
		}
		until(t, "compaction", func() bool { return c.Broker().Stats().Logs.Cleaner.Rounds > 1 }) // of this process
		c.Kill(t)
		c.Resume(t)
	}
	adm := kadm.NewClient(c.Client(t)) // its connections did not see the crash
	var o kadm.OffsetResponse
	until(t, "the end of the last transaction", func() bool {
		offsets, err := adm.FetchOffsets(kadm.RequireStable(ctx), "movers")
		if err != nil {
			t.Fatal(err)
		}
		o, _ = offsets.Lookup("in", 0)
		return !errors.Is(o.Err, kerr.UnstableOffsetCommit)
	})
	if o.Err != nil || o.At != rounds*perRound {
		t.Errorf("committed offset is %+v, want %d", o, rounds*perRound)
	}
	for _, topic := range []string{"__consumer_offsets-0", "__transaction_state-0"} {
		if n := logBytes(t, c, topic); n > 30000 {
			t.Errorf("%s has %d bytes", topic, n)
		}
	}
	checkMoved(t, c, rounds*perRound)
}

// move has the session move what there is, or give it up, and returns how many
// records were moved. What was given up comes again.
func move(ctx context.Context, t *testing.T, s *kgo.GroupTransactSession, commit bool) int {
	t.Helper()
	fs := s.PollRecords(ctx, 100)
	if ctx.Err() != nil {
		t.Fatalf("nothing to move: %v", fs.Err())
	}
	if fs.NumRecords() == 0 {
		return 0 // an error of the crash, which passes
	}
	if err := s.Begin(); err != nil {
		t.Fatal(err)
	}
	first := kgo.AbortingFirstErrPromise(s.Client())
	fs.EachRecord(func(r *kgo.Record) { s.Produce(ctx, &kgo.Record{Value: r.Value}, first.Promise()) })
	committed, err := s.End(ctx, kgo.TransactionEndTry(first.Err() == nil && commit))
	if err != nil {
		t.Fatal(err)
	}
	if !committed {
		return 0
	}
	return fs.NumRecords()
}

// checkMoved reads what was committed: each record once, in order.
func checkMoved(t *testing.T, c *brokertest.Cluster, n int) {
	t.Helper()
	cl := c.Client(t, kgo.ConsumeTopics("out"), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for next := 0; next < n; {
		fs := cl.PollFetches(ctx)
		if err := fs.Err(); err != nil {
			t.Fatalf("%d of %d records: %v", next, n, err)
		}
		fs.EachRecord(func(r *kgo.Record) {
			if string(r.Value) != fmt.Sprint(next) {
				t.Errorf("record at %d is %s, want %d", r.Offset, r.Value, next)
			}
			next++
		})
	}
}
