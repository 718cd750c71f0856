package commitlog

import (
	"fmt"
	"sort"

	"github.com/millrace/millrace/broker/recordbatch"
)

// maxAborted bounds how many aborted transactions one round of compaction
// takes into account.
const maxAborted = 1 << 20

// abortedList knows which offsets of a range are of aborted transactions.
type abortedList struct {
	spans map[int64][]abortedSpan // by producer, in the order of the log
	n     int
}

type abortedSpan struct{ first, marker int64 }

// has reports whether a batch is part of an aborted transaction.
func (a *abortedList) has(v recordbatch.View) bool {
	if !v.Transactional() || a.n == 0 {
		return false
	}
	spans := a.spans[v.ProducerID()] // one after the other
	i := sort.Search(len(spans), func(i int) bool { return spans[i].marker > v.LastOffset() })
	return i < len(spans) && v.BaseOffset() >= spans[i].first
}

// find takes in the aborted transactions that have offsets in [from, to),
// wherever they end: to is at most a last stable offset, so all are decided.
// It returns up to which offset they are known, which is to unless there are
// too many.
func (a *abortedList) find(segs []*segment, from, to int64) (int64, error) {
	a.spans, a.n = make(map[int64][]abortedSpan), 0
	known := to
	err := aborted(segs, from, to, func(x AbortedTxn) {
		if a.n >= maxAborted {
			known = min(known, x.FirstOffset)
			return
		}
		a.spans[x.ProducerID] = append(a.spans[x.ProducerID], abortedSpan{x.FirstOffset, x.LastOffset})
		a.n++
	})
	return known, err
}

// errNoProgress means that a round could not clean a single offset.
func errNoProgress(at int64) error {
	return fmt.Errorf("compaction at offset %d cannot go on: log.cleaner.dedupe.buffer.size is too small for a key, "+
		"or a transaction spans more than %d aborted ones", at, maxAborted)
}
