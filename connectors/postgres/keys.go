package postgres

import (
	"github.com/millrace/millrace/plugins/configdef"
	"github.com/millrace/millrace/plugins/sdk"
)

// The reasons why keys of Debezium's connector have no other value than their
// default here.
const (
	noJava   = "Java classes cannot run here: remove the key"
	noCustom = "of the snapshot modes all are supported but custom, which is a Java class"
)

func str(name string, def any, doc string) sdk.Key {
	return sdk.Key{Name: name, Type: sdk.String, Default: def, Doc: doc}
}

func choice(name, def, doc string, choices ...string) sdk.Key {
	return sdk.Key{Name: name, Type: sdk.String, Default: def, Doc: doc, Rules: []configdef.Rule{configdef.OneOfFold(choices...)}}
}

func num(name string, t configdef.Type, def int, doc string) sdk.Key {
	return sdk.Key{Name: name, Type: t, Default: def, Doc: doc, Rules: []configdef.Rule{configdef.AtLeast(0)}}
}

func truth(name string, def bool, doc string) sdk.Key {
	return sdk.Key{Name: name, Type: sdk.Boolean, Default: def, Doc: doc}
}

func list(name, doc string, aliases ...string) sdk.Key {
	return sdk.Key{Name: name, Type: sdk.List, Default: "", Doc: doc, Aliases: aliases}
}

func refused(name string, def any, why string) sdk.Key {
	return sdk.Key{Name: name, Type: sdk.String, Default: def, Unsupported: why, Importance: configdef.Low, Doc: "Not supported: " + why}
}

func ignored(names ...string) []sdk.Key {
	out := make([]sdk.Key, len(names))
	for i, n := range names {
		out[i] = sdk.Key{Name: n, Type: sdk.String, Importance: configdef.Low, Doc: "Accepted and has no effect: nothing here needs it."}
	}
	return out
}

func listOf(name, def, doc string, choices ...string) sdk.Key {
	return sdk.Key{Name: name, Type: sdk.List, Default: def, Doc: doc, Rules: []configdef.Rule{configdef.OneOf(choices...)}}
}

func required(k sdk.Key) sdk.Key {
	k.Required, k.Default, k.Importance = true, nil, configdef.High
	return k
}

// alias gives a key other names, such as those that internal keys have.
func alias(k sdk.Key, names ...string) sdk.Key {
	k.Aliases = append(k.Aliases, names...)
	return k
}

// opening has a key bring about others: see configdef.Key.
func opening(k sdk.Key, patterns ...string) sdk.Key {
	k.Opens = append(k.Opens, patterns...)
	return k
}

func with(k sdk.Key, rules ...configdef.Rule) sdk.Key {
	k.Rules = append(k.Rules, rules...)
	return k
}

// configDef is the table of keys. The names are those of Debezium's connector.
func configDef() sdk.ConfigDef {
	def := append(connectionKeys(), slotKeys()...)
	def = append(def, captureKeys()...)
	def = append(def, representationKeys()...)
	def = append(def, topicKeys()...)
	def = append(def, signalKeys()...)
	def = append(def, snapshotKeys()...)
	return append(def, ignoredKeys()...)
}

func connectionKeys() []sdk.Key {
	return []sdk.Key{
		with(required(str("database.hostname", nil, "Host of the server, or several separated by commas.")), configdef.NonEmpty()),
		num("database.port", sdk.Int, 5432, "Port of the server."),
		with(required(str("database.user", nil, "User with the attributes LOGIN and REPLICATION who may read the tables.")), configdef.NonEmpty()),
		{Name: "database.password", Type: sdk.Password, Default: "", Importance: configdef.High, Doc: "Password of the user."},
		with(required(str("database.dbname", nil, "Database. A slot belongs to one.")), configdef.NonEmpty()),
		choice("database.sslmode", "prefer", "How TLS is used.", "disable", "allow", "prefer", "require", "verify-ca", "verify-full"),
		str("database.sslcert", "", "File with the client's certificate, PEM."),
		str("database.sslkey", "", "File with the client's key: PEM, or PKCS#8 in DER without a password, as the Java driver has it."),
		{Name: "database.sslpassword", Type: sdk.Password, Default: "", Doc: "Password of the client's key."},
		str("database.sslrootcert", "", "File with the certificates of authorities, PEM."),
		alias(str("database.options", "", "Options of the session, as libpq has them: -c name=value."), "driver.options"),
		alias(str("database.ApplicationName", "", "What connections are called in pg_stat_activity; millrace and the slot when empty."), "driver.ApplicationName"),
		alias(str("database.currentSchema", "", "Search path of connections."), "driver.currentSchema"),
		alias(num("database.connectTimeout", sdk.Int, 0, "Seconds that one connection may take to be made. 0 is the default of 30."), "driver.connectTimeout", "database.loginTimeout"),
		alias(choice("database.targetServerType", "any", "Which of several hosts is connected to.", "any", "primary", "master", "secondary", "slave", "preferSecondary", "preferSlave"), "driver.targetServerType"),
		truth("database.tcpKeepAlive", true, "Whether TCP probes idle connections."),
		str("database.initial.statements", "", "SQL to run on ordinary connections, separated by semicolons; two are one semicolon."),
		num("database.query.timeout.ms", sdk.Int, 600000, "How long a query of the catalog may take. 0 is for ever."),
		num("connection.validation.timeout.ms", sdk.Long, 60000, "How long the validation of a configuration may try to connect."),
		refused("database.connection.factory.class", nil, noJava),
	}
}

func slotKeys() []sdk.Key {
	return []sdk.Key{
		choice("plugin.name", "pgoutput", "Output plugin. Only pgoutput is used; the others mean it, with a warning.", "pgoutput", "decoderbufs", "wal2json",
			"wal2json_rds", "wal2json_streaming", "wal2json_rds_streaming"),
		with(str("slot.name", "debezium", "Replication slot, made when it is missing."), configdef.Matches(`[a-z0-9_]{1,63}`)),
		truth("slot.drop.on.stop", false, "Whether the slot is dropped when the task stops. Changes made until the next start are lost."),
		truth("slot.failover", false, "Whether a slot that is made is synchronised to standbys (PostgreSQL 17)."),
		str("slot.stream.params", "", "Further options of pgoutput: k=v;k=v."),
		{Name: "errors.max.retries", Type: sdk.Int, Default: -1, Rules: []configdef.Rule{configdef.AtLeast(-1)},
			Doc: "How often in a row a lost connection and the like is tried again before the task fails; -1 is without end."},
		num("snapshot.max.threads", sdk.Int, 1, "How many connections read tables, all in one snapshot of the database."),
		num("snapshot.max.threads.multiplier", sdk.Int, 1, "Into how many pieces for each connection a table is cut at least, unless that makes them smaller than 8 MiB."),
		num("slot.max.retries", sdk.Int, 6, "How often an active slot is tried again at start."),
		num("slot.retry.delay.ms", sdk.Long, 10000, "The wait between those tries."),
		alias(num("create.slot.command.timeout", sdk.Long, 90, "Seconds that making the slot may take: it waits for open transactions."), "internal.create.slot.command.timeout"),
		str("publication.name", "dbz_publication", "Publication of the captured tables."),
		choice("publication.autocreate.mode", "all_tables", "What is done about a missing publication.", "all_tables", "disabled", "filtered", "no_tables"),
		truth("publish.via.partition.root", false, "Whether changes of partitions appear as those of the partitioned table."),
		num("status.update.interval.ms", sdk.Int, 10000, "How often the server is told how far changes are stored."),
		choice("lsn.flush.mode", "connector_and_driver", "Whether the slot is confirmed.", "connector", "manual", "connector_and_driver"),
		truth("flush.lsn.source", true, "Old form of lsn.flush.mode; false is manual."),
		choice("offset.mismatch.strategy", "trust_offset", "What is done when slot and stored offset differ.",
			"no_validation", "trust_offset", "trust_slot", "trust_greater_lsn"),
		alias(truth("slot.seek.to.known.offset.on.start", false, "Old form of offset.mismatch.strategy; true is trust_offset."), "internal.slot.seek.to.known.offset.on.start"),
		num("retriable.restart.connector.wait.ms", sdk.Long, 10000, "The wait before a lost connection is made anew."),
		num("xmin.fetch.interval.ms", sdk.Long, 0, "How often the slot's catalog_xmin is read for source.xmin. 0 is never."),
		truth("read.only", false, "Whether nothing is written to the database: the publication has to be there, and incremental snapshots of an idle server wait until it sends its log."),
		str("replica.identity.autoset.values", "", "Replica identities to set at start: table:DEFAULT,table:FULL,table:NOTHING,table:INDEX name, each table a regular expression of schema.table."),
		list("message.prefix.include.list", "Prefixes of logical decoding messages to capture: regular expressions. All when empty."),
		list("message.prefix.exclude.list", "Prefixes of logical decoding messages not to capture."),
		choice("millrace.streaming", "off", "Whether large transactions are sent in pieces before they commit, and held in a file until then: off leaves them to the server's disk, parallel is for PostgreSQL 16. Not of Debezium.", "off", "on", "parallel"),
		str("millrace.spool.dir", "", "Directory of those files; the system's for temporary files when empty. Not of Debezium."),
		num("millrace.spool.max.bytes", sdk.Long, 16<<30, "Bytes that transactions under way may take there before the task fails. 0 is any number. Not of Debezium."),
		num("millrace.wal.warning.bytes", sdk.Long, 10<<30, "Bytes of the log that the slot may keep before a warning is logged. 0 is never. Not of Debezium."),
	}
}

func captureKeys() []sdk.Key {
	return []sdk.Key{
		list("schema.include.list", "Schemas to capture: regular expressions of the whole name.", "schema.whitelist"),
		list("schema.exclude.list", "Schemas not to capture.", "schema.blacklist"),
		list("table.include.list", "Tables to capture: regular expressions of schema.table.", "table.whitelist"),
		list("table.exclude.list", "Tables not to capture.", "table.blacklist"),
		opening(list("column.include.list", "Columns to capture: regular expressions of schema.table.column.", "column.whitelist"),
			"column.truncate.to.*.chars", "column.mask.with.*.chars", "column.mask.hash.*.with.salt.*"),
		list("column.exclude.list", "Columns not to capture. Keys keep their columns.", "column.blacklist"),
		str("message.key.columns", "", "Columns of keys: table:column,column;table:column."),
		truth("skip.messages.without.change", false, "Whether updates are dropped that change no captured column. Needs REPLICA IDENTITY FULL."),
		{Name: "skipped.operations", Type: sdk.List, Default: "t", Doc: "Operations to leave out: c, u, d, t, or none.", Rules: []configdef.Rule{configdef.OneOf("c", "u", "d", "t", "none")}},
		truth("tombstones.on.delete", true, "Whether a delete is followed by a tombstone."),
		truth("include.unknown.datatypes", false, "Whether columns of unknown types appear, as the bytes of their text."),
		list("column.propagate.source.type", "Columns whose fields tell type, length, scale and name in their schema: regular expressions of schema.table.column."),
		list("datatype.propagate.source.type", "Types whose columns do: regular expressions of schema.table.type."),
		opening(list("converters", "Names of custom converters. They are Java classes, and each is refused by its class."), "{}.*"),
		opening(list("post.processors", "Names of what changes events after they were made; NAME.type says what: "+reselectClass+
			" reads columns again, as NAME.reselect.columns.include.list, .exclude.list (of schema.table:column), NAME.reselect.unavailable.values, .null.values, .use.event.key and .error.handling.mode say."),
			"post.processors.{}.*", "{}.*"),
		num("guardrail.collections.max", sdk.Int, 0, "How many tables may be captured. 0 is any number."),
		choice("guardrail.collections.limit.action", "warn", "What is done if there are more.", "warn", "fail"),
	}
}

func representationKeys() []sdk.Key {
	return []sdk.Key{
		choice("decimal.handling.mode", "precise", "How numeric and money appear.", "precise", "double", "string"),
		choice("time.precision.mode", "adaptive", "How dates and times appear.", "adaptive", "adaptive_time_microseconds", "connect", "isostring", "microseconds", "nanoseconds", "structured"),
		choice("binary.handling.mode", "bytes", "How bytea appears.", "bytes", "base64", "base64-url-safe", "hex"),
		choice("hstore.handling.mode", "json", "How hstore appears.", "json", "map"),
		choice("interval.handling.mode", "numeric", "How intervals appear.", "numeric", "string"),
		num("money.fraction.digits", sdk.Short, 2, "Digits of money after the point."),
		str("unavailable.value.placeholder", "__debezium_unavailable_value", "What stands for a value that the server did not send; hex: before it means bytes."),
		choice("millrace.toast", "placeholder", "What is done about a value that the server did not send: placeholder, or reselect to read it from the table by its key, as it is by then. Not of Debezium.", "placeholder", "reselect"),
		choice("schema.name.adjustment.mode", "none", "How schema names are made fit for Avro.", "none", "avro", "avro_unicode"),
		choice("field.name.adjustment.mode", "none", "How field names are made fit for Avro.", "none", "avro", "avro_unicode"),
		choice("event.converting.failure.handling.mode", "warn", "What is done about a value that cannot be converted: warn and skip leave it out.", "fail", "warn", "skip"),
		{Name: "millrace.unknown.as.text", Type: sdk.Boolean, Default: false, Doc: "Whether columns of unknown types appear as text. Not of Debezium."},
		choice("event.processing.failure.handling.mode", "fail", "What is done about a change of which no event can be made: warn, skip and ignore leave it out, and the last two say nothing.", "fail", "warn", "skip", "ignore"),
	}
}

func topicKeys() []sdk.Key {
	prefix := with(required(str("topic.prefix", nil, "First part of all topic names, and the name of the source.")), configdef.Matches(`[A-Za-z0-9._-]+`))
	prefix.Aliases = []string{"database.server.name"}
	return []sdk.Key{
		prefix,
		with(str("topic.naming.strategy", "io.debezium.schema.SchemaTopicNamingStrategy", "How topics of tables are named. Default... leaves the schema out, ...Unicode... writes _uXXXX for other characters, ...Regex... lets tables share topics."),
			configdef.OneOf(strategyClasses()...)),
		str("topic.regex", "", "Matches the whole topic of a table that goes elsewhere, for the Regex strategies."),
		str("topic.replacement", "", "The topic that it goes to; $1 is the first group."),
		truth("topic.key.enforce.uniqueness", true, "Whether keys get a field that tells tables apart that share a topic."),
		str("topic.key.field.name", "__dbz__physicalTableIdentifier", "Name of that field."),
		str("topic.key.field.regex", "", "Matches the whole topic that the table would have of its own, to make the field's value of it."),
		str("topic.key.field.replacement", "", "The field's value; $1 is the first group."),
		with(str("topic.delimiter", ".", "What is between the parts of topic names."), configdef.Matches(`[A-Za-z0-9._-]+`)),
		str("topic.heartbeat.prefix", "__debezium-heartbeat", "First part of the heartbeat topic."),
		str("topic.heartbeat.name", "", "The whole name of the heartbeat topic."),
		str("topic.transaction", "transaction", "Last part of the transaction topic."),
		truth("provide.transaction.metadata", false, "Whether events tell their transaction, and transactions appear themselves."),
		num("heartbeat.interval.ms", sdk.Int, 0, "How often a heartbeat is sent. 0 is never."),
		str("heartbeat.action.query", "", "SQL to run at each heartbeat."),
		truth("extended.headers.enabled", false, "Whether records of rows have headers that name the connector, its task and its run. Debezium's default is true."),
		listOf("notification.enabled.channels", "", "Where the course of snapshots is told: sink, log.", "sink", "log"),
		str("notification.sink.topic.name", "", "Topic of notifications. The channel sink needs it."),
	}
}

func snapshotKeys() []sdk.Key {
	return []sdk.Key{
		{Name: "snapshot.mode", Type: sdk.String, Default: "initial", Check: checkSnapshotMode,
			Doc: "When tables are read as a whole: initial, initial_only, always, no_data (never), when_needed, configuration_based."},
		list("snapshot.include.collection.list", "Tables to read, of those captured. All when empty."),
		{Name: "snapshot.select.statement.overrides", Type: sdk.List, Default: "", Opens: []string{"snapshot.select.statement.overrides.{}"}, Doc: "Tables that are read by a statement of their own: the key with .schema.table behind it."},
		num("incremental.snapshot.chunk.size", sdk.Int, 1024, "Rows that an incremental snapshot reads at a time, at most."),
		truth("incremental.snapshot.allow.schema.changes", false, "Has no effect: tables may change their form while they are read."),
		choice("incremental.snapshot.watermarking.strategy", "insert_insert", "Has no effect: nothing is written to the signal table.", "insert_insert", "insert_delete"),
		truth("millrace.snapshot.added.tables", true, "Whether tables that are added to the lists of a running connector are read. Debezium streams their changes alone."),
		choice("snapshot.locking.mode", "none", "Whether tables are locked against changes of their form while they are read.", "none", "shared"),
		num("snapshot.lock.timeout.ms", sdk.Long, 10000, "How long a lock is waited for."),
		choice("snapshot.isolation.mode", "serializable", "Isolation of the reading transaction; with a new slot always repeatable_read, and no less otherwise.",
			"serializable", "repeatable_read", "read_committed", "read_uncommitted"),
		num("snapshot.delay.ms", sdk.Long, 0, "The wait before the snapshot."),
		num("streaming.delay.ms", sdk.Long, 0, "The wait between snapshot and streaming."),
		refused("snapshot.mode.custom.name", nil, noJava),
		refused("snapshot.locking.mode.custom.name", nil, noJava),
		refused("snapshot.query.mode", "select_all", noJava),
		refused("snapshot.query.mode.custom.name", nil, noJava),
		choice("snapshot.tables.order.by.row.count", "disabled", "Whether tables are read in the order of how many rows they have, as far as the server knows, and not of their names.",
			"disabled", "ascending", "descending"),
		truth("snapshot.mode.configuration.based.snapshot.data", false, "With configuration_based: whether tables are read at each start."),
		truth("snapshot.mode.configuration.based.start.stream", false, "With configuration_based: whether changes are read."),
		truth("snapshot.mode.configuration.based.snapshot.on.data.error", false, "With configuration_based: whether tables are read when the slot no longer has the stored position."),
		truth("snapshot.mode.configuration.based.snapshot.schema", false, "Has no effect: schemas are always known."),
		truth("snapshot.mode.configuration.based.snapshot.on.schema.error", false, "Has no effect: schemas are always known."),
	}
}

// strategyClasses are the naming strategies by their Java names.
func strategyClasses() []string {
	out := make([]string, len(namingStrategies))
	for i, n := range namingStrategies {
		out[i] = "io.debezium.schema." + n
	}
	return out
}

// ignoredKeys are Debezium's that say how its own machinery works.
func ignoredKeys() []sdk.Key {
	return ignored("database.sslfactory", "lsn.flush.timeout.ms", "lsn.flush.timeout.action", "table.ignore.builtin",
		"schema.refresh.mode", "include.schema.comments", "sourceinfo.struct.maker", "transaction.metadata.factory", "include.schema.changes", "topic.cache.size",
		"signal.kafka.poll.timeout.ms", "signal.emit.failure.max.retries", "signal.emit.failure.backoff.ms", "custom.metric.tags", "statistics.metrics.enabled",
		"advanced.metrics.enable", "custom.sanitize.pattern", "openlineage.integration.enabled", "openlineage.integration.config.file.path",
		"openlineage.integration.job.description", "openlineage.integration.job.tags", "openlineage.integration.job.owners",
		"snapshot.fetch.size", "max.batch.size", "max.queue.size", "max.queue.size.in.bytes",
		"poll.interval.ms", "poll.dispatch.interval.ms", "query.fetch.size", "queue.provider.type", "executor.shutdown.timeout.ms",
		"log.position.check.enable", "internal.log.position.check.enable", "internal.advanced.metrics.enable", "internal.snapshot.scan.all.columns.force", "legacy.snapshot.max.threads",
		"schema.history.internal.kafka.bootstrap.servers", "schema.history.internal.kafka.topic")
}
