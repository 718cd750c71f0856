package main

import (
	"slices"

	"github.com/millrace/millrace/connectors/datagen"
	"github.com/millrace/millrace/connectors/filesink"
	"github.com/millrace/millrace/connectors/filestream"
	"github.com/millrace/millrace/connectors/httpsink"
	"github.com/millrace/millrace/connectors/jdbc"
	"github.com/millrace/millrace/connectors/logtail"
	"github.com/millrace/millrace/connectors/postgres"
	"github.com/millrace/millrace/connectors/s3"
	"github.com/millrace/millrace/connectors/spooldir"
	"github.com/millrace/millrace/plugins/catalog"
	"github.com/millrace/millrace/plugins/sdk"
)

// builtins is the list of the connectors in this executable.
func builtins() []sdk.Connector {
	return slices.Concat(
		datagen.Connectors(),
		filesink.Connectors(),
		filestream.Connectors(),
		httpsink.Connectors(),
		jdbc.Connectors(),
		logtail.Connectors(),
		postgres.Connectors(),
		s3.Connectors(),
		spooldir.Connectors(),
	)
}

// environments are the variables of the worker's environment that processes of
// a connector get, by its name, beside what every program needs.
func environments() map[string][]string {
	out := make(map[string][]string)
	for _, c := range s3.Connectors() {
		out[c.Name] = s3.Environment()
	}
	return out
}

// shared are names that connectors of several vendors have, with the keys by
// which a configuration shows whose it is.
type shared struct{ aliases, marks map[string]string }

// alsoCalled are the shared names of connectors, by the connectors' own names.
func alsoCalled() map[string]shared {
	return map[string]shared{
		"s3-sink": {marks: map[string]string{s3.ConfluentClass: s3.ConfluentMark}},
		"s3-sink-aiven": {
			aliases: map[string]string{"S3SinkConnector": s3.AivenClass, "S3Sink": s3.AivenClass},
			marks:   map[string]string{s3.AivenClass: s3.AivenMark},
		},
	}
}

// builtinPlugins describes them to a worker, which starts each as this
// executable with the arguments plugin NAME.
func builtinPlugins() []catalog.Plugin {
	var out []catalog.Plugin
	also := alsoCalled()
	variables := environments()
	for _, c := range builtins() {
		d := c.Describe()
		kind := catalog.Source
		if d.Sink {
			kind = catalog.Sink
		}
		out = append(out, catalog.Plugin{
			Name: d.Name, Kind: kind, Version: d.Version, Classes: d.Classes, Abilities: d.Abilities,
			Documentation: d.Documentation, Config: d.Config, Command: []string{"", "plugin", d.Name}, Environment: variables[d.Name],
			Aliases: also[d.Name].aliases, Marks: also[d.Name].marks,
		})
	}
	return out
}
