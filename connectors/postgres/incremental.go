package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/millrace/millrace/plugins/sdk"
)

// incremental reads tables chunk by chunk while their changes stream, in the
// order of a key. It needs no marks in the stream: a chunk is read in a snapshot
// after the stream has passed all that an earlier snapshot sees, the low one. Of
// its rows, those written since the low one are left to the stream, which brings
// them; the others are handed over between two transactions of the stream, when
// all that were streamed are visible. See docs/design/postgres.md.
//
// It belongs to the goroutine that polls.
type incremental struct {
	t     *task
	state incrementalState
	stage windowStage

	chunk   *chunkReader // of the first table
	barrier uint64       // transactions before it must have ended
	low     dbMoment
	due     time.Time       // of the next look
	warned  bool            // that the barrier takes long
	tries   int             // in a row that failed for the form of the table
	seen    map[uint32]bool // transactions that were streamed and were not visible yet
}

// windowStage is what the next step waits for.
type windowStage uint8

const (
	stageIdle    windowStage = iota // a table
	stageBarrier                    // the end of transactions that are older than the reading
	stageStream                     // the stream to pass what the low snapshot sees
)

const (
	// lookEvery is how often transactions that are waited for are looked at.
	lookEvery = 200 * time.Millisecond
	// nudgeEvery is how often the server is made to write, when the stream
	// stands before the low snapshot.
	nudgeEvery = time.Second
	// barrierWarning is when waiting for transactions is worth a warning.
	barrierWarning = 30 * time.Second
	// formTries bounds how often in a row a table is found changed.
	formTries = 5
)

// active reports whether there is something to read now.
func (i *incremental) active() bool { return len(i.state.Tables) > 0 && !i.state.Paused }

// ready reports whether the next step could do something, so that decoding is
// to stop at the end of a transaction.
func (i *incremental) ready() bool { return i.active() && i.patience() <= 0 }

// patience is how long the stream may be waited for.
func (i *incremental) patience() time.Duration {
	switch {
	case !i.active():
		return time.Hour
	case i.stage == stageStream && i.t.pos.commit >= i.low.at, i.stage == stageIdle:
		return min(time.Until(i.due), lookEvery)
	}
	return time.Until(i.due)
}

// streamed notes a transaction that was handed over.
func (i *incremental) streamed(xid uint32) {
	if i.active() {
		i.seen[xid] = true
	}
}

// step does what can be done between two transactions of the stream. It may
// append rows to the batch, with the position after them.
func (i *incremental) step(ctx context.Context) error {
	if !i.ready() {
		return nil
	}
	err := i.next(ctx)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errStale), errors.Is(err, errLabel), sqlState(err) == codeNoColumn, sqlState(err) == codeNoTable:
		// The table is another one than when it was looked at.
		if i.tries++; i.tries < formTries {
			i.chunk, i.stage = nil, stageIdle
			i.t.log.Warn("table changed its form during its snapshot", "table", i.state.Tables[0].ID, "err", err)
			return i.t.cat.loadTypes(ctx)
		}
		i.t.log.Error("table is left out of the incremental snapshot", "table", i.state.Tables[0].ID, "err", err)
		return i.finishTable("SQL_EXCEPTION")
	}
	return fmt.Errorf("incremental snapshot of %s: %w", i.state.Tables[0].ID, err)
}

func (i *incremental) next(ctx context.Context) error {
	switch i.stage {
	case stageIdle:
		return i.open(ctx)
	case stageBarrier:
		return i.pass(ctx)
	}
	if i.t.pos.commit < i.low.at {
		return i.nudge(ctx)
	}
	return i.read(ctx)
}

// open looks at the first table and begins its window.
func (i *incremental) open(ctx context.Context) error {
	tab := i.state.Tables[0]
	c, status, err := i.t.openChunks(ctx, tab, &i.state)
	if err != nil {
		return err
	}
	if status != "" {
		return i.finishTable(status)
	}
	now, err := readMoment(ctx, i.t.conn)
	if err != nil {
		return err
	}
	i.chunk, i.barrier, i.stage = c, now.seen.max, stageBarrier
	i.warned, i.due = false, time.Now()
	i.seen = map[uint32]bool{}
	return i.pass(ctx)
}

// pass waits until no transaction is left that began before the reading did.
// One that did may have changed the table before it was published, or be in
// the stream already while others do not see it yet.
func (i *incremental) pass(ctx context.Context) error {
	now, err := readMoment(ctx, i.t.conn)
	if err != nil {
		return err
	}
	if now.seen.min < i.barrier {
		if since := time.Since(i.chunk.began); since > barrierWarning && !i.warned {
			i.warned = true
			i.t.log.Warn("an incremental snapshot waits for transactions that began before it", "table", i.state.Tables[0].ID, "xid", now.seen.min, "took", since)
		}
		i.due = time.Now().Add(lookEvery)
		return nil
	}
	i.low, i.stage = now, stageStream
	return i.nudge(ctx)
}

// nudge has the server write, and send, up to the low snapshot: what is visible
// may be written to disk only later.
func (i *incremental) nudge(ctx context.Context) error {
	i.due = time.Now().Add(nudgeEvery)
	if i.t.cfg.readOnly {
		return nil
	}
	_, err := query(ctx, i.t.conn, "SELECT CASE WHEN NOT pg_is_in_recovery() THEN pg_logical_emit_message(true, '"+ownPrefix+"', '') END")
	if err != nil {
		return fmt.Errorf("write a logical message: %w", err)
	}
	return nil
}

// read reads a chunk and appends what of it is not the stream's.
func (i *incremental) read(ctx context.Context) error {
	t := i.t
	c, now, err := i.chunk.read(ctx, &i.state, i.low, i.visible)
	if errors.Is(err, errNotVisible) {
		i.due = time.Now().Add(5 * time.Millisecond)
		return nil
	}
	if err != nil {
		return err
	}
	mark := len(t.em.batch.Records)
	t.em.tick()
	o := origin{time: time.Now().UnixMicro(), snapshot: "incremental", lastCommit: t.dec.lastCommit}
	for _, row := range c.rows {
		if err := t.em.change(i.chunk.tab, &o, 'r', 0, nil, row); err != nil {
			t.em.batch.Records = t.em.batch.Records[:mark] // the chunk is read again
			return err
		}
	}
	i.tries = 0
	i.state.Rows += int64(len(c.rows))
	i.low, i.due = now, time.Now()
	t.pos.mend = max(t.pos.mend, now.at)
	if c.last != nil {
		i.state.Last = c.last
	}
	if c.last == nil || slices.Equal(c.last, i.state.Max) {
		return i.finishTable("SUCCEEDED")
	}
	done := -1.0
	if i.chunk.estimate > 0 {
		done = float64(i.state.Rows) / float64(i.chunk.estimate)
	}
	t.atWork("incremental snapshot of "+i.state.Tables[0].ID, i.state.Rows, done)
	if err := t.notes.inProgress(&i.state); err != nil {
		return err
	}
	i.save()
	return nil
}

// visible reports whether a snapshot sees all that was streamed.
func (i *incremental) visible(v *visibility) bool {
	all := true
	for xid := range i.seen {
		if v.sees(xid) {
			delete(i.seen, xid)
		} else {
			all = false
		}
	}
	return all
}

// finishTable goes on to the next table.
func (i *incremental) finishTable(status string) error {
	t, tab := i.t, i.state.Tables[0]
	if status == "NO_PRIMARY_KEY" {
		t.log.Warn("a table without a key or surrogate-key cannot be read by an incremental snapshot", "table", tab.ID)
	}
	if err := t.notes.scanned(&i.state, status); err != nil {
		return err
	}
	i.state.Tables = i.state.Tables[1:]
	i.rewind()
	if len(i.state.Tables) == 0 {
		if err := t.notes.incremental("COMPLETED", &i.state, nil); err != nil {
			return err
		}
		t.log.Info("incremental snapshot is complete", "took", time.Since(i.state.began))
	}
	i.save()
	return nil
}

// rewind forgets how far the first table was read.
func (i *incremental) rewind() {
	i.chunk, i.stage, i.tries, i.due = nil, stageIdle, 0, time.Time{}
	i.t.rested()
	i.state.Last, i.state.Max, i.state.Rows = nil, nil, 0
}

// save puts the state into the position, which is handed over with the records
// so far.
func (i *incremental) save() {
	i.t.pos.setIncremental(&i.state)
	i.t.dirty = true
}

// add puts tables to read behind those that are waiting.
func (i *incremental) add(tables []incrementalTable, correlation string) error {
	if len(i.state.Tables) == 0 {
		i.state = incrementalState{began: time.Now()}
		i.rewind()
	}
	for _, n := range tables {
		if !slices.ContainsFunc(i.state.Tables, n.equal) {
			i.state.Tables = append(i.state.Tables, n)
		}
	}
	i.state.Correlation = correlation
	i.save()
	return i.t.notes.incremental("STARTED", &i.state, tables)
}

// stop drops the tables that match, or all.
func (i *incremental) stop(matches func(string) bool) error {
	if len(i.state.Tables) == 0 {
		return nil
	}
	first := i.state.Tables[0]
	var stopped []incrementalTable
	i.state.Tables = slices.DeleteFunc(slices.Clone(i.state.Tables), func(t incrementalTable) bool {
		if !matches(t.ID) {
			return false
		}
		stopped = append(stopped, t)
		return true
	})
	if len(i.state.Tables) == 0 || !first.equal(i.state.Tables[0]) {
		i.rewind()
	}
	i.save()
	return i.t.notes.incremental("ABORTED", &i.state, stopped)
}

// pause stops reading until it is undone.
func (i *incremental) pause(paused bool) error {
	if len(i.state.Tables) == 0 || i.state.Paused == paused {
		return nil
	}
	i.state.Paused, i.stage, i.chunk = paused, stageIdle, nil
	i.t.rested()
	i.save()
	if paused {
		return i.t.notes.incremental("PAUSED", &i.state, i.state.Tables)
	}
	return i.t.notes.incremental("RESUMED", &i.state, i.state.Tables)
}

// recovered is the state as a position has it.
func (t *task) recoverIncremental() error {
	state, err := t.pos.incremental()
	if err != nil {
		return sdk.Fatal(fmt.Errorf("stored offset: %w", err))
	}
	t.inc = &incremental{t: t, state: state}
	return nil
}
