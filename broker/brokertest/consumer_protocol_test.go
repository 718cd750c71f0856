package brokertest_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/broker/brokertest"
)

// A member of the consumer protocol (KIP-848) keeps its partitions and its
// epoch over a crash of the broker, and commits where it stands.
func TestConsumerProtocolSurvivesCrash(t *testing.T) {
	c := brokertest.Start(t,
		brokertest.With("group.consumer.min.heartbeat.interval.ms", "50"),
		brokertest.With("group.consumer.heartbeat.interval.ms", "50"))
	c.CreateTopic(t, "jobs", 4)
	p := c.Client(t, kgo.DefaultProduceTopic("jobs"))
	produce := func(from, to int) {
		t.Helper()
		for i := from; i < to; i++ {
			if err := p.ProduceSync(within(t), &kgo.Record{Key: fmt.Append(nil, i), Value: fmt.Append(nil, i)}).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
	}
	cl := c.Client(t, kgo.ServerSideBalancer(), kgo.ConsumerGroup("workers"), kgo.ConsumeTopics("jobs"),
		kgo.DisableAutoCommit(), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.RetryBackoffFn(func(int) time.Duration { return 20 * time.Millisecond }))
	got := map[string]int{}
	consume := func(n int) {
		t.Helper()
		for ctx := within(t); len(got) < n; {
			fs := cl.PollFetches(ctx)
			if ctx.Err() != nil {
				t.Fatalf("%d of %d records, %v", len(got), n, fs.Errors())
			}
			fs.EachRecord(func(r *kgo.Record) { got[string(r.Value)]++ })
		}
		if err := cl.CommitUncommittedOffsets(within(t)); err != nil {
			t.Fatalf("commit: %v", err)
		}
	}
	describe := func() *kmsg.ConsumerGroupDescribeResponseGroup {
		t.Helper()
		req := kmsg.NewPtrConsumerGroupDescribeRequest()
		req.Groups = []string{"workers"}
		resp, err := req.RequestWith(within(t), p)
		if err != nil || len(resp.Groups) != 1 || resp.Groups[0].ErrorCode != 0 || len(resp.Groups[0].Members) != 1 {
			t.Fatalf("group is %+v, %v", resp, err)
		}
		return &resp.Groups[0]
	}
	produce(0, 40)
	consume(40)
	before := describe()
	c.Kill(t)
	c.Resume(t)
	produce(40, 80)
	consume(80)
	after := describe()
	if after.Members[0].MemberID != before.Members[0].MemberID || after.Epoch != before.Epoch {
		t.Errorf("after the crash the group is %+v, was %+v", after, before)
	}
	for v, n := range got {
		if n != 1 {
			t.Errorf("record %s was delivered %d times", v, n)
		}
	}
	offsets, err := kadm.NewClient(p).FetchOffsets(within(t), "workers")
	if err != nil {
		t.Fatal(err)
	}
	sum := int64(0)
	offsets.Each(func(o kadm.OffsetResponse) { sum += o.At })
	if sum != 80 {
		t.Errorf("committed offsets sum up to %d, want 80", sum)
	}
}
