package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

var (
	contractURL  = flag.String("connect-url", "", "Connect worker to hold to the REST contract, such as http://127.0.0.1:8083; one of this build if empty")
	contractFile = flag.String("connect-file", "", "file that this worker can read, for its file source; made if empty")
)

// contractStep is one call and its answer. In want, "*" stands for any value,
// an object may hold more than is wanted, and "" is no body. later steps are
// repeated until the answer comes.
type contractStep struct {
	method, path, body string
	code               int
	want               string
	later              bool
}

// contract is Kafka Connect's REST API by example, for a worker that has the
// FileStreamSource class and no connector named contract or contract-2. FILE
// stands for a file.
var contract = []contractStep{
	{"GET", "/", "", 200, `{"version":"*","commit":"*","kafka_cluster_id":"*"}`, false},
	{"GET", "/health", "", 200, `{"status":"healthy","message":"*"}`, false},
	{"GET", "/nowhere", "", 404, `{"error_code":404,"message":"HTTP 404 Not Found"}`, false},
	{"POST", "/connectors/contract", `{}`, 405, `{"error_code":405,"message":"HTTP 405 Method Not Allowed"}`, false},

	// Plugins and validation.
	{"GET", "/connector-plugins/FileStreamSource/config", "", 200, `*`, false},
	{"GET", "/connector-plugins/NoSuchPlugin/config", "", 404, `{"error_code":404,"message":"Unknown plugin NoSuchPlugin."}`, false},
	{"PUT", "/connector-plugins/FileStreamSource/config/validate", `{"connector.class":"FileStreamSource","name":"contract","tasks.max":0,"topic":"t","file":"FILE"}`, 200,
		`{"name":"FileStreamSource","error_count":1,"groups":"*","configs":"*"}`, false},
	{"PUT", "/connector-plugins/FileStreamSink/config/validate", `{"connector.class":"FileStreamSource"}`, 400, `{"error_code":400,"message":"*"}`, false},

	// Life of a connector. Numbers and booleans are kept as text.
	{"GET", "/connectors/contract", "", 404, `{"error_code":404,"message":"Connector contract not found"}`, false},
	{"GET", "/connectors/contract/status", "", 404, `{"error_code":404,"message":"No status found for connector contract"}`, false},
	{"POST", "/connectors", `{"name":"contract","config":{"connector.class":"FileStreamSource","tasks.max":1,"file":"FILE","topic":"contract","errors.log.enable":true}}`, 201,
		`{"name":"contract","config":{"name":"contract","tasks.max":"1","errors.log.enable":"true"},"tasks":[],"type":"source"}`, false},
	{"POST", "/connectors", `{"name":"contract","config":{"connector.class":"FileStreamSource","file":"FILE","topic":"contract"}}`, 409,
		`{"error_code":409,"message":"Connector contract already exists"}`, false},
	{"POST", "/connectors", `{"name":"contract-2","config":{"connector.class":"FileStreamSource","tasks.max":"x","topic":"contract"}}`, 400, `{"error_code":400,"message":"*"}`, false},
	{"POST", "/connectors/", `{"name":"contract-2","config":{"name":"other","connector.class":"FileStreamSource"}}`, 400,
		`{"error_code":400,"message":"Connector name configuration (other) doesn't match connector name in the URL (contract-2)"}`, false},
	{"GET", "/connectors/contract/status", "", 200,
		`{"name":"contract","connector":{"state":"RUNNING","worker_id":"*"},"tasks":[{"id":0,"state":"RUNNING","worker_id":"*"}],"type":"source"}`, true},
	{"GET", "/connectors?expand=info&expand=status", "", 200, `{"contract":{"info":{"name":"contract"},"status":{"name":"contract"}}}`, false},
	{"GET", "/connectors/contract/config", "", 200, `{"name":"contract","tasks.max":"1"}`, false},
	{"GET", "/connectors/contract/tasks", "", 200, `[{"id":{"connector":"contract","task":0},"config":{"topic":"contract"}}]`, true},
	{"GET", "/connectors/contract/tasks/0/status", "", 200, `{"id":0,"state":"RUNNING","worker_id":"*"}`, true},
	{"GET", "/connectors/contract/tasks/7/status", "", 404, `{"error_code":404,"message":"No status found for task contract-7"}`, false},
	{"PUT", "/connectors/contract/config", `{"connector.class":"FileStreamSource","tasks.max":1,"file":"FILE","topic":"contract"}`, 200, `{"name":"contract"}`, false},
	{"PUT", "/connectors/contract-2/config", `{"connector.class":"FileStreamSource","file":"FILE","topic":"contract-2"}`, 201, `{"name":"contract-2"}`, false},
	{"PATCH", "/connectors/contract-2/config", `{"tasks.max":"1","errors.log.enable":null}`, 200, `{"config":{"tasks.max":"1"}}`, false},
	{"PATCH", "/connectors/contract-3/config", `{"a":"1"}`, 404, `{"error_code":404,"message":"*"}`, false},
	{"DELETE", "/connectors/contract-2", "", 204, ``, false},
	{"DELETE", "/connectors/contract-2", "", 404, `{"error_code":404,"message":"*"}`, false},
	{"GET", "/connectors/contract-2/status", "", 404, `{"error_code":404,"message":"*"}`, true},

	// Restarts (KIP-745).
	{"POST", "/connectors/contract/restart", "", 204, ``, false},
	{"POST", "/connectors/contract/tasks/0/restart", "", 204, ``, true},
	{"POST", "/connectors/contract/tasks/7/restart", "", 404, `{"error_code":404,"message":"*"}`, false},
	{"POST", "/connectors/nowhere/restart", "", 404, `{"error_code":404,"message":"Unknown connector: nowhere"}`, false},
	{"POST", "/connectors/contract/restart?includeTasks=true&onlyFailed=true", "", 202, `{"name":"contract","connector":"*","tasks":"*"}`, true},

	// Pausing and stopping (KIP-875).
	{"PUT", "/connectors/contract/pause", "", 202, ``, false},
	{"GET", "/connectors/contract/status", "", 200, `{"connector":{"state":"PAUSED"},"tasks":[{"state":"PAUSED"}]}`, true},
	{"PUT", "/connectors/contract/resume", "", 202, ``, false},
	{"GET", "/connectors/contract/status", "", 200, `{"connector":{"state":"RUNNING"},"tasks":[{"state":"RUNNING"}]}`, true},
	{"GET", "/connectors/contract/offsets", "", 200, `{"offsets":[{"partition":{"filename":"*"},"offset":{"position":"*"}}]}`, true},
	{"PATCH", "/connectors/contract/offsets", `{"offsets":[{"partition":{"filename":"FILE"},"offset":{"position":0}}]}`, 400, `{"error_code":400,"message":"*"}`, false},
	{"PUT", "/connectors/contract/stop", "", 204, ``, false},
	{"GET", "/connectors/contract/tasks", "", 200, `[]`, true},
	{"GET", "/connectors/contract/status", "", 200, `{"connector":{"state":"STOPPED"},"tasks":[]}`, true},
	{"PATCH", "/connectors/contract/offsets", `{}`, 400,
		`{"error_code":400,"message":"Partitions / offsets need to be provided for an alter offsets request"}`, false},
	{"PATCH", "/connectors/contract/offsets", `{"offsets":[{"partition":{"filename":"FILE"},"offset":{"position":0}}]}`, 200, `{"message":"*"}`, true},
	{"GET", "/connectors/contract/offsets", "", 200, `{"offsets":[{"partition":{"filename":"*"},"offset":{"position":0}}]}`, true},
	{"DELETE", "/connectors/contract/offsets", "", 200, `{"message":"*"}`, false},
	{"GET", "/connectors/contract/offsets", "", 200, `{"offsets":[]}`, true},
	{"PUT", "/connectors/nowhere/stop", "", 404, `{"error_code":404,"message":"*"}`, false},

	// Topics (KIP-558) and loggers (KIP-495, 976).
	{"GET", "/connectors/contract/topics", "", 200, `{"contract":{"topics":["contract"]}}`, true},
	{"PUT", "/connectors/contract/topics/reset", "", 202, ``, false},
	{"GET", "/connectors/contract/topics", "", 200, `{"contract":{"topics":[]}}`, true},
	{"GET", "/admin/loggers", "", 200, `*`, false},
	{"GET", "/admin/loggers/root", "", 200, `{"level":"*","last_modified":"*"}`, false},
	{"GET", "/admin/loggers/no.such.logger", "", 404, `{"error_code":404,"message":"Logger no.such.logger not found."}`, false},
	{"PUT", "/admin/loggers/contract.logger", `{"level":"debug"}`, 200, `["contract.logger"]`, false},
	{"PUT", "/admin/loggers/contract.logger", `{"level":"LOUD"}`, 404, `{"error_code":404,"message":"invalid log level 'LOUD'."}`, false},
	{"PUT", "/admin/loggers/contract.logger", `{}`, 400, `{"error_code":400,"message":"Desired 'level' parameter was not specified in request."}`, false},
	{"PUT", "/admin/loggers/contract.logger?scope=cluster", `{"level":"INFO"}`, 204, ``, false},

	// A connector that is made stopped (KIP-980), under a name to be escaped.
	{"POST", "/connectors", `{"name":"contract 2","config":{"connector.class":"FileStreamSource","file":"FILE","topic":"contract"},"initial_state":"STOPPED"}`, 201, `{"name":"contract 2"}`, false},
	{"GET", "/connectors/contract%202/status", "", 200, `{"connector":{"state":"STOPPED"},"tasks":[]}`, true},
	{"DELETE", "/connectors/contract%202", "", 204, ``, false},
	{"DELETE", "/connectors/contract", "", 204, ``, false},
	{"GET", "/connectors/contract/config", "", 404, `{"error_code":404,"message":"*"}`, true},
}

// TestRESTContract holds a worker to Kafka Connect's REST API. It can be run
// against any: go test ./cmd/millrace -run RESTContract -connect-url http://...
func TestRESTContract(t *testing.T) {
	base, file := *contractURL, *contractFile
	if file == "" {
		file = filepath.Join(t.TempDir(), "in.txt")
		if err := os.WriteFile(file, []byte("one\ntwo\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if base == "" {
		base = "http://" + startServer(t).addrs.Connect
	}
	for _, step := range contract {
		check := func() error { return step.play(t, base, file) }
		if step.later {
			eventually(t, step.method+" "+step.path, check)
		} else if err := check(); err != nil {
			t.Error(err)
		}
	}
}

// TestRESTContractOfAFollower holds a worker to it that leads nothing: what it
// cannot serve it has served.
func TestRESTContractOfAFollower(t *testing.T) {
	_, workers := startWorkers(t, 2)
	file := filepath.Join(t.TempDir(), "in.txt")
	if err := os.WriteFile(file, []byte("one\ntwo\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, step := range contract {
		check := func() error { return step.play(t, "http://"+workers[1].addrs.Connect, file) }
		if step.later {
			eventually(t, step.method+" "+step.path, check)
		} else if err := check(); err != nil {
			t.Error(err)
		}
	}
}

// play makes the call and returns what is wrong with the answer.
func (s contractStep) play(t *testing.T, base, file string) error {
	body := strings.ReplaceAll(s.body, "FILE", file)
	req, err := http.NewRequestWithContext(t.Context(), s.method, base+s.path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
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
	if resp.StatusCode != s.code || !answers(raw, s.want) {
		return fmt.Errorf("%s %s %s: HTTP %d %.300s, want %d %s", s.method, s.path, body, resp.StatusCode, raw, s.code, s.want)
	}
	return nil
}

// answers reports whether a body is what is wanted.
func answers(raw []byte, want string) bool {
	if want == "" || want == "*" {
		return (want == "*") == (len(raw) > 0)
	}
	var got, pattern any
	if json.Unmarshal(raw, &got) != nil || json.Unmarshal([]byte(want), &pattern) != nil {
		return false
	}
	return matches(got, pattern)
}

func matches(got, want any) bool {
	switch want := want.(type) {
	case string:
		return want == "*" || got == want
	case map[string]any:
		g, ok := got.(map[string]any)
		for k, w := range want {
			if v, there := g[k]; !there || !matches(v, w) {
				return false
			}
		}
		return ok
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(want) {
			return false
		}
		for i := range want {
			if !matches(g[i], want[i]) {
				return false
			}
		}
		return true
	}
	return reflect.DeepEqual(got, want)
}
