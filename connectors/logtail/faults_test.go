package logtail

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/millrace/millrace/plugins/data"
	"github.com/millrace/millrace/plugins/sdk"
)

// pack compresses a file, as logrotate does: the original goes when the other
// is complete.
func (w *worker) pack(from, to string, keep bool) {
	w.t.Helper()
	b, err := os.ReadFile(w.path(from))
	if err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(w.path(to), packed(w.t, to, b), 0o600); err != nil {
		w.t.Fatal(err)
	}
	if !keep {
		w.remove(from)
	}
}

func (w *worker) remove(name string) {
	w.t.Helper()
	if err := os.Remove(w.path(name)); err != nil {
		w.t.Fatal(err)
	}
}

func packed(t testing.TB, name string, content []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	var err error
	if strings.HasSuffix(name, ".gz") {
		z := gzip.NewWriter(&b)
		_, err = z.Write(content)
		err = errors.Join(err, z.Close())
	} else {
		var z *zstd.Encoder
		if z, err = zstd.NewWriter(&b); err == nil {
			_, err = z.Write(content)
			err = errors.Join(err, z.Close())
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// numbered returns lines with numbers, which no other numbers have.
func numbered(from, to int) (text string, lines []string) {
	for i := from; i < to; i++ {
		lines = append(lines, fmt.Sprintf("this is line number %06d of the test", i))
	}
	return strings.Join(lines, "\n") + "\n", lines
}

// TestCompressedFilesAreReadOnce rotates into compressed files, seen and
// unseen: what was read before it was compressed does not come again, what was
// not comes once.
func TestCompressedFilesAreReadOnce(t *testing.T) {
	for _, ext := range []string{".gz", ".zst"} {
		t.Run(ext, func(t *testing.T) {
			w := newWorker(t, map[string]string{"fingerprint.bytes": "64"})
			text, lines := numbered(0, 100)
			w.write("app.log", text)
			w.expect(lines...)
			w.rename("app.log", "app.log.1")
			more, moreLines := numbered(100, 120)
			w.write("app.log", more)
			w.expect(moreLines...)
			w.pack("app.log.1", "app.log.2"+ext, true)
			w.quiet(120 * time.Millisecond) // both are there for a while
			w.remove("app.log.1")
			w.quiet(150 * time.Millisecond)
			w.stop()
			// Written, rotated and compressed while nobody looks.
			rest, restLines := numbered(120, 140)
			w.write("app.log", rest)
			w.pack("app.log", "app.log.1"+ext, false)
			newest, newestLines := numbered(140, 150)
			w.write("app.log", newest)
			w.expectAnyOrder(append(restLines, newestLines...)...)
			w.quiet(120 * time.Millisecond)
			// One that was never seen plain.
			old, oldLines := numbered(1000, 1200)
			if err := os.WriteFile(w.path("old.log"+ext), packed(t, ext, []byte(strings.TrimSuffix(old, "\n"))), 0o600); err != nil {
				t.Fatal(err)
			}
			w.expect(oldLines...) // the last one has no end, and will get none
			w.stop()
			w.quiet(120 * time.Millisecond)
		})
	}
}

// TestUnfinishedCompressedFile holds that a compressed file which is being
// written is read when it is whole, each line once.
func TestUnfinishedCompressedFile(t *testing.T) {
	w := newWorker(t, nil)
	text, lines := numbered(0, 20000)
	whole := packed(t, ".gz", []byte(text))
	if err := os.WriteFile(w.path("a.log.gz"), whole[:len(whole)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	var got []string
	for end := time.Now().Add(300 * time.Millisecond); time.Now().Before(end); {
		some, _ := w.poll(time.Until(end), true)
		got = append(got, some...)
	}
	f, err := os.OpenFile(w.path("a.log.gz"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.Write(whole[len(whole)/2:])
	if err = errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	if got = append(got, w.take(len(lines)-len(got))...); !slices.Equal(got, lines) {
		t.Errorf("%d lines came, want %d", len(got), len(lines))
	}
}

func TestCompressionIsSwitchedOff(t *testing.T) {
	w := newWorker(t, map[string]string{"compression": "zstd", "exclude": "DIR/*.gz"})
	w.write("a.log", "x\n")
	w.pack("a.log", "a.log.gz", false)
	w.write("b.log", "y\n")
	w.expect("y")
	w.quiet(50 * time.Millisecond)
}

// TestRotatedTwiceUnseen rotates twice between two looks, under names that are
// not included: the middle file was never seen under its own.
func TestRotatedTwiceUnseen(t *testing.T) {
	for _, restart := range []bool{false, true} {
		w := newWorker(t, map[string]string{"include": "DIR/app.log", "discovery.interval.ms": "60000"})
		w.write("app.log", "1\n2\n")
		w.expect("1", "2")
		if restart {
			w.stop()
		}
		w.write("app.log", "3\n")
		w.rename("app.log", "app.log.1")
		w.write("app.log", "4\n5\n")
		w.rename("app.log.1", "app.log.2")
		w.rename("app.log", "app.log.1")
		w.write("app.log", "6\n")
		w.expectAnyOrder("3", "4", "5", "6")
		w.quiet(100 * time.Millisecond)
	}
}

// TestCopyTruncateTwiceUnseen is the same with copies.
func TestCopyTruncateTwiceUnseen(t *testing.T) {
	w := newWorker(t, map[string]string{"include": "DIR/app.log"})
	text, lines := numbered(0, 50)
	w.write("app.log", text)
	w.expect(lines...)
	w.stop()
	more, moreLines := numbered(50, 60)
	w.write("app.log", more)
	w.copyTruncate("app.log", "app.log.1")
	third, thirdLines := numbered(60, 70)
	w.write("app.log", third)
	w.rename("app.log.1", "app.log.2")
	w.copyTruncate("app.log", "app.log.1")
	last, lastLines := numbered(70, 75)
	w.write("app.log", last)
	w.expectAnyOrder(slices.Concat(moreLines, thirdLines, lastLines)...)
	w.quiet(120 * time.Millisecond)
}

func TestReplacedAndDeleted(t *testing.T) {
	w := newWorker(t, nil)
	w.write("app.log", "1\n")
	w.expect("1")
	// Another file takes the name; the first one is gone.
	w.write("new", "a longer line than the first\n")
	w.rename("new", "app.log")
	w.expect("a longer line than the first")
	// Deleted while it is open, and what is written then is read to its end.
	f, err := os.OpenFile(w.path("app.log"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w.remove("app.log")
	if _, err := f.WriteString("after the end\nand no end of line"); err != nil {
		t.Fatal(err)
	}
	w.expect("after the end", "and no end of line")
	for n := range 100 {
		if w.poll(20*time.Millisecond, true); len(w.task.files) == 0 {
			return
		}
		if n == 20 {
			w.later()
		}
	}
	t.Errorf("%d files are remembered", len(w.task.files))
}

// TestCopiesAreNotRead holds that the copy of a file that goes on is not read,
// until it goes on for itself.
func TestCopiesAreNotRead(t *testing.T) {
	w := newWorker(t, map[string]string{"fingerprint.bytes": "64"})
	text, lines := numbered(0, 30)
	w.write("app.log", text)
	w.expect(lines...)
	b, err := os.ReadFile(w.path("app.log"))
	if err == nil {
		err = os.WriteFile(w.path("copy.log"), b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	w.quiet(120 * time.Millisecond)
	w.write("app.log", "more of the first\n")
	w.expect("more of the first")
	w.write("copy.log", "the copy goes its own way, and is longer than the first one\n")
	w.expectAnyOrder("the copy goes its own way, and is longer than the first one")
}

// TestCopySeenEmpty holds that a copy which was seen before anything was in it
// is known for one.
func TestCopySeenEmpty(t *testing.T) {
	w := newWorker(t, map[string]string{"fingerprint.bytes": "64"})
	text, lines := numbered(0, 30)
	w.write("app.log", text)
	w.expect(lines...)
	w.write("app.log.1", "")
	w.quiet(50 * time.Millisecond)
	w.write("app.log", "this came just before the file was copied and truncated\n")
	w.copyTruncate("app.log", "app.log.1")
	w.write("app.log", "and this after it, in a line that is as long as some others\n")
	w.expectAnyOrder("and this after it, in a line that is as long as some others", "this came just before the file was copied and truncated")
	w.quiet(150 * time.Millisecond)
}

// TestCopyWrittenAnew writes another content of the same size where a copy was:
// in place, as an inode that is used again makes it look.
func TestCopyWrittenAnew(t *testing.T) {
	w := newWorker(t, map[string]string{"fingerprint.bytes": "64"})
	text, lines := numbered(0, 30)
	w.write("app.log", text)
	w.expect(lines...)
	w.write("copy.log", text)
	w.quiet(150 * time.Millisecond)
	other, otherLines := numbered(100, 130)
	if err := os.WriteFile(w.path("copy.log"), []byte(other), 0o600); err != nil {
		t.Fatal(err)
	}
	w.expect(otherLines...)
	w.quiet(120 * time.Millisecond)
}

// TestFilesThatBeginAlike holds that short files which are alike are each read.
func TestFilesThatBeginAlike(t *testing.T) {
	w := newWorker(t, nil)
	w.write("a.log", "starting\n")
	w.write("b.log", "starting\n")
	w.expectAnyOrder("starting", "starting")
	w.write("b.log", "b\n")
	w.write("a.log", "a\n")
	w.expectAnyOrder("a", "b")
	w.quiet(120 * time.Millisecond)
}

// TestNotFiles holds that what matches and is no regular file is passed over,
// with a warning and a count, and holds nothing up.
func TestNotFiles(t *testing.T) {
	w := newWorker(t, nil)
	if err := errors.Join(syscall.Mkfifo(w.path("fifo.log"), 0o600), os.Mkdir(w.path("dir.log"), 0o700), os.Symlink("/dev/zero", w.path("zero.log")),
		os.Symlink("nowhere", w.path("gone.log"))); err != nil {
		t.Fatal(err)
	}
	w.write("a.log", "x\n")
	w.expect("x")
	if n := w.task.count.errors.Value(); n != 2 { // directories are looked into
		t.Errorf("%d errors are counted, want those of the pipe and the device", n)
	}
}

// TestHugeLine sends a line of 100 MB through each policy, in bounded memory.
func TestHugeLine(t *testing.T) {
	const size = 100 << 20
	for policy, want := range map[string]int{"truncate": 3, "skip": 2} {
		t.Run(policy, func(t *testing.T) {
			w := newWorker(t, map[string]string{"long.line": policy, "max.line.bytes": "65536"})
			f, err := os.Create(w.path("a.log"))
			if err != nil {
				t.Fatal(err)
			}
			part := bytes.Repeat([]byte("x"), 1<<20)
			for range size >> 20 {
				if _, err := f.Write(part); err != nil {
					t.Fatal(err)
				}
			}
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
			w.write("b.log", "meanwhile\n")
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			w.write("a.log", "\nnext\n")
			got := w.take(want)
			runtime.ReadMemStats(&after)
			if len(got) != want || !slices.Contains(got, "meanwhile") || got[len(got)-1] != "next" {
				t.Errorf("%d lines came", len(got))
			}
			if grown := int64(after.HeapSys) - int64(before.HeapSys); grown > 16<<20 {
				t.Errorf("the heap grew by %d bytes", grown)
			}
			if n := w.task.count.dropped.Value() + w.task.count.truncated.Value(); n != 1 {
				t.Errorf("%d long lines are counted", n)
			}
			if n := w.task.count.oversized.Value(); n != size+1 && n != size+1-65536 {
				t.Errorf("%d bytes are counted as left out", n)
			}
		})
	}
	t.Run("fail", func(t *testing.T) {
		w := newWorker(t, map[string]string{"long.line": "fail", "max.line.bytes": "10"})
		w.write("a.log", "before\n01234567890\n")
		w.expect("before") // is delivered first
		err := w.task.PollBatch(t.Context(), &data.Batch{})
		if e := (*sdk.Error)(nil); !errors.As(err, &e) || !strings.Contains(err.Error(), "a.log has a line of more than 10 bytes at 7") {
			t.Errorf("the error is %v", err)
		}
	})
}

func TestInvalidText(t *testing.T) {
	w := newWorker(t, nil)
	w.write("a.log", "a\xff\xfeb\nfine\n\xc3\n")
	w.expect("a\uFFFDb", "fine", "\uFFFD")
	if n := w.task.count.invalid.Value(); n != 2 {
		t.Errorf("%d lines are counted", n)
	}
}

func TestEncodedFiles(t *testing.T) {
	for _, tt := range []struct{ encoding, first, second string }{
		{"utf-16", "\xff\xfea\x00\r\x00\n\x00", "\xe4\x00\n\x00"}, {"utf-16", "\xfe\xff\x00a\x00\r\x00\n", "\x00\xe4\x00\n"},
		{"utf-16le", "a\x00\n\x00", "\xe4\x00\n\x00"}, {"latin-1", "a\n", "\xe4\n"}, {"utf-8", "\xef\xbb\xbfa\n", "ä\n"},
	} {
		w := newWorker(t, map[string]string{"encoding": tt.encoding})
		w.write("a.log", tt.first+tt.second[:1])
		w.expect("a")
		w.stop() // the mark at the beginning counts after a restart, too
		w.write("a.log", tt.second[1:])
		w.expect("ä")
	}
}

func TestUnreadableFile(t *testing.T) {
	if os.Getuid() == 0 {
		// Root reads everything: a file that fails otherwise is a corrupt one.
		w := newWorker(t, nil)
		w.write("bad.log.gz", "\x1f\x8b\x08\x00rubbish that is no deflate stream at all, for sure")
		w.write("a.log", "x\n")
		w.expect("x")
		if n := w.task.count.errors.Value(); n == 0 {
			t.Error("the file that cannot be read is not counted")
		}
		return
	}
	w := newWorker(t, nil)
	w.write("bad.log", "secret\n")
	if err := os.Chmod(w.path("bad.log"), 0); err != nil {
		t.Fatal(err)
	}
	w.write("a.log", "x\n")
	w.expect("x")
	if n := w.task.count.errors.Value(); n == 0 {
		t.Error("the file that cannot be read is not counted")
	}
}

func TestPartialLines(t *testing.T) {
	w := newWorker(t, map[string]string{"flush.partial.ms": "30"})
	w.write("a.log", "one\nhalf")
	w.expect("one", "half")
	w.write("a.log", " more\n")
	w.expect(" more")
}

func TestOldFilesAreIgnored(t *testing.T) {
	w := newWorker(t, map[string]string{"ignore.older.ms": "60000"})
	w.write("old.log", "x\n")
	if err := os.Chtimes(w.path("old.log"), time.Time{}, time.Now().Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	w.write("new.log", "y\n")
	w.expect("y")
	w.quiet(50 * time.Millisecond)
	w.write("old.log", "z\n") // now it is one that is written to
	w.expect("x", "z")
}

func TestGroupsSurviveCrashes(t *testing.T) {
	w := newWorker(t, map[string]string{"multiline.start.pattern": `^\S`, "multiline.timeout.ms": "300"})
	w.write("a.log", "one\n two\n")
	w.quiet(50 * time.Millisecond)
	w.stop()
	w.write("a.log", " three\nnext\n")
	w.expect("one\n two\n three")
	w.stop()
	w.expect("next")
}

func TestContainerPieces(t *testing.T) {
	w := newWorker(t, map[string]string{"parser": "cri"})
	w.write("a.log", "2016-10-06T00:17:09Z stdout P be\n")
	w.quiet(30 * time.Millisecond)
	w.stop()
	w.write("a.log", "2016-10-06T00:17:10Z stdout F gin\n2016-10-06T00:17:11Z stderr F x\n")
	var got []string
	for len(got) < 2 {
		got = append(got, w.values()...)
	}
	if want := []string{"Struct{time=1475713029000,stream=stdout,log=begin}", "Struct{time=1475713031000,stream=stderr,log=x}"}; !slices.Equal(got, want) {
		t.Errorf("messages are %q, want %q", got, want)
	}
}

// values polls once and returns values as text.
func (w *worker) values() []string {
	w.t.Helper()
	if w.task == nil {
		w.start()
	}
	var b data.Batch
	ctx, stop := context.WithTimeout(w.t.Context(), 10*time.Second)
	defer stop()
	if err := w.task.PollBatch(ctx, &b); err != nil {
		w.t.Fatal(err)
	}
	var out []string
	for _, r := range b.Records {
		v, err := r.Value.Value()
		if err != nil {
			w.t.Fatal(err)
		}
		text := data.Text(v)
		for _, h := range r.Headers {
			if h.Name == "parse.error" {
				e, err := h.Value.Value()
				if err != nil {
					w.t.Fatal(err)
				}
				text = r.Topic + ": " + text + " (" + data.Text(e) + ")"
			}
		}
		out = append(out, text)
	}
	return out
}

func TestLinesThatDoNotParse(t *testing.T) {
	const text = "{\"a\":1}\nnot json\n{\"a\":2}\n"
	for policy, want := range map[string][]string{
		"raw":  {"Struct{a=1}", "logs: not json (it is not JSON at byte 0: an object is wanted)", "Struct{a=2}"},
		"dlq":  {"Struct{a=1}", "bad: not json (it is not JSON at byte 0: an object is wanted)", "Struct{a=2}"},
		"drop": {"Struct{a=1}", "Struct{a=2}"},
	} {
		props := map[string]string{"parser": "json", "parser.fields": "a:int32", "parser.on.error": policy}
		if policy == "dlq" {
			props["parser.error.topic"] = "bad"
		}
		w := newWorker(t, props)
		w.write("a.log", text)
		var got []string
		for len(got) < len(want) {
			got = append(got, w.values()...)
		}
		dropped := 0
		if policy == "drop" {
			dropped = 1
		}
		if !slices.Equal(got, want) || w.task.count.unparsed.Value() != 1 || w.task.count.discarded.Value() != int64(dropped) {
			t.Errorf("%s: %q, want %q; %d failed, %d dropped", policy, got, want, w.task.count.unparsed.Value(), w.task.count.discarded.Value())
		}
	}
	w := newWorker(t, map[string]string{"parser": "json", "parser.fields": "a:int32", "parser.on.error": "fail"})
	w.write("a.log", text)
	var got []string
	for len(got) < 1 {
		got = append(got, w.values()...)
	}
	err := w.task.PollBatch(t.Context(), &data.Batch{})
	if err == nil || !strings.Contains(err.Error(), "a.log at 8: it is not JSON") {
		t.Errorf("after %q the error is %v", got, err)
	}
}

// TestManyFilesTakeTurns holds that a large file does not keep others waiting,
// and that thousands of files are followed with few open.
func TestManyFilesTakeTurns(t *testing.T) {
	w := newWorker(t, map[string]string{"max.open.files": "50", "max.read.bytes": "4096"})
	big, _ := numbered(0, 100000)
	w.write("0.log", big)
	const files = 2000
	for i := range files {
		w.write(fmt.Sprintf("f%d.log", i), fmt.Sprintf("of %d\n", i))
	}
	seen, large := map[string]bool{}, 0
	for len(seen) < files {
		lines, ok := w.poll(10*time.Second, true)
		if !ok {
			t.Fatalf("%d files were read", len(seen))
		}
		for _, l := range lines {
			if strings.HasPrefix(l, "of ") {
				seen[l] = true
			} else {
				large++
			}
		}
		if n := len(w.task.opened); n > 50 {
			t.Fatalf("%d files are open", n)
		}
	}
	if large >= 100000 {
		t.Error("the large file was read to its end first")
	}
	if n := len(w.task.shards); n != 3 {
		t.Errorf("the list of files is in %d parts", n)
	}
	w.stop()
	w.write("f7.log", "again\n")
	for left := 100000 - large; left > 0; {
		lines, ok := w.poll(10*time.Second, true)
		if !ok {
			t.Fatalf("%d lines are missing", left)
		}
		for _, l := range lines {
			if strings.HasPrefix(l, "of ") {
				t.Fatalf("%q comes again", l)
			}
			left--
		}
	}
}

// TestEverythingAtRandom writes, rotates in every way, compresses, copies and
// crashes at random. Every line must be stored exactly once.
func TestEverythingAtRandom(t *testing.T) {
	for _, include := range []string{"DIR/app.log*", "DIR/app.log"} {
		t.Run(filepath.Base(include), func(t *testing.T) {
			seed := uint64(time.Now().UnixNano())
			rnd := rand.New(rand.NewPCG(seed, 0))
			w := newWorker(t, map[string]string{"include": include, "fingerprint.bytes": "64"})
			// A file that is rotated to a name that is not included before it was
			// ever seen cannot be found.
			stored, next := map[string]int{}, 1
			text, first := numbered(0, next)
			w.write("app.log", text)
			w.expect(first...)
			stored[first[0]] = 1
			collect := func(d time.Duration, store bool) {
				lines, _ := w.poll(d, store)
				for _, l := range lines {
					if store {
						stored[l]++
					}
				}
			}
			for range 250 {
				switch n := rnd.IntN(12); n {
				case 0, 1, 2, 3, 4:
					more := 1 + rnd.IntN(20)
					text, _ := numbered(next, next+more)
					next += more
					w.write("app.log", text)
				case 5:
					w.rotate(rnd, include == "DIR/app.log*")
				case 6:
					collect(5*time.Millisecond, false)
					w.stop()
				default:
					collect(5*time.Millisecond, true)
				}
			}
			for deadline := time.Now().Add(10 * time.Second); len(stored) < next && time.Now().Before(deadline); {
				collect(100*time.Millisecond, true)
			}
			collect(100*time.Millisecond, true)
			_, all := numbered(0, next)
			for _, l := range all {
				if stored[l] != 1 {
					t.Fatalf("seed %d: %q came %d times; of %d lines %d came", seed, l, stored[l], next, len(stored))
				}
			}
		})
	}
}

// rotate moves the generations on as logrotate does: by renaming or copying,
// and perhaps compressing the one before. Where the rotated names are not
// included it renames alone: a copy, or a compressed file, of what was never
// seen cannot always be found under such a name.
func (w *worker) rotate(rnd *rand.Rand, included bool) {
	if fi, err := os.Stat(w.path("app.log")); err != nil || fi.Size() == 0 {
		return
	}
	for i := 8; i > 0; i-- {
		for _, ext := range []string{"", ".gz", ".zst"} {
			if _, err := os.Stat(w.path(fmt.Sprint("app.log.", i, ext))); err == nil {
				w.rename(fmt.Sprint("app.log.", i, ext), fmt.Sprint("app.log.", i+1, ext))
			}
		}
	}
	if rnd.IntN(2) == 0 || !included {
		w.rename("app.log", "app.log.1")
	} else {
		w.copyTruncate("app.log", "app.log.1")
	}
	if included && rnd.IntN(2) == 0 {
		if _, err := os.Stat(w.path("app.log.2")); err == nil {
			w.pack("app.log.2", "app.log.2"+[]string{".gz", ".zst"}[rnd.IntN(2)], false)
		}
	}
}
