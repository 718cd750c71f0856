package logtail

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/plugins/data"
	"github.com/millrace/millrace/plugins/sdk"
)

// worker keeps the stored offsets over restarts of the task.
type worker struct {
	t      *testing.T
	dir    string
	props  map[string]string
	stored map[string]sdk.Offset
	task   *task
	hears  sdk.Committer // the task, if it wants to hear what is stored
}

func newWorker(t *testing.T, props map[string]string) *worker {
	w := &worker{t: t, dir: t.TempDir(), stored: make(map[string]sdk.Offset)}
	w.props = map[string]string{
		"include": w.dir + "/*.log*", "topic": "logs", "start.at": "beginning", "discovery.interval.ms": "1",
		"rotate.wait.ms": "50", "host.id": "h",
	}
	for k, v := range props {
		w.props[k] = strings.ReplaceAll(v, "DIR", w.dir)
	}
	t.Cleanup(w.stop)
	return w
}

func (w *worker) Offset(_ context.Context, p map[string]any) (sdk.Offset, error) {
	key, err := sdk.EncodeMap(p)
	return w.stored[string(key)], err
}

func (w *worker) Offsets(ctx context.Context, ps []map[string]any) ([]sdk.Offset, error) {
	out := make([]sdk.Offset, len(ps))
	for i, p := range ps {
		out[i], _ = w.Offset(ctx, p)
	}
	return out, nil
}

func (w *worker) start() {
	w.t.Helper()
	cfg, problems := Source{}.ConfigDef().Parse(w.props)
	if len(problems) > 0 {
		w.t.Fatal(problems)
	}
	task, err := Source{}.Open(w.t.Context(), cfg, w)
	if err != nil {
		w.t.Fatal(err)
	}
	w.task = asTask(task)
	w.hears, _ = task.(sdk.Committer)
}

func asTask(t sdk.Task) *task {
	if d, ok := t.(deleting); ok {
		return d.task
	}
	return t.(*task)
}

// stop ends the task as a crash does: what was not stored is not known.
func (w *worker) stop() {
	if w.task != nil {
		if err := w.task.Close(); err != nil {
			w.t.Error(err)
		}
		w.task = nil
	}
}

func (w *worker) path(name string) string { return filepath.Join(w.dir, name) }

func (w *worker) write(name, text string) {
	w.t.Helper()
	f, err := os.OpenFile(w.path(name), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = f.WriteString(text)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *worker) rename(from, to string) {
	w.t.Helper()
	if err := os.Rename(w.path(from), w.path(to)); err != nil {
		w.t.Fatal(err)
	}
}

// copyTruncate does what logrotate does.
func (w *worker) copyTruncate(from, to string) {
	w.t.Helper()
	b, err := os.ReadFile(w.path(from))
	if err == nil {
		err = os.WriteFile(w.path(to), b, 0o600)
	}
	if err == nil {
		err = os.Truncate(w.path(from), 0)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// poll polls for at most d and stores the offsets if asked to.
func (w *worker) poll(d time.Duration, store bool) ([]string, bool) {
	w.t.Helper()
	if w.task == nil {
		w.start()
	}
	ctx, cancel := context.WithTimeout(w.t.Context(), d)
	defer cancel()
	var b data.Batch
	err := w.task.PollBatch(ctx, &b)
	if err != nil {
		if !errors.Is(err, context.DeadlineExceeded) {
			w.t.Fatal(err)
		}
		return nil, false
	}
	var out []string
	for i := range b.Records {
		v, err := b.Records[i].Value.Value()
		if err != nil {
			w.t.Fatal(err)
		}
		out = append(out, v.(string))
	}
	if store {
		w.tell(b.Positions)
		for _, p := range b.Positions {
			o, err := sdk.DecodeMap(p.Offset)
			if err != nil {
				w.t.Fatal(err)
			}
			if p.Offset == nil {
				delete(w.stored, string(p.Partition))
				continue
			}
			w.stored[string(p.Partition)] = o
		}
	}
	return out, true
}

// tell has the task hear that offsets are stored.
func (w *worker) tell(positions []data.Position) {
	if w.hears == nil {
		return
	}
	heard := make([]sdk.Position, len(positions))
	for i, p := range positions {
		var err1, err2 error
		heard[i].Partition, err1 = sdk.DecodeMap(p.Partition)
		heard[i].Offset, err2 = sdk.DecodeMap(p.Offset)
		if err := errors.Join(err1, err2, w.hears.Committed(w.t.Context(), heard[i:i+1])); err != nil {
			w.t.Fatal(err)
		}
	}
}

// later has the task forget what was deleted.
func (w *worker) later() { w.task.now = func() time.Time { return time.Now().Add(2 * lostTime) } }

// expect polls until all the lines have come, in order.
func (w *worker) expect(want ...string) {
	w.t.Helper()
	if got := w.take(len(want)); !slices.Equal(got, want) {
		w.t.Fatalf("lines are %q, want %q", got, want)
	}
}

// expectAnyOrder is for lines of several files, which have no order.
func (w *worker) expectAnyOrder(want ...string) {
	w.t.Helper()
	got := w.take(len(want))
	slices.Sort(got)
	if !slices.Equal(got, want) {
		w.t.Fatalf("lines are %q, want %q", got, want)
	}
}

func (w *worker) take(n int) []string {
	w.t.Helper()
	var got []string
	for deadline := time.Now().Add(10 * time.Second); len(got) < n; {
		lines, _ := w.poll(time.Second, true)
		if got = append(got, lines...); time.Now().After(deadline) {
			break
		}
	}
	return got
}

// quiet expects nothing more.
func (w *worker) quiet(d time.Duration) {
	w.t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); {
		if lines, _ := w.poll(time.Until(end), true); len(lines) > 0 {
			w.t.Fatalf("unexpected lines %q", lines)
		}
	}
}

func TestFollowsAndResumes(t *testing.T) {
	w := newWorker(t, nil)
	w.write("a.log", "one\r\ntwo\npart")
	w.expect("one", "two")
	w.write("a.log", "ial\n")
	w.write("b.log", "other\n")
	for lines, ok := []string(nil), true; len(lines) == 0; { // not stored: comes again
		if lines, ok = w.poll(time.Second, false); !ok {
			t.Fatal("nothing came")
		}
	}
	w.stop()
	w.expectAnyOrder("other", "partial")
	w.stop()
	w.write("a.log", "x\xffy\n")
	w.expect("x\uFFFDy")
}

func TestStartsAtTheEnd(t *testing.T) {
	w := newWorker(t, map[string]string{"start.at": "end"})
	w.write("a.log", "old\nhalf")
	w.quiet(50 * time.Millisecond)
	w.write("a.log", " a line\nnew\n")
	w.expect("new")
	w.stop()
	w.write("b.log", "later files are read whole\n")
	w.expect("later files are read whole")
}

func TestRenameRotation(t *testing.T) {
	w := newWorker(t, map[string]string{"include": "DIR/app.log"})
	w.write("app.log", "1\n2\n")
	w.expect("1", "2")
	w.write("app.log", "3\n")
	w.rename("app.log", "app.log.1") // not included any more
	w.write("app.log", "4\n")
	w.expect("3", "4")
	w.quiet(120 * time.Millisecond)
	// While nobody looks, it rotates again.
	w.write("app.log", "5\n")
	w.stop()
	w.write("app.log", "6\n")
	w.rename("app.log", "app.log.2")
	w.write("app.log", "7\n")
	w.expectAnyOrder("5", "6", "7")
}

func TestRotatedNameIsIncludedToo(t *testing.T) {
	w := newWorker(t, nil)
	w.write("app.log", "1\n")
	w.expect("1")
	w.rename("app.log", "app.log.1")
	w.write("app.log", "2\n")
	w.expect("2")
	w.write("app.log.1", "late\n")
	w.expect("late")
}

func TestCopyTruncate(t *testing.T) {
	w := newWorker(t, nil)
	w.write("app.log", "first line of the file\nsecond\n")
	w.expect("first line of the file", "second")
	w.write("app.log", "third\n")
	w.copyTruncate("app.log", "app.log.1")
	w.write("app.log", "four\n")
	w.expectAnyOrder("four", "third") // the copy was read already, but for its end
	w.quiet(120 * time.Millisecond)
}

func TestTruncatedAndGrownBeyond(t *testing.T) {
	w := newWorker(t, nil)
	w.write("app.log", "aaaa aaaa aaaa\n")
	w.expect("aaaa aaaa aaaa")
	w.stop()
	if err := os.WriteFile(w.path("app.log"), []byte("bbbb bbbb bbbb\nmore\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.expect("bbbb bbbb bbbb", "more")
}

func TestDeletedFilesAreForgotten(t *testing.T) {
	w := newWorker(t, nil)
	w.write("a.log", "1\n")
	w.expect("1")
	if len(w.stored) != 2 {
		t.Fatalf("stored offsets are %v", w.stored)
	}
	if err := os.Remove(w.path("a.log")); err != nil {
		t.Fatal(err)
	}
	for n := range 100 {
		if w.poll(20*time.Millisecond, true); len(w.stored) == 1 {
			break
		}
		if n == 20 { // it may be found compressed before
			w.later()
		}
	}
	if len(w.stored) != 1 || len(w.task.files) != 0 {
		t.Errorf("stored offsets are %v, files %v", w.stored, w.task.files)
	}
}

func TestLongLines(t *testing.T) {
	for _, tt := range []struct {
		mode string
		want []string
	}{
		{"truncate", []string{"ok", "0123456789", "end"}}, {"skip", []string{"ok", "end"}},
		{"split", []string{"ok", "0123456789", "0123456789", "01234", "end"}},
	} {
		t.Run(tt.mode, func(t *testing.T) {
			w := newWorker(t, map[string]string{"max.line.bytes": "10", "long.line": tt.mode})
			w.write("a.log", "ok\n"+strings.Repeat("0123456789", 2)+"01234\nend\n")
			w.expect(tt.want...)
		})
	}
}

func TestGroups(t *testing.T) {
	for _, tt := range []struct {
		name, start, condition, mode string
		text                         string
		want                         []string
	}{
		{"stack trace", `^\S`, `^\s`, "continue_through", "a\n at x\n at y\nb\nc\n", []string{"a\n at x\n at y", "b", "c"}},
		{"backslash", `\\$`, `\\$`, "continue_past", "a\\\nb\\\nc\nd\n", []string{"a\\\nb\\\nc", "d"}},
		{"until the next", `^BEGIN`, `^BEGIN`, "halt_before", "BEGIN 1\nx\nBEGIN 2\ny\n", []string{"BEGIN 1\nx", "BEGIN 2\ny"}},
		{"until the end", `^BEGIN`, `^END`, "halt_with", "BEGIN\nx\nEND\nlone\n", []string{"BEGIN\nx\nEND", "lone"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorker(t, map[string]string{
				"multiline.start.pattern": tt.start, "multiline.condition.pattern": tt.condition, "multiline.mode": tt.mode, "multiline.timeout.ms": "20",
			})
			w.write("a.log", tt.text)
			w.expect(tt.want...)
		})
	}
}

func TestOpenFilesAreBounded(t *testing.T) {
	w := newWorker(t, map[string]string{"max.open.files": "2"})
	want := map[string]bool{}
	for i := range 10 {
		w.write(fmt.Sprintf("f%d.log", i), fmt.Sprintf("line %d\n", i))
		want[fmt.Sprintf("line %d", i)] = true
	}
	for len(want) > 0 {
		lines, ok := w.poll(5*time.Second, true)
		if !ok {
			t.Fatalf("%v never came", want)
		}
		for _, l := range lines {
			delete(want, l)
		}
		if n := len(w.task.opened); n > 2 {
			t.Fatalf("%d files are open", n)
		}
	}
}

func TestRecordShape(t *testing.T) {
	w := newWorker(t, map[string]string{"topic": "logs.${file.name}", "key": "file.path"})
	w.write("my app.log", "x\ny\n")
	w.start()
	var b data.Batch
	for len(b.Records) == 0 { // the list of files comes first
		b = data.Batch{}
		if err := w.task.PollBatch(t.Context(), &b); err != nil {
			t.Fatal(err)
		}
	}
	r := b.Records[1]
	key, _ := r.Key.Value()
	if r.Topic != "logs.my_app.log" || key != w.path("my app.log") {
		t.Errorf("topic %q, key %q", r.Topic, key)
	}
	got := map[string]any{}
	for _, h := range r.Headers {
		got[h.Name], _ = h.Value.Value()
	}
	if got["file.name"] != "my app.log" || got["file.offset"] != int64(2) || got["host"] != "h" || got["file.path"] != key {
		t.Errorf("headers are %v", got)
	}
}

// TestNothingIsLost writes, rotates and crashes at random. Every line must
// come at least once, and those whose offsets were stored only once.
func TestNothingIsLost(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	rnd := rand.New(rand.NewPCG(seed, 0))
	w := newWorker(t, map[string]string{"fingerprint.bytes": "64"})
	stored := map[string]int{}
	written, rotation := 0, 0
	for step := range 300 {
		switch n := rnd.IntN(10); {
		case n < 5:
			var text strings.Builder
			for range rnd.IntN(5) {
				written++
				fmt.Fprintf(&text, "line number %d of this test\n", written)
			}
			w.write("app.log", text.String())
		case n == 5 && step%3 == 0:
			if _, err := os.Stat(w.path("app.log")); err == nil {
				rotation++
				w.rename("app.log", fmt.Sprintf("app.log.%d", rotation))
			}
		case n == 6:
			w.poll(20*time.Millisecond, false)
			w.stop()
		default:
			lines, _ := w.poll(20*time.Millisecond, true)
			for _, l := range lines {
				stored[l]++
			}
		}
	}
	for deadline := time.Now().Add(10 * time.Second); len(stored) < written && time.Now().Before(deadline); {
		lines, _ := w.poll(100*time.Millisecond, true)
		for _, l := range lines {
			stored[l]++
		}
	}
	for i := 1; i <= written; i++ {
		if n := stored[fmt.Sprintf("line number %d of this test", i)]; n != 1 {
			t.Errorf("seed %d: line %d came %d times", seed, i, n)
		}
	}
}

func TestGlob(t *testing.T) {
	for _, tt := range []struct {
		pattern, path string
		want          bool
	}{
		{"/a/*.log", "/a/x.log", true}, {"/a/*.log", "/a/b/x.log", false}, {"/a/**/*.log", "/a/b/c/x.log", true},
		{"/a/**/*.log", "/a/x.log", true}, {"/a/?.log", "/a/xy.log", false}, {"/a/[!x].log", "/a/y.log", true}, {"/a/b.log", "/a/b.log", true},
	} {
		g, err := compileGlob(tt.pattern)
		if err != nil {
			t.Fatal(err)
		}
		if got := g.re.MatchString(tt.path); got != tt.want {
			t.Errorf("%s on %s: %v", tt.pattern, tt.path, got)
		}
	}
	for _, bad := range []string{"relative/*.log", "/a/[x"} {
		if _, err := compileGlob(bad); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
	if err := (Source{}).ConfigDef().Check(); err != nil {
		t.Error(err)
	}
}
