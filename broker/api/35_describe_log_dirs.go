package api

import (
	"context"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/broker/metadata"
	"github.com/millrace/millrace/broker/wire"
)

// describeLogDirs answers API 35, versions 0 to 4: the sizes of logs. No topics
// (null) means all. v2 is flexible; v4 adds the size of the disk (KIP-827).
func (a *API) describeLogDirs(_ context.Context, _ *wire.Conn, req *kmsg.DescribeLogDirsRequest) (kmsg.Response, error) {
	resp := req.ResponseKind().(*kmsg.DescribeLogDirsResponse)
	dir := kmsg.NewDescribeLogDirsResponseDir()
	dir.Dir = a.cfg.LogDir
	dir.TotalBytes, dir.UsableBytes = diskSize(a.cfg.LogDir)
	image := a.cfg.Controller.Image()
	if req.Topics == nil {
		for t := range image.Topics() {
			dir.Topics = append(dir.Topics, a.logSizes(t, nil))
		}
	}
	for i := range req.Topics {
		if t := image.Topic(req.Topics[i].Topic); t != nil && len(req.Topics[i].Partitions) > 0 {
			dir.Topics = append(dir.Topics, a.logSizes(t, req.Topics[i].Partitions))
		}
	}
	resp.Dirs = append(resp.Dirs, dir)
	return resp, nil
}

// logSizes describes the partitions of a topic that are here; ids nil means
// all.
func (a *API) logSizes(t *metadata.Topic, ids []int32) kmsg.DescribeLogDirsResponseDirTopic {
	rt := kmsg.NewDescribeLogDirsResponseDirTopic()
	rt.Topic = t.Name
	for id := range int32(len(t.Partitions)) {
		if ids != nil && !slices.Contains(ids, id) {
			continue
		}
		p := a.cfg.Replicas.Partition(t.ID, id)
		if p == nil {
			continue
		}
		rp := kmsg.NewDescribeLogDirsResponseDirTopicPartition()
		rp.Partition, rp.Size = id, p.Size()
		rt.Partitions = append(rt.Partitions, rp)
	}
	return rt
}
