package group

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// TestMain fails the package when a goroutine outlives the tests.
func TestMain(m *testing.M) {
	code := m.Run()
	for deadline := time.Now().Add(2 * time.Second); ; runtime.Gosched() {
		stacks := make([]byte, 1<<20)
		stacks = stacks[:runtime.Stack(stacks, true)]
		if !strings.Contains(string(stacks), "group.(*") {
			break
		}
		if time.Now().After(deadline) {
			fmt.Fprintf(os.Stderr, "goroutines left:\n%s", stacks)
			code = 1
			break
		}
	}
	os.Exit(code)
}

// topic is a __consumer_offsets in memory. It answers after the delay, or
// within Append if there is none.
type topic struct {
	delay time.Duration

	mu      sync.Mutex // guards below
	records map[int32][]Record
	err     error
}

func (s *topic) Append(partition int32, records []Record, done func(error)) {
	s.mu.Lock()
	err := s.err
	if err == nil {
		if s.records == nil {
			s.records = make(map[int32][]Record)
		}
		s.records[partition] = append(s.records[partition], records...)
	}
	s.mu.Unlock()
	if s.delay == 0 {
		done(err)
		return
	}
	time.AfterFunc(s.delay, func() { done(err) })
}

func (s *topic) load(t *testing.T, c *Coordinator, partition int32) {
	t.Helper()
	s.mu.Lock()
	records := s.records[partition]
	s.mu.Unlock()
	if err := c.Load(partition, func(yield func(Record, error) bool) {
		for _, r := range records {
			if !yield(r, nil) {
				return
			}
		}
	}); err != nil {
		t.Fatal(err)
	}
}

func newCoordinator(t *testing.T, cfg Config) *Coordinator {
	t.Helper()
	cfg.Partitions = 1
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func join(c *Coordinator, r JoinRequest) <-chan JoinResult {
	ch := make(chan JoinResult, 1)
	c.Join(r, func(res JoinResult) { ch <- res })
	return ch
}

func syncGroup(c *Coordinator, r SyncRequest) <-chan SyncResult {
	ch := make(chan SyncResult, 1)
	c.Sync(r, func(res SyncResult) { ch <- res })
	return ch
}

func TestCoordinatorTimers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &topic{delay: 5 * time.Millisecond}
		c := newCoordinator(t, Config{Store: store})
		defer c.Close()
		store.load(t, c, 0)
		begin := time.Now()
		a := <-join(c, joinRequest("", ""))
		if a.Err != nil || time.Since(begin) != 3*time.Second {
			t.Fatalf("first join after %v: %+v, want it after group.initial.rebalance.delay.ms", time.Since(begin), a)
		}
		begin = time.Now()
		s := <-syncGroup(c, SyncRequest{Group: "g", MemberID: a.MemberID, Generation: 1, Assignments: map[string][]byte{a.MemberID: []byte("x")}})
		if s.Err != nil || string(s.Assignment) != "x" || time.Since(begin) != store.delay {
			t.Fatalf("sync after %v: %+v, want it once the store has it", time.Since(begin), s)
		}
		for range 5 { // heartbeats keep the session
			time.Sleep(9 * time.Second)
			if err := c.Heartbeat(HeartbeatRequest{Group: "g", MemberID: a.MemberID, Generation: 1}); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(10*time.Second - 1)
		synctest.Wait()
		if d, err := c.Describe("g"); err != nil || d.State != Stable || len(d.Members) != 1 || d.Protocol != "range" {
			t.Fatalf("just before the session ends: %+v, %v", d, err)
		}
		time.Sleep(1 + store.delay)
		synctest.Wait()
		if d, err := c.Describe("g"); err != nil || d.State != Empty {
			t.Fatalf("after the session: %+v, %v", d, err)
		}
		if l, err := c.List(); err != nil || len(l) != 1 || l[0] != (Listing{"g", "consumer", "Empty", "classic"}) {
			t.Fatalf("List = %+v, %v", l, err)
		}
	})
}

// TestCoordinatorTimerMovesForward joins a group whose timer is set far ahead.
func TestCoordinatorTimerMovesForward(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &topic{}
		c := newCoordinator(t, Config{Store: store, InitialRebalanceDelay: NoDelay})
		defer c.Close()
		store.load(t, c, 0)
		r := joinRequest("", "")
		r.SessionTimeout = 20 * time.Minute
		a := <-join(c, r)
		<-syncGroup(c, SyncRequest{Group: "g", MemberID: a.MemberID, Generation: 1})
		time.Sleep(time.Minute) // past the deadline to sync, with the session's ahead
		begin := time.Now()
		b := <-join(c, joinRequest("", ""))
		if b.Err != nil || time.Since(begin) != r.RebalanceTimeout || b.Leader != b.MemberID {
			t.Errorf("join after %v: %+v, want it when the rebalance times out", time.Since(begin), b)
		}
	})
}

func TestCoordinatorMovesGroups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &topic{}
		first := newCoordinator(t, Config{Store: store, InitialRebalanceDelay: NoDelay})
		defer first.Close()
		if err := first.Heartbeat(HeartbeatRequest{Group: "g"}); !errors.Is(err, kerr.NotCoordinator) {
			t.Errorf("before loading: %v, want NOT_COORDINATOR", err)
		}
		store.load(t, first, 0)
		a := <-join(first, joinRequest("", ""))
		<-syncGroup(first, SyncRequest{Group: "g", MemberID: a.MemberID, Generation: 1})
		committed := make(chan []error, 1)
		first.Commit(CommitRequest{Group: "g", MemberID: a.MemberID, Generation: 1, Offsets: commitOf(orders0, 9)}, func(e []error) { committed <- e })
		if errs := <-committed; errs[0] != nil {
			t.Fatal(errs)
		}
		parked := join(first, joinRequest("", ""))
		first.Unload(0)
		if r := <-parked; !errors.Is(r.Err, kerr.NotCoordinator) {
			t.Errorf("parked join: %v, want NOT_COORDINATOR", r.Err)
		}
		second := newCoordinator(t, Config{Store: store})
		defer second.Close()
		store.load(t, second, 0)
		if err := second.Heartbeat(HeartbeatRequest{Group: "g", MemberID: a.MemberID, Generation: 1}); err != nil {
			t.Errorf("heartbeat at the new coordinator: %v", err)
		}
		if o, err := second.Fetch("g", nil); err != nil || len(o) != 1 || o[0].Offset != 9 {
			t.Errorf("Fetch at the new coordinator = %+v, %v", o, err)
		}
		time.Sleep(11 * time.Second)
		synctest.Wait()
		if d, err := second.Describe("g"); err != nil || d.State != Empty {
			t.Errorf("after a silent session: %+v, %v", d, err)
		}
	})
}

func TestCoordinatorWhileLoading(t *testing.T) {
	c := newCoordinator(t, Config{Store: &topic{}})
	defer c.Close()
	err := c.Load(0, func(yield func(Record, error) bool) {
		if err := c.Heartbeat(HeartbeatRequest{Group: "g"}); !errors.Is(err, kerr.CoordinatorLoadInProgress) {
			t.Errorf("Heartbeat while loading: %v", err)
		}
		if _, err := c.List(); !errors.Is(err, kerr.CoordinatorLoadInProgress) {
			t.Errorf("List while loading: %v", err)
		}
		if r := <-join(c, joinRequest("", "")); !errors.Is(r.Err, kerr.CoordinatorLoadInProgress) {
			t.Errorf("Join while loading: %v", r.Err)
		}
		c.Unload(0)
	})
	if !errors.Is(err, kerr.NotCoordinator) {
		t.Errorf("Load after Unload: %v, want NOT_COORDINATOR", err)
	}
	err = c.Load(0, func(yield func(Record, error) bool) { yield(Record{Key: []byte{0}}, nil) })
	if !errors.Is(err, errRecord) {
		t.Errorf("Load of a malformed record: %v", err)
	}
	if err := c.Heartbeat(HeartbeatRequest{Group: "g"}); !errors.Is(err, kerr.NotCoordinator) {
		t.Errorf("Heartbeat after a failed load: %v", err)
	}
}

// What cannot be stored whole is refused: a record cut short would make its
// partition unreadable.
func TestLongNamesAreRefused(t *testing.T) {
	c := newCoordinator(t, Config{Store: &topic{}, InitialRebalanceDelay: NoDelay, MaxMetadataBytes: 1 << 20})
	defer c.Close()
	new(topic).load(t, c, 0)
	long := strings.Repeat("x", 40000)
	for _, tt := range []struct {
		name   string
		change func(*JoinRequest)
		want   error
	}{
		{"group", func(r *JoinRequest) { r.Group = long }, kerr.InvalidGroupID},
		{"client id", func(r *JoinRequest) { r.ClientID = long[:maxString] }, kerr.InvalidRequest},
		{"instance id", func(r *JoinRequest) { r.InstanceID = long }, kerr.InvalidRequest},
		{"protocol", func(r *JoinRequest) { r.Protocols = []Protocol{{Name: long}} }, kerr.InvalidRequest},
	} {
		r := joinRequest("", "")
		tt.change(&r)
		if res := <-join(c, r); !errors.Is(res.Err, tt.want) {
			t.Errorf("long %s: %v, want %v", tt.name, res.Err, tt.want)
		}
	}
	commits := make(chan []error, 1)
	offset := OffsetToCommit{TopicPartition: orders0, Metadata: long}
	c.Commit(CommitRequest{Group: "g", Generation: -1, Offsets: []OffsetToCommit{offset}}, func(errs []error) { commits <- errs })
	if errs := <-commits; !errors.Is(errs[0], kerr.OffsetMetadataTooLarge) {
		t.Errorf("long metadata: %v", errs[0])
	}
}

func TestCoordinatorRequestChecks(t *testing.T) {
	store := &topic{}
	c := newCoordinator(t, Config{Store: store, InitialRebalanceDelay: NoDelay})
	defer c.Close()
	store.load(t, c, 0)
	r := joinRequest("", "")
	r.Group = ""
	short := joinRequest("", "")
	short.SessionTimeout = 5999 * time.Millisecond
	for _, tt := range []struct {
		name string
		got  error
		want error
	}{
		{"join without a group", (<-join(c, r)).Err, kerr.InvalidGroupID},
		{"short session", (<-join(c, short)).Err, kerr.InvalidSessionTimeout},
		{"join of an unknown member", (<-join(c, joinRequest("x", ""))).Err, kerr.UnknownMemberID},
		{"sync of an unknown group", (<-syncGroup(c, SyncRequest{Group: "g"})).Err, kerr.UnknownMemberID},
		{"heartbeat of an unknown group", c.Heartbeat(HeartbeatRequest{Group: "g"}), kerr.UnknownMemberID},
	} {
		if !errors.Is(tt.got, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, tt.got, tt.want)
		}
	}
	if errs, err := c.Leave(LeaveRequest{Group: "g", Members: []LeaveMember{{MemberID: "x"}}}); err != nil || !errors.Is(errs[0], kerr.UnknownMemberID) {
		t.Errorf("Leave of an unknown group = %v, %v", errs, err)
	}
	for v9, want := range map[bool]error{false: kerr.IllegalGeneration, true: kerr.GroupIDNotFound} {
		c.Commit(CommitRequest{Group: "g", Generation: 3, GroupIDNotFound: v9, Offsets: commitOf(orders0, 1)}, func(errs []error) {
			if len(errs) != 1 || !errors.Is(errs[0], want) {
				t.Errorf("commit to an unknown group: %v, want %v", errs, want)
			}
		})
	}
	c.Delete("g", func(err error) {
		if !errors.Is(err, kerr.GroupIDNotFound) {
			t.Errorf("Delete of an unknown group: %v", err)
		}
	})
	c.DeleteOffsets("g", []TopicPartition{orders0}, func(_ []error, err error) {
		if !errors.Is(err, kerr.GroupIDNotFound) {
			t.Errorf("DeleteOffsets of an unknown group: %v", err)
		}
	})
	if _, err := c.Describe("g"); !errors.Is(err, kerr.GroupIDNotFound) {
		t.Errorf("Describe of an unknown group: %v", err)
	}
	if o, err := c.Fetch("g", []TopicPartition{orders0}); err != nil || o[0].Offset != -1 {
		t.Errorf("Fetch of an unknown group = %+v, %v", o, err)
	}
	if l, err := c.List(); err != nil || len(l) != 0 {
		t.Errorf("refused requests have left the groups %+v, %v", l, err)
	}
}

func TestCoordinatorDeletesAndExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &topic{delay: time.Millisecond}
		c := newCoordinator(t, Config{Store: store, OffsetsRetention: time.Hour})
		defer c.Close()
		store.load(t, c, 0)
		for _, g := range []string{"a", "b", "c"} {
			c.Commit(CommitRequest{Group: g, Generation: -1, Offsets: commitOf(TopicPartition{"t-" + g, 0}, 1)}, func([]error) {})
		}
		time.Sleep(time.Second)
		c.Delete("a", func(err error) {
			if err != nil {
				t.Error(err)
			}
		})
		c.TopicDeleted("t-b")
		time.Sleep(time.Second)
		if l, _ := c.List(); len(l) != 1 || l[0].Group != "c" {
			t.Errorf("groups left: %+v", l)
		}
		time.Sleep(time.Hour)
		c.ExpireOffsets()
		time.Sleep(time.Second)
		if l, _ := c.List(); len(l) != 0 {
			t.Errorf("groups left after expiry: %+v", l)
		}
		store.load(t, c, 0)
		if l, _ := c.List(); len(l) != 0 {
			t.Errorf("groups loaded after all were deleted: %+v", l)
		}
	})
}

// TestCoordinatorConcurrently is for the race detector: many groups and
// members over a store that answers within Append.
func TestCoordinatorConcurrently(t *testing.T) {
	store := &topic{}
	c, err := New(Config{Store: store, Partitions: 4, InitialRebalanceDelay: NoDelay})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for p := range int32(4) {
		store.load(t, c, p)
	}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for n := range 50 {
				r := joinRequest("", "")
				r.Group = fmt.Sprint("g", i, n%3)
				res := <-join(c, r)
				if res.Err != nil {
					t.Errorf("join: %v", res.Err)
					return
				}
				if s := <-syncGroup(c, SyncRequest{Group: r.Group, MemberID: res.MemberID, Generation: res.Generation}); s.Err != nil {
					t.Errorf("sync: %v", s.Err)
				}
				committed := make(chan []error, 1)
				c.Commit(CommitRequest{
					Group: r.Group, MemberID: res.MemberID, Generation: res.Generation, Offsets: commitOf(orders0, int64(n)),
				}, func(errs []error) { committed <- errs })
				if errs := <-committed; errs[0] != nil {
					t.Errorf("commit: %v", errs[0])
				}
				if o, err := c.Fetch(r.Group, nil); err != nil || len(o) != 1 || o[0].Offset != int64(n) {
					t.Errorf("Fetch = %+v, %v, want offset %d", o, err, n)
				}
				if _, err := c.Leave(LeaveRequest{Group: r.Group, Members: []LeaveMember{{MemberID: res.MemberID}}}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

func TestConfigIsChecked(t *testing.T) {
	_, err := New(Config{Store: &topic{}, Partitions: -1, MinSessionTimeout: time.Hour, MaxSize: -1})
	for _, key := range []string{"offsets.topic.num.partitions", "group.min.session.timeout.ms", "group.max.size"} {
		if err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("New = %v, want a complaint about %s", err, key)
		}
	}
}
