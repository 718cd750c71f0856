package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// snapshotter reads whole tables, one after the other, in one transaction. Its
// goroutine copies rows from the server into a few buffers; the goroutine that
// polls takes them.
type snapshotter struct {
	conn   *pgconn.PgConn
	chunks chan copyChunk // closed at the end
	err    error          // why chunks was closed; read after that
	cancel context.CancelFunc
	origin origin

	chunk copyChunk // what is left of the one at hand
	held  heldRow
	seen  *table // of the row before the one at hand
	tuple []value
	plain []byte // unescaped values of one row
}

// copyChunk is a run of whole lines of one table's COPY.
type copyChunk struct {
	table *table
	lines []byte
}

// heldRow is the row before the one at hand: whether it is the last of its
// table is known only then.
type heldRow struct {
	table *table
	line  []byte
	first bool // of its table
	start bool // of the snapshot
}

// snapshotPlan is what a snapshot reads.
type snapshotPlan struct {
	table *table
	sql   string
}

// startSnapshot starts reading in the transaction that conn is in. The
// snapshotter owns the connection.
func startSnapshot(conn *pgconn.PgConn, plans []snapshotPlan, o origin) *snapshotter {
	ctx, cancel := context.WithCancel(context.Background())
	s := &snapshotter{conn: conn, chunks: make(chan copyChunk, 2), cancel: cancel, origin: o}
	go func() {
		defer close(s.chunks)
		for _, p := range plans {
			w := &copyWriter{ctx: ctx, table: p.table, to: s.chunks}
			if _, err := conn.CopyTo(ctx, w, p.sql); err != nil {
				s.err = fmt.Errorf("read table %s.%s: %w", p.table.relation.schema, p.table.name, err)
				return
			}
			if s.err = w.flush(len(w.buf)); s.err != nil {
				return
			}
		}
	}()
	return s
}

// close ends the transaction and waits for the goroutine.
func (s *snapshotter) close() {
	s.cancel()
	for range s.chunks { // until the goroutine has closed it
	}
	closeConn(s.conn)
}

// copyWriter collects lines into chunks.
type copyWriter struct {
	ctx   context.Context
	table *table
	to    chan<- copyChunk
	buf   []byte
}

// Write takes a piece of COPY's output.
func (w *copyWriter) Write(b []byte) (int, error) {
	w.buf = append(w.buf, b...)
	if len(w.buf) >= readSize {
		if i := bytes.LastIndexByte(w.buf, '\n'); i >= 0 {
			return len(b), w.flush(i + 1)
		}
		if len(w.buf) > maxFrame {
			return 0, fmt.Errorf("a row has more than %d bytes: leave large columns out with column.exclude.list", maxFrame)
		}
	}
	return len(b), nil
}

func (w *copyWriter) flush(n int) error {
	if n == 0 {
		return nil
	}
	rest := append(make([]byte, 0, readSize+readSize/4), w.buf[n:]...)
	select {
	case w.to <- copyChunk{w.table, w.buf[:n]}:
		w.buf = rest
		return nil
	case <-w.ctx.Done():
		return context.Cause(w.ctx)
	}
}

// errSnapshotDone says that all rows were taken.
var errSnapshotDone = errors.New("the snapshot is complete")

// fill appends records until the batch is full or there is nothing just now.
func (s *snapshotter) fill(ctx context.Context, e *emitter) error {
	for !e.full() {
		if len(s.chunk.lines) == 0 {
			more, err := s.next(ctx, e, len(e.batch.Records) == 0)
			if err != nil || !more {
				return err
			}
			continue
		}
		i := bytes.IndexByte(s.chunk.lines, '\n')
		if i < 0 {
			return errors.New("a COPY line has no end")
		}
		line := s.chunk.lines[:i]
		if err := s.release(e, s.chunk.table); err != nil {
			return err
		}
		s.held.start = s.seen == nil
		s.held.first = s.seen != s.chunk.table
		s.held.table, s.held.line = s.chunk.table, append(s.held.line[:0], line...)
		s.seen = s.chunk.table
		s.chunk.lines = s.chunk.lines[i+1:]
	}
	return nil
}

// next takes a chunk, and waits for one if that is wanted.
func (s *snapshotter) next(ctx context.Context, e *emitter, wait bool) (more bool, err error) {
	var ok bool
	if !wait {
		select {
		case s.chunk, ok = <-s.chunks:
		default:
			return false, nil
		}
	} else {
		select {
		case s.chunk, ok = <-s.chunks:
		case <-ctx.Done():
			return false, context.Cause(ctx)
		}
	}
	switch {
	case ok:
		return true, nil
	case s.err != nil:
		return false, s.err
	}
	if err := s.release(e, nil); err != nil {
		return false, err
	}
	return false, errSnapshotDone
}

// release emits the held row, which a row of next follows, or nothing.
func (s *snapshotter) release(e *emitter, next *table) error {
	h := &s.held
	if h.table == nil {
		return nil
	}
	o := s.origin
	o.time = time.Now().UnixMicro()
	switch {
	case next == nil:
		o.snapshot = "last"
	case h.start:
		o.snapshot = "first"
	case next != h.table:
		o.snapshot = "last_in_data_collection"
	case h.first:
		o.snapshot = "first_in_data_collection"
	default:
		o.snapshot = "true"
	}
	var err error
	if s.tuple, s.plain, err = splitCopyLine(h.line, s.tuple[:0], s.plain[:0]); err != nil {
		return err
	}
	t := h.table
	h.table = nil
	return e.change(t, &o, 'r', 0, nil, s.tuple)
}

// splitCopyLine cuts a line of COPY's text form into values. Those with
// escapes are unescaped into plain.
func splitCopyLine(line []byte, tuple []value, plain []byte) ([]value, []byte, error) {
	plain = slices.Grow(plain, len(line)) // so that values stay where they are
	for {
		field, rest, more := line, []byte(nil), false
		if i := bytes.IndexByte(line, '\t'); i >= 0 {
			field, rest, more = line[:i], line[i+1:], true
		}
		switch {
		case string(field) == `\N`:
			tuple = append(tuple, value{kind: valueNull})
		case bytes.IndexByte(field, '\\') < 0:
			tuple = append(tuple, value{valueText, field})
		default:
			start := len(plain)
			var ok bool
			if plain, ok = unescapeCopy(plain, field); !ok {
				return tuple, plain, errors.New("an escape of a COPY line is not complete")
			}
			tuple = append(tuple, value{valueText, plain[start:len(plain):len(plain)]})
		}
		if !more {
			return tuple, plain, nil
		}
		line = rest
	}
}

func unescapeCopy(dst, b []byte) ([]byte, bool) {
	for i := 0; i < len(b); i++ {
		if b[i] != '\\' {
			dst = append(dst, b[i])
			continue
		}
		if i++; i == len(b) {
			return dst, false
		}
		switch b[i] {
		case 'b':
			dst = append(dst, '\b')
		case 'f':
			dst = append(dst, '\f')
		case 'n':
			dst = append(dst, '\n')
		case 'r':
			dst = append(dst, '\r')
		case 't':
			dst = append(dst, '\t')
		case 'v':
			dst = append(dst, '\v')
		default:
			dst = append(dst, b[i])
		}
	}
	return dst, true
}

// copySQL reads a table's columns in the order of its relation. Columns that
// no event carries are not read.
func copySQL(c *config, t *table, known *catalogTable) string {
	cols := make([]string, len(t.columns))
	for i, col := range t.columns {
		cols[i] = "NULL"
		if col.included || slices.Contains(t.key, i) {
			cols[i] = quoteName(col.name)
		}
	}
	from := "ONLY " + quoteName(t.relation.schema, t.name)
	if known.kind == 'p' {
		from = quoteName(t.relation.schema, t.name)
	}
	if sql, ok := c.overrides[t.relation.schema+"."+t.name]; ok {
		from = "(" + sql + ") AS t"
	}
	return "COPY (SELECT " + strings.Join(cols, ", ") + " FROM " + from + ") TO STDOUT"
}

// visibility is a snapshot of transactions, as pg_current_snapshot writes it.
type visibility struct {
	min, max uint64
	running  []uint64
}

func parseVisibility(text string) (visibility, error) {
	parts := strings.Split(text, ":")
	bad := fmt.Errorf("%.60q is not a snapshot of transactions", text)
	if len(parts) != 3 {
		return visibility{}, bad
	}
	var v visibility
	var err, err2 error
	v.min, err = strconv.ParseUint(parts[0], 10, 64)
	v.max, err2 = strconv.ParseUint(parts[1], 10, 64)
	if err != nil || err2 != nil {
		return visibility{}, bad
	}
	for x := range strings.SplitSeq(parts[2], ",") {
		if x == "" {
			continue
		}
		n, err := strconv.ParseUint(x, 10, 64)
		if err != nil {
			return visibility{}, bad
		}
		v.running = append(v.running, n)
	}
	return v, nil
}

// sees reports whether the snapshot shows what a transaction did. The stream
// has the lower half of the id alone; the nearest one is meant.
func (v *visibility) sees(xid uint32) bool {
	x := v.max&^0xffffffff | uint64(xid)
	switch {
	case x > v.max+1<<31 && x >= 1<<32:
		x -= 1 << 32
	case x+1<<31 < v.max:
		x += 1 << 32
	}
	return x < v.min || x < v.max && !slices.Contains(v.running, x)
}
