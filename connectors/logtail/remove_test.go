package logtail

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"
	"time"
)

func (w *worker) exists(name string) bool {
	w.t.Helper()
	_, err := os.Lstat(w.path(name))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		w.t.Fatal(err)
	}
	return err == nil
}

// goes polls until a file is deleted.
func (w *worker) goes(name string) {
	w.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); w.exists(name); {
		if lines, _ := w.poll(20*time.Millisecond, true); len(lines) > 0 {
			w.t.Fatalf("unexpected lines %q", lines)
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("%s is still there", name)
		}
	}
}

// TestDeletesWhatIsStored holds that a file goes when its last line is stored,
// and not when it was read; that empty files and half lines stay; and that
// nothing is left of it, in the directory or among the offsets.
func TestDeletesWhatIsStored(t *testing.T) {
	w := newWorker(t, map[string]string{"delete.after.ms": "0", "compression": "auto"})
	w.write("a.log", "1\n2\n")
	w.write("empty.log", "")
	w.write("half.log", "no end yet")
	for range 5 { // read, but not stored
		w.poll(20*time.Millisecond, false)
	}
	if !w.exists("a.log") {
		t.Fatal("the file is gone before its offset was stored")
	}
	w.stop() // and so it is read again
	w.expect("1", "2")
	w.goes("a.log")
	w.write("b.log", "3\n")
	w.pack("b.log", "c.log.gz", false)
	w.expect("3")
	w.goes("c.log.gz")
	if n := w.task.count.deleted.Value(); n != 2 {
		t.Errorf("%d files are counted", n)
	}
	for n := range 100 {
		if w.poll(20*time.Millisecond, true); len(w.task.files) == 2 {
			break
		}
		if n == 20 {
			w.later()
		}
	}
	if len(w.task.files) != 2 || len(w.stored) != 3 { // and the list
		t.Errorf("%d files are followed, offsets are %v", len(w.task.files), w.stored)
	}
	if entries, err := os.ReadDir(w.dir); err != nil || len(entries) != 2 {
		t.Errorf("in the directory are %v, %v", entries, err)
	}
}

func TestDeletesOldFilesOnly(t *testing.T) {
	w := newWorker(t, map[string]string{"delete.after.ms": "3600000"})
	w.write("a.log", "1\n")
	w.expect("1")
	w.quiet(50 * time.Millisecond)
	if !w.exists("a.log") {
		t.Fatal("a young file is deleted")
	}
	old := time.Now().Add(-2 * time.Hour)
	if err := os.Chtimes(w.path("a.log"), old, old); err != nil {
		t.Fatal(err)
	}
	w.stop()
	w.goes("a.log") // also by a task that did not read it
}

// TestDeletedWhileItIsWritten reads what a program writes to a file that it has
// open when it is deleted.
func TestDeletedWhileItIsWritten(t *testing.T) {
	w := newWorker(t, map[string]string{"delete.after.ms": "0", "rotate.wait.ms": "500"})
	f, err := os.Create(w.path("a.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString("1\n"); err != nil {
		t.Fatal(err)
	}
	w.expect("1")
	w.goes("a.log")
	if _, err := f.WriteString("2\n"); err != nil {
		t.Fatal(err)
	}
	w.expect("2")
}

// TestAnotherFileIsNotDeleted has another file take the path, or the file grow,
// when it is about to be deleted.
func TestAnotherFileIsNotDeleted(t *testing.T) {
	for _, change := range []func(*worker){
		func(w *worker) { w.write("other", "3\n"); w.rename("other", "a.log") },
		func(w *worker) { w.write("a.log", "3\n") },
	} {
		w := newWorker(t, map[string]string{"delete.after.ms": "3600000", "discovery.interval.ms": "3600000"})
		w.write("a.log", "1\n2\n")
		w.expect("1", "2")
		change(w)
		if err := w.task.deleteFile(w.task.files[0]); err != nil {
			t.Fatal(err)
		}
		if b, err := os.ReadFile(w.path("a.log")); err != nil || !strings.HasSuffix(string(b), "3\n") {
			t.Errorf("at the path is %q, %v", b, err)
		}
		w.expect("3")
		if entries, err := os.ReadDir(w.dir); err != nil || len(entries) != 1 {
			t.Errorf("in the directory are %v, %v", entries, err)
		}
	}
}

func TestDeletingNeedsToReadAll(t *testing.T) {
	cfg, _ := Source{}.ConfigDef().Parse(map[string]string{"include": "/x/*", "topic": "t", "delete.after.ms": "1"})
	if problems := (Source{}).Validate(t.Context(), cfg); len(problems) != 1 || problems[0].Key != "delete.after.ms" {
		t.Errorf("problems are %v", problems)
	}
}
