package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/broker/txn"
	"github.com/millrace/millrace/broker/wire"
)

// endTxn answers API 26, versions 0 to 5: commits or aborts a transaction. The
// reply waits until the decision is durable; the markers follow. v2 knows
// PRODUCER_FENCED; v3 is flexible; v4 knows TRANSACTION_ABORTABLE; v5 returns
// the epoch, or the producer id, to go on with (KIP-890).
func (a *API) endTxn(_ context.Context, _ *wire.Conn, _ *wire.Request, req *kmsg.EndTxnRequest) (wire.Reply, error) {
	in := txn.EndRequest{ID: req.TransactionalID, ProducerID: req.ProducerID, Epoch: req.ProducerEpoch, Commit: req.Commit}
	if req.Version >= 5 {
		in.Version = txn.V2
	}
	done := make(chan txn.EndResult, 1) // the coordinator must not wait for the connection
	a.txns.End(in, func(out txn.EndResult) { done <- out })
	return func(ctx context.Context) (wire.Response, error) {
		out, err := await(ctx, done)
		if err != nil {
			return wire.Response{}, err
		}
		resp := req.ResponseKind().(*kmsg.EndTxnResponse)
		resp.ErrorCode = a.code(req.Key(), fenced(out.Err, req.Version, 2))
		resp.ProducerID, resp.ProducerEpoch = out.ProducerID, out.Epoch
		return wire.Response{Message: resp}, nil
	}, nil
}
