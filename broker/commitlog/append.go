package commitlog

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"time"

	"github.com/millrace/millrace/broker/recordbatch"
)

// Appended says where a batch is in the log.
type Appended struct {
	BaseOffset    int64
	LastOffset    int64
	LogAppendTime int64 // Unix milliseconds, -1 if the topic's timestamps are the producers'
	StartOffset   int64 // log start offset at the time
	Duplicate     bool  // it had been appended before; the offsets are those of then
}

// Append appends one batch as the leader of the epoch. It writes the offset,
// the epoch and, if message.timestamp.type says so, the time into the caller's
// bytes, and keeps none of them. A batch that its idempotent producer sent
// before is not appended again: the caller waits for the original's offset.
//
// The checksum and the form of the batch must have been checked. A
// StorageError leaves the log as it was. The batch is not durable yet, unless
// flush.messages demands it.
func (l *Log) Append(v recordbatch.View, leaderEpoch int32) (Appended, error) {
	return l.AppendWith(v, leaderEpoch, AppendOptions{})
}

// AppendOptions are what AppendWith does otherwise than Append.
type AppendOptions struct {
	// Verified demands that a batch is part of a transaction: ErrTxnState
	// unless one of its producer epoch is open or Verification still holds.
	Verified     bool
	Verification *Verification
	// NoWait leaves it to others to wait for what flush.messages makes durable.
	// An append on the goroutine that flushes (NotifyDurable) must not wait.
	NoWait bool
}

// AppendWith is Append with options.
func (l *Log) AppendWith(v recordbatch.View, leaderEpoch int32, o AppendOptions) (Appended, error) {
	l.mu.Lock()
	a, err := l.appendLeader(v, leaderEpoch, o)
	l.mu.Unlock()
	if err != nil {
		l.failWaiters()
		return Appended{}, err
	}
	if a.Duplicate {
		return a, nil
	}
	return a, l.wrote(!o.NoWait)
}

// AppendFollower appends one batch as the leader sent it, without changing a
// byte. The checksum is verified. ErrNotContiguous means that the batch begins
// below the log end offset.
func (l *Log) AppendFollower(v recordbatch.View) error {
	if err := v.CheckCRC(); err != nil {
		return err
	}
	l.mu.Lock()
	err := l.appendFollower(v)
	l.mu.Unlock()
	if err != nil {
		l.failWaiters()
		return err
	}
	return l.wrote(true)
}

// wrote tells of the new end, and flushes if flush.messages says so.
func (l *Log) wrote(wait bool) error {
	end := l.end.Load()
	l.endWaiters.advance(end)
	n := l.config().FlushMessages
	switch {
	case n < 0 || end-l.durable.Load() < n:
		return nil
	case wait:
		return l.WaitDurable(context.Background(), end)
	}
	l.NotifyDurable(end, func(error) {}) // a failure is the log's, which tells of it
	return nil
}

func (l *Log) appendLeader(v recordbatch.View, epoch int32, o AppendOptions) (Appended, error) {
	if err := l.usable(); err != nil {
		return Appended{}, err
	}
	cfg := l.config()
	if len(v) > cfg.MaxMessageBytes {
		return Appended{}, fmt.Errorf("batch has %d bytes, max.message.bytes is %d: %w", len(v), cfg.MaxMessageBytes, ErrBatchTooLarge)
	}
	if latest := l.epochs.latest(); epoch < latest {
		return Appended{}, fmt.Errorf("append with leader epoch %d after %d: %w", epoch, latest, ErrFencedEpoch)
	}
	marker, err := parseMarker(v)
	if err != nil {
		return Appended{}, err
	}
	dup, isDup, err := l.producers.check(v)
	if err == nil && marker != nil {
		err = l.producers.checkMarker(v.ProducerID(), *marker)
	}
	if err == nil && !isDup && o.Verified {
		err = l.producers.checkVerified(v, o.Verification)
	}
	if err != nil {
		return Appended{}, err
	}
	a := Appended{LogAppendTime: -1, StartOffset: l.start.Load()}
	if isDup {
		a.Duplicate, a.BaseOffset, a.LastOffset = true, dup.offset-int64(dup.delta), dup.offset
		if cfg.TimestampType == LogAppendTime {
			a.LogAppendTime = dup.timestamp
		}
		return a, nil
	}
	end := l.end.Load()
	if int64(v.LastOffsetDelta()) > math.MaxInt64-1-end {
		return Appended{}, fmt.Errorf("batch of %d offsets at %d: %w", v.LastOffsetDelta(), end, recordbatch.ErrCorrupt)
	}
	v.SetBaseOffset(end)
	v.SetLeaderEpoch(epoch)
	if cfg.TimestampType == LogAppendTime && !v.Control() {
		a.LogAppendTime = l.now().UnixMilli()
		v.SetLogAppendTime(a.LogAppendTime)
	}
	a.BaseOffset, a.LastOffset = end, v.LastOffset()
	return a, l.write(v, marker)
}

func (l *Log) appendFollower(v recordbatch.View) error {
	if err := l.usable(); err != nil {
		return err
	}
	if end := l.end.Load(); v.BaseOffset() < end {
		return fmt.Errorf("batch at %d, log ends at %d: %w", v.BaseOffset(), end, ErrNotContiguous)
	}
	marker, err := parseMarker(v)
	if err != nil {
		return err
	}
	return l.write(v, marker)
}

// parseMarker returns the marker of a control batch that ends a transaction,
// nil for every other batch.
func parseMarker(v recordbatch.View) (*recordbatch.Marker, error) {
	if !v.Control() || v.ProducerID() < 0 {
		return nil, nil
	}
	for r, err := range v.Records(len(v)) {
		if err != nil {
			return nil, err
		}
		m, ok, err := recordbatch.ParseMarker(r)
		if err != nil || !ok {
			return nil, err
		}
		return &m, nil
	}
	return nil, nil
}

// write puts a batch that has its offset and epoch at the end of the log. On
// an error nothing has changed.
func (l *Log) write(v recordbatch.View, marker *recordbatch.Marker) error {
	cfg := l.config()
	seg, err := l.segmentFor(v, cfg)
	if err != nil {
		return err
	}
	// The epoch first: data of an epoch the cache does not know would be
	// kept by a truncation that should have cut it off.
	if err := l.epochs.assign(v.LeaderEpoch(), v.BaseOffset()); err != nil {
		return err
	}
	pos := seg.size.Load()
	if n, err := seg.file.WriteAt(v, pos); err != nil || n < len(v) {
		return l.undo(seg, pos, err)
	}
	l.touch(seg)
	if l.dirtied.IsZero() {
		l.dirtied = l.now()
	}
	seg.size.Store(pos + int64(len(v)))
	seg.note(v, pos, int64(len(v)), cfg.IndexIntervalBytes)
	if marker != nil {
		if a, ok := l.producers.noteMarker(v, *marker); ok {
			seg.aborted.add(a)
		}
	} else {
		l.producers.note(v)
	}
	next := v.NextOffset()
	l.appended.add(next, seg, pos+int64(len(v)))
	l.end.Store(next)
	return nil
}

// undo cuts a failed write off again. If even that fails, what the file ends
// with is unknown and the log unusable.
func (l *Log) undo(seg *segment, size int64, cause error) error {
	if cause == nil {
		cause = errors.New("short write")
	}
	err := storage("write", seg.name, cause)
	if terr := seg.file.Truncate(size); terr != nil {
		return l.poison(storage("truncate", seg.name, errors.Join(terr, cause)))
	}
	l.log.Warn("append failed and was undone", "dir", l.dir, "offset", l.end.Load(), "err", err)
	return err
}

// segmentFor returns the active segment, rolled to a new one if the batch does
// not fit or the segment is older than segment.ms by the records' time.
func (l *Log) segmentFor(v recordbatch.View, cfg *Config) (*segment, error) {
	if len(v) > cfg.SegmentBytes {
		return nil, fmt.Errorf("batch has %d bytes, segment.bytes is %d: %w", len(v), cfg.SegmentBytes, ErrBatchExceedsSegment)
	}
	seg := l.active()
	if seg.size.Load() == 0 && v.LastOffset()-seg.base <= math.MaxInt32 {
		return seg, nil
	}
	fits := seg.fits(v.LastOffset(), len(v), cfg.SegmentBytes, cfg.SegmentIndexBytes)
	if fits && !l.aged(seg, v.MaxTimestamp(), cfg) {
		return seg, nil
	}
	return l.roll(v.BaseOffset())
}

// aged reports whether segment.ms has passed since the segment's first batch,
// or since it was created if batches have no timestamps. On a compacted topic
// max.compaction.lag.ms counts as well.
func (l *Log) aged(seg *segment, ts int64, cfg *Config) bool {
	age := cfg.SegmentAge
	if cfg.Compact && cfg.MaxCompactionLag >= 0 {
		age = min(age, cfg.MaxCompactionLag)
	}
	if seg.first >= 0 && ts >= 0 {
		return ts-seg.first > age.Milliseconds()
	}
	return l.now().Sub(seg.created) > age
}

// roll seals the active segment and begins one at base. Readers see the new
// one once everything has worked; on an error the old one stays active.
func (l *Log) roll(base int64) (*segment, error) {
	old := l.active()
	seg, err := openSegment(l.fs, l.dir, base, os.O_CREATE|os.O_TRUNC, l.now())
	if err != nil {
		return nil, err
	}
	err = old.writeIndexes()
	if err == nil {
		err = l.writeSnapshot(l.end.Load())
	}
	if err != nil {
		return nil, errors.Join(err, seg.remove())
	}
	old.seal()
	l.touch(old) // for its indexes
	l.dirDirty = true
	segs := *l.segments.Load()
	next := append(segs[:len(segs):len(segs)], seg)
	l.segments.Store(&next)
	l.log.Debug("segment rolled", "dir", l.dir, "offset", base)
	l.requestSync()
	return seg, nil
}

func (l *Log) snapshotPath(offset int64) string {
	return filepath.Join(l.dir, fileName(offset, snapshotSuffix))
}

// writeSnapshot writes the producer state at offset, not yet durably: a torn
// snapshot fails its checksum and an older one is used.
func (l *Log) writeSnapshot(offset int64) error {
	return writeFile(l.fs, l.snapshotPath(offset), l.producers.encode(), false)
}

// FlushDue makes the log durable if its oldest byte that is not has waited for
// flush.ms. The owner calls it at least that often.
func (l *Log) FlushDue(now time.Time) error {
	age := l.config().FlushAge
	l.mu.Lock()
	due := age >= 0 && !l.dirtied.IsZero() && now.Sub(l.dirtied) >= age
	l.mu.Unlock()
	if !due {
		return nil
	}
	return l.WaitDurable(context.Background(), l.end.Load())
}
