package worker

import (
	"fmt"
	"slices"

	"github.com/millrace/millrace/connect/connector"
	"github.com/millrace/millrace/plugins/catalog"
	"github.com/millrace/millrace/plugins/configdef"
)

// Groups of the connector keys, as Kafka Connect names them.
const (
	groupCommon     = "Common"
	groupTransforms = "Transforms"
	groupPredicates = "Predicates"
	groupErrors     = "Error Handling"
	groupTopics     = "Topic Creation"
	groupExactly    = "Exactly Once Support"
	groupOffsets    = "offsets.topic"
)

// Reasons why a key that Kafka Connect honours is refused here.
const (
	noOwnOffsets = "this version of Millrace keeps all source offsets in the worker's offset topic; remove the key"
)

// connectorKeys are the keys of every connector, with Kafka Connect's defaults
// (ConnectorConfig).
var connectorKeys = configdef.Def{
	{Name: "name", Type: configdef.String, Required: true, Rules: []configdef.Rule{configdef.PlainName()}, Importance: configdef.High,
		Group: groupCommon, Width: configdef.MediumWidth, DisplayName: "Connector name", Doc: "Name of the connector, unique in its cluster."},
	{Name: "connector.class", Type: configdef.String, Required: true, Importance: configdef.High, Group: groupCommon, Width: configdef.LongWidth,
		DisplayName: "Connector class", Doc: "Class of the connector: its full name, its simple name, or that without Connector at its end."},
	{Name: "connector.plugin.version", Type: configdef.String, Check: checkVersion, Group: groupCommon,
		DisplayName: "Connector version", Doc: "Version of the connector to run: one such as 1.2.3, or ranges such as [1.0,2.0) of which the newest that is here is taken. The newest of all if not given, or latest."},
	{Name: "tasks.max", Type: configdef.Int, Default: 1, Rules: []configdef.Rule{configdef.AtLeast(1)}, Importance: configdef.High,
		Group: groupCommon, Width: configdef.ShortWidth, DisplayName: "Tasks max", Doc: "The most tasks that the connector may be divided into."},
	{Name: "tasks.max.enforce", Type: configdef.Boolean, Default: true, Importance: configdef.Low, Group: groupCommon,
		Width: configdef.ShortWidth, DisplayName: "Enforce tasks max", Doc: "Whether a connector that asks for more tasks than tasks.max fails."},
	{Name: "key.converter", Type: configdef.Class, Importance: configdef.Low, Group: groupCommon, Width: configdef.ShortWidth,
		DisplayName: "Key converter class", Doc: "Converter of record keys. The worker's, with the worker's settings, if not given."},
	{Name: "key.converter.plugin.version", Type: configdef.String, Check: checkVersion, Importance: configdef.Low, Group: groupCommon,
		DisplayName: "Key converter version", Doc: "Version of the key converter that the connector names. Converters are built in: a version or range that does not hold Millrace's own is refused."},
	{Name: "value.converter", Type: configdef.Class, Importance: configdef.Low, Group: groupCommon, Width: configdef.ShortWidth,
		DisplayName: "Value converter class", Doc: "Converter of record values. The worker's, with the worker's settings, if not given."},
	{Name: "value.converter.plugin.version", Type: configdef.String, Check: checkVersion, Importance: configdef.Low, Group: groupCommon,
		DisplayName: "Value converter version", Doc: "Version of the value converter that the connector names. Converters are built in: a version or range that does not hold Millrace's own is refused."},
	{Name: "header.converter", Type: configdef.Class, Importance: configdef.Low, Group: groupCommon, Width: configdef.ShortWidth,
		DisplayName: "Header converter class", Doc: "Converter of header values. The worker's, with the worker's settings, if not given."},
	{Name: "header.converter.plugin.version", Type: configdef.String, Check: checkVersion, Importance: configdef.Low, Group: groupCommon,
		DisplayName: "Header converter version", Doc: "Version of the header converter that the connector names. Converters are built in: a version or range that does not hold Millrace's own is refused."},
	{Name: "transforms", Type: configdef.List, Default: "", Importance: configdef.Low, Group: groupTransforms,
		Width: configdef.LongWidth, DisplayName: "Transforms", Doc: "Names of the transforms that each record passes, in order."},
	{Name: "predicates", Type: configdef.List, Default: "", Importance: configdef.Low, Group: groupPredicates,
		Width: configdef.LongWidth, DisplayName: "Predicates", Doc: "Names of the predicates that transforms may be bound to."},
	{Name: "config.action.reload", Type: configdef.String, Default: "restart", Rules: []configdef.Rule{configdef.OneOf("none", "restart")},
		Importance: configdef.Low, Group: groupCommon, Width: configdef.MediumWidth, DisplayName: "Reload action",
		Doc: "What to do when a value from a config provider has expired. Those that exist give values that never do."},
	{Name: "errors.retry.timeout", Type: configdef.Long, Default: 0, Importance: configdef.Medium, Group: groupErrors, Width: configdef.MediumWidth,
		DisplayName: "Retry timeout for errors", Doc: "How long a failed conversion is tried again, in milliseconds. 0 is not at all, -1 without end."},
	{Name: "errors.retry.delay.max.ms", Type: configdef.Long, Default: 60000, Rules: []configdef.Rule{configdef.AtLeast(1)}, Importance: configdef.Medium,
		Group: groupErrors, Width: configdef.MediumWidth, DisplayName: "Maximum delay between retries",
		Doc: "The longest pause between two tries, in milliseconds. The first is 300 ms, and it doubles."},
	{Name: "errors.tolerance", Type: configdef.String, Default: "none", Rules: []configdef.Rule{configdef.OneOf("none", "all")}, Importance: configdef.Medium,
		Group: groupErrors, Width: configdef.ShortWidth, DisplayName: "Error tolerance",
		Doc: "none fails the task on the first bad record. all skips bad records, in a sink's put as well."},
	{Name: "errors.log.enable", Type: configdef.Boolean, Default: false, Importance: configdef.Medium, Group: groupErrors, Width: configdef.ShortWidth,
		DisplayName: "Log errors", Doc: "Whether each bad record is written to the log."},
	{Name: "errors.log.include.messages", Type: configdef.Boolean, Default: false, Importance: configdef.Medium, Group: groupErrors,
		Width: configdef.ShortWidth, DisplayName: "Log error details", Doc: "Whether the log says which record was bad."},
	{Name: "errors.restart", Type: configdef.Boolean, Default: true, Importance: configdef.Medium, Group: groupErrors, Width: configdef.ShortWidth,
		DisplayName: "Restart what failed", Doc: "Whether a failed connector or task is started again by itself, after pauses that grow to errors.restart.delay.max.ms. " +
			"Kafka Connect leaves it failed; false does too."},
	{Name: "errors.restart.delay.max.ms", Type: configdef.Long, Default: 60000, Rules: []configdef.Rule{configdef.AtLeast(100)}, Importance: configdef.Low,
		Group: groupErrors, Width: configdef.ShortWidth, DisplayName: "Maximum restart delay",
		Doc: "The longest pause before a failed task is started again, in milliseconds. The first is one second, and it doubles."},
	{Name: "errors.restart.crashes.max", Type: configdef.Int, Default: 10, Rules: []configdef.Rule{configdef.AtLeast(-1)}, Importance: configdef.Low,
		Group: groupErrors, Width: configdef.ShortWidth, DisplayName: "Maximum crashes",
		Doc: "After how many crashes of its process in a row, none of which got anything done, a task stays failed until somebody restarts it. -1 is never. Errors that the connector reports do not count."},
	{Name: "task.memory.max.bytes", Type: configdef.Long, Importance: configdef.Low, Group: groupCommon, Width: configdef.ShortWidth,
		DisplayName: "Task memory limit", Check: CheckMemoryLimit,
		Doc: "Resident memory in bytes at which the process of a task is killed; nine tenths of it is what Go's collector is told to keep to. 0 is no limit. The worker's task.memory.max.bytes if not given."},
}

// leastMemory is the least limit on a task's memory: a process without work
// comes close to it.
const leastMemory = 32 << 20

// CheckMemoryLimit checks a limit on the memory of tasks, in bytes.
func CheckMemoryLimit(v any) error {
	if n, ok := v.(int64); ok && n != 0 && n < leastMemory {
		return fmt.Errorf("must be 0, for no limit, or at least %d", leastMemory)
	}
	return nil
}

func checkVersion(v any) error {
	s, _ := v.(string)
	_, err := catalog.ParseRequirement(s)
	return err
}

// sourceKeys are the further keys of source connectors (SourceConnectorConfig).
var sourceKeys = configdef.Def{
	{Name: "topic.creation.groups", Type: configdef.List, Default: "", Importance: configdef.Low, Group: groupTopics, Width: configdef.LongWidth,
		DisplayName: "Topic creation groups", Doc: "Groups of topics with settings of their own for creation. The group default always exists."},
	{Name: "exactly.once.support", Type: configdef.String, Default: "requested", Rules: []configdef.Rule{configdef.OneOfFold("requested", "required")},
		Importance: configdef.Medium, Group: groupExactly, Width: configdef.ShortWidth, DisplayName: "Exactly once support",
		Doc: "requested writes in transactions where the worker, the connector and its client settings allow it. required refuses the configuration where they do not, or where the connector does not vouch for it."},
	{Name: "transaction.boundary", Type: configdef.String, Default: "interval", Rules: []configdef.Rule{configdef.OneOfFold("poll", "interval", "connector")},
		Importance: configdef.Medium, Group: groupExactly, Width: configdef.ShortWidth, DisplayName: "Transaction boundary",
		Doc: "Where transactions end: poll is after each batch of the connector, interval after a time that transaction.boundary.interval.ms sets, connector where the connector says so, which only some can. Kafka Connect's default is poll."},
	{Name: "transaction.boundary.interval.ms", Type: configdef.Long, Rules: []configdef.Rule{configdef.AtLeast(0)}, Importance: configdef.Low, Group: groupExactly,
		Width: configdef.ShortWidth, DisplayName: "Transaction boundary interval",
		Doc: "How long a transaction lasts, in milliseconds; less than transaction.timeout.ms of the producer. If not given, 100 while records flow, and a few milliseconds once they pause. Kafka Connect's default is offset.flush.interval.ms."},
	{Name: "offsets.storage.topic", Type: configdef.String, Unsupported: noOwnOffsets, Importance: configdef.Low, Group: groupOffsets,
		Width: configdef.LongWidth, DisplayName: "Offsets topic", Doc: "Topic for the connector's own offsets."},
}

// sinkKeys are the further keys of sink connectors (SinkConnectorConfig).
var sinkKeys = configdef.Def{
	{Name: "topics", Type: configdef.List, Default: "", Importance: configdef.High, Group: groupCommon, Width: configdef.LongWidth,
		DisplayName: "Topics", Doc: "Topics to read. Either this or topics.regex is needed."},
	{Name: "topics.regex", Type: configdef.String, Default: "", Importance: configdef.High, Group: groupCommon, Width: configdef.LongWidth,
		DisplayName: "Topics regex", Doc: "Expression that the whole name of a topic must match to be read, in the syntax that Go and RE2 share with Java.",
		Check: checkTopicRegex},
	{Name: "errors.deadletterqueue.topic.name", Type: configdef.String, Default: "", Importance: configdef.Medium,
		Group: groupErrors, Width: configdef.MediumWidth, DisplayName: "Dead letter queue topic",
		Doc: "Topic that takes bad records as they were consumed, when errors.tolerance is all. Empty drops them."},
	{Name: "errors.deadletterqueue.topic.replication.factor", Type: configdef.Short, Default: -1, Rules: []configdef.Rule{configdef.AtLeast(-1)}, Importance: configdef.Medium,
		Group: groupErrors, Width: configdef.MediumWidth, DisplayName: "Dead letter queue replication factor",
		Doc: "Copies of that topic if it must be created; -1 is the broker's default. Kafka Connect's default is 3."},
	{Name: "errors.deadletterqueue.context.headers.enable", Type: configdef.Boolean, Default: false, Importance: configdef.Medium,
		Group: groupErrors, Width: configdef.MediumWidth, DisplayName: "Dead letter queue headers", Doc: "Whether bad records carry headers __connect.errors.* that say where and why they failed."},
}

// frameworkKeys are the keys that the runtime itself reads of a connector of
// this kind.
func frameworkKeys(kind connector.Kind) configdef.Def {
	if kind == connector.Sink {
		return slices.Concat(connectorKeys, sinkKeys)
	}
	return slices.Concat(connectorKeys, sourceKeys)
}

// ConnectorKeys returns the keys that the runtime itself reads of a connector,
// for documentation.
func ConnectorKeys(kind connector.Kind) configdef.Def { return frameworkKeys(kind) }

// Prefixes of framework keys whose rest is free or belongs to another
// definition.
const (
	prefixKeyConverter    = "key.converter."
	prefixValueConverter  = "value.converter."
	prefixHeaderConverter = "header.converter."
	prefixTransform       = "transforms."
	prefixPredicate       = "predicates."
	prefixProducer        = "producer.override."
	prefixConsumer        = "consumer.override."
	prefixAdmin           = "admin.override."
	prefixTopicCreation   = "topic.creation."
)

var frameworkPrefixes = []string{
	prefixKeyConverter, prefixValueConverter, prefixHeaderConverter, prefixTransform, prefixPredicate,
	prefixProducer, prefixConsumer, prefixAdmin, prefixTopicCreation,
}
