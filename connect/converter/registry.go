package converter

import (
	"context"
	"fmt"
	"strings"

	"github.com/millrace/millrace/connect/converter/rule"
	"github.com/millrace/millrace/plugins/configdef"
)

// RegisteredSchema is a version of a subject.
type RegisteredSchema struct {
	ID      int32
	Version int32
	Text    string
}

// Registry is what the converters need of a schema registry. Its methods wrap
// what may pass by itself (no connection, timeouts, overload) in a
// *TransientError and what needs a person (wrong address or credentials) in a
// *FatalError; other errors are taken for the record's fault. Implementations
// cache what cannot change; they are safe for concurrent use.
type Registry interface {
	// Register registers a schema under a subject, unless it is there, and
	// returns its id. kind is "AVRO", "PROTOBUF" or "JSON".
	Register(ctx context.Context, subject, text, kind string, normalize bool) (id int32, err error)
	// Lookup returns the id of a schema that must be there.
	Lookup(ctx context.Context, subject, text, kind string, normalize bool) (id int32, err error)
	// Latest returns the newest version of a subject.
	Latest(ctx context.Context, subject string) (RegisteredSchema, error)
	// ByID returns the text and kind of the schema with an id.
	ByID(ctx context.Context, id int32) (text, kind string, err error)
	// Dependencies returns the texts that the schema with an id refers to, and
	// those they refer to, by the names under which they are referred to.
	Dependencies(ctx context.Context, id int32) (map[string]string, error)
	// Contract returns the rules of the schema with an id, and the tags that its
	// metadata gives to fields. What its text says is left to the caller.
	Contract(ctx context.Context, id int32) (rule.Contract, error)
	// VersionOf returns the version that an id has under a subject, false if
	// it has none there.
	VersionOf(ctx context.Context, subject string, id int32) (version int32, ok bool, err error)
}

const (
	strategyPackage = "io.confluent.kafka.serializers.subject."
	topicName       = "TopicNameStrategy"
	recordName      = "RecordNameStrategy"
	topicRecordName = "TopicRecordNameStrategy"
	associatedName  = "AssociatedNameStrategy"
	prefixID        = "io.confluent.kafka.serializers.schema.id."
)

// strategyRule accepts the strategies by full and simple name.
var strategyRule = configdef.OneOf(strategies()...)

func strategies() []string {
	var out []string
	for _, s := range []string{topicName, recordName, topicRecordName, associatedName} {
		out = append(out, strategyPackage+s, s)
	}
	return out
}

const groupRegistry = "Schema Registry"

// registryKeys are the settings of Confluent's serializers that a converter
// reads. Those of the client itself, such as its TLS, are for whoever makes
// the Registry.
var registryKeys = configdef.Def{
	{Name: "schema.registry.url", Type: configdef.List, Required: true, Importance: configdef.High, Group: groupRegistry,
		Doc: "Addresses of the schema registry."},
	{Name: "basic.auth.credentials.source", Type: configdef.String, Default: "URL", Importance: configdef.Medium, Group: groupRegistry,
		Rules: []configdef.Rule{configdef.OneOf("URL", "USER_INFO", "SASL_INHERIT")}, Doc: "Where user name and password come from."},
	{Name: "basic.auth.user.info", Type: configdef.Password, Default: "", Aliases: []string{"schema.registry.basic.auth.user.info"},
		Importance: configdef.Medium, Group: groupRegistry, Doc: "User name and password, with a colon between them."},
	{Name: "bearer.auth.credentials.source", Type: configdef.String, Default: "STATIC_TOKEN", Importance: configdef.Medium,
		Group: groupRegistry, Unsupported: "only STATIC_TOKEN is supported", Doc: "Where the bearer token comes from."},
	{Name: "bearer.auth.token", Type: configdef.Password, Default: "", Importance: configdef.Medium, Group: groupRegistry,
		Doc: "The bearer token to send."},
	{Name: "auto.register.schemas", Type: configdef.Boolean, Default: true, Importance: configdef.Medium, Group: groupRegistry,
		Doc: "Register the schemas of records that are not registered yet."},
	{Name: "normalize.schemas", Type: configdef.Boolean, Default: false, Importance: configdef.Medium, Group: groupRegistry,
		Doc: "Let the registry bring schemas into normal form before it compares them."},
	{Name: "use.schema.id", Type: configdef.Int, Default: -1, Importance: configdef.Low, Group: groupRegistry,
		Doc: "Write with the schema of this id. Needs auto.register.schemas=false."},
	{Name: "use.latest.version", Type: configdef.Boolean, Default: false, Importance: configdef.Low, Group: groupRegistry,
		Doc: "Write with the latest version of the subject. Needs auto.register.schemas=false."},
	{Name: "latest.compatibility.strict", Type: configdef.Boolean, Default: true, Importance: configdef.Low, Group: groupRegistry,
		Unsupported: "fields are always matched by name, which fails where the latest schema does not fit", Doc: "Check that the latest schema can read records of the record's schema."},
	{Name: "id.compatibility.strict", Type: configdef.Boolean, Default: true, Importance: configdef.Low, Group: groupRegistry,
		Unsupported: "fields are always matched by name, which fails where the schema does not fit", Doc: "The same check for use.schema.id."},
	{Name: "latest.cache.size", Type: configdef.Int, Default: 1000, Importance: configdef.Low, Group: groupRegistry,
		Doc: "The most latest versions to remember."},
	{Name: "latest.cache.ttl.sec", Type: configdef.Int, Default: -1, Importance: configdef.Low, Group: groupRegistry,
		Doc: "Seconds after which a latest version is asked for again; -1 is never."},
	{Name: "key.subject.name.strategy", Type: configdef.String, Default: strategyPackage + associatedName,
		Rules: []configdef.Rule{strategyRule}, Importance: configdef.Medium, Group: groupRegistry,
		Doc: "How the subject of a key's schema is named. Without associations AssociatedNameStrategy is TopicNameStrategy."},
	{Name: "value.subject.name.strategy", Type: configdef.String, Default: strategyPackage + associatedName,
		Rules: []configdef.Rule{strategyRule}, Importance: configdef.Medium, Group: groupRegistry,
		Doc: "How the subject of a value's schema is named."},

	{Name: "max.schemas.per.subject", Type: configdef.Int, Default: 1000, Importance: configdef.Low, Group: groupRegistry,
		Doc: "Bounds the registry client's cache."},
	{Name: "schema.registry.url.randomize", Type: configdef.Boolean, Default: false, Importance: configdef.Low, Group: groupRegistry,
		Unsupported: "addresses are tried in order", Doc: "Try the addresses in random order."},
	{Name: "use.schema.guid", Type: configdef.String, Importance: configdef.Low, Group: groupRegistry,
		Unsupported: "schemas by GUID are not supported; use use.schema.id", Doc: "Write with the schema of this GUID."},
	{Name: "use.latest.with.metadata", Type: configdef.String, Importance: configdef.Low, Group: groupRegistry,
		Unsupported: "the choice of a version by metadata is not supported", Doc: "Write with the latest version that has this metadata."},
	{Name: "context.name.strategy", Type: configdef.String, Default: "io.confluent.kafka.serializers.context.NullContextNameStrategy",
		Importance: configdef.Low, Group: groupRegistry, Unsupported: "schema contexts are not supported", Doc: "Puts a context before subjects."},
	{Name: "propagate.schema.tags", Type: configdef.Boolean, Default: false, Importance: configdef.Low, Group: groupRegistry,
		Unsupported: "schemas are registered as they are", Doc: "Put the tags of the latest version into schemas that are registered."},
	{Name: "key.schema.id.serializer", Type: configdef.String, Default: prefixID + "PrefixSchemaIdSerializer", Importance: configdef.Low,
		Group: groupRegistry, Unsupported: "ids are written before the payload only", Doc: "Where a key's schema id is written."},
	{Name: "value.schema.id.serializer", Type: configdef.String, Default: prefixID + "PrefixSchemaIdSerializer", Importance: configdef.Low,
		Group: groupRegistry, Unsupported: "ids are written before the payload only", Doc: "Where a value's schema id is written."},
	{Name: "key.schema.id.deserializer", Type: configdef.String, Default: prefixID + "PrefixSchemaIdDeserializer", Importance: configdef.Low,
		Group: groupRegistry, Unsupported: "ids are read before the payload only", Doc: "Where a key's schema id is read."},
	{Name: "value.schema.id.deserializer", Type: configdef.String, Default: prefixID + "PrefixSchemaIdDeserializer", Importance: configdef.Low,
		Group: groupRegistry, Unsupported: "ids are read before the payload only", Doc: "Where a value's schema id is read."},
}

// subject names the subject of a schema. record is the full name of a record
// schema, "" for other schemas.
func subject(strategy string, side Side, topic, record string) (string, error) {
	strategy = strings.TrimPrefix(strategy, strategyPackage)
	if strategy == topicName || strategy == associatedName {
		return topic + "-" + string(side), nil
	}
	if record == "" {
		return "", recordf("%s needs a record schema: the %s of topic %q has another type", strategy, side, topic)
	}
	if strategy == recordName {
		return record, nil
	}
	return topic + "-" + record, nil
}

// registryError keeps the class of a registry's error and takes one without
// for the record's.
func registryError(doing string, err error) error {
	wrapped := fmt.Errorf("%s: %w", doing, err)
	switch {
	case asClass[*TransientError](err):
		return &TransientError{wrapped}
	case asClass[*FatalError](err):
		return &FatalError{wrapped}
	default:
		return &RecordError{wrapped}
	}
}
