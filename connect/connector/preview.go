package connector

// Preview is what a new config of a connector would change, with nothing
// changed (PUT /connectors/NAME/config?dryRun=true).
type Preview struct {
	Name string `json:"name"`
	// Exists says whether the config would replace another, or make a
	// connector.
	Exists bool `json:"exists"`
	// Valid says whether the config would be taken. What else is told of one
	// that would not is its keys alone.
	Valid bool `json:"valid"`
	// Validation is the answer of the validation endpoint.
	Validation any `json:"validation"`
	// Config are the keys that differ, in order.
	Config []KeyChange `json:"config"`
	// RestartsConnector says whether the connector object would start anew,
	// which interrupts no task.
	RestartsConnector bool `json:"restarts_connector"`
	// Tasks is null where none can be planned; Notes says why.
	Tasks *TaskChanges `json:"tasks"`
	// Topics are those that would be created, as far as they can be foretold.
	Topics []TopicPreview `json:"topics"`
	Notes  []string       `json:"notes"`
}

// KeyChange is a key whose value would be another. Secrets are masked, so that
// one that changes reads the same before and after.
type KeyChange struct {
	Key    string  `json:"key"`
	Change string  `json:"change"` // added, removed or changed
	Before *string `json:"before"` // null if it is added
	After  *string `json:"after"`  // null if it is removed
}

// TaskChanges are the tasks by their numbers: those that would be started,
// stopped for good, stopped and started, and left to run.
type TaskChanges struct {
	Started   []int `json:"started"`
	Stopped   []int `json:"stopped"`
	Restarted []int `json:"restarted"`
	Unchanged []int `json:"unchanged"`
}

// TopicPreview is a topic that would be created. Partitions and replication
// factor are -1 for the broker's default.
type TopicPreview struct {
	Name              string `json:"name"`
	Partitions        int32  `json:"partitions"`
	ReplicationFactor int16  `json:"replication_factor"`
	Use               string `json:"use"`
}
