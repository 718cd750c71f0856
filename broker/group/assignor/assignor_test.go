package assignor

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
)

func topic(n byte) TopicID { return TopicID{n} }

func TestRange(t *testing.T) {
	a, b := topic(1), topic(2)
	partitions := map[TopicID]int32{a: 5, b: 5}
	for _, tt := range []struct {
		name    string
		members []Member
		want    []Assignment
	}{
		{"nobody", nil, []Assignment{}},
		{"topics are assigned alike", []Member{{ID: "y", Topics: []TopicID{a, b}}, {ID: "x", Topics: []TopicID{a, b}}},
			[]Assignment{{a: {3, 4}, b: {3, 4}}, {a: {0, 1, 2}, b: {0, 1, 2}}}},
		{"instance ids come first", []Member{{ID: "x", Topics: []TopicID{a}}, {ID: "z", Instance: "i", Topics: []TopicID{a}}},
			[]Assignment{{a: {3, 4}}, {a: {0, 1, 2}}}},
		{"more members than partitions", slices.Repeat([]Member{{Topics: []TopicID{a}}}, 6),
			[]Assignment{{a: {0}}, {a: {1}}, {a: {2}}, {a: {3}}, {a: {4}}, {}}},
		{"subscriptions differ", []Member{{ID: "x", Topics: []TopicID{a}}, {ID: "y", Topics: []TopicID{b}}},
			[]Assignment{{a: {0, 1, 2, 3, 4}}, {b: {0, 1, 2, 3, 4}}}},
		{"a topic that does not exist", []Member{{ID: "x", Topics: []TopicID{topic(9)}}}, []Assignment{{}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := Range(tt.members, partitions); !reflect.DeepEqual(got, tt.want) {
				t.Errorf("Range = %v, want %v", got, tt.want)
			}
		})
	}
}

// random makes members with equal or unequal subscriptions, of which some have
// targets that are out of date or claimed twice.
func random(rnd *rand.Rand) ([]Member, map[TopicID]int32, bool) {
	partitions := map[TopicID]int32{}
	for i := range 1 + rnd.IntN(6) {
		partitions[topic(byte(i))] = int32(rnd.IntN(12))
	}
	same := rnd.IntN(2) == 0
	var members []Member
	for i := range 1 + rnd.IntN(8) {
		m := Member{ID: fmt.Sprint("m", i), Target: Assignment{}}
		for id := range byte(7) {
			if same || rnd.IntN(2) == 0 {
				m.Topics = append(m.Topics, topic(id))
			}
		}
		for range rnd.IntN(10) {
			id, p := topic(byte(rnd.IntN(8))), int32(rnd.IntN(14))
			if !m.Target.Has(id, p) {
				m.Target[id] = append(m.Target[id], p)
				slices.Sort(m.Target[id])
			}
		}
		members = append(members, m)
	}
	return members, partitions, same
}

// Whatever the members had, every partition of a topic with subscribers goes
// to exactly one of them, evenly.
func TestEveryPartitionIsAssignedOnce(t *testing.T) {
	for range 2000 {
		seed := rand.Uint64()
		rnd := rand.New(rand.NewPCG(seed, 0))
		members, partitions, same := random(rnd)
		for _, name := range Names() {
			got := ByName(name)(members, partitions)
			if err := check(members, partitions, got); err != nil {
				t.Fatalf("seed %d, %s: %v\nmembers %+v\npartitions %v\ngot %v", seed, name, err, members, partitions, got)
			}
			low, high := spread(got)
			if name == "uniform" && same && high > low+1 {
				t.Fatalf("seed %d: equal members have from %d to %d partitions", seed, low, high)
			}
		}
	}
}

func check(members []Member, partitions map[TopicID]int32, got []Assignment) error {
	if len(got) != len(members) {
		return fmt.Errorf("%d assignments", len(got))
	}
	seen := map[string]bool{}
	for i, a := range got {
		for id, ps := range a {
			if !slices.Contains(members[i].Topics, id) {
				return fmt.Errorf("%s gets topic %v, to which it does not subscribe", members[i].ID, id[0])
			}
			if len(ps) == 0 || !slices.IsSorted(ps) {
				return fmt.Errorf("%s gets %v", members[i].ID, ps)
			}
			for _, p := range ps {
				key := fmt.Sprint(id[0], "-", p)
				if seen[key] || p >= partitions[id] {
					return fmt.Errorf("%s is assigned twice, or does not exist", key)
				}
				seen[key] = true
			}
		}
	}
	for id, n := range partitions {
		wanted := slices.ContainsFunc(members, func(m Member) bool { return slices.Contains(m.Topics, id) })
		for p := range n {
			if key := fmt.Sprint(id[0], "-", p); wanted != seen[key] {
				return fmt.Errorf("%s: assigned %t, wanted %t", key, seen[key], wanted)
			}
		}
	}
	return nil
}

func spread(got []Assignment) (low, high int) {
	low = 1 << 30
	for _, a := range got {
		n := 0
		for _, ps := range a {
			n += len(ps)
		}
		low, high = min(low, n), max(high, n)
	}
	return low, high
}

// A member that comes takes no more than its share, and one that goes gives
// only what it had.
func TestUniformIsSticky(t *testing.T) {
	const n = 60
	partitions := map[TopicID]int32{topic(1): n / 2, topic(2): n / 2}
	var members []Member
	for i := range 5 {
		members = append(members, Member{ID: fmt.Sprint("m", i), Topics: []TopicID{topic(1), topic(2)}})
	}
	target := func() {
		for i, a := range Uniform(members, partitions) {
			members[i].Target = a
		}
	}
	target()
	before := slices.Clone(members)
	members = append(members, Member{ID: "a new one", Topics: before[0].Topics})
	target()
	moved := 0
	for i := range before {
		gained := members[i].Target.Minus(before[i].Target)
		if len(gained) > 0 {
			t.Errorf("%s gains %v although a member came", before[i].ID, gained)
		}
		lost, _ := spread([]Assignment{before[i].Target.Minus(members[i].Target)})
		moved += lost
	}
	if moved != n/6 {
		t.Errorf("%d partitions moved to the new member, want %d", moved, n/6)
	}
	before = slices.Clone(members)
	members = slices.Clone(members[1:])
	target()
	for i := range members {
		if lost := before[i+1].Target.Minus(members[i].Target); len(lost) > 0 {
			t.Errorf("%s loses %v although a member left", members[i].ID, lost)
		}
	}
}

func TestUniformLevelsUnequalSubscriptions(t *testing.T) {
	a, b := topic(1), topic(2)
	members := []Member{
		{ID: "both", Topics: []TopicID{a, b}, Target: Assignment{a: {0, 1, 2, 3}, b: {0, 1}}},
		{ID: "one", Topics: []TopicID{a}},
	}
	got := Uniform(members, map[TopicID]int32{a: 4, b: 2})
	if low, high := spread(got); low != 3 || high != 3 {
		t.Errorf("Uniform = %v, want three each", got)
	}
	if !got[0].Has(b, 0) || !got[0].Has(b, 1) {
		t.Errorf("Uniform = %v: nobody else can have topic b", got)
	}
}

func BenchmarkUniform(b *testing.B) {
	var members []Member
	topics := make([]TopicID, 100)
	partitions := map[TopicID]int32{}
	for i := range topics {
		topics[i] = topic(byte(i))
		partitions[topics[i]] = 100
	}
	for i := range 1000 {
		members = append(members, Member{ID: fmt.Sprint("m", i), Topics: topics})
	}
	for i, a := range Uniform(members, partitions) {
		members[i].Target = a
	}
	members = members[1:]
	b.ReportAllocs()
	for b.Loop() {
		Uniform(members, partitions)
	}
}
