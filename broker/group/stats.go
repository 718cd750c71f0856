package group

import (
	"cmp"
	"slices"
)

// Stats is a group at one moment.
type Stats struct {
	Listing
	Members int
	Offsets []CommittedOffset // all, by topic and partition
}

// Stats returns the groups of the partitions that are led and loaded, by name.
func (c *Coordinator) Stats() []Stats {
	var out []Stats
	for _, p := range c.parts {
		p.mu.Lock()
		for _, e := range p.groups {
			g := e.group
			s := Stats{Listing: g.listing(), Members: len(g.members), Offsets: g.Fetch(nil)}
			if g.consumer != nil {
				s.Members = g.consumer.Size()
			}
			out = append(out, s)
		}
		p.mu.Unlock()
	}
	slices.SortFunc(out, func(a, b Stats) int { return cmp.Compare(a.Group, b.Group) })
	return out
}
