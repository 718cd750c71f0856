package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/millrace/millrace/connectors/postgres/pgtest"
)

// patience bounds each wait for a side.
const patience = 60 * time.Second

func sprintf(format string, args ...any) string { return fmt.Sprintf(format, args...) }

// play runs a scenario on both sides and compares what they wrote. It reports
// whether they agree.
func (b *bench) play(ctx context.Context, out io.Writer, o options, s scenario, prefix string) (ok bool, err error) {
	began := time.Now()
	db, err := openDatabase(ctx, b.db, strings.ToLower(strings.ReplaceAll(s.name, "-", "_")))
	if err != nil {
		return false, err
	}
	defer db.close(ctx)
	if err := db.exec(ctx, append(s.setup, "CREATE TABLE millrace_end (id int PRIMARY KEY)", "INSERT INTO millrace_end VALUES (0)")...); err != nil {
		return false, err
	}
	var logs [2]*capture
	for i, side := range b.sides {
		var avro *avroReader
		if s.avro() && side.registry != "" {
			avro = newAvroReader(side.registry)
		}
		if logs[i], err = startCapture(ctx, side, prefix, s.config["heartbeat.interval.ms"] != "", avro); err != nil {
			return false, err
		}
		defer logs[i].stop()
		if err := side.worker.Put(ctx, prefix, b.config(s, side, prefix, db.name)); err != nil {
			return false, fmt.Errorf("%s: %w", side.name, err)
		}
	}
	broken, err := b.drive(ctx, db, s, prefix, logs)
	if err != nil {
		return false, err
	}
	c := comparison{scenario: s.name, found: make(map[string]*difference)}
	if broken != "" {
		c.note("task", &node{text: broken}, nil)
	} else {
		for _, l := range logs {
			if err := l.settle(ctx); err != nil {
				return false, err
			}
		}
		c.streams(logs[0].topics(), logs[1].topics())
		if err := c.offsets(ctx, b.sides, prefix); err != nil {
			return false, err
		}
	}
	for _, side := range b.sides {
		if err := side.worker.Delete(ctx, prefix); err != nil {
			return false, err
		}
	}
	return c.report(out, o.verbose, time.Since(began)), db.dropSlots(ctx)
}

const avroConverter = "io.confluent.connect.avro.AvroConverter"

// config is a scenario's config for one side. Slot and publication are its own.
func (b *bench) config(s scenario, of side, prefix, db string) map[string]string {
	c := map[string]string{
		"connector.class": "io.debezium.connector.postgresql.PostgresConnector", "tasks.max": "1", "plugin.name": "pgoutput",
		"database.hostname": b.db.Host, "database.port": strconv.Itoa(b.db.Port), "database.user": pgtest.User, "database.password": "none", "database.dbname": db,
		"topic.prefix": prefix, "slot.name": db + "_" + of.name, "publication.name": db + "_" + of.name, "poll.interval.ms": "20",
		// Debezium's default is true; see differences.go.
		"extended.headers.enabled": "false",
		"header.converter":         "org.apache.kafka.connect.json.JsonConverter",
	}
	if s.avro() && of.registry != "" {
		c["key.converter"], c["value.converter"] = avroConverter, avroConverter
		c["key.converter.schema.registry.url"], c["value.converter.schema.registry.url"] = "http://"+of.registry, "http://"+of.registry
	}
	maps.Copy(c, s.config)
	return c
}

// drive waits for both sides to have begun, then runs the steps, each followed
// by a mark that both sides must have written. broken names a side whose task
// has failed.
func (b *bench) drive(ctx context.Context, db *database, s scenario, prefix string, logs [2]*capture) (broken string, err error) {
	wait := func(what string, done func(i int) (bool, error)) (string, error) {
		for end := time.Now().Add(patience); ; {
			all := true
			for i, side := range b.sides {
				ok, err := done(i)
				if err != nil {
					return "", err
				}
				all = all && ok
				if state, err := side.worker.State(ctx, prefix); err == nil && state == "FAILED" {
					return side.name + " has failed: " + cause(side.worker.Status(ctx, prefix)), nil
				}
			}
			if all {
				return "", nil
			}
			if time.Now().After(end) || ctx.Err() != nil {
				return "", fmt.Errorf("%s: not within %s: %s; %s", what, patience, b.sides[0].worker.Status(ctx, prefix), b.sides[1].worker.Status(ctx, prefix))
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
	began := func(i int) (bool, error) {
		if s.config["snapshot.mode"] != "no_data" && !logs[i].marked(0) {
			return false, nil
		}
		return db.active(ctx, db.name+"_"+b.sides[i].name)
	}
	if broken, err := wait("start", began); broken != "" || err != nil {
		return broken, err
	}
	for n, step := range s.steps {
		if err := db.exec(ctx, append(step, sprintf("INSERT INTO millrace_end VALUES (%d)", n+1))...); err != nil {
			return "", err
		}
		if broken, err := wait(sprintf("step %d", n), func(i int) (bool, error) { return logs[i].marked(n + 1), nil }); broken != "" || err != nil {
			return broken, err
		}
	}
	return "", nil
}

// cause is the part of a status that says why a task failed.
func cause(status string) string {
	var causes []string
	for line := range strings.SplitSeq(strings.NewReplacer(`\n`, "\n", `\t`, "").Replace(status), "\n") {
		if strings.Contains(line, "Caused by") {
			causes = append(causes, line)
		}
	}
	if len(causes) > 0 {
		return causes[len(causes)-1]
	}
	_, trace, _ := strings.Cut(status, `"trace":`)
	return fmt.Sprintf("%.500s", trace)
}

// database is the database of a scenario.
type database struct {
	name string
	conn *pgx.Conn
}

func openDatabase(ctx context.Context, s *pgtest.Server, name string) (*database, error) {
	admin, err := pgx.Connect(ctx, s.URL("postgres"))
	if err != nil {
		return nil, err
	}
	_, err = admin.Exec(ctx, "CREATE DATABASE "+name)
	if err = errors.Join(err, admin.Close(ctx)); err != nil {
		return nil, err
	}
	conn, err := pgx.Connect(ctx, s.URL(name))
	if err != nil {
		return nil, err
	}
	return &database{name, conn}, nil
}

// close ends the connection, which nothing depends on any more.
func (d *database) close(ctx context.Context) { _ = d.conn.Close(context.WithoutCancel(ctx)) }

func (d *database) exec(ctx context.Context, statements ...string) error {
	for _, sql := range statements {
		if _, err := d.conn.PgConn().Exec(ctx, sql).ReadAll(); err != nil {
			return fmt.Errorf("%.200s: %w", sql, err)
		}
	}
	return nil
}

func (d *database) active(ctx context.Context, slot string) (active bool, err error) {
	err = d.conn.QueryRow(ctx, "SELECT coalesce(bool_or(active), false) FROM pg_replication_slots WHERE slot_name = $1", slot).Scan(&active)
	return active, err
}

// dropSlots removes the slots of the database once nobody uses them, which
// costs the server nothing from then on.
func (d *database) dropSlots(ctx context.Context) error {
	for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		var n int
		err := d.conn.QueryRow(ctx, "SELECT count(*) FROM pg_replication_slots WHERE database = current_database() AND active").Scan(&n)
		if err != nil {
			return err
		}
		if n == 0 {
			_, err := d.conn.Exec(ctx, "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = current_database()")
			return err
		}
		if time.Now().After(end) {
			return fmt.Errorf("%d slots are still in use", n)
		}
	}
}
