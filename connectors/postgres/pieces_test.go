package postgres

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/connectors/postgres/pgtest"
	"github.com/millrace/millrace/plugins/data"
)

// streamingServer sends transactions in pieces early, and keeps prepared ones.
func streamingServer(t *testing.T) *pgtest.Server {
	t.Helper()
	return pgtest.Start(t, "logical_decoding_work_mem=64kB", "max_prepared_transactions=10", "wal_sender_timeout=5s")
}

// interleaved are transactions that run beside each other, the larger of them
// sent in pieces, with savepoints that are rolled back.
func interleaved(t *testing.T, w *worker, sessions int) {
	t.Helper()
	cfg, problems := newConfig(w.config())
	if problems != nil {
		t.Fatal(problems)
	}
	for s := range sessions {
		conn, err := cfg.connect(t.Context(), false)
		if err != nil {
			t.Fatal(err)
		}
		defer closeConn(conn)
		run := func(sql string) {
			t.Helper()
			if _, err := query(t.Context(), conn, sql); err != nil {
				t.Fatal(err)
			}
		}
		base := (s + 1) * 10000
		run(fmt.Sprintf("BEGIN; INSERT INTO t SELECT g, repeat('x', 100) FROM generate_series(%d, %d) g", base, base+1499))
		run(fmt.Sprintf("SAVEPOINT a; INSERT INTO t SELECT g, repeat('y', 100) FROM generate_series(%d, %d) g; ROLLBACK TO a", base+2000, base+3499))
		// Another transaction commits in the middle of it.
		w.exec(fmt.Sprintf("INSERT INTO t VALUES (%d, 'small')", s+1))
		run(fmt.Sprintf("INSERT INTO t SELECT g, repeat('z', 100) FROM generate_series(%d, %d) g", base+1500, base+1999))
		if s%3 == 2 {
			run("ROLLBACK")
		} else {
			run("COMMIT")
		}
	}
}

// keysOf lists the ids of what interleaved commits, in the order of commits.
func keysOf(sessions int) []string {
	var out []string
	for s := range sessions {
		out = append(out, fmt.Sprintf(`{"id":%d}`, s+1))
		if s%3 == 2 {
			continue
		}
		for i := range 2000 {
			out = append(out, fmt.Sprintf(`{"id":%d}`, (s+1)*10000+i))
		}
	}
	return out
}

func TestTransactionsInPieces(t *testing.T) {
	s := streamingServer(t)
	for _, streaming := range []string{"off", "on", "parallel"} { // before PostgreSQL 16, parallel is on
		t.Run(streaming, func(t *testing.T) {
			w := newWorker(t, s, map[string]string{"millrace.streaming": streaming, "millrace.spool.dir": t.TempDir(), "provide.transaction.metadata": "true"},
				"CREATE TABLE t (id int PRIMARY KEY, v text)")
			w.run()
			first(t, w)
			interleaved(t, w, 3)
			want := keysOf(3)
			var got []string
			pollUntil(t, w, func() bool { return len(got) >= len(want) && len(w.task.dec.pieces.open) == 0 }, func(e event) {
				if e.topic == "shop.public.t" {
					got = append(got, e.key)
				}
			})
			if !slices.Equal(got, want) {
				t.Errorf("%d rows, want %d; the first that differs is number %d", len(got), len(want), firstDifference(got, want))
			}
			if held := w.task.dec.pieces.seen > 0; held != (streaming != "off") {
				t.Errorf("transactions came in pieces: %v", held)
			}
			if command := startCommand(w.task.cfg, 0, w.task.major, false); (streaming == "parallel" && w.task.major >= 16) != strings.Contains(command, "proto_version '4'") {
				t.Errorf("PostgreSQL %d was told %s", w.task.major, command)
			}
			if n := len(w.task.dec.pieces.open); n > 0 || w.task.dec.pieces.bytes != 0 {
				t.Errorf("%d transactions of %d bytes are still held", n, w.task.dec.pieces.bytes)
			}
			if files, err := os.ReadDir(w.props["millrace.spool.dir"]); err != nil || len(files) > 0 {
				t.Errorf("files are left: %v %v", files, err)
			}
		})
	}
}

func firstDifference(a, b []string) int {
	for i := range a {
		if i >= len(b) || a[i] != b[i] {
			return i
		}
	}
	return len(a)
}

// TestPiecesAreLimited fails a task whose transactions take too much room.
func TestPiecesAreLimited(t *testing.T) {
	w := newWorker(t, streamingServer(t), map[string]string{"millrace.streaming": "on", "millrace.spool.max.bytes": "100000"}, "CREATE TABLE t (id int PRIMARY KEY, v text)")
	w.run()
	first(t, w)
	w.exec("INSERT INTO t SELECT g, repeat('x', 100) FROM generate_series(1, 5000) g")
	if err := failure(t, w); !strings.Contains(err.Error(), "millrace.spool.max.bytes") {
		t.Errorf("error is %v", err)
	}
}

// TestNothingIsLostOrDoubledInPieces stops the task at positions in the middle
// of transactions that come in pieces, and goes on.
func TestNothingIsLostOrDoubledInPieces(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	rnd := rand.New(rand.NewPCG(seed, 1))
	streaming := []string{"on", "parallel"}[rnd.IntN(2)]
	w := newWorker(t, streamingServer(t), map[string]string{"millrace.streaming": streaming}, "CREATE TABLE t (id int PRIMARY KEY, v text)")
	w.run()
	first(t, w)
	interleaved(t, w, 5)
	want := keysOf(5)
	var got []string
	var b data.Batch
	for stops := 0; len(got) < len(want); {
		w.run().em.limit = 1 + rnd.IntN(60000)
		b = data.Batch{}
		if err := w.poll(&b); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if len(b.Records) == 0 && len(b.Positions) == 0 {
			continue
		}
		if stops < 25 && rnd.IntN(3) == 0 { // neither records nor position are stored
			w.stop()
			w.slotIsFree()
			stops++
			continue
		}
		for i := range b.Records {
			got = append(got, asEvent(t, &b.Records[i]).key)
		}
		w.store()
	}
	if !slices.Equal(got, want) {
		t.Errorf("seed %d: %d rows, want %d; the first that differs is number %d", seed, len(got), len(want), firstDifference(got, want))
	}
}

// TestPreparedTransactions has a slot made with two_phase, whose transactions
// are sent when they are prepared and count when they commit.
func TestPreparedTransactions(t *testing.T) {
	w := newWorker(t, streamingServer(t), map[string]string{"snapshot.mode": "no_data", "millrace.streaming": "on"},
		"CREATE TABLE t (id int PRIMARY KEY, v text)", "CREATE PUBLICATION dbz_publication FOR ALL TABLES")
	w.exec("SELECT pg_create_logical_replication_slot('" + w.props["slot.name"] + "', 'pgoutput', false, true)")
	w.run()
	first(t, w)
	w.exec("BEGIN; INSERT INTO t VALUES (1, 'prepared'); PREPARE TRANSACTION 'one'")
	w.exec("BEGIN; INSERT INTO t VALUES (2, 'given up'); PREPARE TRANSACTION 'two'")
	w.exec("BEGIN; INSERT INTO t SELECT g, repeat('x', 100) FROM generate_series(100, 1999) g; PREPARE TRANSACTION 'large'")
	w.exec("INSERT INTO t VALUES (3, 'between')")
	var keys []string
	collect := func(n int) {
		t.Helper()
		pollUntil(t, w, func() bool { return len(keys) >= n && !w.task.dirty }, func(e event) { keys = append(keys, e.key) })
	}
	collect(1)
	if w.stored.Int64("mr_hold") == 0 {
		t.Fatalf("stored offset is %v, which does not hold the slot for what is prepared", w.stored)
	}
	// What was prepared comes again after a restart; what has committed does not.
	w.stop()
	w.slotIsFree()
	w.exec("ROLLBACK PREPARED 'two'", "COMMIT PREPARED 'one'", "INSERT INTO t VALUES (4, 'after')", "COMMIT PREPARED 'large'")
	want := []string{`{"id":3}`, `{"id":1}`, `{"id":4}`}
	for i := 100; i < 2000; i++ {
		want = append(want, fmt.Sprintf(`{"id":%d}`, i))
	}
	collect(len(want))
	if !slices.Equal(keys, want) {
		t.Errorf("%d rows, want %d; the first that differs is number %d: %.300s", len(keys), len(want), firstDifference(keys, want), keys)
	}
	if h := w.stored.Int64("mr_hold"); h != 0 {
		t.Errorf("the slot is still held at %s", lsn(h))
	}
}
