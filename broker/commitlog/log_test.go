package commitlog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/millrace/millrace/broker/recordbatch"
)

func TestReadBounds(t *testing.T) {
	l := mustOpen(t, t.TempDir(), Config{SegmentBytes: 1000, IndexIntervalBytes: 150, FS: quiet()})
	for range 20 {
		mustAppend(t, l, batch{n: 2, size: 40})
	}
	one := int(l.Size() / 20)
	first := (*l.segments.Load())[1].base / 2 // batches in the first segment
	for _, tt := range []struct {
		name     string
		offset   int64
		maxBytes int
		bound    int64
		minOne   bool
		want     []int64
	}{
		{"one", 0, one, 40, false, []int64{0}},
		{"mid batch", 3, 2 * one, 40, false, []int64{2, 4}},
		{"just too little", 4, 2*one - 1, 40, false, []int64{4}},
		{"too little", 4, one - 1, 40, false, nil},
		{"too little, but one", 4, one - 1, 40, true, []int64{4}},
		{"nothing allowed", 4, 0, 40, false, nil},
		{"negative", 4, -5, 40, true, []int64{4}},
		{"bound", 0, 1 << 20, 4, false, []int64{0, 2}},
		{"bound within a batch", 0, 1 << 20, 3, true, []int64{0}},
		{"at the bound", 4, 1 << 20, 4, true, nil},
		{"above the bound", 10, 1 << 20, 4, true, nil},
		{"at the end", 40, 1 << 20, 40, true, nil},
		{"bound above the end", 38, 1 << 20, 99, true, []int64{38}},
		{"last of a segment", 2*first - 2, 1 << 20, 40, true, []int64{2*first - 2}},
	} {
		for _, again := range []string{"", " again"} { // from the index, and from the cache
			c, err := l.Read(tt.offset, tt.maxBytes, tt.bound, tt.minOne)
			if err != nil {
				t.Fatalf("%s%s: %v", tt.name, again, err)
			}
			b, err := c.AppendTo(nil)
			if err != nil {
				t.Fatal(err)
			}
			if got := offsetsOf(t, b); !slices.Equal(got, tt.want) || c.Len() != int64(len(b)) {
				t.Errorf("%s%s: offsets %v in %d bytes, want %v", tt.name, again, got, c.Len(), tt.want)
			}
			if err := errors.Join(c.Close(), c.Close()); err != nil {
				t.Error(err)
			}
		}
	}
	for _, offset := range []int64{-1, 41} {
		if _, err := l.Read(offset, 1, 40, true); !errors.Is(err, ErrOffsetOutOfRange) {
			t.Errorf("Read(%d) = %v, want ErrOffsetOutOfRange", offset, err)
		}
	}
}

func TestPositionsForgetWhatWasWorkedOutBeforeATruncation(t *testing.T) {
	var p positions
	_, epoch, _ := p.find(7)
	p.forget()
	p.put(7, nil, 100, epoch)
	if e, epoch, ok := p.find(7); ok {
		t.Errorf("find(7) = %+v, %d: a place from before the truncation", e, epoch)
	}
	p.add(7, nil, 50)
	if e, _, ok := p.find(7); !ok || e.pos != 50 {
		t.Errorf("find(7) = %+v, %t, want position 50", e, ok)
	}
}

func TestChunkOutlivesItsSegment(t *testing.T) {
	l := mustOpen(t, t.TempDir(), Config{SegmentBytes: 200, FS: quiet()})
	for range 4 {
		mustAppend(t, l, batch{size: 60})
	}
	l.SetHighWatermark(4)
	c, err := l.Read(0, 1<<20, 4, true)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.DeleteBefore(4); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(l.Dir(), fileName(0, logSuffix))); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("segment is still there: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := c.AppendTo(nil)
	if err != nil || !slices.Equal(offsetsOf(t, b), []int64{0}) {
		t.Errorf("chunk of a deleted segment: %v, %v", b, err)
	}
	f, _, _ := c.Section()
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if err := f.Close(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("the last chunk leaves the file open: %v", err)
	}
	if _, err := l.Read(4, 1, 4, true); err != nil {
		t.Errorf("empty read of a closed log: %v", err)
	}
}

func TestWriteTo(t *testing.T) {
	l := mustOpen(t, t.TempDir(), Config{FS: quiet()})
	for range 3 {
		mustAppend(t, l, batch{n: 10, size: 60_000})
	}
	want := readAll(t, l, 0, 30, 1<<20)
	c, err := l.Read(0, 4<<20, 30, true)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var buf bytes.Buffer
	if n, err := c.WriteTo(&buf); err != nil || n != c.Len() || !bytes.Equal(buf.Bytes(), want) {
		t.Errorf("WriteTo a buffer: %d of %d bytes, %v", n, c.Len(), err)
	}
	for _, network := range []string{"tcp", "unix"} {
		addr := "127.0.0.1:0"
		if network == "unix" {
			addr = filepath.Join(t.TempDir(), "s")
		}
		ln, err := net.Listen(network, addr)
		if err != nil {
			t.Fatal(err)
		}
		received := make(chan []byte)
		go func() {
			conn, err := ln.Accept()
			if err != nil {
				close(received)
				return
			}
			b, _ := io.ReadAll(conn)
			conn.Close()
			received <- b
		}()
		conn, err := net.Dial(network, ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if n, err := c.WriteTo(conn); err != nil || n != c.Len() {
			t.Errorf("WriteTo %s: %d bytes, %v", network, n, err)
		}
		conn.Close()
		if got := <-received; !bytes.Equal(got, want) {
			t.Errorf("%s received %d bytes, want %d", network, len(got), len(want))
		}
		ln.Close()
	}
}

func TestSealedIndexBytes(t *testing.T) {
	l := mustOpen(t, t.TempDir(), Config{SegmentBytes: 400, IndexIntervalBytes: 100, FS: quiet()})
	for i := range 5 {
		mustAppend(t, l, batch{n: 2, size: 20, time: int64(100 - i)})
	}
	size := uint32(l.Size() / 5)
	index, err := os.ReadFile(filepath.Join(l.Dir(), fileName(0, indexSuffix)))
	if err != nil {
		t.Fatal(err)
	}
	want := binary.BigEndian.AppendUint32(nil, 3) // last offset of the second batch
	want = binary.BigEndian.AppendUint32(want, size)
	want = binary.BigEndian.AppendUint32(want, 5)
	want = binary.BigEndian.AppendUint32(want, 2*size)
	if !bytes.Equal(index, want) {
		t.Errorf("index is %x, want %x", index, want)
	}
	times, err := os.ReadFile(filepath.Join(l.Dir(), fileName(0, timeSuffix)))
	if err != nil {
		t.Fatal(err)
	}
	want = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint64(nil, 101), 1)
	if !bytes.Equal(times, want) {
		t.Errorf("time index is %x, want %x", times, want)
	}
}

func TestRetention(t *testing.T) {
	now := time.UnixMilli(100_000)
	for _, tt := range []struct {
		name  string
		cfg   Config
		hw    int64
		start int64 // afterwards
	}{
		{"nothing expired", Config{RetentionAge: time.Minute * 2}, 8, 0},
		{"time", Config{RetentionAge: 60 * time.Second}, 8, 4},
		{"time, up to the high watermark", Config{RetentionAge: 60 * time.Second}, 3, 2},
		{"time, all", Config{RetentionAge: time.Second}, 8, 8},
		{"bytes", Config{RetentionAge: Unlimited, RetentionBytes: 500}, 8, 4},
		{"no bytes", Config{RetentionAge: Unlimited, RetentionBytes: 1}, 8, 6},
		{"compact only", Config{RetentionAge: time.Second, RetentionBytes: 1, Compact: true}, 8, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.cfg.SegmentBytes, tt.cfg.FS = 300, quiet()
			tt.cfg.Clock = func() time.Time { return now }
			l := mustOpen(t, t.TempDir(), tt.cfg)
			for i := range 8 { // two batches of 132 bytes to a segment
				mustAppend(t, l, batch{size: 60, time: int64(i * 10_000)})
			}
			l.SetHighWatermark(tt.hw)
			if _, err := l.EnforceRetention(now); err != nil {
				t.Fatal(err)
			}
			if l.StartOffset() != tt.start || (*l.segments.Load())[0].base != tt.start {
				t.Errorf("log starts at %d in segment %d, want %d", l.StartOffset(), (*l.segments.Load())[0].base, tt.start)
			}
			r := mustOpen(t, crash(t, l), tt.cfg)
			if r.StartOffset() != tt.start || r.EndOffset() != 8 {
				t.Errorf("after a crash the log is [%d, %d), want [%d, 8)", r.StartOffset(), r.EndOffset(), tt.start)
			}
		})
	}
}

func TestDeleteBefore(t *testing.T) {
	l := mustOpen(t, t.TempDir(), Config{FS: quiet()})
	mustAppend(t, l, batch{n: 10})
	l.SetHighWatermark(5)
	if err := l.DeleteBefore(6); !errors.Is(err, ErrOffsetOutOfRange) {
		t.Errorf("DeleteBefore above the high watermark: %v", err)
	}
	if err := errors.Join(l.DeleteBefore(4), l.DeleteBefore(2)); err != nil || l.StartOffset() != 4 {
		t.Errorf("start is %d, %v, want 4", l.StartOffset(), err)
	}
	if _, err := l.Read(3, 1, 5, true); !errors.Is(err, ErrOffsetOutOfRange) {
		t.Errorf("Read below the start: %v", err)
	}
	if r := mustOpen(t, crash(t, l), Config{}); r.StartOffset() != 4 || r.HighWatermark() != 5 {
		t.Errorf("after a crash start is %d, high watermark %d, want 4 and 5", r.StartOffset(), r.HighWatermark())
	}
}

func TestTimestamps(t *testing.T) {
	l := mustOpen(t, t.TempDir(), Config{SegmentBytes: 300, FS: quiet()})
	if _, ok, err := l.MaxTimestampOffset(); ok || err != nil {
		t.Errorf("MaxTimestampOffset of an empty log: %t, %v", ok, err)
	}
	for _, ms := range []int64{100, 500, 300, 500, 200} { // three records each
		mustAppend(t, l, batch{n: 3, size: 20, time: ms})
	}
	for _, tt := range []struct {
		ms, want, at int64
	}{{0, 0, 100}, {101, 1, 101}, {103, 3, 500}, {500, 3, 500}, {502, 5, 502}, {503, -1, 0}} {
		got, ok, err := l.OffsetForTimestamp(tt.ms)
		if err != nil || ok != (tt.want >= 0) || ok && (got.Offset != tt.want || got.Timestamp != tt.at) {
			t.Errorf("OffsetForTimestamp(%d) = %+v, %t, %v, want %d", tt.ms, got, ok, err, tt.want)
		}
	}
	if got, ok, err := l.MaxTimestampOffset(); err != nil || !ok || got.Offset != 5 || got.Timestamp != 502 {
		t.Errorf("MaxTimestampOffset = %+v, %t, %v, want the first record at 502", got, ok, err)
	}
}

// TestTimestampsOneApart has an entry of the time index for every batch.
func TestTimestampsOneApart(t *testing.T) {
	l := mustOpen(t, t.TempDir(), Config{IndexIntervalBytes: 1, FS: quiet()})
	for i := range int64(20) {
		mustAppend(t, l, batch{time: 100 + i})
	}
	for i := range int64(20) {
		if got, ok, err := l.OffsetForTimestamp(100 + i); err != nil || !ok || got.Offset != i {
			t.Errorf("OffsetForTimestamp(%d) = %+v, %t, %v, want offset %d", 100+i, got, ok, err, i)
		}
	}
}

func TestLogAppendTime(t *testing.T) {
	now := time.UnixMilli(77_000)
	l := mustOpen(t, t.TempDir(), Config{TimestampType: LogAppendTime, FS: quiet(), Clock: func() time.Time { return now }})
	a := mustAppend(t, l, batch{n: 2, time: 5, producer: 1})
	if a.LogAppendTime != 77_000 {
		t.Errorf("LogAppendTime is %d", a.LogAppendTime)
	}
	v, _, err := recordbatch.Parse(readAll(t, l, 0, 2, 1000))
	if err != nil || !v.LogAppendTime() || v.MaxTimestamp() != 77_000 || v.CheckCRC() != nil {
		t.Errorf("stored with time %d, LogAppendTime %t, %v", v.MaxTimestamp(), v.LogAppendTime(), v.CheckCRC())
	}
	now = now.Add(time.Second)
	if d := mustAppend(t, l, batch{n: 2, time: 5, producer: 1}); !d.Duplicate || d.LogAppendTime != 77_000 {
		t.Errorf("duplicate: %+v, want the original's time", d)
	}
}

func TestSegmentAge(t *testing.T) {
	l := mustOpen(t, t.TempDir(), Config{SegmentAge: time.Second, FS: quiet()})
	for _, ms := range []int64{1000, 2000, 2001, 3002} {
		mustAppend(t, l, batch{time: ms})
	}
	var bases []int64
	for _, s := range *l.segments.Load() {
		bases = append(bases, s.base)
	}
	if !slices.Equal(bases, []int64{0, 2, 3}) {
		t.Errorf("segments begin at %v, want 0, 2 and 3", bases)
	}
}

func TestEpochs(t *testing.T) {
	l := mustOpen(t, t.TempDir(), Config{FS: quiet()})
	for _, epoch := range []int32{1, 1, 3} {
		if _, err := l.Append(batch{n: 2}.view(t), epoch); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.StartEpoch(5); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Append(batch{}.view(t), 4); !errors.Is(err, ErrFencedEpoch) {
		t.Errorf("append with an old epoch: %v", err)
	}
	check := func(l *Log, cases map[int32][2]int64) {
		t.Helper()
		for epoch, want := range cases {
			if e, end := l.EpochEnd(epoch); int64(e) != want[0] || end != want[1] {
				t.Errorf("EpochEnd(%d) = %d, %d, want %v", epoch, e, end, want)
			}
		}
	}
	check(l, map[int32][2]int64{-1: {-1, -1}, 0: {0, 0}, 1: {1, 4}, 2: {1, 4}, 3: {3, 6}, 4: {3, 6}, 5: {5, 6}, 6: {-1, -1}})
	dir := crash(t, l)
	if err := os.Remove(filepath.Join(dir, epochFile)); err != nil {
		t.Fatal(err)
	}
	check(mustOpen(t, dir, Config{}), map[int32][2]int64{1: {1, 4}, 3: {3, 6}, 5: {-1, -1}})
	if err := l.TruncateTo(4); err != nil {
		t.Fatal(err)
	}
	check(l, map[int32][2]int64{1: {1, 4}, 3: {-1, -1}})
	l.SetHighWatermark(4)
	if err := l.DeleteBefore(3); err != nil {
		t.Fatal(err)
	}
	check(l, map[int32][2]int64{0: {0, 3}, 1: {1, 4}})
}

func TestFollower(t *testing.T) {
	l, f := mustOpen(t, t.TempDir(), Config{FS: quiet()}), mustOpen(t, t.TempDir(), Config{FS: quiet()})
	if _, err := l.Append(batch{n: 3}.view(t), 7); err != nil {
		t.Fatal(err)
	}
	v := recordbatch.View(readAll(t, l, 0, 3, 1000))
	if err := f.AppendFollower(v); err != nil {
		t.Fatal(err)
	}
	if got := readAll(t, f, 0, 3, 1000); !bytes.Equal(got, v) || f.LatestEpoch() != 7 {
		t.Errorf("follower has %d other bytes, epoch %d", len(got), f.LatestEpoch())
	}
	if err := f.AppendFollower(v); !errors.Is(err, ErrNotContiguous) {
		t.Errorf("same batch again: %v, want ErrNotContiguous", err)
	}
	v.SetBaseOffset(3)
	v[len(v)-1] ^= 1
	if err := f.AppendFollower(v); !errors.Is(err, recordbatch.ErrCRC) {
		t.Errorf("damaged batch: %v, want ErrCRC", err)
	}
	if err := f.ResetTo(100); err != nil || f.StartOffset() != 100 || f.EndOffset() != 100 || f.LatestEpoch() != -1 {
		t.Errorf("reset log is [%d, %d), epoch %d, %v", f.StartOffset(), f.EndOffset(), f.LatestEpoch(), err)
	}
	if r := mustOpen(t, crash(t, f), Config{}); r.StartOffset() != 100 || r.EndOffset() != 100 {
		t.Errorf("after a crash the log is [%d, %d)", r.StartOffset(), r.EndOffset())
	}
}

func TestDelete(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "orders-0")
	l := mustOpen(t, dir, Config{})
	mustAppend(t, l, batch{})
	if err := l.Delete(); err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{dir, dir + "-delete"} {
		if _, err := os.Stat(d); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: %v, want it gone", d, err)
		}
	}
	if _, err := l.Append(batch{}.view(t), 0); !errors.Is(err, ErrClosed) {
		t.Errorf("Append to a deleted log: %v", err)
	}
	if _, err := l.Read(0, 1, 1, true); !errors.Is(err, ErrClosed) {
		t.Errorf("Read of a deleted log: %v", err)
	}
	if err := errors.Join(l.Close(), l.Delete()); err != nil {
		t.Errorf("again: %v", err)
	}
}
