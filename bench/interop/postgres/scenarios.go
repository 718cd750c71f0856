package main

import (
	"maps"
	"slices"
	"strings"
)

// scenario is a database, a config, and what happens to the one under the
// other. Between two steps both sides catch up, so that what a connector reads
// from the catalog is as of the step.
type scenario struct {
	name   string
	config map[string]string
	setup  []string
	steps  [][]string
}

// asAvro ends the names of scenarios in which Millrace writes Avro, which is
// compared with Debezium's JSON.
const asAvro = "-as-avro"

func (s *scenario) avro() bool { return strings.HasSuffix(s.name, asAvro) }

// scenarios returns them all.
func scenarios() []scenario {
	all := slices.Concat(typeScenarios(), rowScenarios(), eventScenarios(), nameScenarios(), columnScenarios())
	for _, s := range slices.Clone(all) {
		if slices.Contains(inAvro, s.name) {
			s.name += asAvro
			all = append(all, s)
		}
	}
	return all
}

// inAvro are the scenarios that are played with Avro as well: every type in
// the modes that change it most, old rows, values out of line, transactions.
// With propagated types there can be none: VariableScaleDecimal has other
// parameters in each column then, and Avro takes a name for one type.
var inAvro = []string{"types", "types-double", "types-string", "edges-adaptive", "special-string", "toast", "transactions"}

func typeScenarios() []scenario {
	setup := slices.Concat(typeSetup, []string{typeTable("types"), typeTable("types_full"), "ALTER TABLE types_full REPLICA IDENTITY FULL", defaults},
		typeRows("types", 1), typeRows("types_full", 1), []string{"INSERT INTO defaults DEFAULT VALUES", "INSERT INTO defaults (i, t_null, d, js) VALUES (NULL, NULL, NULL, NULL)"})
	step := slices.Concat(typeRows("types", 101), typeRows("types_full", 101),
		[]string{"UPDATE types SET i2 = 7", "UPDATE types_full SET i2 = 7", "DELETE FROM types WHERE id > 100", "DELETE FROM types_full WHERE id > 100",
			"INSERT INTO defaults DEFAULT VALUES", "INSERT INTO defaults (i, t_null, d, js) VALUES (NULL, NULL, NULL, NULL)",
			"UPDATE defaults SET i8 = 1", "DELETE FROM defaults"})
	var out []scenario
	for _, m := range []struct {
		name   string
		config map[string]string
	}{
		{"types", nil},
		{"types-double", map[string]string{"decimal.handling.mode": "double", "time.precision.mode": "connect", "binary.handling.mode": "base64", "hstore.handling.mode": "map", "interval.handling.mode": "string"}},
		{"types-string", map[string]string{"decimal.handling.mode": "string", "time.precision.mode": "isostring", "binary.handling.mode": "hex", "include.unknown.datatypes": "true"}},
		{"types-nanos", map[string]string{"time.precision.mode": "nanoseconds", "binary.handling.mode": "base64-url-safe", "money.fraction.digits": "4"}},
		{"types-adaptive-micros", map[string]string{"time.precision.mode": "adaptive_time_microseconds", "include.unknown.datatypes": "true", "binary.handling.mode": "base64"}},
		{"types-micros", map[string]string{"time.precision.mode": "microseconds"}},
		{"types-propagated", map[string]string{"column.propagate.source.type": ".*"}},
	} {
		if m.config["time.precision.mode"] == "nanoseconds" {
			// Years that nanoseconds do not reach are in the edges.
			m.config["table.exclude.list"] = "public.types_full,public.types"
		}
		out = append(out, scenario{m.name, m.config, setup, [][]string{step}})
	}
	edges := []string{"CREATE TABLE edge (id int PRIMARY KEY, d date, ts timestamp, ts3 timestamp(3), tstz timestamptz, t time, tz timetz, t3 time(3))"}
	values := []string{
		"INSERT INTO edge (id, d) VALUES (1, 'infinity'), (2, '-infinity'), (3, '5874897-12-31'), (4, '4713-01-01 BC')",
		"INSERT INTO edge (id, ts) VALUES (5, 'infinity'), (6, '-infinity'), (7, '294276-12-31 23:59:59.999999'), (8, '4713-01-01 00:00:00 BC')",
		"INSERT INTO edge (id, ts3) VALUES (9, 'infinity'), (10, '-infinity'), (11, '294276-12-31 23:59:59.999'), (12, '4713-01-01 00:00:00 BC')",
		"INSERT INTO edge (id, tstz) VALUES (13, 'infinity'), (14, '-infinity'), (15, '294247-01-01 23:59:59.999999+00'), (16, '4713-01-01 00:00:00+00 BC'), (17, '10000-01-01 00:00:00+00')",
		"INSERT INTO edge (id, t) VALUES (18, '24:00:00')", "INSERT INTO edge (id, tz) VALUES (19, '24:00:00+00'), (21, '24:00:00+02')", "INSERT INTO edge (id, t3) VALUES (22, '24:00:00')",
	}
	for _, mode := range []string{"adaptive", "connect", "isostring", "microseconds"} {
		again := make([]string, len(values))
		for i, v := range values {
			again[i] = strings.ReplaceAll(strings.ReplaceAll(v, "VALUES (", "VALUES (100"), ", (", ", (100")
		}
		out = append(out, scenario{"edges-" + mode, map[string]string{"time.precision.mode": mode}, slices.Concat(edges, again), [][]string{values}})
	}
	numbers := []string{"CREATE TABLE special (id int PRIMARY KEY, n numeric, n2 numeric(6,2), f8 double precision)"}
	special := []string{"INSERT INTO special VALUES (1, 'NaN', 'NaN', 'NaN'), (2, 'Infinity', NULL, 'Infinity'), (3, '-Infinity', NULL, '-Infinity'), (4, 1e-130, NULL, 5e-324), (5, 1e130, NULL, 1.7e308)"}
	for _, mode := range []string{"double", "string"} {
		out = append(out, scenario{"special-" + mode, map[string]string{"decimal.handling.mode": mode}, numbers, [][]string{special}})
	}
	return out
}

func rowScenarios() []scenario {
	big := "repeat('0123456789', 500)"
	toast := `CREATE TABLE %s (id int PRIMARY KEY, n int, t text, tn text NOT NULL, b bytea, j json, jb jsonb, x xml, v varchar(10000), hs hstore, num numeric,
ai int[], ai8 bigint[], ai2 smallint[], at text[], au uuid[], ab bytea[], an numeric[], ad date[], af8 double precision[], atz timestamptz[], abool boolean[], ci citext, tsv tsvector, vb varbit)`
	storage := ""
	for _, c := range []string{"t", "tn", "b", "j", "jb", "x", "v", "hs", "num", "ai", "ai8", "ai2", "at", "au", "ab", "an", "ad", "af8", "atz", "abool", "ci", "vb"} {
		storage += ", ALTER " + c + " SET STORAGE EXTERNAL"
	}
	storage = storage[2:]
	var setup []string
	setup = append(setup, "CREATE EXTENSION hstore", "CREATE EXTENSION citext")
	for _, name := range []string{"toast", "toast_full"} {
		setup = append(setup, sprintf(toast, name), "ALTER TABLE "+name+" "+storage)
	}
	setup = append(setup, "ALTER TABLE toast_full REPLICA IDENTITY FULL")
	insert := `INSERT INTO %s SELECT 1, 1, ` + big + `, ` + big + `, decode(repeat('00ff', 3000), 'hex'), ('"'||` + big + `||'"')::json, ('"'||` + big + `||'"')::jsonb,
('<a>'||` + big + `||'</a>')::xml, ` + big + `, hstore('k', ` + big + `), (` + big + `)::numeric,
a.ai, a.ai::bigint[], a.ai::smallint[], a.ai::text[], a.au, a.ab, a.ai::numeric[], a.ad, a.ai::double precision[], a.atz, a.abool, ` + big + `::citext, NULL, repeat('01', 20000)::varbit
FROM (SELECT array_agg(g %% 100) ai, array_agg('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid) au, array_agg('\x00ff'::bytea) ab, array_agg('2020-01-01'::date) ad,
array_agg('2020-01-01 00:00+00'::timestamptz) atz, array_agg(true) abool FROM generate_series(1, 2000) g) a`
	steps := [][]string{{
		sprintf(insert, "toast"), "UPDATE toast SET n = 2", "UPDATE toast SET t = 'short'", "UPDATE toast SET id = 2", "DELETE FROM toast",
		sprintf(insert, "toast_full"), "UPDATE toast_full SET n = 2", "UPDATE toast_full SET t = 'short'", "UPDATE toast_full SET id = 2", "DELETE FROM toast_full",
	}}
	var out []scenario
	for _, m := range []struct {
		name   string
		config map[string]string
	}{
		{"toast", nil},
		{"toast-hex", map[string]string{"binary.handling.mode": "hex", "unavailable.value.placeholder": "gone", "decimal.handling.mode": "string", "hstore.handling.mode": "map"}},
		{"toast-base64", map[string]string{"binary.handling.mode": "base64", "unavailable.value.placeholder": "hex:00ff10", "decimal.handling.mode": "double"}},
	} {
		out = append(out, scenario{m.name, m.config, setup, steps})
	}
	identity := scenario{name: "identity", setup: []string{
		"CREATE TABLE full_ (id int PRIMARY KEY, a text NOT NULL, b int); ALTER TABLE full_ REPLICA IDENTITY FULL",
		"CREATE TABLE nokey (a text, b int); ALTER TABLE nokey REPLICA IDENTITY FULL",
		"CREATE TABLE ind (a int NOT NULL, b text, c int NOT NULL UNIQUE); ALTER TABLE ind REPLICA IDENTITY USING INDEX ind_c_key",
		"CREATE TABLE two (a int, b int, v text, PRIMARY KEY (b, a))",
		"CREATE TABLE uniq (a int NOT NULL, b int NOT NULL, v text, UNIQUE (b, a))",
		"CREATE TABLE part (a int NOT NULL, v text); CREATE UNIQUE INDEX ON part (a) WHERE a > 0; CREATE UNIQUE INDEX ON part ((a + 1))",
		"CREATE TABLE nothing (id int PRIMARY KEY, v text); ALTER TABLE nothing REPLICA IDENTITY NOTHING",
		"CREATE TABLE generated (id int PRIMARY KEY, a int, twice int GENERATED ALWAYS AS (a * 2) STORED)",
		"CREATE TABLE zeros (id int PRIMARY KEY, i2 smallint NOT NULL, i8 bigint NOT NULL, f real NOT NULL, d double precision NOT NULL, n numeric(4,1) NOT NULL, na numeric NOT NULL, ok boolean NOT NULL, t timestamptz NOT NULL, ts timestamp NOT NULL, da date NOT NULL, ti time NOT NULL, iv interval NOT NULL, x text[] NOT NULL, s text NOT NULL, j jsonb NOT NULL, u uuid NOT NULL, by bytea NOT NULL, p point NOT NULL, bi bit(4) NOT NULL, s2 text DEFAULT 'd')",
		"INSERT INTO two VALUES (1, 2, 'x'), (3, 1, 'y')", "INSERT INTO generated VALUES (1, 2)",
	}, steps: [][]string{{
		"INSERT INTO full_ VALUES (1, 'x', 2)", "UPDATE full_ SET b = NULL", "UPDATE full_ SET b = NULL", "UPDATE full_ SET id = 2", "DELETE FROM full_",
		"INSERT INTO nokey VALUES ('x', 1)", "UPDATE nokey SET b = 2", "DELETE FROM nokey",
		"INSERT INTO ind VALUES (1, 'x', 5)", "UPDATE ind SET b = 'y'", "UPDATE ind SET c = 6", "DELETE FROM ind",
		"UPDATE two SET v = 'z'", "UPDATE two SET a = a + 1, v = 'moved'", "UPDATE two SET a = 2, b = 1 WHERE b = 2", "DELETE FROM two",
		"INSERT INTO uniq VALUES (1, 2, 'x')", "INSERT INTO part VALUES (1, 'x')", "INSERT INTO nothing VALUES (1, 'x')",
		"INSERT INTO generated VALUES (2, 3)", "UPDATE generated SET a = 7", "DELETE FROM generated",
		`INSERT INTO zeros VALUES (1, 1, 1, 1, 1, 1, 1, true, now(), now(), now(), now(), '1 day', '{a}', 'x', '{}', gen_random_uuid(), '\x01', '(1,2)', B'1010')`, "UPDATE zeros SET i2 = 2", "UPDATE zeros SET id = 3", "DELETE FROM zeros",
	}}}
	partitions := []string{
		"CREATE TABLE p (id int PRIMARY KEY, v text) PARTITION BY RANGE (id)",
		"CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10); CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (10) TO (20)",
		"CREATE TABLE parent (id int PRIMARY KEY, v text); CREATE TABLE child (extra int) INHERITS (parent)", "ALTER TABLE child ADD PRIMARY KEY (id)",
		"INSERT INTO p VALUES (1, 'a'), (11, 'b')", "INSERT INTO parent VALUES (1, 'p')", "INSERT INTO child VALUES (2, 'c', 3)",
	}
	partitionSteps := [][]string{{"INSERT INTO p VALUES (2, 'c')", "INSERT INTO p VALUES (12, 'd')", "UPDATE p SET id = 13 WHERE id = 2", "DELETE FROM p WHERE id = 12", "INSERT INTO child VALUES (4, 'c', 5)", "UPDATE parent SET v = 'all'"}}
	for _, root := range []string{"false", "true"} {
		out = append(out, scenario{"partitions-root-" + root, map[string]string{"publish.via.partition.root": root}, partitions, partitionSteps})
	}
	return append(out, identity)
}

// tables are what most scenarios of events need.
var tables = []string{
	"CREATE TABLE t (id int PRIMARY KEY, v text)", "CREATE TABLE u (id int PRIMARY KEY, t_id int REFERENCES t ON DELETE CASCADE, v text)",
	"INSERT INTO t VALUES (1, 'one'), (2, 'two')", "INSERT INTO u VALUES (1, 1, 'one')",
}

// changes are of every kind, in transactions of several sizes.
var changes = [][]string{{
	"INSERT INTO t VALUES (3, 'three')", "BEGIN; INSERT INTO t VALUES (4, 'four'), (5, 'five'); UPDATE t SET v = 'changed' WHERE id = 4; INSERT INTO u VALUES (2, 4, 'two'); DELETE FROM u WHERE id = 1; COMMIT",
	"UPDATE t SET id = 30 WHERE id = 3", "DELETE FROM t WHERE id = 30", "BEGIN; INSERT INTO t VALUES (99, 'rolled back'); ROLLBACK",
	"BEGIN; INSERT INTO t VALUES (6, 'kept'); SAVEPOINT a; INSERT INTO t VALUES (7, 'rolled back'); ROLLBACK TO a; INSERT INTO t VALUES (8, 'kept'); COMMIT",
}, {"INSERT INTO t SELECT g, 'many' FROM generate_series(100, 120) g"}}

func eventScenarios() []scenario {
	truncates := [][]string{{"TRUNCATE u", "TRUNCATE t CASCADE", "INSERT INTO t VALUES (1, 'again')"}}
	messages := [][]string{{
		"SELECT pg_logical_emit_message(true, 'in', 'first')", "SELECT pg_logical_emit_message(false, 'out', 'second')", `SELECT pg_logical_emit_message(true, 'in', '\x00ff'::bytea)`,
		"BEGIN; INSERT INTO t VALUES (10, 'ten'); SELECT pg_logical_emit_message(true, 'in', 'inside'); SELECT pg_logical_emit_message(false, 'in', 'outside'); INSERT INTO t VALUES (11, 'eleven'); COMMIT",
		"SELECT pg_logical_emit_message(true, '', '')",
	}}
	with := func(name string, config map[string]string, steps ...[]string) scenario {
		return scenario{name, config, tables, steps}
	}
	origins := []string{
		"SELECT pg_replication_origin_create('far')",
		"SELECT pg_replication_origin_session_setup('far'); BEGIN; SELECT pg_replication_origin_xact_setup('0/ABCD', now()); INSERT INTO t VALUES (50, 'from afar'); COMMIT; SELECT pg_replication_origin_session_reset()",
		"INSERT INTO t VALUES (51, 'from here')",
	}
	return []scenario{
		with("changes", nil, changes...),
		with("schemaless", map[string]string{"key.converter.schemas.enable": "false", "value.converter.schemas.enable": "false"}, changes...),
		with("no-tombstones", map[string]string{"tombstones.on.delete": "false"}, changes...),
		with("truncate", map[string]string{"skipped.operations": "none"}, truncates...),
		with("truncate-skipped", nil, truncates...),
		with("skipped", map[string]string{"skipped.operations": "u,d"}, changes...),
		with("transactions", map[string]string{"provide.transaction.metadata": "true", "skipped.operations": "none"}, slices.Concat(changes, truncates, messages)...),
		with("transactions-filtered", map[string]string{"provide.transaction.metadata": "true", "table.include.list": "public.t,public.millrace_end", "topic.transaction": "tx"}, changes...),
		with("messages", nil, messages...),
		with("messages-in", map[string]string{"message.prefix.include.list": "i.", "binary.handling.mode": "base64"}, messages...),
		with("messages-not-in", map[string]string{"message.prefix.exclude.list": "i.,x", "binary.handling.mode": "hex"}, messages...),
		with("heartbeats", map[string]string{"heartbeat.interval.ms": "300", "heartbeat.action.query": "SELECT 1"}, changes...),
		with("heartbeats-named", map[string]string{"heartbeat.interval.ms": "300", "topic.heartbeat.prefix": "beat", "schema.name.adjustment.mode": "avro"}, changes...),
		with("headers", map[string]string{"extended.headers.enabled": "true", "skipped.operations": "none", "provide.transaction.metadata": "true"}, slices.Concat(changes, truncates, messages)...),
		with("origins", map[string]string{"provide.transaction.metadata": "true"}, origins),
		with("xmin", map[string]string{"xmin.fetch.interval.ms": "1"}, changes...),
		signals("incremental", "incremental"), signals("blocking", "blocking"),
		{"ddl", nil, slices.Concat(tables, []string{"CREATE TYPE mood AS ENUM ('a')", "CREATE TABLE m (id int PRIMARY KEY, m mood, n varchar(5))"}), [][]string{
			{"INSERT INTO m VALUES (1, 'a', 'x')", "ALTER TABLE t ADD n int NOT NULL DEFAULT 7", "INSERT INTO t VALUES (10, 'ten')"},
			{"ALTER TABLE t DROP n", "ALTER TABLE t RENAME v TO vv", "INSERT INTO t VALUES (11, 'eleven')"},
			{"ALTER TABLE t ALTER vv TYPE varchar(50)", "INSERT INTO t VALUES (12, 'twelve')"},
			{"ALTER TYPE mood ADD VALUE 'b'", "INSERT INTO m VALUES (2, 'b', 'y')"},
			{"ALTER TABLE m ALTER n TYPE varchar(20), ALTER m SET DEFAULT 'a'", "INSERT INTO m (id, n) VALUES (3, 'longer than')"},
			{"ALTER TABLE m ADD CONSTRAINT nn CHECK (n IS NOT NULL)", "ALTER TABLE m ALTER n SET NOT NULL", "ALTER TABLE m ADD extra numeric(10,3)", "INSERT INTO m VALUES (4, 'b', 'z', 1.5)"},
			{"ALTER TABLE m DROP CONSTRAINT m_pkey", "ALTER TABLE m ADD PRIMARY KEY (id, n)", "ALTER TABLE m ADD later int", "INSERT INTO m VALUES (5, 'b', 'z', 1.5, 6)", "DELETE FROM m WHERE id = 5"},
			{"CREATE TABLE fresh (id int PRIMARY KEY, v text)", "INSERT INTO fresh VALUES (1, 'new')"},
		}},
	}
}

// signals asks for a snapshot of a table while the stream goes on.
func signals(name, kind string) scenario {
	ask := sprintf(`INSERT INTO debezium_signal VALUES ('ask', 'execute-snapshot', '{"type": "%s", "data-collections": ["public.t"]}')`, kind)
	return scenario{name, map[string]string{
		"signal.data.collection": "public.debezium_signal", "table.include.list": "public.t,public.u,public.millrace_end",
	}, slices.Concat(tables, []string{"CREATE TABLE debezium_signal (id varchar(42) PRIMARY KEY, type varchar(32) NOT NULL, data varchar(2048))"}), [][]string{
		{"INSERT INTO t VALUES (3, 'three')"}, {ask, "SELECT pg_sleep(3)"}, {"INSERT INTO t VALUES (4, 'four')", "SELECT pg_sleep(1)"},
	}}
}

func nameScenarios() []scenario {
	setup := []string{
		`CREATE SCHEMA "My Schema"; CREATE TABLE "My Schema"."Tab.le" ("Id" int PRIMARY KEY, "a ""quoted"" one" text, "dot.ted" text, "1st" int, "über_größe" text)`,
		`CREATE TABLE "UPPER" ("ID" int PRIMARY KEY, "Val" text)`, `CREATE TABLE "größe" (id int PRIMARY KEY, "naïve-name" text, "$dollar" int)`,
		`CREATE TABLE under_score (id int PRIMARY KEY, snake_case int)`,
		`INSERT INTO "My Schema"."Tab.le" VALUES (1, 'a', 'b', 2, 'c')`, `INSERT INTO "UPPER" VALUES (1, 'x')`, `INSERT INTO "größe" VALUES (1, 'x', 2)`, `INSERT INTO under_score VALUES (1, 2)`,
	}
	steps := [][]string{{
		`INSERT INTO "My Schema"."Tab.le" VALUES (2, 'a', 'b', 2, 'c')`, `UPDATE "My Schema"."Tab.le" SET "Id" = 3 WHERE "Id" = 2`, `INSERT INTO "UPPER" VALUES (2, 'x')`, `DELETE FROM "UPPER" WHERE "ID" = 2`,
		`INSERT INTO "größe" VALUES (2, 'x', 2)`, `UPDATE under_score SET snake_case = 3`,
	}}
	var out []scenario
	for _, m := range []struct {
		name   string
		config map[string]string
	}{
		{"names", nil},
		{"names-avro", map[string]string{"schema.name.adjustment.mode": "avro", "field.name.adjustment.mode": "avro"}},
		{"names-avro-unicode", map[string]string{"schema.name.adjustment.mode": "avro_unicode", "field.name.adjustment.mode": "avro_unicode"}},
		{"naming-default", map[string]string{"topic.naming.strategy": "io.debezium.schema.DefaultTopicNamingStrategy"}},
		{"naming-unicode", map[string]string{"topic.naming.strategy": "io.debezium.schema.SchemaUnicodeTopicNamingStrategy"}},
		{"naming-default-unicode", map[string]string{"topic.naming.strategy": "io.debezium.schema.DefaultUnicodeTopicNamingStrategy"}},
		{"naming-delimiter", map[string]string{"topic.delimiter": "_", "provide.transaction.metadata": "true", "heartbeat.interval.ms": "500"}},
	} {
		out = append(out, scenario{m.name, m.config, setup, steps})
	}
	regex := map[string]string{"topic.regex": `(.*)\.(t|u)`, "topic.replacement": "$1.both"}
	for _, class := range []string{"Default", "Schema"} {
		config := maps.Clone(regex)
		config["topic.naming.strategy"] = "io.debezium.schema." + class + "RegexTopicNamingStrategy"
		out = append(out, scenario{"naming-regex-" + class, config, tables, changes})
	}
	keyed := maps.Clone(regex)
	maps.Copy(keyed, map[string]string{"topic.naming.strategy": "io.debezium.schema.DefaultRegexTopicNamingStrategy", "topic.key.field.name": "origin", "topic.key.field.regex": `(.*)\.(.*)`, "topic.key.field.replacement": "$2"})
	return append(out, scenario{"naming-regex-key", keyed, tables, changes})
}

func columnScenarios() []scenario {
	setup := []string{
		"CREATE TABLE person (id int PRIMARY KEY, name varchar(20), email text, age int, bio varchar(100) NOT NULL DEFAULT 'none', code char(5), tags text[], joined timestamp(3), amount numeric(9,3), doc json, secret text)",
		"ALTER TABLE person REPLICA IDENTITY FULL",
		"INSERT INTO person VALUES (1, 'Anne', 'anne@example.org', 33, 'long long long', 'abc', '{x}', '2020-01-01 00:00', 1.5, '{}', 'secret one')",
		"INSERT INTO person VALUES (2, NULL, NULL, NULL, '', NULL, NULL, NULL, NULL, NULL, NULL)",
	}
	steps := [][]string{{
		"INSERT INTO person VALUES (3, 'Bert', 'bert@example.org', 44, 'häßlich und lang genug', 'äbc', '{y}', '2020-01-02 00:00', 2.5, '{\"a\":1}', 'secret two')",
		"UPDATE person SET email = 'b@c' WHERE id = 3", "UPDATE person SET secret = 'other' WHERE id = 3", "UPDATE person SET name = 'Bea' WHERE id = 3", "DELETE FROM person WHERE id = 3",
	}}
	with := func(name string, config map[string]string) scenario { return scenario{name, config, setup, steps} }
	return []scenario{
		with("mask", map[string]string{"column.mask.with.5.chars": "public.person.name,public.person.bio", "column.mask.with.0.chars": "public.person.email"}),
		with("mask-hash", map[string]string{"column.mask.hash.SHA-256.with.salt.CzQMA0cB5K": "public.person.email,public.person.name", "column.mask.hash.v2.SHA-512.with.salt.pepper": "public.person.secret,public.person.code"}),
		with("truncate-columns", map[string]string{"column.truncate.to.4.chars": "public.person.(name|email|bio|secret)"}),
		with("propagate", map[string]string{"column.propagate.source.type": "public.person.(name|amount|joined|tags|code)"}),
		with("propagate-all", map[string]string{"datatype.propagate.source.type": ".+\\.(varchar|int4|numeric|timestamp|json)"}),
		with("columns-excluded", map[string]string{"column.exclude.list": "public.person.secret,public.person.id"}),
		with("columns-included", map[string]string{"column.include.list": "public.person.(name|age),public.millrace_end.id"}),
		with("without-change", map[string]string{"column.exclude.list": "public.person.secret", "skip.messages.without.change": "true"}),
		with("key-columns", map[string]string{"message.key.columns": "public.person:name,id"}),
		with("key-columns-many", map[string]string{"message.key.columns": "(.*).nothing:id;(.*).person:email"}),
		with("comments", map[string]string{"include.schema.comments": "false", "snapshot.mode": "no_data"}),
		with("always", map[string]string{"snapshot.mode": "always"}),
		with("override", map[string]string{"snapshot.select.statement.overrides": "public.person", "snapshot.select.statement.overrides.public.person": "SELECT * FROM public.person WHERE id > 1"}),
		with("snapshot-tables", map[string]string{"snapshot.include.collection.list": "public.millrace_end"}),
	}
}
