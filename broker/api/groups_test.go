package api_test

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// topicID returns a topic's id.
func (p *peer) topicID(name string) [16]byte {
	p.t.Helper()
	req := as(kmsg.NewPtrMetadataRequest(), 12)
	rt := kmsg.NewMetadataRequestTopic()
	rt.Topic = &name
	req.Topics = append(req.Topics, rt)
	return p.ask(req).(*kmsg.MetadataResponse).Topics[0].TopicID
}

func (p *peer) create(topic string, partitions int32) {
	p.t.Helper()
	req := as(kmsg.NewPtrCreateTopicsRequest(), 7)
	rt := kmsg.NewCreateTopicsRequestTopic()
	rt.Topic, rt.NumPartitions, rt.ReplicationFactor = topic, partitions, 1
	req.Topics = append(req.Topics, rt)
	wantCode(p.t, "create "+topic, p.ask(req).(*kmsg.CreateTopicsResponse).Topics[0].ErrorCode, nil)
}

// offset asks for an offset of partition 0 of topic t.
func (p *peer) offset(version int16, ts int64) kmsg.ListOffsetsResponseTopicPartition {
	p.t.Helper()
	return p.offsetOf(version, "t", ts)
}

func (p *peer) offsetOf(version int16, topic string, ts int64) kmsg.ListOffsetsResponseTopicPartition {
	p.t.Helper()
	req := as(kmsg.NewPtrListOffsetsRequest(), version)
	rp := kmsg.NewListOffsetsRequestTopicPartition()
	rp.Timestamp = ts
	rt := kmsg.NewListOffsetsRequestTopic()
	rt.Topic, rt.Partitions = topic, []kmsg.ListOffsetsRequestTopicPartition{rp}
	req.ReplicaID = -1
	req.Topics = append(req.Topics, rt)
	return p.ask(req).(*kmsg.ListOffsetsResponse).Topics[0].Partitions[0]
}

// end returns the high watermark of partition 0.
func (p *peer) end(topic string) int64 {
	p.t.Helper()
	return p.offsetOf(7, topic, -1).Offset
}

// join joins a group, in two steps where the version wants it, and returns the
// member's id and the generation.
func (p *peer) join(version int16, group string) (member string, generation int32) {
	p.t.Helper()
	p.coordinator(5, group)
	req := as(kmsg.NewPtrJoinGroupRequest(), version)
	req.Group, req.ProtocolType = group, "consumer"
	req.SessionTimeoutMillis, req.RebalanceTimeoutMillis = 30000, 5000
	rp := kmsg.NewJoinGroupRequestProtocol()
	rp.Name, rp.Metadata = "range", []byte("metadata")
	req.Protocols = append(req.Protocols, rp)
	resp := p.ask(req).(*kmsg.JoinGroupResponse)
	if version >= 4 {
		wantCode(p.t, "first join", resp.ErrorCode, kerr.MemberIDRequired)
		req.MemberID = resp.MemberID
		resp = p.ask(req).(*kmsg.JoinGroupResponse)
	}
	wantCode(p.t, "join", resp.ErrorCode, nil)
	if *resp.Protocol != "range" || resp.LeaderID != resp.MemberID && len(resp.Members) > 0 {
		p.t.Errorf("joined as %+v", resp)
	}
	return resp.MemberID, resp.Generation
}

func (p *peer) sync(version int16, group, member string, generation int32) {
	p.t.Helper()
	req := as(kmsg.NewPtrSyncGroupRequest(), version)
	req.Group, req.MemberID, req.Generation = group, member, generation
	req.ProtocolType, req.Protocol = kmsg.StringPtr("consumer"), kmsg.StringPtr("range")
	ra := kmsg.NewSyncGroupRequestGroupAssignment()
	ra.MemberID, ra.MemberAssignment = member, []byte("assigned")
	req.GroupAssignment = append(req.GroupAssignment, ra)
	resp := p.ask(req).(*kmsg.SyncGroupResponse)
	wantCode(p.t, "sync", resp.ErrorCode, nil)
	if string(resp.MemberAssignment) != "assigned" {
		p.t.Errorf("assignment is %q", resp.MemberAssignment)
	}
}

func (p *peer) coordinator(version int16, group string) *kmsg.FindCoordinatorResponse {
	p.t.Helper()
	req := as(kmsg.NewPtrFindCoordinatorRequest(), version)
	req.CoordinatorKey, req.CoordinatorKeys = group, []string{group}
	return p.ask(req).(*kmsg.FindCoordinatorResponse)
}

func findCoordinator(p *peer, v int16) {
	resp := p.coordinator(v, "any")
	code, node, host := resp.ErrorCode, resp.NodeID, resp.Host
	if v >= 4 {
		code, node, host = resp.Coordinators[0].ErrorCode, resp.Coordinators[0].NodeID, resp.Coordinators[0].Host
	}
	wantCode(p.t, "find coordinator", code, nil)
	if node != 1 || host != "127.0.0.1" {
		p.t.Errorf("coordinator is %d at %s", node, host)
	}
	if v < 1 {
		return
	}
	req := as(kmsg.NewPtrFindCoordinatorRequest(), v)
	req.CoordinatorType, req.CoordinatorKey, req.CoordinatorKeys = 1, "tx", []string{"tx"}
	txn := p.ask(req).(*kmsg.FindCoordinatorResponse)
	if code = txn.ErrorCode; v >= 4 {
		code = txn.Coordinators[0].ErrorCode
	}
	wantCode(p.t, "transaction coordinator", code, nil)
}

// commit commits an offset of partition 0 of topic t outside of the group's
// membership, and one of a partition that does not exist.
func (p *peer) commit(version int16, group string, offset int64) int16 {
	p.t.Helper()
	p.coordinator(5, group)
	req := as(kmsg.NewPtrOffsetCommitRequest(), version)
	req.Group, req.Generation = group, -1
	for _, id := range []int32{0, 99} {
		rp := kmsg.NewOffsetCommitRequestTopicPartition()
		rp.Partition, rp.Offset, rp.Metadata = id, offset, kmsg.StringPtr("note")
		if id == 0 {
			rt := kmsg.NewOffsetCommitRequestTopic()
			rt.Topic, rt.TopicID = "t", p.topicID("t")
			req.Topics = append(req.Topics, rt)
		}
		req.Topics[0].Partitions = append(req.Topics[0].Partitions, rp)
	}
	ps := p.ask(req).(*kmsg.OffsetCommitResponse).Topics[0].Partitions
	wantCode(p.t, "commit of an unknown partition", ps[1].ErrorCode, kerr.UnknownTopicOrPartition)
	return ps[0].ErrorCode
}

func offsetCommit(p *peer, v int16) {
	g := fmt.Sprint("commits-", v)
	wantCode(p.t, "commit", p.commit(v, g, 40+int64(v)), nil)
	if got := p.committed(9, g); got != 40+int64(v) {
		p.t.Errorf("committed offset is %d", got)
	}
}

// committed returns the committed offset of partition 0 of topic t.
func (p *peer) committed(version int16, group string) int64 {
	p.t.Helper()
	p.coordinator(5, group)
	req := as(kmsg.NewPtrOffsetFetchRequest(), version)
	rt := kmsg.NewOffsetFetchRequestTopic()
	rt.Topic, rt.Partitions = "t", []int32{0}
	req.Group, req.Topics = group, []kmsg.OffsetFetchRequestTopic{rt}
	rg := kmsg.NewOffsetFetchRequestGroup()
	gt := kmsg.NewOffsetFetchRequestGroupTopic()
	gt.Topic, gt.TopicID, gt.Partitions = "t", p.topicID("t"), []int32{0}
	rg.Group, rg.Topics = group, []kmsg.OffsetFetchRequestGroupTopic{gt}
	req.Groups = append(req.Groups, rg)
	resp := p.ask(req).(*kmsg.OffsetFetchResponse)
	if version < 8 {
		wantCode(p.t, "offset fetch", resp.ErrorCode, nil)
		wantCode(p.t, "offset fetch", resp.Topics[0].Partitions[0].ErrorCode, nil)
		return resp.Topics[0].Partitions[0].Offset
	}
	wantCode(p.t, "offset fetch", resp.Groups[0].ErrorCode, nil)
	return resp.Groups[0].Topics[0].Partitions[0].Offset
}

func offsetFetch(p *peer, v int16) {
	g := fmt.Sprint("fetches-", v)
	if got := p.committed(v, g); got != -1 {
		p.t.Errorf("offset of a new group is %d", got)
	}
	wantCode(p.t, "commit", p.commit(9, g, 17), nil)
	if got := p.committed(v, g); got != 17 {
		p.t.Errorf("committed offset is %d, want 17", got)
	}
	if v >= 10 {
		offsetFetchByID(p, v, g)
	}
	if v < 2 || v > 7 {
		return
	}
	req := as(kmsg.NewPtrOffsetFetchRequest(), v) // all topics
	req.Group = g
	resp := p.ask(req).(*kmsg.OffsetFetchResponse)
	if len(resp.Topics) != 1 || *resp.Topics[0].Partitions[0].Metadata != "note" {
		p.t.Errorf("all offsets are %+v", resp.Topics)
	}
}

// offsetFetchByID fetches all offsets of a group, and those of a topic that
// does not exist.
func offsetFetchByID(p *peer, v int16, group string) {
	req := as(kmsg.NewPtrOffsetFetchRequest(), v)
	all := kmsg.NewOffsetFetchRequestGroup()
	all.Group, all.Topics = group, nil
	none := kmsg.NewOffsetFetchRequestGroup()
	gt := kmsg.NewOffsetFetchRequestGroupTopic()
	gt.TopicID, gt.Partitions = [16]byte{1}, []int32{0}
	none.Group, none.Topics = group, []kmsg.OffsetFetchRequestGroupTopic{gt}
	req.Groups = append(req.Groups, all, none)
	gs := p.ask(req).(*kmsg.OffsetFetchResponse).Groups
	if len(gs[0].Topics) != 1 || gs[0].Topics[0].TopicID != p.topicID("t") || gs[0].Topics[0].Partitions[0].Offset != 17 {
		p.t.Errorf("all offsets are %+v", gs[0].Topics)
	}
	wantCode(p.t, "unknown topic id", gs[1].Topics[0].Partitions[0].ErrorCode, kerr.UnknownTopicID)
}

// config returns the value of a topic's config.
func (p *peer) config(topic, name string) string {
	p.t.Helper()
	req := as(kmsg.NewPtrDescribeConfigsRequest(), 4)
	rr := kmsg.NewDescribeConfigsRequestResource()
	rr.ResourceType, rr.ResourceName, rr.ConfigNames = kmsg.ConfigResourceTypeTopic, topic, []string{name}
	req.Resources = append(req.Resources, rr)
	got := p.ask(req).(*kmsg.DescribeConfigsResponse).Resources[0]
	wantCode(p.t, "describe "+topic, got.ErrorCode, nil)
	if len(got.Configs) != 1 {
		p.t.Fatalf("configs of %s named %s: %+v", topic, name, got.Configs)
	}
	return *got.Configs[0].Value
}

func describeConfigs(p *peer, v int16) {
	req := as(kmsg.NewPtrDescribeConfigsRequest(), v)
	req.IncludeSynonyms, req.IncludeDocumentation = true, true
	for _, r := range []struct {
		kind kmsg.ConfigResourceType
		name string
	}{{kmsg.ConfigResourceTypeTopic, "t"}, {kmsg.ConfigResourceTypeBroker, "1"}, {kmsg.ConfigResourceTypeBroker, "2"}, {kmsg.ConfigResourceTypeTopic, "none"}, {kmsg.ConfigResourceTypeBrokerLogger, "1"}} {
		rr := kmsg.NewDescribeConfigsRequestResource()
		rr.ResourceType, rr.ResourceName = r.kind, r.name
		req.Resources = append(req.Resources, rr)
	}
	rs := p.ask(req).(*kmsg.DescribeConfigsResponse).Resources
	for i, want := range []*kerr.Error{nil, nil, kerr.InvalidRequest, kerr.UnknownTopicOrPartition, kerr.InvalidRequest} {
		wantCode(p.t, fmt.Sprint("resource ", i), rs[i].ErrorCode, want)
	}
	if len(rs[0].Configs) < 20 || len(rs[1].Configs) < 40 {
		p.t.Errorf("%d configs of a topic, %d of a broker", len(rs[0].Configs), len(rs[1].Configs))
	}
	for _, c := range rs[1].Configs {
		if c.Name == "group.initial.rebalance.delay.ms" && (*c.Value != "0" || !c.ReadOnly || v >= 1 && c.Source != kmsg.ConfigSourceStaticBrokerConfig) {
			p.t.Errorf("%s is %+v", c.Name, c)
		}
	}
}
