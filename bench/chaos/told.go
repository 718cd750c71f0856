package chaos

import (
	"encoding/json"
	"fmt"
)

// version is a row as of one of its changes, which count up from 0.
type version struct {
	n int
	v string
}

// told is a table as its events tell it.
type told struct {
	rows map[int64]version
	late int // updates of rows that no event told before
}

// changeEvent is an event of a captured table.
type changeEvent struct {
	Before, After *struct {
		ID int64  `json:"id"`
		N  int    `json:"n"`
		V  string `json:"v"`
	}
	Op string
}

// tell rebuilds a table from its events. Each row must be read or inserted once,
// and each version must follow the one before: what is lost or comes twice does
// not.
func tell(records []string) (*told, error) {
	t := &told{rows: map[int64]version{}}
	for i, r := range records {
		if r == "" || r == "null" {
			continue // tombstone
		}
		var e changeEvent
		if err := json.Unmarshal([]byte(r), &e); err != nil {
			return nil, fmt.Errorf("record %d: %w", i, err)
		}
		if err := t.event(&e); err != nil {
			return nil, fmt.Errorf("record %d, %.300s: %w", i, r, err)
		}
	}
	return t, nil
}

func (t *told) event(e *changeEvent) error {
	switch e.Op {
	case "r", "c":
		if was, ok := t.rows[e.After.ID]; ok {
			return fmt.Errorf("the row is there already, in version %d", was.n)
		}
	case "u":
		was, ok := t.rows[e.After.ID]
		switch {
		case !ok:
			t.late++ // it was changed before it was read
		case was.n+1 != e.After.N:
			return fmt.Errorf("version %d after version %d", e.After.N, was.n)
		}
	case "d":
		delete(t.rows, e.Before.ID)
		return nil
	default:
		return fmt.Errorf("operation %q", e.Op)
	}
	t.rows[e.After.ID] = version{e.After.N, e.After.V}
	return nil
}

// differs says how the rows differ from those of the table, "" when they do
// not.
func (t *told) differs(want map[int64]version) string {
	for id, w := range want {
		if got, ok := t.rows[id]; !ok {
			return fmt.Sprintf("row %d is missing", id)
		} else if got != w {
			return fmt.Sprintf("row %d is in version %d, want %d", id, got.n, w.n)
		}
	}
	for id := range t.rows {
		if _, ok := want[id]; !ok {
			return fmt.Sprintf("row %d is in no table", id)
		}
	}
	return ""
}
