package api

import (
	"context"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/broker/metadata"
	"github.com/millrace/millrace/broker/wire"
)

// Kinds of election.
const (
	preferredElection = 0
	uncleanElection   = 1
)

// electLeaders answers API 43, versions 0 to 2 (KIP-183, KIP-460). Every
// partition has one replica, which leads it, so that there is never anything
// to elect: a partition that is named is answered ELECTION_NOT_NEEDED, and all
// together with nothing, as Kafka does when all is well. v1 adds unclean
// elections and an error of the whole; v2 is flexible.
func (a *API) electLeaders(_ context.Context, _ *wire.Conn, req *kmsg.ElectLeadersRequest) (kmsg.Response, error) {
	resp := req.ResponseKind().(*kmsg.ElectLeadersResponse)
	resp.Topics = []kmsg.ElectLeadersResponseTopic{}
	if req.ElectionType != preferredElection && req.ElectionType != uncleanElection {
		resp.ErrorCode = a.code(req.Key(), refuse(kerr.InvalidRequest, "unknown kind of election"))
		return resp, nil
	}
	image := a.cfg.Controller.Image()
	for i := range req.Topics {
		t := &req.Topics[i]
		rt := kmsg.NewElectLeadersResponseTopic()
		rt.Topic = t.Topic
		known := image.Topic(t.Topic)
		for _, id := range t.Partitions {
			rp := kmsg.NewElectLeadersResponseTopicPartition()
			err := electLeader(known, id, req.ElectionType)
			rp.Partition, rp.ErrorCode, rp.ErrorMessage = id, a.code(req.Key(), err), message(err)
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	return resp, nil
}

// electLeader is why a partition keeps its leader.
func electLeader(t *metadata.Topic, id int32, kind int8) error {
	if t == nil || id < 0 || int(id) >= len(t.Partitions) {
		return kerr.UnknownTopicOrPartition
	}
	p := &t.Partitions[id]
	switch {
	case kind == uncleanElection && p.Leader >= 0, p.Leader == p.Replicas[0]:
		return kerr.ElectionNotNeeded
	case kind == uncleanElection:
		return kerr.EligibleLeadersNotAvailable
	case slices.Contains(p.ISR, p.Replicas[0]):
		return refuse(kerr.PreferredLeaderNotAvailable, "partitions keep their leaders here")
	}
	return kerr.PreferredLeaderNotAvailable
}
