package task

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/connect/connector"
	"github.com/millrace/millrace/plugins/data"
)

// ErrTakenOver ends a task whose transactional id another producer has taken
// over: what it had not committed is aborted, and it can write no more. It is
// not a failure of the connector.
var ErrTakenOver = errors.New("another producer has taken over the transactional id of this task, or a transaction lasted longer than transaction.timeout.ms")

// TransactionalProducer writes records in transactions. *kgo.Client is one.
type TransactionalProducer interface {
	Producer
	BeginTransaction() error
	EndTransaction(ctx context.Context, commit kgo.TransactionEndTry) error
	AbortBufferedRecords(ctx context.Context) error
}

// Transactions make a source task write its records and their source offsets
// together: both are in the log or neither is (KIP-618).
type Transactions struct {
	// Producer has the transactional id of the task, and has taken it over from
	// whoever had it before. It replaces SourceConfig.Producer.
	Producer TransactionalProducer
	// Offsets returns the records of the offset topic that store source
	// offsets. It replaces SourceConfig.Offsets.
	Offsets func(offsets map[string][]byte) ([]*kgo.Record, error)
	// OffsetTopic is where those go. A record that the source writes there is
	// refused: the task would wait for itself when it reads its offsets.
	OffsetTopic string
	// EachPoll ends a transaction after each poll. Otherwise it ends Interval
	// after it began, or, unless Quiet is 0, when no batch has come for Quiet.
	// A poll is never divided.
	EachPoll        bool
	Interval, Quiet time.Duration
	// ByConnector has the connector alone end transactions (Batch.End).
	ByConnector bool
}

// boundary decides where transactions end. It is a pure state machine: the
// times of events are told to it.
type boundary struct {
	eachPoll        bool
	byConnector     bool // never ends by itself
	interval, quiet time.Duration

	open  bool      // a transaction holds something
	torn  bool      // the rest of what belongs together is on its way
	began time.Time // when open
	last  time.Time // when open: of the last batch
}

// took notes that a batch was written. more says that the next one is of the
// same poll.
func (b *boundary) took(now time.Time, more bool) {
	if !b.open {
		b.open, b.began = true, now
	}
	b.torn, b.last = more || b.byConnector, now
}

// end returns when the transaction is to end; ok is false when there is none,
// or the poll it is in has to come to its end first.
func (b *boundary) end() (at time.Time, ok bool) {
	switch {
	case !b.open || b.torn:
		return time.Time{}, false
	case b.eachPoll:
		return b.last, true
	}
	at = b.began.Add(b.interval)
	if quiet := b.last.Add(b.quiet); b.quiet > 0 && quiet.Before(at) {
		at = quiet
	}
	return at, true
}

// whole reports whether what the transaction holds may be committed now, in or
// out of time.
func (b *boundary) whole() bool { return b.open && !b.torn }

// ended notes the end of the transaction.
func (b *boundary) ended() { b.open, b.torn = false, false }

// transactionLoop is a running source task that writes in transactions. All of
// it belongs to one goroutine; promises only touch progress.
type transactionLoop struct {
	sourceLoop
	tx       Transactions
	boundary boundary
	offsets  map[string][]byte // of what the transaction holds
	seq      uint64            // last batch that was written
	paused   bool
}

// received is what one call of Source.Next returned.
type received struct {
	batch   *data.Batch
	took    time.Duration // waiting for it
	seq     uint64
	release func()
	err     error
}

// runTransactions is RunSource for a task that writes in transactions. When it
// returns nothing is on its way, and what was not committed is aborted, unless
// the log could not be reached for it: then the next producer of the same
// transactional id aborts it.
func runTransactions(ctx context.Context, cfg SourceConfig) error {
	tx := *cfg.Transactions
	cfg.Producer = tx.Producer
	l := &transactionLoop{
		sourceLoop: newSourceLoop(cfg), tx: tx, offsets: map[string][]byte{},
		boundary: boundary{eachPoll: tx.EachPoll, byConnector: tx.ByConnector, interval: tx.Interval, quiet: tx.Quiet},
	}
	l.refused = tx.OffsetTopic
	sctx, giveUp := l.outlive(ctx)
	defer giveUp()
	rctx, stopReading := context.WithCancel(ctx)
	in := make(chan received)
	var reading sync.WaitGroup
	reading.Go(func() { l.receive(rctx, in) })
	err := l.loop(ctx, sctx, in)
	stopReading()
	reading.Wait()
	if connector.Fenced(ctx) {
		return nil // the transaction is the next owner's to abort
	}
	if err != nil {
		l.abort(ctx)
		return taken(err)
	}
	return nil
}

// receive hands over what the source does, until ctx ends or the source fails.
func (l *transactionLoop) receive(ctx context.Context, out chan<- received) {
	for {
		var r received
		began := time.Now()
		r.batch, r.seq, r.release, r.err = l.Source.Next(ctx)
		r.took = time.Since(began)
		select {
		case out <- r:
		case <-ctx.Done():
			if r.err == nil {
				r.release()
			}
			return
		}
		if r.err != nil {
			return
		}
	}
}

// loop writes until ctx ends, when it commits what is whole, or something
// fails.
func (l *transactionLoop) loop(ctx, sctx context.Context, in <-chan received) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		changed, err := l.heed(sctx)
		if err != nil {
			return err
		}
		var due <-chan time.Time
		if at, ok := l.boundary.end(); ok {
			wait := time.Until(at)
			if wait <= 0 {
				if err := l.commit(sctx); err != nil {
					return err
				}
				continue
			}
			timer.Reset(wait)
			due = timer.C
		}
		select {
		case <-ctx.Done():
			return l.finish(ctx, sctx)
		case <-changed:
		case <-due: // the next round commits
		case <-l.progress.failure:
			return l.writeError()
		case r := <-in:
			if err := l.take(ctx, sctx, r); err != nil {
				return err
			}
		}
	}
}

// heed passes on a wish to pause, and returns a channel that is closed when it
// changes. Pausing commits: who pauses a task wants what it has read to be seen.
func (l *transactionLoop) heed(sctx context.Context) (<-chan struct{}, error) {
	want, changed := l.Pause.Get()
	if want == l.paused {
		return changed, nil
	}
	l.paused = want
	if err := l.Source.Pause(want); err != nil {
		return nil, err
	}
	if !want {
		l.Report(connector.Running)
		return changed, nil
	}
	l.Report(connector.Paused)
	if l.boundary.whole() {
		return changed, l.commit(sctx)
	}
	return changed, nil
}

// take writes a batch into the transaction, beginning one if there is none.
func (l *transactionLoop) take(ctx, sctx context.Context, r received) error {
	if r.err != nil {
		if ctx.Err() != nil {
			return l.finish(ctx, sctx)
		}
		return r.err
	}
	defer r.release()
	if !l.boundary.open {
		if err := l.tx.Producer.BeginTransaction(); err != nil {
			return fmt.Errorf("begin a transaction: %w", err)
		}
	}
	l.boundary.took(time.Now(), r.batch.More)
	l.Stats.polled(len(r.batch.Records), r.took)
	f, err := l.send(ctx, sctx, r.batch, r.seq)
	if err != nil {
		if ctx.Err() != nil {
			l.boundary.torn = true // stopped in the midst of a batch, which is not whole
			return l.finish(ctx, sctx)
		}
		return err
	}
	for _, p := range f.positions {
		l.offsets[string(p.Partition)] = p.Offset
	}
	l.seq = r.seq
	if !l.tx.ByConnector {
		return nil
	}
	switch r.batch.End {
	case data.Commit:
		return l.commit(sctx)
	case data.Abort:
		return l.skip(sctx)
	}
	return nil
}

// skip drops what the transaction holds, because the connector says so, and
// commits its source offsets in another: it is not read again.
func (l *transactionLoop) skip(ctx context.Context) error {
	if err := l.Producer.Flush(ctx); err != nil {
		return fmt.Errorf("write to the log: %w", err)
	}
	if l.progress.err() != nil {
		return l.writeError()
	}
	if err := l.tx.Producer.EndTransaction(ctx, kgo.TryAbort); err != nil {
		return fmt.Errorf("abort a transaction: %w", err)
	}
	if err := l.tx.Producer.BeginTransaction(); err != nil {
		return fmt.Errorf("begin a transaction: %w", err)
	}
	return l.commit(ctx)
}

// finish ends a task that is asked to stop: what is whole is committed, half a
// poll is not.
func (l *transactionLoop) finish(ctx, sctx context.Context) error {
	switch {
	case connector.Fenced(ctx) || !l.boundary.open:
		return nil
	case l.boundary.whole():
		return l.commit(sctx)
	}
	l.abort(ctx)
	return nil
}

// commit writes the source offsets and ends the transaction. Only then does the
// source hear of it.
func (l *transactionLoop) commit(ctx context.Context) error {
	began := time.Now()
	records, err := l.tx.Offsets(l.offsets)
	if err != nil {
		return fmt.Errorf("source offsets: %w", err)
	}
	f := l.progress.begin(l.seq, nil)
	for _, r := range records {
		l.progress.expect(f, 1)
		l.Producer.Produce(ctx, r, func(_ *kgo.Record, err error) { l.progress.done(f, err) })
	}
	l.progress.done(f, nil)
	if err := l.Producer.Flush(ctx); err != nil {
		return fmt.Errorf("write to the log: %w", err)
	}
	// The client commits what it has; that nothing is missing is for us to know.
	if l.progress.err() != nil {
		return l.writeError()
	}
	if err := l.tx.Producer.EndTransaction(ctx, kgo.TryCommit); err != nil {
		l.Stats.commitFailed()
		return fmt.Errorf("commit a transaction: %w", err)
	}
	l.boundary.ended()
	l.progress.take()
	clear(l.offsets)
	l.Stats.committed(began)
	if err := l.Source.Acked(l.seq); err != nil {
		return err
	}
	return l.Source.Stored(l.seq)
}

func (l *transactionLoop) writeError() error {
	return fmt.Errorf("write to the log: %w", l.progress.err())
}

// abortTimeout bounds the end of a transaction that failed. Readers wait for
// it, so it is worth a try; the next producer does it if this cannot.
const abortTimeout = 5 * time.Second

// abort ends the transaction, if there is one, without a trace.
func (l *transactionLoop) abort(ctx context.Context) {
	if !l.boundary.open {
		return
	}
	l.boundary.ended()
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), abortTimeout)
	defer stop()
	err := l.tx.Producer.AbortBufferedRecords(ctx)
	if err == nil {
		err = l.tx.Producer.EndTransaction(ctx, kgo.TryAbort)
	}
	if err != nil && !errors.Is(taken(err), ErrTakenOver) {
		l.Logger.Warn("transaction not aborted; the task's next start does it", "err", err)
	}
}

// taken names the errors by which a log refuses the producer of an old epoch.
func taken(err error) error {
	if errors.Is(err, kerr.ProducerFenced) || errors.Is(err, kerr.InvalidProducerEpoch) {
		return fmt.Errorf("%w: %w", ErrTakenOver, err)
	}
	return err
}
