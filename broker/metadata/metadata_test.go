package metadata

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"maps"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func id(n byte) ID { return ID{0: n, 15: 1} }

// apply applies commands from the image m on and fails the test if one is
// refused.
func apply(t testing.TB, m *Image, cs ...Command) *Image {
	t.Helper()
	for _, c := range cs {
		next, _, err := m.Apply(m.Index+1, c)
		if err != nil {
			t.Fatalf("Apply(%T%+v) = %v", c, c, err)
		}
		m = next
	}
	return m
}

func broker(n int32) *RegisterBroker {
	return &RegisterBroker{Broker: Broker{ID: n, Incarnation: id(byte(n)), Endpoints: []Endpoint{{"PLAINTEXT", "127.0.0.1", 9092 + n}}}}
}

func oneTopic(t testing.TB) *Image {
	return apply(t, new(Image), broker(1), broker(2), &CreateTopic{ID: id(9), Name: "a.b", Replicas: [][]int32{{1, 2}, {2, 1}}, Configs: map[string]string{"retention.ms": "5"}})
}

func TestApplyRefuses(t *testing.T) {
	base := oneTopic(t)
	for _, tt := range []struct {
		name string
		c    Command
		want error
	}{
		{"same name", &CreateTopic{ID: id(8), Name: "a.b", Replicas: [][]int32{{1}}}, ErrTopicExists},
		{"colliding name", &CreateTopic{ID: id(8), Name: "a_b", Replicas: [][]int32{{1}}}, ErrTopicCollides},
		{"same id", &CreateTopic{ID: id(9), Name: "c", Replicas: [][]int32{{1}}}, ErrTopicExists},
		{"zero id", &CreateTopic{Name: "c", Replicas: [][]int32{{1}}}, ErrTopicExists},
		{"bad name", &CreateTopic{ID: id(8), Name: "a/b", Replicas: [][]int32{{1}}}, ErrTopicName},
		{"no partitions", &CreateTopic{ID: id(8), Name: "c"}, ErrPartitions},
		{"too many partitions", &CreateTopic{ID: id(8), Name: "c", Replicas: make([][]int32, MaxPartitions+1)}, ErrPartitions},
		{"no replicas", &CreateTopic{ID: id(8), Name: "c", Replicas: [][]int32{{}}}, ErrAssignment},
		{"unequal replicas", &CreateTopic{ID: id(8), Name: "c", Replicas: [][]int32{{1, 2}, {1}}}, ErrAssignment},
		{"unknown broker", &CreateTopic{ID: id(8), Name: "c", Replicas: [][]int32{{3}}}, ErrAssignment},
		{"repeated broker", &CreateTopic{ID: id(8), Name: "c", Replicas: [][]int32{{1, 1}}}, ErrAssignment},
		{"delete unknown", &DeleteTopic{ID: id(8)}, ErrUnknownTopic},
		{"grow unknown", &CreatePartitions{ID: id(8), Replicas: [][]int32{{1}}}, ErrUnknownTopic},
		{"grow from elsewhere", &CreatePartitions{ID: id(9), From: 1, Replicas: [][]int32{{1, 2}}}, ErrPartitions},
		{"grow by nothing", &CreatePartitions{ID: id(9), From: 2}, ErrPartitions},
		{"grow with another factor", &CreatePartitions{ID: id(9), From: 2, Replicas: [][]int32{{1}}}, ErrAssignment},
		{"alter unknown", &AlterTopicConfigs{ID: id(8)}, ErrUnknownTopic},
		{"no ids", &AllocateProducerIDs{}, ErrProducerIDs},
		{"too many ids", &AllocateProducerIDs{Count: -5}, ErrProducerIDs},
	} {
		t.Run(tt.name, func(t *testing.T) {
			next, _, err := base.Apply(base.Index+1, tt.c)
			if !errors.Is(err, tt.want) {
				t.Fatalf("Apply(%+v) = %v, want %v", tt.c, err, tt.want)
			}
			if next.Index != base.Index+1 || len(Diff(base, next)) != 0 {
				t.Errorf("a refused command left index %d and changes %v", next.Index, Diff(base, next))
			}
		})
	}
}

func TestApply(t *testing.T) {
	before := oneTopic(t)
	topic := before.Topic("a.b")
	if topic == nil || before.TopicByID(id(9)) != topic || before.NumTopics() != 1 {
		t.Fatalf("topic by name %v, by id %v, count %d", topic, before.TopicByID(id(9)), before.NumTopics())
	}
	if p := topic.Partitions[1]; p.Leader != 2 || !slices.Equal(p.ISR, []int32{2, 1}) || p.LeaderEpoch != 0 {
		t.Errorf("partition 1 is %+v", p)
	}

	after := apply(t, before,
		&CreatePartitions{ID: id(9), From: 2, Replicas: [][]int32{{1, 2}}},
		&AlterTopicConfigs{ID: id(9), Set: map[string]string{"segment.bytes": "2048"}, Remove: []string{"retention.ms"}})
	topic = after.Topic("a.b")
	if len(topic.Partitions) != 3 || !maps.Equal(topic.Configs, map[string]string{"segment.bytes": "2048"}) {
		t.Errorf("topic became %+v", topic)
	}
	if old := before.Topic("a.b"); len(old.Partitions) != 2 || old.Configs["retention.ms"] != "5" {
		t.Errorf("the earlier image changed to %+v", old)
	}
	replaced := apply(t, after, &AlterTopicConfigs{ID: id(9), Replace: true, Set: map[string]string{"flush.ms": "1"}})
	if got := replaced.Topic("a.b").Configs; !maps.Equal(got, map[string]string{"flush.ms": "1"}) {
		t.Errorf("replaced configs are %v", got)
	}

	gone := apply(t, after, &DeleteTopic{ID: id(9)})
	if gone.Topic("a.b") != nil || gone.TopicByID(id(9)) != nil || gone.NumTopics() != 0 {
		t.Errorf("deleted topic is still there: %v", gone.Topic("a.b"))
	}
	apply(t, gone, &CreateTopic{ID: id(7), Name: "a_b", Replicas: [][]int32{{1}}}) // the collision is gone too
}

func TestUncleanRegistrationRaisesEpochs(t *testing.T) {
	before := oneTopic(t)
	r := broker(2)
	r.Unclean = true
	after := apply(t, before, r)
	ps := after.Topic("a.b").Partitions
	if ps[0].LeaderEpoch != 0 || ps[1].LeaderEpoch != 1 || ps[1].Epoch != 1 {
		t.Errorf("epochs after broker 2 came back are %d and %d, want 0 and 1", ps[0].LeaderEpoch, ps[1].LeaderEpoch)
	}
	if got := after.Broker(2).Epoch; got != int64(after.Index) {
		t.Errorf("broker epoch is %d, want the index %d", got, after.Index)
	}
	if again := apply(t, after, broker(2)); again.Topic("a.b") != after.Topic("a.b") {
		t.Error("a clean registration changed partitions")
	}
}

func TestAllocateProducerIDs(t *testing.T) {
	m := new(Image)
	for want := int64(0); want < 3000; want += 1000 {
		next, got, err := m.Apply(m.Index+1, &AllocateProducerIDs{Count: 1000})
		if err != nil || got != want {
			t.Fatalf("block begins at %v, %v; want %d", got, err, want)
		}
		m = next
	}
}

func TestDiff(t *testing.T) {
	one := oneTopic(t)
	two := apply(t, one, &CreateTopic{ID: id(4), Name: "n", Replicas: [][]int32{{1}}}, &DeleteTopic{ID: id(9)},
		&CreateTopic{ID: id(5), Name: "a.b", Replicas: [][]int32{{1}}})
	var created, deleted int
	for _, c := range Diff(one, two) {
		switch {
		case c.Before == nil && c.After != nil:
			created++
		case c.After == nil && c.Before.ID == id(9):
			deleted++
		default:
			t.Errorf("unexpected change %+v", c)
		}
	}
	if created != 2 || deleted != 1 {
		t.Errorf("Diff found %d created and %d deleted topics, want 2 and 1", created, deleted)
	}
	if d := Diff(two, two); d != nil {
		t.Errorf("Diff of an image with itself is %v", d)
	}
	restored, err := Restore(one.Snapshot())
	if err != nil {
		t.Fatal(err)
	}
	if d := Diff(restored, two); len(d) != 3 {
		t.Errorf("Diff from a restored image found %d changes, want 3", len(d))
	}
}

// drawCommand draws commands over few names and ids, so that they meet.
func drawCommand(t *rapid.T) Command {
	topicID := id(byte(rapid.IntRange(0, 6).Draw(t, "id")))
	replicas := rapid.SliceOfN(rapid.SliceOfN(rapid.Int32Range(0, 3), 0, 3), 0, 4)
	configs := rapid.MapOfN(rapid.SampledFrom([]string{"retention.ms", "segment.bytes", "x"}), rapid.StringN(0, 4, 8), 0, 3)
	switch rapid.IntRange(0, 7).Draw(t, "kind") {
	case 0:
		r := broker(rapid.Int32Range(0, 3).Draw(t, "broker"))
		r.Unclean = rapid.Bool().Draw(t, "unclean")
		return r
	case 1:
		return &CreateTopic{topicID, rapid.SampledFrom([]string{"a", "b.c", "b_c", "", "d"}).Draw(t, "name"), replicas.Draw(t, "replicas"), configs.Draw(t, "configs")}
	case 2:
		return &DeleteTopic{topicID}
	case 3:
		return &CreatePartitions{topicID, rapid.Int32Range(0, 5).Draw(t, "from"), replicas.Draw(t, "replicas")}
	case 4:
		return &AlterTopicConfigs{topicID, rapid.Bool().Draw(t, "replace"), configs.Draw(t, "set"), rapid.SliceOfN(rapid.SampledFrom([]string{"x", "y"}), 0, 2).Draw(t, "remove")}
	case 5:
		names := rapid.SampledFrom([]string{"", "1", "g"})
		return &AlterConfigs{rapid.SampledFrom([]ResourceType{BrokerResource, GroupResource, 9}).Draw(t, "type"), names.Draw(t, "name"),
			rapid.Bool().Draw(t, "replace"), configs.Draw(t, "set"), rapid.SliceOfN(rapid.SampledFrom([]string{"x", "y"}), 0, 2).Draw(t, "remove")}
	case 6:
		part := rapid.SampledFrom([]QuotaName{{}, {}, {Given: true, Default: true}, {Given: true, Name: "a"}})
		keys := rapid.SampledFrom([]string{"producer_byte_rate", "request_percentage", "connection_creation_rate"})
		return &AlterQuota{QuotaEntity{part.Draw(t, "user"), part.Draw(t, "client"), part.Draw(t, "ip")},
			rapid.MapOfN(keys, rapid.Float64Range(-1, 100), 0, 2).Draw(t, "set"), rapid.SliceOfN(keys, 0, 2).Draw(t, "remove")}
	}
	return &AllocateProducerIDs{rapid.Int64Range(-1, 1000).Draw(t, "count")}
}

// Two nodes, one of which goes through the encoding and restarts from a
// snapshot at some point, have equal images and give equal answers.
func TestApplyIsDeterministic(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := new(Image), new(Image)
		n := rapid.IntRange(1, 40).Draw(t, "commands")
		restart := rapid.IntRange(0, n).Draw(t, "restart")
		for i := range n {
			c := drawCommand(t)
			decoded, err := Decode(Encode(c))
			if err != nil {
				t.Fatalf("Decode(Encode(%T%+v)) = %v", c, c, err)
			}
			if i == restart {
				if b, err = Restore(b.Snapshot()); err != nil {
					t.Fatalf("Restore = %v", err)
				}
			}
			was := a.Snapshot()
			nextA, gotA, errA := a.Apply(uint64(i+1), c)
			if !bytes.Equal(was, a.Snapshot()) {
				t.Fatalf("%T%+v changed the image it was applied to", c, c)
			}
			nextB, gotB, errB := b.Apply(uint64(i+1), decoded)
			if !reflect.DeepEqual(gotA, gotB) || (errA == nil) != (errB == nil) || errA != nil && errA.Error() != errB.Error() {
				t.Fatalf("%T%+v gave %v, %v on one node and %v, %v on the other", c, c, gotA, errA, gotB, errB)
			}
			a, b = nextA, nextB
			if !bytes.Equal(a.Snapshot(), b.Snapshot()) {
				t.Fatalf("images differ after %T%+v", c, c)
			}
		}
		checkInvariants(t, a)
	})
}

func checkInvariants(t *rapid.T, m *Image) {
	seen := 0
	for topic := range m.Topics() {
		seen++
		if m.TopicByID(topic.ID) != topic || m.Topic(topic.Name) != topic {
			t.Fatalf("topic %s is not what its name and id lead to", topic.Name)
		}
		for i, p := range topic.Partitions {
			if len(p.Replicas) == 0 || !slices.Contains(p.Replicas, p.Leader) || m.Broker(p.Leader) == nil {
				t.Fatalf("topic %s partition %d is %+v", topic.Name, i, p)
			}
		}
	}
	if seen != m.NumTopics() {
		t.Fatalf("%d topics, NumTopics is %d", seen, m.NumTopics())
	}
}

func TestPlace(t *testing.T) {
	brokers := []int32{3, 5, 8}
	got, err := Place(brokers, 6, 2, 0, 1)
	if err != nil {
		t.Fatal(err)
	}
	leads := map[int32]int{}
	for p, r := range got {
		if len(r) != 2 || r[0] == r[1] {
			t.Errorf("partition %d has replicas %v", p, r)
		}
		leads[r[0]]++
	}
	if !maps.Equal(leads, map[int32]int{3: 2, 5: 2, 8: 2}) {
		t.Errorf("leaders are spread as %v", leads)
	}
	rest, err := Place(brokers, 2, 2, 4, 1)
	if err != nil || !reflect.DeepEqual(rest, got[4:]) {
		t.Errorf("placing partitions 4 and 5 alone gave %v, %v; want %v", rest, err, got[4:])
	}
	if _, err := Place(brokers, 1, 4, 0, 0); !errors.Is(err, ErrReplication) {
		t.Errorf("four replicas on three brokers: %v", err)
	}
	if _, err := Place(brokers, 0, 1, 0, 0); !errors.Is(err, ErrPartitions) {
		t.Errorf("no partitions: %v", err)
	}
}

var (
	aGroup = &AlterConfigs{Type: GroupResource, Name: "g", Set: map[string]string{"consumer.session.timeout.ms": "50000"}}
	aQuota = &AlterQuota{Entity: QuotaEntity{ClientID: QuotaName{Given: true, Name: "c"}}, Set: map[string]float64{"producer_byte_rate": 1000}}
)

func TestResourcesAndQuotas(t *testing.T) {
	m := apply(t, new(Image), aGroup, aQuota)
	if got := m.ResourceConfigs(GroupResource, "g"); got["consumer.session.timeout.ms"] != "50000" {
		t.Errorf("group has configs %v", got)
	}
	if q := m.Quota(aQuota.Entity); q == nil || q.Limits["producer_byte_rate"] != 1000 || len(m.Quotas()) != 1 {
		t.Errorf("quotas are %+v", m.Quotas())
	}
	again := apply(t, m, &AllocateProducerIDs{Count: 1})
	if !SameQuotas(m, again) {
		t.Error("another command changed the quotas")
	}
	gone := apply(t, m, &AlterConfigs{Type: GroupResource, Name: "g", Replace: true}, &AlterQuota{Entity: aQuota.Entity, Remove: []string{"producer_byte_rate"}})
	if len(gone.Resources(GroupResource)) != 0 || len(gone.Quotas()) != 0 || SameQuotas(m, gone) {
		t.Errorf("what has nothing set is kept: %v, %v", gone.Resources(GroupResource), gone.Quotas())
	}
	named := func(n string) QuotaName { return QuotaName{Given: true, Name: n} }
	for _, c := range []*AlterQuota{
		{Set: aQuota.Set},
		{Entity: QuotaEntity{IP: named("::1"), User: named("u")}, Set: map[string]float64{"connection_creation_rate": 1}},
		{Entity: QuotaEntity{IP: named("::1")}, Set: aQuota.Set},
		{Entity: QuotaEntity{User: named("u")}, Set: map[string]float64{"connection_creation_rate": 1}},
		{Entity: QuotaEntity{User: named("u")}, Set: map[string]float64{"producer_byte_rate": 0}},
		{Entity: QuotaEntity{User: named("u")}, Set: map[string]float64{"speed": 1}},
	} {
		err := c.Entity.Check()
		for name, limit := range c.Set {
			err = errors.Join(err, CheckQuota(c.Entity, name, limit))
		}
		if !errors.Is(err, ErrQuota) {
			t.Errorf("checks of %+v give %v, want ErrQuota", c, err)
		}
	}
}

// Snapshots of version 1, which end with the topics, are read.
func TestRestoreVersion1(t *testing.T) {
	m := oneTopic(t)
	b := m.Snapshot()
	b = b[:len(b)-6] // two empty lists and the checksum
	b[0] = 1
	b = binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
	got, err := Restore(b)
	if err != nil || !bytes.Equal(got.Snapshot(), m.Snapshot()) {
		t.Errorf("Restore = %+v, %v", got, err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(Encode(broker(1)))
	f.Add(Encode(&CreateTopic{ID: id(1), Name: "t", Replicas: [][]int32{{1, 2}}, Configs: map[string]string{"a": "b"}}))
	f.Add(Encode(&DeleteTopic{ID: id(1)}))
	f.Add(Encode(&CreatePartitions{ID: id(1), From: 3, Replicas: [][]int32{{1}}}))
	f.Add(Encode(&AlterTopicConfigs{ID: id(1), Set: map[string]string{"a": "b"}, Remove: []string{"c"}}))
	f.Add(Encode(&AllocateProducerIDs{Count: 1000}))
	f.Add(Encode(&AlterConfigs{Type: GroupResource, Name: "g", Set: map[string]string{"a": "b"}, Remove: []string{"c"}}))
	f.Add(Encode(&AlterQuota{Entity: QuotaEntity{IP: QuotaName{Given: true, Name: "::1"}}, Set: map[string]float64{"a": 1.5}, Remove: []string{"c"}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := Decode(b)
		if err != nil {
			if !errors.Is(err, ErrDecode) {
				t.Fatalf("error is not ErrDecode: %v", err)
			}
			return
		}
		again, err := Decode(Encode(c))
		if err != nil || !bytes.Equal(Encode(again), Encode(c)) {
			t.Fatalf("%T%+v did not survive encoding: %v", c, c, err)
		}
		new(Image).Apply(1, c)
	})
}

func FuzzRestore(f *testing.F) {
	f.Add(apply(f, oneTopic(f), aGroup, aQuota).Snapshot())
	f.Add(new(Image).Snapshot())
	f.Fuzz(func(t *testing.T, b []byte) {
		if m, err := Restore(b); err == nil {
			m.Snapshot()
		} else if !errors.Is(err, ErrDecode) {
			t.Fatalf("error is not ErrDecode: %v", err)
		}
		// The checksum keeps most inputs out; the body must stand without it.
		d := &decoder{b: b}
		readTopic(d)
		readBroker(d)
		new(Image).readResources(d)
	})
}
