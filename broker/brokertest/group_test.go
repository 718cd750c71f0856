package brokertest_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/broker/brokertest"
)

// Two members share the partitions, one leaves, and in the end every record
// has been delivered and every offset committed.
func TestGroupRebalance(t *testing.T) {
	c := brokertest.Start(t)
	const partitions, records = 6, 600
	c.CreateTopic(t, "jobs", partitions)
	p := c.Client(t, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	for i := range records {
		r := &kgo.Record{Topic: "jobs", Partition: int32(i % partitions), Value: fmt.Append(nil, i)}
		p.Produce(within(t), r, func(_ *kgo.Record, err error) {
			if err != nil {
				t.Errorf("produce: %v", err)
			}
		})
	}
	if err := p.Flush(within(t)); err != nil {
		t.Fatal(err)
	}

	var mu sync.Mutex
	owned := map[string]map[int32]bool{"a": {}, "b": {}}
	changed := make(chan struct{}, 10000) // nobody waits to send, however long a member polls
	member := func(name string) *kgo.Client {
		set := func(v bool) func(context.Context, *kgo.Client, map[string][]int32) {
			return func(_ context.Context, _ *kgo.Client, ps map[string][]int32) {
				mu.Lock()
				defer mu.Unlock()
				for _, id := range ps["jobs"] {
					if v {
						owned[name][id] = true
					} else {
						delete(owned[name], id)
					}
				}
				changed <- struct{}{}
			}
		}
		return c.Client(t, kgo.ConsumerGroup("workers"), kgo.ConsumeTopics("jobs"), kgo.DisableAutoCommit(),
			kgo.OnPartitionsAssigned(set(true)), kgo.OnPartitionsRevoked(set(false)), kgo.OnPartitionsLost(set(false)))
	}
	got := map[string]bool{}
	poll := func(ctx context.Context, cl *kgo.Client) {
		for ctx.Err() == nil {
			fs := cl.PollFetches(ctx)
			if ctx.Err() != nil {
				return
			}
			mu.Lock()
			fs.EachRecord(func(r *kgo.Record) { got[string(r.Value)] = true })
			mu.Unlock()
			changed <- struct{}{}
			if err := cl.CommitUncommittedOffsets(ctx); err != nil && ctx.Err() == nil {
				t.Errorf("commit: %v", err)
			}
		}
	}
	await := func(what string, cond func() bool) {
		t.Helper()
		ctx := within(t)
		for {
			mu.Lock()
			ok := cond()
			mu.Unlock()
			if ok {
				return
			}
			select {
			case <-changed:
			case <-ctx.Done():
				t.Fatalf("%s: members own %v", what, owned)
			}
		}
	}

	ctx, stop := context.WithCancel(within(t))
	var running sync.WaitGroup
	a := member("a")
	running.Go(func() { poll(ctx, a) })
	await("one member takes all", func() bool { return len(owned["a"]) == partitions })
	b := member("b")
	bctx, bstop := context.WithCancel(ctx)
	running.Go(func() { poll(bctx, b) })
	await("two members share", func() bool { return len(owned["a"]) == partitions/2 && len(owned["b"]) == partitions/2 })
	bstop()
	b.Close() // leaves the group
	await("the other takes over", func() bool { return len(owned["a"]) == partitions })
	await("all records delivered", func() bool { return len(got) == records })
	stop()
	running.Wait()
	if err := a.CommitUncommittedOffsets(within(t)); err != nil {
		t.Errorf("last commit: %v", err)
	}
	a.Close()
	checkCommitted(t, c, "workers", "jobs", map[int32]int64{0: 100, 1: 100, 2: 100, 3: 100, 4: 100, 5: 100})
	c.Restart(t)
	checkCommitted(t, c, "workers", "jobs", map[int32]int64{0: 100, 1: 100, 2: 100, 3: 100, 4: 100, 5: 100})
}

func checkCommitted(t *testing.T, c *brokertest.Cluster, group, topic string, want map[int32]int64) {
	t.Helper()
	resp, err := kadm.NewClient(c.Client(t)).FetchOffsets(within(t), group)
	if err != nil {
		t.Fatalf("fetch offsets of %s: %v", group, err)
	}
	got := map[int32]int64{}
	resp.Each(func(o kadm.OffsetResponse) {
		if o.Topic == topic {
			got[o.Partition] = o.At
		}
	})
	if !maps.Equal(got, want) {
		t.Errorf("committed offsets of %s are %v, want %v", group, got, want)
	}
}

// A group's offsets survive a crash, and the group can be described, listed
// and deleted.
func TestGroupAdmin(t *testing.T) {
	c := brokertest.Start(t)
	c.CreateTopic(t, "in", 2)
	admin := kadm.NewClient(c.Client(t))
	var offsets kadm.Offsets
	offsets.AddOffset("in", 0, 5, -1)
	offsets.AddOffset("in", 1, 7, -1)
	if err := admin.CommitAllOffsets(within(t), "g", offsets); err != nil {
		t.Fatal(err)
	}
	c.Kill(t)
	c.Resume(t)
	checkCommitted(t, c, "g", "in", map[int32]int64{0: 5, 1: 7})

	admin = kadm.NewClient(c.Client(t))
	listed, err := admin.ListGroups(within(t))
	if err != nil || !slices.Equal(listed.Groups(), []string{"g"}) {
		t.Errorf("ListGroups = %v, %v", listed.Groups(), err)
	}
	described, err := admin.DescribeGroups(within(t), "g", "none")
	if err != nil || described["g"].State != "Empty" || described["none"].State != "Dead" {
		t.Errorf("DescribeGroups = %+v, %v", described, err)
	}
	var one kadm.TopicsSet
	one.Add("in", 0)
	if r, err := admin.DeleteOffsets(within(t), "g", one); err != nil || r.Error() != nil {
		t.Errorf("DeleteOffsets = %v, %v", r, err)
	}
	checkCommitted(t, c, "g", "in", map[int32]int64{1: 7})
	if _, err := admin.DeleteTopic(within(t), "in"); err != nil {
		t.Fatal(err)
	}
	if r, err := admin.DeleteGroups(within(t), "g"); err != nil || len(r) != 1 {
		t.Errorf("DeleteGroups = %v, %v", r, err)
	}
	if listed, err = admin.ListGroups(within(t)); err != nil || len(listed) != 0 {
		t.Errorf("groups left: %v, %v", listed.Groups(), err)
	}
}
