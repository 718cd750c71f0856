package postgres

import (
	"strings"
	"testing"
)

func TestLogicalMessages(t *testing.T) {
	w := newWorker(t, shared(t), map[string]string{"message.prefix.exclude.list": "secret.*", "binary.handling.mode": "hex", "provide.transaction.metadata": "true"},
		"CREATE TABLE t (id int PRIMARY KEY)")
	w.run()
	first(t, w)
	w.exec("SELECT pg_logical_emit_message(false, 'alone', 'one')", "SELECT pg_logical_emit_message(false, 'secrets', 'no')",
		"BEGIN; INSERT INTO t VALUES (1); SELECT pg_logical_emit_message(true, 'inside', 'two'); INSERT INTO t VALUES (2); COMMIT")
	got := w.events(6)
	for i, want := range []string{
		`shop.message {"prefix":"alone"} {"op":"m"`, `shop.transaction`, `shop.public.t {"id":1}`, `shop.message {"prefix":"inside"} {"op":"m"`, `shop.public.t {"id":2}`, `shop.transaction`,
	} {
		if e := got[i]; !strings.HasPrefix(e.topic+" "+e.key+" "+e.value, want) {
			t.Errorf("event %d is %s %s %s, want %s", i, e.topic, e.key, e.value, want)
		}
	}
	for i, want := range map[int][]string{
		0: {`"message":{"prefix":"alone","content":"6f6e65"}`, `"transaction":null`, `"schema":"","table":""`, `"txId":null`},
		3: {`"message":{"prefix":"inside","content":"74776f"}`, `"total_order":2,"data_collection_order":1}`},
		5: {`"event_count":3`, `{"data_collection":"LOGICAL_DECODING_MESSAGE","event_count":1}`},
	} {
		for _, part := range want {
			if !strings.Contains(got[i].value, part) {
				t.Errorf("event %d is %s, want %s in it", i, got[i].value, part)
			}
		}
	}
	// A message that stands alone is not sent again to who goes on behind it.
	w.exec("SELECT pg_logical_emit_message(false, 'alone', 'three')")
	w.events(1)
	w.stop()
	w.slotIsFree()
	w.exec("INSERT INTO t VALUES (3)")
	if e := w.events(3)[1]; e.key != `{"id":3}` {
		t.Errorf("after a restart came %v", e)
	}
}

func TestContextHeaders(t *testing.T) {
	w := newWorker(t, shared(t), map[string]string{"extended.headers.enabled": "true"}, "CREATE TABLE t (id int PRIMARY KEY)", "INSERT INTO t VALUES (1)")
	w.events(1)
	w.exec("DELETE FROM t", "INSERT INTO t VALUES (2)", "UPDATE t SET id = 3")
	runs := map[string]bool{}
	for i, e := range w.events(6) {
		headers := e.headers
		if i >= 3 {
			headers = headers[1:] // the other key of an update that moved it
		}
		if len(headers) != 4 {
			t.Fatalf("event %d has headers %v", i, e.headers)
		}
		if s := strings.Join(headers[:3], " "); s != `__debezium.context.connectorLogicalName="shop" __debezium.context.taskId="0" __debezium.context.connectorName="postgresql"` {
			t.Errorf("headers of event %d are %s", i, s)
		}
		runs[headers[3]] = true
	}
	if len(runs) != 1 {
		t.Errorf("one run has the ids %v", runs)
	}
}

func TestUnchangedValuesAreReadAgain(t *testing.T) {
	w := newWorker(t, shared(t), map[string]string{"millrace.toast": "reselect"}, "CREATE TABLE big (a int, b int, n int, t text, PRIMARY KEY (b, a)); ALTER TABLE big ALTER t SET STORAGE EXTERNAL")
	w.run()
	first(t, w)
	w.exec("INSERT INTO big VALUES (1, 2, 1, repeat('t', 5000))", "UPDATE big SET n = 2")
	if v := open(t, w.events(2)[1]); len(v.After) < 5000 || strings.Contains(string(v.After), "unavailable") {
		t.Errorf("update is %.200s", v.After)
	}
	// The row is gone by the time that it is asked for.
	w.stop()
	w.slotIsFree()
	w.exec("UPDATE big SET n = 3", "DELETE FROM big")
	if v := open(t, w.events(3)[0]); !strings.Contains(string(v.After), `"t":"__debezium_unavailable_value"`) {
		t.Errorf("update is %.200s", v.After)
	}
}
