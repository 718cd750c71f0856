// Package quorum keeps the cluster's metadata in a Raft log (hashicorp/raft on
// bbolt) and publishes the image that the log adds up to.
//
// A data directory is formatted once, which gives it its identity and a Raft
// configuration, and is then opened by one process at a time:
//
//	lock, err := quorum.Lock(dir)
//	id, err := quorum.ReadIdentity(dir) // ErrNotFormatted: quorum.Format(dir, ...)
//	node, err := quorum.Open(ctx, quorum.Config{...})
//	node.Publish(listener)
//	result, err := node.Propose(ctx, command)
//	node.Close()
//
// A single node is a quorum of one over a transport in memory; it runs the
// same code as one of several.
package quorum

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
	"go.etcd.io/bbolt"

	"github.com/millrace/millrace/broker/metadata"
)

// Listener is told of a new image. Calls come one after the other, from one
// goroutine that nothing else runs on, with images in log order; images in
// between may be left out, so before is always the image of the call before.
// ctx ends when the node closes.
type Listener func(ctx context.Context, before, after *metadata.Image)

// Config is what a node needs. Dir and Identity are mandatory.
type Config struct {
	// Dir is the data directory, formatted and locked by the caller.
	Dir      string
	Identity Identity
	// ProposeTimeout bounds a Propose whose context has no deadline. Default
	// 30 s, Kafka's request.timeout.ms.
	ProposeTimeout time.Duration
	// Logger gets what Raft reports, Info as Debug. Default slog.Default().
	Logger *slog.Logger
}

// Timing of a quorum of one, whose only rival for leadership is itself: its
// election lasts one to two heartbeat timeouts and is most of Open's time.
const (
	soleTimeout   = 50 * time.Millisecond
	commitTimeout = 5 * time.Millisecond
)

// Sizes of the Raft log. A metadata command has some hundred bytes.
const (
	snapshotEvery = 8192
	trailingLogs  = 10240
	snapshotsKept = 2
)

// Node is one member of the metadata quorum. Its methods may be called from
// any goroutine.
type Node struct {
	cfg   Config
	log   *hcLog
	raft  *raft.Raft
	store *raftboltdb.BoltStore
	fsm   *fsm
	pub   *publisher

	stop    context.CancelFunc
	running sync.WaitGroup
	once    sync.Once
	err     error // of Close

	mu     sync.Mutex // guards below
	closed bool       // nothing may be added to running
}

// Open starts the node and returns when it leads and its image holds every
// command that was ever committed. ctx bounds the start only.
func Open(ctx context.Context, cfg Config) (*Node, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	if cfg.ProposeTimeout <= 0 {
		cfg.ProposeTimeout = 30 * time.Second
	}
	n := &Node{cfg: cfg, fsm: newFSM(), log: newHCLog(cfg.Logger)}
	n.pub = newPublisher(n.fsm)
	if err := n.start(); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	if err := n.lead(ctx); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return n, nil
}

// Publish begins to call the listeners, in their order, first with the present
// image against an empty one. It is called once. WaitPublished tells when they
// have seen an image.
func (n *Node) Publish(listeners ...Listener) {
	ctx, stop := context.WithCancel(context.Background())
	n.stop = stop
	n.running.Go(func() { n.pub.run(ctx, listeners) })
}

func (n *Node) start() (err error) {
	dir := filepath.Join(n.cfg.Dir, stateDir)
	if n.store, err = openStore(dir); err != nil {
		return err
	}
	snapshots, err := raft.NewFileSnapshotStoreWithLogger(dir, snapshotsKept, n.log)
	if err != nil {
		return fmt.Errorf("open metadata snapshots in %s: %w", dir, err)
	}
	exists, err := raft.HasExistingState(n.store, n.store, snapshots)
	if err != nil {
		return fmt.Errorf("read metadata log in %s: %w", dir, err)
	}
	if !exists {
		return fmt.Errorf("%s holds no metadata log although %s says it was formatted: restore it from a backup, or start with an empty data directory", dir, propertiesFile)
	}
	_, transport := raft.NewInmemTransport(n.cfg.Identity.address())
	n.raft, err = raft.NewRaft(n.raftConfig(), n.fsm, n.store, n.store, snapshots, transport)
	if err != nil {
		return fmt.Errorf("start metadata quorum in %s: %w", dir, err)
	}
	return nil
}

func (n *Node) raftConfig() *raft.Config {
	c := raft.DefaultConfig()
	c.LocalID = n.cfg.Identity.server()
	c.HeartbeatTimeout, c.ElectionTimeout, c.LeaderLeaseTimeout = soleTimeout, soleTimeout, soleTimeout
	c.CommitTimeout = commitTimeout
	c.SnapshotThreshold, c.TrailingLogs = snapshotEvery, trailingLogs
	c.NoLegacyTelemetry = true
	c.BatchApplyCh = true // what is proposed while an entry is written is written together
	c.Logger = n.log
	return c
}

func openStore(dir string) (*raftboltdb.BoltStore, error) {
	path := filepath.Join(dir, "raft.db")
	if _, err := os.Stat(dir); err != nil {
		return nil, fmt.Errorf("open metadata log: %w", err)
	}
	s, err := raftboltdb.New(raftboltdb.Options{
		Path: path,
		BoltOptions: &bbolt.Options{
			Timeout:        time.Second,
			NoFreelistSync: true, // the freelist is rebuilt at open; appends need not write it
			FreelistType:   bbolt.FreelistMapType,
		},
	})
	if err != nil {
		return nil, fmt.Errorf("open metadata log %s: %w", path, err)
	}
	return s, nil
}

// lead waits until the node leads and has applied all of its log.
func (n *Node) lead(ctx context.Context) error {
	leader := n.raft.LeaderCh()
	for n.raft.State() != raft.Leader {
		select {
		case <-leader:
		case <-ctx.Done():
			return fmt.Errorf("wait for leadership of the metadata quorum: %w", context.Cause(ctx))
		}
	}
	if err := n.raft.Barrier(n.cfg.ProposeTimeout).Error(); err != nil {
		return fmt.Errorf("apply metadata log: %w", err)
	}
	n.log.started.Store(true)
	return n.fsm.failure()
}

// Image returns the image of the last applied command. It never blocks.
func (n *Node) Image() *metadata.Image { return n.fsm.image.Load() }

// Quorum returns the state of the quorum, of which this node is the only
// voter.
func (n *Node) Quorum() metadata.QuorumState {
	s := metadata.QuorumState{
		Leader: -1, Term: n.raft.CurrentTerm(), Committed: n.raft.CommitIndex(),
		Voters: []metadata.QuorumVoter{{NodeID: n.cfg.Identity.NodeID, DirectoryID: n.cfg.Identity.DirectoryID, Last: n.raft.LastIndex()}},
	}
	if n.raft.State() == raft.Leader {
		s.Leader = n.cfg.Identity.NodeID
	}
	return s
}

// Propose commits a command, and returns its result and the index of its log
// entry once this node has applied it. The error is the command's own, or
// wraps metadata.ErrNotController or metadata.ErrOutcomeUnknown. When ctx ends
// first the outcome is unknown.
func (n *Node) Propose(ctx context.Context, c metadata.Command) (any, uint64, error) {
	timeout := n.cfg.ProposeTimeout
	if at, ok := ctx.Deadline(); ok {
		timeout = min(timeout, time.Until(at))
	}
	if timeout <= 0 {
		return nil, 0, fmt.Errorf("propose: %w: %w", context.DeadlineExceeded, metadata.ErrNotController)
	}
	f, done := n.apply(metadata.Encode(c), timeout)
	if f == nil {
		return nil, 0, fmt.Errorf("propose: node is closed: %w", metadata.ErrNotController)
	}
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case err := <-done:
		if err != nil {
			return nil, 0, proposeError(err)
		}
	case <-ctx.Done():
		return nil, 0, fmt.Errorf("propose: %w: %w", context.Cause(ctx), metadata.ErrOutcomeUnknown)
	case <-timer.C:
		return nil, 0, fmt.Errorf("propose: %w: %w", context.DeadlineExceeded, metadata.ErrOutcomeUnknown)
	}
	r := f.Response().(result) // our own FSM returns nothing else
	return r.value, f.Index(), r.err
}

// apply hands an entry to Raft; done gets the outcome. It returns nil after
// Close.
func (n *Node) apply(entry []byte, timeout time.Duration) (f raft.ApplyFuture, done chan error) {
	n.mu.Lock()
	if n.closed {
		n.mu.Unlock()
		return nil, nil
	}
	n.running.Add(1)
	n.mu.Unlock()
	f, done = n.raft.Apply(entry, timeout), make(chan error, 1)
	go func() {
		defer n.running.Done()
		done <- f.Error()
	}()
	return f, done
}

// proposeError sorts Raft's errors: those before the command entered the log,
// and those after.
func proposeError(err error) error {
	if errors.Is(err, raft.ErrNotLeader) || errors.Is(err, raft.ErrEnqueueTimeout) || errors.Is(err, raft.ErrLeadershipTransferInProgress) {
		return fmt.Errorf("propose: %w: %w", err, metadata.ErrNotController)
	}
	return fmt.Errorf("propose: %w: %w", err, metadata.ErrOutcomeUnknown)
}

// WaitPublished returns when every listener has been called with an image of
// that index or a later one.
func (n *Node) WaitPublished(ctx context.Context, index uint64) error {
	return n.pub.wait(ctx, index)
}

// Failed is closed when the node met a log entry that it cannot apply. Nothing
// is applied after that, and Close returns the reason.
func (n *Node) Failed() <-chan struct{} { return n.fsm.failed }

// Close stops the node and waits for its goroutines and for a running call of
// a listener. It may be called again.
func (n *Node) Close() error {
	n.once.Do(func() {
		n.mu.Lock()
		n.closed = true
		n.mu.Unlock()
		var errs []error
		if n.raft != nil {
			errs = append(errs, n.raft.Shutdown().Error())
		}
		if n.stop != nil {
			n.stop()
		}
		n.running.Wait()
		if n.store != nil {
			errs = append(errs, n.store.Close())
		}
		n.err = errors.Join(append(errs, n.fsm.failure())...)
	})
	return n.err
}
