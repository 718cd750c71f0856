// Package assignor has the server-side assignors of the consumer group
// protocol (KIP-848): pure functions from who subscribes to what, and who had
// what, to who shall have what. Equal inputs give equal outputs.
//
// Differs from Kafka: racks are not looked at.
package assignor

import (
	"cmp"
	"maps"
	"slices"
)

// TopicID names a topic.
type TopicID = [16]byte

// Assignment is partitions by topic: rising, none twice, and no topic without
// one.
type Assignment map[TopicID][]int32

// Member is a member of a group as an assignor sees it.
type Member struct {
	ID       string
	Instance string    // group.instance.id, "" for a dynamic member
	Topics   []TopicID // that it subscribes to and that exist
	Target   Assignment
}

// Func distributes all partitions of the topics that have a subscriber: each
// to exactly one member that subscribes to its topic. partitions is how many
// each topic has. The result has an entry for every member, in their order.
type Func func(members []Member, partitions map[TopicID]int32) []Assignment

// byName is every assignor; Names lists them in order of preference.
var byName = map[string]Func{"uniform": Uniform, "range": Range}

// Names are the assignors there are; the first is the default.
func Names() []string { return []string{"uniform", "range"} }

// ByName returns an assignor, nil if there is none of that name.
func ByName(name string) Func { return byName[name] }

// Equal reports whether two assignments hold the same partitions.
func (a Assignment) Equal(b Assignment) bool {
	return maps.EqualFunc(a, b, slices.Equal[[]int32])
}

// Intersect returns the partitions of a that b has too.
func (a Assignment) Intersect(b Assignment) Assignment {
	return a.Filter(func(t TopicID, p int32) bool { return b.Has(t, p) })
}

// Minus returns the partitions of a that b has not.
func (a Assignment) Minus(b Assignment) Assignment {
	return a.Filter(func(t TopicID, p int32) bool { return !b.Has(t, p) })
}

// Filter returns the partitions of a for which keep is true.
func (a Assignment) Filter(keep func(TopicID, int32) bool) Assignment {
	out := make(Assignment, len(a))
	for t, ps := range a {
		var kept []int32
		for _, p := range ps {
			if keep(t, p) {
				kept = append(kept, p)
			}
		}
		if len(kept) > 0 {
			out[t] = kept
		}
	}
	return out
}

// Union returns the partitions of a and of b.
func (a Assignment) Union(b Assignment) Assignment {
	out := maps.Clone(a)
	if out == nil {
		out = make(Assignment, len(b))
	}
	for t, ps := range b {
		all := append(slices.Clone(out[t]), ps...)
		slices.Sort(all)
		out[t] = slices.Compact(all)
	}
	return out
}

// Has reports whether a has the partition.
func (a Assignment) Has(t TopicID, p int32) bool {
	_, ok := slices.BinarySearch(a[t], p)
	return ok
}

// Topics returns the topics of a, in an order of no meaning that is always
// the same.
func (a Assignment) Topics() []TopicID {
	return slices.SortedFunc(maps.Keys(a), compareID)
}

func (a Assignment) add(t TopicID, p int32) { a[t] = append(a[t], p) }

func compareID(a, b TopicID) int { return slices.Compare(a[:], b[:]) }

// subscribers returns the members, as indexes, of each topic that exists, and
// those topics in order.
func subscribers(members []Member, partitions map[TopicID]int32) (map[TopicID][]int, []TopicID) {
	by := make(map[TopicID][]int)
	for i := range members {
		for _, t := range members[i].Topics {
			if partitions[t] > 0 && (len(by[t]) == 0 || by[t][len(by[t])-1] != i) {
				by[t] = append(by[t], i)
			}
		}
	}
	return by, slices.SortedFunc(maps.Keys(by), compareID)
}

// Range gives each member of a topic a run of its partitions, in the order of
// instance ids and then member ids, the first ones one more where they do not
// come out even. Topics with equal subscribers and partition counts are
// assigned alike, so that their partitions can be joined. It is as sticky as
// that order is.
func Range(members []Member, partitions map[TopicID]int32) []Assignment {
	out := make([]Assignment, len(members))
	for i := range out {
		out[i] = make(Assignment)
	}
	by, topics := subscribers(members, partitions)
	for _, t := range topics {
		who := by[t]
		slices.SortFunc(who, func(a, b int) int { return compareMembers(&members[a], &members[b]) })
		n, k := int(partitions[t]), len(who)
		next := int32(0)
		for i, m := range who {
			share := n / k
			if i < n%k {
				share++
			}
			for range share {
				out[m].add(t, next)
				next++
			}
		}
	}
	return out
}

// compareMembers puts static members before dynamic ones, which come and go.
func compareMembers(a, b *Member) int {
	if (a.Instance == "") != (b.Instance == "") {
		if a.Instance != "" {
			return -1
		}
		return 1
	}
	return cmp.Or(cmp.Compare(a.Instance, b.Instance), cmp.Compare(a.ID, b.ID))
}
