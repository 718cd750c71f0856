package broker_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/broker/brokertest"
)

// eager makes the broker compact at once.
var eager = []brokertest.Option{
	brokertest.With("log.cleaner.backoff.ms", "10"),
	brokertest.With("log.cleaner.min.cleanable.ratio", "0.01"),
}

// logBytes returns the size of the segments of a partition.
func logBytes(t testing.TB, c *brokertest.Cluster, partition string) int64 {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(c.Dir(), "logs", partition, "*.log"))
	if err != nil || len(files) == 0 {
		t.Fatalf("segments of %s: %v, %v", partition, files, err)
	}
	var n int64
	for _, f := range files {
		if fi, err := os.Stat(f); err == nil { // it may be gone by now
			n += fi.Size()
		}
	}
	return n
}

// until waits for a condition.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(60 * time.Second); !ok(); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not after a minute", what)
		}
	}
}

// readNewest reads a partition to its end and returns each key's last value.
func readNewest(t testing.TB, c *brokertest.Cluster, topic string) map[string]string {
	t.Helper()
	cl := c.Client(t, kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	ends, err := kadm.NewClient(cl).ListEndOffsets(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	end, _ := ends.Lookup(topic, 0)
	out := map[string]string{}
	for last := int64(-1); last+1 < end.Offset; {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		fetches := cl.PollFetches(ctx)
		cancel()
		if err := fetches.Err(); err != nil {
			t.Fatalf("read %s after %d: %v", topic, last, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if r.Offset <= last {
				t.Fatalf("offset %d after %d", r.Offset, last)
			}
			last = r.Offset
			out[string(r.Key)] = string(r.Value)
		})
	}
	return out
}

// A million updates of a hundred keys end up as little more than a hundred
// records, with the offsets that they had.
func TestCompactedTopicStaysSmall(t *testing.T) {
	for _, tt := range []struct {
		codec   kgo.CompressionCodec
		updates int
	}{{kgo.NoCompression(), 1_000_000}, {kgo.ZstdCompression(), 300_000}} {
		c := brokertest.Start(t, eager...)
		c.CreateTopic(t, "state", 1, "cleanup.policy", "compact", "segment.bytes", "200000")
		cl := c.Client(t, kgo.DefaultProduceTopic("state"), kgo.ProducerBatchCompression(tt.codec), kgo.MaxBufferedRecords(100_000), kgo.ProducerBatchMaxBytes(100_000))
		const keys = 100
		updates := tt.updates
		for i := range updates {
			cl.Produce(t.Context(), &kgo.Record{Key: fmt.Appendf(nil, "key-%d", i%keys), Value: fmt.Appendf(nil, "value-%d", i)}, func(_ *kgo.Record, err error) {
				if err != nil {
					t.Error(err)
				}
			})
		}
		if err := cl.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		// What is left is the active segment and a hundred records.
		until(t, "compaction", func() bool {
			return c.Broker().Stats().Logs.Cleaner.Rounds > 0 && logBytes(t, c, "state-0") < 220_000
		})
		stats := c.Broker().Stats().Logs.Cleaner
		if stats.LastClean.IsZero() || stats.Uncleanable != 0 || stats.MapFill == 0 {
			t.Errorf("cleaner's figures are %+v", stats)
		}
		check := func() {
			t.Helper()
			got := readNewest(t, c, "state")
			if len(got) != keys {
				t.Errorf("%d keys, want %d", len(got), keys)
			}
			for k := range keys {
				if want := fmt.Sprintf("value-%d", updates-keys+k); got[fmt.Sprintf("key-%d", k)] != want {
					t.Errorf("key-%d is %s, want %s", k, got[fmt.Sprintf("key-%d", k)], want)
				}
			}
		}
		check()
		c.Kill(t)
		c.Resume(t)
		check()
		// The idempotent producer goes on where it stopped.
		if err := cl.ProduceSync(t.Context(), &kgo.Record{Key: []byte("key-0"), Value: fmt.Appendf(nil, "value-%d", updates-keys)}).FirstErr(); err != nil {
			t.Error(err)
		}
		check()
		cl.Close()
	}
}

// Offsets committed again and again do not fill the disk, and are there after
// a restart.
func TestGroupOffsetsAreCompacted(t *testing.T) {
	c := brokertest.Start(t, append(eager, brokertest.With("offsets.topic.num.partitions", "1"), brokertest.With("offsets.topic.segment.bytes", "20000"))...)
	c.CreateTopic(t, "in", 4)
	adm := kadm.NewClient(c.Client(t))
	for i := range int64(2000) {
		var os kadm.Offsets
		for p := range int32(4) {
			os.AddOffset("in", p, i, -1)
		}
		if err := adm.CommitAllOffsets(t.Context(), "g", os); err != nil {
			t.Fatal(err)
		}
	}
	until(t, "compaction", func() bool { return logBytes(t, c, "__consumer_offsets-0") < 30_000 })
	check := func(want int64) {
		t.Helper()
		got, err := adm.FetchOffsets(t.Context(), "g")
		if err != nil {
			t.Fatal(err)
		}
		for p := range int32(4) {
			if o, ok := got.Lookup("in", p); !ok || o.At != want {
				t.Errorf("offset of partition %d is %d, %t, want %d", p, o.At, ok, want)
			}
		}
	}
	check(1999)
	c.Kill(t)
	c.Resume(t)
	check(1999)
	c.Restart(t)
	check(1999)
}

// compact,delete does both, and only it lets records be deleted.
func TestCompactAndDelete(t *testing.T) {
	c := brokertest.Start(t, append(eager, brokertest.With("log.retention.check.interval.ms", "20"))...)
	c.CreateTopic(t, "both", 1, "cleanup.policy", "compact,delete", "segment.bytes", "2000", "retention.bytes", "3000")
	cl := c.Client(t, kgo.DefaultProduceTopic("both"))
	for i := range 400 {
		r := &kgo.Record{Key: fmt.Appendf(nil, "k%d", i), Value: []byte(strings.Repeat("v", 50))}
		if err := cl.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	adm := kadm.NewClient(cl)
	until(t, "retention", func() bool {
		starts, err := adm.ListStartOffsets(t.Context(), "both")
		if err != nil {
			t.Fatal(err)
		}
		start, _ := starts.Lookup("both", 0)
		return start.Offset > 300
	})
	resp, err := adm.DeleteRecords(t.Context(), kadm.Offsets{"both": {0: {Topic: "both", Partition: 0, At: 399}}})
	if err != nil || resp.Error() != nil {
		t.Errorf("DeleteRecords: %v, %v", err, resp.Error())
	}
	if got := readNewest(t, c, "both"); len(got) != 1 || got["k399"] == "" {
		t.Errorf("%d keys are left", len(got))
	}
}
