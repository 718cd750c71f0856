package api

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/broker/metadata"
	"github.com/millrace/millrace/broker/wire"
)

// noTransactions says why something transactional is refused.
const noTransactions = "transactions are not supported by this version"

// idBlock is how many producer ids are taken from the quorum at a time.
const idBlock = 1000

// initProducerID answers API 22, versions 0 to 5: a producer id for an
// idempotent producer, always a fresh one with epoch 0. v2 is flexible; v3
// lets a producer ask for a new epoch (KIP-360), to which a fresh id is as
// good an answer.
//
// Differs from Kafka: a transactional id is answered with INVALID_REQUEST.
func (a *API) initProducerID(ctx context.Context, _ *wire.Conn, req *kmsg.InitProducerIDRequest) (kmsg.Response, error) {
	resp := req.ResponseKind().(*kmsg.InitProducerIDResponse)
	resp.ProducerID, resp.ProducerEpoch = -1, -1
	err := error(nil)
	if req.TransactionalID != nil {
		err = refuse(kerr.InvalidRequest, noTransactions)
	} else {
		resp.ProducerID, err = a.producers.next(ctx)
	}
	if err != nil {
		resp.ErrorCode = a.code(req.Key(), err)
		return resp, nil
	}
	resp.ProducerEpoch = 0
	return resp, nil
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
