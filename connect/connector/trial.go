package connector

import "encoding/json"

// TrialRequest asks what a connector's transforms do to samples: to Records, in
// the notation of package trial, or to the Last records of Topic.
type TrialRequest struct {
	Config  Config            `json:"config"`
	Records []json.RawMessage `json:"records,omitempty"`
	Topic   string            `json:"topic,omitempty"`
	Last    int               `json:"last,omitempty"`
}

// TrialRecord is what became of one sample.
type TrialRecord struct {
	Before json.RawMessage `json:"before"`
	Steps  []TrialStep     `json:"steps"`
	// After is what is left after all steps, null if the record was dropped or
	// a step failed.
	After json.RawMessage `json:"after"`
}

// TrialStep is what one transform did: "changed", "unchanged", "dropped" or
// "failed".
type TrialStep struct {
	Transform string          `json:"transform"`
	Class     string          `json:"class"`
	Outcome   string          `json:"outcome"`
	Record    json.RawMessage `json:"record,omitempty"`
	Error     string          `json:"error,omitempty"`
}
