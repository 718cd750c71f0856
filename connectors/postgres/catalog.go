package postgres

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// catalogTable is a table as the catalog describes it now, which may be later
// than the change that asks.
type catalogTable struct {
	oid          uint32
	schema, name string
	kind         byte // relkind: r or p
	identity     byte
	columns      []catalogColumn
	key          []string // of the primary key, else of a unique index; empty for none
}

type catalogColumn struct {
	relColumn
	notNull     bool
	literal     bool   // the default is a constant
	function    bool   // the default is what a function returns
	defaultText string // its text form, when it is a constant
}

// catalog reads what the stream does not say: which columns may be null, their
// defaults, the keys, the types.
type catalog struct {
	conn  *pgconn.PgConn
	types map[uint32]pgType
}

const tablesSQL = `SELECT c.oid, n.nspname, c.relname, c.relkind, c.relreplident, c.relispartition
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND c.relpersistence = 'p' AND n.nspname !~ '^(pg_|information_schema$)'
ORDER BY n.nspname, c.relname`

// tables returns the captured tables by name. viaRoot says whether partitioned
// tables or their partitions are what counts.
func (c *catalog) tables(ctx context.Context, cfg *config, viaRoot bool) ([]*catalogTable, error) {
	rows, err := query(ctx, c.conn, tablesSQL)
	if err != nil {
		return nil, fmt.Errorf("list tables: %w", err)
	}
	var out []*catalogTable
	for _, r := range rows {
		t := &catalogTable{schema: string(r[1]), name: string(r[2]), kind: r[3][0], identity: r[4][0]}
		partition := string(r[5]) == "t"
		if viaRoot && partition || !viaRoot && t.kind == 'p' || !cfg.captures(t.schema, t.name) {
			continue
		}
		if t.oid, err = parseOID(r[0]); err != nil {
			return nil, err
		}
		out = append(out, t)
	}
	// Those of the pattern that stands first in the list come first.
	rank := func(t *catalogTable) int {
		return slices.IndexFunc(cfg.tables.include, func(re *regexp.Regexp) bool { return re.MatchString(t.schema + "." + t.name) })
	}
	slices.SortStableFunc(out, func(a, b *catalogTable) int { return cmp.Compare(rank(a), rank(b)) })
	return out, nil
}

// find returns a captured table by its name, nil if there is none.
func (c *catalog) find(ctx context.Context, cfg *config, viaRoot bool, name string) (*catalogTable, error) {
	all, err := c.tables(ctx, cfg, viaRoot)
	if err != nil {
		return nil, err
	}
	for _, t := range all {
		if t.schema+"."+t.name == name {
			return t, nil
		}
	}
	return nil, nil
}

func parseOID(b []byte) (uint32, error) {
	n, err := strconv.ParseUint(string(b), 10, 32)
	if err != nil {
		return 0, fmt.Errorf("%.40q is not an oid", b)
	}
	return uint32(n), nil
}

const columnsSQL = `SELECT a.attname, a.atttypid, a.atttypmod, a.attnotnull, pg_get_expr(d.adbin, d.adrelid),
  format_type(a.atttypid, CASE a.atttypid WHEN 'numeric'::regtype THEN a.atttypmod ELSE -1 END)
FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attrelid = $1::oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
ORDER BY a.attnum`

// keySQL finds the columns of the primary key in its order, else of a unique
// index over plain columns that applies to all rows.
const keySQL = `SELECT a.attname FROM (
  SELECT i.indrelid, i.indkey::int2[] AS cols, i.indnkeyatts FROM pg_index i
  WHERE i.indrelid = $1::oid AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
  ORDER BY i.indisprimary DESC, i.indexrelid LIMIT 1) i
CROSS JOIN LATERAL unnest(i.cols) WITH ORDINALITY AS k(attnum, n)
JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
WHERE k.n <= i.indnkeyatts ORDER BY k.n`

// describe fills in columns and key of a table. A table that is gone has none.
func (c *catalog) describe(ctx context.Context, t *catalogTable) error {
	oid := strconv.FormatUint(uint64(t.oid), 10)
	rows, err := query(ctx, c.conn, columnsSQL, oid)
	if err != nil {
		return fmt.Errorf("columns of %s.%s: %w", t.schema, t.name, err)
	}
	t.columns = t.columns[:0]
	var literals []string
	for _, r := range rows {
		col := catalogColumn{relColumn: relColumn{name: string(r[0])}, notNull: string(r[3]) == "t"}
		if col.typeOID, err = parseOID(r[1]); err != nil {
			return err
		}
		mod, err := parseInt(r[2], 32)
		if err != nil {
			return fmt.Errorf("type modifier of %s: %w", col.name, err)
		}
		col.typmod = int32(mod)
		expr := string(r[4])
		col.function = isFunction(expr)
		if col.literal = isConstant(expr); col.literal {
			literals = append(literals, fmt.Sprintf("(%s)::%s", expr, r[5]))
		}
		t.columns = append(t.columns, col)
	}
	if err := c.evaluate(ctx, t, literals); err != nil {
		return err
	}
	rows, err = query(ctx, c.conn, keySQL, oid)
	if err != nil {
		return fmt.Errorf("key of %s.%s: %w", t.schema, t.name, err)
	}
	t.key = t.key[:0]
	for _, r := range rows {
		t.key = append(t.key, string(r[0]))
	}
	return nil
}

// evaluate has the server write constants in the form that it writes values.
func (c *catalog) evaluate(ctx context.Context, t *catalogTable, literals []string) error {
	if len(literals) == 0 {
		return nil
	}
	rows, err := query(ctx, c.conn, "SELECT "+strings.Join(literals, ", "))
	if err != nil || len(rows) != 1 {
		return fmt.Errorf("defaults of %s.%s: %w", t.schema, t.name, err)
	}
	n := 0
	for i := range t.columns {
		if t.columns[i].literal {
			t.columns[i].defaultText = string(rows[0][n])
			n++
		}
	}
	return nil
}

const typesSQL = `SELECT t.oid, t.typname, t.typnamespace = 'pg_catalog'::regnamespace, t.typtype,
  CASE WHEN t.typlen = -1 AND t.typcategory = 'A' THEN t.typelem ELSE 0 END, t.typbasetype, t.typtypmod,
  (SELECT string_agg(e.enumlabel, E'\x01' ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = t.oid)
FROM pg_type t WHERE t.typtype IN ('b', 'd', 'e', 'r')`

// loadTypes reads all types, in one query.
func (c *catalog) loadTypes(ctx context.Context) error {
	rows, err := query(ctx, c.conn, typesSQL)
	if err != nil {
		return fmt.Errorf("read types: %w", err)
	}
	types := make(map[uint32]pgType, len(rows))
	for _, r := range rows {
		t := pgType{name: string(r[1]), builtIn: string(r[2]) == "t", kind: r[3][0]}
		for _, f := range []struct {
			to   *uint32
			from []byte
		}{{&t.oid, r[0]}, {&t.elem, r[4]}, {&t.base, r[5]}} {
			if *f.to, err = parseOID(f.from); err != nil {
				return err
			}
		}
		mod, err := parseInt(r[6], 32)
		if err != nil {
			return fmt.Errorf("modifier of type %s: %w", t.name, err)
		}
		t.typmod = int32(mod)
		if r[7] != nil {
			t.labels = strings.Split(string(r[7]), "\x01")
		}
		types[t.oid] = t
	}
	c.types = types
	return nil
}
