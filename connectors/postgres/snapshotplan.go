package postgres

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/millrace/millrace/plugins/sdk"
)

const (
	// maxRangeBlocks bounds a range of a table that is read in one go: 128 MiB.
	maxRangeBlocks = 16384
	// minRangeBlocks is what it is worth another statement for: 8 MiB.
	minRangeBlocks = 1024
	// versionTIDScan is the first that reads a range of blocks without passing
	// over those before it.
	versionTIDScan = 14
)

// tablePlan is a table whose rows a snapshot reads: from itself, or from its
// partitions.
type tablePlan struct {
	known   *catalogTable
	columns string // what to select
	forms   []form
	units   []*readUnit

	// Of the goroutine that polls:
	left  int   // ranges that are not finished
	begun bool  // a row was handed over
	rows  int64 // that were, in this process
}

func (p *tablePlan) name() string { return p.known.schema + "." + p.known.name }

// planNames lists the tables.
func planNames(plans []*tablePlan) string {
	names := make([]string, len(plans))
	for i, p := range plans {
		names[i] = p.name()
	}
	return strings.Join(names, ",")
}

// compile makes the table of a goroutine: one writes rows of it.
func (p *tablePlan) compile(c *compiler) (*table, error) {
	t, err := c.compile(p.known.relation(), p.known)
	if err != nil {
		return nil, sdk.Fatal(err)
	}
	for i, f := range p.forms {
		t.columns[i].form = f
	}
	return t, nil
}

// readUnit is what has blocks of its own: a table or a partition.
type readUnit struct {
	plan   *tablePlan
	oid    uint32
	from   string // quoted
	node   uint32 // its file
	blocks uint32 // as of the start
	size   uint32 // blocks of a range
	ranges int
	whole  bool // rows have no place that lasts: it is read in one go
	// unfiltered has all rows read although the stream begins earlier: the table
	// was rewritten, and its rows do not tell what was changed.
	unfiltered bool
}

// readJob is a range of blocks that one worker reads.
type readJob struct {
	unit  *readUnit
	index int
	after tid // rows up to here were handed over

	passed uint32 // blocks, of the goroutine that polls
}

// blocks is how many blocks the job is about.
func (j *readJob) blocks() uint32 {
	u := j.unit
	if j.index+1 < u.ranges {
		return u.size
	}
	return max(u.blocks, uint32(j.index)*u.size) - uint32(j.index)*u.size
}

// sql is the COPY statement of a job. unchanged is a condition on rows or "".
func (j *readJob) sql(unchanged string) string {
	u := j.unit
	var b strings.Builder
	b.WriteString("COPY (SELECT ")
	if u.whole {
		b.WriteString(u.plan.columns + " FROM " + u.from + ") TO STDOUT (FORMAT binary)")
		return b.String()
	}
	start := tid{block: uint32(j.index) * u.size}
	if j.after.after(start) {
		start = j.after
	}
	fmt.Fprintf(&b, "ctid, %s FROM %s WHERE ctid > '%s'::tid", u.plan.columns, u.from, start)
	if j.index+1 < u.ranges {
		fmt.Fprintf(&b, " AND ctid < '%s'::tid", tid{block: uint32(j.index+1) * u.size})
	}
	if unchanged != "" && !u.unfiltered {
		b.WriteString(" AND " + unchanged)
	}
	b.WriteString(") TO STDOUT (FORMAT binary)")
	return b.String()
}

// planner lists what a snapshot reads.
type planner struct {
	t    *task
	conn *pgconn.PgConn    // in the transaction of the snapshot
	outs map[uint32]string // output functions by type
	// base is what the stream begins with, when that is earlier than the
	// transaction: a snapshot that goes on.
	base *visibility
	max  uint64 // the end of the transaction's own snapshot
	read *readProgress

	pos        *position
	statements map[string]string // of a blocking snapshot
}

// known leaves out tables that were added to the lists after a snapshot that
// goes on began: their changes since are not all in the stream. They are read
// while it goes on.
func (p *planner) known(tables []*catalogTable) ([]*catalogTable, error) {
	if p.base == nil || p.t.lists == nil || *p.t.lists == p.t.cfg.filters {
		return tables, nil
	}
	old, err := p.t.lists.filter()
	if err != nil {
		return nil, sdk.Fatal(fmt.Errorf("stored offset: the lists of tables: %w", err))
	}
	return slices.DeleteFunc(tables, func(c *catalogTable) bool { return !old.captures(c.schema, c.name) }), nil
}

// plan lists the tables, their units and the jobs that are left.
func (p *planner) plan(ctx context.Context) ([]*tablePlan, []*readJob, error) {
	t := p.t
	tables, err := t.cat.tables(ctx, t.cfg, t.viaRoot)
	if err != nil {
		return nil, nil, err
	}
	if tables, p.statements, err = p.pos.restrict(tables); err != nil {
		return nil, nil, err
	}
	if tables, err = p.known(tables); err != nil {
		return nil, nil, err
	}
	if err := p.sort(ctx, tables); err != nil {
		return nil, nil, err
	}
	if len(tables) == 0 {
		t.log.Warn("no table passes the filters: check schema.include.list and table.include.list")
	}
	if p.outs, err = outputFunctions(ctx, p.conn); err != nil {
		return nil, nil, err
	}
	var plans []*tablePlan
	for _, known := range tables {
		if p.pos.only == "" && len(t.cfg.snapshotTables) > 0 && !matchesAny(t.cfg.snapshotTables, known.schema+"."+known.name) {
			continue
		}
		tp, err := p.table(ctx, known)
		if err != nil {
			return nil, nil, err
		}
		plans = append(plans, tp)
	}
	return plans, p.jobs(plans), nil
}

// sort puts tables in the order of how many rows they have, if that is wanted.
func (p *planner) sort(ctx context.Context, tables []*catalogTable) error {
	if p.t.cfg.order != "ascending" && p.t.cfg.order != "descending" {
		return nil
	}
	rows := map[uint32]int64{}
	for _, k := range tables {
		n, err := p.t.estimate(ctx, k)
		if err != nil {
			return err
		}
		rows[k.oid] = n
	}
	slices.SortStableFunc(tables, func(a, b *catalogTable) int {
		if p.t.cfg.order == "descending" {
			a, b = b, a
		}
		return cmp.Compare(rows[a.oid], rows[b.oid])
	})
	return nil
}

func (p *planner) table(ctx context.Context, known *catalogTable) (*tablePlan, error) {
	t := p.t
	tp := &tablePlan{known: known}
	if t.cfg.lockTables {
		sql := fmt.Sprintf("SET LOCAL lock_timeout = %d; LOCK TABLE %s IN ACCESS SHARE MODE", t.cfg.lockTimeout.Milliseconds(), quoteName(known.schema, known.name))
		if _, err := query(ctx, p.conn, sql); err != nil {
			return nil, fmt.Errorf("lock %s: %w", tp.name(), err)
		}
	}
	if err := t.cat.describe(ctx, known); err != nil {
		return nil, err
	}
	tab, err := tp.compile(t.compiler())
	if err != nil {
		return nil, err
	}
	tp.columns, tp.forms = p.columns(tab)
	return tp, p.units(ctx, tp)
}

// columns lists what to select for a table: each column in its binary form, or
// as the text that the stream would have. Columns that no event carries are
// null.
func (p *planner) columns(tab *table) (string, []form) {
	cols, forms := make([]string, len(tab.columns)), make([]form, len(tab.columns))
	for i := range tab.columns {
		c := &tab.columns[i]
		if cols[i] = "NULL"; !c.included && !slices.Contains(tab.key, i) {
			continue
		}
		var asText bool
		oid := tab.relation.columns[i].typeOID
		forms[i], asText = formOf(oid, p.t.cat.types)
		if cols[i] = quoteName(c.name); asText {
			cols[i] = "textin(" + p.outs[oid] + "(" + cols[i] + "))"
		}
	}
	if len(cols) == 0 {
		return "NULL", nil // a table may have no column
	}
	return strings.Join(cols, ", "), forms
}

// outputFunctions returns the function of each type that makes the text that
// the stream has. A cast to text is not the same for some types.
func outputFunctions(ctx context.Context, conn *pgconn.PgConn) (map[uint32]string, error) {
	rows, err := query(ctx, conn, "SELECT t.oid, quote_ident(n.nspname) || '.' || quote_ident(p.proname) FROM pg_type t JOIN pg_proc p ON p.oid = t.typoutput JOIN pg_namespace n ON n.oid = p.pronamespace")
	if err != nil {
		return nil, fmt.Errorf("read output functions: %w", err)
	}
	out := make(map[uint32]string, len(rows))
	for _, r := range rows {
		oid, err := parseOID(r[0])
		if err != nil {
			return nil, err
		}
		out[oid] = string(r[1])
	}
	return out, nil
}

// unitsSQL lists what a table's rows are in: itself or its partitions without
// partitions of their own. relfilenode is as of the transaction's snapshot,
// pg_relation_filenode as of now.
const unitsSQL = `SELECT c.oid, n.nspname, c.relname, c.relkind, c.relfilenode, coalesce(pg_relation_filenode(c.oid), 0),
  CASE WHEN c.relkind = 'r' THEN pg_relation_size(c.oid) / current_setting('block_size')::int ELSE 0 END, %s
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.oid IN (SELECT relid::oid FROM pg_partition_tree($1::oid::regclass) WHERE isleaf UNION SELECT $1::oid) AND c.relkind IN ('r', 'f')
ORDER BY n.nspname, c.relname`

func (p *planner) units(ctx context.Context, tp *tablePlan) error {
	sql := p.statements[tp.name()]
	if sql == "" {
		sql = p.t.cfg.overrides[tp.name()]
	}
	if sql != "" {
		tp.units = []*readUnit{{plan: tp, oid: tp.known.oid, from: "(" + sql + ") AS t", whole: true, size: 1, ranges: 1}}
		return nil
	}
	old := "true"
	if p.base != nil {
		if old = p.base.unchangedSQL("c.xmin", p.max); old == "" {
			old = "false"
		}
	}
	rows, err := query(ctx, p.conn, fmt.Sprintf(unitsSQL, old), strconv.FormatUint(uint64(tp.known.oid), 10))
	if err != nil {
		return fmt.Errorf("size of %s: %w", tp.name(), err)
	}
	for _, r := range rows {
		u := &readUnit{plan: tp, from: "ONLY " + quoteName(string(r[1]), string(r[2])), whole: r[3][0] == 'f'}
		var seen uint32
		for _, f := range []struct {
			to   *uint32
			from []byte
		}{{&u.oid, r[0]}, {&seen, r[4]}, {&u.node, r[5]}, {&u.blocks, r[6]}} {
			if *f.to, err = parseOID(f.from); err != nil {
				return err
			}
		}
		if p.base == nil && seen != u.node {
			return sdk.Retry(fmt.Errorf("table %s was rewritten since the snapshot began", tp.name()), p.t.cfg.restartWait)
		}
		p.cut(u, string(r[7]) == "t")
		tp.units = append(tp.units, u)
	}
	return nil
}

// cut divides a unit into ranges, as before when it was begun. old says that
// nobody has changed what the catalog says of the table since the base.
func (p *planner) cut(u *readUnit, old bool) {
	if was := p.read.open[u.oid]; was != nil {
		if was.node == u.node && !u.whole {
			u.size, u.ranges = was.size, was.ranges
			return
		}
		delete(p.read.open, u.oid) // its rows are elsewhere now
		old = false
	}
	u.unfiltered = !old
	u.size, u.ranges = maxRangeBlocks, 1
	if u.whole || p.t.major < versionTIDScan {
		return
	}
	pieces := uint32(max(p.t.cfg.threads*p.t.cfg.multiplier, 1))
	u.size = min(max((u.blocks+pieces-1)/pieces, p.t.cfg.rangeBlocks), maxRangeBlocks)
	u.ranges = int(max((u.blocks+u.size-1)/u.size, 1))
}

// jobs lists the ranges that are left, table by table.
func (p *planner) jobs(plans []*tablePlan) []*readJob {
	var jobs []*readJob
	for _, tp := range plans {
		for _, u := range tp.units {
			if p.read.done[u.oid] {
				tp.begun = true
				continue
			}
			was := p.read.open[u.oid]
			for i := range u.ranges {
				j := &readJob{unit: u, index: i}
				if was != nil {
					tp.begun = true
					if was.done[i] {
						continue
					}
					j.after = was.at[i]
					j.passed = j.after.block - min(j.after.block, uint32(i)*u.size)
				}
				tp.left++
				jobs = append(jobs, j)
			}
		}
	}
	return jobs
}
