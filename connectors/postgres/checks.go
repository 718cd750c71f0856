package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/millrace/millrace/plugins/sdk"
)

// checkTables sets the replica identities that were asked for and warns of what
// the author of the configuration may not expect.
func (t *task) checkTables(ctx context.Context) error {
	tables, err := t.cat.tables(ctx, t.cfg, t.viaRoot)
	if err != nil {
		return err
	}
	if err := setIdentities(ctx, t.conn, t.cfg, tables); err != nil {
		return err
	}
	if text := t.cfg.tooMany(len(tables)); text != "" {
		if t.cfg.failOnTables {
			return sdk.Fatal(errors.New(text))
		}
		t.log.Warn(text)
	}
	if len(tables) == 0 {
		t.log.Warn("no table passes the filters: check schema.include.list and table.include.list")
		return nil
	}
	for _, re := range t.cfg.tables.include {
		if !slices.ContainsFunc(tables, func(c *catalogTable) bool { return re.MatchString(c.schema + "." + c.name) }) {
			t.log.Warn("a pattern of table.include.list matches no table", "pattern", strings.TrimSuffix(strings.TrimPrefix(re.String(), "(?i)^(?:"), ")$"))
		}
	}
	missing, err := unpublished(ctx, t.conn, t.cfg.publication, tables)
	if err != nil {
		return err
	}
	if len(missing) > 0 {
		t.log.Warn("tables are captured that the publication does not have: their changes will not come",
			"publication", t.cfg.publication, "tables", some(missing))
	}
	return nil
}

// tooMany says that more tables are captured than guardrail.collections.max has,
// "" if not so.
func (c *config) tooMany(n int) string {
	if c.mostTables == 0 || n <= c.mostTables {
		return ""
	}
	return fmt.Sprintf("guardrail.collections.max is %d, and %d tables would be captured: name fewer in table.include.list, or raise it", c.mostTables, n)
}

// some is the beginning of a list, in words.
func some(names []string) string {
	const most = 5
	if len(names) > most {
		return strings.Join(names[:most], ", ") + fmt.Sprintf(" and %d more", len(names)-most)
	}
	return strings.Join(names, ", ")
}

// unpublished lists the tables that a publication leaves out.
func unpublished(ctx context.Context, conn *pgconn.PgConn, publication string, tables []*catalogTable) ([]string, error) {
	rows, err := query(ctx, conn, "SELECT schemaname, tablename FROM pg_publication_tables WHERE pubname = $1", publication)
	if err != nil {
		return nil, err
	}
	have := make(map[string]bool, len(rows))
	for _, r := range rows {
		have[string(r[0])+"."+string(r[1])] = true
	}
	var out []string
	for _, t := range tables {
		if name := t.schema + "." + t.name; !have[name] {
			out = append(out, name)
		}
	}
	return out, nil
}

// checker collects what is wrong with a configuration on its server.
type checker struct {
	cfg      *config
	conn     *pgconn.PgConn
	problems []sdk.Problem
}

func (c *checker) bad(key, format string, args ...any) {
	c.problems = append(c.problems, sdk.Problem{Key: key, Text: fmt.Sprintf(format, args...)})
}

// checkAll looks at everything that a start would fail of, and at what would go
// wrong later without anybody noticing.
func checkAll(ctx context.Context, conn *pgconn.PgConn, cfg *config) ([]sdk.Problem, error) {
	if err := checkServer(ctx, conn, cfg); err != nil {
		return []sdk.Problem{{Key: "database.hostname", Text: err.Error()}}, nil
	}
	c := &checker{cfg: cfg, conn: conn}
	cat := catalog{conn: conn}
	viaRoot := cfg.viaRoot
	if cfg.snapshot != "initial_only" {
		if err := c.slot(ctx); err != nil {
			return nil, err
		}
		exists, all, root, err := readPublication(ctx, conn, cfg.publication)
		if err != nil {
			return nil, err
		}
		if exists {
			viaRoot = root
		}
		if err := c.publication(ctx, exists, all); err != nil {
			return nil, err
		}
	}
	tables, err := cat.tables(ctx, cfg, viaRoot)
	if err != nil {
		return nil, err
	}
	if len(tables) == 0 && (cfg.autocreate == "filtered" || len(cfg.tables.include) > 0) {
		c.bad("table.include.list", "no table of database %s passes the filters: check schema.include.list, table.include.list and their excluding twins; names are matched whole, as schema.table", cfg.dbname)
	}
	if text := cfg.tooMany(len(tables)); text != "" && cfg.failOnTables {
		c.bad("guardrail.collections.max", "%s", text)
	}
	if err := c.tables(ctx, &cat, tables); err != nil {
		return nil, err
	}
	return c.problems, nil
}

// slot checks the slot, or that there is room for one.
func (c *checker) slot(ctx context.Context) error {
	slot, err := readSlot(ctx, c.conn, c.cfg.slot)
	if err != nil {
		return err
	}
	if !slot.exists {
		return c.room(ctx)
	}
	if err := slot.check(c.cfg); err != nil {
		c.bad("slot.name", "%v", err)
		return nil
	}
	if slot.lost {
		c.bad("slot.name", "slot %s has lost the log that it needs (max_slot_wal_keep_size): SELECT pg_drop_replication_slot(%s), and let the tables be read again", c.cfg.slot, quoteText(c.cfg.slot))
	}
	// A task of this connector may hold it while its config is changed.
	rows, err := query(ctx, c.conn, `SELECT a.pid, a.application_name, coalesce(host(a.client_addr), 'local') FROM pg_replication_slots s JOIN pg_stat_activity a ON a.pid = s.active_pid
WHERE s.slot_name = $1 AND a.application_name <> $2`, c.cfg.slot, c.cfg.application())
	if err != nil || len(rows) == 0 {
		return err
	}
	c.bad("slot.name", "slot %s is in use by %q from %s (pid %s): stop that, or choose another slot.name", c.cfg.slot, rows[0][1], rows[0][2], rows[0][0])
	return nil
}

// room checks that another slot and another sender are allowed.
func (c *checker) room(ctx context.Context) error {
	for _, limit := range []struct{ setting, used string }{
		{"max_replication_slots", "SELECT count(*) >= current_setting('max_replication_slots')::int FROM pg_replication_slots"},
		{"max_wal_senders", "SELECT count(*) >= current_setting('max_wal_senders')::int FROM pg_stat_replication"},
	} {
		full, err := queryText(ctx, c.conn, limit.used)
		if err != nil {
			return err
		}
		if full == "t" {
			c.bad("slot.name", "the server has as many in use as %s allows: raise it and restart the server, or drop what nobody needs", limit.setting)
		}
	}
	return nil
}

// publication checks that the publication is there or can be made.
func (c *checker) publication(ctx context.Context, exists, all bool) error {
	const key = "publication.autocreate.mode"
	switch name, mode := c.cfg.publication, c.cfg.autocreate; {
	case exists && all && mode == "filtered":
		c.bad(key, "publication %s is FOR ALL TABLES, which filtered cannot change: choose another publication.name or mode", name)
	case !exists && mode == "disabled":
		c.bad(key, "publication %s does not exist, and the mode is disabled: create it, or choose another mode", name)
	case !exists && mode == "all_tables":
		super, err := queryText(ctx, c.conn, "SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
		if err != nil {
			return err
		}
		if super != "t" {
			c.bad(key, "user %s may not create publication %s FOR ALL TABLES, which takes a superuser: create it as one, or choose filtered", c.cfg.user, name)
		}
	case !exists:
		may, err := queryText(ctx, c.conn, "SELECT has_database_privilege(current_database(), 'CREATE')")
		if err != nil {
			return err
		}
		if may != "t" {
			c.bad(key, "user %s may not create publication %s: GRANT CREATE ON DATABASE %s TO %s, or create it and choose disabled", c.cfg.user, name, quoteName(c.cfg.dbname), quoteName(c.cfg.user))
		}
	}
	return nil
}

// tables checks what is asked of each captured table.
func (c *checker) tables(ctx context.Context, cat *catalog, tables []*catalogTable) error {
	rows, err := query(ctx, c.conn, "SELECT oid FROM pg_class WHERE relkind IN ('r', 'p') AND NOT has_table_privilege(oid, 'SELECT')")
	if err != nil {
		return err
	}
	denied := make(map[uint32]bool, len(rows))
	for _, r := range rows {
		oid, err := parseOID(r[0])
		if err != nil {
			return err
		}
		denied[oid] = true
	}
	var unreadable []string
	for _, t := range tables {
		if denied[t.oid] {
			unreadable = append(unreadable, t.schema+"."+t.name)
		}
		if err := c.keyColumns(ctx, cat, t); err != nil {
			return err
		}
	}
	if len(unreadable) > 0 && c.cfg.snapshot != "no_data" {
		c.bad("database.user", "user %s may not read %s: GRANT SELECT ON it TO %s", c.cfg.user, some(unreadable), quoteName(c.cfg.user))
	}
	return nil
}

// keyColumns checks that old rows will tell the columns of message.key.columns.
func (c *checker) keyColumns(ctx context.Context, cat *catalog, t *catalogTable) error {
	i := slices.IndexFunc(c.cfg.keys, func(k keyColumns) bool { return k.table.MatchString(t.schema + "." + t.name) })
	if i < 0 {
		return nil
	}
	if err := cat.describe(ctx, t); err != nil {
		return err
	}
	identity := t.identity
	for j := range c.cfg.identities {
		if c.cfg.identities[j].table.MatchString(t.schema + "." + t.name) {
			identity = c.cfg.identities[j].kind
			break
		}
	}
	covered, err := identityColumns(ctx, c.conn, t, identity)
	if err != nil {
		return err
	}
	var missing, uncovered []string
	for _, name := range c.cfg.keys[i].columns {
		at := slices.IndexFunc(t.columns, func(k catalogColumn) bool { return k.name == name })
		switch {
		case at < 0:
			missing = append(missing, name)
		case identity != 'f' && !slices.Contains(covered, name):
			uncovered = append(uncovered, name)
		}
	}
	if len(missing) > 0 {
		c.bad("message.key.columns", "table %s.%s has no column %s", t.schema, t.name, strings.Join(missing, ", "))
	}
	if len(uncovered) > 0 {
		c.bad("message.key.columns", "deletes in %s.%s would not tell column %s of the key: ALTER TABLE %s REPLICA IDENTITY FULL",
			t.schema, t.name, strings.Join(uncovered, ", "), quoteName(t.schema, t.name))
	}
	return nil
}

// identityColumns lists the columns that old rows tell under an identity of
// kind d or i.
func identityColumns(ctx context.Context, conn *pgconn.PgConn, t *catalogTable, kind byte) ([]string, error) {
	rows, err := query(ctx, conn, `SELECT a.attname FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
WHERE i.indrelid = $1::oid AND CASE $2 WHEN 'd' THEN i.indisprimary WHEN 'i' THEN i.indisreplident ELSE false END`, strconv.FormatUint(uint64(t.oid), 10), string(kind))
	if err != nil {
		return nil, fmt.Errorf("replica identity of %s.%s: %w", t.schema, t.name, err)
	}
	out := make([]string, len(rows))
	for i, r := range rows {
		out[i] = string(r[0])
	}
	return out, nil
}
