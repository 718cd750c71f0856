package connector

// HistoryEntry is a state that a connector or one of its tasks was in.
type HistoryEntry struct {
	// Time is when the worker said so, in milliseconds since the epoch.
	Time int64 `json:"time"`
	// Task is the task's number, null for the connector itself.
	Task     *int   `json:"task"`
	State    State  `json:"state"`
	WorkerID string `json:"worker_id"`
	// Generation is that of the worker's group.
	Generation int64  `json:"generation"`
	Trace      string `json:"trace,omitempty"`
}

// History is what became of a connector, oldest first, as far back as it is
// known.
type History struct {
	Name    string         `json:"name"`
	Entries []HistoryEntry `json:"history"`
}

// Process are the figures of a running task's process, on the worker that the
// status names.
type Process struct {
	PID int `json:"pid"`
	// Version is that of the plugin.
	Version          string  `json:"plugin_version"`
	MemoryBytes      int64   `json:"memory_bytes"`                 // resident
	MemoryLimitBytes int64   `json:"memory_limit_bytes,omitempty"` // at which it is killed
	CPUSeconds       float64 `json:"cpu_seconds"`
	UptimeSeconds    float64 `json:"uptime_seconds"`
	// Restarts is how often the task failed and was started again since it came
	// to this worker.
	Restarts int64 `json:"restarts"`
}
