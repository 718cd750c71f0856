package worker

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/connect/converter"
	"github.com/millrace/millrace/connect/task"
	"github.com/millrace/millrace/connect/transform"
)

// deadLetters is the queue of one sink task (KIP-298). A nil one takes nothing.
type deadLetters struct {
	client  *kgo.Client
	topic   string
	headers bool
	task    *taskRun
	classes map[task.Stage]string // executing class by stage
}

// openDeadLetters makes the task's queue, and its topic if need be; nil if the
// connector has none.
func (t *taskRun) openDeadLetters(ctx context.Context) (*deadLetters, error) {
	topic := t.settings["errors.deadletterqueue.topic.name"]
	if topic == "" {
		return nil, nil
	}
	settings, err := t.client(producers)
	if err != nil {
		return nil, err
	}
	opts := append([]kgo.Opt{kgo.ClientID(fmt.Sprintf("connector-dlq-producer-%s", t.id))}, settings.target.Opts(t.cfg.Open)...)
	client, err := kgo.NewClient(append(opts, settings.opts...)...)
	if err != nil {
		return nil, fmt.Errorf("dead letter queue: %w", err)
	}
	resp, err := kadm.NewClient(client).CreateTopic(ctx, 1, int16(intOf(t.settings, "errors.deadletterqueue.topic.replication.factor", -1)), nil, topic)
	if err == nil {
		err = resp.Err
	}
	if err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
		client.Close()
		return nil, fmt.Errorf("create the dead letter queue topic %s: %w", topic, err)
	}
	return &deadLetters{
		client: client, topic: topic, headers: t.settings["errors.deadletterqueue.context.headers.enable"] == "true", task: t,
		classes: map[task.Stage]string{
			task.StageKeyConverter:    t.converterClass(converter.Key),
			task.StageValueConverter:  t.converterClass(converter.Value),
			task.StageHeaderConverter: t.converterClass(converter.Header),
			task.StagePut:             "org.apache.kafka.connect.sink.SinkTask",
		},
	}, nil
}

func (t *taskRun) converterClass(side converter.Side) string {
	c := t.choose(side, t.settings)
	if class, ok := converter.Lookup(c.class); ok {
		return class.Name
	}
	return c.class
}

func (d *deadLetters) close() {
	if d != nil {
		d.client.Close()
	}
}

// sender returns what the loop calls, nil if there is no queue.
func (d *deadLetters) sender() func(context.Context, *kgo.Record, *task.RecordError) error {
	if d == nil {
		return nil
	}
	return d.send
}

// send writes a record as it was consumed and waits until that is durable.
// Differs from Kafka: it does wait, so that no offset is committed past a
// record that is nowhere.
func (d *deadLetters) send(ctx context.Context, consumed *kgo.Record, failure *task.RecordError) error {
	r := &kgo.Record{Topic: d.topic, Key: consumed.Key, Value: consumed.Value, Timestamp: consumed.Timestamp}
	r.Headers = append(r.Headers, consumed.Headers...)
	if d.headers {
		r.Headers = append(r.Headers, d.context(consumed, failure)...)
	}
	return d.client.ProduceSync(ctx, r).FirstErr()
}

// class is what was running when a record failed.
func (d *deadLetters) class(failure *task.RecordError) string {
	var t *transform.RecordError
	if errors.As(failure.Err, &t) {
		return t.Class
	}
	return d.classes[failure.Stage]
}

// context are the headers that say where and why a record failed, by Kafka
// Connect's names and in its order. The exception is named as Kafka Connect
// would name it, because people's alerts look for that.
func (d *deadLetters) context(consumed *kgo.Record, failure *task.RecordError) []kgo.RecordHeader {
	class := "org.apache.kafka.connect.errors.DataException"
	if failure.Stage == task.StagePut {
		class = "org.apache.kafka.connect.errors.ConnectException"
	}
	var out []kgo.RecordHeader
	for _, h := range [][2]string{
		{"topic", consumed.Topic},
		{"partition", strconv.Itoa(int(consumed.Partition))},
		{"offset", strconv.FormatInt(consumed.Offset, 10)},
		{"connector.name", d.task.id.Connector},
		{"task.id", strconv.Itoa(d.task.id.Task)},
		{"stage", string(failure.Stage)},
		{"class.name", d.class(failure)},
		{"exception.class.name", class},
		{"exception.message", failure.Err.Error()},
		{"exception.stacktrace", failure.Error()},
	} {
		out = append(out, kgo.RecordHeader{Key: "__connect.errors." + h[0], Value: []byte(h[1])})
	}
	return out
}
