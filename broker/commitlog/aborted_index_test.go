package commitlog

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/broker/recordbatch"
)

// abortedByScan finds the aborted transactions of a range as a reader of the
// whole log would.
func abortedByScan(t testing.TB, l *Log, from, to int64) []AbortedTxn {
	t.Helper()
	open := map[int64]int64{}
	var out []AbortedTxn
	for b := readAll(t, l, l.StartOffset(), l.EndOffset(), 1<<20); len(b) > 0; {
		v, rest, err := recordbatch.Parse(b)
		if err != nil {
			t.Fatal(err)
		}
		b = rest
		m, err := parseMarker(v)
		if err != nil {
			t.Fatal(err)
		}
		id := v.ProducerID()
		first, is := open[id]
		switch {
		case m != nil:
			if is && m.Type == recordbatch.Abort && v.BaseOffset() >= from && first < to {
				out = append(out, AbortedTxn{id, first, v.BaseOffset()})
			}
			delete(open, id)
		case v.Transactional() && !is:
			open[id] = v.BaseOffset()
		}
	}
	return out
}

func abortedIn(t testing.TB, l *Log, from, to int64) []AbortedTxn {
	t.Helper()
	var out []AbortedTxn
	if err := aborted(*l.segments.Load(), from, to, func(a AbortedTxn) { out = append(out, a) }); err != nil {
		t.Fatal(err)
	}
	return out
}

// Transactions of several producers over many segments, closed, recovered
// after a crash, truncated, with indexes damaged: the index always says what a
// scan finds.
func TestAbortedIndexModel(t *testing.T) {
	for range 6 {
		seed := rand.Uint64()
		if !t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) { modelAborted(t, rand.New(rand.NewPCG(seed, 0))) }) {
			return
		}
	}
}

func modelAborted(t *testing.T, rnd *rand.Rand) {
	cfg := Config{SegmentBytes: 2000, FS: quiet()}
	l := mustOpen(t, t.TempDir(), cfg)
	seqs, inTxn := map[int64]int32{}, map[int64]bool{}
	reopen := func(dir string) {
		l = mustOpen(t, dir, cfg)
		l.SetHighWatermark(l.EndOffset())
	}
	for range 300 {
		id := int64(1 + rnd.IntN(4))
		switch n := rnd.IntN(100); {
		case n < 60:
			mustAppend(t, l, batch{n: 1 + rnd.IntN(3), size: rnd.IntN(100), producer: id, seq: seqs[id], txn: true})
			seqs[id] = l.lastSequence(id) + 1
			inTxn[id] = true
		case n < 90 && inTxn[id]:
			kind := recordbatch.ControlType(rnd.IntN(2))
			if _, err := l.Append(markerView(t, id, 0, kind, 1), 0); err != nil {
				t.Fatal(err)
			}
			inTxn[id] = false
		case n < 92:
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			if rnd.IntN(2) == 0 {
				damageAborted(t, rnd, l.Dir())
			}
			reopen(l.Dir())
		case n < 94: // a crash after which all that was written is there
			dir := t.TempDir()
			l.syncMu.Lock() // or files are renamed while they are copied
			err := os.CopyFS(dir, os.DirFS(l.Dir()))
			l.syncMu.Unlock()
			if err != nil {
				t.Fatal(err)
			}
			reopen(dir)
		case n < 95:
			if err := l.TruncateTo(max(0, l.EndOffset()-int64(rnd.IntN(10)))); err != nil {
				t.Fatal(err)
			}
			for id := range seqs {
				inTxn[id] = slices.ContainsFunc(l.Producers(), func(s ProducerState) bool { return s.ID == id && s.TxnStartOffset >= 0 })
				seqs[id] = l.lastSequence(id) + 1
			}
		}
		l.SetHighWatermark(l.EndOffset())
		if rnd.IntN(4) > 0 {
			continue
		}
		to := l.LastStableOffset()
		from := rnd.Int64N(to + 1)
		to = from + rnd.Int64N(to-from+1)
		if got, want := abortedIn(t, l, from, to), abortedByScan(t, l, from, to); from < to && !slices.Equal(got, want) {
			t.Fatalf("aborted in [%d, %d) of %d are %v, want %v", from, to, l.EndOffset(), got, want)
		}
	}
}

func (l *Log) lastSequence(id int64) int32 {
	for _, s := range l.Producers() {
		if s.ID == id {
			return s.LastSequence
		}
	}
	return -1
}

// damageAborted cuts an index of aborted transactions in two, if there is one.
func damageAborted(t testing.TB, rnd *rand.Rand, dir string) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*"+txnSuffix))
	if err != nil || len(names) == 0 {
		return
	}
	if err := os.Truncate(names[rnd.IntN(len(names))], 17); err != nil {
		t.Fatal(err)
	}
}

// The file is Kafka's to the byte.
func TestAbortedIndexBytes(t *testing.T) {
	l := mustOpen(t, t.TempDir(), Config{FS: quiet()})
	mustAppend(t, l, batch{producer: 1, txn: true})           // 0
	mustAppend(t, l, batch{producer: 0x0102, txn: true})      // 1
	put(t, l, markerView(t, 0x0102, 0, recordbatch.Abort, 0)) // 2
	put(t, l, markerView(t, 1, 0, recordbatch.Abort, 0))      // 3
	put(t, l, markerView(t, 7, 0, recordbatch.Abort, 0))      // 4: nothing to abort
	mustAppend(t, l, batch{producer: 9, txn: true})           // 5
	put(t, l, markerView(t, 9, 0, recordbatch.Commit, 0))     // 6
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(l.Dir(), fileName(0, txnSuffix)))
	if err != nil {
		t.Fatal(err)
	}
	want := "0000" + "0000000000000102" + "0000000000000001" + "0000000000000002" + "0000000000000000" +
		"0000" + "0000000000000001" + "0000000000000000" + "0000000000000003" + "0000000000000004"
	if hex.EncodeToString(got) != want {
		t.Errorf("index is\n%x, want\n%s", got, want)
	}
}

// A segment's end may lie within a transaction that was aborted in a later
// one: its records must not take the place of committed ones.
func TestCleanKnowsOfLaterAborts(t *testing.T) {
	clock := &testClock{time.UnixMilli(1_000_000)}
	l := mustOpen(t, t.TempDir(), compacting(clock))
	put(t, l, keyed(t, 1, recordbatch.NoProducer, kv{"a", "1"}, kv{"b", "1"}))                   // 0, 1
	put(t, l, keyed(t, 1, recordbatch.Producer{ID: 5, Transactional: true}, kv{"a", "aborted"})) // 2
	put(t, l, keyed(t, 1, recordbatch.NoProducer, kv{"b", "2"}))                                 // 3
	rollAll(t, l)
	put(t, l, markerView(t, 5, 0, recordbatch.Abort, 1)) // 4, in the active segment
	l.SetHighWatermark(l.EndOffset())
	if s := clean(t, l); s.To != 4 {
		t.Fatalf("cleaned to %d, want 4", s.To)
	}
	want(t, l, "cleaned", "0:a=1 [2-2] 3:b=2 4:marker")
	if got := abortedIn(t, l, 0, 5); len(got) != 1 {
		t.Errorf("aborted are %v", got)
	}
	put(t, l, keyed(t, 1, recordbatch.NoProducer, kv{"c", "1"})) // 5
	rollAll(t, l)
	clean(t, l)
	if got := abortedIn(t, l, 0, 6); len(got) != 0 {
		t.Errorf("after its records are gone the index holds %v", got)
	}
	wantTidy(t, l.Dir())
}

// A chunk comes with the transactions that its own bytes need, while
// compaction replaces segments.
func TestReadCommittedDuringCompaction(t *testing.T) {
	clock := &testClock{time.UnixMilli(1_000_000)}
	l := mustOpen(t, t.TempDir(), compacting(clock))
	stop, done := make(chan struct{}), make(chan error, 1)
	go func() {
		for {
			select {
			case <-stop:
				done <- nil
				return
			default:
			}
			if err := checkCommitted(l); err != nil {
				done <- err
				return
			}
		}
	}()
	for i := range 200 {
		id := int64(1 + i%3)
		v := keyed(t, 1, recordbatch.Producer{ID: id, Epoch: int16(i), Transactional: true}, kv{"k", "aborted"}, kv{fmt.Sprint(i), "aborted"})
		put(t, l, v)
		put(t, l, keyed(t, 1, recordbatch.NoProducer, kv{"k", fmt.Sprint(i)}))
		put(t, l, markerView(t, id, int16(i), recordbatch.Abort, 1))
		l.SetHighWatermark(l.EndOffset())
		if i%5 == 4 {
			rollAll(t, l)
			clean(t, l)
		}
	}
	close(stop)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// checkCommitted reads the log as a read_committed consumer does, and returns
// an error if it sees a record of an aborted transaction.
func checkCommitted(l *Log) error {
	lso := l.LastStableOffset()
	for at := int64(0); at < lso; {
		c, txns, err := l.ReadCommitted(at, 300, lso, true)
		if err != nil {
			return err
		}
		b, err := c.AppendTo(nil)
		if err = errors.Join(err, c.Close()); err != nil {
			return err
		}
		if len(b) == 0 {
			return fmt.Errorf("nothing at %d below %d", at, lso)
		}
		active := map[int64]bool{}
		for len(b) > 0 {
			v, rest, err := recordbatch.Parse(b)
			if err != nil {
				return err
			}
			b, at = rest, v.NextOffset()
			for _, x := range txns {
				active[x.ProducerID] = active[x.ProducerID] || x.FirstOffset <= v.BaseOffset() && x.LastOffset > v.BaseOffset()
			}
			if v.Control() {
				delete(active, v.ProducerID())
			}
			if bytes.Contains(v, []byte("aborted")) && !active[v.ProducerID()] {
				return fmt.Errorf("batch at %d of producer %d is not known to be aborted: %v", v.BaseOffset(), v.ProducerID(), txns)
			}
		}
	}
	return nil
}

func TestVerification(t *testing.T) {
	l := mustOpen(t, t.TempDir(), Config{FS: quiet()})
	late := func(b batch, g *Verification) error {
		_, err := l.AppendWith(b.view(t), 0, AppendOptions{Verified: true, Verification: g})
		return err
	}
	verify := func(id int64, epoch int16, seq int32, fresh bool) *Verification {
		t.Helper()
		g, err := l.Verify(id, epoch, seq, fresh)
		if err != nil {
			t.Errorf("Verify(%d, %d, %d) = %v", id, epoch, seq, err)
		}
		return g
	}
	first := batch{producer: 5, txn: true}
	if err := late(first, nil); !errors.Is(err, ErrTxnState) {
		t.Errorf("without verification: %v", err)
	}
	g := verify(5, 0, 0, false)
	if again := verify(5, 0, 3, false); again != g {
		t.Error("a second batch needs another verification")
	}
	put(t, l, markerView(t, 5, 0, recordbatch.Abort, 1))
	if err := late(first, g); !errors.Is(err, ErrTxnState) {
		t.Errorf("after a marker: %v", err)
	}
	g = verify(5, 0, 0, false)
	if err := late(batch{producer: 5, seq: 1, txn: true}, g); !errors.Is(err, ErrOutOfOrderSequence) {
		t.Errorf("second batch before the first: %v", err)
	}
	if err := late(batch{producer: 5, epoch: 1, txn: true}, g); !errors.Is(err, ErrTxnState) {
		t.Errorf("batch of another epoch: %v", err)
	}
	if err := late(first, g); err != nil {
		t.Errorf("verified batch: %v", err)
	}
	if g := verify(5, 0, 1, false); g != nil {
		t.Error("an open transaction is to be verified again")
	}
	if err := late(batch{producer: 5, seq: 1, txn: true}, nil); err != nil {
		t.Errorf("second batch: %v", err)
	}
	if a, err := l.AppendWith(first.view(t), 0, AppendOptions{Verified: true}); err != nil || !a.Duplicate {
		t.Errorf("first batch sent again: %+v, %v", a, err)
	}
	if g := verify(5, 1, 0, true); g == nil {
		t.Error("another epoch is not to be verified")
	}
	// A late batch of an old epoch does not disturb the next transaction.
	put(t, l, markerView(t, 5, 1, recordbatch.Commit, 1))
	g = verify(5, 1, 0, true)
	if _, err := l.Verify(5, 0, 7, true); !errors.Is(err, ErrProducerEpoch) {
		t.Errorf("Verify of an old epoch = %v", err)
	}
	verify(5, 2, 0, true)
	if err := late(batch{producer: 5, epoch: 1, txn: true}, g); err != nil {
		t.Errorf("batch of the next transaction: %v", err)
	}
	g = verify(7, 0, 0, false)
	l.Unverify(7, g)
	if err := late(batch{producer: 7, txn: true}, g); !errors.Is(err, ErrTxnState) {
		t.Errorf("verification that was given up: %v", err)
	}
	// A producer whose sequence begins anew with each transaction.
	g = verify(6, 0, 7, true)
	if err := late(batch{producer: 6, seq: 7, txn: true}, g); !errors.Is(err, ErrOutOfOrderSequence) {
		t.Errorf("transaction that begins with sequence 7: %v", err)
	}
	if n := l.ExpireProducers(time.Now().Add(48 * time.Hour)); n != 0 { // 5 has a transaction open
		t.Errorf("%d producers expired", n)
	}
	if err := late(batch{producer: 6, txn: true}, g); !errors.Is(err, ErrTxnState) {
		t.Errorf("verification of two days ago: %v", err)
	}
}

// A coordinator's batches have no sequence, and a restart does not give them
// one.
func TestBatchesWithoutSequence(t *testing.T) {
	l := mustOpen(t, t.TempDir(), Config{FS: quiet()})
	for i := range 4 {
		if a := mustAppend(t, l, batch{producer: 5, seq: -1, txn: true}); a.Duplicate || a.BaseOffset != int64(i) {
			t.Errorf("batch %d is at %+v", i, a)
		}
		if i == 1 {
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			l = mustOpen(t, l.Dir(), Config{FS: quiet()})
		}
	}
	if _, err := l.Append(batch{producer: 5, epoch: -1, seq: -1, txn: true}.view(t), 0); !errors.Is(err, ErrProducerEpoch) {
		t.Errorf("old epoch: %v", err)
	}
	var names []string
	for _, s := range l.Producers() {
		names = append(names, fmt.Sprint(s.ID, s.LastSequence, s.TxnStartOffset))
	}
	if got := strings.Join(names, ","); got != "5 -1 0" {
		t.Errorf("producers are %s", got)
	}
}

// A callback of the goroutine that flushes can append although flush.messages
// demands to wait for it.
func TestAppendWhileFlushing(t *testing.T) {
	l := mustOpen(t, t.TempDir(), Config{FS: quiet(), FlushMessages: 1})
	done := make(chan error, 1)
	if _, err := l.AppendWith(batch{}.view(t), 0, AppendOptions{NoWait: true}); err != nil {
		t.Fatal(err)
	}
	l.NotifyDurable(1, func(error) {
		_, err := l.AppendWith(batch{}.view(t), 0, AppendOptions{NoWait: true})
		done <- err
	})
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if err := l.WaitDurable(t.Context(), 2); err != nil {
		t.Error(err)
	}
}

// DeleteRecords may reach into a transaction that is open. The last stable
// offset follows, or consumers would be sent below the start of the log.
func TestDeletionWithinATransaction(t *testing.T) {
	l := mustOpen(t, t.TempDir(), Config{FS: quiet()})
	mustAppend(t, l, batch{producer: 5, n: 3, txn: true})
	mustAppend(t, l, batch{n: 3})
	l.SetHighWatermark(6)
	if got := l.LastStableOffset(); got != 0 {
		t.Errorf("last stable offset is %d", got)
	}
	if err := l.DeleteBefore(4); err != nil {
		t.Fatal(err)
	}
	if got := l.LastStableOffset(); got != 4 {
		t.Errorf("last stable offset is %d below the start at 4", got)
	}
	put(t, l, markerView(t, 5, 0, recordbatch.Commit, 1))
	l.SetHighWatermark(7)
	if got := l.LastStableOffset(); got != 7 {
		t.Errorf("last stable offset is %d after the commit", got)
	}
}
