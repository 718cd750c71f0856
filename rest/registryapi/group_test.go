package registryapi

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/broker/brokertest"
	"github.com/millrace/millrace/rest/front"
	registry "github.com/millrace/millrace/schema-registry"
	"github.com/millrace/millrace/schema-registry/elect"
)

// process is one of several registries on a topic, with its HTTP server.
type process struct {
	reg  *registry.Registry
	url  string
	stop func()
}

// startGroup starts n registries that know of each other.
func startGroup(t *testing.T, n int) []*process {
	t.Helper()
	c := brokertest.Start(t)
	out := make([]*process, n)
	for i := range out {
		out[i] = startProcess(t, c)
	}
	return out
}

func startProcess(t *testing.T, c *brokertest.Cluster) *process {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	reg, err := registry.New(registry.Config{
		ClientOpts: []kgo.Opt{kgo.SeedBrokers(c.Addr())},
		Advertised: elect.Identity{Host: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).Port, Scheme: "http", Eligible: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done, ready := make(chan error, 1), make(chan struct{})
	go func() { done <- reg.Run(ctx, func() { close(ready) }) }()
	select {
	case <-ready:
	case err := <-done:
		t.Fatalf("registry did not start: %v", err)
	}
	srv := &httptest.Server{Listener: l, Config: &http.Server{Handler: front.Handler(Known(reg), Routes(reg, slog.New(slog.DiscardHandler), Build{}))}}
	srv.Start()
	p := &process{reg: reg, url: srv.URL}
	p.stop = sync.OnceFunc(func() {
		srv.Close()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("registry: %v", err)
		}
	})
	t.Cleanup(p.stop)
	return p
}

func (p *process) register(t *testing.T, subject, name string) (id, version int) {
	t.Helper()
	status, body := call(t, "POST", p.url+"/subjects/"+subject+"/versions",
		fmt.Sprintf(`{"schema":"{\"type\":\"fixed\",\"name\":\"%s\",\"size\":1}"}`, name))
	var out struct{ ID, Version int }
	if err := json.Unmarshal([]byte(body), &out); err != nil || status != 200 {
		t.Errorf("register %s at %s: %d %s", name, p.url, status, body)
	}
	return out.ID, out.Version
}

// Whichever registry of a group is asked, ids are given once, and what one
// acknowledged all of them have.
func TestGroupOfRegistries(t *testing.T) {
	group := startGroup(t, 3)
	var mu sync.Mutex
	names := map[int]string{}
	var wg sync.WaitGroup
	for i, p := range group {
		wg.Go(func() {
			for n := range 10 {
				name, subject := fmt.Sprintf("F%d_%d", i, n), fmt.Sprintf("s%d-%d", i, n)
				id, _ := p.register(t, subject, name)
				mu.Lock()
				if before, taken := names[id]; taken {
					t.Errorf("id %d stands for %s and %s", id, before, name)
				}
				names[id] = name
				mu.Unlock()
				for _, other := range group {
					if status, body := call(t, "GET", fmt.Sprintf("%s/schemas/ids/%d", other.url, id), ""); status != 200 {
						t.Errorf("id %d at another registry: %d %s", id, status, body)
					}
					if status, body := call(t, "GET", other.url+"/subjects/"+subject+"/versions", ""); body != "[1]" {
						t.Errorf("versions of %s at another registry: %d %s", subject, status, body)
					}
				}
			}
		})
	}
	wg.Wait()
	// The same schema at all of them at once is one version.
	ids := make([]int, len(group))
	for i, p := range group {
		wg.Go(func() { ids[i], _ = p.register(t, "same", "Same") })
	}
	wg.Wait()
	if ids[0] != ids[1] || ids[1] != ids[2] {
		t.Errorf("one schema has the ids %v", ids)
	}
	// What is no write of a schema goes the same way.
	for i, p := range group {
		level := []string{"FULL", "NONE", "FORWARD"}[i]
		if status, body := call(t, "PUT", p.url+"/config", `{"compatibility":"`+level+`"}`); status != 200 {
			t.Errorf("config: %d %s", status, body)
		}
		for _, other := range group {
			if _, body := call(t, "GET", other.url+"/config", ""); body != `{"compatibilityLevel":"`+level+`"}` {
				t.Errorf("config at another registry: %s, want %s", body, level)
			}
		}
	}
	if status, body := call(t, "POST", group[2].url+"/subjects/same/versions", `{"schema":"nonsense"}`); status != 422 {
		t.Errorf("a refusal of the primary: %d %s", status, body)
	}
	primaries := 0
	for _, p := range group {
		if p.reg.Primary() {
			primaries++
		}
	}
	if primaries != 1 {
		t.Errorf("%d primaries", primaries)
	}
}

// When the primary goes, another takes its place, and ids go on from where they
// were.
func TestPrimaryGoes(t *testing.T) {
	group := startGroup(t, 2)
	first, _ := group[0].register(t, "s", "A")
	primary, other := group[0], group[1]
	if !primary.reg.Primary() {
		primary, other = other, primary
	}
	primary.stop()
	deadline := time.Now().Add(30 * time.Second)
	for !other.reg.Primary() {
		if time.Now().After(deadline) {
			t.Fatal("nobody became primary")
		}
		if status, _ := call(t, "GET", other.url+"/subjects", ""); status != 200 {
			t.Fatalf("GET /subjects: %d", status)
		}
	}
	if id, version := other.register(t, "t", "B"); id != first+1 || version != 1 {
		t.Errorf("id %d, version %d, want %d, 1", id, version, first+1)
	}
}

// A forwarded request that comes to the wrong registry is not sent round in
// circles.
func TestForwardedOnce(t *testing.T) {
	group := startGroup(t, 2)
	group[0].register(t, "s", "A")
	for _, p := range group {
		if p.reg.Primary() {
			continue
		}
		req, err := http.NewRequestWithContext(t.Context(), "DELETE", p.url+"/subjects/s", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Forward", "true")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != 500 {
			t.Errorf("answered with %d", resp.StatusCode)
		}
	}
}
