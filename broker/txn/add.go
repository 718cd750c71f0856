package txn

import (
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// AddRequest adds partitions to a transaction: AddPartitionsToTxn, or
// AddOffsetsToTxn with the group's partition of __consumer_offsets.
type AddRequest struct {
	ID         string
	ProducerID int64
	Epoch      int16
	Partitions []TopicPartition
	Version    int16 // V1 or V2
	// Wait waits for the end of the last transaction instead of answering
	// CONCURRENT_TRANSACTIONS. It is for leaders of partitions, whose clients
	// have been told that it has ended.
	Wait bool
}

// maxWaiting bounds how many requests wait for the end of a transaction. Who
// gave up waiting counts until it ends.
const maxWaiting = 100

// Add takes partitions into the transaction, beginning one if there is none.
// done gets nil once that is durable.
func (t *Txn) Add(now time.Time, r AddRequest, done func(error)) []Action {
	fail := func(err error) []Action { return reply(func() { done(err) }) }
	if t.lost {
		return fail(kerr.NotCoordinator)
	}
	if r.Wait && t.busy() && len(t.waiting) < maxWaiting {
		r.Wait = false
		t.waiting = append(t.waiting, func(now time.Time) []Action { return t.Add(now, r, done) })
		return nil
	}
	if t.pending != none {
		return fail(kerr.ConcurrentTransactions)
	}
	if err := t.check(r.ProducerID, r.Epoch); err != nil {
		return fail(err)
	}
	if t.state.decided() {
		return fail(kerr.ConcurrentTransactions)
	}
	next := t.meta
	for _, tp := range r.Partitions {
		if !next.has(tp) {
			next.partitions = insert(next.partitions, tp)
		}
	}
	if t.state == Ongoing && len(next.partitions) == len(t.partitions) {
		return fail(nil)
	}
	if t.state != Ongoing {
		next.started = now
	}
	next.state, next.updated, next.version = Ongoing, now, r.Version
	return t.move(next, func(_ time.Time, err error) []Action { return fail(err) })
}

// insert returns sorted partitions with one more, leaving the old ones alone.
func insert(tps []TopicPartition, tp TopicPartition) []TopicPartition {
	i, _ := slices.BinarySearchFunc(tps, tp, compare)
	return slices.Insert(slices.Clone(tps), i, tp)
}

// VerifyRequest asks whether partitions are in a transaction.
type VerifyRequest struct {
	ID         string
	ProducerID int64
	Epoch      int16
	Partitions []TopicPartition
}

// Verify returns one error for each partition: TRANSACTION_ABORTABLE for
// those that are not in the transaction, or one that all share.
func (t *Txn) Verify(r VerifyRequest) []error {
	err := t.check(r.ProducerID, r.Epoch)
	if err == nil && (t.state.decided() || t.pending != none && t.pending != Ongoing) {
		err = kerr.ConcurrentTransactions
	}
	errs := slices.Repeat([]error{err}, len(r.Partitions))
	for i, tp := range r.Partitions {
		if err == nil && (t.state != Ongoing || !t.has(tp)) {
			errs[i] = kerr.TransactionAbortable
		}
	}
	return errs
}
