package jdbc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/millrace/millrace/plugins/sdk"
)

// line is a row in the texts that its table takes.
type line struct {
	op    byte
	to    []*target
	keys  int
	cells []cell
	id    string // the key
	shape string // of op and columns: lines of one shape go into one statement
}

// cell is the value of a column.
type cell struct {
	text   []byte
	null   bool
	absent bool // leaves the column as it is
}

// section is what a batch does to one table.
type section struct {
	table *table
	lines []line
}

// transact writes items and stores their offsets in one transaction.
func (t *task) transact(ctx context.Context, items []item) error {
	sections, err := t.sections(ctx, items)
	if err != nil {
		return err
	}
	if len(sections) == 0 && !t.cfg.once {
		return nil
	}
	if err := exec(ctx, t.conn, "BEGIN"); err != nil {
		return classify(err)
	}
	if err := t.inTransaction(ctx, items, sections); err != nil {
		return t.rollback(ctx, classify(err))
	}
	if err := exec(ctx, t.conn, "COMMIT"); err != nil {
		return t.rollback(ctx, classify(err))
	}
	if t.cfg.once {
		for _, it := range items {
			t.progress[it.tp].next = it.next
		}
	}
	return nil
}

func (t *task) inTransaction(ctx context.Context, items []item, sections []*section) error {
	if t.cfg.once {
		next := sdk.Offsets{}
		for _, it := range items {
			next[it.tp] = it.next
		}
		if err := t.storeOffsets(ctx, next); err != nil {
			return err
		}
	}
	for _, s := range sections {
		for _, run := range t.cfg.runs(s.lines) {
			if err := t.writeRun(ctx, s.table, run); err != nil {
				return fmt.Errorf("write to table %s: %w", s.table.quoted, err)
			}
		}
	}
	return nil
}

// rollback ends a failed transaction. The catalog may be what has changed, so
// it is read again.
func (t *task) rollback(ctx context.Context, err error) error {
	stale := slices.Contains([]string{"42703", "42P01", "42704", "42804", "0A000"}, sqlState(err))
	if stale {
		clear(t.tables)
	}
	if t.conn.IsClosed() {
		return err
	}
	if e := exec(ctx, t.conn, "ROLLBACK"); e != nil {
		return errors.Join(err, classify(e))
	}
	if stale && (sqlState(err) == "42703" || sqlState(err) == "42P01") {
		return sdk.Retry(fmt.Errorf("the table was changed meanwhile: %w", err), 0)
	}
	return err
}

// sections divides rows by table, in the order in which the tables come, and
// turns them into lines.
func (t *task) sections(ctx context.Context, items []item) ([]*section, error) {
	var out []*section
	byName := map[string]*section{}
	var last *row // that lines were made of
	var s *section
	var to *fit
	for n := range items {
		it := &items[n]
		if it.row == nil {
			continue
		}
		if it.row.op == opDelete && t.cfg.create && len(it.row.plan.columns) > 0 {
			if gone, err := t.nothingToDelete(ctx, it.row); err != nil || gone {
				if err != nil {
					return nil, err
				}
				continue
			}
		}
		if r := it.row; last == nil || r.plan != last.plan || r.table != last.table || r.schema != last.schema {
			tb, fits, err := t.target(ctx, r)
			if err != nil {
				return nil, err
			}
			if s = byName[tb.quoted]; s == nil {
				s = &section{table: tb, lines: make([]line, 0, len(items)-n)}
				byName[tb.quoted] = s
				out = append(out, s)
			}
			last, to = r, fits
		}
		l, err := t.cfg.line(it.row, to)
		if err != nil {
			return nil, err
		}
		s.lines = append(s.lines, l)
	}
	return out, nil
}

// nothingToDelete reports whether the table of a row that deletes is still to
// be made, by a record that has columns.
func (t *task) nothingToDelete(ctx context.Context, r *row) (bool, error) {
	quoted := quoteTable(r.schema, r.table)
	if t.tables[quoted] != nil {
		return false, nil
	}
	tb, err := t.load(ctx, quoted)
	return tb == nil, classify(err)
}

// line turns the values of a row into texts.
func (c *config) line(r *row, f *fit) (line, error) {
	l := line{op: r.op}
	if r.op == opTruncate {
		l.shape = "t"
		return l, nil
	}
	l.to, l.keys, l.cells = f.to, r.plan.keys, r.cells
	if l.shape = f.write; r.op == opDelete {
		l.shape = f.erase
	}
	if r.cells == nil {
		if err := c.cells(r, &l); err != nil {
			return l, err
		}
	}
	if c.mode != "insert" { // who inserts compares no keys
		var id []byte
		for i := range l.keys {
			id = append(append(strconv.AppendInt(id, int64(len(l.cells[i].text)), 10), ':'), l.cells[i].text...)
		}
		l.id = string(id)
	}
	if slices.ContainsFunc(l.cells, func(c cell) bool { return c.absent }) {
		l.drop()
	}
	return l, nil
}

// cells turns values into the cells of a line.
func (c *config) cells(r *row, l *line) error {
	l.cells = make([]cell, len(r.values))
	for i, v := range r.values {
		switch {
		case v == nil:
			l.cells[i].null = true
		case i >= l.keys && isUnavailable(v):
			l.cells[i].absent = true
		default:
			text, err := c.text(r.plan.columns[i].schema, v, l.to[i].isJSON)
			if err != nil {
				return bad("field %s: %w", r.plan.columns[i].name, err)
			}
			l.cells[i].text = text
		}
	}
	return nil
}

// drop leaves the absent columns out and names the shape.
func (l *line) drop() {
	var to []*target
	var cells []cell
	for i, c := range l.cells {
		if !c.absent {
			to, cells = append(to, l.to[i]), append(cells, c)
		}
	}
	l.to, l.cells, l.shape = to, cells, shapeOf(l.op, to)
}

func shapeOf(op byte, to []*target) string {
	shape := []byte{op}
	for _, t := range to {
		shape = append(append(shape, 0), t.name...)
	}
	return string(shape)
}

// runs orders lines into statements. With plain inserts the order stays. Else
// the last write or delete of a key is what counts, deletes come first, and
// keys are in order, so that two tasks do not lock each other out.
func (c *config) runs(lines []line) [][]line {
	var out [][]line
	start := 0
	for i := range lines {
		if lines[i].op == opTruncate {
			out = append(out, c.between(lines[start:i])...)
			out, start = append(out, lines[i:i+1]), i+1
		}
	}
	return append(out, c.between(lines[start:])...)
}

func (c *config) between(lines []line) [][]line {
	if c.mode != "insert" {
		lines = last(lines)
		slices.SortStableFunc(lines, func(a, b line) int {
			if a.op != b.op {
				return strings.Compare(string(a.op), string(b.op)) // 'd' before 'w'
			}
			if n := strings.Compare(a.shape, b.shape); n != 0 {
				return n
			}
			return strings.Compare(a.id, b.id)
		})
	}
	var out [][]line
	for i := 0; i < len(lines); {
		n := i + 1
		for n < len(lines) && lines[n].shape == lines[i].shape {
			n++
		}
		out, i = append(out, lines[i:n]), n
	}
	return out
}

// last keeps of each key what its lines amount to: at most a delete, and a
// write after it.
func last(lines []line) []line {
	type place struct{ delete, write int } // in out, -1 for none
	at := make(map[string]place, len(lines))
	out := make([]line, 0, len(lines))
	dead := map[int]bool{}
	for _, l := range lines {
		p, again := at[l.id]
		if !again {
			p = place{-1, -1}
		}
		switch {
		case l.op == opWrite && p.write >= 0:
			if earlier := out[p.write]; l.shape != earlier.shape {
				l.take(earlier)
			}
			out[p.write] = l
			continue
		case l.op == opWrite:
			p.write = len(out)
		case p.write >= 0:
			dead[p.write], p.write = true, -1
			fallthrough
		default:
			if p.delete < 0 {
				p.delete = len(out)
			} else {
				l.op = 0 // the key is deleted already
			}
		}
		if at[l.id] = p; l.op != 0 {
			out = append(out, l)
		}
	}
	kept := out[:0]
	for i, l := range out {
		if !dead[i] {
			kept = append(kept, l)
		}
	}
	return kept
}

// take adds the columns that only an earlier line of the same key writes.
func (l *line) take(earlier line) {
	have := make(map[*target]bool, len(l.to))
	for _, t := range l.to {
		have[t] = true
	}
	l.to, l.cells = slices.Clone(l.to), slices.Clone(l.cells)
	for i, t := range earlier.to {
		if !have[t] {
			l.to, l.cells = append(l.to, t), append(l.cells, earlier.cells[i])
		}
	}
	l.drop()
}

// writeRun writes lines of one shape with one statement.
func (t *task) writeRun(ctx context.Context, tb *table, lines []line) error {
	l := &lines[0]
	switch {
	case l.op == opTruncate:
		return exec(ctx, t.conn, "TRUNCATE "+tb.quoted)
	case l.op == opWrite && t.cfg.mode == "insert":
		return t.copyIn(ctx, tb, lines)
	}
	sql := t.cfg.statement(tb.quoted, l)
	if sql == "" {
		return nil
	}
	columns := make([]textArray, len(l.to))
	for _, l := range lines {
		for i, c := range l.cells {
			columns[i].add(c.text, c.null)
		}
	}
	args := make([][]byte, len(columns))
	for i := range columns {
		args[i] = columns[i].bytes()
	}
	_, _, err := query(ctx, t.conn, sql, args...)
	return err
}

// copyIn inserts by COPY.
func (t *task) copyIn(ctx context.Context, tb *table, lines []line) error {
	size := 0
	for n := range lines {
		for i := range lines[n].cells {
			size += len(lines[n].cells[i].text) + 3
		}
	}
	b := slices.Grow(again(t.copied), size)
	for n := range lines {
		for i, c := range lines[n].cells {
			if i > 0 {
				b = append(b, '\t')
			}
			if c.null {
				b = append(b, `\N`...)
			} else {
				b = appendCopy(b, c.text)
			}
		}
		b = append(b, '\n')
	}
	t.copied = b
	_, err := t.conn.CopyFrom(ctx, bytes.NewReader(b), "COPY "+tb.quoted+" ("+strings.Join(quoted(lines[0].to), ", ")+") FROM STDIN")
	return err
}

func quoted(columns []*target) []string {
	out := make([]string, len(columns))
	for i, c := range columns {
		out[i] = quote(c.name)
	}
	return out
}

// statement writes rows that come as one array of texts for each column. The
// texts are cast to the columns' types without their lengths: a cast to
// varchar(3) would cut, where assigning fails.
func (c *config) statement(table string, l *line) string {
	params, fields, values := make([]string, len(l.to)), make([]string, len(l.to)), make([]string, len(l.to))
	overriding := ""
	for i, to := range l.to {
		params[i], fields[i] = fmt.Sprintf("$%d::text[]", i+1), fmt.Sprintf("c%d", i)
		values[i] = fmt.Sprintf("u.c%d::%s", i, to.cast)
		if to.identity {
			overriding = "OVERRIDING SYSTEM VALUE "
		}
	}
	from := "unnest(" + strings.Join(params, ", ") + ") AS u(" + strings.Join(fields, ", ") + ")"
	columns := quoted(l.to)
	match, set, excluded := make([]string, l.keys), []string(nil), []string(nil)
	for i, name := range columns {
		if i < l.keys {
			match[i] = "t." + name + " = " + values[i]
			continue
		}
		if l.to[i].identity {
			continue // the server lets it be given to a new row, never changed
		}
		set = append(set, name+" = "+values[i])
		excluded = append(excluded, name+" = excluded."+name)
	}
	switch {
	case l.op == opDelete:
		return "DELETE FROM " + table + " t USING " + from + " WHERE " + strings.Join(match, " AND ")
	case c.mode == "update" && len(set) == 0:
		return "" // a row of its key alone has nothing to change
	case c.mode == "update":
		return "UPDATE " + table + " t SET " + strings.Join(set, ", ") + " FROM " + from + " WHERE " + strings.Join(match, " AND ")
	}
	conflict := "DO NOTHING"
	if len(set) > 0 {
		conflict = "DO UPDATE SET " + strings.Join(excluded, ", ")
	}
	return "INSERT INTO " + table + " (" + strings.Join(columns, ", ") + ") " + overriding + "SELECT " + strings.Join(values, ", ") + " FROM " + from +
		" ON CONFLICT (" + strings.Join(columns[:l.keys], ", ") + ") " + conflict
}
