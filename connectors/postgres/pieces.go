package postgres

import (
	"context"
	"fmt"

	"github.com/millrace/millrace/plugins/sdk"
)

// pieces are the transactions that are sent before they have committed: in
// pieces when they are large (millrace.streaming), or whole when they are
// prepared and the slot was made with two_phase. Their events are emitted when
// they commit, in the order of commits, as if they came only then.
//
// The server sends pieces again after a reconnect, unless what they belong to
// was confirmed. So the slot is held before the oldest transaction that is
// prepared and not yet committed; what had committed meanwhile comes again and
// is passed over.
type pieces struct {
	open     map[uint32]*spool // in pieces, by transaction
	prepared map[string]*spool // by global id
	current  *spool            // what the messages at hand belong to, nil for none
	gid      string            // of current, when it is being prepared
	bytes    int64
	seen     int // transactions that came so
	replay   *replay
}

// close forgets all of them.
func (p *pieces) close() {
	for _, s := range p.open {
		s.close()
	}
	for _, s := range p.prepared {
		s.close()
	}
	if p.gid != "" && p.current != nil {
		p.current.close()
	}
	if p.replay != nil {
		p.replay.spool.close()
	}
	*p = pieces{}
}

// drop lets go of one that ended.
func (p *pieces) drop(s *spool) {
	if s != nil {
		p.bytes -= s.size
		s.close()
	}
}

// hold is where the slot must stay for the sake of prepared transactions, 0 for
// anywhere.
func (p *pieces) hold() lsn {
	var at lsn
	lower := func(s *spool) {
		if s.prepared != 0 && (at == 0 || s.prepared < at) {
			at = s.prepared
		}
	}
	for _, s := range p.prepared {
		lower(s)
	}
	if p.replay != nil { // until the last of it is emitted
		lower(p.replay.spool)
	}
	return at
}

// piece takes a message that belongs to a transaction which has not committed,
// or says what becomes of one.
func (t *task) piece(ctx context.Context, at lsn, payload []byte) (taken bool, err error) {
	p, m := &t.dec.pieces, &t.dec.msg
	switch kind := payload[0]; kind {
	case msgStreamStart, msgStreamStop, msgStreamCommit, msgStreamAbort, msgBeginPrepare, msgPrepare, msgStreamPrepare, msgCommitPrepared, msgRollbackPrepared:
		if err := m.decode(payload, false); err != nil {
			return true, sdk.Fatal(err)
		}
		return true, t.boundary(ctx, at)
	}
	if p.current == nil {
		return false, nil
	}
	if payload[0] == msgRelation {
		if err := m.decode(payload, p.current.streamed); err != nil {
			return true, sdk.Fatal(err)
		}
		p.current.describe(m.relation)
	}
	before := p.current.size
	if err := p.current.add(at, payload); err != nil {
		return true, fmt.Errorf("hold a transaction until it commits: %w", err)
	}
	if p.bytes += p.current.size - before; t.cfg.spoolLimit > 0 && p.bytes > t.cfg.spoolLimit {
		return true, sdk.Fatal(fmt.Errorf("transactions under way take more than %d bytes (millrace.spool.max.bytes): raise it, or set millrace.streaming=off, which lets the server keep them", t.cfg.spoolLimit))
	}
	return true, nil
}

func (t *task) boundary(ctx context.Context, at lsn) error {
	p, m := &t.dec.pieces, &t.dec.msg
	switch m.kind {
	case msgStreamStart:
		s, ok := p.open[m.xid]
		if !ok {
			var err error
			if s, err = newSpool(t.cfg.spoolDir, at, true); err != nil {
				return err
			}
			if p.open == nil {
				p.open = make(map[uint32]*spool)
			}
			p.open[m.xid] = s
			p.seen++
		}
		p.current = s
	case msgStreamStop:
		p.current = nil
	case msgStreamAbort:
		t.aborted()
	case msgStreamCommit:
		s := p.open[m.xid]
		delete(p.open, m.xid)
		return t.committed(ctx, s, at)
	default:
		return t.preparation(ctx, at)
	}
	return nil
}

func (t *task) aborted() {
	p, m := &t.dec.pieces, &t.dec.msg
	s := p.open[m.xid]
	switch {
	case s == nil:
	case m.xid == m.subXID:
		delete(p.open, m.xid)
		p.drop(s)
	default:
		s.undo(m.subXID)
	}
}

// preparation handles the messages about prepared transactions.
func (t *task) preparation(ctx context.Context, at lsn) error {
	p, m := &t.dec.pieces, &t.dec.msg
	switch m.kind {
	case msgBeginPrepare:
		s, err := newSpool(t.cfg.spoolDir, at, false)
		if err != nil {
			return err
		}
		p.current, p.gid = s, m.gid
	case msgPrepare, msgStreamPrepare:
		s := p.current
		if m.kind == msgStreamPrepare {
			s = p.open[m.xid]
			delete(p.open, m.xid)
		}
		if s == nil {
			return sdk.Fatal(fmt.Errorf("transaction %q is prepared without having begun", m.gid))
		}
		p.current, p.gid = nil, ""
		if p.prepared == nil {
			p.prepared = make(map[string]*spool)
		}
		p.drop(p.prepared[m.gid])
		s.prepared = m.commitLSN
		p.prepared[m.gid] = s
		t.held()
		// The server does not describe them again to the transactions that
		// come before this one commits.
		for i := range s.relations {
			if err := t.describe(ctx, &s.relations[i]); err != nil {
				return err
			}
		}
	case msgCommitPrepared, msgRollbackPrepared:
		s := p.prepared[m.gid]
		delete(p.prepared, m.gid)
		if m.kind == msgRollbackPrepared {
			p.drop(s)
			t.held()
			return nil
		}
		if s == nil && m.commitLSN >= t.dec.handledTo {
			return sdk.Fatal(fmt.Errorf("transaction %q has committed at %s, and what it did was confirmed by somebody else while it was prepared: let the tables be read again (snapshot.mode=when_needed with the slot dropped)", m.gid, m.commitLSN))
		}
		return t.committed(ctx, s, at)
	}
	return nil
}

// held tells the position that the slot must stay.
func (t *task) held() {
	t.pos.hold, t.dirty = t.dec.pieces.hold(), true
}

// committed begins to emit a transaction whose messages are all there. s is nil
// for one that did nothing.
func (t *task) committed(ctx context.Context, s *spool, at lsn) error {
	d := &t.dec
	end := message{kind: msgCommit, commitLSN: d.msg.commitLSN, endLSN: d.msg.endLSN, time: d.msg.time, xid: d.msg.xid}
	if s == nil {
		d.msg.commitLSN, d.msg.endLSN, d.msg.time, d.msg.xid = end.commitLSN, end.endLSN, end.time, end.xid
		if err := t.beginTx(at); err != nil {
			return err
		}
		return t.commitTx(ctx)
	}
	r, err := s.replay(end)
	if err != nil {
		d.pieces.drop(s)
		return fmt.Errorf("read a transaction that was held until it committed: %w", err)
	}
	d.pieces.replay = r
	d.msg.commitLSN, d.msg.time, d.msg.xid = end.commitLSN, end.time, end.xid
	return t.beginTx(s.first)
}

// replayed handles the next message of a transaction that is being emitted.
func (t *task) replayed(ctx context.Context) error {
	d := &t.dec
	r := d.pieces.replay
	at, payload, err := r.next()
	if err != nil {
		return fmt.Errorf("read a transaction that was held until it committed: %w", err)
	}
	if payload == nil {
		d.pieces.replay = nil
		d.pieces.drop(r.spool)
		t.pos.hold = d.pieces.hold()
		d.msg.kind, d.msg.endLSN, d.msg.time = msgCommit, r.end.endLSN, r.end.time
		return t.commitTx(ctx)
	}
	if err := d.msg.decode(payload, r.spool.streamed); err != nil {
		return sdk.Fatal(err)
	}
	if r.spool.undone[d.msg.changeXID] && d.msg.kind != msgRelation && d.msg.kind != msgType {
		return nil // rolled back to a savepoint
	}
	return t.handle(ctx, at)
}
