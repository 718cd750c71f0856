package txn

import (
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// mark begins to write the markers of a transaction that has been decided.
func (t *Txn) mark(now time.Time) []Action {
	t.unmarked = make(map[TopicPartition]bool, len(t.partitions))
	for _, tp := range t.partitions {
		t.unmarked[tp] = false
	}
	t.superseded, t.complained = false, false
	return t.Resume(now)
}

// stalled reports whether the end of a transaction waits for Resume.
func (t *Txn) stalled() bool {
	if t.lost || t.superseded || t.pending != none || !t.state.decided() {
		return false
	}
	for _, writing := range t.unmarked {
		if !writing {
			return true
		}
	}
	return len(t.unmarked) == 0
}

// Resume goes on with the end of a transaction that has been decided: it
// writes the markers that are missing and are not being written, or, when
// there are none, that the transaction is complete.
func (t *Txn) Resume(now time.Time) []Action {
	if !t.stalled() {
		return nil
	}
	if len(t.unmarked) == 0 {
		return t.complete(now)
	}
	m := Marker{t.producer, t.epoch, t.state == PrepareCommit, t.coordinatorEpoch}
	var out []Action
	for _, tp := range slices.SortedFunc(maps.Keys(t.unmarked), compare) {
		if t.unmarked[tp] {
			continue
		}
		t.unmarked[tp] = true
		out = append(out, Action{Mark: &m, Partition: tp, Then: func(now time.Time, err error) []Action {
			return t.marked(now, tp, err)
		}})
	}
	return out
}

// marked takes in the result of one marker.
//
// Differs from Kafka: INVALID_PRODUCER_EPOCH, which says that the partition
// has seen a later epoch of the producer, counts as written. Kafka gives the
// whole transaction up, and the id answers CONCURRENT_TRANSACTIONS until its
// coordinator moves.
func (t *Txn) marked(now time.Time, tp TopicPartition, err error) []Action {
	if t.lost {
		return nil
	}
	switch {
	case err == nil:
		delete(t.unmarked, tp)
	case errors.Is(err, kerr.InvalidProducerEpoch):
		t.cfg.Logger.Warn("partition has seen a later epoch of the producer than its transaction's end",
			"transactional_id", t.id, "topic", tp.Topic, "partition", tp.Partition, "producer", t.producer, "epoch", t.epoch)
		delete(t.unmarked, tp)
	case errors.Is(err, kerr.TransactionCoordinatorFenced):
		t.cfg.Logger.Warn("another coordinator has taken over the transaction", "transactional_id", t.id, "err", err)
		t.superseded = true
	default:
		t.unmarked[tp] = false
		if !t.complained {
			t.complained = true
			t.cfg.Logger.Warn("transaction marker not written, it will be again", "transactional_id", t.id,
				"topic", tp.Topic, "partition", tp.Partition, "err", err)
		}
	}
	if len(t.unmarked) > 0 || !t.stalled() {
		return nil
	}
	return t.complete(now)
}

// complete makes the end of the transaction durable; Resume tries again if it
// fails.
func (t *Txn) complete(now time.Time) []Action {
	return t.move(t.completed(now), func(time.Time, error) []Action { return nil })
}

// Tick aborts the transaction if it has taken longer than its timeout.
func (t *Txn) Tick(now time.Time) []Action {
	if t.lost || t.pending != none || t.state != Ongoing || now.Sub(t.started) <= t.timeout {
		return nil
	}
	t.cfg.Logger.Info("transaction aborted, it took longer than its timeout", "transactional_id", t.id,
		"producer", t.producer, "epoch", t.epoch, "took", now.Sub(t.started))
	return t.fence(now, func(err error) []Action {
		if err != nil {
			t.cfg.Logger.Warn("transaction not aborted after its timeout, it will be", "transactional_id", t.id, "err", err)
		}
		return nil
	})
}

// Expire forgets the id if it has been idle for transactional.id.expiration.ms.
func (t *Txn) Expire(now time.Time) []Action {
	if t.lost || t.pending != none || !t.state.idle() || now.Sub(t.updated) < t.cfg.IDExpiration {
		return nil
	}
	t.pending = Dead
	return []Action{{Append: &Record{Key: recordKey(t.id)}, Then: func(now time.Time, err error) []Action {
		t.pending = none
		if err != nil {
			t.cfg.Logger.Warn("transactional id not expired", "transactional_id", t.id, "err", err)
			return t.wake(now)
		}
		dead := t.meta
		dead.state, dead.producer = Dead, noProducer
		t.enter(dead)
		return t.wake(now)
	}}}
}
