package postgres

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/millrace/millrace/plugins/data"
	"github.com/millrace/millrace/plugins/sdk"
)

// valueBinary is the kind of a value in the binary form of COPY.
const valueBinary = 'b'

// piece is a run of rows of one job on its way from a worker to the goroutine
// that polls: records made already, and the rows whose mark depends on what
// others have read, as they came.
type piece struct {
	job   *readJob
	first []byte // the first row of the job; nil when it is in last, or in an earlier piece
	room  *room  // nil for no records
	from  chan *room
	upTo  tid    // the place of the row before last, none for no row
	last  []byte // the last row of the job
	ends  bool   // the job
}

// room is memory for the records of a piece.
type room struct {
	em    emitter
	batch data.Batch
}

// reader is a worker of a snapshot: it reads one job after the other over a
// connection of its own, and turns rows into records.
type reader struct {
	s     *snapshotter
	conn  *pgconn.PgConn
	rooms chan *room // to fill
	tabs  map[*tablePlan]*table
	tuple []value
	at    origin // of the row at hand

	job     *readJob
	tab     *table
	buf     []byte // the beginning of a row, or of the header
	headed  bool   // the header was passed
	ended   bool   // the trailer was
	room    *room
	first   []byte // the first row of the job, until it is sent
	passed  bool   // the first row was released
	begun   bool   // there was a row
	held    []byte // the row before the one at hand
	heldTID tid
	upTo    tid // of the last row in room or first
}

// roomsPerReader lets a worker fill one while another is on its way.
const roomsPerReader = 3

func (s *snapshotter) newReader(conn *pgconn.PgConn) *reader {
	r := &reader{s: s, conn: conn, rooms: make(chan *room, roomsPerReader), tabs: map[*tablePlan]*table{}}
	for range roomsPerReader {
		r.rooms <- &room{em: emitter{cfg: s.cfg, log: s.log, limit: s.limit}}
	}
	return r
}

// run reads jobs until there are none left.
func (r *reader) run(ctx context.Context) error {
	for {
		job := r.s.nextJob()
		if job == nil {
			return nil
		}
		if err := r.read(ctx, job); err != nil {
			return changedForm(fmt.Errorf("read table %s: %w", job.unit.plan.name(), err), r.s.cfg)
		}
	}
}

// changedForm says of an error that comes of a change of the table while it is
// read that it will pass: what is left is read with the catalog as it is then.
func changedForm(err error, c *config) error {
	if errors.Is(err, errStale) || errors.Is(err, errLabel) {
		return sdk.Retry(fmt.Errorf("the table changed its form during the snapshot: %w", err), c.restartWait)
	}
	return err
}

func (r *reader) read(ctx context.Context, job *readJob) error {
	if err := r.hold(ctx, job.unit); err != nil {
		return err
	}
	plan := job.unit.plan
	tab := r.tabs[plan]
	if tab == nil {
		var err error
		if tab, err = plan.compile(&r.s.types); err != nil {
			return err
		}
		r.tabs[plan] = tab
	}
	*r = reader{s: r.s, conn: r.conn, rooms: r.rooms, tabs: r.tabs, tuple: r.tuple, job: job, tab: tab, buf: r.buf[:0], held: r.held[:0]}
	w := copyWriter{ctx, r}
	if _, err := r.conn.CopyTo(ctx, w, job.sql(r.s.unchanged)); err != nil {
		return err
	}
	if !r.ended {
		return errBinary
	}
	p := piece{job: job, ends: true}
	if r.begun {
		p.last = bytes.Clone(r.held)
	}
	return r.send(ctx, p)
}

// copyWriter takes COPY's output.
type copyWriter struct {
	ctx context.Context
	r   *reader
}

// Write takes a piece of the output, which may begin and end anywhere.
func (w copyWriter) Write(b []byte) (int, error) {
	r, n := w.r, len(b)
	if r.room != nil {
		r.room.em.tick()
	}
	if len(r.buf) > 0 {
		r.buf = append(r.buf, b...)
		b = r.buf
	}
	for {
		used, err := r.take(w.ctx, b)
		if err != nil {
			return 0, err
		}
		if used == 0 {
			break
		}
		b = b[used:]
	}
	if len(b) > maxFrame {
		return 0, sdk.Fatal(fmt.Errorf("a row has more than %d bytes: leave large columns out with column.exclude.list", maxFrame))
	}
	r.buf = append(r.buf[:0], b...)
	return n, nil
}

// copyHeader begins the binary form, before flags and the length of an
// extension.
const copyHeader = "PGCOPY\n\xff\r\n\x00"

// take takes the header, a row or the trailer off b. It returns how many bytes
// that was, 0 when b has no whole one.
func (r *reader) take(ctx context.Context, b []byte) (int, error) {
	switch {
	case r.ended && len(b) > 0:
		return 0, errBinary
	case !r.headed:
		n := len(copyHeader)
		if len(b) < n+8 {
			return 0, nil
		}
		more := binary.BigEndian.Uint32(b[n+4:])
		if string(b[:n]) != copyHeader || binary.BigEndian.Uint32(b[n:]) != 0 || more != 0 {
			return 0, errBinary
		}
		r.headed = true
		return n + 8, nil
	case len(b) < 2:
		return 0, nil
	case binary.BigEndian.Uint16(b) == 0xffff:
		r.ended = true
		return 2, nil
	}
	end := 2
	for range binary.BigEndian.Uint16(b) {
		if len(b) < end+4 {
			return 0, nil
		}
		if n := int32(binary.BigEndian.Uint32(b[end:])); n > 0 {
			if n > maxFrame {
				return 0, sdk.Fatal(fmt.Errorf("a value has more than %d bytes: leave large columns out with column.exclude.list", maxFrame))
			}
			end += int(n)
		}
		end += 4
	}
	if len(b) < end {
		return 0, nil
	}
	return end, r.row(ctx, b[:end])
}

// tidBytes is the room of a row's place at its beginning.
const tidBytes = 4 + 6

// row takes one row. The row before it is known not to be the last then.
func (r *reader) row(ctx context.Context, b []byte) error {
	b = b[2:] // the number of fields, which the statement tells
	var at tid
	if !r.job.unit.whole {
		if len(b) < tidBytes || binary.BigEndian.Uint32(b) != 6 {
			return errBinary
		}
		at = tid{binary.BigEndian.Uint32(b[4:]), binary.BigEndian.Uint16(b[8:])}
		if b = b[tidBytes:]; !at.after(r.heldTID) {
			return fmt.Errorf("row %s after row %s: rows do not come in the order of their places", at, r.heldTID)
		}
	}
	if r.begun {
		if err := r.release(ctx); err != nil {
			return err
		}
	}
	r.begun, r.heldTID = true, at
	r.held = append(r.held[:0], b...)
	return nil
}

// release makes a record of the held row, or keeps it as the first.
func (r *reader) release(ctx context.Context) error {
	if !r.passed {
		r.passed, r.first, r.upTo = true, bytes.Clone(r.held), r.heldTID
		return nil
	}
	if r.room == nil {
		select {
		case r.room = <-r.rooms:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		r.room.batch.Records = r.room.batch.Records[:0]
		r.room.em.begin(&r.room.batch)
	}
	var err error
	if r.tuple, err = splitCopyRow(r.held, r.tuple[:0]); err != nil {
		return err
	}
	r.at = r.s.origin("true", r.room.em.now)
	if err := r.room.em.change(r.tab, &r.at, 'r', 0, nil, r.tuple); err != nil {
		return err
	}
	r.upTo = r.heldTID
	if r.room.em.full() {
		return r.send(ctx, piece{job: r.job})
	}
	return nil
}

// splitCopyRow cuts the fields of a row.
func splitCopyRow(b []byte, tuple []value) ([]value, error) {
	for len(b) > 0 {
		if len(b) < 4 {
			return tuple, errBinary
		}
		n := int32(binary.BigEndian.Uint32(b))
		if b = b[4:]; n < 0 {
			tuple = append(tuple, value{kind: valueNull})
			continue
		}
		if int(n) > len(b) {
			return tuple, errBinary
		}
		tuple = append(tuple, value{valueBinary, b[:n:n]})
		b = b[n:]
	}
	return tuple, nil
}

// send hands over what there is of the job.
func (r *reader) send(ctx context.Context, p piece) error {
	p.first, p.room, p.from, p.upTo = r.first, r.room, r.rooms, r.upTo
	r.first, r.room = nil, nil
	select {
	case r.s.pieces <- p:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// hold keeps a unit's rows in their file, and makes sure that it is the one of
// the plan: a table that was rewritten has no rows for older transactions.
func (r *reader) hold(ctx context.Context, u *readUnit) error {
	if u.whole || !r.s.claim(u) {
		return nil
	}
	sql := "LOCK TABLE " + u.from + " IN ACCESS SHARE MODE; SELECT pg_relation_filenode(" + strconv.FormatUint(uint64(u.oid), 10) + ")"
	node, err := queryText(ctx, r.conn, sql)
	if err != nil {
		return err
	}
	if node != strconv.FormatUint(uint64(u.node), 10) {
		return sdk.Retry(errors.New("it was rewritten during the snapshot"), r.s.cfg.restartWait)
	}
	return nil
}
