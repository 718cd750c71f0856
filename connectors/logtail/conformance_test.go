package logtail

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/plugins/sdktest"
)

func TestConformance(t *testing.T) {
	dir := t.TempDir()
	for file := range 3 { // each is a turn, after which a task can go on
		var text strings.Builder
		for i := range 10 {
			fmt.Fprintf(&text, "{\"n\":%d}\n", 10*file+i)
		}
		path := filepath.Join(dir, fmt.Sprint(file, ".log"))
		at := time.Now().Add(time.Duration(file-10) * time.Second) // files are read in the order they were written in
		if err := errors.Join(os.WriteFile(path, []byte(text.String()), 0o600), os.Chtimes(path, at, at)); err != nil {
			t.Fatal(err)
		}
	}
	config := map[string]string{
		"name": "tail", "connector.class": "LogTailSource", "include": dir + "/*.log", "topic": "logs", "start.at": "beginning", "host.id": "h",
		"parser": "json", "parser.fields": "n:int32",
	}
	with := func(key, value string) map[string]string {
		out := map[string]string{key: value}
		for k, v := range config {
			if k != key {
				out[k] = v
			}
		}
		return out
	}
	sdktest.TestSource(t, sdktest.Source{
		Connector: Connectors()[0],
		Config:    func(testing.TB) map[string]string { return with("tasks.max", "1") },
		Records:   30,
		BadConfigs: map[string]map[string]string{
			"a relative pattern": with("include", "logs/*.log"), "no such encoding": with("encoding", "klingon"), "no such parser": with("parser", "xml"),
			"a topic for errors without dlq": with("parser.error.topic", "x"), "dlq without a topic": with("parser.on.error", "dlq"),
			"fields of no type": with("parser.fields", "n:number"), "a bad expression": with("multiline.start.pattern", "("),
			"groups of containers' lines": {"include": "/x", "topic": "t", "parser": "cri", "multiline.start.pattern": "x"}, "no end of lines": with("line.delimiter", ""),
			"placement": with("placement", "all-workers"), "fingerprint.skip.bytes": with("fingerprint.skip.bytes", "10"), "deleting what was not read": {"include": "/x", "topic": "t", "delete.after.ms": "1"},
		},
		Text: func(r sdktest.Record) string { return r.Text() },
	})
}
