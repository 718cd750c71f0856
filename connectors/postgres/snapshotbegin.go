package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/millrace/millrace/plugins/sdk"
)

// beginSnapshot opens the transaction that tables are read in and starts to
// read. With a new slot it is the state that the slot begins with. A slot that
// is there already began earlier: then the transactions that the tables show
// are remembered and left out of the stream.
func (t *task) beginSnapshot(ctx context.Context, slot slotState) error {
	if err := wait(ctx, t.cfg.snapshotDelay); err != nil {
		return err
	}
	conn, err := t.cfg.connect(ctx, false)
	if err != nil {
		return err
	}
	snap, err := t.openSnapshot(ctx, conn, slot)
	if err != nil {
		closeConn(conn)
		return err
	}
	t.snap, t.phase, t.known = snap, phaseSnapshot, true
	return nil
}

func (t *task) openSnapshot(ctx context.Context, conn *pgconn.PgConn, slot slotState) (*snapshotter, error) {
	pos := position{snapshot: "INITIAL", time: time.Now().UnixMicro()}
	var err error
	switch {
	case t.cfg.snapshot == "initial_only":
		err = t.readingTransaction(ctx, conn, "")
	case slot.exists:
		if err = t.readingTransaction(ctx, conn, ""); err == nil {
			pos.commit = slot.confirmed
			pos.visible, err = queryText(ctx, conn, "SELECT pg_current_snapshot()")
		}
	default:
		pos.commit, err = t.newSlotTransaction(ctx, conn)
	}
	if err != nil {
		return nil, err
	}
	rows, err := query(ctx, conn, "SELECT pg_current_wal_insert_lsn(), pg_snapshot_xmin(pg_current_snapshot())::text::bigint & 4294967295")
	if err != nil || len(rows) != 1 {
		return nil, fmt.Errorf("position of the snapshot: %w", err)
	}
	now, err := parseLSN(string(rows[0][0]))
	if err != nil {
		return nil, err
	}
	xid, err := parseInt(rows[0][1], 64)
	if err != nil {
		return nil, err
	}
	if pos.xid = uint32(xid); pos.visible != "" {
		pos.until = now
	}
	if pos.commit == 0 {
		pos.commit = now
	}
	pos.lsn = pos.commit
	plans, err := t.planSnapshot(ctx, conn)
	if err != nil {
		return nil, err
	}
	t.pos = pos
	t.log.Info("reading tables", "tables", len(plans), "lsn", pos.lsn.String())
	return startSnapshot(conn, plans, origin{lsn: pos.lsn, xid: pos.xid}), nil
}

// newSlotTransaction makes the slot and enters the snapshot it begins with.
func (t *task) newSlotTransaction(ctx context.Context, conn *pgconn.PgConn) (lsn, error) {
	repl, err := t.cfg.connect(ctx, true)
	if err != nil {
		return 0, err
	}
	defer closeConn(repl) // the snapshot is held by the reader from then on
	at, name, err := createSlot(ctx, repl, t.cfg, t.major)
	if err != nil {
		return 0, err
	}
	return at, t.readingTransaction(ctx, conn, name)
}

// readingTransaction begins a transaction that only reads, in a snapshot that
// was exported or in one of its own.
func (t *task) readingTransaction(ctx context.Context, conn *pgconn.PgConn, exported string) error {
	level := "REPEATABLE READ"
	if exported == "" && t.cfg.isolation == "serializable" {
		level = "SERIALIZABLE"
	}
	sql := "BEGIN ISOLATION LEVEL " + level + " READ ONLY"
	if exported != "" {
		sql += "; SET TRANSACTION SNAPSHOT " + quoteText(exported)
	}
	sql += "; SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0"
	if _, err := query(ctx, conn, sql); err != nil {
		return fmt.Errorf("begin the snapshot: %w", err)
	}
	return nil
}

// planSnapshot lists the tables to read and how.
func (t *task) planSnapshot(ctx context.Context, conn *pgconn.PgConn) ([]snapshotPlan, error) {
	tables, err := t.cat.tables(ctx, t.cfg, t.viaRoot)
	if err != nil {
		return nil, err
	}
	if len(tables) == 0 {
		t.log.Warn("no table passes the filters: check schema.include.list and table.include.list")
	}
	var plans []snapshotPlan
	for _, known := range tables {
		full := known.schema + "." + known.name
		if len(t.cfg.snapshotTables) > 0 && !matchesAny(t.cfg.snapshotTables, full) {
			continue
		}
		if t.cfg.lockTables {
			sql := fmt.Sprintf("SET LOCAL lock_timeout = %d; LOCK TABLE %s IN ACCESS SHARE MODE", t.cfg.lockTimeout.Milliseconds(), quoteName(known.schema, known.name))
			if _, err := query(ctx, conn, sql); err != nil {
				return nil, fmt.Errorf("lock %s: %w", full, err)
			}
		}
		if err := t.cat.describe(ctx, known); err != nil {
			return nil, err
		}
		tab, err := t.compiler().compile(known.relation(), known)
		if err != nil {
			return nil, sdk.Fatal(err)
		}
		plans = append(plans, snapshotPlan{tab, copySQL(t.cfg, tab, known)})
	}
	return plans, nil
}

func (t *task) compiler() *compiler {
	return &compiler{cfg: t.cfg, types: t.cat.types, nullable: t.dec.nullable}
}

// relation is the table as a Relation message would describe it.
func (k *catalogTable) relation() *relation {
	r := &relation{id: k.oid, schema: k.schema, name: k.name, identity: k.identity}
	for _, c := range k.columns {
		r.columns = append(r.columns, c.relColumn)
	}
	return r
}

// readSnapshot hands over rows, and goes on to streaming after the last.
func (t *task) readSnapshot(ctx context.Context) error {
	err := t.snap.fill(ctx, &t.em)
	if errors.Is(err, errStale) || errors.Is(err, errLabel) {
		// The tables changed while they were being read: begin again.
		err = sdk.Retry(fmt.Errorf("a table changed its form during the snapshot: %w", err), t.cfg.restartWait)
	}
	if !errors.Is(err, errSnapshotDone) {
		if len(t.em.batch.Records) > 0 {
			t.em.finish(&t.pos)
		}
		return err
	}
	t.snap.close()
	t.snap = nil
	t.snapshots++
	t.pos.completed = true
	t.em.finish(&t.pos)
	t.dirty = false
	t.log.Info("tables are read", "took", time.Since(t.start))
	t.phase = phaseStart
	return wait(ctx, t.cfg.streamingDelay)
}
