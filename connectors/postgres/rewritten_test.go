package postgres

import (
	"fmt"
	"strings"
	"testing"
)

// converge plays events as a consumer that keeps the last version of each row
// does, and returns the rows.
func converge(t *testing.T, rows map[string]string, e event) {
	t.Helper()
	if e.value == "null" {
		return
	}
	if v := open(t, e); v.Op == "d" {
		delete(rows, e.topic+e.key)
	} else {
		rows[e.topic+e.key] = string(v.After)
	}
}

// cutAfter starts a snapshot in small pieces and cuts it off after so many rows.
func cutAfter(t *testing.T, w *worker, n int, each func(event)) {
	t.Helper()
	w.run().cfg.rangeBlocks = 1
	w.task.em.limit = 2000
	rows := 0
	pollUntil(t, w, func() bool { return rows >= n }, func(e event) { rows++; each(e) })
	w.stop()
}

// TestTableIsRewrittenWhileItsSnapshotIsCutOff holds that no row is lost: the
// places of rows mean nothing then, and so may the transactions that wrote
// them.
func TestTableIsRewrittenWhileItsSnapshotIsCutOff(t *testing.T) {
	for name, sql := range map[string]string{
		"moved":      "VACUUM FULL %s",
		"other type": "ALTER TABLE %s ALTER v TYPE varchar(2000)",
		"retyped":    "ALTER TABLE %s ALTER n TYPE bigint",
		"column":     "ALTER TABLE %s ADD extra int DEFAULT 7",
		"made anew":  "TRUNCATE %s",
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorker(t, shared(t), map[string]string{"snapshot.max.threads": "2", "snapshot.max.threads.multiplier": "8", "skipped.operations": "none"},
				"CREATE TABLE a (id int PRIMARY KEY, n int, v text); CREATE TABLE b (LIKE a INCLUDING ALL)",
				"INSERT INTO a SELECT g, 0, repeat('x', 300) FROM generate_series(1, 400) g", "INSERT INTO b SELECT * FROM a")
			rows := map[string]string{}
			cutAfter(t, w, 150, func(e event) { converge(t, rows, e) })
			for _, table := range []string{"a", "b"} { // one was begun, the other was not
				w.exec("UPDATE "+table+" SET n = 1 WHERE id % 10 = 0", "DELETE FROM "+table+" WHERE id % 10 = 1", fmt.Sprintf(sql, table),
					"UPDATE "+table+" SET n = 2 WHERE id % 10 = 2", "INSERT INTO "+table+" VALUES (1000, 3, 'new')")
			}
			last := mustLSN(t, w)
			pollUntil(t, w, func() bool { return w.stored.String("snapshot") == "" && lsn(w.stored.Int64("lsn_commit")) >= last }, func(e event) {
				if v := ""; e.value != "null" {
					if v = open(t, e).Op; v == "t" {
						for k := range rows {
							if strings.HasPrefix(k, e.topic+"{") {
								delete(rows, k)
							}
						}
						return
					}
				}
				converge(t, rows, e)
			})
			for _, table := range []string{"a", "b"} {
				want := w.exec("SELECT '{\"id\":' || id || '}', n FROM " + table)
				n := 0
				for k := range rows {
					if strings.HasPrefix(k, "shop.public."+table+"{") {
						n++
					}
				}
				if n != len(want) {
					t.Errorf("%s has %d rows, events make %d", table, len(want), n)
				}
				for _, r := range want {
					key, version, _ := strings.Cut(r, "|")
					if got := rows["shop.public."+table+key]; !strings.Contains(got, `"n":`+version+`,`) {
						t.Fatalf("%s %s is %.60q, want version %s", table, key, got, version)
					}
				}
			}
		})
	}
}

func mustLSN(t *testing.T, w *worker) lsn {
	t.Helper()
	l, err := parseLSN(w.exec("CHECKPOINT", "SELECT pg_current_wal_lsn()")[0])
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// A table that is rewritten after the plan was made has no rows for the
// snapshot: the reader finds it out.
func TestTableIsRewrittenBeforeItIsRead(t *testing.T) {
	w := newWorker(t, shared(t), nil, "CREATE TABLE a (id int PRIMARY KEY, v text)", "INSERT INTO a SELECT g, repeat('x', 300) FROM generate_series(1, 400) g",
		"CREATE TABLE b (id int PRIMARY KEY, v text)", "INSERT INTO b VALUES (1, 'x'), (2, 'y')")
	w.run().cfg.rangeBlocks = 1
	w.task.em.limit = 2000
	seen := map[string]int{}
	done := false
	pollUntil(t, w, func() bool { return w.task.phase == phaseStreaming }, func(e event) {
		if seen[e.topic+e.key]++; !done {
			done = true
			w.exec("ALTER TABLE b ALTER v TYPE varchar(10)")
		}
	})
	if len(seen) != 402 || seen[`shop.public.b{"id":1}`] != 1 || seen[`shop.public.a{"id":1}`] != 1 {
		t.Errorf("%d rows; of b %d", len(seen), seen[`shop.public.b{"id":1}`])
	}
}

// Without a stream, tables that were read stay so, and the one at hand is read
// anew.
func TestInitialOnlyGoesOnWithTheNextTable(t *testing.T) {
	w := newWorker(t, shared(t), map[string]string{"snapshot.mode": "initial_only"},
		"CREATE TABLE a (id int PRIMARY KEY)", "INSERT INTO a VALUES (1)",
		"CREATE TABLE b (id int PRIMARY KEY, v text)", "INSERT INTO b SELECT g, repeat('x', 300) FROM generate_series(1, 400) g")
	seen := map[string]int{}
	count := func(e event) { seen[e.topic+e.key]++ }
	cutAfter(t, w, 100, count)
	w.exec("INSERT INTO b VALUES (1000, 'later')")
	pollUntil(t, w, func() bool { return w.task != nil && w.task.phase == phaseDone }, count)
	if seen[`shop.public.a{"id":1}`] != 1 || seen[`shop.public.b{"id":1000}`] != 1 || len(seen) != 402 {
		t.Errorf("%d rows; of a %d, of b %d", len(seen), seen[`shop.public.a{"id":1}`], seen[`shop.public.b{"id":1000}`])
	}
}

// Partitions are read one by one under the name of their root, and a statement
// of one's own in one go.
func TestSnapshotOfPartitionsGoesOn(t *testing.T) {
	w := newWorker(t, shared(t), map[string]string{"publish.via.partition.root": "true", "snapshot.max.threads": "2",
		"snapshot.select.statement.overrides": "public.z", "snapshot.select.statement.overrides.public.z": "SELECT * FROM z WHERE id < 3"},
		"CREATE TABLE p (id int PRIMARY KEY, v text) PARTITION BY RANGE (id)", "CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (200)",
		"CREATE TABLE p2 (v text, id int NOT NULL)", "ALTER TABLE p ATTACH PARTITION p2 FOR VALUES FROM (200) TO (1000)",
		"INSERT INTO p SELECT g, repeat('x', 300) FROM generate_series(1, 400) g", "CREATE TABLE z (id int PRIMARY KEY)", "INSERT INTO z VALUES (1), (2), (3)")
	seen := map[string]int{}
	count := func(e event) {
		if v := open(t, e); v.Op == "r" {
			seen[e.topic+e.key]++
		}
	}
	cutAfter(t, w, 150, count)
	pollUntil(t, w, func() bool { return w.task != nil && w.task.phase == phaseStreaming }, count)
	for k, n := range seen {
		if n != 1 {
			t.Errorf("%s came %d times", k, n)
		}
	}
	if len(seen) != 402 || seen[`shop.public.z{"id":2}`] != 1 || seen[`shop.public.p{"id":400}`] != 1 {
		t.Errorf("%d rows", len(seen))
	}
}

func FuzzProgress(f *testing.F) {
	f.Add(`{"done":[1,2],"open":{"17":{"node":5,"size":8,"ranges":9,"done":"0-3,5","at":{"4":"(12,3)"}}}}`)
	f.Fuzz(func(t *testing.T, text string) {
		p, err := parseProgress(text)
		if err != nil {
			return
		}
		again, err := parseProgress(p.text())
		if err != nil || again.text() != p.text() {
			t.Fatalf("%q is written %q: %v", text, p.text(), err)
		}
	})
}
