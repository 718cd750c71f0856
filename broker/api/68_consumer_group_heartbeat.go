package api

import (
	"context"
	"iter"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/broker/group/consumer"
	"github.com/millrace/millrace/broker/metadata"
	"github.com/millrace/millrace/broker/wire"
)

// consumerGroupHeartbeat answers API 68, versions 0 to 1 (KIP-848): a member
// joins, stays in, reports what it owns and is told what it shall own. In v1
// the member makes its id, and may subscribe by a pattern. The reply waits
// until what follows is durable.
func (a *API) consumerGroupHeartbeat(_ context.Context, c *wire.Conn, r *wire.Request, req *kmsg.ConsumerGroupHeartbeatRequest) (wire.Reply, error) {
	type result struct {
		answer consumer.Answer
		err    error
	}
	done := make(chan result, 1) // the coordinator must not wait for the connection
	in, err := a.heartbeatOf(req, r.ClientID, c.RemoteHost)
	if err != nil {
		done <- result{err: err}
	} else {
		a.groups.ConsumerHeartbeat(req.Group, in, func(answer consumer.Answer, err error) { done <- result{answer, err} })
	}
	return func(ctx context.Context) (wire.Response, error) {
		select {
		case out := <-done:
			resp := req.ResponseKind().(*kmsg.ConsumerGroupHeartbeatResponse)
			resp.ErrorCode, resp.ErrorMessage = a.code(req.Key(), out.err), message(out.err)
			if out.err == nil {
				heartbeatAnswer(resp, &out.answer)
			}
			return wire.Response{Message: resp}, nil
		case <-ctx.Done():
			return wire.Response{}, context.Cause(ctx)
		}
	}, nil
}

func (a *API) heartbeatOf(req *kmsg.ConsumerGroupHeartbeatRequest, client, host string) (consumer.Heartbeat, error) {
	in := consumer.Heartbeat{
		MemberID: req.MemberID, Epoch: req.MemberEpoch, InstanceID: deref(req.InstanceID), RackID: deref(req.RackID),
		ClientID: client, ClientHost: "/" + host, Rebalance: milliseconds(req.RebalanceTimeoutMillis),
		Names: req.SubscribedTopicNames, Regex: req.SubscribedTopicRegex, Assignor: req.ServerAssignor,
		OwnedGiven: req.Topics != nil, MustHaveID: req.Version >= 1,
	}
	switch {
	case !slices.Contains(metadata.Split(a.cfg.Broker.String("group.coordinator.rebalance.protocols")), "consumer"):
		return in, refuse(kerr.UnsupportedVersion, "group.coordinator.rebalance.protocols does not have the consumer protocol")
	case req.Group == "" || len(req.Group) > maxName:
		return in, refuse(kerr.InvalidRequest, "group id must have 1 to 32767 bytes")
	case req.InstanceID != nil && *req.InstanceID == "":
		return in, refuse(kerr.InvalidRequest, "group instance id must not be empty")
	case req.RackID != nil && *req.RackID == "":
		return in, refuse(kerr.InvalidRequest, "rack id must not be empty")
	}
	in.Owned = make(consumer.Assignment, len(req.Topics))
	for _, t := range req.Topics {
		if len(t.Partitions) == 0 {
			continue
		}
		ps := append(slices.Clone(t.Partitions), in.Owned[t.TopicID]...)
		slices.Sort(ps)
		in.Owned[t.TopicID] = slices.Compact(ps)
	}
	return in, nil
}

// maxName is the longest string that the keys of group records can hold.
const maxName = 1<<15 - 1

func heartbeatAnswer(resp *kmsg.ConsumerGroupHeartbeatResponse, answer *consumer.Answer) {
	resp.MemberID, resp.MemberEpoch = &answer.MemberID, answer.Epoch
	resp.HeartbeatIntervalMillis = int32(answer.Interval.Milliseconds())
	if answer.Assignment == nil {
		return
	}
	out := kmsg.NewConsumerGroupHeartbeatResponseAssignment()
	out.Topics = []kmsg.ConsumerGroupHeartbeatResponseAssignmentTopic{}
	for _, id := range answer.Assignment.Topics() {
		t := kmsg.NewConsumerGroupHeartbeatResponseAssignmentTopic()
		t.TopicID, t.Partitions = id, answer.Assignment[id]
		out.Topics = append(out.Topics, t)
	}
	resp.Assignment = &out
}

// consumerTiming is what members of a group of the consumer protocol are told
// and held to.
func (a *API) consumerTiming(group string) consumer.Timing {
	set := a.cfg.Controller.Image().ResourceConfigs(metadata.GroupResource, group)
	session, heartbeat := metadata.ConsumerTiming(set, a.cfg.Broker)
	return consumer.Timing{Session: session, Heartbeat: heartbeat}
}

// topicView is an image as groups see it.
type topicView struct{ *metadata.Image }

var _ consumer.Topics = topicView{}

// Version implements consumer.Topics. An image of index 0 has no topics.
func (v topicView) Version() uint64 { return max(v.Index, 1) }

// Topic implements consumer.Topics.
func (v topicView) Topic(name string) (consumer.Topic, bool) {
	t := v.Image.Topic(name)
	if t == nil {
		return consumer.Topic{}, false
	}
	return consumer.Topic{ID: t.ID, Partitions: int32(len(t.Partitions))}, true
}

// Names implements consumer.Topics.
func (v topicView) Names() iter.Seq[string] {
	return func(yield func(string) bool) {
		for t := range v.Topics() {
			if !yield(t.Name) {
				return
			}
		}
	}
}

// Name implements consumer.Topics.
func (v topicView) Name(id consumer.TopicID) (string, bool) {
	t := v.TopicByID(id)
	if t == nil {
		return "", false
	}
	return t.Name, true
}
