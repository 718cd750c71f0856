// Package filestream reads a text file line by line and writes values to one:
// Kafka's FileStreamSource and FileStreamSink.
package filestream

import (
	"errors"

	"github.com/millrace/millrace/plugins/sdk"
)

// Version is the version that both connectors report.
const Version = "1.0.0"

// Connectors returns the source and the sink.
func Connectors() []sdk.Connector {
	return []sdk.Connector{
		{
			Name: "file-source", Version: Version,
			Classes: []string{
				"org.apache.kafka.connect.file.FileStreamSourceConnector",
				"FileStreamSourceConnector", "FileStreamSource",
			},
			Documentation: "connectors/filestream/README.md",
			Source:        Source{},
		},
		{
			Name: "file-sink", Version: Version,
			Classes: []string{
				"org.apache.kafka.connect.file.FileStreamSinkConnector",
				"FileStreamSinkConnector", "FileStreamSink",
			},
			Documentation: "connectors/filestream/README.md",
			Sink:          Sink{},
		},
	}
}

// checkFile refuses a configuration without a file, which to Kafka means
// standard input or output.
func checkFile(purpose, stream string) func(any) error {
	return func(v any) error {
		if s, _ := v.(string); s == "" {
			return errors.New("a file to " + purpose + " is needed: a connector runs in a process of its own, whose " + stream + " is not the worker's")
		}
		return nil
	}
}
