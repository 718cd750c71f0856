package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/plugins/sdk"
)

// chunkBytes bounds the rows of a chunk, more or less.
const chunkBytes = 2 << 20

// firstRows is how many rows the first chunk of a table has at most, before it
// is known how large they are.
const firstRows = 64

// chunkReader reads one table in the order of a key.
type chunkReader struct {
	t         *task
	tab       *table
	from      string
	columns   string
	key       []int  // indexes of the columns that order the rows
	order     string // those columns
	backwards string // and from the end
	condition string // SQL, "" for none
	estimate  int64  // of the table's rows, 0 when there is none
	rowBytes  int    // on average, of the last chunk; 0 when not known
	began     time.Time
}

// openChunks prepares to read a table, from where state says. A status says why
// there is nothing to read.
func (t *task) openChunks(ctx context.Context, n incrementalTable, state *incrementalState) (c *chunkReader, status string, err error) {
	known, err := t.cat.find(ctx, t.cfg, t.viaRoot, n.ID)
	if err != nil {
		return nil, "", err
	}
	if known == nil {
		return nil, "UNKNOWN_SCHEMA", nil
	}
	if err := t.cat.describe(ctx, known); err != nil {
		return nil, "", err
	}
	c = &chunkReader{t: t, began: time.Now(), condition: deref(n.Condition)}
	if c.tab, err = t.compiler().compile(known.relation(), known); err != nil {
		return nil, "", sdk.Fatal(err)
	}
	names := known.key
	if s := deref(n.Surrogate); s != "" {
		names = []string{s}
	}
	if len(names) == 0 || !c.orderBy(names) {
		return nil, "NO_PRIMARY_KEY", nil
	}
	c.from = quoteName(known.schema, known.name)
	if known.kind != 'p' {
		c.from = "ONLY " + c.from
	}
	cols := make([]string, len(c.tab.columns))
	for i, col := range c.tab.columns {
		cols[i] = "NULL"
		if col.included || slices.Contains(c.tab.key, i) || slices.Contains(c.key, i) {
			cols[i] = quoteName(col.name)
		}
	}
	c.columns = strings.Join(cols, ", ")
	if c.condition == "" {
		if c.estimate, err = t.estimate(ctx, known); err != nil {
			return nil, "", err
		}
	}
	if state.Max != nil {
		return c, "", nil
	}
	if state.Max, err = c.max(ctx); err == nil && state.Max == nil {
		return nil, "EMPTY", nil
	}
	return c, "", err
}

// estimate is how many rows a table has, as of when it was last looked at; 0
// when it never was.
func (t *task) estimate(ctx context.Context, known *catalogTable) (int64, error) {
	n, err := queryText(ctx, t.conn, "SELECT greatest(reltuples, 0)::bigint FROM pg_class WHERE oid = $1::oid", strconv.FormatUint(uint64(known.oid), 10))
	if err != nil || n == "" {
		return 0, err
	}
	return parseInt([]byte(n), 64)
}

// orderBy finds the columns, which a chunk has to have.
func (c *chunkReader) orderBy(names []string) bool {
	var order, backwards []string
	for _, n := range names {
		i := slices.IndexFunc(c.tab.columns, func(col column) bool { return col.name == n })
		if i < 0 {
			return false
		}
		c.key = append(c.key, i)
		order, backwards = append(order, quoteName(n)), append(backwards, quoteName(n)+" DESC")
	}
	c.order, c.backwards = strings.Join(order, ", "), strings.Join(backwards, ", ")
	return true
}

// max is the greatest key that there is now, nil for no row.
func (c *chunkReader) max(ctx context.Context) ([]string, error) {
	where := ""
	if c.condition != "" {
		where = " WHERE " + c.condition
	}
	rows, err := query(ctx, c.t.conn, "SELECT "+c.order+" FROM "+c.from+where+" ORDER BY "+c.backwards+" LIMIT 1")
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	out := make([]string, len(rows[0]))
	for i, v := range rows[0] {
		out[i] = string(v)
	}
	return out, nil
}

// sql is the statement for the next n rows, and its parameters. The first
// column of the result says whether the row was written before the window.
func (c *chunkReader) sql(state *incrementalState, unchanged string, n int) (string, []string) {
	var args []string
	tuple := func(values []string) string {
		names := make([]string, len(values))
		for i, v := range values {
			args = append(args, v)
			names[i] = fmt.Sprintf("$%d", len(args))
		}
		return "(" + strings.Join(names, ", ") + ")"
	}
	if unchanged == "" {
		unchanged = "true"
	}
	sql := fmt.Sprintf("SELECT %s, %s FROM %s WHERE (%s) <= %s", unchanged, c.columns, c.from, c.order, tuple(state.Max))
	if state.Last != nil {
		sql += fmt.Sprintf(" AND (%s) > %s", c.order, tuple(state.Last))
	}
	if c.condition != "" {
		sql += " AND (" + c.condition + ")"
	}
	return fmt.Sprintf("%s ORDER BY %s LIMIT %d", sql, c.order, n), args
}

// chunk is what was read: the rows to hand over, and the key of the last row,
// whether it is among them or not; nil for no row.
type chunk struct {
	rows [][]value
	last []string
}

// errNotVisible says that a snapshot does not see all that was streamed.
var errNotVisible = errors.New("a streamed transaction is not visible yet")

// read reads the next rows in a snapshot that sees all that was streamed. It
// returns the moment of the snapshot, which is the low one of the next chunk.
func (c *chunkReader) read(ctx context.Context, state *incrementalState, low dbMoment, visible func(*visibility) bool) (out chunk, now dbMoment, err error) {
	conn := c.t.conn
	if _, err := query(ctx, conn, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"); err != nil {
		return out, now, err
	}
	defer func() {
		if _, e := query(ctx, conn, "COMMIT"); err == nil {
			err = e
		}
	}()
	if now, err = readMoment(ctx, conn); err != nil {
		return out, now, err
	}
	if !visible(&now.seen) {
		return out, now, errNotVisible
	}
	n := c.t.cfg.chunkSize
	if c.rowBytes > 0 {
		n = max(min(n, chunkBytes/c.rowBytes), 1)
	} else {
		n = min(n, firstRows)
	}
	sql, args := c.sql(state, low.seen.unchangedSQL("xmin", now.seen.max), n)
	rows, err := query(ctx, conn, sql, args...)
	if err != nil {
		return out, now, err
	}
	size := 0
	for _, r := range rows {
		tuple := make([]value, len(r)-1)
		for i, v := range r[1:] {
			size += len(v)
			if tuple[i] = (value{kind: valueNull}); v != nil {
				tuple[i] = value{valueText, v}
			}
		}
		if string(r[0]) == "t" {
			out.rows = append(out.rows, tuple)
		}
		out.last = out.last[:0]
		for _, k := range c.key {
			out.last = append(out.last, string(r[k+1]))
		}
	}
	if len(rows) > 0 {
		c.rowBytes = size/len(rows) + 1
	}
	if len(rows) < n && len(rows) > 0 {
		out.last = slices.Clone(state.Max) // there are no more
	}
	return out, now, nil
}
