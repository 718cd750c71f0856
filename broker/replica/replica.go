// Package replica holds the partitions that this broker has a replica of and
// plays its role in each: it opens, creates and deletes their logs as the
// metadata image says, checks and appends what producers send, moves the high
// watermark, and answers reads up to it.
//
// A partition with one replica is committed up to where its log is durable:
// acknowledged means on disk. With flush.before.ack=never it is committed up
// to its end.
package replica

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/broker/commitlog"
	"github.com/millrace/millrace/broker/metadata"
)

// Config is what a Set needs. Dir, NodeID and Broker are mandatory.
type Config struct {
	// Dir is the log directory, which holds one directory per partition.
	Dir    string
	NodeID int32
	Broker *metadata.BrokerConfig
	// Syncs is how many logs are flushed at the same time. Default 8.
	Syncs int
	// FS and Clock are the operating system's unless a test replaces them.
	FS    commitlog.FS
	Clock func() time.Time
	// Logger defaults to slog.Default().
	Logger *slog.Logger
}

// Set is the partitions of one broker. Its methods may be called from any
// goroutine, except where they say otherwise.
type Set struct {
	cfg    Config
	syncer *commitlog.Syncer
	clean  bool
	watch  Watcher

	cleaner *cleaner

	changed chan struct{} // capacity 1: the shortest flush.ms may have changed

	mu     sync.RWMutex // guards below; never held over the disk
	topics map[metadata.ID][]*Partition
}

// Watcher is told of partitions that begin and end to be led here. The calls
// come while Apply runs: for one partition one after the other, for several at
// the same time. They must not block for long.
type Watcher interface {
	// Lead says that this broker leads p from now on, in a new epoch or at all.
	Lead(p *Partition)
	// Drop says that it does not any more.
	Drop(p *Partition)
}

// Partition is one partition with a replica on this broker. Its methods may be
// called from any goroutine.
type Partition struct {
	Topic   string
	TopicID metadata.ID
	ID      int32

	log    *commitlog.Log // nil if err is set
	err    error          // why the log could not be opened
	now    func() time.Time
	cfg    atomic.Pointer[metadata.TopicConfig]
	state  atomic.Pointer[metadata.Partition]
	leads  atomic.Bool
	strict atomic.Bool // committed means durable

	syncing atomic.Bool // one registration with the log is enough
}

// Chunk is a run of stored batches, ready to be sent.
type Chunk = commitlog.Chunk

// TimestampOffset is a record found by its time.
type TimestampOffset = commitlog.TimestampOffset

// Partition returns a partition, nil if this broker has no replica of it.
func (s *Set) Partition(topic metadata.ID, id int32) *Partition {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if ps := s.topics[topic]; id >= 0 && int(id) < len(ps) {
		return ps[id]
	}
	return nil
}

// all returns every partition there is.
func (s *Set) all() []*Partition {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var out []*Partition
	for _, ps := range s.topics {
		for _, p := range ps {
			if p != nil {
				out = append(out, p)
			}
		}
	}
	return out
}

// Config returns the topic's configs as they are now.
func (p *Partition) Config() *metadata.TopicConfig { return p.cfg.Load() }

// LeaderEpoch returns the current leader epoch.
func (p *Partition) LeaderEpoch() int32 { return p.state.Load().LeaderEpoch }

// Err returns why the partition cannot be used: ErrNotLeader, a storage error,
// or nil.
func (p *Partition) Err() error {
	switch {
	case p.err != nil:
		return p.err
	case !p.leads.Load():
		return ErrNotLeader
	}
	return p.log.Err()
}

// CheckEpoch compares the leader epoch that a client knows with the current
// one: ErrFencedEpoch if it is older, ErrUnknownEpoch if it is newer. -1 is
// always right.
func (p *Partition) CheckEpoch(epoch int32) error {
	switch current := p.LeaderEpoch(); {
	case epoch < 0 || epoch == current:
		return nil
	case epoch < current:
		return ErrFencedEpoch
	}
	return ErrUnknownEpoch
}

// StartOffset returns the log start offset.
func (p *Partition) StartOffset() int64 { return p.log.StartOffset() }

// EndOffset returns the log end offset.
func (p *Partition) EndOffset() int64 { return p.log.EndOffset() }

// HighWatermark returns the offset below which everything is committed.
func (p *Partition) HighWatermark() int64 { return p.log.HighWatermark() }

// LastStableOffset returns the offset below which no transaction is undecided.
func (p *Partition) LastStableOffset() int64 { return p.log.LastStableOffset() }

// EpochEnd returns the largest leader epoch at or below the one asked for and
// where it ended; -1, -1 if that is not known (KIP-101).
func (p *Partition) EpochEnd(epoch int32) (int32, int64) { return p.log.EpochEnd(epoch) }

// OffsetForTimestamp returns the first record whose time is at least ms (Unix
// milliseconds), false if there is none.
func (p *Partition) OffsetForTimestamp(ms int64) (TimestampOffset, bool, error) {
	return p.log.OffsetForTimestamp(ms)
}

// MaxTimestampOffset returns the first record with the largest timestamp,
// false if there is none.
func (p *Partition) MaxTimestampOffset() (TimestampOffset, bool, error) {
	return p.log.MaxTimestampOffset()
}

// Size returns the bytes of the log's batches.
func (p *Partition) Size() int64 {
	if p.log == nil {
		return 0
	}
	return p.log.Size()
}

// DeleteBefore moves the log start offset up to offset.
func (p *Partition) DeleteBefore(offset int64) error { return p.log.DeleteBefore(offset) }

// Read returns committed batches from the one that holds offset on. See
// Log.Read for the rest; the caller closes the chunk.
func (p *Partition) Read(offset int64, maxBytes int, bound int64, minOne bool) (Chunk, error) {
	return p.log.Read(offset, maxBytes, bound, minOne)
}

// NotifyCommitted calls fn once everything below offset is committed, or with
// an error when the log is closed or fails. fn must not block. cancel
// withdraws the registration.
func (p *Partition) NotifyCommitted(offset int64, fn func(error)) (cancel func() bool) {
	return p.log.NotifyHighWatermark(offset, fn).Cancel
}

// WaitCommitted blocks until everything below offset is committed, ctx ends,
// or the log is closed or fails.
func (p *Partition) WaitCommitted(ctx context.Context, offset int64) error {
	if p.log.HighWatermark() >= offset {
		return p.log.Err()
	}
	return p.log.WaitHighWatermark(ctx, offset)
}
