package main

import (
	"bytes"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/connectors/s3/s3test"
)

// access is what the test asks of a request.
type access struct {
	Path   string `parquet:"path,optional"`
	Status int32  `parquet:"status"`
	Bytes  int64  `parquet:"body_bytes,optional"`
	Time   int64  `parquet:"time"`
}

// TestLogsToParquet runs the script of docs/logs-to-parquet.md, and asks the
// files what was requested.
func TestLogsToParquet(t *testing.T) {
	lake := s3test.Start(t)
	bucket := lake.Bucket(t, "lake")
	t.Setenv("AWS_ACCESS_KEY_ID", s3test.AccessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", s3test.Secret)
	t.Setenv("CONNECT_OFFSET_FLUSH_INTERVAL_MS", "1000") // the script waits for the sink's offset
	s := startServer(t)
	script := exec.CommandContext(t.Context(), filepath.Join("..", "..", "deploy", "demo", "logs-to-parquet.sh"), t.TempDir())
	script.Env = append(script.Environ(), "CONNECT=http://"+s.addrs.Connect, "REGISTRY=http://"+s.addrs.Registry, "S3="+lake.URL, "BUCKET="+bucket)
	out, err := script.CombinedOutput()
	if err != nil {
		t.Fatalf("the script: %v\n%s", err, out)
	}
	if want := `millrace_connect_task_events_total{connector="access-logs",event="parse_failures",task="0"} 1`; !strings.Contains(string(out), want) {
		t.Errorf("the script says\n%s\nwithout %s", out, want)
	}
	seen, statuses := make(map[string]int), make(map[int32]int)
	for _, o := range lake.Objects(t, bucket) {
		rows, err := parquet.Read[access](bytes.NewReader(o.Content), int64(len(o.Content)))
		if err != nil {
			t.Fatalf("%s: %v", o.Key, err)
		}
		for _, r := range rows {
			seen[r.Path]++
			statuses[r.Status]++
			if hour := fmt.Sprintf("/hour=%02d/", r.Time/3600000%24); !strings.Contains(o.Key, hour) {
				t.Errorf("a request of %s is in %s", hour, o.Key)
			}
		}
	}
	paths := []string{"/", "/basket", "/order", "/img/lamp.png"}
	for i := range 3000 {
		if path := fmt.Sprintf("%s?n=%d", paths[i%4], i); seen[path] != 1 {
			t.Fatalf("request %s is stored %d times", path, seen[path])
		}
	}
	if got, want := fmt.Sprint(statuses), "map[200:1800 304:600 404:600]"; got != want || len(seen) != 3000 {
		t.Errorf("requests by status are %s, want %s", got, want)
	}
	rejected := s.client(kgo.ConsumeTopics("access-rejected"), kgo.FetchIsolationLevel(kgo.ReadCommitted())).PollFetches(t.Context()).Records()
	if len(rejected) != 1 || !strings.Contains(string(rejected[0].Value), "this is not what nginx writes") {
		t.Errorf("%d lines are rejected", len(rejected))
	}
}
