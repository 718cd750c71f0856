package commitlog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millrace/millrace/broker/recordbatch"
)

// kv is a record of a test; an empty value is a tombstone.
type kv struct{ key, value string }

func keyed(t testing.TB, ms int64, p recordbatch.Producer, kvs ...kv) recordbatch.View {
	t.Helper()
	var b recordbatch.Builder
	for _, x := range kvs {
		var key, value []byte
		if x.key != "" {
			key = []byte(x.key)
		}
		if x.value != "" {
			value = []byte(x.value)
		}
		if err := b.Add(ms, key, value); err != nil {
			t.Fatal(err)
		}
	}
	return b.Batch(p)
}

func put(t testing.TB, l *Log, v recordbatch.View) Appended {
	t.Helper()
	a, err := l.Append(v, 0)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// rollAll closes the active segment, makes all durable and commits it.
func rollAll(t testing.TB, l *Log) {
	t.Helper()
	l.mu.Lock()
	_, err := l.roll(l.end.Load())
	l.mu.Unlock()
	if err == nil {
		err = l.sync()
	}
	if err != nil {
		t.Fatal(err)
	}
	l.SetHighWatermark(l.EndOffset())
}

func clean(t testing.TB, l *Log) CleanStats {
	t.Helper()
	s, err := NewCleaner(CleanerConfig{}).Clean(t.Context(), l)
	if err != nil {
		t.Fatalf("Clean = %+v, %v", s, err)
	}
	return s
}

// dump lists the log's batches and records: "3:k=v", a tombstone "3:k", and an
// emptied batch "[2-4]".
func dump(t testing.TB, l *Log) string {
	t.Helper()
	var out []string
	b := readAll(t, l, l.StartOffset(), l.EndOffset(), 1<<20)
	for len(b) > 0 {
		v, rest, err := recordbatch.Parse(b)
		if err != nil {
			t.Fatal(err)
		}
		if v.Count() == 0 {
			out = append(out, fmt.Sprintf("[%d-%d]", v.BaseOffset(), v.LastOffset()))
		}
		for r, err := range v.Records(1 << 20) {
			switch {
			case err != nil:
				t.Fatal(err)
			case v.Control():
				out = append(out, fmt.Sprintf("%d:marker", r.Offset))
			case r.Value == nil:
				out = append(out, fmt.Sprintf("%d:%s", r.Offset, r.Key))
			default:
				out = append(out, fmt.Sprintf("%d:%s=%s", r.Offset, r.Key, r.Value))
			}
		}
		b = rest
	}
	return strings.Join(out, " ")
}

func want(t testing.TB, l *Log, what, content string) {
	t.Helper()
	if got := dump(t, l); got != content {
		t.Errorf("%s the log holds\n%s, want\n%s", what, got, content)
	}
}

// testClock is a clock that a test moves.
type testClock struct{ now time.Time }

func (c *testClock) Now() time.Time { return c.now }

func compacting(clock *testClock) Config {
	return Config{Compact: true, FS: quiet(), Clock: clock.Now, TombstoneRetention: time.Hour}
}

func TestCleanKeepsTheNewestOfEachKey(t *testing.T) {
	clock := &testClock{time.UnixMilli(1_000_000)}
	l := mustOpen(t, t.TempDir(), compacting(clock))
	none := recordbatch.NoProducer
	put(t, l, keyed(t, 1, none, kv{"a", "1"}, kv{"b", "1"}))
	put(t, l, keyed(t, 2, none, kv{"a", "2"}, kv{"", "no key"}, kv{"c", "1"}))
	rollAll(t, l)
	put(t, l, keyed(t, 3, none, kv{"b", "2"}))
	put(t, l, keyed(t, 4, none, kv{"a", "3"}))
	rollAll(t, l)
	put(t, l, keyed(t, 5, none, kv{"a", "active"}))
	s := clean(t, l)
	want(t, l, "cleaned", "4:c=1 5:b=2 6:a=3 7:a=active")
	if s.From != 0 || s.To != 7 || s.SegmentsBefore != 2 || s.SegmentsAfter != 1 || s.RecordsKept != 3 || s.RecordsDropped != 4 || s.BytesAfter >= s.BytesBefore {
		t.Errorf("stats are %+v", s)
	}
	if again := clean(t, l); again.SegmentsBefore != 0 {
		t.Errorf("a clean log was cleaned again: %+v", again)
	}
	// Offsets in gaps read on from the next batch, and times find records.
	for offset := range int64(8) {
		if b := readAll(t, l, offset, 8, 1); offsetsOf(t, b)[0] < offset-2 {
			t.Errorf("read from %d begins at %d", offset, offsetsOf(t, b)[0])
		}
	}
	if got, ok, err := l.OffsetForTimestamp(2); err != nil || !ok || got.Offset != 4 || got.Timestamp != 2 {
		t.Errorf("OffsetForTimestamp(2) = %+v, %t, %v", got, ok, err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = mustOpen(t, l.Dir(), compacting(clock))
	want(t, l, "reopened", "4:c=1 5:b=2 6:a=3 7:a=active")
	if l.EndOffset() != 8 || l.Cleanable(clock.now).From != 7 {
		t.Errorf("reopened: end %d, cleanable %+v", l.EndOffset(), l.Cleanable(clock.now))
	}
}

// The batch that ends the cleaned range stays, though empty: a reader below it
// must find something up to the high watermark.
func TestCleanKeepsTheLastBatch(t *testing.T) {
	l := mustOpen(t, t.TempDir(), compacting(&testClock{time.UnixMilli(1)}))
	put(t, l, keyed(t, 1, recordbatch.NoProducer, kv{"a", "1"}))
	put(t, l, keyed(t, 1, recordbatch.NoProducer, kv{"", "x"}, kv{"", "y"}))
	rollAll(t, l)
	clean(t, l)
	want(t, l, "cleaned", "0:a=1 [1-2]")
	if got := readAll(t, l, 2, 3, 1); offsetsOf(t, got)[0] != 1 {
		t.Error("nothing is read below the high watermark")
	}
}

func TestTombstonesGoByTheirHorizon(t *testing.T) {
	clock := &testClock{time.UnixMilli(10_000_000)}
	l := mustOpen(t, t.TempDir(), compacting(clock))
	none := recordbatch.NoProducer
	next := func() { // something dirty
		put(t, l, keyed(t, 9, none, kv{"z", "z"}))
		rollAll(t, l)
		clean(t, l)
	}
	put(t, l, keyed(t, 5, none, kv{"a", "1"}))
	put(t, l, keyed(t, 6, none, kv{"b", "1"}, kv{"a", ""}))
	rollAll(t, l)
	clean(t, l)
	want(t, l, "once cleaned", "1:b=1 2:a")
	b := readAll(t, l, 0, 3, 1<<20)
	v, _, _ := recordbatch.Parse(b)
	if !v.HasDeleteHorizon() || v.BaseTimestamp() != clock.now.Add(time.Hour).UnixMilli() || v.MaxTimestamp() != 6 {
		t.Errorf("horizon %t at %d, max timestamp %d", v.HasDeleteHorizon(), v.BaseTimestamp(), v.MaxTimestamp())
	}
	for r := range v.Records(0) {
		if r.Timestamp != 6 {
			t.Errorf("record %d has time %d, want 6", r.Offset, r.Timestamp)
		}
	}
	clock.now = clock.now.Add(time.Hour - time.Millisecond)
	next()
	want(t, l, "before the horizon", "1:b=1 2:a 3:z=z")
	clock.now = clock.now.Add(time.Millisecond)
	next()
	want(t, l, "after the horizon", "1:b=1 4:z=z")
}

// A round can be smaller than the dirty range when the map is full; rounds
// then add up to the same.
func TestSmallMap(t *testing.T) {
	l := mustOpen(t, t.TempDir(), compacting(&testClock{time.UnixMilli(1)}))
	for i := range 6 {
		var kvs []kv
		for k := range 1000 {
			kvs = append(kvs, kv{fmt.Sprint(k * (i%2 + 1)), fmt.Sprint(i)})
		}
		put(t, l, keyed(t, 1, recordbatch.NoProducer, kvs...))
		if i%3 == 2 {
			rollAll(t, l)
		}
	}
	c := NewCleaner(CleanerConfig{MapBytes: 800 * slotBytes})
	rounds := 0
	for r := l.Cleanable(l.now()); r.From < r.To; r = l.Cleanable(l.now()) {
		s, err := c.Clean(t.Context(), l)
		if err != nil || s.To <= s.From {
			t.Fatalf("round %d: %+v, %v", rounds, s, err)
		}
		if rounds++; rounds > 20 {
			t.Fatal("does not end")
		}
	}
	if rounds < 2 {
		t.Errorf("%d rounds: the map was not too small", rounds)
	}
	seen := map[string]bool{}
	for line := range strings.FieldsSeq(dump(t, l)) {
		_, record, ok := strings.Cut(line, ":")
		key, value, _ := strings.Cut(record, "=")
		if !ok || seen[key] {
			t.Fatalf("%s is there twice", line)
		}
		seen[key] = true
		var k int
		fmt.Sscan(key, &k)
		if newest := "5"; (k%2 != 0 || k >= 2000) != (value != newest) {
			if k%2 == 0 || value != "4" {
				t.Errorf("key %s has value %s", key, value)
			}
		}
	}
	if len(seen) != 1500 {
		t.Errorf("%d keys, want 1500", len(seen))
	}
	if _, err := NewCleaner(CleanerConfig{MapBytes: 1}).Clean(t.Context(), l); err != nil {
		t.Errorf("nothing to clean, and %v", err)
	}
	put(t, l, keyed(t, 1, recordbatch.NoProducer, kv{"a", "1"}))
	rollAll(t, l)
	if _, err := NewCleaner(CleanerConfig{MapBytes: 1}).Clean(t.Context(), l); err == nil || !strings.Contains(err.Error(), "dedupe.buffer.size") {
		t.Errorf("without room for one key: %v", err)
	}
}

// What a producer sent last is recognised after compaction, and after losing
// all snapshots.
func TestSequencesSurviveCompaction(t *testing.T) {
	clock := &testClock{time.UnixMilli(1000)}
	l := mustOpen(t, t.TempDir(), compacting(clock))
	p := func(id int64, seq int32) recordbatch.Producer {
		return recordbatch.Producer{ID: id, Epoch: 3, BaseSequence: seq}
	}
	put(t, l, keyed(t, 1000, p(7, 0), kv{"a", "1"}))
	last := keyed(t, 1000, p(7, 1), kv{"a", "2"}, kv{"a", "3"})
	put(t, l, bytes.Clone(last))
	put(t, l, keyed(t, 1000, p(8, 0), kv{"a", "4"}))
	rollAll(t, l)
	put(t, l, keyed(t, 1000, recordbatch.NoProducer, kv{"a", "5"}))
	rollAll(t, l)
	clean(t, l)
	want(t, l, "cleaned", "[1-2] [3-3] 4:a=5")
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	snapshots, err := filepath.Glob(filepath.Join(l.Dir(), "*"+snapshotSuffix))
	if err != nil || len(snapshots) == 0 {
		t.Fatalf("snapshots are %v, %v", snapshots, err)
	}
	for _, path := range snapshots {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	l = mustOpen(t, l.Dir(), compacting(clock))
	if a := put(t, l, bytes.Clone(last)); !a.Duplicate || a.BaseOffset != 1 || a.LastOffset != 2 {
		t.Errorf("the last batch sent again is %+v, want a duplicate at 1 to 2", a)
	}
	if _, err := l.Append(keyed(t, 1000, p(7, 5), kv{"a", "x"}), 0); !errors.Is(err, ErrOutOfOrderSequence) {
		t.Errorf("a gap in the sequence: %v", err)
	}
	put(t, l, keyed(t, 1000, p(7, 3), kv{"a", "6"}))
	put(t, l, keyed(t, 1000, p(8, 1), kv{"a", "7"}))
	rollAll(t, l)
	clean(t, l)
	want(t, l, "cleaned again", "[5-5] 6:a=7")
}

func TestTransactionsAreCleaned(t *testing.T) {
	clock := &testClock{time.UnixMilli(1_000_000)}
	l := mustOpen(t, t.TempDir(), compacting(clock))
	n := map[int64]int32{}
	txn := func(id int64, kvs ...kv) {
		put(t, l, keyed(t, clock.now.UnixMilli(), recordbatch.Producer{ID: id, BaseSequence: n[id], Transactional: true}, kvs...))
		n[id] += int32(len(kvs))
	}
	end := func(id int64, kind recordbatch.ControlType) { put(t, l, markerView(t, id, 0, kind, 1)) }
	plain := func(kvs ...kv) { put(t, l, keyed(t, 1, recordbatch.NoProducer, kvs...)) }
	plain(kv{"a", "1"}, kv{"b", "1"}) // 0, 1
	txn(5, kv{"a", "aborted"})        // 2
	txn(6, kv{"b", "2"}, kv{"c", "1"})
	end(5, recordbatch.Abort)  // 5
	end(6, recordbatch.Commit) // 6
	txn(5, kv{"d", "1"})       // 7
	end(5, recordbatch.Commit) // 8
	rollAll(t, l)
	clean(t, l)
	// The aborted record has not replaced a=1; its marker stays for a while.
	want(t, l, "cleaned", "0:a=1 3:b=2 4:c=1 5:marker 6:marker 7:d=1 8:marker")
	plain(kv{"e", "1"}) // 9
	rollAll(t, l)
	clean(t, l)
	clock.now = clock.now.Add(time.Hour)
	plain(kv{"f", "1"}) // 10
	rollAll(t, l)
	clean(t, l)
	want(t, l, "an hour after the data went", "0:a=1 3:b=2 4:c=1 6:marker 7:d=1 8:marker 9:e=1 10:f=1")
	txn(6, kv{"c", "2"}) // 11, and nothing at or above it may be touched
	rollAll(t, l)
	if r := l.Cleanable(clock.now); r.From != r.To {
		t.Errorf("an open transaction is cleanable: %+v", r)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = mustOpen(t, l.Dir(), compacting(clock))
	end(6, recordbatch.Commit) // 12
	rollAll(t, l)
	if got := l.LastStableOffset(); got != 13 {
		t.Errorf("last stable offset is %d, want 13", got)
	}
	clean(t, l)
	want(t, l, "after the commit", "0:a=1 3:b=2 6:marker 7:d=1 8:marker 9:e=1 10:f=1 11:c=2 12:marker")
}

// A chunk and a lookup begun before the swap go on reading the old bytes.
func TestReadersOutliveTheSwap(t *testing.T) {
	cfg := compacting(&testClock{time.UnixMilli(1)})
	cfg.IndexIntervalBytes = 1
	l := mustOpen(t, t.TempDir(), cfg)
	for i := range 20 {
		put(t, l, keyed(t, int64(i), recordbatch.NoProducer, kv{"a", strings.Repeat("x", i)}, kv{fmt.Sprint(i), "v"}))
	}
	rollAll(t, l)
	before := readAll(t, l, 0, 40, 1<<20)
	c, err := l.Read(0, 1<<20, 40, true)
	if err != nil {
		t.Fatal(err)
	}
	part, err := l.Read(0, 700, 40, true) // the position after it is remembered
	if err != nil {
		t.Fatal(err)
	}
	next := part.Len()
	part.Close()
	old := (*l.segments.Load())[0]
	if !old.acquire() {
		t.Fatal("segment is closed")
	}
	defer old.release()
	clean(t, l)
	if got, err := c.AppendTo(nil); err != nil || !bytes.Equal(got, before) {
		t.Errorf("open chunk: %d bytes of %d, %v", len(got), len(before), err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	for offset := range int64(40) {
		pos, err := old.seek(offset, old.size.Load())
		if err != nil {
			t.Fatalf("seek(%d) in the old segment: %v", offset, err)
		}
		if base, err := old.baseAt(pos); err != nil || base != offset&^1 {
			t.Fatalf("seek(%d) in the old segment finds %d, %v", offset, base, err)
		}
	}
	v, _, _ := recordbatch.Parse(before[next:])
	if b := readAll(t, l, v.BaseOffset(), 40, 300); len(b) == 0 {
		t.Error("the remembered position is of no use any more, and nothing is read")
	}
	for i := range 20 {
		if got, ok, err := l.OffsetForTimestamp(int64(i)); err != nil || !ok || got.Offset != int64(2*i+1) && i != 19 {
			t.Errorf("OffsetForTimestamp(%d) = %+v, %t, %v", i, got, ok, err)
		}
	}
}

func TestCleanableRange(t *testing.T) {
	clock := &testClock{time.UnixMilli(1_000_000)}
	cfg := compacting(clock)
	cfg.MinCompactionLag, cfg.MaxCompactionLag = 10*time.Second, time.Minute
	l := mustOpen(t, t.TempDir(), cfg)
	add := func() {
		put(t, l, keyed(t, clock.now.UnixMilli(), recordbatch.NoProducer, kv{"a", "1"}))
		rollAll(t, l)
	}
	check := func(what string, from, to int64, overdue bool) {
		t.Helper()
		if got := l.Cleanable(clock.now); got.From != from || got.To != to || got.Overdue != overdue {
			t.Errorf("%s: %+v, want %d to %d, overdue %t", what, got, from, to, overdue)
		}
	}
	add()
	check("too young", 0, 0, false)
	clock.now = clock.now.Add(10 * time.Second)
	add()
	check("one is old enough", 0, 1, false)
	if got := l.Cleanable(clock.now).Ratio(); got != 1 {
		t.Errorf("dirty ratio is %v, want 1", got)
	}
	clock.now = clock.now.Add(51 * time.Second)
	check("the first is overdue", 0, 2, true)
	clean(t, l)
	check("cleaned", 2, 2, false)
	put(t, l, keyed(t, clock.now.UnixMilli(), recordbatch.NoProducer, kv{"b", "1"}))
	l.SetHighWatermark(3)
	clock.now = clock.now.Add(61 * time.Second)
	check("not closed", 2, 2, false)
	if err := l.RollOverdue(clock.now); err != nil {
		t.Fatal(err)
	}
	if err := l.WaitDurable(context.Background(), 3); err != nil {
		t.Fatal(err)
	}
	if err := l.sync(); err != nil {
		t.Fatal(err)
	}
	check("closed because it is overdue", 2, 3, true)
}

// Retention, truncation and Close meanwhile end the round and harm nothing.
func TestCleanYields(t *testing.T) {
	clock := &testClock{time.UnixMilli(1)}
	var closed sync.WaitGroup
	for _, tt := range []struct {
		name  string
		do    func(context.Context, *Log) error
		moved bool
		err   error
	}{
		{"retention", func(_ context.Context, l *Log) error { return l.DeleteBefore(2) }, true, nil},
		{"truncation", func(_ context.Context, l *Log) error { return l.TruncateTo(1) }, true, nil},
		{"close", func(ctx context.Context, l *Log) error {
			closed.Go(func() {
				if err := l.Close(); err != nil {
					t.Error(err)
				}
			})
			<-ctx.Done()
			return nil
		}, false, ErrClosed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := mustOpen(t, t.TempDir(), compacting(clock))
			for range 3 {
				put(t, l, keyed(t, 1, recordbatch.NoProducer, kv{"a", "1"}, kv{"a", "2"}))
				rollAll(t, l)
			}
			n := 0
			c := NewCleaner(CleanerConfig{Wait: func(ctx context.Context, _ int) error {
				if n++; n == 5 { // in the second pass
					if err := tt.do(ctx, l); err != nil {
						t.Error(err)
					}
				}
				return context.Cause(ctx)
			}})
			s, err := c.Clean(t.Context(), l)
			closed.Wait()
			if s.Moved != tt.moved || !errors.Is(err, tt.err) {
				t.Errorf("Clean = %+v, %v", s, err)
			}
			left, err := filepath.Glob(filepath.Join(l.Dir(), "*.cleaned"))
			if err != nil || len(left) > 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
}

// A damaged batch ends the round with an error and stays as it is.
func TestCleanRefusesDamage(t *testing.T) {
	l := mustOpen(t, t.TempDir(), compacting(&testClock{time.UnixMilli(1)}))
	put(t, l, keyed(t, 1, recordbatch.NoProducer, kv{"a", "1"}))
	rollAll(t, l)
	damage(t, filepath.Join(l.Dir(), fileName(0, logSuffix)), 66)
	if _, err := NewCleaner(CleanerConfig{}).Clean(t.Context(), l); !errors.Is(err, recordbatch.ErrCRC) {
		t.Errorf("Clean = %v", err)
	}
	if l.Err() != nil || l.Stats().Segments != 2 {
		t.Errorf("the log is %+v, %v", l.Stats(), l.Err())
	}
}

func BenchmarkClean(b *testing.B) {
	for _, tt := range []struct {
		name string
		keys int
	}{{"few keys", 100}, {"all keys differ", 1 << 30}} {
		b.Run(tt.name, func(b *testing.B) {
			l := mustOpen(b, b.TempDir(), Config{Compact: true, SegmentBytes: 32 << 20, FS: quiet()})
			value, k := bytes.Repeat([]byte("v"), 200), 0
			var bld recordbatch.Builder
			for l.Size() < 128<<20 {
				bld.Reset()
				for range 200 {
					k++
					if err := bld.Add(1, fmt.Appendf(nil, "key-%d", k%tt.keys), value); err != nil {
						b.Fatal(err)
					}
				}
				put(b, l, bld.Batch(recordbatch.NoProducer))
			}
			rollAll(b, l)
			c := NewCleaner(CleanerConfig{})
			b.SetBytes(l.Size())
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				dir := b.TempDir()
				if err := copyTo(l.Dir(), dir); err != nil {
					b.Fatal(err)
				}
				x := mustOpen(b, dir, Config{Compact: true, SegmentBytes: 32 << 20, FS: quiet()})
				x.SetHighWatermark(x.EndOffset())
				b.StartTimer()
				if _, err := c.Clean(b.Context(), x); err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				x.Close()
				os.RemoveAll(dir)
				b.StartTimer()
			}
		})
	}
}
