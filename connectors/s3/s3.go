// Package s3 writes topics to objects of an S3 store and reads them back, under
// the configuration, object names and file formats of Confluent's S3 sink and
// source connectors, or of Aiven's sink.
package s3

import (
	"github.com/millrace/millrace/plugins/sdk"
)

// Version is the version that the connectors report.
const Version = "1.0.0"

// The vendors' names of their sinks, and the keys by which a configuration of
// class S3SinkConnector is known to be for one or the other.
const (
	ConfluentClass = "io.confluent.connect.s3.S3SinkConnector"
	ConfluentMark  = "s3.bucket.name"
	AivenClass     = "io.aiven.kafka.connect.s3.AivenKafkaConnectS3SinkConnector"
	AivenMark      = "aws.s3.bucket.name"
)

// Environment names the variables of the worker's environment that these
// connectors' processes may see: where the SDK looks for credentials.
func Environment() []string { return []string{"AWS_*"} }

// Connectors returns the sinks and the source.
func Connectors() []sdk.Connector {
	return []sdk.Connector{
		{
			Name: "s3-sink", Version: Version,
			Classes:       []string{ConfluentClass, "S3SinkConnector", "S3Sink", "S3_SINK"},
			Documentation: "connectors/s3/README.md",
			Sink:          Sink{},
		},
		{
			Name: "s3-source", Version: Version,
			Classes:       []string{"io.confluent.connect.s3.source.S3SourceConnector", "S3SourceConnector", "S3Source", "S3_SOURCE"},
			Documentation: "connectors/s3/README.md",
			Source:        Source{},
		},
		{
			Name: "s3-sink-aiven", Version: Version,
			Classes:       []string{AivenClass, "AivenKafkaConnectS3SinkConnector", "AivenKafkaConnectS3Sink"},
			Documentation: "connectors/s3/README.md",
			Sink:          AivenSink{},
		},
	}
}
