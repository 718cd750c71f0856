package postgres

import (
	"strings"
	"testing"
)

// Columns that an old row does not have are the beginning of 1970 or the
// default, if they may not be null.
func TestStructuredTimesOfDeletedRows(t *testing.T) {
	w := newWorker(t, shared(t), map[string]string{"snapshot.mode": "no_data", "time.precision.mode": "structured", "interval.handling.mode": "string"},
		"CREATE TABLE t (id int PRIMARY KEY, d date NOT NULL, h time(3) NOT NULL, ts timestamp NOT NULL, tz timetz NOT NULL, z timestamptz NOT NULL, iv interval NOT NULL, made timestamptz NOT NULL DEFAULT now())")
	w.run()
	pollUntil(t, w, func() bool { return w.task.phase == phaseStreaming && w.stored != nil }, func(e event) { t.Fatalf("unexpected %v", e) })
	w.exec("INSERT INTO t VALUES (1, '-infinity', '24:00', '-infinity', '1:00-3', '-infinity', '-25:00:01.5', '2026-01-31 12:00+01')", "DELETE FROM t")
	e := w.events(3)
	compareText(t, "inserted", string(open(t, e[0]).After), `{"id":1,"d":{"year":null,"month":null,"day":null,"specialValue":"NEGATIVE_INFINITY"},"h":{"hour":24,"minute":0,"second":0,"nanos":0,"precision":3},`+
		`"ts":{"year":null,"month":null,"day":null,"hour":null,"minute":null,"second":null,"nanos":null,"specialValue":"NEGATIVE_INFINITY","precision":6},`+
		`"tz":{"hour":1,"minute":0,"second":0,"nanos":0,"offsetSeconds":-10800,"precision":6},`+
		`"z":{"year":null,"month":null,"day":null,"hour":null,"minute":null,"second":null,"nanos":null,"offsetSeconds":null,"zoneId":null,"specialValue":"NEGATIVE_INFINITY","precision":6},`+
		`"iv":{"years":0,"months":0,"days":0,"hours":-25,"minutes":0,"seconds":-1,"nanos":-500000000,"precision":6},`+
		`"made":{"year":2026,"month":1,"day":31,"hour":11,"minute":0,"second":0,"nanos":0,"offsetSeconds":0,"zoneId":"Z","specialValue":null,"precision":6}}`)
	before := string(open(t, e[1]).Before)
	for _, want := range []string{`"d":{"year":1970,"month":1,"day":1,"specialValue":null}`, `"h":{"hour":0,"minute":0,"second":0,"nanos":0,"precision":3}`,
		`"ts":{"year":1970,"month":1,"day":1,"hour":0,`, `"tz":{"hour":0,"minute":0,"second":0,"nanos":0,"offsetSeconds":0,"precision":6}`,
		`"z":{"year":1970,"month":1,"day":1,"hour":0,`, `"iv":{"years":0,"months":0,"days":0,"hours":0,"minutes":0,"seconds":0,"nanos":0,"precision":6}`} {
		if !strings.Contains(before, want) {
			t.Errorf("deleted is %s\nwithout %s", before, want)
		}
	}
}

func compareText(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s is\n%s\nwant\n%s", what, got, want)
	}
}
