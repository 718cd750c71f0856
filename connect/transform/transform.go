// Package transform is Kafka Connect's single message transforms and
// predicates, under their Java class names: those of Apache Kafka, and of
// Debezium, Confluent and Aiven as far as they are listed in Classes.
//
// A Chain is built from a connector's config and applied to each record
// between a source's poll and the converters, or between the converters and a
// sink's put. A step that touches only topic, partition, timestamp or headers
// never opens a row; the common ones that edit fields go from row to row by
// plans compiled once per schema; the rest decode what they need.
package transform

import (
	"errors"
	"log/slog"
	"time"

	"github.com/millrace/millrace/plugins/data"
)

// Kind says which way the records of a chain go.
type Kind string

// The kinds. A few settings make sense for one of them only.
const (
	Source Kind = "source"
	Sink   Kind = "sink"
)

// Side is the part of a record that a transform works on.
type Side string

// The sides. Whole is that of transforms whose class has no $Key and $Value.
const (
	Key   Side = "Key"
	Value Side = "Value"
	Whole Side = ""
)

// Transform is one step of a Chain. It belongs to one task and is used by one
// goroutine at a time.
type Transform interface {
	// Apply changes the record, or returns keep false to drop it. Values,
	// header lists and rows are never changed in place but replaced, since
	// they may be shared. On an error the record is in no defined state. The
	// error is the record's fault unless it wraps a *FatalError.
	Apply(r *Record) (keep bool, err error)
}

// Predicate is the condition of a step. It belongs to one task and is used by
// one goroutine at a time.
type Predicate interface {
	// Test reports whether the condition holds. It does not change the record.
	Test(r *Record) (bool, error)
}

// Options are what a chain needs besides its config.
type Options struct {
	Kind Kind
	// Logger gets the few warnings that settings ask for; nil discards them.
	Logger *slog.Logger
	// ParseValue guesses the type of a text as Connect's Values.parseString
	// does; a nil schema is a null. InsertHeader cannot be used without it.
	ParseValue func(text string) (*data.Schema, any)
	// HasVersion returns an error if the classes of this package are not of a
	// version that a plugin.version allows; nil allows any.
	HasVersion func(requirement string) error
	// Now tells the time, which decides the century of dates whose year has
	// two digits; nil is time.Now.
	Now func() time.Time
}

func (o Options) withDefaults() Options {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.HasVersion == nil {
		o.HasVersion = func(string) error { return nil }
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// settings are what a transform is made from, besides its own keys.
type settings struct {
	Options
	side Side
}

var errNoParser = errors.New("no parser of header values was given to the chain")
