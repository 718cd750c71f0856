package api

import (
	"context"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/broker/metadata"
	"github.com/millrace/millrace/broker/wire"
)

// maxDescribedPartitions is how many partitions one response may have, as in
// Kafka (max.request.partition.size.limit).
const maxDescribedPartitions = 2000

// describeTopicPartitions answers API 75, version 0 (KIP-966): topics by name,
// or all of them, in the order of their names and page by page: the cursor of
// one response is where the next begins. No replicas are eligible as leaders
// beside those in sync.
func (a *API) describeTopicPartitions(_ context.Context, c *wire.Conn, req *kmsg.DescribeTopicPartitionsRequest) (kmsg.Response, error) {
	resp := req.ResponseKind().(*kmsg.DescribeTopicPartitionsResponse)
	image := a.cfg.Controller.Image()
	names := describedNames(image, req)
	left := max(min(int(req.ResponsePartitionLimit), maxDescribedPartitions), 1)
	for i, name := range names {
		from := 0
		if i == 0 && req.Cursor != nil && req.Cursor.Topic == name {
			from = int(max(req.Cursor.Partition, 0))
		}
		rt, next := a.describePartitions(image, name, c.Listener, from, left)
		left -= len(rt.Partitions)
		resp.Topics = append(resp.Topics, rt)
		if next == 0 && left == 0 && i+1 < len(names) {
			name = names[i+1]
		} else if next == 0 {
			continue
		}
		cursor := kmsg.NewDescribeTopicPartitionsResponseNextCursor()
		cursor.Topic, cursor.Partition = name, int32(next)
		resp.NextCursor = &cursor
		break
	}
	return resp, nil
}

// describedNames returns the topics of a request from its cursor on.
func describedNames(image *metadata.Image, req *kmsg.DescribeTopicPartitionsRequest) []string {
	var names []string
	for i := range req.Topics {
		names = append(names, req.Topics[i].Topic)
	}
	if len(req.Topics) == 0 {
		for t := range image.Topics() {
			names = append(names, t.Name)
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	if req.Cursor != nil {
		i, _ := slices.BinarySearchFunc(names, req.Cursor.Topic, strings.Compare)
		names = names[i:]
	}
	return names
}

// describePartitions describes up to n partitions of a topic. next is the
// first that is left out, 0 for none.
func (a *API) describePartitions(image *metadata.Image, name, listener string, from, n int) (out kmsg.DescribeTopicPartitionsResponseTopic, next int) {
	out = kmsg.NewDescribeTopicPartitionsResponseTopic()
	out.Topic = &name
	t := image.Topic(name)
	if t == nil {
		err := metadata.CheckTopicName(name)
		if err == nil {
			err = kerr.UnknownTopicOrPartition
		}
		out.ErrorCode = a.code(75, err)
		return out, 0
	}
	out.TopicID, out.IsInternal = t.ID, internal(name)
	for i := from; i < len(t.Partitions); i++ {
		if len(out.Partitions) == n {
			return out, i
		}
		p := &t.Partitions[i]
		rp := kmsg.NewDescribeTopicPartitionsResponseTopicPartition()
		rp.Partition, rp.LeaderID, rp.LeaderEpoch = int32(i), p.Leader, p.LeaderEpoch
		rp.Replicas, rp.ISR = p.Replicas, p.ISR
		rp.EligibleLeaderReplicas, rp.LastKnownELR = []int32{}, []int32{}
		rp.ErrorCode = leaderError(image, p.Leader, listener, 12) // as the newest Metadata says it
		out.Partitions = append(out.Partitions, rp)
	}
	return out, 0
}
