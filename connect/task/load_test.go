package task

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/plugins/data"
)

// slowProducer keeps records until it is told to settle some.
type slowProducer struct {
	t       *testing.T
	records []*kgo.Record
	texts   []string // what they held when they came
	settle  []func(*kgo.Record, error)
}

func (p *slowProducer) Produce(_ context.Context, r *kgo.Record, promise func(*kgo.Record, error)) {
	p.records, p.settle = append(p.records, r), append(p.settle, promise)
	p.texts = append(p.texts, r.Topic+string(r.Key)+string(r.Value))
}

func (p *slowProducer) Flush(context.Context) error { return nil }

// done settles record i, which must be as it came.
func (p *slowProducer) done(i int, err error) {
	r := p.records[i]
	if got := r.Topic + string(r.Key) + string(r.Value); got != p.texts[i] {
		p.t.Fatalf("record %q has become %q while it was on its way", p.texts[i], got)
	}
	p.settle[i](r, err)
	last := len(p.records) - 1
	p.records[i], p.texts[i], p.settle[i] = p.records[last], p.texts[last], p.settle[last]
	p.records, p.texts, p.settle = p.records[:last], p.texts[:last], p.settle[:last]
}

// TestLoadsAreUsedAgain sends batches of all sizes while records are settled in
// a random order: the memory of a batch must not be used again before its last
// record is settled, and must be after it.
func TestLoadsAreUsedAgain(t *testing.T) {
	p := &slowProducer{t: t}
	l := newSourceLoop(SourceConfig{
		Producer: p, Chain: noTransforms(t), Convert: stringConverters(t), Topics: everyTopic{}, Touched: func(string) {}, Stats: &Stats{},
	})
	rng := rand.New(rand.NewPCG(rand.Uint64(), 0))
	again := 0
	for seq := range uint64(300) {
		b := &data.Batch{}
		for i := range rng.IntN(20) {
			v, err := data.NewDatum(data.StringSchema, fmt.Sprintf("value %d of %d%*d", i, seq, rng.IntN(200), i))
			if err != nil {
				t.Fatal(err)
			}
			b.Records = append(b.Records, data.Record{Topic: "t", Partition: data.NoPartition, Timestamp: data.NoTimestamp, Position: data.NoPosition, Key: v, Value: v})
		}
		again += len(l.spares.list)
		if _, err := l.send(t.Context(), t.Context(), b, seq+1); err != nil {
			t.Fatal(err)
		}
		for len(p.records) > rng.IntN(60) {
			p.done(rng.IntN(len(p.records)), nil)
		}
	}
	if again == 0 {
		t.Error("no memory was used again")
	}
	for len(p.records) > 1 {
		p.done(0, nil)
	}
	had := len(l.spares.list)
	if len(p.records) > 0 {
		p.done(0, errors.New("refused")) // its batch is never complete
	}
	if len(l.spares.list) != had {
		t.Error("the memory of a batch that failed came back")
	}
}
