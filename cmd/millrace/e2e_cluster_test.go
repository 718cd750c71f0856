package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/connect/connector"
)

// clusterDelay is how long the work of a lost worker waits in these tests.
const clusterDelay = 3 * time.Second

// startWorkers starts a broker in a process of its own, and workers in theirs.
func startWorkers(t *testing.T, n int) (broker *server, workers []*server) {
	t.Helper()
	config := filepath.Join(t.TempDir(), "millrace.yaml")
	yaml := fmt.Sprintf("connect:\n  session.timeout.ms: 6000\n  heartbeat.interval.ms: 500\n  scheduled.rebalance.max.delay.ms: %d\n", clusterDelay.Milliseconds())
	if err := os.WriteFile(config, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	broker = startServer(t, "--roles", "broker")
	for range n {
		workers = append(workers, startServer(t, "--config", config, "--roles", "connect", "--bootstrap-servers", broker.addrs.Kafka))
	}
	return broker, workers
}

// source is a file source connector and its file.
type source struct {
	name, path string
	lines      int
}

func (s *source) topic() string { return "topic-" + s.name }

// grow appends lines to the file: each is new.
func (s *source) grow(t *testing.T, n int) {
	t.Helper()
	f, err := os.OpenFile(s.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	for range n {
		s.lines++
		if _, err := fmt.Fprintf(f, "%s %d\n", s.name, s.lines); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func newSource(t *testing.T, w *server, name string) *source {
	t.Helper()
	s := &source{name: name, path: filepath.Join(t.TempDir(), name+".txt")}
	s.grow(t, 3)
	w.create(name, map[string]string{"connector.class": "FileStreamSource", "file": s.path, "topic": s.topic()})
	return s
}

// places returns the worker of each source's task, once all run.
func places(t *testing.T, w *server, sources []*source) map[string]string {
	t.Helper()
	at := map[string]string{}
	eventually(t, "all tasks RUNNING", func() error {
		for _, s := range sources {
			st, err := w.status(s.name)
			if err != nil {
				return err
			}
			if len(st.Tasks) != 1 || st.Tasks[0].State != connector.Running {
				return fmt.Errorf("%s: %+v", s.name, st)
			}
			at[s.name] = st.Tasks[0].WorkerID
		}
		return nil
	})
	return at
}

// TestClusterSurvivesTheLossOfAWorker kills one of three workers: its tasks go
// to the others when the delay has run out, and theirs run on undisturbed.
func TestClusterSurvivesTheLossOfAWorker(t *testing.T) {
	broker, workers := startWorkers(t, 3)
	var sources []*source
	for i := range 6 {
		sources = append(sources, newSource(t, workers[i%3], fmt.Sprintf("s%d", i)))
	}
	at := places(t, workers[0], sources)
	count := map[string]int{}
	for _, w := range at {
		count[w]++
	}
	for _, w := range workers {
		if count[w.addrs.Connect] != 2 {
			t.Fatalf("tasks are spread as %v", count)
		}
	}
	leaders := 0
	for _, w := range workers {
		code, body := w.rest(http.MethodGet, "/metrics", "")
		if code != http.StatusOK || !strings.Contains(body, "millrace_connect_group_member 1\n") || !strings.Contains(body, "kafka_connect_coordinator_assigned_tasks 2\n") {
			t.Errorf("metrics of a worker: HTTP %d, no membership with two tasks in it", code)
		}
		leaders += strings.Count(body, "millrace_connect_group_leader 1\n")
	}
	if leaders != 1 {
		t.Errorf("%d workers lead, by their metrics", leaders)
	}
	victim := workers[1]
	left := []*server{workers[0], workers[2]}
	var before []int
	for _, w := range left {
		before = append(before, w.taskProcesses("file-source")...)
	}
	died := time.Now()
	victim.kill()
	for _, s := range sources {
		s.grow(t, 3)
	}
	eventually(t, "the victim's tasks on others", func() error {
		for _, s := range sources {
			st, err := left[0].status(s.name)
			if err != nil {
				return err
			}
			if st.Tasks[0].WorkerID == victim.addrs.Connect || st.Tasks[0].State != connector.Running {
				return fmt.Errorf("%s: %+v", s.name, st)
			}
		}
		return nil
	})
	if took := time.Since(died); took < clusterDelay {
		t.Errorf("the tasks moved after %v, before their worker's delay of %v had run out", took, clusterDelay)
	}
	for _, s := range sources {
		if got := broker.values(s.topic(), s.lines); len(got) != s.lines {
			t.Errorf("%s holds %d lines, want %d", s.topic(), len(got), s.lines)
		}
	}
	var after []int
	for _, w := range left {
		after = append(after, w.taskProcesses("file-source")...)
	}
	for _, pid := range before {
		if !slices.Contains(after, pid) {
			t.Errorf("task process %d of a worker that stayed was restarted", pid)
		}
	}
	// It comes back and takes its share, through the others' requests as well.
	victim.restart()
	eventually(t, "a share for the worker that came back", func() error {
		if n := len(victim.taskProcesses("file-source")); n < 2 {
			return fmt.Errorf("%d tasks", n)
		}
		return nil
	})
	for i, s := range sources {
		w := workers[i%3]
		if code, body := w.rest(http.MethodDelete, "/connectors/"+s.name, ""); code != http.StatusNoContent {
			t.Errorf("delete %s: HTTP %d %s", s.name, code, body)
		}
	}
	eventually(t, "the end of all tasks", func() error {
		for _, w := range workers {
			if n := len(w.taskProcesses("file-source")); n > 0 {
				return fmt.Errorf("%d tasks", n)
			}
		}
		return nil
	})
}

// TestKilledServerNeedNotWaitForItself kills a server with all roles: when it
// is started again its tasks run at once, and not when the session of its
// former self has ended.
func TestKilledServerNeedNotWaitForItself(t *testing.T) {
	s := startServer(t)
	src := newSource(t, s, "s")
	places(t, s, []*source{src})
	s.kill()
	src.grow(t, 2)
	began := time.Now()
	s.restart()
	if got := s.values(src.topic(), src.lines); len(got) < src.lines {
		t.Errorf("topic holds %v", got)
	}
	if took := time.Since(began); took > 7*time.Second {
		t.Errorf("the new lines came %v after the start, the former session lasted 10s", took)
	}
}

// TestFrozenWorkerWritesNothingWhenItWakes stops a worker's process for longer
// than its session: another runs its task then, and the worker that wakes ends
// its own before it has written a line.
func TestFrozenWorkerWritesNothingWhenItWakes(t *testing.T) {
	broker, workers := startWorkers(t, 2)
	s := newSource(t, workers[0], "s")
	at := places(t, workers[0], []*source{s})["s"]
	frozen, other := workers[0], workers[1]
	if other.addrs.Connect == at {
		frozen, other = other, frozen
	}
	size := func() int64 {
		st, err := os.Stat(s.path)
		if err != nil {
			t.Fatal(err)
		}
		return st.Size()
	}
	stored := func(want int64) func() error {
		return func() error {
			code, body := other.rest(http.MethodGet, "/connectors/s/offsets", "")
			var o connector.Offsets
			if err := json.Unmarshal([]byte(body), &o); code != http.StatusOK || err != nil {
				return fmt.Errorf("HTTP %d %s (%v)", code, body, err)
			}
			if len(o.Offsets) != 1 || !strings.Contains(string(o.Offsets[0].Offset), fmt.Sprint(want)) {
				return fmt.Errorf("offsets %s, want position %d", body, want)
			}
			return nil
		}
	}
	eventually(t, "offsets of what was read", stored(size()))
	if err := frozen.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	s.grow(t, 5) // for whoever reads: the frozen worker's task process still runs
	eventually(t, "the task on the other worker", func() error {
		st, err := other.status("s")
		if err == nil && (st.Tasks[0].WorkerID != other.addrs.Connect || st.Tasks[0].State != connector.Running) {
			err = fmt.Errorf("%+v", st)
		}
		return err
	})
	eventually(t, "offsets of what was read there", stored(size()))
	if err := frozen.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the end of the task on the worker that woke", func() error {
		if n := len(frozen.taskProcesses("file-source")); n > 0 {
			return fmt.Errorf("%d tasks", n)
		}
		return nil
	})
	s.grow(t, 5)
	eventually(t, "offsets of what came last", stored(size()))
	got := broker.values(s.topic(), s.lines)
	var want []string
	for i := range s.lines {
		want = append(want, fmt.Sprintf("s %d", i+1))
	}
	if !slices.Equal(got, want) {
		t.Errorf("topic holds %v, want each line once", got)
	}
	if end := committedEnd(t, broker, s.topic()); end != s.lines {
		t.Errorf("topic holds %d committed records, want %d", end, s.lines)
	}
}

// committedEnd returns how many committed records partition 0 of a topic holds
// up to its present end.
func committedEnd(t *testing.T, s *server, topic string) int {
	t.Helper()
	c := s.client(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().AtStart()}}),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords())
	listed, err := kadm.NewClient(c).ListEndOffsets(t.Context(), topic)
	if err == nil {
		err = listed.Error()
	}
	if err != nil {
		t.Fatal(err)
	}
	end, _ := listed.Lookup(topic, 0)
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	n := 0
	for at := int64(0); at < end.Offset; {
		fetches := c.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			at = r.Offset + 1
			if !r.Attrs.IsControl() {
				n++
			}
		})
	}
	return n
}
