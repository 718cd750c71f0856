package txn

import (
	"errors"
	"iter"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// store is a log and partitions in memory.
type store struct {
	mu     sync.Mutex // guards below
	log    []Record
	marks  []Marker
	fail   error // of markers
	hold   bool
	held   []func() // appends
	nextID int64
}

// Append implements Store.
func (s *store) Append(_, _ int32, r Record, done func(error)) {
	s.mu.Lock()
	write := func() {
		s.mu.Lock()
		s.log = append(s.log, r)
		s.mu.Unlock()
		done(nil)
	}
	if s.hold {
		s.held = append(s.held, write)
		s.mu.Unlock()
		return
	}
	s.mu.Unlock()
	write()
}

// WriteMarker implements Markers.
func (s *store) WriteMarker(_ TopicPartition, m Marker, done func(error)) {
	s.mu.Lock()
	s.marks = append(s.marks, m)
	err := s.fail
	s.mu.Unlock()
	done(err)
}

func (s *store) newID(done func(int64, error)) {
	s.mu.Lock()
	s.nextID++
	id := s.nextID
	s.mu.Unlock()
	done(id, nil)
}

func (s *store) records() iter.Seq2[Record, error] {
	s.mu.Lock()
	defer s.mu.Unlock()
	log := slices.Clone(s.log)
	return func(yield func(Record, error) bool) {
		for _, r := range log {
			if !yield(r, nil) {
				return
			}
		}
	}
}

func newCoordinator(t testing.TB) (*Coordinator, *store) {
	t.Helper()
	s := &store{nextID: 99}
	c, err := New(Config{Partitions: 2, Partition: func(id string) int32 { return int32(len(id) % 2) }, Store: s, Markers: s, NewProducerID: s.newID})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c, s
}

func empty(func(Record, error) bool) {}

func initID(c *Coordinator, id string) InitResult {
	done := make(chan InitResult, 1)
	c.Init(InitRequest{ID: id, Timeout: time.Minute, ProducerID: -1, Epoch: -1}, func(out InitResult) { done <- out })
	return <-done
}

func addTo(c *Coordinator, r AddRequest) error {
	done := make(chan error, 1)
	c.Add(r, func(err error) { done <- err })
	return <-done
}

func endOf(c *Coordinator, r EndRequest) EndResult {
	done := make(chan EndResult, 1)
	c.End(r, func(out EndResult) { done <- out })
	return <-done
}

func TestCoordinatorErrors(t *testing.T) {
	c, _ := newCoordinator(t)
	if out := initID(c, "xx"); out.Err != kerr.NotCoordinator || out.ProducerID != -1 || out.Epoch != -1 {
		t.Errorf("Init without a partition = %+v", out)
	}
	if err := c.Load(0, 1, empty); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		r    InitRequest
		want error
	}{
		{InitRequest{Timeout: time.Second, ProducerID: -1, Epoch: -1}, kerr.InvalidRequest},
		{InitRequest{ID: "xx", ProducerID: -1, Epoch: -1}, kerr.InvalidTransactionTimeout},
		{InitRequest{ID: "xx", Timeout: 15*time.Minute + 1, ProducerID: -1, Epoch: -1}, kerr.InvalidTransactionTimeout},
		{InitRequest{ID: "xx", Timeout: time.Second, ProducerID: 5, Epoch: -1}, kerr.InvalidRequest},
	} {
		c.Init(tt.r, func(out InitResult) {
			if out.Err != tt.want {
				t.Errorf("Init(%+v) = %v, want %v", tt.r, out.Err, tt.want)
			}
		})
	}
	if err := addTo(c, AddRequest{ID: "yy"}); err != kerr.InvalidProducerIDMapping {
		t.Errorf("Add to an unknown id = %v", err)
	}
	if out := endOf(c, EndRequest{ID: "yy"}); out.Err != kerr.InvalidProducerIDMapping {
		t.Errorf("End of an unknown id = %v", out)
	}
	if errs := c.Verify(VerifyRequest{ID: "yy", Partitions: make([]TopicPartition, 2)}); len(errs) != 2 || errs[1] != kerr.InvalidProducerIDMapping {
		t.Errorf("Verify of an unknown id = %v", errs)
	}
	if _, err := c.Describe("yy"); err != kerr.TransactionalIDNotFound {
		t.Errorf("Describe of an unknown id = %v", err)
	}
	bad := func(yield func(Record, error) bool) { yield(Record{Key: []byte{1}}, nil) }
	if err := c.Load(1, 1, bad); !errors.Is(err, errRecord) {
		t.Errorf("Load of a malformed record = %v", err)
	}
	if out := initID(c, "x"); out.Err != kerr.NotCoordinator {
		t.Errorf("Init after a failed load = %+v", out)
	}
	during := func(yield func(Record, error) bool) {
		if out := initID(c, "x"); out.Err != kerr.CoordinatorLoadInProgress {
			t.Errorf("Init during a load = %+v", out)
		}
		if _, err := c.List(); err != kerr.CoordinatorLoadInProgress {
			t.Errorf("List during a load = %v", err)
		}
	}
	if err := c.Load(1, 1, during); err != nil {
		t.Fatal(err)
	}
	if _, err := New(Config{MaxTimeout: -1, IDExpiration: -1, Partitions: -1}); err == nil {
		t.Error("New takes negative settings")
	}
}

// Markers that cannot be written are written again after a while, by a
// coordinator that took over as well, and what waits for the end goes on.
func TestCoordinatorRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := newCoordinator(t)
		if err := c.Load(0, 1, empty); err != nil {
			t.Fatal(err)
		}
		if out := initID(c, "id"); out != (InitResult{nil, 100, 0}) {
			t.Fatalf("Init = %+v", out)
		}
		tps := []TopicPartition{{"t", 0}}
		if err := addTo(c, AddRequest{ID: "id", ProducerID: 100, Partitions: tps, Version: V2}); err != nil {
			t.Fatal(err)
		}
		if st := c.Stats(); st != (Stats{IDs: 1, Ongoing: 1}) {
			t.Errorf("Stats = %+v", st)
		}
		s.fail = kerr.NotLeaderForPartition
		if out := endOf(c, EndRequest{ID: "id", ProducerID: 100, Commit: true, Version: V2}); out != (EndResult{nil, 100, 1}) {
			t.Fatalf("End = %+v", out)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		s.mu.Lock()
		if n := len(s.marks); n < 9 || n > 12 {
			t.Errorf("%d attempts in a second", n)
		}
		s.mu.Unlock()
		if err := c.Load(0, 2, s.records()); err != nil {
			t.Fatal(err)
		}
		if st := c.Stats(); st != (Stats{IDs: 1, Ending: 1}) {
			t.Errorf("Stats = %+v", st)
		}
		added := make(chan error, 1)
		c.Add(AddRequest{ID: "id", ProducerID: 100, Epoch: 1, Partitions: tps, Version: V2, Wait: true}, func(err error) { added <- err })
		s.mu.Lock()
		s.fail = nil
		s.mu.Unlock()
		if err := <-added; err != nil {
			t.Errorf("Add = %v", err)
		}
		if m := s.marks[len(s.marks)-1]; m != (Marker{100, 1, true, 2}) {
			t.Errorf("last marker is %+v", m)
		}
		d, err := c.Describe("id")
		if err != nil || d.State != Ongoing || !slices.Equal(d.Partitions, tps) {
			t.Errorf("Describe = %+v, %v", d, err)
		}
		time.Sleep(time.Minute + time.Second)
		c.AbortTimedOut()
		if d, _ := c.Describe("id"); d.State != CompleteAbort || d.Epoch != 2 {
			t.Errorf("after the timeout: %+v", d)
		}
		time.Sleep(8 * 24 * time.Hour)
		c.ExpireIDs()
		if _, err := c.Describe("id"); err != kerr.TransactionalIDNotFound {
			t.Errorf("after the expiry: %v", err)
		}
		if r := s.log[len(s.log)-1]; r.Value != nil {
			t.Errorf("the last record is no tombstone: %v", r)
		}
	})
}

// Who loses a partition answers all that wait, and does not act on results
// that come later.
func TestUnload(t *testing.T) {
	c, s := newCoordinator(t)
	if err := c.Load(0, 1, empty); err != nil {
		t.Fatal(err)
	}
	initID(c, "id")
	s.hold = true
	added, waited := errPending, errPending
	r := AddRequest{ID: "id", ProducerID: 100, Partitions: []TopicPartition{{"t", 0}}}
	c.Add(r, func(err error) { added = err })
	r.Wait = true
	c.Add(r, func(err error) { waited = err })
	c.Unload(0)
	if waited != kerr.NotCoordinator {
		t.Errorf("waiting Add = %v", waited)
	}
	s.held[0]()
	if added != kerr.NotCoordinator {
		t.Errorf("Add under way = %v", added)
	}
	if out := initID(c, "id"); out.Err != kerr.NotCoordinator {
		t.Errorf("Init = %+v", out)
	}
}
