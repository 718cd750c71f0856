package postgres

import (
	"syscall"
	"testing"

	"github.com/millrace/millrace/plugins/data"
)

// BenchmarkStream measures rows from a real server, written in transactions of
// 1000 before the clock starts, to records of batches.
func BenchmarkStream(b *testing.B) { benchServer(b, true) }

// BenchmarkSnapshot measures reading a table.
func BenchmarkSnapshot(b *testing.B) { benchServer(b, false) }

// processTime is the processor time that this process has used, which tells
// more than the clock on a machine that others use too.
func processTime(tb testing.TB) int64 {
	tb.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return u.Utime.Nano() + u.Stime.Nano()
}

func benchServer(b *testing.B, stream bool) {
	const rows = 300_000
	w := newWorker(b, shared(b), nil,
		"CREATE TABLE t (id bigint PRIMARY KEY, n int, note text, price numeric(12,2), at timestamptz, ok boolean, f double precision)")
	insert := `DO $$ BEGIN FOR i IN 0..299 LOOP
INSERT INTO t SELECT i * 1000 + g, g, repeat('0123456789abcdef', 4), g / 100.0, now(), true, g / 8.0 FROM generate_series(1, 1000) g; COMMIT; END LOOP; END $$`
	if !stream {
		w.exec(insert)
	}
	var batch data.Batch
	w.run()
	if stream {
		for w.task.phase != phaseStreaming {
			if err := w.poll(&batch); err != nil {
				b.Fatal(err)
			}
		}
		w.store()
		w.exec(insert)
	}
	measure(b, w, rows)
}

// measure polls until there are so many rows.
func measure(b *testing.B, w *worker, rows int) {
	b.Helper()
	var batch data.Batch
	n, batches := 0, 0
	before := processTime(b)
	b.ResetTimer()
	for n < rows {
		if err := w.poll(&batch); err != nil {
			b.Fatal(err)
		}
		n += len(batch.Records)
		batches++
	}
	b.StopTimer()
	b.ReportMetric(float64(processTime(b)-before)/float64(n), "cpu-ns/row")
	b.ReportMetric(float64(n)/float64(batches), "rows/batch")
	w.store()
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "rows/s")
}

// BenchmarkSmallTransactions measures transactions of four rows, as pgbench
// has them.
func BenchmarkSmallTransactions(b *testing.B) {
	const transactions = 50_000
	w := newWorker(b, shared(b), nil,
		"CREATE TABLE a (id int PRIMARY KEY, bid int, balance int, filler char(84)); CREATE TABLE h (a int, delta int, mtime timestamp, filler char(22))",
		"INSERT INTO a SELECT g, 1, 0, '' FROM generate_series(1, 10000) g")
	var batch data.Batch
	w.run()
	for w.task.phase != phaseStreaming {
		if err := w.poll(&batch); err != nil {
			b.Fatal(err)
		}
	}
	w.store()
	w.exec(`DO $$ BEGIN FOR i IN 1..50000 LOOP UPDATE a SET balance = balance + 1 WHERE id = 1 + i % 10000; UPDATE a SET balance = balance + 1 WHERE id = 1 + (i + 1) % 10000;
UPDATE a SET balance = balance + 1 WHERE id = 1 + (i + 2) % 10000; INSERT INTO h VALUES (i, 1, now(), ''); COMMIT; END LOOP; END $$`)
	measure(b, w, 4*transactions)
}
