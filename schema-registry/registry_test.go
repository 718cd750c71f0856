package registry

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/broker/brokertest"
)

// TestMain fails if a test leaves goroutines of a registry or its client
// behind.
func TestMain(m *testing.M) {
	code := m.Run()
	if code == 0 {
		code = leaked()
	}
	os.Exit(code)
}

func leaked() int {
	var stacks string
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); runtime.Gosched() {
		buf := make([]byte, 1<<20)
		stacks = string(buf[:runtime.Stack(buf, true)])
		if !strings.Contains(stacks, "schema-registry.(*Registry)") && !strings.Contains(stacks, "franz-go") {
			return 0
		}
	}
	fmt.Fprintf(os.Stderr, "goroutines left behind:\n%s\n", stacks)
	return 1
}

// start runs a registry and returns a function that stops it. It is stopped
// at the test's end in any case.
func start(t testing.TB, cfg Config) (*Registry, func()) {
	t.Helper()
	r, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done, ready := make(chan error, 1), make(chan struct{})
	go func() { done <- r.Run(ctx, func() { close(ready) }) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("registry: %v", err)
		}
	})
	t.Cleanup(stop)
	select {
	case <-ready:
	case err := <-done:
		done <- nil
		t.Fatalf("registry did not start: %v", err)
	}
	return r, stop
}

func on(c *brokertest.Cluster) Config {
	return Config{ClientOpts: []kgo.Opt{kgo.SeedBrokers(c.Addr())}}
}

// record is a schema that differs by its field's name.
func record(field string) Draft {
	return Draft{Text: `{"type":"record","name":"R","fields":[{"name":"` + field + `","type":"int","default":0}]}`}
}

func mustRegister(t testing.TB, r *Registry, subject string, d Draft) *Schema {
	t.Helper()
	s, err := r.Register(t.Context(), subject, d, RegisterOptions{})
	if err != nil {
		t.Fatalf("Register(%s): %v", subject, err)
	}
	return s
}

func kindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return 0
}

func TestOneSchemaFromManyClientsHasOneIDAndVersion(t *testing.T) {
	r, _ := start(t, on(brokertest.Start(t)))
	const clients = 50
	got := make([]*Schema, clients)
	var wg sync.WaitGroup
	for i := range clients {
		wg.Go(func() {
			s, err := r.Register(t.Context(), "s", record("f"), RegisterOptions{})
			if err != nil {
				t.Errorf("client %d: %v", i, err)
			}
			got[i] = s
		})
	}
	wg.Wait()
	for i, s := range got {
		if s == nil || s.ID != 1 || s.Version != 1 {
			t.Errorf("client %d has %+v", i, s)
		}
	}
	if s := r.Stats(); s.Registrations != 1 || s.Schemas != 1 || s.Subjects != 1 {
		t.Errorf("stats %+v", s)
	}
}

func TestManySchemasFromManyClientsHaveIDsOfTheirOwn(t *testing.T) {
	r, _ := start(t, on(brokertest.Start(t)))
	var mu sync.Mutex
	ids := map[int]string{}
	var wg sync.WaitGroup
	for c := range 8 {
		wg.Go(func() {
			for i := range 10 {
				field := fmt.Sprintf("f%d", i) // the same ten of all clients
				s, err := r.Register(t.Context(), fmt.Sprintf("s%d", c), record(field), RegisterOptions{})
				if err != nil {
					t.Errorf("register: %v", err)
					return
				}
				mu.Lock()
				if before, known := ids[s.ID]; known && before != field {
					t.Errorf("id %d stands for %s and %s", s.ID, before, field)
				}
				ids[s.ID] = field
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if len(ids) != 10 {
		t.Errorf("%d ids for ten schemas: %v", len(ids), ids)
	}
}

// The broker is killed again and again while clients register schemas; what
// was acknowledged is there afterwards, in a registry that starts anew.
func TestAcknowledgedSchemasSurviveKills(t *testing.T) {
	c := brokertest.Start(t)
	r, stop := start(t, on(c))
	var mu sync.Mutex
	acknowledged := map[string]Schema{}
	ctx, enough := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for client := range 4 {
		wg.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				field := fmt.Sprintf("f%d_%d", client, i)
				s, err := r.Register(ctx, fmt.Sprintf("s%d", i%3), record(field), RegisterOptions{})
				if err == nil {
					mu.Lock()
					acknowledged[field] = *s
					mu.Unlock()
				}
			}
		})
	}
	for range 4 {
		for seen := r.Stats().Registrations; r.Stats().Registrations < seen+10; {
			runtime.Gosched()
		}
		c.Kill(t)
		c.Resume(t)
	}
	enough()
	wg.Wait()
	stop()
	c.Kill(t)
	c.Resume(t)
	r, _ = start(t, on(c))
	ids := map[int]string{}
	for field, want := range acknowledged {
		got, err := r.Version(want.Subject, want.Version, false)
		if err != nil || got.ID != want.ID || got.Text != want.Text {
			t.Errorf("%s: %+v, %v, want %+v", field, got, err, want)
		}
		if other, taken := ids[want.ID]; taken {
			t.Errorf("id %d was given to %s and %s", want.ID, field, other)
		}
		ids[want.ID] = field
	}
	if len(acknowledged) < 40 {
		t.Errorf("only %d registrations came through", len(acknowledged))
	}
}

func TestRestartKeepsEverything(t *testing.T) {
	c := brokertest.Start(t)
	r, stop := start(t, on(c))
	ctx := t.Context()
	mustRegister(t, r, "a", record("f"))
	mustRegister(t, r, "a", record("g"))
	mustRegister(t, r, "gone", record("h"))
	mustRegister(t, r, ":.dev:a", record("f"))
	_, err1 := r.SetConfig(ctx, "a", ConfigChange{"compatibility": []byte(`"FULL"`), "normalize": []byte("true")})
	_, err2 := r.DeleteVersion(ctx, "a", 1, false)
	_, err3 := r.DeleteSubject(ctx, "gone", false)
	_, err4 := r.DeleteSubject(ctx, "gone", true)
	if err := errors.Join(err1, err2, err3, err4, r.SetMode(ctx, ":.dev:", "READONLY", false)); err != nil {
		t.Fatal(err)
	}
	before := describe(r)
	stop()
	r, _ = start(t, on(c))
	if after := describe(r); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
	if s := mustRegister(t, r, "b", record("new")); s.ID != 4 {
		t.Errorf("a new schema has id %d, want 4: 3 was given to a schema that is gone", s.ID)
	}
	if _, err := r.Register(ctx, ":.dev:a", record("new"), RegisterOptions{}); kindOf(err) != NotPermitted {
		t.Errorf("register in a read-only context: %v", err)
	}
}

// describe prints all that a registry knows.
func describe(r *Registry) string {
	var b strings.Builder
	for _, s := range r.Schemas(Listing{Prefix: ":*:", Deleted: true}) {
		fmt.Fprintf(&b, "%+v\n", *s)
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	for at, c := range r.state.configs {
		fmt.Fprintf(&b, "%+v %s %v\n", at, *c.Compatibility, *c.Normalize)
	}
	fmt.Fprintln(&b, r.state.modes)
	for _, ctx := range []string{".", ".dev"} {
		fmt.Fprintln(&b, ctx, r.state.contexts[ctx].maxID, len(r.state.contexts[ctx].ids))
	}
	return b.String()
}

func TestTwoRegistriesOnOneTopic(t *testing.T) {
	c := brokertest.Start(t)
	a, _ := start(t, on(c))
	b, _ := start(t, on(c))
	first := mustRegister(t, a, "s", record("f"))
	if s := mustRegister(t, b, "s", record("f")); s.ID != first.ID || s.Version != 1 {
		t.Errorf("the other registry answers %+v", s)
	}
	if s := mustRegister(t, b, "s", record("g")); s.ID != 2 || s.Version != 2 {
		t.Errorf("a new schema at the other: %+v", s)
	}
	if s := mustRegister(t, a, "t", record("h")); s.ID != 3 {
		t.Errorf("a new schema at the first: %+v", s)
	}
}

// Two registries that write at once choose the same ids and versions. The first
// record counts, and the other registry tries again.
func TestTwoRegistriesAtOnce(t *testing.T) {
	c := brokertest.Start(t)
	a, stopA := start(t, on(c))
	b, stopB := start(t, on(c))
	var mu sync.Mutex
	all := map[int]Schema{}
	var wg sync.WaitGroup
	for i, r := range []*Registry{a, b} {
		wg.Go(func() {
			for n := range 30 {
				s, err := r.Register(t.Context(), "s", record(fmt.Sprintf("f%d_%d", i, n)), RegisterOptions{})
				if err != nil {
					t.Errorf("registry %d: %v", i, err)
					return
				}
				mu.Lock()
				if before, taken := all[s.ID]; taken {
					t.Errorf("id %d stands for %s and %s", s.ID, before.Text, s.Text)
				}
				all[s.ID] = *s
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	t.Logf("%d records were too late", a.Stats().Rejected)
	stopA()
	stopB()
	r, _ := start(t, on(c))
	for id, want := range all {
		if got, err := r.Version("s", want.Version, false); err != nil || got.ID != id || got.Text != want.Text {
			t.Errorf("version %d: %+v, %v, want %+v", want.Version, got, err, want)
		}
	}
}

// Versions that were registered are answered without the log.
func TestKnownSchemasNeedNoLog(t *testing.T) {
	c := brokertest.Start(t)
	cfg := on(c)
	cfg.Timeout = 300 * time.Millisecond
	r, _ := start(t, cfg)
	s := mustRegister(t, r, "s", record("f"))
	c.Kill(t)
	if again := mustRegister(t, r, "s", record("f")); again.ID != s.ID {
		t.Errorf("got %+v", again)
	}
	if _, err := r.ByID(1, ""); err != nil {
		t.Errorf("ByID: %v", err)
	}
	if _, err := r.Register(t.Context(), "s", record("g"), RegisterOptions{}); kindOf(err) != Timeout && kindOf(err) != StoreFailed {
		t.Errorf("a new schema without a log: %v", err)
	}
	c.Resume(t)
}

func TestNotReady(t *testing.T) {
	r, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.Register(t.Context(), "s", record("f"), RegisterOptions{})
	if kindOf(err) != NotReady || kindOf(r.Ready()) != NotReady {
		t.Errorf("before Run: %v", err)
	}
}

func TestConfigProblemsAreToldAtOnce(t *testing.T) {
	_, err := New(Config{Compatibility: "SOMETIMES", Timeout: -1})
	for _, want := range []string{"schema.compatibility.level", "BACKWARD_TRANSITIVE", "kafkastore.timeout.ms"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: nothing about %s", err, want)
		}
	}
}

// BenchmarkRegister registers schemas that differ, one after the other and
// from many clients at once.
func BenchmarkRegister(b *testing.B) {
	for _, clients := range []int{1, 16} {
		b.Run(fmt.Sprintf("clients=%d", clients), func(b *testing.B) {
			r, _ := start(b, on(brokertest.Start(b)))
			var mu sync.Mutex
			n := 0
			b.SetParallelism(clients)
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					mu.Lock()
					n++
					i := n
					mu.Unlock()
					mustRegister(b, r, fmt.Sprintf("s%d", i), record(fmt.Sprintf("f%d", i)))
				}
			})
		})
	}
}

// BenchmarkStart starts a registry on a topic of 10000 schemas.
func BenchmarkStart(b *testing.B) {
	c := brokertest.Start(b)
	r, stop := start(b, on(c))
	mustRegister(b, r, "first", record("f"))
	stop()
	client := c.Client(b, kgo.DefaultProduceTopic("_schemas"))
	for i := range 10000 {
		change := schemaRecord(fmt.Sprintf("s%d", i), 1, i+2, record(fmt.Sprintf("f%d", i)).Text, false)
		k, v, err := change.Encode()
		if err != nil {
			b.Fatal(err)
		}
		client.Produce(b.Context(), &kgo.Record{Key: k, Value: v}, func(_ *kgo.Record, err error) {
			if err != nil {
				b.Error(err)
			}
		})
	}
	if err := client.Flush(b.Context()); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		r, stop := start(b, on(c))
		if s := r.Stats(); s.Schemas != 10001 {
			b.Fatalf("%d schemas", s.Schemas)
		}
		stop()
	}
}
