package connector

import "encoding/json"

// Info is what the REST API tells of a connector.
type Info struct {
	Name   string   `json:"name"`
	Config Config   `json:"config"`
	Tasks  []TaskID `json:"tasks"`
	Type   Kind     `json:"type"`
}

// StateInfo is what the REST API tells of a connector's state. Tasks are in
// order.
type StateInfo struct {
	Name      string      `json:"name"`
	Connector WorkerState `json:"connector"`
	Tasks     []TaskState `json:"tasks"`
	Type      Kind        `json:"type"`
}

// WorkerState is a connector's state and the worker that runs it. An empty
// trace is left out, as Kafka Connect does.
type WorkerState struct {
	State    State  `json:"state"`
	WorkerID string `json:"worker_id"`
	Trace    string `json:"trace,omitempty"`
}

// TaskState is one task's state. ID is the task's number. Process is left out
// where it is not known; Kafka Connect has no such field.
type TaskState struct {
	ID       int      `json:"id"`
	State    State    `json:"state"`
	WorkerID string   `json:"worker_id"`
	Trace    string   `json:"trace,omitempty"`
	Process  *Process `json:"process,omitempty"`
	// Progress is there while the task does a piece of work that has an end.
	// Kafka Connect has no such field.
	Progress *Progress `json:"progress,omitempty"`
}

// Progress is how far a task is in a piece of work that has an end, such as the
// reading of whole tables.
type Progress struct {
	Work        string   `json:"work"`
	Records     int64    `json:"records"`           // handed over
	Percent     *float64 `json:"percent,omitempty"` // left out when the end is not known
	PerSecond   float64  `json:"records_per_second"`
	SecondsLeft *float64 `json:"seconds_left,omitempty"`
}

// TaskInfo is one task and its configuration.
type TaskInfo struct {
	ID     TaskID `json:"id"`
	Config Config `json:"config"`
}

// PluginInfo is one plugin class that this worker can run.
type PluginInfo struct {
	Class   string `json:"class"`
	Type    string `json:"type"`
	Version string `json:"version,omitempty"`
}

// Expanded is one entry of GET /connectors?expand=. The parts that were not
// asked for are left out.
type Expanded struct {
	Status *StateInfo `json:"status,omitempty"`
	Info   *Info      `json:"info,omitempty"`
}

// ServerInfo is the answer of GET /.
type ServerInfo struct {
	Version   string `json:"version"`
	Commit    string `json:"commit"`
	ClusterID string `json:"kafka_cluster_id"`
}

// OffsetEntry is one partition of a connector and how far it came there, both
// JSON objects. A sink's are {"kafka_topic":..., "kafka_partition":...} and
// {"kafka_offset":...}. A null offset removes what is stored.
type OffsetEntry struct {
	Partition json.RawMessage `json:"partition"`
	Offset    json.RawMessage `json:"offset"`
}

// Offsets is the body of the offsets endpoints (KIP-875).
type Offsets struct {
	Offsets []OffsetEntry `json:"offsets"`
}

// Message is an answer that only says something.
type Message struct {
	Message string `json:"message"`
}
