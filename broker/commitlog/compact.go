package commitlog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/millrace/millrace/broker/recordbatch"
)

// CleanerConfig bounds what a Cleaner uses.
type CleanerConfig struct {
	// MapBytes is the most memory that the newest offsets of keys may take
	// (log.cleaner.dedupe.buffer.size). Default 128 MiB.
	MapBytes int
	// Wait is called before so many bytes are read or written, to hold them
	// up. Nil for no limit.
	Wait func(ctx context.Context, bytes int) error
}

// Cleaner compacts logs, one at a time, and keeps its buffers in between. It
// is used by one goroutine.
type Cleaner struct {
	cfg    CleanerConfig
	keys   offsetMap
	in     batchReader
	out    []byte
	filter recordbatch.Filter
}

// NewCleaner returns a Cleaner.
func NewCleaner(cfg CleanerConfig) *Cleaner {
	if cfg.MapBytes <= 0 {
		cfg.MapBytes = 128 << 20
	}
	if cfg.Wait == nil {
		cfg.Wait = func(ctx context.Context, _ int) error { return context.Cause(ctx) }
	}
	return &Cleaner{
		cfg: cfg, keys: offsetMap{maxBytes: cfg.MapBytes},
		filter: recordbatch.Filter{Limit: maxCleanBatch},
	}
}

// CleanStats is what a round of compaction did.
type CleanStats struct {
	From, To       int64 // dirty offsets that are clean now
	BytesBefore    int64 // of the segments that were cleaned
	BytesAfter     int64
	SegmentsBefore int
	SegmentsAfter  int
	RecordsKept    int64
	RecordsDropped int64
	MapFill        float64 // share of MapBytes in use
	// Moved says that the round ended early, because retention or truncation
	// changed the log. It can be tried again.
	Moved bool
}

// Clean does one round of compaction: of the records in the range that is
// Cleanable, and those before, each key's newest stays, and a tombstone until
// delete.retention.ms after it was first cleaned (KIP-534). Offsets do not
// change and nothing at or above Cleanable's To is touched. The last batch of
// every active producer, and that of the range, stay without their records
// (recordCount 0), so that sequences and offsets are not forgotten.
//
// A round that fails, or is cut short by ctx, Close or a crash, leaves a whole
// log. An error of the log is ErrClosed or a StorageError; recordbatch's errors
// mean batches on disk that are damaged.
func (c *Cleaner) Clean(ctx context.Context, l *Log) (CleanStats, error) {
	l.cleanMu.Lock()
	defer l.cleanMu.Unlock()
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	if err := l.beginClean(stop); err != nil {
		return CleanStats{}, err
	}
	defer l.endClean()
	r := &round{Cleaner: c, l: l, ctx: ctx, cfg: l.config(), now: l.now()}
	err := r.run()
	c.keys.reset()
	c.in.forget()
	if err != nil && len(r.reading) > 0 && errors.Is(l.inPlace(r.reading), errMoved) {
		err = errMoved // whatever it says: the files are others now
	}
	if errors.Is(err, errMoved) {
		r.stats.Moved, err = true, nil
	}
	if err != nil {
		return r.stats, fmt.Errorf("compact log %s: %w", l.dir, err)
	}
	return r.stats, nil
}

func (l *Log) beginClean(stop context.CancelCauseFunc) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.usable(); err != nil {
		return err
	}
	if l.unswapped != nil {
		return fmt.Errorf("files of the last compaction wait for a restart: %w", l.unswapped)
	}
	l.stopClean = stop
	return nil
}

func (l *Log) endClean() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stopClean = nil
}

// round is one run of Clean.
type round struct {
	*Cleaner
	l   *Log
	ctx context.Context
	cfg *Config
	now time.Time

	segs    []*segment // that are cleaned; the last ends where the range does
	ends    []int64    // of each, the next one's base
	reading []taken    // those that may not change, from the one being read on
	end     int64      // records from here on stay as they are

	aborted abortedList
	known   bool // aborted has been filled
	keeper
	stats CleanStats
}

func (r *round) run() error {
	dirty := r.l.Cleanable(r.now)
	r.stats.From, r.stats.To = dirty.From, dirty.From
	if dirty.From >= dirty.To {
		return nil
	}
	if err := r.take(dirty.To); err != nil {
		return err
	}
	defer r.releaseAll()
	r.in.wait = r.wait
	if err := r.index(dirty); err != nil {
		return err
	}
	if r.end <= dirty.From {
		return errNoProgress(dirty.From)
	}
	r.stats.MapFill = r.keys.fill()
	r.prepare()
	if err := r.rewrite(); err != nil {
		return err
	}
	r.stats.To = r.end
	return r.l.cleanedTo(r.end)
}

// cleanedTo notes how far the log is clean.
func (l *Log) cleanedTo(offset int64) error {
	l.syncMu.Lock() // no truncation in between
	defer l.syncMu.Unlock()
	offset = min(offset, l.end.Load())
	l.firstDirty.Store(offset)
	return l.save(func(c *checkpoint) { c.firstDirty = offset })
}

// wait holds the round up before so many bytes are read or written, and ends it.
func (r *round) wait(bytes int) error {
	if err := context.Cause(r.ctx); err != nil {
		return err
	}
	return r.Cleaner.cfg.Wait(r.ctx, bytes)
}

// take holds the segments that end at or below to, so that their files stay
// open whatever retention does.
func (r *round) take(to int64) error {
	segs := *r.l.segments.Load()
	for i, s := range segs[:len(segs)-1] {
		if segs[i+1].base > to {
			break
		}
		if !s.acquire() {
			r.releaseAll()
			return errMoved
		}
		r.segs = append(r.segs, s)
		r.ends = append(r.ends, segs[i+1].base)
		r.reading = append(r.reading, taken{s, s.size.Load()})
	}
	if len(r.segs) == 0 {
		return errMoved
	}
	return nil
}

func (r *round) releaseAll() {
	for _, s := range r.segs {
		if err := s.release(); err != nil {
			r.l.log.Warn("compacted segment not closed", "dir", r.l.dir, "err", err)
		}
	}
}

// index is the first pass: it notes the newest offset of every key in the
// dirty range, as far as the map goes.
func (r *round) index(dirty Cleanable) error {
	first := floorSegment(r.segs, dirty.From)
	r.end = dirty.To
	for _, s := range r.segs[first:] {
		if s.base >= r.end {
			break
		}
		if err := r.indexSegment(s, dirty); err != nil {
			return err
		}
	}
	return nil
}

func (r *round) indexSegment(s *segment, dirty Cleanable) error {
	r.in.open(s, 0, s.size.Load())
	for {
		v, err := r.in.next()
		if errors.Is(err, io.EOF) || err == nil && v.BaseOffset() >= r.end {
			return nil
		}
		if err != nil {
			return err
		}
		if v.Control() || v.LastOffset() < dirty.From {
			continue
		}
		if v.Transactional() && !r.known {
			to, err := r.aborted.find(*r.l.segments.Load(), dirty.From, dirty.To)
			if err != nil {
				return err
			}
			r.end, r.known = min(r.end, to), true
		}
		if r.aborted.has(v) {
			continue
		}
		if err := r.indexBatch(v, dirty.From); err != nil {
			return err
		}
	}
}

// indexBatch notes the keys of a batch. The round ends at the first key that
// finds no room.
func (r *round) indexBatch(v recordbatch.View, from int64) error {
	for rec, err := range v.Records(maxCleanBatch) {
		if err != nil {
			return err
		}
		if rec.Key == nil || rec.Offset < from || rec.Offset >= r.end {
			continue
		}
		if !r.keys.put(rec.Key, rec.Offset) {
			r.end = rec.Offset
			return nil
		}
	}
	return nil
}

// rewrite is the second pass: segments are rewritten into fewer ones, each of
// which takes the place of those it was made of as soon as it is complete.
func (r *round) rewrite() error {
	var out *cleaned
	last := r.lastFilled()
	for i, s := range r.segs {
		if s.base >= r.end {
			break
		}
		if out != nil && !out.fits(s, r.ends[i]-1, r.cfg) {
			if err := r.install(out); err != nil {
				return err
			}
			out = nil
		}
		if out == nil {
			seg, err := r.l.createCleaned(s.base)
			if err != nil {
				return err
			}
			out = &cleaned{segment: seg, buf: r.out[:0]}
		}
		if err := r.rewriteSegment(out, s, i == last); err != nil {
			return errors.Join(err, r.l.discard(out.segment))
		}
	}
	if out == nil {
		return nil
	}
	return r.install(out)
}

// lastFilled returns the index of the segment that the range's last batch is in.
func (r *round) lastFilled() int {
	last := 0
	for i, s := range r.segs {
		if s.base < r.end && s.size.Load() > 0 {
			last = i
		}
	}
	return last
}

func (r *round) rewriteSegment(out *cleaned, s *segment, last bool) error {
	if err := out.add(s, r.end); err != nil {
		return err
	}
	r.stats.SegmentsBefore++
	r.stats.BytesBefore += s.size.Load()
	r.in.open(s, 0, s.size.Load())
	for {
		v, err := r.in.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		final := last && r.in.done()
		if v, err = r.clean(v, final); err != nil {
			return err
		}
		if v == nil {
			continue
		}
		if err := out.append(v, r.cfg.IndexIntervalBytes, r.flush); err != nil {
			return err
		}
	}
}

func (r *round) flush(out *cleaned) error {
	if err := r.wait(len(out.buf)); err != nil {
		return err
	}
	return out.flush()
}

// install puts a complete segment in its place.
func (r *round) install(out *cleaned) error {
	err := r.flush(out)
	if err == nil {
		err = out.finish()
	}
	r.out = out.buf[:0]
	stands := false
	if err == nil {
		stands, err = r.l.swap(out.from, out.segment)
	}
	if !stands {
		return errors.Join(err, r.l.discard(out.segment))
	}
	r.reading = r.reading[len(out.from):]
	if err != nil {
		return err // it is in use, though its files wait for the next Open
	}
	r.stats.SegmentsAfter++
	r.stats.BytesAfter += out.pos
	return nil
}
