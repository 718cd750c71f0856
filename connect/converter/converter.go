// Package converter turns Connect data into the bytes of a Kafka record and
// back: the converters of Kafka Connect and Confluent under their Java names.
//
// Data is a data.Datum, whose row the converters read and write directly.
// Errors say whose fault they are: see RecordError, TransientError and
// FatalError.
package converter

import (
	"context"

	"github.com/millrace/millrace/plugins/data"
)

// Side is the part of a record that a converter is for.
type Side string

// The sides, by the names of the setting converter.type.
const (
	Key    Side = "key"
	Value  Side = "value"
	Header Side = "header"
)

// Converter converts one side of records. It belongs to one task and is used
// by one goroutine at a time. For a Header converter the topic is followed by
// nothing: headers convert alike whatever their name.
type Converter interface {
	// FromConnect appends the bytes of d to dst. null reports a null record
	// key, value or header value, which has no bytes; dst is then returned as
	// it was, as it is on an error. The context bounds calls to a registry.
	FromConnect(ctx context.Context, topic string, d data.Datum, dst []byte) (out []byte, null bool, err error)

	// ToConnect returns what raw holds; nil is a null. The row of the result
	// may alias raw.
	ToConnect(ctx context.Context, topic string, raw []byte) (data.Datum, error)
}

// Settings are what a converter is made from.
type Settings struct {
	Side Side
	// Props are the converter's own properties, without the prefix
	// "key.converter." or the like.
	Props map[string]string
	// Registry is the schema registry that the properties name. Converters
	// that use none ignore it.
	Registry Registry
}
