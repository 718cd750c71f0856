package postgres

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/millrace/millrace/plugins/sdk"
)

// decoder is the state of reading the stream.
type decoder struct {
	rest     []byte // frames of the chunk at hand
	msg      message
	tables   map[uint32]*table // nil for those that are not captured
	nullable map[string]bool

	inTx       bool
	dropTx     bool // the transaction shows in the snapshot already
	partly     bool // so it does, in the tables of a blocking one
	origin     origin
	visible    *visibility
	only       map[string]bool // the tables of a blocking snapshot that show all
	signals    signalReader
	lastCommit lsn // as events tell it: 0 before the first commit after a snapshot
	xmin       int64
	xminRead   time.Time

	torn      bool // a message was taken from the stream and not handled to its end
	pieces    pieces
	handledTo lsn  // transactions that ended before come again and are passed over
	passing   bool // the one at hand is such

	resume   *position // the transaction that was cut in the middle, until it comes
	skipping bool      // rows of it that were handled are passing
	asked    bool      // the server wants to hear of the position
}

// reset forgets the stream.
func (d *decoder) reset() {
	d.pieces.close()
	*d = decoder{nullable: d.nullable}
}

// begin prepares for a stream that starts at the last complete transaction of
// a position.
func (d *decoder) begin(p *position) error {
	d.reset()
	d.tables = make(map[uint32]*table)
	if d.nullable == nil {
		d.nullable = make(map[string]bool)
	}
	if (p.snapshot == "" || p.snapshot == "BLOCKING") && !p.fresh {
		d.lastCommit = p.commit
	}
	if p.hold != 0 {
		d.handledTo = p.commit
	}
	if p.midTransaction() {
		cut := *p
		if cut.message != "BEGIN" {
			cut.events = max(cut.events, 1) // the row at lsn itself
		}
		d.resume = &cut
	}
	if p.visible != "" {
		v, err := parseVisibility(p.visible)
		if err != nil {
			return fmt.Errorf("stored offset: mr_snapshot: %w", err)
		}
		d.visible = &v
	}
	var err error
	d.only, err = p.whole()
	return err
}

// readStream hands over changes.
func (t *task) readStream(ctx context.Context) error {
	if t.beat.IsZero() {
		t.beat = time.Now()
	}
	err := t.heartbeat(ctx)
	if err == nil {
		err = t.watch(ctx)
	}
	if err == nil && !t.dec.inTx {
		err = t.between(ctx)
	}
	if err == nil && t.phase == phaseStreaming {
		err = t.pump(ctx)
	}
	if len(t.em.batch.Records) > 0 || t.dirty && (t.dec.asked || time.Since(t.handed) >= idleEvery) {
		t.em.finish(&t.pos)
		t.dirty, t.dec.asked, t.handed = false, false, time.Now()
	}
	return err
}

// pump decodes frames until the batch is full, or nothing more has come.
func (t *task) pump(ctx context.Context) error {
	d := &t.dec
	for !t.em.full() && t.phase == phaseStreaming && (d.inTx || !t.inc.ready()) {
		if d.pieces.replay != nil {
			if err := t.replayed(ctx); err != nil {
				d.torn = true
				return err
			}
			continue
		}
		if len(d.rest) == 0 {
			more, err := t.receive(ctx)
			if err != nil || !more {
				return err
			}
			continue
		}
		size := int(binary.BigEndian.Uint32(d.rest[1:])) + 1
		if err := t.frame(ctx, d.rest[0], d.rest[5:size]); err != nil {
			d.torn = true
			return err
		}
		if t.phase == phaseStreaming { // else a signal has ended it
			d.rest = d.rest[size:]
		}
	}
	return nil
}

// rest is how long a batch waits for more of a transaction, which is on its way.
// It looks only after that: to be woken by each change costs more than the
// change.
const rest = 500 * time.Microsecond

// receive takes the next frames. With records in the batch it does not wait for
// them, or not for long; else it waits until something is due.
func (t *task) receive(ctx context.Context) (more bool, err error) {
	d := &t.dec
	patience := time.Duration(0)
	if len(t.em.batch.Records) > 0 {
		if d.inTx && !t.stream.in.waiting() {
			if err := wait(ctx, rest); err != nil {
				return false, err
			}
		}
	} else {
		if patience = t.due(); patience <= 0 {
			return false, t.heartbeat(ctx)
		}
	}
	frames, closed, err := t.stream.in.take(ctx, patience)
	switch {
	case err != nil:
		return false, err
	case closed:
		return false, t.streamError()
	case len(frames) == 0:
		return false, nil
	}
	d.rest = frames // the rows before were copied out of theirs
	t.em.tick()
	return true, nil
}

// streamError says why the stream ended.
func (t *task) streamError() error {
	err := t.stream.in.reason()
	if sqlState(err) == codeUndefined {
		return sdk.Fatal(fmt.Errorf("publication %s or slot %s was dropped: create it again; changes since then may be lost to this slot: %w", t.cfg.publication, t.cfg.slot, err))
	}
	return fmt.Errorf("replication stream of slot %s: %w", t.cfg.slot, err)
}

// frame handles one frame of the server.
func (t *task) frame(ctx context.Context, kind byte, body []byte) error {
	if kind == 'c' {
		return errors.New("the server ended the replication")
	}
	if kind != 'd' || len(body) == 0 {
		return nil
	}
	if k, ok := parseKeepalive(body); ok {
		t.idle(k)
		return nil
	}
	if body[0] != 'w' || len(body) < 25 {
		return fmt.Errorf("replication message of an unknown kind %q", body[0])
	}
	at, payload := lsn(binary.BigEndian.Uint64(body[1:])), body[25:]
	if len(payload) == 0 {
		return errors.New("an empty message of the replication stream")
	}
	if taken, err := t.piece(ctx, at, payload); taken || err != nil {
		return err
	}
	if err := t.dec.msg.decode(payload, false); err != nil {
		return sdk.Fatal(err)
	}
	return t.handle(ctx, at)
}

// idle moves the position with the server's, when nothing is under way.
func (t *task) idle(k keepalive) {
	if t.dec.inTx || t.dec.resume != nil {
		return
	}
	t.figures.behind.Set(0)
	if k.end > t.pos.commit {
		t.pos.commit, t.pos.lsn, t.pos.message, t.pos.events = k.end, k.end, "NOOP", 0
		t.pos.snapshot = ""
		t.passed()
		t.dirty = true
	}
	t.dec.asked = t.dec.asked || k.reply && t.dirty
}

// passed forgets the snapshot's transactions once all of them have gone by.
func (t *task) passed() {
	if t.dec.visible != nil && t.pos.commit >= t.pos.until {
		t.dec.visible, t.pos.visible, t.pos.until, t.pos.only = nil, "", 0, ""
	}
	if t.pos.commit >= t.pos.mend {
		t.pos.mend = 0
	}
}

// handle takes one message of pgoutput that stands at a position in the log.
func (t *task) handle(ctx context.Context, at lsn) error {
	d, m := &t.dec, &t.dec.msg
	switch m.kind {
	case msgBegin:
		if err := t.readXmin(ctx); err != nil {
			return err
		}
		return t.beginTx(at)
	case msgCommit:
		return t.commitTx(ctx)
	case msgOrigin:
		d.origin.name, d.origin.originLSN = m.origin, m.messageLSN
	case msgRelation:
		return t.describe(ctx, &m.relation)
	case msgInsert, msgUpdate, msgDelete, msgTruncate:
		return t.row(ctx, at)
	case msgMessage:
		if m.transactional {
			return t.row(ctx, at)
		}
		return t.lone(at)
	}
	return nil
}

func (t *task) beginTx(at lsn) error {
	d, m := &t.dec, &t.dec.msg
	d.inTx = true
	if d.passing = m.commitLSN < d.handledTo; d.passing {
		return nil
	}
	d.origin = origin{time: m.time, snapshot: "false", lastCommit: d.lastCommit, lsn: at, xid: m.xid, xmin: d.xmin}
	shows := d.visible != nil && d.visible.sees(m.xid)
	d.dropTx, d.partly = shows && t.pos.only == "", shows && t.pos.only != ""
	d.signals.take()
	d.skipping = d.resume != nil && d.resume.xid == m.xid
	if !d.skipping {
		d.resume = nil
	}
	if err := t.em.beginTransaction(&d.origin, !d.skipping && !d.dropTx); err != nil {
		return err
	}
	if !d.skipping {
		t.pos.snapshot = ""
		t.pos.message, t.pos.xid, t.pos.time, t.pos.lsn, t.pos.events = "BEGIN", m.xid, m.time, at, 0
	}
	return nil
}

func (t *task) commitTx(ctx context.Context) error {
	d, m := &t.dec, &t.dec.msg
	if d.passing {
		d.inTx, d.passing = false, false
		return nil
	}
	effects, err := t.effects(ctx, d.signals.take())
	if err != nil {
		return err
	}
	d.origin.lsn = m.endLSN
	if !d.dropTx {
		if err := t.em.endTransaction(&d.origin); err != nil {
			return err
		}
	}
	if !d.dropTx {
		t.inc.streamed(d.origin.xid)
	}
	d.inTx, d.skipping, d.dropTx, d.partly, d.resume, d.lastCommit = false, false, false, false, nil, m.endLSN
	t.pos.snapshot = ""
	t.pos.message, t.pos.commit, t.pos.lsn, t.pos.events, t.pos.time, t.pos.xmin = "COMMIT", m.endLSN, m.endLSN, 0, m.time, d.xmin
	t.passed()
	t.dirty = true
	t.em.mark(&t.pos)
	t.figures.committed(m.time, d.pieces.bytes)
	for _, e := range effects {
		if err := e(); err != nil {
			return err
		}
	}
	return nil
}

// describe takes what the server says of a relation.
func (t *task) describe(ctx context.Context, r *relation) error {
	if old, ok := t.dec.tables[r.id]; ok && (old == nil || old.relation.equal(r)) {
		return nil
	}
	return t.relate(ctx, r)
}

// relate compiles a relation that is new or has changed.
func (t *task) relate(ctx context.Context, r *relation) error {
	if t.cfg.signalTable == r.schema+"."+r.name {
		t.dec.signals.relation = r.id
	}
	if !t.cfg.captures(r.schema, r.name) {
		t.dec.tables[r.id] = nil
		return nil
	}
	known := &catalogTable{oid: r.id, schema: r.schema, name: r.name}
	if err := t.cat.describe(ctx, known); err != nil {
		return err
	}
	for _, c := range r.columns {
		if _, ok := t.cat.types[c.typeOID]; !ok {
			if err := t.cat.loadTypes(ctx); err != nil {
				return err
			}
			break
		}
	}
	tab, err := t.compiler().compile(r, known)
	if err != nil {
		return sdk.Fatal(err)
	}
	t.dec.tables[r.id] = tab
	return nil
}

// row handles a row change or truncate, or passes it by when it was handled
// before the last restart.
func (t *task) row(ctx context.Context, at lsn) error {
	d := &t.dec
	if d.passing {
		return nil
	}
	d.origin.lsn = at
	handled := d.passes(at)
	if !handled {
		d.resume, d.skipping = nil, false
	}
	if !d.dropTx {
		d.signals.see(&d.msg)
	}
	mark := len(t.em.batch.Records)
	if !d.dropTx && (!handled || t.cfg.transactions) {
		if err := t.capture(ctx); err != nil {
			return err
		}
	}
	if handled {
		t.em.batch.Records = t.em.batch.Records[:mark] // only counted
		return nil
	}
	if t.pos.lsn == at && t.pos.message != "BEGIN" {
		t.pos.events++
	} else {
		t.pos.events = 1
	}
	t.pos.lsn, t.pos.message = at, operation(d.msg.kind)
	t.dirty = true
	return nil
}

func operation(kind byte) string {
	switch kind {
	case msgInsert:
		return "INSERT"
	case msgUpdate:
		return "UPDATE"
	case msgDelete:
		return "DELETE"
	case msgMessage:
		return "MESSAGE"
	}
	return "TRUNCATE"
}

// passes reports whether a row was handled before: those of the resumed
// transaction before its position, and so many at exactly that.
func (d *decoder) passes(at lsn) bool {
	r := d.resume
	switch {
	case !d.skipping || r.message == "BEGIN":
		return false
	case at < r.lsn:
		return true
	case at == r.lsn && r.events > 0:
		r.events--
		return true
	}
	return false
}

// capture emits the events of the message.
func (t *task) capture(ctx context.Context) error {
	d, m := &t.dec, &t.dec.msg
	if m.kind == msgTruncate {
		for _, id := range m.relIDs {
			if tab := d.tables[id]; tab != nil && !t.cfg.drops('t') && !d.shows(tab) {
				if err := t.em.truncate(tab, &d.origin); err != nil {
					return sdk.Fatal(err)
				}
			}
		}
		return nil
	}
	if m.kind == msgMessage {
		if !t.cfg.tells(m.prefix) {
			return nil
		}
		return sdk.Fatal(t.em.message(m, &d.origin))
	}
	op := byte('c')
	switch m.kind {
	case msgUpdate:
		op = 'u'
	case msgDelete:
		op = 'd'
	}
	tab, ok := d.tables[m.relID]
	if !ok {
		return sdk.Fatal(fmt.Errorf("a change of relation %d, which was not described", m.relID))
	}
	if tab == nil || t.cfg.drops(op) || d.shows(tab) {
		return nil
	}
	before, after := m.old, m.new
	if m.oldKind == 0 {
		before = nil
	}
	if op == 'u' && (t.cfg.reselect || t.pos.mend > 0 || t.inc.active()) {
		if err := t.mend(ctx, tab, before, after); err != nil {
			return err
		}
	}
	if op != 'd' && t.cfg.reselector != nil {
		if err := t.reselectRow(ctx, tab, before, after); err != nil {
			return err
		}
	}
	for try := 0; ; try++ {
		err := t.em.change(tab, &d.origin, op, m.oldKind, before, after)
		if err == nil {
			return nil
		}
		if try == 2 || !errors.Is(err, errStale) && !errors.Is(err, errLabel) {
			return t.failedEvent(tab, err)
		}
		if tab, err = t.refresh(ctx, tab, err); err != nil {
			return err
		}
	}
}

// refresh reads the catalog again after a value that contradicts it.
func (t *task) refresh(ctx context.Context, tab *table, why error) (*table, error) {
	var c *columnError
	if errors.Is(why, errStale) && errors.As(why, &c) {
		t.dec.nullable[tab.relation.schema+"."+tab.name+"."+c.name] = true
	}
	if err := t.cat.loadTypes(ctx); err != nil {
		return nil, err
	}
	r := tab.relation
	if err := t.relate(ctx, &r); err != nil {
		return nil, err
	}
	return t.dec.tables[r.id], nil
}
