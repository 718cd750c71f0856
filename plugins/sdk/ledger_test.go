package sdk

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/millrace/millrace/plugins/data"
)

// sent is a batch of n records of which the last moves the partition to the
// offset.
func sent(n int, partition, offset string) *data.Batch {
	b := &data.Batch{Positions: []data.Position{{Partition: []byte(partition), Offset: []byte(offset)}}}
	for i := range n {
		b.Records = append(b.Records, data.Record{Topic: "t", Position: data.NoPosition})
		if i == n-1 {
			b.Records[i].Position = 0
		}
	}
	return b
}

func TestLedgerTellsWhatIsSafe(t *testing.T) {
	l := &ledger{keepRecords: true, keepPositions: true}
	l.add(1, 10, sent(10, "a", "1"), 0, 10)
	l.add(2, 20, sent(10, "b", "2"), 0, 10)
	l.add(3, 30, sent(10, "a", "3"), 0, 10)
	if l.due() {
		t.Error("something is due before any acknowledgement")
	}
	l.acked = 2
	if records, news, positions := l.ready(); records != 20 || !news || len(positions) != 0 {
		t.Errorf("after acked 2: %d records (news %v), positions %v", records, news, positions)
	}
	l.stored = 1
	if _, news, positions := l.ready(); news || len(positions) != 1 || string(positions[0].Offset) != "1" {
		t.Errorf("after stored 1: news %v, positions %s", news, positions)
	}
	if l.due() {
		t.Error("something is due that was told already")
	}
	l.acked, l.stored = 3, 3
	records, _, positions := l.ready()
	if records != 30 || len(positions) != 2 || string(positions[0].Partition) != "b" || string(positions[1].Offset) != "3" {
		t.Errorf("at the end: %d records, positions %s", records, positions)
	}
	if len(l.entries) != 0 || l.due() {
		t.Errorf("%d entries are left", len(l.entries))
	}
}

// A batch that crosses in two payloads has the positions of each with its own.
func TestLedgerOfASplitBatch(t *testing.T) {
	b := &data.Batch{}
	for i := range 4 {
		b.Positions = append(b.Positions, data.Position{Partition: []byte("p"), Offset: fmt.Append(nil, i)})
		b.Records = append(b.Records, data.Record{Topic: "t", Position: int32(i)})
	}
	b.Records = b.Records[:3] // the last position belongs to no record
	l := &ledger{keepPositions: true}
	l.add(1, 2, b, 0, 2)
	l.add(2, 3, b, 2, 3)
	l.stored, l.acked = 1, 1
	if _, _, p := l.ready(); len(p) != 1 || string(p[0].Offset) != "1" {
		t.Errorf("after the first payload the positions are %s", p)
	}
	l.stored, l.acked = 2, 2
	if _, _, p := l.ready(); len(p) != 1 || string(p[0].Offset) != "3" {
		t.Errorf("after the second payload the positions are %s", p)
	}
}

// However batches are merged to save memory, nothing is told before it is safe,
// and everything is told in the end.
func TestLedgerIsBoundedAndNeverEarly(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	l := &ledger{keepRecords: true, keepPositions: true}
	var told, toldOffset, sequence uint64
	check := func() {
		records, news, positions := l.ready()
		if news {
			if told = records; told > l.acked*3 {
				t.Fatalf("seed %d: %d records told when %d were safe", seed, told, l.acked*3)
			}
		}
		for _, p := range positions {
			if _, err := fmt.Sscan(string(p.Offset), &toldOffset); err != nil || toldOffset > l.stored {
				t.Fatalf("seed %d: offset %s told when %d was stored, error %v", seed, p.Offset, l.stored, err)
			}
		}
	}
	for sequence < 20000 {
		sequence++
		l.add(sequence, sequence*3, sent(3, "p", fmt.Sprint(sequence)), 0, 3)
		if len(l.entries) > maxEntries {
			t.Fatalf("%d entries", len(l.entries))
		}
		if r.IntN(500) == 0 {
			l.acked += r.Uint64N(sequence - l.acked + 1)
			l.stored += r.Uint64N(l.acked - l.stored + 1)
			check()
		}
	}
	l.acked, l.stored = sequence, sequence
	check()
	if told != sequence*3 || toldOffset != sequence || len(l.entries) != 0 {
		t.Errorf("seed %d: at the end %d records and offset %d are told, %d entries left", seed, told, toldOffset, len(l.entries))
	}
}
