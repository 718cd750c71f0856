package commitlog

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/millrace/millrace/broker/recordbatch"
)

// model is the log as a list of batches.
type model struct {
	start, end, durable int64
	batches             []recordbatch.View
}

func (m *model) bytesFrom(offset, bound int64) []byte {
	var out []byte
	for _, v := range m.batches {
		if v.LastOffset() >= offset && v.LastOffset() < bound {
			out = append(out, v...)
		}
	}
	return out
}

func (m *model) truncate(offset int64) {
	i := slices.IndexFunc(m.batches, func(v recordbatch.View) bool { return v.LastOffset() >= offset })
	if i < 0 {
		return
	}
	m.end = m.batches[i].BaseOffset()
	m.batches = m.batches[:i]
	if m.end < m.start {
		m.end, m.batches = m.start, nil
	}
}

// TestModel runs random histories against a list of batches. The failing seed
// and the shrunk history are printed by rapid.
func TestModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "log")
		if err != nil {
			rt.Fatal(err)
		}
		clock := time.UnixMilli(1_000_000)
		cfg := Config{
			SegmentBytes:       rapid.IntRange(700, 3000).Draw(rt, "segment.bytes"),
			IndexIntervalBytes: rapid.IntRange(1, 600).Draw(rt, "index.interval.bytes"),
			SegmentAge:         time.Hour, RetentionAge: Unlimited,
			Clock: func() time.Time { return clock },
			FS:    faultFS{FS: OSFS{}, faults: &faults{noSync: true}},
		}
		l, err := Open(dir, cfg)
		if err != nil {
			rt.Fatal(err)
		}
		defer func() { l.Close() }()
		m := &model{}
		reopen := func() {
			if l, err = Open(dir, cfg); err != nil {
				rt.Fatalf("Open: %v", err)
			}
			m.durable = m.end
		}
		rt.Repeat(map[string]func(*rapid.T){
			"append": func(rt *rapid.T) {
				clock = clock.Add(time.Duration(rapid.IntRange(0, 600).Draw(rt, "seconds")) * time.Second)
				b := batch{n: rapid.IntRange(1, 5).Draw(rt, "records"), size: rapid.IntRange(0, 100).Draw(rt, "size"), time: clock.UnixMilli()}
				v := b.view(t)
				a, err := l.Append(v, 0)
				if err != nil {
					rt.Fatalf("Append: %v", err)
				}
				if a.BaseOffset != m.end {
					rt.Fatalf("appended at %d, want %d", a.BaseOffset, m.end)
				}
				m.batches, m.end = append(m.batches, v), v.NextOffset()
			},
			"sync": func(rt *rapid.T) {
				if err := l.WaitDurable(context.Background(), m.end); err != nil {
					rt.Fatal(err)
				}
				m.durable = m.end
			},
			"truncate": func(rt *rapid.T) {
				at := rapid.Int64Range(m.start, m.end+3).Draw(rt, "offset")
				if err := l.TruncateTo(at); err != nil {
					rt.Fatal(err)
				}
				m.truncate(at)
				m.durable = min(m.durable, m.end)
			},
			"delete before": func(rt *rapid.T) {
				l.SetHighWatermark(m.end)
				at := rapid.Int64Range(m.start, l.HighWatermark()).Draw(rt, "offset")
				if err := l.DeleteBefore(at); err != nil {
					rt.Fatal(err)
				}
				m.start = at
			},
			"close and open": func(rt *rapid.T) {
				if err := l.Close(); err != nil {
					rt.Fatal(err)
				}
				reopen()
			},
			"crash": func(rt *rapid.T) {
				// A killed process loses nothing; a lost machine loses some of
				// what was not synced in the active segment.
				l.syncMu.Lock()
				l.mu.Lock()
				crashed := copyDir(rt, dir, t.TempDir())
				l.mu.Unlock()
				l.syncMu.Unlock()
				active := l.active()
				cut := rapid.Int64Range(0, 200).Draw(rt, "bytes lost")
				size := active.size.Load()
				l.Close()
				if err := os.RemoveAll(dir); err != nil {
					rt.Fatal(err)
				}
				if err := os.Rename(crashed, dir); err != nil {
					rt.Fatal(err)
				}
				keep := durableSize(m, active.base, max(0, size-cut))
				if err := os.Truncate(filepath.Join(dir, fileName(active.base, logSuffix)), keep); err != nil {
					rt.Fatal(err)
				}
				m.crash(active.base, keep)
				reopen()
			},
			"": func(rt *rapid.T) { compareModel(rt, l, m) },
		})
	})
}

// durableSize returns a size of the segment at base that is at least want and
// keeps what is durable.
func durableSize(m *model, base, want int64) int64 {
	var size int64
	for _, v := range m.batches {
		if v.BaseOffset() >= base && v.NextOffset() <= m.durable {
			size += int64(len(v))
		}
	}
	return max(size, want)
}

// crash drops the batches that do not fit in the first size bytes of the
// segment at base.
func (m *model) crash(base, size int64) {
	for i, v := range m.batches {
		if v.BaseOffset() < base {
			continue
		}
		if size -= int64(len(v)); size < 0 {
			m.end, m.batches = v.BaseOffset(), m.batches[:i]
			break
		}
	}
	m.end = max(m.end, m.start)
}

func compareModel(rt *rapid.T, l *Log, m *model) {
	if l.StartOffset() != m.start || l.EndOffset() != m.end {
		rt.Fatalf("log is [%d, %d), want [%d, %d)", l.StartOffset(), l.EndOffset(), m.start, m.end)
	}
	if l.DurableOffset() > l.EndOffset() || l.HighWatermark() > l.EndOffset() {
		rt.Fatalf("end %d, durable %d, high watermark %d", l.EndOffset(), l.DurableOffset(), l.HighWatermark())
	}
	if m.start == m.end || len(m.batches) == 0 {
		return
	}
	from := rapid.Int64Range(m.start, m.end-1).Draw(rt, "read from")
	maxBytes := rapid.IntRange(1, 2000).Draw(rt, "max bytes")
	want := m.bytesFrom(from, m.end)
	got := make([]byte, 0, len(want))
	for offset := from; offset < m.end; {
		c, err := l.Read(offset, maxBytes, m.end, true)
		if err != nil {
			rt.Fatalf("Read(%d): %v", offset, err)
		}
		b, err := c.AppendTo(nil)
		c.Close()
		if err != nil || len(b) == 0 {
			rt.Fatalf("Read(%d) gives %d bytes, %v", offset, len(b), err)
		}
		got = append(got, b...)
		for len(b) > 0 {
			v, rest, err := recordbatch.Parse(b)
			if err != nil {
				rt.Fatalf("Read(%d) cuts a batch: %v", offset, err)
			}
			offset, b = v.NextOffset(), rest
		}
	}
	if !bytes.Equal(got, want) {
		rt.Fatalf("read from %d gives %d bytes, want %d", from, len(got), len(want))
	}
	compareTimes(rt, l, m)
}

func compareTimes(rt *rapid.T, l *Log, m *model) {
	ms := rapid.Int64Range(m.batches[0].BaseTimestamp()-1, m.batches[len(m.batches)-1].MaxTimestamp()+1).Draw(rt, "time")
	want := int64(-1)
	for _, v := range m.batches {
		for r, err := range v.Records(0) {
			if err != nil {
				rt.Fatal(err)
			}
			if want < 0 && r.Timestamp >= ms && r.Offset >= m.start {
				want = r.Offset
			}
		}
	}
	got, ok, err := l.OffsetForTimestamp(ms)
	if err != nil || ok != (want >= 0) || ok && got.Offset != want {
		rt.Fatalf("OffsetForTimestamp(%d) = %+v, %t, %v, want offset %d", ms, got, ok, err, want)
	}
}

func copyDir(rt *rapid.T, from, to string) string {
	entries, err := os.ReadDir(from)
	if err != nil {
		rt.Fatal(err)
	}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(from, e.Name()))
		if err == nil {
			err = os.WriteFile(filepath.Join(to, e.Name()), b, 0o644)
		}
		if err != nil {
			rt.Fatal(err)
		}
	}
	return to
}
