package task

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/plugins/data"
)

// parcel is what one put hands over.
type parcel struct {
	records  []data.Record
	consumed []*kgo.Record            // what they were made from, and those that were dropped
	ends     map[TopicPartition]int64 // how far partitions are when it was taken
}

func (p *parcel) empty() bool { return len(p.consumed) == 0 }

// again returns an empty parcel in the same memory.
func (p *parcel) again() parcel {
	clear(p.records)
	clear(p.consumed)
	if clear(p.ends); p.ends == nil {
		p.ends = map[TopicPartition]int64{}
	}
	return parcel{p.records[:0], p.consumed[:0], p.ends}
}

// drop takes partitions out.
func (p *parcel) drop(gone func(TopicPartition) bool) {
	p.records = slices.DeleteFunc(p.records, func(r data.Record) bool {
		return gone(TopicPartition{r.OriginalTopic, r.OriginalPartition})
	})
	maps.DeleteFunc(p.ends, func(tp TopicPartition, _ int64) bool { return gone(tp) })
	if len(p.ends) == 0 {
		p.consumed = p.consumed[:0]
	}
}

// putCall is a put under way.
type putCall struct {
	parcel
	done chan struct{} // closed when err and took are there
	err  error
	took time.Duration
}

// launch begins to put what is to be put, if it is time.
func (l *sinkLoop) launch(ctx context.Context) {
	if ctx.Err() != nil {
		return // what is not put is read again by the next task
	}
	now := time.Now()
	f := &putCall{done: make(chan struct{})}
	switch {
	case l.waiting != nil && now.Before(l.retryAt):
		return
	case l.waiting != nil:
		f.parcel, l.waiting, l.retryAt = *l.waiting, nil, time.Time{}
	case l.next.empty() && now.Before(l.dueAt):
		return
	default: // nothing at all is a chance to do what is due
		f.parcel, l.next = l.next, parcel{}
	}
	l.flight = f
	go func() {
		began := time.Now()
		f.err = l.Sink.Put(ctx, f.records)
		f.took = time.Since(began)
		close(f.done)
	}()
}

// settle waits for the put under way, and does what its end and the task ask
// for. What failed for the time being waits, and everything is paused until it
// has gone through.
func (l *sinkLoop) settle(ctx context.Context) error {
	if f := l.flight; f != nil {
		<-f.done
		l.flight, l.given = nil, f.consumed
		l.Stats.called(f.took)
		retry, after, err := l.outcome(ctx, f.records, f.err)
		if err != nil {
			return err
		}
		if len(retry) > 0 {
			f.records = slices.Clone(retry)
			l.waiting, l.retryAt = &f.parcel, time.Now().Add(after)
			if !l.blocked {
				l.blocked = true
				l.pauseAll()
			}
		} else {
			l.taken(f.parcel)
		}
	}
	return l.serve(ctx, l.Sink.Requests())
}

// taken notes that all of a parcel was taken, or dropped.
func (l *sinkLoop) taken(p parcel) {
	maps.Copy(l.current, p.ends)
	if p.consumed != nil {
		l.spare = p
	}
	if l.blocked {
		l.blocked = false
		l.resumeAll()
	}
}

// land waits for the put under way when the loop has ended.
func (l *sinkLoop) land(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.settle(ctx)
}

// drop takes partitions out of all that is still to be put.
func (l *sinkLoop) drop(gone func(TopicPartition) bool) {
	l.next.drop(gone)
	if l.waiting == nil {
		return
	}
	if l.waiting.drop(gone); len(l.waiting.records) == 0 {
		p := *l.waiting
		l.waiting, l.retryAt = nil, time.Time{}
		l.taken(p)
	}
}

// putAll puts records, skipping those at fault if that is tolerated. It
// returns the records that are to be put again after a pause.
func (l *sinkLoop) putAll(ctx context.Context, records []data.Record) (retry []data.Record, after time.Duration, err error) {
	began := time.Now()
	err = l.Sink.Put(ctx, records)
	l.Stats.called(time.Since(began))
	return l.outcome(ctx, records, err)
}

// outcome does what the end of a put asks for. It returns the records that are
// to be put again after a pause.
func (l *sinkLoop) outcome(ctx context.Context, records []data.Record, err error) ([]data.Record, time.Duration, error) {
	var failure *PutError
	if err == nil {
		l.accept(records)
		return nil, 0, nil
	}
	if !errors.As(err, &failure) {
		return nil, 0, err
	}
	accepted := min(max(failure.Accepted, 0), len(records))
	l.accept(records[:accepted])
	rest := records[accepted:]
	if failure.Transient {
		l.Logger.Warn("records not taken, trying again", "records", len(rest), "err", failure.Err)
		after := failure.RetryAfter
		if after <= 0 {
			after = retryPause
		}
		return rest, after, nil
	}
	if len(rest) == 0 {
		return nil, 0, err
	}
	return l.isolate(ctx, rest, failure, failure.Record-accepted)
}

// isolate finds the record at fault and goes on without it. at is its index if
// it is known. Halving finds it in a few steps where it is not.
func (l *sinkLoop) isolate(ctx context.Context, rest []data.Record, failure *PutError, at int) ([]data.Record, time.Duration, error) {
	known := failure.Known && at >= 0 && at < len(rest)
	if !known && len(rest) == 1 {
		known, at = true, 0
	}
	if !known {
		half := len(rest) / 2
		retry, after, err := l.putAll(ctx, rest[:half])
		if err != nil || len(retry) > 0 {
			return append(retry[:len(retry):len(retry)], rest[half:]...), after, err
		}
		return l.putAll(ctx, rest[half:])
	}
	if at > 0 {
		retry, after, err := l.putAll(ctx, rest[:at])
		if err != nil || len(retry) > 0 {
			return append(retry[:len(retry):len(retry)], rest[at:]...), after, err
		}
	}
	r := &rest[at]
	where := Coordinates{Topic: r.OriginalTopic, Partition: r.OriginalPartition, Offset: r.OriginalOffset}
	if err := l.tolerate(ctx, &RecordError{StagePut, where, failure.Err}, l.given); err != nil {
		return nil, 0, err
	}
	l.advance(r.OriginalTopic, r.OriginalPartition, r.OriginalOffset)
	if at+1 == len(rest) {
		return nil, 0, nil
	}
	return l.putAll(ctx, rest[at+1:])
}

func (l *sinkLoop) accept(records []data.Record) {
	l.Stats.handedOver(len(records))
	for i := range records {
		r := &records[i]
		if n := i + 1; n < len(records) && records[n].OriginalPartition == r.OriginalPartition && records[n].OriginalTopic == r.OriginalTopic {
			continue // the next is further
		}
		l.advance(r.OriginalTopic, r.OriginalPartition, r.OriginalOffset)
	}
}
