package task

import (
	"sync"
	"sync/atomic"

	"github.com/millrace/millrace/plugins/data"
)

// progress follows the batches of a source task from the moment they are sent
// to the log until they are in it, and knows which source offsets may be
// stored: those of the longest prefix of batches that is wholly acknowledged.
// Acknowledgements come from the producer's goroutines, in any order.
type progress struct {
	mu      sync.Mutex // guards below
	flights []*flight  // in order; the first is not complete
	acked   uint64     // sequence of the last batch of the complete prefix
	pending map[string][]byte
	changed chan struct{} // cap 1: acked moved
	failed  error         // first record that could not be written
	failure chan struct{} // closed when failed is set
}

// flight is one batch on its way.
type flight struct {
	seq       uint64
	left      atomic.Int64 // records not yet acknowledged, and one while it is being sent
	positions []data.Position
}

func newProgress() *progress {
	return &progress{pending: map[string][]byte{}, changed: make(chan struct{}, 1), failure: make(chan struct{})}
}

// begin takes in a batch that is about to be sent. positions are those of its
// records in order; they are kept, so they must not alias the batch.
func (p *progress) begin(seq uint64, positions []data.Position) *flight {
	f := &flight{seq: seq, positions: positions}
	f.left.Store(1)
	p.mu.Lock()
	p.flights = append(p.flights, f)
	p.mu.Unlock()
	return f
}

// expect counts n more records of the batch.
func (p *progress) expect(f *flight, n int) { f.left.Add(int64(n)) }

// done takes in the fate of one record, or, called once with nil after the
// last record was handed over, the end of sending. It reports whether that was
// the last of the batch.
func (p *progress) done(f *flight, err error) (all bool) {
	if err != nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.failed == nil {
			p.failed = err
			close(p.failure)
		}
		return false // the batch stays incomplete, and with it all after it
	}
	if f.left.Add(-1) > 0 {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	moved := false
	for len(p.flights) > 0 && p.flights[0].left.Load() == 0 {
		p.complete(p.flights[0])
		p.flights[0] = nil
		p.flights = p.flights[1:]
		moved = true
	}
	if moved {
		select {
		case p.changed <- struct{}{}:
		default:
		}
	}
	return true
}

// complete notes the offsets of a batch. The caller holds mu.
func (p *progress) complete(f *flight) {
	p.acked = f.seq
	for _, pos := range f.positions {
		p.pending[string(pos.Partition)] = pos.Offset
	}
}

// take returns the offsets that may be stored now, and the sequence of the
// batch up to which they reach. They are the caller's from then on; give them
// back with giveBack if they could not be stored.
func (p *progress) take() (offsets map[string][]byte, acked uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	offsets = p.pending
	p.pending = map[string][]byte{}
	return offsets, p.acked
}

// giveBack returns offsets that take gave, where no later one has come since.
func (p *progress) giveBack(offsets map[string][]byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for k, v := range offsets {
		if _, newer := p.pending[k]; !newer {
			p.pending[k] = v
		}
	}
}

// idle reports whether nothing is on its way.
func (p *progress) idle() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.flights) == 0
}

// err returns why a record could not be written, nil if none failed.
func (p *progress) err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.failed
}
