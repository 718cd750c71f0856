package api

import (
	"cmp"
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/broker/group"
	"github.com/millrace/millrace/broker/wire"
)

// offsetCommit answers API 8, versions 1 to 10. v1 may give a commit timestamp
// and v2 to v4 a retention time; v6 adds leader epochs; v7 static members; v8
// is flexible; v9 names unknown groups as such; v10
// names topics by id. The reply waits until the
// offsets are durable.
func (a *API) offsetCommit(_ context.Context, _ *wire.Conn, _ *wire.Request, req *kmsg.OffsetCommitRequest) (wire.Reply, error) {
	resp := req.ResponseKind().(*kmsg.OffsetCommitResponse)
	in := group.CommitRequest{
		Group: req.Group, MemberID: req.MemberID, InstanceID: deref(req.InstanceID), Generation: req.Generation,
		GroupIDNotFound: req.Version >= 9,
	}
	image := a.cfg.Controller.Image()
	var asked []*int16 // where the error of each committed offset goes
	resp.Topics = make([]kmsg.OffsetCommitResponseTopic, len(req.Topics))
	for i := range req.Topics {
		t, rt := &req.Topics[i], &resp.Topics[i]
		*rt = kmsg.NewOffsetCommitResponseTopic()
		rt.Topic, rt.TopicID = t.Topic, t.TopicID
		name, unknown := a.named(t.Topic, t.TopicID, req.Version >= 10)
		rt.Partitions = make([]kmsg.OffsetCommitResponseTopicPartition, len(t.Partitions))
		known := image.Topic(name)
		for j := range t.Partitions {
			p, rp := &t.Partitions[j], &rt.Partitions[j]
			*rp = kmsg.NewOffsetCommitResponseTopicPartition()
			rp.Partition = p.Partition
			if known == nil || p.Partition < 0 || int(p.Partition) >= len(known.Partitions) {
				rp.ErrorCode = a.code(req.Key(), cmp.Or(unknown, error(kerr.UnknownTopicOrPartition)))
				continue
			}
			in.Offsets = append(in.Offsets, a.offsetToCommit(req, name, p))
			asked = append(asked, &rp.ErrorCode)
		}
	}
	done := make(chan []error, 1) // the coordinator must not wait for the connection
	a.groups.Commit(in, func(errs []error) { done <- errs })
	return func(ctx context.Context) (wire.Response, error) {
		select {
		case errs := <-done:
			for i, err := range errs {
				*asked[i] = a.code(req.Key(), err)
			}
			return wire.Response{Message: resp}, nil
		case <-ctx.Done():
			return wire.Response{}, context.Cause(ctx)
		}
	}, nil
}

func (a *API) offsetToCommit(req *kmsg.OffsetCommitRequest, topic string, p *kmsg.OffsetCommitRequestTopicPartition) group.OffsetToCommit {
	out := group.OffsetToCommit{
		TopicPartition: group.TopicPartition{Topic: topic, Partition: p.Partition},
		Offset:         p.Offset, LeaderEpoch: -1, Metadata: deref(p.Metadata),
	}
	if req.Version >= 6 {
		out.LeaderEpoch = p.LeaderEpoch
	}
	switch {
	case req.Version == 1 && p.Timestamp >= 0:
		kept := time.Duration(a.cfg.Broker.Int("offsets.retention.minutes")) * time.Minute
		out.ExpireAt = time.UnixMilli(p.Timestamp).Add(kept)
	case req.Version >= 2 && req.Version <= 4 && req.RetentionTimeMillis >= 0:
		out.ExpireAt = a.cfg.Now().Add(time.Duration(min(req.RetentionTimeMillis, maxRetentionMillis)) * time.Millisecond)
	}
	return out
}

// maxRetentionMillis bounds a client's retention time to what a time can
// hold: a hundred years.
const maxRetentionMillis = 100 * 366 * 24 * 3600 * 1000
