package txn

import (
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// InitRequest is InitProducerId with a transactional id.
type InitRequest struct {
	ID         string
	Timeout    time.Duration // of each transaction
	ProducerID int64         // that the producer has and wants a new epoch of (KIP-360); -1 for none
	Epoch      int16         // of that, -1 for none
}

// InitResult answers InitProducerId.
type InitResult struct {
	Err        error // nil or a *kerr.Error; else the rest is -1
	ProducerID int64
	Epoch      int16
}

// Init is InitProducerId: a new epoch, which fences the producer that had the
// last, or a new producer id when epochs are used up. A transaction that is
// ongoing is aborted first, meanwhile the answer is CONCURRENT_TRANSACTIONS.
//
// Differs from Kafka: a producer that names an old epoch does not abort the
// transaction of the one that replaced it. And one whose EndTxn raised the
// epoch, but which never heard so, gets that epoch also from a coordinator that
// took over.
func (t *Txn) Init(now time.Time, r InitRequest, done func(InitResult)) []Action {
	fail := func(err error) []Action {
		return reply(func() { done(InitResult{err, noProducer, noEpoch}) })
	}
	given := r.ProducerID != noProducer || r.Epoch != noEpoch
	switch {
	case t.lost:
		return fail(kerr.NotCoordinator)
	case t.pending != none:
		return fail(kerr.ConcurrentTransactions)
	case given && !t.knows(r):
		return fail(kerr.ProducerFenced)
	case t.state.decided():
		return fail(kerr.ConcurrentTransactions)
	case t.state == Ongoing && given && r.Epoch != t.epoch:
		return fail(kerr.ProducerFenced)
	case t.state == Ongoing:
		return t.fence(now, func(err error) []Action {
			if err == nil {
				err = kerr.ConcurrentTransactions
			}
			return fail(err)
		})
	}
	exhausted := t.epoch >= lastEpoch
	if t.producer == noProducer || exhausted && (!given || r.Epoch == t.epoch) {
		return t.rotate(r, given, done)
	}
	next := t.fresh(now, r)
	switch {
	case !given:
		next.epoch, next.last = t.epoch+1, noEpoch
	case r.Epoch == t.epoch:
		next.epoch, next.last = t.epoch+1, t.epoch
	case r.Epoch == t.last, t.raisedBy(r.ProducerID, r.Epoch):
		// The answer that told of the present epoch was lost.
	default:
		return fail(kerr.ProducerFenced)
	}
	return t.initialise(next, done)
}

// knows reports whether a producer may be one that this id was given to: the
// present one, or the one before, whose last epoch was used up, in case it
// never heard of the present one.
func (t *Txn) knows(r InitRequest) bool {
	return t.producer == noProducer || r.ProducerID == t.producer ||
		r.ProducerID == t.previous && r.Epoch >= lastEpoch
}

// fresh returns the state without a transaction.
func (t *Txn) fresh(now time.Time, r InitRequest) meta {
	next := t.meta
	next.state, next.partitions, next.started, next.updated = Empty, nil, time.Time{}, now
	next.timeout, next.next = r.Timeout, noProducer
	return next
}

func (t *Txn) initialise(next meta, done func(InitResult)) []Action {
	return t.move(next, func(_ time.Time, err error) []Action {
		out := InitResult{err, next.producer, next.epoch}
		if err != nil {
			out.ProducerID, out.Epoch = noProducer, noEpoch
		}
		return reply(func() { done(out) })
	})
}

// rotate gives the id a new producer id, at epoch 0.
func (t *Txn) rotate(r InitRequest, given bool, done func(InitResult)) []Action {
	t.pending = Empty
	return []Action{{NewID: func(now time.Time, id int64, err error) []Action {
		t.pending = none
		if t.lost || err != nil {
			if err == nil {
				err = kerr.NotCoordinator
			}
			err := idError(err)
			return append(reply(func() { done(InitResult{err, noProducer, noEpoch}) }), t.wake(now)...)
		}
		next := t.fresh(now, r)
		next.previous, next.last = t.producer, noEpoch
		if given {
			next.last = t.epoch
		}
		next.producer, next.epoch = id, 0
		return t.initialise(next, done)
	}}}
}

// idError is what a client hears when there is no producer id to be had.
func idError(err error) error {
	if se := storeError(err); se != kerr.UnknownServerError {
		return se
	}
	return kerr.CoordinatorNotAvailable
}

// fence aborts the ongoing transaction under a new epoch, so that its producer
// cannot go on. The epoch is not given to anyone. A fence that could not be
// written has raised it all the same, here, and does not do so again.
//
// Differs from Kafka: also with transaction.version 2 the epoch rises by one,
// not by two, so that it cannot pass the largest. The record says version 1,
// by which the producer's own EndTxn is told from one sent again.
func (t *Txn) fence(now time.Time, then func(err error) []Action) []Action {
	next := t.meta
	next.state, next.updated, next.last, next.version = PrepareAbort, now, noEpoch, V1
	if !t.failedFence {
		next.epoch++
	}
	r := next.encode(t.id)
	t.pending = PrepareEpochFence
	return []Action{{Append: &r, Then: func(now time.Time, err error) []Action {
		t.pending = none
		if err != nil {
			t.failedFence = true
			t.epoch, t.last = next.epoch, noEpoch
			return append(then(storeError(err)), t.wake(now)...)
		}
		t.failedFence = false
		fenced := t.meta
		fenced.state = PrepareEpochFence
		t.enter(fenced)
		t.enter(next)
		return append(then(nil), t.mark(now)...)
	}}}
}
