package main

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/millrace/millrace/bench/harness"
	"github.com/millrace/millrace/connectors/postgres/pgtest"
)

// benchCDC measures change data capture end to end: rows of a real PostgreSQL,
// counted in the topic. First the snapshot of a table, then the streaming of
// inserts that were made beforehand, so that the database's own work on them
// is not in the figure.
func benchCDC(ctx context.Context, o options, r *harness.Report) error {
	server, err := pgtest.New()
	if err != nil {
		return err
	}
	defer server.Close()
	db, err := pgx.Connect(ctx, server.URL("postgres"))
	if err != nil {
		return err
	}
	defer db.Close(ctx)
	var snapshot, stream [2]float64
	for i := range 2 {
		if err := harness.WithNode(ctx, o.bin, "", func(n *harness.Node) error {
			snapshot[i], stream[i], err = cdcOnce(ctx, o, n, db, server.URL("postgres"), i)
			return err
		}); err != nil {
			return err
		}
	}
	settings := fmt.Sprintf("%d rows of 8 columns, JsonConverter without schemas, one task, counted in the topic", o.rows)
	r.Add("CDC snapshot", settings, "events/s", snapshot[0], snapshot[1])
	r.Add("CDC streaming", settings, "events/s", stream[0], stream[1])
	return nil
}

// cdcOnce measures on a table of its own and returns events a second.
func cdcOnce(ctx context.Context, o options, n *harness.Node, db *pgx.Conn, address string, run int) (snapshot, stream float64, err error) {
	table := fmt.Sprintf("orders_%d", run)
	insert := fmt.Sprintf(`INSERT INTO %s (customer, status, amount, quantity, note, paid, created)
		SELECT i %% 1000, 'shipped', (i %% 10000) / 100.0, i %% 7, 'a note of some length about order ' || i, i %% 2 = 0, now()
		FROM generate_series(1, %d) i`, table, o.rows)
	for _, sql := range []string{
		fmt.Sprintf(`CREATE TABLE %s (id bigserial PRIMARY KEY, customer int NOT NULL, status text NOT NULL, amount numeric(10,2),
			quantity int, note text, paid boolean, created timestamptz)`, table),
		insert,
	} {
		if _, err := db.Exec(ctx, sql); err != nil {
			return 0, 0, err
		}
	}
	config, err := cdcConfig(address, table)
	if err != nil {
		return 0, 0, err
	}
	topic := "bench.public." + table
	began := time.Now()
	if err := n.CreateConnector(ctx, "cdc", config); err != nil {
		return 0, 0, err
	}
	if err := awaitRecords(ctx, n, topic, int64(o.rows), "cdc"); err != nil {
		return 0, 0, err
	}
	snapshot = float64(o.rows) / time.Since(began).Seconds()

	if err := n.DeleteConnector(ctx, "cdc"); err != nil {
		return 0, 0, err
	}
	if err := awaitSlotFree(ctx, db, config["slot.name"]); err != nil {
		return 0, 0, err
	}
	if _, err := db.Exec(ctx, insert); err != nil {
		return 0, 0, err
	}
	began = time.Now()
	if err := n.CreateConnector(ctx, "cdc", config); err != nil {
		return 0, 0, err
	}
	if err := awaitRecords(ctx, n, topic, int64(2*o.rows), "cdc"); err != nil {
		return 0, 0, err
	}
	stream = float64(o.rows) / time.Since(began).Seconds()
	if err := n.DeleteConnector(ctx, "cdc"); err != nil {
		return 0, 0, err
	}
	if err := awaitSlotFree(ctx, db, config["slot.name"]); err != nil {
		return 0, 0, err
	}
	_, err = db.Exec(ctx, "SELECT pg_drop_replication_slot($1)", config["slot.name"])
	return snapshot, stream, err
}

// awaitSlotFree waits until no connector holds the slot.
func awaitSlotFree(ctx context.Context, db *pgx.Conn, slot string) error {
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		var active bool
		if err := db.QueryRow(ctx, "SELECT active FROM pg_replication_slots WHERE slot_name = $1", slot).Scan(&active); err != nil {
			return err
		}
		if !active {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("slot %s is still held", slot)
		}
	}
}

func cdcConfig(address, table string) (map[string]string, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	password, _ := u.User.Password()
	return map[string]string{
		"connector.class":   "io.debezium.connector.postgresql.PostgresConnector",
		"database.hostname": u.Hostname(), "database.port": u.Port(), "database.user": u.User.Username(),
		"database.password": password, "database.dbname": strings.TrimPrefix(u.Path, "/"),
		"topic.prefix": "bench", "table.include.list": "public." + table, "plugin.name": "pgoutput",
		"slot.name": "bench_" + table, "publication.name": "bench_" + table, "publication.autocreate.mode": "filtered",
		"key.converter": "org.apache.kafka.connect.json.JsonConverter", "key.converter.schemas.enable": "false",
		"value.converter": "org.apache.kafka.connect.json.JsonConverter", "value.converter.schemas.enable": "false",
	}, nil
}
