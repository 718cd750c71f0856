package api

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/broker/txn"
	"github.com/millrace/millrace/broker/wire"
)

// addPartitionsToTxn answers API 24, versions 0 to 5: partitions that a
// producer is about to write to become part of its transaction. v2 knows
// PRODUCER_FENCED; v3 is flexible; v4 and v5 are brokers', for several
// transactions, which may also only be asked about (KIP-890).
func (a *API) addPartitionsToTxn(_ context.Context, _ *wire.Conn, _ *wire.Request, req *kmsg.AddPartitionsToTxnRequest) (wire.Reply, error) {
	if req.Version >= 4 {
		return a.addTransactions(req), nil
	}
	tps, known := a.txnPartitions(req.Topics)
	done := make(chan error, 1) // the coordinator must not wait for the connection
	if known {
		a.txns.Add(txn.AddRequest{
			ID: req.TransactionalID, ProducerID: req.ProducerID, Epoch: req.ProducerEpoch, Partitions: tps,
		}, func(err error) { done <- err })
	} else {
		done <- kerr.OperationNotAttempted
	}
	return func(ctx context.Context) (wire.Response, error) {
		added, err := await(ctx, done)
		if err != nil {
			return wire.Response{}, err
		}
		added = fenced(added, req.Version, 2)
		resp := req.ResponseKind().(*kmsg.AddPartitionsToTxnResponse)
		for _, t := range req.Topics {
			rt := kmsg.NewAddPartitionsToTxnResponseTopic()
			rt.Topic = t.Topic
			for _, id := range t.Partitions {
				rp := kmsg.NewAddPartitionsToTxnResponseTopicPartition()
				err := added
				if !known {
					if err = a.writable(t.Topic, id); err == nil {
						err = added
					}
				}
				rp.Partition, rp.ErrorCode = id, a.code(req.Key(), err)
				rt.Partitions = append(rt.Partitions, rp)
			}
			resp.Topics = append(resp.Topics, rt)
		}
		return wire.Response{Message: resp}, nil
	}, nil
}

// txnPartitions returns the partitions that a producer names; false if it may
// not write to one of them.
func (a *API) txnPartitions(topics []kmsg.AddPartitionsToTxnRequestTopic) (tps []txn.TopicPartition, known bool) {
	known = true
	for _, t := range topics {
		for _, id := range t.Partitions {
			known = known && a.writable(t.Topic, id) == nil
			tps = append(tps, txn.TopicPartition{Topic: t.Topic, Partition: id})
		}
	}
	return tps, known
}

// writable returns why a producer could not write to a partition, wherever it
// is led.
func (a *API) writable(topic string, id int32) error {
	t := a.cfg.Controller.Image().Topic(topic)
	switch {
	case internal(topic):
		return kerr.InvalidTopicException
	case t == nil || id < 0 || int(id) >= len(t.Partitions):
		return kerr.UnknownTopicOrPartition
	}
	return nil
}

// addTransactions adds partitions to several transactions, or tells which are
// part of them.
func (a *API) addTransactions(req *kmsg.AddPartitionsToTxnRequest) wire.Reply {
	results := make([]chan []error, len(req.Transactions))
	for i := range req.Transactions {
		t := &req.Transactions[i]
		var tps []txn.TopicPartition
		for _, topic := range t.Topics {
			for _, id := range topic.Partitions {
				tps = append(tps, txn.TopicPartition{Topic: topic.Topic, Partition: id})
			}
		}
		done := make(chan []error, 1) // as above
		results[i] = done
		if t.VerifyOnly {
			done <- a.txns.Verify(txn.VerifyRequest{ID: t.TransactionalID, ProducerID: t.ProducerID, Epoch: t.ProducerEpoch, Partitions: tps})
			continue
		}
		a.txns.Add(txn.AddRequest{
			ID: t.TransactionalID, ProducerID: t.ProducerID, Epoch: t.ProducerEpoch, Partitions: tps, Version: txn.V2,
		}, func(err error) {
			errs := make([]error, len(tps))
			for i := range errs {
				errs[i] = err
			}
			done <- errs
		})
	}
	return func(ctx context.Context) (wire.Response, error) {
		resp := req.ResponseKind().(*kmsg.AddPartitionsToTxnResponse)
		for i := range req.Transactions {
			errs, err := await(ctx, results[i])
			if err != nil {
				return wire.Response{}, err
			}
			resp.Transactions = append(resp.Transactions, a.addedTransaction(req, &req.Transactions[i], errs))
		}
		return wire.Response{Message: resp}, nil
	}
}

func (a *API) addedTransaction(req *kmsg.AddPartitionsToTxnRequest, t *kmsg.AddPartitionsToTxnRequestTransaction, errs []error) kmsg.AddPartitionsToTxnResponseTransaction {
	out := kmsg.NewAddPartitionsToTxnResponseTransaction()
	out.TransactionalID = t.TransactionalID
	n := 0
	for _, topic := range t.Topics {
		rt := kmsg.NewAddPartitionsToTxnResponseTransactionTopic()
		rt.Topic = topic.Topic
		for _, id := range topic.Partitions {
			rp := kmsg.NewAddPartitionsToTxnResponseTransactionTopicPartition()
			err := errs[n]
			if errors.Is(err, kerr.TransactionAbortable) && req.Version < 5 {
				err = kerr.InvalidTxnState
			}
			rp.Partition, rp.ErrorCode = id, a.code(req.Key(), err)
			rt.Partitions = append(rt.Partitions, rp)
			n++
		}
		out.Topics = append(out.Topics, rt)
	}
	return out
}
