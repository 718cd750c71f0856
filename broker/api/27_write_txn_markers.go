package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/broker/txn"
	"github.com/millrace/millrace/broker/wire"
)

// writeTxnMarkers answers API 27, version 1: the ends of transactions in
// partitions that are led here, from a coordinator elsewhere or an operator
// who ends a transaction that hangs. The reply waits until they are durable.
func (a *API) writeTxnMarkers(_ context.Context, _ *wire.Conn, _ *wire.Request, req *kmsg.WriteTxnMarkersRequest) (wire.Reply, error) {
	var results []chan error // by marker, topic and partition in turn
	for _, m := range req.Markers {
		in := txn.Marker{ProducerID: m.ProducerID, Epoch: m.ProducerEpoch, Commit: m.Committed, CoordinatorEpoch: m.CoordinatorEpoch}
		for _, t := range m.Topics {
			for _, id := range t.Partitions {
				done := make(chan error, 1) // a log must not wait for the connection
				results = append(results, done)
				p, err := a.partition(t.Topic, id)
				if err != nil {
					done <- err
					continue
				}
				a.endTransaction(p, in, func(err error) { done <- err })
			}
		}
	}
	return func(ctx context.Context) (wire.Response, error) {
		resp := req.ResponseKind().(*kmsg.WriteTxnMarkersResponse)
		n := 0
		for _, m := range req.Markers {
			rm := kmsg.NewWriteTxnMarkersResponseMarker()
			rm.ProducerID = m.ProducerID
			for _, t := range m.Topics {
				rt := kmsg.NewWriteTxnMarkersResponseMarkerTopic()
				rt.Topic = t.Topic
				for _, id := range t.Partitions {
					written, err := await(ctx, results[n])
					if err != nil {
						return wire.Response{}, err
					}
					rp := kmsg.NewWriteTxnMarkersResponseMarkerTopicPartition()
					rp.Partition, rp.ErrorCode = id, a.code(req.Key(), written)
					rt.Partitions = append(rt.Partitions, rp)
					n++
				}
				rm.Topics = append(rm.Topics, rt)
			}
			resp.Markers = append(resp.Markers, rm)
		}
		return wire.Response{Message: resp}, nil
	}, nil
}
