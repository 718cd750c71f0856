package main

import (
	"context"
	"errors"
	"fmt"
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

// A task whose process is killed runs again by itself, and no record is lost
// on the way from file to file.
func TestKilledTasksRunAgain(t *testing.T) {
	s := startServer(t)
	dir := t.TempDir()
	in, out := filepath.Join(dir, "in.txt"), filepath.Join(dir, "out.txt")
	const lines = 3000
	f, err := os.Create(in)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	str := "org.apache.kafka.connect.storage.StringConverter"
	s.create("src", map[string]string{"connector.class": "FileStreamSource", "file": in, "topic": "lines", "value.converter": str})
	s.create("snk", map[string]string{"connector.class": "FileStreamSink", "file": out, "topics": "lines", "value.converter": str})
	s.awaitTask("src", connector.Running)
	s.awaitTask("snk", connector.Running)

	for i := range lines {
		fmt.Fprintf(f, "line %d\n", i)
		if i == lines/3 || i == 2*lines/3 {
			for _, plugin := range []string{"file-source", "file-sink"} {
				for _, pid := range s.taskProcesses(plugin) {
					if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) { // one that planned has ended
						t.Fatal(err)
					}
				}
			}
			s.awaitTask("src", connector.Failed)
			st := s.awaitTask("snk", connector.Failed)
			if trace := st.Tasks[0].Trace; !strings.Contains(trace, "signal 9") {
				t.Errorf("trace %q does not say that signal 9 ended the process", trace)
			}
			s.awaitTask("src", connector.Running)
			s.awaitTask("snk", connector.Running)
		}
	}
	eventually(t, "all lines in the file", func() error { return missing(out, lines) })
}

func readLines(path string) ([]string, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	text := strings.TrimSuffix(string(raw), "\n")
	if text == "" {
		return nil, nil
	}
	return strings.Split(text, "\n"), nil
}

// missing says which of the lines "line 0" to "line n-1" a file lacks.
func missing(path string, n int) error {
	all, err := readLines(path)
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, l := range all {
		seen[l] = true
	}
	var lost []string
	for i := range n {
		if l := fmt.Sprintf("line %d", i); !seen[l] {
			lost = append(lost, l)
		}
	}
	if len(lost) > 0 {
		return fmt.Errorf("%d lines are missing, the first is %q", len(lost), lost[0])
	}
	return nil
}

// kill -9 of the server while a producer writes: what was acknowledged is there
// after the restart, once, and the producer goes on by itself.
func TestKilledServerKeepsWhatItAcknowledged(t *testing.T) {
	s := startServer(t)
	producer := s.client(kgo.DefaultProduceTopic("acked"), kgo.AllowAutoTopicCreation())
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var mu sync.Mutex
	acked := map[string]bool{}
	written := make(chan struct{}) // closed when the producer has ended
	go func() {
		defer close(written)
		for i := 0; ctx.Err() == nil; i++ {
			v := fmt.Sprintf("record %d", i)
			producer.Produce(context.WithoutCancel(ctx), kgo.StringRecord(v), func(r *kgo.Record, err error) {
				if err == nil {
					mu.Lock()
					acked[string(r.Value)] = true
					mu.Unlock()
				}
			})
			if i%100 == 0 {
				time.Sleep(time.Millisecond) // a steady stream, not a flood
			}
		}
	}()
	count := func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(acked)
	}
	for round := range 3 {
		before := count()
		eventually(t, fmt.Sprintf("acknowledgements in round %d", round), func() error {
			if n := count(); n < before+2000 {
				return fmt.Errorf("%d acknowledged", n)
			}
			return nil
		})
		s.kill()
		s.restart()
	}
	stop()
	<-written
	fctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := producer.Flush(fctx); err != nil {
		t.Fatalf("flush: %v", err)
	}
	s.checkOnce("acked", acked)
}

// checkOnce reads a whole topic and fails the test unless it holds each value
// of want exactly once.
func (s *server) checkOnce(topic string, want map[string]bool) {
	s.t.Helper()
	c := s.client(kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	ctx, stop := context.WithTimeout(s.t.Context(), patience)
	defer stop()
	got := map[string]int{}
	for missing := len(want); missing > 0; {
		fetches := c.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			s.t.Fatalf("%d of %d acknowledged records are not in the topic: %v", missing, len(want), err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			v := string(r.Value)
			if got[v]++; got[v] == 1 && want[v] {
				missing--
			}
		})
	}
	for v, n := range got {
		if n > 1 {
			s.t.Errorf("%q is in the topic %d times", v, n)
		}
	}
}

// brokenPlugins are executables that are no plugins, with what the error must
// say of each.
var brokenPlugins = map[string]struct{ script, want string }{
	"dies":    {"#!/bin/sh\necho going down >&2\nexit 3\n", "ended before it was ready"},
	"garbage": {"#!/bin/sh\necho this is no handshake\nsleep 60\n", "does not speak as a plugin does"},
	"hangs":   {"#!/bin/sh\nsleep 600\n", "was not ready in time"},
	"no-exec": {"\x00\x01\x02 not a program", "cannot be executed"},
}

// A plugin that worked when its connector was made and is broken later fails
// its task with the reason, and the worker stays up.
func TestBrokenPluginFailsItsTaskOnly(t *testing.T) {
	plugins := t.TempDir()
	exe := filepath.Join(plugins, "ticker")
	build := exec.Command("go", "build", "-o", exe, ".")
	build.Dir = filepath.Join("..", "..", "plugins", "examples", "ticker")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the example plugin: %v\n%s", err, out)
	}
	s := startServer(t, "--plugin-path", plugins)
	code, body := s.rest(http.MethodGet, "/connector-plugins", "")
	if code != http.StatusOK || !strings.Contains(body, "TickerSource") {
		t.Fatalf("GET /connector-plugins: HTTP %d, no TickerSource in %s", code, body)
	}
	s.create("tick", map[string]string{"connector.class": "TickerSource", "topic": "ticks"})
	s.awaitTask("tick", connector.Running)
	s.values("ticks", 1)
	for name, broken := range brokenPlugins {
		if err := os.Remove(exe); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(exe, []byte(broken.script), 0o755); err != nil {
			t.Fatal(err)
		}
		if code, body := s.rest(http.MethodPost, "/connectors/tick/tasks/0/restart", ""); code != http.StatusNoContent {
			t.Fatalf("%s: restart: HTTP %d: %s", name, code, body)
		}
		eventually(t, name+" in the trace", func() error {
			st, err := s.status("tick")
			if err == nil && (len(st.Tasks) != 1 || st.Tasks[0].State != connector.Failed || !strings.Contains(st.Tasks[0].Trace, broken.want)) {
				err = fmt.Errorf("status %+v, want FAILED with %q", st, broken.want)
			}
			return err
		})
	}
	if code, body := s.rest(http.MethodGet, "/connectors", ""); code != http.StatusOK || body != "[\"tick\"]\n" {
		t.Errorf("the worker answers HTTP %d, %s", code, body)
	}
}

func TestBadConfigsCreateNothing(t *testing.T) {
	s := startServer(t)
	for _, tt := range []struct {
		name, body string
		code       int
		want       []string
	}{
		{"unknown class", `{"name":"c","config":{"connector.class":"NoSuchConnector"}}`, 400, []string{"NoSuchConnector", "FileStreamSourceConnector"}},
		{"no class", `{"name":"c","config":{"topic":"x"}}`, 400, []string{"connector.class"}},
		{"missing key", `{"name":"c","config":{"connector.class":"FileStreamSource","file":"/tmp/x"}}`, 400,
			[]string{"Connector configuration is invalid and contains the following 1 error(s):", `"topic"`}},
		{"bad number", `{"name":"c","config":{"connector.class":"FileStreamSource","file":"/tmp/x","topic":"t","tasks.max":"many"}}`, 400,
			[]string{"Invalid value many for configuration tasks.max: Not a number of type INT"}},
		{"name in conflict", `{"name":"c","config":{"name":"d","connector.class":"FileStreamSource"}}`, 400, []string{"doesn't match"}},
		{"not JSON", `{"name":`, 400, []string{"JSON"}},
		{"nested value", `{"name":"c","config":{"connector.class":{"a":1}}}`, 400, []string{"connector.class"}},
		{"sink without topics", `{"name":"c","config":{"connector.class":"FileStreamSink","file":"/tmp/x"}}`, 400, []string{"Must configure one of topics or topics.regex"}},
		{"unknown transform", `{"name":"c","config":{"connector.class":"FileStreamSource","file":"/tmp/x","topic":"t","transforms":"a","transforms.a.type":"X"}}`, 400,
			[]string{"transforms.a.type", "known are", "org.apache.kafka.connect.transforms.RegexRouter"}},
		{"unknown converter", `{"name":"c","config":{"connector.class":"FileStreamSource","file":"/tmp/x","topic":"t","value.converter":"com.example.Nope"}}`, 400,
			[]string{"com.example.Nope could not be found"}},
		{"unknown client key", `{"name":"c","config":{"connector.class":"FileStreamSource","file":"/tmp/x","topic":"t","producer.override.wings":"2"}}`, 400,
			[]string{"wings"}},
	} {
		code, body := s.rest(http.MethodPost, "/connectors", tt.body)
		if code != tt.code || !strings.Contains(body, `"error_code":`) {
			t.Errorf("%s: HTTP %d: %s; want %d with an error_code", tt.name, code, body, tt.code)
		}
		for _, w := range tt.want {
			if !strings.Contains(body, strings.ReplaceAll(w, `"`, `\"`)) {
				t.Errorf("%s: body %s does not say %q", tt.name, body, w)
			}
		}
	}
	if _, body := s.rest(http.MethodGet, "/connectors", ""); body != "[]\n" {
		t.Errorf("connectors after refusals: %s", body)
	}
}

// A record that a sink cannot read goes to the dead letter queue as it was,
// with the ten headers of Kafka Connect, and the good ones go on.
func TestDeadLetterQueue(t *testing.T) {
	s := startServer(t)
	out := filepath.Join(t.TempDir(), "out.txt")
	mustRun(t, "{\"a\":1}\nnot json\n{\"a\":2}\n", binary, "produce", "in", "-b", s.addrs.Kafka, "-H", "h=v")
	str := "org.apache.kafka.connect.storage.StringConverter"
	s.create("snk", map[string]string{
		"connector.class": "FileStreamSink", "file": out, "topics": "in", "key.converter": str,
		"value.converter": "org.apache.kafka.connect.json.JsonConverter", "value.converter.schemas.enable": "false",
		"errors.tolerance": "all", "errors.deadletterqueue.topic.name": "dlq", "errors.deadletterqueue.context.headers.enable": "true",
	})
	eventually(t, "the good records", func() error {
		lines, err := readLines(out)
		if err == nil && strings.Join(lines, " ") != "{a=1} {a=2}" {
			err = fmt.Errorf("file holds %q", lines)
		}
		return err
	})
	c := s.client(kgo.ConsumeTopics("dlq"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	fetches := c.PollRecords(ctx, 1)
	if err := fetches.Err(); err != nil {
		t.Fatal(err)
	}
	r := fetches.Records()[0]
	var names []string
	values := map[string]string{}
	for _, h := range r.Headers {
		name := strings.TrimPrefix(h.Key, "__connect.errors.")
		names = append(names, name)
		values[name] = string(h.Value)
	}
	want := "h topic partition offset connector.name task.id stage class.name exception.class.name exception.message exception.stacktrace"
	if string(r.Value) != "not json" || strings.Join(names, " ") != want {
		t.Errorf("record %q with headers %v; want %q with %s", r.Value, names, "not json", want)
	}
	for k, v := range map[string]string{
		"topic": "in", "partition": "0", "offset": "1", "connector.name": "snk", "task.id": "0", "stage": "VALUE_CONVERTER",
		"class.name": "org.apache.kafka.connect.json.JsonConverter", "exception.class.name": "org.apache.kafka.connect.errors.DataException",
	} {
		if values[k] != v {
			t.Errorf("header %s is %q, want %q", k, values[k], v)
		}
	}
}
