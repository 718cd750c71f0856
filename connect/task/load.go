package task

import (
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/plugins/data"
)

// load is the memory of a batch's records in their form in the log. The
// producer has it until it has told the fate of each of them.
type load struct {
	records []kgo.Record
	arena   []byte // keys, values and headers
}

// The loads that are kept for the next batches, and the largest of them, in
// bytes. More batches than that are on their way only when the log is slow.
const (
	maxSpares    = 8
	maxSpareSize = 2 << 20
)

// spares are loads that nobody uses. It is safe for concurrent use: loads come
// back from the producer's goroutines.
type spares struct {
	mu   sync.Mutex // guards below
	list []*load
}

// take returns a load with room for the records of a batch.
func (s *spares) take(b *data.Batch) *load {
	s.mu.Lock()
	var l *load
	if n := len(s.list); n > 0 {
		l, s.list = s.list[n-1], s.list[:n-1]
	}
	s.mu.Unlock()
	if l == nil {
		l = &load{arena: make([]byte, 0, arenaSize(b))}
	}
	if cap(l.records) < len(b.Records) {
		l.records = make([]kgo.Record, len(b.Records))
	}
	l.records = l.records[:len(b.Records)]
	return l
}

// give takes a load back.
func (s *spares) give(l *load) {
	if cap(l.arena) > maxSpareSize {
		return
	}
	clear(l.records) // they hold topics and contexts
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.list) < maxSpares {
		s.list = append(s.list, l)
	}
}
