package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millrace/millrace/broker/metadata"
	"github.com/millrace/millrace/connect"
	"github.com/millrace/millrace/connect/connector"
	"github.com/millrace/millrace/connect/converter"
	"github.com/millrace/millrace/connect/worker"
	"github.com/millrace/millrace/plugins/configdef"
)

var update = flag.Bool("update", false, "write the generated documentation instead of comparing it")

// TestConfigurationDocument holds docs/configuration.md to the tables that the
// program reads its settings by. Run with -update after changing one.
func TestConfigurationDocument(t *testing.T) {
	path := filepath.Join("..", "..", "docs", "configuration.md")
	want := configurationDocument()
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s is not what the tables say: run go test ./cmd/millrace -run Document -update", path)
	}
}

func configurationDocument() string {
	var b strings.Builder
	b.WriteString(`# Configuration

This page is generated from the tables that the program reads its settings by.

Settings come from the defaults, a YAML file (--config), the environment and the flags; each overrides the ones before
it. A key that is unknown, or a value that cannot be, is refused at start with the key, the place where it was set and
what is accepted.

| Setting | Flag | Environment | File |
|---|---|---|---|
| of the node | --data-dir | MILLRACE_DATA_DIR | data-dir: |
| of the broker, log.segment.bytes | | MILLRACE_BROKER_LOG_SEGMENT_BYTES, KAFKA_LOG_SEGMENT_BYTES | broker: log.segment.bytes: |
| of the worker, group.id | | MILLRACE_CONNECT_GROUP_ID, CONNECT_GROUP_ID | connect: group.id: |

In the environment a dot is _, an underscore __ and a hyphen ___, as in the container images of Kafka and Connect.

## The node

| Key | Default | |
|---|---|---|
`)
	for _, f := range serverFlags {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", f.name, code(f.value), f.usage)
	}
	b.WriteString("\n## The broker (section broker)\n\n| Key | Type | Default | |\n|---|---|---|---|\n")
	for _, k := range metadata.BrokerKeys() {
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", k.Name, kafkaTypes[k.Type], code(k.Default), cell(k.Doc))
	}
	b.WriteString("\nadvertised.listeners, of the form PLAINTEXT://HOST:PORT, is the address that clients are told to use.\n")
	b.WriteString("On a node of its own group.initial.rebalance.delay.ms is 0 unless it is set.\n")
	b.WriteString("\n## Topics\n\n| Key | Type | Default | Broker's key | |\n|---|---|---|---|---|\n")
	for _, k := range metadata.TopicKeys() {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", k.Name, kafkaTypes[k.Type], code(k.Default), k.Broker, cell(k.Doc))
	}
	b.WriteString("\n## The Connect worker (section connect)\n\n")
	writeDef(&b, connect.WorkerKeys())
	b.WriteString("\nBesides: key.converter.\\*, value.converter.\\* and header.converter.\\* for the converters, producer.\\*, consumer.\\* and\n" +
		"admin.\\* for the clients of tasks, and config.storage.\\*, offset.storage.\\* and status.storage.\\* for the topics. What the\n" +
		"worker sets for the connection to brokers (bootstrap.servers, security.protocol, sasl.\\*, ssl.\\*) holds for the clients of\n" +
		"tasks too, unless producer.\\*, consumer.\\* or admin.\\* say otherwise. Settings that Kafka Connect or its images have and that\n" +
		"mean nothing here are warned of by name when the worker starts; any other unknown key is refused.\n")
	b.WriteString("\n## The schema registry (section registry)\n\n")
	writeDef(&b, registryKeys)
	b.WriteString("\n## Every connector\n\n")
	writeDef(&b, worker.ConnectorKeys(connector.Source))
	b.WriteString("\nSinks have these as well:\n\n")
	writeDef(&b, worker.ConnectorKeys(connector.Sink)[len(worker.ConnectorKeys(connector.Source))-len(sourceOnly()):])
	b.WriteString("\n## Converters\n")
	for _, c := range converter.Classes() {
		fmt.Fprintf(&b, "\n### %s\n\n", c.Name)
		if len(c.Def) == 0 {
			b.WriteString("No keys.\n")
			continue
		}
		writeDef(&b, c.Def)
	}
	b.WriteString("\n## Connectors\n\nEach has a page beside its code: [datagen](../connectors/datagen/README.md),\n[filesink](../connectors/filesink/README.md),\n[filestream](../connectors/filestream/README.md),\n" +
		"[httpsink](../connectors/httpsink/README.md),\n[jdbc](../connectors/jdbc/README.md), [logtail](../connectors/logtail/README.md),\n[postgres](../connectors/postgres/README.md), [s3](../connectors/s3/README.md),\n[spooldir](../connectors/spooldir/README.md).\n")
	return b.String()
}

// kafkaTypes are the names of the types of broker and topic configs.
var kafkaTypes = map[metadata.ConfigType]string{1: "BOOLEAN", 2: "STRING", 3: "INT", 4: "SHORT", 5: "LONG", 6: "DOUBLE", 7: "LIST"}

// sourceOnly are the keys that sources have and sinks have not.
func sourceOnly() configdef.Def {
	var out configdef.Def
	sink := worker.ConnectorKeys(connector.Sink)
	for _, k := range worker.ConnectorKeys(connector.Source) {
		if _, ok := sink.Key(k.Name); !ok {
			out = append(out, k)
		}
	}
	return out
}

func writeDef(b *strings.Builder, def configdef.Def) {
	b.WriteString("| Key | Type | Default | |\n|---|---|---|---|\n")
	for i, d := range def.Definitions() {
		value := "none"
		switch {
		case d.Required:
			value = "required"
		case d.DefaultValue != nil:
			value = code(*d.DefaultValue)
		}
		doc := cell(d.Documentation)
		if why := def[i].Unsupported; why != "" {
			doc += " *Only the default: " + cell(why) + ".*"
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s |\n", d.Name, d.Type, value, doc)
	}
}

func code(s string) string {
	if s == "" {
		return "empty"
	}
	return "`" + s + "`"
}

func cell(s string) string { return strings.ReplaceAll(strings.ReplaceAll(s, "|", "\\|"), "\n", " ") }
