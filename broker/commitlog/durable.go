package commitlog

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/millrace/millrace/broker/latency"
)

// Syncer bounds how many logs fdatasync at the same time. A few at once lets
// the file system put them in one journal commit; hundreds only queue.
type Syncer struct {
	slots chan struct{}
	took  latency.Histogram
}

// NewSyncer returns a Syncer for n concurrent fdatasyncs, at least one.
func NewSyncer(n int) *Syncer { return &Syncer{slots: make(chan struct{}, max(n, 1))} }

// Took returns how long the rounds of fdatasync took that it let in.
func (s *Syncer) Took() latency.Snapshot { return s.took.Snapshot() }

func (s *Syncer) enter() {
	if s != nil {
		s.slots <- struct{}{}
	}
}

func (s *Syncer) leave() {
	if s != nil {
		<-s.slots
	}
}

// NotifyDurable calls fn once everything below offset has been fdatasynced, or
// with an error when that failed or the log is closed. All who wait when an
// fdatasync begins share it. fn runs on the goroutine that syncs, or on the
// caller's if there is nothing to wait for; it must not block, and may call
// the log. ErrOffsetOutOfRange means an offset above the log end offset.
func (l *Log) NotifyDurable(offset int64, fn func(error)) *Waiter {
	if end := l.end.Load(); offset > end {
		w := &Waiter{offset: offset, fn: fn, at: -1, in: &l.durableWaiters}
		fn(fmt.Errorf("wait for offset %d to be durable, log ends at %d: %w", offset, end, ErrOffsetOutOfRange))
		return w
	}
	w := l.durableWaiters.add(offset, &l.durable, fn)
	l.requestSync()
	return w
}

// WaitDurable blocks until everything below offset has been fdatasynced, the
// context ends, or the log is closed or fails.
func (l *Log) WaitDurable(ctx context.Context, offset int64) error {
	if l.durable.Load() >= offset {
		return l.Err()
	}
	return wait(ctx, func(fn func(error)) *Waiter { return l.NotifyDurable(offset, fn) })
}

// syncRounds is the life of the goroutine that does rounds of fdatasyncs. It
// runs only while there is something to do.
type syncRounds struct {
	mu      sync.Mutex // guards below
	running bool
	closed  bool
	done    sync.WaitGroup
}

// close lets the goroutine finish, waits for it, and lets no other begin.
func (r *syncRounds) close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.done.Wait()
}

// requestSync starts the goroutine if there are waiters, or sealed segments,
// that need a round, and it does not run.
func (l *Log) requestSync() {
	r := &l.rounds
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.running || r.closed || !l.syncWanted() {
		return
	}
	r.running = true
	r.done.Go(l.syncWhileWanted)
}

func (l *Log) syncWhileWanted() {
	r := &l.rounds
	for {
		r.mu.Lock()
		if r.running = l.syncWanted(); !r.running {
			r.mu.Unlock()
			return
		}
		r.mu.Unlock()
		if err := l.sync(); err != nil {
			l.failWaiters() // and nothing is wanted any more
		}
	}
}

func (l *Log) syncWanted() bool {
	return l.failure.Load() == nil &&
		(l.durableWaiters.waiting(l.end.Load()) || l.durable.Load() < l.active().base)
}

// sync makes everything that was appended when it began durable, and tells who
// waited. An error has poisoned the log.
func (l *Log) sync() error {
	end, err := l.syncOnce()
	if err == nil {
		l.durableWaiters.advance(end)
	}
	return err
}

func (l *Log) syncOnce() (int64, error) {
	l.syncMu.Lock()
	defer l.syncMu.Unlock()
	syncer := l.config().Syncer
	syncer.enter()
	defer syncer.leave()

	l.mu.Lock()
	active := l.active()
	at, dirty, dirDirty := l.checkpoint(l.end.Load(), active), l.dirty, l.dirDirty
	l.dirty, l.dirDirty, l.dirtied = nil, false, time.Time{}
	for _, s := range dirty {
		s.dirty = false
	}
	l.mu.Unlock()

	began := time.Now()
	if err := l.syncFiles(dirty, active, dirDirty); err != nil {
		return 0, l.poison(err)
	}
	if syncer != nil && len(dirty) > 0 {
		syncer.took.Observe(time.Since(began))
	}
	l.durable.Store(at.recoveryPoint)
	if !dirDirty {
		return at.recoveryPoint, nil
	}
	// A segment was rolled: let recovery skip those before it.
	err := l.save(func(c *checkpoint) {
		at.logStart, at.highWatermark, at.firstDirty = c.logStart, c.highWatermark, c.firstDirty
		*c = at
		l.progress(c)
	})
	if err != nil {
		return 0, l.poison(err)
	}
	return at.recoveryPoint, nil
}

// syncFiles fdatasyncs the segments, the indexes and the snapshot after those
// that are sealed, and the directory if it changed.
func (l *Log) syncFiles(dirty []*segment, active *segment, dir bool) error {
	for _, s := range dirty {
		if !s.acquire() {
			continue // removed meanwhile
		}
		err := storage("fdatasync", s.name, s.file.Datasync())
		if err == nil && s != active {
			err = s.syncIndexes()
		}
		if err = errors.Join(err, s.release()); err != nil {
			return err
		}
	}
	if !dir {
		return nil
	}
	if err := syncFile(l.fs, l.snapshotPath(active.base)); err != nil {
		return err
	}
	return storage("sync directory", l.dir, l.fs.SyncDir(l.dir))
}
