package commitlog

import (
	"fmt"
	"math"
	"slices"

	"github.com/millrace/millrace/broker/recordbatch"
)

// Verification is what AppendWith needs for the first batch of a transaction:
// it was asked for before the transaction's coordinator was, so that a marker
// that comes in between makes it void, and a batch that comes late does not
// begin a transaction that nobody will end (KIP-890).
type Verification struct {
	epoch  int16
	lowest int32 // first sequence of any batch that asked for it
	fresh  bool  // the producer's sequence begins anew with each transaction
	at     int64 // Unix milliseconds
}

// Verify returns what AppendWith needs for a batch of the producer, nil if a
// transaction of that epoch is open here. ErrProducerEpoch means that the log
// has seen a later epoch. fresh says that the sequence of the producer begins
// at 0 with each transaction (transaction.version 2).
//
// Batches of one epoch share a verification; a late one of an older epoch does
// not disturb it.
func (l *Log) Verify(id int64, epoch int16, sequence int32, fresh bool) (*Verification, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	ps := l.producers
	if p := ps.byID[id]; p != nil {
		if epoch < p.epoch {
			return nil, fmt.Errorf("producer %d has epoch %d, last was %d: %w", id, epoch, p.epoch, ErrProducerEpoch)
		}
		if p.txnFirst >= 0 && p.epoch == epoch {
			return nil, nil
		}
	}
	i := slices.IndexFunc(ps.verifying[id], func(g *Verification) bool { return g.epoch == epoch })
	if i < 0 {
		i = len(ps.verifying[id])
		ps.verifying[id] = append(ps.verifying[id], &Verification{epoch: epoch, lowest: math.MaxInt32})
	}
	g := ps.verifying[id][i]
	g.lowest, g.fresh, g.at = min(g.lowest, sequence), fresh, l.now().UnixMilli()
	return g, nil
}

// Unverify gives up a verification that will not be used, because the
// coordinator does not know of the transaction.
func (l *Log) Unverify(id int64, g *Verification) {
	l.mu.Lock()
	defer l.mu.Unlock()
	ps := l.producers
	ps.keep(id, slices.DeleteFunc(ps.verifying[id], func(x *Verification) bool { return x == g }))
}

// keep sets the verifications of a producer that are left.
func (ps *producers) keep(id int64, gs []*Verification) {
	if len(gs) == 0 {
		delete(ps.verifying, id)
		return
	}
	ps.verifying[id] = gs
}

// checkVerified decides whether a batch may begin, or go on with, a
// transaction. It is not a duplicate.
func (ps *producers) checkVerified(v recordbatch.View, g *Verification) error {
	id, seq := v.ProducerID(), v.BaseSequence()
	p := ps.byID[id]
	if p != nil && p.txnFirst >= 0 && p.epoch == v.ProducerEpoch() {
		return nil
	}
	if g == nil || g.epoch != v.ProducerEpoch() || !slices.Contains(ps.verifying[id], g) {
		return fmt.Errorf("batch of producer %d is not part of an ongoing transaction: %w", id, ErrTxnState)
	}
	unknown := p == nil || p.n == 0 || p.epoch != g.epoch
	if seq >= 0 && unknown && (seq > g.lowest || g.fresh && seq != 0) {
		return fmt.Errorf("producer %d begins a transaction with sequence %d, a batch before it is missing: %w", id, seq, ErrOutOfOrderSequence)
	}
	return nil
}
