package task

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/connect/converter"
	"github.com/millrace/millrace/connect/transform"
	"github.com/millrace/millrace/plugins/data"
)

// Converters are those of one task.
type Converters struct {
	Key, Value, Header converter.Converter
}

// failure names the record and the stage of an error, unless the error is not
// the record's fault: then it stays as it is, and ends the task.
func failure(stage Stage, where Coordinates, err error) error {
	var fatal *converter.FatalError
	if errors.As(err, &fatal) {
		return fmt.Errorf("%s: %w", stage, err)
	}
	return &RecordError{stage, where, err}
}

// transformed runs a chain over a record and says whether it is kept.
func transformed(chain *transform.Chain, r *data.Record, where Coordinates) (bool, error) {
	keep, err := chain.Apply(r)
	var fatal *transform.FatalError
	switch {
	case err == nil:
		return keep, nil
	case errors.As(err, &fatal):
		return false, fmt.Errorf("%s: %w", StageTransformation, err)
	}
	return false, &RecordError{StageTransformation, where, err}
}

// toLog fills out from r. Bytes go to arena, which grows and is returned; the
// record refers to it. Headers come first, then key, then value, as in Kafka
// Connect.
func (c *Converters) toLog(ctx context.Context, r *data.Record, out *kgo.Record, arena []byte) ([]byte, error) {
	where := Coordinates{Topic: r.Topic, Partition: r.Partition, Offset: -1}
	*out = kgo.Record{Topic: r.Topic, Partition: r.Partition}
	if r.Timestamp != data.NoTimestamp {
		out.Timestamp = time.UnixMilli(r.Timestamp)
	}
	var null bool
	var err error
	start := len(arena)
	for _, h := range r.Headers {
		arena, null, err = c.Header.FromConnect(ctx, r.Topic, h.Value, arena)
		if err != nil {
			return arena, failure(StageHeaderConverter, where, err)
		}
		out.Headers = append(out.Headers, kgo.RecordHeader{Key: h.Name, Value: piece(arena, start, null)})
		start = len(arena)
	}
	if arena, null, err = c.Key.FromConnect(ctx, r.Topic, r.Key, arena); err != nil {
		return arena, failure(StageKeyConverter, where, err)
	}
	out.Key, start = piece(arena, start, null), len(arena)
	if arena, null, err = c.Value.FromConnect(ctx, r.Topic, r.Value, arena); err != nil {
		return arena, failure(StageValueConverter, where, err)
	}
	out.Value = piece(arena, start, null)
	return arena, nil
}

// piece is what was appended to arena since start, cut so that a later append
// to it cannot reach the next piece.
func piece(arena []byte, start int, null bool) []byte {
	if null {
		return nil
	}
	return arena[start:len(arena):len(arena)]
}

// FromLog fills out from a consumed record. Key, value and headers may alias
// it.
func (c *Converters) FromLog(ctx context.Context, r *kgo.Record, out *data.Record) error {
	where := Coordinates{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset}
	headers := out.Headers[:0]
	*out = data.Record{
		Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Timestamp: r.Timestamp.UnixMilli(), Position: data.NoPosition,
		OriginalTopic: r.Topic, OriginalPartition: r.Partition, OriginalOffset: r.Offset,
	}
	var err error
	if out.Key, err = c.Key.ToConnect(ctx, r.Topic, r.Key); err != nil {
		return failure(StageKeyConverter, where, err)
	}
	if out.Value, err = c.Value.ToConnect(ctx, r.Topic, r.Value); err != nil {
		return failure(StageValueConverter, where, err)
	}
	for _, h := range r.Headers {
		d, err := c.Header.ToConnect(ctx, r.Topic, h.Value)
		if err != nil {
			return failure(StageHeaderConverter, where, err)
		}
		headers = append(headers, data.Header{Name: h.Key, Value: d})
	}
	out.Headers = headers
	return nil
}
