package datagen

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync/atomic"

	"github.com/millrace/millrace/plugins/data"
	"github.com/millrace/millrace/plugins/sdk"
)

// task makes the records of one task.
type task struct {
	sdk.UnimplementedTask
	*config
	partition        []byte
	generation, next int64 // lives of the task before this one; the record to make
	seed             int64
	headers          [3]data.Header
	buf              []byte
	lists            []data.Header // the headers of a batch

	made  uint64 // since the start
	acked atomic.Uint64
	moved chan struct{} // holds one when acked has grown
}

// PollBatch makes one record after a while, or many at once without max.interval.
func (t *task) PollBatch(ctx context.Context, b *data.Batch) error {
	most := int64(batchRecords)
	if t.iterations > 0 {
		most = min(most, t.iterations-t.next)
	}
	if most <= 0 {
		return t.complete(ctx)
	}
	if t.interval > 0 {
		most = 1
		if err := t.pause(ctx); err != nil {
			return err
		}
	}
	t.buf, t.lists = t.buf[:0], t.lists[:0]
	for range most {
		if len(t.buf) > batchBytes {
			break
		}
		if err := t.one(b); err != nil {
			return sdk.Fatal(fmt.Errorf("make record %d: %w", t.next, err))
		}
		if len(b.Records)%positionEvery == 0 {
			if err := t.position(b); err != nil {
				return err
			}
		}
	}
	return t.position(b)
}

// position gives the last record the offset that a task goes on from.
func (t *task) position(b *data.Batch) error {
	last := &b.Records[len(b.Records)-1]
	if last.Position != data.NoPosition {
		return nil
	}
	offset, err := sdk.EncodeMap(map[string]any{
		"task.generation": t.generation + 1, "current.iteration": t.next, "random.seed": t.seed,
	})
	if err != nil {
		return err
	}
	last.Position = int32(len(b.Positions))
	b.Positions = append(b.Positions, data.Position{Partition: t.partition, Offset: offset})
	return nil
}

// one appends the next record.
func (t *task) one(b *data.Batch) error {
	r := data.Record{Topic: t.topic, Partition: data.NoPartition, Timestamp: data.NoTimestamp, Position: data.NoPosition}
	var err error
	if t.buf, r.Key, r.Value, err = t.generator.Next(t.buf, uint64(t.seed), t.next); err != nil {
		return err
	}
	if r.Key.Schema == nil {
		r.Key = data.Datum{Schema: data.OptionalStringSchema, State: data.Null}
	}
	start := len(t.buf)
	t.buf = binary.AppendVarint(t.buf, t.next)
	first := len(t.lists)
	t.lists = append(t.lists, t.headers[:]...)
	t.lists[first+2].Value.Row = t.buf[start:len(t.buf):len(t.buf)]
	r.Headers = t.lists[first:len(t.lists):len(t.lists)]
	b.Records = append(b.Records, r)
	t.next++
	t.made++
	return nil
}

// complete ends the task, not before all its records are in the log.
func (t *task) complete(ctx context.Context) error {
	for t.idle || t.acked.Load() < t.made {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-t.moved:
		}
	}
	return sdk.Fatal(fmt.Errorf("Stopping connector: generated the configured %d number of messages", t.next))
}

// Acked implements sdk.Acker.
func (t *task) Acked(_ context.Context, records uint64) error {
	t.acked.Store(records)
	select {
	case t.moved <- struct{}{}:
	default: // one is there
	}
	return nil
}
