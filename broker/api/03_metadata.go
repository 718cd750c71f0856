package api

import (
	"context"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/broker/metadata"
	"github.com/millrace/millrace/broker/wire"
)

// autoCreateWait bounds how long a Metadata request waits for the topics it
// creates. It answers LEADER_NOT_AVAILABLE after that and the client asks
// again.
const autoCreateWait = 500 * time.Millisecond

// metadata answers API 3, versions 0 to 13: brokers, and topics with the
// leaders of their partitions. In v0 no topics means all, from v1 on null
// does and an empty list means none. v1 adds controller, rack and internal
// topics; v2 the cluster id; v4 whether topics may be created; v5 offline
// replicas; v7 leader epochs; v8 authorized operations, which are not
// reported because nothing is authorized here; v9 is flexible; v10 adds topic
// ids, v12 asks by them; v13 adds an error of the whole (KIP-1102), which is
// for clients that must look for another cluster.
//
// Differs from Kafka: a topic that the request creates is waited for, so the
// first answer has its partitions already.
func (a *API) metadata(ctx context.Context, c *wire.Conn, req *kmsg.MetadataRequest) (kmsg.Response, error) {
	resp := req.ResponseKind().(*kmsg.MetadataResponse)
	a.autoCreateAll(ctx, req)
	image := a.cfg.Controller.Image()
	for _, b := range image.Brokers() {
		e, ok := b.Endpoint(c.Listener)
		if !ok {
			continue
		}
		rb := kmsg.NewMetadataResponseBroker()
		rb.NodeID, rb.Host, rb.Port, rb.Rack = b.ID, e.Host, e.Port, optional(b.Rack)
		resp.Brokers = append(resp.Brokers, rb)
	}
	resp.ClusterID = &a.cfg.ClusterID
	resp.ControllerID = a.cfg.NodeID
	if req.Topics == nil || req.Version == 0 && len(req.Topics) == 0 {
		for t := range image.Topics() {
			resp.Topics = append(resp.Topics, describeTopic(image, t, c.Listener, req.Version))
		}
		return resp, nil
	}
	seen := make(map[string]bool, len(req.Topics))
	for i := range req.Topics {
		t := &req.Topics[i]
		if t.Topic != nil {
			if seen[*t.Topic] {
				continue // named twice, answered once
			}
			seen[*t.Topic] = true
		}
		resp.Topics = append(resp.Topics, a.lookupTopic(image, t, c.Listener, req))
	}
	return resp, nil
}

func (a *API) lookupTopic(image *metadata.Image, rt *kmsg.MetadataRequestTopic, listener string, req *kmsg.MetadataRequest) kmsg.MetadataResponseTopic {
	var t *metadata.Topic
	var err error
	switch {
	case rt.Topic != nil:
		if t = image.Topic(*rt.Topic); t == nil {
			err = a.whyNoTopic(*rt.Topic, req)
		}
	case req.Version >= 12:
		if t = image.TopicByID(rt.TopicID); t == nil {
			err = kerr.UnknownTopicID
		}
	default:
		err = kerr.InvalidRequest
	}
	if t != nil {
		return describeTopic(image, t, listener, req.Version)
	}
	out := kmsg.NewMetadataResponseTopic()
	out.Topic, out.TopicID = rt.Topic, rt.TopicID
	if rt.Topic == nil && req.Version < 12 {
		out.Topic = kmsg.StringPtr("")
	}
	out.ErrorCode = a.code(req.Key(), err)
	return out
}

// whyNoTopic is the error for a name that leads to no topic.
func (a *API) whyNoTopic(name string, req *kmsg.MetadataRequest) error {
	if err := metadata.CheckTopicName(name); err != nil {
		return err
	}
	if a.creates(req) && !internal(name) {
		return kerr.LeaderNotAvailable // its creation is on the way, or failed and may be tried again
	}
	return kerr.UnknownTopicOrPartition
}

func (a *API) creates(req *kmsg.MetadataRequest) bool {
	return (req.Version < 4 || req.AllowAutoTopicCreation) && a.cfg.Broker.Bool("auto.create.topics.enable")
}

// autoCreateAll creates the topics that are named, valid and missing.
func (a *API) autoCreateAll(ctx context.Context, req *kmsg.MetadataRequest) {
	if !a.creates(req) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, autoCreateWait)
	defer cancel()
	image := a.cfg.Controller.Image()
	for i := range req.Topics {
		name := req.Topics[i].Topic
		if name == nil || image.CheckNewTopic(*name) != nil || internal(*name) {
			continue
		}
		if err := a.autoCreate(ctx, *name); err != nil && !errors.Is(err, metadata.ErrTopicExists) {
			a.cfg.Logger.Warn("topic not created automatically", "topic", *name, "err", err)
		}
	}
}

// describeTopic renders a topic for clients of one listener.
func describeTopic(image *metadata.Image, t *metadata.Topic, listener string, version int16) kmsg.MetadataResponseTopic {
	out := kmsg.NewMetadataResponseTopic()
	out.Topic, out.TopicID, out.IsInternal = &t.Name, t.ID, internal(t.Name)
	out.Partitions = make([]kmsg.MetadataResponseTopicPartition, 0, len(t.Partitions))
	for i := range t.Partitions {
		p := &t.Partitions[i]
		rp := kmsg.NewMetadataResponseTopicPartition()
		rp.Partition, rp.Leader, rp.LeaderEpoch = int32(i), p.Leader, p.LeaderEpoch
		rp.Replicas, rp.ISR = p.Replicas, p.ISR
		rp.ErrorCode = leaderError(image, p.Leader, listener, version)
		out.Partitions = append(out.Partitions, rp)
	}
	return out
}

// leaderError is 5 for a partition without a leader, and 72 (before v6, 5) for
// one whose leader has no address on the client's listener.
func leaderError(image *metadata.Image, leader int32, listener string, version int16) int16 {
	b := image.Broker(leader)
	if b == nil {
		return kerr.LeaderNotAvailable.Code
	}
	if _, ok := b.Endpoint(listener); ok {
		return 0
	}
	if version < 6 {
		return kerr.LeaderNotAvailable.Code
	}
	return kerr.ListenerNotFound.Code
}

// optional returns a pointer to s, nil if it is empty.
func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
