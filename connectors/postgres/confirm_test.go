package postgres

import (
	"fmt"
	"testing"
	"time"
)

// TestNewConnectionConfirmsWhatIsStored loses the connection while events are on
// their way: the new one must not tell the server that they are stored.
func TestNewConnectionConfirmsWhatIsStored(t *testing.T) {
	for _, mode := range []string{"connector", "manual"} {
		t.Run(mode, func(t *testing.T) {
			w := newWorker(t, shared(t), map[string]string{"snapshot.mode": "no_data", "status.update.interval.ms": "10", "lsn.flush.mode": mode}, "CREATE TABLE t (id int PRIMARY KEY)")
			w.run()
			pollUntil(t, w, func() bool { return w.task.phase == phaseStreaming && w.stored != nil }, func(e event) { t.Fatalf("unexpected %v", e) })
			stored := readPosition(w.stored).confirmable()
			began := w.exec("SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = '" + w.props["slot.name"] + "'")[0]
			for n := range 3 {
				w.exec(fmt.Sprintf("INSERT INTO t VALUES (%d)", n))
				got := 0
				for end := time.Now().Add(30 * time.Second); got == 0 && time.Now().Before(end); {
					events, err := w.pollBriefly() // and nothing is stored
					if err != nil {
						t.Fatal(err)
					}
					got += len(events)
				}
				if got == 0 {
					t.Fatal("no event")
				}
				w.task.disconnect()
			}
			for end := time.Now().Add(30 * time.Second); w.task.phase != phaseStreaming && time.Now().Before(end); {
				if _, err := w.pollBriefly(); err != nil {
					t.Fatal(err)
				}
			}
			for range 20 { // status messages
				if _, err := w.pollBriefly(); err != nil {
					t.Fatal(err)
				}
			}
			text := w.exec("SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = '" + w.props["slot.name"] + "'")[0]
			confirmed, err := parseLSN(text)
			if err != nil {
				t.Fatal(err)
			}
			if confirmed > stored {
				t.Errorf("the slot was confirmed up to %s, and %s is stored", confirmed, stored)
			}
			if mode == "manual" && text != began {
				t.Errorf("the slot was moved from %s to %s", began, text)
			}
		})
	}
}
