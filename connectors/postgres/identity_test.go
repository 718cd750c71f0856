package postgres

import (
	"errors"
	"strings"
	"testing"

	"github.com/millrace/millrace/plugins/data"
	"github.com/millrace/millrace/plugins/sdk"
)

func TestReplicaIdentities(t *testing.T) {
	w := newWorker(t, shared(t), nil,
		"CREATE TABLE full_ (id int PRIMARY KEY, a text NOT NULL, b int); ALTER TABLE full_ REPLICA IDENTITY FULL",
		"CREATE TABLE nokey (a text, b int); ALTER TABLE nokey REPLICA IDENTITY FULL",
		"CREATE TABLE ind (a int NOT NULL, b text, c int NOT NULL UNIQUE); ALTER TABLE ind REPLICA IDENTITY USING INDEX ind_c_key",
		"CREATE TABLE two (a int, b int, v text, PRIMARY KEY (b, a))",
		"CREATE TABLE zeros (id int PRIMARY KEY, n numeric(4,1) NOT NULL, t timestamptz NOT NULL DEFAULT now(), x text[] NOT NULL, s text DEFAULT 'd')")
	w.run()
	first(t, w)
	w.exec("INSERT INTO full_ VALUES (1, 'x', 2)", "UPDATE full_ SET b = NULL", "DELETE FROM full_")
	compare(t, w.events(4),
		`shop.public.full_ {"id":1} c null {"id":1,"a":"x","b":2}`,
		`shop.public.full_ {"id":1} u {"id":1,"a":"x","b":2} {"id":1,"a":"x","b":null}`,
		`shop.public.full_ {"id":1} d {"id":1,"a":"x","b":null} null`,
		`shop.public.full_ {"id":1} tombstone`)
	w.exec("INSERT INTO nokey VALUES ('x', 1)", "UPDATE nokey SET b = 2", "DELETE FROM nokey")
	compare(t, w.events(3),
		`shop.public.nokey null c null {"a":"x","b":1}`,
		`shop.public.nokey null u {"a":"x","b":1} {"a":"x","b":2}`,
		`shop.public.nokey null d {"a":"x","b":2} null`)
	w.exec("INSERT INTO ind VALUES (1, 'x', 5)", "UPDATE ind SET b = 'y'", "UPDATE ind SET c = 6", "DELETE FROM ind")
	compare(t, w.events(7),
		`shop.public.ind {"c":5} c null {"a":1,"b":"x","c":5}`,
		`shop.public.ind {"c":5} u null {"a":1,"b":"y","c":5}`,
		`shop.public.ind {"c":5} d {"a":0,"b":null,"c":5} null`,
		`shop.public.ind {"c":5} tombstone`,
		`shop.public.ind {"c":6} c null {"a":1,"b":"y","c":6}`,
		`shop.public.ind {"c":6} d {"a":0,"b":null,"c":6} null`,
		`shop.public.ind {"c":6} tombstone`)
	w.exec("INSERT INTO two VALUES (1, 2, 'x')", "INSERT INTO zeros VALUES (1, 2, now(), '{}', NULL)", "DELETE FROM zeros")
	compare(t, w.events(4)[2:],
		`shop.public.zeros {"id":1} d {"id":1,"n":"AA==","t":"1970-01-01T00:00:00.000000Z","x":[],"s":null} null`,
		`shop.public.zeros {"id":1} tombstone`)
}

// first takes the position with which an empty snapshot ends.
func first(t *testing.T, w *worker) {
	t.Helper()
	var b data.Batch
	for w.task.phase != phaseStreaming {
		if err := w.poll(&b); err != nil {
			t.Fatal(err)
		}
		if len(b.Records) > 0 {
			t.Fatalf("records of an empty snapshot: %v", b.Records)
		}
		w.store()
	}
}

func TestToast(t *testing.T) {
	w := newWorker(t, shared(t), map[string]string{"binary.handling.mode": "hex", "unavailable.value.placeholder": "gone"},
		"CREATE TABLE big (id int PRIMARY KEY, n int, t text, b bytea, i int[], u uuid[], x text[])",
		"ALTER TABLE big ALTER t SET STORAGE EXTERNAL, ALTER b SET STORAGE EXTERNAL, ALTER i SET STORAGE EXTERNAL, ALTER u SET STORAGE EXTERNAL, ALTER x SET STORAGE EXTERNAL")
	w.run()
	first(t, w)
	w.exec(`INSERT INTO big SELECT 1, 1, repeat('t', 5000), decode(repeat('00ff', 3000), 'hex'),
(SELECT array_agg(1) FROM generate_series(1, 2000)), (SELECT array_agg(gen_random_uuid()) FROM generate_series(1, 500)),
(SELECT array_agg('x'::text) FROM generate_series(1, 2000))`, "UPDATE big SET n = 2", "UPDATE big SET t = 'short'")
	got := w.events(3)
	if len(got[0].value) < 5000 {
		t.Errorf("insert is %.200s", got[0].value)
	}
	// The UUID is Java's UUID.nameUUIDFromBytes("gone".getBytes()).
	want := `{"id":1,"n":2,"t":"gone","b":"gone","i":[103,111,110,101],"u":["` + uuidOf([]byte("gone")) + `"],"x":["gone"]}`
	if s := string(open(t, got[1]).After); s != want {
		t.Errorf("update is\n%s\nwant\n%s", s, want)
	}
	want = strings.Replace(want, `"t":"gone"`, `"t":"short"`, 1)
	if s := string(open(t, got[2]).After); s != want {
		t.Errorf("update is\n%s\nwant\n%s", s, want)
	}
	// A full old row has the values.
	w.exec("ALTER TABLE big REPLICA IDENTITY FULL", "UPDATE big SET n = 3")
	if v := open(t, w.events(1)[0]); strings.Contains(string(v.After), "gone") || len(v.After) < 5000 || len(v.Before) < 5000 {
		t.Errorf("update with a full old row is %.200s", v.After)
	}
	// An update that moves the key keeps what the new row leaves out.
	w.exec("UPDATE big SET id = 2")
	if v := open(t, w.events(3)[2]); v.Op != "c" || strings.Contains(string(v.After), "gone") {
		t.Errorf("insert under the new key is %s %.200s", v.Op, v.After)
	}
}

func TestKeyColumnsOutsideTheIdentity(t *testing.T) {
	w := newWorker(t, shared(t), map[string]string{"message.key.columns": "(.*).t:name,id"},
		"CREATE TABLE t (id int PRIMARY KEY, name text)")
	w.run()
	first(t, w)
	w.exec("INSERT INTO t VALUES (1, 'n')", "UPDATE t SET name = 'm'")
	compare(t, w.events(2), `shop.public.t {"name":"n","id":1} c null {"id":1,"name":"n"}`,
		`shop.public.t {"name":"m","id":1} u null {"id":1,"name":"m"}`)
	w.exec("DELETE FROM t")
	var b data.Batch
	var err error
	for err == nil && len(b.Records) == 0 {
		err = w.poll(&b)
	}
	var e *sdk.Error
	if !errors.As(err, &e) || !strings.Contains(err.Error(), "REPLICA IDENTITY FULL") {
		t.Errorf("a delete without its key gives %v, records %v", err, b.Records)
	}
}

func TestFilters(t *testing.T) {
	w := newWorker(t, shared(t), map[string]string{
		"table.whitelist": "app\\.(a|b)", "column.exclude.list": "app\\.a\\.secret", "publication.autocreate.mode": "filtered",
		"tombstones.on.delete": "false", "skip.messages.without.change": "true", "schema.name.adjustment.mode": "avro", "topic.prefix": "my-shop",
	}, "CREATE SCHEMA app; CREATE TABLE app.a (id int PRIMARY KEY, secret text, v int); CREATE TABLE app.b (id int PRIMARY KEY); CREATE TABLE app.c (id int)",
		"ALTER TABLE app.a REPLICA IDENTITY FULL", "INSERT INTO app.a VALUES (1, 's', 1)", "INSERT INTO app.c VALUES (1)")
	got := w.events(1)
	compare(t, got, `my-shop.app.a {"id":1} r null {"id":1,"v":1} last`)
	if n := got[0].record.Value.Schema.Name(); n != "my_shop.app.a.Envelope" {
		t.Errorf("schema is named %s", n)
	}
	first(t, w)
	w.exec("INSERT INTO app.c VALUES (2)", "INSERT INTO app.b VALUES (2)", "UPDATE app.a SET secret = 't'", "UPDATE app.a SET v = 2", "DELETE FROM app.a")
	compare(t, w.events(3), `my-shop.app.b {"id":2} c null {"id":2}`,
		`my-shop.app.a {"id":1} u {"id":1,"v":1} {"id":1,"v":2}`, `my-shop.app.a {"id":1} d {"id":1,"v":2} null`)
	if p := w.exec("SELECT tablename FROM pg_publication_tables ORDER BY 1"); strings.Join(p, " ") != "a b" {
		t.Errorf("the publication has %v", p)
	}
}

func TestSchemaChangesWhileStreaming(t *testing.T) {
	w := newWorker(t, shared(t), nil, "CREATE TYPE mood AS ENUM ('a')", "CREATE TABLE t (id int PRIMARY KEY, m mood)")
	w.run()
	first(t, w)
	w.exec("INSERT INTO t VALUES (1, 'a')", "ALTER TABLE t ADD n int NOT NULL DEFAULT 7", "INSERT INTO t VALUES (2, NULL)")
	compare(t, w.events(2), `shop.public.t {"id":1} c null {"id":1,"m":"a"}`, `shop.public.t {"id":2} c null {"id":2,"m":null,"n":7}`)
	w.exec("ALTER TYPE mood ADD VALUE 'b'", "INSERT INTO t VALUES (3, 'b')", "ALTER TABLE t DROP n", "ALTER TABLE t RENAME m TO mm", "INSERT INTO t VALUES (4, 'b')")
	got := w.events(2)
	compare(t, got, `shop.public.t {"id":3} c null {"id":3,"m":"b","n":7}`, `shop.public.t {"id":4} c null {"id":4,"mm":"b"}`)
	f, _ := got[1].record.Value.Schema.Field("after")
	mm, _ := f.Schema.Field("mm")
	if allowed, _ := mm.Schema.Param("allowed"); allowed != "a,b" {
		t.Errorf("labels are %q", allowed)
	}
	// The catalog runs ahead of the stream: it says NOT NULL by the time that a
	// null of before is read.
	w.stop()
	w.exec("INSERT INTO t VALUES (5, NULL)", "UPDATE t SET mm = 'a' WHERE id = 5", "UPDATE t SET mm = 'a' WHERE id = 2", "ALTER TABLE t ALTER mm SET NOT NULL")
	compare(t, w.events(3), `shop.public.t {"id":5} c null {"id":5,"mm":null}`, `shop.public.t {"id":5} u null {"id":5,"mm":"a"}`,
		`shop.public.t {"id":2} u null {"id":2,"mm":"a"}`)
}

func TestPartitionedTables(t *testing.T) {
	for _, root := range []string{"false", "true"} {
		t.Run("root "+root, func(t *testing.T) {
			w := newWorker(t, shared(t), map[string]string{"publish.via.partition.root": root},
				"CREATE TABLE p (id int PRIMARY KEY) PARTITION BY RANGE (id)",
				"CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10); CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (10) TO (20)",
				"INSERT INTO p VALUES (1), (11)")
			a, b, last := "shop.public.p1", "shop.public.p2", "first"
			if root == "true" {
				a, b, last = "shop.public.p", "shop.public.p", "first"
			}
			compare(t, w.events(2), a+` {"id":1} r null {"id":1} `+last, b+` {"id":11} r null {"id":11} last`)
			w.exec("INSERT INTO p VALUES (2)", "INSERT INTO p VALUES (12)")
			compare(t, w.events(2), a+` {"id":2} c null {"id":2}`, b+` {"id":12} c null {"id":12}`)
		})
	}
}

func TestTransactionMetadataAndHeartbeats(t *testing.T) {
	w := newWorker(t, shared(t), map[string]string{
		"provide.transaction.metadata": "true", "heartbeat.interval.ms": "30", "heartbeat.action.query": "INSERT INTO hb VALUES (1) ON CONFLICT DO NOTHING",
		"table.include.list": "public.[tu]",
	}, "CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE u (id int PRIMARY KEY); CREATE TABLE hb (id int PRIMARY KEY)")
	w.run()
	w.exec("SELECT 1")
	var got []event
	var b data.Batch
	wrote := false
	for beats := 0; beats < 2 || len(got) < 5; {
		if err := w.poll(&b); err != nil {
			t.Fatal(err)
		}
		if w.task.phase == phaseStreaming && !wrote {
			wrote = true
			w.exec("BEGIN; INSERT INTO t VALUES (1); INSERT INTO u VALUES (1); INSERT INTO t VALUES (2); COMMIT")
		}
		for i := range b.Records {
			e := asEvent(t, &b.Records[i])
			if strings.HasPrefix(e.topic, "__debezium-heartbeat.shop") {
				if beats++; e.key != `{"serverName":"shop"}` {
					t.Errorf("heartbeat is %s", e.key)
				}
				continue
			}
			if e.topic == "shop.transaction" && strings.Contains(e.value, `"event_count":0`) {
				got = got[:len(got)-1] // the transaction of a heartbeat's statement
				continue
			}
			got = append(got, e)
		}
	}
	if !strings.HasPrefix(got[0].value, `{"status":"BEGIN","id":"`) || !strings.Contains(got[0].value, `"event_count":null,"data_collections":null`) {
		t.Errorf("BEGIN is %s", got[0].value)
	}
	for i, want := range []string{`"total_order":1,"data_collection_order":1}`, `"total_order":2,"data_collection_order":1}`, `"total_order":3,"data_collection_order":2}`} {
		if tx := string(open(t, got[1+i]).Transaction); !strings.HasSuffix(tx, want) {
			t.Errorf("transaction block %d is %s", i, tx)
		}
	}
	if !strings.Contains(got[4].value, `"event_count":3,"data_collections":[{"data_collection":"public.t","event_count":2},{"data_collection":"public.u","event_count":1}]`) {
		t.Errorf("END is %s", got[4].value)
	}
}
