package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"
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
	rows, err := query(ctx, t.conn, "SELECT "+strings.Join(names, ", ")+" FROM "+quoteName(tab.relation.schema, tab.name)+
		" WHERE "+strings.Join(where, " AND ")+" LIMIT 1", args...)
	if err != nil {
		return nil, fmt.Errorf("values of %s.%s that an update left unchanged: %w", tab.relation.schema, tab.name, err)
	}
	if len(rows) == 0 {
		// It is gone, or has another key by a change that is still to come.
		now, err := readMoment(ctx, t.conn)
		t.pos.mend = max(t.pos.mend, now.at)
		return after, err
	}
	after = slices.Clone(after)
	for n, i := range cols {
		if after[i] = (value{kind: valueNull}); rows[0][n] != nil {
			after[i] = value{valueText, rows[0][n]}
		}
	}
	return after, nil
}
