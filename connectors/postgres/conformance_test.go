package postgres

import (
	"testing"

	"github.com/millrace/millrace/plugins/sdktest"
)

// TestConformance runs the suite over the plugin boundary. The slot is older
// than the rows and is never confirmed, so that all runs find the same changes.
func TestConformance(t *testing.T) {
	w := newWorker(t, shared(t), map[string]string{"snapshot.mode": "no_data", "slot.drop.on.stop": "false"},
		"CREATE TABLE t (id int PRIMARY KEY, v text)", "CREATE PUBLICATION dbz_publication FOR ALL TABLES")
	w.exec("SELECT pg_create_logical_replication_slot('" + w.props["slot.name"] + "', 'pgoutput')")
	for range 10 {
		w.exec("INSERT INTO t SELECT coalesce(max(id), 0) + 1, 'x' FROM t", "INSERT INTO t SELECT g, 'y' FROM generate_series((SELECT max(id) + 1 FROM t), (SELECT max(id) + 2 FROM t)) g")
	}
	w.props["lsn.flush.mode"] = "manual" // the runs before must not move the slot
	bad := func(key, value string) map[string]string {
		return baseProps(map[string]string{key: value})
	}
	sdktest.TestSource(t, sdktest.Source{
		Connector: Connectors()[0],
		Config:    func(testing.TB) map[string]string { return w.props },
		Records:   30,
		BadConfigs: map[string]map[string]string{
			"no prefix": bad("topic.prefix", "-"), "masking": bad("column.mask.hash.X.with.salt.y", "a.b.c"), "pattern": bad("table.include.list", "("),
		},
		Text: func(r sdktest.Record) string { return text(t, r.Key) },
	})
}
