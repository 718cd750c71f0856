package postgres

import (
	"context"
	"fmt"
	"strings"
)

// reselect reads the values that an update left unchanged and the server did
// not send from the table, by the row's key. They are as of now, which may be
// later than the change; a row that is gone keeps its placeholders.
func (t *task) reselect(ctx context.Context, tab *table, before, after []value) error {
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
	if len(want) == 0 {
		return nil
	}
	columns := make([]string, len(want))
	for n, i := range want {
		columns[n] = quoteName(tab.columns[i].name)
	}
	conditions, args := make([]string, len(tab.key)), make([]string, len(tab.key))
	for n, i := range tab.key {
		if after[i].kind != valueText {
			return nil
		}
		conditions[n] = fmt.Sprintf("%s = $%d", quoteName(tab.columns[i].name), n+1)
		args[n] = string(after[i].text)
	}
	sql := "SELECT " + strings.Join(columns, ", ") + " FROM " + quoteName(tab.relation.schema, tab.name) + " WHERE " + strings.Join(conditions, " AND ")
	rows, err := query(ctx, t.conn, sql, args...)
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
