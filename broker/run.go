package broker

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/broker/api"
	"github.com/millrace/millrace/broker/metadata"
	"github.com/millrace/millrace/broker/quorum"
	"github.com/millrace/millrace/broker/replica"
)

// startTimeout bounds the election, the registration and the opening of
// partitions. Recovery after a crash is the longest of them.
const startTimeout = 10 * time.Minute

// node is what a running broker consists of, in the order in which it is
// started; stop takes it down in reverse.
type node struct {
	lock     *quorum.DirLock
	identity quorum.Identity
	replicas *replica.Set
	quorum   *quorum.Node
	api      atomic.Pointer[api.API] // set last, read by Stats
}

// Run starts the broker and serves until ctx ends or something fails for good.
// It stops in order: no more connections, requests being answered, logs
// flushed and marked clean, quorum. It returns nil after a stop in order. Run
// is called once.
func (b *Broker) Run(ctx context.Context) error {
	began := time.Now()
	defer b.memory.Close()
	err := b.start(ctx)
	if err == nil {
		b.cfg.Logger.Info("broker started", "broker", b.cfg.NodeID, "cluster", b.node.identity.ClusterID, "took", time.Since(began))
		close(b.ready)
		err = b.serve(ctx)
	} else {
		for _, l := range b.cfg.Listeners {
			l.Close() // nothing was accepted
		}
	}
	crash := errors.Is(context.Cause(ctx), ErrCrash)
	if ctx.Err() != nil && (errors.Is(err, context.Cause(ctx)) || crash) {
		err = nil
	}
	return errors.Join(err, b.stop(crash))
}

func (b *Broker) start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	n := &b.node
	var err error
	if n.lock, err = quorum.Lock(b.cfg.DataDir); err != nil {
		return err
	}
	if n.identity, err = b.identify(); err != nil {
		return err
	}
	n.replicas, err = replica.Open(replica.Config{
		Dir: b.logDir(), NodeID: b.cfg.NodeID, Broker: b.broker, FS: b.cfg.FS, Logger: b.cfg.Logger,
	})
	if err != nil {
		return err
	}
	n.quorum, err = quorum.Open(ctx, quorum.Config{Dir: b.cfg.DataDir, Identity: n.identity, Logger: b.cfg.Logger})
	if err != nil {
		return err
	}
	index, err := b.register(ctx)
	if err != nil {
		return err
	}
	a, err := api.New(api.Config{
		ClusterID: n.identity.ClusterID, NodeID: b.cfg.NodeID, Broker: b.broker,
		Controller: n.quorum, Replicas: n.replicas, Quotas: b.quotas, LogDir: b.logDir(),
		MemoryListener: memoryListener, Logger: b.cfg.Logger,
	})
	if err != nil {
		return err
	}
	n.api.Store(a)
	n.replicas.Watch(a)
	n.quorum.Publish(n.replicas.Apply, a.Follow)
	if err := n.quorum.WaitPublished(ctx, index); err != nil {
		return fmt.Errorf("open partitions: %w", err)
	}
	return nil
}

// identify reads the data directory's identity, formatting a fresh one, and
// compares it with the configuration.
func (b *Broker) identify() (quorum.Identity, error) {
	id, err := quorum.ReadIdentity(b.cfg.DataDir)
	if errors.Is(err, quorum.ErrNotFormatted) {
		return quorum.Format(b.cfg.DataDir, b.cfg.NodeID, b.cfg.ClusterID)
	}
	switch {
	case err != nil:
		return id, err
	case id.NodeID != b.cfg.NodeID:
		return id, fmt.Errorf("node.id is %d: %s belongs to node %d", b.cfg.NodeID, b.cfg.DataDir, id.NodeID)
	case b.cfg.ClusterID != "" && id.ClusterID != b.cfg.ClusterID:
		return id, fmt.Errorf("cluster id is %s: %s belongs to cluster %s", b.cfg.ClusterID, b.cfg.DataDir, id.ClusterID)
	}
	return id, nil
}

// register tells the cluster of this process, before partitions are opened, so
// that they open with the leader epoch of this life.
func (b *Broker) register(ctx context.Context) (uint64, error) {
	_, index, err := b.node.quorum.Propose(ctx, &metadata.RegisterBroker{
		Broker: metadata.Broker{
			ID: b.cfg.NodeID, Incarnation: metadata.NewID(),
			Rack: b.broker.String("broker.rack"), Endpoints: b.endpoints,
		},
		Unclean: !b.node.replicas.Clean(),
	})
	if err != nil {
		return 0, fmt.Errorf("register broker: %w", err)
	}
	return index, nil
}

// serve runs what runs for as long as the broker does.
func (b *Broker) serve(ctx context.Context) error {
	g, run := errgroup.WithContext(ctx)
	g.Go(func() error { return b.node.replicas.Run(run) })
	g.Go(func() error { return b.node.api.Load().Run(run) })
	g.Go(func() error { return b.accept(run) })
	g.Go(func() error {
		select {
		case <-b.node.quorum.Failed():
			return errors.New("metadata quorum failed")
		case <-run.Done():
			return nil
		}
	})
	return g.Wait()
}

// stop takes the node down, however far it got. After a crash nothing that a
// start in order would count on is written.
func (b *Broker) stop(crash bool) error {
	n := &b.node
	var errs []error
	if n.quorum != nil {
		// First, so that no partition is opened while they are closed.
		errs = append(errs, n.quorum.Close())
	}
	if a := n.api.Load(); a != nil {
		a.Stop() // the groups, which append to logs
	}
	if n.replicas != nil && !crash {
		errs = append(errs, n.replicas.Close())
	}
	if n.lock != nil {
		errs = append(errs, n.lock.Unlock())
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("stop broker in %s: %w", filepath.Clean(b.cfg.DataDir), err)
	}
	return nil
}
