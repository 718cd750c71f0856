//go:build !race

package commitlog

import "testing"

// Under the race detector sync.Pool forgets what it is given at random, so
// this is left to the runs without.

func TestHotPathsDoNotAllocate(t *testing.T) {
	l := mustOpen(t, t.TempDir(), Config{FS: OSFS{}})
	v := batch{n: 100, size: 100}.view(t)
	p := batch{n: 1, producer: 9, size: 2000}.view(t)
	seq := int32(0)
	appendOne := func() {
		if _, err := l.Append(v, 1); err != nil {
			t.Fatal(err)
		}
	}
	appendProducer := func() {
		putSequence(p, seq)
		seq++
		if _, err := l.Append(p, 1); err != nil {
			t.Fatal(err)
		}
		l.SetHighWatermark(l.EndOffset())
	}
	readTail := func() {
		end := l.EndOffset()
		c, err := l.Read(end-1, 1<<20, end, true)
		if err != nil || c.Len() == 0 {
			t.Fatalf("Read: %d bytes, %v", c.Len(), err)
		}
		c.Close()
	}
	at := int64(0)
	readOn := func() {
		c, err := l.Read(at, 10_000, l.EndOffset(), true)
		if err != nil {
			t.Fatal(err)
		}
		at = (at + 701) % (l.EndOffset() - 1)
		c.Close()
	}
	for range 200 {
		appendOne()
	}
	for name, f := range map[string]func(){"Append": appendOne, "Append of a producer": appendProducer, "Read at the tail": readTail, "Read anywhere": readOn} {
		f()
		// Indexes grow by doubling and pools are emptied by the collector,
		// which averages out to less than one.
		if n := testing.AllocsPerRun(300, f); n >= 1 {
			t.Errorf("%s allocates %v times", name, n)
		}
	}
}

func putSequence(v []byte, seq int32) {
	v[53], v[54], v[55], v[56] = byte(seq>>24), byte(seq>>16), byte(seq>>8), byte(seq)
}
