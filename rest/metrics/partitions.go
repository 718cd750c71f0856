package metrics

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/broker"
)

var (
	logSize      = desc("log_size_bytes", "Bytes of a partition's batches.", "topic", "partition")
	logStart     = desc("log_start_offset", "First offset of a partition.", "topic", "partition")
	logEnd       = desc("log_end_offset", "Offset of the next record of a partition.", "topic", "partition")
	logWatermark = desc("log_high_watermark", "Offset below which a partition is committed.", "topic", "partition")

	groupState     = desc("group_state", "1 for the state that a group is in.", "group", "type", "state")
	groupMembers   = desc("group_members", "Members of a group.", "group")
	groupCommitted = desc("group_committed_offset", "Offset that a group has committed.", "group", "topic", "partition")
	groupLag       = desc("group_lag_records", "Records between a group's committed offset and the high watermark.", "group", "topic", "partition")
)

func collectPartitions(ch chan<- prometheus.Metric, s *broker.Stats) {
	for i := range s.Logs.Logs {
		l := &s.Logs.Logs[i]
		id := strconv.Itoa(int(l.Partition))
		gauge(ch, logSize, float64(l.Bytes), l.Topic, id)
		gauge(ch, logStart, float64(l.Start), l.Topic, id)
		gauge(ch, logEnd, float64(l.End), l.Topic, id)
		gauge(ch, logWatermark, float64(l.HighWatermark), l.Topic, id)
	}
	for i := range s.Groups {
		g := &s.Groups[i]
		gauge(ch, groupState, 1, g.Group, g.Type, g.State)
		gauge(ch, groupMembers, float64(g.Members), g.Group)
		for _, o := range g.Offsets {
			id := strconv.Itoa(int(o.Partition))
			gauge(ch, groupCommitted, float64(o.Committed), g.Group, o.Topic, id)
			gauge(ch, groupLag, float64(o.Lag), g.Group, o.Topic, id)
		}
	}
}
