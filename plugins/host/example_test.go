package host

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millrace/millrace/plugins/catalog"
)

// The example is a module of its own, as a third party's would be. It is built
// into a directory of plugin.path, found there, and run.
func TestThirdPartyPlugin(t *testing.T) {
	dir := t.TempDir()
	// The build may bring go.mod up to the SDK's requirements, in a copy.
	modfile := filepath.Join(t.TempDir(), "go.mod")
	for _, name := range []string{"go.mod", "go.sum"} {
		text, err := os.ReadFile(filepath.Join("../examples/ticker", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(filepath.Dir(modfile), name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	build := exec.Command("go", "build", "-mod=mod", "-modfile="+modfile, "-o", filepath.Join(dir, "ticker"), ".")
	build.Dir = "../examples/ticker"
	build.Env = append(os.Environ(), "GOFLAGS=", "GOWORK=off")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the example: %v\n%s", err, out)
	}
	h, _ := newHost(t, Config{})
	c, err := catalog.Open(t.Context(), catalog.Config{Path: []string{dir}, Describe: h.Describe})
	if err != nil {
		t.Fatal(err)
	}
	p, class, err := c.Resolve("TickerSource", nil)
	if err != nil {
		t.Fatal(err)
	}
	if class != "com.example.TickerSourceConnector" || p.Version != "1.0.0" || len(p.Config) != 2 {
		t.Errorf("it is found as %s: %+v", class, p)
	}
	v, err := h.Validate(t.Context(), Target{p, class}, map[string]string{"interval.ms": "soon"})
	if err != nil {
		t.Fatal(err)
	}
	var problems []string
	for _, i := range v.Infos {
		problems = append(problems, i.Value.Errors...)
	}
	if text := strings.Join(problems, "\n"); !strings.Contains(text, `"topic"`) || !strings.Contains(text, "Not a number") {
		t.Errorf("problems are %q", text)
	}
	s := openSource(t, h, SourceSpec{
		Target: Target{p, class}, Connector: "tick",
		Config: map[string]string{"name": "tick", "topic": "ticks", "interval.ms": "1"},
	})
	for want := int64(1); want <= 3; want++ {
		b, seq, release, err := s.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		v, err := b.Records[0].Value.Value()
		if err != nil || v != want || seq != uint64(want) || b.Records[0].Topic != "ticks" {
			t.Errorf("record %d of batch %d is %v to %s, error %v", want, seq, v, b.Records[0].Topic, err)
		}
		if got := string(b.Positions[0].Partition); got != `{"ticker":"tick"}` {
			t.Errorf("its source partition is %s", got)
		}
		release()
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	drainAll(t, s)
	closeQuietly(t, s.Close)
}
