package api_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/broker/brokertest"
)

// advertised asks for the table in a version.
func advertised(p *peer, version int16) []kmsg.ApiVersionsResponseApiKey {
	p.t.Helper()
	req := as(kmsg.NewPtrApiVersionsRequest(), version)
	req.ClientSoftwareName, req.ClientSoftwareVersion = "test", "1.0"
	resp := p.ask(req).(*kmsg.ApiVersionsResponse)
	wantCode(p.t, "ApiVersions", resp.ErrorCode, nil)
	return resp.ApiKeys
}

// Every version of every key that is advertised answers a request that works,
// in exactly its layout.
func TestEveryAdvertisedVersion(t *testing.T) {
	c := brokertest.Start(t)
	c.CreateTopic(t, "t", 2)
	p := dial(t, c)
	served := map[int16]bool{}
	for _, k := range advertised(p, 4) {
		served[k.ApiKey] = true
		work := works[k.ApiKey]
		if work == nil {
			t.Errorf("%s is advertised but not tried here", kmsg.NameForKey(k.ApiKey))
			continue
		}
		for v := k.MinVersion; v <= k.MaxVersion; v++ {
			t.Run(fmt.Sprintf("%s-%d", kmsg.NameForKey(k.ApiKey), v), func(t *testing.T) {
				work(&peer{t: t, conn: dial(t, c).conn}, v)
			})
		}
	}
	for key := range works {
		if !served[key] {
			t.Errorf("%s is tried but not advertised", kmsg.NameForKey(key))
		}
	}
}

// works are requests that succeed, by key. They run in the order of keys, and
// leave topic t behind.
var works = map[int16]func(p *peer, v int16){
	0: func(p *peer, v int16) {
		req := produceTo(v, "t", -1, records(p.t, -1, 0, "a", "b"))
		req.Topics[0].TopicID = p.topicID("t")
		if v < 3 {
			wantCode(p.t, "old produce", p.produced(req).ErrorCode, kerr.UnsupportedVersion)
			return
		}
		got := p.produced(req)
		wantCode(p.t, "produce", got.ErrorCode, nil)
		if got.BaseOffset < 0 || got.LogAppendTime != -1 {
			p.t.Errorf("produced at %d, log append time %d", got.BaseOffset, got.LogAppendTime)
		}
	},
	1: func(p *peer, v int16) {
		id := p.topicID("t")
		got := p.fetched(fetchFrom(v, "t", id, 0))
		wantCode(p.t, "fetch", got.ErrorCode, nil)
		if vs := values(p.t, got.RecordBatches); len(vs) == 0 || vs[0] != "a" || got.HighWatermark < int64(len(vs)) {
			p.t.Errorf("fetched %v, high watermark %d", vs, got.HighWatermark)
		}
		if v >= 4 && got.LastStableOffset != got.HighWatermark {
			p.t.Errorf("last stable offset %d, high watermark %d", got.LastStableOffset, got.HighWatermark)
		}
	},
	2: func(p *peer, v int16) {
		for ts, want := range map[int64]int64{-1: p.end("t"), -2: 0} {
			got := p.offset(v, ts)
			wantCode(p.t, "list offsets", got.ErrorCode, nil)
			if got.Offset != want {
				p.t.Errorf("offset for %d is %d, want %d", ts, got.Offset, want)
			}
		}
	},
	3: func(p *peer, v int16) {
		req := as(kmsg.NewPtrMetadataRequest(), v)
		rt := kmsg.NewMetadataRequestTopic()
		rt.Topic = kmsg.StringPtr("t")
		req.Topics = append(req.Topics, rt)
		resp := p.ask(req).(*kmsg.MetadataResponse)
		if len(resp.Brokers) != 1 || len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 2 {
			p.t.Fatalf("metadata is %+v", resp)
		}
		wantCode(p.t, "metadata", resp.Topics[0].ErrorCode, nil)
		if v >= 2 && len(*resp.ClusterID) != 22 {
			p.t.Errorf("cluster id is %q", *resp.ClusterID)
		}
	},
	8:  offsetCommit,
	9:  offsetFetch,
	10: findCoordinator,
	11: func(p *peer, v int16) { p.join(v, fmt.Sprint("join-", v)) },
	12: func(p *peer, v int16) {
		g := fmt.Sprint("heartbeat-", v)
		member, generation := p.join(9, g)
		p.sync(5, g, member, generation)
		req := as(kmsg.NewPtrHeartbeatRequest(), v)
		req.Group, req.MemberID, req.Generation = g, member, generation
		wantCode(p.t, "heartbeat", p.ask(req).(*kmsg.HeartbeatResponse).ErrorCode, nil)
	},
	13: func(p *peer, v int16) {
		g := fmt.Sprint("leave-", v)
		member, _ := p.join(9, g)
		req := as(kmsg.NewPtrLeaveGroupRequest(), v)
		rm := kmsg.NewLeaveGroupRequestMember()
		rm.MemberID = member
		req.Group, req.MemberID, req.Members = g, member, []kmsg.LeaveGroupRequestMember{rm}
		resp := p.ask(req).(*kmsg.LeaveGroupResponse)
		wantCode(p.t, "leave", resp.ErrorCode, nil)
		if v >= 3 {
			wantCode(p.t, "leave", resp.Members[0].ErrorCode, nil)
		}
	},
	14: func(p *peer, v int16) {
		g := fmt.Sprint("sync-", v)
		member, generation := p.join(9, g)
		p.sync(v, g, member, generation)
	},
	15: func(p *peer, v int16) {
		g := fmt.Sprint("describe-", v)
		member, generation := p.join(9, g)
		p.sync(5, g, member, generation)
		req := as(kmsg.NewPtrDescribeGroupsRequest(), v)
		req.Groups = []string{g, "no-such-group"}
		resp := p.ask(req).(*kmsg.DescribeGroupsResponse)
		one, none := resp.Groups[0], resp.Groups[1]
		if one.State != "Stable" || len(one.Members) != 1 || one.Members[0].MemberID != member || string(one.Members[0].MemberAssignment) != "assigned" {
			p.t.Errorf("group is %+v", one)
		}
		want := kerr.GroupIDNotFound
		if v < 6 {
			want = nil
		}
		wantCode(p.t, "unknown group", none.ErrorCode, want)
		if none.State != "Dead" {
			p.t.Errorf("unknown group is %s", none.State)
		}
	},
	16: func(p *peer, v int16) {
		g := fmt.Sprint("listed-", v)
		p.join(9, g)
		resp := p.ask(as(kmsg.NewPtrListGroupsRequest(), v)).(*kmsg.ListGroupsResponse)
		wantCode(p.t, "list groups", resp.ErrorCode, nil)
		if !slices.ContainsFunc(resp.Groups, func(l kmsg.ListGroupsResponseGroup) bool { return l.Group == g && l.ProtocolType == "consumer" }) {
			p.t.Errorf("groups are %+v", resp.Groups)
		}
		if v < 4 {
			return
		}
		req := as(kmsg.NewPtrListGroupsRequest(), v)
		req.StatesFilter = []string{"dead"}
		if resp := p.ask(req).(*kmsg.ListGroupsResponse); len(resp.Groups) != 0 {
			p.t.Errorf("dead groups are %+v", resp.Groups)
		}
	},
	18: func(p *peer, v int16) { advertised(p, v) },
	19: func(p *peer, v int16) {
		req := as(kmsg.NewPtrCreateTopicsRequest(), v)
		rt := kmsg.NewCreateTopicsRequestTopic()
		rt.Topic, rt.NumPartitions, rt.ReplicationFactor = fmt.Sprint("created-", v), 3, 1
		rc := kmsg.NewCreateTopicsRequestTopicConfig()
		rc.Name, rc.Value = "retention.ms", kmsg.StringPtr("1000")
		rt.Configs = append(rt.Configs, rc)
		req.Topics = append(req.Topics, rt)
		got := p.ask(req).(*kmsg.CreateTopicsResponse).Topics[0]
		wantCode(p.t, "create topic", got.ErrorCode, nil)
		if v >= 5 && (got.NumPartitions != 3 || got.ReplicationFactor != 1 || len(got.Configs) == 0) {
			p.t.Errorf("created %+v", got)
		}
		if v >= 7 && got.TopicID != p.topicID(rt.Topic) {
			p.t.Errorf("topic id is %x", got.TopicID)
		}
	},
	20: func(p *peer, v int16) {
		name := fmt.Sprint("created-", v)
		req := as(kmsg.NewPtrDeleteTopicsRequest(), v)
		req.TopicNames = []string{name}
		rt := kmsg.NewDeleteTopicsRequestTopic()
		rt.TopicID = p.topicID(name)
		req.Topics = append(req.Topics, rt)
		got := p.ask(req).(*kmsg.DeleteTopicsResponse).Topics[0]
		wantCode(p.t, "delete topic", got.ErrorCode, nil)
		if *got.Topic != name {
			p.t.Errorf("deleted %s", *got.Topic)
		}
	},
	21: func(p *peer, v int16) {
		req := as(kmsg.NewPtrDeleteRecordsRequest(), v)
		rp := kmsg.NewDeleteRecordsRequestTopicPartition()
		rp.Partition, rp.Offset = 1, -1
		rt := kmsg.NewDeleteRecordsRequestTopic()
		rt.Topic, rt.Partitions = "t", []kmsg.DeleteRecordsRequestTopicPartition{rp}
		req.Topics = append(req.Topics, rt)
		got := p.ask(req).(*kmsg.DeleteRecordsResponse).Topics[0].Partitions[0]
		wantCode(p.t, "delete records", got.ErrorCode, nil)
		if got.LowWatermark != 0 {
			p.t.Errorf("low watermark of an empty partition is %d", got.LowWatermark)
		}
	},
	22: func(p *peer, v int16) {
		req := as(kmsg.NewPtrInitProducerIDRequest(), v)
		first, second := p.ask(req).(*kmsg.InitProducerIDResponse), p.ask(req).(*kmsg.InitProducerIDResponse)
		wantCode(p.t, "init producer id", second.ErrorCode, nil)
		if second.ProducerID <= first.ProducerID || second.ProducerEpoch != 0 {
			p.t.Errorf("producer ids %d, then %d with epoch %d", first.ProducerID, second.ProducerID, second.ProducerEpoch)
		}
		one := p.beginProducer(v, fmt.Sprint("init-", v))
		if two := p.initProducer(v, one.id); two.ProducerID != one.pid || two.ProducerEpoch != one.epoch+1 {
			p.t.Errorf("producer %+v, then %+v", one, two)
		}
	},
	23: func(p *peer, v int16) {
		req := as(kmsg.NewPtrOffsetForLeaderEpochRequest(), v)
		rp := kmsg.NewOffsetForLeaderEpochRequestTopicPartition()
		rt := kmsg.NewOffsetForLeaderEpochRequestTopic()
		rt.Topic, rt.Partitions = "t", []kmsg.OffsetForLeaderEpochRequestTopicPartition{rp}
		req.Topics = append(req.Topics, rt)
		got := p.ask(req).(*kmsg.OffsetForLeaderEpochResponse).Topics[0].Partitions[0]
		wantCode(p.t, "offset for leader epoch", got.ErrorCode, nil)
		if got.LeaderEpoch != 0 || got.EndOffset != p.end("t") {
			p.t.Errorf("epoch 0 is %d and ends at %d", got.LeaderEpoch, got.EndOffset)
		}
	},
	24: addPartitionsToTxn,
	25: addOffsetsToTxn,
	26: endTxn,
	27: writeTxnMarkers,
	28: txnOffsetCommit,
	32: describeConfigs,
	33: func(p *peer, v int16) {
		req := as(kmsg.NewPtrAlterConfigsRequest(), v)
		rc := kmsg.NewAlterConfigsRequestResourceConfig()
		rc.Name, rc.Value = "retention.ms", kmsg.StringPtr("123456")
		rr := kmsg.NewAlterConfigsRequestResource()
		rr.ResourceType, rr.ResourceName, rr.Configs = kmsg.ConfigResourceTypeTopic, "t", []kmsg.AlterConfigsRequestResourceConfig{rc}
		req.Resources = append(req.Resources, rr)
		wantCode(p.t, "alter configs", p.ask(req).(*kmsg.AlterConfigsResponse).Resources[0].ErrorCode, nil)
		if got := p.config("t", "retention.ms"); got != "123456" {
			p.t.Errorf("retention.ms is %s", got)
		}
	},
	35: func(p *peer, v int16) {
		resp := p.ask(as(kmsg.NewPtrDescribeLogDirsRequest(), v)).(*kmsg.DescribeLogDirsResponse)
		i := slices.IndexFunc(resp.Dirs[0].Topics, func(t kmsg.DescribeLogDirsResponseDirTopic) bool { return t.Topic == "t" })
		if i < 0 || len(resp.Dirs[0].Topics[i].Partitions) != 2 || resp.Dirs[0].Topics[i].Partitions[0].Size == 0 {
			p.t.Errorf("log dirs are %+v", resp.Dirs)
		}
		if v >= 4 && resp.Dirs[0].TotalBytes <= 0 {
			p.t.Errorf("disk has %d bytes", resp.Dirs[0].TotalBytes)
		}
	},
	37: func(p *peer, v int16) {
		name := fmt.Sprint("grown-", v)
		p.create(name, 1)
		req := as(kmsg.NewPtrCreatePartitionsRequest(), v)
		rt := kmsg.NewCreatePartitionsRequestTopic()
		rt.Topic, rt.Count = name, 4
		req.Topics = append(req.Topics, rt)
		wantCode(p.t, "create partitions", p.ask(req).(*kmsg.CreatePartitionsResponse).Topics[0].ErrorCode, nil)
		last := produceTo(9, name, -1, records(p.t, -1, 0, "x"))
		last.Topics[0].Partitions[0].Partition = 3
		wantCode(p.t, "produce to the new partition", p.produced(last).ErrorCode, nil)
		wantCode(p.t, "shrink", p.ask(req).(*kmsg.CreatePartitionsResponse).Topics[0].ErrorCode, kerr.InvalidPartitions)
	},
	42: func(p *peer, v int16) {
		g := fmt.Sprint("deleted-", v)
		wantCode(p.t, "commit", p.commit(9, g, 4), nil)
		req := as(kmsg.NewPtrDeleteGroupsRequest(), v)
		req.Groups = []string{g, "no-such-group"}
		resp := p.ask(req).(*kmsg.DeleteGroupsResponse)
		wantCode(p.t, "delete group", resp.Groups[0].ErrorCode, nil)
		wantCode(p.t, "delete unknown group", resp.Groups[1].ErrorCode, kerr.GroupIDNotFound)
	},
	44: func(p *peer, v int16) {
		req := as(kmsg.NewPtrIncrementalAlterConfigsRequest(), v)
		rr := kmsg.NewIncrementalAlterConfigsRequestResource()
		rr.ResourceType, rr.ResourceName = kmsg.ConfigResourceTypeTopic, "t"
		add := func(name string, op kmsg.IncrementalAlterConfigOp, value string) {
			rc := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
			rc.Name, rc.Op, rc.Value = name, op, &value
			rr.Configs = append(rr.Configs, rc)
		}
		add("segment.bytes", kmsg.IncrementalAlterConfigOpSet, "2000000")
		add("retention.ms", kmsg.IncrementalAlterConfigOpDelete, "")
		add("cleanup.policy", kmsg.IncrementalAlterConfigOpAppend, "compact")
		req.Resources = append(req.Resources, rr)
		wantCode(p.t, "alter", p.ask(req).(*kmsg.IncrementalAlterConfigsResponse).Resources[0].ErrorCode, nil)
		for name, want := range map[string]string{"segment.bytes": "2000000", "retention.ms": "604800000", "cleanup.policy": "delete,compact"} {
			if got := p.config("t", name); got != want {
				p.t.Errorf("%s is %s, want %s", name, got, want)
			}
		}
		rr.Configs = nil
		add("cleanup.policy", kmsg.IncrementalAlterConfigOpSubtract, "compact")
		req.Resources[0] = rr
		p.ask(req)
		if got := p.config("t", "cleanup.policy"); got != "delete" {
			p.t.Errorf("cleanup.policy is %s after the subtraction", got)
		}
	},
	47: func(p *peer, v int16) {
		wantCode(p.t, "commit", p.commit(9, "forgets", 4), nil)
		req := as(kmsg.NewPtrOffsetDeleteRequest(), v)
		req.Group = "forgets"
		rp := kmsg.NewOffsetDeleteRequestTopicPartition()
		rt := kmsg.NewOffsetDeleteRequestTopic()
		rt.Topic, rt.Partitions = "t", []kmsg.OffsetDeleteRequestTopicPartition{rp}
		req.Topics = append(req.Topics, rt)
		resp := p.ask(req).(*kmsg.OffsetDeleteResponse)
		wantCode(p.t, "offset delete", resp.ErrorCode, nil)
		if got := p.committed(9, "forgets"); got != -1 {
			p.t.Errorf("offset is %d after its deletion", got)
		}
	},
	48: func(p *peer, v int16) {
		wantCode(p.t, "alter", p.quota(1, "producer_byte_rate", 1e9, "client-id", "described"), nil)
		req := as(kmsg.NewPtrDescribeClientQuotasRequest(), v)
		rc := kmsg.NewDescribeClientQuotasRequestComponent()
		rc.EntityType, rc.Match = "client-id", kmsg.StringPtr("described")
		req.Components = append(req.Components, rc)
		resp := p.ask(req).(*kmsg.DescribeClientQuotasResponse)
		wantCode(p.t, "describe quotas", resp.ErrorCode, nil)
		if len(resp.Entries) != 1 || len(resp.Entries[0].Values) != 1 || resp.Entries[0].Values[0].Value != 1e9 || *resp.Entries[0].Entity[0].Name != "described" {
			p.t.Errorf("quotas are %+v", resp.Entries)
		}
	},
	49: func(p *peer, v int16) {
		wantCode(p.t, "set", p.quota(v, "consumer_byte_rate", 1e9, "user", "someone"), nil)
		wantCode(p.t, "remove", p.quota(v, "consumer_byte_rate", 0, "user", "someone"), nil)
		wantCode(p.t, "unknown quota", p.quota(v, "speed", 1, "user", "someone"), kerr.InvalidRequest)
	},
	61: describeProducers,
	65: describeTransactions,
	66: listTransactions,
	60: func(p *peer, v int16) {
		resp := p.ask(as(kmsg.NewPtrDescribeClusterRequest(), v)).(*kmsg.DescribeClusterResponse)
		wantCode(p.t, "describe cluster", resp.ErrorCode, nil)
		if len(resp.Brokers) != 1 || resp.Brokers[0].Host != "127.0.0.1" || resp.ControllerID != 1 {
			p.t.Errorf("cluster is %+v", resp)
		}
	},
	43: func(p *peer, v int16) {
		req := as(kmsg.NewPtrElectLeadersRequest(), v)
		rt := kmsg.NewElectLeadersRequestTopic()
		rt.Topic, rt.Partitions = "t", []int32{0, 99}
		req.Topics = append(req.Topics, rt)
		resp := p.ask(req).(*kmsg.ElectLeadersResponse)
		wantCode(p.t, "elect leaders", resp.ErrorCode, nil)
		wantCode(p.t, "elect a leader", resp.Topics[0].Partitions[0].ErrorCode, kerr.ElectionNotNeeded)
		wantCode(p.t, "elect a leader of nothing", resp.Topics[0].Partitions[1].ErrorCode, kerr.UnknownTopicOrPartition)
		all := as(kmsg.NewPtrElectLeadersRequest(), v)
		if resp := p.ask(all).(*kmsg.ElectLeadersResponse); resp.ErrorCode != 0 || len(resp.Topics) != 0 {
			p.t.Errorf("elect all: %+v", resp)
		}
	},
	45: func(p *peer, v int16) {
		req := as(kmsg.NewPtrAlterPartitionAssignmentsRequest(), v)
		rt := kmsg.NewAlterPartitionAssignmentsRequestTopic()
		rt.Topic = "t"
		for i, replicas := range [][]int32{{1}, {2}, nil, {1}} {
			rp := kmsg.NewAlterPartitionAssignmentsRequestTopicPartition()
			if rp.Replicas = replicas; i == 3 {
				rp.Partition = 99
			}
			rt.Partitions = append(rt.Partitions, rp)
		}
		req.Topics = append(req.Topics, rt)
		resp := p.ask(req).(*kmsg.AlterPartitionAssignmentsResponse)
		for i, want := range []*kerr.Error{nil, kerr.InvalidReplicaAssignment, kerr.NoReassignmentInProgress, kerr.UnknownTopicOrPartition} {
			wantCode(p.t, fmt.Sprint("reassignment ", i), resp.Topics[0].Partitions[i].ErrorCode, want)
		}
	},
	46: func(p *peer, v int16) {
		resp := p.ask(as(kmsg.NewPtrListPartitionReassignmentsRequest(), v)).(*kmsg.ListPartitionReassignmentsResponse)
		if resp.ErrorCode != 0 || len(resp.Topics) != 0 {
			p.t.Errorf("reassignments are %+v", resp)
		}
	},
	55: func(p *peer, v int16) {
		req := as(kmsg.NewPtrDescribeQuorumRequest(), v)
		for _, name := range []string{"__cluster_metadata", "t"} {
			rt := kmsg.NewDescribeQuorumRequestTopic()
			rt.Topic, rt.Partitions = name, []kmsg.DescribeQuorumRequestTopicPartition{kmsg.NewDescribeQuorumRequestTopicPartition()}
			req.Topics = append(req.Topics, rt)
		}
		resp := p.ask(req).(*kmsg.DescribeQuorumResponse)
		wantCode(p.t, "describe quorum", resp.ErrorCode, nil)
		q := resp.Topics[0].Partitions[0]
		wantCode(p.t, "the quorum", q.ErrorCode, nil)
		if q.LeaderID != 1 || q.LeaderEpoch < 1 || q.HighWatermark < 2 || len(q.CurrentVoters) != 1 || q.CurrentVoters[0].LogEndOffset < q.HighWatermark {
			p.t.Errorf("quorum is %+v", q)
		}
		if v >= 2 && (q.CurrentVoters[0].ReplicaDirectoryID == [16]byte{} || len(resp.Nodes) != 1) {
			p.t.Errorf("voter is %+v, nodes are %+v", q.CurrentVoters[0], resp.Nodes)
		}
		wantCode(p.t, "another topic", resp.Topics[1].Partitions[0].ErrorCode, kerr.UnknownTopicOrPartition)
	},
	57: func(p *peer, v int16) {
		req := as(kmsg.NewPtrUpdateFeaturesRequest(), v)
		for _, f := range []struct {
			name  string
			level int16
		}{{"group.version", 1}, {"metadata.version", 1}} {
			u := kmsg.NewUpdateFeaturesRequestFeatureUpdate()
			u.Feature, u.MaxVersionLevel = f.name, f.level
			req.FeatureUpdates = append(req.FeatureUpdates, u)
		}
		resp := p.ask(req).(*kmsg.UpdateFeaturesResponse)
		wantCode(p.t, "update features", resp.ErrorCode, nil)
		wantCode(p.t, "to the level that there is", resp.Results[0].ErrorCode, nil)
		wantCode(p.t, "of an unknown feature", resp.Results[1].ErrorCode, kerr.FeatureUpdateFailed)
	},
	74: func(p *peer, v int16) {
		wantCode(p.t, "set", p.set(groupResource, "configured", "consumer.session.timeout.ms", "50000"), nil)
		resp := p.ask(as(kmsg.NewPtrListConfigResourcesRequest(), v)).(*kmsg.ListConfigResourcesResponse)
		wantCode(p.t, "list", resp.ErrorCode, nil)
		if v == 0 {
			if len(resp.ConfigResources) != 0 {
				p.t.Errorf("client metrics are %+v", resp.ConfigResources)
			}
			return
		}
		for kind, name := range map[int8]string{2: "t", 4: "1", 32: "configured"} {
			if !slices.ContainsFunc(resp.ConfigResources, func(r kmsg.ListConfigResourcesResponseConfigResource) bool { return r.Type == kind && r.Name == name }) {
				p.t.Errorf("%s of type %d is not in %+v", name, kind, resp.ConfigResources)
			}
		}
		req := as(kmsg.NewPtrListConfigResourcesRequest(), v)
		req.ResourceTypes = []int8{32}
		if resp := p.ask(req).(*kmsg.ListConfigResourcesResponse); len(resp.ConfigResources) != 1 {
			p.t.Errorf("groups with configs are %+v", resp.ConfigResources)
		}
	},
	75: func(p *peer, v int16) {
		for _, name := range []string{"paged-a", "paged-b", "paged-c"} {
			p.create(name, 3)
		}
		req := as(kmsg.NewPtrDescribeTopicPartitionsRequest(), v)
		for _, name := range []string{"paged-c", "paged-b", "paged-a", "none"} {
			rt := kmsg.NewDescribeTopicPartitionsRequestTopic()
			rt.Topic = name
			req.Topics = append(req.Topics, rt)
		}
		req.ResponsePartitionLimit = 4
		var got []string
		for pages := 1; ; pages++ {
			resp := p.ask(req).(*kmsg.DescribeTopicPartitionsResponse)
			for _, t := range resp.Topics {
				if t.ErrorCode == kerr.UnknownTopicOrPartition.Code {
					got = append(got, *t.Topic)
				}
				for _, p := range t.Partitions {
					got = append(got, fmt.Sprint(*t.Topic, p.Partition, p.LeaderID))
				}
			}
			if resp.NextCursor == nil {
				if want := "[none paged-a0 1 paged-a1 1 paged-a2 1 paged-b0 1 paged-b1 1 paged-b2 1 paged-c0 1 paged-c1 1 paged-c2 1]"; fmt.Sprint(got) != want || pages != 3 {
					p.t.Errorf("%d pages: %v, want %s", pages, got, want)
				}
				break
			}
			c := kmsg.NewDescribeTopicPartitionsRequestCursor()
			c.Topic, c.Partition = resp.NextCursor.Topic, resp.NextCursor.Partition
			req.Cursor = &c
		}
	},
	68: func(p *peer, v int16) {
		g := fmt.Sprint("consumer-", v)
		got := p.beat(v, g, "me", 0)
		wantCode(p.t, "join", got.ErrorCode, nil)
		if got.MemberEpoch != 1 || got.Assignment == nil || len(got.Assignment.Topics) != 1 || len(got.Assignment.Topics[0].Partitions) != 2 {
			p.t.Errorf("joined with %+v", got)
		}
		wantCode(p.t, "heartbeat", p.beat(v, g, "me", 1).ErrorCode, nil)
		wantCode(p.t, "heartbeat of another epoch", p.beat(v, g, "me", 7).ErrorCode, kerr.FencedMemberEpoch)
		if got := p.beat(v, g, "me", -1); got.ErrorCode != 0 || got.MemberEpoch != -1 {
			p.t.Errorf("left with %+v", got)
		}
	},
	69: func(p *peer, v int16) {
		g := fmt.Sprint("described-", v)
		p.beat(1, g, "me", 0)
		req := as(kmsg.NewPtrConsumerGroupDescribeRequest(), v)
		req.Groups = []string{g, "no-such-group"}
		resp := p.ask(req).(*kmsg.ConsumerGroupDescribeResponse)
		wantCode(p.t, "unknown group", resp.Groups[1].ErrorCode, kerr.GroupIDNotFound)
		one := resp.Groups[0]
		wantCode(p.t, "describe", one.ErrorCode, nil)
		if one.State != "Stable" || one.Epoch != 1 || one.AssignorName != "uniform" || len(one.Members) != 1 {
			p.t.Fatalf("group is %+v", one)
		}
		m := one.Members[0]
		if m.MemberID != "me" || m.ClientHost != "/127.0.0.1" || len(m.Assignment.TopicPartitions) != 1 || m.Assignment.TopicPartitions[0].Topic != "t" {
			p.t.Errorf("member is %+v", m)
		}
		if v >= 1 && m.MemberType != 1 {
			p.t.Errorf("member type is %d", m.MemberType)
		}
	},
}

// beat sends a heartbeat of the consumer protocol; epoch 0 subscribes to t.
func (p *peer) beat(v int16, group, member string, epoch int32) *kmsg.ConsumerGroupHeartbeatResponse {
	p.t.Helper()
	p.coordinator(4, group) // and its groups are loaded
	req := as(kmsg.NewPtrConsumerGroupHeartbeatRequest(), v)
	req.Group, req.MemberID, req.MemberEpoch = group, member, epoch
	if epoch == 0 {
		req.RebalanceTimeoutMillis, req.SubscribedTopicNames = 1000, []string{"t"}
		req.Topics = []kmsg.ConsumerGroupHeartbeatRequestTopic{}
	}
	return p.ask(req).(*kmsg.ConsumerGroupHeartbeatResponse)
}
