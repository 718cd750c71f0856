package task

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/broker/brokertest"
	"github.com/millrace/millrace/connect/converter"
	"github.com/millrace/millrace/plugins/data"
)

// seeing tells when it converts a value.
type seeing struct {
	converter.Converter
	value string
	seen  chan struct{}
}

func (s *seeing) ToConnect(ctx context.Context, topic string, b []byte) (data.Datum, error) {
	if string(b) == s.value {
		close(s.seen)
	}
	return s.Converter.ToConnect(ctx, topic, b)
}

// Records are converted while those before them are put.
func TestSinkConvertsWhileItPuts(t *testing.T) {
	c := brokertest.Start(t)
	produce(t, c, "a", "b")
	see := &seeing{value: "b", seen: make(chan struct{})}
	sink := &fakeSink{put: func(n int, _ []data.Record) error {
		if n > 1 {
			return nil
		}
		select {
		case <-see.seen:
			return nil
		case <-time.After(patience):
			return errors.New("b was not converted while a was put")
		}
	}}
	_, loop := runSink(t, c, sink, func(cfg *SinkConfig) {
		see.Converter, cfg.Convert.Value = cfg.Convert.Value, see
		cfg.MaxPollRecords = 1
	})
	waitFor(t, "both", func() bool { return sink.text() == "a b" })
	if err := loop.stop(); err != nil {
		t.Error(err)
	}
}

// A record that a transform drops is not committed before those in front of it
// were taken.
func TestSinkCommitsNothingBehindWhatWaits(t *testing.T) {
	c := brokertest.Start(t)
	client := c.Client(t, kgo.DefaultProduceTopic("in"), kgo.AllowAutoTopicCreation())
	write := func(values ...*kgo.Record) {
		t.Helper()
		if err := client.ProduceSync(t.Context(), values...).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	write(kgo.StringRecord("a"))
	failed := make(chan struct{})
	sink := &fakeSink{put: func(n int, _ []data.Record) error {
		switch n {
		case 1:
			return nil
		case 2:
			close(failed)
		}
		return &PutError{Transient: true, RetryAfter: time.Hour, Err: errors.New("away")}
	}}
	_, loop := runSink(t, c, sink, func(cfg *SinkConfig) {
		cfg.Chain = chain(t, map[string]string{
			"transforms": "f", "transforms.f.type": "org.apache.kafka.connect.transforms.Filter", "transforms.f.predicate": "gone",
			"predicates": "gone", "predicates.gone.type": "org.apache.kafka.connect.transforms.predicates.RecordIsTombstone",
		})
	})
	waitFor(t, "a", func() bool { return sink.text() == "a" })
	write(kgo.StringRecord("b"), &kgo.Record{})
	<-failed
	asked := func() int {
		sink.mu.Lock()
		defer sink.mu.Unlock()
		return len(sink.commits)
	}
	before := asked()
	waitFor(t, "two commits", func() bool { return asked() >= before+2 })
	sink.mu.Lock()
	for _, current := range sink.commits {
		if o := current[TopicPartition{"in", 0}]; o > 1 {
			t.Errorf("asked what may be committed up to offset %d, and b at 1 was not taken", o)
		}
	}
	sink.mu.Unlock()
	if err := loop.stop(); err != nil {
		t.Error(err)
	}
}

// What waits is not put as well when its partition is read again.
func TestSinkRewindsWhatWaits(t *testing.T) {
	c := brokertest.Start(t)
	produce(t, c, "a", "b")
	sink := &fakeSink{}
	sink.put = func(n int, records []data.Record) error {
		if n > 1 {
			return nil
		}
		sink.requests.Rewind = map[TopicPartition]int64{{"in", 0}: 0}
		return &PutError{Accepted: 1, Transient: true, RetryAfter: time.Millisecond, Err: errors.New("lost what it had")}
	}
	_, loop := runSink(t, c, sink, nil)
	waitFor(t, "all again", func() bool { return sink.text() == "a a b" })
	produce(t, c, "c") // fetching goes on
	waitFor(t, "c", func() bool { return sink.text() == "a a b c" })
	if err := loop.stop(); err != nil {
		t.Error(err)
	}
}

// A partition that is kept goes on when the one that it waited for is taken
// away.
func TestSinkGoesOnWithoutWhatWaited(t *testing.T) {
	client, err := kgo.NewClient(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{"in": {0: kgo.NewOffset(), 1: kgo.NewOffset()}}))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	gone, kept := TopicPartition{"in", 0}, TopicPartition{"in", 1}
	l := &sinkLoop{
		SinkConfig: SinkConfig{Sink: &fakeSink{}, Stats: &Stats{}, Logger: slog.New(slog.DiscardHandler)},
		client:     client, current: map[TopicPartition]int64{}, owned: map[TopicPartition]int64{gone: 0, kept: 0},
		held: map[TopicPartition]bool{}, behind: map[TopicPartition]int64{}, blocked: true,
		waiting: &parcel{
			records:  []data.Record{{OriginalTopic: "in", OriginalPartition: 0}},
			consumed: []*kgo.Record{{Topic: "in"}}, ends: map[TopicPartition]int64{gone: 1, kept: 7},
		},
	}
	l.pauseAll()
	l.onRevoked(t.Context(), map[string][]int32{"in": {0}}, true)
	if l.blocked || l.waiting != nil {
		t.Error("the loop still waits")
	}
	if paused := client.PauseFetchPartitions(nil); len(paused["in"]) > 0 {
		t.Errorf("paused are %v", paused)
	}
	if l.current[kept] != 7 {
		t.Errorf("partition 1 stands at %d, want 7: what was dropped of it counts", l.current[kept])
	}
}
