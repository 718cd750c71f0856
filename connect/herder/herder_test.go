package herder

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/broker/brokertest"
	"github.com/millrace/millrace/connect/connector"
	"github.com/millrace/millrace/connect/rebalance"
	"github.com/millrace/millrace/connect/store"
	"github.com/millrace/millrace/connect/worker"
	"github.com/millrace/millrace/plugins/configdef"
)

// fakeWorker plays a connector whose config says how many tasks it wants. It
// counts starts and knows what runs.
type fakeWorker struct {
	mu      sync.Mutex
	starts  map[string]int // of connectors by name and tasks by id
	running map[string]bool
	changed chan struct{}
	fenced  []string
	hang    chan struct{} // tasks of connector "hung" stop only when it is closed
}

func newFakeWorker() *fakeWorker {
	return &fakeWorker{starts: map[string]int{}, running: map[string]bool{}, changed: make(chan struct{}), hang: make(chan struct{})}
}

func (w *fakeWorker) mark(what string, running bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if running {
		w.starts[what]++
	}
	w.running[what] = running
	close(w.changed)
	w.changed = make(chan struct{})
}

// await waits until cond holds, which is asked again after each change.
func (w *fakeWorker) await(t *testing.T, what string, cond func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		w.mu.Lock()
		ok, changed := cond(), w.changed
		w.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			w.mu.Lock()
			defer w.mu.Unlock()
			t.Fatalf("%s did not come about; starts %v, running %v", what, w.starts, w.running)
		}
	}
}

func (w *fakeWorker) RunConnector(ctx context.Context, name string, cfg connector.Config,
	plan func(context.Context, []connector.Config) error, report Report,
) {
	w.mark(name, true)
	defer w.mark(name, false)
	report(connector.Running, "")
	tasks, err := w.PlanTasks(ctx, cfg)
	if err != nil {
		report(connector.Failed, err.Error())
	}
	if err := plan(ctx, tasks); err != nil {
		report(connector.Failed, err.Error())
	}
	<-ctx.Done()
	report(connector.Unassigned, "")
}

func (w *fakeWorker) RunTask(ctx context.Context, id connector.TaskID, _, _ connector.Config, _ *connector.Switch, report TaskReport) {
	w.mark(id.String(), true)
	defer w.mark(id.String(), false)
	report(connector.Running, "", nil)
	<-ctx.Done()
	if id.Connector == "hung" {
		<-w.hang
	}
	report(connector.Unassigned, "", nil)
}

func (w *fakeWorker) Settings(cfg connector.Config) connector.Config {
	return connector.Config{"errors.tolerance": cfg["errors.tolerance"]}
}

func (w *fakeWorker) Validate(_ context.Context, cfg connector.Config) (worker.Infos, error) {
	infos := worker.Infos{Name: cfg["connector.class"]}
	if e := cfg["error"]; e != "" {
		infos.Configs = []configdef.Info{{Value: &configdef.Value{Name: "error", Errors: []string{e}}}}
		infos.ErrorCount = 1
	}
	return infos, nil
}

func (w *fakeWorker) FenceProducers(_ context.Context, name string, _ connector.Config, tasks int) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fenced = append(w.fenced, fmt.Sprintf("%s: %d", name, tasks))
	return nil
}

func (w *fakeWorker) PlanTasks(_ context.Context, cfg connector.Config) ([]connector.Config, error) {
	var n int
	if _, err := fmt.Sscan(cfg["n"], &n); err != nil {
		return nil, err
	}
	var tasks []connector.Config
	for i := range n {
		tasks = append(tasks, connector.Config{"i": fmt.Sprint(i), "own": cfg["own"]})
	}
	return tasks, nil
}

func (w *fakeWorker) MissingTopics(_ context.Context, cfg connector.Config, _ []string) ([]connector.TopicPreview, error) {
	if cfg["topic"] == "" {
		return nil, nil
	}
	return []connector.TopicPreview{{Name: cfg["topic"], Partitions: -1, ReplicationFactor: -1, Use: "records"}}, nil
}

func (w *fakeWorker) Secret(connector.Config) func(string) bool {
	return func(key string) bool { return key == "password" }
}

func (w *fakeWorker) Mask(cfg connector.Config) connector.Config {
	return configdef.Mask(cfg, w.Secret(cfg))
}

func (w *fakeWorker) Kind(connector.Config) connector.Kind { return connector.Source }

func (w *fakeWorker) SinkOffsets(context.Context, string, connector.Config) ([]connector.OffsetEntry, error) {
	return nil, nil
}
func (w *fakeWorker) PutSinkOffsets(context.Context, string, connector.Config, []connector.OffsetEntry) error {
	return nil
}
func (w *fakeWorker) ResetSinkOffsets(context.Context, string, connector.Config) error { return nil }
func (w *fakeWorker) VouchForOffsets(context.Context, connector.Config, []connector.OffsetEntry) (bool, error) {
	return true, nil
}

// startHerder runs a herder on a broker until the test ends or stop is called.
func startHerder(t *testing.T, c *brokertest.Cluster, w Worker) (h *Herder, stop func()) {
	t.Helper()
	sc := func(topic string, partitions int32) store.Config {
		return store.Config{Topic: topic, Partitions: partitions, ReplicationFactor: -1, ClientID: topic, ClientOpts: []kgo.Opt{kgo.SeedBrokers(c.Addr())}}
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(c.Addr()), kgo.ClientID("worker"))
	if err != nil {
		t.Fatal(err)
	}
	h = New(Config{
		WorkerID: "127.0.0.1:8083", Worker: w, Configs: sc("configs", 1), Offsets: sc("offsets", 1), Statuses: sc("status", 1),
		Group: rebalance.Config{
			Client: client, Group: "workers", URL: "http://127.0.0.1:8083/", Storage: "these topics", Protocols: rebalance.Offered("sessioned"),
			Session: 6 * time.Second, Heartbeat: 100 * time.Millisecond, Rebalance: 10 * time.Second, MaxDelay: time.Minute,
			SyncTimeout: 3 * time.Second, UnsyncBackoff: time.Second,
		},
		Signing: Signing{KeyAlgorithm: "HmacSHA256", Algorithm: "HmacSHA256", Verify: []string{"HmacSHA256"}},
	})
	ctx, cancel := context.WithCancel(context.Background())
	ready, done := make(chan struct{}), make(chan error, 1)
	go func() { done <- h.Run(ctx, func() { close(ready) }) }()
	select {
	case <-ready:
	case err := <-done:
		t.Fatalf("herder did not start: %v", err)
	}
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				t.Errorf("herder: %v", err)
			}
			client.Close()
		})
	}
	t.Cleanup(stop)
	return h, stop
}

func mustCreate(t *testing.T, h *Herder, name string, cfg connector.Config) {
	t.Helper()
	cfg["name"], cfg["connector.class"] = name, "Fake"
	if _, err := h.Create(t.Context(), name, cfg, ""); err != nil {
		t.Fatalf("create %s: %v", name, err)
	}
}

func fault(err error) connector.Fault {
	var e *connector.Error
	if errors.As(err, &e) {
		return e.Fault
	}
	return 0
}

func TestLifeOfAConnector(t *testing.T) {
	c, w := brokertest.Start(t), newFakeWorker()
	h, stop := startHerder(t, c, w)
	ctx := t.Context()
	mustCreate(t, h, "c", connector.Config{"n": "2"})
	if _, err := h.Create(ctx, "c", connector.Config{"connector.class": "Fake"}, ""); fault(err) != connector.Conflict {
		t.Errorf("second create: %v, want a conflict", err)
	}
	w.await(t, "two tasks", func() bool { return w.running["c-0"] && w.running["c-1"] })

	if err := h.SetTarget(ctx, "c", connector.TargetStopped); err != nil {
		t.Fatal(err)
	}
	w.await(t, "stop", func() bool { return !w.running["c-0"] && !w.running["c-1"] && !w.running["c"] })
	if tasks, err := h.Tasks(ctx, "c"); err != nil || len(tasks) != 0 {
		t.Errorf("tasks of a stopped connector: %v, %v", tasks, err)
	}
	if err := h.SetTarget(ctx, "c", connector.TargetStarted); err != nil {
		t.Fatal(err)
	}
	w.await(t, "resume", func() bool { return w.running["c-0"] && w.running["c-1"] })
	stop()
	w.await(t, "the herder's end", func() bool { return !w.running["c-0"] && !w.running["c-1"] && !w.running["c"] })

	// A new worker takes up what the topics say.
	w2 := newFakeWorker()
	h2, _ := startHerder(t, c, w2)
	w2.await(t, "taking up", func() bool { return w2.running["c-0"] && w2.running["c-1"] })
	if err := h2.Delete(ctx, "c"); err != nil {
		t.Fatal(err)
	}
	w2.await(t, "deletion", func() bool { return !w2.running["c-0"] && !w2.running["c-1"] && !w2.running["c"] })
	if _, err := h2.Info(ctx, "c"); fault(err) != connector.NotFound {
		t.Errorf("info of a deleted connector: %v, want not found", err)
	}
}

func TestConfigChangeTouchesOnlyWhatItMust(t *testing.T) {
	c, w := brokertest.Start(t), newFakeWorker()
	h, _ := startHerder(t, c, w)
	ctx := t.Context()
	mustCreate(t, h, "a", connector.Config{"n": "2", "own": "x"})
	mustCreate(t, h, "b", connector.Config{"n": "1"})
	w.await(t, "start", func() bool { return w.running["a-0"] && w.running["a-1"] && w.running["b-0"] })

	put := func(cfg connector.Config) {
		t.Helper()
		cfg["name"], cfg["connector.class"] = "a", "Fake"
		if _, created, err := h.Put(ctx, "a", cfg); err != nil || created {
			t.Fatalf("put: created %v, %v", created, err)
		}
	}
	put(connector.Config{"n": "2", "own": "x"}) // equal
	put(connector.Config{"n": "3", "own": "x"}) // one more task
	w.await(t, "third task", func() bool { return w.running["a-2"] })
	put(connector.Config{"n": "3", "own": "x", "unrelated": "1"})
	w.await(t, "connector with the new config", func() bool { return w.starts["a"] == 3 && w.running["a"] })
	w.mu.Lock()
	if w.starts["a-0"] != 1 || w.starts["a-1"] != 1 || w.starts["a-2"] != 1 || w.starts["b"] != 1 || w.starts["b-0"] != 1 {
		t.Errorf("starts %v: tasks restarted although their configs did not change", w.starts)
	}
	w.mu.Unlock()
	put(connector.Config{"n": "3", "own": "x", "errors.tolerance": "all"})
	w.await(t, "tasks with new settings", func() bool { return w.starts["a-0"] == 2 && w.starts["a-1"] == 2 && w.starts["a-2"] == 2 })
}

func TestRestartOfOneTask(t *testing.T) {
	c, w := brokertest.Start(t), newFakeWorker()
	h, _ := startHerder(t, c, w)
	mustCreate(t, h, "c", connector.Config{"n": "2"})
	w.await(t, "start", func() bool { return w.running["c-0"] && w.running["c-1"] })
	if err := h.RestartTask(t.Context(), connector.TaskID{Connector: "c", Task: 1}); err != nil {
		t.Fatal(err)
	}
	w.await(t, "restart", func() bool { return w.starts["c-1"] == 2 && w.running["c-1"] && w.starts["c-0"] == 1 })
	if err := h.RestartTask(t.Context(), connector.TaskID{Connector: "c", Task: 7}); fault(err) != connector.NotFound {
		t.Errorf("restart of task 7: %v, want not found", err)
	}
	if _, err := h.Restart(t.Context(), connector.RestartRequest{Connector: "c"}); err != nil {
		t.Fatal(err)
	}
	w.await(t, "connector restart", func() bool { return w.starts["c"] == 2 && w.running["c"] })
	plan, err := h.Restart(t.Context(), connector.RestartRequest{Connector: "c", IncludeTasks: true})
	if err != nil || plan.Connector.State != connector.Restarting || len(plan.Tasks) != 2 || plan.Tasks[0].State != connector.Restarting {
		t.Errorf("plan %+v, %v; want all restarting", plan, err)
	}
	w.await(t, "restart of all", func() bool { return w.starts["c"] == 3 && w.starts["c-0"] == 2 && w.starts["c-1"] == 3 })
}

// One connector that does not stop holds up nobody else.
func TestHungConnectorHoldsUpNoOther(t *testing.T) {
	c, w := brokertest.Start(t), newFakeWorker()
	h, _ := startHerder(t, c, w)
	defer close(w.hang)
	ctx := t.Context()
	mustCreate(t, h, "hung", connector.Config{"n": "1"})
	w.await(t, "start", func() bool { return w.running["hung-0"] })
	if err := h.Delete(ctx, "hung"); err != nil {
		t.Fatal(err)
	}
	mustCreate(t, h, "other", connector.Config{"n": "1"})
	w.await(t, "the other's start", func() bool { return w.running["other-0"] })
	if names, err := h.Connectors(ctx); err != nil || len(names) != 1 || names[0] != "other" {
		t.Errorf("connectors %v, %v", names, err)
	}
}

func TestInvalidConfigCreatesNothing(t *testing.T) {
	c, w := brokertest.Start(t), newFakeWorker()
	h, _ := startHerder(t, c, w)
	_, err := h.Create(t.Context(), "c", connector.Config{"connector.class": "Fake", "error": "no such file"}, "")
	want := "Connector configuration is invalid and contains the following 1 error(s):\nno such file\n" +
		"You can also find the above list of errors at the endpoint `/connector-plugins/{connectorType}/config/validate`"
	if fault(err) != connector.BadRequest || err.Error() != want {
		t.Errorf("err %v, want %q", err, want)
	}
	if _, err := h.Create(t.Context(), "c", connector.Config{}, ""); fault(err) != connector.BadRequest {
		t.Errorf("create without a class: %v, want a bad request", err)
	}
	if names, _ := h.Connectors(t.Context()); len(names) != 0 {
		t.Errorf("connectors %v after refusals", names)
	}
}

// A secret that is put back as its mask stays as it is; a mask without a stored
// value is refused, and a key that holds no secret may have that text.
func TestMaskKeepsTheStoredSecret(t *testing.T) {
	c, w := brokertest.Start(t), newFakeWorker()
	h, _ := startHerder(t, c, w)
	ctx := t.Context()
	mustCreate(t, h, "c", connector.Config{"n": "1", "password": "hunter2"})
	if _, _, err := h.Put(ctx, "c", connector.Config{"connector.class": "Fake", "n": "1", "password": configdef.Hidden, "own": configdef.Hidden}); err != nil {
		t.Fatal(err)
	}
	if got := h.stored("c"); got["password"] != "hunter2" || got["own"] != configdef.Hidden {
		t.Errorf("stored is %v", got)
	}
	if _, err := h.Patch(ctx, "c", connector.Config{"password": configdef.Hidden, "own": "x"}, nil); err != nil {
		t.Fatal(err)
	}
	if got := h.stored("c"); got["password"] != "hunter2" || got["own"] != "x" {
		t.Errorf("after the patch stored is %v", got)
	}
	if _, err := h.Create(ctx, "d", connector.Config{"connector.class": "Fake", "password": configdef.Hidden}, ""); fault(err) != connector.BadRequest {
		t.Errorf("a mask without a stored value: %v, want a refusal", err)
	}
}

// A preview tells which tasks would be touched, and those are what Put touches.
func TestPreviewForetellsWhatPutDoes(t *testing.T) {
	c, w := brokertest.Start(t), newFakeWorker()
	h, _ := startHerder(t, c, w)
	ctx := t.Context()
	mustCreate(t, h, "c", connector.Config{"n": "2", "own": "x", "password": "hunter2", "gone": "1"})
	w.await(t, "start", func() bool { return w.running["c-0"] && w.running["c-1"] })
	text := func(s string) *string { return &s }
	for _, tt := range []struct {
		name    string
		cfg     connector.Config
		changes []connector.KeyChange
		restart bool
		tasks   connector.TaskChanges
	}{
		{"equal", connector.Config{"n": "2", "own": "x", "password": configdef.Hidden, "gone": "1"}, []connector.KeyChange{}, false, connector.TaskChanges{Unchanged: []int{0, 1}}},
		{"one more, and others", connector.Config{"n": "3", "own": "x", "password": "other", "new": "1"}, []connector.KeyChange{
			{Key: "gone", Change: "removed", Before: text("1")}, {Key: "n", Change: "changed", Before: text("2"), After: text("3")},
			{Key: "new", Change: "added", After: text("1")}, {Key: "password", Change: "changed", Before: text(configdef.Hidden), After: text(configdef.Hidden)},
		}, true, connector.TaskChanges{Started: []int{2}, Unchanged: []int{0, 1}}},
		{"fewer with another config", connector.Config{"n": "1", "own": "y", "password": "hunter2", "gone": "1"}, []connector.KeyChange{
			{Key: "n", Change: "changed", Before: text("2"), After: text("1")}, {Key: "own", Change: "changed", Before: text("x"), After: text("y")},
		}, true, connector.TaskChanges{Stopped: []int{1}, Restarted: []int{0}}},
		{"settings", connector.Config{"n": "2", "own": "x", "password": "hunter2", "gone": "1", "errors.tolerance": "all"}, []connector.KeyChange{
			{Key: "errors.tolerance", Change: "added", After: text("all")},
		}, true, connector.TaskChanges{Restarted: []int{0, 1}}},
	} {
		tt.cfg["name"], tt.cfg["connector.class"] = "c", "Fake"
		p, err := h.Preview(ctx, "c", tt.cfg)
		if err != nil || p.Tasks == nil {
			t.Fatalf("%s: %+v, %v", tt.name, p, err)
		}
		if !p.Exists || !p.Valid || p.RestartsConnector != tt.restart || !reflect.DeepEqual(p.Config, tt.changes) {
			t.Errorf("%s: %+v", tt.name, p)
		}
		if got, want := fmt.Sprint(*p.Tasks), fmt.Sprint(tt.tasks); got != want {
			t.Errorf("%s: tasks %v, want %v", tt.name, got, want)
		}
	}
	if got := h.stored("c"); got["n"] != "2" || w.starts["c-0"] != 1 {
		t.Errorf("previews changed something: %v, %v", got, w.starts)
	}
	p, err := h.Preview(ctx, "new", connector.Config{"connector.class": "Fake", "n": "1", "topic": "t"})
	if err != nil || p.Exists || fmt.Sprint(p.Tasks.Started) != "[0]" || len(p.Topics) != 1 || p.Topics[0].Name != "t" {
		t.Errorf("preview of a new connector: %+v, %v", p, err)
	}
	p, err = h.Preview(ctx, "c", connector.Config{"connector.class": "Fake", "error": "no such file"})
	if err != nil || p.Valid || p.Tasks != nil {
		t.Errorf("preview of a config with an error: %+v, %v", p, err)
	}
	if err := h.SetTarget(ctx, "c", connector.TargetStopped); err != nil {
		t.Fatal(err)
	}
	if p, err = h.Preview(ctx, "c", connector.Config{"connector.class": "Fake", "n": "4"}); err != nil || p.Tasks != nil || len(p.Notes) != 1 || p.RestartsConnector {
		t.Errorf("preview of a stopped connector: %+v, %v", p, err)
	}
}

// The states of a connector can be read back, also by a worker that starts
// later, until it is deleted.
func TestHistorySurvivesTheWorker(t *testing.T) {
	c, w := brokertest.Start(t), newFakeWorker()
	h, stop := startHerder(t, c, w)
	ctx := t.Context()
	mustCreate(t, h, "c", connector.Config{"n": "1"})
	w.await(t, "start", func() bool { return w.running["c-0"] })
	stop()
	w = newFakeWorker()
	h, _ = startHerder(t, c, w)
	w.await(t, "second start", func() bool { return w.running["c-0"] })
	states := map[string][]connector.State{}
	defer func() {
		if t.Failed() {
			t.Logf("states are %v", states)
		}
	}()
	eventually(t, "the states of both workers", func() bool {
		past, err := h.History(ctx, "c")
		if err != nil {
			t.Fatal(err)
		}
		clear(states)
		for _, e := range past.Entries {
			of := "connector"
			if e.Task != nil {
				of = fmt.Sprint(*e.Task)
			}
			if e.Time == 0 || e.WorkerID == "" {
				t.Errorf("entry %+v", e)
			}
			states[of] = append(states[of], e.State)
		}
		return len(states["connector"]) == 3 && len(states["0"]) == 3
	})
	for of, got := range states {
		if fmt.Sprint(got) != "[RUNNING UNASSIGNED RUNNING]" {
			t.Errorf("states of %s: %v", of, got)
		}
	}
	if err := h.Delete(ctx, "c"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the end of the history", func() bool {
		_, err := h.History(ctx, "c")
		return fault(err) == connector.NotFound
	})
}
