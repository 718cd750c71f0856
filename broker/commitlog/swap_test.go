package commitlog

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/broker/recordbatch"
)

// wantTidy fails when a file of a replacement is left, or an index is missing.
func wantTidy(t testing.TB, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		for _, suffix := range []string{cleanedSuffix, swapSuffix, deletedSuffix} {
			if strings.HasSuffix(e.Name(), suffix) {
				t.Errorf("%s is left", e.Name())
			}
		}
	}
}

// newest returns the newest value of every key, and fails if offsets do not
// rise.
func newest(t testing.TB, l *Log) map[string]string {
	t.Helper()
	out, last := map[string]string{}, int64(-1)
	for b := readAll(t, l, l.StartOffset(), l.EndOffset(), 1<<20); len(b) > 0; {
		v, rest, err := recordbatch.Parse(b)
		if err != nil {
			t.Fatal(err)
		}
		for r, err := range v.Records(1 << 20) {
			if err != nil || r.Offset <= last {
				t.Fatalf("record at %d after %d: %v", r.Offset, last, err)
			}
			last = r.Offset
			out[string(r.Key)] = fmt.Sprint(r.Offset, string(r.Value))
		}
		b = rest
	}
	return out
}

// TestCrashAtEveryStep loses power before every single change that a round of
// compaction makes, of several segments into several.
func TestCrashAtEveryStep(t *testing.T) {
	clock := &testClock{time.UnixMilli(1000)}
	cfg := compacting(clock)
	cfg.SegmentBytes, cfg.IndexIntervalBytes = 1500, 100
	src := mustOpen(t, t.TempDir(), cfg)
	for i := range 60 {
		put(t, src, keyed(t, int64(i), recordbatch.Producer{ID: int64(1 + i%3), BaseSequence: int32(i / 3 * 2)},
			kv{fmt.Sprint("often", i%3), fmt.Sprint(i)}, kv{fmt.Sprint("seldom", i%25), strings.Repeat("v", 30)}))
	}
	rollAll(t, src)
	if n := src.Stats().Segments; n < 5 {
		t.Fatalf("only %d segments", n)
	}
	want, producers := newest(t, src), fmt.Sprint(src.Producers())
	if err := src.Close(); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "log")
	finished := 0
	for n := 0; finished < 2; n++ {
		if err := copyTo(src.Dir(), dir); err != nil {
			t.Fatal(err)
		}
		disk := &crashFS{left: -1, loose: map[string]bool{}}
		crashing := cfg
		crashing.FS = disk
		l := mustOpen(t, dir, crashing)
		l.SetHighWatermark(l.EndOffset())
		disk.left = n
		s, err := NewCleaner(CleanerConfig{}).Clean(t.Context(), l)
		if err == nil {
			finished++
		}
		if got := newest(t, l); fmt.Sprint(got) != fmt.Sprint(want) { // by those who have it open
			t.Fatalf("crash before change %d (%v): the open log holds %v, want %v", n, err, got, want)
		}
		disk.left = 0
		l.Close() // writes nothing any more
		if err := disk.lose(); err != nil {
			t.Fatal(err)
		}
		l = mustOpen(t, dir, cfg)
		wantTidy(t, dir)
		if got := newest(t, l); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("crash before change %d: log holds %v, want %v", n, got, want)
		}
		if l.EndOffset() != 120 || fmt.Sprint(l.Producers()) != producers {
			t.Fatalf("crash before change %d: end %d, producers %v, want %s", n, l.EndOffset(), l.Producers(), producers)
		}
		for offset := range int64(120) {
			c, err := l.Read(offset, 1, 120, true)
			if err != nil || c.Len() == 0 {
				t.Fatalf("crash before change %d: read at %d gives %d bytes, %v", n, offset, c.Len(), err)
			}
			c.Close()
		}
		l.SetHighWatermark(120)
		before := s
		if s = clean(t, l); err == nil && s.SegmentsBefore > 0 {
			t.Fatalf("cleaned %+v after %+v", s, before)
		}
		if got := newest(t, l); fmt.Sprint(got) != fmt.Sprint(want) || l.Size() > 3000 {
			t.Fatalf("crash before change %d, then cleaned to %d bytes: %v, want %v", n, l.Size(), got, want)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestSwapFilesOfAnotherBroker finishes, or forgets, what Kafka leaves behind.
func TestSwapFilesOfAnotherBroker(t *testing.T) {
	clock := &testClock{time.UnixMilli(1000)}
	l := mustOpen(t, t.TempDir(), compacting(clock))
	for range 3 {
		put(t, l, keyed(t, 1, recordbatch.NoProducer, kv{"a", "old"}))
		rollAll(t, l)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	fresh := keyed(t, 1, recordbatch.NoProducer, kv{"a", "new"})
	fresh.SetBaseOffset(1)
	fresh.SetLeaderEpoch(0)
	for _, tt := range []struct {
		name  string
		files map[string][]byte
		want  string
	}{
		{"a complete one", map[string][]byte{fileName(0, logSuffix) + swapSuffix: fresh}, "1:a=new 2:a=old"},
		{"one that was being prepared", map[string][]byte{
			fileName(0, logSuffix) + swapSuffix: fresh, fileName(0, indexSuffix) + cleanedSuffix: nil,
		}, "0:a=old 1:a=old 2:a=old"},
		{"an index only", map[string][]byte{fileName(0, indexSuffix) + swapSuffix: nil}, "0:a=old 1:a=old 2:a=old"},
		{"an empty one", map[string][]byte{fileName(0, logSuffix) + swapSuffix: nil}, "1:a=old 2:a=old"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "log")
			if err := copyTo(l.Dir(), dir); err != nil {
				t.Fatal(err)
			}
			for name, b := range tt.files {
				if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			r := mustOpen(t, dir, compacting(clock))
			want(t, r, "opened", tt.want)
			wantTidy(t, dir)
			if r.EndOffset() != 3 {
				t.Errorf("log ends at %d, want 3", r.EndOffset())
			}
		})
	}
	torn := filepath.Join(l.Dir(), fileName(0, logSuffix)+swapSuffix)
	if err := os.WriteFile(torn, fresh[:50], 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(l.Dir(), compacting(clock)); err == nil || !strings.Contains(err.Error(), torn) {
		t.Errorf("Open with a torn swap file: %v", err)
	}
}

// TestSwapIsDurableInOrder fixes what recovery relies on.
func TestSwapIsDurableInOrder(t *testing.T) {
	f := &faults{noSync: true}
	cfg := compacting(&testClock{time.UnixMilli(1)})
	cfg.FS = faultFS{OSFS{}, f}
	l := mustOpen(t, t.TempDir(), cfg)
	put(t, l, keyed(t, 1, recordbatch.NoProducer, kv{"a", "1"}, kv{"a", "2"}))
	rollAll(t, l)
	old := time.Now().Add(-time.Hour).Truncate(time.Second)
	if err := os.Chtimes(filepath.Join(l.Dir(), fileName(0, logSuffix)), old, old); err != nil {
		t.Fatal(err)
	}
	f.set(func(f *faults) { f.events = nil })
	clean(t, l)
	name := fileName(0, logSuffix)
	want := []string{
		"fdatasync " + name + cleanedSuffix, "fdatasync " + fileName(0, indexSuffix) + cleanedSuffix,
		"rename " + name + swapSuffix, "sync dir .",
		"rename " + name + deletedSuffix, "sync dir .",
		"rename " + name, "sync dir .",
		"rename " + checkpointFile,
	}
	at := 0
	for _, e := range f.events {
		if at < len(want) && e == want[at] {
			at++
		}
	}
	if at < len(want) {
		t.Errorf("%q does not follow in\n%s", want[at], strings.Join(f.events, "\n"))
	}
	if got, err := cfg.FS.ModTime(filepath.Join(l.Dir(), name)); err != nil || !got.Equal(old) {
		t.Errorf("the cleaned segment was written at %v, %v, want %v", got, err, old)
	}
}
