package timescale

import (
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/connectors/postgres/pgtest"
)

// tables are those of TimescaleDB's catalog that are read.
var tables = []string{
	"CREATE SCHEMA _timescaledb_catalog",
	"CREATE TABLE _timescaledb_catalog.hypertable (id int PRIMARY KEY, schema_name name, table_name name)",
	"CREATE TABLE _timescaledb_catalog.chunk (id int PRIMARY KEY, hypertable_id int, schema_name name, table_name name)",
	"CREATE TABLE _timescaledb_catalog.continuous_agg (mat_hypertable_id int PRIMARY KEY, user_view_schema name, user_view_name name)",
	"INSERT INTO _timescaledb_catalog.hypertable VALUES (1, 'public', 'conditions'), (2, '_timescaledb_internal', '_materialized_hypertable_2')",
	"INSERT INTO _timescaledb_catalog.chunk VALUES (1, 1, '_timescaledb_internal', '_hyper_1_1_chunk'), (2, 2, '_timescaledb_internal', '_hyper_2_2_chunk')",
	"INSERT INTO _timescaledb_catalog.continuous_agg VALUES (2, 'public', 'conditions_summary')",
}

func chunk(name string) Table { return Table{"_timescaledb_internal", name} }

func TestOwner(t *testing.T) {
	pg := pgtest.Start(t)
	db := pg.Database(t)
	pg.Exec(t, db, tables...)
	c, err := New(Config{Host: pg.Host, Port: pg.Port, User: pgtest.User, Database: db, SSL: map[string]string{"sslmode": "disable", "sslcert": ""}})
	if err != nil {
		t.Fatal(err)
	}
	at := time.Unix(0, 0)
	c.now = func() time.Time { return at }
	want := func(name string, o Owner, known bool) {
		t.Helper()
		if got, ok, err := c.Owner(chunk(name)); err != nil || ok != known || got != o {
			t.Errorf("Owner(%s) = %v, %v, %v, want %v", name, got, ok, err, o)
		}
	}
	conditions := Owner{Hypertable: Table{"public", "conditions"}}
	want("_hyper_1_1_chunk", conditions, true)
	want("_hyper_2_2_chunk", Owner{chunk("_materialized_hypertable_2"), Table{"public", "conditions_summary"}}, true)
	want("_hyper_1_3_chunk", Owner{}, false)
	// It is made, and looked for when it is due again.
	pg.Exec(t, db, "INSERT INTO _timescaledb_catalog.chunk VALUES (3, 1, '_timescaledb_internal', '_hyper_1_3_chunk')", "DELETE FROM _timescaledb_catalog.chunk WHERE id = 1")
	want("_hyper_1_3_chunk", Owner{}, false)
	at = at.Add(unknownFor)
	want("_hyper_1_3_chunk", conditions, true)
	want("_hyper_1_1_chunk", conditions, true) // was dropped since

	pg.Exec(t, db, "DROP SCHEMA _timescaledb_catalog CASCADE")
	if _, _, err := c.Owner(chunk("other")); err == nil || !strings.Contains(err.Error(), "catalog") {
		t.Errorf("without a catalog: %v", err)
	}
}

func TestNew(t *testing.T) {
	if _, err := New(Config{Host: "db", User: "u"}); err == nil || !strings.Contains(err.Error(), "database.dbname") {
		t.Errorf("without a database: %v", err)
	}
	if _, err := New(Config{Host: "db", Port: 5432, User: "u", Password: "hunter2", Database: "d", SSL: map[string]string{"sslmode": "nonsense"}}); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("with a mode of TLS that there is none of: %v", err)
	}
	c, err := New(Config{Host: "127.0.0.1", Port: 1, User: "u", Password: "hunter2", Database: "d"})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.Owner(chunk("x")); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("without a server: %v", err)
	}
}
