package herder

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/millrace/millrace/connect/connector"
	"github.com/millrace/millrace/connect/store"
)

// Preview tells what Put would change, and changes nothing. Any worker answers,
// from what it has read of the config topic. The connector's plugin is asked to
// validate and to plan its tasks, as when the config is put.
func (h *Herder) Preview(ctx context.Context, name string, cfg connector.Config) (connector.Preview, error) {
	snap := h.configs.Snapshot()
	before, exists := snap.Connector(name)
	cfg, err := h.unmask(cfg, before)
	if err != nil {
		return connector.Preview{}, err
	}
	infos, err := h.Validate(ctx, name, cfg)
	if err != nil {
		return connector.Preview{}, err
	}
	p := connector.Preview{
		Name: name, Exists: exists, Valid: len(infos.Errors()) == 0, Validation: infos,
		Config: h.keyChanges(before, cfg), Topics: []connector.TopicPreview{}, Notes: []string{},
	}
	if !p.Valid {
		return p, nil
	}
	topics, err := h.cfg.Worker.MissingTopics(ctx, cfg, h.statuses.Topics(name))
	if err != nil {
		p.Notes = append(p.Notes, fmt.Sprintf("topics are not foretold: %v", err))
	}
	p.Topics = append(p.Topics, topics...)
	if cfg["transforms"] != "" && len(p.Topics) > 0 {
		p.Notes = append(p.Notes, "topics are named as they are before the transforms")
	}
	if target := snap.Target(name); exists && target != connector.TargetStarted {
		p.Notes = append(p.Notes, fmt.Sprintf("the connector is %s: its tasks are planned when it is resumed", target))
		return p, nil
	}
	p.RestartsConnector = exists && !before.Equal(cfg)
	tasks, err := h.cfg.Worker.PlanTasks(ctx, cfg)
	if err != nil {
		p.Notes = append(p.Notes, fmt.Sprintf("tasks are not foretold: %v", err))
		return p, nil
	}
	p.Tasks = h.taskChanges(snap, name, cfg, tasks)
	return p, nil
}

// keyChanges are the keys that differ, sorted, with secrets masked.
func (h *Herder) keyChanges(before, after connector.Config) []connector.KeyChange {
	shownBefore, shownAfter := h.cfg.Worker.Mask(before), h.cfg.Worker.Mask(after)
	names := maps.Clone(before)
	if names == nil {
		names = connector.Config{}
	}
	maps.Copy(names, after)
	out := []connector.KeyChange{}
	for _, key := range slices.Sorted(maps.Keys(names)) {
		old, had := before[key]
		now, has := after[key]
		oldShown, nowShown := shownBefore[key], shownAfter[key]
		switch {
		case !had:
			out = append(out, connector.KeyChange{Key: key, Change: "added", After: &nowShown})
		case !has:
			out = append(out, connector.KeyChange{Key: key, Change: "removed", Before: &oldShown})
		case old != now:
			out = append(out, connector.KeyChange{Key: key, Change: "changed", Before: &oldShown, After: &nowShown})
		}
	}
	return out
}

// taskChanges compares the tasks that there are with those of a plan, as the
// keeper does when it is stored.
func (h *Herder) taskChanges(snap store.Snapshot, name string, cfg connector.Config, planned []connector.Config) *connector.TaskChanges {
	c := &connector.TaskChanges{Started: []int{}, Stopped: []int{}, Restarted: []int{}, Unchanged: []int{}}
	present := snap.Tasks(name)
	same := h.cfg.Worker.Settings(snap.Applied(name)).Equal(h.cfg.Worker.Settings(cfg))
	for n := range max(len(present), len(planned)) {
		switch {
		case n >= len(present):
			c.Started = append(c.Started, n)
		case n >= len(planned):
			c.Stopped = append(c.Stopped, n)
		case same && present[n].Equal(planned[n]):
			c.Unchanged = append(c.Unchanged, n)
		default:
			c.Restarted = append(c.Restarted, n)
		}
	}
	return c
}

// History returns what became of a connector and its tasks, as far back as the
// status topic goes.
func (h *Herder) History(_ context.Context, name string) (connector.History, error) {
	out := connector.History{Name: name, Entries: h.statuses.History(name)}
	if out.Entries == nil {
		if _, ok := h.configs.Snapshot().Connector(name); !ok {
			return connector.History{}, connector.NotFoundError(name)
		}
		out.Entries = []connector.HistoryEntry{}
	}
	return out, nil
}
