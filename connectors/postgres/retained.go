package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// retainedEvery is how often the task looks at what its slot keeps.
const retainedEvery = 30 * time.Second

// retained is what a slot makes the server keep.
type retained struct {
	bytes  int64  // of the log, from where the slot needs it to its end
	status string // reserved, extended, unreserved or lost
}

const retainedSQL = `SELECT coalesce(pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn() ELSE pg_current_wal_lsn() END, restart_lsn), 0)::bigint,
wal_status FROM pg_replication_slots WHERE slot_name = $1`

func readRetained(ctx context.Context, conn *pgconn.PgConn, slot string) (retained, error) {
	rows, err := query(ctx, conn, retainedSQL, slot)
	if err != nil || len(rows) == 0 {
		return retained{}, err
	}
	n, err := parseInt(rows[0][0], 64)
	return retained{n, string(rows[0][1])}, err
}

// watch looks from time to time at what the slot keeps, and says so when that
// has become too much, and when it no longer is.
func (t *task) watch(ctx context.Context) error {
	if time.Since(t.looked) < retainedEvery {
		return nil
	}
	t.looked = time.Now()
	r, err := readRetained(ctx, t.conn, t.cfg.slot)
	if err != nil {
		return fmt.Errorf("what slot %s keeps: %w", t.cfg.slot, err)
	}
	t.figures.retained.Set(r.bytes)
	much := t.cfg.walWarning > 0 && r.bytes > t.cfg.walWarning || r.status == "unreserved"
	switch {
	case much && !t.kept:
		t.log.Warn("the slot makes the server keep much of its log: the connector is behind, or its offsets are not being stored; max_slot_wal_keep_size bounds it at the price of the slot",
			"slot", t.cfg.slot, "bytes", r.bytes, "wal_status", r.status, "millrace.wal.warning.bytes", t.cfg.walWarning)
	case !much && t.kept:
		t.log.Info("the slot keeps little of the server's log again", "slot", t.cfg.slot, "bytes", r.bytes)
	}
	t.kept = much
	return nil
}

// readXmin reads the slot's catalog_xmin when that is due.
func (t *task) readXmin(ctx context.Context) error {
	d := &t.dec
	if t.cfg.xminEvery <= 0 || time.Since(d.xminRead) < t.cfg.xminEvery {
		return nil
	}
	text, err := queryText(ctx, t.conn, "SELECT catalog_xmin FROM pg_replication_slots WHERE slot_name = $1", t.cfg.slot)
	if err != nil {
		return fmt.Errorf("xmin of slot %s: %w", t.cfg.slot, err)
	}
	if d.xminRead = time.Now(); text == "" {
		d.xmin = 0
		return nil
	}
	d.xmin, err = parseInt([]byte(text), 64)
	return err
}
