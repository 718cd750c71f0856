package postgres

import (
	"testing"

	"github.com/millrace/millrace/plugins/data"
)

// BenchmarkStream measures rows from a real server, written in transactions of
// 1000 before the clock starts, to records of batches.
func BenchmarkStream(b *testing.B) { benchServer(b, true) }

// BenchmarkSnapshot measures reading a table.
func BenchmarkSnapshot(b *testing.B) { benchServer(b, false) }

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
	n := 0
	b.ResetTimer()
	for n < rows {
		if err := w.poll(&batch); err != nil {
			b.Fatal(err)
		}
		n += len(batch.Records)
	}
	b.StopTimer()
	w.store()
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "rows/s")
}
