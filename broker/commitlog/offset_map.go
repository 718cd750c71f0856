package commitlog

import (
	"crypto/sha256"
	"encoding/binary"
)

// offsetMap remembers the newest offset of every key, by 128 bits of the key's
// SHA-256, so that no key can be made to look like another. It is a table with
// linear probing that grows up to a number of bytes; while it grows, the old
// table and the new one count together.
type offsetMap struct {
	maxBytes int
	n        int
	slots    []slotEntry
}

// slotEntry is one key; next is its offset plus one, 0 in an empty slot.
type slotEntry struct {
	high, low uint64
	next      int64
}

const (
	slotBytes  = 24
	firstSlots = 4096
	// keepSlots is how large a table may be to stay for the next log.
	keepSlots = 64 << 10
)

// reset empties the map.
func (m *offsetMap) reset() {
	m.n = 0
	if len(m.slots) > keepSlots {
		m.slots = nil
	}
	clear(m.slots)
}

func keyHash(key []byte) (high, low uint64) {
	sum := sha256.Sum256(key)
	return binary.BigEndian.Uint64(sum[:]), binary.BigEndian.Uint64(sum[8:])
}

// slot returns where a key is or would be.
func (m *offsetMap) slot(high, low uint64) *slotEntry {
	for i := int(low % uint64(len(m.slots))); ; {
		s := &m.slots[i]
		if s.next == 0 || s.high == high && s.low == low {
			return s
		}
		if i++; i == len(m.slots) {
			i = 0
		}
	}
}

// put notes the newest offset of a key; false if it is a new one and there is
// no room for it.
func (m *offsetMap) put(key []byte, offset int64) bool {
	high, low := keyHash(key)
	if m.n > 0 {
		if s := m.slot(high, low); s.next != 0 {
			s.next = offset + 1
			return true
		}
	}
	for (m.n+1)*10 > len(m.slots)*9 { // a slot stays empty, for probing to end
		if !m.grow() {
			return false
		}
	}
	m.n++
	*m.slot(high, low) = slotEntry{high, low, offset + 1}
	return true
}

// newest returns the newest offset of a key, -1 if the map does not have it.
func (m *offsetMap) newest(key []byte) int64 {
	if m.n == 0 {
		return -1
	}
	high, low := keyHash(key)
	return m.slot(high, low).next - 1
}

// grow makes the table twice as large, or as large as the bytes allow.
func (m *offsetMap) grow() bool {
	room := m.maxBytes/slotBytes - len(m.slots)
	size := min(max(2*len(m.slots), firstSlots), room)
	if size <= len(m.slots)+len(m.slots)/8 {
		return false
	}
	old := m.slots
	m.slots = make([]slotEntry, size)
	for _, e := range old {
		if e.next != 0 {
			*m.slot(e.high, e.low) = e
		}
	}
	return true
}

// fill returns which share of the bytes that the map may take holds keys.
func (m *offsetMap) fill() float64 { return float64(m.n*slotBytes) / float64(max(m.maxBytes, 1)) }
