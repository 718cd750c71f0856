package commitlog

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/millrace/millrace/broker/recordbatch"
)

func TestSequences(t *testing.T) {
	at := func(seq int32, epoch int16) batch { return batch{n: 2, producer: 5, seq: seq, epoch: epoch} }
	for _, tt := range []struct {
		name   string
		before []batch
		b      batch
		want   error
		dup    int64 // base offset of the original, -1 if it is appended
	}{
		{"in order", []batch{at(0, 0)}, at(2, 0), nil, -1},
		{"unknown producer may begin anywhere", nil, at(77, 3), nil, -1},
		{"gap", []batch{at(0, 0)}, at(3, 0), ErrOutOfOrderSequence, -1},
		{"newest again", []batch{at(0, 0), at(2, 0)}, at(2, 0), nil, 2},
		{"fifth newest again", []batch{at(0, 0), at(2, 0), at(4, 0), at(6, 0), at(8, 0)}, at(0, 0), nil, 0},
		{"sixth newest again", []batch{at(0, 0), at(2, 0), at(4, 0), at(6, 0), at(8, 0), at(10, 0)}, at(0, 0), ErrOutOfOrderSequence, -1},
		{"same first, other last", []batch{at(0, 0)}, batch{n: 1, producer: 5}, ErrOutOfOrderSequence, -1},
		{"old epoch", []batch{at(0, 2)}, at(2, 1), ErrProducerEpoch, -1},
		{"new epoch from 0", []batch{at(0, 2)}, at(0, 3), nil, -1},
		{"new epoch from elsewhere", []batch{at(0, 2)}, at(2, 3), ErrOutOfOrderSequence, -1},
		{"wraps", []batch{{n: 2, producer: 5, seq: math.MaxInt32 - 1}}, at(0, 0), nil, -1},
		{"wraps within", []batch{{n: 2, producer: 5, seq: math.MaxInt32}}, at(1, 0), nil, -1},
		{"wrapped batch again", []batch{{n: 2, producer: 5, seq: math.MaxInt32}}, batch{n: 2, producer: 5, seq: math.MaxInt32}, nil, 0},
		{"plain batch in a transaction", []batch{{n: 1, producer: 5, txn: true}}, batch{producer: 5, seq: 1}, ErrTxnState, -1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := mustOpen(t, t.TempDir(), Config{FS: quiet()})
			for _, b := range tt.before {
				mustAppend(t, l, b)
			}
			end := l.EndOffset()
			a, err := l.Append(tt.b.view(t), 0)
			if !errors.Is(err, tt.want) {
				t.Fatalf("Append = %+v, %v, want %v", a, err, tt.want)
			}
			switch {
			case err != nil:
			case tt.dup >= 0:
				if !a.Duplicate || a.BaseOffset != tt.dup || a.LastOffset != tt.dup+1 || l.EndOffset() != end {
					t.Errorf("duplicate: %+v, end %d, want the original at %d and end %d", a, l.EndOffset(), tt.dup, end)
				}
			case a.Duplicate || a.BaseOffset != end:
				t.Errorf("Append = %+v, want offset %d", a, end)
			}
		})
	}
}

// TestProducerStateSurvives checks the state after every kind of restart, the
// sequences above all.
func TestProducerStateSurvives(t *testing.T) {
	cfg := Config{SegmentBytes: 500, FS: quiet()}
	build := func(t *testing.T) *Log {
		l := mustOpen(t, t.TempDir(), cfg)
		for i := range 10 {
			mustAppend(t, l, batch{n: 2, size: 40, producer: 5, seq: int32(2 * i), time: int64(i)})
			mustAppend(t, l, batch{n: 1, producer: 6, seq: int32(i), txn: true})
		}
		if _, err := l.Append(markerView(t, 6, 0, recordbatch.Abort, 4), 0); err != nil {
			t.Fatal(err)
		}
		mustAppend(t, l, batch{producer: 6, seq: 10, txn: true})
		return l
	}
	want := []ProducerState{
		{ID: 5, LastSequence: 19, LastTimestamp: 10, CoordinatorEpoch: -1, TxnStartOffset: -1},
		{ID: 6, LastSequence: 10, CoordinatorEpoch: 4, TxnStartOffset: 31},
	}
	check := func(t *testing.T, l *Log) {
		t.Helper()
		got := l.Producers()
		if len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
			t.Errorf("producers are %+v, want %+v", got, want)
		}
		l.SetHighWatermark(l.EndOffset())
		if l.LastStableOffset() != 31 {
			t.Errorf("last stable offset is %d, want 31, where the open transaction begins", l.LastStableOffset())
		}
		if a, err := l.Append(batch{n: 2, size: 40, producer: 5, seq: 18}.view(t), 0); err != nil || !a.Duplicate || a.BaseOffset != 27 {
			t.Errorf("newest batch again: %+v, %v", a, err)
		}
	}
	t.Run("running", func(t *testing.T) { check(t, build(t)) })
	t.Run("clean", func(t *testing.T) {
		l := build(t)
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		check(t, mustOpen(t, l.Dir(), cfg))
	})
	t.Run("crash", func(t *testing.T) { check(t, mustOpen(t, crash(t, build(t)), cfg)) })
	t.Run("without snapshots", func(t *testing.T) {
		dir := crash(t, build(t))
		names, err := filepath.Glob(filepath.Join(dir, "*"+snapshotSuffix))
		if err != nil || len(names) == 0 {
			t.Fatalf("no snapshots: %v", err)
		}
		for i, name := range names {
			if i%2 == 0 {
				damage(t, name, 20)
			} else if err := os.Remove(name); err != nil {
				t.Fatal(err)
			}
		}
		check(t, mustOpen(t, dir, cfg))
	})
	t.Run("follower", func(t *testing.T) {
		l, f := build(t), mustOpen(t, t.TempDir(), cfg)
		for b := readAll(t, l, 0, l.EndOffset(), 300); len(b) > 0; {
			v, rest, err := recordbatch.Parse(b)
			if err != nil {
				t.Fatal(err)
			}
			if err := f.AppendFollower(v); err != nil {
				t.Fatal(err)
			}
			b = rest
		}
		check(t, f)
	})
	t.Run("truncated", func(t *testing.T) {
		l := build(t)
		end := l.EndOffset()
		mustAppend(t, l, batch{n: 2, producer: 5, seq: 20})
		if _, err := l.Append(markerView(t, 6, 0, recordbatch.Commit, 5), 0); err != nil {
			t.Fatal(err)
		}
		if err := l.TruncateTo(end); err != nil {
			t.Fatal(err)
		}
		check(t, l)
	})
}

func TestExpireProducers(t *testing.T) {
	l := mustOpen(t, t.TempDir(), Config{ProducerExpiration: time.Second, FS: quiet()})
	mustAppend(t, l, batch{producer: 1, time: 1000})
	mustAppend(t, l, batch{producer: 2, time: 2000})
	mustAppend(t, l, batch{producer: 3, time: 1000, txn: true})
	if n := l.ExpireProducers(time.UnixMilli(2000)); n != 1 {
		t.Errorf("ExpireProducers = %d, want 1: one is young, one has a transaction open", n)
	}
	if a := mustAppend(t, l, batch{producer: 1, seq: 50}); a.Duplicate {
		t.Error("a forgotten producer's batch is taken for a duplicate")
	}
}

func TestMarkers(t *testing.T) {
	l := mustOpen(t, t.TempDir(), Config{FS: quiet()})
	mustAppend(t, l, batch{producer: 1, epoch: 3, txn: true})
	for _, tt := range []struct {
		name        string
		epoch       int16
		coordinator int32
		want        error
	}{
		{"old producer epoch", 2, 5, ErrProducerEpoch},
		{"first", 3, 5, nil},
		{"old coordinator", 3, 4, ErrCoordinatorFenced},
		{"same again", 3, 5, nil},
	} {
		_, err := l.Append(markerView(t, 1, tt.epoch, recordbatch.Commit, tt.coordinator), 0)
		if !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
}

func TestLastStableOffset(t *testing.T) {
	l := mustOpen(t, t.TempDir(), Config{FS: quiet()})
	step := func(what string, want int64) {
		t.Helper()
		if got := l.LastStableOffset(); got != want {
			t.Errorf("%s: last stable offset is %d, want %d", what, got, want)
		}
	}
	mustAppend(t, l, batch{})
	l.SetHighWatermark(1)
	step("no transaction", 1)
	mustAppend(t, l, batch{producer: 1, txn: true}) // 1
	mustAppend(t, l, batch{producer: 2, txn: true}) // 2
	l.SetHighWatermark(3)
	step("two open", 1)
	if _, err := l.Append(markerView(t, 1, 0, recordbatch.Commit, 0), 0); err != nil { // 3
		t.Fatal(err)
	}
	step("marker above the high watermark", 1)
	l.SetHighWatermark(4)
	step("marker committed", 2)
	if _, err := l.Append(markerView(t, 2, 0, recordbatch.Abort, 0), 0); err != nil { // 4
		t.Fatal(err)
	}
	l.SetHighWatermark(5)
	step("none left", 5)
}

// TestSnapshotBytes fixes the layout of ProducerStateManager's snapshots.
func TestSnapshotBytes(t *testing.T) {
	ps := newProducers()
	v := batch{producer: 0x0102, epoch: 3, seq: 4, n: 2, time: 5, txn: true}.view(t)
	v.SetBaseOffset(0x10)
	ps.note(v)
	got := string(ps.encode())
	want := "\x00\x01" + got[2:6] + "\x00\x00\x00\x01" +
		"\x00\x00\x00\x00\x00\x00\x01\x02" + "\x00\x03" + "\x00\x00\x00\x05" + "\x00\x00\x00\x00\x00\x00\x00\x11" +
		"\x00\x00\x00\x01" + "\x00\x00\x00\x00\x00\x00\x00\x06" + "\xff\xff\xff\xff" + "\x00\x00\x00\x00\x00\x00\x00\x10"
	if got != want {
		t.Errorf("snapshot is %x, want %x", got, want)
	}
}
