package postgres

import (
	"encoding/binary"
	"strings"
	"testing"
)

// A change that is too large to be taken is refused by what its length says,
// with what to do, and before any of it is kept.
func TestChangeThatIsTooLarge(t *testing.T) {
	s := &walStream{}
	for size, refused := range map[uint32]bool{maxFrame - 1: false, maxFrame: true, 1<<30 - 1: true, 1<<32 - 2: true, 3: true} {
		frame := append(binary.BigEndian.AppendUint32([]byte{'d'}, size), 'w')
		whole, _, err := s.scan(frame, new(bool))
		if (err != nil) != refused || whole != 0 {
			t.Errorf("a change of %d bytes: %d are taken, %v", size, whole, err)
		}
		if err != nil && !strings.Contains(err.Error(), "column.exclude.list") {
			t.Errorf("a change of %d bytes: %v", size, err)
		}
	}
}
