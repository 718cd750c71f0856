package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/broker/brokertest"
	"github.com/millrace/millrace/connect"
	"github.com/millrace/millrace/connect/client"
)

// workerSet is a published set of worker properties; testdata/README.md says
// where they are from.
type workerSet struct {
	ID     string         `json:"id"`
	Form   string         `json:"form"`
	Config map[string]any `json:"config"`
}

func readObjects[T any](t *testing.T, path string) []T {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out []T
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var v T
		if err := json.Unmarshal(lines.Bytes(), &v); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		out = append(out, v)
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

// stores are stand-ins for the key and trust stores that the sets name.
var stores = map[string]string{
	"ssl.truststore.location": "trust.jks", "ssl.truststore.password": "storepass", "ssl.truststore.type": "JKS",
	"ssl.keystore.location": "key.p12", "ssl.keystore.password": "storepass", "ssl.keystore.type": "PKCS12", "ssl.key.password": "storepass",
}

// adapt puts what exists here in the place of what exists where a set is from:
// addresses, files, and as many brokers as a topic may have copies.
func adapt(props map[string]string, broker, dir string) {
	for k := range props {
		for name, value := range stores {
			if k == name || strings.HasSuffix(k, "."+name) {
				if strings.HasSuffix(name, ".location") {
					value = filepath.Join("..", "..", "connect", "client", "testdata", value)
				}
				props[k] = value
			}
		}
		switch {
		case k == "bootstrap.servers", strings.HasSuffix(k, ".bootstrap.servers") && !strings.Contains(k, "confluent"):
			props[k] = broker
		case strings.HasSuffix(k, "storage.replication.factor"):
			props[k] = "1"
		case k == "offset.storage.file.filename":
			props[k] = filepath.Join(dir, "connect.offsets")
		}
	}
}

// outcome says what becomes of a set: the warnings, and then whether a worker
// starts or why not.
func outcome(t *testing.T, set workerSet, broker string) []string {
	t.Helper()
	dir := t.TempDir()
	s := settings{}
	for _, f := range serverFlags {
		s[f.name] = setting{f.value, "default"}
	}
	var environ []string
	for k, v := range set.Config {
		if set.Form == "env" {
			environ = append(environ, fmt.Sprintf("%s=%v", k, v))
		} else {
			s["connect."+k] = setting{fmt.Sprint(v), "set"}
		}
	}
	s.addEnvironment(environ)
	if _, ok := s["connect.bootstrap.servers"]; ok { // some hold what a script fills in
		s["connect.bootstrap.servers"] = setting{broker, "test"}
	}
	s.adopt()
	if _, problems := parseOptions(s); len(append(problems, s.unknown()...)) > 0 {
		return []string{"refused: " + s.explain(append(problems, s.unknown()...)).Error()}
	}
	props := s.section("connect")
	adapt(props, broker, dir)
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))
	w, err := connect.New(connect.Config{Properties: props, Standalone: set.Form == "standalone", Brokers: client.Target{Seeds: []string{broker}}, Address: "127.0.0.1:8083", BuiltIn: builtinPlugins(), Logger: logger})
	var out []string
	for line := range strings.Lines(log.String()) {
		if m := regexp.MustCompile(`key=(\S+) why="?(.*?)"?\n`).FindStringSubmatch(line); m != nil {
			out = append(out, "warns: "+m[2])
		}
	}
	if err != nil {
		for line := range strings.Lines(err.Error() + "\n") {
			out = append(out, "refused: "+strings.TrimSpace(line))
		}
		return out
	}
	if p := props["security.protocol"]; p != "" && p != "PLAINTEXT" {
		return append(out, "accepted; its brokers speak "+p)
	}
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	ready := false
	if err := w.Run(ctx, func() { ready = true; stop() }); err != nil || !ready {
		return append(out, fmt.Sprintf("does not start: ready %v, %v", ready, err))
	}
	return append(out, "starts")
}

// TestPublishedWorkerSettings starts a worker with each published set of
// settings, and holds what becomes of it against testdata/worker-configs.txt.
func TestPublishedWorkerSettings(t *testing.T) {
	b := brokertest.Start(t)
	var got strings.Builder
	for _, set := range readObjects[workerSet](t, filepath.Join("testdata", "worker-configs.jsonl")) {
		lines := outcome(t, set, b.Addr())
		slices.Sort(lines[:len(lines)-1])
		fmt.Fprintf(&got, "%s\n", set.ID)
		for _, l := range lines {
			fmt.Fprintf(&got, "  %s\n", l)
		}
		if last := lines[len(lines)-1]; strings.HasPrefix(last, "does not start") {
			t.Errorf("%s: %s", set.ID, last)
		}
	}
	golden(t, filepath.Join("testdata", "worker-configs.txt"), got.String())
}

// golden compares with a file, or writes it with -update.
func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != got {
		t.Errorf("%s is not what comes about; read the difference, and run with -update if it is meant:\n%s", path, got)
	}
}

// publishedConnector is a published config of a connector.
type publishedConnector struct {
	ID     string         `json:"id"`
	Config map[string]any `json:"config"`
}

// network are the words of errors that say that a system is not there, as the
// systems of published configs are not.
var network = regexp.MustCompile(`(?i)dial|lookup|connect(ion)? refused|no such host|hostname resolving|cannot reach|could not connect|failed to connect`)

// variable is a reference to what a file or a directory holds.
var variable = regexp.MustCompile(`\$\{(file|directory):([^:}]+):([^}]+)\}`)

// provided puts files in the place of those that a value refers to.
func provided(t *testing.T, dir, text string) string {
	t.Helper()
	return variable.ReplaceAllStringFunc(text, func(ref string) string {
		m := variable.FindStringSubmatch(ref)
		path := filepath.Join(dir, m[2])
		file, content := path, m[3]+"=secret\n"
		if m[1] == "directory" {
			file, content = filepath.Join(path, m[3]), "secret"
		}
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(content), 0o600)); err != nil {
			t.Fatal(err)
		}
		return "${" + m[1] + ":" + path + ":" + m[3] + "}"
	})
}

// TestPublishedConnectorConfigs validates each published config of a class that
// exists, and holds what is wrong with it against testdata/connector-configs.txt.
func TestPublishedConnectorConfigs(t *testing.T) {
	t.Setenv("CONNECT_CONFIG_PROVIDERS", "file,directory")
	t.Setenv("CONNECT_CONFIG_PROVIDERS_FILE_CLASS", "org.apache.kafka.common.config.provider.FileConfigProvider")
	t.Setenv("CONNECT_CONFIG_PROVIDERS_DIRECTORY_CLASS", "org.apache.kafka.common.config.provider.DirectoryConfigProvider")
	s, dir := startServer(t), t.TempDir()
	var got strings.Builder
	for _, c := range readObjects[publishedConnector](t, filepath.Join("testdata", "connector-configs.jsonl")) {
		if c.Config["name"] == nil {
			c.Config["name"] = c.ID
		}
		for k, v := range c.Config {
			if text, ok := v.(string); ok {
				c.Config[k] = provided(t, dir, text)
			}
		}
		raw, err := json.Marshal(c.Config)
		if err != nil {
			t.Fatal(err)
		}
		class := fmt.Sprint(c.Config["connector.class"])
		code, body := s.rest("PUT", "/connector-plugins/"+class+"/config/validate", string(raw))
		var infos struct {
			Message string `json:"message"`
			Configs []struct {
				Value struct {
					Errors []string `json:"errors"`
				} `json:"value"`
			} `json:"configs"`
		}
		if err := json.Unmarshal([]byte(body), &infos); err != nil {
			t.Fatalf("%s: HTTP %d %s", c.ID, code, body)
		}
		fmt.Fprintf(&got, "%s\n", c.ID)
		if code != 200 {
			fmt.Fprintf(&got, "  HTTP %d: %s\n", code, infos.Message)
		}
		fine := code == 200
		for _, i := range infos.Configs {
			for _, e := range i.Value.Errors {
				if !network.MatchString(e) {
					fmt.Fprintf(&got, "  refused: %s\n", strings.ReplaceAll(e, "\n", " "))
					fine = false
				}
			}
		}
		if fine {
			got.WriteString("  passes\n")
		}
	}
	golden(t, filepath.Join("testdata", "connector-configs.txt"), got.String())
}
