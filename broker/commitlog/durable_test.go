package commitlog

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

func TestFullDisk(t *testing.T) {
	f := &faults{noSync: true}
	cfg := Config{SegmentBytes: 400, FS: faultFS{OSFS{}, f}}
	l := mustOpen(t, t.TempDir(), cfg)
	mustAppend(t, l, batch{size: 50, producer: 4})
	v := batch{size: 50, producer: 4, seq: 1}.view(t)
	for space := range int64(len(v)) {
		f.set(func(f *faults) { f.limited, f.space = true, space })
		_, err := l.Append(v, 0)
		var se *StorageError
		if !errors.As(err, &se) || !errors.Is(err, syscall.ENOSPC) || !se.SafeToRetry() {
			t.Fatalf("Append with room for %d bytes: %v", space, err)
		}
		if l.EndOffset() != 1 || l.Err() != nil {
			t.Fatalf("after the failed append the log ends at %d, %v", l.EndOffset(), l.Err())
		}
	}
	f.set(func(f *faults) { f.limited = false })
	if a, err := l.Append(v, 0); err != nil || a.BaseOffset != 1 {
		t.Fatalf("Append with room again = %+v, %v", a, err)
	}
	// Rolling needs new files; those that cannot be made leave the old segment active.
	big := batch{size: 300, producer: 4, seq: 2}.view(t)
	for _, suffix := range []string{logSuffix, indexSuffix, snapshotSuffix} {
		f.set(func(f *faults) { f.failOpen = suffix })
		if _, err := l.Append(big, 0); !errors.Is(err, ErrStorage) || !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("Append that cannot create %s: %v", suffix, err)
		}
		if l.Stats().Segments != 1 || l.EndOffset() != 2 {
			t.Fatalf("after that: %+v, end %d", l.Stats(), l.EndOffset())
		}
	}
	f.set(func(f *faults) { f.failOpen = "" })
	if _, err := l.Append(big, 0); err != nil {
		t.Fatal(err)
	}
	want := readAll(t, l, 0, 3, 1<<20)
	r := mustOpen(t, crash(t, l), Config{SegmentBytes: 400})
	if got := readAll(t, r, 0, 3, 1<<20); !bytes.Equal(got, want) {
		t.Error("recovered log differs")
	}
}

func TestWriteThatCannotBeUndone(t *testing.T) {
	f := &faults{noSync: true}
	l := mustOpen(t, t.TempDir(), Config{FS: faultFS{OSFS{}, f}})
	mustAppend(t, l, batch{})
	waiting := make(chan error, 1)
	l.NotifyHighWatermark(5, func(err error) { waiting <- err })
	f.set(func(f *faults) { f.limited, f.space, f.failTrunc = true, 10, syscall.EIO })
	_, err := l.Append(batch{}.view(t), 0)
	var se *StorageError
	if !errors.As(err, &se) || se.SafeToRetry() {
		t.Fatalf("Append: %v, want a fatal StorageError", err)
	}
	if err := <-waiting; !errors.Is(err, ErrStorage) {
		t.Errorf("waiter hears %v", err)
	}
	f.set(func(f *faults) { f.limited, f.failTrunc = false, nil })
	if _, err := l.Append(batch{}.view(t), 0); !errors.Is(err, ErrStorage) {
		t.Errorf("Append after that: %v, want ErrStorage", err)
	}
}

func TestFailedSyncPoisons(t *testing.T) {
	f := &faults{}
	l := mustOpen(t, t.TempDir(), Config{FS: faultFS{OSFS{}, f}})
	mustAppend(t, l, batch{})
	f.set(func(f *faults) { f.failSync = syscall.EIO })
	if err := l.WaitDurable(t.Context(), 1); !errors.Is(err, ErrStorage) || !errors.Is(err, syscall.EIO) {
		t.Fatalf("WaitDurable: %v", err)
	}
	f.set(func(f *faults) { f.failSync, f.events = nil, nil })
	for name, err := range map[string]error{
		"WaitDurable":      l.WaitDurable(t.Context(), 1),
		"WaitDurable of 0": l.WaitDurable(t.Context(), 0),
		"TruncateTo":       l.TruncateTo(0),
		"Checkpoint":       l.Checkpoint(),
		"Err":              l.Err(),
	} {
		if !errors.Is(err, ErrStorage) {
			t.Errorf("%s after a failed fdatasync: %v, want ErrStorage", name, err)
		}
	}
	if _, err := l.Append(batch{}.view(t), 0); !errors.Is(err, ErrStorage) {
		t.Errorf("Append after a failed fdatasync: %v", err)
	}
	if l.DurableOffset() != 0 {
		t.Errorf("durable offset is %d", l.DurableOffset())
	}
	if err := l.Close(); !errors.Is(err, ErrStorage) {
		t.Errorf("Close: %v, want ErrStorage", err)
	}
	if slices.ContainsFunc(f.events, func(e string) bool { return strings.HasPrefix(e, "fdatasync") }) {
		t.Errorf("fdatasync was tried again: %v", f.events)
	}
}

// gateFS lets fdatasyncs of segments through one by one.
type gateFS struct {
	FS
	entered chan struct{}
	leave   chan struct{}
	syncs   *atomic.Int32
}

type gateFile struct {
	File
	fs gateFS
}

func (g gateFS) OpenFile(path string, flag int, perm fs.FileMode) (File, error) {
	f, err := g.FS.OpenFile(path, flag, perm)
	if err != nil || !strings.HasSuffix(path, logSuffix) {
		return f, err
	}
	return gateFile{f, g}, nil
}

func (f gateFile) Datasync() error {
	if f.fs.syncs.Add(1) > 1 { // the first is Open's
		f.fs.entered <- struct{}{}
		<-f.fs.leave
	}
	return nil
}

func TestWaitersShareOneSync(t *testing.T) {
	gate := gateFS{OSFS{}, make(chan struct{}), make(chan struct{}), new(atomic.Int32)}
	l := mustOpen(t, t.TempDir(), Config{FS: gate, Syncer: NewSyncer(1)})
	mustAppend(t, l, batch{})
	results := make(chan error, 100)
	l.NotifyDurable(1, func(err error) { results <- err })
	<-gate.entered // the first round covers offset 0 only
	for i := range 20 {
		mustAppend(t, l, batch{})
		l.NotifyDurable(int64(i+2), func(err error) { results <- err })
	}
	gate.leave <- struct{}{}
	<-gate.entered
	if len(results) != 1 {
		t.Errorf("%d waiters answered by the first round, want 1", len(results))
	}
	if l.DurableOffset() != 1 {
		t.Errorf("durable offset is %d after the first round, want 1", l.DurableOffset())
	}
	gate.leave <- struct{}{}
	for range 21 {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	if n := gate.syncs.Load(); n != 3 {
		t.Errorf("%d fdatasyncs, want Open's and two rounds", n)
	}
	if l.DurableOffset() != 21 {
		t.Errorf("durable offset is %d, want 21", l.DurableOffset())
	}
	mustAppend(t, l, batch{})
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("gone")
	done := make(chan error)
	go func() { done <- l.WaitDurable(ctx, 22) }()
	<-gate.entered
	cancel(cause)
	if err := <-done; err != cause {
		t.Errorf("cancelled WaitDurable: %v, want the cause while fdatasync runs", err)
	}
	close(gate.leave)
	go func() {
		for range gate.entered {
		}
	}()
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	close(gate.entered)
}

func TestNotify(t *testing.T) {
	l := mustOpen(t, t.TempDir(), Config{FS: quiet()})
	var got []string
	note := func(name string) func(error) {
		return func(err error) {
			if err != nil {
				name += ": " + err.Error()
			}
			got = append(got, name)
		}
	}
	l.NotifyEnd(0, note("end 0"))
	l.NotifyEnd(2, note("end 2"))
	l.NotifyEnd(1, note("end 1"))
	w := l.NotifyEnd(1, note("cancelled"))
	l.NotifyHighWatermark(1, note("hw 1"))
	if !w.Cancel() || w.Cancel() {
		t.Error("Cancel is true once, then false")
	}
	mustAppend(t, l, batch{n: 2})
	if l.SetHighWatermark(9); l.HighWatermark() != 2 {
		t.Errorf("high watermark is %d, want the end 2", l.HighWatermark())
	}
	if l.SetHighWatermark(1) {
		t.Error("high watermark moved back")
	}
	l.NotifyEnd(3, note("end 3"))
	l.NotifyHighWatermark(2, note("hw 2"))
	mustAppend(t, l, batch{n: 3})
	l.NotifyEnd(6, note("end 6"))
	if err := l.TruncateTo(2); err != nil {
		t.Fatal(err)
	}
	l.NotifyEnd(8, note("end 8"))
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l.NotifyEnd(1, note("late"))
	want := []string{"end 0", "end 1", "end 2", "hw 1", "hw 2", "end 3", "end 6: log was truncated", "end 8: log is closed", "late: log is closed"}
	if !slices.Equal(got, want) {
		t.Errorf("calls were\n%q, want\n%q", got, want)
	}
	if err := l.WaitHighWatermark(t.Context(), 99); !errors.Is(err, ErrClosed) {
		t.Errorf("WaitHighWatermark of a closed log: %v", err)
	}
}

func TestWaitBeyondTheEnd(t *testing.T) {
	l := mustOpen(t, t.TempDir(), Config{FS: quiet()})
	if err := l.WaitDurable(t.Context(), 1); !errors.Is(err, ErrOffsetOutOfRange) {
		t.Errorf("WaitDurable beyond the end: %v, want ErrOffsetOutOfRange", err)
	}
}

func TestFlushSettings(t *testing.T) {
	now := time.UnixMilli(1000)
	l := mustOpen(t, t.TempDir(), Config{FlushMessages: 2, FlushAge: time.Second, FS: quiet(), Clock: func() time.Time { return now }})
	mustAppend(t, l, batch{})
	if l.DurableOffset() != 0 {
		t.Error("durable after one record, flush.messages is 2")
	}
	mustAppend(t, l, batch{})
	if l.DurableOffset() != 2 {
		t.Errorf("durable to %d after two records, flush.messages is 2", l.DurableOffset())
	}
	mustAppend(t, l, batch{})
	if err := l.FlushDue(now.Add(time.Second - 1)); err != nil || l.DurableOffset() != 2 {
		t.Errorf("FlushDue before flush.ms: durable to %d, %v", l.DurableOffset(), err)
	}
	if err := l.FlushDue(now.Add(time.Second)); err != nil || l.DurableOffset() != 3 {
		t.Errorf("FlushDue after flush.ms: durable to %d, %v", l.DurableOffset(), err)
	}
}

// TestConcurrently is for the race detector, and holds readers to whole
// batches in order while the log grows, rolls and loses its head.
func TestConcurrently(t *testing.T) {
	l := mustOpen(t, t.TempDir(), Config{SegmentBytes: 2000, IndexIntervalBytes: 200, RetentionBytes: 6000, FS: quiet(), Syncer: NewSyncer(2)})
	const records = 2000
	v := batch{size: 30}.view(t)
	var wg sync.WaitGroup
	wg.Go(func() {
		for range records {
			if _, err := l.Append(v, 0); err != nil {
				t.Error(err)
				return
			}
			l.SetHighWatermark(l.EndOffset())
		}
	})
	wg.Go(func() {
		for l.EndOffset() < records {
			if _, err := l.EnforceRetention(time.Now()); err != nil {
				t.Error(err)
			}
			if err := l.WaitDurable(context.Background(), l.EndOffset()); err != nil {
				t.Error(err)
			}
			if err := l.Checkpoint(); err != nil {
				t.Error(err)
			}
		}
	})
	for range 3 {
		wg.Go(func() { follow(t, l, records) })
	}
	wg.Wait()
}

// TestReadWhileTruncating holds reads of a follower that is cut back again and
// again to whole results or ErrOffsetOutOfRange: a truncation is not a failing disk.
func TestReadWhileTruncating(t *testing.T) {
	l := mustOpen(t, t.TempDir(), Config{SegmentBytes: 1000, IndexIntervalBytes: 100, FS: quiet()})
	var done atomic.Bool
	var wg sync.WaitGroup
	for i := range 3 {
		wg.Go(func() {
			for at := int64(i); !done.Load(); at = (at + 7) % 40 {
				c, err := l.Read(at, 300+100*i, l.EndOffset(), true)
				if err != nil && !errors.Is(err, ErrOffsetOutOfRange) {
					t.Errorf("Read(%d): %v", at, err)
					return
				}
				if err := c.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for i := range 300 {
		for l.EndOffset() < 40 {
			mustAppend(t, l, batch{n: 1 + i%3, size: 10 + i%50})
		}
		if err := l.TruncateTo(int64(i*7) % 40); err != nil {
			t.Fatal(err)
		}
	}
	done.Store(true)
	wg.Wait()
}

// TestReadOfWhatWasJustRemoved reads between the look at where the log begins
// and the look at its segments, when the first are removed: the batches that are
// left are not those that were asked for.
func TestReadOfWhatWasJustRemoved(t *testing.T) {
	l := mustOpen(t, t.TempDir(), Config{SegmentBytes: 300, FS: quiet()})
	for l.EndOffset() < 20 {
		mustAppend(t, l, batch{n: 2, size: 50})
	}
	l.SetHighWatermark(20)
	if err := l.DeleteBefore(10); err != nil {
		t.Fatal(err)
	}
	if c, ok, err := l.tryRead(1, 1000, 20, true); ok || err != nil {
		t.Errorf("a read of offset 1 is %+v, %v; the log begins at %d", c, err, l.StartOffset())
	}
	if _, err := l.Read(1, 1000, 20, true); !errors.Is(err, ErrOffsetOutOfRange) {
		t.Errorf("reading offset 1: %v", err)
	}
}

func follow(t *testing.T, l *Log, until int64) {
	for offset := int64(0); offset < until; {
		if err := l.WaitHighWatermark(t.Context(), offset+1); err != nil {
			t.Error(err)
			return
		}
		c, err := l.Read(offset, 500, l.HighWatermark(), true)
		if errors.Is(err, ErrOffsetOutOfRange) {
			offset = max(offset, l.StartOffset())
			continue
		}
		if err != nil {
			t.Error(err)
			return
		}
		b, err := c.AppendTo(nil)
		c.Close()
		if err != nil {
			t.Error(err)
			return
		}
		for _, at := range offsetsOf(t, b) {
			if at != offset {
				t.Errorf("read offset %d, want %d", at, offset)
				return
			}
			offset++
		}
	}
}
