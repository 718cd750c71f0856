package postgres

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/millrace/millrace/connectors/postgres/channel"
	"github.com/millrace/millrace/plugins/sdk"
)

func signalKeys() []sdk.Key {
	return append([]sdk.Key{
		str("signal.data.collection", "", "Table whose inserted rows are signals: schema.table."),
		{Name: "signal.enabled.channels", Type: sdk.List, Default: "source", Check: checkChannels,
			Doc: "Where signals come from: source, the table of signal.data.collection; kafka, a topic; file."},
		num("signal.poll.interval.ms", sdk.Long, 5000, "How often signals are looked for in the topic and the file."),
		str("signal.kafka.topic", "", "Topic of signals; topic.prefix with -signal behind it when empty. Records whose key is topic.prefix are signals to this connector."),
		str("signal.kafka.bootstrap.servers", "", "Brokers that have it; those of the worker when empty. Settings of the connection are under signal.consumer."),
		str("signal.kafka.groupId", "kafka-signal", "Consumer group that shows how far signals were acted on, and where to begin with the first start."),
		str("signal.file", "file-signals.txt", "File whose lines are signals, on the machine that runs the task. It is emptied when they were acted on."),
	}, channel.Keys(consumerPrefix)...)
}

const consumerPrefix = "signal.consumer."

// checkChannels accepts the channels that there are.
func checkChannels(v any) error {
	names, _ := v.([]string)
	for _, n := range names {
		switch n {
		case "source", "kafka", "file":
		case "jmx":
			return errors.New("jmx is Java's: signals come by source, kafka and file")
		default:
			return fmt.Errorf("there is no channel %q: signals come by source, kafka and file", n)
		}
	}
	return nil
}

// signals reads what is about signals and notifications.
func (c *config) signals(p *parser) {
	c.filters = lists{
		p.raw("schema.include.list", "schema.whitelist"), p.raw("schema.exclude.list", "schema.blacklist"),
		p.raw("table.include.list", "table.whitelist"), p.raw("table.exclude.list", "table.blacklist"),
	}
	c.readAdded = p.cfg.Bool("millrace.snapshot.added.tables")
	c.chunkSize = max(p.cfg.Int("incremental.snapshot.chunk.size"), 1)
	enabled := p.cfg.List("signal.enabled.channels")
	if slices.Contains(enabled, "source") {
		if c.signalTable = p.cfg.String("signal.data.collection"); c.signalTable != "" && strings.Count(c.signalTable, ".") != 1 {
			p.bad("signal.data.collection", fmt.Errorf("%q is not of the form schema.table", c.signalTable))
		}
	}
	c.channels = channel.Config{Every: p.cfg.Millis("signal.poll.interval.ms")}
	if slices.Contains(enabled, "file") {
		c.channels.File = p.cfg.String("signal.file")
	}
	if slices.Contains(enabled, "kafka") {
		c.channels.Topic = c.topicOfSignals(p)
	}
	channels := p.cfg.List("notification.enabled.channels")
	c.notifySink, c.notifyLog = slices.Contains(channels, "sink"), slices.Contains(channels, "log")
	if c.notifyTopic = p.cfg.String("notification.sink.topic.name"); c.notifySink && c.notifyTopic == "" {
		p.bad("notification.sink.topic.name", errors.New("the channel sink is enabled: name its topic"))
	}
}

// topicOfSignals reads what is about the channel kafka.
func (c *config) topicOfSignals(p *parser) *channel.Topic {
	t := &channel.Topic{Name: p.cfg.String("signal.kafka.topic"), Key: c.prefix, Group: p.cfg.String("signal.kafka.groupId"), Consumer: p.cfg.WithPrefix(consumerPrefix)}
	if t.Name == "" {
		t.Name = c.prefix + "-signal"
	}
	if servers := p.cfg.String("signal.kafka.bootstrap.servers"); servers != "" && t.Consumer["bootstrap.servers"] == "" {
		t.Consumer["bootstrap.servers"] = servers
	}
	for _, problem := range t.Check() {
		p.problems = append(p.problems, sdk.Problem{Key: consumerPrefix + problem.Key, Text: problem.Text})
	}
	return t
}
