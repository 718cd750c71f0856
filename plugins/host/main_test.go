package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/millrace/millrace/plugins/catalog"
	"github.com/millrace/millrace/plugins/proto"
	"github.com/millrace/millrace/plugins/sdk"
)

// The test binary is also the plugins and the workers of its tests.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch role := os.Args[1]; role {
		case "plugin":
			if err := sdk.Run(connectors()...); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			os.Exit(0)
		case "garbage":
			fmt.Println("Hello, I am a calculator.")
			select {}
		case "endless":
			for {
				fmt.Print(strings.Repeat("x", 1000))
			}
		case "die":
			fmt.Fprintln(os.Stderr, "cannot find libmagic")
			os.Exit(7)
		case "hang":
			select {}
		case "old":
			fmt.Println("1|9|unix|/tmp/x|grpc|")
			select {}
		case "elsewhere":
			fmt.Println("1|1|tcp|127.0.0.1:1|grpc|")
			select {}
		case "worker":
			runWorker(os.Args[2])
		}
	}
	code := m.Run()
	if left := leaked(); left != "" && code == 0 {
		fmt.Fprintln(os.Stderr, "goroutines are left:\n"+left)
		code = 1
	}
	os.Exit(code)
}

// leaked waits for goroutines to end and returns the stacks of those that do
// not. The signal package's own is not counted; fuzzing starts it.
func leaked() (left string) {
	for range 100 {
		buf := make([]byte, 1<<20)
		stacks := strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n")
		stacks = slices.DeleteFunc(stacks[1:], func(s string) bool { return strings.Contains(s, "os/signal.loop") })
		if left = strings.Join(stacks, "\n\n"); left == "" {
			return ""
		}
		time.Sleep(20 * time.Millisecond) // polling for an end, not for an order
	}
	return left
}

// runWorker is a worker that opens a source, says its process's number, and
// then does nothing until it is killed.
func runWorker(only string) {
	h, err := New(Config{
		Logger: slog.New(slog.NewTextHandler(os.Stderr, nil)), SelfExe: os.Args[0],
		noDeathPipe: only == "signal", noDeathSignal: only == "pipe",
	})
	if err == nil {
		var s *Source
		s, err = h.OpenSource(context.Background(), SourceSpec{
			Target: Target{builtin(), "test.Count"}, Config: map[string]string{"mode": "wait"},
		})
		if err == nil {
			fmt.Println(s.Stats().PID)
		}
	}
	if err != nil {
		fmt.Println(err)
	}
	select {}
}

func connectors() []sdk.Connector {
	return []sdk.Connector{
		{Name: "count", Version: "1", Classes: []string{"test.Count"}, Source: countSource{}},
		{Name: "collect", Version: "1", Classes: []string{"test.Collect"}, Sink: collectSink{}},
	}
}

// builtin is the plugin that this executable is.
func builtin() *catalog.Plugin {
	return &catalog.Plugin{
		Name: "count", Kind: catalog.Source, Classes: []string{"test.Count", "test.Collect"},
		Abilities: []string{proto.AbilityAlterOffsets}, Command: []string{"", "plugin"},
	}
}

// syncBuffer is a log that a test reads while it is written.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func newHost(t testing.TB, cfg Config) (*Host, *syncBuffer) {
	t.Helper()
	log := &syncBuffer{}
	cfg.Logger = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	if cfg.StopGrace == 0 {
		cfg.StopGrace = 5 * time.Second
	}
	h, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Errorf("close the host: %v", err)
		}
		if t.Failed() {
			t.Logf("the worker's log:\n%s", log)
		}
	})
	return h, log
}

func openSource(t testing.TB, h *Host, spec SourceSpec) *Source {
	t.Helper()
	if spec.Plugin == nil {
		spec.Target = Target{builtin(), "test.Count"}
	}
	s, err := h.OpenSource(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// eventually polls for a condition that another process brings about.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("timed out waiting: %s", what)
		}
		time.Sleep(5 * time.Millisecond) // polling, not ordering
	}
}

// alive reports whether a process exists and is not a zombie.
func alive(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return !errors.Is(err, os.ErrNotExist)
	}
	rest := text[bytes.LastIndexByte(text, ')')+1:]
	return !bytes.HasPrefix(bytes.TrimSpace(rest), []byte("Z"))
}

// drainAll reads a stopped source to its end.
func drainAll(t testing.TB, s *Source) (records int) {
	t.Helper()
	for {
		b, _, release, err := s.Next(t.Context())
		if errors.Is(err, io.EOF) {
			return records
		}
		if err != nil {
			t.Fatal(err)
		}
		records += len(b.Records)
		release()
	}
}
