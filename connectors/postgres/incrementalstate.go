package postgres

import (
	"encoding/json"
	"fmt"
	"time"
)

// incrementalState is what of an incremental snapshot outlives a restart.
type incrementalState struct {
	Tables      []incrementalTable `json:"-"` // the first one is being read
	Correlation string             `json:"-"` // id of the signal
	Paused      bool               `json:"paused,omitempty"`
	Last        []string           `json:"last,omitempty"` // key of the last row handed over
	Max         []string           `json:"max,omitempty"`  // key of the last row to be read
	Rows        int64              `json:"rows,omitempty"` // handed over
	began       time.Time          // in this process
}

// incrementalTable is a table to read, as Debezium stores it.
type incrementalTable struct {
	ID        string  `json:"incremental_snapshot_collections_id"`
	Condition *string `json:"incremental_snapshot_collections_additional_condition"`
	Surrogate *string `json:"incremental_snapshot_collections_surrogate_key"`
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func (n incrementalTable) equal(o incrementalTable) bool {
	return n.ID == o.ID && deref(n.Condition) == deref(o.Condition) && deref(n.Surrogate) == deref(o.Surrogate)
}

// setIncremental stores the state. Debezium's connector understands which
// tables are left and begins the first anew: its own keys of rows are
// serialised Java objects.
func (p *position) setIncremental(s *incrementalState) {
	if len(s.Tables) == 0 {
		p.collections, p.correlation, p.chunk = "", "", ""
		return
	}
	tables, err := json.Marshal(s.Tables)
	own, err2 := json.Marshal(s)
	if err != nil || err2 != nil {
		panic(fmt.Sprint(err, err2)) // texts and numbers can be written
	}
	p.collections, p.correlation, p.chunk = string(tables), s.Correlation, string(own)
}

func (p *position) incremental() (s incrementalState, err error) {
	if p.collections == "" {
		return s, nil
	}
	if p.chunk != "" {
		if err := json.Unmarshal([]byte(p.chunk), &s); err != nil {
			return s, fmt.Errorf("mr_incremental: %w", err)
		}
	}
	if err := json.Unmarshal([]byte(p.collections), &s.Tables); err != nil {
		return s, fmt.Errorf("incremental_snapshot_collections: %w", err)
	}
	s.Correlation, s.began = p.correlation, time.Now()
	return s, nil
}
