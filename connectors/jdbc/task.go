package jdbc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/millrace/millrace/plugins/data"
	"github.com/millrace/millrace/plugins/sdk"
)

// task is a running sink. It keeps nothing back: what Put took is committed.
type task struct {
	cfg      *config
	log      *slog.Logger
	control  sdk.Control
	conn     *pgconn.PgConn
	tables   map[string]*table
	reader   reader
	progress map[sdk.TopicPartition]*progress
	failures int    // transient ones in a row
	copied   []byte // room for what is copied in
}

// item is a record of a put: what it writes, nil for nothing, and where the
// partition stands then.
type item struct {
	index int // in the batch
	tp    sdk.TopicPartition
	next  int64
	row   *row
}

// attempt calls try as often as the configuration allows attempts to connect.
func (t *task) attempt(ctx context.Context, try func() error) error {
	for n := 1; ; n++ {
		err := try()
		if err == nil || ctx.Err() != nil || !transient(err) || n >= t.cfg.attempts {
			return err
		}
		t.log.Warn("no connection, trying again", "err", err, "wait", t.cfg.backoff)
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(t.cfg.backoff):
		}
	}
}

func transient(err error) bool {
	var e *sdk.Error
	return errors.As(err, &e) && e.SafeToRetry()
}

// connectOnce opens a connection unless there is one, and takes the task's
// partitions again.
func (t *task) connectOnce(ctx context.Context) error {
	if t.conn != nil && !t.conn.IsClosed() {
		return nil
	}
	t.disconnect()
	conn, err := t.cfg.dial(ctx)
	if err != nil {
		return err
	}
	t.conn = conn
	if !t.cfg.once {
		return nil
	}
	if err := t.cfg.makeOffsets(ctx, conn); err != nil {
		t.disconnect()
		return err
	}
	for tp, p := range t.progress {
		if err := t.reclaim(ctx, tp, p); err != nil {
			t.disconnect()
			return err
		}
	}
	return nil
}

func (t *task) disconnect() {
	if t.conn != nil {
		closeConn(t.conn)
	}
	t.conn, t.tables = nil, map[string]*table{}
}

// Close ends the connection.
func (t *task) Close() error {
	t.disconnect()
	return nil
}

// OpenPartitions takes partitions from whoever had them and goes to where the
// target says that they stand.
func (t *task) OpenPartitions(ctx context.Context, offsets sdk.Offsets) error {
	if !t.cfg.once {
		return nil
	}
	rewind := sdk.Offsets{}
	err := t.attempt(ctx, func() error { return t.claimAll(ctx, offsets, rewind) })
	if err == nil && len(rewind) > 0 {
		t.control.Rewind(rewind)
	}
	return err
}

func (t *task) claimAll(ctx context.Context, offsets, rewind sdk.Offsets) error {
	if err := t.connectOnce(ctx); err != nil {
		return err
	}
	for tp, o := range offsets {
		p, err := t.claim(ctx, tp)
		if err != nil {
			t.disconnect()
			return err
		}
		t.progress[tp] = p
		if p.next >= 0 && p.next != o {
			rewind[tp] = p.next
		}
	}
	return nil
}

// ClosePartitions forgets partitions. Nothing of them is kept back.
func (t *task) ClosePartitions(_ context.Context, partitions []sdk.TopicPartition, _ bool) error {
	for _, tp := range partitions {
		delete(t.progress, tp)
	}
	return nil
}

// Put writes the records and stores how far they go. Of records up to a bad
// one all are written.
func (t *task) Put(ctx context.Context, b *data.Batch) error {
	if len(b.Records) == 0 {
		return nil
	}
	err := t.connectOnce(ctx) // a repetition tries again
	if err == nil {
		err = t.put(ctx, b)
	}
	err = t.settle(err)
	if err == nil {
		t.failures = 0
	}
	return err
}

func (t *task) put(ctx context.Context, b *data.Batch) error {
	items := make([]item, 0, len(b.Records))
	t.reader.begin()
	var flawed error
	for i := range b.Records {
		r := &b.Records[i]
		it := item{index: i, tp: sdk.TopicPartition{Topic: r.OriginalTopic, Partition: r.OriginalPartition}, next: r.OriginalOffset + 1}
		if t.cfg.once {
			if t.progress[it.tp] == nil {
				return sdk.Fatal(fmt.Errorf("a record of %s-%d, which this task was not given", it.tp.Topic, it.tp.Partition))
			}
			if it.next <= t.progress[it.tp].next {
				continue // written already
			}
		}
		if it.row, flawed = t.reader.read(r); flawed != nil {
			flawed = sdk.RecordError(i, fmt.Errorf("topic %s, partition %d, offset %d: %w", r.OriginalTopic, r.OriginalPartition, r.OriginalOffset, flawed))
			break
		}
		items = append(items, it)
	}
	for len(items) > 0 {
		n := min(len(items), t.cfg.batch)
		if err := t.write(ctx, items[:n]); err != nil {
			return err
		}
		items = items[n:]
	}
	return flawed
}

// write writes items in one transaction or, when one of them is bad, in as few
// as it takes to write those before it.
func (t *task) write(ctx context.Context, items []item) error {
	err := t.transact(ctx, items)
	if err == nil || !errors.As(err, new(errBad)) {
		return err
	}
	if len(items) == 1 {
		return sdk.RecordError(items[0].index, err)
	}
	half := len(items) / 2
	if err := t.write(ctx, items[:half]); err != nil {
		return err
	}
	return t.write(ctx, items[half:])
}

// settle decides what a failed put means: a bad record leaves the connection
// as it is; anything else begins anew, and not for ever.
func (t *task) settle(err error) error {
	if err == nil || errors.As(err, new(errBad)) {
		return err
	}
	t.disconnect()
	if !transient(err) {
		return err
	}
	if t.failures++; t.failures > t.cfg.retries {
		return sdk.Fatal(fmt.Errorf("given up after %d repetitions: %w", t.cfg.retries, err))
	}
	return sdk.Retry(err, t.cfg.delay)
}
