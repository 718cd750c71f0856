package postgres

import (
	"encoding/json"
	"strings"
	"testing"
)

// envelope is what tests look at in an event.
type envelope struct {
	Before, After json.RawMessage
	Op            string
	Source        struct {
		Snapshot, Schema, Table, Sequence string
		TxID                              int64 `json:"txId"`
		LSN                               int64
	}
	Transaction json.RawMessage
}

func open(t *testing.T, e event) envelope {
	t.Helper()
	var v envelope
	if err := json.Unmarshal([]byte(e.value), &v); err != nil {
		t.Fatalf("%s: %v", e.value, err)
	}
	return v
}

// summary writes an event in one line.
func summary(t *testing.T, e event) string {
	t.Helper()
	if e.value == "null" {
		return e.topic + " " + e.key + " tombstone"
	}
	v := open(t, e)
	s := e.topic + " " + e.key + " " + v.Op + " " + string(v.Before) + " " + string(v.After)
	if v.Op == "r" {
		s += " " + v.Source.Snapshot
	}
	return s
}

func compare(t *testing.T, got []event, want ...string) {
	t.Helper()
	for i, e := range got {
		if i >= len(want) {
			t.Errorf("event %d too many: %s", i, summary(t, e))
			continue
		}
		if s := summary(t, e); s != want[i] {
			t.Errorf("event %d is\n%s\nwant\n%s", i, s, want[i])
		}
	}
}

func TestSnapshotThenStream(t *testing.T) {
	w := newWorker(t, shared(t), map[string]string{"skipped.operations": "none"},
		"CREATE TABLE orders (id int PRIMARY KEY, note text NOT NULL DEFAULT 'x', price numeric(8,2))",
		`INSERT INTO orders VALUES (1, E'a\tb\\c', 1.5), (2, 'two', NULL)`,
		"CREATE TABLE empty (id int PRIMARY KEY)",
		"CREATE TABLE z (a text)", "INSERT INTO z VALUES ('only')")
	compare(t, w.events(3),
		`shop.public.orders {"id":1} r null {"id":1,"note":"a\tb\\c","price":"AJY="} first`,
		`shop.public.orders {"id":2} r null {"id":2,"note":"two","price":null} last_in_data_collection`,
		`shop.public.z null r null {"a":"only"} last`)
	w.exec("INSERT INTO orders VALUES (3, 'c', 3); UPDATE orders SET note = 'cc' WHERE id = 3",
		"DELETE FROM orders WHERE id = 3", "UPDATE orders SET id = 20 WHERE id = 2", "TRUNCATE orders")
	got := w.events(8)
	compare(t, got,
		`shop.public.orders {"id":3} c null {"id":3,"note":"c","price":"ASw="}`,
		`shop.public.orders {"id":3} u null {"id":3,"note":"cc","price":"ASw="}`,
		`shop.public.orders {"id":3} d {"id":3,"note":"x","price":null} null`,
		`shop.public.orders {"id":3} tombstone`,
		`shop.public.orders {"id":2} d {"id":2,"note":"x","price":null} null`,
		`shop.public.orders {"id":2} tombstone`,
		`shop.public.orders {"id":20} c null {"id":20,"note":"two","price":null}`,
		`shop.public.orders null t null null`)
	if h := strings.Join(got[4].headers, " "); h != `__debezium.newkey={"id":20}` {
		t.Errorf("headers of the delete are %s", h)
	}
	if h := strings.Join(got[6].headers, " "); h != `__debezium.oldkey={"id":2}` {
		t.Errorf("headers of the insert are %s", h)
	}
	first, second := open(t, got[0]), open(t, got[1])
	if first.Source.TxID != second.Source.TxID || first.Source.TxID == 0 || first.Source.LSN >= second.Source.LSN || first.Source.Snapshot != "false" {
		t.Errorf("sources are %+v and %+v", first.Source, second.Source)
	}
	// The next task goes on right there.
	w.stop()
	w.exec("INSERT INTO orders VALUES (4, 'd', 4)")
	compare(t, w.events(1), `shop.public.orders {"id":4} c null {"id":4,"note":"d","price":"AZA="}`)
}
