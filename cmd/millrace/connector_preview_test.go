package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millrace/millrace/connect/connector"
)

// The command line tells what a config would change and what states there were,
// and never sends a dry run to a worker that would carry it out.
func TestConnectorDryRunAndHistory(t *testing.T) {
	s := startServer(t)
	in := filepath.Join(t.TempDir(), "in.txt")
	if err := os.WriteFile(in, []byte("line\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(url, stdin string, args ...string) (string, error) {
		cmd := exec.Command(binary, append([]string{"connector", "-u", url}, args...)...)
		cmd.Stdin = strings.NewReader(stdin)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	url := "http://" + s.addrs.Connect
	config := `{"name":"c","config":{"connector.class":"FileStreamSource","topic":"lines","file":"` + in + `"}}`
	out, err := run(url, config, "create", "-f", "-", "--dry-run")
	if err != nil || !strings.Contains(out, "c would be made") || !strings.Contains(out, "tasks started: 0") || !strings.Contains(out, "topic lines would be made") {
		t.Errorf("%v\n%s", err, out)
	}
	if _, body := s.rest(http.MethodGet, "/connectors", ""); body != "[]\n" {
		t.Errorf("a dry run made %s", body)
	}
	if out, err := run(url, config, "create", "-f", "-"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	s.awaitTask("c", connector.Running)
	out, err = run(url, strings.Replace(config, `"lines"`, `"rows"`, 1), "create", "-f", "-", "--dry-run")
	if err != nil || !strings.Contains(out, "topic  changed  lines   rows") || !strings.Contains(out, "tasks restarted: 0") {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := run(url, "", "history", "c"); err != nil || !strings.Contains(out, "task 0") || !strings.Contains(out, "RUNNING") {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := run(url, "", "status", "c"); err != nil || !strings.Contains(out, " MiB") {
		t.Errorf("%v\n%s", err, out)
	}

	asked := ""
	kafka := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked += r.Method + " " + r.URL.Path + "\n"
		http.Error(w, `{"error_code":404,"message":"HTTP 404 Not Found"}`, http.StatusNotFound)
	}))
	defer kafka.Close()
	if out, err := run(kafka.URL, config, "create", "-f", "-", "--dry-run"); err == nil || !strings.Contains(out, "it is not asked") || asked != "GET /openapi.json\n" {
		t.Errorf("%v\n%s\nasked %s", err, out, asked)
	}
}
