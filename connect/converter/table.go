package converter

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/millrace/millrace/plugins/configdef"
	"github.com/millrace/millrace/plugins/data"
)

// Class is a converter that exists here.
type Class struct {
	Name    string   // Java class name
	Aliases []string // other names it answers to
	Sides   []Side   // sides it can be used for
	Def     configdef.Def

	make func(Settings, configdef.Config) (Converter, error)
}

var (
	everySide = []Side{Key, Value, Header}
	noHeaders = []Side{Key, Value}
)

// classes returns the list of what exists. It is a function because one of them
// looks another up in it.
func classes() []Class {
	return []Class{
		{"org.apache.kafka.connect.json.JsonConverter", nil, everySide, jsonDef, newJSON},
		{"org.apache.kafka.connect.storage.StringConverter", nil, everySide, stringDef, newString},
		{"org.apache.kafka.connect.converters.ByteArrayConverter",
			[]string{"io.confluent.connect.replicator.util.ByteArrayConverter"}, everySide, plainDef, newBytes},
		{binaryName, []string{"io.debezium.converters.ByteArrayConverter", "io.debezium.converters.ByteBufferConverter"}, noHeaders, binaryDef, newBinary},
		{"org.apache.kafka.connect.converters.BooleanConverter", nil, everySide, plainDef,
			newNumber("BooleanConverter", data.OptionalBooleanSchema, 1)},
		{"org.apache.kafka.connect.converters.ShortConverter", nil, everySide, plainDef,
			newNumber("ShortConverter", data.OptionalInt16Schema, 2)},
		{"org.apache.kafka.connect.converters.IntegerConverter", nil, everySide, plainDef,
			newNumber("IntegerConverter", data.OptionalInt32Schema, 4)},
		{"org.apache.kafka.connect.converters.LongConverter", nil, everySide, plainDef,
			newNumber("LongConverter", data.OptionalInt64Schema, 8)},
		{"org.apache.kafka.connect.converters.FloatConverter", nil, everySide, plainDef,
			newNumber("FloatConverter", data.OptionalFloat32Schema, 4)},
		{"org.apache.kafka.connect.converters.DoubleConverter", nil, everySide, plainDef,
			newNumber("DoubleConverter", data.OptionalFloat64Schema, 8)},
		{"org.apache.kafka.connect.storage.SimpleHeaderConverter", nil, []Side{Header}, plainDef, newSimpleHeader},
		{avroName, nil, noHeaders, avroDef, newAvro},
		{"io.confluent.connect.json.JsonSchemaConverter", nil, noHeaders, jsonSchemaDef, newJSONSchema},
		{"io.confluent.connect.protobuf.ProtobufConverter", nil, noHeaders, protobufDef, newProtobuf},
		{cloudEventsName, nil, []Side{Value}, cloudEventsDef, newCloudEvents},
	}
}

// RegistryPrefix is what stands before the keys that name the schema registry,
// schema.registry.url among them; ok is false for a class that uses none.
func (c Class) RegistryPrefix() (prefix string, ok bool) {
	if c.Name == cloudEventsName {
		return cloudEventsRegistry, true
	}
	_, ok = c.Def.Key("schema.registry.url")
	return "", ok
}

// Classes returns the converters that exist, in a fixed order.
func Classes() []Class { return classes() }

// Lookup finds a converter by its Java class name, its simple name
// ("JsonConverter"), or that without "Converter" ("Json").
func Lookup(name string) (Class, bool) {
	for _, c := range classes() {
		for _, full := range append([]string{c.Name}, c.Aliases...) {
			simple := full[strings.LastIndexByte(full, '.')+1:]
			if name == full || name == simple || name == strings.TrimSuffix(simple, "Converter") {
				return c, true
			}
		}
	}
	return Class{}, false
}

// New makes a converter of the class. An error names all that is wrong with
// the properties.
func (c Class) New(s Settings) (Converter, error) {
	if !slices.Contains(c.Sides, s.Side) {
		return nil, &FatalError{fmt.Errorf("%s is no %s converter", c.Name, s.Side)}
	}
	config, problems := c.Def.Parse(s.Props)
	if len(problems) > 0 {
		var errs []error
		for _, p := range problems {
			errs = append(errs, p)
		}
		return nil, &FatalError{errors.Join(errs...)}
	}
	out, err := c.make(s, config)
	if err != nil {
		return nil, &FatalError{fmt.Errorf("%s: %w", c.Name, err)}
	}
	return out, nil
}
