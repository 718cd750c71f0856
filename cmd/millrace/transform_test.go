package main

import (
	"bytes"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const tryConfig = `{"name":"c","config":{"connector.class":"FileStreamSink","topics":"t","transforms":"hoist,gone",
 "transforms.hoist.type":"org.apache.kafka.connect.transforms.HoistField$Value","transforms.hoist.field":"line",
 "transforms.gone.type":"org.apache.kafka.connect.transforms.Filter","transforms.gone.predicate":"dead",
 "predicates":"dead","predicates.dead.type":"org.apache.kafka.connect.transforms.predicates.TopicNameMatches",
 "predicates.dead.pattern":"dead"}}`

func try(t *testing.T, stdin string, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	cmd := newRoot()
	cmd.SetArgs(append([]string{"transform", "try"}, args...))
	cmd.SetIn(strings.NewReader(stdin))
	cmd.SetOut(&out)
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

func TestTransformTry(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	config := write("c.json", tryConfig)
	records := `{"topic":"t","value":"a"}` + "\n\n" + `{"topic":"dead","value":"b"}` + "\n"

	got, err := try(t, records, "--config", config, "-o", "json")
	want := `{"topic":"t","partition":null,"timestamp":null,"keySchema":null,"key":null,"valueSchema":null,"value":{"line":"a"},"headers":[]}` + "\nnull\n"
	if err != nil || got != want {
		t.Errorf("json: %v\n%s\nwant\n%s", err, got, want)
	}
	got, err = try(t, tryConfig, "--config", "-", "--input", write("in.jsonl", records))
	for _, part := range []string{"record 1\n", "1. hoist (", `{"line":"a"}`, "2. gone (", "unchanged\n", "record 2\n", "dropped\n"} {
		if err != nil || !strings.Contains(got, part) {
			t.Errorf("text: %v; no %q in\n%s", err, part, got)
		}
	}
	bad := write("bad.json", `{"transforms":"x","transforms.x.type":"Nope"}`)
	got, err = try(t, records, "--config", bad, "-o", "json")
	if err != nil || strings.Count(got, `"at":"config"`) != 2 {
		t.Errorf("json of a bad config: %v\n%s", err, got)
	}
	cast := write("cast.json", `{"transforms":"x","transforms.x.type":"org.apache.kafka.connect.transforms.Cast$Value","transforms.x.spec":"int32"}`)
	got, err = try(t, `{"topic":"t","value":"many"}`, "--config", cast, "-o", "json")
	if err != nil || !strings.Contains(got, `"at":"apply"`) || !strings.HasPrefix(got, `{"error":"transforms.x`) {
		t.Errorf("json of a record at fault: %v\n%s", err, got)
	}
	for _, tc := range []struct {
		stdin string
		args  []string
		want  string
	}{
		{records, nil, "--config is missing"},
		{records, []string{"--config", "-"}, "cannot both be standard input"},
		{records, []string{"--config", config, "-o", "yaml"}, "must be text or json"},
		{records, []string{"--config", config, "--kind", "both"}, "must be source or sink"},
		{records, []string{"--config", bad}, "there is no such class"},
		{"{}\n{\n", []string{"--config", config}, "input line 2: not a record"},
		{records, []string{"--config", filepath.Join(dir, "none")}, "no such file"},
	} {
		if _, err := try(t, tc.stdin, tc.args...); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%v: %v, want %q", tc.args, err, tc.want)
		}
	}
}

// A worker gives the last records of a topic, and tries them itself over REST.
func TestTransformTryOnATopic(t *testing.T) {
	s := startServer(t)
	dir := t.TempDir()
	in := filepath.Join(dir, "in.txt")
	if err := os.WriteFile(in, []byte("one\ntwo\nthree\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.create("src", map[string]string{"connector.class": "FileStreamSource", "file": in, "topic": "t",
		"value.converter": "org.apache.kafka.connect.storage.StringConverter"})
	config := filepath.Join(dir, "c.json")
	if err := os.WriteFile(config, []byte(strings.Replace(tryConfig, `"topics":"t"`,
		`"topics":"t","key.converter":"org.apache.kafka.connect.storage.StringConverter","value.converter":"org.apache.kafka.connect.storage.StringConverter"`, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the last two records", func() error {
		got, err := try(t, "", "--connect-url", "http://"+s.addrs.Connect, "--config", config, "--topic", "t", "--last", "2", "-o", "json")
		if err == nil && (!strings.Contains(got, `{"line":"two"}`) || !strings.Contains(got, `{"line":"three"}`) || strings.Count(got, "\n") != 2) {
			err = errors.New(got)
		}
		return err
	})
	code, body := s.rest(http.MethodPost, "/transforms/try", `{"config":{},"topic":"none","last":1}`)
	if code != 400 || !strings.Contains(body, "none") {
		t.Errorf("samples of a topic that is not there: HTTP %d %s", code, body)
	}
	code, body = s.rest(http.MethodPost, "/transforms/try", `{"config":{"transforms":"x"},"records":[{}]}`)
	if code != 400 || !strings.Contains(body, "transforms.x.type") {
		t.Errorf("a bad config: HTTP %d %s", code, body)
	}
}
