// Package herder is the brain of a Connect cluster: it takes in what people
// want through its methods, keeps that in the config topic, and makes the
// worker run its part of it.
//
// It is level-triggered. Every connector has one keeper, a goroutine that
// compares what the config topic says, and what the group has assigned to this
// worker, with what runs, and mends the difference, each time it is woken.
// Keepers share nothing, so a plugin that hangs holds up its own connector and
// no other; reads answer from the stores and wait for no keeper at all.
package herder

import (
	"context"
	"log/slog"
	"net/http"
	"sync"

	"golang.org/x/sync/singleflight"

	"github.com/millrace/millrace/connect/connector"
	"github.com/millrace/millrace/connect/rebalance"
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
		pause *connector.Switch, report TaskReport)
	// Settings picks from a connector's config what tasks run by besides their
	// own: a task restarts when these change, and not for any other key.
	Settings(cfg connector.Config) connector.Config
	// Validate checks a connector config, reaching into the plugin. The error
	// is of type *connector.Error when the class is missing or unknown.
	Validate(ctx context.Context, cfg connector.Config) (worker.Infos, error)
	// PlanTasks returns the task configs that a connector would have with a
	// config; it starts none of them.
	PlanTasks(ctx context.Context, cfg connector.Config) ([]connector.Config, error)
	// MissingTopics returns the topics that a connector would create, as far as
	// they can be foretold; touched are those that it has used before.
	MissingTopics(ctx context.Context, cfg connector.Config, touched []string) ([]connector.TopicPreview, error)
	// Secret returns which keys of a config hold secrets, and Mask hides them.
	Secret(cfg connector.Config) func(key string) bool
	Mask(cfg connector.Config) connector.Config
	// Kind returns which way a class moves records, Unknown if it is unknown.
	Kind(cfg connector.Config) connector.Kind
	// FenceProducers ends the producers of a connector's first so many tasks
	// (KIP-618): what they have not committed is aborted, and they can write no
	// more.
	FenceProducers(ctx context.Context, name string, cfg connector.Config, tasks int) error
	SinkGroups
}

// Report takes in a change of state. trace is empty but for Failed.
type Report = func(state connector.State, trace string)

// TaskReport is Report for a task, which may tell its progress as well.
type TaskReport = func(state connector.State, trace string, progress *connector.Progress)

// Config is what a Herder is made of.
type Config struct {
	// WorkerID is the advertised host:port that statuses carry.
	WorkerID string
	// Configs, Offsets and Statuses reach the three internal topics.
	Configs, Offsets, Statuses store.Config
	Worker                     Worker
	// Group is how this worker joins the others. Without a Client it is alone
	// and runs everything.
	Group rebalance.Config
	// HTTP reaches other workers. Nil is a client with defaults.
	HTTP *http.Client
	// Signing is how requests between workers are signed.
	Signing Signing
	// SetLevel sets the level of loggers on this worker when it is asked of the
	// whole cluster (KIP-976). Nil ignores it.
	SetLevel func(namespace, level string)
	Logger   *slog.Logger
}

// Herder keeps a cluster's connectors as they are wanted. Its methods are safe
// for concurrent use once Run has called ready.
type Herder struct {
	cfg Config
	log *slog.Logger

	configs  *store.Configs
	offsets  *store.Offsets
	statuses *store.Statuses

	member  *rebalance.Member // nil if alone
	fences  singleflight.Group
	late    sync.WaitGroup // for what takes long to stop
	writing sync.Mutex     // one change of the config topic at a time
	wake    chan struct{}  // cap 1: dirty is not empty

	mu      sync.Mutex // guards below
	dirty   map[string]bool
	keepers map[string]*keeper
	seat    seat
	moved   chan struct{} // closed and replaced whenever seat changes
	run     context.Context
	fence   context.CancelCauseFunc // of seat.ctx
}

// New returns a herder that does nothing until Run.
func New(cfg Config) *Herder {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.HTTP == nil {
		cfg.HTTP = &http.Client{Timeout: remoteTimeout}
	}
	h := &Herder{
		cfg: cfg, log: cfg.Logger, wake: make(chan struct{}, 1), moved: make(chan struct{}),
		dirty: map[string]bool{}, keepers: map[string]*keeper{},
	}
	if cfg.Group.Client != nil {
		h.member = rebalance.New(cfg.Group, h)
	}
	return h
}

// Run replays the topics, joins the group and runs what that assigns until ctx
// ends. Then it stops everything, says so in the status topic, leaves the group
// and returns. ready is called once, when the worker has its place. An error is
// one that starting again would meet again.
func (h *Herder) Run(ctx context.Context, ready func()) error {
	if err := h.open(ctx); err != nil {
		return err
	}
	defer h.closeStores()
	// Keepers stop before the group is left, so that others start what ran here
	// when it has stopped here.
	kctx, stop := context.WithCancel(ctx)
	defer stop()
	h.sitDown(kctx)
	mctx, leave := context.WithCancel(context.WithoutCancel(ctx))
	defer leave()
	left := make(chan struct{})
	var err error
	go func() {
		defer close(left)
		if h.member == nil {
			h.Take(rebalance.View{Leader: true})
			<-mctx.Done()
			return
		}
		err = h.member.Run(mctx)
	}()
	var tending sync.WaitGroup
	tending.Go(func() { h.tend(kctx) })
	h.serve(kctx, stop, left, ready)
	tending.Wait()
	leave()
	<-left
	h.late.Wait()
	return err
}

// serve wakes keepers until ctx ends or the group is left, and waits for them.
func (h *Herder) serve(ctx context.Context, stop func(), left <-chan struct{}, ready func()) {
	var keepers sync.WaitGroup
	defer keepers.Wait() // they stop when ctx ends, and still need the stores for it
	defer stop()
	for waiting := true; ; {
		s, moved := h.here()
		if waiting && s.joined {
			waiting = false
			ready()
		}
		if !waiting {
			moved = nil
		}
		select {
		case <-ctx.Done():
			h.log.Info("connectors stopping")
			return
		case <-left:
			return
		case <-moved:
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

// sweep removes the statuses of connectors that no longer exist: their deletion
// may have been cut short.
func (h *Herder) sweep(ctx context.Context) {
	names := h.statuses.Connectors() // before the snapshot, which then knows them all
	snap := h.configs.Snapshot()
	for _, name := range names {
		if _, ok := snap.Connector(name); ok || h.keeper(name) != nil {
			continue
		}
		if err := h.statuses.DeleteConnector(ctx, name); err != nil && ctx.Err() == nil {
			h.log.Error("statuses of a deleted connector remain", "connector", name, "err", err)
		}
	}
}

// onEvent runs on the config store's goroutine and only leaves word.
func (h *Herder) onEvent(e store.Event) {
	switch e.Kind {
	case store.EventLogger:
		if h.cfg.SetLevel != nil {
			h.cfg.SetLevel(e.Logger, e.Level)
		}
		return
	case store.EventSession:
		h.stir() // the leader waits for the time to replace it
		return
	}
	if e.Structure && h.member != nil {
		// Rounds that began before this are too old; Take asks for another.
		if s, _ := h.here(); s.joined {
			h.member.Rejoin()
		}
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
