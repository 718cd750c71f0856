package registry

import "sync/atomic"

// Stats are counts of a registry.
type Stats struct {
	Subjects int            // with a version that is not deleted
	Schemas  int            // versions that are not deleted
	ByType   map[string]int // of them, by schema language
	Deleted  int            // versions softly deleted
	Rejected int            // records of the topic left out since they contradict others

	Registrations int64 // versions added by requests since the start
	Checks        int64 // compatibility checks
	Refusals      int64 // of them with the verdict incompatible

	Primary bool // this registry is the one that writes
}

// counters are those of Stats that count requests.
type counters struct{ registrations, checks, refusals atomic.Int64 }

// Stats returns the counts as they are now.
func (r *Registry) Stats() Stats {
	r.mu.RLock()
	defer r.mu.RUnlock()
	s := Stats{
		Rejected: r.state.rejected, ByType: map[string]int{}, Primary: r.Primary(),
		Registrations: r.counters.registrations.Load(), Checks: r.counters.checks.Load(), Refusals: r.counters.refusals.Load(),
	}
	for _, sub := range r.state.subjects {
		live := 0
		for _, e := range sub.versions {
			if !e.Deleted {
				live++
				s.ByType[e.Type]++
			}
		}
		s.Schemas += live
		s.Deleted += len(sub.versions) - live
		if live > 0 {
			s.Subjects++
		}
	}
	return s
}
