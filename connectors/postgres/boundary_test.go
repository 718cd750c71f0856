package postgres

import (
	"errors"
	"slices"
	"testing"

	"github.com/millrace/millrace/plugins/data"
	"github.com/millrace/millrace/plugins/sdk"
)

// TestEveryBoundary stops at each event of a stream, and at each position
// without one, and goes on from the position that was stored there: what comes
// is what is left, neither more nor less. The stream has many rows at one
// position of the log, transactions that run beside each other and commit in
// another order than they began, messages inside and outside of transactions,
// an update that moves a key, a truncate, and commits that follow each other
// with nothing between. It comes whole, in pieces, and with prepared
// transactions.
func TestEveryBoundary(t *testing.T) {
	s := streamingServer(t)
	for _, tt := range []struct {
		name     string
		props    map[string]string
		twoPhase bool
		filler   string // makes transactions large enough to come in pieces
	}{
		{"whole", nil, false, ""},
		{"with transactions' metadata", map[string]string{"provide.transaction.metadata": "true"}, false, ""},
		{"in pieces", map[string]string{"millrace.streaming": "on"}, false, "INSERT INTO unseen SELECT g, repeat('x', 1000) FROM generate_series(1, 100) g; "},
		{"prepared", nil, true, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorker(t, s, map[string]string{"snapshot.mode": "no_data", "lsn.flush.mode": "manual", "skipped.operations": "none", "table.exclude.list": "public.unseen"},
				"CREATE TABLE t (id int PRIMARY KEY, v text); CREATE TABLE unseen (id int, v text); CREATE TABLE u (id int PRIMARY KEY)", "CREATE PUBLICATION dbz_publication FOR ALL TABLES")
			for k, v := range tt.props {
				w.props[k] = v
			}
			twoPhase := "false"
			if tt.twoPhase {
				twoPhase = "true"
			}
			w.exec("SELECT pg_create_logical_replication_slot('" + w.props["slot.name"] + "', 'pgoutput', false, " + twoPhase + ")")
			boundaryStream(t, w, tt.filler, tt.twoPhase)
			all, offsets := readAll(t, w, "")
			if pieces := w.task.dec.pieces.seen > 0; pieces != (tt.filler != "") {
				t.Errorf("transactions came in pieces: %v", pieces)
			}
			if len(all) < 20 {
				t.Fatalf("the stream has %d events only: %v", len(all), all)
			}
			for i, o := range offsets {
				w.stop()
				w.slotIsFree()
				w.stored = o.offset
				rest, _ := readAll(t, w, all[len(all)-1])
				if want := all[o.events:]; !slices.Equal(rest, want) {
					t.Fatalf("from position %d, %v, behind event %d of %d:\n%v\nwant\n%v", i, o.offset, o.events, len(all), rest, want)
				}
			}
			t.Logf("%d positions of a stream of %d events", len(offsets), len(all))
		})
	}
}

// boundaryStream makes the changes.
func boundaryStream(t *testing.T, w *worker, filler string, twoPhase bool) {
	t.Helper()
	cfg, problems := newConfig(w.config())
	if problems != nil {
		t.Fatal(problems)
	}
	conn, err := cfg.connect(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	defer closeConn(conn)
	other := func(sql string) {
		t.Helper()
		if _, err := query(t.Context(), conn, sql); err != nil {
			t.Fatal(err)
		}
	}
	w.exec("COPY t (id) FROM PROGRAM 'seq 1 5'", "INSERT INTO u VALUES (1)", "INSERT INTO u VALUES (2)")
	other("BEGIN; " + filler + "INSERT INTO t VALUES (10, 'beside'); SAVEPOINT a; INSERT INTO t VALUES (11, 'undone'); ROLLBACK TO a; COPY t (id) FROM PROGRAM 'seq 12 14'")
	w.exec("BEGIN; "+filler+"INSERT INTO u VALUES (3); SELECT pg_logical_emit_message(true, 'in', 'one'); SELECT pg_logical_emit_message(false, 'out', 'two'); INSERT INTO u VALUES (4); COMMIT",
		"INSERT INTO unseen VALUES (1, 'x')", "SELECT pg_logical_emit_message(false, 'out', 'three')")
	other("INSERT INTO t VALUES (15, 'beside'); COMMIT")
	w.exec("UPDATE t SET id = 20 WHERE id = 10", "DELETE FROM u WHERE id = 1")
	if twoPhase {
		w.exec("BEGIN; INSERT INTO t VALUES (30, 'prepared'); COPY t (id) FROM PROGRAM 'seq 31 33'; PREPARE TRANSACTION 'p'")
		w.exec("INSERT INTO u VALUES (5)")
		w.exec("COMMIT PREPARED 'p'")
	}
	w.exec("TRUNCATE u", "INSERT INTO u VALUES (100)")
}

// boundary is a position and how many events are before it.
type boundary struct {
	offset sdk.Offset
	events int
}

// readAll reads from a position to the last event, one at a time, and returns
// events as text and every position that a worker might have stored.
func readAll(t *testing.T, w *worker, last string) (events []string, offsets []boundary) {
	t.Helper()
	w.run().em.limit = 1
	done := func(e string) bool {
		return e == last || last == "" && e == `shop.public.u {"id":100} c null {"id":100}`
	}
	var b data.Batch
	for {
		if err := w.poll(&b); err != nil {
			t.Fatalf("after %d events: %v", len(events), err)
		}
		note := func(p data.Position) {
			partition, err := sdk.DecodeMap(p.Partition)
			offset, err2 := sdk.DecodeMap(p.Offset)
			if err := errors.Join(err, err2); err != nil {
				t.Fatal(err)
			}
			if partition["millrace"] == nil { // not the lists in force
				offsets = append(offsets, boundary{offset, len(events)})
			}
		}
		next := 0
		for i := range b.Records {
			e := asEvent(t, &b.Records[i])
			events = append(events, boundarySummary(t, e))
			if p := b.Records[i].Position; p != data.NoPosition {
				next++
				note(b.Positions[p])
			}
		}
		for _, p := range b.Positions[next:] {
			note(p)
		}
		if n := len(events); n > 0 && done(events[n-1]) {
			// The position before the last event is the last to go on from.
			return events, slices.DeleteFunc(offsets, func(o boundary) bool { return o.events == n })
		}
	}
}

// boundarySummary leaves out of an event what differs each time.
func boundarySummary(t *testing.T, e event) string {
	t.Helper()
	if e.topic == "shop.message" || e.topic == "shop.transaction" {
		return e.topic + " " + e.key
	}
	return summary(t, e)
}
