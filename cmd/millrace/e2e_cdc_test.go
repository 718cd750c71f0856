package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/connect/connector"
	"github.com/millrace/millrace/connectors/postgres/pgtest"
)

// cdcConfig is a Debezium config for one database, as people write it.
func cdcConfig(t *testing.T, address string, more map[string]string) map[string]string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	password, _ := u.User.Password()
	cfg := map[string]string{
		"connector.class":   "io.debezium.connector.postgresql.PostgresConnector",
		"database.hostname": u.Hostname(), "database.port": u.Port(), "database.user": u.User.Username(),
		"database.password": password, "database.dbname": strings.TrimPrefix(u.Path, "/"),
		"plugin.name": "pgoutput", "topic.prefix": "shop", "table.include.list": "public.orders",
		"key.converter": "org.apache.kafka.connect.json.JsonConverter", "key.converter.schemas.enable": "false",
		"value.converter": "org.apache.kafka.connect.json.JsonConverter", "value.converter.schemas.enable": "false",
	}
	for k, v := range more {
		cfg[k] = v
	}
	return cfg
}

// change is what the test looks at of an event.
type change struct {
	Op    string
	After *struct{ ID, N int }
}

// changes reads the committed change events of a topic from its start until
// enough says so.
func (s *server) changes(topic string, enough func(change) bool) {
	s.t.Helper()
	c := s.client(kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	ctx, stop := context.WithTimeout(s.t.Context(), patience)
	defer stop()
	for done := false; !done; {
		fetches := c.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			s.t.Fatalf("consume %s: %v", topic, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if r.Value == nil || done {
				return // tombstone
			}
			var ev change
			if err := json.Unmarshal(r.Value, &ev); err != nil {
				s.t.Fatalf("event %s: %v", r.Value, err)
			}
			done = enough(ev)
		})
	}
}

// Rows are inserted all the time while the task's process, and twice the whole
// server, are killed. Every row arrives once and in order, and the pipeline goes
// on by itself.
func TestKilledServerLosesNoChange(t *testing.T) {
	pg := pgtest.Start(t)
	address := pg.URL(pg.Database(t))
	db, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(context.WithoutCancel(t.Context()))
	exec := func(sql string) {
		t.Helper()
		if _, err := db.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	exec("CREATE TABLE orders (id serial PRIMARY KEY, n int)")
	exec("INSERT INTO orders (n) SELECT i FROM generate_series(1, 500) i")

	s := startServer(t)
	s.create("cdc", cdcConfig(t, address, map[string]string{"exactly.once.support": "required"}))
	rows := 500
	highest := 0
	inOrder := func(ev change) bool {
		if ev.After == nil || ev.After.ID != highest+1 {
			t.Fatalf("event %+v comes after row %d: a row is missing, doubled or out of order", ev, highest)
		}
		highest++
		return highest == rows
	}
	// A snapshot that is cut short begins anew, so nothing is killed before.
	s.changes("shop.public.orders", inOrder)
	insert := func(n int) {
		t.Helper()
		for range n / 10 {
			exec(fmt.Sprintf("INSERT INTO orders (n) SELECT i FROM generate_series(%d, %d) i", rows+1, rows+10))
			rows += 10
		}
	}
	for round := range 3 {
		insert(300)
		switch round {
		case 1:
			for _, pid := range s.taskProcesses("postgres-cdc") {
				if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) { // one that planned has ended
					t.Fatal(err)
				}
			}
		default:
			s.kill()
			insert(100)
			s.restart()
		}
		insert(300)
	}
	s.awaitTask("cdc", connector.Running)

	highest = 0
	s.changes("shop.public.orders", inOrder)
	// The slot lets go of the WAL behind what is stored.
	eventually(t, "the slot's confirmation", func() error {
		var lag int64
		err := db.QueryRow(t.Context(), "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), confirmed_flush_lsn) FROM pg_replication_slots").Scan(&lag)
		if err == nil && lag > 1<<20 {
			err = fmt.Errorf("the slot is %d bytes behind", lag)
		}
		return err
	})
}

// Signals come by a topic of the server's own log, which the connector finds by
// itself.
func TestSignalsComeByTheLog(t *testing.T) {
	pg := pgtest.Start(t)
	name := pg.Database(t)
	pg.Exec(t, name, "CREATE TABLE orders (id serial PRIMARY KEY, n int)", "INSERT INTO orders (n) SELECT i FROM generate_series(1, 50) i")
	s := startServer(t)
	s.create("cdc", cdcConfig(t, pg.URL(name), map[string]string{"snapshot.mode": "no_data", "signal.enabled.channels": "kafka", "signal.poll.interval.ms": "50"}))
	s.awaitTask("cdc", connector.Running)
	c := s.client(kgo.DefaultProduceTopic("shop-signal"), kgo.AllowAutoTopicCreation())
	signal := &kgo.Record{Key: []byte("shop"), Value: []byte(`{"id":"1","type":"execute-snapshot","data":{"data-collections":["public.orders"]}}`)}
	if err := c.ProduceSync(t.Context(), signal).FirstErr(); err != nil {
		t.Fatal(err)
	}
	rows := 0
	s.changes("shop.public.orders", func(ev change) bool {
		if ev.Op != "r" {
			t.Fatalf("event %+v", ev)
		}
		rows++
		return rows == 50
	})
}

// A change travels through every part: PostgreSQL, plugin process, converter,
// log, converter, plugin process, file.
func TestChangesReachAFile(t *testing.T) {
	pg := pgtest.Start(t)
	address := pg.URL(pg.Database(t))
	db, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(context.WithoutCancel(t.Context()))
	for _, sql := range []string{"CREATE TABLE orders (id int PRIMARY KEY, n int)", "INSERT INTO orders VALUES (1, 10)"} {
		if _, err := db.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	s := startServer(t)
	out := s.dir + "-out.txt"
	s.create("cdc", cdcConfig(t, address, nil))
	str := "org.apache.kafka.connect.storage.StringConverter"
	s.create("file", map[string]string{"connector.class": "FileStreamSink", "file": out, "topics": "shop.public.orders", "key.converter": str, "value.converter": str})
	eventually(t, "the row that was there before", func() error { // or it is gone before it is read
		lines, err := readLines(out)
		if err == nil && len(lines) == 0 {
			err = errors.New("nothing in the file yet")
		}
		return err
	})
	for _, sql := range []string{"UPDATE orders SET n = 11", "DELETE FROM orders"} {
		if _, err := db.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "four lines in the file", func() error {
		lines, err := readLines(out)
		if err != nil {
			return err
		}
		var ops []string
		for _, l := range lines {
			var ev change
			if err := json.Unmarshal([]byte(l), &ev); err != nil {
				return err
			}
			ops = append(ops, ev.Op)
		}
		if got := strings.Join(ops, " "); got != "r u d " { // the tombstone is null
			return fmt.Errorf("operations %q", got)
		}
		return nil
	})
}

// A config as people publish it: the row alone, under a topic of their own.
func TestUnwrappedRows(t *testing.T) {
	pg := pgtest.Start(t)
	address := pg.URL(pg.Database(t))
	db, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(context.WithoutCancel(t.Context()))
	for _, sql := range []string{"CREATE TABLE orders (id int PRIMARY KEY, n int)", "INSERT INTO orders VALUES (1, 10)"} {
		if _, err := db.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	s := startServer(t)
	s.create("cdc", cdcConfig(t, address, map[string]string{
		"transforms":             "unwrap,route",
		"transforms.unwrap.type": "io.debezium.transforms.ExtractNewRecordState", "transforms.unwrap.add.fields": "op,table",
		"transforms.unwrap.drop.tombstones": "false", "transforms.unwrap.delete.handling.mode": "rewrite",
		"transforms.route.type": "org.apache.kafka.connect.transforms.RegexRouter", "transforms.route.regex": `([^.]+)\.([^.]+)\.([^.]+)`,
		"transforms.route.replacement": "$3",
	}))
	c := s.client(kgo.ConsumeTopics("orders"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	next := func() string {
		t.Helper()
		fetches := c.PollRecords(ctx, 1)
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		return string(fetches.Records()[0].Value)
	}
	if got, want := next(), `{"id":1,"n":10,"__deleted":"false","__op":"r","__table":"orders"}`; got != want {
		t.Errorf("row is %s, want %s", got, want)
	}
	if _, err := db.Exec(t.Context(), "DELETE FROM orders"); err != nil {
		t.Fatal(err)
	}
	if got, want := next(), `{"id":1,"n":null,"__deleted":"true","__op":"d","__table":"orders"}`; got != want {
		t.Errorf("deletion is %s, want %s", got, want)
	}
}
