package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"
)

// outcome is what a producer was told about a transaction.
type outcome int

const (
	unknown outcome = iota // the answer was lost: all of it or nothing
	committed
	aborted
)

// transactionLoad runs transactions over several partitions and ends them at
// random. What committed must be visible whole and once, what aborted never.
type transactionLoad struct {
	addr string
	seed uint64

	told [transactionalProducers]map[int]outcome
}

const (
	transactionalProducers = 2
	transactionSize        = 6
)

func (l *transactionLoad) run(ctx context.Context, stop <-chan struct{}) error {
	g, ctx := errgroup.WithContext(ctx)
	for id := range transactionalProducers {
		l.told[id] = map[int]outcome{}
		g.Go(func() error { return l.producer(ctx, id, stop) })
	}
	return g.Wait()
}

func (l *transactionLoad) producer(ctx context.Context, id int, stop <-chan struct{}) error {
	rng := rand.New(rand.NewPCG(l.seed, uint64(id)+100))
	for number := 0; !stopped(stop) && ctx.Err() == nil; {
		client, err := kgo.NewClient(clientOptions(l.addr, kgo.TransactionalID(fmt.Sprint("chaos-", id)), kgo.DefaultProduceTopic("transactions"),
			kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.TransactionTimeout(20*time.Second))...)
		if err != nil {
			return err
		}
		for ; !stopped(stop) && ctx.Err() == nil; number++ {
			commit := rng.IntN(3) > 0
			err := l.transaction(ctx, client, id, number, commit)
			switch {
			case err != nil:
				l.told[id][number] = unknown
			case commit:
				l.told[id][number] = committed
			default:
				l.told[id][number] = aborted
			}
			if err != nil {
				number++
				break // a new client takes over the id, and so ends what is open
			}
		}
		client.Close()
	}
	return ctx.Err()
}

func (l *transactionLoad) transaction(ctx context.Context, client *kgo.Client, id, number int, commit bool) error {
	ctx, stop := context.WithTimeout(ctx, 30*time.Second)
	defer stop()
	if err := client.BeginTransaction(); err != nil {
		return err
	}
	for i := range transactionSize {
		client.Produce(ctx, &kgo.Record{Partition: int32((number + i) % logPartitions), Value: fmt.Appendf(nil, "%d/%d/%d", id, number, i)}, nil)
	}
	if err := client.Flush(ctx); err != nil {
		return err
	}
	return client.EndTransaction(ctx, kgo.TransactionEndTry(commit))
}

func (l *transactionLoad) verify(ctx context.Context) error {
	records, err := readAll(ctx, l.addr, "transactions", kgo.ReadCommitted())
	if err != nil {
		return err
	}
	seen := multiset(records)
	var lost, doubled, torn, visible []string
	counts := map[outcome]int{}
	for id, told := range l.told {
		for number, o := range told {
			counts[o]++
			name, there := fmt.Sprintf("%d/%d", id, number), 0
			for i := range transactionSize {
				n := seen[name+"/"+strconv.Itoa(i)]
				if n > 1 {
					doubled = append(doubled, name)
				}
				there += min(n, 1)
			}
			switch {
			case o == committed && there < transactionSize:
				lost = append(lost, name)
			case o == aborted && there > 0:
				visible = append(visible, name)
			case there != 0 && there != transactionSize:
				torn = append(torn, name)
			}
		}
	}
	if counts[committed] == 0 || counts[aborted] == 0 {
		return fmt.Errorf("the load did nothing: %v", counts)
	}
	var errs []error
	for what, names := range map[string][]string{"committed and lost": lost, "doubled": doubled, "seen in part": torn, "aborted and seen": visible} {
		if len(names) > 0 {
			errs = append(errs, fmt.Errorf("%d transactions %s: %s", len(names), what, some(names)))
		}
	}
	return errors.Join(errs...)
}

// copyLoad consumes a topic in a group and writes what it read to another, the
// offsets in the same transaction: the copy must hold everything once.
type copyLoad struct {
	addr string
	from *idempotentLoad
}

func (l *copyLoad) run(ctx context.Context, stop <-chan struct{}) error {
	for !stopped(stop) && ctx.Err() == nil {
		if err := l.session(ctx, stop); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// session copies until it fails, which a killed node may cause, or the end.
func (l *copyLoad) session(ctx context.Context, stop <-chan struct{}) error {
	s, err := l.open()
	if err != nil {
		return err
	}
	defer s.Close()
	for !stopped(stop) && ctx.Err() == nil {
		if _, err := l.round(ctx, s, 500*time.Millisecond); err != nil {
			return nil // the next session goes on from what was committed
		}
	}
	return nil
}

func (l *copyLoad) open() (*kgo.GroupTransactSession, error) {
	return kgo.NewGroupTransactSession(clientOptions(l.addr, kgo.TransactionalID("copier"), kgo.ConsumerGroup("copying"),
		kgo.ConsumeTopics("idempotent"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.SessionTimeout(6*time.Second), kgo.HeartbeatInterval(500*time.Millisecond), kgo.TransactionTimeout(20*time.Second))...)
}

func (l *copyLoad) round(ctx context.Context, s *kgo.GroupTransactSession, wait time.Duration) (copied int, err error) {
	pollCtx, cancel := context.WithTimeout(ctx, wait)
	fetches := s.PollRecords(pollCtx, 2000)
	cancel()
	if fetches.NumRecords() == 0 {
		return 0, ctx.Err()
	}
	ctx, stop := context.WithTimeout(ctx, 30*time.Second)
	defer stop()
	if err := s.Begin(); err != nil {
		return 0, err
	}
	promise := kgo.AbortingFirstErrPromise(s.Client())
	fetches.EachRecord(func(r *kgo.Record) {
		copied++
		s.Produce(ctx, &kgo.Record{Topic: "copied", Partition: r.Partition, Value: r.Value}, promise.Promise())
	})
	err = promise.Err()
	done, endErr := s.End(ctx, err == nil)
	if err = errors.Join(err, endErr); err == nil && !done {
		err = errors.New("the group rebalanced")
	}
	return copied, err
}

// verify first copies what is left, now that nothing is killed.
func (l *copyLoad) verify(ctx context.Context) error {
	var want int64
	for _, n := range l.from.acknowledged {
		want += n
	}
	ctx, stop := context.WithTimeout(ctx, 2*time.Minute)
	defer stop()
	for {
		records, err := readAll(ctx, l.addr, "copied", kgo.ReadCommitted())
		if err != nil {
			return err
		}
		var got int64
		for p := range int32(logPartitions) {
			for i, v := range records[p] {
				if v != strconv.Itoa(i) {
					return fmt.Errorf("partition %d of the copy: record %d is %s", p, i, v)
				}
			}
			got += int64(len(records[p]))
		}
		if got == want {
			return nil
		}
		if err := l.rest(ctx); err != nil {
			return fmt.Errorf("%d of %d copied: %w", got, want, err)
		}
	}
}

func (l *copyLoad) rest(ctx context.Context) error {
	s, err := l.open()
	if err != nil {
		return err
	}
	defer s.Close()
	for idle := 0; idle < 3; {
		n, err := l.round(ctx, s, 5*time.Second)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			return nil
		}
		if n == 0 {
			idle++
		}
	}
	return nil
}
