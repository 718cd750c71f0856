package task

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/connect/connector"
	"github.com/millrace/millrace/connect/transform"
	"github.com/millrace/millrace/plugins/data"
)

// TopicPartition is one partition of the log.
type TopicPartition struct {
	Topic     string
	Partition int32
}

// Sink is the process of a sink task. All methods are called by the loop's one
// goroutine.
type Sink interface {
	// Assigned gives the task partitions, each with the offset of the first
	// record that it will get.
	Assigned(ctx context.Context, starts map[TopicPartition]int64) error
	// Revoked takes partitions away. lost says that another worker may have
	// them already, so that nothing more may be committed for them.
	Revoked(ctx context.Context, parts []TopicPartition, lost bool) error
	// Put hands over records, in order within each partition; none at all is a
	// chance to do what is due. An error of type *PutError says what may be
	// done about it; any other is fatal.
	Put(ctx context.Context, records []data.Record) error
	// PreCommit asks which offsets may be committed, given how far the task
	// has been handed each partition: the offset after the last record. None
	// means none yet.
	PreCommit(ctx context.Context, current map[TopicPartition]int64) (map[TopicPartition]int64, error)
	// Requests returns what the task has asked for since the last call.
	Requests() SinkRequests
}

// SinkRequests are what a sink task may ask of the runtime.
type SinkRequests struct {
	Rewind map[TopicPartition]int64 // go back to these offsets
	Pause  []TopicPartition         // deliver nothing more of these
	Resume []TopicPartition
	Wake   time.Duration // call Put again after this at the latest; 0 is no wish
	Commit bool          // commit offsets now
	Errant []Errant      // records that the task could not take and skipped
}

// Errant is a record that a sink task skipped by itself (KIP-610).
type Errant struct {
	Record Coordinates
	Text   string
}

// PutError is a failure of Put that need not be the end of the task.
type PutError struct {
	// Accepted is how many records, from the first, the task has taken.
	Accepted int
	// Transient says that the rest may be put again, after RetryAfter if that
	// is not zero. Otherwise one record is at fault: the one at index Record
	// if Known, else any one of the rest.
	Transient  bool
	RetryAfter time.Duration
	Known      bool
	Record     int
	Err        error
}

func (e *PutError) Error() string { return e.Err.Error() }
func (e *PutError) Unwrap() error { return e.Err }

// SinkConfig is what a sink task's loop is made of.
type SinkConfig struct {
	ID   connector.TaskID
	Sink Sink
	// ClientOpts configure the consumer, but for the group and the rebalance
	// callbacks, which the loop sets.
	ClientOpts []kgo.Opt
	Group      string
	Convert    Converters
	// Chain is run over each record after it is converted.
	Chain   *transform.Chain
	Touched func(topic string)
	Pause   *connector.Switch
	Report  func(connector.State)
	Policy  Policy
	Stats   *Stats
	Logger  *slog.Logger
	// DeadLetters takes records that failed and are skipped, as they were
	// consumed. It returns once the record is durable; an error fails the task,
	// since the record would be lost. Nil drops them.
	DeadLetters func(ctx context.Context, consumed *kgo.Record, failure *RecordError) error
	// CommitInterval is the time between two commits (offset.flush.interval.ms).
	CommitInterval time.Duration
	// MaxPollRecords bounds one Put.
	MaxPollRecords int
}

// tick is the longest time between two calls of Put, so that a task can do
// what is due by the clock on an idle topic.
const tick = time.Second

// retryPause is the pause before the same records are put again, when the task
// names none.
const retryPause = time.Second

// sinkLoop is a running sink task.
type sinkLoop struct {
	SinkConfig

	// mu keeps the loop and the rebalance callbacks apart; it guards all below.
	// The client holds callbacks back from the end of a poll to AllowRebalance,
	// but not between that and the next poll.
	mu       sync.Mutex
	client   *kgo.Client
	current  map[TopicPartition]int64
	owned    map[TopicPartition]int64 // assigned partitions, and where to read again from: -1 before any record
	flight   *putCall                 // the put that is under way
	next     parcel                   // what is put then
	waiting  *parcel                  // to be put again, before next
	blocked  bool                     // something waits: nothing more is fetched
	spare    parcel                   // memory
	given    []*kgo.Record            // what was put last was made from these
	retryAt  time.Time
	dueAt    time.Time               // when a put is due without records
	held     map[TopicPartition]bool // paused by the task itself
	paused   bool                    // by the user
	touched  map[string]bool
	behind   map[TopicPartition]int64 // records that are in the log and were not fetched yet
	failed   error                    // what a callback ran into
	commitAt time.Time
	wakeAt   time.Time
}

// RunSink moves records from the log into the task's process until ctx ends or
// the task fails. Before it returns it asks the task once more what may be
// committed, and commits that, unless ctx ends with connector.ErrFenced.
func RunSink(ctx context.Context, cfg SinkConfig) error {
	l := &sinkLoop{
		SinkConfig: cfg,
		current:    map[TopicPartition]int64{}, owned: map[TopicPartition]int64{},
		held: map[TopicPartition]bool{}, touched: map[string]bool{}, behind: map[TopicPartition]int64{},
		commitAt: time.Now().Add(cfg.CommitInterval),
	}
	cctx := context.WithoutCancel(ctx) // of the callbacks: they still run when the task stops
	l.mu.Lock()
	client, err := kgo.NewClient(append(append([]kgo.Opt{}, cfg.ClientOpts...),
		kgo.ConsumerGroup(cfg.Group),
		kgo.DisableAutoCommit(),
		kgo.BlockRebalanceOnPoll(),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, m map[string][]int32) { l.onAssigned(cctx, m) }),
		kgo.OnPartitionsRevoked(func(_ context.Context, _ *kgo.Client, m map[string][]int32) {
			l.onRevoked(cctx, m, connector.Fenced(ctx))
		}),
		kgo.OnPartitionsLost(func(_ context.Context, _ *kgo.Client, m map[string][]int32) { l.onRevoked(cctx, m, true) }),
	)...)
	l.client = client
	l.mu.Unlock()
	if err != nil {
		return fmt.Errorf("consumer: %w", err)
	}
	err = l.run(ctx)
	err = errors.Join(err, l.land(cctx))
	client.CloseAllowingRebalance() // leaving the group revokes everything, which commits
	if ctx.Err() != nil {
		return nil // asked to stop
	}
	return err
}

func (l *sinkLoop) run(ctx context.Context) error {
	for {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		due, landed := l.due()
		fetches := l.poll(ctx, due, landed)
		err := l.step(ctx, fetches)
		l.client.AllowRebalance()
		if err != nil {
			return err
		}
	}
}

// due follows the wish to pause. It returns when something is to be done even
// if no record comes, and what tells that the put under way has ended.
func (l *sinkLoop) due() (time.Time, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.followPause()
	due := time.Now().Add(tick)
	for _, t := range []time.Time{l.commitAt, l.retryAt, l.wakeAt} {
		if !t.IsZero() && t.Before(due) {
			due = t
		}
	}
	if l.flight != nil {
		return due, l.flight.done
	}
	l.dueAt = due
	return due, nil
}

// poll waits for records, until due, until the wish to pause changes or until
// the put under way has ended.
func (l *sinkLoop) poll(ctx context.Context, due time.Time, landed <-chan struct{}) kgo.Fetches {
	pctx, stop := context.WithDeadline(ctx, due)
	_, changed := l.Pause.Get()
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		select {
		case <-changed:
			stop()
		case <-landed:
			stop()
		case <-pctx.Done():
		}
	}()
	fetches := l.client.PollRecords(pctx, l.MaxPollRecords)
	stop()
	<-watched
	return fetches
}

// step does all that one round asks for. Records are converted while those
// before them are put.
func (l *sinkLoop) step(ctx context.Context, fetches kgo.Fetches) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failed != nil {
		return l.failed
	}
	for _, e := range fetches.Errors() {
		if errors.Is(e.Err, context.DeadlineExceeded) || errors.Is(e.Err, context.Canceled) {
			continue
		}
		return fmt.Errorf("consume topic %s, partition %d: %w", e.Topic, e.Partition, e.Err)
	}
	if l.blocked || !l.next.empty() {
		// Everything is paused while records wait, so nothing was fetched but
		// what was already buffered before; that is asked for again.
		l.refetch(fetches)
	} else if err := l.convert(ctx, fetches); err != nil {
		return err
	}
	if err := l.settle(ctx); err != nil {
		return err
	}
	l.noteActive()
	if now := time.Now(); !now.Before(l.commitAt) {
		l.commitAt = now.Add(l.CommitInterval)
		l.commit(ctx, l.current)
	}
	l.launch(ctx)
	return nil
}

// noteActive keeps how many records were handed over and are not committed.
func (l *sinkLoop) noteActive() {
	var n int64
	for tp, current := range l.current {
		if from := l.owned[tp]; from >= 0 && current > from {
			n += current - from
		}
	}
	l.Stats.active.Store(n)
}

// refetch rewinds the client to before the records of fetches.
func (l *sinkLoop) refetch(fetches kgo.Fetches) {
	back := map[string]map[int32]kgo.EpochOffset{}
	fetches.EachPartition(func(p kgo.FetchTopicPartition) {
		if len(p.Records) == 0 {
			return
		}
		if back[p.Topic] == nil {
			back[p.Topic] = map[int32]kgo.EpochOffset{}
		}
		r := p.Records[0]
		back[p.Topic][p.Partition] = kgo.EpochOffset{Epoch: r.LeaderEpoch, Offset: r.Offset}
	})
	if len(back) > 0 {
		l.client.SetOffsets(back)
	}
}

// convert turns fetched records into Connect's. Those that fail and are
// tolerated count as delivered.
func (l *sinkLoop) convert(ctx context.Context, fetches kgo.Fetches) error {
	n := fetches.NumRecords()
	if n == 0 {
		return nil
	}
	l.next, l.spare, l.given = l.spare.again(), parcel{}, nil // given may be in that memory
	l.Stats.read(n)
	l.noteLag(fetches)
	var last TopicPartition // fetched records come by partition
	var r *kgo.Record
	var out *data.Record
	fromLog := func() error { return l.Convert.FromLog(ctx, r, out) }
	for it := fetches.RecordIter(); !it.Done(); {
		r = it.Next()
		if tp := (TopicPartition{r.Topic, r.Partition}); tp != last {
			if last = tp; l.owned[tp] < 0 {
				l.owned[tp] = r.Offset
			}
			l.touch(r.Topic)
		}
		l.next.consumed = append(l.next.consumed, r)
		l.next.records = append(l.next.records, data.Record{})
		out = &l.next.records[len(l.next.records)-1]
		keep := false
		err := l.Policy.retry(ctx, l.Stats, fromLog)
		if err == nil {
			keep, err = transformed(l.Chain, out, Coordinates{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset})
		}
		if err != nil {
			if err := l.tolerate(ctx, err, l.next.consumed); err != nil {
				return err
			}
		}
		if !keep {
			l.next.records = l.next.records[:len(l.next.records)-1]
		}
	}
	fetches.EachPartition(func(p kgo.FetchTopicPartition) {
		if n := len(p.Records); n > 0 {
			l.next.ends[TopicPartition{p.Topic, p.Partition}] = p.Records[n-1].Offset + 1
		}
	})
	return nil
}

// tolerate counts, logs and sets aside a record that failed, and forgives it if
// the policy lets it. Kafka Connect sets aside the record that it does not
// forgive as well; here that one is read again when the task is started again,
// and would be set aside each time.
func (l *sinkLoop) tolerate(ctx context.Context, err error, consumed []*kgo.Record) error {
	l.Stats.failed()
	var failure *RecordError
	if ctx.Err() != nil || !errors.As(err, &failure) {
		return err
	}
	if l.Policy.Log {
		l.Stats.wasLogged()
		attrs := []any{"stage", failure.Stage, "err", failure.Err}
		if l.Policy.LogRecords {
			attrs = append(attrs, "record", failure.Record.String())
		}
		l.Logger.Error("error encountered in task", attrs...)
	}
	if !l.Policy.Tolerate {
		return err
	}
	if err := l.setAside(ctx, failure, consumed); err != nil {
		return err
	}
	l.Stats.skipped()
	return nil
}

// setAside gives a record to the dead letter queue, if there is one.
func (l *sinkLoop) setAside(ctx context.Context, failure *RecordError, consumed []*kgo.Record) error {
	if l.DeadLetters == nil {
		return nil
	}
	for _, r := range consumed {
		if w := failure.Record; r.Offset == w.Offset && r.Partition == w.Partition && r.Topic == w.Topic {
			if err := l.Stats.deadLettered(l.DeadLetters(ctx, r, failure)); err != nil {
				return fmt.Errorf("dead letter queue: %w", err)
			}
			return nil
		}
	}
	return fmt.Errorf("dead letter queue: the task named %s, which was not put into it last", failure.Record)
}

// noteLag keeps how far the partition furthest behind is behind. Those that
// nothing was fetched of keep what was noted last.
func (l *sinkLoop) noteLag(fetches kgo.Fetches) {
	fetches.EachPartition(func(p kgo.FetchTopicPartition) {
		if n := len(p.Records); n > 0 {
			l.behind[TopicPartition{p.Topic, p.Partition}] = max(p.HighWatermark-p.Records[n-1].Offset-1, 0)
		}
	})
	var most int64
	for _, lag := range l.behind {
		most = max(most, lag)
	}
	l.Stats.lag.Store(most)
}

func (l *sinkLoop) touch(topic string) {
	if !l.touched[topic] {
		l.touched[topic] = true
		l.Touched(topic)
	}
}

func (l *sinkLoop) advance(topic string, partition int32, offset int64) {
	l.current[TopicPartition{topic, partition}] = offset + 1
}
