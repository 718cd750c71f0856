package postgres

import (
	"strings"
	"testing"
)

// afterOf is the row after a change, of the event of a key.
func afterOf(t *testing.T, e event) string {
	t.Helper()
	return string(open(t, e).After)
}

func TestReselectColumns(t *testing.T) {
	const table = "CREATE TABLE t (id int PRIMARY KEY, n int NOT NULL, big text, b bytea, own text); ALTER TABLE t ALTER big SET STORAGE EXTERNAL, ALTER b SET STORAGE EXTERNAL"
	const insert = "INSERT INTO t VALUES (1, 7, repeat('x', 3000), decode(repeat('61', 3000), 'hex'), NULL)"
	long := strings.Repeat("x", 3000)
	for name, tt := range map[string]struct {
		props map[string]string
		check func(t *testing.T, created, updated string)
	}{
		"all": {nil, func(t *testing.T, created, updated string) {
			if !strings.Contains(updated, long) || strings.Contains(updated, "unavailable") || !strings.Contains(created, `"own":"later"`) || !strings.Contains(updated, `"own":"later"`) {
				t.Errorf("created %.200s\nupdated %.200s", created, updated)
			}
		}},
		"some columns": {map[string]string{"again.reselect.columns.include.list": "public.t:big"}, func(t *testing.T, created, updated string) {
			if !strings.Contains(updated, long) || !strings.Contains(updated, `"own":null`) || strings.Count(updated, "YWFh") > 0 {
				t.Errorf("created %.200s\nupdated %.200s", created, updated)
			}
		}},
		"all but some": {map[string]string{"again.reselect.columns.exclude.list": "public.t:(big|own)"}, func(t *testing.T, created, updated string) {
			if !strings.Contains(updated, `"big":"__debezium_unavailable_value"`) || !strings.Contains(updated, "YWFh") || !strings.Contains(created, `"own":null`) {
				t.Errorf("created %.200s\nupdated %.200s", created, updated)
			}
		}},
		"only what is not sent": {map[string]string{"again.reselect.null.values": "false"}, func(t *testing.T, created, updated string) {
			if !strings.Contains(updated, long) || !strings.Contains(updated, `"own":null`) || !strings.Contains(created, `"own":null`) {
				t.Errorf("created %.200s\nupdated %.200s", created, updated)
			}
		}},
		"only null": {map[string]string{"again.reselect.unavailable.values": "false"}, func(t *testing.T, created, updated string) {
			if !strings.Contains(updated, `"big":"__debezium_unavailable_value"`) || !strings.Contains(updated, `"own":"later"`) {
				t.Errorf("created %.200s\nupdated %.200s", created, updated)
			}
		}},
		"by the event's key": {map[string]string{"again.reselect.use.event.key": "true", "message.key.columns": "public.t:n"}, func(t *testing.T, created, updated string) {
			if !strings.Contains(updated, long) {
				t.Errorf("created %.200s\nupdated %.200s", created, updated)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			props := map[string]string{"snapshot.mode": "no_data", "post.processors": "again", "again.type": reselectClass}
			for k, v := range tt.props {
				props[k] = v
			}
			w := newWorker(t, shared(t), props, table)
			w.run()
			pollUntil(t, w, func() bool { return w.task.phase == phaseStreaming && w.stored != nil }, func(e event) { t.Fatalf("unexpected %v", e) })
			// When the first two are read, the third has happened.
			w.exec(insert+"; COMMIT; UPDATE t SET n = 7 WHERE id = 1", "UPDATE t SET own = 'later'")
			e := w.events(3)
			tt.check(t, afterOf(t, e[0]), afterOf(t, e[1]))
		})
	}
}

// A row that is gone leaves its events as they are, or fails the task.
func TestReselectedRowIsGone(t *testing.T) {
	props := map[string]string{"snapshot.mode": "no_data", "post.processors": "again", "again.type": reselectClass}
	w := newWorker(t, shared(t), props, "CREATE TABLE t (id int PRIMARY KEY, v text)")
	w.run()
	pollUntil(t, w, func() bool { return w.task.phase == phaseStreaming && w.stored != nil }, func(e event) { t.Fatalf("unexpected %v", e) })
	w.exec("INSERT INTO t VALUES (1, NULL)", "DELETE FROM t")
	compare(t, w.events(3), `shop.public.t {"id":1} c null {"id":1,"v":null}`, `shop.public.t {"id":1} d {"id":1,"v":null} null`, `shop.public.t {"id":1} tombstone`)
	w.stop()
	w.props["again.reselect.error.handling.mode"] = "fail"
	w.exec("INSERT INTO t VALUES (2, NULL)", "DELETE FROM t")
	if err := failure(t, w); !strings.Contains(err.Error(), "there is no such row") {
		t.Errorf("error is %v", err)
	}
}

func TestGuardrail(t *testing.T) {
	w := newWorker(t, shared(t), map[string]string{"guardrail.collections.max": "1", "guardrail.collections.limit.action": "fail"},
		"CREATE TABLE a (id int PRIMARY KEY)", "CREATE TABLE b (id int PRIMARY KEY)")
	if problems := (Source{}).Validate(t.Context(), w.config()); len(problems) != 1 || problems[0].Key != "guardrail.collections.max" {
		t.Errorf("problems are %v", problems)
	}
	if err := failure(t, w); !strings.Contains(err.Error(), "2 tables would be captured") {
		t.Errorf("error is %v", err)
	}
	w.stop()
	w.props["guardrail.collections.limit.action"] = "warn"
	w.run()
	pollUntil(t, w, func() bool { return w.task.phase == phaseStreaming }, func(e event) { t.Errorf("unexpected %v", e) })
}

// A change that cannot become an event is left out, if that is configured.
func TestChangesThatCannotBecomeEvents(t *testing.T) {
	w := newWorker(t, shared(t), map[string]string{"snapshot.mode": "no_data", "event.converting.failure.handling.mode": "fail", "event.processing.failure.handling.mode": "warn"},
		"CREATE TABLE t (id int PRIMARY KEY, n numeric(5, 2))")
	w.run()
	pollUntil(t, w, func() bool { return w.task.phase == phaseStreaming && w.stored != nil }, func(e event) { t.Fatalf("unexpected %v", e) })
	w.exec("INSERT INTO t VALUES (1, 'NaN'), (2, 1)")
	if e := w.events(1); e[0].key != `{"id":2}` {
		t.Errorf("event is %v", e)
	}
	w.stop()
	w.props["event.processing.failure.handling.mode"] = "fail"
	w.exec("INSERT INTO t VALUES (3, 'NaN')")
	if err := failure(t, w); !strings.Contains(err.Error(), "event.processing.failure.handling.mode=warn") {
		t.Errorf("error is %v", err)
	}
}
