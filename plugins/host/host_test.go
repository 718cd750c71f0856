package host

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/millrace/millrace/plugins/catalog"
	"github.com/millrace/millrace/plugins/data"
	"github.com/millrace/millrace/plugins/proto"
	"github.com/millrace/millrace/plugins/sdk"
)

func TestStartErrors(t *testing.T) {
	notExecutable := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(notExecutable, []byte("hello"), 0o644); err != nil {
		t.Fatal(err)
	}
	h, _ := newHost(t, Config{StartTimeout: 2 * time.Second})
	for _, tt := range []struct {
		name    string
		command []string
		reason  StartReason
		text    string
	}{
		{"missing", []string{"/no/such/plugin"}, NotExecutable, "no such file"},
		{"not executable", []string{notExecutable}, NotExecutable, "permission denied"},
		{"dies", []string{"", "die"}, DiedAtStart, "cannot find libmagic"},
		{"dies with its status", []string{"", "die"}, DiedAtStart, "exit status 7"},
		{"garbage", []string{"", "garbage"}, NoPlugin, "Hello, I am a calculator."},
		{"garbage without end", []string{"", "endless"}, NoPlugin, "xxxxx"},
		{"hangs", []string{"", "hang"}, Hangs, "2s"},
		{"another protocol", []string{"", "old"}, Incompatible, "version 9"},
		{"socket elsewhere", []string{"", "elsewhere"}, NoPlugin, "not on a Unix socket"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			started := time.Now()
			_, err := h.Describe(t.Context(), tt.command)
			var e *StartError
			if !errors.As(err, &e) || e.Reason != tt.reason || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("error is %v (reason %q), want reason %q and %q in it", err, reasonOf(e), tt.reason, tt.text)
			}
			if took := time.Since(started); took > 5*time.Second {
				t.Errorf("it took %v", took)
			}
		})
	}
	if left, err := os.ReadDir(h.dir.path); err != nil || len(left) > 0 {
		t.Errorf("%d socket directories are left, error %v", len(left), err)
	}
}

func reasonOf(e *StartError) StartReason {
	if e == nil {
		return ""
	}
	return e.Reason
}

func TestCalls(t *testing.T) {
	h, _ := newHost(t, Config{})
	ctx := t.Context()
	target := Target{builtin(), "test.Count"}
	plugins, err := h.Describe(ctx, builtin().Command)
	if err != nil || len(plugins) != 2 {
		t.Fatalf("describe: %v, error %v", plugins, err)
	}
	if p := plugins[0]; p.Name != "count" || p.Kind != "source" || len(p.Config) != 4 || !p.Can("validate") || !p.Can("replan") {
		t.Errorf("count is described as %+v", p)
	}
	if p := plugins[1]; p.Kind != "sink" || p.Can("validate") {
		t.Errorf("collect is described as %+v", p)
	}

	for mode, want := range map[string]bool{"transactions": true, "count": false} {
		if v, err := h.Validate(ctx, target, map[string]string{"mode": mode}); err != nil || v.DefinesTransactions != want {
			t.Errorf("defines transactions in mode %s: %v, %v", mode, v.DefinesTransactions, err)
		}
	}
	v, err := h.Validate(ctx, target, map[string]string{"mode": "bad", "password": "hunter2"})
	if err != nil {
		t.Fatal(err)
	}
	errorsOf := map[string][]string{}
	for _, i := range v.Infos {
		errorsOf[i.Value.Name] = i.Value.Errors
		if i.Value.Name == "password" && *i.Value.Value != "[hidden]" {
			t.Errorf("the password shows as %q", *i.Value.Value)
		}
	}
	if strings.Join(errorsOf["mode"], "") != "mode bad is bad" || strings.Join(errorsOf["other"], "") != "other is missing" {
		t.Errorf("errors are %v", errorsOf)
	}
	if !v.ExactlyOnceKnown || v.ExactlyOnce {
		t.Errorf("exactly once is %v, known %v", v.ExactlyOnce, v.ExactlyOnceKnown)
	}
	v, err = h.Validate(ctx, target, map[string]string{"records": "many"})
	if err != nil || len(v.Infos[1].Value.Errors) == 0 {
		t.Errorf("a bad number is evaluated as %+v, error %v", v.Infos[1].Value, err)
	}
	if _, err = h.Validate(ctx, Target{builtin(), "no.Such"}, nil); err == nil || !strings.Contains(err.Error(), "no.Such") {
		t.Errorf("error for an unknown class is %v", err)
	}

	known, err := h.AlterOffsets(ctx, target, nil, []data.Position{{Partition: []byte(`{}`), Offset: []byte(`{"n":4}`)}}, nil)
	if err != nil || !known {
		t.Errorf("alter offsets: known %v, error %v", known, err)
	}
	_, err = h.AlterOffsets(ctx, target, nil, []data.Position{{Partition: []byte(`{}`), Offset: []byte(`{"n":-4}`)}}, nil)
	if err == nil || !strings.Contains(err.Error(), "must not be negative") {
		t.Errorf("alter offsets: error %v", err)
	}
}

func TestBuiltInPluginsAreFoundWithoutAsking(t *testing.T) {
	list, err := sdk.Describe(connectors()...)
	if err != nil {
		t.Fatal(err)
	}
	c, err := catalog.Open(t.Context(), catalog.Config{BuiltIn: BuiltIn(list, "plugin")})
	if err != nil {
		t.Fatal(err)
	}
	p, class, err := c.Resolve("Count", nil)
	if err != nil || strings.Join(p.Command, " ") != " plugin count" || p.API != proto.APIVersion || len(p.Config) != 4 {
		t.Fatalf("count is %+v, error %v", p, err)
	}
	h, _ := newHost(t, Config{})
	s := openSource(t, h, SourceSpec{Target: Target{p, class}})
	next(t, s)
	closeQuietly(t, s.Close)
}

func TestCallThatHangsIsKilled(t *testing.T) {
	h, _ := newHost(t, Config{CallTimeout: time.Second})
	started := time.Now()
	_, err := h.Validate(t.Context(), Target{builtin(), "test.Count"}, map[string]string{"mode": "hang-in-validate"})
	if err == nil || !strings.Contains(err.Error(), "no answer within 1s") {
		t.Errorf("error is %v", err)
	}
	if took := time.Since(started); took > 4*time.Second {
		t.Errorf("it took %v", took)
	}
}

func TestPlan(t *testing.T) {
	h, _ := newHost(t, Config{})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	p, err := h.Plan(ctx, Target{builtin(), "test.Count"}, map[string]string{"mode": "replan", "records": "3"}, 2)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close(ctx)
	for range 2 { // the first, and the one that the connector asks for
		tasks, err := p.Next(ctx)
		if err != nil || len(tasks) != 2 || tasks[1]["part"] != "1" {
			t.Fatalf("tasks %v, error %v", tasks, err)
		}
	}
	one, err := h.Plan(ctx, Target{builtin(), "test.Collect"}, map[string]string{"mode": "m"}, 5)
	if err != nil {
		t.Fatal(err)
	}
	defer one.Close(ctx)
	tasks, err := one.Next(ctx)
	if err != nil || len(tasks) != 1 || tasks[0]["mode"] != "m" {
		t.Errorf("a connector that does not plan has tasks %v, error %v", tasks, err)
	}
	if _, err := one.Next(ctx); !errors.Is(err, io.EOF) {
		t.Errorf("error %v, want the end: it never asks again", err)
	}
}

// The worker is killed outright, and each of the two ways in which its
// plugins must end with it is tried without the other.
func TestPluginsDieWithTheWorker(t *testing.T) {
	for _, way := range []string{"signal", "pipe"} {
		t.Run(way, func(t *testing.T) {
			dir, err := os.MkdirTemp("", "w") // t.TempDir's path is too long for sockets
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = os.RemoveAll(dir) }) // what a killed worker leaves
			cmd := exec.Command(os.Args[0], "worker", way)
			cmd.Env = append(os.Environ(), "TMPDIR="+dir)
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			line, err := bufio.NewReader(out).ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			pid, err := strconv.Atoi(strings.TrimSpace(line))
			if err != nil {
				t.Fatalf("the worker says %q", line)
			}
			if !alive(pid) {
				t.Fatal("the plugin does not run")
			}
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			if err := cmd.Wait(); err == nil {
				t.Error("the worker ended well")
			}
			eventually(t, "the plugin to end", func() bool { return !alive(pid) })
		})
	}
}

func TestCloseKillsWhatRuns(t *testing.T) {
	h, log := newHost(t, Config{})
	s := openSource(t, h, SourceSpec{Config: map[string]string{"mode": "child"}})
	pid := s.Stats().PID
	eventually(t, "the child's number", func() bool { return strings.Contains(log.String(), "child=") })
	_, after, _ := strings.Cut(log.String(), "child=")
	child, err := strconv.Atoi(strings.Fields(after)[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	if alive(pid) {
		t.Error("the plugin is alive")
	}
	eventually(t, "the plugin's own child to end", func() bool { return !alive(child) })
	var e *ExitError
	for err = nil; err == nil; {
		_, _, _, err = s.Next(t.Context())
	}
	if !errors.As(err, &e) || e.Signal != syscall.SIGKILL || !strings.Contains(e.Error(), "shutting down") {
		t.Errorf("error is %v", err)
	}
	if _, err := h.OpenSource(t.Context(), SourceSpec{Target: Target{builtin(), "test.Count"}}); !errors.Is(err, ErrClosed) {
		t.Errorf("opening on a closed host: %v", err)
	}
	if _, err := os.Stat(h.dir.path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket directory is left: %v", err)
	}
}

func TestSecretsStayOutOfEnvironmentAndArguments(t *testing.T) {
	t.Setenv("WORKER_TOKEN", "s3cr3t-env")
	t.Setenv("PASSED_ON", "wanted")
	h, log := newHost(t, Config{PassEnv: []string{"PASSED_ON"}, MemoryLimit: 1 << 30})
	s := openSource(t, h, SourceSpec{Config: map[string]string{"mode": "environ", "password": "s3cr3t-config"}})
	defer closeQuietly(t, s.Close)
	for _, file := range []string{"environ", "cmdline"} {
		text, err := os.ReadFile("/proc/" + strconv.Itoa(s.Stats().PID) + "/" + file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "s3cr3t") {
			t.Errorf("%s of the plugin holds a secret: %q", file, text)
		}
	}
	eventually(t, "the plugin's own view", func() bool { return strings.Contains(log.String(), "environ:") })
	for _, want := range []string{"PASSED_ON=wanted", "GOMEMLIMIT=966367", "PATH="} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the plugin's environment lacks %q", want)
		}
	}
	info, err := os.Stat(h.dir.path)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the socket directory has mode %v, error %v", info.Mode(), err)
	}
}

// TestAPluginGetsTheVariablesItIsListedWith has one connector that may see a
// cloud's credentials beside one that may not.
func TestAPluginGetsTheVariablesItIsListedWith(t *testing.T) {
	t.Setenv("CLOUD_KEY", "s3cr3t-env")
	h, _ := newHost(t, Config{})
	for _, listed := range [][]string{nil, {"CLOUD_*"}} {
		p := *builtin()
		p.Environment = listed
		s := openSource(t, h, SourceSpec{Target: Target{&p, "test.Count"}})
		text, err := os.ReadFile("/proc/" + strconv.Itoa(s.Stats().PID) + "/environ")
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(string(text), "CLOUD_KEY=s3cr3t-env"); got != (listed != nil) {
			t.Errorf("listed with %q, it has the variable: %v", listed, got)
		}
		closeQuietly(t, s.Close)
	}
}

func TestSocketsOfKilledWorkersAreSwept(t *testing.T) {
	parent := t.TempDir()
	stale, fresh, used := filepath.Join(parent, "millrace-plugins-1"), filepath.Join(parent, "millrace-plugins-2"), filepath.Join(parent, "millrace-plugins-3")
	long := time.Now().Add(-time.Hour)
	for _, dir := range []string{stale, fresh, used} {
		if err := os.MkdirAll(filepath.Join(dir, "plugin-dir1"), 0o700); err != nil {
			t.Fatal(err)
		}
		if dir != fresh {
			if err := os.Chtimes(dir, long, long); err != nil {
				t.Fatal(err)
			}
		}
	}
	lock, err := lockDir(used)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close() // a test's
	sweepSocketDirs(parent, time.Now(), slog.New(slog.DiscardHandler))
	for dir, want := range map[string]bool{stale: false, fresh: true, used: true} {
		if _, err := os.Stat(dir); (err == nil) != want {
			t.Errorf("%s is there: %v, want %v", filepath.Base(dir), err == nil, want)
		}
	}
	if _, err := New(Config{TempDir: filepath.Join(parent, "missing")}); err == nil {
		t.Error("a missing parent is accepted")
	}
	if _, err := New(Config{TempDir: parent + strings.Repeat("/.", 40)}); err == nil || !strings.Contains(err.Error(), "shorter TMPDIR") {
		t.Errorf("a long path is accepted, error %v", err)
	}
}

func closeQuietly(t testing.TB, close func(context.Context) error) {
	t.Helper()
	if err := close(context.WithoutCancel(t.Context())); err != nil {
		t.Errorf("close: %v", err)
	}
}
