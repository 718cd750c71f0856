package api

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/broker/replica"
	"github.com/millrace/millrace/broker/wire"
)

// deleteRecords answers API 21, versions 0 to 2: the log start offset moves up.
// -1 means up to the high watermark. v2 is flexible.
func (a *API) deleteRecords(_ context.Context, _ *wire.Conn, req *kmsg.DeleteRecordsRequest) (kmsg.Response, error) {
	resp := req.ResponseKind().(*kmsg.DeleteRecordsResponse)
	for i := range req.Topics {
		t := &req.Topics[i]
		rt := kmsg.NewDeleteRecordsResponseTopic()
		rt.Topic = t.Topic
		for _, p := range t.Partitions {
			rp := kmsg.NewDeleteRecordsResponseTopicPartition()
			rp.Partition = p.Partition
			low, err := a.deleteBefore(t.Topic, p.Partition, p.Offset)
			rp.LowWatermark, rp.ErrorCode = low, a.code(req.Key(), err)
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	return resp, nil
}

func (a *API) deleteBefore(topic string, id int32, offset int64) (low int64, err error) {
	if internal(topic) {
		return -1, kerr.InvalidTopicException
	}
	p, err := a.partition(topic, id)
	if err != nil {
		return -1, err
	}
	if !p.Config().Delete {
		return -1, kerr.PolicyViolation
	}
	hw := p.HighWatermark()
	if offset == -1 {
		offset = hw
	}
	if offset < 0 || offset > hw {
		return -1, fmt.Errorf("delete records before %d, high watermark is %d: %w", offset, hw, replica.ErrOffsetOutOfRange)
	}
	if offset > p.StartOffset() {
		err = p.DeleteBefore(offset)
	}
	if err != nil {
		return -1, err
	}
	return p.StartOffset(), nil
}
