package postgres

import (
	"context"
	"fmt"
	"time"
)

// mend fills in the values that an update left unchanged and that its readers
// may never have had: all of them if millrace.toast says so; else those of rows
// that were to be read when a snapshot was cut off, and were changed before it
// went on. What such a row has now is what it had then, or what an update still
// to come sets. One that is gone keeps its placeholders.
func (t *task) mend(ctx context.Context, tab *table, before, after []value) error {
	if len(tab.key) == 0 || len(after) != len(tab.columns) {
		return nil
	}
	var want []int
	for i := range after {
		known := i < len(before) && before[i].kind == valueText
		if after[i].kind == valueUnchanged && tab.columns[i].included && !known {
			want = append(want, i)
		}
	}
	sql, args := rowSQL(tab, want, tab.key, after)
	if sql == "" {
		return nil
	}
	rows, err := t.rowNow(ctx, sql, args)
	switch {
	case sqlState(err) == codeNoTable || sqlState(err) == codeNoColumn:
		return nil // dropped since
	case err != nil:
		return fmt.Errorf("read unchanged values of %s again: %w", tab.id, err)
	case len(rows) != 1:
		return nil
	}
	for n, i := range want {
		if rows[0][n] == nil {
			after[i] = value{kind: valueNull}
		} else {
			after[i] = value{valueText, rows[0][n]}
		}
	}
	return nil
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
