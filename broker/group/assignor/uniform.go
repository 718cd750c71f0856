package assignor

import (
	"cmp"
	"container/heap"
	"slices"
)

// Uniform gives the members as equal numbers of partitions as their
// subscriptions allow, and leaves with each what it had as far as that goes.
// With equal subscriptions the numbers differ by one at most. With unequal ones
// no single move would make them more equal.
func Uniform(members []Member, partitions map[TopicID]int32) []Assignment {
	u := newUniform(members, partitions)
	u.keep()
	u.shed()
	u.place()
	if !u.same {
		u.level()
	}
	for _, a := range u.out {
		for _, ps := range a {
			slices.Sort(ps)
		}
	}
	return u.out
}

// uniform is one run of the assignor.
type uniform struct {
	members    []Member
	partitions map[TopicID]int32
	by         map[TopicID][]int // subscribers
	topics     []TopicID
	order      []int // members by id: the order of preference among equals
	rank       []int // of a member in order
	same       bool  // all members subscribe to the same topics
	out        []Assignment
	load       []int
	owner      map[TopicID][]int // by partition, -1 for none
}

func newUniform(members []Member, partitions map[TopicID]int32) *uniform {
	u := &uniform{
		members: members, partitions: partitions, same: true,
		out: make([]Assignment, len(members)), load: make([]int, len(members)), rank: make([]int, len(members)),
		owner: make(map[TopicID][]int),
	}
	u.by, u.topics = subscribers(members, partitions)
	for i := range members {
		u.out[i] = make(Assignment)
		u.order = append(u.order, i)
	}
	slices.SortFunc(u.order, func(a, b int) int { return cmp.Compare(members[a].ID, members[b].ID) })
	for r, i := range u.order {
		u.rank[i] = r
	}
	for _, t := range u.topics {
		u.owner[t] = slices.Repeat([]int{-1}, int(partitions[t]))
		u.same = u.same && len(u.by[t]) == len(members)
	}
	return u
}

func (u *uniform) give(m int, t TopicID, p int32) {
	u.out[m].add(t, p)
	u.owner[t][p] = m
	u.load[m]++
}

func (u *uniform) take(m int, t TopicID, p int32) {
	ps := u.out[m][t]
	ps = slices.DeleteFunc(ps, func(x int32) bool { return x == p })
	if u.out[m][t] = ps; len(ps) == 0 {
		delete(u.out[m], t)
	}
	u.owner[t][p] = -1
	u.load[m]--
}

// keep leaves with every member what it has and may have.
func (u *uniform) keep() {
	for _, m := range u.order {
		target := u.members[m].Target
		for _, t := range target.Topics() {
			if _, ok := slices.BinarySearch(u.by[t], m); !ok {
				continue
			}
			for _, p := range target[t] {
				if int(p) < len(u.owner[t]) && u.owner[t][p] < 0 {
					u.give(m, t, p)
				}
			}
		}
	}
}

// shed takes from members with equal subscriptions what is above their share.
// Those that have the most keep the one more that some must have.
func (u *uniform) shed() {
	if !u.same || len(u.members) == 0 {
		return
	}
	total := 0
	for _, t := range u.topics {
		total += int(u.partitions[t])
	}
	share, more := total/len(u.members), total%len(u.members)
	richest := slices.Clone(u.order)
	slices.SortStableFunc(richest, func(a, b int) int { return cmp.Compare(u.load[b], u.load[a]) })
	for i, m := range richest {
		limit := share
		if i < more {
			limit++
		}
		for u.load[m] > limit {
			t, p := u.last(m)
			u.take(m, t, p)
		}
	}
}

// last is a partition of a member's largest topic, so that what it gives up
// is spread over its topics.
func (u *uniform) last(m int) (TopicID, int32) {
	var most TopicID
	n := 0
	for _, t := range u.out[m].Topics() {
		if len(u.out[m][t]) > n {
			most, n = t, len(u.out[m][t])
		}
	}
	return most, u.out[m][most][n-1]
}

// place gives each partition that nobody has to the subscriber with the least,
// first those of topics that the fewest can have.
func (u *uniform) place() {
	topics := slices.Clone(u.topics)
	slices.SortStableFunc(topics, func(a, b TopicID) int { return cmp.Compare(len(u.by[a]), len(u.by[b])) })
	for _, t := range topics {
		var h *loads
		for p, o := range u.owner[t] {
			if o >= 0 {
				continue
			}
			if h == nil {
				h = &loads{u, slices.Clone(u.by[t])}
				heap.Init(h)
			}
			u.give(h.who[0], t, int32(p))
			heap.Fix(h, 0)
		}
	}
}

// level moves partitions one by one from members that have more to
// subscribers that have less by two or more. Every move makes the sum of the
// squares of the loads smaller, so it ends.
func (u *uniform) level() {
	for moved := true; moved; {
		moved = false
		for _, t := range u.topics {
			for p, o := range u.owner[t] {
				least := u.by[t][0]
				for _, m := range u.by[t] {
					if u.load[m] < u.load[least] || u.load[m] == u.load[least] && u.rank[m] < u.rank[least] {
						least = m
					}
				}
				if u.load[o] > u.load[least]+1 {
					u.take(o, t, int32(p))
					u.give(least, t, int32(p))
					moved = true
				}
			}
		}
	}
}

// loads is a heap of members, the least loaded on top.
type loads struct {
	u   *uniform
	who []int
}

func (h *loads) Len() int { return len(h.who) }
func (h *loads) Less(i, j int) bool {
	a, b := h.who[i], h.who[j]
	return cmp.Or(cmp.Compare(h.u.load[a], h.u.load[b]), cmp.Compare(h.u.rank[a], h.u.rank[b])) < 0
}
func (h *loads) Swap(i, j int) { h.who[i], h.who[j] = h.who[j], h.who[i] }
func (h *loads) Push(x any)    { h.who = append(h.who, x.(int)) }
func (h *loads) Pop() any {
	x := h.who[len(h.who)-1]
	h.who = h.who[:len(h.who)-1]
	return x
}
