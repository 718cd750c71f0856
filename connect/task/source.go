package task

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/connect/connector"
	"github.com/millrace/millrace/connect/transform"
	"github.com/millrace/millrace/plugins/data"
)

// Source is the process of a source task. Its methods are called by the
// loop's goroutines: Next by one, the others by another.
type Source interface {
	// Next blocks until the task hands over a batch. seq numbers batches from
	// 1. The batch is valid until release is called.
	Next(ctx context.Context) (b *data.Batch, seq uint64, release func(), err error)
	// Acked tells the task that all records up to batch seq are in the log.
	Acked(seq uint64) error
	// Stored tells the task that the source offsets up to batch seq are
	// stored: it may let go of them upstream.
	Stored(seq uint64) error
	// Pause asks the task to hand over nothing more until it is resumed.
	Pause(paused bool) error
}

// OffsetWriter stores source offsets; it returns when they are durable. Both
// key and value of the map are JSON objects; a nil value removes.
type OffsetWriter interface {
	PutOffsets(ctx context.Context, offsets map[string][]byte) error
}

// Producer writes records. *kgo.Client is one.
type Producer interface {
	Produce(ctx context.Context, r *kgo.Record, promise func(*kgo.Record, error))
	Flush(ctx context.Context) error
}

// TopicCreator makes the topics that a source writes to. Ensure is called once
// for each new topic name.
type TopicCreator interface {
	Ensure(ctx context.Context, topic string) error
}

// SourceConfig is what a source task's loop is made of.
type SourceConfig struct {
	ID       connector.TaskID
	Source   Source
	Producer Producer
	// Chain is run over each record before it is converted.
	Chain   *transform.Chain
	Convert Converters
	Offsets OffsetWriter
	Topics  TopicCreator
	// Touched is told of each topic the task writes to, once (KIP-558).
	Touched func(topic string)
	Pause   *connector.Switch
	Report  func(connector.State)
	Policy  Policy
	Stats   *Stats
	Logger  *slog.Logger
	// CommitInterval is the shortest time between two writes of offsets.
	// Offsets are stored behind the acknowledged prefix all the time; there is
	// no barrier that waits for records.
	CommitInterval time.Duration
	// DrainTimeout bounds the waiting for acknowledgements when the task
	// stops.
	DrainTimeout time.Duration
	// Transactions, if set, write records and offsets together. CommitInterval,
	// Producer and Offsets are then not used.
	Transactions *Transactions
}

// sourceLoop is a running source task.
type sourceLoop struct {
	SourceConfig
	progress *progress
	spares   *spares
	known    map[string]bool // topics ensured
	wrote    string          // one of them, that of the last record
	refused  string          // topic that may not be written to, "" for none
}

func newSourceLoop(cfg SourceConfig) sourceLoop {
	return sourceLoop{SourceConfig: cfg, progress: newProgress(), spares: &spares{}, known: map[string]bool{}}
}

// outlive returns a context for what is on its way when the task is stopped: it
// still gets its time, unless another worker may run the task already.
func (l *sourceLoop) outlive(ctx context.Context) (context.Context, func()) {
	sctx, giveUp := context.WithCancel(context.WithoutCancel(ctx))
	unhook := context.AfterFunc(ctx, func() {
		if connector.Fenced(ctx) {
			giveUp()
			return
		}
		time.AfterFunc(l.DrainTimeout, giveUp)
	})
	return sctx, func() { unhook(); giveUp() }
}

// RunSource moves records from the task's process into the log until ctx ends
// or the task fails. When it returns, nothing is on its way any more, and the
// offsets of everything acknowledged have been stored if that was possible. A
// task whose ctx ends with connector.ErrFenced writes nothing more, and stores
// no offsets: they would take its successor back.
func RunSource(ctx context.Context, cfg SourceConfig) error {
	if cfg.Transactions != nil {
		return runTransactions(ctx, cfg)
	}
	loop := newSourceLoop(cfg)
	l := &loop
	pctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	sctx, giveUp := l.outlive(pctx)
	defer giveUp()

	var wg sync.WaitGroup
	cctx, stopCommits := context.WithCancel(context.WithoutCancel(ctx))
	defer stopCommits()
	commits := make(chan error, 1)
	wg.Go(func() {
		err := l.commitLoop(cctx, ctx)
		if err != nil {
			fail(err)
		}
		commits <- err
	})
	wg.Go(func() { l.watch(pctx, fail) })
	err := l.pump(pctx, sctx)
	fail(err)
	l.drain(sctx)
	stopCommits()
	wg.Wait()
	return l.verdict(ctx, err, <-commits)
}

// verdict picks the error that says why the task ended: the first cause, not
// what followed from it.
func (l *sourceLoop) verdict(ctx context.Context, pump, commit error) error {
	switch {
	case l.progress.err() != nil && !errors.Is(l.progress.err(), context.Canceled):
		return fmt.Errorf("write to the log: %w", l.progress.err())
	case commit != nil:
		return commit
	case ctx.Err() != nil:
		return nil // asked to stop
	}
	return pump
}

// watch passes on the wish to pause, and ends the pumping when a record cannot
// be written.
func (l *sourceLoop) watch(ctx context.Context, fail context.CancelCauseFunc) {
	paused := false
	for {
		want, changed := l.Pause.Get()
		if want != paused {
			if err := l.Source.Pause(want); err != nil {
				fail(err)
				return
			}
			if paused = want; paused {
				l.Report(connector.Paused)
			} else {
				l.Report(connector.Running)
			}
		}
		select {
		case <-changed:
		case <-l.progress.failure:
			fail(l.progress.err())
			return
		case <-ctx.Done():
			return
		}
	}
}

// pump sends batches until ctx ends or something fails. sctx is that of the
// records it sends.
func (l *sourceLoop) pump(ctx, sctx context.Context) error {
	for {
		began := time.Now()
		b, seq, release, err := l.Source.Next(ctx)
		if err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return err
		}
		l.Stats.polled(len(b.Records), time.Since(began))
		_, err = l.send(ctx, sctx, b, seq)
		release()
		if err != nil {
			return err
		}
	}
}

// send converts a batch and hands it to the producer. Nothing of the batch is
// referred to afterwards.
func (l *sourceLoop) send(ctx, sctx context.Context, b *data.Batch, seq uint64) (*flight, error) {
	f := l.progress.begin(seq, clonePositions(b))
	made := l.spares.take(b)
	settled := func(err error) {
		if l.progress.done(f, err) {
			l.spares.give(made)
		}
	}
	promise := func(_ *kgo.Record, err error) {
		l.Stats.written(err == nil)
		settled(err)
	}
	out, arena := made.records, made.arena[:0]
	l.progress.expect(f, len(out))
	for i := range b.Records {
		var ok bool
		var err error
		if arena, ok, err = l.convert(ctx, &b.Records[i], &out[i], arena); err != nil {
			return f, err
		}
		if !ok {
			l.Stats.written(false)
			l.progress.done(f, nil) // not the last: the sending has not ended
			continue
		}
		l.Producer.Produce(sctx, &out[i], promise)
	}
	made.arena = arena
	settled(nil)
	return f, nil
}

// clonePositions copies the last position of each source partition.
func clonePositions(b *data.Batch) []data.Position {
	if len(b.Positions) == 0 {
		return nil
	}
	last := map[string]int{}
	for i, p := range b.Positions {
		last[string(p.Partition)] = i
	}
	out := make([]data.Position, 0, len(last))
	for i, p := range b.Positions {
		if last[string(p.Partition)] == i {
			out = append(out, data.Position{Partition: append([]byte(nil), p.Partition...), Offset: cloneOffset(p.Offset)})
		}
	}
	return out
}

func cloneOffset(o []byte) []byte {
	if o == nil {
		return nil // removes the stored offset
	}
	return append([]byte{}, o...)
}

// arenaSize guesses the room that a batch's converted records take.
func arenaSize(b *data.Batch) int {
	n := 0
	for i := range b.Records {
		n += len(b.Records[i].Key.Row) + len(b.Records[i].Value.Row) + 16
	}
	return n
}

// convert turns a record into its form in the log. ok is false when the record
// was dropped by a transform, or failed and is tolerated.
func (l *sourceLoop) convert(ctx context.Context, r *data.Record, out *kgo.Record, arena []byte) (_ []byte, ok bool, err error) {
	keep, err := transformed(l.Chain, r, Coordinates{Topic: r.Topic, Partition: r.Partition, Offset: -1})
	if err != nil || !keep {
		return arena, false, l.tolerate(ctx, err)
	}
	if r.Topic != l.wrote && !l.known[r.Topic] {
		if r.Topic == l.refused {
			return arena, false, fmt.Errorf("topic %s holds the offsets of this task, which cannot write records to it as well: name another topic", r.Topic)
		}
		if err := l.Topics.Ensure(ctx, r.Topic); err != nil {
			return arena, false, fmt.Errorf("topic %s: %w", r.Topic, err)
		}
		l.known[r.Topic] = true
		l.Touched(r.Topic)
	}
	l.wrote = r.Topic
	start := len(arena)
	if arena, err = l.Convert.toLog(ctx, r, out, arena); err != nil {
		arena, err = l.convertAgain(ctx, r, out, arena[:start], err)
	}
	if err == nil {
		return arena, true, nil
	}
	return arena[:start], false, l.tolerate(ctx, err)
}

// convertAgain converts a record whose conversion has failed, as often as the
// policy says.
func (l *sourceLoop) convertAgain(ctx context.Context, r *data.Record, out *kgo.Record, arena []byte, failed error) ([]byte, error) {
	start := len(arena)
	err := l.Policy.again(ctx, l.Stats, failed, func() (err error) {
		arena, err = l.Convert.toLog(ctx, r, out, arena[:start])
		return err
	})
	return arena, err
}

// tolerate counts, logs and, if the policy lets it, forgives the failure of a
// record. No error is no failure.
func (l *sourceLoop) tolerate(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	l.Stats.failed()
	var failure *RecordError
	if ctx.Err() != nil || !errors.As(err, &failure) {
		return err
	}
	if l.Policy.Log {
		l.Stats.wasLogged()
		l.logFailure(failure)
	}
	if !l.Policy.Tolerate {
		return err
	}
	l.Stats.skipped()
	return nil
}

func (l *sourceLoop) logFailure(e *RecordError) {
	attrs := []any{"stage", e.Stage, "err", e.Err}
	if l.Policy.LogRecords {
		attrs = append(attrs, "record", e.Record.String())
	}
	l.Logger.Error("error encountered in task", attrs...)
}

// commitLoop stores offsets as the acknowledged prefix grows. When ctx ends it
// stores the last ones and returns. task is the context of the task. A write
// that is under way when ctx ends still gets its time: cut off, it would take
// the last one with it, which goes out behind it.
func (l *sourceLoop) commitLoop(ctx, task context.Context) error {
	wctx, giveUp := l.outlive(ctx)
	defer giveUp()
	defer context.AfterFunc(task, func() {
		if connector.Fenced(task) {
			giveUp()
		}
	})()
	for {
		select {
		case <-ctx.Done():
			if connector.Fenced(task) {
				return nil
			}
			return l.commit(wctx)
		case <-l.progress.changed:
		}
		if connector.Fenced(task) {
			<-ctx.Done()
			return nil
		}
		if err := l.commit(wctx); err != nil {
			return err
		}
		timer := time.NewTimer(l.CommitInterval)
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
	}
}

// commit stores what may be stored. A log that does not take offsets is not
// the end of the task: they are stored with the next ones.
func (l *sourceLoop) commit(ctx context.Context) error {
	offsets, seq := l.progress.take()
	if seq > 0 {
		if err := l.Source.Acked(seq); err != nil {
			return err
		}
	}
	if len(offsets) == 0 {
		return nil
	}
	began := time.Now()
	if err := l.Offsets.PutOffsets(ctx, offsets); err != nil {
		l.progress.giveBack(offsets)
		l.Stats.commitFailed()
		l.Logger.Warn("source offsets not stored, trying again with the next", "err", err)
		return nil
	}
	l.Stats.committed(began)
	return l.Source.Stored(seq)
}

// drain waits until the log has acknowledged what was sent.
func (l *sourceLoop) drain(ctx context.Context) {
	if err := l.Producer.Flush(ctx); err != nil && !l.progress.idle() {
		l.Logger.Warn("stopping before the log acknowledged everything; unacknowledged records will be read again", "err", err)
	}
}
