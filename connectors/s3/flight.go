package s3

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/connectors/objectfile/rotation"
	"github.com/millrace/millrace/plugins/sdk"
)

// parallelFiles bounds the files of one rotation that are committed at a time.
const parallelFiles = 16

// flight is a rotation on its way to the store. What could not be sent is kept
// and sent again, so that no record need be read again.
type flight struct {
	files []*files
	next  int64 // the offset to commit when all has arrived
	done  chan struct{}
	err   error // once done

	failed  bool // seen to have failed, and not begun again
	retryAt time.Time
}

// rotate ends the open files and sends them on their way. While the rotation
// before is not done it waits, or returns why that fails.
func (w *writer) rotate(ctx context.Context, now time.Time, reason rotation.Reason) error {
	w.due = reason
	if w.state.Count() > 0 {
		if err := w.runway(ctx); err != nil {
			return err
		}
		if w.due == rotation.None {
			return nil // another worker's object made the partition begin anew
		}
		if err := w.takeOff(reason); err != nil {
			return err
		}
	}
	w.schemas.count(w, reason)
	w.state.Rotated(now)
	w.due = rotation.None
	return nil
}

// runway waits until the flight before has landed.
func (w *writer) runway(ctx context.Context) error {
	for w.flight != nil {
		w.wait(ctx)
		if err := ctx.Err(); err != nil {
			return w.task.retryable(fmt.Errorf("wait for an upload: %w", context.Cause(ctx)))
		}
		if err := w.land(w.task.now()); err != nil {
			return err
		}
		if w.flight != nil && w.flight.failed {
			return w.task.retryable(w.flight.err)
		}
	}
	return nil
}

func (w *writer) takeOff(reason rotation.Reason) error {
	f := &flight{files: w.order, next: w.last + 1}
	for _, one := range f.files {
		if err := one.seal(f.next); err != nil {
			return err
		}
	}
	w.task.log.Debug("files are committed", "topic", w.tp.Topic, "partition", w.tp.Partition, "reason", reason.String(),
		"records", w.state.Count(), "files", len(f.files), "next", f.next)
	w.flight, w.order, w.hasKeys = f, nil, false
	clear(w.files)
	if w.redo != nil && f.next >= w.redo.limit {
		w.redo = nil
	}
	f.start(w.life)
	return nil
}

// start commits all files, each as often as start is called until it succeeds.
//
// Where objects are only written if they are not there, that of the first record
// decides and goes before the others: whoever else writes these records, in a
// rotation that ends elsewhere, has one of that name, and no object of a rotation
// that lost may be left beside those of the one that won.
func (f *flight) start(ctx context.Context) {
	f.done, f.failed = make(chan struct{}), false
	go func() {
		defer close(f.done)
		if first := f.files[0]; first.writer.task.cfg.conditional && len(f.files) > 1 {
			for _, one := range first.all {
				if f.err = f.commit(ctx, one); f.err != nil {
					return
				}
			}
		}
		var all errgroup.Group
		all.SetLimit(parallelFiles)
		for _, list := range f.files {
			for _, one := range list.all {
				all.Go(func() error { return f.commit(ctx, one) })
			}
		}
		f.err = all.Wait()
	}()
}

// commit makes one file visible. One that is there already is good if it holds
// the same records; if a Java worker wrote it, it says nothing about itself and
// is replaced.
func (f *flight) commit(ctx context.Context, one *file) error {
	err := one.upload.Commit(ctx)
	exists := (*existsError)(nil)
	if !errors.As(err, &exists) {
		return err
	}
	next, ok := exists.metadata[nextMetadata]
	switch {
	case !ok:
		one.upload.Replace()
		return one.upload.Commit(ctx)
	case next == strconv.FormatInt(f.next, 10):
		return one.upload.Abort(ctx)
	}
	return err
}

// wait waits for the flight.
func (w *writer) wait(ctx context.Context) {
	if w.flight == nil {
		return
	}
	select {
	case <-w.flight.done:
	case <-ctx.Done():
		return
	}
	if w.flight.err == nil {
		w.arrive()
	}
}

func (w *writer) arrive() {
	w.committed = w.flight.next
	if w.failing {
		w.failing = false
		w.task.log.Info("the store takes objects again", "topic", w.tp.Topic, "partition", w.tp.Partition)
	}
	w.flight = nil
}

// land looks after a flight that is done: one that failed for the time being is
// sent again when its wait is over. It returns errors that do not pass.
func (w *writer) land(now time.Time) error {
	f := w.flight
	if f == nil {
		return nil
	}
	select {
	case <-f.done:
	default:
		return nil
	}
	exists := (*existsError)(nil)
	switch {
	case f.err == nil:
		w.arrive()
	case errors.As(f.err, &exists):
		return w.again(now, exists)
	case !isTransient(f.err):
		return f.err
	case !f.failed:
		f.failed, f.retryAt = true, now.Add(w.task.cfg.retry)
		if w.failing {
			break
		}
		w.failing = true
		w.task.log.Warn("upload failed, trying again", "topic", w.tp.Topic, "partition", w.tp.Partition, "after", w.task.cfg.retry, "err", f.err)
	case !now.Before(f.retryAt):
		f.start(w.life)
	}
	return nil
}

// redo is the writing anew of a partition because another worker, which had it
// before or has it now, wrote an object of the same name with other records.
// Its rotation is made after, so that every record is in one object.
type redo struct {
	high  int64 // records from here on were in the pipe when reading again was asked for
	limit int64 // where the other's rotation ends
	begun bool  // the records that are read again have come
	since time.Time
}

// redoTimeout bounds the wait for records that are read again.
const redoTimeout = 2 * time.Minute

func (r *redo) check(now time.Time) error {
	if !r.begun && now.Sub(r.since) > redoTimeout {
		return fatal("records that were asked for again did not come: restart the task")
	}
	return nil
}

// limit rotates where the other's rotation ended.
func (w *writer) limit(ctx context.Context, now time.Time, offset int64) error {
	if w.redo == nil || offset < w.redo.limit {
		return nil
	}
	if w.state.Count() == 0 {
		w.redo = nil
		return nil
	}
	return w.rotate(ctx, now, rotation.Schedule)
}

// again reads everything since the last commit again, to end files where the
// object that exists ends.
func (w *writer) again(now time.Time, exists *existsError) error {
	limit, err := strconv.ParseInt(exists.metadata[nextMetadata], 10, 64)
	if err != nil {
		return sdk.Fatal(fmt.Errorf("%w: its metadata says that offset %q follows, where nothing can be taken up: move the object away and restart the task",
			exists, exists.metadata[nextMetadata]))
	}
	from := w.flight.files[0].start
	for _, f := range w.flight.files {
		from = min(from, f.start)
	}
	w.task.log.Warn("another worker has written an object of these records; writing them anew so that each is in one object",
		"object", exists.key, "from", from, "to", limit)
	ctx, stop := context.WithTimeout(context.WithoutCancel(w.life), endWait)
	defer stop()
	abortAll(ctx, w.task.log, w.flight.files)
	w.forget(ctx)
	w.flight, w.due = nil, rotation.None
	w.state.Rotated(now)
	w.redo = &redo{high: w.next, limit: limit, since: now}
	w.next = from
	w.task.control.Rewind(sdk.Offsets{w.tp: from})
	return nil
}

// schemaRotations notices topics whose schemas take turns, so that every record
// makes a file.
type schemaRotations struct{ short int }

// manyShort is how many small files in a row are worth a warning.
const manyShort = 100

func (s *schemaRotations) count(w *writer, reason rotation.Reason) {
	if reason != rotation.Schema || w.state.Count() > 2 {
		s.short = 0
		return
	}
	if s.short++; s.short == manyShort {
		w.task.log.Warn("nearly every record ends a file, because schemas take turns: use schema.compatibility=BACKWARD, or one schema a topic",
			"topic", w.tp.Topic, "partition", w.tp.Partition, "files", s.short)
	}
}
