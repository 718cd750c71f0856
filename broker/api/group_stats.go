package api

import (
	"github.com/millrace/millrace/broker/group"
)

// GroupStats is a group at one moment.
type GroupStats struct {
	group.Stats
	Offsets []GroupOffset
}

// GroupOffset is where a group stands in one partition that this broker leads.
type GroupOffset struct {
	group.TopicPartition
	Committed int64
	Lag       int64 // records from there to the high watermark, at least 0
}

// GroupStats returns the groups that are coordinated here, by name.
func (a *API) GroupStats() []GroupStats {
	var out []GroupStats
	for _, g := range a.groups.Stats() {
		s := GroupStats{Stats: g}
		for _, o := range g.Offsets {
			p, err := a.partition(o.Topic, o.Partition)
			if err != nil {
				continue // deleted or offline: there is no lag to tell
			}
			s.Offsets = append(s.Offsets, GroupOffset{o.TopicPartition, o.Offset, max(p.HighWatermark()-o.Offset, 0)})
		}
		out = append(out, s)
	}
	return out
}
