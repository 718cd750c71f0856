package postgres

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/millrace/millrace/plugins/sdk"
)

// beginSnapshot opens the transaction that tables are read in and starts to
// read. With a new slot it is the state that the slot begins with. A slot that
// is there already began earlier: then the transactions that the tables show
// are remembered and left out of the stream. A snapshot that was cut off goes
// on where it was: see docs/design/postgres.md.
func (t *task) beginSnapshot(ctx context.Context, slot slotState) error {
	cut := t.cutOff()
	if t.pos.snapshot != "BLOCKING" {
		if err := wait(ctx, t.cfg.snapshotDelay); err != nil {
			return err
		}
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
	snap.start()
	t.snap, t.phase, t.known = snap, phaseSnapshot, true
	if cut {
		if err := t.notes.aborted(); err != nil {
			return err
		}
	}
	t.notes.told = false
	if t.pos.only == "" && !snap.begun {
		if err := t.keepLists(); err != nil {
			return err
		}
	}
	return t.notes.initial("STARTED")
}

// cutOff reports whether the position is inside a snapshot that has begun.
func (t *task) cutOff() bool {
	p := &t.pos
	return t.known && p.snapshot != "" && !p.completed && (p.snapshot != "BLOCKING" || p.base != "" || p.read != "")
}

// goesOn reports whether a snapshot was cut off that can go on: the slot still
// has all changes made since it began.
func (t *task) goesOn(slot slotState) bool {
	switch {
	case !t.known || t.pos.snapshot == "" || t.pos.completed || t.pos.base == "" && t.cfg.snapshot != "initial_only":
		return false
	case t.cfg.snapshot == "initial_only":
		return t.pos.read != ""
	}
	return slot.exists && !slot.lost && slot.confirmed <= t.pos.commit
}

func (t *task) openSnapshot(ctx context.Context, conn *pgconn.PgConn, slot slotState) (*snapshotter, error) {
	pos := position{snapshot: "INITIAL", time: time.Now().UnixMicro(), signals: t.pos.signals}
	goesOn, ordinary := t.goesOn(slot), false
	blocking := t.pos.only != "" && t.pos.snapshot == "BLOCKING" && !goesOn
	var err error
	switch {
	case blocking:
		pos, ordinary = t.pos, true
		if err = t.settle(ctx); err == nil {
			err = t.readingTransaction(ctx, conn, "")
		}
	case goesOn || t.cfg.snapshot == "initial_only":
		err = t.readingTransaction(ctx, conn, "")
	case slot.exists:
		pos.commit, ordinary, err = t.oldSlotTransaction(ctx, conn, slot)
	default:
		pos.commit, err = t.newSlotTransaction(ctx, conn)
	}
	if err != nil {
		return nil, err
	}
	now, err := readMoment(ctx, conn)
	if err != nil {
		return nil, err
	}
	if goesOn {
		pos = t.pos
		pos.mend = now.at
	} else {
		pos.xid, pos.base = uint32(now.seen.min), now.text
		if pos.commit == 0 {
			pos.commit = now.at
		}
		if pos.lsn = pos.commit; ordinary {
			pos.visible, pos.until = now.text, now.at
		}
	}
	if t.cfg.snapshot == "initial_only" {
		pos.base, pos.mend = "", 0 // no stream tells what has changed since
	}
	s, err := t.planSnapshot(ctx, conn, &pos, now, goesOn)
	if err != nil {
		return nil, err
	}
	t.pos = pos
	t.log.Info("reading tables", "ranges", len(s.jobs), "connections", len(s.conns), "continued", goesOn, "lsn", pos.lsn.String())
	return s, nil
}

// dbMoment is when a transaction sees the database.
type dbMoment struct {
	at   lsn    // no later than what is written from now on
	text string // the snapshot
	seen visibility
}

func readMoment(ctx context.Context, conn *pgconn.PgConn) (m dbMoment, err error) {
	rows, err := query(ctx, conn, "SELECT pg_current_snapshot(), CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_insert_lsn() END")
	if err != nil || len(rows) != 1 {
		return m, fmt.Errorf("position of the snapshot: %w", err)
	}
	m.text = string(rows[0][0])
	if m.seen, err = parseVisibility(m.text); err != nil {
		return m, err
	}
	m.at, err = parseLSN(string(rows[0][1]))
	return m, err
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

// oldSlotPatience is how long a slot that was there before is worth waiting for
// transactions that are open.
const oldSlotPatience = 3 * time.Second

// oldSlotTransaction enters a snapshot that belongs to a position of the log,
// from which a slot that is older is read: that of a temporary slot. If there
// can be none, or not soon, it is an ordinary snapshot.
func (t *task) oldSlotTransaction(ctx context.Context, conn *pgconn.PgConn, slot slotState) (at lsn, ordinary bool, err error) {
	repl, err := t.cfg.connect(ctx, true)
	if err != nil {
		return 0, false, err
	}
	defer closeConn(repl)
	wctx, cancel := context.WithTimeout(ctx, oldSlotPatience)
	defer cancel()
	name := t.cfg.slot
	name = name[:min(len(name), 55)] + "_reading"
	at, exported, err := exportSlot(wctx, repl, name, true, false, t.major)
	if err == nil && at >= slot.confirmed {
		return at, false, t.readingTransaction(ctx, conn, exported)
	}
	switch {
	case ctx.Err() != nil:
		return 0, false, context.Cause(ctx)
	case sqlState(err) == codeDuplicate: // that of a connection which is gone
		return 0, false, sdk.Retry(fmt.Errorf("temporary slot: %w", err), t.cfg.slotDelay)
	case err != nil && sqlState(err) != codeNoSlot && wctx.Err() == nil:
		return 0, false, fmt.Errorf("temporary slot: %w", err)
	}
	t.log.Info("no temporary slot, reading in an ordinary snapshot", "err", err)
	return slot.confirmed, true, t.readingTransaction(ctx, conn, "")
}

// readingTransaction begins a transaction that only reads, in a snapshot that
// was exported or in one of its own. Rows come in the order of their places.
func (t *task) readingTransaction(ctx context.Context, conn *pgconn.PgConn, exported string) error {
	level := "REPEATABLE READ"
	if exported == "" && t.cfg.isolation == "serializable" {
		level = "SERIALIZABLE"
	}
	sql := "BEGIN ISOLATION LEVEL " + level + " READ ONLY"
	if exported != "" {
		sql += "; SET TRANSACTION SNAPSHOT " + quoteText(exported)
	}
	sql += "; SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0" +
		"; SET LOCAL synchronize_seqscans = off; SET LOCAL max_parallel_workers_per_gather = 0"
	if _, err := query(ctx, conn, sql); err != nil {
		return fmt.Errorf("begin the snapshot: %w", err)
	}
	return nil
}

// planSnapshot lists what is to be read and connects the readers. conn is in
// the snapshot and becomes one of them.
func (t *task) planSnapshot(ctx context.Context, conn *pgconn.PgConn, pos *position, now dbMoment, goesOn bool) (*snapshotter, error) {
	read := newProgress()
	p := &planner{t: t, conn: conn, max: now.seen.max, read: read, pos: pos}
	s := &snapshotter{cfg: t.cfg, log: t.log, conns: []*pgconn.PgConn{conn}, read: read, tabs: map[*tablePlan]*table{},
		types: *t.compiler(), limit: t.em.limit, at: snapshotOrigin(pos)}
	s.types.nullable = maps.Clone(s.types.nullable)
	if goesOn {
		var err error
		if read, err = parseProgress(pos.read); err != nil {
			return nil, err
		}
		if pos.base == "" {
			clear(read.open) // rows may have moved to where they were read already
		} else {
			base, err := parseVisibility(pos.base)
			if err != nil {
				return nil, err
			}
			p.base, s.unchanged = &base, base.unchangedSQL("xmin", now.seen.max)
		}
		p.read, s.read, s.begun = read, read, len(read.done)+len(read.open) > 0
	}
	plans, jobs, err := p.plan(ctx)
	if err != nil {
		return nil, err
	}
	s.stats.count(plans, jobs)
	s.jobs, s.notes, s.names = jobs, t.notes, planNames(plans)
	return s, t.connectReaders(ctx, s)
}

// connectReaders has further connections enter the snapshot of the first.
func (t *task) connectReaders(ctx context.Context, s *snapshotter) error {
	n := min(t.cfg.threads, len(s.jobs))
	if n < 2 {
		return nil
	}
	name, err := queryText(ctx, s.conns[0], "SELECT pg_export_snapshot()")
	if err != nil {
		return fmt.Errorf("share the snapshot: %w", err)
	}
	for len(s.conns) < n {
		conn, err := t.cfg.connect(ctx, false)
		if err == nil {
			s.conns = append(s.conns, conn)
			err = t.readingTransaction(ctx, conn, name)
		}
		if err != nil {
			for _, c := range s.conns[1:] { // the first is the caller's
				closeConn(c)
			}
			return fmt.Errorf("connection %d of %d (snapshot.max.threads): %w", len(s.conns)+1, n, err)
		}
	}
	return nil
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
	t.pos.read = t.snap.read.text()
	t.atWork("snapshot", t.snap.stats.rows, t.snap.stats.done())
	if !errors.Is(err, errSnapshotDone) {
		if err != nil && ctx.Err() == nil {
			err = errors.Join(err, t.notes.aborted())
		}
		if len(t.em.batch.Records) > 0 {
			t.em.finish(&t.pos)
		}
		return err
	}
	t.snap.close()
	took := time.Since(t.snap.stats.began)
	t.log.Info("tables are read", "rows", t.snap.stats.rows, "took", took)
	t.snap = nil
	t.rested()
	t.snapshots++
	t.pos.completed = true
	t.pos.base, t.pos.read = "", ""
	if err := t.notes.initial("COMPLETED"); err != nil {
		return err
	}
	t.em.finish(&t.pos)
	t.dirty = false
	t.phase = phaseStart
	return wait(ctx, t.cfg.streamingDelay)
}

// snapshotOrigin is what the rows of a snapshot say of their position. One that
// the stream waits for follows a commit.
func snapshotOrigin(p *position) origin {
	o := origin{lsn: p.lsn, xid: p.xid}
	if p.snapshot == "BLOCKING" {
		o.lastCommit = p.commit
	}
	return o
}
