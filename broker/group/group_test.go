package group

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestTransitions(t *testing.T) {
	legal := map[[2]State]bool{
		{Empty, PreparingRebalance}: true, {Empty, Dead}: true,
		{PreparingRebalance, Empty}: true, {PreparingRebalance, CompletingRebalance}: true, {PreparingRebalance, Dead}: true,
		{CompletingRebalance, PreparingRebalance}: true, {CompletingRebalance, Stable}: true, {CompletingRebalance, Dead}: true,
		{Stable, PreparingRebalance}: true, {Stable, Dead}: true,
	}
	for a := Empty; a <= Dead; a++ {
		for b := Empty; b <= Dead; b++ {
			panicked := func() (p bool) {
				defer func() { p = recover() != nil }()
				h := newHarness(t)
				h.g.state = a
				h.g.enter(b, h.now)
				return false
			}()
			if panicked == legal[[2]State{a, b}] {
				t.Errorf("%v to %v: legal %t, panicked %t", a, b, legal[[2]State{a, b}], panicked)
			}
		}
	}
}

// harness drives one group by hand: replies and appends happen when they are
// asked for, appends succeed or fail as told.
type harness struct {
	t     testing.TB
	g     *Group
	now   time.Time
	log   []Record
	fail  error
	hold  bool // appends wait in held
	held  []Action
	joins map[string]*JoinResult
	syncs map[string]*SyncResult
	ids   int
}

func newHarness(t testing.TB) *harness {
	h := &harness{t: t, now: time.UnixMilli(1_000_000), joins: map[string]*JoinResult{}, syncs: map[string]*SyncResult{}}
	cfg, err := Config{
		InitialRebalanceDelay: NoDelay,
		NewID:                 func() string { h.ids++; return fmt.Sprint(h.ids) },
		Logger:                slog.New(slog.NewTextHandler(io.Discard, nil)),
	}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	h.g = newGroup("g", &cfg, h.now)
	return h
}

func (h *harness) run(actions []Action) {
	for len(actions) > 0 {
		a := actions[0]
		actions = actions[1:]
		switch {
		case a.Reply != nil:
			a.Reply()
		case h.hold:
			h.held = append(h.held, a)
		default:
			actions = append(actions, h.store(a)...)
		}
	}
}

func (h *harness) store(a Action) []Action {
	if h.fail == nil {
		h.log = append(h.log, a.Append...)
	}
	return a.Then(h.now, h.fail)
}

func (h *harness) advance(d time.Duration) {
	for end := h.now.Add(d); ; {
		at, ok := h.g.Deadline()
		if !ok || at.After(end) {
			h.now = end
			return
		}
		if at.After(h.now) {
			h.now = at
		}
		h.run(h.g.Tick(h.now))
	}
}

func subscription(topics ...string) []byte {
	m := kmsg.NewConsumerMemberMetadata()
	m.Topics = topics
	return m.AppendTo(nil)
}

func joinRequest(id, instance string) JoinRequest {
	return JoinRequest{
		Group: "g", MemberID: id, InstanceID: instance, ClientID: "c", ProtocolType: "consumer",
		Protocols:      []Protocol{{"range", subscription("orders")}},
		SessionTimeout: 10 * time.Second, RebalanceTimeout: 30 * time.Second,
	}
}

// join sends a JoinGroup; the result is in joins under the key once there is one.
func (h *harness) join(key string, r JoinRequest) {
	delete(h.joins, key)
	h.run(h.g.Join(h.now, r, func(res JoinResult) {
		if h.joins[key] != nil {
			h.t.Errorf("join %s answered twice", key)
		}
		h.joins[key] = &res
	}))
}

func (h *harness) sync(id string, generation int32, assignments map[string][]byte) {
	delete(h.syncs, id)
	h.run(h.g.Sync(h.now, SyncRequest{MemberID: id, Generation: generation, Assignments: assignments}, func(res SyncResult) {
		if h.syncs[id] != nil {
			h.t.Errorf("sync of %s answered twice", id)
		}
		h.syncs[id] = &res
	}))
}

// stable brings up a group of n dynamic members and returns their ids, leader first.
func (h *harness) stable(n int) []string {
	h.t.Helper()
	var ids []string
	for i := range n {
		key := fmt.Sprint("m", i)
		h.join(key, joinRequest("", ""))
		for _, id := range ids { // the others notice and join again
			h.join(id, joinRequest(id, ""))
		}
		if h.joins[key] == nil || h.joins[key].Err != nil {
			h.t.Fatalf("join of %s: %+v", key, h.joins[key])
		}
		ids = append(ids, h.joins[key].MemberID)
	}
	for _, id := range slices.Backward(ids) {
		assignments := map[string][]byte{}
		if id == h.g.leader {
			for _, x := range ids {
				assignments[x] = []byte("for " + x)
			}
		}
		h.sync(id, h.g.generation, assignments)
	}
	for _, id := range ids {
		if r := h.syncs[id]; r == nil || r.Err != nil || string(r.Assignment) != "for "+id {
			h.t.Fatalf("sync of %s: %+v", id, r)
		}
	}
	h.want(Stable)
	return ids
}

func (h *harness) want(s State) {
	h.t.Helper()
	if h.g.state != s {
		h.t.Fatalf("group is %v, want %v", h.g.state, s)
	}
}

func (h *harness) wantJoin(key string, err error) JoinResult {
	h.t.Helper()
	r := h.joins[key]
	if r == nil {
		h.t.Fatalf("join %s is not answered", key)
	}
	if !errors.Is(r.Err, err) {
		h.t.Fatalf("join %s: %v, want %v", key, r.Err, err)
	}
	return *r
}

func (h *harness) heartbeat(id string, generation int32) error {
	return h.g.Heartbeat(h.now, HeartbeatRequest{MemberID: id, Generation: generation})
}

func TestFirstRebalance(t *testing.T) {
	h := newHarness(t)
	h.join("a", joinRequest("", ""))
	r := h.wantJoin("a", nil)
	if r.Generation != 1 || r.Leader != r.MemberID || len(r.Members) != 1 || r.Protocol != "range" || r.ProtocolType != "consumer" {
		t.Errorf("first member hears %+v", r)
	}
	h.want(CompletingRebalance)
	if err := h.heartbeat(r.MemberID, 1); err != nil {
		t.Errorf("heartbeat while completing: %v, want none", err)
	}
	h.hold = true
	h.sync(r.MemberID, 1, map[string][]byte{r.MemberID: []byte("x")})
	if h.syncs[r.MemberID] != nil {
		t.Error("sync answered before the assignment is durable")
	}
	h.hold = false
	h.run(h.store(h.held[0]))
	if s := h.syncs[r.MemberID]; s == nil || s.Err != nil || string(s.Assignment) != "x" {
		t.Errorf("sync: %+v", s)
	}
	h.want(Stable)
}

func TestFailedAssignmentRebalances(t *testing.T) {
	h := newHarness(t)
	h.join("a", joinRequest("", ""))
	id := h.wantJoin("a", nil).MemberID
	h.fail = kerr.NotEnoughReplicas
	h.sync(id, 1, nil)
	if s := h.syncs[id]; s == nil || !errors.Is(s.Err, kerr.CoordinatorNotAvailable) {
		t.Errorf("sync: %+v, want COORDINATOR_NOT_AVAILABLE", s)
	}
	h.want(PreparingRebalance)
}

func TestMemberIDRequired(t *testing.T) {
	h := newHarness(t)
	r := joinRequest("", "")
	r.RequireMemberID = true
	h.join("a", r)
	id := h.wantJoin("a", kerr.MemberIDRequired).MemberID
	if id == "" {
		t.Fatal("no member id given")
	}
	h.want(Empty)
	r.MemberID = id
	h.join("a", r)
	if got := h.wantJoin("a", nil); got.MemberID != id || len(h.g.pending) != 0 {
		t.Errorf("joined as %q with %d pending, want %q and none", got.MemberID, len(h.g.pending), id)
	}
	// An id that is never used again is forgotten with its session.
	r.MemberID = ""
	h.join("b", r)
	late := h.wantJoin("b", kerr.MemberIDRequired).MemberID
	h.sync(id, 1, nil)
	for range 6 {
		h.advance(2 * time.Second)
		if err := h.heartbeat(id, 1); err != nil {
			t.Fatal(err)
		}
	}
	r.MemberID = late
	h.join("b", r)
	h.wantJoin("b", kerr.UnknownMemberID)
}

func TestJoinRules(t *testing.T) {
	for _, tt := range []struct {
		name string
		edit func(*JoinRequest, []string)
		want error
		to   State
	}{
		{"unknown member", func(r *JoinRequest, _ []string) { r.MemberID = "nobody" }, kerr.UnknownMemberID, Stable},
		{"other protocol type", func(r *JoinRequest, _ []string) { r.ProtocolType = "connect" }, kerr.InconsistentGroupProtocol, Stable},
		{"no common protocol", func(r *JoinRequest, _ []string) { r.Protocols = []Protocol{{"sticky", nil}} }, kerr.InconsistentGroupProtocol, Stable},
		{"no protocol", func(r *JoinRequest, _ []string) { r.Protocols = nil }, kerr.InconsistentGroupProtocol, Stable},
		{"unknown instance with an id", func(r *JoinRequest, ids []string) { r.MemberID, r.InstanceID = ids[0], "i" }, kerr.UnknownMemberID, Stable},
		{"follower unchanged", func(r *JoinRequest, ids []string) { r.MemberID = ids[1] }, nil, Stable},
		{"follower changed", func(r *JoinRequest, ids []string) {
			r.MemberID = ids[1]
			r.Protocols = []Protocol{{"range", subscription("other")}}
		}, nil, PreparingRebalance},
		{"leader unchanged", func(r *JoinRequest, ids []string) { r.MemberID = ids[0] }, nil, PreparingRebalance},
		{"new member", func(r *JoinRequest, _ []string) {}, nil, PreparingRebalance},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newHarness(t)
			r := joinRequest("", "")
			tt.edit(&r, h.stable(2))
			generation := h.g.generation
			h.join("x", r)
			h.want(tt.to)
			if tt.to == PreparingRebalance {
				if h.joins["x"] != nil {
					t.Fatalf("join answered with %+v, want it parked", h.joins["x"])
				}
				return
			}
			if got := h.wantJoin("x", tt.want); tt.want == nil && (got.Generation != generation || got.Members != nil) {
				t.Errorf("follower hears %+v", got)
			}
		})
	}
}

func TestRebalanceDropsWhoDoesNotRejoin(t *testing.T) {
	h := newHarness(t)
	ids := h.stable(3)
	generation := h.g.generation
	h.join("new", joinRequest("", ""))
	for _, id := range ids {
		if err := h.heartbeat(id, generation); !errors.Is(err, kerr.RebalanceInProgress) {
			t.Errorf("heartbeat of %s: %v, want REBALANCE_IN_PROGRESS", id, err)
		}
	}
	h.join("1", joinRequest(ids[1], ""))
	h.advance(9 * time.Second)
	if err := h.heartbeat(ids[2], generation); !errors.Is(err, kerr.RebalanceInProgress) {
		t.Fatal(err)
	}
	h.want(PreparingRebalance)
	h.advance(11 * time.Second) // sessions of 0 and 2 end
	h.want(CompletingRebalance)
	a, b := h.wantJoin("new", nil), h.wantJoin("1", nil)
	if a.Generation != generation+1 || b.Generation != generation+1 || a.Leader != b.Leader || b.Leader != ids[1] || len(b.Members) != 2 {
		t.Errorf("members hear %+v and %+v", a, b)
	}
	if err := h.heartbeat(ids[0], generation); !errors.Is(err, kerr.UnknownMemberID) {
		t.Errorf("heartbeat of the old leader: %v, want UNKNOWN_MEMBER_ID", err)
	}
}

func TestMembersThatDoNotSyncAreRemoved(t *testing.T) {
	h := newHarness(t)
	ids := h.stable(2)
	h.join("0", joinRequest(ids[0], ""))
	h.join("1", joinRequest(ids[1], ""))
	generation := h.wantJoin("0", nil).Generation
	h.sync(ids[1], generation, nil) // the leader never does
	for range 4 {
		h.advance(9 * time.Second)
		h.heartbeat(ids[0], generation)
	}
	if s := h.syncs[ids[1]]; s == nil || !errors.Is(s.Err, kerr.RebalanceInProgress) {
		t.Errorf("follower's sync: %+v, want REBALANCE_IN_PROGRESS", s)
	}
	if err := h.heartbeat(ids[0], generation); !errors.Is(err, kerr.UnknownMemberID) {
		t.Errorf("heartbeat of who did not sync: %v, want UNKNOWN_MEMBER_ID", err)
	}
}

func TestInitialDelayIsExtended(t *testing.T) {
	h := newHarness(t)
	h.g.cfg.InitialRebalanceDelay = 3 * time.Second
	h.join("a", joinRequest("", ""))
	h.advance(2 * time.Second)
	h.join("b", joinRequest("", ""))
	h.advance(2 * time.Second)
	h.join("c", joinRequest("", ""))
	if h.joins["a"] != nil {
		t.Fatal("completed although members kept arriving")
	}
	h.advance(5 * time.Second)
	if r := h.wantJoin("a", nil); len(r.Members) != 3 || r.Generation != 1 {
		t.Errorf("leader hears %+v, want 3 members in generation 1", r)
	}
}

func TestSyncRules(t *testing.T) {
	for _, tt := range []struct {
		name string
		req  func(ids []string, generation int32) SyncRequest
		want error
	}{
		{"stable", func(ids []string, g int32) SyncRequest { return SyncRequest{MemberID: ids[0], Generation: g} }, nil},
		{"unknown", func(ids []string, g int32) SyncRequest { return SyncRequest{MemberID: "x", Generation: g} }, kerr.UnknownMemberID},
		{"old generation", func(ids []string, g int32) SyncRequest { return SyncRequest{MemberID: ids[0], Generation: g - 1} }, kerr.IllegalGeneration},
		{"other type", func(ids []string, g int32) SyncRequest {
			return SyncRequest{MemberID: ids[0], Generation: g, ProtocolType: "connect"}
		}, kerr.InconsistentGroupProtocol},
		{"other protocol", func(ids []string, g int32) SyncRequest {
			return SyncRequest{MemberID: ids[0], Generation: g, Protocol: "sticky"}
		}, kerr.InconsistentGroupProtocol},
	} {
		h := newHarness(t)
		ids := h.stable(1)
		var got *SyncResult
		h.run(h.g.Sync(h.now, tt.req(ids, h.g.generation), func(r SyncResult) { got = &r }))
		if got == nil || !errors.Is(got.Err, tt.want) {
			t.Errorf("%s: %+v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestVote(t *testing.T) {
	h := newHarness(t)
	for i, names := range [][]string{{"a", "b"}, {"b", "a"}, {"c", "b", "a"}} {
		m := &member{id: fmt.Sprint(i)}
		for _, n := range names {
			m.protocols = append(m.protocols, Protocol{Name: n})
		}
		h.g.add(m, "consumer")
	}
	if got := h.g.vote(); got != "b" {
		t.Errorf("vote() = %q, want b: two of three prefer it to a, and c is not common", got)
	}
}

func TestGroupMaxSize(t *testing.T) {
	h := newHarness(t)
	h.g.cfg.MaxSize = 2
	ids := h.stable(2)
	h.join("x", joinRequest("", ""))
	h.wantJoin("x", kerr.GroupMaxSizeReached)
	h.want(Stable)
	h.join("1", joinRequest(ids[1], ""))
	h.wantJoin("1", nil)
}

func TestLeave(t *testing.T) {
	h := newHarness(t)
	ids := h.stable(2)
	actions, errs := h.g.Leave(h.now, []LeaveMember{{MemberID: ids[0]}, {MemberID: "nobody"}, {InstanceID: "no instance"}})
	h.run(actions)
	if errs[0] != nil || !errors.Is(errs[1], kerr.UnknownMemberID) || !errors.Is(errs[2], kerr.UnknownMemberID) {
		t.Errorf("Leave = %v", errs)
	}
	h.want(PreparingRebalance)
	actions, errs = h.g.Leave(h.now, []LeaveMember{{MemberID: ids[1]}})
	h.run(actions)
	if errs[0] != nil {
		t.Error(errs[0])
	}
	h.want(Empty)
	if last := h.log[len(h.log)-1]; last.Value == nil {
		t.Error("the empty group is not stored")
	}
}
