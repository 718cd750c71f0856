package s3

import (
	"context"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/millrace/millrace/connectors/objectfile/partition"
	"github.com/millrace/millrace/connectors/s3/upload"
	"github.com/millrace/millrace/plugins/data"
	"github.com/millrace/millrace/plugins/sdk"
)

// Sink is Confluent's S3 sink connector.
type Sink struct {
	now  func() time.Time                          // tests have clocks of their own
	wrap func(http.RoundTripper) http.RoundTripper // and faults
}

// ConfigDef defines the keys of Confluent's connector.
func (Sink) ConfigDef() sdk.ConfigDef {
	def := append(sinkKeys(), layoutKeys()...)
	return slices.Concat(def, storeKeys(), memoryKeys(), ignored)
}

// Validate checks keys against each other.
func (Sink) Validate(_ context.Context, cfg sdk.Config) []sdk.Problem {
	_, problems := newSinkConfig(cfg)
	return problems
}

// Open starts a task. The bucket must exist.
func (s Sink) Open(ctx context.Context, cfg sdk.Config, control sdk.Control) (sdk.SinkTask, error) {
	c, problems := newSinkConfig(cfg)
	if len(problems) > 0 {
		return nil, sdk.Fatal(problems[0])
	}
	c.explain(sdk.Logger(ctx), cfg)
	return s.start(ctx, c, cfg, control)
}

// start starts a task of either dialect.
func (s Sink) start(ctx context.Context, c *sinkConfig, cfg sdk.Config, control sdk.Control) (sdk.SinkTask, error) {
	log := sdk.Logger(ctx)
	st, err := openStore(ctx, c.store, s.wrap, log)
	if err != nil {
		return nil, err
	}
	st.tagsMustWork = c.tagsMustWork
	places, err := partition.New(c.partition)
	if err != nil {
		st.release()
		return nil, err
	}
	if c.schema == nil {
		c.schema = noSchemas
	}
	t := &task{
		cfg: c, control: control, log: log, store: st, places: places, now: s.now,
		pool:   upload.NewPool(st, upload.Config{PartSize: c.partSize, Memory: c.memory, Checksums: c.store.checksums}),
		schema: c.schema(), writers: make(map[sdk.TopicPartition]*writer), deadLetters: deadLetters(cfg),
	}
	if t.now == nil {
		t.now = time.Now
	}
	lean()
	t.life, t.end = context.WithCancel(context.WithoutCancel(ctx))
	return t, nil
}

// noSchemas is of files of lines, which have none.
func noSchemas() schemaFunc { return func(*data.Record) (*data.Schema, error) { return nil, nil } }

// leanHeap is how much garbage, in percent of what is in use, makes a collection
// worth while: most of what a sink's process has in use is the pool, which is no
// garbage, and at Go's 100 the process would take twice that.
const leanHeap = 12

// lean bounds the garbage of the process, which is this task's alone, unless
// GOGC is set.
func lean() {
	if before := debug.SetGCPercent(leanHeap); before != 100 {
		debug.SetGCPercent(before)
	}
}

// deadLetters reports whether the worker has a dead letter queue to put records
// in without failing the task.
func deadLetters(cfg sdk.Config) bool {
	topic, _ := cfg.Original("errors.deadletterqueue.topic.name")
	tolerance, _ := cfg.Original("errors.tolerance")
	return strings.TrimSpace(topic) != "" && strings.EqualFold(strings.TrimSpace(tolerance), "all")
}
