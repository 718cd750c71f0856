package txn

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// harness performs a Txn's actions on a log and on markers in memory.
type harness struct {
	t    testing.TB
	cfg  *Config
	txn  *Txn
	now  time.Time
	log  []Record
	next int64 // producer id

	marks      []string // "topic-partition commit|abort pid epoch"
	fail       error    // of appends
	failMark   func(tp TopicPartition) error
	failID     error
	hold       bool // keep appends instead of completing them
	held       []Action
	holdMarker bool
	heldMarks  []Action
}

var t0 = time.UnixMilli(1_000_000)

func newHarness(t testing.TB) *harness {
	cfg, err := Config{}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	return &harness{t: t, cfg: &cfg, txn: newTxn("id", &cfg, 3), now: t0, next: 100}
}

func (h *harness) run(actions []Action) {
	for _, a := range actions {
		switch {
		case a.Reply != nil:
			a.Reply()
		case a.Append != nil && h.hold:
			h.held = append(h.held, a)
		case a.Append != nil:
			h.append(a)
		case a.NewID != nil:
			id := h.next
			h.next++
			h.run(a.NewID(h.now, id, h.failID))
		case h.holdMarker:
			h.heldMarks = append(h.heldMarks, a)
		default:
			h.mark(a)
		}
	}
}

func (h *harness) append(a Action) {
	if h.fail == nil {
		h.log = append(h.log, *a.Append)
	}
	h.run(a.Then(h.now, h.fail))
}

func (h *harness) mark(a Action) {
	kind := "abort"
	if a.Mark.Commit {
		kind = "commit"
	}
	h.marks = append(h.marks, fmt.Sprintf("%s-%d %s %d %d", a.Partition.Topic, a.Partition.Partition, kind, a.Mark.ProducerID, a.Mark.Epoch))
	err := error(nil)
	if h.failMark != nil {
		err = h.failMark(a.Partition)
	}
	h.run(a.Then(h.now, err))
}

// reload is what another coordinator makes of the log.
func (h *harness) reload() {
	c := &Coordinator{cfg: *h.cfg}
	txns, err := c.replay(4, func(yield func(Record, error) bool) {
		for _, r := range h.log {
			if !yield(r, nil) {
				return
			}
		}
	})
	if err != nil {
		h.t.Fatal(err)
	}
	h.txn = txns["id"]
	if h.txn == nil {
		h.txn = newTxn("id", h.cfg, 4)
	}
	if h.txn.state.decided() {
		h.run(h.txn.mark(h.now))
	}
}

func (h *harness) init(r InitRequest) (out InitResult) {
	if r.Timeout == 0 {
		r.Timeout = time.Minute
	}
	out.Err = errPending
	h.run(h.txn.Init(h.now, r, func(res InitResult) { out = res }))
	return out
}

func (h *harness) add(pid int64, epoch int16, version int16, ids ...int32) (out error) {
	r := AddRequest{ProducerID: pid, Epoch: epoch, Version: version}
	for _, id := range ids {
		r.Partitions = append(r.Partitions, TopicPartition{"t", id})
	}
	out = errPending
	h.run(h.txn.Add(h.now, r, func(err error) { out = err }))
	return out
}

func (h *harness) end(pid int64, epoch int16, version int16, commit bool) (out EndResult) {
	out.Err = errPending
	h.run(h.txn.End(h.now, EndRequest{ProducerID: pid, Epoch: epoch, Version: version, Commit: commit}, func(res EndResult) { out = res }))
	return out
}

var errPending = errors.New("no answer yet")

var fresh = InitRequest{ProducerID: -1, Epoch: -1}

// begun is a harness whose id has a producer 100 with epoch 0 and, if n is
// positive, a transaction with partitions 0 to n-1.
func begun(t testing.TB, n int32, version int16) *harness {
	t.Helper()
	h := newHarness(t)
	if out := h.init(fresh); out != (InitResult{nil, 100, 0}) {
		t.Fatalf("Init = %+v", out)
	}
	for i := range n {
		if err := h.add(100, 0, version, i); err != nil {
			t.Fatalf("Add = %v", err)
		}
	}
	return h
}

func (h *harness) want(state State, pid int64, epoch int16) {
	h.t.Helper()
	if h.txn.state != state || h.txn.producer != pid || h.txn.epoch != epoch {
		h.t.Errorf("%v with producer %d, epoch %d; want %v with %d, %d", h.txn.state, h.txn.producer, h.txn.epoch, state, pid, epoch)
	}
}

// Every pair of states, against the reference's table.
func TestTransitions(t *testing.T) {
	want := map[State]string{
		Empty: "Empty CompleteCommit CompleteAbort", Ongoing: "Ongoing Empty CompleteCommit CompleteAbort",
		PrepareCommit: "Ongoing", PrepareAbort: "Ongoing PrepareEpochFence Empty CompleteCommit CompleteAbort",
		CompleteCommit: "PrepareCommit", CompleteAbort: "PrepareAbort",
		Dead: "Empty CompleteAbort CompleteCommit", PrepareEpochFence: "Ongoing",
	}
	for next := Empty; next <= PrepareEpochFence; next++ {
		for old := Empty; old <= PrepareEpochFence; old++ {
			allowed := slices.Contains(strings.Fields(want[next]), old.String())
			if canEnter(old, next) != allowed {
				t.Errorf("%v to %v: allowed is %v, want %v", old, next, !allowed, allowed)
			}
			func() {
				defer func() {
					if refused := recover() != nil; refused == allowed {
						t.Errorf("enter %v from %v panics: %v", next, old, refused)
					}
				}()
				x := newHarness(t).txn
				x.state = old
				m := x.meta
				m.state = next
				x.enter(m)
			}()
		}
	}
}

// states makes a transactional id of each state: producer 100, epoch 5,
// version as given.
func states(t testing.TB, version int16) map[string]*harness {
	out := make(map[string]*harness)
	for s := Empty; s <= CompleteAbort; s++ {
		h := newHarness(t)
		h.txn.meta = meta{state: s, producer: 100, previous: -1, next: -1, epoch: 5, last: -1, version: version, timeout: time.Minute}
		if s == Ongoing || s.decided() {
			h.txn.partitions, h.txn.started = []TopicPartition{{"t", 0}}, h.now
			h.holdMarker = true
		}
		if s.decided() {
			h.run(h.txn.mark(h.now))
		}
		out[s.String()] = h
	}
	busy := newHarness(t)
	busy.txn.meta, busy.hold = out["Empty"].txn.meta, true
	busy.run(busy.txn.Add(busy.now, AddRequest{ProducerID: 100, Epoch: 5, Partitions: []TopicPartition{{"t", 0}}, Version: version}, func(error) {}))
	out["appending"] = busy
	return out
}

// What each request answers in each state, and where it leads to.
func TestRequestsInStates(t *testing.T) {
	type result struct {
		err  *kerr.Error
		then State
	}
	concurrent := func(s State) result { return result{kerr.ConcurrentTransactions, s} }
	invalid := func(s State) result { return result{kerr.InvalidTxnState, s} }
	ok := func(s State) result { return result{nil, s} }
	fencedIn := func(s State) result { return result{kerr.ProducerFenced, s} }
	for _, tt := range []struct {
		name    string
		version int16
		do      func(h *harness) error
		want    map[string]result
	}{
		{"init", V1, func(h *harness) error { return h.init(fresh).Err }, map[string]result{
			"Empty": ok(Empty), "Ongoing": concurrent(PrepareAbort), "PrepareCommit": concurrent(PrepareCommit),
			"PrepareAbort": concurrent(PrepareAbort), "CompleteCommit": ok(Empty), "CompleteAbort": ok(Empty),
			"appending": concurrent(Empty),
		}},
		{"init with another producer id", V1, func(h *harness) error { return h.init(InitRequest{ProducerID: 7, Epoch: 5}).Err }, map[string]result{
			"Empty": fencedIn(Empty), "Ongoing": fencedIn(Ongoing), "PrepareCommit": fencedIn(PrepareCommit),
			"PrepareAbort": fencedIn(PrepareAbort), "CompleteCommit": fencedIn(CompleteCommit), "CompleteAbort": fencedIn(CompleteAbort),
			"appending": concurrent(Empty),
		}},
		{"add", V1, func(h *harness) error { return h.add(100, 5, V1, 1) }, map[string]result{
			"Empty": ok(Ongoing), "Ongoing": ok(Ongoing), "PrepareCommit": concurrent(PrepareCommit),
			"PrepareAbort": concurrent(PrepareAbort), "CompleteCommit": ok(Ongoing), "CompleteAbort": ok(Ongoing),
			"appending": concurrent(Empty),
		}},
		{"add with an old epoch", V1, func(h *harness) error { return h.add(100, 4, V1, 1) }, map[string]result{
			"Empty": fencedIn(Empty), "Ongoing": fencedIn(Ongoing), "PrepareCommit": fencedIn(PrepareCommit),
			"PrepareAbort": fencedIn(PrepareAbort), "CompleteCommit": fencedIn(CompleteCommit), "CompleteAbort": fencedIn(CompleteAbort),
			"appending": concurrent(Empty),
		}},
		{"commit, version 1", V1, func(h *harness) error { return h.end(100, 5, V1, true).Err }, map[string]result{
			"Empty": invalid(Empty), "Ongoing": ok(PrepareCommit), "PrepareCommit": concurrent(PrepareCommit),
			"PrepareAbort": invalid(PrepareAbort), "CompleteCommit": ok(CompleteCommit), "CompleteAbort": invalid(CompleteAbort),
			"appending": concurrent(Empty),
		}},
		{"abort, version 1", V1, func(h *harness) error { return h.end(100, 5, V1, false).Err }, map[string]result{
			"Empty": invalid(Empty), "Ongoing": ok(PrepareAbort), "PrepareCommit": invalid(PrepareCommit),
			"PrepareAbort": concurrent(PrepareAbort), "CompleteCommit": invalid(CompleteCommit), "CompleteAbort": ok(CompleteAbort),
			"appending": concurrent(Empty),
		}},
		{"commit, version 2", V2, func(h *harness) error { return h.end(100, 5, V2, true).Err }, map[string]result{
			"Empty": invalid(Empty), "Ongoing": ok(PrepareCommit), "PrepareCommit": concurrent(PrepareCommit),
			"PrepareAbort": concurrent(PrepareAbort), "CompleteCommit": invalid(CompleteCommit), "CompleteAbort": invalid(CompleteAbort),
			"appending": concurrent(Empty),
		}},
		{"abort, version 2", V2, func(h *harness) error { return h.end(100, 5, V2, false).Err }, map[string]result{
			"Empty": ok(CompleteAbort), "Ongoing": ok(PrepareAbort), "PrepareCommit": concurrent(PrepareCommit),
			"PrepareAbort": concurrent(PrepareAbort), "CompleteCommit": ok(CompleteAbort), "CompleteAbort": ok(CompleteAbort),
			"appending": concurrent(Empty),
		}},
		{"commit sent again, version 2", V2, func(h *harness) error { return h.end(100, 4, V2, true).Err }, map[string]result{
			"Empty": fencedIn(Empty), "Ongoing": fencedIn(Ongoing), "PrepareCommit": ok(PrepareCommit),
			"PrepareAbort": invalid(PrepareAbort), "CompleteCommit": ok(CompleteCommit), "CompleteAbort": invalid(CompleteAbort),
			"appending": concurrent(Empty),
		}},
		{"abort sent again, version 2", V2, func(h *harness) error { return h.end(100, 4, V2, false).Err }, map[string]result{
			"Empty": fencedIn(Empty), "Ongoing": fencedIn(Ongoing), "PrepareCommit": invalid(PrepareCommit),
			"PrepareAbort": ok(PrepareAbort), "CompleteCommit": invalid(CompleteCommit), "CompleteAbort": ok(CompleteAbort),
			"appending": concurrent(Empty),
		}},
		{"timeout", V1, func(h *harness) error {
			h.now = h.now.Add(61 * time.Second)
			h.run(h.txn.Tick(h.now))
			return nil
		}, map[string]result{
			"Empty": ok(Empty), "Ongoing": ok(PrepareAbort), "PrepareCommit": ok(PrepareCommit),
			"PrepareAbort": ok(PrepareAbort), "CompleteCommit": ok(CompleteCommit), "CompleteAbort": ok(CompleteAbort),
			"appending": ok(Empty),
		}},
		{"expiry", V1, func(h *harness) error {
			h.now = h.now.Add(8 * 24 * time.Hour)
			h.run(h.txn.Expire(h.now))
			return nil
		}, map[string]result{
			"Empty": ok(Dead), "Ongoing": ok(Ongoing), "PrepareCommit": ok(PrepareCommit),
			"PrepareAbort": ok(PrepareAbort), "CompleteCommit": ok(Dead), "CompleteAbort": ok(Dead),
			"appending": ok(Empty),
		}},
	} {
		for name, h := range states(t, tt.version) {
			want, known := tt.want[name]
			if !known {
				t.Errorf("%s: nothing said about %s", tt.name, name)
			}
			err := tt.do(h)
			if want.err == nil && err != nil || want.err != nil && err != want.err {
				t.Errorf("%s in %s: %v, want %v", tt.name, name, err, want.err)
			}
			if h.txn.state != want.then {
				t.Errorf("%s in %s leads to %v, want %v", tt.name, name, h.txn.state, want.then)
			}
		}
	}
}

func TestCommit(t *testing.T) {
	for _, tt := range []struct {
		version int16
		commit  bool
		epoch   int16
		marks   []string
	}{
		{V1, true, 0, []string{"t-0 commit 100 0", "t-1 commit 100 0"}},
		{V1, false, 0, []string{"t-0 abort 100 0", "t-1 abort 100 0"}},
		{V2, true, 1, []string{"t-0 commit 100 1", "t-1 commit 100 1"}},
		{V2, false, 1, []string{"t-0 abort 100 1", "t-1 abort 100 1"}},
	} {
		h := begun(t, 2, tt.version)
		if out := h.end(100, 0, tt.version, tt.commit); out != (EndResult{nil, 100, tt.epoch}) {
			t.Errorf("%+v: End = %+v", tt, out)
		}
		state := CompleteAbort
		if tt.commit {
			state = CompleteCommit
		}
		h.want(state, 100, tt.epoch)
		if !slices.Equal(h.marks, tt.marks) {
			t.Errorf("%+v: markers are %v", tt, h.marks)
		}
		h.reload()
		h.want(state, 100, tt.epoch)
		if err := h.add(100, tt.epoch, tt.version, 5); err != nil {
			t.Errorf("%+v: next transaction: %v", tt, err)
		}
	}
}

// The answer to a request that was carried out is the same again, also from
// the coordinator that takes over.
func TestLostAnswers(t *testing.T) {
	for _, reload := range []bool{false, true} {
		again := func(h *harness) {
			if reload {
				h.reload()
			}
		}
		h := begun(t, 1, V2)
		first := h.end(100, 0, V2, true)
		again(h)
		if out := h.end(100, 0, V2, true); out != first {
			t.Errorf("reload %v: commit again is %+v, was %+v", reload, out, first)
		}
		if out := h.init(InitRequest{ProducerID: 100, Epoch: 0}); out != (InitResult{nil, 100, 1}) {
			t.Errorf("reload %v: Init of a producer that did not hear of the end: %+v", reload, out)
		}
		if err := h.add(100, 1, V2, 0); err != nil {
			t.Fatal(err)
		}
		again(h)
		if out := h.init(InitRequest{ProducerID: 100, Epoch: 0}); out.Err != kerr.ProducerFenced {
			t.Errorf("reload %v: Init with an old epoch: %+v", reload, out)
		}
		h.want(Ongoing, 100, 1)
		if out := h.end(100, 0, V2, true); out.Err != kerr.ProducerFenced {
			t.Errorf("reload %v: late commit of the last transaction: %+v", reload, out)
		}
	}
	// KIP-360: the epoch before the present one may ask for it.
	h := begun(t, 0, V1)
	if out := h.init(InitRequest{ProducerID: 100, Epoch: 0}); out != (InitResult{nil, 100, 1}) {
		t.Errorf("Init = %+v", out)
	}
	if out := h.init(InitRequest{ProducerID: 100, Epoch: 0}); out != (InitResult{nil, 100, 1}) {
		t.Errorf("Init again = %+v", out)
	}
	h.init(fresh)
	if out := h.init(InitRequest{ProducerID: 100, Epoch: 1}); out.Err != kerr.ProducerFenced {
		t.Errorf("Init of a producer that was replaced = %+v", out)
	}
}

func TestEpochsRunOut(t *testing.T) {
	exhausted := func(version int16) *harness {
		h := begun(t, 0, version)
		h.txn.epoch = lastEpoch
		return h
	}
	h := exhausted(V1)
	if out := h.init(InitRequest{ProducerID: 100, Epoch: lastEpoch}); out != (InitResult{nil, 101, 0}) {
		t.Errorf("Init = %+v", out)
	}
	if out := h.init(InitRequest{ProducerID: 100, Epoch: lastEpoch}); out != (InitResult{nil, 101, 0}) {
		t.Errorf("Init again = %+v", out)
	}
	h = exhausted(V1)
	if out := h.init(fresh); out != (InitResult{nil, 101, 0}) {
		t.Errorf("Init without a producer = %+v", out)
	}
	if out := h.init(InitRequest{ProducerID: 100, Epoch: lastEpoch}); out.Err != kerr.ProducerFenced {
		t.Errorf("Init of the producer that was replaced = %+v", out)
	}
	for _, reload := range []bool{false, true} {
		h = exhausted(V2)
		if err := h.add(100, lastEpoch, V2, 0); err != nil {
			t.Fatal(err)
		}
		h.holdMarker = true
		if out := h.end(100, lastEpoch, V2, true); out != (EndResult{nil, 101, 0}) {
			t.Errorf("End = %+v", out)
		}
		if out := h.end(100, lastEpoch, V2, true); out != (EndResult{nil, 101, 0}) {
			t.Errorf("End again while markers are written = %+v", out)
		}
		h.holdMarker = false
		if reload {
			h.reload()
		} else {
			h.mark(h.heldMarks[0])
		}
		h.want(CompleteCommit, 101, 0)
		if !slices.Equal(h.marks, []string{"t-0 commit 100 32767"}) {
			t.Errorf("markers are %v", h.marks)
		}
		if out := h.end(100, lastEpoch, V2, true); out != (EndResult{nil, 101, 0}) {
			t.Errorf("End again = %+v", out)
		}
		if err := h.add(101, 0, V2, 0); err != nil {
			t.Errorf("next transaction: %v", err)
		}
	}
	// A fence of the last epoch must not pass the largest there is.
	h = exhausted(V2)
	if err := h.add(100, lastEpoch, V2, 0); err != nil {
		t.Fatal(err)
	}
	h.init(fresh)
	h.want(CompleteAbort, 100, lastEpoch+1)
	if out := h.init(fresh); out != (InitResult{nil, 101, 0}) {
		t.Errorf("Init after the fence = %+v", out)
	}
	h = exhausted(V1)
	h.failID = errors.New("no quorum")
	if out := h.init(fresh); out.Err != kerr.CoordinatorNotAvailable || h.txn.pending != none {
		t.Errorf("Init without producer ids = %+v", out)
	}
}

// After its transaction was taken from it, whether for its timeout or by
// another producer, a producer is told so.
func TestFencedProducer(t *testing.T) {
	for _, version := range []int16{V1, V2} {
		h := begun(t, 1, version)
		h.now = h.now.Add(time.Minute + 1)
		h.run(h.txn.Tick(h.now))
		h.want(CompleteAbort, 100, 1)
		for _, commit := range []bool{true, false} {
			if out := h.end(100, 0, version, commit); out.Err != kerr.ProducerFenced {
				t.Errorf("version %d: End(%v) = %+v", version, commit, out)
			}
		}
		if err := h.add(100, 0, version, 1); err != kerr.ProducerFenced {
			t.Errorf("version %d: Add = %v", version, err)
		}
		if errs := h.txn.Verify(VerifyRequest{ProducerID: 100, Epoch: 0, Partitions: []TopicPartition{{"t", 0}}}); errs[0] != kerr.ProducerFenced {
			t.Errorf("version %d: Verify = %v", version, errs)
		}
		if err := h.add(99, 1, version, 1); err != kerr.InvalidProducerIDMapping {
			t.Errorf("version %d: Add of another producer = %v", version, err)
		}
	}
}

func TestFenceThatCannotBeWritten(t *testing.T) {
	h := begun(t, 1, V1)
	h.fail = kerr.NotEnoughReplicas
	for range 3 {
		if out := h.init(fresh); out.Err != kerr.CoordinatorNotAvailable {
			t.Errorf("Init = %+v", out)
		}
		h.want(Ongoing, 100, 1)
	}
	if out := h.end(100, 0, V1, true); out.Err != kerr.ProducerFenced {
		t.Errorf("the producer that was to be fenced goes on: %+v", out)
	}
	h.fail = nil
	if out := h.init(fresh); out.Err != kerr.ConcurrentTransactions {
		t.Errorf("Init = %+v", out)
	}
	h.want(CompleteAbort, 100, 1)
	if out := h.init(fresh); out != (InitResult{nil, 100, 2}) {
		t.Errorf("Init = %+v", out)
	}
}

func TestVerify(t *testing.T) {
	h := begun(t, 2, V1)
	in := VerifyRequest{ProducerID: 100, Partitions: []TopicPartition{{"t", 0}, {"t", 2}, {"u", 0}}}
	if errs := h.txn.Verify(in); errs[0] != nil || errs[1] != kerr.TransactionAbortable || errs[2] != kerr.TransactionAbortable {
		t.Errorf("Verify = %v", errs)
	}
	h.hold = true
	h.end(100, 0, V1, true)
	if errs := h.txn.Verify(in); errs[0] != kerr.ConcurrentTransactions {
		t.Errorf("Verify while the end is being written = %v", errs)
	}
	h.hold = false
	h.append(h.held[0])
	if errs := h.txn.Verify(in); errs[0] != kerr.TransactionAbortable {
		t.Errorf("Verify after the end = %v", errs)
	}
}

// A marker that cannot be written is written again, and the transaction is
// complete when all are.
func TestMarkersAreRetried(t *testing.T) {
	h := begun(t, 3, V1)
	h.failMark = func(tp TopicPartition) error {
		switch tp.Partition {
		case 1:
			return kerr.NotLeaderForPartition
		case 2:
			return kerr.InvalidProducerEpoch // superseded there
		}
		return nil
	}
	if out := h.end(100, 0, V1, true); out.Err != nil {
		t.Fatalf("End = %+v", out)
	}
	h.want(PrepareCommit, 100, 0)
	if !h.txn.stalled() {
		t.Error("nobody is told to resume")
	}
	waited := errPending
	h.run(h.txn.Add(h.now, AddRequest{ProducerID: 100, Wait: true, Partitions: []TopicPartition{{"t", 9}}}, func(err error) { waited = err }))
	h.failMark, h.marks = nil, nil
	h.fail = kerr.NotEnoughReplicas // of the completion
	h.run(h.txn.Resume(h.now))
	if !slices.Equal(h.marks, []string{"t-1 commit 100 0"}) {
		t.Errorf("markers are %v", h.marks)
	}
	h.want(PrepareCommit, 100, 0)
	if waited != errPending || !h.txn.stalled() {
		t.Errorf("waiting Add is answered with %v", waited)
	}
	h.fail = nil
	h.run(h.txn.Resume(h.now))
	h.want(Ongoing, 100, 0) // by the Add
	if waited != nil {
		t.Errorf("waiting Add = %v", waited)
	}
	h.hold = true
	h.end(100, 0, V1, true)
	refused := 0
	for range 2 * maxWaiting {
		h.run(h.txn.Add(h.now, AddRequest{ProducerID: 100, Wait: true}, func(err error) {
			if err == kerr.ConcurrentTransactions {
				refused++
			}
		}))
	}
	if refused != maxWaiting {
		t.Errorf("%d of %d do not wait", refused, 2*maxWaiting)
	}
}

func TestSupersededCoordinatorStops(t *testing.T) {
	h := begun(t, 1, V1)
	h.failMark = func(TopicPartition) error { return kerr.TransactionCoordinatorFenced }
	h.end(100, 0, V1, true)
	h.want(PrepareCommit, 100, 0)
	if h.txn.stalled() {
		t.Error("it would go on")
	}
}

// What a coordinator finds in the log is what the last one had.
func TestRecords(t *testing.T) {
	h := newHarness(t)
	want := meta{
		state: PrepareCommit, producer: 7, previous: 6, next: 8, epoch: 32767, last: noEpoch, version: V2, timeout: time.Minute,
		partitions: []TopicPartition{{"a", 0}, {"a", 3}, {"b", 1}}, started: t0, updated: t0.Add(time.Second),
	}
	r := want.encode("some id")
	id, got, ok, err := decodeRecord(r)
	if id != "some id" || !ok || err != nil || !reflect.DeepEqual(*got, want) {
		t.Errorf("decoded %q, %+v, %v, %v", id, got, ok, err)
	}
	for n := range r.Value {
		if _, _, _, err := decodeRecord(Record{r.Key, r.Value[:n]}); !errors.Is(err, errRecord) {
			t.Errorf("%d bytes of a value: %v", n, err)
		}
	}
	if _, _, ok, err := decodeRecord(Record{[]byte{0, 9, 1}, nil}); ok || err != nil {
		t.Errorf("record of another kind: %v, %v", ok, err)
	}
	h.log = []Record{r, {r.Key, nil}}
	h.reload()
	if !h.txn.blank() {
		t.Errorf("after a tombstone there is %+v", h.txn.meta)
	}
}

func FuzzRecord(f *testing.F) {
	m := meta{state: Ongoing, partitions: []TopicPartition{{"a", 0}}, started: t0, updated: t0}
	r := m.encode("id")
	f.Add(r.Key, r.Value)
	f.Fuzz(func(t *testing.T, key, value []byte) {
		if _, m, ok, err := decodeRecord(Record{key, value}); ok && err == nil && m != nil && m.state >= Dead {
			t.Errorf("state %v", m.state)
		}
	})
}
