package group

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// txnHarness is a group whose log has transactions.
type txnHarness struct {
	*harness
	stored []Stored
	wait   bool // appends are kept in under
	under  []txnAppend
}

type txnAppend struct {
	Action
	producer int64
}

func (h *txnHarness) run(producer int64, actions []Action) {
	for _, a := range actions {
		switch {
		case a.Reply != nil:
			a.Reply()
		case h.wait:
			h.under = append(h.under, txnAppend{a, producer})
		default:
			h.finish(txnAppend{a, producer}, h.fail)
		}
	}
}

// finish ends an append, which is in the log unless it failed.
func (h *txnHarness) finish(a txnAppend, err error) {
	if (a.Via != nil) != (a.producer >= 0) {
		h.t.Fatalf("append of producer %d goes to the wrong place", a.producer)
	}
	for _, r := range a.Append {
		if err == nil {
			h.stored = append(h.stored, Stored{Record: r, Producer: a.producer})
		}
	}
	h.run(a.producer, a.Then(h.now, err))
}

func (h *txnHarness) commitTxn(producer int64, r TxnCommitRequest) []error {
	h.t.Helper()
	r.ProducerID = producer
	r.Append = func([]Record, func(error)) {}
	var got []error
	h.run(producer, h.g.CommitTxn(h.now, r, func(errs []error) { got = errs }))
	return got
}

func (h *txnHarness) plain(tp TopicPartition, offset int64) {
	h.run(-1, h.g.Commit(h.now, CommitRequest{Generation: -1, Offsets: commitOf(tp, offset)}, func([]error) {}))
}

func (h *txnHarness) end(producer int64, commit bool) {
	h.stored = append(h.stored, Stored{Producer: producer, Marker: true, Commit: commit})
	h.g.EndTxn(producer, commit)
}

func (h *txnHarness) reloadTxns() {
	h.t.Helper()
	c := &Coordinator{cfg: *h.g.cfg}
	groups, err := c.replay(func(yield func(Stored, error) bool) {
		for _, s := range h.stored {
			if !yield(s, nil) {
				return
			}
		}
	})
	if err != nil {
		h.t.Fatal(err)
	}
	if h.g = groups["g"]; h.g == nil {
		h.g = newGroup("g", &c.cfg, h.now)
	}
}

// simple is a TxnOffsetCommit outside of the group's membership.
func simple(tp TopicPartition, offset int64) TxnCommitRequest {
	return TxnCommitRequest{Generation: -1, Offsets: commitOf(tp, offset)}
}

func (h *txnHarness) want(what string, tp TopicPartition, offset int64, unstable bool) {
	h.t.Helper()
	if got := h.g.Fetch([]TopicPartition{tp})[0]; got.Offset != offset || got.Unstable != unstable {
		h.t.Errorf("%s: offset %d, unstable %v; want %d, %v", what, got.Offset, got.Unstable, offset, unstable)
	}
}

// Offsets of a transaction count from its commit on, also after a reload in
// the midst of it.
func TestTxnOffsets(t *testing.T) {
	for _, reload := range []bool{false, true} {
		for _, commit := range []bool{false, true} {
			h := &txnHarness{harness: newHarness(t)}
			h.plain(orders0, 1)
			if errs := h.commitTxn(7, simple(orders0, 5)); errs[0] != nil {
				t.Fatalf("CommitTxn = %v", errs)
			}
			again := func() {
				if reload {
					h.reloadTxns()
				}
			}
			again()
			h.want("pending", orders0, 1, true)
			h.want("another partition", TopicPartition{"orders", 1}, -1, false)
			h.end(8, commit)
			h.want("another transaction ended", orders0, 1, true)
			h.end(7, commit)
			again()
			want := int64(1)
			if commit {
				want = 5
			}
			h.want(fmt.Sprintf("ended, commit %v", commit), orders0, want, false)
		}
	}
}

func TestTxnCommitRules(t *testing.T) {
	for _, tt := range []struct {
		name string
		prep func(h *harness) TxnCommitRequest
		want error
	}{
		{"no member", func(h *harness) TxnCommitRequest {
			h.stable(1)
			return TxnCommitRequest{Generation: -1}
		}, nil},
		{"member", func(h *harness) TxnCommitRequest {
			return TxnCommitRequest{MemberID: h.stable(1)[0], Generation: h.g.generation}
		}, nil},
		{"unknown member", func(h *harness) TxnCommitRequest {
			h.stable(1)
			return TxnCommitRequest{MemberID: "x", Generation: h.g.generation}
		}, kerr.UnknownMemberID},
		{"old generation", func(h *harness) TxnCommitRequest {
			return TxnCommitRequest{MemberID: h.stable(1)[0], Generation: h.g.generation - 1}
		}, kerr.IllegalGeneration},
		{"member of another instance", func(h *harness) TxnCommitRequest {
			return TxnCommitRequest{MemberID: h.stable(1)[0], InstanceID: "i", Generation: h.g.generation}
		}, kerr.UnknownMemberID},
	} {
		h := &txnHarness{harness: newHarness(t)}
		r := tt.prep(h.harness)
		r.Offsets = commitOf(orders0, 3)
		if errs := h.commitTxn(7, r); !errors.Is(errs[0], tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, errs[0], tt.want)
		}
	}
}

// A group with pending offsets is neither deleted nor expired, nor are those.
func TestPendingOffsetsAreKept(t *testing.T) {
	h := &txnHarness{harness: newHarness(t)}
	h.plain(orders0, 1)
	h.commitTxn(7, simple(orders0, 5))
	h.now = h.now.Add(30 * 24 * time.Hour)
	h.run(-1, h.g.Expire(h.now))
	h.want("a month later", orders0, 1, true)
	h.run(-1, h.g.Delete(func(err error) {
		if !errors.Is(err, kerr.NonEmptyGroup) {
			t.Errorf("Delete = %v", err)
		}
	}))
	if h.g.blank() {
		t.Error("the group counts as gone")
	}
	h.end(7, false)
	h.run(-1, h.g.Expire(h.now))
	h.want("expired", orders0, -1, false)
}

func TestTxnCommitFails(t *testing.T) {
	h := &txnHarness{harness: newHarness(t)}
	for err, want := range map[error]error{
		kerr.InvalidTxnState: kerr.InvalidTxnState, kerr.InvalidProducerEpoch: kerr.InvalidProducerEpoch,
		kerr.NotEnoughReplicas: kerr.CoordinatorNotAvailable, kerr.MessageTooLarge: kerr.InvalidCommitOffsetSize,
	} {
		h.fail = err
		if errs := h.commitTxn(7, simple(orders0, 5)); !errors.Is(errs[0], want) {
			t.Errorf("%v becomes %v, want %v", err, errs[0], want)
		}
	}
	h.want("nothing was written", orders0, -1, false)
	if !h.g.blank() {
		t.Error("something is left")
	}
}

// Random commits in and outside of transactions, some of them failing, ends in
// the midst of appends, and reloads: offsets are those that the log says.
func TestTxnOffsetsModel(t *testing.T) {
	for range 300 {
		seed := rand.Uint64()
		if !t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) { modelTxnOffsets(t, rand.New(rand.NewPCG(seed, 0))) }) {
			return
		}
	}
}

func modelTxnOffsets(t *testing.T, rnd *rand.Rand) {
	h := &txnHarness{harness: newHarness(t), wait: true}
	tps := []TopicPartition{orders0, {"orders", 1}, {"bills", 0}}
	for i := range int64(120) {
		producer := int64(rnd.IntN(3))
		switch n := rnd.IntN(10); {
		case n < 3:
			h.commitTxn(producer, simple(tps[rnd.IntN(3)], i))
		case n < 5:
			h.plain(tps[rnd.IntN(3)], i)
		case n < 8 && len(h.under) > 0: // appends end in their order
			a := h.under[0]
			h.under = h.under[1:]
			err := error(nil)
			if rnd.IntN(5) == 0 {
				err = kerr.NotEnoughReplicas
			}
			h.finish(a, err)
		case n < 9:
			h.endInFlight(producer, rnd.IntN(2) == 0)
		case len(h.under) == 0:
			h.reloadTxns()
		}
		if len(h.under) > 0 {
			continue
		}
		offsets, pending := offsetsOf(t, h.stored)
		for _, tp := range tps {
			want, ok := offsets[tp]
			if !ok {
				want = -1
			}
			h.want("the model", tp, want, pending[tp])
		}
	}
}

// endInFlight ends a transaction. What is being appended is before the marker
// in the log, and its result comes after.
func (h *txnHarness) endInFlight(producer int64, commit bool) {
	for i, a := range h.under {
		for _, r := range a.Append {
			h.stored = append(h.stored, Stored{Record: r, Producer: a.producer})
		}
		h.under[i].Append = nil // it is there
		then := a.Then
		h.under[i].Then = func(now time.Time, _ error) []Action { return then(now, nil) }
	}
	h.end(producer, commit)
}

// offsetsOf reads a log as the reference does: of two commits the later counts,
// those of a transaction once its marker is there.
func offsetsOf(t testing.TB, log []Stored) (map[TopicPartition]int64, map[TopicPartition]bool) {
	t.Helper()
	type at struct {
		offset   int64
		position int
	}
	decided := map[TopicPartition]at{}
	open := map[int64]map[TopicPartition]at{}
	apply := func(tp TopicPartition, x at) {
		if decided[tp].position <= x.position {
			decided[tp] = x
		}
	}
	for i, s := range log {
		if s.Marker {
			for tp, x := range open[s.Producer] {
				if s.Commit {
					apply(tp, x)
				}
			}
			delete(open, s.Producer)
			continue
		}
		d, ok, err := decodeRecord(s.Record)
		if err != nil || !ok || d.isMeta {
			t.Fatalf("record %d: %v, %v", i, ok, err)
		}
		x := at{d.offset.Offset, i}
		switch {
		case s.Producer < 0:
			apply(d.tp, x)
		case open[s.Producer] == nil:
			open[s.Producer] = map[TopicPartition]at{d.tp: x}
		default:
			open[s.Producer][d.tp] = x
		}
	}
	offsets, pending := map[TopicPartition]int64{}, map[TopicPartition]bool{}
	for tp, x := range decided {
		offsets[tp] = x.offset
	}
	for _, m := range open {
		for tp := range m {
			pending[tp] = true
		}
	}
	return offsets, pending
}
