package jdbc

import (
	"github.com/millrace/millrace/plugins/configdef"
	"github.com/millrace/millrace/plugins/sdk"
)

func str(name string, def any, doc string, aliases ...string) sdk.Key {
	return sdk.Key{Name: name, Type: sdk.String, Default: def, Doc: doc, Aliases: aliases}
}

func choice(name, def, doc string, choices ...string) sdk.Key {
	k := str(name, def, doc)
	k.Rules = []configdef.Rule{configdef.OneOfFold(choices...)}
	return k
}

func num(name string, def, least int, doc string) sdk.Key {
	return sdk.Key{Name: name, Type: sdk.Long, Default: def, Doc: doc, Rules: []configdef.Rule{configdef.AtLeast(float64(least)), configdef.AtMost(1 << 31)}}
}

func truth(name string, def bool, doc string) sdk.Key {
	return sdk.Key{Name: name, Type: sdk.Boolean, Default: def, Doc: doc}
}

func list(name, def, doc string) sdk.Key {
	return sdk.Key{Name: name, Type: sdk.List, Default: def, Doc: doc}
}

func refused(name string, def any, why string) sdk.Key {
	k := str(name, def, "Not supported: "+why)
	k.Unsupported, k.Importance = why, configdef.Low
	return k
}

func ignored(names ...string) []sdk.Key {
	out := make([]sdk.Key, len(names))
	for i, n := range names {
		out[i] = str(n, nil, "Accepted and has no effect: nothing here needs it.")
		out[i].Importance = configdef.Low
	}
	return out
}

const defaultOffsets = "millrace_sink_offsets"

// sharedKeys are the keys that both dialects have.
func sharedKeys(batch int) []sdk.Key {
	return []sdk.Key{
		{Name: "connection.url", Type: sdk.String, Required: true, Importance: configdef.High, Rules: []configdef.Rule{configdef.NonEmpty()},
			Doc: "Address of the database: jdbc:postgresql://host:port/database?parameters. Only PostgreSQL is written to."},
		{Name: "connection.password", Type: sdk.Password, Default: "", Importance: configdef.High, Doc: "Password of the user."},
		choice("insert.mode", "insert", "Whether rows are inserted, inserted or updated by key, or updated by key.", "insert", "upsert", "update"),
		num("batch.size", batch, 1, "Rows written in one transaction at most."),
		truth("delete.enabled", false, "Whether tombstones, and change events of deleted rows, delete by key."),
		truth("millrace.exactly.once", true, "Whether consumed offsets are stored in the target with the rows, so that each record is written once."),
		str("millrace.offset.table", defaultOffsets, "Table of those offsets, made when missing: name, or schema.name."),
	}
}

const (
	namingInJava   = "strategies in Java cannot run here: "
	defaultTables  = "io.debezium.sink.naming.DefaultCollectionNamingStrategy"
	defaultColumns = "io.debezium.sink.naming.DefaultColumnNamingStrategy"
)

func confluentKeys() sdk.ConfigDef {
	def := append(sharedKeys(3000),
		str("connection.user", "", "User who may write to the tables."),
		num("connection.attempts", 3, 1, "Attempts to connect before the task fails."),
		num("connection.backoff.ms", 10000, 0, "Wait between attempts, in milliseconds."),
		choice("dialect.name", "", "Only PostgreSqlDatabaseDialect.", "", "PostgreSqlDatabaseDialect"),
		str("table.name.format", "${topic}", "Table that a topic is written to; schema.table is split at the dot."),
		list("table.types", "TABLE", "Kinds of relations that are written to: TABLE, PARTITIONED TABLE, VIEW."),
		choice("pk.mode", "none", "Where the key columns come from.", "none", "kafka", "record_key", "record_value"),
		list("pk.fields", "", "Key columns; what they are depends on pk.mode."),
		list("fields.whitelist", "", "Fields of the value that are written; empty is all."),
		str("db.timezone", "UTC", "Zone of timestamps in columns without one."),
		choice("date.timezone", "DB_TIMEZONE", "Zone of dates: that of db.timezone, or UTC.", "DB_TIMEZONE", "UTC"),
		truth("replace.null.with.default", true, "Whether a null of a field with a default is written as the default."),
		truth("auto.create", false, "Whether missing tables are created."),
		truth("auto.evolve", false, "Whether missing columns are added."),
		choice("quote.sql.identifiers", "ALWAYS", "NEVER folds names to lower case.", "ALWAYS", "NEVER"),
		num("max.retries", 10, 0, "Repetitions of a write that failed for the time being, before the task fails."),
		num("retry.backoff.ms", 3000, 0, "Wait before a repetition, in milliseconds."),
		list("timestamp.fields.list", "", "Fields of the value, INT64 or STRING, that count from the epoch and are written as timestamps."),
		choice("timestamp.precision.mode", "microseconds", "What those fields count.", "microseconds", "nanoseconds"),
		choice("date.calendar.system", "LEGACY", "Has no effect: dates are of the proleptic Gregorian calendar, as PostgreSQL has it.", "LEGACY", "PROLEPTIC_GREGORIAN"),
		refused("string.output.value.column.name", "record_value", "values must be structs with a schema: use a HoistField transform"),
		refused("jdbc.credentials.provider.class", "io.confluent.connect.jdbc.util.DefaultJdbcCredentialsProvider", "other providers in Java cannot run here: give connection.user and connection.password, which may name a config provider's value"),
	)
	return append(def, ignored("trim.sensitive.log", "mssql.use.merge.holdlock")...)
}

func debeziumKeys() sdk.ConfigDef {
	def := append(sharedKeys(500),
		str("connection.username", "", "User who may write to the tables."),
		str("collection.name.format", "${topic}", "Table that a topic is written to. Dots of the topic become underscores; ${source.NAME} is a field of a change event's source.", "table.name.format"),
		choice("primary.key.mode", "none", "Where the key columns come from.", "none", "kafka", "record_key", "record_value", "record_header"),
		list("primary.key.fields", "", "Key columns; what they are depends on primary.key.mode."),
		list("field.include.list", "", "Fields that are written, as field or topic:field; empty is all."),
		list("field.exclude.list", "", "Fields that are not written, as field or topic:field."),
		str("use.time.zone", "UTC", "Zone of values with a zone in columns without one.", "database.time_zone"),
		choice("schema.evolution", "none", "basic creates missing tables and adds missing columns.", "none", "validate-only", "basic"),
		truth("quote.identifiers", false, "Whether names keep their case; otherwise they are folded to lower case."),
		truth("truncate.enabled", false, "Whether change events of TRUNCATE empty the table."),
		truth("use.reduction.buffer", false, "Of several upserts or deletes of one key in a batch the last is written; here that is always so."),
		num("flush.max.retries", 5, 0, "Repetitions of a write that failed for the time being, before the task fails."),
		num("flush.retry.delay.ms", 1000, 0, "Wait before a repetition, in milliseconds."),
		truth("connection.restart.on.errors", false, "Has no effect: a broken connection is always opened again."),
		str("dialect.postgres.postgis.schema", "public", "Schema of the PostGIS types of columns that are created."),
		choice("keyed.message.batch.mode", "deduplication", "deduplication writes of the records of a key in a batch the last; passthrough writes all, in order.", "deduplication", "passthrough"),
		refused("collection.table.format", "${table}", "use collection.name.format"),
		sdk.Key{Name: "collection.naming.strategy", Type: sdk.String, Default: defaultTables, Importance: configdef.Low, Aliases: []string{"table.naming.strategy"},
			Unsupported: namingInJava + "collection.name.format names the tables", Doc: "Only the default."},
		refused("column.naming.strategy", defaultColumns, namingInJava+"columns have the names of their fields; a ReplaceField transform renames them"),
		refused("cloud.events.schema.name.pattern", nil, "events in the form of CloudEvents are not unwrapped"),
	)
	return append(def, ignored("connection.provider", "connection.pool.min_size", "connection.pool.max_size", "connection.pool.acquire_increment", "connection.pool.timeout",
		"dialect.postgres.unnest.insert.enabled", "hibernate.dialect")...)
}
