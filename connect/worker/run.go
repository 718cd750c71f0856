package worker

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/connect/connector"
	"github.com/millrace/millrace/connect/task"
	"github.com/millrace/millrace/connect/transform"
	"github.com/millrace/millrace/plugins/catalog"
	"github.com/millrace/millrace/plugins/configdef"
	"github.com/millrace/millrace/plugins/host"
)

// RunTask runs a task until ctx ends, and again when it fails.
func (w *Worker) RunTask(ctx context.Context, id connector.TaskID, settings, cfg connector.Config,
	pause *connector.Switch, report func(connector.State, string, *connector.Progress),
) {
	r := &running{id: id, sink: w.Kind(settings) == connector.Sink}
	w.mu.Lock()
	w.tasks[id] = r
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		delete(w.tasks, id)
		w.mu.Unlock()
	}()
	tell := func(s connector.State, trace string) {
		r.states.enter(time.Now(), s)
		report(s, trace, r.progress(s))
	}
	t := &taskRun{
		Worker: w, running: r, settings: settings, config: cfg, raw: cfg, pause: pause,
		log: w.cfg.Logger.With("connector", id.Connector, "task", id.Task), tell: tell,
	}
	policy := restartPolicyOf(settings)
	policy.progress = func() int64 { return r.stats.Counts().Commits }
	supervise(ctx, policy, t.log, tell, func() { r.restarts.Add(1) }, t.life)
}

// life is one life of the task, with the values that its variables have now.
func (t *taskRun) life(ctx context.Context) error {
	t.refresh(ctx)
	now := *t
	var err error
	if now.settings, err = t.cfg.Providers.Resolve(t.settings); err != nil {
		return err
	}
	if now.config, err = t.cfg.Providers.Resolve(t.config); err != nil {
		return err
	}
	var ended func(error)
	now.started, ended = t.taskStarts.begin()
	err = withOutput(now.once(ctx))
	ended(err)
	t.stats.Reset()
	if err != nil {
		return t.hide(t.config, t.hide(t.settings, err))
	}
	return nil
}

// taskRun is what one task needs for each of its lives.
type taskRun struct {
	*Worker
	*running
	settings, config connector.Config
	raw              connector.Config // config with its variables
	pause            *connector.Switch
	log              *slog.Logger
	tell             func(connector.State, string)
	started          func() // the life has come as far as to run
}

// up reports the state that the task is in now that it works.
func (t *taskRun) up() {
	t.started()
	if paused, _ := t.pause.Get(); !paused {
		t.tell(connector.Running, "")
	}
}

func (t *taskRun) report(s connector.State) { t.tell(s, "") }

// once runs the task until ctx ends or it fails.
func (t *taskRun) once(ctx context.Context) error {
	target, err := t.resolve(t.settings)
	if err != nil {
		return err
	}
	converters, err := t.converters(t.settings)
	if err != nil {
		return err
	}
	chain, err := transform.New(t.settings, t.transformOptions(target.Plugin.Kind, t.log))
	if err != nil {
		return err
	}
	if target.Plugin.Kind == catalog.Sink {
		return t.sinkOnce(ctx, target, converters, chain)
	}
	return t.sourceOnce(ctx, target, converters, chain)
}

func (t *taskRun) policy() task.Policy {
	c, _ := connectorKeys.Parse(t.settings) // validated before it was stored
	p := task.Policy{
		RetryTimeout:  c.Millis("errors.retry.timeout"),
		RetryDelayMax: c.Millis("errors.retry.delay.max.ms"),
		Tolerate:      c.String("errors.tolerance") == "all",
		Log:           c.Bool("errors.log.enable"),
		LogRecords:    c.Bool("errors.log.include.messages"),
	}
	if !c.Given("errors.retry.timeout") {
		p.RetryTimeout = -1 // what will pass is waited for, unless the user sets a bound
	}
	return p
}

// memoryLimit is the limit on the memory of the task's process, in bytes, 0 for
// none.
func (t *taskRun) memoryLimit() int64 {
	c, _ := connectorKeys.Parse(t.settings) // validated before it was stored
	if c.Given("task.memory.max.bytes") {
		return c.Int64("task.memory.max.bytes")
	}
	return t.cfg.TaskMemory
}

func (t *taskRun) touched(topic string) {
	if t.cfg.Touched != nil {
		t.cfg.Touched(t.id, topic)
	}
}

// client turns the worker's and the connector's client properties into
// options.
func (t *taskRun) client(kind clientKind) (clientSettings, error) {
	s, problems := t.Worker.client(kind, t.settings)
	if len(problems) > 0 {
		return s, problems[0]
	}
	return s, nil
}

func (t *taskRun) sourceOnce(ctx context.Context, target host.Target, converters task.Converters, chain *transform.Chain) error {
	settings, err := t.client(producers)
	if err != nil {
		return err
	}
	opts := append([]kgo.Opt{
		kgo.ClientID(fmt.Sprintf("connector-producer-%s", t.id)),
		kgo.RecordPartitioner(newPartitioner()),
		kgo.MaxBufferedRecords(maxBufferedRecords), kgo.MaxBufferedBytes(maxBufferedBytes),
		kgo.ProducerLinger(0),
		kgo.UnknownTopicRetries(unknownTopicRetries),
	}, settings.target.Opts(t.cfg.Open)...)
	opts = append(opts, settings.opts...)
	rules := topicRules{}
	if t.cfg.CreateTopics {
		var problems []configdef.Problem
		if rules, problems = parseTopicRules(t.settings); len(problems) > 0 {
			return problems[0]
		}
	}
	if !rules.active {
		opts = append(opts, kgo.AllowAutoTopicCreation())
	}
	producer, transactions, err := t.openProducer(ctx, target, settings, opts)
	if err != nil {
		return err
	}
	defer producer.Close()
	src, err := t.cfg.Host.OpenSource(ctx, host.SourceSpec{
		Target: target, Config: t.config, Connector: t.id.Connector, Task: t.id.Task, MemoryLimit: t.memoryLimit(),
		DefinesTransactions: transactions != nil && transactions.ByConnector, Brokers: t.cfg.Brokers.Addresses(),
		Offsets: func(ctx context.Context, partitions [][]byte) ([][]byte, error) {
			return t.cfg.Offsets.Get(ctx, t.id.Connector, partitions...)
		},
		Retrying: func(err error) { t.log.Warn("task is retrying", "err", err) },
	})
	if err != nil {
		return err
	}
	t.setProcess(&taskProcess{src.Stats, target.Plugin.Version, t.memoryLimit()})
	defer t.setProcess(nil)
	t.up()
	defer t.follow(src.Progress)()
	runErr := task.RunSource(ctx, task.SourceConfig{
		ID: t.id, Source: src, Producer: producer, Chain: chain, Convert: converters, Offsets: sourceOffsets{t.cfg.Offsets, t.id.Connector},
		Topics: &topicCreator{rules: rules, admin: kadm.NewClient(producer)}, Touched: t.touched, Pause: t.pause, Report: t.report,
		Policy: t.policy(), Stats: &t.stats, Logger: t.log, CommitInterval: sourceCommitInterval, DrainTimeout: t.cfg.DrainTimeout,
		Transactions: transactions,
	})
	return t.closeProcess(ctx, runErr, src.Close)
}

// Bounds of a source task's producer, and the shortest time between two writes
// of source offsets.
const (
	maxBufferedRecords   = 100_000
	maxBufferedBytes     = 32 << 20
	unknownTopicRetries  = 10
	sourceCommitInterval = 100 * time.Millisecond
)

// sourceOffsets writes the offsets of one connector.
type sourceOffsets struct {
	store OffsetStore
	name  string
}

// PutOffsets implements task.OffsetWriter.
func (o sourceOffsets) PutOffsets(ctx context.Context, offsets map[string][]byte) error {
	return o.store.Put(ctx, o.name, offsets)
}

// closeProcess ends a task's process and decides what its life ended with. The
// process of a task that is fenced is killed: it may be writing to the system
// that it is connected to.
func (t *taskRun) closeProcess(ctx context.Context, runErr error, closeTask func(context.Context) error) error {
	grace := t.cfg.StopTimeout
	if connector.Fenced(ctx) {
		grace = 0
	}
	cctx, stop := context.WithTimeoutCause(context.WithoutCancel(ctx), grace,
		fmt.Errorf("it did not end within %s (task.shutdown.graceful.timeout.ms)", t.cfg.StopTimeout))
	defer stop()
	if err := closeTask(cctx); runErr == nil {
		return err
	}
	return runErr
}

func (t *taskRun) sinkOnce(ctx context.Context, target host.Target, converters task.Converters, chain *transform.Chain) error {
	settings, err := t.client(consumers)
	if err != nil {
		return err
	}
	subscribe, err := subscription(t.settings)
	if err != nil {
		return err
	}
	opts := append([]kgo.Opt{
		kgo.ClientID(fmt.Sprintf("connector-consumer-%s", t.id)),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		// Differs from Kafka, whose consumers also read what is aborted later.
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.MetadataMinAge(metadataMinAge), kgo.MetadataMaxAge(metadataMaxAge),
	}, settings.target.Opts(t.cfg.Open)...)
	opts = append(append(opts, subscribe...), settings.opts...)
	sink := newSinkProcess(ctx, t.cfg.StopTimeout, t.cfg.Open)
	sink.process, err = t.cfg.Host.OpenSink(ctx, host.SinkSpec{
		Target: target, Config: t.config, Connector: t.id.Connector, Task: t.id.Task, MemoryLimit: t.memoryLimit(), Events: sink.events(),
	})
	if err != nil {
		return err
	}
	t.setProcess(&taskProcess{sink.process.Stats, target.Plugin.Version, t.memoryLimit()})
	defer t.setProcess(nil)
	letters, err := t.openDeadLetters(ctx)
	if err != nil {
		return t.closeProcess(ctx, err, sink.process.Close)
	}
	defer letters.close()
	t.up()
	runErr := task.RunSink(ctx, task.SinkConfig{
		ID: t.id, Sink: sink, ClientOpts: opts, Group: sinkGroup(t.settings, t.id.Connector), Convert: converters, Chain: chain,
		Touched: t.touched, Pause: t.pause, Report: t.report, Policy: t.policy(), Stats: &t.stats, Logger: t.log,
		DeadLetters: letters.sender(), CommitInterval: t.cfg.CommitInterval, MaxPollRecords: intOf(settings.values, "max.poll.records", maxPollRecords),
	})
	return t.closeProcess(ctx, runErr, sink.process.Close)
}

// How often a sink looks for topics and partitions that are new. Kafka's
// consumers look every five minutes; a sink is often created before the topics
// that its source is about to make.
const (
	metadataMinAge = 250 * time.Millisecond
	metadataMaxAge = 2 * time.Second
)

// maxPollRecords bounds one put. Kafka's consumers have 500, which is a call
// for every 50 KB of small records.
const maxPollRecords = 5000

// subscription returns the options that say which topics a sink reads.
func subscription(settings connector.Config) ([]kgo.Opt, error) {
	if regex := settings["topics.regex"]; regex != "" {
		if _, err := compileTopicRegex(regex); err != nil {
			return nil, fmt.Errorf("topics.regex: %w", err)
		}
		return []kgo.Opt{kgo.ConsumeRegex(), kgo.ConsumeTopics(`^(?:` + regex + `)$`)}, nil
	}
	return []kgo.Opt{kgo.ConsumeTopics(splitNames(settings["topics"])...)}, nil
}
