// Package worker runs connectors and tasks in this process's name: it resolves
// their plugins, makes their converters and clients, starts their processes
// through plugins/host, runs their loops and starts again what fails.
package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/millrace/millrace/connect/client"
	"github.com/millrace/millrace/connect/connector"
	"github.com/millrace/millrace/connect/converter"
	"github.com/millrace/millrace/connect/provider"
	"github.com/millrace/millrace/connect/transform"
	"github.com/millrace/millrace/plugins/catalog"
	"github.com/millrace/millrace/plugins/configdef"
	"github.com/millrace/millrace/plugins/host"
)

// OffsetStore is where source tasks keep how far they came.
type OffsetStore interface {
	// Get returns the offset of each source partition, nil where none is
	// stored. Both are JSON objects.
	Get(ctx context.Context, connector string, partitions ...[]byte) ([][]byte, error)
	// Put stores offsets durably; a nil value removes.
	Put(ctx context.Context, connector string, offsets map[string][]byte) error
}

// Config is what a Worker is made of.
type Config struct {
	Host    *host.Host
	Catalog *catalog.Catalog
	// Brokers is the cluster that clients use unless their settings name
	// another. Connection settings of the worker itself are in Defaults.
	Brokers client.Target
	// Open reports whether tasks may write. Nil is always.
	Open func() bool
	// Offsets and Touched are called while tasks run. Touched notes that a task
	// uses a topic (KIP-558); nil notes nothing.
	Offsets OffsetStore
	Touched func(id connector.TaskID, topic string)
	// ExactlyOnce is how source tasks write in transactions.
	ExactlyOnce ExactlyOnce
	// Defaults are the worker's own converter and client keys: key.converter
	// and the like with what is under them, producer., consumer. and admin.
	Defaults map[string]string
	// RegistryURL is the schema registry for converters that name none, "" for
	// none.
	RegistryURL string
	// Providers resolve the variables of connector configs.
	Providers provider.Set
	// Group is the group of the Connect cluster, which no sink may join.
	Group string
	// Overrides says which settings of their clients connectors may change.
	Overrides OverridePolicy
	// CreateTopics heeds the topic.creation keys.
	CreateTopics bool
	// CommitInterval is the time between two commits of a sink.
	CommitInterval time.Duration
	// DrainTimeout bounds the waiting for acknowledgements when a source stops.
	DrainTimeout time.Duration
	// StopTimeout is how long a stopping task may take before it is killed.
	StopTimeout time.Duration
	// TaskMemory is the limit on the resident memory of tasks that have none of
	// their own, in bytes; 0 is none.
	TaskMemory int64
	// Version is that of the converters, transforms and predicates, which are
	// built in.
	Version string
	Logger  *slog.Logger
}

// Worker runs connectors and tasks. It is safe for concurrent use.
type Worker struct {
	cfg  Config
	regs registries

	connectorStarts, taskStarts starts

	mu         sync.Mutex // guards below
	connectors map[string]*object
	tasks      map[connector.TaskID]*running
	described  map[string]configdef.Def // keys of plugins known from manifests, by origin
}

// New returns a worker that runs nothing yet.
func New(cfg Config) *Worker {
	return &Worker{cfg: cfg, connectors: map[string]*object{}, tasks: map[connector.TaskID]*running{}, described: map[string]configdef.Def{}}
}

// resolve finds the plugin of a config.
func (w *Worker) resolve(cfg connector.Config) (host.Target, error) {
	p, class, err := w.cfg.Catalog.Resolve(cfg["connector.class"], cfg)
	var version *catalog.VersionError
	if errors.As(err, &version) {
		return host.Target{}, err
	}
	if err != nil {
		return host.Target{}, connector.Errorf(connector.BadRequest, "%v", err)
	}
	return host.NewTarget(p, class), nil
}

// refresh looks for plugins that are new or have changed, so that what starts
// now starts them.
func (w *Worker) refresh(ctx context.Context) {
	if err := w.cfg.Catalog.Scan(ctx); err != nil && ctx.Err() == nil {
		w.cfg.Logger.Error("plugins not looked for, those known are used", "err", err)
	}
}

// Kind returns which way a config's class moves records, Unknown when there is
// no such class.
func (w *Worker) Kind(cfg connector.Config) connector.Kind {
	t, err := w.resolve(cfg)
	var version *catalog.VersionError
	switch {
	case errors.As(err, &version):
		return connector.Kind(version.Newest.Kind)
	case err != nil:
		return connector.Unknown
	}
	return connector.Kind(t.Plugin.Kind)
}

// Settings picks from a connector's config what its tasks run by besides their
// own configs. A change of any other key restarts no task.
func (w *Worker) Settings(cfg connector.Config) connector.Config {
	out := connector.Config{}
	def := frameworkKeys(w.Kind(cfg))
	for k, v := range cfg {
		_, known := def.Key(k)
		if known || slices.ContainsFunc(frameworkPrefixes, func(p string) bool { return strings.HasPrefix(k, p) }) {
			out[k] = v
		}
	}
	for _, k := range []string{"tasks.max", "tasks.max.enforce", "config.action.reload"} {
		delete(out, k)
	}
	return out
}

// hide takes the values of variables and of secret keys out of an error's text,
// which goes to the log, to statuses and to people.
func (w *Worker) hide(cfg connector.Config, err error) error {
	text := err.Error()
	hidden := scrub(cfg, w.Secret(cfg), w.cfg.Providers.Hide(cfg, text))
	if hidden != text {
		return &hiddenError{hidden, err}
	}
	return err
}

// hiddenError is an error without secrets in its text. What it is about can
// still be asked.
type hiddenError struct {
	text string
	err  error
}

func (e *hiddenError) Error() string { return e.text }
func (e *hiddenError) Unwrap() error { return e.err }

// planTimeout bounds the wait for a connector's first set of task configs.
const planTimeout = time.Minute

// RunConnector runs a connector until ctx ends, and again when it fails.
func (w *Worker) RunConnector(ctx context.Context, name string, cfg connector.Config,
	plan func(context.Context, []connector.Config) error, report func(connector.State, string),
) {
	o := &object{name: name, class: cfg["connector.class"], kind: w.Kind(cfg)}
	w.mu.Lock()
	w.connectors[name] = o
	w.mu.Unlock()
	tell := func(s connector.State, trace string) {
		o.states.enter(time.Now(), s)
		report(s, trace)
	}
	defer func() {
		w.mu.Lock()
		delete(w.connectors, name)
		w.mu.Unlock()
	}()
	log := w.cfg.Logger.With("connector", name)
	supervise(ctx, restartPolicyOf(cfg), log, tell, func() {}, func(ctx context.Context) error {
		w.refresh(ctx)
		if t, err := w.resolve(cfg); err == nil { // else the life says why it ended
			o.version.Store(&t.Plugin.Version)
		}
		up, ended := w.connectorStarts.begin()
		err := w.connect(ctx, cfg, plan, func() {
			up()
			tell(connector.Running, "")
		})
		ended(err)
		return err
	})
}

// connect has the connector divide itself, and again whenever it asks for it.
func (w *Worker) connect(ctx context.Context, cfg connector.Config, publish func(context.Context, []connector.Config) error, up func()) error {
	target, err := w.resolve(cfg)
	if err != nil {
		return err
	}
	resolved, err := w.cfg.Providers.Resolve(cfg)
	if err != nil {
		return err
	}
	limit := intOf(resolved, "tasks.max", 1)
	p, err := w.cfg.Host.Plan(ctx, target, resolved, limit)
	if err != nil {
		return w.hide(cfg, withOutput(err))
	}
	closed := false
	closePlan := func() {
		if !closed {
			closed = true
			p.Close(context.WithoutCancel(ctx))
		}
	}
	defer closePlan()
	for first := true; ; first = false {
		nctx, stop := ctx, context.CancelFunc(func() {})
		if first {
			nctx, stop = context.WithTimeout(ctx, planTimeout)
		}
		tasks, err := p.Next(nctx)
		stop()
		if errors.Is(err, io.EOF) {
			closePlan() // it never plans anew: its process can go
			<-ctx.Done()
			return nil
		}
		if err != nil {
			return w.hide(cfg, withOutput(err))
		}
		if len(tasks) > limit && cfg["tasks.max.enforce"] != "false" {
			return fmt.Errorf("the connector asks for %d tasks, tasks.max is %d: raise tasks.max", len(tasks), limit)
		}
		if err := publishUntilDone(ctx, publish, w.taskConfigs(target, cfg, tasks)); err != nil {
			return err
		}
		if first {
			up()
		}
	}
}

// hasVersion returns an error unless the version of what is built in will do.
func (w *Worker) hasVersion(text string) error {
	r, err := catalog.ParseRequirement(text)
	if err == nil && !r.Allows(w.cfg.Version) {
		err = fmt.Errorf("no version that %s allows is here: it is built in and has version %s", r, w.cfg.Version)
	}
	return err
}

// taskConfigs adds to a connector's task configs what the runtime does.
func (w *Worker) taskConfigs(t host.Target, cfg connector.Config, tasks []map[string]string) []connector.Config {
	out := make([]connector.Config, len(tasks))
	for i, props := range tasks {
		out[i] = connector.Config(maps.Clone(w.cfg.Providers.Unresolve(cfg, props)))
		if out[i] == nil {
			out[i] = connector.Config{}
		}
		out[i]["task.class"] = t.Class
		if t.Plugin.Kind != catalog.Sink {
			continue
		}
		for _, k := range []string{"topics", "topics.regex"} {
			if v, ok := cfg[k]; ok {
				out[i][k] = v
			}
		}
	}
	return out
}

// publishUntilDone stores a plan, trying again while the log does not take it.
func publishUntilDone(ctx context.Context, publish func(context.Context, []connector.Config) error, tasks []connector.Config) error {
	pause := 250 * time.Millisecond
	for {
		err := publish(ctx, tasks)
		var refused *connector.Error
		if err == nil || errors.As(err, &refused) {
			return err
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return err
		case <-timer.C:
		}
		pause = min(2*pause, time.Minute)
	}
}

func intOf(cfg connector.Config, key string, otherwise int) int {
	n, err := strconv.Atoi(strings.TrimSpace(cfg[key]))
	if err != nil {
		return otherwise // validated before it was stored
	}
	return n
}

func restartPolicyOf(cfg connector.Config) restartPolicy {
	p, _ := connectorKeys.Parse(cfg) // validated before it was stored
	return restartPolicy{
		enabled: p.Bool("errors.restart"), longest: p.Millis("errors.restart.delay.max.ms"), crashes: p.Int("errors.restart.crashes.max"),
	}
}

// Plugins lists what this worker can run: connectors, and with connectorsOnly
// unset converters, transforms and predicates too.
func (w *Worker) Plugins(connectorsOnly bool) []connector.PluginInfo {
	out := []connector.PluginInfo{}
	for _, kind := range []catalog.Kind{catalog.Sink, catalog.Source} { // in Kafka Connect's order
		for _, p := range w.cfg.Catalog.Plugins() {
			if p.Kind != kind {
				continue
			}
			for i, class := range p.Classes {
				if i > 0 && !strings.Contains(class, ".") {
					continue // a short form of another
				}
				out = append(out, connector.PluginInfo{Class: class, Type: string(kind), Version: p.Version})
			}
		}
	}
	if connectorsOnly {
		return out
	}
	for _, c := range converter.Classes() {
		if slices.Contains(c.Sides, converter.Key) {
			out = append(out, connector.PluginInfo{Class: c.Name, Type: "converter", Version: w.cfg.Version})
		}
		if slices.Contains(c.Sides, converter.Header) {
			out = append(out, connector.PluginInfo{Class: c.Name, Type: "header_converter", Version: w.cfg.Version})
		}
	}
	for _, c := range transform.Classes() {
		out = append(out, connector.PluginInfo{Class: c.Name, Type: "transformation", Version: w.cfg.Version})
	}
	for _, c := range transform.Predicates() {
		out = append(out, connector.PluginInfo{Class: c.Name, Type: "predicate", Version: w.cfg.Version})
	}
	return out
}

// PluginConfig describes the keys of a connector, converter, transform or
// predicate class, in a version that the requirement allows: the newest.
func (w *Worker) PluginConfig(ctx context.Context, plugin, version string) ([]configdef.Definition, error) {
	if def, ok := builtInDef(plugin); ok {
		if err := w.hasVersion(version); err != nil {
			return nil, connector.Errorf(connector.BadRequest, "plugin %s: %v", plugin, err)
		}
		return def.Definitions(), nil
	}
	w.refresh(ctx)
	t, err := w.resolve(connector.Config{"connector.class": plugin, catalog.VersionKey: version})
	var wrong *catalog.VersionError
	if errors.As(err, &wrong) {
		return nil, connector.Errorf(connector.BadRequest, "%v", wrong)
	}
	if err != nil {
		return nil, connector.Errorf(connector.NotFound, "Unknown plugin %s.", plugin)
	}
	def, err := w.ownKeys(ctx, t)
	if err != nil {
		return nil, err
	}
	return def.Definitions(), nil
}

// ownKeys are the keys that a connector defines.
func (w *Worker) ownKeys(ctx context.Context, t host.Target) (configdef.Def, error) {
	if len(t.Plugin.Config) > 0 {
		return t.Plugin.Config, nil
	}
	return w.describe(ctx, t) // known from its manifest alone
}

// builtInDef returns the keys of a converter, transform or predicate.
func builtInDef(class string) (configdef.Def, bool) {
	if c, ok := converter.Lookup(class); ok {
		return c.Def, true
	}
	if c, ok := transform.Lookup(class); ok {
		return c.Def, true
	}
	if c, ok := transform.LookupPredicate(class); ok {
		return c.Def, true
	}
	return nil, false
}

func (w *Worker) describe(ctx context.Context, t host.Target) (configdef.Def, error) {
	all, err := w.cfg.Host.Describe(ctx, t.Plugin.Command)
	if err != nil {
		return nil, err
	}
	for _, p := range all {
		if slices.Contains(p.Classes, t.Class) {
			return p.Config, nil
		}
	}
	return nil, fmt.Errorf("plugin %s no longer holds class %s: restart the worker to look for plugins again", t.Plugin.Name, t.Class)
}
