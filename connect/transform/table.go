package transform

import (
	"slices"
	"strings"

	"github.com/millrace/millrace/plugins/configdef"
)

// Class is a transform that exists here. Def is the definition of its own
// keys, without "transforms.<alias>.".
type Class struct {
	Name    string   // Java class name, with $Key or $Value where it has those
	Side    Side     // the part of a record it works on
	Aliases []string // other full names it answers to
	Def     configdef.Def

	make func(settings, configdef.Config) (Transform, error)
}

// PredicateClass is a predicate that exists here. Def is the definition of
// its own keys, without "predicates.<alias>.".
type PredicateClass struct {
	Name string // Java class name
	Def  configdef.Def

	make func(configdef.Config) (Predicate, error)
}

const (
	kafka     = "org.apache.kafka.connect.transforms."
	debezium  = "io.debezium.transforms."
	confluent = "io.confluent.connect.transforms."
	aiven     = "io.aiven.kafka.connect.transforms."
)

// both makes the two classes of a transform of keys and values.
func both(name string, def configdef.Def, make func(settings, configdef.Config) (Transform, error), aliases ...string) []Class {
	out := []Class{{Name: name, Def: def, make: make, Aliases: aliases}, {Name: name, Def: def, make: make, Aliases: aliases}}
	for i, side := range []Side{Key, Value} {
		out[i].Side = side
		out[i].Name += "$" + string(side)
		out[i].Aliases = nil
		for _, a := range aliases {
			out[i].Aliases = append(out[i].Aliases, a+"$"+string(side))
		}
	}
	return out
}

// only makes the one class of a transform that works on the whole record.
func only(name string, def configdef.Def, make func(settings, configdef.Config) (Transform, error), aliases ...string) []Class {
	return []Class{{Name: name, Def: def, make: make, Aliases: aliases}}
}

// classes is the list of what exists. Where two have the same simple name the
// first answers to it.
var classes = slices.Concat(
	both(kafka+"Cast", castDef, newCast),
	only(kafka+"DropHeaders", dropHeadersDef, newDropHeaders),
	only(kafka+"Filter", nil, newFilter),
	both(kafka+"ExtractField", extractFieldDef, newExtractField),
	both(kafka+"Flatten", flattenDef, newFlatten),
	both(kafka+"HeaderFrom", headerFromDef, newHeaderFrom),
	both(kafka+"HoistField", hoistFieldDef, newHoistField),
	both(kafka+"InsertField", insertFieldDef, newInsertField),
	only(kafka+"InsertHeader", insertHeaderDef, newInsertHeader),
	only(kafka+"RegexRouter", regexRouterDef, newRegexRouter, "io.confluent.connect.cloud.transforms.TopicRegexRouter"),
	both(kafka+"MaskField", maskFieldDef, newMaskField),
	both(kafka+"ReplaceField", replaceFieldDef, newReplaceField, confluent+"ReplaceField"),
	both(kafka+"SetSchemaMetadata", setSchemaMetadataDef, newSetSchemaMetadata),
	both(kafka+"TimestampConverter", timestampConverterDef, newTimestampConverter),
	only(kafka+"TimestampRouter", timestampRouterDef, newTimestampRouter, confluent+"TimestampRouter"),
	only(kafka+"ValueToKey", valueToKeyDef, newValueToKey),

	only(debezium+"ByLogicalTableRouter", logicalRouterDef("__dbz__physicalTableIdentifier"), newLogicalRouter),
	only(debezium+"ToLogicalTopicRouter", logicalRouterDef("__dbz__sourceIdentifier"), newLogicalRouter),
	only(debezium+"ExtractChangedRecordState", changedDef, newChanged),
	only(debezium+"outbox.EventRouter", outboxDef, newOutbox),
	only(debezium+"partitions.PartitionRouting", partitionRoutingDef, newPartitionRouting),
	only(debezium+"Filter", scriptFilterDef, newScriptFilter),
	only(debezium+"ContentBasedRouter", contentRouterDef, newContentRouter),
	only(debezium+"openlineage.OpenLineage", nil, newOpenLineage),
	only(debezium+"HeaderToValue", headerToValueDef, newHeaderToValue),
	only(debezium+"TimezoneConverter", timezoneDef, newTimezoneConverter),
	only("io.debezium.connector.postgresql.transforms.timescaledb.TimescaleDb", timescaleDef, newTimescaleDB),
	only(debezium+"ExtractNewRecordState", unwrapDef, newUnwrap, debezium+"UnwrapFromEnvelope"),

	both(confluent+"Drop", dropDef, newDrop),
	both(confluent+"ExtractTopic", confluentTopicDef, newExtractTopic("field")),
	only(confluent+"TombstoneHandler", confluentTombstoneDef, newTombstoneHandler),

	both(aiven+"ExtractTimestamp", extractTimestampDef, newExtractTimestamp),
	both(aiven+"ExtractTopic", aivenTopicDef, newExtractTopic("field.name")),
	both(aiven+"Hash", hashDef, newHashField),
	only(aiven+"KeyToValue", keyToValueDef, newKeyToValue),
	only(aiven+"MakeTombstone", nil, newMakeTombstone),
	only(aiven+"TombstoneHandler", aivenTombstoneDef, newTombstoneHandler),
)

// predicates is the list of the predicates that exist.
var predicates = []PredicateClass{
	{kafka + "predicates.TopicNameMatches", topicNameMatchesDef, newTopicNameMatches},
	{kafka + "predicates.HasHeaderKey", hasHeaderKeyDef, newHasHeaderKey},
	{kafka + "predicates.RecordIsTombstone", nil, newRecordIsTombstone},
}

// Classes returns the transforms that exist, in a fixed order. The caller must
// not change them.
func Classes() []Class { return slices.Clone(classes) }

// Predicates returns the predicates that exist, in a fixed order. The caller
// must not change them.
func Predicates() []PredicateClass { return slices.Clone(predicates) }

// Lookup finds a transform by its Java class name or the simple name
// ("InsertField$Value"), which is an extension.
func Lookup(name string) (Class, bool) {
	for _, full := range []bool{true, false} {
		for _, c := range classes {
			for _, n := range append([]string{c.Name}, c.Aliases...) {
				if full && n == name || !full && simple(n) == name {
					return c, true
				}
			}
		}
	}
	return Class{}, false
}

// LookupPredicate finds a predicate by its Java class name or the simple name.
func LookupPredicate(name string) (PredicateClass, bool) {
	for _, c := range predicates {
		if c.Name == name || simple(c.Name) == name {
			return c, true
		}
	}
	return PredicateClass{}, false
}

func simple(name string) string { return name[strings.LastIndexByte(name, '.')+1:] }
