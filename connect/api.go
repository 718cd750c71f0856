package connect

import (
	"context"
	"strings"

	"github.com/millrace/millrace/connect/connector"
	"github.com/millrace/millrace/connect/loggers"
	"github.com/millrace/millrace/connect/signature"
	"github.com/millrace/millrace/plugins/configdef"
)

// The methods below answer the REST API. They are the herder's, and refuse
// while the worker is not ready.

// ask calls a method of the running herder.
func ask[T any](c *Connect, f func(*parts) (T, error)) (T, error) {
	p, err := c.running()
	if err != nil {
		var none T
		return none, err
	}
	return f(p)
}

// do is ask for methods without a result.
func do(c *Connect, f func(*parts) error) error {
	p, err := c.running()
	if err != nil {
		return err
	}
	return f(p)
}

// Connectors returns the names of all connectors, sorted.
func (c *Connect) Connectors(ctx context.Context) ([]string, error) {
	return ask(c, func(p *parts) ([]string, error) { return p.Herder.Connectors(ctx) })
}

// masked hides the secrets of a config that is about to be shown. All answers
// about connectors go through it.
func (p *parts) masked(info connector.Info, err error) (connector.Info, error) {
	if err == nil {
		info.Config = p.worker.Mask(info.Config)
	}
	return info, err
}

// Expand describes all connectors.
func (c *Connect) Expand(ctx context.Context, status, info bool) (map[string]connector.Expanded, error) {
	return ask(c, func(p *parts) (map[string]connector.Expanded, error) {
		all, err := p.Herder.Expand(ctx, status, info)
		for _, e := range all {
			if e.Info != nil {
				e.Info.Config = p.worker.Mask(e.Info.Config)
			}
		}
		return all, err
	})
}

// Create adds a connector.
func (c *Connect) Create(ctx context.Context, name string, cfg connector.Config, initial connector.TargetState) (connector.Info, error) {
	return ask(c, func(p *parts) (connector.Info, error) { return p.masked(p.Herder.Create(ctx, name, cfg, initial)) })
}

// Put creates a connector or replaces its config, and says which.
func (c *Connect) Put(ctx context.Context, name string, cfg connector.Config) (info connector.Info, created bool, err error) {
	p, err := c.running()
	if err != nil {
		return connector.Info{}, false, err
	}
	info, created, err = p.Herder.Put(ctx, name, cfg)
	info, err = p.masked(info, err)
	return info, created, err
}

// Preview tells what Put would change.
func (c *Connect) Preview(ctx context.Context, name string, cfg connector.Config) (connector.Preview, error) {
	return ask(c, func(p *parts) (connector.Preview, error) { return p.Herder.Preview(ctx, name, cfg) })
}

// History returns what became of a connector and its tasks.
func (c *Connect) History(ctx context.Context, name string) (connector.History, error) {
	return ask(c, func(p *parts) (connector.History, error) { return p.Herder.History(ctx, name) })
}

// Patch sets and removes single keys of a connector's config.
func (c *Connect) Patch(ctx context.Context, name string, set connector.Config, remove []string) (connector.Info, error) {
	return ask(c, func(p *parts) (connector.Info, error) { return p.masked(p.Herder.Patch(ctx, name, set, remove)) })
}

// Delete removes a connector.
func (c *Connect) Delete(ctx context.Context, name string) error {
	return do(c, func(p *parts) error { return p.Herder.Delete(ctx, name) })
}

// Info describes a connector.
func (c *Connect) Info(ctx context.Context, name string) (connector.Info, error) {
	return ask(c, func(p *parts) (connector.Info, error) { return p.masked(p.Herder.Info(ctx, name)) })
}

// Status tells a connector's state.
func (c *Connect) Status(ctx context.Context, name string) (connector.StateInfo, error) {
	return ask(c, func(p *parts) (connector.StateInfo, error) { return p.Herder.Status(ctx, name) })
}

// TaskStatus tells one task's state.
func (c *Connect) TaskStatus(ctx context.Context, id connector.TaskID) (connector.TaskState, error) {
	return ask(c, func(p *parts) (connector.TaskState, error) { return p.Herder.TaskStatus(ctx, id) })
}

// Tasks describes a connector's tasks.
func (c *Connect) Tasks(ctx context.Context, name string) ([]connector.TaskInfo, error) {
	return ask(c, func(p *parts) ([]connector.TaskInfo, error) {
		tasks, err := p.Herder.Tasks(ctx, name)
		if err != nil {
			return nil, err
		}
		info, err := p.Herder.Info(ctx, name)
		if err != nil {
			return nil, err
		}
		secret := p.worker.Secret(info.Config)
		for i := range tasks {
			tasks[i].Config = configdef.Mask(tasks[i].Config, secret)
		}
		return tasks, nil
	})
}

// Topics returns the topics that a connector has touched.
func (c *Connect) Topics(ctx context.Context, name string) ([]string, error) {
	if !c.settings.Bool("topic.tracking.enable") {
		return nil, connector.Errorf(connector.Forbidden, "Topic tracking is disabled.")
	}
	return ask(c, func(p *parts) ([]string, error) { return p.Herder.Topics(ctx, name) })
}

// Restart restarts a connector's instances.
func (c *Connect) Restart(ctx context.Context, req connector.RestartRequest) (connector.StateInfo, error) {
	return ask(c, func(p *parts) (connector.StateInfo, error) { return p.Herder.Restart(ctx, req) })
}

// RestartTask restarts one task.
func (c *Connect) RestartTask(ctx context.Context, id connector.TaskID) error {
	return do(c, func(p *parts) error { return p.Herder.RestartTask(ctx, id) })
}

// SetTarget pauses, resumes or stops a connector.
func (c *Connect) SetTarget(ctx context.Context, name string, state connector.TargetState) error {
	return do(c, func(p *parts) error { return p.Herder.SetTarget(ctx, name, state) })
}

// Offsets returns how far a connector came.
func (c *Connect) Offsets(ctx context.Context, name string) (connector.Offsets, error) {
	return ask(c, func(p *parts) (connector.Offsets, error) { return p.Herder.ConnectorOffsets(ctx, name) })
}

// AlterOffsets changes offsets of a stopped connector.
func (c *Connect) AlterOffsets(ctx context.Context, name string, entries []connector.OffsetEntry) (connector.Message, error) {
	return ask(c, func(p *parts) (connector.Message, error) { return p.Herder.AlterOffsets(ctx, name, entries) })
}

// ResetOffsets removes all offsets of a stopped connector.
func (c *Connect) ResetOffsets(ctx context.Context, name string) (connector.Message, error) {
	return ask(c, func(p *parts) (connector.Message, error) { return p.Herder.ResetOffsets(ctx, name) })
}

// Plugins lists what this worker can run.
func (c *Connect) Plugins(_ context.Context, connectorsOnly bool) ([]connector.PluginInfo, error) {
	return ask(c, func(p *parts) ([]connector.PluginInfo, error) { return p.worker.Plugins(connectorsOnly), nil })
}

// PluginConfig describes the config keys of a plugin, in the newest version that
// the requirement allows, which may be empty.
func (c *Connect) PluginConfig(ctx context.Context, plugin, version string) (any, error) {
	return ask(c, func(p *parts) (any, error) { return p.worker.PluginConfig(ctx, plugin, version) })
}

// Validate checks a connector config as Create would, and names every problem.
// The class of the config must be the plugin's.
func (c *Connect) Validate(ctx context.Context, plugin string, cfg connector.Config) (any, error) {
	return ask(c, func(p *parts) (any, error) { return p.Herder.ValidateFor(ctx, plugin, cfg) })
}

// StoreTasks takes in task configs from the worker of a connector.
func (c *Connect) StoreTasks(ctx context.Context, name string, tasks []connector.Config, r signature.Request) error {
	return do(c, func(p *parts) error { return p.Herder.StoreTasks(ctx, name, tasks, r) })
}

// ServeFence ends the producers of a connector's former tasks for a worker.
func (c *Connect) ServeFence(ctx context.Context, name string, r signature.Request) error {
	return do(c, func(p *parts) error { return p.Herder.ServeFence(ctx, name, r) })
}

// CatchUp waits until this worker has read all that is in the config topic.
func (c *Connect) CatchUp(ctx context.Context) error {
	return do(c, func(p *parts) error { return p.Herder.CatchUp(ctx) })
}

// ResetTopics forgets the topics that a connector has touched.
func (c *Connect) ResetTopics(ctx context.Context, name string) error {
	switch {
	case !c.settings.Bool("topic.tracking.enable"):
		return connector.Errorf(connector.Forbidden, "Topic tracking is disabled.")
	case !c.settings.Bool("topic.tracking.allow.reset"):
		return connector.Errorf(connector.Forbidden, "Topic tracking reset is disabled.")
	}
	return do(c, func(p *parts) error { return p.Herder.ResetTopics(ctx, name) })
}

// Loggers returns the levels of this worker's loggers.
func (c *Connect) Loggers(context.Context) (any, error) { return c.cfg.Loggers.All(), nil }

// Logger returns the level of one logger.
func (c *Connect) Logger(_ context.Context, name string) (any, error) {
	l, ok := c.cfg.Loggers.Get(name)
	if !ok {
		return nil, connector.Errorf(connector.NotFound, "Logger %s not found.", name)
	}
	return l, nil
}

// SetLogger sets the level of all loggers whose name begins so, here or on all
// workers of the cluster.
func (c *Connect) SetLogger(ctx context.Context, namespace, level string, cluster bool) ([]string, error) {
	l, ok := loggers.Parse(level)
	if !ok {
		return nil, connector.Errorf(connector.NotFound, "invalid log level '%s'.", level)
	}
	if cluster {
		return nil, do(c, func(p *parts) error { return p.Herder.SetLogger(ctx, namespace, strings.ToUpper(level)) })
	}
	return c.cfg.Loggers.Set(namespace, l), nil
}

// setLevel takes in what was asked of the whole cluster.
func (c *Connect) setLevel(namespace, level string) {
	l, ok := loggers.Parse(level)
	if !ok {
		c.cfg.Logger.Warn("level of loggers unknown", "namespace", namespace, "level", level)
		return
	}
	c.cfg.Loggers.Set(namespace, l)
}
