package group

import (
	"errors"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// staticPair is a stable group of static members a, the leader, and b.
func staticPair(t *testing.T) (*harness, string, string) {
	t.Helper()
	h := newHarness(t)
	h.join("a", joinRequest("", "a"))
	a := h.wantJoin("a", nil).MemberID
	h.join("b", joinRequest("", "b"))
	h.join("a", joinRequest(a, "a"))
	b := h.wantJoin("b", nil).MemberID
	h.sync(b, h.g.generation, nil)
	h.sync(a, h.g.generation, map[string][]byte{a: []byte("A"), b: []byte("B")})
	h.want(Stable)
	return h, a, b
}

func TestStaticMemberReturnsWithoutRebalance(t *testing.T) {
	h, _, b := staticPair(t)
	generation := h.g.generation
	stored := len(h.log)
	h.join("again", joinRequest("", "b"))
	r := h.wantJoin("again", nil)
	h.want(Stable)
	if r.Generation != generation || r.MemberID == b || len(r.Members) != 0 {
		t.Errorf("returning follower hears %+v", r)
	}
	if len(h.log) != stored+1 {
		t.Errorf("%d records stored, want the new member id", len(h.log)-stored)
	}
	h.sync(r.MemberID, generation, nil)
	if s := h.syncs[r.MemberID]; s == nil || string(s.Assignment) != "B" {
		t.Errorf("returning follower syncs %+v, want its assignment", s)
	}
	fenced := map[string]error{
		"heartbeat": h.g.Heartbeat(h.now, HeartbeatRequest{MemberID: b, InstanceID: "b", Generation: generation}),
		"commit":    h.g.checkCommit(h.now, CommitRequest{MemberID: b, InstanceID: "b", Generation: generation}),
	}
	h.join("old", joinRequest(b, "b"))
	fenced["join"] = h.joins["old"].Err
	for api, err := range fenced {
		if !errors.Is(err, kerr.FencedInstanceID) {
			t.Errorf("%s of the old process: %v, want FENCED_INSTANCE_ID", api, err)
		}
	}
}

func TestStaticLeaderReturns(t *testing.T) {
	for _, skip := range []bool{false, true} {
		h, a, _ := staticPair(t)
		r := joinRequest("", "a")
		r.SkipAssignment = skip
		h.join("again", r)
		got := h.wantJoin("again", nil)
		h.want(Stable)
		switch {
		case skip && (!got.SkipAssignment || got.Leader != got.MemberID || len(got.Members) != 2):
			t.Errorf("v9 leader hears %+v, want all members and to skip the assignment", got)
		case !skip && (got.SkipAssignment || got.Leader != a || got.Members != nil):
			t.Errorf("older leader hears %+v, want to believe that another leads", got)
		}
	}
}

func TestStaticMemberWithNewSubscriptionRebalances(t *testing.T) {
	h, _, _ := staticPair(t)
	r := joinRequest("", "b")
	r.Protocols = []Protocol{{"range", subscription("other")}}
	h.join("again", r)
	if h.joins["again"] != nil {
		t.Errorf("answered with %+v, want a rebalance", h.joins["again"])
	}
	h.want(PreparingRebalance)
}

func TestStaticMemberStaysUntilItsSessionEnds(t *testing.T) {
	h, a, b := staticPair(t)
	r := joinRequest(a, "a")
	r.Protocols = []Protocol{{"range", subscription("other")}}
	r.RebalanceTimeout = time.Second
	h.g.members[b].rebalance = time.Second
	h.g.members[b].session = time.Hour
	h.g.members[b].touch(h.now)
	h.join("a", r)
	h.advance(2 * time.Second)
	got := h.wantJoin("a", nil)
	if len(got.Members) != 2 {
		t.Errorf("leader hears of %d members, want the silent static one too", len(got.Members))
	}
}

func TestAdministratorRemovesStaticMember(t *testing.T) {
	h, a, b := staticPair(t)
	actions, errs := h.g.Leave(h.now, []LeaveMember{{MemberID: a, InstanceID: "b"}, {InstanceID: "b"}})
	h.run(actions)
	if !errors.Is(errs[0], kerr.FencedInstanceID) || errs[1] != nil {
		t.Errorf("Leave = %v", errs)
	}
	if h.g.members[b] != nil || h.g.static["b"] != "" {
		t.Error("the member is still there")
	}
	h.want(PreparingRebalance)
}

func TestFailedStoreOfReturningMember(t *testing.T) {
	h, _, _ := staticPair(t)
	h.fail = kerr.NotLeaderForPartition
	h.join("again", joinRequest("", "b"))
	h.wantJoin("again", kerr.NotCoordinator)
}
