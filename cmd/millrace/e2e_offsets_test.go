package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millrace/millrace/connect/connector"
)

// offsetsCall sends a request to a connector's offsets and holds its answer.
func (s *server) offsetsCall(method, name, body string, code int, want string) {
	s.t.Helper()
	gotCode, got := s.rest(method, "/connectors/"+name+"/offsets", body)
	if gotCode != code || !strings.Contains(got, want) {
		s.t.Errorf("%s offsets of %s: HTTP %d %s; want %d and %q", method, name, gotCode, got, code, want)
	}
}

// offsetsBecome waits for what a task commits when it stops, which is after the
// connector is STOPPED.
func (s *server) offsetsBecome(name, want string) {
	s.t.Helper()
	eventually(s.t, "offsets of "+name, func() error {
		code, got := s.rest(http.MethodGet, "/connectors/"+name+"/offsets", "")
		if code != 200 || !strings.Contains(got, want) {
			return fmt.Errorf("HTTP %d %s, want %s", code, got, want)
		}
		return nil
	})
}

// stop stops a connector and waits until its tasks are gone.
func (s *server) stop(name string) {
	s.t.Helper()
	if code, body := s.rest(http.MethodPut, "/connectors/"+name+"/stop", ""); code != http.StatusNoContent {
		s.t.Fatalf("stop %s: HTTP %d: %s", name, code, body)
	}
	eventually(s.t, name+" STOPPED", func() error {
		st, err := s.status(name)
		if err == nil && (st.Connector.State != connector.Stopped || len(st.Tasks) > 0) {
			err = fmt.Errorf("status %+v", st)
		}
		return err
	})
}

// Offsets of a stopped connector can be read, changed and removed (KIP-875),
// and the connector goes on from there.
func TestOffsetsCanBeChanged(t *testing.T) {
	s := startServer(t)
	dir := t.TempDir()
	in, out := filepath.Join(dir, "in.txt"), filepath.Join(dir, "out.txt")
	if err := os.WriteFile(in, []byte("one\ntwo\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	str := "org.apache.kafka.connect.storage.StringConverter"
	s.create("src", map[string]string{"connector.class": "FileStreamSource", "file": in, "topic": "t", "value.converter": str})
	s.create("snk", map[string]string{"connector.class": "FileStreamSink", "file": out, "topics": "t", "value.converter": str, "key.converter": str})
	holds := func(want string) {
		t.Helper()
		eventually(t, want+" in the file", func() error {
			lines, err := readLines(out)
			if got := strings.Join(lines, " "); err == nil && got != want {
				err = fmt.Errorf("file holds %q", got)
			}
			return err
		})
	}
	holds("one two")
	partition := fmt.Sprintf(`{"filename":%q}`, in)
	s.offsetsCall(http.MethodPatch, "src", `{"offsets":[{"partition":`+partition+`,"offset":{"position":0}}]}`, 400, "must be in the STOPPED state")
	s.stop("src")
	s.offsetsBecome("src", `{"offsets":[{"partition":`+partition+`,"offset":{"position":8}}]}`)
	s.offsetsCall(http.MethodPatch, "src", `{"offsets":[]}`, 400, "need to be provided")
	s.offsetsCall(http.MethodPatch, "src", `{"offsets":[{"partition":`+partition+`,"offset":{"position":{}}}]}`, 400, "")
	s.offsetsCall(http.MethodPatch, "src", `{"offsets":[{"partition":`+partition+`,"offset":{"position":4}}]}`, 200, "altered successfully")
	s.rest(http.MethodPut, "/connectors/src/resume", "")
	holds("one two two")

	s.stop("snk")
	// The third record is at offset 3: the end of the first transaction is at 2.
	s.offsetsBecome("snk", `{"partition":{"kafka_partition":0,"kafka_topic":"t"},"offset":{"kafka_offset":4}}`)
	s.offsetsCall(http.MethodPatch, "snk", `{"offsets":[{"partition":{"kafka_topic":"t"},"offset":null}]}`, 400, "kafka_partition")
	s.offsetsCall(http.MethodPatch, "snk", `{"offsets":[{"partition":{"kafka_topic":"t","kafka_partition":"0"},"offset":{"kafka_offset":"2"}}]}`, 200, "altered successfully")
	s.rest(http.MethodPut, "/connectors/snk/resume", "")
	holds("one two two two")
	s.stop("snk")
	s.offsetsCall(http.MethodDelete, "snk", "", 200, "reset successfully")
	s.offsetsCall(http.MethodGet, "snk", "", 200, `{"offsets":[]}`)
	s.stop("src")
	s.offsetsCall(http.MethodDelete, "src", "", 200, "reset successfully")
	s.offsetsCall(http.MethodGet, "src", "", 200, `{"offsets":[]}`)
}

// Variables of a config are resolved where the config is used and nowhere
// shown: what is stored, listed and failed of holds the reference.
func TestVariablesAreResolvedAndNotShown(t *testing.T) {
	dir := t.TempDir()
	in := filepath.Join(dir, "secret-name.txt")
	for path, text := range map[string]string{in: "one\n", filepath.Join(dir, "names.properties"): "file=" + in + "\ngone=" + in + "/not/there\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("CONNECT_CONFIG_PROVIDERS", "file")
	t.Setenv("CONNECT_CONFIG_PROVIDERS_FILE_CLASS", "org.apache.kafka.common.config.provider.FileConfigProvider")
	s := startServer(t)
	ref := func(key string) string { return "${file:" + dir + "/names.properties:" + key + "}" }
	s.create("src", map[string]string{"connector.class": "FileStreamSource", "file": ref("file"), "topic": "t"})
	if got := s.values("t", 1); got[0] != "one" {
		t.Errorf("topic holds %v", got)
	}
	for _, path := range []string{"/connectors/src", "/connectors/src/tasks", "/connectors?expand=info&expand=status"} {
		if _, body := s.rest(http.MethodGet, path, ""); strings.Contains(body, in) || !strings.Contains(body, "${file:") {
			t.Errorf("GET %s shows the value: %s", path, body)
		}
	}
	str := "org.apache.kafka.connect.storage.StringConverter"
	s.create("snk", map[string]string{"connector.class": "FileStreamSink", "file": ref("gone"), "topics": "t", "value.converter": str})
	if st := s.awaitTask("snk", connector.Failed); strings.Contains(st.Tasks[0].Trace, in+"/not/there") {
		t.Errorf("trace %q shows the value", st.Tasks[0].Trace)
	}
	code, body := s.rest(http.MethodPost, "/connectors", `{"name":"x","config":{"connector.class":"FileStreamSource","file":"`+ref("nope")+`","topic":"t"}}`)
	if code != http.StatusBadRequest || !strings.Contains(body, `has no key`) {
		t.Errorf("HTTP %d: %s; want 400 and the missing key", code, body)
	}
}
