package jdbc

import (
	"fmt"
	"strings"
	"testing"

	"github.com/millrace/millrace/plugins/data"
	"github.com/millrace/millrace/plugins/sdk"
	"github.com/millrace/millrace/plugins/sdktest"
)

func TestConformance(t *testing.T) {
	var records []data.Record
	var want []string
	for i := range 30 {
		records = append(records, sdktest.LogRecord(t, "t", 0, int64(i), person(t, int32(i), "p").Schema(), person(t, int32(i), "p")))
		want = append(want, fmt.Sprintf("%d|p", i))
	}
	sdktest.TestSink(t, sdktest.Sink{
		Connector: Connectors()[0],
		Config: func(tb testing.TB) map[string]string {
			return newConfigFor(tb, pg.Database(tb), map[string]string{"auto.create": "true", "batch.size": "7"})
		},
		Records: records, Want: want, ExactlyOnce: true,
		Read: func(tb testing.TB, config map[string]string) []string {
			_, db, _ := strings.Cut(strings.TrimPrefix(config["connection.url"], "jdbc:postgresql://"), "/")
			db, _, _ = strings.Cut(db, "?")
			if there := pg.Exec(tb, db, "SELECT to_regclass('t') IS NOT NULL"); there[0] != "t" {
				return nil
			}
			return pg.Exec(tb, db, "SELECT id, name FROM t ORDER BY id")
		},
		BadConfigs: map[string]map[string]string{
			"no url":           {"name": "x"},
			"another database": {"name": "x", "connection.url": "jdbc:mysql://h/db"},
			"upsert no key":    newConfigFor(t, "x", map[string]string{"insert.mode": "upsert"}),
		},
	})
}

func TestInsert(t *testing.T) {
	b := start(t, pg.Database(t), map[string]string{"auto.create": "true"})
	b.MustPut(b.rec(nil, person(t, 1, "a\tb\n\\")), b.rec(nil, person(t, 1, nil)), b.rec(nil, person(t, 2, "c")))
	b.rows("SELECT id, name, name IS NULL FROM t ORDER BY id, name", "1|a\tb\n\\|f", "1||t", "2|c|f")
}

func TestUpsert(t *testing.T) {
	b := start(t, pg.Database(t), map[string]string{"auto.create": "true", "insert.mode": "upsert", "pk.mode": "record_key", "delete.enabled": "true"})
	b.MustPut(b.rec(idKey(t, 1), person(t, 1, "a")), b.rec(idKey(t, 2), person(t, 2, `q"\,{}`)), b.rec(idKey(t, 1), person(t, 1, "b")))
	b.rows("SELECT * FROM t ORDER BY id", "1|b", `2|q"\,{}`)
	b.MustPut(b.rec(idKey(t, 2), nil), b.rec(idKey(t, 1), nil), b.rec(idKey(t, 1), person(t, 1, "again")), b.rec(idKey(t, 3), person(t, 3, "c")), b.rec(idKey(t, 3), nil))
	b.rows("SELECT * FROM t ORDER BY id", "1|again")
	b.rows("SELECT conname, contype FROM pg_constraint WHERE conrelid = 't'::regclass AND contype = 'p'", "t_pkey|p")
}

func TestUpdate(t *testing.T) {
	db := pg.Database(t)
	pg.Exec(t, db, "CREATE TABLE t (id int, name text)", "INSERT INTO t VALUES (1, 'old'), (2, 'old')")
	b := start(t, db, map[string]string{"insert.mode": "update", "pk.mode": "record_value", "pk.fields": "id"})
	b.MustPut(b.rec(nil, person(t, 1, "new")), b.rec(nil, person(t, 9, "none")))
	b.rows("SELECT * FROM t ORDER BY id", "1|new", "2|old")
}

func TestKafkaKey(t *testing.T) {
	b := start(t, pg.Database(t), map[string]string{"auto.create": "true", "insert.mode": "upsert", "pk.mode": "kafka"})
	b.MustPut(b.rec(nil, person(t, 1, "a")), b.rec(nil, person(t, 1, "a")))
	b.rows("SELECT * FROM t ORDER BY 3", "t|0|0|1|a", "t|0|1|1|a")
}

func TestTableNamesAndFields(t *testing.T) {
	db := pg.Database(t)
	pg.Exec(t, db, "CREATE SCHEMA s")
	b := start(t, db, map[string]string{"auto.create": "true", "table.name.format": "s.X_${topic}", "fields.whitelist": "name"})
	b.MustPut(b.rec(nil, person(t, 1, "a")))
	b.rows(`SELECT * FROM s."X_t"`, "a")
}

func TestEvolve(t *testing.T) {
	db := pg.Database(t)
	pg.Exec(t, db, `CREATE TABLE t ("ID" int)`)
	b := start(t, db, map[string]string{"auto.evolve": "true"})
	withDefault := data.NewBuilder(data.TypeString).Default("it's").MustBuild()
	b.MustPut(b.rec(nil, st(t, "id", data.Int32Schema, int32(1), "note", withDefault, "n", "extra", data.OptionalInt64Schema, nil)))
	b.rows(`SELECT * FROM t`, "1|n|")
	b.rows("INSERT INTO t (\"ID\") VALUES (2) RETURNING note", "it's")
	n, err := b.Put(b.rec(nil, st(t, "id", data.Int32Schema, int32(1), "must", data.Int32Schema, int32(1))))
	if n != 0 || err == nil || !strings.Contains(err.Error(), "neither optional nor has it a default") {
		t.Errorf("took %d, error %v", n, err)
	}
}

func TestMissingTableSaysWhatToDo(t *testing.T) {
	b := start(t, pg.Database(t), nil)
	if _, err := b.Put(b.rec(nil, person(t, 1, "a"))); err == nil || !strings.Contains(err.Error(), "auto.create") {
		t.Errorf("error %v", err)
	}
}

// One bad record does not keep the others out, wherever it is.
func TestBadRecordAlone(t *testing.T) {
	for _, mode := range []string{"insert", "upsert"} {
		db := pg.Database(t)
		pg.Exec(t, db, "CREATE TABLE t (id int PRIMARY KEY, name varchar(3) CHECK (name <> 'bad'))")
		b := start(t, db, map[string]string{"insert.mode": mode, "pk.mode": "record_value", "pk.fields": "id"})
		var records []data.Record
		for i := range int32(20) {
			name := "ok"
			switch i {
			case 7:
				name = "bad"
			case 13:
				name = "too long"
			case 19:
				name = "n\x00"
			}
			records = append(records, b.rec(nil, person(t, i, name)))
		}
		var faulty []int
		for at := 0; at < len(records); {
			n, err := b.Put(records[at:]...)
			if at += n; err != nil {
				faulty = append(faulty, at)
				at++
			}
		}
		if fmt.Sprint(faulty) != "[7 13 19]" {
			t.Errorf("%s: records at fault %v", mode, faulty)
		}
		b.rows("SELECT count(*) FROM t WHERE name = 'ok'", "17")
	}
}

func TestSchemalessValueIsRefused(t *testing.T) {
	b := start(t, pg.Database(t), map[string]string{"auto.create": "true"})
	if _, err := b.Put(sdktest.LogRecord(t, "t", 0, 0, nil, map[string]any{"a": "b"})); err == nil || !strings.Contains(err.Error(), "schema") {
		t.Errorf("error %v", err)
	}
}

func envelope(t *testing.T, op string, before, after *data.Struct) *data.Struct {
	t.Helper()
	row := after
	if row == nil {
		row = before
	}
	source := st(t, "table", data.StringSchema, "people")
	var b, a any
	if before != nil {
		b = before
	}
	if after != nil {
		a = after
	}
	return namedStruct(t, "x.Envelope", "before", row.Schema(), b, "after", row.Schema(), a, "source", source.Schema(), source, "op", data.StringSchema, op)
}

func TestChangeEvents(t *testing.T) {
	b := start(t, pg.Database(t), map[string]string{
		"connector.class": "DebeziumJdbcSink", "schema.evolution": "basic", "insert.mode": "upsert", "primary.key.mode": "record_key",
		"delete.enabled": "true", "truncate.enabled": "true", "collection.name.format": "${source.table}",
	})
	// A tombstone of a table that is still to be made means nothing.
	b.MustPut(b.rec(idKey(t, 1), envelope(t, "d", person(t, 1, "a"), nil)))
	b.MustPut(b.rec(idKey(t, 1), envelope(t, "c", nil, person(t, 1, "a"))), b.rec(idKey(t, 2), envelope(t, "r", nil, person(t, 2, "b"))),
		b.rec(idKey(t, 2), envelope(t, "u", person(t, 2, "b"), person(t, 2, unavailable))), b.rec(idKey(t, 3), envelope(t, "c", nil, person(t, 3, "c"))))
	b.rows("SELECT * FROM people ORDER BY id", "1|a", "2|b", "3|c")
	b.MustPut(b.rec(idKey(t, 2), envelope(t, "u", nil, person(t, 2, unavailable))), b.rec(idKey(t, 1), envelope(t, "d", person(t, 1, "a"), nil)))
	b.rows("SELECT * FROM people ORDER BY id", "2|b", "3|c")
	b.MustPut(b.rec(nil, envelope(t, "t", person(t, 1, "a"), nil)), b.rec(idKey(t, 4), envelope(t, "c", nil, person(t, 4, "d"))))
	b.rows("SELECT * FROM people ORDER BY id", "4|d")
}

// A task whose partition another one took writes nothing more.
func TestZombieIsFenced(t *testing.T) {
	db := pg.Database(t)
	old := start(t, db, map[string]string{"auto.create": "true"})
	old.MustPut(old.rec(nil, person(t, 1, "a")))
	young := start(t, db, nil)
	if got := young.Events().Rewind; fmt.Sprint(got) != fmt.Sprint(sdk.Offsets{{Topic: "t"}: 1}) {
		t.Errorf("rewound to %v", got)
	}
	if _, err := old.Put(old.rec(nil, person(t, 2, "zombie"))); err == nil || !strings.Contains(err.Error(), "another task") {
		t.Errorf("error %v", err)
	}
	young.next = 1
	young.MustPut(young.rec(nil, person(t, 2, "b")))
	young.rows("SELECT * FROM t ORDER BY id", "1|a", "2|b")
}

// Fields that count from the epoch are timestamps where the configuration says
// so.
func TestTimestampFields(t *testing.T) {
	for mode, unit := range map[string]int64{"microseconds": 1, "nanoseconds": 1000} {
		b := start(t, pg.Database(t), map[string]string{"auto.create": "true", "timestamp.fields.list": "at,text", "timestamp.precision.mode": mode, "db.timezone": "Europe/Paris"})
		n := int64(1700000000123456) * unit
		preset := data.NewBuilder(data.TypeInt64).Optional().Default(unit * 1e6).MustBuild()
		b.MustPut(
			b.rec(nil, st(t, "at", preset, n, "text", data.OptionalStringSchema, fmt.Sprint(n), "other", data.Int64Schema, n)),
			b.rec(nil, st(t, "at", preset, nil, "text", data.OptionalStringSchema, nil, "other", data.Int64Schema, n)))
		b.rows("SELECT at, text, other FROM t ORDER BY at DESC", fmt.Sprintf("2023-11-14 23:13:20.123456|2023-11-14 23:13:20.123456|%d", n), fmt.Sprintf("1970-01-01 01:00:01||%d", n))
		if _, err := b.Put(b.rec(nil, st(t, "at", preset, nil, "text", data.OptionalStringSchema, "soon", "other", data.Int64Schema, n))); err == nil || !strings.Contains(err.Error(), "no number") {
			t.Errorf("error %v", err)
		}
	}
}

// Every write of a key is done where the configuration says so.
func TestPassthrough(t *testing.T) {
	for mode, want := range map[string][]string{"deduplication": {"1|c", "2|x"}, "passthrough": {"1|a", "1|b", "1|c", "2|x"}} {
		db := pg.Database(t)
		pg.Exec(t, db, "CREATE TABLE t (id int PRIMARY KEY, name text)", "CREATE TABLE seen (n serial, id int, name text)",
			"CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO seen (id, name) VALUES (NEW.id, NEW.name); RETURN NEW; END $$",
			"CREATE TRIGGER see AFTER INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION see()")
		b := start(t, db, map[string]string{"connector.class": "DebeziumJdbcSink", "insert.mode": "upsert", "primary.key.mode": "record_key", "delete.enabled": "true", "keyed.message.batch.mode": mode})
		b.MustPut(b.rec(idKey(t, 1), person(t, 1, "a")), b.rec(idKey(t, 1), person(t, 1, "b")), b.rec(idKey(t, 2), person(t, 2, "x")),
			b.rec(idKey(t, 1), nil), b.rec(idKey(t, 1), person(t, 1, "c")))
		b.rows("SELECT id, name FROM seen ORDER BY id, n", want...)
		b.rows("SELECT id, name FROM t ORDER BY id", "1|c", "2|x")
	}
}

// A server that forgot what it had committed, as a standby does that took over
// too early, is given it again.
func TestForgottenTransactionsAreWrittenAgain(t *testing.T) {
	db := pg.Database(t)
	b := start(t, db, map[string]string{"auto.create": "true", "retry.backoff.ms": "1"})
	one, two, three := b.rec(nil, person(t, 1, "a")), b.rec(nil, person(t, 2, "b")), b.rec(nil, person(t, 3, "c"))
	b.MustPut(one, two)
	pg.Exec(t, db, "DELETE FROM t WHERE id = 2", "UPDATE millrace_sink_offsets SET next_offset = 1",
		"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'millrace %' AND datname = current_database()")
	for tries := 0; len(b.Events().Rewind) == 0; tries++ {
		if n, err := b.Put(three); err == nil || tries > 10 {
			t.Fatalf("took %d, %v, without asking for what is missing", n, err)
		}
	}
	if got := b.Events().Rewind; fmt.Sprint(got) != fmt.Sprint(sdk.Offsets{{Topic: "t"}: 1}) {
		t.Errorf("rewound to %v", got)
	}
	b.MustPut(two, three)
	b.rows("SELECT * FROM t ORDER BY id", "1|a", "2|b", "3|c")
}

func TestAlterOffsets(t *testing.T) {
	db := pg.Database(t)
	b := start(t, db, map[string]string{"auto.create": "true"})
	b.MustPut(b.rec(nil, person(t, 1, "a")), b.rec(nil, person(t, 2, "b")))
	b.Close()
	s := Sink{dialect: confluent}
	cfg, problems := append(s.ConfigDef(), sdk.Key{Name: "name", Type: sdk.String}).Parse(b.config)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	if ok, err := s.AlterSinkOffsets(t.Context(), cfg, sdk.Offsets{{Topic: "t"}: 1}); !ok || err != nil {
		t.Fatal(ok, err)
	}
	again := start(t, db, nil)
	if got := again.Events().Rewind[sdk.TopicPartition{Topic: "t"}]; got != 1 {
		t.Errorf("rewound to %d, want 1", got)
	}
}
