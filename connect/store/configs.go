package store

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sort"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/connect/connector"
)

// Configs is the config store: connectors, their wanted states and their task
// configs, on a topic of exactly one partition.
type Configs struct {
	topic  recordLog
	log    *slog.Logger
	notify func(Event)

	mu    sync.Mutex // guards below
	state *configState
	live  bool // false while Open replays
}

// OpenConfigs replays the config topic. notify is called for each event of a
// record that arrives later, from the store's own goroutine, in topic order;
// it must not block and not call the store's writing methods.
func OpenConfigs(ctx context.Context, cfg Config, notify func(Event)) (*Configs, error) {
	cfg = cfg.withDefaults()
	cfg.Partitions = 1
	c := &Configs{log: cfg.Logger, notify: notify, state: newConfigState()}
	topic, err := openLog(ctx, cfg, c.apply)
	if err != nil {
		return nil, err
	}
	if topic.partitions() != 1 {
		topic.close()
		return nil, fmt.Errorf("topic %s has %d partitions: the config topic must have one partition, or its records have no order", cfg.Topic, topic.partitions())
	}
	c.topic = topic
	c.mu.Lock()
	c.live = true
	c.mu.Unlock()
	return c, nil
}

// Close stops reading the topic. It may be called twice.
func (c *Configs) Close() { c.topic.close() }

func (c *Configs) apply(r *kgo.Record) {
	c.mu.Lock()
	events, err := c.state.apply(string(r.Key), r.Value, r.Offset)
	live := c.live
	c.mu.Unlock()
	if err != nil {
		c.log.Warn("config record skipped", "err", err)
		return
	}
	if live {
		for _, e := range events {
			c.notify(e)
		}
	}
}

// ReadToEnd waits until everything written before the call is in the snapshot.
func (c *Configs) ReadToEnd(ctx context.Context) error { return c.topic.readToEnd(ctx) }

// Snapshot returns what the topic says now. It shares config maps with the
// store, which never change once stored: treat them as read-only.
func (c *Configs) Snapshot() Snapshot {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := Snapshot{
		Offset: c.state.offset, Structure: c.state.structure, Session: c.state.session,
		connectors: make(map[string]entry, len(c.state.connectors)),
	}
	for name, cfg := range c.state.connectors {
		e := entry{config: cfg, target: c.state.target(name), applied: c.state.applied[name], broken: c.state.broken[name]}
		e.generation, e.unfenced = c.state.generation[name], c.state.unfenced[name]
		e.fencing, e.fenced = c.state.fencing[name]
		for n := range len(c.state.tasks[name]) {
			e.tasks = append(e.tasks, c.state.tasks[name][n])
		}
		s.connectors[name] = e
	}
	return s
}

// PutConnector stores a connector's config, and first its target state when
// target is not empty.
func (c *Configs) PutConnector(ctx context.Context, name string, cfg connector.Config, target connector.TargetState) error {
	var recs []*kgo.Record
	if target != "" {
		recs = append(recs, targetRecord(name, target))
	}
	value, err := encode(map[string]any{"properties": cfg})
	if err != nil {
		return err
	}
	recs = append(recs, &kgo.Record{Key: []byte(prefixConnector + name), Value: value})
	return c.topic.writeAndRead(ctx, recs...)
}

// DeleteConnector removes a connector, its target state and its tasks. Its
// source offsets and consumer group stay, as in Kafka Connect.
func (c *Configs) DeleteConnector(ctx context.Context, name string) error {
	return c.topic.writeAndRead(ctx,
		&kgo.Record{Key: []byte(prefixConnector + name)},
		&kgo.Record{Key: []byte(prefixTarget + name)})
}

// PutTarget stores the state wanted of a connector.
func (c *Configs) PutTarget(ctx context.Context, name string, state connector.TargetState) error {
	return c.topic.writeAndRead(ctx, targetRecord(name, state))
}

// PutTasks replaces a connector's task configs. Readers see the whole new set
// or the old one, never a mixture: the set counts once its commit record is
// read.
func (c *Configs) PutTasks(ctx context.Context, name string, tasks []connector.Config) error {
	if err := c.topic.readToEnd(ctx); err != nil {
		return err
	}
	recs := make([]*kgo.Record, 0, len(tasks))
	for n, cfg := range tasks {
		value, err := encode(map[string]any{"properties": cfg})
		if err != nil {
			return err
		}
		id := connector.TaskID{Connector: name, Task: n}
		recs = append(recs, &kgo.Record{Key: []byte(prefixTask + id.String()), Value: value})
	}
	if len(recs) > 0 {
		if err := c.topic.writeAndRead(ctx, recs...); err != nil {
			return err
		}
	}
	value := fmt.Appendf(nil, `{"tasks":%d}`, len(tasks))
	return c.topic.writeAndRead(ctx, &kgo.Record{Key: []byte(prefixCommit + name), Value: value})
}

// PutRestart asks every worker of the cluster to restart its part of a
// connector.
func (c *Configs) PutRestart(ctx context.Context, req connector.RestartRequest) error {
	value := fmt.Appendf(nil, `{"include-tasks":%t,"only-failed":%t}`, req.IncludeTasks, req.OnlyFailed)
	return c.topic.writeAndRead(ctx, &kgo.Record{Key: []byte(prefixRestart + req.Connector), Value: value})
}

// PutSession stores the key by which workers sign requests to each other.
func (c *Configs) PutSession(ctx context.Context, k SessionKey) error {
	value, err := encode(struct {
		Key       []byte `json:"key"`
		Algorithm string `json:"algorithm"`
		Created   int64  `json:"creation-timestamp"`
	}{k.Key, k.Algorithm, k.Created.UnixMilli()})
	if err != nil {
		return err
	}
	return c.topic.writeAndRead(ctx, &kgo.Record{Key: []byte(keySession), Value: value})
}

// PutFencing notes that the producers of a connector's former tasks are fenced,
// and that it has so many tasks now (KIP-618).
func (c *Configs) PutFencing(ctx context.Context, name string, tasks int) error {
	value := fmt.Appendf(nil, `{"task-count":%d}`, tasks)
	return c.topic.writeAndRead(ctx, &kgo.Record{Key: []byte(prefixFencing + name), Value: value})
}

// PutLogger sets the level of a namespace of loggers on every worker of the
// cluster (KIP-976).
func (c *Configs) PutLogger(ctx context.Context, namespace, level string) error {
	value, err := encode(map[string]string{"level": level})
	if err != nil {
		return err
	}
	return c.topic.writeAndRead(ctx, &kgo.Record{Key: []byte(prefixLogger + namespace), Value: value})
}

// targetRecord writes both forms of a target state: readers from before
// Kafka 3.5 know no STOPPED and are told PAUSED.
func targetRecord(name string, state connector.TargetState) *kgo.Record {
	old := state
	if state == connector.TargetStopped {
		old = connector.TargetPaused
	}
	return &kgo.Record{
		Key:   []byte(prefixTarget + name),
		Value: fmt.Appendf(nil, `{"state":%q,"state.v2":%q}`, old, state),
	}
}

// Snapshot is the config topic's content at one moment.
type Snapshot struct {
	// Offset is the offset after the last record read, -1 before any: the
	// number that workers compare when they rebalance.
	Offset int64
	// Structure is the offset after the last record that changed which
	// connectors and tasks there are, -1 before any: work that was divided at
	// an earlier offset must be divided again.
	Structure int64
	// Session is the key of internal requests, nil before the first.
	Session    *SessionKey
	connectors map[string]entry
}

type entry struct {
	config, applied connector.Config
	target          connector.TargetState
	tasks           []connector.Config
	broken          bool
	generation      int
	fencing         int
	fenced          bool
	unfenced        bool
}

// Connectors returns all names, sorted.
func (s Snapshot) Connectors() []string {
	names := make([]string, 0, len(s.connectors))
	for n := range s.connectors {
		names = append(names, n)
	}
	sort.Strings(names)
	return names
}

// Connector returns a connector's config and whether it exists.
func (s Snapshot) Connector(name string) (connector.Config, bool) {
	e, ok := s.connectors[name]
	return e.config, ok
}

// Target returns what is wanted of a connector, Started if nothing was said.
func (s Snapshot) Target(name string) connector.TargetState {
	if e, ok := s.connectors[name]; ok {
		return e.target
	}
	return connector.TargetStarted
}

// Tasks returns a connector's task configs by task number. It is empty when
// none are committed, or when a committed set is incomplete and must be
// written anew (Inconsistent).
func (s Snapshot) Tasks(name string) []connector.Config { return s.connectors[name].tasks }

// Applied returns the connector config that the committed tasks were made
// from, nil when unknown.
func (s Snapshot) Applied(name string) connector.Config { return s.connectors[name].applied }

// Inconsistent reports whether some of a connector's committed task records
// are missing, as after compaction met an interrupted write.
func (s Snapshot) Inconsistent(name string) bool { return s.connectors[name].broken }

// Generation counts the sets of task configs that a connector has had, from 0.
func (s Snapshot) Generation(name string) int { return s.connectors[name].generation }

// Fencing returns how many tasks the last fencing record of a connector counts,
// whether there is one, and whether a set of tasks was committed since
// (KIP-618).
func (s Snapshot) Fencing(name string) (count int, recorded, pending bool) {
	e := s.connectors[name]
	return e.fencing, e.fenced, e.unfenced
}

// encode writes compact JSON without escaping <, > and &: Kafka Connect does
// not, and keys are compared as bytes.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
