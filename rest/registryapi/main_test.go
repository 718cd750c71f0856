package registryapi

import (
	"context"
	goflag "flag"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/broker/brokertest"
	registry "github.com/millrace/millrace/schema-registry"
)

var update = goflag.Bool("update", false, "write the golden files anew")

// TestMain fails if a test leaves goroutines of this module or of its client
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
		if !strings.Contains(stacks, "millrace/schema-registry") && !strings.Contains(stacks, "franz-go") {
			return 0
		}
	}
	fmt.Fprintf(os.Stderr, "goroutines left behind:\n%s\n", stacks)
	return 1
}

// startRegistry runs a registry on a broker until the test ends.
func startRegistry(t testing.TB, cfg registry.Config) *registry.Registry {
	t.Helper()
	reg, err := registry.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done, ready := make(chan error, 1), make(chan struct{})
	go func() { done <- reg.Run(ctx, func() { close(ready) }) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("registry: %v", err)
		}
	})
	select {
	case <-ready:
	case err := <-done:
		done <- nil
		t.Fatalf("registry did not start: %v", err)
	}
	return reg
}

// startServer serves the API of a registry of its own.
func startServer(t testing.TB) *httptest.Server { return startWith(t, registry.Config{}) }

func startWith(t testing.TB, cfg registry.Config) *httptest.Server {
	t.Helper()
	c := brokertest.Start(t)
	cfg.ClientOpts = []kgo.Opt{kgo.SeedBrokers(c.Addr())}
	reg := startRegistry(t, cfg)
	outer := chi.NewRouter() // the API is mounted where it is served
	outer.Mount("/", Routes(reg, slog.New(slog.DiscardHandler), Build{"1.2.3", "abc"}))
	srv := httptest.NewServer(outer)
	t.Cleanup(srv.Close)
	return srv
}
