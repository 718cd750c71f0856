package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// mend fills in values that an update left unchanged and that no event before
// it had: its row was to be read when a snapshot was cut off, and was changed
// before the snapshot went on. What the row has now is what it had then, or
// what an update still to come sets.
func (t *task) mend(ctx context.Context, tab *table, before, after []value) ([]value, error) {
	var cols []int
	for i := range after {
		if after[i].kind == valueUnchanged && tab.columns[i].included && (len(before) <= i || before[i].kind != valueText) {
			cols = append(cols, i)
		}
	}
	if len(cols) == 0 || len(tab.key) == 0 || len(after) != len(tab.columns) {
		return after, nil
	}
	var where, args []string
	for _, i := range tab.key {
		if after[i].kind != valueText {
			return after, nil
		}
		args = append(args, string(after[i].text))
		where = append(where, fmt.Sprintf("%s = $%d", quoteName(tab.columns[i].name), len(args)))
	}
	names := make([]string, len(cols))
	for n, i := range cols {
		names[n] = quoteName(tab.columns[i].name)
	}
	rows, err := t.rowNow(ctx, "SELECT "+strings.Join(names, ", ")+" FROM "+quoteName(tab.relation.schema, tab.name)+
		" WHERE "+strings.Join(where, " AND ")+" LIMIT 1", args)
	if err != nil {
		return nil, fmt.Errorf("values of %s.%s that an update left unchanged: %w", tab.relation.schema, tab.name, err)
	}
	if len(rows) == 0 {
		return after, nil
	}
	after = slices.Clone(after)
	for n, i := range cols {
		if after[i] = (value{kind: valueNull}); rows[0][n] != nil {
			after[i] = value{valueText, rows[0][n]}
		}
	}
	return after, nil
}

// notVisible is the pause before a transaction is looked for again that was
// streamed and that others do not see yet.
const notVisible = 2 * time.Millisecond

// rowNow reads a row that the transaction at hand has changed. If there is none
// although the transaction is visible, the row is gone, or has another key by a
// change that is still to come: then what comes until now is to be mended, too.
func (t *task) rowNow(ctx context.Context, sql string, args []string) ([][][]byte, error) {
	rows, err := query(ctx, t.conn, sql, args...)
	for err == nil && len(rows) == 0 {
		var now dbMoment
		if now, err = readMoment(ctx, t.conn); err != nil {
			break
		}
		if !now.seen.sees(t.dec.origin.xid) {
			err = wait(ctx, notVisible)
			continue
		}
		if rows, err = query(ctx, t.conn, sql, args...); err == nil && len(rows) == 0 {
			t.pos.mend = max(t.pos.mend, now.at)
			break
		}
	}
	return rows, err
}
