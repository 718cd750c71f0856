package registry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/schema-registry/elect"
	"github.com/millrace/millrace/schema-registry/store"
)

// Config says what a registry stands on. Zero fields mean the defaults.
type Config struct {
	// ClientOpts lead to the log: seed brokers, dialer, security.
	ClientOpts []kgo.Opt
	// Topic is kafkastore.topic, "_schemas" by default.
	Topic string
	// ReplicationFactor is kafkastore.topic.replication.factor, used when the
	// topic is created; by default the broker's choice.
	ReplicationFactor int16
	// InitTimeout is kafkastore.init.timeout.ms, 60 seconds by default: how
	// long reaching the log and reading the topic may take. Timeout bounds
	// what each request may wait for the log, 30 seconds by default.
	InitTimeout, Timeout time.Duration
	// Compatibility is schema.compatibility.level, what holds where nothing
	// else is set: "BACKWARD" by default.
	Compatibility Level
	// FixedModes is the opposite of mode.mutability: modes cannot be changed.
	FixedModes bool
	// Advertised is how other registries of the group reach this one: host,
	// port, scheme, and whether it may become primary. Without a host it takes
	// part in no election and is primary: that is for a topic with one registry.
	Advertised elect.Identity
	// GroupID is schema.registry.group.id, "schema-registry" by default: the
	// registries that share a topic share it.
	GroupID string
	// Logger receives the registry's log. Nil discards.
	Logger *slog.Logger
}

// Registry is a schema registry. Its methods may be called from many
// goroutines. Reads are answered from memory; errors that a client can mend
// are of type *Error.
type Registry struct {
	cfg      Config
	log      *slog.Logger
	cache    *cache
	counters counters

	store   atomic.Pointer[store.Log] // nil unless running
	jobs    chan *job
	stopped chan struct{} // closed when no more jobs are taken
	leads   bool          // what is appended counts; used by write alone
	part    part
	barrier barrier

	mu    sync.RWMutex // guards below; never held while waiting for the log
	state *state
}

// New checks a config and reports all its problems at once. It starts nothing.
func New(cfg Config) (*Registry, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	var errs []error
	if cfg.GroupID == "" {
		cfg.GroupID = "schema-registry"
	}
	if cfg.Compatibility == "" {
		cfg.Compatibility = Backward
	}
	level, err := ParseLevel(string(cfg.Compatibility))
	if err != nil {
		errs = append(errs, fmt.Errorf("schema.compatibility.level is %q: must be one of %s", cfg.Compatibility, strings.Join(levelNames(), ", ")))
	}
	cfg.Compatibility = level
	if cfg.InitTimeout < 0 || cfg.Timeout < 0 {
		errs = append(errs, errors.New("kafkastore.timeout.ms and kafkastore.init.timeout.ms must not be negative"))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return &Registry{cfg: cfg, log: cfg.Logger, cache: newCache(), jobs: make(chan *job), stopped: make(chan struct{}), part: part{changed: make(chan struct{})}, state: newState(cfg.Logger)}, nil
}

// manySchemas is from when on memory is worth giving back after the start.
const manySchemas = 10_000

// Run reads the topic, calls ready, and follows the topic until ctx ends. It
// may be called once.
func (r *Registry) Run(ctx context.Context, ready func()) error {
	began := time.Now()
	log, err := store.Open(ctx, store.Options{
		Topic: r.cfg.Topic, ReplicationFactor: r.cfg.ReplicationFactor, InitTimeout: r.cfg.InitTimeout, Timeout: r.cfg.Timeout,
		ClientOpts: r.cfg.ClientOpts, Logger: r.log,
	}, r.apply)
	if ctx.Err() != nil && err != nil {
		return nil // told to stop while starting
	}
	if err != nil {
		return err
	}
	defer log.Close()
	r.store.Store(log)
	s := r.Stats()
	if s.Schemas > manySchemas {
		debug.FreeOSMemory() // reading a great topic leaves garbage of its size
	}
	r.log.Info("schemas read", "subjects", s.Subjects, "schemas", s.Schemas, "took", time.Since(began))
	var g errgroup.Group
	g.Go(func() error { return r.takePart(ctx, log) })
	g.Go(func() error { r.write(ctx, log); return nil })
	ready()
	err = g.Wait()
	r.store.Store(nil)
	r.barrier.running.Wait()
	return err
}

// Ready returns nil while the registry has read its topic and follows it, and
// else an *Error of kind NotReady.
func (r *Registry) Ready() error {
	if r.store.Load() == nil {
		return errNotReady()
	}
	return nil
}

func errNotReady() error {
	return errorf(NotReady, "the registry has not read its topic yet, or is stopping: try again")
}

func (r *Registry) apply(c store.Change) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.state.apply(c)
}

// ClusterID returns the id of the Kafka cluster that the registry stands on, ""
// if it is not known.
func (r *Registry) ClusterID() string {
	if log := r.store.Load(); log != nil {
		return log.ClusterID()
	}
	return ""
}

// GroupID returns the name of the group in which registries elect their
// primary.
func (r *Registry) GroupID() string { return r.cfg.GroupID }
