package broker

import (
	"context"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// benchTopic starts a broker and a topic of six partitions on it.
func benchTopic(b *testing.B, flush string) *Broker {
	b.Helper()
	br, _ := run(b, Config{DataDir: b.TempDir(), NodeID: 1})
	set := map[string]*string{"flush.before.ack": &flush}
	if _, err := kadm.NewClient(client(b, br)).CreateTopic(context.Background(), 6, 1, set, "t"); err != nil {
		b.Fatal(err)
	}
	return br
}

// fill produces n records of 100 bytes.
func fill(b *testing.B, cl *kgo.Client, n int) {
	b.Helper()
	value := make([]byte, 100)
	for range n {
		cl.Produce(context.Background(), &kgo.Record{Topic: "t", Value: value}, func(_ *kgo.Record, err error) {
			if err != nil {
				b.Error(err)
			}
		})
	}
	if err := cl.Flush(context.Background()); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkProduce sends records of 100 bytes over connections in memory, with
// a client that batches as it likes.
func BenchmarkProduce(b *testing.B) {
	for _, flush := range []string{"auto", "never"} {
		b.Run("flush-"+flush, func(b *testing.B) {
			cl := client(b, benchTopic(b, flush), kgo.ProducerBatchCompression(kgo.NoCompression()))
			fill(b, cl, 1000)
			b.SetBytes(100)
			b.ReportAllocs()
			b.ResetTimer()
			fill(b, cl, b.N)
		})
	}
}

// BenchmarkFetch reads records of 100 bytes back, over and over.
func BenchmarkFetch(b *testing.B) {
	br := benchTopic(b, "never")
	const stored = 500_000
	fill(b, client(b, br, kgo.ProducerBatchCompression(kgo.NoCompression())), stored)
	b.SetBytes(100)
	b.ReportAllocs()
	b.ResetTimer()
	for left := b.N; left > 0; {
		cl := client(b, br, kgo.ConsumeTopics("t"))
		for got := 0; got < stored && left > 0; {
			n := cl.PollFetches(context.Background()).NumRecords()
			got, left = got+n, left-n
		}
		cl.Close()
	}
}
