package txn

import (
	"math"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// EndRequest is EndTxn.
type EndRequest struct {
	ID         string
	ProducerID int64
	Epoch      int16
	Commit     bool
	Version    int16 // V1 or V2
}

// EndResult answers EndTxn: the producer id and epoch to go on with.
type EndResult struct {
	Err        error // nil or a *kerr.Error; else the rest is -1
	ProducerID int64
	Epoch      int16
}

// End decides the transaction. done is called when the decision is durable;
// the markers follow.
func (t *Txn) End(now time.Time, r EndRequest, done func(EndResult)) []Action {
	fail := func(err error) []Action {
		out := EndResult{err, noProducer, noEpoch}
		if err == nil {
			out.ProducerID, out.Epoch = t.producer, t.epoch
		}
		return reply(func() { done(out) })
	}
	again, err := t.checkEnd(r)
	if err != nil {
		return fail(err)
	}
	decided, complete := PrepareAbort, CompleteAbort
	if r.Commit {
		decided, complete = PrepareCommit, CompleteCommit
	}
	switch {
	case t.state == Ongoing:
		return t.decide(now, decided, r.Version, done)
	case t.state == decided && again:
		after := t.completed(now)
		return reply(func() { done(EndResult{nil, after.producer, after.epoch}) })
	case t.state == decided, t.state.decided() && r.Version >= V2 && !again:
		// A producer of version 2 that has the new epoch knows that the last
		// transaction is decided, and speaks of the next.
		return fail(kerr.ConcurrentTransactions)
	case t.state == complete && (again || r.Version < V2):
		return fail(nil)
	case t.state.idle() && r.Version >= V2 && !r.Commit && !again:
		return t.decide(now, decided, r.Version, done)
	}
	return fail(kerr.InvalidTxnState)
}

// checkEnd decides who may end the transaction, and whether the request is one
// that was carried out before, whose answer was lost. With version 2 the end
// raises the epoch, which is how the two are told apart; a fence also raises
// it, but says version 1.
func (t *Txn) checkEnd(r EndRequest) (again bool, err error) {
	if t.lost {
		return false, kerr.NotCoordinator
	}
	if r.Version < V2 {
		err := t.check(r.ProducerID, r.Epoch)
		if err == nil && t.pending != none {
			err = kerr.ConcurrentTransactions
		}
		return false, err
	}
	if t.pending != none {
		return false, kerr.ConcurrentTransactions
	}
	if t.raisedBy(r.ProducerID, r.Epoch) {
		return true, nil
	}
	return false, t.check(r.ProducerID, r.Epoch)
}

// raisedBy reports whether the last transaction was ended by the producer
// itself, with that epoch, and the present epoch or id is what that gave it.
func (t *Txn) raisedBy(producer int64, epoch int16) bool {
	if t.version < V2 || t.state == Empty || t.state == Ongoing {
		return false
	}
	renamed := !t.state.decided() && producer == t.previous && epoch == lastEpoch && t.epoch == 0
	return renamed || producer == t.producer && int(t.epoch) == int(epoch)+1
}

// decide makes the decision durable. With version 2 the markers carry the
// next epoch, so that nothing the producer sent before can follow them, and
// the producer goes on with that, or under a new id if it was the last.
func (t *Txn) decide(now time.Time, decided State, version int16, done func(EndResult)) []Action {
	next := t.meta
	next.state, next.updated, next.version = decided, now, version
	if t.state != Ongoing {
		next.started = now // nobody knows when it began
		next.partitions = nil
	}
	if version < V2 {
		return t.commit(next, done)
	}
	next.last = t.epoch
	if t.epoch < lastEpoch {
		next.epoch++
		return t.commit(next, done)
	}
	if t.epoch == math.MaxInt16 {
		return reply(func() { done(EndResult{kerr.ProducerFenced, noProducer, noEpoch}) })
	}
	next.epoch++
	t.pending = decided
	return []Action{{NewID: func(now time.Time, id int64, err error) []Action {
		t.pending = none
		if t.lost || err != nil {
			if err == nil {
				err = kerr.NotCoordinator
			}
			err := idError(err)
			return append(reply(func() { done(EndResult{err, noProducer, noEpoch}) }), t.wake(now)...)
		}
		next.next = id
		return t.commit(next, done)
	}}}
}

func (t *Txn) commit(next meta, done func(EndResult)) []Action {
	return t.move(next, func(now time.Time, err error) []Action {
		if err != nil {
			return reply(func() { done(EndResult{err, noProducer, noEpoch}) })
		}
		after := next.completed(now)
		out := reply(func() { done(EndResult{nil, after.producer, after.epoch}) })
		return append(out, t.mark(now)...)
	})
}

// completed returns the state when all markers are written.
func (m meta) completed(now time.Time) meta {
	if m.state == PrepareCommit {
		m.state = CompleteCommit
	} else {
		m.state = CompleteAbort
	}
	m.partitions, m.updated = nil, now
	if m.next != noProducer {
		m.previous, m.producer, m.next, m.epoch = m.producer, m.next, noProducer, 0
	}
	return m
}
