package commitlog

import (
	"fmt"
	"testing"
)

func TestOffsetMap(t *testing.T) {
	for _, limit := range []int{1, slotBytes, 10 * slotBytes, 100_000 * slotBytes} {
		m := offsetMap{maxBytes: limit}
		n := 0
		for ; n < 200_000; n++ {
			if !m.put(fmt.Append(nil, n), int64(n)) {
				break
			}
			if bytes := len(m.slots) * slotBytes; bytes > limit {
				t.Fatalf("%d keys take %d bytes of %d", n, bytes, limit)
			}
		}
		if least := limit / slotBytes * 4 / 10; n < least || n == 200_000 {
			t.Errorf("%d bytes take %d keys, want %d at least", limit, n, least)
		}
		if got := m.newest([]byte("no such key")); got != -1 {
			t.Errorf("offset of a key that is not there: %d", got)
		}
		for i := range n {
			if got := m.newest(fmt.Append(nil, i)); got != int64(i) {
				t.Fatalf("newest(%d) = %d", i, got)
			}
		}
		if n == 0 {
			continue
		}
		if !m.put([]byte("0"), 7777) || m.newest([]byte("0")) != 7777 || m.n != n {
			t.Errorf("full at %d keys, a known key finds no room", n)
		}
		m.reset()
		if m.newest([]byte("0")) != -1 || m.fill() != 0 {
			t.Error("not empty after reset")
		}
	}
}

func TestOffsetMapDoesNotAllocate(t *testing.T) {
	m := offsetMap{maxBytes: 1 << 20}
	key := []byte("some key of some length, longer than one block of the hash function is")
	m.put(key, 0)
	if n := testing.AllocsPerRun(100, func() {
		if !m.put(key, 5) || m.newest(key) != 5 {
			t.Error("not found")
		}
	}); n > 0 {
		t.Errorf("a look-up allocates %v times", n)
	}
}
