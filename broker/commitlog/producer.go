package commitlog

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/millrace/millrace/broker/recordbatch"
)

// dedupWindow is how many batches of a producer can be recognised when sent
// again; clients have at most as many in flight.
const dedupWindow = 5

// sequence is one batch of a producer, as it was appended.
type sequence struct {
	last      int32 // sequence number of its last record
	delta     int32 // last offset less first
	offset    int64 // last offset
	timestamp int64 // largest
}

func (s sequence) first() int32 { return int32((int64(s.last) - int64(s.delta)) & math.MaxInt32) }

// producer is what the log remembers of one producer id (KIP-98).
type producer struct {
	epoch            int16
	n                int8 // batches in use, newest last
	batches          [dedupWindow]sequence
	coordinatorEpoch int32 // of the last marker, -1 for none
	lastTimestamp    int64
	txnFirst         int64 // first offset of the open transaction, -1 for none
}

func (p *producer) push(s sequence) {
	if p.n == dedupWindow {
		copy(p.batches[:], p.batches[1:])
		p.n--
	}
	p.batches[p.n] = s
	p.n++
}

// duplicate finds a batch that was appended already.
func (p *producer) duplicate(v recordbatch.View) (sequence, bool) {
	if v.ProducerEpoch() != p.epoch {
		return sequence{}, false
	}
	first, last := v.BaseSequence(), v.LastSequence()
	for _, s := range p.batches[:p.n] {
		if s.last == last && s.first() == first {
			return s, true
		}
	}
	return sequence{}, false
}

// producers is the producer state of a log, guarded by Log.mu. It follows from
// the log alone, so that every replica has the same.
type producers struct {
	byID      map[int64]*producer
	verifying map[int64][]*Verification // by producer id, one for each epoch
	txns      transactions
}

func newProducers() *producers {
	ps := &producers{byID: make(map[int64]*producer), verifying: make(map[int64][]*Verification)}
	ps.txns.publish()
	return ps
}

// check decides about a batch that a leader is to append: a duplicate, with
// the original's place, or in order, or an error. Markers are batches of their
// producer with the Control bit.
func (ps *producers) check(v recordbatch.View) (dup sequence, isDup bool, err error) {
	id := v.ProducerID()
	p := ps.byID[id]
	if id < 0 || p == nil {
		return dup, false, nil // after expiry any sequence is welcome (KIP-360)
	}
	epoch, seq := v.ProducerEpoch(), v.BaseSequence()
	if !v.Control() && seq >= 0 {
		if dup, isDup = p.duplicate(v); isDup {
			return dup, true, nil
		}
	}
	switch {
	case epoch < p.epoch:
		return dup, false, fmt.Errorf("producer %d has epoch %d, last was %d: %w", id, epoch, p.epoch, ErrProducerEpoch)
	case v.Control():
		return dup, false, nil
	case seq < 0: // a coordinator's own batch
	case epoch > p.epoch && p.epoch >= 0 && seq != 0:
		return dup, false, fmt.Errorf("producer %d begins epoch %d with sequence %d, must be 0: %w",
			id, epoch, seq, ErrOutOfOrderSequence)
	case epoch == p.epoch && p.n > 0 && p.batches[p.n-1].last >= 0 && seq != recordbatch.AddSequence(p.batches[p.n-1].last, 1):
		return dup, false, fmt.Errorf("producer %d sends sequence %d after %d: %w",
			id, seq, p.batches[p.n-1].last, ErrOutOfOrderSequence)
	case !v.Transactional() && p.txnFirst >= 0:
		return dup, false, fmt.Errorf("producer %d has a transaction open since offset %d: %w", id, p.txnFirst, ErrTxnState)
	}
	return dup, false, nil
}

// checkMarker refuses the marker of a coordinator that has been replaced.
func (ps *producers) checkMarker(id int64, m recordbatch.Marker) error {
	if p := ps.byID[id]; p != nil && m.CoordinatorEpoch < p.coordinatorEpoch {
		return fmt.Errorf("marker for producer %d of coordinator epoch %d, last was %d: %w",
			id, m.CoordinatorEpoch, p.coordinatorEpoch, ErrCoordinatorFenced)
	}
	return nil
}

// note takes in an appended batch, in log order, without judging it.
func (ps *producers) note(v recordbatch.View) {
	id := v.ProducerID()
	if id < 0 || v.Control() {
		return
	}
	p := ps.enter(id, v.ProducerEpoch())
	p.push(sequence{last: v.LastSequence(), delta: v.LastOffsetDelta(), offset: v.LastOffset(), timestamp: v.MaxTimestamp()})
	p.lastTimestamp = v.MaxTimestamp()
	if v.Transactional() && p.txnFirst < 0 {
		p.txnFirst = v.BaseOffset()
		ps.txns.begin(id, p.txnFirst)
		delete(ps.verifying, id)
	}
}

// noteMarker takes in the marker that ends a transaction. If it aborts one
// that has records here, that goes into the index.
func (ps *producers) noteMarker(v recordbatch.View, m recordbatch.Marker) (a abortedEntry, aborted bool) {
	id, marker := v.ProducerID(), v.LastOffset()
	p := ps.enter(id, v.ProducerEpoch())
	p.coordinatorEpoch = m.CoordinatorEpoch
	p.lastTimestamp = v.MaxTimestamp()
	delete(ps.verifying, id)
	if p.txnFirst < 0 {
		return a, false
	}
	first := p.txnFirst
	p.txnFirst = -1
	ps.txns.end(id, marker)
	return abortedEntry{AbortedTxn{id, first, marker}, ps.txns.decidedTo(marker + 1)}, m.Type == recordbatch.Abort
}

// enter returns the producer's entry at the epoch; a new epoch forgets the
// sequences of the old one.
func (ps *producers) enter(id int64, epoch int16) *producer {
	p := ps.byID[id]
	if p == nil {
		p = &producer{epoch: epoch, coordinatorEpoch: -1, txnFirst: -1}
		ps.byID[id] = p
	}
	if p.epoch != epoch {
		p.epoch, p.n = epoch, 0
	}
	return p
}

// expire forgets producers without an open transaction that have been silent
// for the given time, and returns how many.
func (ps *producers) expire(now time.Time, after time.Duration) int {
	gone := 0
	for id, p := range ps.byID {
		if p.txnFirst < 0 && now.UnixMilli()-p.lastTimestamp >= after.Milliseconds() {
			delete(ps.byID, id)
			gone++
		}
	}
	for id, gs := range ps.verifying {
		ps.keep(id, slices.DeleteFunc(gs, func(g *Verification) bool { return now.UnixMilli()-g.at >= after.Milliseconds() }))
	}
	return gone
}

// ProducerState is what DescribeProducers tells of an active producer.
type ProducerState struct {
	ID               int64
	Epoch            int16
	LastSequence     int32 // -1 if unknown
	LastTimestamp    int64 // Unix milliseconds
	CoordinatorEpoch int32 // -1 if no transaction has ended here
	TxnStartOffset   int64 // of the open transaction, -1 for none
}

// Producers returns the state of every producer the log remembers, by id.
func (l *Log) Producers() []ProducerState {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]ProducerState, 0, len(l.producers.byID))
	for id, p := range l.producers.byID {
		s := ProducerState{id, p.epoch, -1, p.lastTimestamp, p.coordinatorEpoch, p.txnFirst}
		if p.n > 0 {
			s.LastSequence = p.batches[p.n-1].last
		}
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b ProducerState) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

// ExpireProducers forgets the producers that producer.id.expiration.ms says
// have been silent for too long, and returns how many. The owner calls it
// every producer.id.expiration.check.interval.ms.
func (l *Log) ExpireProducers(now time.Time) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.producers.expire(now, l.config().ProducerExpiration)
}
