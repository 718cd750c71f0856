package worker

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/connect/connector"
	"github.com/millrace/millrace/connect/task"
	"github.com/millrace/millrace/plugins/configdef"
	"github.com/millrace/millrace/plugins/host"
)

// ExactlyOnce is how a worker's source tasks write in transactions (KIP-618,
// exactly.once.source.support). The functions are called while tasks start.
type ExactlyOnce struct {
	// Enabled lets the sources that vouch for themselves write in transactions.
	// Differs from Kafka, where all sources do, and none by default.
	Enabled bool
	// Demanded says that the setting was given, not left to its default: a log
	// that does not let tasks write in transactions then fails them.
	Demanded bool
	// OffsetTopic is where Offsets writes.
	OffsetTopic string
	// Offsets returns the records that store a connector's source offsets.
	Offsets func(connector string, offsets map[string][]byte) ([]*kgo.Record, error)
	// Fence ends what earlier tasks of a connector may still be writing. It
	// waits until this worker knows its place in the group.
	Fence func(ctx context.Context, connector string) error
	// Confirm holds that a task with this config is still this worker's to run.
	Confirm func(ctx context.Context, id connector.TaskID, cfg connector.Config) error
}

// Transactions of a connector that sets no boundary: as long as this while
// records flow, which makes their cost small, and ended when the source has
// been quiet for a moment, so that nobody waits for a lone record.
const (
	transactionInterval = 100 * time.Millisecond
	transactionQuiet    = 5 * time.Millisecond
)

// transactionTimeout is after what time the log aborts a transaction by itself,
// unless the producer's transaction.timeout.ms says otherwise; Kafka's default.
const transactionTimeout = time.Minute

// notOnce returns why tasks of a source do not write in transactions, "" if
// they do.
func (w *Worker) notOnce(target host.Target, cfg connector.Config, s clientSettings) string {
	switch {
	case !w.cfg.ExactlyOnce.Enabled:
		return "this worker's exactly.once.source.support is not enabled"
	case !target.SaysExactlyOnce():
		return "the connector does not say that it can (its plugin lacks ExactlyOnce)"
	case cfg[prefixProducer+"bootstrap.servers"] != "" || w.cfg.Defaults[producers.name+"bootstrap.servers"] != "":
		return "its producer writes to other brokers than those that hold its offsets (bootstrap.servers)"
	case s.values["acks"] == "0" || s.values["acks"] == "1":
		return "its producer's acks is " + s.values["acks"] + " and would have to be all"
	case strings.EqualFold(s.values["enable.idempotence"], "false"):
		return "its producer's enable.idempotence is false"
	}
	return ""
}

// validateExactly checks the exactly-once keys of a source against what the
// worker and the connector can do. own is the connector's answer for this
// configuration.
func (w *Worker) validateExactly(b *infoBuilder, target host.Target, cfg connector.Config, own host.Validation) {
	s, problems := w.client(producers, cfg)
	if len(problems) > 0 {
		return // reported with the overrides
	}
	complain := func(key, format string, args ...any) {
		b.problem(cfg, configdef.Problem{Key: key, Text: fmt.Sprintf(format, args...)})
	}
	if strings.EqualFold(cfg["exactly.once.support"], "required") {
		why := w.notOnce(target, cfg, s)
		switch {
		case why != "":
		case !own.ExactlyOnceKnown:
			why = "the connector does not say whether it can with this configuration"
		case !own.ExactlyOnce:
			why = "the connector says that it cannot with this configuration"
		}
		if why != "" {
			complain("exactly.once.support", "exactly.once.support is required and the connector cannot deliver exactly once: %s", why)
		}
	}
	if byConnector(cfg) && !own.DefinesTransactions {
		complain("transaction.boundary", "The connector does not define transaction boundaries with this configuration; set transaction.boundary to poll or interval")
	}
	timeout := timeoutOf(s)
	if n, err := strconv.ParseInt(strings.TrimSpace(cfg["transaction.boundary.interval.ms"]), 10, 64); err == nil && n >= timeout.Milliseconds() {
		complain("transaction.boundary.interval.ms", "transaction.boundary.interval.ms is %d: it must be less than the producer's transaction.timeout.ms, %d, "+
			"after which the log aborts transactions", n, timeout.Milliseconds())
	}
}

// byConnector reports whether the connector says where transactions end.
func byConnector(cfg connector.Config) bool {
	return strings.EqualFold(cfg["transaction.boundary"], "connector")
}

func timeoutOf(s clientSettings) time.Duration {
	return time.Duration(intOf(s.values, "transaction.timeout.ms", int(transactionTimeout.Milliseconds()))) * time.Millisecond
}

// openProducer makes the producer of a source task, and with it the
// transactions that the task writes in, nil if it writes without.
func (t *taskRun) openProducer(ctx context.Context, target host.Target, s clientSettings, opts []kgo.Opt) (*kgo.Client, *task.Transactions, error) {
	if why := t.notOnce(target, t.settings, s); why != "" {
		t.log.Info("source delivers at least once", "why", why)
		return plainProducer(opts)
	}
	producer, err := t.takeOver(ctx, s, opts)
	if err == nil {
		return producer, t.transactions(producer), nil
	}
	required := t.cfg.ExactlyOnce.Demanded || strings.EqualFold(t.settings["exactly.once.support"], "required")
	if required || !refusesTransactions(err) {
		return nil, nil, err
	}
	t.log.Warn("source delivers at least once: the log does not let it write in transactions", "err", err)
	return plainProducer(opts)
}

func plainProducer(opts []kgo.Opt) (*kgo.Client, *task.Transactions, error) {
	producer, err := kgo.NewClient(opts...)
	if err != nil {
		return nil, nil, fmt.Errorf("producer: %w", err)
	}
	return producer, nil, nil
}

// refusesTransactions reports whether a log has no transactions, or none for
// this client, which no second try changes.
func refusesTransactions(err error) bool {
	return errors.Is(err, kerr.TransactionalIDAuthorizationFailed) || errors.Is(err, kerr.UnsupportedVersion)
}

// takeOver returns a producer that has the task's transactional id for itself:
// what any other had not committed is aborted when it returns, and the offsets
// that are then in the log are final.
func (t *taskRun) takeOver(ctx context.Context, s clientSettings, opts []kgo.Opt) (*kgo.Client, error) {
	once := t.cfg.ExactlyOnce
	if err := t.fence(ctx); err != nil {
		return nil, err
	}
	id := transactionalID(t.cfg.Group, t.id)
	producer, err := kgo.NewClient(append(opts, kgo.TransactionalID(id), kgo.TransactionTimeout(timeoutOf(s)))...)
	if err != nil {
		return nil, fmt.Errorf("producer: %w", err)
	}
	if _, _, err = producer.ProducerID(ctx); err != nil {
		err = fmt.Errorf("take over transactional id %s: %w%s", id, err, allowed(err))
	} else {
		// Between the two the task may have become another worker's, which must
		// not lose the id to this one for longer than a moment.
		if err = once.Confirm(ctx, t.id, t.raw); err != nil {
			err = fmt.Errorf("%w: %w", task.ErrTakenOver, err)
		}
	}
	if err != nil {
		producer.Close()
		return nil, err
	}
	return producer, nil
}

// How long the group's leader is asked to fence, which it refuses while the
// group divides its work anew.
const (
	fencePatience = 30 * time.Second
	fencePause    = 250 * time.Millisecond
)

// fence has the group's leader fence earlier tasks of the connector.
func (t *taskRun) fence(ctx context.Context) error {
	for deadline := time.Now().Add(fencePatience); ; {
		err := t.cfg.ExactlyOnce.Fence(ctx, t.id.Connector)
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) || !sleep(ctx, fencePause) {
			return fmt.Errorf("fence earlier tasks of connector %s: %w", t.id.Connector, err)
		}
	}
}

// allowed says what to do about a refused transactional id.
func allowed(err error) string {
	if errors.Is(err, kerr.TransactionalIDAuthorizationFailed) {
		return "; allow its principal Write and Describe on it, or set exactly.once.source.support to disabled"
	}
	return ""
}

// transactions returns how the task writes in transactions.
func (t *taskRun) transactions(producer *kgo.Client) *task.Transactions {
	once := t.cfg.ExactlyOnce
	tx := &task.Transactions{
		Producer: producer, OffsetTopic: once.OffsetTopic,
		ByConnector: byConnector(t.settings), EachPoll: strings.EqualFold(t.settings["transaction.boundary"], "poll"), Interval: transactionInterval, Quiet: transactionQuiet,
		Offsets: func(offsets map[string][]byte) ([]*kgo.Record, error) { return once.Offsets(t.id.Connector, offsets) },
	}
	if n, err := strconv.ParseInt(strings.TrimSpace(t.settings["transaction.boundary.interval.ms"]), 10, 64); err == nil {
		tx.Interval, tx.Quiet = time.Duration(n)*time.Millisecond, 0
	}
	return tx
}
