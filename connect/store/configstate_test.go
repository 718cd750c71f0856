package store

import (
	"reflect"
	"strings"
	"testing"

	"github.com/millrace/millrace/connect/connector"
)

// feed applies "key=value" records from offset 0 on; a value of nil is a
// tombstone. It returns the events of all.
func feed(t *testing.T, s *configState, recs ...string) []Event {
	t.Helper()
	var events []Event
	for i, r := range recs {
		key, value, _ := strings.Cut(r, "=")
		var raw []byte
		if value != "nil" {
			raw = []byte(value)
		}
		ev, err := s.apply(key, raw, int64(i))
		if err != nil {
			t.Fatalf("record %d %q: %v", i, r, err)
		}
		events = append(events, ev...)
	}
	return events
}

func kinds(events []Event) []EventKind {
	var out []EventKind
	for _, e := range events {
		out = append(out, e.Kind)
	}
	return out
}

func TestTaskConfigsCountWhenCommitted(t *testing.T) {
	s := newConfigState()
	feed(t, s,
		`connector-c={"properties":{"name":"c"}}`,
		`task-c-0={"properties":{"n":"0"}}`,
		`task-c-1={"properties":{"n":"1"}}`)
	if len(s.tasks["c"]) != 0 {
		t.Fatalf("tasks before the commit record: %v", s.tasks["c"])
	}
	feed(t, s, `commit-c={"tasks":2}`)
	want := map[int]connector.Config{0: {"n": "0"}, 1: {"n": "1"}}
	if !reflect.DeepEqual(s.tasks["c"], want) || s.broken["c"] {
		t.Errorf("tasks %v, broken %v; want %v", s.tasks["c"], s.broken["c"], want)
	}
	if !s.applied["c"].Equal(connector.Config{"name": "c"}) {
		t.Errorf("applied config %v, want the connector's at commit", s.applied["c"])
	}
}

// Compaction may take away a task record of a set that was written over.
func TestIncompleteCommitIsInconsistent(t *testing.T) {
	s := newConfigState()
	feed(t, s, `connector-c={"properties":{}}`, `task-c-1={"properties":{}}`, `commit-c={"tasks":2}`)
	if !s.broken["c"] || len(s.tasks["c"]) != 0 {
		t.Errorf("broken %v, tasks %v; want an inconsistent connector without tasks", s.broken["c"], s.tasks["c"])
	}
	feed(t, s, `task-c-0={"properties":{}}`, `task-c-1={"properties":{}}`, `commit-c={"tasks":2}`)
	if s.broken["c"] || len(s.tasks["c"]) != 2 {
		t.Errorf("after a full set: broken %v, %d tasks", s.broken["c"], len(s.tasks["c"]))
	}
}

func TestExtraDeferredTasksAreTolerated(t *testing.T) {
	s := newConfigState()
	feed(t, s, `connector-c={"properties":{}}`, `task-c-0={"properties":{}}`, `task-c-1={"properties":{}}`, `commit-c={"tasks":1}`)
	if s.broken["c"] || len(s.tasks["c"]) != 1 {
		t.Errorf("broken %v, %d tasks; want 1 task", s.broken["c"], len(s.tasks["c"]))
	}
}

func TestCommitWithoutConnectorIsDropped(t *testing.T) {
	s := newConfigState()
	ev := feed(t, s, `task-c-0={"properties":{}}`, `commit-c={"tasks":1}`)
	if len(ev) != 0 || len(s.tasks) != 0 {
		t.Errorf("events %v, tasks %v; want none", ev, s.tasks)
	}
}

func TestDeletionKeepsNothing(t *testing.T) {
	s := newConfigState()
	ev := feed(t, s, `connector-c={"properties":{}}`, `task-c-0={"properties":{}}`, `commit-c={"tasks":1}`,
		`connector-c=nil`, `target-state-c=nil`)
	want := []EventKind{EventConfig, EventTasks, EventRemoved}
	if !reflect.DeepEqual(kinds(ev), want) {
		t.Errorf("events %v, want %v", kinds(ev), want)
	}
	if len(s.connectors)+len(s.tasks)+len(s.counts)+len(s.deferred)+len(s.applied) != 0 {
		t.Errorf("state left after deletion: %+v", s)
	}
}

func TestTargetState(t *testing.T) {
	for _, tt := range []struct {
		value string
		want  connector.TargetState
	}{
		{`{"state":"PAUSED","state.v2":"STOPPED"}`, connector.TargetStopped},
		{`{"state":"PAUSED"}`, connector.TargetPaused},
		{`{"state":"STARTED","state.v2":"STARTED"}`, connector.TargetStarted},
	} {
		s := newConfigState()
		feed(t, s, `connector-c={"properties":{}}`, `target-state-c=`+tt.value)
		if got := s.target("c"); got != tt.want {
			t.Errorf("%s gives %s, want %s", tt.value, got, tt.want)
		}
	}
	s := newConfigState()
	if _, err := s.apply("target-state-c", []byte(`{"state":"SLEEPING"}`), 0); err == nil {
		t.Error("an unknown target state was taken in")
	}
	if s.target("c") != connector.TargetStarted {
		t.Errorf("target is %s after an unknown one, want STARTED", s.target("c"))
	}
}

func TestTargetEventOnlyWhenItChanges(t *testing.T) {
	s := newConfigState()
	ev := feed(t, s,
		`target-state-c={"state":"PAUSED","state.v2":"PAUSED"}`, // no connector yet
		`connector-c={"properties":{}}`,
		`target-state-c={"state":"PAUSED","state.v2":"PAUSED"}`,
		`target-state-c={"state":"STARTED","state.v2":"STARTED"}`)
	want := []EventKind{EventConfig, EventTarget}
	if !reflect.DeepEqual(kinds(ev), want) {
		t.Errorf("events %v, want %v", kinds(ev), want)
	}
}

// The offset goes into the group protocol: it counts what Kafka Connect counts.
func TestOffset(t *testing.T) {
	s := newConfigState()
	if s.offset != -1 {
		t.Fatalf("offset of an empty topic is %d, want -1", s.offset)
	}
	for _, tt := range []struct {
		key, value string
		offset     int64
		ok         bool
		want       int64
	}{
		{"connector-c", `{"properties":{}}`, 0, true, 1},
		{"connector-c", `garbage`, 1, false, 1},
		{"nonsense", `{}`, 2, false, 3},
		{"task-c", `{"properties":{}}`, 3, false, 4},
		{"connector-c", `{"properties":7}`, 4, false, 5},
		{"tasks-fencing-c", `{"task-count":1}`, 7, true, 8},
	} {
		_, err := s.apply(tt.key, []byte(tt.value), tt.offset)
		if (err == nil) != tt.ok || s.offset != tt.want {
			t.Errorf("%s: err %v, offset %d; want ok=%v, offset %d", tt.key, err, s.offset, tt.ok, tt.want)
		}
	}
}

// Structure is the offset of what must be divided anew.
func TestStructure(t *testing.T) {
	s := newConfigState()
	for i, tt := range []struct {
		record  string
		changes bool
	}{
		{`connector-c={"properties":{"a":"1"}}`, true},
		{`connector-c={"properties":{"a":"2"}}`, false},
		{`task-c-0={"properties":{}}`, false},
		{`commit-c={"tasks":1}`, true},
		{`task-c-0={"properties":{"x":"1"}}`, false},
		{`commit-c={"tasks":1}`, false},
		{`target-state-c={"state":"PAUSED"}`, false},
		{`commit-c={"tasks":0}`, true},
		{`session-key={"key":"AAAA","algorithm":"HmacSHA256","creation-timestamp":1}`, false},
		{`connector-c=nil`, true},
		{`connector-c=nil`, false},
	} {
		before := s.structure
		key, value, _ := strings.Cut(tt.record, "=")
		raw := []byte(value)
		if value == "nil" {
			raw = nil
		}
		if _, err := s.apply(key, raw, int64(i)); err != nil {
			t.Fatal(err)
		}
		if changed := s.structure != before; changed != tt.changes || changed && s.structure != int64(i)+1 {
			t.Errorf("%s: structure went from %d to %d, want a change: %v", tt.record, before, s.structure, tt.changes)
		}
	}
}

func TestRestartRecord(t *testing.T) {
	s := newConfigState()
	ev := feed(t, s, `restart-connector-c={"include-tasks":true,"only-failed":"yes"}`)
	want := connector.RestartRequest{Connector: "c", IncludeTasks: true}
	if len(ev) != 1 || ev[0].Restart != want {
		t.Errorf("events %+v, want one restart %+v", ev, want)
	}
}

func TestNullPropertyIsAbsent(t *testing.T) {
	s := newConfigState()
	feed(t, s, `connector-c={"properties":{"a":"1","b":null}}`)
	if got := s.connectors["c"]; !got.Equal(connector.Config{"a": "1"}) {
		t.Errorf("config %v, want only a", got)
	}
}

func FuzzConfigState(f *testing.F) {
	f.Add("connector-c", []byte(`{"properties":{"a":"1"}}`))
	f.Add("task-c-0", []byte(`{"properties":{}}`))
	f.Add("commit-c", []byte(`{"tasks":1000000000}`))
	f.Add("target-state-c", []byte(`{"state":"PAUSED"}`))
	f.Add("restart-connector-c", []byte(`null`))
	f.Fuzz(func(t *testing.T, key string, value []byte) {
		s := newConfigState()
		s.connectors["c"] = connector.Config{}
		before := s.offset
		if _, err := s.apply(key, value, 7); s.offset != before && s.offset != 8 || err == nil && s.offset != 8 {
			t.Errorf("offset moved to %d for a record at 7 (%v)", s.offset, err)
		}
	})
}
