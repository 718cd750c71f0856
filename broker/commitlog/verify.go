package commitlog

import (
	"fmt"
	"math"

	"github.com/millrace/millrace/broker/recordbatch"
)

// Verification is what AppendVerified needs for the first batch of a
// transaction: it was asked for before the transaction's coordinator was, so
// that a marker that comes in between makes it void, and a batch that comes
// late does not begin a transaction that nobody will end (KIP-890).
type Verification struct {
	epoch  int16
	lowest int32 // first sequence of any batch that asked for it
	fresh  bool  // the producer's sequence begins anew with each transaction
	at     int64 // Unix milliseconds
}

// Verify returns what AppendVerified needs for a batch of the producer, nil if
// a transaction of that epoch is open here. fresh says that the sequence of the
// producer begins at 0 with each transaction (transaction.version 2).
func (l *Log) Verify(id int64, epoch int16, sequence int32, fresh bool) *Verification {
	l.mu.Lock()
	defer l.mu.Unlock()
	ps := l.producers
	if p := ps.byID[id]; p != nil && p.txnFirst >= 0 && p.epoch == epoch {
		return nil
	}
	g := ps.verifying[id]
	if g == nil || g.epoch != epoch {
		g = &Verification{epoch: epoch, lowest: math.MaxInt32}
		ps.verifying[id] = g
	}
	g.lowest, g.fresh, g.at = min(g.lowest, sequence), fresh, l.now().UnixMilli()
	return g
}

// AppendVerified is Append for a batch of a transaction: ErrTxnState unless
// one of that producer epoch is open or g is still valid.
func (l *Log) AppendVerified(v recordbatch.View, leaderEpoch int32, g *Verification) (Appended, error) {
	return l.append(v, leaderEpoch, func() error { return l.producers.checkVerified(v, g) })
}

// checkVerified decides whether a batch may begin, or go on with, a
// transaction. It is not a duplicate.
func (ps *producers) checkVerified(v recordbatch.View, g *Verification) error {
	id, seq := v.ProducerID(), v.BaseSequence()
	p := ps.byID[id]
	if p != nil && p.txnFirst >= 0 && p.epoch == v.ProducerEpoch() {
		return nil
	}
	if g == nil || ps.verifying[id] != g || g.epoch != v.ProducerEpoch() {
		return fmt.Errorf("batch of producer %d is not part of an ongoing transaction: %w", id, ErrTxnState)
	}
	unknown := p == nil || p.n == 0 || p.epoch != g.epoch
	if seq >= 0 && unknown && (seq > g.lowest || g.fresh && seq != 0) {
		return fmt.Errorf("producer %d begins a transaction with sequence %d, a batch before it is missing: %w", id, seq, ErrOutOfOrderSequence)
	}
	return nil
}
