package api

import (
	"context"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/broker/txn"
	"github.com/millrace/millrace/broker/wire"
)

// listTransactions answers API 66, versions 0 and 1: the transactional ids
// that this broker coordinates. v1 can ask for those whose transaction has
// lasted longer than a duration (KIP-994).
func (a *API) listTransactions(_ context.Context, _ *wire.Conn, req *kmsg.ListTransactionsRequest) (kmsg.Response, error) {
	resp := req.ResponseKind().(*kmsg.ListTransactionsResponse)
	for _, s := range req.StateFilters {
		if _, ok := txn.ParseState(s); !ok {
			resp.UnknownStateFilters = append(resp.UnknownStateFilters, s)
		}
	}
	all, err := a.txns.List()
	if resp.ErrorCode = a.code(req.Key(), err); err != nil {
		return resp, nil
	}
	now := a.cfg.Now()
	for _, d := range all {
		long := req.Version < 1 || req.DurationFilterMillis < 0 ||
			!d.Started.IsZero() && now.Sub(d.Started) > time.Duration(req.DurationFilterMillis)*time.Millisecond
		if !long || !matches(req.StateFilters, d.State.String()) || !matches(req.ProducerIDFilters, d.ProducerID) {
			continue
		}
		rs := kmsg.NewListTransactionsResponseTransactionState()
		rs.TransactionalID, rs.ProducerID, rs.TransactionState = d.ID, d.ProducerID, d.State.String()
		resp.TransactionStates = append(resp.TransactionStates, rs)
	}
	return resp, nil
}

// matches reports whether a filter, which may be empty, lets a value through.
func matches[T comparable](filter []T, v T) bool {
	return len(filter) == 0 || slices.Contains(filter, v)
}
