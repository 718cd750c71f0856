package commitlog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

// Log is one partition on disk. All methods are safe for concurrent use;
// appends to one log run one after another.
type Log struct {
	dir string
	fs  FS
	log *slog.Logger
	now func() time.Time
	cfg atomic.Pointer[Config]

	start   atomic.Int64
	end     atomic.Int64
	hw      atomic.Int64
	durable atomic.Int64

	firstDirty atomic.Int64 // compaction has cleaned what is below

	failure  atomic.Pointer[StorageError]
	segments atomic.Pointer[[]*segment] // rising, never empty; replaced, never changed
	txns     atomic.Pointer[transactions]

	endWaiters     waiters
	hwWaiters      waiters
	durableWaiters waiters

	appended positions // where recent appends ended
	read     positions // where recent reads ended
	epochs   *epochs   // changed under mu

	rounds  syncRounds
	cleanMu sync.Mutex // held over a compaction
	syncMu  sync.Mutex // held over a round of fdatasyncs

	mu        sync.Mutex // guards below, and the order of appends
	producers *producers
	dirty     []*segment // with bytes that are not durable
	dirDirty  bool       // files were created or removed since the directory was synced
	dirtied   time.Time  // when the oldest byte that is not durable was appended
	closed    bool
	unswapped error // the last compaction left its files to the next Open
	stopClean context.CancelCauseFunc

	saveMu sync.Mutex // guards saved, and the file it is in
	saved  checkpoint
}

// Open opens the log in dir, creating both if need be, and recovers it: what
// lies above the recovery point is checked batch by batch, cut off at the
// first that is not whole, and made durable. cfg's zero fields have defaults.
func Open(dir string, cfg Config) (*Log, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("open log %s: %w", dir, err)
	}
	l := &Log{dir: dir, fs: cfg.FS, log: cfg.Logger, now: cfg.Clock, producers: newProducers()}
	l.cfg.Store(&cfg)
	l.txns.Store(&l.producers.txns)
	l.endWaiters.init()
	l.hwWaiters.init()
	l.durableWaiters.init()
	if err := l.open(); err != nil {
		l.releaseSegments()
		return nil, fmt.Errorf("open log %s: %w", dir, err)
	}
	return l, nil
}

func (l *Log) config() *Config { return l.cfg.Load() }

// SetConfig replaces the settings. TopicID, FS, Syncer, Clock and Logger stay
// as they were when the log was opened.
func (l *Log) SetConfig(cfg Config) error {
	old := l.config()
	cfg.TopicID, cfg.FS, cfg.Syncer, cfg.Clock, cfg.Logger = old.TopicID, old.FS, old.Syncer, old.Clock, old.Logger
	cfg, err := cfg.withDefaults()
	if err != nil {
		return err
	}
	l.cfg.Store(&cfg)
	return nil
}

// Dir returns the log's directory.
func (l *Log) Dir() string { return l.dir }

// StartOffset returns the log start offset: nothing below it can be read.
func (l *Log) StartOffset() int64 { return l.start.Load() }

// EndOffset returns the log end offset: the next to be appended.
func (l *Log) EndOffset() int64 { return l.end.Load() }

// DurableOffset returns the offset below which everything has been fdatasynced.
func (l *Log) DurableOffset() int64 { return l.durable.Load() }

// HighWatermark returns the offset below which records are committed, as last
// set, or as checkpointed before a restart.
func (l *Log) HighWatermark() int64 { return l.hw.Load() }

// LastStableOffset returns the offset below which no transaction is undecided:
// the high watermark, or the first offset of the oldest transaction that is
// open or whose marker is not below the high watermark (KIP-98); never below
// the log start offset, which deletion may have moved into a transaction.
func (l *Log) LastStableOffset() int64 {
	// The high watermark first: a transaction that begins in between begins
	// above it.
	hw := l.hw.Load()
	return max(min(hw, l.txns.Load().unstable.Load()), l.start.Load())
}

// SetHighWatermark moves the high watermark forward to offset, at most to the
// end, and wakes who waits for it. It reports whether it moved; it never moves
// back, except by truncation.
func (l *Log) SetHighWatermark(offset int64) bool {
	for {
		old := l.hw.Load()
		next := min(offset, l.end.Load())
		if next <= old {
			return false
		}
		if l.hw.CompareAndSwap(old, next) {
			l.settle(next)
			l.hwWaiters.advance(next)
			return true
		}
	}
}

// settle lets go of the transactions whose markers are below hw.
func (l *Log) settle(hw int64) {
	if l.txns.Load().pending.Load() >= hw {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.producers.txns.settle(hw)
}

// EpochEnd returns the largest leader epoch at or below the one asked for, and
// the offset at which it ended, which for the latest is the log end offset;
// -1, -1 if the log cannot say (KIP-101).
func (l *Log) EpochEnd(epoch int32) (int32, int64) { return l.epochs.endOf(epoch, l.end.Load()) }

// LatestEpoch returns the newest leader epoch in the log, -1 for none.
func (l *Log) LatestEpoch() int32 { return l.epochs.latest() }

// StartEpoch notes, durably, that a leader epoch begins at the log end offset.
// A new leader calls it before its first append, so that its followers find
// the epoch even if it never appends (KIP-279).
func (l *Log) StartEpoch(epoch int32) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.usable(); err != nil {
		return err
	}
	return l.epochs.assign(epoch, l.end.Load())
}

// Size returns the bytes of all segments' batches.
func (l *Log) Size() int64 {
	var n int64
	for _, s := range *l.segments.Load() {
		n += s.size.Load()
	}
	return n
}

// Stats are a log's sizes at one moment.
type Stats struct {
	Segments  int
	Bytes     int64
	Producers int
}

// Stats returns the log's sizes.
func (l *Log) Stats() Stats {
	l.mu.Lock()
	producers := len(l.producers.byID)
	l.mu.Unlock()
	return Stats{Segments: len(*l.segments.Load()), Bytes: l.Size(), Producers: producers}
}

// Err returns the StorageError that made the log unusable, or nil.
func (l *Log) Err() error {
	if f := l.failure.Load(); f != nil {
		return f
	}
	return nil
}

// usable is checked, with mu held, before anything is changed.
func (l *Log) usable() error {
	if l.closed {
		return ErrClosed
	}
	return l.Err()
}

// poison makes the log unusable: after a failed fdatasync nobody knows what is
// on disk, and trying again may succeed without having written anything.
// failWaiters must follow once no lock is held.
func (l *Log) poison(err error) error {
	f := StorageError{Op: "use log", Path: l.dir, Err: err}
	if se := (*StorageError)(nil); errors.As(err, &se) {
		f = *se
	}
	f.Fatal = true
	if !l.failure.CompareAndSwap(nil, &f) {
		return l.failure.Load()
	}
	l.log.Error("log failed; its partition is offline until the log is opened again", "dir", l.dir, "err", &f)
	return &f
}

// failWaiters tells all who wait, if the log has become unusable.
func (l *Log) failWaiters() {
	if err := l.Err(); err != nil {
		l.endAll(err)
	}
}

func (l *Log) endAll(err error) {
	l.durableWaiters.fail(err)
	l.endWaiters.fail(err)
	l.hwWaiters.fail(err)
}

// Close writes the indexes, producer state and checkpoint so that the next
// Open has nothing to recover, and makes everything durable. Waiters get
// ErrClosed; chunks being read stay readable. Closing again does nothing.
func (l *Log) Close() error {
	if !l.shut() {
		return nil
	}
	err := l.Err()
	if err == nil {
		err = l.saveAll()
	}
	if err != nil {
		err = fmt.Errorf("close log %s: %w", l.dir, err)
	}
	return errors.Join(err, l.releaseSegments())
}

// shut ends appends, waits, a compaction under way and the syncing goroutine;
// false if it had been done.
func (l *Log) shut() bool {
	l.mu.Lock()
	closed, stopClean := l.closed, l.stopClean
	l.closed = true
	l.mu.Unlock()
	if closed {
		return false
	}
	if stopClean != nil {
		stopClean(ErrClosed)
	}
	l.awaitClean()
	l.endAll(ErrClosed)
	l.rounds.close()
	return true
}

// awaitClean waits for the end of a compaction.
func (l *Log) awaitClean() {
	l.cleanMu.Lock()
	defer l.cleanMu.Unlock()
}

func (l *Log) releaseSegments() error {
	var errs []error
	if segs := l.segments.Load(); segs != nil {
		for _, s := range *segs {
			errs = append(errs, s.release())
		}
	}
	return errors.Join(errs...)
}

// saveAll leaves a clean log behind, doing nothing if it is clean already.
func (l *Log) saveAll() error {
	l.mu.Lock()
	end, active := l.end.Load(), l.active()
	want := l.checkpoint(end, active)
	want.clean = 1
	if l.isSaved(want) {
		l.mu.Unlock()
		return nil
	}
	err := errors.Join(active.writeIndexes(), l.writeSnapshot(end))
	l.mu.Unlock()
	if err != nil {
		return err
	}
	if err := errors.Join(active.syncIndexes(), syncFile(l.fs, l.snapshotPath(end))); err != nil {
		return err
	}
	if err := l.sync(); err != nil {
		return err
	}
	return l.save(func(c *checkpoint) { *c = want })
}

func (l *Log) isSaved(c checkpoint) bool {
	l.saveMu.Lock()
	defer l.saveMu.Unlock()
	return l.saved == c
}

// checkpoint is the one that says that all below end, the end of active, is durable.
func (l *Log) checkpoint(end int64, active *segment) checkpoint {
	return checkpoint{
		recoveryPoint:    end,
		recoverySegment:  active.base,
		recoveryPosition: active.size.Load(),
		logStart:         l.start.Load(),
		highWatermark:    l.hw.Load(),
		firstDirty:       l.firstDirty.Load(),
	}
}

// save edits the checkpoint on disk.
func (l *Log) save(edit func(*checkpoint)) error {
	l.saveMu.Lock()
	defer l.saveMu.Unlock()
	c := l.saved
	edit(&c)
	if c == l.saved {
		return nil
	}
	if err := replaceFile(l.fs, filepath.Join(l.dir, checkpointFile), c.encode()); err != nil {
		return err
	}
	l.saved = c
	return nil
}

// Checkpoint saves the high watermark, the log start offset and the recovery
// point as they are. The owner calls it every few seconds; what happened since
// is found again by recovery, except for the high watermark. Appends go on
// meanwhile.
func (l *Log) Checkpoint() error {
	l.syncMu.Lock() // no truncation in between
	defer l.syncMu.Unlock()
	l.mu.Lock()
	err := l.usable()
	l.mu.Unlock()
	if err != nil {
		return err
	}
	return l.save(l.progress)
}

// progress brings a checkpoint up to date but for the recovery point; with
// syncMu held. The start may have been saved before it is moved.
func (l *Log) progress(c *checkpoint) {
	c.logStart = max(c.logStart, l.start.Load())
	c.highWatermark = l.hw.Load()
}

// Delete closes the log and removes its directory. The directory is renamed
// first, to one that ends in -delete, so that a crash does not leave half a
// log under its own name.
func (l *Log) Delete() error {
	open := l.shut()
	var errs []error
	if open {
		errs = append(errs, l.releaseSegments())
	}
	gone := l.dir + "-delete"
	errs = append(errs, storage("remove", gone, l.fs.RemoveAll(gone)))
	if err := l.fs.Rename(l.dir, gone); err != nil && !errors.Is(err, os.ErrNotExist) {
		return errors.Join(append(errs, storage("rename", l.dir, err))...)
	}
	parent := filepath.Dir(l.dir)
	errs = append(errs, storage("remove", gone, l.fs.RemoveAll(gone)), storage("sync directory", parent, l.fs.SyncDir(parent)))
	return errors.Join(errs...)
}

// active returns the segment that is appended to.
func (l *Log) active() *segment {
	segs := *l.segments.Load()
	return segs[len(segs)-1]
}
