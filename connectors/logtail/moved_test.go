package logtail

import (
	"os"
	"testing"
	"time"
)

// TestPathsThatMoveOn has rotation give a path to another file between the look
// at it and its opening: nothing is learnt of it then, and what is known of the
// first one stays.
func TestPathsThatMoveOn(t *testing.T) {
	w := newWorker(t, map[string]string{"discovery.interval.ms": "3600000"})
	text, lines := numbered(0, 20)
	w.write("one", text)
	w.pack("one", "app.log.1.gz", false)
	w.expect(lines...)
	f := w.task.files[0]
	other, otherLines := numbered(20, 60)
	w.write("two", other)
	w.pack("two", "app.log.2.gz", false)
	fi, err := os.Stat(w.path("app.log.1.gz"))
	if err != nil {
		t.Fatal(err)
	}
	s := newSighting(w.path("app.log.2.gz"), fi) // where it is not any more
	s.size, s.mtime = s.size+1, s.mtime+1        // it is looked into
	before := f.version()
	if got := w.task.changedUnread(f, s); got != unknown {
		t.Errorf("the file is %v, for the content of another", got)
	}
	// Nor is it taken for unchanged: the next look must look into it again.
	if w.task.sightAgain(f, s) || f.version() != before {
		t.Errorf("the file was %v and is %v, without a look into it", before, f.version())
	}
	if err := w.task.meet(s, nil, false); err != nil {
		t.Fatal(err)
	}
	if len(w.task.files) != 1 {
		t.Errorf("%d files are followed, one of which is made of two", len(w.task.files))
	}
	w.stop()
	w.props["discovery.interval.ms"] = "1"
	w.expect(otherLines...)
	w.quiet(100 * time.Millisecond)
}

// TestLostBeforeItWasRead has what was read of a file known under two entries:
// the one it was read by, and one that lost its place before anything was. When
// the file turns up compressed it is the first, whichever is found first.
func TestLostBeforeItWasRead(t *testing.T) {
	for _, ghostFirst := range []bool{true, false} {
		w := newWorker(t, map[string]string{"fingerprint.bytes": "64", "discovery.interval.ms": "3600000"})
		text, lines := numbered(0, 30)
		w.write("app.log", text)
		w.expect(lines...)
		read := w.task.files[0]
		ghost := &file{id: newID(), path: read.path, origin: read.path, head: read.head, last: -1, ended: true, lost: time.Now()}
		if ghostFirst {
			w.task.heads.remove(read)
		}
		w.task.add(ghost)
		if ghostFirst {
			w.task.heads.add(read)
		}
		w.pack("app.log", "app.log.1.gz", false)
		w.task.detach(read)
		if err := w.task.scan(); err != nil {
			t.Fatal(err)
		}
		if read.path != w.path("app.log.1.gz") {
			t.Errorf("the compressed file is not the one that was read")
		}
		w.quiet(100 * time.Millisecond)
	}
}

// TestCompressedLongAfterItWasDeleted has a file that was read deleted, and the
// compressed one that was made of it found only when nothing more can come of
// it: directories that are rotated all the time hide files from the scans. A new
// file that begins alike is another one.
func TestCompressedLongAfterItWasDeleted(t *testing.T) {
	for _, compressed := range []bool{true, false} {
		w := newWorker(t, nil)
		text, lines := numbered(0, 30)
		w.write("app.log", text)
		w.expect(lines...)
		w.pack("app.log", "hidden.gz", false)
		for !w.task.files[0].deleted {
			w.poll(20*time.Millisecond, true)
		}
		if compressed {
			w.rename("hidden.gz", "app.log.7.gz")
			w.quiet(100 * time.Millisecond)
			continue
		}
		w.write("app.log", text)
		w.expect(lines...)
	}
}
