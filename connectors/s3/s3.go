// Package s3 writes topics to objects of an S3 store and reads them back, under
// the configuration, object names and file formats of Confluent's S3 sink and
// source connectors.
package s3

import (
	"github.com/millrace/millrace/plugins/sdk"
)

// Version is the version that the connectors report.
const Version = "1.0.0"

// Environment names the variables of the worker's environment that these
// connectors' processes may see: where the SDK looks for credentials.
func Environment() []string { return []string{"AWS_*"} }

// Connectors returns the sink and the source.
func Connectors() []sdk.Connector {
	return []sdk.Connector{
		{
			Name: "s3-sink", Version: Version,
			Classes:       []string{"io.confluent.connect.s3.S3SinkConnector", "S3SinkConnector", "S3Sink", "S3_SINK"},
			Documentation: "connectors/s3/README.md",
			Sink:          Sink{},
		},
		{
			Name: "s3-source", Version: Version,
			Classes:       []string{"io.confluent.connect.s3.source.S3SourceConnector", "S3SourceConnector", "S3Source", "S3_SOURCE"},
			Documentation: "connectors/s3/README.md",
			Source:        Source{},
		},
	}
}
