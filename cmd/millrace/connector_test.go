package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/millrace/millrace/connect/connector"
)

func TestStatusShowsProgress(t *testing.T) {
	percent, left := 43.2, 80.0
	st := connector.StateInfo{Name: "shop", Connector: connector.WorkerState{State: connector.Running, WorkerID: "w:1"}, Tasks: []connector.TaskState{
		{ID: 0, State: connector.Running, WorkerID: "w:1", Progress: &connector.Progress{
			Work: "snapshot", Records: 120000, Percent: &percent, PerSecond: 9100, SecondsLeft: &left,
		}},
		{ID: 1, State: connector.Running, WorkerID: "w:1", Progress: &connector.Progress{Work: "search", Records: 3, PerSecond: 1}},
	}}
	var b bytes.Buffer
	if err := (&output{format: "table"}).print(&b, st, func(t *table) { statusTable(t, st) }); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"task 0: snapshot: 43.2 % done, 120000 records, 9100 a second, 1m20s left\n",
		"task 1: search: 3 records, 1 a second\n",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is not in\n%s", want, b.String())
		}
	}
}
