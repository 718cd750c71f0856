// Package registry is a schema registry: versions of schemas under subjects,
// ids that are the same for the same schema, and checks that a new version can
// live with the old ones. It behaves as Confluent's Schema Registry does and
// keeps its state on the same topic in the same format.
//
// The state is in memory and is only ever changed by reading the topic. A
// write is decided on, appended, and answered when it has been read back.
package registry
