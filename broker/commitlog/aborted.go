package commitlog

import (
	"errors"
	"fmt"
	"io"

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
	for _, s := range a.spans[v.ProducerID()] {
		if v.BaseOffset() >= s.first && v.LastOffset() < s.marker {
			return true
		}
	}
	return false
}

// find reads the headers of the batches in [from, to). No transaction is open
// at either offset, for both were below a last stable offset, unless a round
// ended early: then what is left of the transaction is what counts. It returns
// up to which offset transactions are known, which is to unless there are too
// many.
func (a *abortedList) find(segs []*segment, from, to int64, wait func(int) error) (int64, error) {
	a.spans, a.n = make(map[int64][]abortedSpan), 0
	open := make(map[int64]int64)
	for _, s := range segs {
		known, err := a.findIn(s, from, to, open, wait)
		if err != nil || known < to {
			return known, err
		}
	}
	return to, nil
}

func (a *abortedList) findIn(s *segment, from, to int64, open map[int64]int64, wait func(int) error) (int64, error) {
	size := s.size.Load()
	if err := wait(int(size)); err != nil {
		return 0, err
	}
	c := s.scan(0, size)
	defer c.release()
	for {
		pos := c.pos
		h, n, err := c.next()
		switch {
		case errors.Is(err, io.EOF):
			return to, nil
		case err != nil:
			return 0, err
		case h.ProducerID() < 0 || !h.Transactional() || h.LastOffset() < from || h.BaseOffset() >= to:
			continue
		case !h.Control():
			if _, known := open[h.ProducerID()]; !known {
				open[h.ProducerID()] = h.BaseOffset()
			}
			continue
		}
		if err := a.end(s, pos, n, open); err != nil {
			return 0, err
		}
		if a.n >= maxAborted {
			return earliest(open, h.NextOffset()), nil
		}
	}
}

// end takes in the control batch at pos.
func (a *abortedList) end(s *segment, pos, size int64, open map[int64]int64) error {
	v, err := s.readBatch(pos, size)
	if err != nil {
		return err
	}
	m, err := parseMarker(v)
	if err != nil || m == nil {
		return err
	}
	id := v.ProducerID()
	if first, ok := open[id]; ok && m.Type == recordbatch.Abort {
		a.spans[id] = append(a.spans[id], abortedSpan{first, v.BaseOffset()})
		a.n++
	}
	delete(open, id)
	return nil
}

// earliest returns where the oldest open transaction begins, at most to.
func earliest(open map[int64]int64, to int64) int64 {
	for _, first := range open {
		to = min(to, first)
	}
	return to
}

// errNoProgress means that a round could not clean a single offset.
func errNoProgress(at int64) error {
	return fmt.Errorf("compaction at offset %d cannot go on: log.cleaner.dedupe.buffer.size is too small for a key, "+
		"or a transaction spans more than %d aborted ones", at, maxAborted)
}
