package s3

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/millrace/millrace/connectors/objectfile/partition"
	"github.com/millrace/millrace/connectors/objectfile/rotation"
	"github.com/millrace/millrace/connectors/s3/upload"
	"github.com/millrace/millrace/plugins/data"
	"github.com/millrace/millrace/plugins/sdk"
)

// The waits for uploads that are under way: before a commit, in which time the
// task takes no records, and at the end, in which the worker waits.
const (
	commitWait = 20 * time.Second
	endWait    = 7 * time.Second
)

// task is a running sink task. Each partition of the log has a writer.
type task struct {
	sdk.UnimplementedSinkTask
	cfg     *sinkConfig
	control sdk.Control
	log     *slog.Logger
	store   *store
	pool    *upload.Pool
	places  *partition.Partitioner
	schema  schemaFunc // of what Aiven's sink writes
	writers map[sdk.TopicPartition]*writer
	now     func() time.Time
	life    context.Context
	end     context.CancelFunc
	// deadLetters says that ignored nulls can be reported.
	deadLetters bool
}

var (
	_ sdk.PreCommitter    = (*task)(nil)
	_ sdk.PartitionOpener = (*task)(nil)
)

// Put takes records into the open files of their partitions. Records that come
// again, because a Put failed after it had taken some, are known by their
// offsets.
func (t *task) Put(ctx context.Context, b *data.Batch) error {
	now := t.now()
	for _, w := range t.writers {
		if err := w.land(now); err != nil {
			return err
		}
	}
	for i := range b.Records {
		r := &b.Records[i]
		if err := t.writer(r).take(ctx, now, r); err != nil {
			return err
		}
	}
	for _, w := range t.writers {
		if err := w.tick(ctx, now); err != nil {
			return err
		}
	}
	if err := t.pool.Advance(ctx); isTransient(err) {
		return t.retryable(err)
	} else if err != nil {
		return err
	}
	t.wake(now)
	return nil
}

// wake asks to be called when something is due before the worker's next tick.
func (t *task) wake(now time.Time) {
	var next time.Time
	for _, w := range t.writers {
		if at := w.nextDue(); !at.IsZero() && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	if !next.IsZero() {
		t.control.Timeout(max(time.Millisecond, next.Sub(now)))
	}
}

func (t *task) writer(r *data.Record) *writer {
	tp := sdk.TopicPartition{Topic: r.OriginalTopic, Partition: r.OriginalPartition}
	w := t.writers[tp]
	if w == nil {
		w = newWriter(t, tp, -1)
		t.writers[tp] = w
	}
	return w
}

// OpenPartitions implements sdk.PartitionOpener.
func (t *task) OpenPartitions(_ context.Context, offsets sdk.Offsets) error {
	for tp, offset := range offsets {
		if old := t.writers[tp]; old != nil {
			t.drop(old)
		}
		t.writers[tp] = newWriter(t, tp, offset)
	}
	return nil
}

// ClosePartitions implements sdk.PartitionOpener. It forgets the files of these
// partitions alone; the next owner reads what is in them again.
func (t *task) ClosePartitions(_ context.Context, partitions []sdk.TopicPartition, _ bool) error {
	var gone []*writer
	for _, tp := range partitions {
		if w := t.writers[tp]; w != nil {
			gone = append(gone, w)
			delete(t.writers, tp)
		}
	}
	t.drop(gone...)
	return nil
}

// drop ends writers, together within endWait.
func (t *task) drop(gone ...*writer) {
	ctx, stop := context.WithTimeout(context.WithoutCancel(t.life), endWait)
	defer stop()
	var all sync.WaitGroup
	for _, w := range gone {
		all.Go(func() { w.abort(ctx) })
	}
	all.Wait()
}

// PreCommit waits for uploads under way and returns the offsets after the last
// that are complete. What failed is Put's to report.
func (t *task) PreCommit(ctx context.Context, offsets sdk.Offsets) (sdk.Offsets, error) {
	ctx, stop := context.WithTimeout(ctx, commitWait)
	defer stop()
	if t.cfg.names != nil {
		if err := t.flush(ctx, offsets); err != nil {
			return nil, err
		}
	}
	out := make(sdk.Offsets)
	for tp, limit := range offsets {
		w := t.writers[tp]
		if w == nil {
			continue
		}
		w.wait(ctx)
		if offset, ok := w.durable(); ok {
			out[tp] = min(offset, limit)
		}
	}
	return out, nil
}

// flush ends the open files of partitions, as Aiven's sink does whenever offsets
// are committed. What fails for the time being is left to Put.
func (t *task) flush(ctx context.Context, offsets sdk.Offsets) error {
	for tp := range offsets {
		w := t.writers[tp]
		if w == nil || w.state.Count() == 0 || w.redo != nil {
			continue
		}
		if err := w.rotate(ctx, t.now(), rotation.Schedule); err != nil && !isTransient(err) {
			return err
		}
	}
	return nil
}

// Close forgets what is not committed. It will be put again.
func (t *task) Close() error {
	t.end()
	var all []*writer
	for _, w := range t.writers {
		all = append(all, w)
	}
	clear(t.writers)
	t.drop(all...)
	t.store.release()
	return nil
}

// retryable returns the error for Put of something that may work later.
func (t *task) retryable(err error) error { return sdk.Retry(err, t.cfg.retry) }

// isTransient reports whether an error may pass.
func isTransient(err error) bool {
	if err == nil {
		return false // without the allocation of what follows
	}
	e := (*sdk.Error)(nil)
	return errors.As(err, &e) && e.SafeToRetry()
}
