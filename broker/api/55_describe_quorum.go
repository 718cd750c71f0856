package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/broker/wire"
)

// metadataTopic is Kafka's name for the log of the metadata quorum.
const metadataTopic = "__cluster_metadata"

// describeQuorum answers API 55, versions 0 to 2 (KIP-595): the metadata
// quorum under the name that Kafka has for it. v1 adds when voters were last
// heard of; v2 their directories and the nodes, whose quorum has no listeners
// to connect to. Offsets are indexes of the Raft log, the epoch is its term.
func (a *API) describeQuorum(_ context.Context, _ *wire.Conn, req *kmsg.DescribeQuorumRequest) (kmsg.Response, error) {
	resp := req.ResponseKind().(*kmsg.DescribeQuorumResponse)
	q := a.cfg.Controller.Quorum()
	for i := range req.Topics {
		t := &req.Topics[i]
		rt := kmsg.NewDescribeQuorumResponseTopic()
		rt.Topic = t.Topic
		for _, p := range t.Partitions {
			rp := kmsg.NewDescribeQuorumResponseTopicPartition()
			rp.Partition = p.Partition
			if t.Topic != metadataTopic || p.Partition != 0 {
				err := error(kerr.UnknownTopicOrPartition)
				rp.ErrorCode, rp.ErrorMessage = a.code(req.Key(), err), message(err)
				rt.Partitions = append(rt.Partitions, rp)
				continue
			}
			rp.LeaderID, rp.LeaderEpoch, rp.HighWatermark = q.Leader, int32(q.Term), int64(q.Committed)+1
			for _, v := range q.Voters {
				rv := kmsg.NewDescribeQuorumResponseTopicPartitionReplicaState()
				rv.ReplicaID, rv.ReplicaDirectoryID, rv.LogEndOffset = v.NodeID, v.DirectoryID, int64(v.Last)+1
				rv.LastFetchTimestamp = a.cfg.Now().UnixMilli()
				rv.LastCaughtUpTimestamp = rv.LastFetchTimestamp
				rp.CurrentVoters = append(rp.CurrentVoters, rv)
			}
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	for _, v := range q.Voters {
		n := kmsg.NewDescribeQuorumResponseNode()
		n.NodeID = v.NodeID
		resp.Nodes = append(resp.Nodes, n)
	}
	return resp, nil
}
