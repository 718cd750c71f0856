package jdbc

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/millrace/millrace/plugins/sdk"
)

// table is a table of the target as the catalog has it.
type table struct {
	quoted  string
	columns map[string]*target
	fits    map[*plan]*fit
}

// fit says where the columns of a plan go.
type fit struct {
	to           []*target // by the plan's columns
	write, erase string    // shapes of lines that have all of them
}

func newFit(tb *table, p *plan) *fit {
	f := &fit{to: make([]*target, len(p.columns))}
	for i, c := range p.columns {
		f.to[i] = tb.find(c.name)
	}
	f.write, f.erase = shapeOf(opWrite, f.to), shapeOf(opDelete, f.to)
	return f
}

// target is a column of a table.
type target struct {
	name     string
	cast     string // the type without length, as SQL
	isJSON   bool
	identity bool // GENERATED ALWAYS AS IDENTITY
}

// find looks a column up, by its exact name first.
func (t *table) find(name string) *target {
	if c := t.columns[name]; c != nil {
		return c
	}
	var found *target
	for n, c := range t.columns {
		if strings.EqualFold(n, name) {
			if found != nil {
				return nil // which of them is meant is not known
			}
			found = c
		}
	}
	return found
}

// relkinds are the catalog's letters for the kinds of table.types.
var relkinds = map[string]string{"r": "TABLE", "p": "PARTITIONED TABLE", "v": "VIEW", "f": "TABLE"}

// load reads a table from the catalog, nil if there is none.
func (t *task) load(ctx context.Context, quoted string) (*table, error) {
	rows, _, err := query(ctx, t.conn, "SELECT c.relkind FROM pg_class c WHERE c.oid = to_regclass($1::text)", []byte(quoted))
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	if kind := relkinds[string(rows[0][0])]; !slices.Contains(t.cfg.kinds, kind) {
		return nil, sdk.Fatal(fmt.Errorf("%s is a %s (relkind %s), which is not written to: add its kind to table.types", quoted, kind, rows[0][0]))
	}
	out := &table{quoted: quoted, columns: map[string]*target{}, fits: map[*plan]*fit{}}
	rows, _, err = query(ctx, t.conn, `SELECT a.attname, format_type(a.atttypid, -1), t.typname, a.attidentity
FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
WHERE a.attrelid = to_regclass($1::text) AND a.attnum > 0 AND NOT a.attisdropped`, []byte(quoted))
	for _, r := range rows {
		out.columns[string(r[0])] = &target{
			name: string(r[0]), cast: string(r[1]), identity: string(r[3]) == "a",
			isJSON: string(r[2]) == "json" || string(r[2]) == "jsonb",
		}
	}
	return out, err
}

// target returns the table of a row with all its columns, which it makes as
// far as the configuration says so.
func (t *task) target(ctx context.Context, r *row) (*table, *fit, error) {
	quoted := quoteTable(r.schema, r.table)
	tb := t.tables[quoted]
	if tb == nil {
		var err error
		if tb, err = t.load(ctx, quoted); err != nil {
			return nil, nil, classify(fmt.Errorf("look up table %s: %w", quoted, err))
		}
		if tb == nil {
			if tb, err = t.makeTable(ctx, quoted, r); err != nil {
				return nil, nil, err
			}
		}
		t.keep(quoted, tb)
	}
	if r.plan == nil {
		return tb, nil, nil
	}
	if f := tb.fits[r.plan]; f != nil {
		return tb, f, nil
	}
	if missing := tb.missing(r.plan); len(missing) > 0 {
		if !t.cfg.evolve {
			return nil, nil, bad("table %s has no column %s: add it, leave the field out, or set auto.evolve (schema.evolution=basic)", quoted, names(missing))
		}
		var err error
		if tb, err = t.addColumns(ctx, tb, r.plan, missing); err != nil {
			return nil, nil, err
		}
		t.keep(quoted, tb)
	}
	if len(tb.fits) >= maxPlans {
		clear(tb.fits)
	}
	f := newFit(tb, r.plan)
	tb.fits[r.plan] = f
	return tb, f, nil
}

// keep remembers a table. Topics that are named by their records could make
// them without end.
func (t *task) keep(quoted string, tb *table) {
	if len(t.tables) >= maxPlans {
		clear(t.tables)
	}
	t.tables[quoted] = tb
}

func (t *table) missing(p *plan) []column {
	var out []column
	for _, c := range p.columns {
		if t.find(c.name) == nil {
			out = append(out, c)
		}
	}
	return out
}

func names(columns []column) string {
	var out []string
	for _, c := range columns {
		out = append(out, c.name)
	}
	return strings.Join(out, ", ")
}

func (t *task) makeTable(ctx context.Context, quoted string, r *row) (*table, error) {
	if !t.cfg.create {
		return nil, sdk.Fatal(fmt.Errorf("table %s does not exist: make it, or set auto.create (schema.evolution=basic)", quoted))
	}
	if r.op != opWrite {
		return nil, bad("table %s does not exist yet, and a record that deletes does not say what its columns are", quoted)
	}
	var ddl, keys []string
	for i, c := range r.plan.columns {
		d, err := t.cfg.definition(&c, i < r.plan.keys)
		if err != nil {
			return nil, err
		}
		if ddl = append(ddl, d); i < r.plan.keys {
			keys = append(keys, quote(c.name))
		}
	}
	if len(keys) > 0 {
		ddl = append(ddl, "PRIMARY KEY ("+strings.Join(keys, ", ")+")")
	}
	sql := "CREATE TABLE IF NOT EXISTS " + quoted + " (" + strings.Join(ddl, ", ") + ")"
	failure := exec(ctx, t.conn, sql)
	// Another task may have made it at the same time, which is an error to one.
	tb, err := t.load(ctx, quoted)
	if err == nil && tb == nil {
		err = failure
	}
	if err != nil {
		return nil, classify(fmt.Errorf("make table: %s: %w", sql, err))
	}
	t.log.Info("table made", "table", quoted, "sql", sql)
	return tb, nil
}

// definition is a column's in CREATE TABLE and ADD COLUMN.
func (c *config) definition(col *column, key bool) (string, error) {
	out := quote(col.name) + " " + c.columnType(col.schema)
	if v, ok := col.schema.Default(); ok && v != nil {
		text, err := c.text(col.schema, v, false)
		if err != nil {
			return "", err
		}
		out += " DEFAULT E'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`, "\x00", "").Replace(string(text)) + "'"
	}
	if key || !col.schema.Optional() {
		out += " NOT NULL"
	}
	return out, nil
}

func (t *task) addColumns(ctx context.Context, tb *table, p *plan, missing []column) (*table, error) {
	var ddl []string
	for _, c := range missing {
		if _, ok := c.schema.Default(); !ok && !c.schema.Optional() {
			return nil, bad("table %s has no column %s, and it cannot be added: the field is neither optional nor has it a default, so that rows there would have no value", tb.quoted, c.name)
		}
		d, err := t.cfg.definition(&c, false)
		if err != nil {
			return nil, err
		}
		ddl = append(ddl, "ADD COLUMN IF NOT EXISTS "+d)
	}
	sql := "ALTER TABLE " + tb.quoted + " " + strings.Join(ddl, ", ")
	failure := exec(ctx, t.conn, sql)
	now, err := t.load(ctx, tb.quoted)
	if err == nil && (now == nil || len(now.missing(p)) > 0) {
		if err = failure; err == nil {
			err = sdk.Retry(fmt.Errorf("table %s changed meanwhile", tb.quoted), 0)
		}
	}
	if err != nil {
		return nil, classify(fmt.Errorf("add columns: %s: %w", sql, err))
	}
	t.log.Info("columns added", "table", tb.quoted, "sql", sql)
	return now, nil
}
