package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/connect/connector"
)

// binary is the executable under test, built once.
var binary string

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "millrace-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "millrace")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// patience is how long a test waits for what must come about.
const patience = 60 * time.Second

// server is a millrace server process under test.
type server struct {
	t     *testing.T
	dir   string
	args  []string
	cmd   *exec.Cmd
	done  chan struct{} // closed when the process has ended
	err   error         // how it ended; read after done
	log   *syncBuffer
	addrs addresses
}

// syncBuffer takes a process's output while the test reads it.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// startServer starts a server on ports that it picks and waits until it is
// ready. The test ends it.
func startServer(t *testing.T, args ...string) *server {
	t.Helper()
	s := &server{t: t, dir: filepath.Join(t.TempDir(), "data"), args: args}
	s.start("127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0")
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("server log:\n%s", s.log)
		}
		s.kill()
	})
	return s
}

func (s *server) start(kafka, connect, registry string) {
	s.t.Helper()
	all := append([]string{"server", "--data-dir", s.dir, "--kafka-addr", kafka, "--connect-addr", connect, "--registry-addr", registry}, s.args...)
	s.cmd = exec.Command(binary, all...)
	s.log = &syncBuffer{}
	s.cmd.Stderr = s.log
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.done = make(chan struct{})
	go func() {
		s.err = s.cmd.Wait()
		close(s.done)
	}()
	eventually(s.t, "the server's addresses", func() error {
		select {
		case <-s.done:
			s.t.Fatalf("server ended at start: %v\n%s", s.err, s.log)
		default:
		}
		raw, err := os.ReadFile(filepath.Join(s.dir, addressesFile))
		if err != nil {
			return err
		}
		return json.Unmarshal(raw, &s.addrs)
	})
}

// kill ends the process as a power cut would, and waits for that.
func (s *server) kill() {
	_ = s.cmd.Process.Kill() // it may have ended already
	<-s.done
}

// restart starts the server again on the same data and addresses.
func (s *server) restart() {
	s.t.Helper()
	if err := os.Remove(filepath.Join(s.dir, addressesFile)); err != nil && !errors.Is(err, os.ErrNotExist) {
		s.t.Fatal(err)
	}
	s.start(orAny(s.addrs.Kafka), s.addrs.Metrics, orAny(s.addrs.Registry))
}

// orAny is the address of a role, any free one if the role did not run.
func orAny(addr string) string {
	if addr == "" {
		return "127.0.0.1:0"
	}
	return addr
}

// eventually waits until ok returns nil.
func eventually(t *testing.T, what string, ok func() error) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := ok()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s did not come about: %v", what, err)
		}
		time.Sleep(10 * time.Millisecond) // polling a condition
	}
}

// rest sends a request to the Connect API and returns status and body.
func (s *server) rest(method, path, body string) (int, string) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, "http://"+s.addrs.Connect+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp.StatusCode, string(raw)
}

// create posts a connector and fails the test if it is refused.
func (s *server) create(name string, config map[string]string) {
	s.t.Helper()
	raw, err := json.Marshal(map[string]any{"name": name, "config": config})
	if err != nil {
		s.t.Fatal(err)
	}
	if code, body := s.rest(http.MethodPost, "/connectors", string(raw)); code != http.StatusCreated {
		s.t.Fatalf("create %s: HTTP %d: %s", name, code, body)
	}
}

// status returns a connector's state.
func (s *server) status(name string) (connector.StateInfo, error) {
	code, body := s.rest(http.MethodGet, "/connectors/"+name+"/status", "")
	var st connector.StateInfo
	if code != http.StatusOK {
		return st, fmt.Errorf("HTTP %d: %s", code, body)
	}
	return st, json.Unmarshal([]byte(body), &st)
}

// awaitTask waits until task 0 of a connector is in a state.
func (s *server) awaitTask(name string, state connector.State) connector.StateInfo {
	s.t.Helper()
	var st connector.StateInfo
	eventually(s.t, fmt.Sprintf("task %s-0 %s", name, state), func() (err error) {
		if st, err = s.status(name); err != nil {
			return err
		}
		if len(st.Tasks) == 0 || st.Tasks[0].State != state {
			return fmt.Errorf("status %+v", st)
		}
		return nil
	})
	return st
}

// client returns a franz-go client with its defaults.
func (s *server) client(opts ...kgo.Opt) *kgo.Client {
	s.t.Helper()
	c, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(s.addrs.Kafka)}, opts...)...)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(c.Close)
	return c
}

// taskProcesses returns the pids of the server's children that run a built-in
// plugin.
func (s *server) taskProcesses(plugin string) []int {
	s.t.Helper()
	var pids []int
	entries, err := os.ReadDir("/proc")
	if err != nil {
		s.t.Fatal(err)
	}
	for _, e := range entries {
		var pid, ppid int
		if _, err := fmt.Sscan(e.Name(), &pid); err != nil {
			continue
		}
		stat, err := os.ReadFile(filepath.Join("/proc", e.Name(), "stat"))
		if err != nil {
			continue // it ended meanwhile
		}
		rest := string(stat[bytes.LastIndexByte(stat, ')')+1:])
		var state string
		if _, err := fmt.Sscan(rest, &state, &ppid); err != nil || ppid != s.cmd.Process.Pid {
			continue
		}
		cmdline, err := os.ReadFile(filepath.Join("/proc", e.Name(), "cmdline"))
		if err == nil && strings.Contains(string(cmdline), "\x00plugin\x00"+plugin) {
			pids = append(pids, pid)
		}
	}
	return pids
}

func TestServerWritesAddressesAndStopsInOrder(t *testing.T) {
	s := startServer(t)
	in := filepath.Join(t.TempDir(), "in.txt")
	if err := os.WriteFile(in, []byte("one\ntwo\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.create("src", map[string]string{"connector.class": "FileStreamSource", "file": in, "topic": "lines"})
	s.awaitTask("src", connector.Running)

	second := exec.Command(binary, "server", "--data-dir", s.dir, "--kafka-addr", "127.0.0.1:0", "--connect-addr", "127.0.0.1:0", "--registry-addr", "127.0.0.1:0")
	out, err := second.CombinedOutput()
	if err == nil || second.ProcessState.ExitCode() != exitFailed || !strings.Contains(string(out), "locked by process") {
		t.Errorf("second server on the directory: %v, output %q; want exit 1 and the reason", err, out)
	}

	for path, want := range map[string]string{"/health": "healthy", "/readyz": "healthy", "/healthz": "healthy", "/metrics": "millrace_broker_partitions"} {
		if code, body := s.rest(http.MethodGet, path, ""); code != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("GET %s: HTTP %d, no %q in %.200s", path, code, want, body)
		}
	}
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-s.done:
	case <-time.After(patience):
		t.Fatal("server did not stop")
	}
	if s.err != nil {
		t.Errorf("server exited with %v, want 0", s.err)
	}
	if _, err := os.Stat(filepath.Join(s.dir, addressesFile)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("addresses.json after the stop: %v, want it gone", err)
	}
	if left := s.taskProcesses("file-source"); len(left) > 0 {
		t.Errorf("task processes %v outlive the server", left)
	}
	// The offset was committed: a server that starts again reads nothing twice.
	s.restart()
	s.awaitTask("src", connector.Running)
	if err := os.WriteFile(in, []byte("one\ntwo\nthree\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := s.values("lines", 3); strings.Join(got, ",") != "one,two,three" {
		t.Errorf("topic holds %v, want each line once", got)
	}
}

// values reads n committed records from the start of a topic written by
// JsonConverter and returns their payloads.
func (s *server) values(topic string, n int) []string {
	s.t.Helper()
	c := s.client(kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	ctx, stop := context.WithTimeout(s.t.Context(), patience)
	defer stop()
	var out []string
	for len(out) < n {
		fetches := c.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			s.t.Fatalf("consume %s: %v (after %d of %d records)", topic, err, len(out), n)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			var v struct{ Payload any }
			if err := json.Unmarshal(r.Value, &v); err != nil {
				s.t.Fatalf("value %q: %v", r.Value, err)
			}
			out = append(out, fmt.Sprint(v.Payload))
		})
	}
	return out
}
