// Package connector is the vocabulary of Connect that every layer shares:
// names, task ids, wanted and observed states, statuses and restart requests.
package connector

import (
	"fmt"
	"strconv"
	"strings"
)

// Kind says which way a connector moves records.
type Kind string

// The kinds, spelled as Connect's REST API spells them. Unknown is the kind of
// a connector whose class cannot be loaded.
const (
	Source  Kind = "source"
	Sink    Kind = "sink"
	Unknown Kind = "unknown"
)

// Config is a connector's or task's configuration as the user wrote it:
// variables unresolved, every value a string.
type Config map[string]string

// Clone returns a copy that can be changed freely.
func (c Config) Clone() Config {
	out := make(Config, len(c))
	for k, v := range c {
		out[k] = v
	}
	return out
}

// Equal reports whether both hold the same keys and values.
func (c Config) Equal(o Config) bool {
	if len(c) != len(o) {
		return false
	}
	for k, v := range c {
		if ov, ok := o[k]; !ok || ov != v {
			return false
		}
	}
	return true
}

// TaskID names one task of a connector. Tasks are numbered from 0.
type TaskID struct {
	Connector string `json:"connector"`
	Task      int    `json:"task"`
}

// String returns Connect's form, "name-0".
func (id TaskID) String() string { return id.Connector + "-" + strconv.Itoa(id.Task) }

// ParseTaskID reads the form that String writes. The number follows the last
// hyphen, since names may hold hyphens.
func ParseTaskID(s string) (TaskID, error) {
	i := strings.LastIndexByte(s, '-')
	if i <= 0 {
		return TaskID{}, fmt.Errorf("task id %q: want NAME-NUMBER", s)
	}
	n, err := strconv.Atoi(s[i+1:])
	if err != nil || n < 0 {
		return TaskID{}, fmt.Errorf("task id %q: %q is not a task number", s, s[i+1:])
	}
	return TaskID{Connector: s[:i], Task: n}, nil
}

// TargetState is what the user wants of a connector; it lives in the config
// topic. A connector without one is wanted Started.
type TargetState string

// The target states, as the config topic spells them.
const (
	TargetStarted TargetState = "STARTED"
	TargetPaused  TargetState = "PAUSED"
	TargetStopped TargetState = "STOPPED"
)

// State is what a worker last said of a connector or task; it lives in the
// status topic.
type State string

// The observed states. Stopped is for connectors only. A destroyed connector
// or task has no state: its record in the status topic is a tombstone.
const (
	Unassigned State = "UNASSIGNED"
	Running    State = "RUNNING"
	Paused     State = "PAUSED"
	Failed     State = "FAILED"
	Restarting State = "RESTARTING"
	Stopped    State = "STOPPED"
)

// Known reports whether s is one of the states that the status topic may hold.
func (s State) Known() bool {
	switch s {
	case Unassigned, Running, Paused, Failed, Restarting, Stopped:
		return true
	}
	return false
}

// Status is the observed state of one connector or task.
type Status struct {
	State      State
	Trace      string // why it failed; empty otherwise
	WorkerID   string // advertised host:port of the worker that wrote it
	Generation int64  // group generation of that worker at the time
	// Progress is how far a task is in a piece of work that has an end, nil
	// for none.
	Progress *Progress
}

// RestartRequest asks every worker to restart its instances of a connector
// (KIP-745).
type RestartRequest struct {
	Connector    string
	IncludeTasks bool
	OnlyFailed   bool
}

// Impact orders requests for one connector: of several pending ones only the
// one of the highest impact is carried out.
func (r RestartRequest) Impact() int {
	n := 0
	if !r.OnlyFailed {
		n += 2
	}
	if r.IncludeTasks {
		n++
	}
	return n
}

// Matches reports whether the request restarts an instance in this state.
func (r RestartRequest) Matches(s State) bool { return !r.OnlyFailed || s == Failed }
