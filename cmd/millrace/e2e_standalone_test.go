package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/millrace/millrace/connect/connector"
)

// startStandalone runs a standalone worker on the given files until the test
// stops it, and returns it with its REST address.
func startStandalone(t *testing.T, files ...string) *server {
	t.Helper()
	s := &server{t: t, log: &syncBuffer{}, done: make(chan struct{})}
	s.cmd = exec.Command(binary, append([]string{"connect", "standalone", "--connect-addr", "127.0.0.1:0"}, files...)...)
	s.cmd.Stderr = s.log
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		s.err = s.cmd.Wait()
		close(s.done)
	}()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("worker log:\n%s", s.log)
		}
		s.kill()
	})
	address := regexp.MustCompile(`msg=ready connect=(\S+)`)
	eventually(t, "the worker's address", func() error {
		select {
		case <-s.done:
			t.Fatalf("worker ended at start: %v\n%s", s.err, s.log)
		default:
		}
		m := address.FindStringSubmatch(s.log.String())
		if m == nil {
			return fmt.Errorf("log: %s", s.log)
		}
		s.addrs.Connect = m[1]
		return nil
	})
	return s
}

// A standalone worker runs the connectors of its files, and goes on where it
// was when it is started again.
func TestStandaloneWorker(t *testing.T) {
	broker := startServer(t, "--roles", "broker")
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	in := file("in.txt", "one\ntwo\n")
	out := filepath.Join(dir, "out.txt")
	worker := file("worker.properties", "bootstrap.servers="+broker.addrs.Kafka+"\n"+
		"offset.storage.file.filename="+filepath.Join(dir, "connect.offsets")+"\noffset.flush.interval.ms=100\n"+
		"key.converter=org.apache.kafka.connect.storage.StringConverter\nvalue.converter=org.apache.kafka.connect.storage.StringConverter\n")
	source := file("source.properties", "name=local-source\nconnector.class=FileStreamSource\nfile="+in+"\ntopic=lines\n")
	sinkJSON, err := json.Marshal(map[string]any{"name": "local-sink", "config": map[string]any{"connector.class": "FileStreamSink", "tasks.max": 1, "file": out, "topics": "lines"}})
	if err != nil {
		t.Fatal(err)
	}
	sink := file("sink.json", string(sinkJSON))
	holds := func(want string) func() error {
		return func() error {
			got, err := os.ReadFile(out)
			if err == nil && string(got) != want {
				err = fmt.Errorf("it holds %q", got)
			}
			return err
		}
	}
	s := startStandalone(t, worker, source, sink)
	eventually(t, "lines in the sink's file", holds("one\ntwo\n"))
	s.awaitTask("local-source", connector.Running)
	if code, body := s.rest(http.MethodGet, "/connectors", ""); code != 200 || strings.TrimSpace(body) != `["local-sink","local-source"]` {
		t.Errorf("connectors: HTTP %d %s", code, body)
	}
	eventually(t, "stored offsets", func() error {
		if _, body := s.rest(http.MethodGet, "/connectors/local-source/offsets", ""); !strings.Contains(body, `"position":8`) {
			return fmt.Errorf("%s", body)
		}
		return nil
	})
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-s.done
	if s.err != nil {
		t.Errorf("worker exited with %v", s.err)
	}
	file("in.txt", "one\ntwo\nthree\n")
	startStandalone(t, worker, source, sink)
	eventually(t, "the new line alone", holds("one\ntwo\nthree\n"))
}

func TestStandaloneRefusals(t *testing.T) {
	dir := t.TempDir()
	worker := filepath.Join(dir, "worker.properties")
	if err := os.WriteFile(worker, []byte("bootstrap.servers=127.0.0.1:1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		args []string
		code int
		want string
	}{
		{nil, exitUsage, "the worker's properties file"},
		{[]string{filepath.Join(dir, "nowhere")}, exitFailed, "nowhere"},
		{[]string{"--connect-addr", "127.0.0.1:0", worker}, exitFailed, "offset.storage.file.filename"},
	} {
		cmd := exec.Command(binary, append([]string{"connect", "standalone"}, tt.args...)...)
		raw, err := cmd.CombinedOutput()
		if err == nil || cmd.ProcessState.ExitCode() != tt.code || !strings.Contains(string(raw), tt.want) {
			t.Errorf("%v: %v, %s; want exit %d and %q", tt.args, err, raw, tt.code, tt.want)
		}
	}
}
