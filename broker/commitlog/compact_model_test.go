package commitlog

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/millrace/millrace/broker/recordbatch"
)

// compactEntry is a record that the model knows of.
type compactEntry struct {
	offset    int64
	key       string
	value     string // "" for a tombstone
	timestamp int64
}

// compactModel is all that was ever appended, and when each tombstone was
// first cleaned.
type compactModel struct {
	all     []compactEntry
	end     int64
	cleaned map[int64]time.Time // by offset of the tombstone
}

// newestOf returns the last entry of each key.
func (m *compactModel) newestOf() map[string]compactEntry {
	out := map[string]compactEntry{}
	for _, e := range m.all {
		out[e.key] = e
	}
	return out
}

const modelRetention = time.Hour

// TestCompactionModel runs random histories of appends, tombstones, rolls,
// compactions, power failures between any two changes of a compaction, and
// restarts, against all that was appended.
func TestCompactionModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		root, err := os.MkdirTemp(t.TempDir(), "model")
		if err != nil {
			rt.Fatal(err)
		}
		dir := filepath.Join(root, "log")
		clock := &testClock{time.UnixMilli(1_000_000)}
		disk := &crashFS{left: -1, loose: map[string]bool{}}
		cfg := Config{
			Compact: true, Clock: clock.Now, FS: disk, TombstoneRetention: modelRetention,
			SegmentBytes:       rapid.IntRange(400, 2000).Draw(rt, "segment.bytes"),
			IndexIntervalBytes: rapid.IntRange(1, 400).Draw(rt, "index.interval.bytes"),
		}
		cleaner := NewCleaner(CleanerConfig{MapBytes: rapid.IntRange(2, 60).Draw(rt, "keys in the map") * slotBytes})
		l, err := Open(dir, cfg)
		if err != nil {
			rt.Fatal(err)
		}
		defer func() { l.Close() }()
		m := &compactModel{cleaned: map[int64]time.Time{}}
		sequences := map[int64]int32{}
		var lastSent recordbatch.View
		reopen := func() {
			if l, err = Open(dir, cfg); err != nil {
				rt.Fatalf("Open: %v", err)
			}
			l.SetHighWatermark(l.EndOffset())
		}
		settle := func() {
			if err := l.sync(); err != nil {
				rt.Fatal(err)
			}
			l.SetHighWatermark(l.EndOffset())
		}
		rt.Repeat(map[string]func(*rapid.T){
			"append": func(rt *rapid.T) {
				clock.now = clock.now.Add(time.Duration(rapid.IntRange(0, 30).Draw(rt, "minutes")) * time.Minute)
				var kvs []kv
				for range rapid.IntRange(1, 5).Draw(rt, "records") {
					e := compactEntry{m.end, fmt.Sprint("k", rapid.IntRange(0, 7).Draw(rt, "key")), "", clock.now.UnixMilli()}
					if rapid.IntRange(0, 3).Draw(rt, "tombstone") > 0 {
						e.value = fmt.Sprint("v", m.end)
					}
					m.all, m.end = append(m.all, e), m.end+1
					kvs = append(kvs, kv{e.key, e.value})
				}
				p := recordbatch.NoProducer
				if id := rapid.Int64Range(0, 2).Draw(rt, "producer"); id > 0 {
					p = recordbatch.Producer{ID: id, BaseSequence: sequences[id]}
					sequences[id] += int32(len(kvs))
				}
				v := keyed(t, clock.now.UnixMilli(), p, kvs...)
				if p.ID > 0 {
					lastSent = append(recordbatch.View(nil), v...)
				}
				if a, err := l.Append(v, 0); err != nil || a.LastOffset != m.end-1 {
					rt.Fatalf("Append = %+v, %v, want last offset %d", a, err, m.end-1)
				}
				settle()
			},
			"send again": func(rt *rapid.T) {
				if lastSent == nil {
					return
				}
				again := append(recordbatch.View(nil), lastSent...)
				if a, err := l.Append(again, 0); err != nil || !a.Duplicate {
					rt.Fatalf("a batch sent again: %+v, %v", a, err)
				}
			},
			"roll": func(rt *rapid.T) {
				if l.active().size.Load() == 0 {
					return
				}
				l.mu.Lock()
				_, err := l.roll(l.end.Load())
				l.mu.Unlock()
				if err != nil {
					rt.Fatal(err)
				}
				settle()
			},
			"time": func(rt *rapid.T) {
				clock.now = clock.now.Add(time.Duration(rapid.IntRange(1, 90).Draw(rt, "minutes")) * time.Minute)
			},
			"compact": func(rt *rapid.T) {
				before := l.Size()
				s, err := cleaner.Clean(t.Context(), l)
				if err != nil || s.Moved || l.Size() > before+recordbatch.HeaderSize*8 {
					rt.Fatalf("Clean = %+v, %v; %d bytes became %d", s, err, before, l.Size())
				}
				m.noteCleaned(clock.now)
			},
			"power failure while compacting": func(rt *rapid.T) {
				disk.left = rapid.IntRange(0, 40).Draw(rt, "changes")
				cleaner.Clean(t.Context(), l) // fails, or ends before the power does
				disk.left = 0
				l.Close()
				if err := disk.lose(); err != nil {
					rt.Fatal(err)
				}
				disk.left, disk.loose = -1, map[string]bool{}
				m.noteCleaned(clock.now)
				reopen()
			},
			"close and open": func(rt *rapid.T) {
				if err := l.Close(); err != nil {
					rt.Fatal(err)
				}
				reopen()
			},
			"": func(rt *rapid.T) { m.compare(rt, l, clock.now) },
		})
	})
}

// noteCleaned says that every tombstone may have been cleaned for the first
// time now.
func (m *compactModel) noteCleaned(now time.Time) {
	for _, e := range m.all {
		if _, known := m.cleaned[e.offset]; e.value == "" && !known {
			m.cleaned[e.offset] = now
		}
	}
}

func (m *compactModel) compare(rt *rapid.T, l *Log, now time.Time) {
	if l.StartOffset() != 0 || l.EndOffset() != m.end {
		rt.Fatalf("log is [%d, %d), want [0, %d)", l.StartOffset(), l.EndOffset(), m.end)
	}
	there := map[int64]bool{}
	next := int64(0)
	for next < m.end {
		c, err := l.Read(next, 600, m.end, true)
		if err != nil {
			rt.Fatalf("Read(%d): %v", next, err)
		}
		b, err := c.AppendTo(nil)
		c.Close()
		if err != nil || len(b) == 0 {
			rt.Fatalf("Read(%d) gives %d bytes, %v", next, len(b), err)
		}
		for len(b) > 0 {
			v, rest, err := recordbatch.Parse(b)
			if err == nil {
				err = v.CheckCRC()
			}
			if err != nil || v.NextOffset() <= next {
				rt.Fatalf("batch from %d to %d after %d: %v", v.BaseOffset(), v.LastOffset(), next, err)
			}
			m.compareBatch(rt, v, there)
			next, b = v.NextOffset(), rest
		}
	}
	for key, e := range m.newestOf() {
		first, cleaned := m.cleaned[e.offset]
		if e.value == "" && cleaned && !now.Before(first.Add(modelRetention)) {
			continue // the tombstone may be gone
		}
		if !there[e.offset] {
			rt.Fatalf("%s=%q at %d is gone; cleaned at %v, now %v", key, e.value, e.offset, first, now)
		}
	}
	m.noneReturns(rt, there)
}

// noneReturns fails if a key whose tombstone is gone has an older value again.
func (m *compactModel) noneReturns(rt *rapid.T, there map[int64]bool) {
	newest := m.newestOf()
	for _, e := range m.all {
		if last := newest[e.key]; there[e.offset] && last.value == "" && !there[last.offset] {
			rt.Fatalf("%s=%q at %d is there, its tombstone at %d is gone", e.key, e.value, e.offset, last.offset)
		}
	}
}

// compareBatch compares the records of a batch with those appended.
func (m *compactModel) compareBatch(rt *rapid.T, v recordbatch.View, there map[int64]bool) {
	for r, err := range v.Records(1 << 20) {
		if err != nil {
			rt.Fatal(err)
		}
		e := m.all[r.Offset]
		if string(r.Key) != e.key || string(r.Value) != e.value || (r.Value == nil) != (e.value == "") || r.Timestamp != e.timestamp {
			rt.Fatalf("record at %d is %s=%q at %d, want %+v", r.Offset, r.Key, r.Value, r.Timestamp, e)
		}
		there[r.Offset] = true
	}
}
