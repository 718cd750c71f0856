package postgres

import (
	"testing"
	"time"
)

func TestWorkMeter(t *testing.T) {
	var m workMeter
	now := time.Unix(1000, 0)
	if p := m.progress(now, "snapshot", 0, 0.2); p.Left != -1 || p.PerSecond != 0 {
		t.Errorf("at the start: %+v", p)
	}
	p := m.progress(now.Add(10*time.Second), "snapshot", 500, 0.6)
	if p.Left != 10*time.Second || p.PerSecond != 50 || p.Done != 0.6 {
		t.Errorf("half way through what was left: %+v", p)
	}
	if p := m.progress(now.Add(20*time.Second), "snapshot", 900, -1); p.Left != -1 || p.Done != -1 {
		t.Errorf("without a known end: %+v", p)
	}
}

// TestSnapshotTellsItsProgress holds that a snapshot is never less far than
// before, in a new life of the task neither, and that it ends.
func TestSnapshotTellsItsProgress(t *testing.T) {
	w := newWorker(t, shared(t), map[string]string{"snapshot.max.threads": "2", "snapshot.max.threads.multiplier": "4"},
		"CREATE TABLE t (id int PRIMARY KEY, v text)", "INSERT INTO t SELECT g, repeat('x', 500) FROM generate_series(1, 4000) g")
	w.run().cfg.rangeBlocks = 8
	w.task.em.limit = 20_000
	last, rows, restarted := -1.0, 0, false
	pollUntil(t, w, func() bool {
		if w.task == nil {
			w.run().cfg.rangeBlocks = 8
			w.task.em.limit = 20_000
			return false
		}
		p := w.task.Progress()
		if p.Work != "" && p.Done < last || p.Done > 1 {
			t.Errorf("%+v after %g", p, last)
		}
		if p.Work != "" {
			last = p.Done
		}
		if last > 0.5 && !restarted {
			restarted = true
			w.stop()
			return false
		}
		return w.task.phase == phaseStreaming
	}, func(event) { rows++ })
	if rows != 4000 || last < 0.9 || w.task.Progress().Work != "" || !restarted {
		t.Errorf("%d rows, at %g, then %+v", rows, last, w.task.Progress())
	}
}
