package sdk

import (
	"errors"
	"fmt"
	"time"

	"github.com/millrace/millrace/plugins/data"
)

// Record is a record of a source, in plain Go values.
type Record struct {
	Topic string
	// Key and Value are of the Go types that package data lists for their
	// schemas. A *Struct brings its schema. Without a schema they are text,
	// bytes, numbers, truth values, map[string]any and []any. Nil is null: a
	// tombstone, when it is the Value and there is no ValueSchema.
	Key, Value             any
	KeySchema, ValueSchema *Schema
	Headers                []Header
	// Timestamp is zero when the record has none of its own.
	Timestamp time.Time
	// TopicPartition, if set, is the partition to write to. ToPartition helps.
	TopicPartition *int32

	// Partition and Offset are the source's: once this record and all before
	// it are in the log, the source stands at Offset in Partition. A nil
	// Partition moves nothing.
	Partition map[string]any
	Offset    Offset

	// End ends a transaction after this record, where the task is to say so
	// (TransactionDefiner).
	End TransactionEnd
}

// Header is a header of a Record.
type Header struct {
	Name   string
	Value  any
	Schema *Schema
}

// ToPartition returns a pointer to n, for Record.TopicPartition.
func ToPartition(n int32) *int32 { return &n }

// appendRecord adds a record to a batch.
func appendRecord(b *data.Batch, r *Record) error {
	if r.Topic == "" {
		return errors.New("record without a topic")
	}
	out := data.Record{Topic: r.Topic, Partition: data.NoPartition, Timestamp: data.NoTimestamp, Position: data.NoPosition, End: r.End}
	if r.TopicPartition != nil {
		if out.Partition = *r.TopicPartition; out.Partition < 0 {
			return fmt.Errorf("partition %d is negative", out.Partition)
		}
	}
	if !r.Timestamp.IsZero() {
		out.Timestamp = r.Timestamp.UnixMilli()
	}
	var err error
	if out.Key, err = datum(r.KeySchema, r.Key); err != nil {
		return fmt.Errorf("key of a record to %s: %w", r.Topic, err)
	}
	if out.Value, err = datum(r.ValueSchema, r.Value); err != nil {
		return fmt.Errorf("value of a record to %s: %w", r.Topic, err)
	}
	for _, h := range r.Headers {
		d, err := datum(h.Schema, h.Value)
		if err != nil {
			return fmt.Errorf("header %q of a record to %s: %w", h.Name, r.Topic, err)
		}
		out.Headers = append(out.Headers, data.Header{Name: h.Name, Value: d})
	}
	if r.Partition != nil {
		if out.Position, err = appendPosition(b, r); err != nil {
			return err
		}
	}
	b.Records = append(b.Records, out)
	return nil
}

func datum(s *Schema, v any) (data.Datum, error) {
	if st, ok := v.(*Struct); ok && st != nil && s == nil {
		s = st.Schema()
	}
	return data.NewDatum(s, v)
}

func appendPosition(b *data.Batch, r *Record) (int32, error) {
	partition, err := EncodeMap(r.Partition)
	if err != nil {
		return 0, fmt.Errorf("source partition: %w", err)
	}
	p := data.Position{Partition: partition}
	if r.Offset != nil {
		if p.Offset, err = EncodeMap(r.Offset); err != nil {
			return 0, fmt.Errorf("source offset: %w", err)
		}
	}
	b.Positions = append(b.Positions, p)
	return int32(len(b.Positions) - 1), nil
}
