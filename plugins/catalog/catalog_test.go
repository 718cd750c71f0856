package catalog

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millrace/millrace/plugins/configdef"
)

func plugin(name string, classes ...string) Plugin {
	return Plugin{Name: name, Kind: Source, Classes: classes, Command: []string{"", "plugin", name}}
}

func open(t *testing.T, cfg Config) *Catalog {
	t.Helper()
	c, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestResolve(t *testing.T) {
	s3 := plugin("s3-sink", "io.confluent.connect.s3.S3SinkConnector", "io.aiven.kafka.connect.s3.S3SinkConnector")
	s3.Aliases = map[string]string{"S3_SINK": "io.confluent.connect.s3.S3SinkConnector"}
	s3.Marks = map[string]string{
		"io.confluent.connect.s3.S3SinkConnector":   "s3.bucket.name",
		"io.aiven.kafka.connect.s3.S3SinkConnector": "aws.s3.bucket.name",
	}
	other := plugin("jdbc-b", "com.b.SinkOfJdbc")
	other.Aliases = map[string]string{"JdbcSink": "com.b.SinkOfJdbc"}
	other.Marks = map[string]string{"com.b.SinkOfJdbc": "b.url"}
	c := open(t, Config{BuiltIn: []Plugin{s3,
		plugin("file", "org.apache.kafka.connect.file.FileStreamSourceConnector"),
		plugin("http-a", "io.aiven.HttpSinkConnector"), plugin("http-c", "io.confluent.HttpSinkConnector"),
		plugin("tail", "LogTailSource"), plugin("jdbc", "com.a.JdbcSinkConnector", "JdbcSink"), other,
	}})
	for _, tt := range []struct{ name, class, key, plugin, full string }{
		{"full name", "org.apache.kafka.connect.file.FileStreamSourceConnector", "", "file", "org.apache.kafka.connect.file.FileStreamSourceConnector"},
		{"simple name", "FileStreamSourceConnector", "", "file", "org.apache.kafka.connect.file.FileStreamSourceConnector"},
		{"without Connector", "FileStreamSource", "", "file", "org.apache.kafka.connect.file.FileStreamSourceConnector"},
		{"spaces", " FileStreamSource\n", "", "file", "org.apache.kafka.connect.file.FileStreamSourceConnector"},
		{"no package", "LogTailSource", "", "tail", "LogTailSource"},
		{"alias", "S3_SINK", "", "s3-sink", "io.confluent.connect.s3.S3SinkConnector"},
		{"decided by a key", "S3Sink", "aws.s3.bucket.name", "s3-sink", "io.aiven.kafka.connect.s3.S3SinkConnector"},
		{"a class of its own", "JdbcSink", "a.url", "jdbc", "JdbcSink"},
		{"a class of its own that a key gives to another", "JdbcSink", "b.url", "jdbc-b", "com.b.SinkOfJdbc"},
		{"decided by the other key", "S3SinkConnector", "s3.bucket.name", "s3-sink", "io.confluent.connect.s3.S3SinkConnector"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, full, err := c.Resolve(tt.class, map[string]string{tt.key: "x"})
			if err != nil {
				t.Fatal(err)
			}
			if p.Name != tt.plugin || full != tt.full {
				t.Errorf("%s is %s of %s, want %s of %s", tt.class, full, p.Name, tt.full, tt.plugin)
			}
		})
	}
	for class, want := range map[string]string{
		"HttpSink": "io.aiven.HttpSinkConnector, io.confluent.HttpSinkConnector",
		"S3Sink":   "use the full name",
		"Nothing":  "org.apache.kafka.connect.file.FileStreamSourceConnector",
		"":         "the classes here are",
	} {
		if _, _, err := c.Resolve(class, nil); !errors.Is(err, ErrUnknownClass) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want one with %q", class, err, want)
		}
	}
}

func TestConflictsNameBothPlugins(t *testing.T) {
	_, err := Open(t.Context(), Config{BuiltIn: []Plugin{plugin("a", "X"), plugin("b", "X")}})
	if err == nil || !strings.Contains(err.Error(), "two plugins claim class X") {
		t.Errorf("error %v", err)
	}
	dir := t.TempDir()
	for _, name := range []string{"one", "two"} {
		write(t, filepath.Join(dir, name), "", 0o755)
		write(t, filepath.Join(dir, name+".json"), manifestText(name, "com.example.Same"), 0o644)
	}
	_, err = Open(t.Context(), Config{Path: []string{dir}})
	if err == nil || !strings.Contains(err.Error(), "one.json") || !strings.Contains(err.Error(), "two.json") {
		t.Errorf("error %v does not name both files", err)
	}
}

func manifestText(name, class string) string {
	return `{"name":"` + name + `","kind":"sink","version":"1","protocol":1,"classes":["` + class + `"]}`
}

func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

func TestScan(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "ticker"), "binary", 0o755)
	write(t, filepath.Join(dir, "README"), "not executable", 0o644)
	write(t, filepath.Join(dir, "broken"), "binary", 0o755)
	write(t, filepath.Join(dir, "bundle", "manifest.json"),
		`{"name":"bundled","kind":"source","version":"1","protocol":1,"classes":["B"],"command":["bin/run","-x"]}`, 0o644)
	write(t, filepath.Join(dir, "plain", "inner"), "binary", 0o755)
	write(t, filepath.Join(dir, "old.json"), `{"name":"old","kind":"source","protocol":7,"classes":["O"]}`, 0o644)
	write(t, filepath.Join(dir, "old"), "binary", 0o755)
	var log strings.Builder
	asked := make(map[string]int)
	cfg := Config{
		Path: []string{dir, filepath.Join(dir, "missing")}, CacheFile: filepath.Join(t.TempDir(), "plugins.json"),
		Logger: slog.New(slog.NewTextHandler(&log, nil)),
		Describe: func(_ context.Context, command []string) ([]Plugin, error) {
			name := filepath.Base(command[0])
			asked[name]++
			if name == "broken" {
				return nil, errors.New("it does not start")
			}
			p := plugin(name, "com.example."+name)
			p.Config = configdef.Def{{Name: "topic", Type: configdef.String, Required: true}}
			return []Plugin{p}, nil
		},
	}
	c := open(t, cfg)
	if err := c.Scan(t.Context()); err != nil {
		t.Fatal(err)
	}
	again := open(t, cfg) // a new start of the worker
	for _, c := range []*Catalog{c, again} {
		var names []string
		for _, p := range c.Plugins() {
			names = append(names, p.Name)
		}
		if got := strings.Join(names, " "); got != "bundled inner ticker" {
			t.Errorf("plugins are %q", got)
		}
		p, _, err := c.Resolve("com.example.ticker", nil)
		if err != nil || len(p.Config) != 1 || p.Command[0] != filepath.Join(dir, "ticker") {
			t.Errorf("ticker is %+v, error %v", p, err)
		}
	}
	if asked["ticker"] != 1 || asked["inner"] != 1 {
		t.Errorf("executables were asked %v times, want once", asked)
	}
	if p, ok := c.ByName("bundled"); !ok || p.Command[0] != filepath.Join(dir, "bundle", "bin/run") || p.Command[1] != "-x" {
		t.Errorf("bundled is %+v", p)
	}
	for _, want := range []string{"it does not start", "protocol 7", "does not exist"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log does not say %q:\n%s", want, log.String())
		}
	}
	write(t, filepath.Join(dir, "ticker"), "another binary", 0o755)
	if err := c.Scan(t.Context()); err != nil || asked["ticker"] != 2 {
		t.Errorf("a changed executable was asked %d times, error %v", asked["ticker"], err)
	}
}

func TestDamagedCacheIsIgnored(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cache")
	for _, text := range []string{"", "null", "{", `{"x":{"plugins":[{"config":7}]}}`} {
		write(t, path, text, 0o644)
		open(t, Config{CacheFile: path, BuiltIn: []Plugin{plugin("a", "A")}})
	}
}

func FuzzParseManifest(f *testing.F) {
	f.Add([]byte(manifestText("a", "b")))
	f.Add([]byte("[" + manifestText("a", "b") + "]"))
	f.Fuzz(func(t *testing.T, text []byte) {
		list, err := parseManifest(text)
		if err != nil {
			return
		}
		for _, m := range list {
			if m.Protocol != protocol {
				t.Errorf("protocol %d was accepted", m.Protocol)
			}
		}
	})
}
