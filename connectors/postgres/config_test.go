package postgres

import (
	"maps"
	"strings"
	"testing"

	"github.com/millrace/millrace/plugins/sdk"
)

// base properties, as published configurations have them.
func baseProps(more map[string]string) map[string]string {
	p := map[string]string{
		"connector.class": "io.debezium.connector.postgresql.PostgresConnector", "tasks.max": "1",
		"database.hostname": "db", "database.port": "5432", "database.user": "u", "database.password": "hunter2hunter2", "database.dbname": "app",
		"topic.prefix": "shop",
	}
	maps.Copy(p, more)
	for k, v := range p {
		if v == "-" {
			delete(p, k)
		}
	}
	return p
}

func check(props map[string]string) (*config, []sdk.Problem) {
	cfg, problems := Source{}.ConfigDef().Parse(props)
	if len(problems) > 0 {
		return nil, problems
	}
	return newConfig(cfg)
}

func TestConfigurations(t *testing.T) {
	if err := (Source{}).ConfigDef().Check(); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name    string
		props   map[string]string
		problem string // "" for none, else what it must say
	}{
		{"tutorial", map[string]string{"plugin.name": "pgoutput", "table.include.list": "public.orders"}, ""},
		{"before 2.0", map[string]string{"topic.prefix": "-", "database.server.name": "shop", "table.whitelist": "public.a", "schema.whitelist": "public",
			"database.history.kafka.topic": "h", "database.history.kafka.bootstrap.servers": "b"}, ""},
		{"both names", map[string]string{"database.server.name": "old"}, ""},
		{"other plugins", map[string]string{"plugin.name": "wal2json"}, ""},
		{"old modes", map[string]string{"snapshot.mode": "exported"}, ""},
		{"foreign keys", map[string]string{"database.server.id": "1", "database.serverTimezone": "UTC", "_comment": "x", "sanitize.field.names": "true"}, ""},
		{"its machinery", map[string]string{"max.batch.size": "2048", "poll.interval.ms": "100", "snapshot.fetch.size": "1", "snapshot.max.threads": "4", "include.schema.changes": "true"}, ""},
		{"defaults written out", map[string]string{"signal.enabled.channels": "source", "snapshot.max.threads": "1", "read.only": "false"}, ""},
		{"no prefix", map[string]string{"topic.prefix": "-"}, "topic.prefix"},
		{"slot name", map[string]string{"slot.name": "My-Slot"}, "slot.name"},
		{"signals", map[string]string{"signal.data.collection": "public.signals", "signal.enabled.channels": "source"}, ""},
		{"signal table without schema", map[string]string{"signal.data.collection": "signals"}, "schema.table"},
		{"signal channels", map[string]string{"signal.enabled.channels": "source,kafka,file", "signal.kafka.topic": "t", "signal.kafka.bootstrap.servers": "a:9092,b:9092",
			"signal.kafka.groupId": "g", "signal.kafka.poll.timeout.ms": "100", "signal.file": "f", "signal.poll.interval.ms": "10", "signal.consumer.isolation.level": "read_committed"}, ""},
		{"signals by JMX", map[string]string{"signal.enabled.channels": "jmx,source"}, "jmx is Java's"},
		{"signals by a class", map[string]string{"signal.enabled.channels": "http"}, `no channel "http"`},
		{"brokers of signals", map[string]string{"signal.enabled.channels": "kafka", "signal.kafka.bootstrap.servers": "a"}, "HOST:PORT"},
		{"consumer of signals", map[string]string{"signal.enabled.channels": "kafka", "signal.consumer.auto.offset.reset": "none"}, "signal.consumer.auto.offset.reset"},
		{"security of signals", map[string]string{"signal.enabled.channels": "kafka", "signal.consumer.security.protocol": "SASL_SSL", "signal.consumer.sasl.mechanism": "PLAIN",
			"signal.consumer.sasl.jaas.config": "x.PlainLoginModule required username=a password=hunter2;"}, "sasl.jaas.config"},
		{"notifications", map[string]string{"notification.enabled.channels": "sink"}, "name its topic"},
		{"naming class", map[string]string{"topic.naming.strategy": "com.example.Naming"}, "topic.naming.strategy"},
		{"naming regex missing", map[string]string{"topic.naming.strategy": "io.debezium.schema.SchemaRegexTopicNamingStrategy"}, "topic.regex"},
		{"naming regex unused", map[string]string{"topic.regex": "a", "topic.replacement": "b"}, "it belongs to"},
		{"converters", map[string]string{"converters": "isbn", "isbn.type": "com.example.Isbn"}, "isbn is com.example.Isbn"},
		{"converter without class", map[string]string{"converters": "isbn"}, "isbn.type is not set"},
		{"post-processor", map[string]string{"post.processors": "again", "again.type": reselectClass, "again.reselect.columns.include.list": "public.t:(a|b)",
			"again.reselect.unavailable.values": "true", "again.reselect.null.values": "FALSE", "again.reselect.use.event.key": "true", "again.reselect.error.handling.mode": "FAIL"}, ""},
		{"post-processor, newer form", map[string]string{"post.processors": "again", "post.processors.again.type": reselectClass}, ""},
		{"post-processor without class", map[string]string{"post.processors": "again"}, "post.processors.again.type is not set"},
		{"somebody's post-processor", map[string]string{"post.processors": "p", "p.type": "com.example.P"}, "com.example.P is a Java class"},
		{"post-processor's mode", map[string]string{"post.processors": "p", "p.type": reselectClass, "p.reselect.error.handling.mode": "ignore"}, "neither warn nor fail"},
		{"post-processor's truth", map[string]string{"post.processors": "p", "p.type": reselectClass, "p.reselect.null.values": "yes"}, "neither true nor false"},
		{"post-processor's cache", map[string]string{"post.processors": "p", "p.type": reselectClass, "p.reselect.cache.enabled": "true"}, "not kept"},
		{"post-processor's other key", map[string]string{"post.processors": "p", "p.type": reselectClass, "p.reselect.columns": "a"}, "it is no key of"},
		{"two post-processors", map[string]string{"post.processors": "p,q", "p.type": reselectClass, "q.type": reselectClass}, "one is enough"},
		{"internal keys", map[string]string{"internal.create.slot.command.timeout": "5", "internal.slot.seek.to.known.offset.on.start": "true", "include.schema.comments": "true",
			"guardrail.collections.max": "5", "guardrail.collections.limit.action": "fail", "event.processing.failure.handling.mode": "warn"}, ""},
		{"configured", map[string]string{"snapshot.mode": "configuration_based", "snapshot.mode.configuration.based.snapshot.data": "true"}, ""},
		{"configured to do nothing", map[string]string{"snapshot.mode": "configuration_based"}, "nothing to do"},
		{"isolation", map[string]string{"snapshot.isolation.mode": "read_committed", "snapshot.tables.order.by.row.count": "ascending"}, ""},
		{"custom snapshot", map[string]string{"snapshot.mode": "custom"}, "snapshot modes"},
		{"look-ahead", map[string]string{"table.include.list": "public.(?!a).*"}, "look-around"},
		{"both lists", map[string]string{"table.include.list": "a.b", "table.exclude.list": "a.c"}, "use one of the two"},
		{"key columns", map[string]string{"message.key.columns": "public.t"}, "table:column"},
		{"override", map[string]string{"snapshot.select.statement.overrides": "a.b"}, "is not set"},
		{"stream params", map[string]string{"slot.stream.params": "streaming=on"}, "decided by the connector"},
		{"structured times", map[string]string{"time.precision.mode": "structured"}, ""},
		{"no such times", map[string]string{"time.precision.mode": "coarse"}, "time.precision.mode"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, problems := check(baseProps(tt.props))
			var all []string
			for _, p := range problems {
				all = append(all, p.Error())
			}
			text := strings.Join(all, "; ")
			if (text == "") != (tt.problem == "") || !strings.Contains(text, tt.problem) {
				t.Errorf("problems are %q, want %q", text, tt.problem)
			}
			if strings.Contains(text, "hunter2") {
				t.Errorf("the password is in %q", text)
			}
		})
	}
}

func TestConfigurationMeans(t *testing.T) {
	c, problems := check(baseProps(map[string]string{
		"topic.prefix": "-", "database.server.name": "old", "table.whitelist": `public\.a{1\,2}, Public.B`, "skipped.operations": "none",
		"database.initial.statements": "SET a = 'x;;y'; SET b = 1;", "unavailable.value.placeholder": "hex:6162", "snapshot.mode": "never",
		"message.key.columns": "public.(x|y):a, b; z.t:c", "slot.stream.params": "origin=none",
	}))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	if c.prefix != "old" || c.placeholder != "ab" || c.snapshot != "no_data" || c.skipped != "" || c.heartbeatTopic != "__debezium-heartbeat.old" {
		t.Errorf("configuration is %+v", c)
	}
	if strings.Join(c.statements, "|") != "SET a = 'x;y'|SET b = 1" {
		t.Errorf("statements are %q", c.statements)
	}
	for table, want := range map[string]bool{"a": true, "aa": true, "aaa": false, "b": true, "c": false} {
		if c.captures("public", table) != want {
			t.Errorf("public.%s captured: %v", table, !want)
		}
	}
	if c.captures("pg_catalog", "a") || len(c.keys) != 2 || strings.Join(c.keys[0].columns, "|") != "a|b" {
		t.Errorf("keys are %v", c.keys)
	}
	if got := startCommand(c, 0x16B374D848, 13, false); got != `START_REPLICATION SLOT "debezium" LOGICAL 16/B374D848 (proto_version '1', publication_names '"dbz_publication"', origin 'none')` {
		t.Errorf("command is %s", got)
	}
}

// Keys without a definition of their own are not said to have no effect.
func TestKeysOfFamiliesAreKnown(t *testing.T) {
	props := baseProps(map[string]string{"column.mask.with.3.chars": "a.b.c", "column.mask.hash.v2.MD5.with.salt.x": "a.b.d", "column.truncate.to.5.chars": "a.b.e",
		"snapshot.select.statement.overrides": "a.b", "snapshot.select.statement.overrides.a.b": "SELECT 1", "post.processors": "again", "again.type": reselectClass,
		"again.reselect.null.values": "false", "signal.consumer.security.protocol": "PLAINTEXT", "again2.type": "x"})
	for _, framework := range []string{"connector.class", "tasks.max"} {
		delete(props, framework)
	}
	if w := (Source{}).ConfigDef().Warnings(props); len(w) != 1 || w[0].Key != "again2.type" {
		t.Errorf("warnings are %v", w)
	}
}

func TestAlterOffsets(t *testing.T) {
	for _, tt := range []struct {
		partition map[string]any
		offset    sdk.Offset
		ok        bool
	}{
		{map[string]any{"server": "shop"}, sdk.Offset{"lsn": int64(5)}, true},
		{map[string]any{"server": "shop"}, nil, true},
		{map[string]any{"file": "x"}, nil, false},
		{map[string]any{"server": "shop"}, sdk.Offset{"lsn": "5"}, false},
	} {
		cfg, _ := Source{}.ConfigDef().Parse(baseProps(nil))
		if ok, err := (Source{}).AlterOffsets(t.Context(), cfg, []sdk.Position{{Partition: tt.partition, Offset: tt.offset}}); ok != tt.ok || (err == nil) != tt.ok {
			t.Errorf("%v %v: %v, %v", tt.partition, tt.offset, ok, err)
		}
	}
}
