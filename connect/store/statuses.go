package store

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/connect/connector"
)

// Keys of the status topic.
const (
	prefixConnectorStatus = "status-connector-"
	prefixTaskStatus      = "status-task-"
	prefixTopicStatus     = "status-topic-"
	topicKeyInfix         = ":connector-"
)

// Statuses is the status store: what workers last said of their connectors
// and tasks, and which topics a connector has touched (KIP-558).
type Statuses struct {
	topic recordLog
	log   *slog.Logger

	mu         sync.Mutex // guards below
	connectors map[string]connector.Status
	tasks      map[connector.TaskID]connector.Status
	active     map[string]map[string]bool // connector to topics
	past       map[string]*history
}

// OpenStatuses replays the status topic.
func OpenStatuses(ctx context.Context, cfg Config) (*Statuses, error) {
	cfg = cfg.withDefaults()
	s := &Statuses{
		log:        cfg.Logger,
		connectors: map[string]connector.Status{},
		tasks:      map[connector.TaskID]connector.Status{},
		active:     map[string]map[string]bool{},
		past:       map[string]*history{},
	}
	topic, err := openLog(ctx, cfg, s.apply)
	if err != nil {
		return nil, err
	}
	s.topic = topic
	return s, nil
}

// Close stops reading the topic. It may be called twice.
func (s *Statuses) Close() { s.topic.close() }

// statusValue is the JSON of a status record. Kafka Connect casts generation
// to int64, so it must never be written as a fraction.
type statusValue struct {
	State      connector.State `json:"state"`
	Trace      *string         `json:"trace"`
	WorkerID   string          `json:"worker_id"`
	Generation int64           `json:"generation"`
	// Progress is not Kafka Connect's, which passes over it.
	Progress *connector.Progress `json:"progress,omitempty"`
}

func (s *Statuses) apply(r *kgo.Record) {
	if err := s.dispatch(string(r.Key), r.Value, r.Timestamp); err != nil {
		s.log.Warn("status record skipped", "topic", r.Topic, "partition", r.Partition, "offset", r.Offset, "err", err)
	}
}

func (s *Statuses) dispatch(key string, value []byte, at time.Time) error {
	switch {
	case strings.HasPrefix(key, prefixConnectorStatus):
		return s.applyConnector(key[len(prefixConnectorStatus):], value, at)
	case strings.HasPrefix(key, prefixTaskStatus):
		return s.applyTask(key[len(prefixTaskStatus):], value, at)
	case strings.HasPrefix(key, prefixTopicStatus):
		return s.applyTopic(key[len(prefixTopicStatus):], value)
	}
	return fmt.Errorf("unknown key %q", key)
}

func parseStatus(value []byte) (connector.Status, error) {
	var v statusValue
	if err := json.Unmarshal(value, &v); err != nil {
		return connector.Status{}, err
	}
	if !v.State.Known() {
		return connector.Status{}, fmt.Errorf("unknown state %q", v.State)
	}
	st := connector.Status{State: v.State, WorkerID: v.WorkerID, Generation: v.Generation, Progress: v.Progress}
	if v.Trace != nil {
		st.Trace = *v.Trace
	}
	return st, nil
}

func (s *Statuses) applyConnector(name string, value []byte, at time.Time) error {
	if value == nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.connectors, name)
		delete(s.past, name)
		for id := range s.tasks {
			if id.Connector == name {
				delete(s.tasks, id)
			}
		}
		return nil
	}
	st, err := parseStatus(value)
	if err != nil {
		return fmt.Errorf("connector %q: %w", name, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.connectors[name] = st
	s.remember(name, at, -1, st)
	return nil
}

func (s *Statuses) applyTask(key string, value []byte, at time.Time) error {
	id, err := connector.ParseTaskID(key)
	if err != nil {
		return err
	}
	if value == nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.tasks, id)
		return nil
	}
	st, err := parseStatus(value)
	if err != nil {
		return fmt.Errorf("task %s: %w", id, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remember(id.Connector, at, id.Task, st)
	old, known := s.tasks[id]
	if known && st.State == connector.Unassigned && old.State == connector.Running && old.Generation >= st.Generation {
		return nil // a late word of the previous owner
	}
	s.tasks[id] = st
	return nil
}

// applyTopic reads "TOPIC:connector-NAME"; topic names hold no colon.
func (s *Statuses) applyTopic(key string, value []byte) error {
	topic, name, ok := strings.Cut(key, topicKeyInfix)
	if !ok {
		return fmt.Errorf("topic status key %q: want TOPIC%sNAME", key, topicKeyInfix)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if value == nil {
		delete(s.active[name], topic)
		return nil
	}
	if s.active[name] == nil {
		s.active[name] = map[string]bool{}
	}
	s.active[name][topic] = true
	return nil
}

// Connector returns the connector's last status and whether there is one.
func (s *Statuses) Connector(name string) (connector.Status, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st, ok := s.connectors[name]
	return st, ok
}

// Task returns a task's last status and whether there is one.
func (s *Statuses) Task(id connector.TaskID) (connector.Status, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st, ok := s.tasks[id]
	return st, ok
}

// Connectors returns the names of all connectors that have a status, sorted.
func (s *Statuses) Connectors() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	names := make([]string, 0, len(s.connectors))
	for n := range s.connectors {
		names = append(names, n)
	}
	sort.Strings(names)
	return names
}

// Tasks returns the ids of a connector's tasks that have a status, in order.
func (s *Statuses) Tasks(name string) []connector.TaskID {
	s.mu.Lock()
	defer s.mu.Unlock()
	var ids []connector.TaskID
	for id := range s.tasks {
		if id.Connector == name {
			ids = append(ids, id)
		}
	}
	sort.Slice(ids, func(i, j int) bool { return ids[i].Task < ids[j].Task })
	return ids
}

// Topics returns the topics a connector has touched, sorted.
func (s *Statuses) Topics(name string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]string, 0, len(s.active[name]))
	for t := range s.active[name] {
		out = append(out, t)
	}
	sort.Strings(out)
	return out
}

// PutConnector says what a connector's state is now, whatever was said before.
func (s *Statuses) PutConnector(ctx context.Context, name string, st connector.Status) error {
	return s.put(ctx, prefixConnectorStatus+name, st)
}

// PutTask says what a task's state is now, whatever was said before.
func (s *Statuses) PutTask(ctx context.Context, id connector.TaskID, st connector.Status) error {
	return s.put(ctx, prefixTaskStatus+id.String(), st)
}

// PutConnectorSafe is PutConnector for last words (failure, shutdown): it
// writes nothing when another worker has spoken for a later generation.
func (s *Statuses) PutConnectorSafe(ctx context.Context, name string, st connector.Status) error {
	if old, ok := s.Connector(name); ok && !mayReplace(old, st) {
		return nil
	}
	return s.PutConnector(ctx, name, st)
}

// PutTaskSafe is PutTask for last words, as PutConnectorSafe.
func (s *Statuses) PutTaskSafe(ctx context.Context, id connector.TaskID, st connector.Status) error {
	if old, ok := s.Task(id); ok && !mayReplace(old, st) {
		return nil
	}
	return s.PutTask(ctx, id, st)
}

func mayReplace(old, st connector.Status) bool {
	return old.WorkerID == st.WorkerID || old.Generation <= st.Generation
}

func (s *Statuses) put(ctx context.Context, key string, st connector.Status) error {
	v := statusValue{State: st.State, WorkerID: st.WorkerID, Generation: st.Generation, Progress: st.Progress}
	if st.Trace != "" {
		v.Trace = &st.Trace
	}
	value, err := encode(v)
	if err != nil {
		return err
	}
	return s.topic.writeAndRead(ctx, &kgo.Record{Key: []byte(key), Value: value})
}

// DeleteConnector removes the status of a connector and of its tasks, and the
// record of its topics.
func (s *Statuses) DeleteConnector(ctx context.Context, name string) error {
	recs := []*kgo.Record{{Key: []byte(prefixConnectorStatus + name)}}
	for _, id := range s.Tasks(name) {
		recs = append(recs, &kgo.Record{Key: []byte(prefixTaskStatus + id.String())})
	}
	for _, t := range s.Topics(name) {
		recs = append(recs, &kgo.Record{Key: []byte(prefixTopicStatus + t + topicKeyInfix + name)})
	}
	return s.topic.writeAndRead(ctx, recs...)
}

// DeleteTask removes a task's status.
func (s *Statuses) DeleteTask(ctx context.Context, id connector.TaskID) error {
	return s.topic.writeAndRead(ctx, &kgo.Record{Key: []byte(prefixTaskStatus + id.String())})
}

// DeleteTopics forgets the topics that a connector has touched.
func (s *Statuses) DeleteTopics(ctx context.Context, name string) error {
	var recs []*kgo.Record
	for _, t := range s.Topics(name) {
		recs = append(recs, &kgo.Record{Key: []byte(prefixTopicStatus + t + topicKeyInfix + name)})
	}
	if len(recs) == 0 {
		return nil
	}
	return s.topic.writeAndRead(ctx, recs...)
}

// topicValue is the JSON of a topic status record.
type topicValue struct {
	Topic struct {
		Name      string `json:"name"`
		Connector string `json:"connector"`
		Task      int    `json:"task"`
		Since     int64  `json:"discoverTimestamp"`
	} `json:"topic"`
}

// PutTopic notes that a task touched a topic, at a time in milliseconds since
// the epoch, unless that is known already.
func (s *Statuses) PutTopic(ctx context.Context, id connector.TaskID, topic string, sinceMillis int64) error {
	s.mu.Lock()
	known := s.active[id.Connector][topic]
	s.mu.Unlock()
	if known {
		return nil
	}
	var v topicValue
	v.Topic.Name, v.Topic.Connector, v.Topic.Task, v.Topic.Since = topic, id.Connector, id.Task, sinceMillis
	value, err := encode(v)
	if err != nil {
		return err
	}
	return s.topic.write(ctx, &kgo.Record{Key: []byte(prefixTopicStatus + topic + topicKeyInfix + id.Connector), Value: value})
}
