package api

import (
	"context"
	"errors"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/broker/group"
	"github.com/millrace/millrace/broker/recordbatch"
	"github.com/millrace/millrace/broker/replica"
	"github.com/millrace/millrace/broker/txn"
	"github.com/millrace/millrace/broker/wire"
)

// txnOffsetCommit answers API 28, versions 0 to 5: offsets that are committed
// with the producer's transaction. v2 adds leader epochs; v3 is flexible and
// names the member (KIP-447); v4 knows TRANSACTION_ABORTABLE; v5 adds the
// group's partition to the transaction by itself (KIP-890).
func (a *API) txnOffsetCommit(_ context.Context, _ *wire.Conn, _ *wire.Request, req *kmsg.TxnOffsetCommitRequest) (wire.Reply, error) {
	resp := req.ResponseKind().(*kmsg.TxnOffsetCommitResponse)
	in := group.TxnCommitRequest{Group: req.Group, Generation: -1, ProducerID: req.ProducerID}
	if req.Version >= 3 {
		in.MemberID, in.InstanceID, in.Generation = req.MemberID, deref(req.InstanceID), req.Generation
	}
	image := a.cfg.Controller.Image()
	var asked []*int16 // where the error of each committed offset goes
	resp.Topics = make([]kmsg.TxnOffsetCommitResponseTopic, len(req.Topics))
	for i := range req.Topics {
		t, rt := &req.Topics[i], &resp.Topics[i]
		*rt = kmsg.NewTxnOffsetCommitResponseTopic()
		rt.Topic = t.Topic
		rt.Partitions = make([]kmsg.TxnOffsetCommitResponseTopicPartition, len(t.Partitions))
		known := image.Topic(t.Topic)
		for j := range t.Partitions {
			p, rp := &t.Partitions[j], &rt.Partitions[j]
			*rp = kmsg.NewTxnOffsetCommitResponseTopicPartition()
			rp.Partition = p.Partition
			if known == nil || p.Partition < 0 || int(p.Partition) >= len(known.Partitions) {
				rp.ErrorCode = a.code(req.Key(), kerr.UnknownTopicOrPartition)
				continue
			}
			o := group.OffsetToCommit{
				TopicPartition: group.TopicPartition{Topic: t.Topic, Partition: p.Partition},
				Offset:         p.Offset, LeaderEpoch: -1, Metadata: deref(p.Metadata),
			}
			if req.Version >= 2 {
				o.LeaderEpoch = p.LeaderEpoch
			}
			in.Offsets = append(in.Offsets, o)
			asked = append(asked, &rp.ErrorCode)
		}
	}
	done := make(chan []error, 1) // the coordinators must not wait for the connection
	a.commitTxnOffsets(req, in, func(errs []error) { done <- errs })
	return func(ctx context.Context) (wire.Response, error) {
		errs, err := await(ctx, done)
		if err != nil {
			return wire.Response{}, err
		}
		for i, err := range errs {
			*asked[i] = a.code(req.Key(), err)
		}
		return wire.Response{Message: resp}, nil
	}, nil
}

// commitTxnOffsets has the transaction verified, or the group's partition
// added to it, and then the offsets appended as part of it.
func (a *API) commitTxnOffsets(req *kmsg.TxnOffsetCommitRequest, in group.TxnCommitRequest, done func([]error)) {
	fail := func(err error) { done(slices.Repeat([]error{err}, len(in.Offsets))) }
	tp := a.offsetsPartition(req.Group)
	op := a.groups.part(tp.Partition)
	if op == nil {
		fail(kerr.NotCoordinator)
		return
	}
	x := &admission{p: op.p, producer: req.ProducerID, epoch: req.ProducerEpoch, sequence: -1}
	needed := x.verify()
	if x.err != nil {
		fail(txnLogError(x.err))
		return
	}
	in.Append = func(records []group.Record, done func(error)) {
		producer := recordbatch.Producer{ID: req.ProducerID, Epoch: req.ProducerEpoch, BaseSequence: -1, Transactional: true}
		a.groups.append(tp.Partition, records, producer, done, func(p *replica.Partition, v recordbatch.View) (replica.Appended, error) {
			return p.AppendOwnVerified(v, x.verified)
		})
	}
	tps := []txn.TopicPartition{tp}
	var answered func(error)
	add := func() {
		a.txns.Add(txn.AddRequest{
			ID: req.TransactionalID, ProducerID: req.ProducerID, Epoch: req.ProducerEpoch, Partitions: tps, Version: txn.V2, Wait: true,
		}, answered)
	}
	answered = func(err error) {
		switch {
		case err != nil:
			if !passing(err) {
				x.p.Unverify(x.producer, x.verified)
			}
			fail(txnOffsetError(req.Version, err))
		case req.Version >= txnOffsetAdd && x.verify():
			add() // see addToTransaction
		case x.err != nil:
			fail(txnLogError(x.err))
		default:
			a.groups.CommitTxn(in, done)
		}
	}
	switch {
	case !needed:
		a.groups.CommitTxn(in, done)
	case req.Version >= txnOffsetAdd:
		add()
	case a.verifyTransactions:
		answered(a.txns.Verify(txn.VerifyRequest{ID: req.TransactionalID, ProducerID: req.ProducerID, Epoch: req.ProducerEpoch, Partitions: tps})[0])
	default:
		answered(nil)
	}
}

// txnLogError is what a producer hears when the group's partition does not let
// it begin a transaction.
func txnLogError(err error) error {
	if errors.Is(err, replica.ErrProducerEpoch) {
		return err
	}
	return kerr.NotCoordinator // the partition moved, or its disk failed
}

// txnOffsetError is what a producer hears when the transaction's coordinator
// does not let its offsets be part of it. What will pass is
// COORDINATOR_LOAD_IN_PROGRESS, which every client tries again; NOT_COORDINATOR
// would be taken for the group's.
func txnOffsetError(version int16, err error) error {
	switch {
	case passing(err):
		return kerr.CoordinatorLoadInProgress
	case err == kerr.ProducerFenced:
		return kerr.InvalidProducerEpoch
	case err == kerr.TransactionAbortable && version < 4:
		return kerr.InvalidTxnState
	}
	return err
}
