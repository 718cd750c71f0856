package consumer

import (
	"bytes"
	"encoding/hex"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// harness drives one group whose records are always stored.
type harness struct {
	t      *testing.T
	g      *Group
	now    time.Time
	topics *cluster
	log    []Record
}

func newHarness(t *testing.T) *harness {
	h := &harness{t: t, g: New("g", testConfig()), now: time.UnixMilli(1e9), topics: newCluster()}
	h.topics.set("orders", 4)
	return h
}

func (h *harness) beat(r Heartbeat) (Answer, error) {
	h.t.Helper()
	if err := h.g.cfg.Check(&r); err != nil {
		return Answer{}, err
	}
	a, c, err := h.g.Heartbeat(h.now, r, h.topics)
	h.log = append(h.log, c.Records...)
	return a, err
}

func (h *harness) must(r Heartbeat) Answer {
	h.t.Helper()
	a, err := h.beat(r)
	if err != nil {
		h.t.Fatalf("heartbeat %+v: %v", r, err)
	}
	return a
}

// join is a member's first heartbeat.
func join(id string, names ...string) Heartbeat {
	return Heartbeat{MemberID: id, Rebalance: 30 * time.Second, Names: append([]string{}, names...), OwnedGiven: true, ClientID: "client", ClientHost: "/host"}
}

func keepAlive(id string, epoch int32) Heartbeat {
	return Heartbeat{MemberID: id, Epoch: epoch, Rebalance: -1}
}

func owning(id string, epoch int32, owned Assignment) Heartbeat {
	r := keepAlive(id, epoch)
	r.Owned, r.OwnedGiven = owned, true
	return r
}

var orders = TopicID{1}

func wantErr(t *testing.T, what string, got error, want *kerr.Error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// Partitions move in two steps: the first member lets go and says so, and
// only then the second gets them.
func TestPartitionsMoveOnceConfirmed(t *testing.T) {
	h := newHarness(t)
	a := h.must(join("a", "orders"))
	if a.Epoch != 1 || !a.Assignment.Equal(Assignment{orders: {0, 1, 2, 3}}) || a.Interval != 5*time.Second {
		t.Fatalf("first member gets %+v", a)
	}
	if h.g.State() != Stable {
		t.Errorf("state is %v", h.g.State())
	}
	b := h.must(join("b", "orders"))
	if b.Epoch != 2 || len(b.Assignment) != 0 || b.Assignment == nil {
		t.Fatalf("second member gets %+v, want nothing yet", b)
	}
	a = h.must(keepAlive("a", 1))
	if a.Epoch != 1 || !a.Assignment.Equal(Assignment{orders: {0, 1}}) {
		t.Fatalf("first member hears %+v, want to let go of two at its old epoch", a)
	}
	if h.g.State() != Reconciling {
		t.Errorf("state is %v", h.g.State())
	}
	if a = h.must(owning("a", 1, Assignment{orders: {0, 1, 2}})); a.Epoch != 1 || a.Assignment != nil {
		t.Fatalf("first member hears %+v while it still has one", a)
	}
	if b = h.must(keepAlive("b", 2)); len(b.Assignment) != 0 {
		t.Fatalf("second member gets %+v before the first has let go", b)
	}
	if a = h.must(owning("a", 1, Assignment{orders: {0, 1}})); a.Epoch != 2 {
		t.Fatalf("first member hears %+v after it let go", a)
	}
	if b = h.must(keepAlive("b", 2)); !b.Assignment.Equal(Assignment{orders: {2, 3}}) {
		t.Fatalf("second member gets %+v", b)
	}
	if h.g.State() != Stable {
		t.Errorf("state is %v", h.g.State())
	}
	if b = h.must(keepAlive("b", 2)); b.Assignment != nil {
		t.Errorf("unchanged assignment is told again: %+v", b)
	}
}

func TestMemberThatDoesNotLetGoIsRemoved(t *testing.T) {
	h := newHarness(t)
	h.must(join("a", "orders"))
	h.must(join("b", "orders"))
	h.must(keepAlive("a", 1))
	at, ok := h.g.Deadline()
	if want := h.now.Add(30 * time.Second); !ok || !at.Equal(want) {
		t.Fatalf("deadline is %v, want %v: the rebalance timeout", at, want)
	}
	h.now = h.now.Add(20 * time.Second)
	h.must(keepAlive("a", 1)) // keeps the session, not the partitions
	h.must(keepAlive("b", 2))
	h.now = at
	gone, c := h.g.Tick(h.now)
	if h.log = append(h.log, c.Records...); !reflect.DeepEqual(gone, []string{"a"}) {
		t.Fatalf("removed %v", gone)
	}
	if b := h.must(keepAlive("b", 2)); !b.Assignment.Equal(Assignment{orders: {0, 1, 2, 3}}) {
		t.Errorf("the other member gets %+v", b)
	}
	_, err := h.beat(keepAlive("a", 1))
	wantErr(t, "heartbeat of the removed member", err, kerr.UnknownMemberID)
}

func TestEpochs(t *testing.T) {
	h := newHarness(t)
	h.must(join("a", "orders"))
	h.must(join("b", "orders"))
	h.must(keepAlive("a", 1))
	h.must(owning("a", 1, Assignment{orders: {0, 1}})) // its answer, epoch 2, is lost
	for _, tt := range []struct {
		name string
		r    Heartbeat
		want *kerr.Error
	}{
		{"the epoch before with what it has", owning("a", 1, Assignment{orders: {0, 1}}), nil},
		{"the epoch before with what it lost", owning("a", 1, Assignment{orders: {0, 2}}), kerr.FencedMemberEpoch},
		{"the epoch before without a word about it", keepAlive("a", 1), kerr.FencedMemberEpoch},
		{"an epoch to come", keepAlive("a", 3), kerr.FencedMemberEpoch},
		{"an unknown member", keepAlive("x", 2), kerr.UnknownMemberID},
		{"an unknown member leaves", keepAlive("x", -1), kerr.UnknownMemberID},
	} {
		_, err := h.beat(tt.r)
		if tt.want == nil && err == nil {
			continue
		}
		if tt.want == nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		wantErr(t, tt.name, err, tt.want)
	}
	if a := h.must(join("a", "orders")); a.Epoch != 2 || !a.Assignment.Equal(Assignment{orders: {0, 1}}) {
		t.Errorf("a member that joins again gets %+v, want what it had", a)
	}
	for _, tt := range []struct {
		member     string
		epoch      int32
		partitions []int32
		want       *kerr.Error
	}{
		{"a", 2, []int32{0, 1, 2}, nil},
		{"a", 1, []int32{0, 1}, nil}, // it has had them since (KIP-1251)
		{"a", 1, []int32{0, 2}, kerr.StaleMemberEpoch},
		{"a", 3, []int32{0}, kerr.StaleMemberEpoch},
		{"a", -1, []int32{0}, kerr.StaleMemberEpoch},
		{"b", 1, []int32{2}, kerr.StaleMemberEpoch},
		{"x", 1, nil, kerr.UnknownMemberID},
		{"", -1, nil, kerr.UnknownMemberID},
	} {
		err := h.g.CheckCommit(tt.member, tt.epoch, func(yield func(Committed) bool) {
			for _, p := range tt.partitions {
				if !yield(Committed{"orders", p}) {
					return
				}
			}
		})
		if tt.want == nil {
			if err != nil {
				t.Errorf("%s commits %v at epoch %d: %v", tt.member, tt.partitions, tt.epoch, err)
			}
			continue
		}
		wantErr(t, "commit", err, tt.want)
	}
}

func TestRequestRules(t *testing.T) {
	with := func(change func(*Heartbeat)) Heartbeat {
		r := join("a", "orders")
		r.MustHaveID = true
		change(&r)
		return r
	}
	bad, unknown, long := "a)|(b", "sticky", strings.Repeat("x", maxPattern+1)
	for _, tt := range []struct {
		name string
		r    Heartbeat
		want *kerr.Error
	}{
		{"no member id", with(func(r *Heartbeat) { r.MemberID = "" }), kerr.InvalidRequest},
		{"epoch below -2", with(func(r *Heartbeat) { r.Epoch = -3 }), kerr.InvalidRequest},
		{"dynamic member leaves for a while", with(func(r *Heartbeat) { r.Epoch = -2 }), kerr.InvalidRequest},
		{"no rebalance timeout", with(func(r *Heartbeat) { r.Rebalance = -1 }), kerr.InvalidRequest},
		{"owned partitions not given", with(func(r *Heartbeat) { r.OwnedGiven = false }), kerr.InvalidRequest},
		{"owned partitions not empty", with(func(r *Heartbeat) { r.Owned = Assignment{orders: {0}} }), kerr.InvalidRequest},
		{"no subscription", with(func(r *Heartbeat) { r.Names = nil }), kerr.InvalidRequest},
		{"unknown assignor", with(func(r *Heartbeat) { r.Assignor = &unknown }), kerr.UnsupportedAssignor},
		{"bad pattern", with(func(r *Heartbeat) { r.Regex = &bad }), kerr.InvalidRegularExpression},
		{"long pattern", with(func(r *Heartbeat) { r.Regex = &long }), kerr.InvalidRegularExpression},
		{"long id", with(func(r *Heartbeat) { r.MemberID = strings.Repeat("x", maxString+1) }), kerr.InvalidRequest},
	} {
		h := newHarness(t)
		_, err := h.beat(tt.r)
		wantErr(t, tt.name, err, tt.want)
		if !h.g.Blank() {
			t.Errorf("%s: the group is not as it was", tt.name)
		}
	}
	h := newHarness(t)
	h.g.cfg.MaxSize = 1
	h.must(join("a", "orders"))
	_, err := h.beat(join("b", "orders"))
	wantErr(t, "a member too many", err, kerr.GroupMaxSizeReached)
	r := join("", "orders")
	h.g.cfg.MaxSize = 2
	if a := h.must(r); a.MemberID != "id-1" {
		t.Errorf("v0 member gets id %q", a.MemberID)
	}
}

func TestStaticMembers(t *testing.T) {
	h := newHarness(t)
	static := func(id string) Heartbeat {
		r := join(id, "orders")
		r.InstanceID = "i"
		return r
	}
	h.must(static("one"))
	_, err := h.beat(static("two"))
	wantErr(t, "the instance is in use", err, kerr.UnreleasedInstanceID)
	if a := h.must(static("one")); a.Epoch != 1 {
		t.Errorf("the same process joins again at epoch %d", a.Epoch)
	}
	r := keepAlive("two", 1)
	r.InstanceID = "i"
	_, err = h.beat(r)
	wantErr(t, "another process's heartbeat", err, kerr.FencedInstanceID)
	r.InstanceID = "j"
	_, err = h.beat(r)
	wantErr(t, "an unknown instance's heartbeat", err, kerr.UnknownMemberID)

	goodbye := keepAlive("one", epochLeaveStatic)
	goodbye.InstanceID = "i"
	if a := h.must(goodbye); a.Epoch != epochLeaveStatic {
		t.Errorf("leaves with epoch %d", a.Epoch)
	}
	if b := h.must(join("b", "orders")); len(b.Assignment) != 0 {
		t.Errorf("another member gets %v of a member that is away", b.Assignment)
	}
	h.now = h.now.Add(session - 1)
	h.must(keepAlive("b", 2))
	if a := h.must(static("two")); a.Epoch != 1 && a.Epoch != 2 || len(a.Assignment[orders]) < 2 {
		t.Errorf("the next process gets %+v, want the place of the first", a)
	}
	_, err = h.beat(keepAlive("one", 1))
	wantErr(t, "the first process", err, kerr.UnknownMemberID)

	goodbye = keepAlive("two", epochLeaveStatic)
	goodbye.InstanceID = "i"
	h.must(goodbye)
	h.now = h.now.Add(session)
	if gone, _ := h.g.Tick(h.now); !reflect.DeepEqual(gone, []string{"b", "two"}) {
		t.Errorf("removed %v after a session without anyone", gone)
	}
}

func TestSubscriptions(t *testing.T) {
	h := newHarness(t)
	regex := "or.*|pay"
	r := join("a")
	r.Regex = &regex
	if a := h.must(r); !a.Assignment.Equal(Assignment{orders: {0, 1, 2, 3}}) {
		t.Fatalf("pattern gets %v", a.Assignment)
	}
	h.topics.set("payments", 1) // matches only in part
	if a := h.must(keepAlive("a", 1)); a.Epoch != 1 || a.Assignment != nil {
		t.Errorf("another topic changes the group: %+v", a)
	}
	h.topics.set("pay", 2)
	if a := h.must(keepAlive("a", 1)); a.Epoch != 2 || !a.Assignment.Equal(Assignment{orders: {0, 1, 2, 3}, {3}: {0, 1}}) {
		t.Errorf("a new topic that matches gives %+v", a)
	}
	h.topics.set("orders", 5)
	if a := h.must(keepAlive("a", 2)); a.Epoch != 3 || len(a.Assignment[orders]) != 5 {
		t.Errorf("a new partition gives %+v", a)
	}
	h.topics.drop("orders")
	if a := h.must(keepAlive("a", 3)); len(a.Assignment[orders]) != 0 {
		t.Errorf("a deleted topic is assigned: %+v", a)
	}
	if !h.g.Subscribed("pay") || h.g.Subscribed("payments") {
		t.Error("subscribed to other topics than the pattern says")
	}
}

func TestAssignorIsVotedFor(t *testing.T) {
	h := newHarness(t)
	ranged := "range"
	for i, id := range []string{"a", "b", "c"} {
		r := join(id, "orders")
		if i > 0 {
			r.Assignor = &ranged
		}
		h.must(r)
	}
	if got := h.g.Describe().Assignor; got != "range" {
		t.Errorf("assignor is %s, two of three want range", got)
	}
}

// The bytes are those of Kafka's schemas.
func TestRecordBytes(t *testing.T) {
	id := TopicID{0: 0xaa, 15: 0xbb}
	uuid := "aa0000000000000000000000000000bb"
	g, m := "000167", "00016d" // the group g, the member m
	for _, tt := range []struct {
		c          change
		key, value string
	}{
		{change{kindEpoch, "", int32(10)}, "0003" + g, "0000" + "0000000a" + "00"},
		{change{kindTopics, "", map[string]Topic{"t": {id, 3}}}, "0004" + g, "0000" + "02" + uuid + "0274" + "00000003" + "01" + "00" + "00"},
		{change{kindMember, "m", &membership{instance: "i", clientID: "c", clientHost: "/h", names: []string{"t"}, rebalance: time.Second, assignor: "range"}},
			"0005" + g + m, "0000" + "0269" + "00" + "0263" + "032f68" + "020274" + "00" + "000003e8" + "0672616e6765" + "00"},
		{change{kindTargetEpoch, "", int32(10)}, "0006" + g, "0000" + "0000000a" + "00"},
		{change{kindTarget, "m", Assignment{id: {0, 1}}}, "0007" + g + m, "0000" + "02" + uuid + "03" + "00000000" + "00000001" + "00" + "00"},
		{change{kindCurrent, "m", &current{epoch: 3, previous: 2, state: unrevoked, assigned: Assignment{}, revoking: Assignment{id: {7}}}},
			"0008" + g + m, "0000" + "00000003" + "00000002" + "01" + "01" + "02" + uuid + "02" + "00000007" + "00" + "00"},
		{change{kindTarget, "m", nil}, "0007" + g + m, ""},
	} {
		r := tt.c.encode("g")
		if got := hex.EncodeToString(r.Key); got != tt.key {
			t.Errorf("key of kind %d is %s, want %s", tt.c.kind, got, tt.key)
		}
		if got := hex.EncodeToString(r.Value); got != tt.value {
			t.Errorf("value of kind %d is\n%s, want\n%s", tt.c.kind, got, tt.value)
		}
		d, err := Decode(r)
		if err != nil || d.Group != "g" || !reflect.DeepEqual(d.change, tt.c) {
			t.Errorf("kind %d is read as %+v, %v", tt.c.kind, d, err)
		}
	}
}

// Tagged fields, such as those of members that still use the classic protocol,
// are skipped.
func TestTaggedFieldsAreSkipped(t *testing.T) {
	r := change{kindMember, "m", &membership{clientID: "c", clientHost: "/h", names: []string{"t"}}}.encode("g")
	r.Value = append(r.Value[:len(r.Value)-1], 1, 0, 3, 9, 9, 9)
	if d, err := Decode(r); err != nil || d.change.value.(*membership).clientID != "c" {
		t.Errorf("read as %+v, %v", d, err)
	}
}

func FuzzDecode(f *testing.F) {
	h := &harness{g: New("g", testConfig()), topics: newCluster()}
	h.topics.set("orders", 4)
	for _, id := range []string{"a", "b"} {
		_, c, err := h.g.Heartbeat(time.UnixMilli(0), join(id, "orders"), h.topics)
		if err != nil {
			f.Fatal(err)
		}
		for _, r := range c.Records {
			f.Add(r.Key, r.Value)
		}
	}
	f.Fuzz(func(t *testing.T, key, value []byte) {
		if !Mine(key) {
			return
		}
		d, err := Decode(Record{key, value})
		if err != nil {
			if !errors.Is(err, errRecord) {
				t.Fatalf("error %v is not errRecord", err)
			}
			return
		}
		g := New(d.Group, testConfig())
		g.Replay(d)
		g.Restart(time.UnixMilli(0))
		g.Describe()
		again := d.change.encode(d.Group)
		if e, err := Decode(again); err != nil || !bytes.Equal(e.change.encode(e.Group).Value, again.Value) {
			t.Fatalf("%+v is read back as %+v, %v", d, e, err)
		}
	})
}
