package api

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/broker/recordbatch"
	"github.com/millrace/millrace/broker/replica"
	"github.com/millrace/millrace/broker/txn"
)

// implicitAdd is the version of Produce from which on a batch adds its
// partition to the transaction (transaction.version 2), and txnOffsetAdd that
// of TxnOffsetCommit.
const (
	implicitAdd  = 12
	txnOffsetAdd = 5
)

// admission says whether the batch of a partition may be part of its
// producer's transaction.
type admission struct {
	p        *replica.Partition
	producer int64
	epoch    int16
	sequence int32
	fresh    bool                  // see Partition.Verify
	verified *replica.Verification // nil if the transaction is open in the partition
	err      error
}

// verify gets what the batch needs to be appended, and reports whether the
// coordinator must be asked, because that is another than before.
func (x *admission) verify() (ask bool) {
	before := x.verified
	x.verified, x.err = x.p.Verify(x.producer, x.epoch, x.sequence, x.fresh)
	return x.err == nil && x.verified != nil && x.verified != before
}

// refuse takes in that the coordinator does not let the batch be appended.
// Unless that will pass, a producer that claims to have a transaction leaves
// nothing behind.
func (x *admission) refuse(version int16, err error) {
	if !passing(err) {
		x.p.Unverify(x.producer, x.verified)
	}
	x.err = produceTxnError(version, err)
}

func (x *admission) partition() txn.TopicPartition {
	return txn.TopicPartition{Topic: x.p.Topic, Partition: x.p.ID}
}

// admissions are those of one request, by partition of the request.
type admissions map[*kmsg.ProduceRequestTopicPartition]*admission

// admit asks the coordinator about the transactional batches of a request for
// which no transaction is open in their partition (KIP-890); from version 12
// on it adds the partitions to the transaction. It blocks the connection's
// reader, as batches must be appended in order. The error is of the whole
// request.
func (a *API) admit(ctx context.Context, req *kmsg.ProduceRequest) (admissions, error) {
	out := make(admissions)
	var ask []*admission
	producer, epoch := int64(-1), int16(-1)
	for i := range req.Topics {
		t := &req.Topics[i]
		name, unknown := a.named(t.Topic, t.TopicID, req.Version >= 13)
		if internal(name) {
			continue // for who appends it
		}
		for j := range t.Partitions {
			rp := &t.Partitions[j]
			h, _, err := recordbatch.PeekHeader(rp.Records)
			if err != nil || !h.Transactional() {
				continue // likewise
			}
			if producer >= 0 && h.ProducerID() != producer {
				return nil, refuse(kerr.InvalidProducerIDMapping, "batches of several producers in a transactional request")
			}
			producer, epoch = h.ProducerID(), h.ProducerEpoch()
			p, err := a.partition(name, rp.Partition)
			if err = cmp.Or(unknown, err); err != nil {
				out[rp] = &admission{err: err} // it may be there in a moment, when the batch is appended
				continue
			}
			x := &admission{p: p, producer: producer, epoch: epoch, sequence: h.BaseSequence(), fresh: req.Version >= implicitAdd}
			out[rp] = x
			if x.verify() {
				ask = append(ask, x)
			}
		}
	}
	switch {
	case len(ask) == 0:
	case req.Version >= implicitAdd:
		a.addToTransaction(ctx, req, ask)
	case a.verifyTransactions:
		a.verifyInTransaction(req, ask)
	}
	return out, nil
}

// verifyInTransaction asks whether the partitions are in the transaction.
func (a *API) verifyInTransaction(req *kmsg.ProduceRequest, ask []*admission) {
	in := txn.VerifyRequest{ID: *req.TransactionID, ProducerID: ask[0].producer, Epoch: ask[0].epoch}
	for _, x := range ask {
		in.Partitions = append(in.Partitions, x.partition())
	}
	for i, err := range a.txns.Verify(in) {
		if err != nil {
			ask[i].refuse(req.Version, err)
		}
	}
}

// addToTransaction adds the partitions to the transaction. While that waits
// for the end of the last one, its marker, which has the epoch of this one,
// makes the verification void: then there is a new one to be asked about.
func (a *API) addToTransaction(ctx context.Context, req *kmsg.ProduceRequest, ask []*admission) {
	ctx, cancel := context.WithTimeout(ctx, txnPatience)
	defer cancel()
	for len(ask) > 0 {
		in := txn.AddRequest{ID: *req.TransactionID, ProducerID: ask[0].producer, Epoch: ask[0].epoch, Version: txn.V2, Wait: true}
		for _, x := range ask {
			in.Partitions = append(in.Partitions, x.partition())
		}
		done := make(chan error, 1) // the wait may end first
		a.txns.Add(in, func(err error) { done <- err })
		added, err := await(ctx, done)
		if err != nil {
			added = kerr.ConcurrentTransactions
		}
		again := ask[:0:0]
		for _, x := range ask {
			if added != nil {
				x.refuse(req.Version, added)
			} else if x.verify() {
				again = append(again, x)
			}
		}
		ask = again
	}
}

// passing reports whether the coordinator may answer otherwise in a moment.
func passing(err error) bool {
	return errors.Is(err, kerr.ConcurrentTransactions) || errors.Is(err, kerr.CoordinatorLoadInProgress) ||
		errors.Is(err, kerr.CoordinatorNotAvailable) || errors.Is(err, kerr.NotCoordinator)
}

// produceTxnError is what a producer hears when its batch cannot be part of a
// transaction. What will pass is NOT_ENOUGH_REPLICAS, which every client tries
// again at once, as Kafka has it.
func produceTxnError(version int16, err error) error {
	switch {
	case passing(err):
		return refuse(kerr.NotEnoughReplicas, "transaction not verified: "+err.Error())
	case err == kerr.ProducerFenced:
		return kerr.InvalidProducerEpoch
	case err == kerr.TransactionAbortable && version < 11:
		return kerr.InvalidTxnState
	}
	return err
}

// appendTransactional appends a batch that is part of a transaction.
func (m admissions) appendTransactional(p *replica.Partition, rp *kmsg.ProduceRequestTopicPartition, batch recordbatch.View, all bool) (replica.Appended, error) {
	x := m[rp]
	if x == nil {
		return replica.Appended{}, refuse(kerr.TransactionalIDAuthorizationFailed, "transactional batch in a request without a transactional id")
	}
	if x.err != nil {
		return replica.Appended{}, x.err
	}
	return p.AppendVerified(batch, all, x.verified)
}

// millis is a time in the protocol: -1 for none.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return -1
	}
	return t.UnixMilli()
}
