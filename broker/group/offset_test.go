package group

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

var orders0 = TopicPartition{"orders", 0}

func commitOf(tp TopicPartition, offset int64) []OffsetToCommit {
	return []OffsetToCommit{{TopicPartition: tp, Offset: offset, LeaderEpoch: 3, Metadata: "m"}}
}

func (h *harness) commit(r CommitRequest) []error {
	h.t.Helper()
	var got []error
	h.run(h.g.Commit(h.now, r, func(errs []error) { got = errs }))
	if got == nil && !h.hold {
		h.t.Fatal("commit is not answered")
	}
	return got
}

func (h *harness) committed(tp TopicPartition) int64 {
	return h.g.Fetch([]TopicPartition{tp})[0].Offset
}

func TestCommitRules(t *testing.T) {
	for _, tt := range []struct {
		name string
		prep func(h *harness) CommitRequest
		want error
	}{
		{"simple consumer", func(*harness) CommitRequest { return CommitRequest{Generation: -1} }, nil},
		{"simple consumer in an active group", func(h *harness) CommitRequest {
			h.stable(1)
			return CommitRequest{Generation: -1}
		}, kerr.UnknownMemberID},
		{"member", func(h *harness) CommitRequest {
			return CommitRequest{MemberID: h.stable(1)[0], Generation: h.g.generation}
		}, nil},
		{"unknown member", func(h *harness) CommitRequest {
			h.stable(1)
			return CommitRequest{MemberID: "x", Generation: h.g.generation}
		}, kerr.UnknownMemberID},
		{"old generation", func(h *harness) CommitRequest {
			return CommitRequest{MemberID: h.stable(1)[0], Generation: h.g.generation - 1}
		}, kerr.IllegalGeneration},
		{"while preparing", func(h *harness) CommitRequest {
			id := h.stable(1)[0]
			h.join("x", joinRequest("", ""))
			h.want(PreparingRebalance)
			return CommitRequest{MemberID: id, Generation: h.g.generation}
		}, nil},
		{"while completing", func(h *harness) CommitRequest {
			h.join("x", joinRequest("", ""))
			h.want(CompletingRebalance)
			return CommitRequest{MemberID: h.wantJoin("x", nil).MemberID, Generation: 1}
		}, kerr.RebalanceInProgress},
		{"dead", func(h *harness) CommitRequest {
			h.run(h.g.kill(h.now))
			return CommitRequest{Generation: -1}
		}, kerr.CoordinatorNotAvailable},
		{"failed append", func(h *harness) CommitRequest {
			h.fail = kerr.MessageTooLarge
			return CommitRequest{Generation: -1}
		}, kerr.InvalidCommitOffsetSize},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newHarness(t)
			r := tt.prep(h)
			r.Offsets = commitOf(orders0, 42)
			errs := h.commit(r)
			if len(errs) != 1 || !errors.Is(errs[0], tt.want) {
				t.Fatalf("Commit = %v, want %v", errs, tt.want)
			}
			want := int64(-1)
			if tt.want == nil {
				want = 42
			}
			if got := h.committed(orders0); got != want {
				t.Errorf("committed offset is %d, want %d", got, want)
			}
		})
	}
}

func TestCommitIsVisibleOnceDurable(t *testing.T) {
	h := newHarness(t)
	h.hold = true
	for offset := range int64(2) {
		h.commit(CommitRequest{Generation: -1, Offsets: commitOf(orders0, offset)})
	}
	if got := h.committed(orders0); got != -1 {
		t.Errorf("offset %d is visible before it is durable", got)
	}
	h.run(h.store(h.held[1]))
	h.run(h.store(h.held[0])) // an old commit that completes late
	if got := h.committed(orders0); got != 1 {
		t.Errorf("committed offset is %d, want the later 1", got)
	}
}

func TestCommitLargeMetadata(t *testing.T) {
	h := newHarness(t)
	r := CommitRequest{Generation: -1, Offsets: append(commitOf(orders0, 1), commitOf(TopicPartition{"orders", 1}, 2)...)}
	r.Offsets[0].Metadata = strings.Repeat("x", 4097)
	if errs := h.commit(r); !errors.Is(errs[0], kerr.OffsetMetadataTooLarge) || errs[1] != nil {
		t.Errorf("Commit = %v", errs)
	}
	all := h.g.Fetch(nil)
	if len(all) != 1 || all[0] != (CommittedOffset{TopicPartition{"orders", 1}, 2, 3, "m", false}) {
		t.Errorf("Fetch(nil) = %+v", all)
	}
	if missing := h.g.Fetch([]TopicPartition{orders0}); missing[0] != (CommittedOffset{orders0, -1, -1, "", false}) {
		t.Errorf("missing offset is %+v", missing[0])
	}
}

func TestDeleteOffsets(t *testing.T) {
	h := newHarness(t)
	other := TopicPartition{"other", 0}
	h.commit(CommitRequest{Generation: -1, Offsets: append(commitOf(orders0, 1), commitOf(other, 2)...)})
	h.stable(1)
	var errs []error
	var all error
	done := func(e []error, a error) { errs, all = e, a }
	h.run(h.g.DeleteOffsets([]TopicPartition{orders0, other}, done))
	if all != nil || !errors.Is(errs[0], kerr.GroupSubscribedToTopic) || errs[1] != nil {
		t.Errorf("DeleteOffsets = %v, %v", errs, all)
	}
	if h.committed(orders0) != 1 || h.committed(other) != -1 {
		t.Errorf("offsets left: %+v", h.g.Fetch(nil))
	}
	h.g.protocolType = "connect"
	h.run(h.g.DeleteOffsets([]TopicPartition{orders0}, done))
	if !errors.Is(all, kerr.NonEmptyGroup) {
		t.Errorf("active connect group: %v, want NON_EMPTY_GROUP", all)
	}
}

func TestDelete(t *testing.T) {
	h := newHarness(t)
	h.commit(CommitRequest{Generation: -1, Offsets: commitOf(orders0, 1)})
	ids := h.stable(1)
	var got error
	done := func(err error) { got = err }
	h.run(h.g.Delete(done))
	if !errors.Is(got, kerr.NonEmptyGroup) {
		t.Errorf("Delete of an active group: %v, want NON_EMPTY_GROUP", got)
	}
	actions, _ := h.g.Leave(h.now, []LeaveMember{{MemberID: ids[0]}})
	h.run(actions)
	h.fail = kerr.NotEnoughReplicas
	h.run(h.g.Delete(done))
	if !errors.Is(got, kerr.CoordinatorNotAvailable) {
		t.Errorf("Delete that cannot be stored: %v", got)
	}
	h.want(Empty)
	h.fail, h.hold = nil, true
	h.run(h.g.Delete(done))
	h.join("x", joinRequest("", ""))
	h.wantJoin("x", kerr.CoordinatorNotAvailable)
	h.run(h.store(h.held[0]))
	if got != nil {
		t.Errorf("Delete: %v", got)
	}
	h.want(Dead)
	tail := h.log[len(h.log)-2:]
	for _, r := range tail {
		if r.Value != nil {
			t.Errorf("record %q is no tombstone", r.Key)
		}
	}
}

func TestExpire(t *testing.T) {
	week := 7 * 24 * time.Hour
	for _, tt := range []struct {
		name string
		prep func(h *harness)
		wait time.Duration
		want int64
		dead bool
	}{
		{"simple, fresh", func(*harness) {}, week - time.Second, 5, false},
		{"simple, old", func(*harness) {}, week, -1, true},
		{"active and subscribed", func(h *harness) { h.stable(1) }, 2 * week, 5, false},
		{"active, other topic", func(h *harness) {
			id := h.stable(1)[0]
			h.g.members[id].protocols[0].Metadata = subscription("other")
		}, week, -1, false},
		{"active connect group", func(h *harness) { h.stable(1); h.g.protocolType = "connect" }, 2 * week, 5, false},
		{"emptied later", func(h *harness) {
			id := h.stable(1)[0]
			h.now = h.now.Add(week)
			actions, _ := h.g.Leave(h.now, []LeaveMember{{MemberID: id}})
			h.run(actions)
		}, week - time.Second, 5, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newHarness(t)
			h.commit(CommitRequest{Generation: -1, Offsets: commitOf(orders0, 5)})
			tt.prep(h)
			h.now = h.now.Add(tt.wait)
			h.run(h.g.Expire(h.now))
			if got := h.committed(orders0); got != tt.want || (h.g.state == Dead) != tt.dead {
				t.Errorf("offset %d in state %v, want %d, dead %t", got, h.g.state, tt.want, tt.dead)
			}
		})
	}
}

func TestExplicitExpiry(t *testing.T) {
	h := newHarness(t)
	o := commitOf(orders0, 5)
	o[0].ExpireAt = h.now.Add(time.Minute)
	h.commit(CommitRequest{Generation: -1, Offsets: o})
	h.hold = true
	h.commit(CommitRequest{Generation: -1, Offsets: commitOf(TopicPartition{"b", 0}, 1)})
	h.now = h.now.Add(time.Minute)
	if a := h.g.Expire(h.now); a != nil {
		t.Errorf("Expire = %d actions while a commit is in flight, want none", len(a))
	}
	h.hold = false
	h.run(h.store(h.held[0]))
	h.run(h.g.Expire(h.now))
	if h.committed(orders0) != -1 || h.committed(TopicPartition{"b", 0}) != 1 {
		t.Errorf("offsets left: %+v", h.g.Fetch(nil))
	}
}

func TestTopicDeleted(t *testing.T) {
	h := newHarness(t)
	h.commit(CommitRequest{Generation: -1, Offsets: append(commitOf(orders0, 1), commitOf(TopicPartition{"b", 0}, 2)...)})
	h.run(h.g.TopicDeleted("orders"))
	if all := h.g.Fetch(nil); len(all) != 1 || all[0].Topic != "b" {
		t.Errorf("offsets left: %+v", all)
	}
}
