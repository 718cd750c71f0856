package metrics

import (
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/connect"
	"github.com/millrace/millrace/connect/connector"
	"github.com/millrace/millrace/connect/task"
	"github.com/millrace/millrace/connect/worker"
)

// scrapeConnect renders a worker's figures.
func scrapeConnect(t *testing.T, s connect.Stats) string {
	t.Helper()
	w := httptest.NewRecorder()
	Handler(Sources{Connect: func() connect.Stats { return s }}, slog.New(slog.DiscardHandler)).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != 200 {
		t.Fatalf("HTTP %d: %s", w.Code, w.Body)
	}
	return w.Body.String()
}

func TestConnectFigures(t *testing.T) {
	counts := task.Counts{Records: 7, Moved: 6, Failures: 5, Errors: 4, Retries: 1, DeadLetters: 2, DeadLetterFailures: 1, Commits: 3, CommitFailures: 1,
		Lag: 11, Active: 12, Partitions: 2, LastError: time.UnixMilli(1234), Batch: task.Spread{Mean: 2, Max: 3}}
	got := scrapeConnect(t, connect.Stats{Stats: worker.Stats{
		Connectors: []worker.ConnectorStats{{Name: "c", Kind: connector.Source, Class: "X", Version: "1.0", State: connector.Running}},
		Tasks: []worker.TaskStats{
			{ID: connector.TaskID{Connector: "c"}, State: connector.Running, Counts: counts, Running: 0.75, MemoryBytes: 5, MemoryLimit: 6},
			{ID: connector.TaskID{Connector: "c", Task: 1}, State: connector.Failed},
			{ID: connector.TaskID{Connector: "s"}, Sink: true, State: connector.Paused, Counts: counts},
		},
		TaskStarts: worker.Starts{Attempts: 4, Successes: 3, Failures: 1},
	}})
	for _, want := range []string{
		`millrace_connect_connector_info{class="X",connector="c",type="source",version="1.0"} 1`,
		`millrace_connect_connector_status{connector="c",status="running"} 1`,
		`kafka_connect_connector_status{connector="c",status="failed",task="1"} 1`,
		`kafka_connect_worker_task_count 3`,
		`kafka_connect_worker_task_startup_failure_percentage 0.25`,
		`kafka_connect_worker_connector_total_task_count{connector="c"} 2`,
		`kafka_connect_worker_connector_failed_task_count{connector="c"} 1`,
		`kafka_connect_worker_connector_failed_task_count{connector="s"} 0`,
		`kafka_connect_connector_task_running_ratio{connector="c",task="0"} 0.75`,
		`kafka_connect_connector_task_batch_size_max{connector="c",task="0"} 3`,
		`kafka_connect_connector_task_offset_commit_failure_percentage{connector="c",task="0"} 0.25`,
		`kafka_connect_source_task_source_record_write_total{connector="c",task="0"} 6`,
		`kafka_connect_sink_task_sink_record_read_total{connector="s",task="0"} 6`,
		`kafka_connect_sink_task_sink_record_lag_max{connector="s",task="0"} 11`,
		`kafka_connect_task_error_total_record_errors{connector="c",task="0"} 4`,
		`kafka_connect_task_error_deadletterqueue_produce_requests{connector="s",task="0"} 3`,
		`kafka_connect_task_error_last_error_timestamp{connector="c",task="0"} 1234`,
		`kafka_connect_task_error_last_error_timestamp{connector="c",task="1"} 0`,
		`millrace_connect_task_memory_limit_bytes{connector="c",task="0"} 6`,
	} {
		if !strings.Contains(got, want+"\n") {
			t.Errorf("no line %s", want)
		}
	}
	for _, not := range []string{`sink_record_read_total{connector="c"`, `source_record_poll_total{connector="s"`, `memory_limit_bytes{connector="s"`} {
		if strings.Contains(got, not) {
			t.Errorf("there is a %s", not)
		}
	}
}

// Every metric of a task is in the table of docs/metrics.md: by its whole name,
// or by an end such as _max that takes the place of that of the name before it.
func TestConnectMetricsAreDocumented(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join("..", "..", "docs", "metrics.md"))
	if err != nil {
		t.Fatal(err)
	}
	quoted := regexp.MustCompile("`([a-z_]+)`")
	documented := func(name string) bool {
		for line := range strings.Lines(string(raw)) {
			base := ""
			first, _, _ := strings.Cut(strings.TrimPrefix(line, "|"), "|")
			for _, m := range quoted.FindAllStringSubmatch(first, -1) {
				word := m[1]
				switch {
				case word == name:
					return true
				case !strings.HasPrefix(word, "_"):
					base = word
				case strings.HasSuffix(name, word) && strings.HasPrefix(base, strings.TrimSuffix(name, word)+"_"):
					return true
				}
			}
		}
		return false
	}
	for _, m := range taskMetrics {
		if name := fqName(m.desc.String()); !documented(name) {
			t.Errorf("%s is not in docs/metrics.md", name)
		}
	}
}

// fqName takes a metric's name out of its description.
func fqName(s string) string {
	_, rest, _ := strings.Cut(s, `fqName: "`)
	name, _, _ := strings.Cut(rest, `"`)
	return name
}

func TestWorkOfTasks(t *testing.T) {
	text := scrapeConnect(t, connect.Stats{Stats: worker.Stats{Tasks: []worker.TaskStats{
		{ID: connector.TaskID{Connector: "a"}, State: connector.Running, Progress: connect.Progress{Work: "snapshot", Records: 5, Done: 0.25, PerSecond: 2, Left: time.Minute}},
		{ID: connector.TaskID{Connector: "b"}, State: connector.Running, Progress: connect.Progress{Work: "search", Records: 1, Done: -1, Left: -1}},
		{ID: connector.TaskID{Connector: "c"}, State: connector.Running},
	}}})
	got := ""
	for l := range strings.Lines(text) {
		if strings.HasPrefix(l, "millrace_connect_task_work") {
			got += l
		}
	}
	want := `millrace_connect_task_work_done_ratio{connector="a",task="0",work="snapshot"} 0.25
millrace_connect_task_work_left_seconds{connector="a",task="0",work="snapshot"} 60
millrace_connect_task_work_records{connector="a",task="0",work="snapshot"} 5
millrace_connect_task_work_records{connector="b",task="0",work="search"} 1
millrace_connect_task_work_records_per_second{connector="a",task="0",work="snapshot"} 2
millrace_connect_task_work_records_per_second{connector="b",task="0",work="search"} 0
`
	if got != want {
		t.Errorf("metrics are\n%s\nwant\n%s", got, want)
	}
}
