package store

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/broker/brokertest"
	"github.com/millrace/millrace/connect/connector"
)

func config(c *brokertest.Cluster, topic string, partitions int32) Config {
	return Config{
		Topic: topic, Partitions: partitions, ReplicationFactor: -1, ClientID: "test-" + topic,
		ClientOpts: []kgo.Opt{kgo.SeedBrokers(c.Addr())},
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// eventLog collects events from the store's goroutine.
type eventLog struct {
	mu     sync.Mutex
	events []Event
}

func (l *eventLog) add(e Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events = append(l.events, e)
}

func (l *eventLog) kinds() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []string
	for _, e := range l.events {
		out = append(out, string(e.Kind))
	}
	return strings.Join(out, " ")
}

func TestConfigsSurviveAndReplaySilently(t *testing.T) {
	c := brokertest.Start(t)
	ctx := t.Context()
	var live eventLog
	s, err := OpenConfigs(ctx, config(c, "configs", 1), live.add)
	must(t, err)
	cfg := connector.Config{"name": "a-b", "connector.class": "X", "note": "<&>"}
	must(t, s.PutConnector(ctx, "a-b", cfg, connector.TargetStopped))
	must(t, s.PutTasks(ctx, "a-b", []connector.Config{{"t": "0"}, {"t": "1"}}))
	must(t, s.PutTarget(ctx, "a-b", connector.TargetStarted))
	must(t, s.PutRestart(ctx, connector.RestartRequest{Connector: "a-b", IncludeTasks: true}))
	must(t, s.PutConnector(ctx, "gone", connector.Config{}, ""))
	must(t, s.DeleteConnector(ctx, "gone"))
	if got, want := live.kinds(), "config tasks target restart config removed"; got != want {
		t.Errorf("events %q, want %q", got, want)
	}
	s.Close()

	var replayed eventLog
	s, err = OpenConfigs(ctx, config(c, "configs", 1), replayed.add)
	must(t, err)
	defer s.Close()
	snap := s.Snapshot()
	if got := snap.Connectors(); len(got) != 1 || got[0] != "a-b" {
		t.Fatalf("connectors %v, want a-b", got)
	}
	if got, _ := snap.Connector("a-b"); !got.Equal(cfg) {
		t.Errorf("config %v, want %v", got, cfg)
	}
	if got := snap.Target("a-b"); got != connector.TargetStarted {
		t.Errorf("target %s, want STARTED", got)
	}
	if got := snap.Tasks("a-b"); len(got) != 2 || got[1]["t"] != "1" {
		t.Errorf("tasks %v, want two", got)
	}
	if !snap.Applied("a-b").Equal(cfg) {
		t.Errorf("applied %v, want %v", snap.Applied("a-b"), cfg)
	}
	if replayed.kinds() != "" {
		t.Errorf("replay made events %q", replayed.kinds())
	}
}

// Two workers see each other's writes, in the same order.
func TestConfigsAreSharedByWorkers(t *testing.T) {
	c := brokertest.Start(t)
	a, err := OpenConfigs(t.Context(), config(c, "configs", 1), func(Event) {})
	must(t, err)
	defer a.Close()
	b, err := OpenConfigs(t.Context(), config(c, "configs", 1), func(Event) {})
	must(t, err)
	defer b.Close()
	must(t, a.PutConnector(t.Context(), "x", connector.Config{"k": "v"}, ""))
	must(t, b.ReadToEnd(t.Context()))
	if got, ok := b.Snapshot().Connector("x"); !ok || got["k"] != "v" {
		t.Errorf("the other worker sees %v, %v", got, ok)
	}
	if ao, bo := a.Snapshot().Offset, b.Snapshot().Offset; ao != bo {
		t.Errorf("config offsets %d and %d differ", ao, bo)
	}
}

func TestTopicThatForgetsIsRefused(t *testing.T) {
	c := brokertest.Start(t)
	c.CreateTopic(t, "configs", 1, "cleanup.policy", "delete")
	_, err := OpenConfigs(t.Context(), config(c, "configs", 1), func(Event) {})
	if err == nil || !strings.Contains(err.Error(), "cleanup.policy") {
		t.Errorf("err %v, want one about cleanup.policy", err)
	}
}

func TestConfigTopicOfManyPartitionsIsRefused(t *testing.T) {
	c := brokertest.Start(t)
	c.CreateTopic(t, "configs", 3, "cleanup.policy", "compact")
	_, err := OpenConfigs(t.Context(), config(c, "configs", 1), func(Event) {})
	if err == nil || !strings.Contains(err.Error(), "one partition") {
		t.Errorf("err %v, want one about partitions", err)
	}
}

func TestOffsetsComeBack(t *testing.T) {
	c := brokertest.Start(t)
	ctx := t.Context()
	o, err := OpenOffsets(ctx, config(c, "offsets", 5))
	must(t, err)
	must(t, o.Put(ctx, "c", []Entry{
		{Partition: []byte(`{"server":"a"}`), Offset: []byte(`{"lsn":1}`)},
		{Partition: []byte(`{"server":"b"}`), Offset: []byte(`{"lsn":2}`)},
	}))
	must(t, o.Put(ctx, "c", []Entry{{Partition: []byte(`{"server":"a"}`), Offset: []byte(`{"lsn":3}`)}}))
	must(t, o.Put(ctx, "other", []Entry{{Partition: []byte(`{"server":"a"}`), Offset: []byte(`{"lsn":9}`)}}))
	must(t, o.Put(ctx, "c", []Entry{{Partition: []byte(`{"server":"b"}`)}}))
	o.Close()

	o, err = OpenOffsets(ctx, config(c, "offsets", 5))
	must(t, err)
	defer o.Close()
	got, err := o.Get(ctx, "c", []byte(`{ "server": "a" }`), []byte(`{"server":"b"}`), []byte(`{"server":"z"}`))
	must(t, err)
	if string(got[0]) != `{"lsn":3}` || got[1] != nil || got[2] != nil {
		t.Errorf("offsets %s, want lsn 3 and two nils", got)
	}
	all, err := o.List(ctx, "c")
	must(t, err)
	if len(all) != 1 || string(all[0].Partition) != `{"server":"a"}` {
		t.Errorf("listed %v, want the one of server a", all)
	}
}

// A key that a JVM wrote in its own order is written back as it was, or the
// JVM would not find it again.
func TestOffsetKeysKeepTheirBytes(t *testing.T) {
	c := brokertest.Start(t)
	ctx := t.Context()
	o, err := OpenOffsets(ctx, config(c, "offsets", 1))
	must(t, err)
	defer o.Close()
	raw := `["c",{"b":1,"a":2}]`
	must(t, o.topic.writeAndRead(ctx, &kgo.Record{Key: []byte(raw), Value: []byte(`{"n":1}`)}))
	must(t, o.Put(ctx, "c", []Entry{{Partition: []byte(`{"a":2,"b":1}`), Offset: []byte(`{"n":2}`)}}))

	client := c.Client(t, kgo.ConsumeTopics("offsets"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	var keys []string
	wctx, stop := context.WithTimeout(ctx, 20*time.Second)
	defer stop()
	for len(keys) < 2 {
		fetches := client.PollFetches(wctx)
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) { keys = append(keys, string(r.Key)) })
	}
	if keys[1] != raw {
		t.Errorf("second key is %s, want the first's bytes %s", keys[1], raw)
	}
}

func TestStatuses(t *testing.T) {
	c := brokertest.Start(t)
	ctx := t.Context()
	s, err := OpenStatuses(ctx, config(c, "status", 5))
	must(t, err)
	id := connector.TaskID{Connector: "my-c", Task: 11}
	must(t, s.PutConnector(ctx, "my-c", connector.Status{State: connector.Running, WorkerID: "w1:1", Generation: 4}))
	must(t, s.PutTask(ctx, id, connector.Status{State: connector.Failed, Trace: "why", WorkerID: "w1:1", Generation: 4}))
	must(t, s.PutTopic(ctx, id, "orders", 1))
	must(t, s.topic.readToEnd(ctx))
	s.Close()

	s, err = OpenStatuses(ctx, config(c, "status", 5))
	must(t, err)
	defer s.Close()
	if st, _ := s.Task(id); st.State != connector.Failed || st.Trace != "why" || st.Generation != 4 {
		t.Errorf("task status %+v", st)
	}
	if got := s.Topics("my-c"); len(got) != 1 || got[0] != "orders" {
		t.Errorf("topics %v", got)
	}
	// Last words of an earlier owner do not overwrite those of a later one.
	must(t, s.PutTaskSafe(ctx, id, connector.Status{State: connector.Unassigned, WorkerID: "w0:1", Generation: 3}))
	if st, _ := s.Task(id); st.State != connector.Failed {
		t.Errorf("state %s after an older worker's last words, want FAILED", st.State)
	}
	must(t, s.DeleteConnector(ctx, "my-c"))
	if _, ok := s.Connector("my-c"); ok || len(s.Tasks("my-c")) > 0 || len(s.Topics("my-c")) > 0 {
		t.Error("something is left of a deleted connector")
	}
}

// A broker that restarts interrupts writes and reads, and ends neither.
func TestStoreOutlivesARestartOfTheBroker(t *testing.T) {
	c := brokertest.Start(t)
	o, err := OpenOffsets(t.Context(), config(c, "offsets", 2))
	must(t, err)
	defer o.Close()
	must(t, o.Put(t.Context(), "c", []Entry{{Partition: []byte(`{}`), Offset: []byte(`{"n":1}`)}}))
	c.Kill(t)
	c.Resume(t)
	must(t, o.Put(t.Context(), "c", []Entry{{Partition: []byte(`{}`), Offset: []byte(`{"n":2}`)}}))
	got, err := o.Get(t.Context(), "c", []byte(`{}`))
	must(t, err)
	if string(got[0]) != `{"n":2}` {
		t.Errorf("offset %s, want n 2", got[0])
	}
}

// What is remembered of a connector is bounded, and the newest of it is kept.
func TestHistoryIsBounded(t *testing.T) {
	var h history
	began := time.UnixMilli(1000)
	for n := range 3*historyEntries + 7 {
		h.add(began.Add(time.Duration(n)*time.Millisecond), n%2, connector.Status{State: connector.Failed, Trace: strings.Repeat("x", 2*historyTrace)})
	}
	all := h.all()
	if len(all) != historyEntries || all[0].Time != 1000+2*historyEntries+7 || all[len(all)-1].Time != 1000+3*historyEntries+6 {
		t.Errorf("%d entries from %d to %d", len(all), all[0].Time, all[len(all)-1].Time)
	}
	for i, e := range all {
		if len(e.Trace) != historyTrace || i > 0 && e.Time <= all[i-1].Time {
			t.Fatalf("entry %d: %d bytes of trace at %d", i, len(e.Trace), e.Time)
		}
	}
}
