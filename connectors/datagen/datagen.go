// Package datagen is a source of made-up records, under the configuration of
// Confluent's DatagenConnector: of one of its quickstarts, or of any Avro
// schema that says what its values look like.
package datagen

import (
	"github.com/millrace/millrace/plugins/sdk"
)

// Version is the version that the connector reports.
const Version = "1.0.0"

// Connectors returns the source.
func Connectors() []sdk.Connector {
	return []sdk.Connector{{
		Name: "datagen", Version: Version,
		Classes:       []string{"io.confluent.kafka.connect.datagen.DatagenConnector", "DatagenConnector", "Datagen", "DatagenSource"},
		Documentation: "connectors/datagen/README.md",
		Source:        Source{},
	}}
}
