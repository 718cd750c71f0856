package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/millrace/millrace/connectors/postgres/channel"
	"github.com/millrace/millrace/plugins/data"
	"github.com/millrace/millrace/plugins/sdk"
)

const (
	// idleEvery is how often a position without records is handed over.
	idleEvery = 2 * time.Second
	// closeTimeout bounds the parting words to the server.
	closeTimeout = 10 * time.Second
)

// phase is what a task is doing.
type phase uint8

const (
	phaseStart     phase = iota // finding out what to do
	phaseSnapshot               // reading tables
	phaseStreaming              // reading changes
	phaseDone                   // initial_only, after the snapshot
)

// task captures one database. Polling owns everything but what is atomic or
// under mu.
type task struct {
	sdk.UnimplementedTask
	cfg   *config
	log   *slog.Logger
	start time.Time

	conn     *pgconn.PgConn // for queries
	cat      catalog
	major    int
	timeout  time.Duration // wal_sender_timeout
	viaRoot  bool
	twoPhase bool // the slot sends transactions when they are prepared
	checked  bool // whether the stored offset was compared with the slot

	phase     phase
	known     bool // pos is a position to continue from
	snapshots int  // that were completed, for snapshot.mode=always
	pos       position
	resumed   bool // streaming began in this life
	dirty     bool // pos has moved since it was last handed over
	handed    time.Time
	looked    time.Time // at what the slot keeps
	kept      bool      // it was too much then
	pending   error     // found after records that were handed over first
	beat      time.Time
	retries   int // transient failures since the last record

	em   emitter
	snap *snapshotter
	dec  decoder

	figures *figures
	inc     *incremental // while streaming
	notes   notifier
	lists   *lists // that were in force, nil when that is not known
	told    bool   // of the lists that are
	// visibleXID is a transaction of the stream that others were found to see.
	visibleXID uint32
	asks       *channel.Reader // nil without channels but the table

	meter workMeter
	work  atomic.Pointer[sdk.Progress] // nil for none

	stored atomic.Uint64 // the end of the last transaction that is safely stored
	mu     sync.Mutex    // guards stream, which Committed uses
	stream *walStream
}

// prepare connects and checks what will be needed. It goes on where it was if it
// was cut off: the connection is of use only when all is known that goes with it.
func (t *task) prepare(ctx context.Context) error {
	if t.conn == nil || t.conn.IsClosed() {
		conn, err := t.cfg.connect(ctx, false)
		if err != nil {
			return err
		}
		t.conn, t.cat = conn, catalog{conn: conn}
	}
	return t.learn(ctx, t.conn)
}

// prepared reports whether there is a connection, and all is known that goes with
// it. The types are learnt last.
func (t *task) prepared() bool { return t.conn != nil && t.cat.types != nil }

// learn finds out what a task has to know of the server.
func (t *task) learn(ctx context.Context, conn *pgconn.PgConn) error {
	if err := checkServer(ctx, conn, t.cfg); err != nil {
		if sqlState(err) == "" {
			return sdk.Fatal(err)
		}
		return err
	}
	version, err := queryText(ctx, conn, "SHOW server_version_num")
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(version)
	if err != nil {
		return fmt.Errorf("server version %.20q: %w", version, err)
	}
	t.major = n / 10000
	ms, err := queryText(ctx, conn, "SELECT setting FROM pg_settings WHERE name = 'wal_sender_timeout'")
	if err != nil {
		return err
	}
	if n, err = strconv.Atoi(ms); err != nil {
		return fmt.Errorf("wal_sender_timeout %.20q: %w", ms, err)
	}
	t.timeout = time.Duration(n) * time.Millisecond
	return t.cat.loadTypes(ctx)
}

// PollBatch appends the next events.
func (t *task) PollBatch(ctx context.Context, b *data.Batch) error {
	t.em.begin(b)
	err := t.pending
	t.pending, t.notes.sent = nil, 0
	if err == nil {
		err = t.proceed(ctx)
	}
	t.figures.tell(&t.em.counts)
	if len(b.Records)+len(b.Positions) > 0 {
		t.pending = err // these records are good
		if err == nil || len(b.Records) > t.notes.sent {
			t.retries = 0 // it got somewhere, and did not only say what failed
		}
		return nil
	}
	if err == nil || ctx.Err() != nil && !t.dec.torn {
		return err
	}
	t.disconnect()
	if ctx.Err() != nil {
		return err
	}
	return t.bounded(classify(err, t.cfg.restartWait))
}

// bounded makes a failure that could be retried final when errors.max.retries
// have failed in a row.
func (t *task) bounded(err error) error {
	var e *sdk.Error
	if !errors.As(err, &e) || !e.SafeToRetry() {
		return err
	}
	if t.retries++; t.cfg.maxRetries < 0 || t.retries <= t.cfg.maxRetries {
		return err
	}
	return sdk.Fatal(fmt.Errorf("failed %d times in a row, errors.max.retries is %d: %v", t.retries, t.cfg.maxRetries, err))
}

// proceed does the next piece of work of the phase.
func (t *task) proceed(ctx context.Context) error {
	switch t.phase {
	case phaseStart:
		return t.decide(ctx)
	case phaseSnapshot:
		return t.readSnapshot(ctx)
	case phaseStreaming:
		return t.readStream(ctx)
	}
	<-ctx.Done()
	return context.Cause(ctx)
}

// disconnect lets go of all connections. The next poll begins anew from pos.
func (t *task) disconnect() {
	t.setStream(nil)
	if t.snap != nil {
		t.snap.close()
		t.snap = nil
	}
	if t.conn != nil {
		closeConn(t.conn)
		t.conn = nil
	}
	t.rested()
	if t.phase != phaseDone {
		t.phase = phaseStart
	}
	t.dec.reset()
}

// setStream replaces the stream and closes the one before.
func (t *task) setStream(s *walStream) {
	t.mu.Lock()
	old := t.stream
	t.stream = s
	t.mu.Unlock()
	if old != nil {
		old.close()
	}
}

// decide finds out whether tables must be read, and makes what is missing on
// the server.
func (t *task) decide(ctx context.Context) error {
	if !t.prepared() {
		if err := t.prepare(ctx); err != nil {
			return err
		}
	}
	if t.cfg.snapshot == "initial_only" {
		if t.finishedSnapshot() && (t.snapshots > 0 || !t.cfg.readAgain) {
			t.phase = phaseDone
			return nil
		}
		return t.beginSnapshot(ctx, slotState{})
	}
	viaRoot, err := ensurePublication(ctx, t.conn, t.cfg, &t.cat)
	if err != nil {
		return err
	}
	t.viaRoot = viaRoot
	if err := t.checkTables(ctx); err != nil {
		return err
	}
	slot, err := readSlot(ctx, t.conn, t.cfg.slot)
	if err != nil {
		return err
	}
	if slot.exists {
		if err := slot.check(t.cfg); err != nil {
			return sdk.Fatal(err)
		}
	}
	switch gap := t.gap(slot); {
	case t.pos.snapshot == "BLOCKING" && !t.pos.completed && gap == nil,
		t.cfg.snapshot == "always" && t.snapshots == 0,
		(t.cfg.snapshot == "when_needed" || t.cfg.readOnGap) && gap != nil,
		t.cfg.snapshot != "no_data" && !t.finishedSnapshot():
		return t.beginSnapshot(ctx, slot)
	case gap != nil:
		return sdk.Fatal(gap)
	case !slot.exists || !t.known:
		return t.beginWithout(ctx, slot)
	}
	return t.beginStream(ctx, slot)
}

// finishedSnapshot reports whether pos is one to stream from.
func (t *task) finishedSnapshot() bool {
	return t.known && (t.pos.snapshot == "" || t.pos.completed)
}

// gap reports changes that the slot no longer has.
func (t *task) gap(slot slotState) error {
	const repair = "Choose: snapshot.mode=when_needed reads the tables again; removing the stored offset starts from nothing; "
	switch {
	case !t.finishedSnapshot() && t.pos.snapshot != "BLOCKING":
		return nil
	case !slot.exists:
		return fmt.Errorf("slot %s is gone, and with it the changes after %s. %ssnapshot.mode=no_data with the offset removed goes on without what was lost", t.cfg.slot, t.pos.commit, repair)
	case slot.lost:
		reason := slot.reason
		if reason == "" {
			reason = "max_slot_wal_keep_size"
		}
		return fmt.Errorf("the server has removed what slot %s needs (%s), and with it changes after %s. %sin either case drop the slot first: SELECT pg_drop_replication_slot(%s)", t.cfg.slot, reason, t.pos.commit, repair, quoteText(t.cfg.slot))
	case slot.confirmed > t.pos.commit && t.cfg.mismatch == "trust_offset" && !t.checked:
		return fmt.Errorf("slot %s stands at %s, after the stored offset %s: changes between them were confirmed by somebody else. %soffset.mismatch.strategy=trust_slot goes on without them", t.cfg.slot, slot.confirmed, t.pos.commit, repair)
	}
	return nil
}

// beginWithout starts streaming without a snapshot and without an offset.
func (t *task) beginWithout(ctx context.Context, slot slotState) error {
	if !slot.exists {
		repl, err := t.cfg.connect(ctx, true)
		if err != nil {
			return err
		}
		at, _, err := createSlot(ctx, repl, t.cfg, t.major)
		closeConn(repl)
		if err != nil {
			return err
		}
		slot = slotState{exists: true, confirmed: at}
	}
	t.pos = position{lsn: slot.confirmed, commit: slot.confirmed, message: "NOOP", time: time.Now().UnixMicro(), fresh: true, signals: t.pos.signals}
	t.known, t.dirty = true, true
	return t.beginStream(ctx, slot)
}

// beginStream starts streaming from pos.
func (t *task) beginStream(ctx context.Context, slot slotState) error {
	if !t.checked && (t.cfg.mismatch == "trust_slot" || t.cfg.mismatch == "trust_greater_lsn" && slot.confirmed > t.pos.commit) && slot.confirmed != t.pos.commit {
		t.log.Warn("streaming from the slot's position, not the stored offset's", "slot", slot.confirmed.String(), "offset", t.pos.commit.String())
		t.pos = position{lsn: slot.confirmed, commit: slot.confirmed, message: "NOOP", time: time.Now().UnixMicro(), signals: t.pos.signals}
	}
	t.checked, t.twoPhase = true, slot.twoPhase
	if err := t.dec.begin(&t.pos); err != nil {
		return sdk.Fatal(err)
	}
	if err := t.recoverIncremental(); err != nil {
		return err
	}
	s, err := t.openStream(ctx)
	if err != nil {
		return err
	}
	t.setStream(s)
	if t.snapshots == 0 && !t.resumed {
		if err := t.notes.initial("SKIPPED"); err != nil {
			return err
		}
	}
	t.resumed = true
	t.phase = phaseStreaming
	t.log.Info("streaming", "slot", t.cfg.slot, "lsn", t.pos.commit.String())
	return nil
}

// openStream starts the stream, and tries again for a while when the server
// has not yet noticed that an older connection is gone.
func (t *task) openStream(ctx context.Context) (*walStream, error) {
	for try := 0; ; try++ {
		s, err := openStream(ctx, t.cfg, t.safe(), t.timeout, startCommand(t.cfg, t.pos.confirmable(), t.major, t.twoPhase))
		if sqlState(err) != codeActive || try >= t.cfg.slotRetries {
			return s, err
		}
		t.log.Warn("slot is in use, trying again", "slot", t.cfg.slot, "err", err)
		if err := wait(ctx, t.cfg.slotDelay); err != nil {
			return nil, err
		}
	}
}

// safe is how far the server may forget: what is stored, not what was handed
// over. It is 0, which confirms nothing, before there is something.
func (t *task) safe() lsn {
	if t.cfg.manualFlush {
		return 0
	}
	return lsn(t.stored.Load())
}

// Committed takes the offsets that are safely stored: up to them the server
// may forget.
func (t *task) Committed(ctx context.Context, positions []sdk.Position) error {
	for _, p := range positions {
		if server, _ := p.Partition["server"].(string); server != t.cfg.prefix || len(p.Partition) != 1 || p.Offset == nil {
			continue
		}
		stored := readPosition(p.Offset)
		t.stored.Store(max(t.stored.Load(), uint64(stored.confirmable())))
		t.signalsStored(ctx, stored.signals)
	}
	if t.cfg.manualFlush {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.stream != nil {
		t.stream.confirm(lsn(t.stored.Load()))
	}
	return nil
}

// Close ends all connections. The last thing the server hears is how far
// changes are stored.
func (t *task) Close() error {
	t.mu.Lock()
	s := t.stream
	t.mu.Unlock()
	var err error
	if s != nil && !t.cfg.manualFlush {
		// The stream may be broken already; then the server learns it at the
		// next start.
		if e := s.status(); e != nil {
			t.log.Debug("last status", "err", e)
		}
	}
	t.disconnect()
	if t.asks != nil {
		t.asks.Close()
	}
	if t.cfg.dropSlot && t.cfg.snapshot != "initial_only" {
		err = t.dropSlot()
	}
	return err
}

func (t *task) dropSlot() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	conn, err := t.cfg.connect(ctx, false)
	if err != nil {
		return err
	}
	defer closeConn(conn)
	for {
		_, err := query(ctx, conn, "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = $1", t.cfg.slot)
		if sqlState(err) != codeActive {
			return err
		}
		if err := wait(ctx, 50*time.Millisecond); err != nil {
			return errors.Join(fmt.Errorf("slot %s is still in use and was not dropped", t.cfg.slot), err)
		}
	}
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
