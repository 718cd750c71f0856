// Package herder is the brain of a Connect cluster: it takes in what people
// want through its methods, keeps that in the config topic, and makes the
// worker run it.
//
// It is level-triggered. Every connector has one keeper, a goroutine that
// compares what the config topic says with what runs and mends the difference,
// each time it is woken. Keepers share nothing, so a plugin that hangs holds up
// its own connector and no other; reads answer from the stores and wait for no
// keeper at all.
package herder

import (
	"context"
	"log/slog"
	"sync"

	"github.com/millrace/millrace/connect/connector"
	"github.com/millrace/millrace/connect/store"
	"github.com/millrace/millrace/connect/worker"
)

// Worker runs connectors and tasks in this process.
type Worker interface {
	// RunConnector runs a connector until ctx ends, restarting it when it
	// fails. It calls plan with each set of task configs that the connector
	// asks for and report with each change of state.
	RunConnector(ctx context.Context, name string, cfg connector.Config,
		plan func(context.Context, []connector.Config) error, report Report)
	// RunTask runs a task until ctx ends, restarting it when it fails.
	// settings are those of Settings.
	RunTask(ctx context.Context, id connector.TaskID, settings, cfg connector.Config,
		pause *connector.Switch, report Report)
	// Settings picks from a connector's config what tasks run by besides their
	// own: a task restarts when these change, and not for any other key.
	Settings(cfg connector.Config) connector.Config
	// Validate checks a connector config, reaching into the plugin. The error
	// is of type *connector.Error when the class is missing or unknown.
	Validate(ctx context.Context, cfg connector.Config) (worker.Infos, error)
	// Kind returns which way a class moves records, Unknown if it is unknown.
	Kind(cfg connector.Config) connector.Kind
	SinkGroups
}

// Report takes in a change of state. trace is empty but for Failed.
type Report = func(state connector.State, trace string)

// Config is what a Herder is made of.
type Config struct {
	// WorkerID is the advertised host:port that statuses carry.
	WorkerID string
	// Configs, Offsets and Statuses reach the three internal topics.
	Configs, Offsets, Statuses store.Config
	Worker                     Worker
	Logger                     *slog.Logger
}

// Herder keeps a cluster's connectors as they are wanted. Its methods are safe
// for concurrent use once Run has called ready.
type Herder struct {
	cfg Config
	log *slog.Logger

	configs  *store.Configs
	offsets  *store.Offsets
	statuses *store.Statuses

	writing sync.Mutex    // one change of the config topic at a time
	wake    chan struct{} // cap 1: dirty is not empty

	mu      sync.Mutex // guards below
	dirty   map[string]bool
	keepers map[string]*keeper
}

// New returns a herder that does nothing until Run.
func New(cfg Config) *Herder {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Herder{
		cfg: cfg, log: cfg.Logger, wake: make(chan struct{}, 1),
		dirty: map[string]bool{}, keepers: map[string]*keeper{},
	}
}

// Run replays the topics, starts what they want and keeps it running until ctx
// ends. Then it stops everything, says so in the status topic, and returns.
// ready is called once, when the herder answers requests.
func (h *Herder) Run(ctx context.Context, ready func()) error {
	if err := h.open(ctx); err != nil {
		return err
	}
	defer h.closeStores()
	if err := h.sweep(ctx); err != nil {
		return err
	}
	for _, name := range h.configs.Snapshot().Connectors() {
		h.touch(name)
	}
	ready()
	var keepers sync.WaitGroup
	defer keepers.Wait() // they stop when ctx ends, and still need the stores for it
	for {
		select {
		case <-ctx.Done():
			h.log.Info("connectors stopping")
			return nil
		case <-h.wake:
		}
		for _, k := range h.awaken() {
			keepers.Go(func() {
				k.run(ctx)
				h.gone(k)
			})
		}
	}
}

func (h *Herder) open(ctx context.Context) (err error) {
	defer func() {
		if err != nil {
			h.closeStores()
		}
	}()
	if h.offsets, err = store.OpenOffsets(ctx, h.cfg.Offsets); err != nil {
		return err
	}
	if h.statuses, err = store.OpenStatuses(ctx, h.cfg.Statuses); err != nil {
		return err
	}
	h.configs, err = store.OpenConfigs(ctx, h.cfg.Configs, h.onEvent)
	return err
}

func (h *Herder) closeStores() {
	if h.configs != nil {
		h.configs.Close()
	}
	if h.statuses != nil {
		h.statuses.Close()
	}
	if h.offsets != nil {
		h.offsets.Close()
	}
}

// Offsets returns the offset store, for the tasks. It is valid once Run has
// called ready.
func (h *Herder) Offsets() *store.Offsets { return h.offsets }

// sweep removes the statuses of connectors and tasks that no longer exist:
// their deletion may have been cut short.
func (h *Herder) sweep(ctx context.Context) error {
	snap := h.configs.Snapshot()
	for _, name := range h.statuses.Connectors() {
		if _, ok := snap.Connector(name); !ok {
			if err := h.statuses.DeleteConnector(ctx, name); err != nil {
				return err
			}
		}
	}
	return nil
}

// onEvent runs on the config store's goroutine and only leaves word.
func (h *Herder) onEvent(e store.Event) {
	if e.Kind == store.EventLogger {
		return // a level for all loggers of a cluster is a worker's business
	}
	h.touch(e.Connector)
	if e.Kind == store.EventRestart {
		h.mu.Lock()
		k := h.keepers[e.Connector]
		h.mu.Unlock()
		if k != nil {
			k.request(e.Restart)
		}
	}
}

// touch has a connector compared with what is wanted of it.
func (h *Herder) touch(name string) {
	h.mu.Lock()
	h.dirty[name] = true
	h.mu.Unlock()
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// awaken wakes the keepers of dirty connectors and returns those that it had
// to make and that are to be run.
func (h *Herder) awaken() []*keeper {
	snap := h.configs.Snapshot()
	h.mu.Lock()
	defer h.mu.Unlock()
	var made []*keeper
	for name := range h.dirty {
		k := h.keepers[name]
		_, wanted := snap.Connector(name)
		switch {
		case k != nil:
			k.nudge()
		case wanted:
			k = newKeeper(h, name)
			h.keepers[name] = k
			made = append(made, k)
		}
	}
	clear(h.dirty)
	return made
}

// gone forgets a keeper that has ended. The connector may have been made anew
// meanwhile, so it is looked at again.
func (h *Herder) gone(k *keeper) {
	h.mu.Lock()
	delete(h.keepers, k.name)
	h.mu.Unlock()
	h.touch(k.name)
}

// keeper returns the keeper of a connector, nil if it has none.
func (h *Herder) keeper(name string) *keeper {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.keepers[name]
}
