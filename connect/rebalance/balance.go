package rebalance

import (
	"cmp"
	"slices"

	"github.com/millrace/millrace/connect/connector"
)

// load is what one member runs, or is to run.
type load struct {
	member Peer
	work   Work
}

// surplus returns what each member has above its even share of configured,
// objects and tasks apart: taking it away lets the members that have less take
// it. The first members may keep one more where the share is not whole. What a
// member was only just given goes before what it runs.
func surplus(configured Work, loads []*load) map[string]Work {
	out := map[string]Work{}
	for _, k := range []kind{objects, tasks} {
		total := configured.count(k)
		floor, extra := total/len(loads), total%len(loads)
		for _, l := range loads {
			items := append(l.work.minus(l.member.Running).of(k), l.work.and(l.member.Running).of(k)...)
			if len(items) <= floor {
				continue
			}
			keep := floor
			if extra > 0 {
				extra--
				keep++
			}
			for _, id := range items[:max(len(items)-keep, 0)] {
				if out[l.member.ID] == nil {
					out[l.member.ID] = Work{}
				}
				out[l.member.ID][id] = true
			}
		}
	}
	return out
}

// spread gives each item to the member that has least of its kind, the objects
// first.
func spread(items Work, loads []*load) {
	for _, k := range []kind{objects, tasks} {
		for _, id := range items.of(k) {
			least := slices.MinFunc(loads, func(a, b *load) int {
				return cmp.Or(cmp.Compare(a.work.count(k), b.work.count(k)), cmp.Compare(a.member.ID, b.member.ID))
			})
			least.work[id] = true
		}
	}
}

// deal gives items to members in turn.
func deal(items []connector.TaskID, loads []*load) {
	for i, id := range items {
		loads[i%len(loads)].work[id] = true
	}
}

// AssignEagerly divides everything anew, as groups with a member that knows
// the default protocol alone do: all connector objects in turn, and on from
// there all tasks.
func AssignEagerly(members []Peer, configured Work) map[string]Change {
	loads := loadsOf(members)
	for _, l := range loads {
		l.work = Work{}
	}
	deal(append(configured.of(objects), configured.of(tasks)...), loads)
	out := map[string]Change{}
	for _, l := range loads {
		out[l.member.ID] = Change{Assigned: l.work}
	}
	return out
}

// loadsOf returns what members run now, in the order of their ids.
func loadsOf(members []Peer) []*load {
	members = slices.SortedFunc(slices.Values(members), func(a, b Peer) int { return cmp.Compare(a.ID, b.ID) })
	out := make([]*load, len(members))
	for i, m := range members {
		out[i] = &load{member: m, work: m.Running.Clone()}
	}
	return out
}
