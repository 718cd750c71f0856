package commitlog

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/broker/recordbatch"
)

// crash returns a copy of the log's directory as a killed process leaves it.
func crash(t testing.TB, l *Log) string {
	t.Helper()
	l.syncMu.Lock()
	defer l.syncMu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(l.dir)); err != nil {
		t.Fatal(err)
	}
	return to
}

func quiet() FS { return faultFS{FS: OSFS{}, faults: &faults{noSync: true}} }

// TestTornTail cuts, and damages, the last batch at every byte.
func TestTornTail(t *testing.T) {
	l := mustOpen(t, t.TempDir(), Config{FS: quiet()})
	for i := range 3 {
		mustAppend(t, l, batch{n: 2, size: 5, time: int64(1000 + i), producer: 7, seq: int32(2 * i)})
	}
	if err := l.WaitDurable(context.Background(), 4); err != nil {
		t.Fatal(err)
	}
	dir := crash(t, l)
	name := fileName(0, logSuffix)
	whole, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	last := len(whole) / 3 * 2
	open := func(content []byte) *Log {
		t.Helper()
		if err := os.RemoveAll(filepath.Join(dir, checkpointFile)); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			t.Fatal(err)
		}
		return mustOpen(t, dir, Config{FS: quiet()})
	}
	check := func(what string, at int, content []byte) {
		t.Helper()
		r := open(content)
		defer r.Close()
		if r.EndOffset() != 4 || r.Size() != int64(last) || r.DurableOffset() != 4 {
			t.Fatalf("%s at %d: end %d, %d bytes, durable %d; want 4, %d, 4", what, at, r.EndOffset(), r.Size(), r.DurableOffset(), last)
		}
		if ps := r.Producers(); len(ps) != 1 || ps[0].LastSequence != 3 {
			t.Fatalf("%s at %d: producers %+v", what, at, ps)
		}
		if a := mustAppend(t, r, batch{n: 2, producer: 7, seq: 4}); a.BaseOffset != 4 {
			t.Fatalf("%s at %d: next append at %d", what, at, a.BaseOffset)
		}
		if got := readAll(t, r, 0, 6, 1<<20); !bytes.Equal(got[:last], whole[:last]) {
			t.Fatalf("%s at %d: other bytes before the tail", what, at)
		}
	}
	for at := last; at < len(whole); at++ {
		check("cut", at, whole[:at])
		damaged := slices.Clone(whole)
		damaged[at] ^= 0x40
		if outside := at-last < 8 || at-last >= 12 && at-last < 16; !outside { // base offset and epoch have no checksum
			check("damage", at, damaged)
		}
		zero := append(slices.Clone(whole[:at]), make([]byte, 300)...)
		if at < len(whole)-1 {
			check("zero tail", at, zero)
		}
	}
	r := open(whole)
	if r.EndOffset() != 6 {
		t.Errorf("whole log ends at %d, want 6", r.EndOffset())
	}
}

func TestRecoveryDropsLaterSegments(t *testing.T) {
	l := mustOpen(t, t.TempDir(), Config{SegmentBytes: 200, FS: quiet()})
	for range 6 {
		mustAppend(t, l, batch{size: 60})
	}
	dir := crash(t, l)
	if err := os.RemoveAll(filepath.Join(dir, checkpointFile)); err != nil {
		t.Fatal(err)
	}
	damage(t, filepath.Join(dir, fileName(2, logSuffix)), 80)
	r := mustOpen(t, dir, Config{SegmentBytes: 200, FS: quiet()})
	if r.EndOffset() != 2 || r.Stats().Segments != 3 {
		t.Errorf("end %d with %d segments, want 2 with 3", r.EndOffset(), r.Stats().Segments)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if base, ok := parseName(e.Name(), logSuffix); ok && base > 2 {
			t.Errorf("%s is left", e.Name())
		}
	}
}

func damage(t testing.TB, path string, at int) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[at] ^= 1
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestRecoveryLooksOnlyAboveTheRecoveryPoint damages data below it, which a
// clean or recovered start must not pay to read.
func TestRecoveryLooksOnlyAboveTheRecoveryPoint(t *testing.T) {
	cfg := Config{SegmentBytes: 300, FS: quiet()}
	l := mustOpen(t, t.TempDir(), cfg)
	for range 8 {
		mustAppend(t, l, batch{size: 60})
	}
	if err := l.WaitDurable(context.Background(), 8); err != nil {
		t.Fatal(err)
	}
	dir := crash(t, l)
	damage(t, filepath.Join(dir, fileName(0, logSuffix)), 80)
	if r := mustOpen(t, dir, cfg); r.EndOffset() != 8 {
		t.Errorf("log ends at %d, want 8: a segment below the recovery point was checked", r.EndOffset())
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	active := l.active().base
	damage(t, filepath.Join(l.Dir(), fileName(active, logSuffix)), 80)
	r := mustOpen(t, l.Dir(), cfg)
	if r.EndOffset() != 8 {
		t.Errorf("log ends at %d after a clean close, want 8", r.EndOffset())
	}
}

// TestTruncationLowersTheRecoveryPoint writes other data where durable data
// was: nobody may vouch for it.
func TestTruncationLowersTheRecoveryPoint(t *testing.T) {
	cfg := Config{FS: quiet()}
	l := mustOpen(t, t.TempDir(), cfg)
	for range 4 {
		mustAppend(t, l, batch{size: 20})
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = mustOpen(t, l.Dir(), cfg)
	size := l.Size()
	if err := l.TruncateTo(2); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		mustAppend(t, l, batch{size: 20, time: 9})
	}
	if l.Size() != size {
		t.Fatalf("log has %d bytes, want the %d it had", l.Size(), size)
	}
	dir := crash(t, l)
	damage(t, filepath.Join(dir, fileName(0, logSuffix)), int(size)-1)
	if r := mustOpen(t, dir, cfg); r.EndOffset() != 3 {
		t.Errorf("log ends at %d, want 3: the damaged batch was above the recovery point", r.EndOffset())
	}
}

func TestIndexesAreRebuilt(t *testing.T) {
	cfg := Config{SegmentBytes: 1000, IndexIntervalBytes: 100, FS: quiet()}
	for _, tt := range []struct {
		name string
		harm func(path string) error
	}{
		{"removed", os.Remove},
		{"odd size", func(p string) error { return os.WriteFile(p, []byte("odd"), 0o644) }},
		{"beyond the segment", func(p string) error { return os.WriteFile(p, bytes.Repeat([]byte{0x7f}, 24), 0o644) }},
	} {
		for _, suffix := range []string{indexSuffix, timeSuffix} {
			l := mustOpen(t, t.TempDir(), cfg)
			for i := range 30 {
				mustAppend(t, l, batch{size: 60, time: int64(1000 * i)})
			}
			want := readAll(t, l, 0, 30, 1<<20)
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			for _, s := range *l.segments.Load() {
				if err := tt.harm(s.path(suffix)); err != nil {
					t.Fatal(err)
				}
			}
			r := mustOpen(t, l.Dir(), cfg)
			for at := range int64(30) {
				if got := readAll(t, r, at, 30, 500); !bytes.HasSuffix(want, got) || offsetsOf(t, got)[0] != at {
					t.Fatalf("%s %s: read from %d is wrong", suffix, tt.name, at)
				}
				if got, ok, err := r.OffsetForTimestamp(1000 * at); err != nil || !ok || got.Offset != at {
					t.Fatalf("%s %s: OffsetForTimestamp(%d) = %+v, %t, %v", suffix, tt.name, 1000*at, got, ok, err)
				}
			}
		}
	}
}

func TestOpenClearsLeftOvers(t *testing.T) {
	l := mustOpen(t, t.TempDir(), Config{})
	mustAppend(t, l, batch{})
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"00000000000000000000.log.deleted", "x.tmp", fileName(9, indexSuffix), fileName(9, timeSuffix), "00000000000000000009.log.cleaned"} {
		if err := os.WriteFile(filepath.Join(l.Dir(), name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	mustOpen(t, l.Dir(), Config{})
	entries, err := os.ReadDir(l.Dir())
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if leftOver(e.Name(), []int64{0}) {
			t.Errorf("%s is left", e.Name())
		}
	}
}

func TestOpenRefusesALogWithoutItsSegments(t *testing.T) {
	l := mustOpen(t, t.TempDir(), Config{})
	mustAppend(t, l, batch{})
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(l.Dir(), fileName(0, logSuffix))); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(l.Dir(), Config{}); err == nil {
		t.Error("a log whose segments are gone opens as if it had been empty")
	}
}

func TestTopicID(t *testing.T) {
	dir := t.TempDir()
	l := mustOpen(t, dir, Config{TopicID: [16]byte{1, 2}})
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(dir, metadataFile))
	if err != nil || string(b) != "version: 0\ntopic_id: AQIAAAAAAAAAAAAAAAAAAA\n" {
		t.Errorf("partition.metadata is %q, %v", b, err)
	}
	if _, err := Open(dir, Config{TopicID: [16]byte{3}}); !errors.Is(err, ErrTopicID) {
		t.Errorf("Open with another id: %v, want ErrTopicID", err)
	}
	mustOpen(t, dir, Config{TopicID: [16]byte{1, 2}})
}

func TestConfigIsChecked(t *testing.T) {
	_, err := Open(t.TempDir(), Config{SegmentBytes: 5, MaxMessageBytes: -1})
	for _, key := range []string{"segment.bytes is 5", "max.message.bytes is -1"} {
		if err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("Open: %v, want it to say %q", err, key)
		}
	}
	l := mustOpen(t, t.TempDir(), Config{})
	if err := l.SetConfig(Config{RetentionBytes: -7}); err == nil {
		t.Error("SetConfig takes retention.bytes -7")
	}
	if err := l.SetConfig(Config{MaxMessageBytes: 100}); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Append(batch{size: 200}.view(t), 0); !errors.Is(err, ErrBatchTooLarge) {
		t.Errorf("Append above max.message.bytes: %v", err)
	}
}

// TestRollIsDurableInOrder fixes the order of what a crash must not see
// otherwise: data and indexes before the directory, all before the checkpoint.
func TestRollIsDurableInOrder(t *testing.T) {
	f := &faults{}
	l := mustOpen(t, t.TempDir(), Config{SegmentBytes: 200, FS: faultFS{OSFS{}, f}})
	mustAppend(t, l, batch{size: 100})
	if err := l.WaitDurable(context.Background(), 1); err != nil { // the data, but not the indexes to come
		t.Fatal(err)
	}
	f.set(func(f *faults) { f.events = nil })
	mustAppend(t, l, batch{size: 100})
	if err := l.WaitDurable(context.Background(), 2); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	first := fileName(0, logSuffix)
	want := []string{
		"fdatasync " + first,
		"fdatasync " + fileName(0, indexSuffix),
		"fdatasync " + fileName(0, timeSuffix),
		"fdatasync " + fileName(1, snapshotSuffix),
		"sync dir .",
		"fdatasync " + checkpointFile + ".tmp",
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
}

func FuzzFormats(f *testing.F) {
	ps := newProducers()
	ps.note(batch{producer: 5, n: 3, txn: true}.view(f))
	f.Add(ps.encode())
	f.Add(checkpoint{recoveryPoint: 5, recoverySegment: 3, recoveryPosition: 77, clean: 1}.encode())
	f.Add(encodeEpochs([]epochStart{{1, 0}, {4, 20}}))
	f.Add([]byte("version: 0\ntopic_id: AQIAAAAAAAAAAAAAAAAAAA\n"))
	e := encodeOffsetEntry(5, 100)
	f.Add(append(e[:], bytes.Repeat([]byte{1}, 8)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		if ps, err := parseSnapshot(b); err == nil {
			if again, err := parseSnapshot(ps.encode()); err != nil || len(again.byID) != len(ps.byID) {
				t.Fatalf("snapshot does not survive: %v", err)
			}
		} else if !errors.Is(err, errSnapshot) {
			t.Fatal(err)
		}
		if c, err := parseCheckpoint(b); err == nil {
			if again, err := parseCheckpoint(c.encode()); err != nil || again != c {
				t.Fatalf("checkpoint %+v becomes %+v, %v", c, again, err)
			}
		}
		if es, err := parseEpochs(b); err == nil {
			if again, err := parseEpochs(encodeEpochs(es)); err != nil || !slices.Equal(again, es) {
				t.Fatalf("epochs %v become %v, %v", es, again, err)
			}
		}
		parseTopicID(b)
		for _, width := range []int{offsetEntry, timeEntry} {
			x := &index{width: width}
			if x.checkAll(b, 1000, 1000) != nil {
				continue
			}
			x.mem, x.n = b, len(b)/width
			for target := range int64(20) {
				if e, ok, err := x.floor(relativeOffset, target); err != nil || ok && relativeOffset(e[:]) > target {
					t.Fatalf("floor(%d) = %x, %t, %v", target, e, ok, err)
				}
			}
		}
	})
}

// FuzzRecovery opens a segment of arbitrary bytes: it must end in a log that
// can be read and appended to.
func FuzzRecovery(f *testing.F) {
	v := batch{n: 2, size: 10, producer: 3}.view(f)
	f.Add([]byte(v))
	f.Add(append(slices.Clone([]byte(v)), v[:30]...))
	f.Add(make([]byte, 200))
	marker := markerView(f, 3, 0, recordbatch.Commit, 1)
	marker.SetBaseOffset(2)
	f.Add(append(slices.Clone([]byte(v)), marker...))
	f.Fuzz(func(t *testing.T, b []byte) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, fileName(0, logSuffix)), b, 0o644); err != nil {
			t.Fatal(err)
		}
		l, err := Open(dir, Config{FS: quiet()})
		if errors.Is(err, recordbatch.ErrCorrupt) {
			return // a marker whose checksum is right and whose content is not
		}
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		if a := mustAppend(t, l, batch{}); a.BaseOffset+1 != l.EndOffset() {
			t.Fatalf("appended at %d, log ends at %d", a.BaseOffset, l.EndOffset())
		}
		readAll(t, l, 0, l.EndOffset(), 100)
	})
}
