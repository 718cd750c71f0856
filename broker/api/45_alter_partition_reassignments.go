package api

import (
	"context"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/broker/metadata"
	"github.com/millrace/millrace/broker/wire"
)

// alterPartitionReassignments answers API 45, versions 0 to 1 (KIP-455). A
// partition can be assigned to the replicas that it has, which is done at
// once; to others it cannot, because replicas do not move between brokers
// here. Nothing is ever on its way that could be cancelled. v1 says whether
// the replication factor may change (KIP-1098).
func (a *API) alterPartitionReassignments(_ context.Context, _ *wire.Conn, req *kmsg.AlterPartitionAssignmentsRequest) (kmsg.Response, error) {
	resp := req.ResponseKind().(*kmsg.AlterPartitionAssignmentsResponse)
	image := a.cfg.Controller.Image()
	for i := range req.Topics {
		t := &req.Topics[i]
		rt := kmsg.NewAlterPartitionAssignmentsResponseTopic()
		rt.Topic = t.Topic
		known := image.Topic(t.Topic)
		for _, p := range t.Partitions {
			rp := kmsg.NewAlterPartitionAssignmentsResponseTopicPartition()
			err := reassign(known, p.Partition, p.Replicas)
			rp.Partition, rp.ErrorCode, rp.ErrorMessage = p.Partition, a.code(req.Key(), err), message(err)
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	return resp, nil
}

func reassign(t *metadata.Topic, id int32, replicas []int32) error {
	switch {
	case t == nil || id < 0 || int(id) >= len(t.Partitions):
		return kerr.UnknownTopicOrPartition
	case replicas == nil:
		return kerr.NoReassignmentInProgress
	case !slices.Equal(replicas, t.Partitions[id].Replicas):
		return refuse(kerr.InvalidReplicaAssignment, fmt.Sprintf("replicas %v: the partition stays on %v, where it is", replicas, t.Partitions[id].Replicas))
	}
	return nil
}
