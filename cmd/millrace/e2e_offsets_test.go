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
	s.offsetsCall(http.MethodGet, "src", "", 200, `{"offsets":[{"partition":`+partition+`,"offset":{"position":8}}]}`)
	s.offsetsCall(http.MethodPatch, "src", `{"offsets":[]}`, 400, "need to be provided")
	s.offsetsCall(http.MethodPatch, "src", `{"offsets":[{"partition":`+partition+`,"offset":{"position":{}}}]}`, 400, "")
	s.offsetsCall(http.MethodPatch, "src", `{"offsets":[{"partition":`+partition+`,"offset":{"position":4}}]}`, 200, "altered successfully")
	s.rest(http.MethodPut, "/connectors/src/resume", "")
	holds("one two two")

	s.stop("snk")
	s.offsetsCall(http.MethodGet, "snk", "", 200, `{"partition":{"kafka_partition":0,"kafka_topic":"t"},"offset":{"kafka_offset":3}}`)
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
