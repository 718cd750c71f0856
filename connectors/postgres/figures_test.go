package postgres

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"
)

func TestFigures(t *testing.T) {
	w := newWorker(t, shared(t), map[string]string{"skipped.operations": "none", "decimal.handling.mode": "precise", "millrace.wal.warning.bytes": "1000000"},
		"CREATE TABLE t (id int PRIMARY KEY, n numeric); INSERT INTO t VALUES (1, 1)")
	w.events(1)
	first(t, w)
	w.exec("INSERT INTO t VALUES (2, 'NaN')", "UPDATE t SET n = 3", "DELETE FROM t WHERE id = 1", "TRUNCATE t", "SELECT pg_logical_emit_message(false, 'a', 'b')")
	w.events(7)
	f := w.task.figures
	for _, c := range []struct {
		name      string
		got, want int64
	}{
		{"read", f.read.Value(), 1}, {"created", f.created.Value(), 1}, {"updated", f.updated.Value(), 2}, {"deleted", f.deleted.Value(), 1},
		{"truncated", f.truncated.Value(), 1}, {"messages", f.messages.Value(), 1}, {"transactions", f.transactions.Value(), 4}, {"left out", f.unconvertible.Value(), 1},
	} {
		if c.got != c.want {
			t.Errorf("%s: %d, want %d", c.name, c.got, c.want)
		}
	}
	if b := f.behind.Value(); b < 0 || b > 60_000 {
		t.Errorf("behind by %d ms", b)
	}
	// What the slot keeps grows while nothing is stored, and is told once.
	var log bytes.Buffer
	w.task.log = slog.New(slog.NewTextHandler(&log, nil))
	w.exec("INSERT INTO t SELECT g, g FROM generate_series(10, 20000) g")
	for range 3 {
		w.task.looked = time.Time{}
		if err := w.task.watch(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n := f.retained.Value(); n < 1_000_000 {
		t.Errorf("the slot keeps %d bytes", n)
	}
	if n := strings.Count(log.String(), "level=WARN"); n != 1 || !strings.Contains(log.String(), "wal_status=reserved") {
		t.Errorf("%d warnings: %s", n, log.String())
	}
	w.events(19991)
	pollUntil(t, w, func() bool {
		w.exec("CHECKPOINT") // lets the slot go on
		w.task.looked = time.Time{}
		if err := w.task.watch(t.Context()); err != nil {
			t.Fatal(err)
		}
		return strings.Contains(log.String(), "little of the server's log again")
	}, func(e event) { t.Errorf("unexpected %v", e) })
}
