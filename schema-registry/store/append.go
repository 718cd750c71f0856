package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Append writes changes in order and returns when all of them have been
// applied, and with them all that was on the topic before. It must not be
// called concurrently, and Lead must have been called before. After an error the changes may be written or not, or
// some of them; CatchUp tells.
func (l *Log) Append(ctx context.Context, changes ...Change) error {
	ctx, stop := l.bounded(ctx)
	defer stop()
	recs, headers := make([]*kgo.Record, len(changes)), l.headers()
	for i, c := range changes {
		k, v, err := c.Encode()
		if err != nil {
			return fmt.Errorf("encode a %s record: %w", c.Key.Type, err)
		}
		recs[i] = &kgo.Record{Topic: l.opts.Topic, Partition: partition, Key: k, Value: v, Headers: headers}
	}
	end, err := l.produce(ctx, recs)
	if err == nil {
		err = l.await(ctx, end, nil)
	}
	if err == nil && !l.reigns() {
		err = ErrDeposed
	}
	if err != nil {
		return fmt.Errorf("write to topic %s: %w", l.opts.Topic, err)
	}
	return nil
}

// produce returns the offset behind the last of recs. When ctx ends first, the
// write goes on without its caller.
func (l *Log) produce(ctx context.Context, recs []*kgo.Record) (int64, error) {
	if l.pending != nil {
		select {
		case <-l.pending:
		case <-ctx.Done():
			return 0, fmt.Errorf("an earlier write has no outcome yet: %w", context.Cause(ctx))
		}
	}
	done := make(chan struct{})
	l.pending = done
	var errs []error
	var end int64
	left := len(recs)
	for _, r := range recs {
		// Not ctx: a write given up half-way could still arrive, unseen.
		l.client.Produce(context.WithoutCancel(ctx), r, func(r *kgo.Record, err error) { // one at a time
			errs = append(errs, err)
			end = max(end, r.Offset+1)
			if left--; left == 0 {
				close(done)
			}
		})
	}
	select {
	case <-done:
		return end, errors.Join(errs...)
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
}

// CatchUp returns when all that was on the topic at the time of the call has
// been applied.
func (l *Log) CatchUp(ctx context.Context) error {
	ctx, stop := l.bounded(ctx)
	defer stop()
	if err := l.catchUp(ctx); err != nil {
		return fmt.Errorf("read topic %s to its end: %w", l.opts.Topic, err)
	}
	return nil
}

func (l *Log) catchUp(ctx context.Context) error {
	end, err := l.end(ctx)
	if err != nil {
		return err
	}
	return l.await(ctx, end, func() (int64, error) { return l.probe(ctx) })
}

// probe writes a record that changes nothing and returns the offset behind it.
func (l *Log) probe(ctx context.Context) (int64, error) {
	l.mu.Lock()
	c := Change{Key: Key{Type: NoopKey}, MaxIDs: l.maxIDs} // or compaction would lose them
	l.mu.Unlock()
	k, v, err := c.Encode()
	if err != nil {
		return 0, err
	}
	r := &kgo.Record{Topic: l.opts.Topic, Partition: partition, Key: k, Value: v} // of no reign: it says nothing new
	if err := l.client.ProduceSync(ctx, r).FirstErr(); err != nil {
		return 0, fmt.Errorf("probe the end: %w", err)
	}
	l.opts.Logger.Debug("end of topic probed", "topic", l.opts.Topic, "offset", r.Offset)
	return r.Offset + 1, nil
}

// end returns the log end offset. A topic that was just created has no leader
// for a moment.
func (l *Log) end(ctx context.Context) (int64, error) {
	const pause = 20 * time.Millisecond
	for {
		listed, err := l.admin.ListEndOffsets(ctx, l.opts.Topic)
		if err == nil {
			err = listed.Error()
		}
		if o, ok := listed.Lookup(l.opts.Topic, partition); ok && err == nil {
			return o.Offset, nil
		}
		if err == nil {
			err = kerr.UnknownTopicOrPartition
		}
		if ctx.Err() != nil {
			return 0, fmt.Errorf("%w: %w", context.Cause(ctx), err)
		}
		if isKafka(err) && !kerr.IsRetriable(err) {
			return 0, fmt.Errorf("list end offset: %w", err)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return 0, fmt.Errorf("%w: %w", context.Cause(ctx), err)
		}
	}
}

func isKafka(err error) bool {
	var k *kerr.Error
	return errors.As(err, &k)
}

func (l *Log) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, l.opts.Timeout, fmt.Errorf("%w: %s", ErrTimeout, l.opts.Timeout))
}

// Close ends following the topic and waits for it. It may be called twice.
func (l *Log) Close() {
	l.cancel()
	<-l.done
	l.client.Close()
}
