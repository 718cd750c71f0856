package connect

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/millrace/millrace/connect/client"
	"github.com/millrace/millrace/connect/signature"
	"github.com/millrace/millrace/connect/worker"
	"github.com/millrace/millrace/plugins/configdef"
)

// workerKeys are the settings of a worker, under Kafka Connect's names. Where
// a default differs from Kafka Connect's, the text says so.
var workerKeys = append(configdef.Def{
	{Name: "bootstrap.servers", Type: configdef.List, Importance: configdef.High,
		Doc: "Brokers of the cluster to work with. The broker of this process, or those of --bootstrap-servers, if not given."},
	{Name: "plugin.path", Type: configdef.List, Default: "", Importance: configdef.Low,
		Doc: "Directories of third-party connector plugins, beside those of --plugin-path. Those that do not exist are warned of."},
	{Name: "group.id", Type: configdef.String, Default: "millrace-connect", Rules: []configdef.Rule{configdef.NonEmpty()}, Importance: configdef.High,
		Doc: "Name of the Connect cluster that this worker belongs to. Kafka Connect has no default."},
	{Name: "config.storage.topic", Type: configdef.String, Default: "connect-configs", Rules: []configdef.Rule{configdef.NonEmpty()}, Importance: configdef.High,
		Doc: "Topic of connector configs. Kafka Connect has no default."},
	{Name: "offset.storage.topic", Type: configdef.String, Default: "connect-offsets", Rules: []configdef.Rule{configdef.NonEmpty()}, Importance: configdef.High,
		Doc: "Topic of source offsets. Kafka Connect has no default."},
	{Name: "status.storage.topic", Type: configdef.String, Default: "connect-status", Rules: []configdef.Rule{configdef.NonEmpty()}, Importance: configdef.High,
		Doc: "Topic of statuses. Kafka Connect has no default."},
	{Name: "config.storage.replication.factor", Type: configdef.Short, Default: -1, Rules: []configdef.Rule{configdef.AtLeast(-1)}, Importance: configdef.Low,
		Doc: "Copies of the config topic if it must be created; -1 is the broker's default. Kafka Connect's default is 3."},
	{Name: "offset.storage.file.filename", Type: configdef.String, Default: "", Importance: configdef.High,
		Doc: "File of source offsets, for standalone workers only, which need it. It is in Kafka Connect's own format."},
	{Name: "offset.storage.replication.factor", Type: configdef.Short, Default: -1, Rules: []configdef.Rule{configdef.AtLeast(-1)}, Importance: configdef.Low,
		Doc: "Copies of the offset topic if it must be created; -1 is the broker's default. Kafka Connect's default is 3."},
	{Name: "status.storage.replication.factor", Type: configdef.Short, Default: -1, Rules: []configdef.Rule{configdef.AtLeast(-1)}, Importance: configdef.Low,
		Doc: "Copies of the status topic if it must be created; -1 is the broker's default. Kafka Connect's default is 3."},
	{Name: "offset.storage.partitions", Type: configdef.Int, Default: 25, Rules: []configdef.Rule{configdef.AtLeast(-1)}, Importance: configdef.Low,
		Doc: "Partitions of the offset topic if it must be created; -1 is the broker's default."},
	{Name: "status.storage.partitions", Type: configdef.Int, Default: 5, Rules: []configdef.Rule{configdef.AtLeast(-1)}, Importance: configdef.Low,
		Doc: "Partitions of the status topic if it must be created; -1 is the broker's default."},
	{Name: "key.converter", Type: configdef.Class, Default: "org.apache.kafka.connect.json.JsonConverter", Importance: configdef.High,
		Doc: "Converter of record keys for connectors that name none. Kafka Connect has no default."},
	{Name: "value.converter", Type: configdef.Class, Default: "org.apache.kafka.connect.json.JsonConverter", Importance: configdef.High,
		Doc: "Converter of record values for connectors that name none. Kafka Connect has no default."},
	{Name: "header.converter", Type: configdef.Class, Default: "org.apache.kafka.connect.storage.SimpleHeaderConverter", Importance: configdef.Low,
		Doc: "Converter of header values for connectors that name none."},
	{Name: "offset.flush.interval.ms", Type: configdef.Long, Default: 60000, Rules: []configdef.Rule{configdef.AtLeast(1)}, Importance: configdef.Low,
		Doc: "Time between two commits of a sink, in milliseconds. Sources store their offsets all the time, behind what is acknowledged."},
	{Name: "offset.flush.timeout.ms", Type: configdef.Long, Default: 5000, Rules: []configdef.Rule{configdef.AtLeast(1)}, Importance: configdef.Low,
		Doc: "How long a stopping source waits for the log to acknowledge what was sent, in milliseconds."},
	{Name: "task.shutdown.graceful.timeout.ms", Type: configdef.Long, Default: 5000, Rules: []configdef.Rule{configdef.AtLeast(1)}, Importance: configdef.Low,
		Doc: "How long a stopping task may take before its process is killed, in milliseconds."},
	{Name: "task.memory.max.bytes", Type: configdef.Long, Default: 0, Check: worker.CheckMemoryLimit, Importance: configdef.Low,
		Doc: "Resident memory in bytes at which the process of a task is killed, for connectors that do not set it. 0 is no limit."},
	{Name: "session.timeout.ms", Type: configdef.Int, Default: 10000, Rules: []configdef.Rule{configdef.AtLeast(100)}, Importance: configdef.High,
		Doc: "How long the group waits for a sign of life of a worker before others may have its work, in milliseconds. A worker that has had no answer for four fifths of it stops its work by itself."},
	{Name: "heartbeat.interval.ms", Type: configdef.Int, Default: 3000, Rules: []configdef.Rule{configdef.AtLeast(10)}, Importance: configdef.High,
		Doc: "Time between a worker's signs of life, in milliseconds. At most a third of session.timeout.ms."},
	{Name: "rebalance.timeout.ms", Type: configdef.Int, Default: 60000, Rules: []configdef.Rule{configdef.AtLeast(100)}, Importance: configdef.High,
		Doc: "How long the group waits for its workers to take part in a new division of the work, in milliseconds."},
	{Name: "scheduled.rebalance.max.delay.ms", Type: configdef.Int, Default: 30000, Rules: []configdef.Rule{configdef.AtLeast(0)}, Importance: configdef.Low,
		Doc: "How long the work of a worker that is gone waits for it to come back, in milliseconds. A worker that does gets its own work at once. 0 gives the work to others at once. Kafka Connect's default is 300000."},
	{Name: "connect.protocol", Type: configdef.String, Default: "sessioned", Rules: []configdef.Rule{configdef.OneOfFold("eager", "compatible", "sessioned")}, Importance: configdef.Low,
		Doc: "How workers share the work: sessioned moves only what it must and signs what workers tell each other, compatible does not sign, eager stops everything for each division. The group uses what all of its workers know."},
	{Name: "worker.sync.timeout.ms", Type: configdef.Int, Default: 3000, Rules: []configdef.Rule{configdef.AtLeast(1)}, Importance: configdef.Medium,
		Doc: "How long a worker that is behind may take to read the config topic, in milliseconds, before it tries again."},
	{Name: "worker.unsync.backoff.ms", Type: configdef.Int, Default: 300000, Rules: []configdef.Rule{configdef.AtLeast(1)}, Importance: configdef.Medium,
		Doc: "How long a worker that could not read the config topic as far as the others stays out of the group, in milliseconds."},
	{Name: "inter.worker.key.generation.algorithm", Type: configdef.String, Default: "HmacSHA256", Check: checkAlgorithm, Importance: configdef.Low,
		Doc: "Algorithm of the key by which workers sign requests to each other."},
	{Name: "inter.worker.key.size", Type: configdef.Int, Rules: []configdef.Rule{configdef.AtLeast(40), configdef.AtMost(8192)}, Importance: configdef.Low,
		Doc: "Size of that key in bits. The algorithm's own if not given."},
	{Name: "inter.worker.key.ttl.ms", Type: configdef.Int, Default: 3600000, Rules: []configdef.Rule{configdef.AtLeast(0)}, Importance: configdef.Low,
		Doc: "How long such a key is used, in milliseconds. 0 is for ever."},
	{Name: "inter.worker.signature.algorithm", Type: configdef.String, Default: "HmacSHA256", Check: checkAlgorithm, Importance: configdef.Low,
		Doc: "Algorithm by which this worker signs. It must be among inter.worker.verification.algorithms."},
	{Name: "inter.worker.verification.algorithms", Type: configdef.List, Default: "HmacSHA256", Check: checkAlgorithms, Importance: configdef.Low,
		Doc: "Algorithms that this worker accepts."},
	{Name: "rest.advertised.host.name", Type: configdef.String, Importance: configdef.Low,
		Doc: "Host by which statuses name this worker and other workers reach it, if not that of its address. An address of all interfaces is advertised as the machine's name."},
	{Name: "rest.advertised.port", Type: configdef.Int, Rules: []configdef.Rule{configdef.AtLeast(1), configdef.AtMost(65535)}, Importance: configdef.Low,
		Doc: "Port by which statuses name this worker and other workers reach it, if not that of its address."},
	{Name: "rest.advertised.listener", Type: configdef.String, Rules: []configdef.Rule{configdef.OneOfFold("http", "https")}, Importance: configdef.Low,
		Doc: "Scheme by which other workers reach this one. If not given, http where a listener speaks it, and https otherwise."},
	{Name: "ssl.client.auth", Type: configdef.String, Default: "none", Rules: []configdef.Rule{configdef.OneOfFold("none", "requested", "required")}, Importance: configdef.Low,
		Doc: "Whether those who connect to an https listener show a certificate, which ssl.truststore.* is held against."},
	{Name: "topic.creation.enable", Type: configdef.Boolean, Default: true, Importance: configdef.Low,
		Doc: "Whether the topic.creation keys of source connectors are heeded."},
	{Name: "topic.tracking.enable", Type: configdef.Boolean, Default: true, Importance: configdef.Low,
		Doc: "Whether the topics that connectors touch are recorded."},
	{Name: "topic.tracking.allow.reset", Type: configdef.Boolean, Default: true, Importance: configdef.Low,
		Doc: "Whether that record may be reset through the REST API."},
	{Name: "connector.client.config.override.policy", Type: configdef.String, Default: "All", Importance: configdef.Medium,
		Doc: "Which settings of their clients connectors may change with producer.override, consumer.override and admin.override: All, None, Principal (who they are), Allowlist."},
	{Name: "connector.client.config.override.allowlist", Type: configdef.List, Default: "", Importance: configdef.Medium, Doc: "Keys that Allowlist allows, without the prefix."},
	{Name: "client.id", Type: configdef.String, Default: "", Importance: configdef.Low, Doc: "Part of the names of the worker's own clients."},
	{Name: "exactly.once.source.support", Type: configdef.String, Default: "enabled", Rules: []configdef.Rule{configdef.OneOfFold("disabled", "preparing", "enabled")}, Importance: configdef.High,
		Doc: "Whether source tasks write their records and their offsets in one transaction. enabled does for all connectors that can, and falls back to at least once where the brokers refuse transactions and the key was not given; preparing and disabled do not. Kafka Connect's default is disabled."},
	{Name: "config.providers", Type: configdef.List, Default: "", Importance: configdef.Low,
		Doc: "Names of the config providers, each with config.providers.NAME.class and .param.KEY. FileConfigProvider, DirectoryConfigProvider and EnvVarConfigProvider exist."},
	{Name: "listeners", Type: configdef.List, Importance: configdef.Low,
		Doc: "Addresses of the REST API, of the form http://HOST:PORT or https://HOST:PORT. connect-addr, if it is set, takes the place of the first one's address. HTTPS goes by the ssl.* settings, or, if there is any, by those under listeners.https. alone."},
	{Name: "rest.port", Type: configdef.Int, Importance: configdef.Low, Doc: "Port of the REST API, where neither listeners nor connect-addr is set. Kafka Connect removed it."},
	{Name: "rest.host.name", Type: configdef.String, Importance: configdef.Low, Doc: "Host of rest.port. Kafka Connect removed it."},
	{Name: "access.control.allow.origin", Type: configdef.String, Default: "", Importance: configdef.Low,
		Doc: "Origins whose pages may use the REST API in a browser, separated by commas; * is all. Empty is none."},
	{Name: "access.control.allow.methods", Type: configdef.String, Default: "", Importance: configdef.Low,
		Doc: "Methods that they may use, separated by commas. Empty is GET, POST and HEAD."},
	{Name: "response.http.headers.config", Type: configdef.String, Default: "", Importance: configdef.Low,
		Doc: "Headers to add to the REST API's responses: ACTION NAME: VALUE, separated by commas, with an action of set, add, setDate or addDate. What holds a comma stands in double quotes."},
	{Name: "rest.extension.classes", Type: configdef.List, Default: "", Check: checkExtensions, Importance: configdef.Low,
		Doc: basicAuthExtension + " lets only known users use the REST API, by basic authentication; others are Java classes. /health and /metrics answer anybody."},
	{Name: "rest.basic.auth.file", Type: configdef.String, Default: "", Importance: configdef.Low,
		Doc: "File of the users of the REST API, properties of the form NAME=PASSWORD. If empty, the one that the section KafkaConnect of Java's login configuration names, where KAFKA_OPTS leads to one. It is read when the worker starts."},
}, client.Keys()...)

func checkExtensions(v any) error {
	names, _ := v.([]string)
	for _, n := range names {
		if n != "" && n != basicAuthExtension {
			return fmt.Errorf("%s is a Java class, which cannot run here: of the extensions %s is built in; remove the others", n, basicAuthExtension)
		}
	}
	return nil
}

func checkAlgorithm(v any) error {
	s, _ := v.(string)
	_, err := signature.KeyBytes(s, 0)
	return err
}

func checkAlgorithms(v any) error {
	names, _ := v.([]string)
	for _, n := range names {
		if err := checkAlgorithm(n); err != nil {
			return err
		}
	}
	return nil
}

// WorkerKeys returns the definition of a worker's settings, for documentation.
// The caller must not change it.
func WorkerKeys() configdef.Def { return workerKeys }

// workerPrefixes lead to keys whose rest is read elsewhere: by a converter, a
// client, or as the config of an internal topic.
var workerPrefixes = []string{
	"config.providers.", "key.converter.", "value.converter.", "header.converter.", "producer.", "consumer.", "admin.",
	"config.storage.", "offset.storage.", "status.storage.", "listeners.https.",
}

// idleKeys are settings that published configs of workers carry and that mean
// nothing here, with the reason. A dot at the end stands for all that begins
// so.
var idleKeys = map[string]string{
	"internal.key.converter":           "the internal topics have one format; Kafka Connect ignores it too",
	"internal.key.converter.":          "the internal topics have one format; Kafka Connect ignores it too",
	"internal.value.converter":         "the internal topics have one format; Kafka Connect ignores it too",
	"internal.value.converter.":        "the internal topics have one format; Kafka Connect ignores it too",
	"config.storage.partitions":        "the config topic has one partition",
	"rest.advertised.host.port":        "it is no key of Kafka Connect; did you mean rest.advertised.port?",
	"plugin.discovery":                 "plugins describe themselves when the worker starts",
	"offset.storage.file.filename":     "it is a key of standalone workers; offset.storage.topic is where a distributed one keeps offsets",
	"errors.":                          "it is a connector's key",
	"cleanup.policy":                   "it is no key of a worker; the internal topics are compacted",
	"topic.whitelist":                  "it is a key of Confluent Replicator",
	"replication.factor":               "it is no key of a worker; config.storage.replication.factor and the like are",
	"log4j.":                           "log-level and /admin/loggers set levels",
	"metric.reporters":                 "metrics are served at /metrics",
	"metrics.":                         "metrics are served at /metrics",
	"auto.include.jmx.reporter":        "metrics are served at /metrics",
	"rest.servlet.initializor.classes": "it is a Java class of Confluent's",
	"rest.auth.jmx.enabled":            "it is for Confluent's own components",
	"public.key.path":                  "it is for Confluent's own components",
	"oauthbearer.":                     "it is for Confluent's own components",
	"confluent.":                       "it is for Confluent's own components",
	"cub.":                             "it steers the start script of Confluent's image",
	"zookeeper.connect":                "Kafka Connect has no such key",
	"schema.registry.url":              "it is a converter's key: value.converter.schema.registry.url",
	"schema.registry.client.":          "it is a converter's key, under key.converter. or value.converter.",
	"topic.creation.":                  "topic.creation.enable is the worker's only key of these; the others are a connector's",
	"auto.create.topics.enable":        "it is a broker's key",
	"tasks.max":                        "it is a connector's key",
	"retry.backoff.max.ms":             "the worker's own clients pace themselves",
	"reconnect.backoff.ms":             "the worker's own clients pace themselves",
	"reconnect.backoff.max.ms":         "the worker's own clients pace themselves",
	"metadata.recovery.strategy":       "the worker's own clients fall back to bootstrap.servers",
	"client.dns.lookup":                "all addresses of a broker are tried",
	"heartbeats.storage.":              "it is a key of MirrorMaker",
	"checkpoints.storage.":             "it is a key of MirrorMaker",
	"offset-syncs.storage.":            "it is a key of MirrorMaker",
	"provenance.header.enable":         "it is a key of Confluent Replicator",
	"topic.auto.create":                "it is a key of Confluent Replicator",
	"topic.config.sync":                "it is a key of Confluent Replicator",
	"schema.registry.topic":            "it is a key of Confluent Replicator",
}

// distributedOnly reports whether a key is of the group and the topics that
// distributed workers have.
func distributedOnly(name string) bool {
	if name == "offset.storage.file.filename" {
		return false
	}
	return name == "group.id" || name == "scheduled.rebalance.max.delay.ms" ||
		slices.ContainsFunc([]string{"config.storage.", "offset.storage.", "status.storage.", "inter.worker."},
			func(p string) bool { return strings.HasPrefix(name, p) })
}

// unknownKeys refuses keys that the worker does not have, and warns of those
// that are set often and mean nothing here. Differs from Kafka Connect, which
// lets all pass in silence: what a worker ignores, its operator should not
// believe set.
func unknownKeys(props map[string]string, standalone bool) (problems, warnings []configdef.Problem) {
	if _, ok := props["clusters"]; ok {
		return []configdef.Problem{{Key: "clusters", Text: "clusters is set: these are settings of MirrorMaker, which Millrace has not; " +
			"a worker has bootstrap.servers, group.id and the like"}}, nil
	}
	for _, name := range slices.Sorted(maps.Keys(props)) {
		switch _, known := workerKeys.Key(name); {
		case name == "offset.storage.file.filename" && !standalone:
			if _, distributed := props["offset.storage.topic"]; distributed {
				warnings = append(warnings, configdef.Problem{Key: name, Text: "Configuration " + name + " has no effect: it is a key of standalone workers"})
				continue
			}
			problems = append(problems, configdef.Problem{Key: name, Text: name + " is a key of standalone workers, and this is a distributed one: " +
				"offset.storage.topic is where it keeps offsets, and millrace connect standalone runs a standalone one"})
			continue
		case standalone && distributedOnly(name):
			warnings = append(warnings, configdef.Problem{Key: name, Text: "Configuration " + name + " has no effect: a standalone worker has no group and no topics of its own"})
			continue
		case known:
			continue
		}
		if why := configdef.Longest(idleKeys, name); why != "" {
			warnings = append(warnings, configdef.Problem{Key: name, Text: "Configuration " + name + " has no effect: " + why})
			continue
		}
		if client.Is(name) || slices.ContainsFunc(workerPrefixes, func(p string) bool { return strings.HasPrefix(name, p) }) {
			continue
		}
		text := "unknown key " + name
		if near := workerKeys.Nearest(name); near != "" {
			text += "; did you mean " + near + "?"
		}
		problems = append(problems, configdef.Problem{Key: name, Text: text})
	}
	return problems, warnings
}
