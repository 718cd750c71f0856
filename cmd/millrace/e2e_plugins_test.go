package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/connect/connector"
)

// versionedPlugin is the plugin of testdata/versioned, built once.
var versionedPlugin = sync.OnceValues(func() (string, error) {
	path := filepath.Join(filepath.Dir(binary), "versioned")
	out, err := exec.Command("go", "build", "-o", path, "./testdata/versioned").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	return path, nil
})

// putVersion puts the plugin of testdata/versioned, in a version, into place at
// once, as a package manager does.
func putVersion(t *testing.T, path, version string) {
	t.Helper()
	built, err := versionedPlugin()
	if err != nil {
		t.Fatalf("build the plugin: %v", err)
	}
	program, err := os.ReadFile(built)
	if err != nil {
		t.Fatal(err)
	}
	tmp := filepath.Join(t.TempDir(), "versioned")
	if err := os.WriteFile(tmp, append(program, "\nversion "+version...), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(tmp, path); err != nil {
		t.Fatal(err)
	}
}

// awaitValue waits until a topic's last record is a value.
func (s *server) awaitValue(topic, want string) {
	s.t.Helper()
	c := s.client(kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	last := ""
	eventually(s.t, fmt.Sprintf("%s in topic %s", want, topic), func() error {
		fetches := c.PollFetches(s.t.Context())
		fetches.EachRecord(func(r *kgo.Record) {
			var v struct{ Payload string }
			if err := json.Unmarshal(r.Value, &v); err != nil {
				s.t.Fatalf("value %q: %v", r.Value, err)
			}
			last = v.Payload
		})
		if last != want {
			return fmt.Errorf("the last record is %q", last)
		}
		return nil
	})
}

// process returns the figures of task 0 of a connector.
func (s *server) process(name string) connector.Process {
	s.t.Helper()
	var p connector.Process
	eventually(s.t, "figures of the task of "+name, func() error {
		st, err := s.status(name)
		if err != nil {
			return err
		}
		if len(st.Tasks) != 1 || st.Tasks[0].Process == nil {
			return fmt.Errorf("status %+v", st)
		}
		p = *st.Tasks[0].Process
		return nil
	})
	return p
}

func versioned(topic string, more map[string]string) map[string]string {
	cfg := map[string]string{"connector.class": "VersionedSource", "topic": topic, "errors.restart.delay.max.ms": "100"}
	for k, v := range more {
		cfg[k] = v
	}
	return cfg
}

// Two versions of a plugin run side by side, a third is taken up by restarting
// one connector, and so is a fourth that takes the third's place, while the
// others run on.
func TestPluginVersionsSideBySide(t *testing.T) {
	plugins := t.TempDir()
	putVersion(t, filepath.Join(plugins, "versioned-1"), "1.0")
	putVersion(t, filepath.Join(plugins, "versioned-2"), "2.0")
	s := startServer(t, "--plugin-path", plugins)
	_, body := s.rest(http.MethodGet, "/connector-plugins", "")
	for _, v := range []string{"1.0", "2.0"} {
		if !strings.Contains(body, `{"class":"com.example.VersionedSource","type":"source","version":"`+v+`"}`) {
			t.Errorf("version %s is not listed in %s", v, body)
		}
	}
	s.create("old", versioned("old", map[string]string{"connector.plugin.version": "[1.0,2.0)"}))
	s.create("new", versioned("new", nil))
	s.awaitValue("old", "1.0")
	s.awaitValue("new", "2.0")
	before := s.process("old")
	if before.Version != "1.0" || before.PID == 0 || before.MemoryBytes < 1<<20 {
		t.Errorf("figures are %+v", before)
	}

	putVersion(t, filepath.Join(plugins, "versioned-3"), "3.0")
	restart := func() {
		t.Helper()
		if code, body := s.rest(http.MethodPost, "/connectors/new/restart?includeTasks=true", ""); code != http.StatusAccepted {
			t.Fatalf("restart: HTTP %d: %s", code, body)
		}
	}
	restart()
	s.awaitValue("new", "3.0")
	putVersion(t, filepath.Join(plugins, "versioned-3"), "3.1")
	restart()
	s.awaitValue("new", "3.1")
	if p := s.process("new"); p.Version != "3.1" {
		t.Errorf("figures are %+v, want version 3.1", p)
	}
	if after := s.process("old"); after.PID != before.PID || after.Version != "1.0" {
		t.Errorf("the other connector's process was %+v and is %+v", before, after)
	}

	raw, err := json.Marshal(versioned("x", map[string]string{"name": "x", "connector.plugin.version": "[4.0,)"}))
	if err != nil {
		t.Fatal(err)
	}
	_, body = s.rest(http.MethodPut, "/connector-plugins/VersionedSource/config/validate", string(raw))
	var infos struct {
		Count   int `json:"error_count"`
		Configs []struct {
			Value struct {
				Name        string
				Errors      []string
				Recommended []string `json:"recommended_values"`
			}
		}
	}
	if err := json.Unmarshal([]byte(body), &infos); err != nil || infos.Count != 2 {
		t.Fatalf("validation of a version that is not there: %v %s", err, body)
	}
	for _, c := range infos.Configs {
		if len(c.Value.Errors) > 0 && !strings.Contains(c.Value.Errors[0], "here are 3.1, 2.0, 1.0") {
			t.Errorf("%s: %v", c.Value.Name, c.Value.Errors)
		}
		if c.Value.Name == "connector.plugin.version" && strings.Join(c.Value.Recommended, " ") != "3.1 2.0 1.0" {
			t.Errorf("recommended are %v", c.Value.Recommended)
		}
	}
	for query, want := range map[string]int{"": 200, "?version=1.0": 200, "?version=9": 400} {
		if code, body := s.rest(http.MethodGet, "/connector-plugins/VersionedSource/config"+query, ""); code != want {
			t.Errorf("config of the plugin%s: HTTP %d %s", query, code, body)
		}
	}
	for _, bad := range []map[string]string{
		{"value.converter": "org.apache.kafka.connect.json.JsonConverter", "value.converter.plugin.version": "[99,)"},
		{"value.converter.plugin.version": "latest"},
		{"transforms": "t", "transforms.t.type": "InsertField$Value", "transforms.t.static.field": "a", "transforms.t.static.value": "b", "transforms.t.plugin.version": "99"},
	} {
		raw, err := json.Marshal(map[string]any{"name": "x", "config": versioned("x", bad)})
		if err != nil {
			t.Fatal(err)
		}
		if code, body := s.rest(http.MethodPost, "/connectors", string(raw)); code != http.StatusBadRequest || !strings.Contains(body, "plugin.version") {
			t.Errorf("%v: HTTP %d %s", bad, code, body)
		}
	}
}

// A task that uses more memory than it may is killed, says so, and shows in the
// figures; one that crashes again and again stays failed, with its last output.
func TestTaskLimitsAndCrashLoop(t *testing.T) {
	plugins := t.TempDir()
	putVersion(t, filepath.Join(plugins, "versioned"), "1.0")
	s := startServer(t, "--plugin-path", plugins)
	s.create("hoard", versioned("t", map[string]string{"mode": "hoard", "task.memory.max.bytes": fmt.Sprint(96 << 20), "errors.restart": "false"}))
	st := s.awaitTask("hoard", connector.Failed)
	if trace := st.Tasks[0].Trace; !strings.Contains(trace, "its limit is 96 MiB: raise the limit") {
		t.Errorf("trace is %s", trace)
	}

	s.create("fine", versioned("t", map[string]string{"task.memory.max.bytes": fmt.Sprint(512 << 20)}))
	s.awaitTask("fine", connector.Running)
	p := s.process("fine")
	if p.MemoryLimitBytes != 512<<20 || p.MemoryBytes < 1<<20 || p.UptimeSeconds <= 0 {
		t.Errorf("figures are %+v", p)
	}
	code, metrics := s.rest(http.MethodGet, "/metrics", "")
	for _, want := range []string{
		`millrace_connect_task_resident_memory_bytes{connector="fine",task="0"}`, `millrace_connect_task_cpu_seconds_total{connector="fine",task="0"}`,
		`millrace_connect_task_memory_limit_bytes{connector="fine",task="0"} 5.36870912e+08`,
	} {
		if code != http.StatusOK || !strings.Contains(metrics, want) {
			t.Errorf("/metrics: HTTP %d without %s", code, want)
		}
	}
	if code, body := s.rest(http.MethodPost, "/connectors", `{"name":"x","config":{"connector.class":"VersionedSource","topic":"t","task.memory.max.bytes":1000}}`); code != 400 {
		t.Errorf("a limit that no process could keep: HTTP %d %s", code, body)
	}

	s.create("loop", versioned("t", map[string]string{"mode": "crash", "pin": "hunter2", "errors.restart.crashes.max": "3"}))
	eventually(t, "the end of the restarts", func() error {
		var err error
		if st, err = s.status("loop"); err == nil && (len(st.Tasks) != 1 || !strings.Contains(st.Tasks[0].Trace, "crashed 3 times in a row")) {
			err = fmt.Errorf("status %+v", st)
		}
		return err
	})
	trace := st.Tasks[0].Trace
	if st.Tasks[0].State != connector.Failed || !strings.Contains(trace, "exited with status 3") || !strings.Contains(trace, "last words 4") || !strings.Contains(trace, "last words 0") {
		t.Errorf("state %s, trace %s", st.Tasks[0].State, trace)
	}
	if strings.Contains(trace, "hunter2") {
		t.Errorf("the trace shows a password: %s", trace)
	}
	_, body := s.rest(http.MethodGet, "/connectors/loop/history", "")
	if n := strings.Count(body, `"task":0,"state":"FAILED"`); n != 3 {
		t.Errorf("the history has %d failures of the task, want 3: %s", n, body)
	}
	// Somebody who mends it gets it going again.
	if code, body := s.rest(http.MethodPatch, "/connectors/loop/config", `{"mode":"version"}`); code != http.StatusOK {
		t.Fatalf("patch: HTTP %d %s", code, body)
	}
	s.awaitTask("loop", connector.Running)
}

// No answer shows a password, and a config that was read can be put back: the
// mask stands for what is stored. A dry run tells what a PUT would change.
func TestSecretsAreMaskedAndKept(t *testing.T) {
	plugins := t.TempDir()
	putVersion(t, filepath.Join(plugins, "versioned"), "1.0")
	s := startServer(t, "--plugin-path", plugins)
	config := versioned("told", map[string]string{
		"mode": "tell", "pin": "hunter2", "tasks.max": "1", "name": "c",
		"value.converter": "org.apache.kafka.connect.json.JsonConverter", "producer.override.sasl.jaas.config": `org.apache.kafka.common.security.plain.PlainLoginModule required username="u" password="hunter2";`,
	})
	s.create("c", config)
	s.awaitValue("told", "hunter2")
	answers := map[string]string{}
	see := func(method, path, body string) string {
		t.Helper()
		code, got := s.rest(method, path, body)
		if code/100 != 2 {
			t.Fatalf("%s %s: HTTP %d %s", method, path, code, got)
		}
		if strings.Contains(got, "hunter2") {
			t.Errorf("%s %s shows the password: %s", method, path, got)
		}
		answers[path] = got
		return got
	}
	for _, path := range []string{"/connectors/c", "/connectors/c/config", "/connectors/c/tasks", "/connectors?expand=info&expand=status", "/connectors/c/status", "/connectors/c/history"} {
		see(http.MethodGet, path, "")
	}
	if !strings.Contains(answers["/connectors/c/config"], `"pin":"[hidden]"`) || !strings.Contains(answers["/connectors/c/tasks"], `"pin":"[hidden]"`) {
		t.Errorf("answers lack the mask: %v", answers)
	}
	read := answers["/connectors/c/config"]
	see(http.MethodPut, "/connector-plugins/VersionedSource/config/validate", read)
	changed := strings.Replace(read, `"topic":"told"`, `"topic":"told-again"`, 1)

	var preview connector.Preview
	if err := json.Unmarshal([]byte(see(http.MethodPut, "/connectors/c/config?dryRun=true", changed)), &preview); err != nil {
		t.Fatal(err)
	}
	if !preview.Valid || len(preview.Config) != 1 || preview.Config[0].Key != "topic" || *preview.Config[0].After != "told-again" ||
		preview.Tasks == nil || fmt.Sprint(preview.Tasks.Restarted) != "[0]" || !preview.RestartsConnector ||
		len(preview.Topics) != 1 || preview.Topics[0].Name != "told-again" {
		t.Errorf("preview is %+v, tasks %+v", preview, preview.Tasks)
	}
	if got := see(http.MethodGet, "/connectors/c/config", ""); got != read {
		t.Errorf("the dry run changed the config to %s", got)
	}

	see(http.MethodPut, "/connectors/c/config", changed)
	s.awaitValue("told-again", "hunter2")
	see(http.MethodPatch, "/connectors/c/config", `{"pin":"[hidden]","topic":"told-third"}`)
	s.awaitValue("told-third", "hunter2")
	if code, body := s.rest(http.MethodPost, "/connectors", `{"name":"d","config":{"connector.class":"VersionedSource","topic":"t","pin":"[hidden]"}}`); code != http.StatusBadRequest || !strings.Contains(body, "stands for a stored secret") {
		t.Errorf("a mask for which nothing is stored: HTTP %d %s", code, body)
	}
}

// The figures of tasks on other workers are asked for.
func TestStatusShowsProcessesOfOtherWorkers(t *testing.T) {
	_, workers := startWorkers(t, 2)
	dir := t.TempDir()
	for n := range 2 {
		path := filepath.Join(dir, fmt.Sprint(n))
		if err := os.WriteFile(path, []byte("line\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		workers[0].create(fmt.Sprint("c", n), map[string]string{"connector.class": "FileStreamSource", "file": path, "topic": "t"})
	}
	seen := map[string]bool{}
	for n := range 2 {
		name := fmt.Sprint("c", n)
		for _, w := range workers {
			w.awaitTask(name, connector.Running)
			if p := w.process(name); p.PID == 0 || p.MemoryBytes < 1<<20 {
				t.Errorf("figures of %s are %+v", name, p)
			}
		}
		st, err := workers[0].status(name)
		if err != nil {
			t.Fatal(err)
		}
		seen[st.Tasks[0].WorkerID] = true
		code, body := workers[1].rest(http.MethodGet, "/connectors/"+name+"/tasks/0/status", "")
		if code != http.StatusOK || !strings.Contains(body, `"memory_bytes"`) {
			t.Errorf("status of a task: HTTP %d %s", code, body)
		}
	}
	if len(seen) != 2 {
		t.Errorf("the tasks are on %v, want both workers", seen)
	}
}

// A task that has nothing to do takes little memory, though its executable holds
// everything that Millrace is.
func TestIdleTaskIsSmall(t *testing.T) {
	s := startServer(t)
	in := filepath.Join(t.TempDir(), "in.txt")
	if err := os.WriteFile(in, []byte("line\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.create("idle", map[string]string{"connector.class": "FileStreamSource", "file": in, "topic": "t"})
	s.values("t", 1)
	eventually(t, "less than 20 MiB", func() error {
		if p := s.process("idle"); p.MemoryBytes >= 20<<20 {
			return fmt.Errorf("its process has %d KiB", p.MemoryBytes>>10)
		}
		return nil
	})
}
