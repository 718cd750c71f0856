package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/broker/replica"
	"github.com/millrace/millrace/broker/wire"
)

// Timestamps that ask for a place instead of a time.
const (
	latest        = -1
	earliest      = -2
	maxTimestamp  = -3 // v7 (KIP-734)
	earliestLocal = -4 // v8 (KIP-405)
	latestTiered  = -5 // v9 (KIP-1005)
	pendingUpload = -6 // v11 (KIP-1023)
)

// since says from which version on a special timestamp may be asked for.
var since = map[int64]int16{latest: 1, earliest: 1, maxTimestamp: 7, earliestLocal: 8, latestTiered: 9, pendingUpload: 11}

// listOffsets answers API 2, versions 1 to 11: the offset for a time. v2 adds
// the isolation level; v4 leader epochs; v6 is flexible; v10 adds a timeout,
// which matters for tiered storage only.
func (a *API) listOffsets(_ context.Context, _ *wire.Conn, req *kmsg.ListOffsetsRequest) (kmsg.Response, error) {
	resp := req.ResponseKind().(*kmsg.ListOffsetsResponse)
	asked := make(map[string]map[int32]bool)
	for i := range req.Topics {
		t := &req.Topics[i]
		seen := asked[t.Topic]
		if seen == nil {
			seen = make(map[int32]bool)
			asked[t.Topic] = seen
		}
		rt := kmsg.NewListOffsetsResponseTopic()
		rt.Topic = t.Topic
		for j := range t.Partitions {
			p := &t.Partitions[j]
			rp := kmsg.NewListOffsetsResponseTopicPartition() // offset, time and epoch start at -1
			rp.Partition = p.Partition
			err := error(kerr.InvalidRequest) // named twice
			if !seen[p.Partition] {
				err = a.listOffset(req, t.Topic, p, &rp)
			}
			seen[p.Partition] = true
			rp.ErrorCode = a.code(req.Key(), err)
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	return resp, nil
}

func (a *API) listOffset(req *kmsg.ListOffsetsRequest, topic string, rp *kmsg.ListOffsetsRequestTopicPartition, out *kmsg.ListOffsetsResponseTopicPartition) error {
	p, err := a.partition(topic, rp.Partition)
	if err != nil {
		return err
	}
	if err := p.CheckEpoch(rp.CurrentLeaderEpoch); err != nil {
		return err
	}
	if min, special := since[rp.Timestamp]; rp.Timestamp < 0 && (!special || req.Version < min) {
		return kerr.UnsupportedVersion
	}
	end := p.HighWatermark()
	if req.IsolationLevel == 1 {
		end = p.LastStableOffset()
	}
	switch rp.Timestamp {
	case latest:
		out.Offset, out.LeaderEpoch = end, p.LeaderEpoch()
	case earliest, earliestLocal:
		out.Offset = p.StartOffset() // its epoch is optional, and not kept
	case latestTiered, pendingUpload: // nothing is tiered: -1
	default:
		return findOffset(p, rp.Timestamp, end, out)
	}
	return nil
}

// findOffset looks a record up by time; none at or above end counts.
func findOffset(p *replica.Partition, ts, end int64, out *kmsg.ListOffsetsResponseTopicPartition) error {
	find := func() (replica.TimestampOffset, bool, error) { return p.OffsetForTimestamp(ts) }
	if ts == maxTimestamp {
		find = p.MaxTimestampOffset
	}
	found, ok, err := find()
	if err == nil && ok && found.Offset < end {
		out.Offset, out.Timestamp, out.LeaderEpoch = found.Offset, found.Timestamp, found.LeaderEpoch
	}
	return err
}
