package sdk

import (
	"bytes"
	"fmt"

	"github.com/millrace/millrace/plugins/data"
)

// ledger remembers what each batch that was sent held, until the worker has
// said that it is safe. It is pure; the task's lock guards it.
type ledger struct {
	keepRecords   bool // an Acker wants to know
	keepPositions bool // a Committer wants to know
	entries       []entry
	acked, stored uint64 // sequences, as told by the worker
	toldRecords   uint64
	over          bool // the task failed: what is due now is told last
}

// entry is one batch, or several that were merged.
type entry struct {
	sequence  uint64
	records   uint64 // of the task so far, with this batch
	positions []data.Position
}

// maxEntries bounds the ledger. Beyond it batches are merged in pairs, which
// makes acknowledgements come later, never too early.
const maxEntries = 1024

// add notes a batch: the records of b from one number to another.
func (l *ledger) add(sequence, records uint64, b *data.Batch, from, to int) {
	if !l.keepRecords && !l.keepPositions {
		return
	}
	e := entry{sequence: sequence, records: records}
	if l.keepPositions {
		e.positions = latest(nil, b, from, to)
	}
	if len(l.entries) >= maxEntries {
		l.merge()
	}
	l.entries = append(l.entries, e)
}

// latest adds the last position of each source partition that records from
// one number to another moved, and, with the last record, the positions that
// no record refers to.
func latest(into []data.Position, b *data.Batch, from, to int) []data.Position {
	used := make([]bool, len(b.Positions))
	for i := range b.Records[:to] {
		p := b.Records[i].Position
		if p < 0 || int(p) >= len(used) {
			continue
		}
		if i >= from && (i+1 == to || b.Records[i+1].Position != p) {
			into = setPosition(into, b.Positions[p])
		}
		used[p] = true
	}
	if to == len(b.Records) {
		for i, p := range b.Positions {
			if !used[i] {
				into = setPosition(into, p)
			}
		}
	}
	return into
}

// setPosition replaces the position of a partition or adds it, copied: a
// batch's bytes are its maker's.
func setPosition(list []data.Position, p data.Position) []data.Position {
	for i := range list {
		if bytes.Equal(list[i].Partition, p.Partition) {
			list[i].Offset = bytes.Clone(p.Offset)
			return list
		}
	}
	return append(list, data.Position{Partition: bytes.Clone(p.Partition), Offset: bytes.Clone(p.Offset)})
}

// merge joins the entries in pairs, each into the later one.
func (l *ledger) merge() {
	half := l.entries[:0]
	for i := 0; i < len(l.entries); i += 2 {
		e := l.entries[i]
		if i+1 < len(l.entries) {
			later := l.entries[i+1]
			for _, p := range later.positions {
				e.positions = setPosition(e.positions, p)
			}
			e.sequence, e.records = later.sequence, later.records
		}
		half = append(half, e)
	}
	clear(l.entries[len(half):])
	l.entries = half
}

// ready returns what can be told now: the records that are safe, if that is
// news, and the positions that are stored.
func (l *ledger) ready() (records uint64, news bool, positions []data.Position) {
	n := 0
	for _, e := range l.entries {
		if e.sequence <= l.acked {
			records = e.records
		}
		if e.sequence <= l.stored {
			for _, p := range e.positions {
				positions = setPosition(positions, p)
			}
		}
		// An entry goes when nobody waits for it any more.
		if e.sequence <= l.acked && (e.sequence <= l.stored || !l.keepPositions) {
			n++
		}
	}
	for i := range l.entries {
		if l.entries[i].sequence <= l.stored {
			l.entries[i].positions = nil // told
		}
	}
	l.entries = append(l.entries[:0], l.entries[n:]...)
	if news = l.keepRecords && records > l.toldRecords; news {
		l.toldRecords = records
	}
	return records, news, positions
}

// due reports whether ready would return anything.
func (l *ledger) due() bool {
	for _, e := range l.entries {
		if e.sequence <= l.acked && (l.keepRecords && e.records > l.toldRecords || !l.keepPositions) ||
			e.sequence <= l.stored && len(e.positions) > 0 {
			return true
		}
	}
	return false
}

// acks tells the task of acknowledgements until it is closed. What has arrived
// before the close is told still. An error stops the polling.
func (t *sourceTask) acks(acker Acker, committer Committer) error {
	for {
		err := t.wait(t.life, func() bool { return t.ledger.due() || t.closing || t.ledger.over })
		if err != nil {
			return nil // cut off
		}
		t.mu.Lock()
		last := t.closing || t.ledger.over
		records, news, positions := t.ledger.ready()
		t.mu.Unlock()
		if err := t.tellAcks(acker, committer, records, news, positions); err != nil {
			t.stopPoll(err)
			return err
		}
		if last {
			return nil
		}
	}
}

func (t *sourceTask) tellAcks(acker Acker, committer Committer, records uint64, news bool, positions []data.Position) error {
	if acker != nil && news {
		err := guard(t.log, "Acked", func() error { return acker.Acked(t.life, records) })
		if err != nil {
			return fmt.Errorf("acknowledge records: %w", err)
		}
	}
	if committer == nil || len(positions) == 0 {
		return nil
	}
	decoded, err := decodePositions(positions)
	if err != nil {
		return err
	}
	err = guard(t.log, "Committed", func() error { return committer.Committed(t.life, decoded) })
	if err != nil {
		return fmt.Errorf("acknowledge offsets: %w", err)
	}
	return nil
}
