// Package sdk is what the author of a connector imports.
//
// A source is a type with two methods, ConfigDef and Open, whose Open returns
// a task with Poll and Close; a sink is one whose task has Put and Close. What
// else a connector can do, it says by having further methods: see the
// interfaces of this package beside Source and Sink. A plugin is an executable
// whose main function is one call:
//
//	func main() {
//		sdk.Serve(sdk.Connector{
//			Name: "ticker", Version: "1.0.0",
//			Classes: []string{"com.example.TickerSource"},
//			Source:  Source{},
//		})
//	}
//
// The worker starts one such process for each task, and asks one for the
// description, the validation of configurations and the division into tasks.
// Logs go to the logger that Logger returns or to stderr, never to stdout.
//
// Errors carry what may be done about them: wrap them with Retry, RecordError
// or Fatal. An error that is not wrapped is fatal to the task.
package sdk

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/millrace/millrace/plugins/configdef"
	"github.com/millrace/millrace/plugins/data"
	"github.com/millrace/millrace/plugins/proto"
)

// Connector is one connector of a plugin. Exactly one of Source and Sink is
// set.
type Connector struct {
	// Name is short, lower case and unique among the plugins of a worker.
	Name string
	// Version is shown to users.
	Version string
	// Classes are the values of connector.class that the connector answers
	// to. The first is its own name for itself.
	Classes []string
	// Documentation is a link or a sentence.
	Documentation string

	Source Source
	Sink   Sink
}

// ConfigDef defines a connector's configuration keys. The worker's own keys,
// such as name, topics and tasks.max, need no definition; a Config has them
// all the same.
type ConfigDef = configdef.Def

// Key is one configuration key.
type Key = configdef.Key

// Config holds the typed values of a configuration.
type Config = configdef.Config

// The types of configuration keys.
const (
	Boolean  = configdef.Boolean
	String   = configdef.String
	Int      = configdef.Int
	Short    = configdef.Short
	Long     = configdef.Long
	Double   = configdef.Double
	List     = configdef.List
	Class    = configdef.Class
	Password = configdef.Password
)

// Schema, Struct and Batch are the data model's; see package data for how to
// build them.
type (
	Schema = data.Schema
	Struct = data.Struct
	Batch  = data.Batch
)

// NoPartition in a Batch's record lets the producer choose the partition.
const NoPartition = data.NoPartition

// Problem is an error of one configuration key.
type Problem = configdef.Problem

// Validator is a connector that checks a configuration beyond the rules of its
// keys, such as two keys that exclude each other, or a server that must be
// there. It is called with a Config whose keys each passed their own rules.
type Validator interface {
	Validate(ctx context.Context, cfg Config) []Problem
}

// Planner is a connector that divides itself into tasks: it returns the
// configuration of each, at most maxTasks. A connector without it runs as one
// task with its own configuration.
type Planner interface {
	Plan(ctx context.Context, cfg Config, maxTasks int) ([]map[string]string, error)
}

// Watcher is a Planner that notices when its division should change, as when a
// table appears. Watch runs until ctx ends and calls replan, from its own
// goroutine, each time that Plan should be asked again.
type Watcher interface {
	Planner
	Watch(ctx context.Context, cfg Config, replan func()) error
}

// connector keys that every configuration has and no ConfigDef needs to list.
var commonKeys = ConfigDef{
	{Name: "name", Type: String}, {Name: "connector.class", Type: String},
	{Name: "tasks.max", Type: Int, Default: 1},
	{Name: "topics", Type: List, Default: ""}, {Name: "topics.regex", Type: String, Default: ""},
}

// configDef returns the connector's keys and those common keys that it does
// not define itself.
func (c *Connector) configDef() ConfigDef {
	def := slices.Clone(c.ownDef())
	for _, k := range commonKeys {
		if _, ok := def.Key(k.Name); !ok {
			def = append(def, k)
		}
	}
	return def
}

func (c *Connector) ownDef() ConfigDef {
	if c.Source != nil {
		return c.Source.ConfigDef()
	}
	return c.Sink.ConfigDef()
}

// impl returns what may have the optional methods.
func (c *Connector) impl() any {
	if c.Source != nil {
		return c.Source
	}
	return c.Sink
}

// parse turns properties into a Config, or says all that is wrong with them.
func (c *Connector) parse(props map[string]string) (Config, error) {
	cfg, problems := c.configDef().Parse(props)
	if len(problems) == 0 {
		return cfg, nil
	}
	errs := make([]error, len(problems))
	for i, p := range problems {
		errs[i] = p
	}
	return cfg, fmt.Errorf("configuration of %s: %w", c.Name, errors.Join(errs...))
}

// check refuses what a worker would refuse, where the author sees it first.
func check(connectors []Connector) error {
	if len(connectors) == 0 {
		return errors.New("a plugin needs a connector")
	}
	classes := make(map[string]string)
	var errs []error
	for i := range connectors {
		c := &connectors[i]
		switch {
		case c.Name == "":
			errs = append(errs, fmt.Errorf("connector %d has no name", i+1))
			continue
		case (c.Source == nil) == (c.Sink == nil):
			errs = append(errs, fmt.Errorf("connector %s must be either a source or a sink", c.Name))
			continue
		case len(c.Classes) == 0:
			errs = append(errs, fmt.Errorf("connector %s answers to no class", c.Name))
		}
		for _, class := range c.Classes {
			if other, ok := classes[class]; ok {
				errs = append(errs, fmt.Errorf("class %q belongs to %s and %s", class, other, c.Name))
			}
			classes[class] = c.Name
		}
		if err := c.ownDef().Check(); err != nil {
			errs = append(errs, fmt.Errorf("configuration keys of %s: %w", c.Name, err))
		}
	}
	return errors.Join(errs...)
}

// Describe returns what a worker learns about connectors, for a worker that has
// them built in and need not ask.
func Describe(connectors ...Connector) ([]proto.Description, error) {
	if err := check(connectors); err != nil {
		return nil, err
	}
	out := make([]proto.Description, len(connectors))
	for i := range connectors {
		out[i] = connectors[i].description()
	}
	return out, nil
}

func (c *Connector) description() proto.Description {
	return proto.Description{
		API: proto.APIVersion, Name: c.Name, Sink: c.Sink != nil, Version: c.Version, Classes: c.Classes,
		Abilities: c.abilities(), Config: c.ownDef(), Documentation: c.Documentation,
	}
}

// abilities lists the optional interfaces that the connector has. Over gRPC
// every method exists, so they must be told.
func (c *Connector) abilities() []string {
	var out []string
	add := func(ok bool, ability string) {
		if ok {
			out = append(out, ability)
		}
	}
	impl := c.impl()
	_, validate := impl.(Validator)
	_, plan := impl.(Planner)
	_, watch := impl.(Watcher)
	_, alter := impl.(OffsetAlterer)
	_, alterSink := impl.(SinkOffsetAlterer)
	_, once := impl.(ExactlyOncer)
	add(validate, proto.AbilityValidate)
	add(plan, proto.AbilityPlan)
	add(watch, proto.AbilityReplan)
	add(alter || alterSink, proto.AbilityAlterOffsets)
	_, define := impl.(TransactionDefiner)
	add(once, proto.AbilityExactlyOnce)
	add(define, proto.AbilityTransactions)
	return out
}
