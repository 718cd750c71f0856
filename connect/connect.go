// Package connect is one worker process of a Connect cluster: the herder with
// its stores, the worker that runs connectors and tasks, and the host of their
// processes. It reaches the log as any Kafka client does.
package connect

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/connect/client"
	"github.com/millrace/millrace/connect/connector"
	"github.com/millrace/millrace/connect/herder"
	"github.com/millrace/millrace/connect/loggers"
	"github.com/millrace/millrace/connect/rebalance"
	"github.com/millrace/millrace/connect/store"
	"github.com/millrace/millrace/connect/worker"
	"github.com/millrace/millrace/plugins/catalog"
	"github.com/millrace/millrace/plugins/configdef"
	"github.com/millrace/millrace/plugins/host"
)

// Connect is one worker process. New checks its configuration, Run is its
// life; the other methods answer the REST API and may be called from any
// goroutine once Run has called ready.
type Connect struct {
	cfg      Config
	settings settings
	brokers  client.Target // with the worker's own security
	api      api
	parts    atomic.Pointer[parts]
}

// parts are what runs; they exist between ready and the end of Run.
type parts struct {
	*herder.Herder
	worker *worker.Worker
	admin  *kadm.Client
}

// New checks the settings. Problems are of type *KeyError, joined.
func New(cfg Config) (*Connect, error) {
	s, err := parseSettings(cfg.Properties, cfg.Standalone)
	if err != nil {
		return nil, err
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Loggers == nil {
		cfg.Loggers = loggers.New(slog.LevelInfo)
	}
	for _, w := range s.warnings {
		cfg.Logger.Warn("worker setting", "key", w.Key, "why", w.Text)
	}
	brokers, problems := cfg.Brokers.With(s.props)
	if len(brokers.Seeds) == 0 && cfg.Standalone {
		brokers.Seeds = []string{"localhost:9092"} // as in Kafka Connect
	}
	if len(brokers.Seeds) == 0 {
		problems = append(problems, configdef.Problem{Key: "bootstrap.servers", Text: "Missing required configuration \"bootstrap.servers\" which has no default value."})
	}
	api, more := newAPI(s, cfg.LoginConfig)
	var errs []error
	for _, p := range append(problems, more...) {
		errs = append(errs, &KeyError{Key: p.Key, Err: p})
	}
	return &Connect{cfg: cfg, settings: s, brokers: brokers, api: api}, errors.Join(errs...)
}

// Stats are a worker's figures.
type Stats struct {
	worker.Stats
	// Group is the worker's place in its group, nil without one.
	Group *GroupStats
}

// TaskStats are the figures of one task.
type TaskStats = worker.TaskStats

// GroupStats are the figures of a worker's place in its group.
type GroupStats = herder.GroupStats

// Progress is how far a task is in a piece of work that has an end.
type Progress = host.Progress

// Stats returns the worker's figures; before it is ready they are zero.
func (c *Connect) Stats() Stats {
	p := c.parts.Load()
	if p == nil {
		return Stats{}
	}
	s := Stats{Stats: p.worker.Stats()}
	if g, ok := p.GroupStats(); ok {
		s.Group = &g
	}
	return s
}

// Run runs the worker until ctx ends, and then stops tasks, commits their
// offsets and ends their processes. ready is called once, when the worker
// answers requests.
func (c *Connect) Run(ctx context.Context, ready func()) (err error) {
	stopGrace := c.settings.Millis("task.shutdown.graceful.timeout.ms")
	procs, err := host.New(host.Config{Logger: c.cfg.Logger, StopGrace: stopGrace, InProcess: c.cfg.InProcess})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, procs.Close()) }()
	plugins, err := catalog.Open(ctx, catalog.Config{
		BuiltIn: c.cfg.BuiltIn, Path: c.pluginPath(), Describe: procs.Describe, CacheFile: c.cfg.CacheFile, Logger: c.cfg.Logger,
	})
	if err != nil {
		return err
	}
	shared, err := kgo.NewClient(append(c.brokers.Opts(nil), kgo.ClientID(c.settings.String("group.id")+"-shared-admin"))...)
	if err != nil {
		return err
	}
	defer shared.Close()
	var group rebalance.Config
	if !c.cfg.Standalone {
		joiner, err := kgo.NewClient(c.groupClientOpts()...)
		if err != nil {
			return err
		}
		defer joiner.Close()
		group = c.groupConfig(joiner)
	}
	topics := newTouches(c.settings.Bool("topic.tracking.enable"))
	var h *herder.Herder
	w := worker.New(worker.Config{
		Host: procs, Catalog: plugins, Brokers: c.brokers, Open: func() bool { return h.Open() },
		Offsets: offsetStore{func() *herder.Herder { return h }}, Touched: topics.note,
		ExactlyOnce: c.exactlyOnce(func() *herder.Herder { return h }), Providers: c.settings.providers,
		Defaults: c.settings.taskDefaults(), RegistryURL: c.cfg.RegistryURL, Group: c.settings.String("group.id"),
		Overrides:      c.settings.policy,
		CreateTopics:   c.settings.Bool("topic.creation.enable"),
		CommitInterval: c.settings.Millis("offset.flush.interval.ms"), DrainTimeout: c.settings.Millis("offset.flush.timeout.ms"),
		StopTimeout: stopGrace, TaskMemory: c.settings.Int64("task.memory.max.bytes"), Version: c.cfg.Version, Logger: c.cfg.Logger,
	})
	h = herder.New(herder.Config{
		WorkerID: c.workerID(), Worker: w, Group: group, Signing: c.settings.signing(),
		HTTP: &http.Client{Transport: c.Transport(), Timeout: remoteTimeout}, SetLevel: c.setLevel, Logger: c.cfg.Logger,
		Configs:  c.settings.storeConfig(c.cfg, c.brokers, "config", 1),
		Offsets:  c.settings.storeConfig(c.cfg, c.brokers, "offset", c.settings.Int("offset.storage.partitions")),
		Statuses: c.settings.storeConfig(c.cfg, c.brokers, "status", c.settings.Int("status.storage.partitions")),
	})
	g, gctx := errgroup.WithContext(ctx)
	started := make(chan struct{})
	g.Go(func() error {
		return h.Run(gctx, func() {
			c.parts.Store(&parts{Herder: h, worker: w, admin: kadm.NewClient(shared)})
			close(started)
			ready()
		})
	})
	g.Go(func() error {
		select {
		case <-started:
			return topics.run(gctx, h.PutTopic)
		case <-gctx.Done():
			return nil
		}
	})
	err = g.Wait()
	c.parts.Store(nil)
	return err
}

// pluginPath returns the directories of plugins, each once.
func (c *Connect) pluginPath() []string {
	path := slices.Clone(c.cfg.PluginPath)
	for _, dir := range c.settings.List("plugin.path") {
		if dir != "" && !slices.Contains(path, dir) {
			path = append(path, dir)
		}
	}
	return path
}

// CacheFile is where a data directory keeps descriptions of plugins.
func CacheFile(dataDir string) string { return filepath.Join(dataDir, "plugins.json") }

// offsetStore is the tasks' view of the offset topic.
type offsetStore struct{ herder func() *herder.Herder }

// Get implements worker.OffsetStore.
func (o offsetStore) Get(ctx context.Context, name string, partitions ...[]byte) ([][]byte, error) {
	return o.herder().Offsets().Get(ctx, name, partitions...)
}

// Put implements worker.OffsetStore. A worker that is not sure of its
// membership stores nothing: it might take a successor back.
func (o offsetStore) Put(ctx context.Context, name string, offsets map[string][]byte) error {
	h := o.herder()
	if !h.Open() {
		return client.ErrShut
	}
	return h.Offsets().Put(ctx, name, entries(offsets))
}

func entries(offsets map[string][]byte) []store.Entry {
	out := make([]store.Entry, 0, len(offsets))
	for p, v := range offsets {
		out = append(out, store.Entry{Partition: []byte(p), Offset: v})
	}
	return out
}

// exactlyOnce is how this worker's sources write in transactions.
func (c *Connect) exactlyOnce(h func() *herder.Herder) worker.ExactlyOnce {
	return worker.ExactlyOnce{
		// A standalone worker keeps offsets in a file, which no transaction covers.
		Enabled:     !c.cfg.Standalone && strings.EqualFold(c.settings.String("exactly.once.source.support"), "enabled"),
		Demanded:    c.settings.Given("exactly.once.source.support"),
		OffsetTopic: c.settings.String("offset.storage.topic"),
		Offsets: func(name string, offsets map[string][]byte) ([]*kgo.Record, error) {
			return h().Offsets().Records(name, entries(offsets))
		},
		Fence: func(ctx context.Context, name string) error { return h().FenceZombies(ctx, name) },
		Confirm: func(ctx context.Context, id connector.TaskID, cfg connector.Config) error {
			return h().ConfirmTask(ctx, id, cfg)
		},
	}
}

// remoteTimeout bounds a request to another worker.
const remoteTimeout = 90 * time.Second

// clusterTimeout bounds the question for the cluster's id.
const clusterTimeout = 10 * time.Second

// ServerInfo answers GET /.
func (c *Connect) ServerInfo(ctx context.Context) (connector.ServerInfo, error) {
	p, err := c.running()
	if err != nil {
		return connector.ServerInfo{}, err
	}
	ctx, stop := context.WithTimeout(ctx, clusterTimeout)
	defer stop()
	meta, err := p.admin.BrokerMetadata(ctx)
	if err != nil {
		return connector.ServerInfo{}, fmt.Errorf("ask the log for its cluster id: %w", err)
	}
	return connector.ServerInfo{Version: c.cfg.Version, Commit: c.cfg.Commit, ClusterID: meta.Cluster}, nil
}

// running returns what runs, or the refusal of a worker that is not ready.
func (c *Connect) running() (*parts, error) {
	if p := c.parts.Load(); p != nil {
		return p, nil
	}
	return nil, connector.Errorf(connector.Unavailable, "Worker is still starting up.")
}
