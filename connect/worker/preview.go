package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/millrace/millrace/connect/connector"
	"github.com/millrace/millrace/plugins/catalog"
)

// previewTimeout bounds the planning of tasks for a preview.
const previewTimeout = 30 * time.Second

// PlanTasks has a connector divide itself as it would with a config, and starts
// none of the tasks.
func (w *Worker) PlanTasks(ctx context.Context, cfg connector.Config) ([]connector.Config, error) {
	ctx, stop := context.WithTimeoutCause(ctx, previewTimeout, fmt.Errorf("no plan within %s", previewTimeout))
	defer stop()
	target, err := w.resolve(cfg)
	if err != nil {
		return nil, err
	}
	resolved, err := w.cfg.Providers.Resolve(cfg)
	if err != nil {
		return nil, err
	}
	limit := intOf(resolved, "tasks.max", 1)
	p, err := w.cfg.Host.Plan(ctx, target, resolved, limit)
	if err != nil {
		return nil, w.hide(cfg, err)
	}
	defer p.Close(context.WithoutCancel(ctx))
	tasks, err := p.Next(ctx)
	switch {
	case errors.Is(err, io.EOF):
		return nil, fmt.Errorf("the connector ended without planning its tasks")
	case err != nil:
		return nil, w.hide(cfg, err)
	case len(tasks) > limit && cfg["tasks.max.enforce"] != "false":
		return nil, fmt.Errorf("the connector asks for %d tasks, tasks.max is %d: raise tasks.max", len(tasks), limit)
	}
	return w.taskConfigs(target, cfg, tasks), nil
}

// MissingTopics returns the topics that a connector would create: its dead
// letter queue; of a source the topic that its key topic names and those in
// touched. Topics whose names come from the data cannot be foretold.
func (w *Worker) MissingTopics(ctx context.Context, cfg connector.Config, touched []string) ([]connector.TopicPreview, error) {
	target, err := w.resolve(cfg)
	if err != nil {
		return nil, err
	}
	resolved, err := w.cfg.Providers.Resolve(cfg)
	if err != nil {
		return nil, err
	}
	var wanted []connector.TopicPreview
	if target.Plugin.Kind == catalog.Sink {
		if queue := strings.TrimSpace(resolved["errors.deadletterqueue.topic.name"]); queue != "" {
			wanted = append(wanted, connector.TopicPreview{Name: queue, Partitions: 1, Use: "dead letter queue",
				ReplicationFactor: int16(intOf(resolved, "errors.deadletterqueue.topic.replication.factor", -1))})
		}
	} else {
		_, fixed := w.knownKeys(target).Key("topic")
		wanted = w.sourceTopics(fixed, resolved, touched)
	}
	if len(wanted) == 0 {
		return nil, nil
	}
	admin, err := w.admin(cfg["name"], resolved)
	if err != nil {
		return nil, w.hide(cfg, err)
	}
	defer admin.Close()
	var names []string
	for _, t := range wanted {
		names = append(names, t.Name)
	}
	there, err := admin.ListTopics(ctx, names...)
	if err != nil {
		return nil, w.hide(cfg, fmt.Errorf("ask for topics: %w", err))
	}
	return slices.DeleteFunc(wanted, func(t connector.TopicPreview) bool { return exists(there, t.Name) }), nil
}

func exists(there kadm.TopicDetails, name string) bool {
	d, ok := there[name]
	return ok && d.Err == nil
}

// sourceTopics are those that a source is known to write to, with the settings
// that they would be created with. fixed says that the key topic names one.
func (w *Worker) sourceTopics(fixed bool, cfg connector.Config, touched []string) []connector.TopicPreview {
	names := slices.Clone(touched)
	if topic := strings.TrimSpace(cfg["topic"]); topic != "" && fixed && !slices.Contains(names, topic) {
		names = append(names, topic)
	}
	slices.Sort(names)
	rules, problems := parseTopicRules(cfg)
	active := w.cfg.CreateTopics && rules.active && len(problems) == 0
	var out []connector.TopicPreview
	for _, name := range names {
		t := connector.TopicPreview{Name: name, Partitions: -1, ReplicationFactor: -1, Use: "records, if the brokers create topics by themselves"}
		if active {
			g := rules.group(name)
			t.Partitions, t.ReplicationFactor, t.Use = g.partitions, g.replication, "records, by topic.creation"
		}
		out = append(out, t)
	}
	return out
}
