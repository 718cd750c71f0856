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
)

// snapshotter reads tables in one snapshot of the database. Its readers each
// read ranges of blocks over a connection of their own and make the records;
// the goroutine that polls puts them in a row, marks the first and last, and
// keeps account of what was handed over.
type snapshotter struct {
	cfg       *config
	log       *slog.Logger
	notes     notifier
	names     string           // of all tables
	conns     []*pgconn.PgConn // all in the snapshot; the first one holds it
	unchanged string           // condition on rows
	at        origin
	limit     int        // bytes that end a piece
	pieces    chan piece // closed at the end
	cancel    context.CancelFunc
	running   sync.WaitGroup
	failed    atomic.Pointer[error] // why pieces was closed early

	mu      sync.Mutex // guards below
	jobs    []*readJob // not begun
	claimed map[*readUnit]bool

	// Of the goroutine that polls:
	types compiler
	tabs  map[*tablePlan]*table
	tuple []value
	begun bool
	held  heldRow
	lent  []lentRoom // whose records were handed over
	read  *readProgress
	stats snapshotStats
}

// heldRow is the last row of a job: whether it is the last of its table, or of
// all, is known only when the next one comes.
type heldRow struct {
	job *readJob // nil for none
	row []byte
}

type lentRoom struct {
	room *room
	to   chan *room
}

// snapshotStats says how far a snapshot is.
type snapshotStats struct {
	rows   int64  // handed over in this process
	blocks uint64 // of all tables
	passed uint64 // of them
	began  time.Time
}

// done is the share of blocks that were read.
func (s *snapshotStats) done() float64 {
	if s.blocks == 0 {
		return -1
	}
	return float64(s.passed) / float64(s.blocks)
}

// count adds up the blocks of tables, and those that were read before.
func (s *snapshotStats) count(plans []*tablePlan, left []*readJob) {
	for _, p := range plans {
		for _, u := range p.units {
			s.blocks += uint64(u.blocks)
		}
	}
	s.passed = s.blocks
	for _, j := range left {
		s.passed -= uint64(j.blocks() - min(j.passed, j.blocks()))
	}
}

// errSnapshotDone says that all rows were taken.
var errSnapshotDone = errors.New("the snapshot is complete")

// start starts one reader for each connection. The snapshotter owns them.
func (s *snapshotter) start() {
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	s.pieces = make(chan piece, len(s.conns))
	s.claimed = map[*readUnit]bool{}
	s.stats.began = time.Now()
	for _, conn := range s.conns {
		r := s.newReader(conn)
		s.running.Go(func() {
			if err := r.run(ctx); err != nil {
				s.failed.CompareAndSwap(nil, &err)
				cancel()
			}
		})
	}
	go func() {
		s.running.Wait()
		close(s.pieces)
	}()
}

// close ends the readers, waits for them, and ends their transactions.
func (s *snapshotter) close() {
	s.cancel()
	for range s.pieces { // until it is closed
	}
	for _, c := range s.conns {
		closeConn(c)
	}
}

func (s *snapshotter) nextJob() *readJob {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.jobs) == 0 {
		return nil
	}
	j := s.jobs[0]
	s.jobs = s.jobs[1:]
	return j
}

// claim reports whether the caller is the first that reads of a unit.
func (s *snapshotter) claim(u *readUnit) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	was := s.claimed[u]
	s.claimed[u] = true
	return !was
}

// origin is that of a row that is read now, in nanoseconds since 1970.
func (s *snapshotter) origin(mark string, now int64) origin {
	o := s.at
	o.time, o.snapshot = now/1000, mark
	return o
}

// fill appends records until the batch is full or there is nothing just now.
func (s *snapshotter) fill(ctx context.Context, e *emitter) error {
	for _, l := range s.lent {
		l.to <- l.room // has room for all there are
	}
	s.lent = s.lent[:0]
	for size := 0; size < e.limit && !e.full(); {
		p, ok, err := s.next(ctx, e)
		if err != nil || !ok {
			return err
		}
		if p.room != nil {
			size += len(p.room.em.arena)
		}
		if err := s.take(e, &p); err != nil {
			return err
		}
	}
	return nil
}

// next takes a piece, and waits for one if that is wanted.
func (s *snapshotter) next(ctx context.Context, e *emitter) (p piece, ok bool, err error) {
	open := true
	if len(e.batch.Records) > 0 {
		select {
		case p, open = <-s.pieces:
		default:
			return p, false, nil
		}
	} else {
		select {
		case p, open = <-s.pieces:
		case <-ctx.Done():
			return p, false, context.Cause(ctx)
		}
	}
	switch failed := s.failed.Load(); {
	case open:
		return p, true, nil
	case failed != nil:
		return p, false, *failed
	}
	if err := s.release(e, true); err != nil {
		return p, false, err
	}
	return p, false, errSnapshotDone
}

// take appends the records of a piece.
func (s *snapshotter) take(e *emitter, p *piece) error {
	u := p.job.unit
	if p.first != nil || p.room != nil || p.last != nil {
		if err := s.release(e, false); err != nil {
			return err
		}
	}
	if !u.plan.begun && (p.first != nil || p.last != nil) {
		if err := s.notes.initial("IN_PROGRESS", "data_collections", s.names, "current_collection_in_progress", u.plan.name()); err != nil {
			return err
		}
	}
	if p.first != nil {
		if err := s.row(e, p.job, p.first, s.mark(u.plan)); err != nil {
			return err
		}
	}
	if p.room != nil {
		e.batch.Records = append(e.batch.Records, p.room.batch.Records...)
		s.stats.rows += int64(len(p.room.batch.Records))
		u.plan.rows += int64(len(p.room.batch.Records))
		s.lent = append(s.lent, lentRoom{p.room, p.from})
	}
	s.read.handed(u, p.job.index, p.upTo)
	if at := p.upTo.block - min(p.upTo.block, uint32(p.job.index)*u.size); at > p.job.passed {
		s.stats.passed += uint64(at - p.job.passed)
		p.job.passed = at
	}
	switch {
	case !p.ends:
	case p.last != nil:
		s.held = heldRow{p.job, p.last}
		u.plan.left--
	default:
		u.plan.left--
		return s.finished(p.job)
	}
	return nil
}

// mark is that of the first row of a table.
func (s *snapshotter) mark(plan *tablePlan) string {
	begun, all := plan.begun, s.begun
	plan.begun, s.begun = true, true
	switch {
	case !all:
		return "first"
	case !begun:
		return "first_in_data_collection"
	}
	return "true"
}

// release appends the held row, after which another one comes or none.
func (s *snapshotter) release(e *emitter, end bool) error {
	h := s.held
	if h.job == nil {
		return nil
	}
	s.held = heldRow{}
	plan := h.job.unit.plan
	mark := s.mark(plan)
	switch {
	case end:
		mark = "last"
	case plan.left == 0 && mark != "first":
		mark = "last_in_data_collection"
	}
	if err := s.row(e, h.job, h.row, mark); err != nil {
		return err
	}
	return s.finished(h.job)
}

func (s *snapshotter) finished(j *readJob) error {
	s.read.finished(j.unit, j.index)
	s.stats.passed += uint64(j.blocks() - min(j.passed, j.blocks()))
	if plan := j.unit.plan; plan.left == 0 {
		return s.notes.initial("TABLE_SCAN_COMPLETED", "data_collections", s.names, "scanned_collection", plan.name(),
			"total_rows_scanned", strconv.FormatInt(plan.rows, 10), "status", "SUCCEEDED")
	}
	return nil
}

// row appends the record of a row.
func (s *snapshotter) row(e *emitter, j *readJob, row []byte, mark string) (err error) {
	plan := j.unit.plan
	tab := s.tabs[plan]
	if tab == nil {
		if tab, err = plan.compile(&s.types); err != nil {
			return err
		}
		s.tabs[plan] = tab
	}
	if s.tuple, err = splitCopyRow(row, s.tuple[:0]); err == nil {
		o := s.origin(mark, e.now)
		err = e.change(tab, &o, 'r', 0, nil, s.tuple)
	}
	if err != nil {
		return changedForm(fmt.Errorf("read table %s: %w", plan.name(), err), s.cfg)
	}
	s.stats.rows++
	plan.rows++
	return nil
}
