package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/broker/group"
	"github.com/millrace/millrace/broker/wire"
)

// offsetDelete answers API 47, version 0 (KIP-496): committed offsets of
// partitions that the group does not consume go. The reply waits until that is
// durable.
func (a *API) offsetDelete(_ context.Context, _ *wire.Conn, _ *wire.Request, req *kmsg.OffsetDeleteRequest) (wire.Reply, error) {
	type result struct {
		errs []error
		err  error
	}
	resp := req.ResponseKind().(*kmsg.OffsetDeleteResponse)
	image := a.cfg.Controller.Image()
	tps := []group.TopicPartition{}
	var asked []*int16 // where the error of each offset goes
	resp.Topics = make([]kmsg.OffsetDeleteResponseTopic, len(req.Topics))
	for i := range req.Topics {
		t, rt := &req.Topics[i], &resp.Topics[i]
		rt.Topic = t.Topic
		rt.Partitions = make([]kmsg.OffsetDeleteResponseTopicPartition, len(t.Partitions))
		known := image.Topic(t.Topic)
		for j, p := range t.Partitions {
			rp := &rt.Partitions[j]
			rp.Partition = p.Partition
			if known == nil || p.Partition < 0 || int(p.Partition) >= len(known.Partitions) {
				rp.ErrorCode = a.code(req.Key(), kerr.UnknownTopicOrPartition)
				continue
			}
			tps = append(tps, group.TopicPartition{Topic: t.Topic, Partition: p.Partition})
			asked = append(asked, &rp.ErrorCode)
		}
	}
	done := make(chan result, 1) // the coordinator must not wait for the connection
	a.groups.DeleteOffsets(req.Group, tps, func(errs []error, err error) { done <- result{errs, err} })
	return func(ctx context.Context) (wire.Response, error) {
		select {
		case r := <-done:
			if resp.ErrorCode = a.code(req.Key(), r.err); r.err != nil {
				resp.Topics = nil
				return wire.Response{Message: resp}, nil
			}
			for i, err := range r.errs {
				*asked[i] = a.code(req.Key(), err)
			}
			return wire.Response{Message: resp}, nil
		case <-ctx.Done():
			return wire.Response{}, context.Cause(ctx)
		}
	}, nil
}
