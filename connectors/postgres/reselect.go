package postgres

import (
	"context"
	"fmt"
	"strings"
)

// mend fills in the values that an update left unchanged and that its readers
// may never have had: all of them if millrace.toast says so; else those of rows
// that were to be read when a snapshot was cut off, and were changed before it
// went on. What such a row has now is what it had then, or what an update still
// to come sets. One that is gone keeps its placeholders, or has another key by a
// change still to come, whose updates must be mended as well.
func (t *task) mend(ctx context.Context, tab *table, before, after []value) error {
	found, err := t.reselect(ctx, tab, before, after)
	if err != nil || found || t.pos.mend == 0 && !t.inc.active() {
		return err
	}
	now, err := readMoment(ctx, t.conn)
	t.pos.mend = max(t.pos.mend, now.at)
	return err
}

// reselect reads the values that the server did not send from the table, by the
// row's key. They are as of now, which may be later than the change. It reports
// false if the row is gone.
func (t *task) reselect(ctx context.Context, tab *table, before, after []value) (found bool, err error) {
	if len(tab.key) == 0 || len(after) != len(tab.columns) {
		return true, nil
	}
	var want []int
	for i := range after {
		known := i < len(before) && before[i].kind == valueText
		if after[i].kind == valueUnchanged && tab.columns[i].included && !known {
			want = append(want, i)
		}
	}
	if len(want) == 0 {
		return true, nil
	}
	columns := make([]string, len(want))
	for n, i := range want {
		columns[n] = quoteName(tab.columns[i].name)
	}
	conditions, args := make([]string, len(tab.key)), make([]string, len(tab.key))
	for n, i := range tab.key {
		if after[i].kind != valueText {
			return true, nil
		}
		conditions[n] = fmt.Sprintf("%s = $%d", quoteName(tab.columns[i].name), n+1)
		args[n] = string(after[i].text)
	}
	sql := "SELECT " + strings.Join(columns, ", ") + " FROM " + quoteName(tab.relation.schema, tab.name) + " WHERE " + strings.Join(conditions, " AND ")
	rows, err := query(ctx, t.conn, sql, args...)
	switch {
	case sqlState(err) == codeNoTable || sqlState(err) == codeNoColumn:
		return false, nil // dropped since
	case err != nil:
		return false, fmt.Errorf("read unchanged values of %s again: %w", tab.id, err)
	case len(rows) != 1:
		return false, nil
	}
	for n, i := range want {
		if rows[0][n] == nil {
			after[i] = value{kind: valueNull}
		} else {
			after[i] = value{valueText, rows[0][n]}
		}
	}
	return true, nil
}
