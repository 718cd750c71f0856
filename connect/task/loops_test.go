package task

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/broker/brokertest"
	"github.com/millrace/millrace/connect/connector"
	"github.com/millrace/millrace/connect/converter"
	"github.com/millrace/millrace/connect/transform"
	"github.com/millrace/millrace/plugins/data"
)

const patience = 30 * time.Second

// TestMain fails when a test leaves a goroutine of this module behind.
func TestMain(m *testing.M) {
	code := m.Run()
	deadline := time.Now().Add(5 * time.Second)
	for code == 0 {
		buf := make([]byte, 1<<20)
		buf = buf[:runtime.Stack(buf, true)]
		var left []string
		for _, g := range strings.Split(string(buf), "\n\n") {
			if strings.Contains(g, "millrace/connect/task.(*") {
				left = append(left, g)
			}
		}
		if len(left) == 0 {
			break
		}
		if time.Now().After(deadline) {
			fmt.Println("goroutines left:\n" + strings.Join(left, "\n\n"))
			code = 1
		}
		runtime.Gosched()
	}
	os.Exit(code)
}

func stringConverters(t testing.TB) Converters {
	t.Helper()
	newOne := func(name string, side converter.Side) converter.Converter {
		class, ok := converter.Lookup(name)
		if !ok {
			t.Fatalf("no converter %s", name)
		}
		c, err := class.New(converter.Settings{Side: side})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	return Converters{
		Key: newOne("StringConverter", converter.Key), Value: newOne("StringConverter", converter.Value),
		Header: newOne("SimpleHeaderConverter", converter.Header),
	}
}

func noTransforms(t testing.TB) *transform.Chain { return chain(t, nil) }

func chain(t testing.TB, config map[string]string) *transform.Chain {
	t.Helper()
	c, err := transform.New(config, transform.Options{Kind: transform.Sink})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func text(t *testing.T, s string) data.Datum {
	t.Helper()
	d, err := data.NewDatum(data.OptionalStringSchema, s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// fakeSource hands over batches of a channel.
type fakeSource struct {
	batches chan *data.Batch
	seq     uint64

	mu     sync.Mutex // guards below
	acked  uint64
	stored uint64
	paused bool
}

func (s *fakeSource) Next(ctx context.Context) (*data.Batch, uint64, func(), error) {
	select {
	case b, ok := <-s.batches:
		if !ok {
			return nil, 0, nil, io.ErrUnexpectedEOF
		}
		s.seq++
		return b, s.seq, func() {
			for i := range b.Records { // whoever still uses the batch reads garbage
				b.Records[i] = data.Record{Topic: "released"}
			}
		}, nil
	case <-ctx.Done():
		return nil, 0, nil, context.Cause(ctx)
	}
}

func (s *fakeSource) Acked(seq uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.acked = seq
	return nil
}

func (s *fakeSource) Stored(seq uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stored = seq
	return nil
}

func (s *fakeSource) Pause(paused bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.paused = paused
	return nil
}

// memoryOffsets keeps offsets in memory, and fails while broken is set.
type memoryOffsets struct {
	mu      sync.Mutex // guards below
	offsets map[string]string
	broken  bool
	hold    chan struct{} // of the next write, which lasts until it is closed
	held    chan struct{} // closed when that has begun
	cut     chan struct{} // closed if its context ends before
}

func (o *memoryOffsets) PutOffsets(ctx context.Context, offsets map[string][]byte) error {
	o.mu.Lock()
	hold := o.hold
	o.hold = nil
	o.mu.Unlock()
	if hold != nil {
		close(o.held)
		select {
		case <-hold:
		case <-ctx.Done():
			close(o.cut)
			return context.Cause(ctx)
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.broken {
		return errors.New("log away")
	}
	for k, v := range offsets {
		o.offsets[k] = string(v)
	}
	return nil
}

type everyTopic struct{}

func (everyTopic) Ensure(context.Context, string) error { return nil }

func waitFor(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !cond(); {
		if time.Now().After(deadline) {
			t.Fatalf("%s did not come about", what)
		}
		time.Sleep(time.Millisecond) // polling a condition
	}
}

// loop is a running loop.
type loop struct {
	t      *testing.T
	cancel context.CancelFunc
	done   chan error // closed after its one error
}

func startLoop(t *testing.T, run func(context.Context) error) *loop {
	ctx, cancel := context.WithCancel(t.Context())
	l := &loop{t, cancel, make(chan error, 1)}
	go func() { l.done <- run(ctx); close(l.done) }()
	t.Cleanup(func() { cancel(); <-l.done })
	return l
}

// stop tells the loop to stop and returns what it ended with.
func (l *loop) stop() error {
	l.cancel()
	return l.end()
}

// end waits until the loop ends and returns what it ended with.
func (l *loop) end() error {
	l.t.Helper()
	select {
	case err := <-l.done:
		return err
	case <-time.After(patience):
		l.t.Fatal("the loop did not end")
		return nil
	}
}

// runSource starts a source loop.
func runSource(t *testing.T, c *brokertest.Cluster, policy Policy, opts ...kgo.Opt) (*fakeSource, *memoryOffsets, *Stats, *loop) {
	t.Helper()
	src := &fakeSource{batches: make(chan *data.Batch, 16)}
	offsets := &memoryOffsets{offsets: map[string]string{}}
	stats := &Stats{}
	cfg := SourceConfig{
		ID: connector.TaskID{Connector: "c"}, Source: src, Producer: c.Client(t, append(opts, kgo.AllowAutoTopicCreation())...),
		Convert: stringConverters(t), Chain: noTransforms(t), Offsets: offsets, Topics: everyTopic{}, Touched: func(string) {}, Pause: &connector.Switch{},
		Report: func(connector.State) {}, Policy: policy, Stats: stats, Logger: slog.New(slog.DiscardHandler),
		CommitInterval: time.Millisecond, DrainTimeout: 5 * time.Second,
	}
	return src, offsets, stats, startLoop(t, func(ctx context.Context) error { return RunSource(ctx, cfg) })
}

func TestSourceWritesInOrderAndStoresOffsetsBehind(t *testing.T) {
	c := brokertest.Start(t)
	src, offsets, stats, loop := runSource(t, c, Policy{})
	const batches, size = 20, 50
	for b := range batches {
		batch := &data.Batch{}
		for i := range size {
			n := b*size + i
			batch.Positions = append(batch.Positions, at(`{"f":"x"}`, n))
			batch.Records = append(batch.Records, data.Record{
				Topic: "out", Partition: data.NoPartition, Timestamp: 1000 + int64(n), Position: int32(i),
				Value: text(t, fmt.Sprint(n)), Headers: []data.Header{{Name: "h", Value: text(t, "v")}},
			})
		}
		src.batches <- batch
	}
	waitFor(t, "the last offset", func() bool {
		offsets.mu.Lock()
		defer offsets.mu.Unlock()
		return offsets.offsets[`{"f":"x"}`] == `{"n":999}`
	})
	if err := loop.stop(); err != nil {
		t.Fatalf("RunSource: %v", err)
	}
	if src.acked != batches || src.stored != batches {
		t.Errorf("acked %d, stored %d; want %d", src.acked, src.stored, batches)
	}
	if n := stats.Counts(); n.Records != batches*size || n.Failures != 0 {
		t.Errorf("counts %+v", n)
	}
	got := consume(t, c, "out", batches*size)
	for i, r := range got {
		if string(r.Value) != fmt.Sprint(i) || r.Timestamp.UnixMilli() != 1000+int64(i) || string(r.Headers[0].Value) != "v" {
			t.Fatalf("record %d is %q at %d with headers %v", i, r.Value, r.Timestamp.UnixMilli(), r.Headers)
		}
	}
}

func consume(t *testing.T, c *brokertest.Cluster, topic string, n int) []*kgo.Record {
	t.Helper()
	client := c.Client(t, kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	var out []*kgo.Record
	for len(out) < n {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatalf("consume %s: %v", topic, err)
		}
		out = append(out, fetches.Records()...)
	}
	return out
}

func TestSourceStoresNothingPastAFailedRecord(t *testing.T) {
	c := brokertest.Start(t)
	src, offsets, _, loop := runSource(t, c, Policy{}, kgo.ProducerBatchMaxBytes(2000))
	src.batches <- &data.Batch{
		Records:   []data.Record{{Topic: "out", Partition: data.NoPartition, Timestamp: data.NoTimestamp, Value: text(t, strings.Repeat("x", 5000))}},
		Positions: []data.Position{at(`{"f":"x"}`, 1)},
	}
	if err := loop.end(); err == nil || !strings.Contains(err.Error(), "write to the log") {
		t.Errorf("RunSource: %v, want the log's refusal", err)
	}
	if len(offsets.offsets) > 0 || src.stored > 0 {
		t.Errorf("offsets %v stored although their record is not in the log", offsets.offsets)
	}
}

func TestSourceSkipsBadRecordsOnlyIfTold(t *testing.T) {
	c := brokertest.Start(t)
	bad := data.Datum{Schema: data.Int32Schema, State: data.Present, Row: []byte{0xff}} // a torn varint
	batch := func() *data.Batch {
		return &data.Batch{Records: []data.Record{
			{Topic: "out", Partition: data.NoPartition, Timestamp: data.NoTimestamp, Value: bad},
			{Topic: "out", Partition: data.NoPartition, Timestamp: data.NoTimestamp, Value: text(t, "good")},
		}}
	}
	src, _, stats, loop := runSource(t, c, Policy{Tolerate: true})
	src.batches <- batch()
	if got := consume(t, c, "out", 1); string(got[0].Value) != "good" {
		t.Errorf("topic holds %q", got[0].Value)
	}
	if n := stats.Counts(); n.Failures != 1 || n.Skipped != 1 {
		t.Errorf("counts %+v, want one failure, skipped", n)
	}
	if err := loop.stop(); err != nil {
		t.Errorf("RunSource: %v", err)
	}
	src, _, _, loop = runSource(t, c, Policy{})
	src.batches <- batch()
	var failure *RecordError
	if err := loop.end(); !errors.As(err, &failure) || failure.Stage != StageValueConverter {
		t.Errorf("RunSource: %v, want a failure of the value converter", err)
	}
}

func TestSourceKeepsOffsetsThatCouldNotBeStored(t *testing.T) {
	c := brokertest.Start(t)
	src, offsets, stats, _ := runSource(t, c, Policy{})
	offsets.mu.Lock()
	offsets.broken = true
	offsets.mu.Unlock()
	one := func(p string) *data.Batch {
		return &data.Batch{
			Records:   []data.Record{{Topic: "out", Partition: data.NoPartition, Timestamp: data.NoTimestamp, Value: text(t, "v")}},
			Positions: []data.Position{at(p, 1)},
		}
	}
	src.batches <- one(`{"f":"a"}`)
	waitFor(t, "a failed commit", func() bool { return stats.Counts().CommitFailures > 0 })
	if src.mu.Lock(); src.stored != 0 {
		t.Error("the task was told that offsets are stored")
	}
	src.mu.Unlock()
	offsets.mu.Lock()
	offsets.broken = false
	offsets.mu.Unlock()
	src.batches <- one(`{"f":"b"}`)
	waitFor(t, "both offsets", func() bool {
		offsets.mu.Lock()
		defer offsets.mu.Unlock()
		return len(offsets.offsets) == 2
	})
}

// fakeSink records what it is given; put decides what to say to it.
type fakeSink struct {
	mu       sync.Mutex // guards below
	got      []string
	puts     int
	starts   map[TopicPartition]int64
	commits  []map[TopicPartition]int64
	requests SinkRequests
	put      func(n int, records []data.Record) error
	hold     bool // vouch for nothing
}

func (s *fakeSink) Assigned(_ context.Context, starts map[TopicPartition]int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.starts == nil {
		s.starts = map[TopicPartition]int64{}
	}
	for tp, o := range starts {
		s.starts[tp] = o
	}
	return nil
}

func (s *fakeSink) Revoked(context.Context, []TopicPartition, bool) error { return nil }

func (s *fakeSink) Put(_ context.Context, records []data.Record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(records) == 0 {
		return nil
	}
	s.puts++
	var err error
	if s.put != nil {
		err = s.put(s.puts, records)
	}
	n := len(records)
	var failure *PutError
	if errors.As(err, &failure) {
		n = failure.Accepted
	} else if err != nil {
		n = 0
	}
	for _, r := range records[:n] {
		v, verr := r.Value.Value()
		if verr != nil {
			return verr
		}
		s.got = append(s.got, fmt.Sprint(v))
	}
	return err
}

func (s *fakeSink) PreCommit(_ context.Context, current map[TopicPartition]int64) (map[TopicPartition]int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hold {
		return nil, nil
	}
	s.commits = append(s.commits, current)
	return current, nil
}

func (s *fakeSink) Requests() SinkRequests {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.requests
	s.requests = SinkRequests{}
	return r
}

func (s *fakeSink) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.got, " ")
}

func runSink(t *testing.T, c *brokertest.Cluster, sink *fakeSink, change func(*SinkConfig)) (*Stats, *loop) {
	t.Helper()
	stats := &Stats{}
	cfg := SinkConfig{
		ID: connector.TaskID{Connector: "c"}, Sink: sink, Group: "connect-c", Convert: stringConverters(t), Chain: noTransforms(t),
		ClientOpts: []kgo.Opt{kgo.SeedBrokers(c.Addr()), kgo.ConsumeTopics("in"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart())},
		Touched:    func(string) {}, Pause: &connector.Switch{}, Report: func(connector.State) {}, Stats: stats,
		Logger: slog.New(slog.DiscardHandler), CommitInterval: 50 * time.Millisecond, MaxPollRecords: 100,
	}
	if change != nil {
		change(&cfg)
	}
	return stats, startLoop(t, func(ctx context.Context) error { return RunSink(ctx, cfg) })
}

func produce(t *testing.T, c *brokertest.Cluster, values ...string) {
	t.Helper()
	client := c.Client(t, kgo.DefaultProduceTopic("in"), kgo.AllowAutoTopicCreation())
	for _, v := range values {
		if err := client.ProduceSync(t.Context(), kgo.StringRecord(v)).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSinkGoesOnWhereItCommitted(t *testing.T) {
	c := brokertest.Start(t)
	produce(t, c, "a", "b")
	first := &fakeSink{}
	_, loop := runSink(t, c, first, func(cfg *SinkConfig) { cfg.CommitInterval = time.Hour })
	waitFor(t, "a and b", func() bool { return first.text() == "a b" })
	if err := loop.stop(); err != nil { // which commits
		t.Fatal(err)
	}
	produce(t, c, "c")
	second := &fakeSink{}
	runSink(t, c, second, nil)
	waitFor(t, "c", func() bool { return second.text() == "c" })
	if start := second.starts[TopicPartition{"in", 0}]; start != 2 {
		t.Errorf("partition opened at %d, want 2", start)
	}
}

func TestSinkIsGivenAgainWhatItDidNotVouchFor(t *testing.T) {
	c := brokertest.Start(t)
	produce(t, c, "a", "b")
	first := &fakeSink{hold: true}
	_, loop := runSink(t, c, first, nil)
	waitFor(t, "a and b", func() bool { return first.text() == "a b" })
	if err := loop.stop(); err != nil {
		t.Fatal(err)
	}
	second := &fakeSink{}
	runSink(t, c, second, nil)
	waitFor(t, "a and b again", func() bool { return second.text() == "a b" })
}

func TestSinkRetriesWhatPasses(t *testing.T) {
	c := brokertest.Start(t)
	produce(t, c, "a", "b", "c")
	sink := &fakeSink{put: func(n int, records []data.Record) error {
		if n < 3 {
			return &PutError{Accepted: 0, Transient: true, RetryAfter: time.Millisecond, Err: errors.New("away")}
		}
		return nil
	}}
	stats, loop := runSink(t, c, sink, nil)
	waitFor(t, "all", func() bool { return sink.text() == "a b c" })
	produce(t, c, "d") // fetching goes on afterwards
	waitFor(t, "d", func() bool { return sink.text() == "a b c d" })
	if n := stats.Counts(); n.Records != 4 || n.Skipped != 0 {
		t.Errorf("counts %+v", n)
	}
	if err := loop.stop(); err != nil {
		t.Error(err)
	}
}

// The record at fault is found by halving where the sink cannot name it.
func TestSinkFindsTheBadRecord(t *testing.T) {
	for _, known := range []bool{false, true} {
		t.Run(fmt.Sprintf("known %v", known), func(t *testing.T) {
			c := brokertest.Start(t)
			produce(t, c, "a", "b", "BAD", "c", "BAD", "d", "e")
			sink := &fakeSink{put: func(_ int, records []data.Record) error {
				for i, r := range records {
					if bytes.Contains(r.Value.Row, []byte("BAD")) {
						return &PutError{Accepted: 0, Known: known, Record: i, Err: errors.New("cannot store BAD")}
					}
				}
				return nil
			}}
			stats, loop := runSink(t, c, sink, func(cfg *SinkConfig) { cfg.Policy.Tolerate = true })
			waitFor(t, "the good ones", func() bool { return sink.text() == "a b c d e" })
			if n := stats.Counts(); n.Skipped != 2 || n.Records != 5 {
				t.Errorf("counts %+v, want 5 records and 2 skipped", n)
			}
			if err := loop.stop(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestSinkFailsOnABadRecordUnlessTolerated(t *testing.T) {
	c := brokertest.Start(t)
	produce(t, c, "a", "BAD")
	sink := &fakeSink{put: func(_ int, records []data.Record) error {
		for i, r := range records {
			if bytes.Contains(r.Value.Row, []byte("BAD")) {
				return &PutError{Accepted: i, Known: true, Record: i, Err: errors.New("cannot store BAD")}
			}
		}
		return nil
	}}
	_, loop := runSink(t, c, sink, nil)
	var failure *RecordError
	if err := loop.end(); !errors.As(err, &failure) || failure.Record.Offset != 1 || !strings.Contains(err.Error(), "topic in, partition 0, offset 1") {
		t.Errorf("RunSink: %v, want the failure of offset 1", err)
	}
}

func TestSinkRewindsWhenAsked(t *testing.T) {
	c := brokertest.Start(t)
	produce(t, c, "a", "b", "c")
	sink := &fakeSink{}
	runSink(t, c, sink, nil)
	waitFor(t, "a b c", func() bool { return sink.text() == "a b c" })
	sink.mu.Lock()
	sink.requests.Rewind = map[TopicPartition]int64{{"in", 0}: 1}
	sink.mu.Unlock()
	waitFor(t, "b c again", func() bool { return sink.text() == "a b c b c" })
}

func TestPausedSinkGetsNothing(t *testing.T) {
	c := brokertest.Start(t)
	produce(t, c, "a")
	sink := &fakeSink{}
	pause := &connector.Switch{}
	states := make(chan connector.State, 10)
	runSink(t, c, sink, func(cfg *SinkConfig) {
		cfg.Pause = pause
		cfg.Report = func(s connector.State) { states <- s }
	})
	waitFor(t, "a", func() bool { return sink.text() == "a" })
	pause.Set(true)
	if s := <-states; s != connector.Paused {
		t.Fatalf("state %s", s)
	}
	produce(t, c, "b")
	pause.Set(false)
	if s := <-states; s != connector.Running {
		t.Fatalf("state %s", s)
	}
	waitFor(t, "b", func() bool { return sink.text() == "a b" })
}

const transforms = "org.apache.kafka.connect.transforms."

func TestSourceTransforms(t *testing.T) {
	c := brokertest.Start(t)
	cfg := map[string]string{
		"transforms": "route,keep", "predicates": "drop",
		"transforms.route.type": transforms + "RegexRouter", "transforms.route.regex": "db\\.(.*)", "transforms.route.replacement": "$1",
		"transforms.keep.type": transforms + "Filter", "transforms.keep.predicate": "drop",
		"predicates.drop.type": transforms + "predicates.TopicNameMatches", "predicates.drop.pattern": "secret",
	}
	s := &fakeSource{batches: make(chan *data.Batch, 1)}
	stored := &memoryOffsets{offsets: map[string]string{}}
	l := startLoop(t, func(ctx context.Context) error {
		return RunSource(ctx, SourceConfig{
			Source: s, Producer: c.Client(t, kgo.AllowAutoTopicCreation()), Convert: stringConverters(t), Chain: chain(t, cfg), Offsets: stored,
			Topics: everyTopic{}, Touched: func(string) {}, Pause: &connector.Switch{}, Report: func(connector.State) {}, Stats: &Stats{},
			Logger: slog.New(slog.DiscardHandler), CommitInterval: time.Millisecond, DrainTimeout: 5 * time.Second,
		})
	})
	var b data.Batch
	for i, topic := range []string{"db.orders", "db.secret", "db.orders"} {
		b.Records = append(b.Records, data.Record{Topic: topic, Partition: data.NoPartition, Timestamp: data.NoTimestamp, Position: int32(i), Value: text(t, fmt.Sprint(i))})
		b.Positions = append(b.Positions, at(`{"f":"x"}`, i))
	}
	s.batches <- &b
	got := consume(t, c, "orders", 2)
	if string(got[0].Value) != "0" || string(got[1].Value) != "2" {
		t.Errorf("topic orders holds %q and %q", got[0].Value, got[1].Value)
	}
	waitFor(t, "the offset past the dropped record", func() bool {
		stored.mu.Lock()
		defer stored.mu.Unlock()
		return stored.offsets[`{"f":"x"}`] == `{"n":2}`
	})
	if err := l.stop(); err != nil {
		t.Error(err)
	}
}

// Offsets are tracked by the coordinates a record was consumed from, whatever
// transforms make of its topic (KIP-793), and move past records dropped.
func TestSinkTransforms(t *testing.T) {
	c := brokertest.Start(t)
	produce(t, c, "a", "b")
	sink := &fakeSink{}
	_, loop := runSink(t, c, sink, func(cfg *SinkConfig) {
		cfg.Chain = chain(t, map[string]string{
			"transforms": "route", "transforms.route.type": transforms + "RegexRouter", "transforms.route.regex": "in", "transforms.route.replacement": "elsewhere",
		})
	})
	waitFor(t, "both", func() bool { return sink.text() == "a b" })
	if err := loop.stop(); err != nil {
		t.Fatal(err)
	}
	sink.mu.Lock()
	last := sink.commits[len(sink.commits)-1]
	sink.mu.Unlock()
	if last[TopicPartition{"in", 0}] != 2 || len(last) != 1 {
		t.Errorf("committed %v, want in-0 at 2", last)
	}

	dropping := &fakeSink{}
	stats, _ := runSink(t, c, dropping, func(cfg *SinkConfig) {
		cfg.Group = "connect-d"
		cfg.Chain = chain(t, map[string]string{"transforms": "all", "transforms.all.type": transforms + "Filter"})
	})
	waitFor(t, "a commit past dropped records", func() bool {
		dropping.mu.Lock()
		defer dropping.mu.Unlock()
		return len(dropping.commits) > 0 && dropping.commits[0][TopicPartition{"in", 0}] == 2
	})
	if stats.Counts().Records != 0 || dropping.text() != "" {
		t.Errorf("sink got %q", dropping.text())
	}
}

// A write of offsets that is under way when the task is stopped is not cut off:
// the last one goes out behind it, and would be lost with it.
func TestStopLetsAWriteOfOffsetsEnd(t *testing.T) {
	c := brokertest.Start(t)
	src, offsets, _, loop := runSource(t, c, Policy{})
	hold := make(chan struct{})
	offsets.mu.Lock()
	offsets.hold, offsets.held, offsets.cut = hold, make(chan struct{}), make(chan struct{})
	offsets.mu.Unlock()
	for n := range 2 {
		src.batches <- &data.Batch{
			Records:   []data.Record{{Topic: "out", Partition: data.NoPartition, Value: text(t, "v"), Position: 0}},
			Positions: []data.Position{at(`{"f":"x"}`, n)},
		}
		if n == 0 {
			<-offsets.held
		}
	}
	waitFor(t, "the second batch", func() bool { return len(src.batches) == 0 })
	loop.cancel()
	select {
	case <-offsets.cut:
		t.Error("the write was cut off")
	case <-time.After(300 * time.Millisecond): // it must not be, in a good while
	}
	close(hold)
	if err := loop.end(); err != nil {
		t.Fatal(err)
	}
	if got, want := offsets.offsets[`{"f":"x"}`], string(at(`{"f":"x"}`, 1).Offset); got != want {
		t.Errorf("stored is %q, want %q", got, want)
	}
}
