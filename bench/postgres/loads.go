package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/millrace/millrace/connectors/postgres/pgtest"
)

// load is a kind of change: the tables, and statements that make n row changes
// in them, committed in transactions of some size.
type load struct {
	name     string
	settings string
	tables   []string // of the schema that is named after the run
	create   func(schema string) []string
	change   func(schema string, n int) []string
}

// inTransactions runs a statement many times, each in a transaction of its
// own, on the server.
func inTransactions(times int, body string) string {
	return fmt.Sprintf("DO $$ BEGIN FOR i IN 1..%d LOOP %s COMMIT; END LOOP; END $$", times, body)
}

const wideColumns = 40

var loads = []load{
	{
		name: "small rows", settings: "inserts of 7 columns, 1000 a transaction", tables: []string{"t"},
		create: func(s string) []string { return []string{smallTable(s + ".t")} },
		change: func(s string, n int) []string {
			return []string{inTransactions(n/1000, smallInsert(s+".t", "nextval('"+s+".t_id')", "generate_series(1, 1000) g")+";")}
		},
	},
	{
		name: "pgbench", settings: "3 updates and 1 insert a transaction, as pgbench has them", tables: []string{"accounts", "tellers", "branches", "history"},
		create: func(s string) []string {
			return []string{
				fmt.Sprintf("CREATE TABLE %[1]s.accounts (aid int PRIMARY KEY, bid int, abalance int, filler char(84)); CREATE TABLE %[1]s.tellers (tid int PRIMARY KEY, bid int, tbalance int, filler char(84)); CREATE TABLE %[1]s.branches (bid int PRIMARY KEY, bbalance int, filler char(88)); CREATE TABLE %[1]s.history (tid int, bid int, aid int, delta int, mtime timestamp, filler char(22))", s),
				fmt.Sprintf("INSERT INTO %s.accounts SELECT g, 1, 0, '' FROM generate_series(1, 100000) g", s), fmt.Sprintf("INSERT INTO %s.tellers SELECT g, 1, 0, '' FROM generate_series(1, 10) g", s),
				fmt.Sprintf("INSERT INTO %s.branches VALUES (1, 0, '')", s),
			}
		},
		change: func(s string, n int) []string {
			return []string{inTransactions(n/4, fmt.Sprintf(`UPDATE %[1]s.accounts SET abalance = abalance + 1 WHERE aid = 1 + (i * 7919) %% 100000; UPDATE %[1]s.tellers SET tbalance = tbalance + 1 WHERE tid = 1 + i %% 10;
UPDATE %[1]s.branches SET bbalance = bbalance + 1 WHERE bid = 1; INSERT INTO %[1]s.history VALUES (1 + i %% 10, 1, i, 1, now(), '');`, s))}
		},
	},
	{
		name: "wide rows", settings: strconv.Itoa(wideColumns) + " columns of text, 1000 a transaction", tables: []string{"t"},
		create: func(s string) []string {
			columns := make([]string, wideColumns)
			for i := range columns {
				columns[i] = fmt.Sprintf("c%d text", i)
			}
			return []string{fmt.Sprintf("CREATE SEQUENCE %[1]s.t_id; CREATE TABLE %[1]s.t (id bigint PRIMARY KEY, %[2]s)", s, strings.Join(columns, ", "))}
		},
		change: func(s string, n int) []string {
			values := strings.Repeat(", 'some text of a column ' || g", wideColumns)
			return []string{inTransactions(max(n/10000, 1), fmt.Sprintf("INSERT INTO %s.t SELECT nextval('%s.t_id')%s FROM generate_series(1, 1000) g;", s, s, values))}
		},
	},
}

func smallTable(name string) string {
	return fmt.Sprintf("CREATE SEQUENCE %[1]s_id; CREATE TABLE %[1]s (id bigint PRIMARY KEY, n int, note text, price numeric(12,2), at timestamptz, ok boolean, f double precision)", name)
}

func smallInsert(name, id, from string) string {
	return fmt.Sprintf("INSERT INTO %s SELECT %s, g, repeat('0123456789abcdef', 4), g / 100.0, now(), true, g / 8.0 FROM %s", name, id, from)
}

// config is what both sides get.
func (b *bench) config(run string, tables []string, more map[string]string) map[string]string {
	list := make([]string, len(tables))
	for i, t := range tables {
		list[i] = run + "." + t
	}
	c := map[string]string{
		"connector.class": "io.debezium.connector.postgresql.PostgresConnector", "tasks.max": "1", "plugin.name": "pgoutput",
		"database.hostname": b.server.Host, "database.port": strconv.Itoa(b.server.Port), "database.user": pgtest.User, "database.password": "none",
		"database.dbname": "postgres", "database.sslmode": "disable", "topic.prefix": run, "table.include.list": strings.Join(list, ","),
		"slot.name": run, "publication.name": run, "publication.autocreate.mode": "filtered",
		"key.converter": "org.apache.kafka.connect.json.JsonConverter", "key.converter.schemas.enable": "false",
		"value.converter": "org.apache.kafka.connect.json.JsonConverter", "value.converter.schemas.enable": "false",
		"extended.headers.enabled": "false", "max.batch.size": "20000", "max.queue.size": "80000",
	}
	for k, v := range more {
		c[k] = v
	}
	return c
}
