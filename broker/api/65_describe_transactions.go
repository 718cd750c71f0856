package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/broker/wire"
)

// describeTransactions answers API 65, version 0: the states of transactional
// ids (KIP-664).
func (a *API) describeTransactions(_ context.Context, _ *wire.Conn, req *kmsg.DescribeTransactionsRequest) (kmsg.Response, error) {
	resp := req.ResponseKind().(*kmsg.DescribeTransactionsResponse)
	for _, id := range req.TransactionalIDs {
		rs := kmsg.NewDescribeTransactionsResponseTransactionState()
		rs.TransactionalID = id
		d, err := a.txns.Describe(id)
		if rs.ErrorCode = a.code(req.Key(), err); err != nil {
			resp.TransactionStates = append(resp.TransactionStates, rs)
			continue
		}
		rs.State, rs.ProducerID, rs.ProducerEpoch = d.State.String(), d.ProducerID, d.Epoch
		rs.TimeoutMillis, rs.StartTimestamp = int32(d.Timeout.Milliseconds()), millis(d.Started)
		for _, tp := range d.Partitions {
			if n := len(rs.Topics); n == 0 || rs.Topics[n-1].Topic != tp.Topic {
				rt := kmsg.NewDescribeTransactionsResponseTransactionStateTopic()
				rt.Topic = tp.Topic
				rs.Topics = append(rs.Topics, rt)
			}
			rt := &rs.Topics[len(rs.Topics)-1]
			rt.Partitions = append(rt.Partitions, tp.Partition)
		}
		resp.TransactionStates = append(resp.TransactionStates, rs)
	}
	return resp, nil
}
