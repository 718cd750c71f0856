package metrics

import (
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/connect"
	"github.com/millrace/millrace/connect/connector"
	"github.com/millrace/millrace/connect/worker"
)

func TestWorkOfTasks(t *testing.T) {
	stats := func() connect.Stats {
		return connect.Stats{Stats: worker.Stats{Tasks: []worker.TaskStats{
			{ID: connector.TaskID{Connector: "a"}, State: connector.Running, Progress: connect.Progress{Work: "snapshot", Records: 5, Done: 0.25, PerSecond: 2, Left: time.Minute}},
			{ID: connector.TaskID{Connector: "b"}, State: connector.Running, Progress: connect.Progress{Work: "search", Records: 1, Done: -1, Left: -1}},
			{ID: connector.TaskID{Connector: "c"}, State: connector.Running},
		}}}
	}
	w := httptest.NewRecorder()
	Handler(Sources{Connect: stats}, slog.New(slog.DiscardHandler)).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	var got []string
	for l := range strings.Lines(w.Body.String()) {
		if strings.HasPrefix(l, "millrace_connect_task_work") {
			got = append(got, l)
		}
	}
	want := `millrace_connect_task_work_done_ratio{connector="a",task="0",work="snapshot"} 0.25
millrace_connect_task_work_left_seconds{connector="a",task="0",work="snapshot"} 60
millrace_connect_task_work_records{connector="a",task="0",work="snapshot"} 5
millrace_connect_task_work_records{connector="b",task="0",work="search"} 1
millrace_connect_task_work_records_per_second{connector="a",task="0",work="snapshot"} 2
millrace_connect_task_work_records_per_second{connector="b",task="0",work="search"} 0
`
	if strings.Join(got, "") != want {
		t.Errorf("metrics are\n%s\nwant\n%s", strings.Join(got, ""), want)
	}
}
