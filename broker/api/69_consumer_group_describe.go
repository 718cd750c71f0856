package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/broker/group/consumer"
	"github.com/millrace/millrace/broker/metadata"
	"github.com/millrace/millrace/broker/wire"
)

// consumerMember is the member type of v1; there are no others in a group of
// this protocol.
const consumerMember = 1

// consumerGroupDescribe answers API 69, versions 0 to 1 (KIP-848). v1 adds the
// type of each member. Authorized operations are not reported because nothing
// is authorized here. Topics that are deleted are left out.
func (a *API) consumerGroupDescribe(_ context.Context, _ *wire.Conn, req *kmsg.ConsumerGroupDescribeRequest) (kmsg.Response, error) {
	resp := req.ResponseKind().(*kmsg.ConsumerGroupDescribeResponse)
	image := a.cfg.Controller.Image()
	for _, id := range req.Groups {
		rg := kmsg.NewConsumerGroupDescribeResponseGroup()
		rg.Group = id
		d, err := a.groups.DescribeConsumer(id)
		rg.ErrorCode, rg.ErrorMessage = a.code(req.Key(), err), message(err)
		if err == nil {
			rg.State, rg.Epoch, rg.AssignmentEpoch, rg.AssignorName = d.State.String(), d.Epoch, d.TargetEpoch, d.Assignor
		}
		for _, m := range d.Members {
			rm := kmsg.NewConsumerGroupDescribeResponseGroupMember()
			rm.MemberID, rm.InstanceID, rm.RackID = m.MemberID, optional(m.InstanceID), optional(m.RackID)
			rm.MemberEpoch, rm.ClientID, rm.ClientHost = m.Epoch, m.ClientID, m.ClientHost
			rm.SubscribedTopics, rm.SubscribedTopicRegex = m.Names, optional(m.Regex)
			rm.Assignment, rm.TargetAssignment = describeAssignment(image, m.Assigned), describeAssignment(image, m.Target)
			rm.MemberType = consumerMember
			rg.Members = append(rg.Members, rm)
		}
		resp.Groups = append(resp.Groups, rg)
	}
	return resp, nil
}

func describeAssignment(image *metadata.Image, a consumer.Assignment) kmsg.Assignment {
	out := kmsg.NewAssignment()
	for _, id := range a.Topics() {
		t := image.TopicByID(id)
		if t == nil {
			continue
		}
		tp := kmsg.NewAssignmentTopicPartition()
		tp.TopicID, tp.Topic, tp.Partitions = id, t.Name, a[id]
		out.TopicPartitions = append(out.TopicPartitions, tp)
	}
	return out
}
