package group

import (
	"errors"
	"iter"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/millrace/millrace/broker/group/consumer"
)

// twoTopics is a cluster with orders and payments, two partitions each.
type twoTopics struct{}

func (twoTopics) Version() uint64 { return 1 }
func (twoTopics) Topic(name string) (consumer.Topic, bool) {
	i := slices.Index([]string{"orders", "payments"}, name)
	return consumer.Topic{ID: consumer.TopicID{byte(i + 1)}, Partitions: 2}, i >= 0
}
func (twoTopics) Names() iter.Seq[string]              { return slices.Values([]string{"orders", "payments"}) }
func (twoTopics) Name(consumer.TopicID) (string, bool) { return "", false }

func consumerCoordinator(t *testing.T) (*Coordinator, *topic) {
	t.Helper()
	store := &topic{}
	c := newCoordinator(t, Config{
		Store: store, InitialRebalanceDelay: NoDelay, OffsetsRetention: time.Hour,
		Topics: func() consumer.Topics { return twoTopics{} },
	})
	t.Cleanup(c.Close)
	store.load(t, c, 0)
	return c, store
}

type beaten struct {
	consumer.Answer
	err error
}

func beat(c *Coordinator, r consumer.Heartbeat) <-chan beaten {
	ch := make(chan beaten, 1)
	c.ConsumerHeartbeat("g", r, func(a consumer.Answer, err error) { ch <- beaten{a, err} })
	return ch
}

func consumerJoin(id string) consumer.Heartbeat {
	return consumer.Heartbeat{MemberID: id, Rebalance: time.Minute, Names: []string{"orders"}, OwnedGiven: true}
}

func commit(c *Coordinator, r CommitRequest) error {
	ch := make(chan []error, 1)
	r.Group = "g"
	r.Offsets = commitOf(orders0, 7)
	c.Commit(r, func(errs []error) { ch <- errs })
	return (<-ch)[0]
}

func TestConsumerGroupCommits(t *testing.T) {
	c, _ := consumerCoordinator(t)
	a := <-beat(c, consumerJoin("a"))
	if a.err != nil || a.Epoch != 1 {
		t.Fatalf("join: %+v", a)
	}
	for _, tt := range []struct {
		name string
		r    CommitRequest
		want error
	}{
		{"member", CommitRequest{MemberID: "a", Generation: 1, GroupIDNotFound: true}, nil},
		{"member with an old epoch", CommitRequest{MemberID: "a", Generation: 0, GroupIDNotFound: true}, kerr.StaleMemberEpoch},
		{"unknown member", CommitRequest{MemberID: "x", Generation: 1, GroupIDNotFound: true}, kerr.UnknownMemberID},
		{"nobody in particular", CommitRequest{Generation: -1}, kerr.UnknownMemberID},
		{"version 8", CommitRequest{MemberID: "a", Generation: 1}, kerr.UnsupportedVersion},
	} {
		if err := commit(c, tt.r); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
	for _, tt := range []struct {
		member string
		epoch  int32
		want   error
	}{{"a", 1, nil}, {"a", 2, kerr.StaleMemberEpoch}, {"x", 1, kerr.UnknownMemberID}} {
		if err := c.CheckFetch("g", tt.member, tt.epoch); !errors.Is(err, tt.want) {
			t.Errorf("fetch of %s at epoch %d: %v, want %v", tt.member, tt.epoch, err, tt.want)
		}
	}
	errs := make(chan []error, 1)
	c.DeleteOffsets("g", []TopicPartition{orders0, {"payments", 0}}, func(es []error, _ error) { errs <- es })
	if es := <-errs; !errors.Is(es[0], kerr.GroupSubscribedToTopic) || es[1] != nil {
		t.Errorf("DeleteOffsets of a subscribed topic and another: %v", es)
	}
}

// Groups change their protocol when they have no members, and keep their
// offsets.
func TestProtocolsTakeTurns(t *testing.T) {
	c, store := consumerCoordinator(t)
	list := func(want Listing) {
		t.Helper()
		if l, err := c.List(); err != nil || len(l) != 1 || l[0] != want {
			t.Fatalf("List = %+v, %v, want %+v", l, err, want)
		}
	}
	j := <-join(c, joinRequest("", ""))
	if j.Err != nil {
		t.Fatal(j.Err)
	}
	<-syncGroup(c, SyncRequest{Group: "g", MemberID: j.MemberID, Generation: 1, Assignments: map[string][]byte{}})
	if err := commit(c, CommitRequest{MemberID: j.MemberID, Generation: 1}); err != nil {
		t.Fatal(err)
	}
	if b := <-beat(c, consumerJoin("a")); !errors.Is(b.err, kerr.GroupIDNotFound) {
		t.Errorf("heartbeat in a classic group: %v", b.err)
	}
	if _, err := c.Leave(LeaveRequest{Group: "g", Members: []LeaveMember{{MemberID: j.MemberID}}}); err != nil {
		t.Fatal(err)
	}
	list(Listing{"g", "consumer", "Empty", "classic"})
	if b := <-beat(c, consumerJoin("a")); b.err != nil || b.Epoch != 1 {
		t.Fatalf("heartbeat in an empty classic group: %+v", b)
	}
	list(Listing{"g", "consumer", "Stable", "consumer"})
	if j := <-join(c, joinRequest("", "")); !errors.Is(j.Err, kerr.InconsistentGroupProtocol) {
		t.Errorf("classic join in a consumer group: %v", j.Err)
	}
	if _, err := c.Describe("g"); !errors.Is(err, kerr.GroupIDNotFound) {
		t.Errorf("classic description of a consumer group: %v", err)
	}
	if d, err := c.DescribeConsumer("g"); err != nil || len(d.Members) != 1 || d.State != consumer.Stable {
		t.Errorf("description: %+v, %v", d, err)
	}
	again := func() {
		t.Helper()
		c.Unload(0)
		store.load(t, c, 0)
	}
	again()
	list(Listing{"g", "consumer", "Stable", "consumer"})
	if b := <-beat(c, consumer.Heartbeat{MemberID: "a", Epoch: -1}); b.err != nil {
		t.Fatal(b.err)
	}
	again()
	list(Listing{"g", "consumer", "Empty", "consumer"})
	if j = <-join(c, joinRequest("", "")); j.Err != nil {
		t.Fatalf("classic join in an empty consumer group: %v", j.Err)
	}
	<-syncGroup(c, SyncRequest{Group: "g", MemberID: j.MemberID, Generation: 1, Assignments: map[string][]byte{}})
	list(Listing{"g", "consumer", "Stable", "classic"})
	if os, err := c.Fetch("g", nil); err != nil || len(os) != 1 || os[0].Offset != 7 {
		t.Errorf("offsets after all that: %+v, %v", os, err)
	}
}

// Heartbeats that arrive while one is being stored wait for it, and one that
// is not stored changes nothing.
func TestConsumerGroupIsStoredFirst(t *testing.T) {
	h := newHarness(t)
	h.g.cfg.Topics = func() consumer.Topics { return twoTopics{} }
	h.hold = true
	results := map[string]beaten{}
	heartbeat := func(id string, epoch int32) {
		r := consumerJoin(id)
		if r.Epoch = epoch; epoch != 0 {
			r.Owned, r.OwnedGiven, r.Rebalance, r.Names = nil, false, -1, nil
		}
		h.run(h.g.ConsumerHeartbeat(h.now, r, func(a consumer.Answer, err error) { results[id] = beaten{a, err} }))
	}
	release := func(err error) {
		a := h.held[0]
		h.held = h.held[1:]
		h.fail = err
		h.run(h.store(a))
		h.fail = nil
	}
	heartbeat("a", 0)
	heartbeat("b", 0)
	if len(results) != 0 || len(h.held) != 1 {
		t.Fatalf("answered %v with %d appends", results, len(h.held))
	}
	release(kerr.NotEnoughReplicas)
	if !errors.Is(results["a"].err, kerr.CoordinatorNotAvailable) {
		t.Errorf("a hears %+v", results["a"])
	}
	release(nil)
	if b := results["b"]; b.err != nil || b.Epoch != 1 || len(b.Assignment) != 1 {
		t.Errorf("b hears %+v, want to be the only member", b)
	}
	if got, want := h.reload().consumer.Describe(), h.g.consumer.Describe(); len(got.Members) != 1 || got.Epoch != want.Epoch {
		t.Errorf("stored %+v, want %+v", got, want)
	}
	heartbeat("c", 0)
	heartbeat("b", 1)
	h.run(h.g.kill(h.now))
	if !errors.Is(results["b"].err, kerr.NotCoordinator) {
		t.Errorf("a heartbeat that waits while the group goes hears %+v", results["b"])
	}
	release(kerr.NotLeaderForPartition)
	if !errors.Is(results["c"].err, kerr.NotCoordinator) {
		t.Errorf("a heartbeat that is stored while the group goes hears %+v", results["c"])
	}
}

func TestConsumerGroupIsDeleted(t *testing.T) {
	c, store := consumerCoordinator(t)
	remove := func() error {
		ch := make(chan error, 1)
		c.Delete("g", func(err error) { ch <- err })
		return <-ch
	}
	<-beat(c, consumerJoin("a"))
	if err := commit(c, CommitRequest{MemberID: "a", Generation: 1, GroupIDNotFound: true}); err != nil {
		t.Fatal(err)
	}
	if err := remove(); !errors.Is(err, kerr.NonEmptyGroup) {
		t.Errorf("delete with a member: %v", err)
	}
	<-beat(c, consumer.Heartbeat{MemberID: "a", Epoch: -1})
	if err := remove(); err != nil {
		t.Errorf("delete without members: %v", err)
	}
	c.Unload(0)
	store.load(t, c, 0)
	if l, _ := c.List(); len(l) != 0 {
		t.Errorf("deleted group is loaded: %+v", l)
	}
	if b := <-beat(c, consumer.Heartbeat{MemberID: "a", Epoch: 1, Rebalance: -1}); !errors.Is(b.err, kerr.UnknownMemberID) {
		t.Errorf("heartbeat to a deleted group: %v", b.err)
	}
}

// Offsets of a consumer group expire when it has no members, or reads the
// topic no more.
func TestConsumerGroupExpires(t *testing.T) {
	h := newHarness(t)
	h.g.cfg.Topics = func() consumer.Topics { return twoTopics{} }
	h.g.cfg.OffsetsRetention = time.Hour
	run := func(r consumer.Heartbeat) {
		t.Helper()
		h.run(h.g.ConsumerHeartbeat(h.now, r, func(_ consumer.Answer, err error) {
			if err != nil {
				t.Errorf("heartbeat: %v", err)
			}
		}))
	}
	h.commit(CommitRequest{Generation: -1, Offsets: append(commitOf(orders0, 1), commitOf(TopicPartition{"payments", 0}, 2)...)})
	run(consumerJoin("a"))
	h.now = h.now.Add(time.Hour)
	run(consumer.Heartbeat{MemberID: "a", Epoch: 1, Rebalance: -1})
	h.run(h.g.Expire(h.now))
	if got := h.g.Fetch(nil); len(got) != 1 || got[0].TopicPartition != orders0 {
		t.Fatalf("offsets of an active group: %+v, want those of its topic", got)
	}
	run(consumer.Heartbeat{MemberID: "a", Epoch: -1})
	h.now = h.now.Add(time.Hour - 1)
	if h.run(h.g.Expire(h.now)); len(h.g.Fetch(nil)) != 1 {
		t.Error("offsets go before the group has been empty for long enough")
	}
	h.now = h.now.Add(1)
	if h.run(h.g.Expire(h.now)); h.g.state != Dead {
		t.Error("group stays")
	}
	if g := h.reload(); g != nil {
		t.Errorf("expired group is loaded: %+v", g.listing())
	}
}

// A member of the consumer protocol gives its epoch as the generation of a
// TxnOffsetCommit (KIP-848, KIP-447).
func TestConsumerMembersCommitInTransactions(t *testing.T) {
	c, _ := consumerCoordinator(t)
	joined := <-beat(c, consumerJoin("m"))
	if joined.err != nil {
		t.Fatal(joined.err)
	}
	for name, tc := range map[string]struct {
		member string
		epoch  int32
		want   error
	}{
		"its epoch":     {"m", joined.Epoch, nil},
		"another epoch": {"m", joined.Epoch + 1, kerr.IllegalGeneration},
		"a stranger":    {"other", joined.Epoch, kerr.UnknownMemberID},
		"no member":     {"", -1, nil}, // clients before KIP-447
	} {
		done := make(chan []error, 1)
		c.CommitTxn(TxnCommitRequest{
			Group: "g", MemberID: tc.member, Generation: tc.epoch, ProducerID: 1, Offsets: commitOf(orders0, 7),
			Append: func(_ []Record, done func(error)) { done(nil) },
		}, func(errs []error) { done <- errs })
		if err := (<-done)[0]; err != tc.want {
			t.Errorf("%s: %v, want %v", name, err, tc.want)
		}
	}
}
