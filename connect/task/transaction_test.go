package task

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/broker/brokertest"
	"github.com/millrace/millrace/connect/connector"
	"github.com/millrace/millrace/plugins/data"
)

func TestBoundary(t *testing.T) {
	start := time.Unix(1000, 0)
	at := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	type batch struct {
		ms   int
		more bool
	}
	const never = -1
	for _, tt := range []struct {
		name            string
		eachPoll        bool
		interval, quiet time.Duration
		batches         []batch
		want            int // ms
	}{
		{"nothing", false, time.Second, 0, nil, never},
		{"interval from the first batch", false, 100 * time.Millisecond, 0, []batch{{10, false}, {60, false}}, 110},
		{"quiet after the last", false, 100 * time.Millisecond, 5 * time.Millisecond, []batch{{10, false}, {12, false}}, 17},
		{"no later than the interval", false, 100 * time.Millisecond, 5 * time.Millisecond, []batch{{0, false}, {98, false}}, 100},
		{"each poll at once", true, time.Hour, 0, []batch{{10, false}}, 10},
		{"a poll in pieces waits", true, time.Hour, 0, []batch{{10, true}}, never},
		{"and ends with the last", true, time.Hour, 0, []batch{{10, true}, {30, false}}, 30},
		{"no poll is divided by the interval", false, time.Millisecond, 0, []batch{{0, false}, {50, true}}, never},
		{"interval of nothing", false, 0, 0, []batch{{10, false}}, 10},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := boundary{eachPoll: tt.eachPoll, interval: tt.interval, quiet: tt.quiet}
			for _, x := range tt.batches {
				b.took(at(x.ms), x.more)
			}
			end, ok := b.end()
			if ok != (tt.want != never) || ok && !end.Equal(at(tt.want)) {
				t.Errorf("ends at %v (%v), want %d ms", end.Sub(start), ok, tt.want)
			}
			b.ended()
			if _, ok := b.end(); ok || b.whole() {
				t.Error("a transaction that has ended is to end")
			}
		})
	}
}

// TestBoundaryHolds runs random schedules against what boundaries promise: no
// transaction lasts longer than its interval, but for the rest of a poll, and
// none ends within a poll.
func TestBoundaryHolds(t *testing.T) {
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 0))
	for range 200 {
		b := boundary{interval: time.Duration(1+rng.IntN(50)) * time.Millisecond, quiet: time.Duration(rng.IntN(10)) * time.Millisecond}
		now := time.Unix(0, 0)
		for range 200 {
			now = now.Add(time.Duration(rng.IntN(20)) * time.Millisecond)
			b.took(now, rng.IntN(3) == 0)
			end, ok := b.end()
			if ok == b.torn {
				t.Fatalf("seed %d: end %v, within a poll %v", seed, ok, b.torn)
			}
			if ok && end.Sub(b.began) > b.interval {
				t.Fatalf("seed %d: a transaction lasts %s, interval %s", seed, end.Sub(b.began), b.interval)
			}
			if ok && !end.After(now) {
				b.ended()
			}
		}
	}
}

// scriptedProducer is a producer whose log is a list of what happened.
type scriptedProducer struct {
	mu        sync.Mutex // guards below
	open      bool
	events    []string
	refuse    error // of records
	refuseEnd error // of commits
}

func (p *scriptedProducer) note(format string, args ...any) {
	p.events = append(p.events, fmt.Sprintf(format, args...))
}

func (p *scriptedProducer) Produce(_ context.Context, r *kgo.Record, promise func(*kgo.Record, error)) {
	p.mu.Lock()
	if !p.open {
		p.note("record outside a transaction")
	}
	p.note("%s=%s", r.Topic, r.Value)
	err := p.refuse
	p.mu.Unlock()
	promise(r, err)
}

func (p *scriptedProducer) Flush(context.Context) error { return nil }

func (p *scriptedProducer) BeginTransaction() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open = true
	p.note("begin")
	return nil
}

func (p *scriptedProducer) EndTransaction(_ context.Context, commit kgo.TransactionEndTry) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if commit {
		p.note("commit")
		if p.refuseEnd != nil {
			return p.refuseEnd
		}
	} else {
		p.note("abort")
	}
	p.open = false
	return nil
}

func (p *scriptedProducer) AbortBufferedRecords(context.Context) error { return nil }

func (p *scriptedProducer) happened() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.events, " ")
}

func offsetRecords(offsets map[string][]byte) ([]*kgo.Record, error) {
	var out []*kgo.Record
	for k, v := range offsets {
		out = append(out, &kgo.Record{Topic: "offsets", Partition: -1, Key: []byte(k), Value: v})
	}
	return out, nil
}

// transactional starts a loop that writes in transactions.
func transactional(t *testing.T, tx Transactions, pause *connector.Switch, drain time.Duration) (*fakeSource, *Stats, *loop) {
	t.Helper()
	return transactionalIn(t, t.Context(), tx, pause, drain)
}

// transactionalIn is transactional until task ends.
func transactionalIn(t *testing.T, task context.Context, tx Transactions, pause *connector.Switch, drain time.Duration) (*fakeSource, *Stats, *loop) {
	t.Helper()
	tx.Offsets, tx.OffsetTopic = offsetRecords, "offsets"
	src, stats := &fakeSource{batches: make(chan *data.Batch, 16)}, &Stats{}
	cfg := SourceConfig{
		ID: connector.TaskID{Connector: "c"}, Source: src, Transactions: &tx,
		Convert: stringConverters(t), Chain: noTransforms(t), Topics: everyTopic{}, Touched: func(string) {}, Pause: pause,
		Report: func(connector.State) {}, Stats: stats, Logger: slog.New(slog.DiscardHandler), DrainTimeout: drain,
	}
	return src, stats, startLoop(t, func(ctx context.Context) error {
		ctx, stop := context.WithCancelCause(ctx)
		defer context.AfterFunc(task, func() { stop(context.Cause(task)) })()
		return RunSource(ctx, cfg)
	})
}

// numbered is a batch of one record, and its source offset.
func numbered(t *testing.T, n int, more bool) *data.Batch {
	return &data.Batch{
		Records:   []data.Record{{Topic: "out", Partition: data.NoPartition, Timestamp: data.NoTimestamp, Value: text(t, fmt.Sprint(n))}},
		Positions: []data.Position{at(`{"f":"x"}`, n)}, More: more,
	}
}

func (s *fakeSource) storedSeq() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stored
}

func TestTransactionHoldsRecordsAndOffsets(t *testing.T) {
	p := &scriptedProducer{}
	src, stats, loop := transactional(t, Transactions{Producer: p, EachPoll: true}, &connector.Switch{}, time.Second)
	src.batches <- numbered(t, 1, true)
	src.batches <- numbered(t, 2, false)
	waitFor(t, "the first commit", func() bool { return src.storedSeq() == 2 })
	src.batches <- numbered(t, 3, false)
	waitFor(t, "the second commit", func() bool { return src.storedSeq() == 3 })
	if err := loop.stop(); err != nil {
		t.Fatal(err)
	}
	want := `begin out=1 out=2 offsets={"n":2} commit begin out=3 offsets={"n":3} commit`
	if got := p.happened(); got != want {
		t.Errorf("happened: %s\nwant:     %s", got, want)
	}
	if n := stats.Counts(); n.Records != 3 || n.Commits != 2 {
		t.Errorf("counts %+v", n)
	}
}

func TestTransactionOnStop(t *testing.T) {
	for _, tt := range []struct {
		name string
		more bool
		why  error
		want string
	}{
		{"what is whole is committed", false, context.Canceled, `begin out=1 offsets={"n":1} commit`},
		{"half a poll is aborted", true, context.Canceled, `begin out=1 abort`},
		{"a fenced task leaves it to its successor", false, connector.ErrFenced, `begin out=1`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := &scriptedProducer{}
			ctx, stop := context.WithCancelCause(t.Context())
			src, _, loop := transactionalIn(t, ctx, Transactions{Producer: p, Interval: time.Hour}, &connector.Switch{}, time.Second)
			src.batches <- numbered(t, 1, tt.more)
			waitFor(t, "the record", func() bool { return strings.Contains(p.happened(), "out=1") })
			stop(tt.why)
			if err := loop.end(); err != nil {
				t.Fatal(err)
			}
			if got := p.happened(); got != tt.want {
				t.Errorf("happened: %s\nwant:     %s", got, tt.want)
			}
			if strings.Contains(tt.want, "commit") != (src.storedSeq() == 1) {
				t.Errorf("the source was told that batch %d is stored", src.storedSeq())
			}
		})
	}
}

// A connector that ends transactions decides alone: an abort drops records and
// moves the offsets past them, and what it has not ended is not committed.
func TestTransactionByConnector(t *testing.T) {
	p := &scriptedProducer{}
	src, _, loop := transactional(t, Transactions{Producer: p, ByConnector: true, Quiet: time.Nanosecond}, &connector.Switch{}, time.Second)
	ending := func(n int, end data.TransactionEnd) {
		b := numbered(t, n, false)
		b.End = end
		src.batches <- b
	}
	ending(1, data.GoesOn)
	ending(2, data.Commit)
	ending(3, data.GoesOn)
	ending(4, data.Abort)
	waitFor(t, "the abort", func() bool { return src.storedSeq() == 4 })
	ending(5, data.GoesOn)
	waitFor(t, "the last record", func() bool { return strings.Contains(p.happened(), "out=5") })
	if err := loop.stop(); err != nil {
		t.Fatal(err)
	}
	want := `begin out=1 out=2 offsets={"n":2} commit begin out=3 out=4 abort begin offsets={"n":4} commit begin out=5 abort`
	if got := p.happened(); got != want {
		t.Errorf("happened: %s\nwant:     %s", got, want)
	}
}

func TestTransactionOnPause(t *testing.T) {
	p, pause := &scriptedProducer{}, &connector.Switch{}
	src, _, _ := transactional(t, Transactions{Producer: p, Interval: time.Hour}, pause, time.Second)
	src.batches <- numbered(t, 1, false)
	waitFor(t, "the record", func() bool { return strings.Contains(p.happened(), "out=1") })
	pause.Set(true)
	waitFor(t, "the commit", func() bool { return src.storedSeq() == 1 })
}

func TestTransactionFails(t *testing.T) {
	for _, tt := range []struct {
		name     string
		p        *scriptedProducer
		want     string
		takeOver bool
	}{
		{"record", &scriptedProducer{refuse: kerr.MessageTooLarge}, "abort", false},
		{"commit", &scriptedProducer{refuseEnd: kerr.InvalidTxnState}, "commit abort", false},
		{"fenced by its record", &scriptedProducer{refuse: kerr.InvalidProducerEpoch}, "abort", true},
		{"fenced by its commit", &scriptedProducer{refuseEnd: kerr.ProducerFenced}, "commit abort", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			src, _, loop := transactional(t, Transactions{Producer: tt.p, EachPoll: true}, &connector.Switch{}, time.Second)
			src.batches <- numbered(t, 1, false)
			err := loop.end()
			if err == nil || errors.Is(err, ErrTakenOver) != tt.takeOver {
				t.Errorf("RunSource: %v, taken over: want %v", err, tt.takeOver)
			}
			if got := tt.p.happened(); !strings.HasSuffix(got, tt.want) {
				t.Errorf("happened: %s; want it to end with %s", got, tt.want)
			}
			if src.storedSeq() != 0 {
				t.Error("the source was told that its offsets are stored")
			}
		})
	}
}

func TestTransactionRefusesItsOffsetTopic(t *testing.T) {
	p := &scriptedProducer{}
	src, _, loop := transactional(t, Transactions{Producer: p, EachPoll: true}, &connector.Switch{}, time.Second)
	b := numbered(t, 1, false)
	b.Records[0].Topic = "offsets"
	src.batches <- b
	if err := loop.end(); err == nil || !strings.Contains(err.Error(), "name another topic") {
		t.Errorf("RunSource: %v", err)
	}
	if strings.Contains(p.happened(), "offsets=") {
		t.Errorf("happened: %s", p.happened())
	}
}

func transactionalClient(t *testing.T, c *brokertest.Cluster, id string) *kgo.Client {
	return c.Client(t, kgo.TransactionalID(id), kgo.AllowAutoTopicCreation())
}

// TestSuccessorFencesZombie has a second producer take over the transactional
// id of a task that has written and not committed: nothing of it is ever seen,
// and the task ends as taken over.
func TestSuccessorFencesZombie(t *testing.T) {
	c := brokertest.Start(t)
	src, _, zombie := transactional(t, Transactions{Producer: transactionalClient(t, c, "g-c-0"), Interval: 300 * time.Millisecond}, &connector.Switch{}, time.Second)
	src.batches <- numbered(t, 1, false)
	waitFor(t, "the first commit", func() bool { return src.storedSeq() == 1 })
	src.batches <- numbered(t, 2, false) // uncommitted for a while
	successor := transactionalClient(t, c, "g-c-0")
	if _, _, err := successor.ProducerID(t.Context()); err != nil {
		t.Fatal(err)
	}
	if src.storedSeq() != 1 {
		t.Fatal("the zombie committed before it was fenced: nothing is shown")
	}
	src.batches <- numbered(t, 3, false)
	if err := zombie.end(); !errors.Is(err, ErrTakenOver) {
		t.Errorf("the zombie ended with %v, want ErrTakenOver", err)
	}
	src2, _, loop := transactional(t, Transactions{Producer: successor, EachPoll: true}, &connector.Switch{}, 5*time.Second)
	src2.batches <- numbered(t, 2, false)
	src2.batches <- numbered(t, 4, false)
	waitFor(t, "the successor's commits", func() bool { return src2.storedSeq() == 2 })
	if err := loop.stop(); err != nil {
		t.Fatal(err)
	}
	reader := c.Client(t, kgo.ConsumeTopics("out", "offsets"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	got := map[string][]string{}
	for len(got["out"]) < 3 || len(got["offsets"]) < 3 {
		fetches := reader.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) { got[r.Topic] = append(got[r.Topic], string(r.Value)) })
	}
	if s := strings.Join(got["out"], " "); s != "1 2 4" {
		t.Errorf("records %s, want 1 2 4", s)
	}
	if s := strings.Join(got["offsets"], " "); s != `{"n":1} {"n":2} {"n":4}` {
		t.Errorf("offsets %s", s)
	}
}
