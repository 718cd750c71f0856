package postgres

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/connectors/postgres/pgtest"
	"github.com/millrace/millrace/plugins/data"
	"github.com/millrace/millrace/plugins/sdk"
)

// pollUntil polls and stores until done says so, and passes over errors that
// the worker would retry.
func pollUntil(t *testing.T, w *worker, done func() bool, each func(e event)) {
	t.Helper()
	var b data.Batch
	for end := time.Now().Add(30 * time.Second); !done(); {
		if time.Now().After(end) {
			t.Fatal("it never came about")
		}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		b = data.Batch{}
		err := w.run().PollBatch(ctx, &b)
		cancel()
		var e *sdk.Error
		if errors.Is(err, context.DeadlineExceeded) || errors.As(err, &e) && e.RetryAfter > 0 {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		w.note(&b)
		for i := range b.Records {
			each(asEvent(t, &b.Records[i]))
		}
		w.store()
	}
}

// TestNothingIsLostOrDoubled cuts batches small, so that offsets stand in the
// middle of transactions, and crashes before, between and after them.
func TestNothingIsLostOrDoubled(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	rnd := rand.New(rand.NewPCG(seed, 1))
	w := newWorker(t, shared(t), map[string]string{"table.exclude.list": "public.other"},
		"CREATE TABLE t (id int PRIMARY KEY, v text); CREATE TABLE other (id int)", "INSERT INTO t SELECT g, 'old' FROM generate_series(1, 50) g")
	next := 50
	var statements []string
	for range 40 {
		n := 1 + rnd.IntN(12)
		sql := fmt.Sprintf("BEGIN; INSERT INTO other VALUES (1); INSERT INTO t SELECT g, 'x' FROM generate_series(%d, %d) g; ", next+1, next+n)
		next += n
		if rnd.IntN(2) == 0 {
			next++ // a second statement: other positions in the log
			sql += fmt.Sprintf("INSERT INTO t VALUES (%d, 'y'); ", next)
		}
		statements = append(statements, sql+"COMMIT")
	}

	var ids []string
	var b data.Batch
	crashes := 0
	for end := time.Now().Add(60 * time.Second); len(ids) < next; {
		if time.Now().After(end) {
			t.Fatalf("seed %d: %d of %d rows after a minute", seed, len(ids), next)
		}
		w.run().em.limit = 1 + rnd.IntN(2000)
		if w.stored != nil && w.task.finishedSnapshot() && len(statements) > 0 && rnd.IntN(3) == 0 {
			w.exec(statements[0])
			statements = statements[1:]
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(1+rnd.IntN(60))*time.Millisecond)
		b = data.Batch{}
		err := w.task.PollBatch(ctx, &b)
		cancel()
		var retry *sdk.Error
		if err != nil && !errors.Is(err, context.DeadlineExceeded) && !(errors.As(err, &retry) && retry.RetryAfter > 0) {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if err == nil && rnd.IntN(4) > 0 {
			// Records and offset are stored together, or neither.
			for i := range b.Records {
				e := asEvent(t, &b.Records[i])
				if ids = append(ids, e.key); e.key == "null" {
					t.Fatalf("seed %d: an event without key: %s %s", seed, e.topic, e.value)
				}
			}
			w.note(&b)
			w.store()
			continue
		}
		if w.stored != nil && (w.stored.String("snapshot") == "" || w.stored.Bool("snapshot_completed")) {
			crashes++
			w.stop()
		} else if len(b.Records)+len(b.Positions) > 0 {
			w.stop() // a snapshot that is cut off is read again
			w.stored, w.lists, ids = nil, nil, nil
		}
	}
	for i, id := range ids {
		if want := fmt.Sprintf(`{"id":%d}`, i+1); id != want {
			t.Fatalf("seed %d, after %d crashes: row %d is %s", seed, crashes, i, id)
		}
	}
	if crashes == 0 {
		t.Errorf("seed %d: no crash happened", seed)
	}
}

func TestSlotIsConfirmedUpToStoredOffsetsOnly(t *testing.T) {
	s := shared(t)
	w := newWorker(t, s, map[string]string{"status.update.interval.ms": "10"}, "CREATE TABLE t (id int PRIMARY KEY)")
	w.run()
	first(t, w)
	confirmed := func() lsn {
		l, err := parseLSN(w.exec("SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = '" + w.props["slot.name"] + "'")[0])
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	replies := func() string {
		return strings.Join(w.exec("SELECT reply_time FROM pg_stat_replication WHERE application_name = 'millrace "+w.props["slot.name"]+"'"), "")
	}
	w.exec("INSERT INTO t VALUES (1)")
	var b data.Batch
	for len(b.Records) == 0 {
		if err := w.poll(&b); err != nil {
			t.Fatal(err)
		}
	}
	before := lsn(w.stored.Int64("lsn_commit"))
	for n, last := 0, replies(); n < 3; { // three more status messages
		if now := replies(); now != last {
			n, last = n+1, now
		}
	}
	if c := confirmed(); c > before {
		t.Fatalf("the slot is at %s, the stored offset at %s", c, before)
	}
	w.store()
	want := lsn(w.stored.Int64("lsn_commit"))
	if want <= before {
		// The batch ended inside the transaction: its end comes alone.
		pollUntil(t, w, func() bool { return lsn(w.stored.Int64("lsn_commit")) > before }, func(event) {})
		want = lsn(w.stored.Int64("lsn_commit"))
	}
	for end := time.Now().Add(10 * time.Second); confirmed() < want; {
		if time.Now().After(end) {
			t.Fatalf("the slot stays at %s, the stored offset is %s", confirmed(), want)
		}
	}
}

func TestKeepalivesGoOutWhileNothingIsPolled(t *testing.T) {
	s := shared(t)
	w := newWorker(t, s, nil, "CREATE TABLE t (id int PRIMARY KEY, v text)")
	w.exec("ALTER DATABASE " + w.db + " SET wal_sender_timeout = '3s'")
	w.run()
	first(t, w)
	w.exec("INSERT INTO t SELECT g, repeat('x', 1000) FROM generate_series(1, 30000) g")
	// For more than twice the timeout nobody takes the rows.
	began := time.Now()
	for time.Since(began) < 7*time.Second {
		if n := w.exec("SELECT count(*) FROM pg_stat_replication WHERE application_name = 'millrace " + w.props["slot.name"] + "'"); n[0] != "1" {
			t.Fatal("the server has given the connection up")
		}
	}
	w.events(30000)
}

func TestServerStopsAndComesBack(t *testing.T) {
	s := pgtest.Start(t)
	w := newWorker(t, s, nil, "CREATE TABLE t (id int PRIMARY KEY)")
	w.run()
	first(t, w)
	seen := map[string]int{}
	count := func(e event) { seen[e.key]++ }
	w.exec("INSERT INTO t VALUES (1)")
	pollUntil(t, w, func() bool { return len(seen) == 1 }, count)
	stopped := make(chan error, 1)
	go func() { stopped <- s.Stop() }() // waits until the slot has everything confirmed
	ended := false
	pollUntil(t, w, func() bool {
		select {
		case err := <-stopped:
			if err != nil {
				t.Fatal(err)
			}
			ended = true
		default:
		}
		return ended
	}, count)
	if err := s.Restart(); err != nil {
		t.Fatal(err)
	}
	w.exec("INSERT INTO t VALUES (2)")
	pollUntil(t, w, func() bool { return len(seen) == 2 }, count)
	if err := s.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := s.Restart(); err != nil {
		t.Fatal(err)
	}
	w.exec("INSERT INTO t VALUES (3)")
	pollUntil(t, w, func() bool { return len(seen) == 3 }, count)
	for k, n := range seen {
		if n != 1 {
			t.Errorf("%s came %d times", k, n)
		}
	}
}

func TestExistingSlotWithoutOffset(t *testing.T) {
	s := shared(t)
	w := newWorker(t, s, nil, "CREATE TABLE t (id int PRIMARY KEY)", "CREATE PUBLICATION dbz_publication FOR ALL TABLES")
	w.exec("SELECT pg_create_logical_replication_slot('" + w.props["slot.name"] + "', 'pgoutput')")
	w.exec("INSERT INTO t VALUES (1)", "INSERT INTO t VALUES (2)")
	cfg, problems := newConfig(w.config())
	if problems != nil {
		t.Fatal(problems)
	}
	// A transaction is open while the tables are read.
	conn, err := cfg.connect(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	defer closeConn(conn)
	if _, err := query(t.Context(), conn, "BEGIN; INSERT INTO t VALUES (3)"); err != nil {
		t.Fatal(err)
	}
	compare(t, w.events(2), `shop.public.t {"id":1} r null {"id":1} first`, `shop.public.t {"id":2} r null {"id":2} last`)
	if _, err := query(t.Context(), conn, "COMMIT"); err != nil {
		t.Fatal(err)
	}
	w.stop()
	compare(t, w.events(1), `shop.public.t {"id":3} c null {"id":3}`)
}

func TestTakesOverDebeziumOffset(t *testing.T) {
	w := newWorker(t, shared(t), nil, "CREATE TABLE t (id int PRIMARY KEY)")
	w.run()
	first(t, w)
	w.exec("BEGIN; INSERT INTO t SELECT generate_series(1, 3); INSERT INTO t VALUES (4); COMMIT")
	w.task.em.limit = 1
	for w.stored.String("messageType") != "INSERT" {
		w.events(1)
	}
	w.events(1)
	w.stop()
	// What Debezium would have stored after the second row.
	ours := w.stored
	w.stored = sdk.Offset{}
	for _, k := range []string{"lsn", "lsn_proc", "lsn_commit", "lsn_events_processed", "messageType", "txId", "ts_usec"} {
		w.stored[k] = ours[k]
	}
	w.stored["transaction_id"] = nil
	compare(t, w.events(2), `shop.public.t {"id":3} c null {"id":3}`, `shop.public.t {"id":4} c null {"id":4}`)
}

// failure polls until an error comes.
func failure(t *testing.T, w *worker) error {
	t.Helper()
	var b data.Batch
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); {
		err := w.poll(&b)
		var e *sdk.Error
		if err != nil && !(errors.As(err, &e) && e.RetryAfter > 0) {
			return err
		}
	}
	t.Fatal("no error came")
	return nil
}

// slotIsFree waits until the server has noticed the end of the task.
func (w *worker) slotIsFree() {
	w.tb.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); {
		if rows := w.exec("SELECT 1 FROM pg_replication_slots WHERE active AND slot_name = '" + w.props["slot.name"] + "'"); len(rows) == 0 {
			return
		}
	}
	w.tb.Fatal("the slot stays in use")
}

func TestWhatIsMissingIsSaid(t *testing.T) {
	s := shared(t)
	t.Run("slot dropped", func(t *testing.T) {
		w := newWorker(t, s, nil, "CREATE TABLE t (id int PRIMARY KEY)")
		w.run()
		first(t, w)
		w.stop()
		w.slotIsFree()
		w.exec("SELECT pg_drop_replication_slot('" + w.props["slot.name"] + "')")
		if err := failure(t, w); !strings.Contains(err.Error(), "is gone") || !strings.Contains(err.Error(), "when_needed") {
			t.Errorf("error is %v", err)
		}
		w.stop()
		w.props["snapshot.mode"] = "when_needed"
		w.exec("INSERT INTO t VALUES (1)")
		compare(t, w.events(1), `shop.public.t {"id":1} r null {"id":1} last`)
	})
	t.Run("publication dropped", func(t *testing.T) {
		w := newWorker(t, s, map[string]string{"publication.autocreate.mode": "disabled"}, "CREATE TABLE t (id int PRIMARY KEY)")
		if err := failure(t, w); !strings.Contains(err.Error(), "publication dbz_publication does not exist") {
			t.Errorf("error is %v", err)
		}
		w.exec("CREATE PUBLICATION dbz_publication FOR ALL TABLES")
		w.stop()
		w.run()
		first(t, w)
		w.exec("INSERT INTO t VALUES (1)")
		w.events(1)
		w.exec("DROP PUBLICATION dbz_publication", "INSERT INTO t VALUES (2)")
		if err := failure(t, w); !strings.Contains(err.Error(), "publication dbz_publication") {
			t.Errorf("error is %v", err)
		}
	})
	t.Run("role without replication", func(t *testing.T) {
		w := newWorker(t, s, nil)
		user := "user_of_" + w.db
		w.exec("CREATE ROLE " + user + " LOGIN")
		w.props["database.user"] = user
		if err := w.open(); err == nil || !strings.Contains(err.Error(), `ALTER ROLE "`+user+`" REPLICATION`) {
			t.Errorf("error is %v", err)
		}
		if p := (Source{}).Validate(t.Context(), w.config()); len(p) != 1 || !strings.Contains(p[0].Text, "ALTER ROLE") {
			t.Errorf("problems are %v", p)
		}
	})
	t.Run("slot of another plugin", func(t *testing.T) {
		w := newWorker(t, s, nil)
		w.exec("SELECT pg_create_logical_replication_slot('" + w.props["slot.name"] + "', 'test_decoding')")
		if p := (Source{}).Validate(t.Context(), w.config()); len(p) != 1 || p[0].Key != "slot.name" || !strings.Contains(p[0].Text, "test_decoding") {
			t.Errorf("problems are %v", p)
		}
	})
	t.Run("offset behind the slot", func(t *testing.T) {
		w := newWorker(t, s, nil, "CREATE TABLE t (id int PRIMARY KEY)")
		w.run()
		first(t, w)
		old := w.stored
		w.exec("INSERT INTO t VALUES (1)")
		pollUntil(t, w, func() bool { return w.stored.Int64("lsn_commit") > old.Int64("lsn_commit") }, func(event) {})
		w.stop()
		w.slotIsFree()
		w.exec("SELECT pg_replication_slot_advance('" + w.props["slot.name"] + "', pg_current_wal_lsn())")
		w.stored = old
		if err := failure(t, w); !strings.Contains(err.Error(), "after the stored offset") {
			t.Errorf("error is %v", err)
		}
	})
	t.Run("wal_level", func(t *testing.T) {
		plain := pgtest.Start(t, "wal_level=replica")
		w := newWorker(t, plain, nil, "CREATE TABLE t (id int PRIMARY KEY)", "INSERT INTO t VALUES (1)")
		if err := w.open(); err == nil || !strings.Contains(err.Error(), "wal_level is replica") {
			t.Errorf("error is %v", err)
		}
		// Reading the tables alone needs none of it.
		w.props["snapshot.mode"] = "initial_only"
		compare(t, w.events(1), `shop.public.t {"id":1} r null {"id":1} last`)
		pollUntil(t, w, func() bool { return w.task.phase == phaseDone }, func(e event) { t.Errorf("unexpected %v", e) })
	})
	t.Run("no server", func(t *testing.T) {
		w := newWorker(t, s, map[string]string{"database.password": "hunter2hunter2"})
		w.props["database.port"] = "1"
		err := w.open()
		var e *sdk.Error
		if !errors.As(err, &e) || e.RetryAfter == 0 || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("error is %v", err)
		}
	})
}

func TestLargeTransactionInLittleMemory(t *testing.T) {
	w := newWorker(t, shared(t), nil, "CREATE TABLE t (id int PRIMARY KEY, v text)")
	w.run()
	first(t, w)
	const rows = 100_000
	w.exec(fmt.Sprintf("INSERT INTO t SELECT g, repeat('x', 1000) FROM generate_series(1, %d) g", rows))
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	base, peak, n := m.HeapAlloc, uint64(0), 0
	var b data.Batch
	for n < rows {
		if err := w.poll(&b); err != nil {
			t.Fatal(err)
		}
		if n += len(b.Records); n%50 == 0 {
			runtime.ReadMemStats(&m)
			peak = max(peak, m.HeapAlloc)
		}
	}
	w.store()
	if peak > base+64<<20 {
		t.Errorf("the heap grew by %d MB for a transaction of 100 MB", (peak-base)>>20)
	}
}

func TestSlotIsDroppedOnStop(t *testing.T) {
	w := newWorker(t, shared(t), map[string]string{"slot.drop.on.stop": "true"}, "CREATE TABLE t (id int PRIMARY KEY)")
	w.run()
	first(t, w)
	w.stop()
	if rows := w.exec("SELECT 1 FROM pg_replication_slots WHERE slot_name = '" + w.props["slot.name"] + "'"); len(rows) != 0 {
		t.Error("the slot is still there")
	}
}

func TestSnapshotOfManyRows(t *testing.T) {
	w := newWorker(t, shared(t), map[string]string{"snapshot.select.statement.overrides": "public.t", "snapshot.select.statement.overrides.public.t": "SELECT * FROM t WHERE id % 2 = 0;"},
		"CREATE TABLE t (id int PRIMARY KEY, v text)", "INSERT INTO t SELECT g, repeat('x', 100) FROM generate_series(1, 20000) g")
	got := w.events(10000)
	if s := open(t, got[0]).Source.Snapshot; s != "first" {
		t.Errorf("the first row is %s", s)
	}
	if s := open(t, got[9999]).Source.Snapshot; s != "last" || got[9999].key != `{"id":20000}` {
		t.Errorf("the last row is %s %s", s, got[9999].key)
	}
}
