package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestLayersRiseFromFileToEnvironmentToFlags(t *testing.T) {
	path := filepath.Join(t.TempDir(), "millrace.yaml")
	yaml := "data-dir: from-file\nlog-level: warn\nroles: [broker, connect]\n" +
		"broker:\n  log.segment.bytes: 1048576\nconnect:\n  group:\n    id: from-file\n"
	if err := os.WriteFile(path, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := newServer()
	if err := cmd.ParseFlags([]string{"--config", path, "--log-level", "debug"}); err != nil {
		t.Fatal(err)
	}
	env := []string{
		"MILLRACE_DATA_DIR=from-env", "MILLRACE_LOG_LEVEL=error", "KAFKA_LOG_SEGMENT_BYTES=2097152",
		"CONNECT_GROUP_ID=from-image-env", "MILLRACE_CONNECT_GROUP_ID=from-own-env", "HOME=/root", "KAFKA_HEAP_OPTS=-Xmx1g",
		"MILLRACE_CONNECT_URL=http://127.0.0.1:1",
	}
	s, err := readSettings(cmd.Flags(), env)
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{
		"data-dir":                 "from-env",
		"log-level":                "debug",
		"roles":                    "broker,connect",
		"broker.log.segment.bytes": "2097152",
		"connect.group.id":         "from-own-env",
		"kafka-addr":               "127.0.0.1:9092",
	} {
		if got := s[key].value; got != want {
			t.Errorf("%s is %q (%s), want %q", key, got, s[key].from, want)
		}
	}
	if p := s.unknown(); len(p) > 0 {
		t.Errorf("unknown keys: %v", p)
	}
}

func TestProblemsNameKeyValuePlaceAndWhatIsAccepted(t *testing.T) {
	for _, tt := range []struct {
		env  string
		want []string
	}{
		{"MILLRACE_LOG_LEVEL=loud", []string{"log-level", "environment MILLRACE_LOG_LEVEL", `"loud"`, "debug, info, warn or error"}},
		{"MILLRACE_ROLES=broker,boss", []string{"roles", `"boss"`, "broker, registry and connect"}},
		{"MILLRACE_KAFKA_ADDR=9092", []string{"kafka-addr", `"9092"`, "HOST:PORT"}},
		{"MILLRACE_CONNECT_ADDR=127.0.0.1:99999", []string{"connect-addr", "0 to 65535"}},
		{"MILLRACE_DATADIR=x", []string{"datadir", "unknown key", "data-dir"}},
		{"MILLRACE_SHUTDOWN_TIMEOUT=soon", []string{"shutdown-timeout", `"soon"`, "30s"}},
		{"MILLRACE_ROLES=connect", []string{"bootstrap-servers", "no broker role"}},
	} {
		s, err := readSettings(newServer().Flags(), []string{tt.env})
		if err != nil {
			t.Fatal(err)
		}
		_, problems := parseOptions(s)
		err = s.explain(append(problems, s.unknown()...))
		if err == nil {
			t.Errorf("%s was taken in", tt.env)
			continue
		}
		for _, w := range tt.want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: error %q does not say %q", tt.env, err, w)
			}
		}
	}
}

func TestBootstrapServersReplaceTheDefaultBroker(t *testing.T) {
	s, err := readSettings(newServer().Flags(), []string{"MILLRACE_BOOTSTRAP_SERVERS=127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	o, problems := parseOptions(s)
	if err := s.explain(problems); err != nil {
		t.Fatal(err)
	}
	if o.broker || !o.connect || !o.registry {
		t.Errorf("roles broker=%v connect=%v registry=%v; want all but broker", o.broker, o.connect, o.registry)
	}
}

func TestImageKey(t *testing.T) {
	for in, want := range map[string]string{
		"LOG_SEGMENT_BYTES": "log.segment.bytes",
		"A__B":              "a_b",
		"A___B_C":           "a-b.c",
	} {
		if got := imageKey(in); got != want {
			t.Errorf("imageKey(%s) = %s, want %s", in, got, want)
		}
	}
}

func TestRolesProblemsNameKeyValueAndPlace(t *testing.T) {
	for _, tt := range []struct {
		env  string
		want []string
	}{
		{"KAFKA_LOG_SEGMENT_BYTES=abc", []string{"log.segment.bytes", `"abc"`, "whole number", "environment KAFKA_LOG_SEGMENT_BYTES"}},
		{"MILLRACE_BROKER_WINGS=2", []string{"wings", "environment MILLRACE_BROKER_WINGS", "docs/configuration.md"}},
		{"CONNECT_GROUP_IDD=x", []string{"group.idd", "did you mean group.id?", "environment CONNECT_GROUP_IDD"}},
		{"CONNECT_OFFSET_FLUSH_INTERVAL_MS=no", []string{"offset.flush.interval.ms", "no", "Not a number", "environment CONNECT_OFFSET_FLUSH_INTERVAL_MS"}},
		{"SCHEMA_REGISTRY_KAFKASTORE_TOPICS=x", []string{"kafkastore.topics", "did you mean kafkastore.topic?"}},
		{"SCHEMA_REGISTRY_SCHEMA_COMPATIBILITY_LEVEL=most", []string{"schema.compatibility.level"}},
	} {
		s, err := readSettings(newServer().Flags(), []string{
			tt.env, "MILLRACE_KAFKA_ADDR=127.0.0.1:0", "MILLRACE_CONNECT_ADDR=127.0.0.1:0", "MILLRACE_REGISTRY_ADDR=127.0.0.1:0",
			"MILLRACE_DATA_DIR=" + t.TempDir(),
		})
		if err != nil {
			t.Fatal(err)
		}
		err = serve(t.Context(), s, io.Discard)
		if err == nil {
			t.Errorf("%s was taken in", tt.env)
			continue
		}
		for _, w := range tt.want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: error %q does not say %q", tt.env, err, w)
			}
		}
	}
}
