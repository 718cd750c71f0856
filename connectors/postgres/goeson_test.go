package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/millrace/millrace/plugins/data"
	"github.com/millrace/millrace/plugins/sdk"
)

// history rebuilds tables from their events, and holds that each row is read or
// inserted once and that each of its versions, which count up from 0, comes
// after the one before.
type history struct {
	tb     testing.TB
	what   string                               // of the run, for failures
	tables map[string]map[string]map[string]any // rows by table and key
	late   int                                  // updates of rows that were never read
	reads  int
	strict bool // rows are read or inserted once
	// moved is the row that was deleted last. A row that gets another key is
	// deleted and created, and the creation does not repeat what is stored out
	// of line.
	moved map[string]any
}

func newHistory(tb testing.TB, what string) *history {
	return &history{tb: tb, what: what, strict: true, tables: map[string]map[string]map[string]any{}}
}

const missing = "__debezium_unavailable_value"

func (h *history) add(e event) {
	h.tb.Helper()
	if e.value == "null" {
		return
	}
	var v struct {
		After  map[string]any
		Op     string
		Source struct{ Table string }
	}
	if err := json.Unmarshal([]byte(e.value), &v); err != nil {
		h.tb.Fatal(err)
	}
	rows := h.tables[v.Source.Table]
	if rows == nil {
		rows = map[string]map[string]any{}
		h.tables[v.Source.Table] = rows
	}
	key := e.key
	if key == "null" {
		key = fmt.Sprint(v.After["id"]) // rows of the table without key are numbered, too
	}
	was, known := rows[key]
	bad := func(why string) {
		h.tb.Helper()
		h.tb.Errorf("%s: %s of %s %s: %s: %.100s after %.100s", h.what, v.Op, v.Source.Table, key, why, fmt.Sprint(v.After), fmt.Sprint(was))
	}
	switch v.Op {
	case "r", "c":
		switch h.reads++; {
		case known && h.strict:
			bad("the row is there already")
		case known && v.Op == "r" && v.After["n"].(float64) != was["n"].(float64):
			bad("the row is read in another version than the last one")
		}
		for name, field := range v.After {
			if before, ok := h.moved[name]; ok && v.Op == "c" && field == missing {
				v.After[name] = before
			}
		}
		h.moved = nil
	case "u":
		if !known {
			h.late++
		} else if v.After["n"].(float64) != was["n"].(float64)+1 {
			bad("a version is missing or comes again")
		}
		for name, field := range v.After {
			if before, ok := was[name]; ok && field == missing {
				v.After[name] = before
			}
		}
	case "d":
		h.moved = was
		delete(rows, key)
		return
	}
	rows[key] = v.After
}

// compare holds that the tables are what the database has.
func (h *history) compare(w *worker, tables ...string) {
	h.tb.Helper()
	for _, table := range tables {
		want := map[string]string{}
		for _, row := range w.exec("SELECT id, row_to_json(t) FROM " + table + " t") {
			id, text, _ := strings.Cut(row, "|")
			want[id] = text
		}
		rows := h.tables[table]
		if len(rows) != len(want) {
			h.tb.Errorf("%s: %s has %d rows, events make %d", h.what, table, len(want), len(rows))
		}
		for _, row := range rows {
			id := fmt.Sprint(row["id"])
			if f, ok := row["id"].(float64); ok {
				id = fmt.Sprint(int(f))
			}
			var expected map[string]any
			if err := json.Unmarshal([]byte(want[id]), &expected); err != nil {
				h.tb.Errorf("%s: %s %s is in no row: %.100s", h.what, table, id, fmt.Sprint(row))
				continue
			}
			if !maps.Equal(row, expected) {
				h.tb.Errorf("%s: %s %s is %.100s, want %.100s", h.what, table, id, fmt.Sprint(row), fmt.Sprint(expected))
			}
		}
		if h.tb.Failed() {
			return
		}
	}
}

// changes returns a transaction that changes rows of the tables: some in place,
// some out of line values, some keys, some under savepoints.
// writer is one of several, which have rows of their own each.
func changes(rnd *rand.Rand, writer int) string {
	table := []string{"a", "b", "z"}[rnd.IntN(3)]
	id := func() string { return fmt.Sprintf("'k%03d'", writers*rnd.IntN(goesOnRows/writers)+writer) }
	var b strings.Builder
	for range 1 + rnd.IntN(5) {
		save := rnd.IntN(4) == 0
		if save {
			b.WriteString("SAVEPOINT s; ")
		}
		switch rnd.IntN(8) {
		case 0:
			fmt.Fprintf(&b, "DELETE FROM %s WHERE id = %s; ", table, id())
		case 1:
			fmt.Fprintf(&b, "INSERT INTO %s VALUES (%s, 0, 'new', repeat('n', 3000)) ON CONFLICT DO NOTHING; ", table, id())
		case 2:
			fmt.Fprintf(&b, "UPDATE %s SET n = n + 1, big = repeat(chr(65 + n %% 26), 3000) WHERE id = %s; ", table, id())
		case 3:
			fmt.Fprintf(&b, "UPDATE %s SET id = 'm%d' WHERE id = %s; ", table, rnd.Uint64(), id())
		case 4:
			fmt.Fprintf(&b, "INSERT INTO plain VALUES (nextval('ids'), 'later'); ")
		default:
			fmt.Fprintf(&b, "UPDATE %s SET n = n + 1, v = v || '.' WHERE id = %s; ", table, id())
		}
		if save {
			b.WriteString([]string{"RELEASE s; ", "ROLLBACK TO s; "}[rnd.IntN(2)])
		}
	}
	return b.String()
}

// ending is how a transaction may end.
func ending(rnd *rand.Rand) string {
	return []string{"COMMIT", "COMMIT", "COMMIT", "ROLLBACK"}[rnd.IntN(4)]
}

// session is a connection with a transaction that takes its time.
type session struct {
	conn *pgconn.PgConn
	open bool
}

// write does a piece of a transaction.
func (s *session) write(t *testing.T, rnd *rand.Rand, writer int, end bool) {
	t.Helper()
	sql := ""
	switch {
	case s.open && (end || rnd.IntN(4) == 0):
		sql, s.open = ending(rnd), false
	case end:
		return
	default:
		if !s.open {
			sql = "BEGIN; "
		}
		sql, s.open = sql+changes(rnd, writer), true
	}
	if _, err := query(t.Context(), s.conn, sql); err != nil {
		t.Fatal(err)
	}
}

const (
	goesOnRows = 180
	writers    = 3
)

const goesOnTables = `CREATE TABLE a (id text PRIMARY KEY, n int NOT NULL, v text, big text);
CREATE TABLE b (LIKE a INCLUDING ALL); CREATE TABLE z (LIKE a INCLUDING ALL); CREATE TABLE plain (id int, v text); CREATE SEQUENCE ids START 1000;
ALTER TABLE a ALTER big SET STORAGE EXTERNAL; ALTER TABLE b ALTER big SET STORAGE EXTERNAL; ALTER TABLE z ALTER big SET STORAGE EXTERNAL;
INSERT INTO a SELECT 'k' || to_char(g, 'FM000'), 0, 'x', repeat('o', 3000) FROM generate_series(0, 179) g;
INSERT INTO b SELECT * FROM a; INSERT INTO z SELECT * FROM a; INSERT INTO plain SELECT g, 'x' FROM generate_series(1, 300) g`

// TestSnapshotGoesOnWhereItWas cuts a snapshot off at every sort of moment,
// while rows change, and holds that nothing is lost or doubled.
func TestSnapshotGoesOnWhereItWas(t *testing.T) {
	for _, tt := range []struct {
		name, threads string
		slot          bool // is there before
	}{{"one connection", "1", false}, {"four connections", "4", false}, {"an older slot", "2", true}} {
		t.Run(tt.name, func(t *testing.T) {
			for range 1 {
				seed := uint64(time.Now().UnixNano())
				w := newWorker(t, shared(t), map[string]string{"snapshot.max.threads": tt.threads, "snapshot.max.threads.multiplier": "8",
					"snapshot.isolation.mode": "repeatable_read"}, strings.Split(goesOnTables, ";")...)
				if tt.slot {
					w.exec("CREATE PUBLICATION dbz_publication FOR ALL TABLES", "SELECT pg_create_logical_replication_slot('"+w.props["slot.name"]+"', 'pgoutput')")
					for rnd := rand.New(rand.NewPCG(seed, 2)); rnd.IntN(30) > 0; {
						w.exec("BEGIN; " + changes(rnd, 0) + ending(rnd))
					}
				}
				snapshotCutOff(t, w, seed)
			}
		})
	}
}

func snapshotCutOff(t *testing.T, w *worker, seed uint64) {
	t.Helper()
	rnd := rand.New(rand.NewPCG(seed, 1))
	h := newHistory(t, fmt.Sprintf("seed %d", seed))
	var b data.Batch
	cut, last := 0, lsn(0)
	finished := func() bool { return w.stored != nil && w.stored.String("snapshot") == "" }
	var sessions [writers]session
	for i := range sessions {
		conn, err := pgconn.Connect(t.Context(), w.server.URL(w.db))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(context.Background())
		sessions[i].conn = conn
	}
	for end := time.Now().Add(60 * time.Second); !finished() || last == 0 || lsn(w.stored.Int64("lsn_commit")) < last; {
		if time.Now().After(end) {
			t.Fatalf("seed %d: no end after a minute, at %v", seed, w.stored)
		}
		w.run().em.limit = 200 + rnd.IntN(40000)
		w.task.cfg.rangeBlocks = 1
		patience := time.Duration(5+rnd.IntN(200)) * time.Millisecond
		starting := w.task.phase == phaseStart && rnd.IntN(4) > 0 // a slot waits for open transactions
		if starting {
			patience = 5 * time.Second
		}
		for i := range sessions {
			if last == 0 && (finished() || starting || rnd.IntN(2) == 0) {
				sessions[i].write(t, rnd, i, finished() || starting)
			}
		}
		if finished() && last == 0 {
			var err error
			if last, err = parseLSN(w.exec("CHECKPOINT", "SELECT pg_current_wal_lsn()")[0]); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		b = data.Batch{}
		err := w.task.PollBatch(ctx, &b)
		cancel()
		var retry *sdk.Error
		switch {
		case errors.Is(err, context.DeadlineExceeded):
		case err != nil && !(errors.As(err, &retry) && retry.RetryAfter > 0):
			t.Fatalf("seed %d: %v", seed, err)
		}
		got := len(b.Records)+len(b.Positions) > 0
		if got && rnd.IntN(5) > 0 { // else the records are lost before they are stored
			for i := range b.Records {
				h.add(asEvent(t, &b.Records[i]))
			}
			w.note(&b)
			w.store()
			got = false
		}
		if !got && rnd.IntN(8) > 0 {
			continue
		}
		if !finished() {
			cut++
		}
		w.stop()
	}
	h.compare(w, "a", "b", "z", "plain")
	if h.reads == 0 || cut == 0 {
		t.Errorf("seed %d: %d rows were read and the snapshot cut off %d times", seed, h.reads, cut)
	}
	t.Logf("seed %d: cut off %d times, %d updates of rows that were not read", seed, cut, h.late)
}
