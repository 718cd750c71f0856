package connectapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/millrace/millrace/connect/connector"
	"github.com/millrace/millrace/connect/signature"
)

// fakeWorker answers with what it was asked, so that tests see what arrived.
// Connector "gone" does not exist, "boom" fails.
type fakeWorker struct {
	created connector.Config
	initial connector.TargetState
	patched []string
	target  connector.TargetState
	restart connector.RestartRequest
	path    string
	signed  signature.Request
	level   string
}

func (w *fakeWorker) find(name string) error {
	w.path = name
	switch name {
	case "gone":
		return connector.NotFoundError(name)
	case "boom":
		return errors.New("disk on fire")
	}
	return nil
}

func (w *fakeWorker) ServerInfo(context.Context) (connector.ServerInfo, error) {
	return connector.ServerInfo{Version: "1", Commit: "c", ClusterID: "id"}, nil
}
func (w *fakeWorker) Connectors(context.Context) ([]string, error) { return []string{"a"}, nil }
func (w *fakeWorker) Expand(_ context.Context, status, info bool) (map[string]connector.Expanded, error) {
	e := connector.Expanded{}
	if status {
		e.Status = &connector.StateInfo{Name: "a", Tasks: []connector.TaskState{}, Type: connector.Sink}
	}
	if info {
		e.Info = &connector.Info{Name: "a", Tasks: []connector.TaskID{{Connector: "a", Task: 0}}, Type: connector.Sink}
	}
	return map[string]connector.Expanded{"a": e}, nil
}
func (w *fakeWorker) Create(_ context.Context, name string, cfg connector.Config, initial connector.TargetState) (connector.Info, error) {
	w.created, w.initial = cfg, initial
	if name == "exists" {
		return connector.Info{}, connector.Errorf(connector.Conflict, "Connector exists already exists")
	}
	return connector.Info{Name: name, Config: cfg, Tasks: []connector.TaskID{}, Type: connector.Source}, w.find(name)
}
func (w *fakeWorker) Put(ctx context.Context, name string, cfg connector.Config) (connector.Info, bool, error) {
	info, err := w.Create(ctx, name, cfg, "")
	return info, name == "new", err
}
func (w *fakeWorker) Patch(_ context.Context, name string, set connector.Config, remove []string) (connector.Info, error) {
	w.created, w.patched = set, remove
	return connector.Info{Name: name, Config: set}, w.find(name)
}
func (w *fakeWorker) Delete(_ context.Context, name string) error { return w.find(name) }
func (w *fakeWorker) Info(_ context.Context, name string) (connector.Info, error) {
	return connector.Info{Name: name, Config: connector.Config{"k": "<v>"}, Tasks: []connector.TaskID{}, Type: connector.Sink}, w.find(name)
}
func (w *fakeWorker) Status(_ context.Context, name string) (connector.StateInfo, error) {
	return connector.StateInfo{Name: name, Connector: connector.WorkerState{State: connector.Running, WorkerID: "w:1"},
		Tasks: []connector.TaskState{{ID: 0, State: connector.Failed, WorkerID: "w:1", Trace: "why"}}, Type: connector.Source}, w.find(name)
}
func (w *fakeWorker) TaskStatus(_ context.Context, id connector.TaskID) (connector.TaskState, error) {
	return connector.TaskState{ID: id.Task, State: connector.Running, WorkerID: "w:1"}, w.find(id.Connector)
}
func (w *fakeWorker) Tasks(_ context.Context, name string) ([]connector.TaskInfo, error) {
	return []connector.TaskInfo{{ID: connector.TaskID{Connector: name}, Config: connector.Config{"f": "x"}}}, w.find(name)
}
func (w *fakeWorker) Topics(_ context.Context, name string) ([]string, error) {
	return []string{"t"}, w.find(name)
}
func (w *fakeWorker) Offsets(_ context.Context, name string) (connector.Offsets, error) {
	return connector.Offsets{Offsets: []connector.OffsetEntry{{Partition: []byte(`{"f":"x"}`), Offset: []byte(`{"n":1}`)}}}, w.find(name)
}
func (w *fakeWorker) AlterOffsets(_ context.Context, name string, entries []connector.OffsetEntry) (connector.Message, error) {
	return connector.Message{Message: string(entries[0].Partition) + string(entries[0].Offset)}, w.find(name)
}
func (w *fakeWorker) ResetOffsets(_ context.Context, name string) (connector.Message, error) {
	return connector.Message{Message: "reset"}, w.find(name)
}
func (w *fakeWorker) Restart(ctx context.Context, req connector.RestartRequest) (connector.StateInfo, error) {
	w.restart = req
	return w.Status(ctx, req.Connector)
}
func (w *fakeWorker) RestartTask(_ context.Context, id connector.TaskID) error {
	return w.find(id.Connector)
}
func (w *fakeWorker) SetTarget(_ context.Context, name string, s connector.TargetState) error {
	w.target = s
	return w.find(name)
}
func (w *fakeWorker) Plugins(_ context.Context, only bool) ([]connector.PluginInfo, error) {
	if only {
		return []connector.PluginInfo{{Class: "X", Type: "source", Version: "1"}}, nil
	}
	return []connector.PluginInfo{{Class: "C", Type: "converter"}}, nil
}
func (w *fakeWorker) PluginConfig(_ context.Context, plugin, version string) (any, error) {
	return []string{plugin, version}, w.find(plugin)
}
func (w *fakeWorker) Processes(_ context.Context, name string, everywhere bool) (map[int]connector.Process, error) {
	if everywhere {
		return map[int]connector.Process{0: {PID: 7, Version: "1", MemoryBytes: 1 << 20, CPUSeconds: 1.5, UptimeSeconds: 2, Restarts: 3}}, nil
	}
	return nil, nil
}
func (w *fakeWorker) History(_ context.Context, name string) (connector.History, error) {
	return connector.History{Name: name, Entries: []connector.HistoryEntry{{Time: 5, State: connector.Running, WorkerID: "w:1", Generation: 2}}}, w.find(name)
}
func (w *fakeWorker) Preview(_ context.Context, name string, cfg connector.Config) (connector.Preview, error) {
	return connector.Preview{Name: name, Config: []connector.KeyChange{}, Topics: []connector.TopicPreview{}, Notes: []string{cfg["k"]}}, w.find(name)
}
func (w *fakeWorker) Validate(_ context.Context, plugin string, cfg connector.Config) (any, error) {
	w.created = cfg
	return map[string]int{"error_count": 1}, w.find(plugin)
}

func (w *fakeWorker) StoreTasks(_ context.Context, name string, tasks []connector.Config, r signature.Request) error {
	w.created, w.signed = tasks[0], r
	return w.find(name)
}
func (w *fakeWorker) ServeFence(_ context.Context, name string, r signature.Request) error {
	w.signed = r
	return w.find(name)
}
func (w *fakeWorker) TryTransforms(_ context.Context, r connector.TrialRequest) ([]connector.TrialRecord, error) {
	return []connector.TrialRecord{{Before: r.Records[0], After: r.Records[0], Steps: []connector.TrialStep{}}}, w.find(r.Topic)
}
func (w *fakeWorker) ResetTopics(_ context.Context, name string) error { return w.find(name) }
func (w *fakeWorker) Loggers(context.Context) (any, error) {
	return map[string]string{"root": "INFO"}, nil
}
func (w *fakeWorker) Logger(_ context.Context, name string) (any, error) {
	return map[string]string{"level": "INFO"}, w.find(name)
}
func (w *fakeWorker) SetLogger(_ context.Context, namespace, level string, cluster bool) ([]string, error) {
	w.level = fmt.Sprint(namespace, "=", level, " cluster=", cluster)
	return []string{namespace}, w.find(namespace)
}
func (w *fakeWorker) CatchUp(context.Context) error { return nil }

// call sends a request and returns the worker that was asked, and the answer.
func call(t *testing.T, method, path, body string) (*fakeWorker, *http.Response, string) {
	t.Helper()
	w := &fakeWorker{}
	srv := httptest.NewServer(Routes(w, nil, slog.New(slog.DiscardHandler)))
	defer srv.Close()
	req, err := http.NewRequestWithContext(t.Context(), method, srv.URL+path, strings.NewReader(body))
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
	return w, resp, strings.TrimSuffix(string(raw), "\n")
}

func TestAnswers(t *testing.T) {
	for _, tt := range []struct {
		method, path, body string
		code               int
		want               string
	}{
		{"GET", "/", "", 200, `{"version":"1","commit":"c","kafka_cluster_id":"id"}`},
		{"GET", "/connectors", "", 200, `["a"]`},
		{"GET", "/connectors/", "", 200, `["a"]`},
		{"GET", "/connectors?expand=wings", "", 200, `["a"]`},
		{"GET", "/connectors?expand=info&expand=wings", "", 200, `{"a":{"info":{"name":"a","config":null,"tasks":[{"connector":"a","task":0}],"type":"sink"}}}`},
		{"POST", "/connectors", `{"name":"n","config":{"tasks.max":4,"on":true,"f":1.50,"s":"x"}}`, 201,
			`{"name":"n","config":{"f":"1.50","name":"n","on":"true","s":"x","tasks.max":"4"},"tasks":[],"type":"source"}`},
		{"POST", "/connectors", `{"name":"exists","config":{}}`, 409, `{"error_code":409,"message":"Connector exists already exists"}`},
		{"POST", "/connectors", `{"name":"n","config":{"name":"m"}}`, 400,
			`{"error_code":400,"message":"Connector name configuration (m) doesn't match connector name in the URL (n)"}`},
		{"POST", "/connectors", `{"name":"n","config":{"a":null}}`, 400,
			`{"error_code":400,"message":"Connector configuration is invalid and contains the following 1 error(s):\nInvalid value null for configuration a: Null value can not be supplied as the configuration value."}`},
		{"POST", "/connectors", `{"name":"n"}`, 400, `{"error_code":400,"message":"the request has no connector config"}`},
		{"POST", "/connectors", ``, 400, `{"error_code":400,"message":"the request has no body; JSON is expected"}`},
		{"GET", "/connectors/gone", "", 404, `{"error_code":404,"message":"Connector gone not found"}`},
		{"GET", "/connectors/boom", "", 500, `{"error_code":500,"message":"disk on fire"}`},
		{"GET", "/connectors/a", "", 200, `{"name":"a","config":{"k":"<v>"},"tasks":[],"type":"sink"}`},
		{"GET", "/connectors/a/config", "", 200, `{"k":"<v>"}`},
		{"PUT", "/connectors/new/config", `{"a":"1"}`, 201, `{"name":"new","config":{"a":"1","name":"new"},"tasks":[],"type":"source"}`},
		{"PUT", "/connectors/old/config", `{"a":"1"}`, 200, `{"name":"old","config":{"a":"1","name":"old"},"tasks":[],"type":"source"}`},
		{"PATCH", "/connectors/a/config", `{"name":"b"}`, 400,
			`{"error_code":400,"message":"Connector name configuration (b) doesn't match connector name in the URL (a)"}`},
		{"DELETE", "/connectors/a", "", 204, ""},
		{"DELETE", "/connectors/gone", "", 404, `{"error_code":404,"message":"Connector gone not found"}`},
		{"GET", "/connectors/a/status?forward=false", "", 200,
			`{"name":"a","connector":{"state":"RUNNING","worker_id":"w:1"},"tasks":[{"id":0,"state":"FAILED","worker_id":"w:1","trace":"why"}],"type":"source"}`},
		{"GET", "/connectors/a/status", "", 200,
			`{"name":"a","connector":{"state":"RUNNING","worker_id":"w:1"},"tasks":[{"id":0,"state":"FAILED","worker_id":"w:1","trace":"why",` +
				`"process":{"pid":7,"plugin_version":"1","memory_bytes":1048576,"cpu_seconds":1.5,"uptime_seconds":2,"restarts":3}}],"type":"source"}`},
		{"GET", "/connectors/a/history", "", 200, `{"name":"a","history":[{"time":5,"task":null,"state":"RUNNING","worker_id":"w:1","generation":2}]}`},
		{"GET", "/connectors/gone/history", "", 404, `{"error_code":404,"message":"Connector gone not found"}`},
		{"PUT", "/connectors/a/config?dryRun=true", `{"k":"v"}`, 200,
			`{"name":"a","exists":false,"valid":false,"validation":null,"config":[],"restarts_connector":false,"tasks":null,"topics":[],"notes":["v"]}`},
		{"GET", "/connectors/a/tasks", "", 200, `[{"id":{"connector":"a","task":0},"config":{"f":"x"}}]`},
		{"GET", "/connectors/a/tasks/3/status", "", 200, `{"id":3,"state":"RUNNING","worker_id":"w:1"}`},
		{"GET", "/connectors/a/tasks/x/status", "", 404, `{"error_code":404,"message":"HTTP 404 Not Found"}`},
		{"POST", "/connectors/a/tasks/0/restart", "", 204, ""},
		{"POST", "/connectors/a/restart", "", 204, ""},
		{"PUT", "/connectors/a/pause", "", 202, ""},
		{"PUT", "/connectors/a/resume", "", 202, ""},
		{"PUT", "/connectors/a/stop", "", 204, ""},
		{"GET", "/connectors/a/topics", "", 200, `{"a":{"topics":["t"]}}`},
		{"GET", "/connectors/a/offsets", "", 200, `{"offsets":[{"partition":{"f":"x"},"offset":{"n":1}}]}`},
		{"PATCH", "/connectors/a/offsets", `{"offsets":[{"partition":{"p":1},"offset":null}]}`, 200, `{"message":"{\"p\":1}null"}`},
		{"DELETE", "/connectors/a/offsets", "", 200, `{"message":"reset"}`},
		{"GET", "/connectors/gone/offsets", "", 404, `{"error_code":404,"message":"Connector gone not found"}`},
		{"GET", "/connector-plugins", "", 200, `[{"class":"X","type":"source","version":"1"}]`},
		{"GET", "/connector-plugins?connectorsOnly=false", "", 200, `[{"class":"C","type":"converter"}]`},
		{"GET", "/connector-plugins/X/config", "", 200, `["X",""]`},
		{"GET", "/connector-plugins/X/config?version=[1,2)", "", 200, `["X","[1,2)"]`},
		{"PUT", "/connector-plugins/X/config/validate", `{"a":1}`, 200, `{"error_count":1}`},
		{"POST", "/transforms/try", `{"config":{},"records":[{"topic":"t"}]}`, 200, `{"records":[{"before":{"topic":"t"},"steps":[],"after":{"topic":"t"}}]}`},
		{"PUT", "/connectors/a/topics/reset", "", 202, ""},
		{"GET", "/admin/loggers", "", 200, `{"root":"INFO"}`},
		{"GET", "/admin/loggers/root", "", 200, `{"level":"INFO"}`},
		{"GET", "/admin/loggers/gone", "", 404, `{"error_code":404,"message":"Connector gone not found"}`},
		{"PUT", "/admin/loggers/a", `{"level":"debug"}`, 200, `["a"]`},
		{"PUT", "/admin/loggers/a?scope=wings", `{"level":"debug"}`, 200, `["a"]`},
		{"PUT", "/admin/loggers/a?scope=cluster", `{"level":"debug"}`, 204, ""},
		{"PUT", "/admin/loggers/a", `{}`, 400, `{"error_code":400,"message":"Desired 'level' parameter was not specified in request."}`},
		{"GET", "/wings", "", 404, `{"error_code":404,"message":"HTTP 404 Not Found"}`},
		{"DELETE", "/connectors", "", 405, `{"error_code":405,"message":"HTTP 405 Method Not Allowed"}`},
	} {
		_, resp, got := call(t, tt.method, tt.path, tt.body)
		if resp.StatusCode != tt.code || got != tt.want {
			t.Errorf("%s %s %s\n got %d %s\nwant %d %s", tt.method, tt.path, tt.body, resp.StatusCode, got, tt.code, tt.want)
		}
		if ct := resp.Header.Get("Content-Type"); tt.want != "" && ct != "application/json" {
			t.Errorf("%s %s: content type %q", tt.method, tt.path, ct)
		}
	}
}

func TestCreatedHasLocation(t *testing.T) {
	_, resp, _ := call(t, "POST", "/connectors", `{"name":" a/b c ","config":{}}`)
	if got, want := resp.Header.Get("Location"), "http://"+resp.Request.Host+"/connectors/a%2Fb%20c"; got != want {
		t.Errorf("Location %q, want %q", got, want)
	}
}

func TestNamesAreUnescaped(t *testing.T) {
	for path, want := range map[string]string{
		"/connectors/a%2Fb": "a/b", "/connectors/a%20b": "a b", "/connectors/100%25": "100%", "/connectors/%C3%A9": "é", "/connectors/a%252Fb": "a%2Fb",
	} {
		w, _, _ := call(t, "GET", path, "")
		if w.path != want {
			t.Errorf("%s asked for %q, want %q", path, w.path, want)
		}
	}
}

func TestInitialState(t *testing.T) {
	for in, want := range map[string]connector.TargetState{
		`,"initial_state":"stopped"`: connector.TargetStopped, `,"initial_state":"PAUSED"`: connector.TargetPaused,
		`,"initial_state":"Running"`: connector.TargetStarted, "": "",
	} {
		w, _, _ := call(t, "POST", "/connectors", `{"name":"n","config":{}`+in+`}`)
		if w.initial != want {
			t.Errorf("%s gives %q, want %q", in, w.initial, want)
		}
	}
	if _, resp, body := call(t, "POST", "/connectors", `{"name":"n","config":{},"initial_state":"ASLEEP"}`); resp.StatusCode != 400 {
		t.Errorf("HTTP %d: %s", resp.StatusCode, body)
	}
}

func TestRestartFlags(t *testing.T) {
	w, resp, body := call(t, "POST", "/connectors/a/restart?includeTasks=true&onlyFailed=TRUE", "")
	want := connector.RestartRequest{Connector: "a", IncludeTasks: true, OnlyFailed: true}
	if w.restart != want || resp.StatusCode != 202 || !strings.Contains(body, `"name":"a"`) {
		t.Errorf("asked %+v, HTTP %d %s; want %+v and 202 with the plan", w.restart, resp.StatusCode, body, want)
	}
}

func TestPatchTellsRemovalsApart(t *testing.T) {
	w, _, _ := call(t, "PATCH", "/connectors/a/config", `{"x":null,"y":2,"b":null}`)
	if strings.Join(w.patched, ",") != "b,x" || !w.created.Equal(connector.Config{"y": "2"}) {
		t.Errorf("set %v, remove %v", w.created, w.patched)
	}
}

func TestTargets(t *testing.T) {
	for path, want := range map[string]connector.TargetState{
		"pause": connector.TargetPaused, "resume": connector.TargetStarted, "stop": connector.TargetStopped,
	} {
		if w, _, _ := call(t, "PUT", "/connectors/a/"+path, ""); w.target != want {
			t.Errorf("%s sets %s, want %s", path, w.target, want)
		}
	}
}

func FuzzConfigBody(f *testing.F) {
	f.Add([]byte(`{"a":1,"b":null,"c":true,"d":"x"}`))
	f.Add([]byte(`{"a":{"b":1}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var c configBody
		if err := c.UnmarshalJSON(b); err == nil && c.config == nil && strings.TrimSpace(string(b)) != "null" {
			t.Errorf("%q was taken in without a config", b)
		}
	})
}
