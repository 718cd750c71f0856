package api

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/broker/metadata"
	"github.com/millrace/millrace/broker/txn"
	"github.com/millrace/millrace/broker/wire"
)

// idBlock is how many producer ids are taken from the quorum at a time.
const idBlock = 1000

// initProducerID answers API 22, versions 0 to 5: a producer id and epoch. An
// idempotent producer always gets a fresh id with epoch 0; a transactional id
// keeps its producer id and gets the next epoch, which fences the producer that
// had the last. v2 is flexible; v3 lets a producer name the epoch it has
// (KIP-360); v4 knows PRODUCER_FENCED; v5 TRANSACTION_ABORTABLE.
func (a *API) initProducerID(ctx context.Context, _ *wire.Conn, _ *wire.Request, req *kmsg.InitProducerIDRequest) (wire.Reply, error) {
	resp := req.ResponseKind().(*kmsg.InitProducerIDResponse)
	done := make(chan txn.InitResult, 1) // the coordinator must not wait for the connection
	if req.TransactionalID != nil {
		in := txn.InitRequest{
			ID: *req.TransactionalID, Timeout: time.Duration(req.TransactionTimeoutMillis) * time.Millisecond,
			ProducerID: req.ProducerID, Epoch: req.ProducerEpoch,
		}
		if req.Version < 3 {
			in.ProducerID, in.Epoch = -1, -1
		}
		a.txns.Init(in, func(out txn.InitResult) { done <- out })
	} else {
		out := txn.InitResult{}
		if out.ProducerID, out.Err = a.producers.next(ctx); out.Err != nil {
			out.ProducerID, out.Epoch = -1, -1
		}
		done <- out
	}
	return func(ctx context.Context) (wire.Response, error) {
		out, err := await(ctx, done)
		if err != nil {
			return wire.Response{}, err
		}
		resp.ErrorCode = a.code(req.Key(), fenced(out.Err, req.Version, 4))
		resp.ProducerID, resp.ProducerEpoch = out.ProducerID, out.Epoch
		return wire.Response{Message: resp}, nil
	}, nil
}

// producerIDs hands out producer ids from blocks that the quorum allocates. A
// block that a restart leaves unfinished is never used again.
type producerIDs struct {
	controller Controller

	turn chan struct{} // capacity 1; who has put a token in owns the fields below
	id   int64
	last int64 // end of the block, exclusive
}

func newProducerIDs(c Controller) *producerIDs {
	return &producerIDs{controller: c, turn: make(chan struct{}, 1)}
}

// next waits for its turn, and for a new block if the last is used up.
func (p *producerIDs) next(ctx context.Context) (int64, error) {
	select {
	case p.turn <- struct{}{}:
		defer func() { <-p.turn }()
	case <-ctx.Done():
		return -1, context.Cause(ctx)
	}
	if p.id == p.last {
		first, _, err := p.controller.Propose(ctx, &metadata.AllocateProducerIDs{Count: idBlock})
		if err != nil {
			return -1, fmt.Errorf("allocate producer ids: %w", err)
		}
		p.id = first.(int64) // the command's documented result
		p.last = p.id + idBlock
	}
	id := p.id
	p.id++
	return id, nil
}
