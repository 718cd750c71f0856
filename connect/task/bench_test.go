package task

import (
	"context"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/plugins/data"
)

// instantLog takes a record at once.
type instantLog struct{}

func (instantLog) Produce(_ context.Context, r *kgo.Record, promise func(*kgo.Record, error)) {
	promise(r, nil)
}

func (instantLog) Flush(context.Context) error { return nil }

// BenchmarkSend measures a record from a batch to the producer, with the
// conversion of a text.
func BenchmarkSend(b *testing.B) {
	v, err := data.NewDatum(data.StringSchema, "some text")
	if err != nil {
		b.Fatal(err)
	}
	batch := &data.Batch{Positions: []data.Position{{Partition: []byte(`{"p":1}`), Offset: []byte(`{"o":1}`)}}}
	for range 500 {
		batch.Records = append(batch.Records, data.Record{Topic: "t", Partition: data.NoPartition, Timestamp: data.NoTimestamp, Position: data.NoPosition, Key: v, Value: v})
	}
	l := newSourceLoop(SourceConfig{
		Producer: instantLog{}, Chain: noTransforms(b), Convert: stringConverters(b), Topics: everyTopic{}, Touched: func(string) {}, Stats: &Stats{},
	})
	b.ReportAllocs()
	seq := uint64(0)
	for n := 0; n < b.N; n += len(batch.Records) {
		seq++
		if _, err := l.send(b.Context(), b.Context(), batch, seq); err != nil {
			b.Fatal(err)
		}
	}
}
