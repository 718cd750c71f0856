package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/broker/group"
	"github.com/millrace/millrace/broker/wire"
)

// offsetFetch answers API 9, versions 1 to 10. v2 lets null ask for all
// partitions and reports errors of the whole group; v5 adds leader epochs; v6
// is flexible; v7 asks for stable offsets, without those that a transaction
// has yet to decide about; v8 asks for several groups; v9 checks the epoch of
// a member of the consumer protocol (KIP-848); v10 names topics by id.
func (a *API) offsetFetch(_ context.Context, _ *wire.Conn, req *kmsg.OffsetFetchRequest) (kmsg.Response, error) {
	resp := req.ResponseKind().(*kmsg.OffsetFetchResponse)
	if req.Version >= 8 {
		for i := range req.Groups {
			resp.Groups = append(resp.Groups, a.fetchGroup(req, &req.Groups[i]))
		}
		return resp, nil
	}
	g := kmsg.NewOffsetFetchRequestGroup()
	g.Group = req.Group
	if req.Topics != nil || req.Version < 2 {
		g.Topics = []kmsg.OffsetFetchRequestGroupTopic{}
	}
	for _, t := range req.Topics {
		gt := kmsg.NewOffsetFetchRequestGroupTopic()
		gt.Topic, gt.Partitions = t.Topic, t.Partitions
		g.Topics = append(g.Topics, gt)
	}
	out := a.fetchGroup(req, &g)
	if resp.ErrorCode = out.ErrorCode; out.ErrorCode != 0 && req.Version < 2 {
		out.Topics = failedTopics(&g, out.ErrorCode)
	}
	for _, t := range out.Topics {
		rt := kmsg.NewOffsetFetchResponseTopic()
		rt.Topic = t.Topic
		for _, p := range t.Partitions {
			rp := kmsg.NewOffsetFetchResponseTopicPartition()
			rp.Partition, rp.Offset, rp.LeaderEpoch, rp.Metadata, rp.ErrorCode = p.Partition, p.Offset, p.LeaderEpoch, p.Metadata, p.ErrorCode
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	return resp, nil
}

// failedTopics says of every partition that the group failed: v1 has no other
// place for it.
func failedTopics(g *kmsg.OffsetFetchRequestGroup, code int16) []kmsg.OffsetFetchResponseGroupTopic {
	var out []kmsg.OffsetFetchResponseGroupTopic
	for i := range g.Topics {
		out = append(out, failedTopic(&g.Topics[i], code))
	}
	return out
}

func failedTopic(t *kmsg.OffsetFetchRequestGroupTopic, code int16) kmsg.OffsetFetchResponseGroupTopic {
	rt := kmsg.NewOffsetFetchResponseGroupTopic()
	rt.Topic, rt.TopicID = t.Topic, t.TopicID
	for _, id := range t.Partitions {
		rp := kmsg.NewOffsetFetchResponseGroupTopicPartition()
		rp.Partition, rp.Offset, rp.LeaderEpoch, rp.ErrorCode = id, -1, -1, code
		rt.Partitions = append(rt.Partitions, rp)
	}
	return rt
}

// checkFetch asks whether the member that fetches is up to date, if it says
// who it is.
func (a *API) checkFetch(g *kmsg.OffsetFetchRequestGroup) error {
	if g.MemberID == nil || g.MemberEpoch < 0 {
		return nil
	}
	return a.groups.CheckFetch(g.Group, *g.MemberID, g.MemberEpoch)
}

func (a *API) fetchGroup(req *kmsg.OffsetFetchRequest, g *kmsg.OffsetFetchRequestGroup) kmsg.OffsetFetchResponseGroup {
	out := kmsg.NewOffsetFetchResponseGroup()
	out.Group = g.Group
	var tps []group.TopicPartition // nil for all
	if g.Topics != nil {
		tps = []group.TopicPartition{}
	}
	for _, t := range g.Topics {
		name, err := a.named(t.Topic, t.TopicID, req.Version >= 10)
		if err != nil {
			out.Topics = append(out.Topics, failedTopic(&t, a.code(req.Key(), err)))
			continue
		}
		for _, id := range t.Partitions {
			tps = append(tps, group.TopicPartition{Topic: name, Partition: id})
		}
	}
	var offsets []group.CommittedOffset
	err := a.checkFetch(g)
	if err == nil {
		offsets, err = a.groups.Fetch(g.Group, tps)
	}
	out.ErrorCode = a.code(req.Key(), err)
	image := a.cfg.Controller.Image()
	for i := range offsets {
		o := &offsets[i]
		t := image.Topic(o.Topic)
		if t == nil && req.Version >= 10 {
			continue // it was deleted, and its offsets are going
		}
		if n := len(out.Topics); n == 0 || i == 0 || offsets[i-1].Topic != o.Topic {
			rt := kmsg.NewOffsetFetchResponseGroupTopic()
			if rt.Topic = o.Topic; t != nil {
				rt.TopicID = t.ID
			}
			out.Topics = append(out.Topics, rt)
		}
		rt := &out.Topics[len(out.Topics)-1]
		rp := kmsg.NewOffsetFetchResponseGroupTopicPartition()
		rp.Partition, rp.Offset, rp.LeaderEpoch, rp.Metadata = o.Partition, o.Offset, o.LeaderEpoch, &o.Metadata
		if req.RequireStable && o.Unstable {
			rp.Offset, rp.LeaderEpoch, rp.Metadata = -1, -1, new(string)
			rp.ErrorCode = a.code(req.Key(), kerr.UnstableOffsetCommit)
		}
		rt.Partitions = append(rt.Partitions, rp)
	}
	return out
}
