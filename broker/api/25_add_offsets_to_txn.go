package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/broker/txn"
	"github.com/millrace/millrace/broker/wire"
)

// addOffsetsToTxn answers API 25, versions 0 to 4: the partition of
// __consumer_offsets that a group's offsets are in becomes part of the
// producer's transaction. v2 knows PRODUCER_FENCED; v3 is flexible; v4 knows
// TRANSACTION_ABORTABLE.
func (a *API) addOffsetsToTxn(ctx context.Context, _ *wire.Conn, _ *wire.Request, req *kmsg.AddOffsetsToTxnRequest) (wire.Reply, error) {
	done := make(chan error, 1) // the coordinator must not wait for the connection
	_, err := a.ensureTopic(ctx, offsetsTopic)
	if req.Group == "" {
		err = kerr.InvalidGroupID
	}
	if err != nil {
		done <- err
	} else {
		a.txns.Add(txn.AddRequest{
			ID: req.TransactionalID, ProducerID: req.ProducerID, Epoch: req.ProducerEpoch,
			Partitions: []txn.TopicPartition{a.offsetsPartition(req.Group)},
		}, func(err error) { done <- err })
	}
	return func(ctx context.Context) (wire.Response, error) {
		added, err := await(ctx, done)
		if err != nil {
			return wire.Response{}, err
		}
		resp := req.ResponseKind().(*kmsg.AddOffsetsToTxnResponse)
		resp.ErrorCode = a.code(req.Key(), fenced(added, req.Version, 2))
		return wire.Response{Message: resp}, nil
	}, nil
}
