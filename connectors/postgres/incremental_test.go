package postgres

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/millrace/millrace/plugins/data"
	"github.com/millrace/millrace/plugins/sdk"
)

const signalTable = "CREATE TABLE signals (id varchar(42) PRIMARY KEY, type varchar(32) NOT NULL, data varchar(2048))"

// streaming is a worker that streams a table of 500 rows, which it has read or
// not.
func streaming(t *testing.T, props map[string]string, more ...string) *worker {
	t.Helper()
	p := map[string]string{"signal.data.collection": "public.signals", "incremental.snapshot.chunk.size": "37", "snapshot.mode": "no_data",
		"table.exclude.list": "public.signals"}
	for k, v := range props {
		p[k] = v
	}
	w := newWorker(t, shared(t), p, append([]string{signalTable, "CREATE TABLE t (id int PRIMARY KEY, v text)",
		"INSERT INTO t SELECT g, 'old' FROM generate_series(1, 500) g"}, more...)...)
	w.run()
	pollUntil(t, w, func() bool { return w.task.phase == phaseStreaming && w.stored != nil }, func(e event) { t.Fatalf("unexpected %v", e) })
	return w
}

// signal writes a signal.
func (w *worker) signal(kind, text string) {
	w.tb.Helper()
	w.exec(fmt.Sprintf("INSERT INTO signals VALUES ('%d', '%s', '%s')", time.Now().UnixNano(), kind, text))
}

// idle reports whether no incremental snapshot is stored.
func (w *worker) idle() bool {
	return w.stored != nil && w.stored.String("incremental_snapshot_collections") == ""
}

func TestIncrementalSnapshot(t *testing.T) {
	w := streaming(t, nil)
	w.signal("execute-snapshot", `{"type":"incremental","data-collections":["public.t"]}`)
	seen := map[string]int{}
	restarts := 0
	pollUntil(t, w, func() bool {
		if len(seen)/100 > restarts && len(seen) < 500 {
			restarts++
			w.stop()
		}
		return len(seen) == 500 && w.idle()
	}, func(e event) {
		v := open(t, e)
		if v.Op != "r" || v.Source.Snapshot != "incremental" || v.Source.LSN != 0 || v.Source.TxID != 0 || strings.Contains(v.Source.Sequence, "null") {
			t.Fatalf("event is %s", e.value)
		}
		if seen[e.key]++; seen[e.key] > 1 {
			t.Fatalf("%s came twice", e.key)
		}
	})
	if restarts == 0 {
		t.Error("no restart")
	}
}

func TestIncrementalSnapshotOfSomeRows(t *testing.T) {
	w := streaming(t, nil, "CREATE TABLE s (id int, n int NOT NULL)", "INSERT INTO s SELECT g % 7, g FROM generate_series(1, 100) g", "CREATE TABLE empty (id int PRIMARY KEY)")
	w.signal("execute-snapshot", `{"data-collections":["public.t","public.empty"],"additional-conditions":[{"data-collection":"public.t","filter":"id % 100 = 0"}]}`)
	var keys []string
	pollUntil(t, w, func() bool { return len(keys) == 5 && w.idle() }, func(e event) { keys = append(keys, e.key) })
	if got := strings.Join(keys, " "); got != `{"id":100} {"id":200} {"id":300} {"id":400} {"id":500}` {
		t.Errorf("rows are %s", got)
	}
	// A table without key needs another column to go by.
	w.signal("execute-snapshot", `{"data-collections":["public.s"]}`)
	w.signal("execute-snapshot", `{"data-collections":["public.s"],"surrogate-key":"n"}`)
	n := 0
	pollUntil(t, w, func() bool { return n == 100 && w.idle() }, func(event) { n++ })
}

func TestIncrementalSnapshotIsPausedAndStopped(t *testing.T) {
	w := streaming(t, map[string]string{"incremental.snapshot.chunk.size": "5"})
	rows, changes := 0, 0
	count := func(e event) {
		if open(t, e).Op == "r" {
			rows++
		} else {
			changes++
		}
	}
	w.signal("execute-snapshot", `{"data-collections":["public\\.t"]}`)
	pollUntil(t, w, func() bool { return rows > 10 }, count)
	w.signal("pause-snapshot", "")
	pollUntil(t, w, func() bool { return w.task.inc.state.Paused }, count)
	w.stop() // it is still paused afterwards
	at := rows
	w.exec("INSERT INTO t VALUES (1000, 'new')")
	pollUntil(t, w, func() bool { return changes == 1 }, count)
	if rows != at {
		t.Fatalf("%d rows while it was paused", rows-at)
	}
	w.signal("resume-snapshot", "{}")
	pollUntil(t, w, func() bool { return rows > at+10 }, count)
	w.signal("stop-snapshot", `{"data-collections":["public.t"]}`)
	pollUntil(t, w, func() bool { return w.idle() }, count)
	if rows >= 500 {
		t.Errorf("%d rows were read", rows)
	}
	// What makes no sense does not stop the stream.
	for _, s := range [][2]string{{"execute-snapshot", "{"}, {"execute-snapshot", `{"data-collections":["nothing"]}`}, {"execute-snapshot", `{"data-collections":["("]}`}, {"dance", ""}, {"log", `{"message":"at {}"}`}} {
		w.signal(s[0], s[1])
	}
	w.exec("INSERT INTO t VALUES (1001, 'new')")
	pollUntil(t, w, func() bool { return changes == 2 }, count)
}

// TestIncrementalSnapshotWhileRowsChange holds that what is handed over adds up
// to the table, and that no version of a row comes after a later one.
func TestIncrementalSnapshotWhileRowsChange(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	rnd := rand.New(rand.NewPCG(seed, 1))
	w := newWorker(t, shared(t), map[string]string{"signal.data.collection": "public.signals", "incremental.snapshot.chunk.size": "29",
		"snapshot.mode": "no_data", "table.exclude.list": "public.signals"}, append(strings.Split(goesOnTables, ";"), signalTable)...)
	w.run()
	pollUntil(t, w, func() bool { return w.task.phase == phaseStreaming && w.stored != nil }, func(e event) { t.Fatalf("unexpected %v", e) })
	h := newHistory(t, fmt.Sprintf("seed %d", seed))
	h.strict = false
	conn, err := pgconn.Connect(t.Context(), w.server.URL(w.db))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	s := session{conn: conn}
	w.signal("execute-snapshot", `{"data-collections":["public.[abz]"]}`)
	begun, last := false, lsn(0)
	var b data.Batch
	for end := time.Now().Add(time.Minute); last == 0 || lsn(w.stored.Int64("lsn_commit")) < last || !w.idle(); {
		if time.Now().After(end) {
			t.Fatalf("seed %d: no end after a minute, at %v", seed, w.stored)
		}
		w.run().em.limit = 200 + rnd.IntN(20000)
		begun = begun || !w.idle()
		if done := begun && w.idle(); last == 0 && rnd.IntN(2) == 0 || done && last == 0 {
			s.write(t, rnd, 0, done)
			if done {
				if last, err = parseLSN(w.exec("CHECKPOINT", "SELECT pg_current_wal_lsn()")[0]); err != nil {
					t.Fatal(err)
				}
			}
		}
		if s.open && rnd.IntN(10) == 0 && last == 0 {
			s.write(t, rnd, 0, true) // reading waits for old transactions
		}
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		b = data.Batch{}
		err := w.task.PollBatch(ctx, &b)
		cancel()
		var retry *sdk.Error
		if err != nil && !errors.Is(err, context.DeadlineExceeded) && !(errors.As(err, &retry) && retry.RetryAfter > 0) {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if rnd.IntN(30) == 0 {
			w.stop()
			continue
		}
		for i := range b.Records {
			h.add(asEvent(t, &b.Records[i]))
		}
		w.note(&b)
		w.store()
	}
	h.compare(w, "a", "b", "z")
	t.Logf("seed %d: %d rows read, %d updates of rows that were not", seed, h.reads, h.late)
}

func TestAddedTableIsRead(t *testing.T) {
	w := newWorker(t, shared(t), map[string]string{"table.include.list": "public.a", "publication.autocreate.mode": "filtered", "incremental.snapshot.chunk.size": "10"},
		"CREATE TABLE a (id int PRIMARY KEY)", "INSERT INTO a VALUES (1)", "CREATE TABLE b (id int PRIMARY KEY)", "INSERT INTO b SELECT generate_series(1, 200)",
		"CREATE TABLE c (id int PRIMARY KEY)", "INSERT INTO c VALUES (1)")
	compare(t, w.events(1), `shop.public.a {"id":1} r null {"id":1} last`)
	pollUntil(t, w, func() bool { return w.stored.String("snapshot") == "" && w.lists != nil }, func(e event) { t.Errorf("unexpected %v", e) })
	w.stop()
	w.exec("INSERT INTO b VALUES (201)") // of a table that is not published
	w.props["table.include.list"] = "public.a,public.b"
	seen := map[string]int{}
	restarted, changed := false, false
	pollUntil(t, w, func() bool {
		if len(seen) > 50 && !changed {
			changed = true
			w.exec("INSERT INTO a VALUES (2)", "INSERT INTO b VALUES (300)")
		}
		if len(seen) > 100 && !restarted {
			restarted = true // it is not forgotten
			w.stop()
		}
		return len(seen) == 203 && w.idle()
	}, func(e event) {
		if seen[e.topic+e.key]++; seen[e.topic+e.key] > 1 {
			t.Errorf("%s %s came twice", e.topic, e.key)
		}
	})
	if seen[`shop.public.a{"id":1}`] > 0 {
		t.Error("a table that was read before was read again")
	}
	// Nor with the next start, nor when told not to.
	w.stop()
	w.props["table.include.list"], w.props["millrace.snapshot.added.tables"] = "public.a,public.b,public.c", "false"
	w.run()
	pollUntil(t, w, func() bool { return strings.Contains(w.lists.String("lists"), "public.c") }, func(e event) { t.Errorf("unexpected %v", e) })
	w.exec("INSERT INTO c VALUES (2)")
	compare(t, w.events(1), `shop.public.c {"id":2} c null {"id":2}`)
}

func TestBlockingSnapshot(t *testing.T) {
	w := streaming(t, map[string]string{"snapshot.max.threads": "2"}, "CREATE TABLE other (id int PRIMARY KEY, v text)")
	conn, err := pgconn.Connect(t.Context(), w.server.URL(w.db))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	w.signal("execute-snapshot", `{"type":"blocking","data-collections":["public.t"]}`)
	w.exec("INSERT INTO t VALUES (501, 'shows in the snapshot')", "INSERT INTO other VALUES (1, 'does not')")
	seen := map[string]int{}
	late, restarted := false, false
	w.task.em.limit = 4000
	pollUntil(t, w, func() bool {
		if len(seen) > 0 && !late {
			late = true
			w.exec("INSERT INTO t VALUES (502, 'later')", "UPDATE t SET v = 'later' WHERE id = 1")
		}
		if len(seen) > 200 && !restarted {
			restarted = true // it goes on where it was
			w.stop()
		}
		return len(seen) == 504
	}, func(e event) {
		v := open(t, e)
		if seen[e.topic+e.key+v.Op]++; seen[e.topic+e.key+v.Op] > 1 {
			t.Errorf("%s came twice", e.value)
		}
		if v.Op == "r" && v.Source.Snapshot == "incremental" {
			t.Errorf("event is %s", e.value)
		}
	})
	if seen[`shop.public.t{"id":501}r`] != 1 || seen[`shop.public.other{"id":1}c`] != 1 || seen[`shop.public.t{"id":502}c`] != 1 || seen[`shop.public.t{"id":1}u`] != 1 {
		t.Errorf("events are %v", seen)
	}
	// With a statement.
	w.signal("execute-snapshot", `{"type":"blocking","data-collections":["public.t"],"additional-conditions":[{"data-collection":"public.t","filter":"SELECT * FROM t WHERE id < 4"}]}`)
	n := 0
	pollUntil(t, w, func() bool { return n == 3 && w.stored.String("snapshot") == "" }, func(e event) { n++ })
}

func TestNotifications(t *testing.T) {
	w := newWorker(t, shared(t), map[string]string{"notification.enabled.channels": "sink,log", "notification.sink.topic.name": "told",
		"signal.data.collection": "public.signals", "incremental.snapshot.chunk.size": "60", "table.exclude.list": "public.signals"},
		signalTable, "CREATE TABLE t (id int PRIMARY KEY)", "INSERT INTO t SELECT generate_series(1, 100)")
	var told []string
	note := func(e event) {
		if e.topic == "told" {
			var kind, about, rest string
			_, rest, _ = strings.Cut(e.value, `"type":"`)
			kind, rest, _ = strings.Cut(rest, `","aggregate_type":"`)
			about, rest, _ = strings.Cut(rest, `","additional_data":`)
			rest, _, _ = strings.Cut(rest, `,"timestamp"`)
			told = append(told, about+" "+kind+" "+rest)
		}
	}
	want := func(lines ...string) {
		t.Helper()
		end := time.Now().Add(20 * time.Second)
		pollUntil(t, w, func() bool { return len(told) >= len(lines) || time.Now().After(end) }, note)
		if len(told) < len(lines) {
			t.Fatalf("notifications are %q, want %q", told, lines)
		}
		for i, l := range lines {
			if told[i] != l {
				t.Errorf("notification %d is\n%s\nwant\n%s", i, told[i], l)
			}
		}
		told = nil
	}
	const name = `{"connector_name":"shop"`
	want("Initial Snapshot STARTED "+name+"}",
		`Initial Snapshot IN_PROGRESS `+name+`,"current_collection_in_progress":"public.t","data_collections":"public.t"}`,
		`Initial Snapshot TABLE_SCAN_COMPLETED `+name+`,"data_collections":"public.t","scanned_collection":"public.t","status":"SUCCEEDED","total_rows_scanned":"100"}`,
		`Initial Snapshot COMPLETED `+name+`}`)
	told = nil
	pollUntil(t, w, func() bool { return w.task.phase == phaseStreaming }, note)
	w.exec(`INSERT INTO signals VALUES ('mine', 'execute-snapshot', '{"data-collections": ["public.t"]}')`)
	told = nil
	want(`Incremental Snapshot STARTED `+name+`,"data_collections":"public.t"}`,
		`Incremental Snapshot IN_PROGRESS `+name+`,"current_collection_in_progress":"public.t","data_collections":"public.t","last_processed_key":"60","maximum_key":"100"}`,
		`Incremental Snapshot TABLE_SCAN_COMPLETED `+name+`,"data_collections":"public.t","scanned_collection":"public.t","status":"SUCCEEDED","total_rows_scanned":"100"}`,
		`Incremental Snapshot COMPLETED `+name+`}`)
	w.stop()
	want("Initial Snapshot SKIPPED " + name + "}")
}

// TestCutOffSnapshotIsTold cuts a snapshot off by the loss of its connections,
// and by the end of the task.
func TestCutOffSnapshotIsTold(t *testing.T) {
	w := newWorker(t, shared(t), map[string]string{"notification.enabled.channels": "sink", "notification.sink.topic.name": "told", "database.ApplicationName": "cut off"},
		"CREATE TABLE t (id int PRIMARY KEY, v text)", "INSERT INTO t SELECT g, repeat('x', 1900) FROM generate_series(1, 10000) g") // more than is on its way
	var told []string
	rows := map[string]int{}
	each := func(e event) {
		if e.topic != "told" {
			rows[e.key]++
			return
		}
		_, rest, _ := strings.Cut(e.value, `"type":"`)
		kind, _, _ := strings.Cut(rest, `"`)
		told = append(told, kind)
	}
	some := func(n int) func() bool {
		return func() bool {
			w.task.em.limit = 4000
			return len(rows) > n
		}
	}
	w.run()
	pollUntil(t, w, some(50), each)
	w.exec("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'cut off' AND pid <> pg_backend_pid()")
	pollUntil(t, w, func() bool { return slices.Contains(told, "ABORTED") }, each)
	at := len(rows)
	pollUntil(t, w, some(at+50), each)
	w.stop()
	w.run() // with batches of their usual size
	pollUntil(t, w, func() bool { return slices.Contains(told, "COMPLETED") }, each)
	if got, want := strings.Join(told, " "), "STARTED IN_PROGRESS ABORTED STARTED ABORTED STARTED TABLE_SCAN_COMPLETED COMPLETED"; got != want {
		t.Errorf("told %s\nwant %s", got, want)
	}
	if len(rows) != 10000 {
		t.Errorf("%d rows", len(rows))
	}
}

func TestSnapshotModesByConfiguration(t *testing.T) {
	const prefix = "snapshot.mode.configuration.based."
	w := newWorker(t, shared(t), map[string]string{"snapshot.mode": "configuration_based", prefix + "snapshot.data": "true",
		"snapshot.tables.order.by.row.count": "descending"},
		"CREATE TABLE few (id int PRIMARY KEY)", "INSERT INTO few VALUES (1)", "CREATE TABLE many (id int PRIMARY KEY)", "INSERT INTO many VALUES (1), (2)", "ANALYZE")
	for range 2 { // at each start, once
		compare(t, w.events(3), `shop.public.many {"id":1} r null {"id":1} first`, `shop.public.many {"id":2} r null {"id":2} last_in_data_collection`,
			`shop.public.few {"id":1} r null {"id":1} last`)
		pollUntil(t, w, func() bool { return w.task.phase == phaseDone }, func(e event) { t.Errorf("unexpected %v", e) })
		w.stop()
	}
	w.props[prefix+"snapshot.data"], w.props[prefix+"start.stream"], w.props[prefix+"snapshot.on.data.error"] = "false", "true", "true"
	w.stored, w.lists = nil, nil
	w.run()
	pollUntil(t, w, func() bool { return w.task.phase == phaseStreaming && w.stored != nil }, func(e event) { t.Errorf("unexpected %v", e) })
	w.stop()
	w.slotIsFree()
	w.exec("SELECT pg_drop_replication_slot('" + w.props["slot.name"] + "')")
	compare(t, w.events(3), `shop.public.many {"id":1} r null {"id":1} first`, `shop.public.many {"id":2} r null {"id":2} last_in_data_collection`,
		`shop.public.few {"id":1} r null {"id":1} last`)
}

func TestReadOnlyWritesNothing(t *testing.T) {
	w := newWorker(t, shared(t), map[string]string{"read.only": "true", "snapshot.mode": "no_data", "signal.data.collection": "public.signals",
		"table.exclude.list": "public.signals"}, signalTable, "CREATE TABLE t (id int PRIMARY KEY)", "INSERT INTO t SELECT generate_series(1, 500)")
	if err := failure(t, w); sqlState(err) != "25006" && !strings.Contains(err.Error(), "read-only") {
		t.Fatalf("error of a publication that is missing is %v", err)
	}
	w.exec("CREATE PUBLICATION dbz_publication FOR ALL TABLES")
	w.stop()
	w.run()
	pollUntil(t, w, func() bool { return w.task.phase == phaseStreaming && w.stored != nil }, func(e event) { t.Errorf("unexpected %v", e) })
	w.signal("execute-snapshot", `{"data-collections":["public.t"]}`)
	n := 0
	pollUntil(t, w, func() bool {
		if n < 500 {
			w.exec("INSERT INTO signals VALUES (gen_random_uuid(), 'log', '{}')") // others write
		}
		return n == 500 && w.idle()
	}, func(event) { n++ })
}
