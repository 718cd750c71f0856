// Package connect is one worker process of a Connect cluster: the herder with
// its stores, the worker that runs connectors and tasks, and the host of their
// processes. It reaches the log as any Kafka client does.
package connect

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/connect/connector"
	"github.com/millrace/millrace/connect/herder"
	"github.com/millrace/millrace/connect/store"
	"github.com/millrace/millrace/connect/worker"
	"github.com/millrace/millrace/plugins/catalog"
	"github.com/millrace/millrace/plugins/host"
)

// Connect is one worker process. New checks its configuration, Run is its
// life; the other methods answer the REST API and may be called from any
// goroutine once Run has called ready.
type Connect struct {
	cfg      Config
	settings settings
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
	s, err := parseSettings(cfg.Properties)
	if err != nil {
		return nil, err
	}
	return &Connect{cfg: cfg, settings: s}, nil
}

// Stats are a worker's figures.
type Stats = worker.Stats

// Stats returns the worker's figures; before it is ready they are zero.
func (c *Connect) Stats() Stats {
	p := c.parts.Load()
	if p == nil {
		return Stats{}
	}
	return p.worker.Stats()
}

// Run runs the worker until ctx ends, and then stops tasks, commits their
// offsets and ends their processes. ready is called once, when the worker
// answers requests.
func (c *Connect) Run(ctx context.Context, ready func()) (err error) {
	stopGrace := c.settings.Millis("task.shutdown.graceful.timeout.ms")
	procs, err := host.New(host.Config{Logger: c.cfg.Logger, StopGrace: stopGrace})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, procs.Close()) }()
	plugins, err := catalog.Open(ctx, catalog.Config{
		BuiltIn: c.cfg.BuiltIn, Path: c.cfg.PluginPath, Describe: procs.Describe, CacheFile: c.cfg.CacheFile, Logger: c.cfg.Logger,
	})
	if err != nil {
		return err
	}
	client, err := kgo.NewClient(append(slices.Clone(c.cfg.ClientOpts), kgo.ClientID(c.settings.String("group.id")+"-shared-admin"))...)
	if err != nil {
		return err
	}
	defer client.Close()
	joiner, err := kgo.NewClient(c.groupClientOpts()...)
	if err != nil {
		return err
	}
	defer joiner.Close()
	topics := newTouches(c.settings.Bool("topic.tracking.enable"))
	var h *herder.Herder
	w := worker.New(worker.Config{
		Host: procs, Catalog: plugins, ClientOpts: c.cfg.ClientOpts,
		Offsets: offsetStore{func() *store.Offsets { return h.Offsets() }}, Touched: topics.note,
		Providers: c.settings.providers,
		Defaults:  c.settings.taskDefaults(), RegistryURL: c.cfg.RegistryURL, Group: c.settings.String("group.id"),
		AllowOverrides: c.settings.String("connector.client.config.override.policy") != "None",
		CreateTopics:   c.settings.Bool("topic.creation.enable"),
		CommitInterval: c.settings.Millis("offset.flush.interval.ms"), DrainTimeout: c.settings.Millis("offset.flush.timeout.ms"),
		StopTimeout: stopGrace, Logger: c.cfg.Logger,
	})
	h = herder.New(herder.Config{
		WorkerID: c.workerID(), Worker: w, Group: c.groupConfig(joiner), Signing: c.settings.signing(), Logger: c.cfg.Logger,
		Configs:  c.settings.storeConfig(c.cfg, "config", 1),
		Offsets:  c.settings.storeConfig(c.cfg, "offset", c.settings.Int("offset.storage.partitions")),
		Statuses: c.settings.storeConfig(c.cfg, "status", c.settings.Int("status.storage.partitions")),
	})
	g, gctx := errgroup.WithContext(ctx)
	started := make(chan struct{})
	g.Go(func() error {
		return h.Run(gctx, func() {
			c.parts.Store(&parts{Herder: h, worker: w, admin: kadm.NewClient(client)})
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

// CacheFile is where a data directory keeps descriptions of plugins.
func CacheFile(dataDir string) string { return filepath.Join(dataDir, "plugins.json") }

// offsetStore is the tasks' view of the offset topic.
type offsetStore struct{ store func() *store.Offsets }

// Get implements worker.OffsetStore.
func (o offsetStore) Get(ctx context.Context, name string, partitions ...[]byte) ([][]byte, error) {
	return o.store().Get(ctx, name, partitions...)
}

// Put implements worker.OffsetStore.
func (o offsetStore) Put(ctx context.Context, name string, offsets map[string][]byte) error {
	entries := make([]store.Entry, 0, len(offsets))
	for p, v := range offsets {
		entries = append(entries, store.Entry{Partition: []byte(p), Offset: v})
	}
	return o.store().Put(ctx, name, entries)
}

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
