package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/millrace/millrace/plugins/sdk"
)

// slotState is a row of pg_replication_slots.
type slotState struct {
	exists    bool
	plugin    string
	database  string
	confirmed lsn
	lost      bool
	reason    string // why it is lost, as the server says it since version 17
	twoPhase  bool
}

func readSlot(ctx context.Context, conn *pgconn.PgConn, name string) (slotState, error) {
	rows, err := query(ctx, conn, `SELECT plugin, database, confirmed_flush_lsn, wal_status, coalesce(to_jsonb(s)->>'two_phase', 'false'), coalesce(to_jsonb(s)->>'invalidation_reason', '')
FROM pg_replication_slots s WHERE slot_name = $1`, name)
	if err != nil || len(rows) == 0 {
		return slotState{}, err
	}
	s := slotState{
		exists: true, plugin: string(rows[0][0]), database: string(rows[0][1]), reason: string(rows[0][5]),
		twoPhase: string(rows[0][4]) == "true",
	}
	s.lost = string(rows[0][3]) == "lost" || s.reason != ""
	if rows[0][2] == nil {
		if s.database != "" && !s.lost { // a logical one
			// It is gone if its maker is. In its first moments it has no plugin.
			err = sdk.Retry(fmt.Errorf("slot %s is being made, which waits for transactions that are open", name), time.Second)
		}
		return s, err
	}
	s.confirmed, err = parseLSN(string(rows[0][2]))
	return s, err
}

// check reports why a slot that exists cannot be used.
func (s slotState) check(c *config) error {
	switch {
	case s.plugin != "pgoutput":
		return fmt.Errorf("slot %s was made for %q, and only pgoutput is understood: choose another slot.name, or drop the slot with SELECT pg_drop_replication_slot(%s)", c.slot, s.plugin, quoteText(c.slot))
	case s.database != c.dbname:
		return fmt.Errorf("slot %s belongs to database %s, not %s: choose another slot.name", c.slot, s.database, c.dbname)
	}
	return nil
}

// checkServer finds out what would make capturing impossible.
func checkServer(ctx context.Context, conn *pgconn.PgConn, c *config) error {
	level, err := queryText(ctx, conn, "SHOW wal_level")
	if err != nil {
		return err
	}
	if c.snapshot == "initial_only" {
		return nil
	}
	if level != "logical" {
		return fmt.Errorf("wal_level is %s on %s: run ALTER SYSTEM SET wal_level = logical and restart the server", level, c.address())
	}
	may, err := queryText(ctx, conn, `SELECT rolreplication OR rolsuper OR EXISTS (SELECT FROM pg_roles r
WHERE r.rolname IN ('rds_replication', 'azure_pg_admin', 'cloudsqlsuperuser') AND pg_has_role(current_user, r.oid, 'member')) FROM pg_roles WHERE rolname = current_user`)
	if err != nil {
		return err
	}
	if may != "t" {
		return fmt.Errorf("user %s may not replicate: run ALTER ROLE %s REPLICATION", c.user, quoteName(c.user))
	}
	return nil
}

// readPublication returns whether the publication exists and sends changes of
// partitions as those of their root.
func readPublication(ctx context.Context, conn *pgconn.PgConn, name string) (exists, all, viaRoot bool, err error) {
	rows, err := query(ctx, conn, "SELECT puballtables, pubviaroot FROM pg_publication WHERE pubname = $1", name)
	if err != nil || len(rows) == 0 {
		return false, false, false, err
	}
	return true, string(rows[0][0]) == "t", string(rows[0][1]) == "t", nil
}

// ensurePublication makes the publication, or its list of tables, as
// publication.autocreate.mode says, and returns whether it sends changes by
// the root of partitions.
func ensurePublication(ctx context.Context, conn *pgconn.PgConn, c *config, cat *catalog) (viaRoot bool, err error) {
	exists, all, viaRoot, err := readPublication(ctx, conn, c.publication)
	if err != nil {
		return false, err
	}
	switch {
	case exists && c.autocreate != "filtered":
		return viaRoot, nil
	case !exists && c.autocreate == "disabled":
		return false, sdk.Fatal(fmt.Errorf("publication %s does not exist and publication.autocreate.mode is disabled: create it, or choose another mode", c.publication))
	case exists && all:
		return false, sdk.Fatal(fmt.Errorf("publication %s is FOR ALL TABLES, which publication.autocreate.mode=filtered cannot change: choose another publication.name or mode", c.publication))
	}
	if !exists {
		viaRoot = c.viaRoot
	}
	sql, err := publicationSQL(ctx, c, cat, exists, viaRoot)
	if err != nil || sql == "" {
		return viaRoot, err
	}
	limit := fmt.Sprintf("SET lock_timeout = '%ds'", int(c.slotTimeout.Seconds()))
	if _, err := query(ctx, conn, limit+"; "+sql); err != nil && sqlState(err) != codeDuplicate {
		return false, fmt.Errorf("make publication %s: %w: give the user the right, or create the publication and set publication.autocreate.mode=disabled", c.publication, err)
	}
	_, err = query(ctx, conn, "RESET lock_timeout")
	return viaRoot, err
}

func publicationSQL(ctx context.Context, c *config, cat *catalog, exists, viaRoot bool) (string, error) {
	name := quoteName(c.publication)
	var tables []string
	if c.autocreate == "filtered" {
		captured, err := cat.tables(ctx, c, viaRoot)
		if err != nil {
			return "", err
		}
		if len(captured) == 0 {
			return "", sdk.Fatal(errors.New("no table passes the filters: check schema.include.list and table.include.list"))
		}
		for _, t := range captured {
			tables = append(tables, quoteName(t.schema, t.name))
		}
		if c.signalTable != "" {
			schema, name, _ := strings.Cut(c.signalTable, ".")
			if signals := quoteName(schema, name); !slices.Contains(tables, signals) {
				tables = append(tables, signals)
			}
		}
		slices.Sort(tables)
	}
	if exists {
		now, err := query(ctx, cat.conn, "SELECT n.nspname, r.relname FROM pg_publication_rel p JOIN pg_class r ON r.oid = p.prrelid JOIN pg_namespace n ON n.oid = r.relnamespace JOIN pg_publication b ON b.oid = p.prpubid WHERE b.pubname = $1", c.publication)
		if err != nil {
			return "", err
		}
		var have []string
		for _, r := range now {
			have = append(have, quoteName(string(r[0]), string(r[1])))
		}
		if slices.Sort(have); slices.Equal(have, tables) {
			return "", nil
		}
		return "ALTER PUBLICATION " + name + " SET TABLE " + strings.Join(tables, ", "), nil
	}
	sql := "CREATE PUBLICATION " + name
	switch c.autocreate {
	case "all_tables":
		sql += " FOR ALL TABLES"
	case "filtered":
		sql += " FOR TABLE " + strings.Join(tables, ", ")
	}
	var options []string
	if viaRoot {
		options = append(options, "publish_via_partition_root = true")
	}
	if c.publishExplicit {
		options = append(options, "publish = '"+strings.Join(c.published(), ", ")+"'")
	}
	if len(options) > 0 {
		sql += " WITH (" + strings.Join(options, ", ") + ")"
	}
	return sql, nil
}

// published lists the operations that are not skipped.
func (c *config) published() []string {
	var out []string
	for _, o := range []struct {
		op   byte
		name string
	}{{'c', "insert"}, {'u', "update"}, {'d', "delete"}, {'t', "truncate"}} {
		if !c.drops(o.op) {
			out = append(out, o.name)
		}
	}
	return out
}

// createSlot makes the slot and returns where it begins and the name of the
// snapshot as of then, which lives as long as the connection stays idle.
func createSlot(ctx context.Context, repl *pgconn.PgConn, c *config, major int) (lsn, string, error) {
	ctx, cancel := context.WithTimeout(ctx, max(c.slotTimeout, time.Second))
	defer cancel()
	at, name, err := exportSlot(ctx, repl, c.slot, false, c.failover, major)
	if err == nil {
		return at, name, nil
	}
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("it waits for transactions that are open; end them or raise create.slot.command.timeout: %w", err)
	}
	err = fmt.Errorf("create slot %s: %w", c.slot, err)
	if sqlState(err) == codeDuplicate {
		err = sdk.Retry(err, c.slotDelay) // it was not there a moment ago: somebody else makes it
	}
	return 0, "", err
}

// exportSlot makes a slot that exports a snapshot. A temporary one goes with
// the connection.
func exportSlot(ctx context.Context, repl *pgconn.PgConn, slot string, temporary, failover bool, major int) (lsn, string, error) {
	options := "EXPORT_SNAPSHOT"
	if major >= 15 {
		options = "(SNAPSHOT 'export')"
		if failover && major >= 17 {
			options = "(SNAPSHOT 'export', FAILOVER true)"
		}
	}
	kind := ""
	if temporary {
		kind = "TEMPORARY "
	}
	rows, err := query(ctx, repl, fmt.Sprintf("CREATE_REPLICATION_SLOT %s %sLOGICAL pgoutput %s", quoteName(slot), kind, options))
	if err != nil {
		return 0, "", err
	}
	if len(rows) != 1 || len(rows[0]) < 3 {
		return 0, "", errors.New("unexpected answer")
	}
	at, err := parseLSN(string(rows[0][1]))
	return at, string(rows[0][2]), err
}
