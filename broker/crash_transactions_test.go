package broker

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

const txnPartitions = 3

// outcome is what a producer knows of one of its transactions.
type outcome int8

const (
	aborted outcome = iota
	unknown         // the commit got no answer
	committed
)

// txnProducer writes transactions of two records to each partition, for as
// long as ctx lasts.
type txnProducer struct {
	t       *testing.T
	id      string
	address string
	mu      *sync.Mutex // guards fates and done
	fates   map[string]outcome
	done    *int // transactions that were committed, of all producers
	changed chan struct{}
}

func (p *txnProducer) run(ctx context.Context) {
	for n := 0; ctx.Err() == nil; {
		cl, err := kgo.NewClient(kgo.SeedBrokers(p.address), kgo.TransactionalID(p.id), kgo.TransactionTimeout(10*time.Second),
			kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.DefaultProduceTopic("t"),
			kgo.RetryBackoffFn(func(int) time.Duration { return 20 * time.Millisecond }))
		if err != nil {
			p.t.Error(err)
			return
		}
		for ok := true; ok && ctx.Err() == nil; n++ {
			ok = p.transact(cl, n)
		}
		cl.Close()
	}
}

// transact is one transaction. It returns false if the producer must start
// over.
func (p *txnProducer) transact(cl *kgo.Client, n int) bool {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	key := fmt.Sprintf("%s/%d", p.id, n)
	p.note(key, aborted)
	if err := cl.BeginTransaction(); err != nil {
		return false
	}
	var records []*kgo.Record
	for i := range 2 * txnPartitions {
		records = append(records, &kgo.Record{Partition: int32(i % txnPartitions), Value: []byte(key)})
	}
	if err := cl.ProduceSync(ctx, records...).FirstErr(); err != nil || rand.IntN(4) == 0 {
		return errors.Join(cl.AbortBufferedRecords(ctx), cl.EndTransaction(ctx, kgo.TryAbort)) == nil
	}
	p.note(key, unknown)
	if err := cl.EndTransaction(ctx, kgo.TryCommit); err != nil {
		return false
	}
	p.note(key, committed)
	return true
}

func (p *txnProducer) note(key string, o outcome) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fates[key] = o
	if o == committed {
		*p.done++
		select {
		case p.changed <- struct{}{}:
		default:
		}
	}
}

// A broker is killed again and again while transactional producers write. What
// was committed is there, whole and once; nothing else is; and consumers of
// committed records get to the end of every partition.
func TestKillNineTransactions(t *testing.T) {
	const rounds, producers = 4, 3
	dir := t.TempDir()
	cmd, address := startProcess(t, dir, "127.0.0.1:0")
	admin, err := kgo.NewClient(kgo.SeedBrokers(address))
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	adm := kadm.NewClient(admin)
	if _, err := adm.CreateTopic(within(t), txnPartitions, 1, nil, "t"); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	fates, done, changed := map[string]outcome{}, 0, make(chan struct{}, 1)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var running sync.WaitGroup
	for i := range producers {
		p := &txnProducer{t: t, id: fmt.Sprint("producer-", i), address: address, mu: &mu, fates: fates, done: &done, changed: changed}
		running.Go(func() { p.run(ctx) })
	}
	count := func() int {
		mu.Lock()
		defer mu.Unlock()
		return done
	}
	for round := range rounds {
		limit := within(t)
		for before := count(); count() < before+20+rand.IntN(20); {
			select {
			case <-changed:
			case <-limit.Done():
				t.Fatalf("round %d: %d transactions committed, no more come", round, count())
			}
		}
		cmd.Process.Kill()
		cmd.Wait()
		cmd, _ = startProcess(t, dir, address)
	}
	stop()
	running.Wait()
	ends := settledEnds(t, adm)
	t.Logf("%d transactions, %d committed, over %d kills", len(fates), done, rounds)
	verifyTransactions(t, address, ends, fates)
	cmd.Process.Kill()
	cmd.Wait()
}

// settledEnds waits until no transaction is open, and returns the ends of all
// partitions.
func settledEnds(t *testing.T, adm *kadm.Client) kadm.ListedOffsets {
	t.Helper()
	for limit := within(t); ; {
		stable, err1 := adm.ListCommittedOffsets(limit, "t")
		ends, err2 := adm.ListEndOffsets(limit, "t")
		if err := errors.Join(err1, err2); err != nil {
			t.Fatalf("list offsets: %v", err)
		}
		open := 0
		ends.Each(func(o kadm.ListedOffset) {
			if s, ok := stable.Lookup(o.Topic, o.Partition); !ok || s.Offset < o.Offset {
				open++
			}
		})
		if open == 0 {
			return ends
		}
	}
}

// verifyTransactions reads what was committed and compares it with what the
// producers know.
func verifyTransactions(t *testing.T, address string, ends kadm.ListedOffsets, fates map[string]outcome) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(address), kgo.ConsumeTopics("t"), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords())
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	left := 0
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			left++
		}
	})
	seen := map[string]int{}
	for left > 0 {
		fs := cl.PollFetches(within(t))
		if err := fs.Err(); err != nil {
			t.Fatalf("fetch with %d partitions left: %v", left, err)
		}
		fs.EachRecord(func(r *kgo.Record) {
			if !r.Attrs.IsControl() {
				seen[string(r.Value)]++
			}
			if o, _ := ends.Lookup(r.Topic, r.Partition); r.Offset == o.Offset-1 {
				left--
			}
		})
	}
	for key, fate := range fates {
		n := seen[key]
		whole := n == 2*txnPartitions
		if fate == committed && !whole || fate == unknown && n != 0 && !whole || fate == aborted && n != 0 {
			t.Errorf("transaction %s (fate %d) shows %d of %d records", key, fate, n, 2*txnPartitions)
		}
		delete(seen, key)
	}
	for key, n := range seen {
		t.Errorf("%d records of transaction %q, which nobody wrote", n, key)
	}
}
