package herder

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/broker/brokertest"
	"github.com/millrace/millrace/connect/connector"
	"github.com/millrace/millrace/connect/rebalance"
	"github.com/millrace/millrace/connect/signature"
	"github.com/millrace/millrace/connect/store"
	"github.com/millrace/millrace/rest/connectapi"
)

// node is one worker of a cluster under test, with its REST API.
type node struct {
	*Herder
	worker *fakeWorker
	srv    *httptest.Server
	client *kgo.Client
	cancel context.CancelFunc
	done   chan struct{}
	err    error
}

// api serves a herder as the connect package does.
type api struct{ *Herder }

func (api) ServerInfo(context.Context) (connector.ServerInfo, error) {
	return connector.ServerInfo{}, nil
}
func (api) Plugins(context.Context, bool) ([]connector.PluginInfo, error) { return nil, nil }
func (api) PluginConfig(context.Context, string, string) (any, error)     { return nil, nil }
func (api) Processes(context.Context, string, bool) (map[int]connector.Process, error) {
	return nil, nil
}
func (api) Loggers(context.Context) (any, error) { return nil, nil }
func (api) TryTransforms(context.Context, connector.TrialRequest) ([]connector.TrialRecord, error) {
	return nil, nil
}
func (api) Logger(context.Context, string) (any, error) { return nil, nil }
func (a api) SetLogger(ctx context.Context, namespace, level string, _ bool) ([]string, error) {
	return nil, a.Herder.SetLogger(ctx, namespace, level)
}
func (a api) Offsets(ctx context.Context, name string) (connector.Offsets, error) {
	return a.ConnectorOffsets(ctx, name)
}
func (a api) Validate(ctx context.Context, plugin string, cfg connector.Config) (any, error) {
	return a.ValidateFor(ctx, plugin, cfg)
}

var _ connectapi.Worker = api{}

// group is how the workers of these tests join.
func group(url string) rebalance.Config {
	return rebalance.Config{
		Group: "workers", URL: url, Storage: "these topics", Protocols: rebalance.Offered("sessioned"),
		Session: 3 * time.Second, Heartbeat: 50 * time.Millisecond, Rebalance: 10 * time.Second, MaxDelay: time.Minute,
		SyncTimeout: 3 * time.Second, UnsyncBackoff: time.Second,
	}
}

func startBroker(t *testing.T) *brokertest.Cluster {
	t.Helper()
	return brokertest.Start(t, brokertest.With("group.min.session.timeout.ms", "100"))
}

// startNode starts a worker. change may adjust its config. It is not waited
// for.
func startNode(t *testing.T, c *brokertest.Cluster, change func(*Config)) *node {
	t.Helper()
	n := &node{worker: newFakeWorker(), done: make(chan struct{})}
	var handler http.Handler
	n.srv = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler.ServeHTTP(w, r) }))
	sc := func(topic string, partitions int32) store.Config {
		return store.Config{Topic: topic, Partitions: partitions, ReplicationFactor: -1, ClientID: topic, ClientOpts: []kgo.Opt{kgo.SeedBrokers(c.Addr())}}
	}
	var err error
	if n.client, err = kgo.NewClient(kgo.SeedBrokers(c.Addr()), kgo.ClientID("worker")); err != nil {
		t.Fatal(err)
	}
	cfg := Config{
		WorkerID: strings.TrimPrefix(n.srv.URL, "http://"), Worker: n.worker,
		Configs: sc("configs", 1), Offsets: sc("offsets", 1), Statuses: sc("status", 1), Group: group(n.srv.URL + "/"),
		Signing: Signing{KeyAlgorithm: "HmacSHA256", KeyTTL: time.Hour, Algorithm: "HmacSHA256", Verify: []string{"HmacSHA256"}},
	}
	cfg.Group.Client = n.client
	if change != nil {
		change(&cfg)
	}
	n.Herder = New(cfg)
	handler = connectapi.Routes(api{n.Herder}, nil, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(context.Background())
	n.cancel = cancel
	go func() {
		defer close(n.done)
		n.err = n.Herder.Run(ctx, func() {})
	}()
	t.Cleanup(func() { n.stop(t) })
	return n
}

// stop stops the worker in order.
func (n *node) stop(t *testing.T) {
	t.Helper()
	n.cancel()
	<-n.done
	n.srv.Close()
	n.client.Close()
	if n.err != nil {
		t.Errorf("worker: %v", n.err)
		n.err = nil
	}
}

// do sends a request to the worker and returns status and body.
func (n *node) do(t *testing.T, method, path, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, n.srv.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(raw)
}

// put stores a connector's config through a worker, whichever leads.
func (n *node) put(t *testing.T, name string, cfg connector.Config) {
	t.Helper()
	cfg["connector.class"] = "Fake"
	raw, err := json.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if code, body := n.do(t, "PUT", "/connectors/"+name+"/config", string(raw)); code/100 != 2 {
		t.Fatalf("put %s: HTTP %d %s", name, code, body)
	}
}

// cluster is several nodes and what they run together.
type cluster []*node

// where returns the nodes that run an item, by their index.
func (c cluster) where(item string) []int {
	var out []int
	for i, n := range c {
		n.worker.mu.Lock()
		if n.worker.running[item] {
			out = append(out, i)
		}
		n.worker.mu.Unlock()
	}
	return out
}

// starts returns how often an item was started on all nodes together.
func (c cluster) starts(item string) int {
	total := 0
	for _, n := range c {
		n.worker.mu.Lock()
		total += n.worker.starts[item]
		n.worker.mu.Unlock()
	}
	return total
}

// eventually polls, since what is waited for is on several workers.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("%s did not come about", what)
		}
		time.Sleep(5 * time.Millisecond) // polling a condition
	}
}

// awaitEach waits until each item runs on exactly one node, and returns which.
func (c cluster) awaitEach(t *testing.T, items ...string) map[string]int {
	t.Helper()
	at := map[string]int{}
	eventually(t, fmt.Sprintf("each of %v on one worker", items), func() bool {
		for _, item := range items {
			w := c.where(item)
			if len(w) != 1 {
				return false
			}
			at[item] = w[0]
		}
		return true
	})
	return at
}

// awaitMembers waits until all nodes are in one settled generation.
func (c cluster) awaitMembers(t *testing.T) {
	t.Helper()
	eventually(t, "one settled group", func() bool {
		generation := int32(-1)
		for _, n := range c {
			s, _ := n.here()
			if !s.joined || generation >= 0 && s.Generation != generation {
				return false
			}
			generation = s.Generation
		}
		return true
	})
}

// items names a connector's object and tasks.
func items(name string, tasks int) []string {
	out := []string{name}
	for i := range tasks {
		out = append(out, fmt.Sprintf("%s-%d", name, i))
	}
	return out
}

// leader returns the index of the node that leads.
func (c cluster) leader(t *testing.T) int {
	t.Helper()
	lead := -1
	eventually(t, "a leader", func() bool {
		for i, n := range c {
			if s, _ := n.here(); s.joined && s.Leader {
				lead = i
				return true
			}
		}
		return false
	})
	return lead
}

func startCluster(t *testing.T, b *brokertest.Cluster, nodes int, change func(*Config)) cluster {
	t.Helper()
	var c cluster
	for range nodes {
		c = append(c, startNode(t, b, change))
	}
	c.awaitMembers(t)
	return c
}

// Two workers share the work, and requests reach whoever must serve them,
// whichever worker is asked.
func TestWorkersShareConnectors(t *testing.T) {
	c := startCluster(t, startBroker(t), 2, nil)
	follower := c[1-c.leader(t)]
	follower.put(t, "a", connector.Config{"n": "2"})
	follower.put(t, "b", connector.Config{"n": "2"})
	at := c.awaitEach(t, append(items("a", 2), items("b", 2)...)...)
	objects, tasks := map[int]int{}, map[int]int{}
	for item, n := range at {
		if len(item) == 1 {
			objects[n]++
		} else {
			tasks[n]++
		}
	}
	if objects[0] != 1 || objects[1] != 1 || tasks[0] != 2 || tasks[1] != 2 {
		t.Errorf("work is divided as %v", at)
	}
	// Restarting a task goes to its worker from either.
	for i, n := range c {
		before := c.starts("a-1")
		if code, body := n.do(t, "POST", "/connectors/a/tasks/1/restart", ""); code != 204 {
			t.Errorf("restart through worker %d: HTTP %d %s", i, code, body)
		}
		eventually(t, "the restart", func() bool { return c.starts("a-1") == before+1 })
	}
	for _, n := range c {
		if code, body := n.do(t, "POST", "/connectors/b/restart", ""); code != 204 {
			t.Errorf("restart of the connector: HTTP %d %s", code, body)
		}
		if code, body := n.do(t, "GET", "/connectors/a/status", ""); code != 200 || !strings.Contains(body, `"RUNNING"`) {
			t.Errorf("status: HTTP %d %s", code, body)
		}
	}
	if got := c.starts("b"); got != 3 {
		t.Errorf("connector b was started %d times, want 3", got)
	}
	if code, body := follower.do(t, "POST", "/connectors/a/restart?includeTasks=true", ""); code != 202 || strings.Count(body, "RESTARTING") != 3 {
		t.Errorf("restart of all: HTTP %d %s", code, body)
	}
	eventually(t, "restart of all on both workers", func() bool { return c.starts("a-0") == 2 && c.starts("a-1") == 4 })
	for _, path := range []string{"/connectors/a/stop", "/connectors/b/stop"} {
		if code, body := follower.do(t, "PUT", path, ""); code != 204 {
			t.Errorf("%s: HTTP %d %s", path, code, body)
		}
	}
	if code, body := follower.do(t, "DELETE", "/connectors/a/offsets", ""); code != 200 {
		t.Errorf("reset of offsets: HTTP %d %s", code, body)
	}
	if code, body := follower.do(t, "DELETE", "/connectors/a", ""); code != 204 {
		t.Errorf("delete: HTTP %d %s", code, body)
	}
	eventually(t, "the end of all", func() bool { return len(c.where("a"))+len(c.where("a-0"))+len(c.where("b-1")) == 0 })
	for i, n := range c {
		eventually(t, "no status", func() bool {
			code, _ := n.do(t, "GET", "/connectors/a/status", "")
			return code == 404
		})
		if code, _ := n.do(t, "GET", "/connectors/a", ""); code != 404 {
			t.Errorf("worker %d still knows the connector: HTTP %d", i, code)
		}
	}
}

// steady notes how often everything was started, and returns a check that
// nothing of it was started again.
func (c cluster) steady(t *testing.T, items ...string) func() {
	before := map[string]int{}
	for _, item := range items {
		before[item] = c.starts(item)
	}
	return func() {
		t.Helper()
		for _, item := range items {
			if got := c.starts(item); got != before[item] {
				t.Errorf("%s was started %d times more, without need", item, got-before[item])
			}
		}
	}
}

// A change touches what it must and nothing else, on every worker.
func TestChangesTouchOnlyWhatTheyMust(t *testing.T) {
	c := startCluster(t, startBroker(t), 3, nil)
	c[0].put(t, "a", connector.Config{"n": "3", "own": "x"})
	c[1].put(t, "b", connector.Config{"n": "3"})
	all := append(items("a", 3), items("b", 3)...)
	c.awaitEach(t, all...)

	check := c.steady(t, all...)
	for _, n := range c { // an equal config, from everywhere
		n.put(t, "a", connector.Config{"n": "3", "own": "x"})
	}
	c[2].put(t, "new", connector.Config{"n": "2"})
	c.awaitEach(t, items("new", 2)...)
	check()
	if code, body := c[1].do(t, "DELETE", "/connectors/new", ""); code != 204 {
		t.Fatalf("delete: HTTP %d %s", code, body)
	}
	eventually(t, "the end of the new connector", func() bool { return len(c.where("new"))+len(c.where("new-0"))+len(c.where("new-1")) == 0 })
	c.awaitMembers(t)
	check()

	// One task more: the connector is planned anew, and its tasks stay.
	check = c.steady(t, "a-0", "a-1", "a-2", "b", "b-0", "b-1", "b-2")
	c[0].put(t, "a", connector.Config{"n": "4", "own": "x"})
	c.awaitEach(t, items("a", 4)...)
	check()

	// Another config for one connector's tasks: those restart, where they are.
	check = c.steady(t, "b", "b-0", "b-1", "b-2")
	at := c.awaitEach(t, items("a", 4)...)
	c[1].put(t, "a", connector.Config{"n": "4", "own": "y"})
	eventually(t, "restart of all of a's tasks", func() bool {
		return c.starts("a-0") == 2 && c.starts("a-1") == 2 && c.starts("a-2") == 2 && c.starts("a-3") == 2
	})
	for item, n := range c.awaitEach(t, items("a", 4)...) {
		if n != at[item] {
			t.Errorf("%s moved from worker %d to %d", item, at[item], n)
		}
	}
	check()
}

// url is where the worker's REST API is.
func (n *node) url() string { return n.srv.URL }

// A worker that is restarted gets its own work back at once, and the others,
// the new leader among them, keep theirs.
func TestRestartedWorkerGetsItsOwnWork(t *testing.T) {
	b := startBroker(t)
	c := startCluster(t, b, 3, nil)
	c[0].put(t, "a", connector.Config{"n": "4"})
	c[0].put(t, "b", connector.Config{"n": "4"})
	all := append(items("a", 4), items("b", 4)...)
	at := c.awaitEach(t, all...)
	c.awaitMembers(t)
	first := c.leader(t)
	for _, i := range []int{first, (first + 1) % 3, (first + 2) % 3} {
		others := cluster{c[(i+1)%3], c[(i+2)%3]}
		var theirs []string
		for item, n := range at {
			if n != i {
				theirs = append(theirs, item)
			}
		}
		check := others.steady(t, theirs...)
		old := c[i]
		old.stop(t)
		others.awaitMembers(t)
		c[i] = startNode(t, b, func(cfg *Config) {
			// What others know it by stays.
			cfg.WorkerID, cfg.Group.URL = strings.TrimPrefix(old.url(), "http://"), old.url()+"/"
		})
		for item, n := range c.awaitEach(t, all...) {
			if n != at[item] {
				t.Errorf("%s is on worker %d after the restart of %d, was on %d", item, n, i, at[item])
			}
		}
		check()
	}
}

// A worker that hears nothing of its group stops its work before its session
// ends, and takes it up again afterwards.
func TestWorkerCutOffStops(t *testing.T) {
	b := startBroker(t)
	c := startCluster(t, b, 1, nil)
	c[0].put(t, "a", connector.Config{"n": "2"})
	c.awaitEach(t, items("a", 2)...)
	began := time.Now()
	b.Kill(t)
	eventually(t, "the end of the work", func() bool { return len(c.where("a"))+len(c.where("a-0"))+len(c.where("a-1")) == 0 })
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("the work ended %v after the coordinator did, the session lasts 3s", took)
	}
	if s, _ := c[0].here(); connector.Fenced(s.ctx) {
		t.Error("new work would be fenced from its start")
	}
	ctx, stop := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer stop()
	var elsewhere *connector.Elsewhere
	if err := c[0].Delete(ctx, "a"); !errors.As(err, &elsewhere) || elsewhere.URL != "" {
		t.Errorf("a request that nobody can serve: %v, want a refusal that names nobody", err)
	}
	b.Resume(t)
	c.awaitEach(t, items("a", 2)...)
}

// Two clusters that share a group.id and not their topics are told apart.
func TestStrangersAreRefused(t *testing.T) {
	b := startBroker(t)
	c := startCluster(t, b, 1, nil)
	c[0].put(t, "a", connector.Config{"n": "1"})
	c.awaitEach(t, items("a", 1)...)
	stranger := startNode(t, b, func(cfg *Config) {
		cfg.Group.Storage, cfg.Configs.Topic = "other topics", "other-configs"
	})
	select {
	case <-stranger.done:
	case <-time.After(20 * time.Second):
		t.Fatal("the stranger is still there")
	}
	var refusal *rebalance.StrangerError
	if !errors.As(stranger.err, &refusal) || refusal.LeaderURL != c[0].url()+"/" {
		t.Errorf("the stranger ended with %v", stranger.err)
	}
	stranger.err = nil
	c[0].put(t, "b", connector.Config{"n": "1"})
	c.awaitEach(t, append(items("a", 1), items("b", 1)...)...)
	if got := c.starts("a-0"); got != 1 {
		t.Errorf("a-0 was started %d times", got)
	}
}

// Internal requests are refused unless they are signed with the group's key.
func TestInternalRequestsAreVerified(t *testing.T) {
	c := startCluster(t, startBroker(t), 2, func(cfg *Config) { cfg.Signing.KeyTTL = 0 })
	lead := c[c.leader(t)]
	lead.put(t, "a", connector.Config{"n": "1"})
	c.awaitEach(t, items("a", 1)...)
	eventually(t, "a session key", func() bool { return lead.configs.Snapshot().Session != nil })
	key := lead.configs.Snapshot().Session
	body := `[{"i":"0","own":"forged"}]`
	send := func(n *node, sig, algorithm string) (int, string) {
		req, err := http.NewRequestWithContext(t.Context(), "POST", n.srv.URL+"/connectors/a/tasks", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if sig != "" {
			req.Header.Set(signature.Header, sig)
		}
		if algorithm != "" {
			req.Header.Set(signature.AlgorithmHeader, algorithm)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(text)
	}
	good, err := signature.Sign("HmacSHA256", key.Key, []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	forged, err := signature.Sign("HmacSHA256", []byte("guess"), []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, sig, algorithm string
		code                 int
		want                 string
	}{
		{"no headers", "", "", 400, "Internal request missing required signature"},
		{"no algorithm", good, "", 400, "Internal request missing required signature"},
		{"algorithm not allowed", good, "HmacSHA512", 400, "does not support the 'HmacSHA512' key signing algorithm"},
		{"forged", forged, "HmacSHA256", 403, "Internal request contained invalid signature."},
		{"good", good, "HmacSHA256", 204, ""},
	} {
		if code, text := send(lead, tt.sig, tt.algorithm); code != tt.code || !strings.Contains(text, tt.want) {
			t.Errorf("%s: HTTP %d %s, want %d with %q", tt.name, code, text, tt.code, tt.want)
		}
	}
	follower := c[1-c.leader(t)]
	if code, text := send(follower, good, "HmacSHA256"); code != 409 {
		t.Errorf("a follower answers HTTP %d %s, want 409", code, text)
	}
}

func TestSessionKeyRotates(t *testing.T) {
	c := startCluster(t, startBroker(t), 2, func(cfg *Config) { cfg.Signing.KeyTTL = 300 * time.Millisecond })
	seen := map[string]bool{}
	eventually(t, "three keys", func() bool {
		for _, n := range c {
			if k := n.configs.Snapshot().Session; k != nil {
				seen[string(k.Key)] = true
			}
		}
		return len(seen) >= 3
	})
}

// Fencing happens once for each set of tasks, and is counted in the config
// topic (KIP-618).
func TestFencingOfFormerTasks(t *testing.T) {
	c := startCluster(t, startBroker(t), 2, nil)
	lead := c[c.leader(t)]
	follower := c[1-c.leader(t)]
	lead.put(t, "a", connector.Config{"n": "3"})
	c.awaitEach(t, items("a", 3)...)
	eventually(t, "a session key", func() bool { return follower.configs.Snapshot().Session != nil })
	fence := func(n *node) {
		t.Helper()
		if err := n.FenceZombies(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
	}
	fenced := func() []string {
		lead.worker.mu.Lock()
		defer lead.worker.mu.Unlock()
		return slices.Clone(lead.worker.fenced)
	}
	fence(follower) // the first set: nothing to fence, but to count
	if count, recorded, pending := lead.configs.Snapshot().Fencing("a"); count != 3 || !recorded || pending || len(fenced()) != 0 {
		t.Errorf("count %d (recorded %v, pending %v), fenced %v; want 3 and nothing fenced", count, recorded, pending, fenced())
	}
	lead.put(t, "a", connector.Config{"n": "1", "own": "other"})
	eventually(t, "one task", func() bool { return len(lead.configs.Snapshot().Tasks("a")) == 1 })
	fence(lead)
	fence(follower)
	if got := fenced(); len(got) != 1 || got[0] != "a: 3" {
		t.Errorf("fenced %v, want the three former tasks once", got)
	}
	lead.put(t, "a", connector.Config{"n": "1", "own": "third"})
	eventually(t, "a third set", func() bool { _, _, pending := lead.configs.Snapshot().Fencing("a"); return pending })
	fence(follower)
	if got := fenced(); len(got) != 1 {
		t.Errorf("fenced %v: one task after one needs no fencing", got)
	}
}

// A group with an eager worker works as eager groups do.
func TestMixedGroupFallsBackToEager(t *testing.T) {
	b := startBroker(t)
	c := cluster{startNode(t, b, nil)}
	c.awaitMembers(t)
	c[0].put(t, "a", connector.Config{"n": "2"})
	c.awaitEach(t, items("a", 2)...)
	c = append(c, startNode(t, b, func(cfg *Config) { cfg.Group.Protocols = rebalance.Offered("eager") }))
	c.awaitMembers(t)
	if s, _ := c[0].here(); s.Protocol != rebalance.Eager {
		t.Errorf("protocol %s, want %s", s.Protocol, rebalance.Eager)
	}
	at := c.awaitEach(t, items("a", 2)...)
	used := map[int]bool{}
	for _, n := range at {
		used[n] = true
	}
	if len(used) != 2 {
		t.Errorf("work is at %v, want it on both", at)
	}
}

// A level that is asked of the cluster reaches every worker, once.
func TestLevelsReachEveryWorker(t *testing.T) {
	var mu sync.Mutex
	var seen []string
	c := startCluster(t, startBroker(t), 2, func(cfg *Config) {
		cfg.SetLevel = func(namespace, level string) {
			mu.Lock()
			defer mu.Unlock()
			seen = append(seen, namespace+"="+level)
		}
	})
	if code, body := c[1].do(t, "PUT", "/admin/loggers/connect?scope=cluster", `{"level":"DEBUG"}`); code != 204 {
		t.Fatalf("HTTP %d %s", code, body)
	}
	eventually(t, "the level on both workers", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return slices.Equal(seen, []string{"connect=DEBUG", "connect=DEBUG"})
	})
}
