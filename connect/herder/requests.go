package herder

import (
	"context"
	"fmt"
	"strings"

	"github.com/millrace/millrace/connect/connector"
	"github.com/millrace/millrace/connect/rebalance"
	"github.com/millrace/millrace/connect/store"
	"github.com/millrace/millrace/connect/worker"
)

// Connectors returns the names of all connectors, sorted.
func (h *Herder) Connectors(context.Context) ([]string, error) {
	return h.configs.Snapshot().Connectors(), nil
}

// Create adds a connector. It answers before the connector has started: its
// status tells how that went. An empty initial state is Started.
func (h *Herder) Create(ctx context.Context, name string, cfg connector.Config, initial connector.TargetState) (connector.Info, error) {
	if err := h.leading(ctx); err != nil {
		return connector.Info{}, err
	}
	cfg, err := h.unmask(cfg, nil)
	if err != nil {
		return connector.Info{}, err
	}
	if err := h.check(ctx, name, cfg); err != nil {
		return connector.Info{}, err
	}
	h.writing.Lock()
	defer h.writing.Unlock()
	if _, exists := h.configs.Snapshot().Connector(name); exists {
		return connector.Info{}, connector.Errorf(connector.Conflict, "Connector %s already exists", name)
	}
	if err := h.put(ctx, name, cfg, initial); err != nil {
		return connector.Info{}, err
	}
	return h.info(h.configs.Snapshot(), name)
}

// Put creates a connector or replaces its config, and says which. Where the
// config has the mask of a secret, the stored value stays.
func (h *Herder) Put(ctx context.Context, name string, cfg connector.Config) (info connector.Info, created bool, err error) {
	if err := h.leading(ctx); err != nil {
		return connector.Info{}, false, err
	}
	if cfg, err = h.unmask(cfg, h.stored(name)); err != nil {
		return connector.Info{}, false, err
	}
	if err := h.check(ctx, name, cfg); err != nil {
		return connector.Info{}, false, err
	}
	h.writing.Lock()
	defer h.writing.Unlock()
	_, exists := h.configs.Snapshot().Connector(name)
	if err := h.put(ctx, name, cfg, ""); err != nil {
		return connector.Info{}, false, err
	}
	info, err = h.info(h.configs.Snapshot(), name)
	return info, !exists, err
}

// Patch sets and removes single keys of a connector's config (KIP-477).
func (h *Herder) Patch(ctx context.Context, name string, set connector.Config, remove []string) (connector.Info, error) {
	if err := h.leading(ctx); err != nil {
		return connector.Info{}, err
	}
	old, ok := h.configs.Snapshot().Connector(name)
	if !ok {
		return connector.Info{}, connector.NotFoundError(name)
	}
	cfg := old.Clone()
	for k, v := range set {
		cfg[k] = v
	}
	for _, k := range remove {
		delete(cfg, k)
	}
	info, _, err := h.Put(ctx, name, cfg)
	return info, err
}

// put writes a config unless whoever asked has stopped waiting: a write that
// comes after its request was given up would surprise.
func (h *Herder) put(ctx context.Context, name string, cfg connector.Config, initial connector.TargetState) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("connector %s not stored: %w", name, context.Cause(ctx))
	}
	return h.configs.PutConnector(context.WithoutCancel(ctx), name, cfg, initial)
}

// check validates a config and refuses it with all its errors, in Kafka
// Connect's words.
func (h *Herder) check(ctx context.Context, name string, cfg connector.Config) error {
	infos, err := h.Validate(ctx, name, cfg)
	if err != nil {
		return err
	}
	all := infos.Errors()
	if len(all) == 0 {
		return nil
	}
	return connector.Errorf(connector.BadRequest,
		"Connector configuration is invalid and contains the following %d error(s):\n%s\n"+
			"You can also find the above list of errors at the endpoint `/connector-plugins/{connectorType}/config/validate`",
		len(all), strings.Join(all, "\n"))
}

// Validate checks a config as Create would, and names every problem.
func (h *Herder) Validate(ctx context.Context, name string, cfg connector.Config) (worker.Infos, error) {
	if cfg["connector.class"] == "" {
		return worker.Infos{}, connector.Errorf(connector.BadRequest,
			"Connector config for %q contains no connector type: connector.class is missing", name)
	}
	return h.cfg.Worker.Validate(ctx, cfg)
}

// Delete removes a connector. Its source offsets and consumer group stay, so
// that one made anew under the name goes on where it was.
func (h *Herder) Delete(ctx context.Context, name string) error {
	if err := h.leading(ctx); err != nil {
		return err
	}
	h.writing.Lock()
	defer h.writing.Unlock()
	if _, ok := h.configs.Snapshot().Connector(name); !ok {
		return connector.NotFoundError(name)
	}
	return h.configs.DeleteConnector(ctx, name)
}

// SetTarget pauses, resumes or stops a connector. Stopping is the leader's,
// because it takes the tasks away; the others any worker stores.
func (h *Herder) SetTarget(ctx context.Context, name string, state connector.TargetState) error {
	if state == connector.TargetStopped {
		if err := h.leading(ctx); err != nil {
			return err
		}
	}
	h.writing.Lock()
	defer h.writing.Unlock()
	if _, ok := h.configs.Snapshot().Connector(name); !ok {
		return connector.Errorf(connector.NotFound, "Unknown connector %s", name)
	}
	if err := h.configs.PutTarget(ctx, name, state); err != nil {
		return err
	}
	if state == connector.TargetStopped {
		return h.configs.PutTasks(ctx, name, nil)
	}
	return nil
}

func sameTasks(a, b []connector.Config) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !a[i].Equal(b[i]) {
			return false
		}
	}
	return true
}

// Restart restarts a connector's instances (KIP-745). Without flags it
// restarts the connector object and returns when that is done. With one it
// leaves word for all workers and returns the plan.
func (h *Herder) Restart(ctx context.Context, req connector.RestartRequest) (connector.StateInfo, error) {
	snap := h.configs.Snapshot()
	if _, ok := snap.Connector(req.Connector); !ok {
		return connector.StateInfo{}, connector.Errorf(connector.NotFound, "Unknown connector: %s", req.Connector)
	}
	if !req.IncludeTasks && !req.OnlyFailed {
		if err := h.owning(ctx, rebalance.ObjectOf(req.Connector)); err != nil {
			return connector.StateInfo{}, err
		}
		k := h.keeper(req.Connector)
		if k == nil {
			return connector.StateInfo{}, connector.Errorf(connector.Conflict, "connector %s is only just starting; try again", req.Connector)
		}
		return connector.StateInfo{}, wait(ctx, k.requestConnector())
	}
	if err := h.leading(ctx); err != nil {
		return connector.StateInfo{}, err
	}
	plan, err := h.Status(ctx, req.Connector)
	if err != nil {
		return connector.StateInfo{}, connector.Errorf(connector.NotFound, "Status for connector %s not found", req.Connector)
	}
	if req.Matches(plan.Connector.State) {
		plan.Connector.State, plan.Connector.Trace = connector.Restarting, ""
	}
	for i, t := range plan.Tasks {
		if req.IncludeTasks && req.Matches(t.State) {
			plan.Tasks[i].State, plan.Tasks[i].Trace = connector.Restarting, ""
		}
	}
	h.writing.Lock()
	defer h.writing.Unlock()
	return plan, h.configs.PutRestart(ctx, req)
}

// RestartTask restarts one task and returns when it is starting.
func (h *Herder) RestartTask(ctx context.Context, id connector.TaskID) error {
	snap := h.configs.Snapshot()
	if _, ok := snap.Connector(id.Connector); !ok {
		return connector.Errorf(connector.NotFound, "Unknown connector: %s", id.Connector)
	}
	if id.Task >= len(snap.Tasks(id.Connector)) {
		return connector.Errorf(connector.NotFound, "Unknown task: %s", id)
	}
	if err := h.owning(ctx, id); err != nil {
		return err
	}
	k := h.keeper(id.Connector)
	if k == nil {
		return connector.Errorf(connector.Conflict, "task %s is only just starting; try again", id)
	}
	return wait(ctx, k.requestTask(id.Task))
}

func wait(ctx context.Context, done <-chan error) error {
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("request timed out: %w", context.Cause(ctx))
	}
}

// Info describes a connector.
func (h *Herder) Info(_ context.Context, name string) (connector.Info, error) {
	return h.info(h.configs.Snapshot(), name)
}

func (h *Herder) info(snap store.Snapshot, name string) (connector.Info, error) {
	cfg, ok := snap.Connector(name)
	if !ok {
		return connector.Info{}, connector.NotFoundError(name)
	}
	info := connector.Info{Name: name, Config: cfg, Tasks: []connector.TaskID{}, Type: h.cfg.Worker.Kind(cfg)}
	for n := range snap.Tasks(name) {
		info.Tasks = append(info.Tasks, connector.TaskID{Connector: name, Task: n})
	}
	return info, nil
}

// Tasks describes a connector's tasks.
func (h *Herder) Tasks(_ context.Context, name string) ([]connector.TaskInfo, error) {
	snap := h.configs.Snapshot()
	if _, ok := snap.Connector(name); !ok {
		return nil, connector.NotFoundError(name)
	}
	out := []connector.TaskInfo{}
	for n, cfg := range snap.Tasks(name) {
		out = append(out, connector.TaskInfo{ID: connector.TaskID{Connector: name, Task: n}, Config: cfg})
	}
	return out, nil
}

// Status tells a connector's state. Right after a connector was created there
// is none yet.
func (h *Herder) Status(_ context.Context, name string) (connector.StateInfo, error) {
	st, ok := h.statuses.Connector(name)
	if !ok {
		return connector.StateInfo{}, connector.Errorf(connector.NotFound, "No status found for connector %s", name)
	}
	cfg, _ := h.configs.Snapshot().Connector(name)
	info := connector.StateInfo{
		Name: name, Type: h.cfg.Worker.Kind(cfg), Tasks: []connector.TaskState{},
		Connector: connector.WorkerState{State: st.State, WorkerID: st.WorkerID, Trace: st.Trace},
	}
	for _, id := range h.statuses.Tasks(name) {
		if ts, err := h.taskState(id); err == nil {
			info.Tasks = append(info.Tasks, ts)
		}
	}
	return info, nil
}

// TaskStatus tells one task's state.
func (h *Herder) TaskStatus(_ context.Context, id connector.TaskID) (connector.TaskState, error) {
	return h.taskState(id)
}

func (h *Herder) taskState(id connector.TaskID) (connector.TaskState, error) {
	st, ok := h.statuses.Task(id)
	if !ok {
		return connector.TaskState{}, connector.Errorf(connector.NotFound, "No status found for task %s", id)
	}
	return connector.TaskState{ID: id.Task, State: st.State, WorkerID: st.WorkerID, Trace: st.Trace, Progress: st.Progress}, nil
}

// Expand describes all connectors. With status asked for, those that have none
// yet are left out, as in Kafka Connect.
func (h *Herder) Expand(ctx context.Context, status, info bool) (map[string]connector.Expanded, error) {
	snap := h.configs.Snapshot()
	out := map[string]connector.Expanded{}
	for _, name := range snap.Connectors() {
		var e connector.Expanded
		if status {
			st, err := h.Status(ctx, name)
			if err != nil {
				continue
			}
			e.Status = &st
		}
		if info {
			i, err := h.info(snap, name)
			if err != nil {
				return nil, err
			}
			e.Info = &i
		}
		out[name] = e
	}
	return out, nil
}

// Topics returns the topics that a connector has touched, sorted.
func (h *Herder) Topics(_ context.Context, name string) ([]string, error) {
	return h.statuses.Topics(name), nil
}

// ValidateFor is Validate for a config whose class must be that of the plugin
// in the request's path: its full or simple name, or an alias.
func (h *Herder) ValidateFor(ctx context.Context, plugin string, cfg connector.Config) (worker.Infos, error) {
	class := cfg["connector.class"]
	if !strings.HasSuffix(strings.TrimSuffix(class, "Connector"), strings.TrimSuffix(plugin, "Connector")) {
		return worker.Infos{}, connector.Errorf(connector.BadRequest,
			"Included connector type %s does not match request type %s", class, plugin)
	}
	cfg, err := h.unmask(cfg, h.stored(cfg["name"]))
	if err != nil {
		return worker.Infos{}, err
	}
	return h.Validate(ctx, cfg["name"], cfg)
}

// PutTopic notes that a task touched a topic, at a time in milliseconds since
// the epoch.
func (h *Herder) PutTopic(ctx context.Context, id connector.TaskID, topic string, sinceMillis int64) error {
	return h.statuses.PutTopic(ctx, id, topic, sinceMillis)
}

// CatchUp waits until this worker has read all that is in the config topic.
func (h *Herder) CatchUp(ctx context.Context) error { return h.configs.ReadToEnd(ctx) }

// ResetTopics forgets the topics that a connector has touched.
func (h *Herder) ResetTopics(ctx context.Context, name string) error {
	return h.statuses.DeleteTopics(ctx, name)
}

// SetLogger sets the level of a namespace of loggers on every worker.
func (h *Herder) SetLogger(ctx context.Context, namespace, level string) error {
	h.writing.Lock()
	defer h.writing.Unlock()
	return h.configs.PutLogger(ctx, namespace, level)
}
