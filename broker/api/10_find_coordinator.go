package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/broker/group"
	"github.com/millrace/millrace/broker/metadata"
	"github.com/millrace/millrace/broker/wire"
)

// Kinds of coordinator.
const (
	groupCoordinator = 0
	txnCoordinator   = 1
)

// findCoordinator answers API 10, versions 0 to 5: the broker that leads a
// group's partition of __consumer_offsets, or a transactional id's of
// __transaction_state. v1 adds kinds of coordinator; v3 is flexible; v4 asks
// for several at once (KIP-699); v5 knows TRANSACTION_ABORTABLE.
//
// Differs from Kafka: the topic is created before the first answer instead of
// answering COORDINATOR_NOT_AVAILABLE meanwhile, and the answer waits a moment
// for the coordinator's state to be loaded.
func (a *API) findCoordinator(ctx context.Context, c *wire.Conn, req *kmsg.FindCoordinatorRequest) (kmsg.Response, error) {
	resp := req.ResponseKind().(*kmsg.FindCoordinatorResponse)
	keys := req.CoordinatorKeys
	if req.Version < 4 {
		keys = []string{req.CoordinatorKey}
	}
	for _, key := range keys {
		rc := kmsg.NewFindCoordinatorResponseCoordinator()
		rc.Key, rc.NodeID, rc.Port = key, -1, -1
		b, e, err := a.coordinator(ctx, c.Listener, req.CoordinatorType, key)
		if rc.ErrorCode = a.code(req.Key(), err); err == nil {
			rc.NodeID, rc.Host, rc.Port = b.ID, e.Host, e.Port
		}
		rc.ErrorMessage = message(err)
		resp.Coordinators = append(resp.Coordinators, rc)
	}
	if req.Version < 4 {
		rc := resp.Coordinators[0]
		resp.ErrorCode, resp.ErrorMessage = rc.ErrorCode, rc.ErrorMessage
		resp.NodeID, resp.Host, resp.Port = rc.NodeID, rc.Host, rc.Port
	}
	return resp, nil
}

func (a *API) coordinator(ctx context.Context, listener string, kind int8, key string) (*metadata.Broker, metadata.Endpoint, error) {
	topic, state := offsetsTopic, a.groups.led
	switch kind {
	case groupCoordinator:
	case txnCoordinator:
		topic, state = txnTopic, a.txns.led
	default:
		return nil, metadata.Endpoint{}, kerr.InvalidRequest
	}
	t, err := a.ensureTopic(ctx, topic)
	if err != nil {
		return nil, metadata.Endpoint{}, err
	}
	id := group.Partition(key, int32(len(t.Partitions)))
	image := a.cfg.Controller.Image()
	b := image.Broker(t.Partitions[id].Leader)
	if b == nil {
		return nil, metadata.Endpoint{}, kerr.CoordinatorNotAvailable
	}
	e, ok := b.Endpoint(listener)
	if !ok {
		return nil, metadata.Endpoint{}, kerr.CoordinatorNotAvailable
	}
	state.awaitLoad(ctx, id)
	return b, e, nil
}

// ensureTopic returns a coordinator's topic, creating it if need be.
func (a *API) ensureTopic(ctx context.Context, topic string) (*metadata.Topic, error) {
	if t := a.cfg.Controller.Image().Topic(topic); t != nil {
		return t, nil
	}
	err := a.autoCreate(ctx, topic)
	if t := a.cfg.Controller.Image().Topic(topic); t != nil {
		return t, nil // by us, or by someone at the same time
	}
	a.cfg.Logger.Warn("topic not created automatically", "topic", topic, "err", err)
	return nil, kerr.CoordinatorNotAvailable
}
