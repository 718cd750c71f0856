package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/millrace/millrace/connect/connector"
)

// Keys of the config topic. A record's kind is its key's prefix; the prefixes
// are tried in this order.
const (
	prefixTarget    = "target-state-"
	prefixConnector = "connector-"
	prefixTask      = "task-"
	prefixCommit    = "commit-"
	prefixFencing   = "tasks-fencing-"
	prefixRestart   = "restart-connector-"
	prefixLogger    = "logger-cluster-"
	keySession      = "session-key"
)

// Event is what one live record of the config topic changed. Records replayed
// when a store opens make no events.
type Event struct {
	Kind      EventKind
	Connector string
	Restart   connector.RestartRequest // EventRestart
	Logger    string                   // EventLogger: namespace
	Level     string                   // EventLogger: level
	Structure bool                     // which connectors and tasks there are has changed
}

// EventKind says what happened.
type EventKind string

// The kinds of Event.
const (
	EventConfig  EventKind = "config"  // a connector was added or its config replaced
	EventRemoved EventKind = "removed" // a connector was deleted
	EventTasks   EventKind = "tasks"   // a complete set of task configs was committed
	EventTarget  EventKind = "target"  // the target state of a known connector changed
	EventRestart EventKind = "restart"
	EventLogger  EventKind = "logger"
	EventSession EventKind = "session" // the key of internal requests was replaced
)

// configState is what the config topic's records add up to: a pure state
// machine, fed one record at a time in offset order.
type configState struct {
	offset     int64 // of the last record understood, plus one; -1 before any
	connectors map[string]connector.Config
	targets    map[string]connector.TargetState
	counts     map[string]int
	tasks      map[string]map[int]connector.Config
	deferred   map[string]map[int]connector.Config
	applied    map[string]connector.Config // connector config when its tasks were last committed
	generation map[string]int              // of task configs; absent until tasks were seen
	broken     map[string]bool             // committed with task records missing
	fencing    map[string]int              // tasks whose transactional ids may be alive
	unfenced   map[string]bool             // committed since the last fencing record
	session    *SessionKey                 // nil before any
	structure  int64                       // after the last record that changed which connectors and tasks there are
}

// SessionKey is the key by which workers sign requests to each other
// (KIP-507). It must not be changed.
type SessionKey struct {
	Key       []byte
	Algorithm string // Java's name, HmacSHA256
	Created   time.Time
}

func newConfigState() *configState {
	return &configState{
		offset:     -1,
		connectors: map[string]connector.Config{},
		targets:    map[string]connector.TargetState{},
		counts:     map[string]int{},
		tasks:      map[string]map[int]connector.Config{},
		deferred:   map[string]map[int]connector.Config{},
		applied:    map[string]connector.Config{},
		generation: map[string]int{},
		broken:     map[string]bool{},
		fencing:    map[string]int{},
		unfenced:   map[string]bool{},
		structure:  -1,
	}
}

// apply takes in one record and says what it changed. An error means that the
// record was skipped. The offset goes into the group protocol, and every worker
// must count alike: as in Kafka Connect a record counts as soon as its value is
// JSON, whatever becomes of it then.
func (s *configState) apply(key string, value []byte, offset int64) ([]Event, error) {
	if value != nil && !json.Valid(value) {
		return nil, fmt.Errorf("config record %q at offset %d: its value is not JSON", key, offset)
	}
	s.offset = offset + 1
	events, err := s.dispatch(key, value)
	if err != nil {
		return nil, fmt.Errorf("config record %q at offset %d: %w", key, offset, err)
	}
	for _, e := range events {
		if e.Structure {
			s.structure = s.offset
		}
	}
	return events, nil
}

func (s *configState) dispatch(key string, value []byte) ([]Event, error) {
	switch {
	case strings.HasPrefix(key, prefixTarget):
		return s.applyTarget(key[len(prefixTarget):], value)
	case strings.HasPrefix(key, prefixConnector):
		return s.applyConnector(key[len(prefixConnector):], value)
	case strings.HasPrefix(key, prefixTask):
		return nil, s.applyTask(key[len(prefixTask):], value)
	case strings.HasPrefix(key, prefixCommit):
		return s.applyCommit(key[len(prefixCommit):], value)
	case strings.HasPrefix(key, prefixRestart):
		return applyRestart(key[len(prefixRestart):], value)
	case strings.HasPrefix(key, prefixLogger):
		return applyLogger(key[len(prefixLogger):], value)
	case key == keySession:
		return s.applySession(value)
	case strings.HasPrefix(key, prefixFencing):
		return nil, s.applyFencing(key[len(prefixFencing):], value)
	}
	return nil, errors.New("unknown kind of key")
}

// properties is the value of connector and task records. A null property
// value, which Kafka Connect permits, reads as an absent key.
type properties struct {
	Properties map[string]*string `json:"properties"`
}

func parseProperties(value []byte) (connector.Config, error) {
	var p properties
	if err := json.Unmarshal(value, &p); err != nil {
		return nil, err
	}
	if p.Properties == nil {
		return nil, errors.New("no properties")
	}
	out := make(connector.Config, len(p.Properties))
	for k, v := range p.Properties {
		if v != nil {
			out[k] = *v
		}
	}
	return out, nil
}

func (s *configState) applyConnector(name string, value []byte) ([]Event, error) {
	if value == nil {
		_, known := s.connectors[name]
		delete(s.connectors, name)
		delete(s.counts, name)
		delete(s.tasks, name)
		delete(s.deferred, name)
		delete(s.applied, name)
		delete(s.broken, name)
		if !known {
			return nil, nil
		}
		return []Event{{Kind: EventRemoved, Connector: name, Structure: true}}, nil
	}
	cfg, err := parseProperties(value)
	if err != nil {
		return nil, err
	}
	_, known := s.connectors[name]
	s.connectors[name] = cfg
	return []Event{{Kind: EventConfig, Connector: name, Structure: !known}}, nil
}

func (s *configState) applyTarget(name string, value []byte) ([]Event, error) {
	old := s.target(name)
	if value == nil {
		// The state goes with the connector; a tombstone alone is no change
		// that anybody must act on.
		delete(s.targets, name)
		return nil, nil
	}
	var v struct {
		State string `json:"state"`
		V2    string `json:"state.v2"`
	}
	if err := json.Unmarshal(value, &v); err != nil {
		return nil, err
	}
	want := connector.TargetState(v.V2)
	if v.V2 == "" {
		want = connector.TargetState(v.State)
	}
	switch want {
	case connector.TargetStarted, connector.TargetPaused, connector.TargetStopped:
	default:
		return nil, fmt.Errorf("unknown target state %q", want)
	}
	s.targets[name] = want
	if _, known := s.connectors[name]; !known || old == want {
		return nil, nil
	}
	return []Event{{Kind: EventTarget, Connector: name}}, nil
}

func (s *configState) applyTask(rest string, value []byte) error {
	id, err := connector.ParseTaskID(rest)
	if err != nil {
		return err
	}
	cfg, err := parseProperties(value)
	if err != nil {
		return err
	}
	if s.deferred[id.Connector] == nil {
		s.deferred[id.Connector] = map[int]connector.Config{}
	}
	s.deferred[id.Connector][id.Task] = cfg
	return nil
}

func (s *configState) applyCommit(name string, value []byte) ([]Event, error) {
	var v struct {
		Tasks *int `json:"tasks"`
	}
	if err := json.Unmarshal(value, &v); err != nil {
		return nil, err
	}
	if v.Tasks == nil || *v.Tasks < 0 {
		return nil, errors.New("no task count")
	}
	deferred := s.deferred[name]
	delete(s.deferred, name)
	cfg, known := s.connectors[name]
	if !known { // deleted earlier, its config record compacted away
		delete(s.counts, name)
		delete(s.tasks, name)
		return nil, nil
	}
	set := map[int]connector.Config{}
	for n, c := range deferred { // not over the count, which may be any number
		if n < *v.Tasks {
			set[n] = c
		}
	}
	s.counts[name] = *v.Tasks
	s.unfenced[name] = true
	before := len(s.tasks[name])
	if len(set) < *v.Tasks {
		s.broken[name] = true
		delete(s.tasks, name)
		return []Event{{Kind: EventTasks, Connector: name, Structure: before != 0}}, nil
	}
	delete(s.broken, name)
	s.tasks[name] = set
	s.applied[name] = cfg
	if _, seen := s.generation[name]; seen {
		s.generation[name]++
	} else if len(deferred) > 0 {
		s.generation[name] = 0
	}
	return []Event{{Kind: EventTasks, Connector: name, Structure: before != len(set)}}, nil
}

func (s *configState) applySession(value []byte) ([]Event, error) {
	if value == nil {
		s.session = nil
		return nil, nil
	}
	var v struct {
		Key       []byte `json:"key"` // base64
		Algorithm string `json:"algorithm"`
		Created   int64  `json:"creation-timestamp"`
	}
	if err := json.Unmarshal(value, &v); err != nil {
		return nil, errors.New("not a session key") // the cause might quote it
	}
	if len(v.Key) == 0 || v.Algorithm == "" {
		return nil, errors.New("not a session key")
	}
	s.session = &SessionKey{Key: v.Key, Algorithm: v.Algorithm, Created: time.UnixMilli(v.Created)}
	return []Event{{Kind: EventSession}}, nil
}

// applyFencing notes that the producers of all tasks but so many are fenced
// (KIP-618).
func (s *configState) applyFencing(name string, value []byte) error {
	if value == nil {
		delete(s.fencing, name)
		delete(s.unfenced, name)
		return nil
	}
	var v struct {
		Count *int `json:"task-count"`
	}
	if err := json.Unmarshal(value, &v); err != nil {
		return err
	}
	if v.Count == nil || *v.Count < 0 {
		return errors.New("no task count")
	}
	s.fencing[name] = *v.Count
	delete(s.unfenced, name)
	return nil
}

func applyRestart(name string, value []byte) ([]Event, error) {
	if value == nil {
		return nil, nil
	}
	var v map[string]any
	if err := json.Unmarshal(value, &v); err != nil {
		return nil, err
	}
	req := connector.RestartRequest{Connector: name}
	req.IncludeTasks, _ = v["include-tasks"].(bool) // a value of another type reads as false
	req.OnlyFailed, _ = v["only-failed"].(bool)
	return []Event{{Kind: EventRestart, Connector: name, Restart: req}}, nil
}

func applyLogger(namespace string, value []byte) ([]Event, error) {
	if value == nil {
		return nil, nil
	}
	var v struct {
		Level string `json:"level"`
	}
	if err := json.Unmarshal(value, &v); err != nil {
		return nil, err
	}
	return []Event{{Kind: EventLogger, Logger: namespace, Level: v.Level}}, nil
}

func (s *configState) target(name string) connector.TargetState {
	if t, ok := s.targets[name]; ok {
		return t
	}
	return connector.TargetStarted
}
