package worker

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/connect/client"
	"github.com/millrace/millrace/connect/connector"
	"github.com/millrace/millrace/plugins/configdef"
)

// clientKeys turn the property names of Kafka's Java clients into options of
// the client used here. A name that is not in the table is refused: it would
// have changed nothing.
type clientKeys map[string]func(value string) ([]kgo.Opt, error)

// clientSettings are what a table turns properties into.
type clientSettings struct {
	opts   []kgo.Opt
	values map[string]string // those that the loops read themselves
	target client.Target
}

// clientKind is one of the three kinds of clients that connectors have.
type clientKind struct {
	name     string // as a prefix of the worker's settings
	override string // as a prefix of a connector's
	keys     clientKeys
}

var (
	producers = clientKind{"producer.", prefixProducer, producerKeys}
	consumers = clientKind{"consumer.", prefixConsumer, consumerKeys}
	admins    = clientKind{"admin.", prefixAdmin, adminKeys}
)

// client puts a client's settings together: the worker's own connection
// settings, what it sets for such clients, and what the connector does. Later
// ones win. Differs from Kafka, where the worker's own connection settings do
// not reach producers and consumers, and have to be written out three times.
func (w *Worker) client(kind clientKind, cfg connector.Config) (clientSettings, []configdef.Problem) {
	connection := client.Only(w.cfg.Defaults)
	delete(connection, "bootstrap.servers") // Brokers has them
	props := map[string]string{}
	for _, from := range []map[string]string{under(w.cfg.Defaults, kind.name), under(cfg, kind.override)} {
		for k, v := range from {
			if client.Is(k) {
				connection[k] = v
			} else {
				props[k] = v
			}
		}
	}
	s, problems := kind.keys.apply(props)
	var more []configdef.Problem
	s.target, more = w.cfg.Brokers.With(connection)
	return s, append(problems, more...)
}

// CheckClients checks what a worker's settings say of the clients of its
// connectors: the keys under producer., consumer. and admin. Warnings are of
// keys that have no effect here.
func CheckClients(props map[string]string) (problems, warnings []configdef.Problem) {
	for _, kind := range []clientKind{producers, consumers, admins} {
		under := under(props, kind.name)
		for k := range under {
			if client.Is(k) {
				delete(under, k)
				continue
			}
			if why := idle(k); why != "" {
				warnings = append(warnings, configdef.Problem{Key: kind.name + k, Text: fmt.Sprintf("Configuration %s%s has no effect: %s", kind.name, k, why)})
			}
		}
		_, found := kind.keys.apply(under)
		for _, p := range found {
			problems = append(problems, configdef.Problem{Key: kind.name + p.Key, Text: strings.ReplaceAll(p.Text, "onfiguration "+p.Key, "onfiguration "+kind.name+p.Key)})
		}
	}
	slices.SortFunc(warnings, func(a, b configdef.Problem) int { return strings.Compare(a.Key, b.Key) })
	return problems, warnings
}

// idleKeys are settings of Kafka's Java clients that published configs carry
// and that mean nothing to the client here, with the reason.
var idleKeys = map[string]string{
	"interceptor.classes":      "interceptors are Java classes",
	"metric.reporters":         "metrics are served at /metrics",
	"enable.metrics.push":      "metrics are served at /metrics",
	"key.serializer":           "converters make the bytes",
	"value.serializer":         "converters make the bytes",
	"key.deserializer":         "converters read the bytes",
	"value.deserializer":       "converters read the bytes",
	"client.dns.lookup":        "all addresses of a broker are tried",
	"metrics.recording.level":  "metrics are served at /metrics",
	"auto.register.schemas":    "it is a converter's key",
	"schema.registry.url":      "it is a converter's key",
	"confluent.monitoring.":    "Confluent's interceptors are Java classes",
	"confluent.":               "it is for Confluent's own components",
	"retry.backoff.max.ms":     "retry.backoff.ms is the pause of all tries",
	"reconnect.backoff.ms":     "the client paces its connections by itself",
	"reconnect.backoff.max.ms": "the client paces its connections by itself",
	"max.block.ms":             "a task's producer waits for room as long as the task runs",
	"default.api.timeout.ms":   "request.timeout.ms bounds a request, and the worker its operations",
	"partitioner.class":        "records without a partition are spread as Kafka's default partitioner does",
	"enable.auto.commit":       "sinks commit what they have stored",
	"auto.commit.interval.ms":  "sinks commit what they have stored",
}

// idle returns why a key has no effect, "" if it has.
func idle(name string) string { return configdef.Longest(idleKeys, name) }

// apply turns properties into options, in the order of their names.
func (k clientKeys) apply(props map[string]string) (clientSettings, []configdef.Problem) {
	out := clientSettings{values: props}
	var problems []configdef.Problem
	for _, name := range slices.Sorted(maps.Keys(props)) {
		parse, ok := k[name]
		if !ok && idle(name) != "" {
			continue
		}
		if !ok {
			problems = append(problems, configdef.Problem{Key: name, Text: fmt.Sprintf(
				"Configuration %s is not one that Millrace's clients have; remove it (known are %s)", name,
				strings.Join(slices.Sorted(maps.Keys(k)), ", "))})
			continue
		}
		opts, err := parse(strings.TrimSpace(props[name]))
		if err != nil {
			problems = append(problems, configdef.Problem{Key: name, Text: fmt.Sprintf(
				"Invalid value %s for configuration %s: %v", props[name], name, err)})
		}
		out.opts = append(out.opts, opts...)
	}
	return out, problems
}

// number makes a table entry of a whole number within limits.
func number[T int | int32 | int64, O kgo.Opt](low, high T, opt func(T) O) func(string) ([]kgo.Opt, error) {
	return func(s string) ([]kgo.Opt, error) {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("not a whole number")
		}
		if n < int64(low) || n > int64(high) {
			return nil, fmt.Errorf("must be from %d to %d", low, high)
		}
		return []kgo.Opt{opt(T(n))}, nil
	}
}

// millis makes a table entry of a time in milliseconds.
func millis[O kgo.Opt](low int64, opt func(time.Duration) O) func(string) ([]kgo.Opt, error) {
	return number(low, int64(1)<<40, func(n int64) O { return opt(time.Duration(n) * time.Millisecond) })
}

// choice makes a table entry of a few fixed words.
func choice(words map[string][]kgo.Opt) func(string) ([]kgo.Opt, error) {
	return func(s string) ([]kgo.Opt, error) {
		opts, ok := words[strings.ToLower(s)]
		if !ok {
			return nil, fmt.Errorf("must be one of %s", strings.Join(slices.Sorted(maps.Keys(words)), ", "))
		}
		return opts, nil
	}
}

func text[O kgo.Opt](opt func(string) O) func(string) ([]kgo.Opt, error) {
	return func(s string) ([]kgo.Opt, error) { return []kgo.Opt{opt(s)}, nil }
}

// readByLoop makes a table entry of a number that is no option of the client.
func readByLoop(low, high int64) func(string) ([]kgo.Opt, error) {
	check := number(low, high, func(int64) kgo.Opt { return nil })
	return func(s string) ([]kgo.Opt, error) {
		_, err := check(s)
		return nil, err
	}
}

const maxInt32 = 1<<31 - 1

// defaultBatch is the largest batch that the client sends unless told
// otherwise, in bytes.
const defaultBatch = 1000012

// batchSize lets batches grow beyond the client's default. To a Java producer
// batch.size is where it stops filling a batch, and a larger record still goes
// alone; the client here fills batches as records come, so smaller values ask
// for nothing.
func batchSize(s string) ([]kgo.Opt, error) {
	n, err := strconv.ParseInt(s, 10, 32)
	if err != nil || n < 0 {
		return nil, fmt.Errorf("not a whole number of bytes")
	}
	if n <= defaultBatch {
		return nil, nil
	}
	return []kgo.Opt{kgo.ProducerBatchMaxBytes(int32(n))}, nil
}

// leastBuffer is the least memory that a producer has, in bytes: one batch of
// the client's own size.
const leastBuffer = 1 << 20

// bufferMemory bounds what a producer holds. Less than one batch would stop it,
// where a Java producer with batches of its own size goes on.
func bufferMemory(s string) ([]kgo.Opt, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 {
		return nil, fmt.Errorf("not a whole number of bytes")
	}
	return []kgo.Opt{kgo.MaxBufferedBytes(int(min(max(n, leastBuffer), maxInt32)))}, nil
}

// everyClient are the properties that all kinds of clients have.
func everyClient(own clientKeys) clientKeys {
	all := clientKeys{
		"client.id": text(kgo.ClientID),
		"retries":   number(0, maxInt32, func(n int) kgo.Opt { return kgo.RequestRetries(n) }),
	}
	maps.Copy(all, own)
	return all
}

// producerKeys are the properties that producer.override. may name.
var producerKeys = everyClient(clientKeys{
	"linger.ms":     millis(0, kgo.ProducerLinger),
	"batch.size":    batchSize,
	"buffer.memory": bufferMemory,
	"acks": choice(map[string][]kgo.Opt{
		"all": {kgo.RequiredAcks(kgo.AllISRAcks())},
		"-1":  {kgo.RequiredAcks(kgo.AllISRAcks())},
		"1":   {kgo.RequiredAcks(kgo.LeaderAck()), kgo.DisableIdempotentWrite()},
		"0":   {kgo.RequiredAcks(kgo.NoAck()), kgo.DisableIdempotentWrite()},
	}),
	"enable.idempotence": choice(map[string][]kgo.Opt{"true": nil, "false": {kgo.DisableIdempotentWrite()}}),
	"compression.type": choice(map[string][]kgo.Opt{
		"none":   {kgo.ProducerBatchCompression(kgo.NoCompression())},
		"gzip":   {kgo.ProducerBatchCompression(kgo.GzipCompression())},
		"snappy": {kgo.ProducerBatchCompression(kgo.SnappyCompression())},
		"lz4":    {kgo.ProducerBatchCompression(kgo.Lz4Compression())},
		"zstd":   {kgo.ProducerBatchCompression(kgo.ZstdCompression())},
	}),
	"max.request.size":                      number(1024, maxInt32, kgo.ProducerBatchMaxBytes),
	"delivery.timeout.ms":                   millis(1000, kgo.RecordDeliveryTimeout),
	"retries":                               number(0, maxInt32, func(n int) kgo.Opt { return kgo.RecordRetries(n) }),
	"max.in.flight.requests.per.connection": number(1, 5, kgo.MaxProduceRequestsInflightPerBroker),
	"transaction.timeout.ms":                readByLoop(1000, maxInt32), // see exactly.go
})

// consumerKeys are the properties that consumer.override. may name.
var consumerKeys = everyClient(clientKeys{
	"client.rack":       text(kgo.Rack),
	"group.id":          func(string) ([]kgo.Opt, error) { return nil, nil }, // the loop joins it
	"group.instance.id": text(kgo.InstanceID),
	"auto.offset.reset": choice(map[string][]kgo.Opt{
		"earliest": {kgo.ConsumeResetOffset(kgo.NewOffset().AtStart())},
		"latest":   {kgo.ConsumeResetOffset(kgo.NewOffset().AtEnd())},
		"none":     {kgo.ConsumeResetOffset(kgo.NoResetOffset())},
	}),
	"isolation.level": choice(map[string][]kgo.Opt{
		"read_committed":   {kgo.FetchIsolationLevel(kgo.ReadCommitted())},
		"read_uncommitted": {kgo.FetchIsolationLevel(kgo.ReadUncommitted())},
	}),
	"max.poll.records":          readByLoop(1, maxInt32),
	"fetch.min.bytes":           number(1, maxInt32, kgo.FetchMinBytes),
	"fetch.max.bytes":           number(1024, maxInt32, kgo.FetchMaxBytes),
	"max.partition.fetch.bytes": number(1024, maxInt32, kgo.FetchMaxPartitionBytes),
	"fetch.max.wait.ms":         millis(1, kgo.FetchMaxWait),
	"session.timeout.ms":        millis(1000, kgo.SessionTimeout),
	"heartbeat.interval.ms":     millis(100, kgo.HeartbeatInterval),
	"max.poll.interval.ms":      millis(1000, kgo.RebalanceTimeout),
})

// adminKeys are the properties that admin.override. may name.
var adminKeys = everyClient(nil)
