package brokertest_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/broker/brokertest"
)

func within(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// produce sends n records, numbered from, and waits for their acknowledgement.
func produce(t testing.TB, cl *kgo.Client, topic string, from, n int) {
	t.Helper()
	var rs []*kgo.Record
	for i := from; i < from+n; i++ {
		rs = append(rs, &kgo.Record{Topic: topic, Value: fmt.Appendf(nil, "%d", i)})
	}
	if err := cl.ProduceSync(within(t), rs...).FirstErr(); err != nil {
		t.Fatalf("produce: %v", err)
	}
}

// consume reads n records of a topic from the start.
func consume(t testing.TB, cl *kgo.Client, n int) []string {
	t.Helper()
	var got []string
	for len(got) < n {
		fs := cl.PollFetches(within(t))
		if err := fs.Err(); err != nil {
			t.Fatalf("fetch after %d records: %v", len(got), err)
		}
		fs.EachRecord(func(r *kgo.Record) { got = append(got, string(r.Value)) })
	}
	return got
}

func TestProduceConsume(t *testing.T) {
	c := brokertest.Start(t)
	c.CreateTopic(t, "orders", 1)
	produce(t, c.Client(t), "orders", 0, 1000)
	for name, cl := range map[string]*kgo.Client{
		"tcp":    c.Client(t, kgo.ConsumeTopics("orders")),
		"memory": c.MemoryClient(t, kgo.ConsumeTopics("orders")),
	} {
		got := consume(t, cl, 1000)
		for i, v := range got {
			if v != fmt.Sprint(i) {
				t.Fatalf("%s: record %d is %s", name, i, v)
			}
		}
	}
	c.Restart(t)
	produce(t, c.Client(t), "orders", 1000, 10)
	if got := consume(t, c.Client(t, kgo.ConsumeTopics("orders")), 1010); got[1009] != "1009" {
		t.Errorf("last record after a restart is %s, want 1009", got[1009])
	}
	c.Kill(t)
	c.Resume(t)
	if got := consume(t, c.Client(t, kgo.ConsumeTopics("orders")), 1010); got[1009] != "1009" {
		t.Errorf("last record after a crash is %s, want 1009", got[1009])
	}
}
