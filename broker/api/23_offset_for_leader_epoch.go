package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/broker/wire"
)

// offsetForLeaderEpoch answers API 23, versions 2 to 4: where the epoch that a
// follower or consumer last saw ended in this log, and so where the two may
// have diverged (KIP-101, KIP-320). v3 adds the replica id; v4 is flexible.
func (a *API) offsetForLeaderEpoch(_ context.Context, _ *wire.Conn, req *kmsg.OffsetForLeaderEpochRequest) (kmsg.Response, error) {
	resp := req.ResponseKind().(*kmsg.OffsetForLeaderEpochResponse)
	for i := range req.Topics {
		t := &req.Topics[i]
		rt := kmsg.NewOffsetForLeaderEpochResponseTopic()
		rt.Topic = t.Topic
		for _, p := range t.Partitions {
			rp := kmsg.NewOffsetForLeaderEpochResponseTopicPartition() // epoch and offset start at -1
			rp.Partition = p.Partition
			epoch, end, err := a.epochEnd(t.Topic, p)
			if rp.ErrorCode = a.code(req.Key(), err); err == nil {
				rp.LeaderEpoch, rp.EndOffset = epoch, end
			}
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	return resp, nil
}

func (a *API) epochEnd(topic string, rp kmsg.OffsetForLeaderEpochRequestTopicPartition) (int32, int64, error) {
	p, err := a.partition(topic, rp.Partition)
	if err != nil {
		return -1, -1, err
	}
	if err := p.CheckEpoch(rp.CurrentLeaderEpoch); err != nil {
		return -1, -1, err
	}
	epoch, end := p.EpochEnd(rp.LeaderEpoch)
	return epoch, end, nil
}
