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
