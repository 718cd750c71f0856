package proto

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/millrace/millrace/plugins/configdef"
	"google.golang.org/grpc"
)

// Description is what a plugin says about one of its connectors.
type Description struct {
	API           int // the version of the SDK's interface that it was built with
	Name          string
	Sink          bool // a sink, else a source
	Version       string
	Classes       []string // values of connector.class that it answers to
	Abilities     []string
	Config        configdef.Def
	Documentation string
}

// The abilities that a connector may declare. Over gRPC every method exists;
// these say which of them do something.
const (
	AbilityValidate     = "validate"      // checks beyond its keys' own rules
	AbilityPlan         = "plan"          // divides itself into tasks
	AbilityReplan       = "replan"        // asks for a new division by itself
	AbilityAlterOffsets = "alter-offsets" // checks changes of offsets
	AbilityExactlyOnce  = "exactly-once"  // says whether it can, for a config
	AbilityTransactions = "transactions"  // says whether it defines transactions, for a config
)

// The bounds of what Describe and Plan may bring.
const (
	maxConnectors = 256
	maxTasks      = 4096
)

// Describe asks a plugin what it holds.
func Describe(ctx context.Context, conn grpc.ClientConnInterface) ([]Description, error) {
	resp, err := NewConnectorClient(conn).Describe(ctx, &DescribeRequest{}, callOptions()...)
	if err != nil {
		return nil, fmt.Errorf("describe: %w", err)
	}
	if n := len(resp.Connectors); n == 0 || n > maxConnectors {
		return nil, protocolErrorf("it describes %d connectors where 1 to %d are allowed", n, maxConnectors)
	}
	var out []Description
	for _, c := range resp.Connectors {
		d, err := c.description()
		d.API = int(resp.ApiVersion)
		if err != nil {
			return nil, fmt.Errorf("connector %q: %w", c.Name, err)
		}
		out = append(out, d)
	}
	return out, nil
}

func (c *ConnectorDescription) description() (Description, error) {
	d := Description{
		Name: c.Name, Sink: c.Kind == Kind_KIND_SINK, Version: c.Version, Classes: c.Classes,
		Abilities: c.Abilities, Documentation: c.Documentation,
	}
	if c.Kind != Kind_KIND_SINK && c.Kind != Kind_KIND_SOURCE {
		return d, protocolErrorf("kind %v is neither source nor sink", c.Kind)
	}
	if c.Name == "" || len(c.Classes) == 0 {
		return d, protocolErrorf("a connector needs a name and a class")
	}
	if err := json.Unmarshal(c.Config, &d.Config); err != nil {
		return d, protocolErrorf("its configuration keys: %w", err)
	}
	if err := d.Config.Check(); err != nil {
		return d, protocolErrorf("its configuration keys: %w", err)
	}
	return d, nil
}

// NewDescription turns a Description into its message.
func NewDescription(d Description) (*ConnectorDescription, error) {
	config, err := json.Marshal(d.Config)
	if err != nil {
		return nil, fmt.Errorf("configuration keys of %s: %w", d.Name, err)
	}
	kind := Kind_KIND_SOURCE
	if d.Sink {
		kind = Kind_KIND_SINK
	}
	return &ConnectorDescription{
		Name: d.Name, Kind: kind, Version: d.Version, Classes: d.Classes,
		Abilities: d.Abilities, Config: config, Documentation: d.Documentation,
	}, nil
}

// Validation is the evaluation of a configuration.
type Validation struct {
	// Infos are the connector's keys in Connect's form. An entry without a
	// definition is a problem with a key that the connector does not define.
	Infos []configdef.Info
	// ExactlyOnce says whether a source can deliver exactly once as
	// configured; Known is false where it does not say.
	ExactlyOnce, Known bool
	// DefinesTransactions says whether a source, as configured, can say where
	// transactions end.
	DefinesTransactions bool
}

// Errors returns all error messages, in the order of the keys.
func (v Validation) Errors() []string {
	var out []string
	for _, i := range v.Infos {
		if i.Value != nil {
			out = append(out, i.Value.Errors...)
		}
	}
	return out
}

// Validate has a connector check a configuration. What is wrong with the
// configuration is in the result; an error means that the check itself failed.
func Validate(ctx context.Context, conn grpc.ClientConnInterface, class string, config map[string]string) (Validation, error) {
	req := &ValidateRequest{Class: class, Config: config}
	resp, err := NewConnectorClient(conn).Validate(ctx, req, callOptions()...)
	if err == nil {
		err = failed(resp.Failure)
	}
	if err != nil {
		return Validation{}, fmt.Errorf("validate: %w", err)
	}
	v := Validation{
		ExactlyOnce: resp.ExactlyOnce == ExactlyOnce_SUPPORTED,
		Known:       resp.ExactlyOnce != ExactlyOnce_UNKNOWN,

		DefinesTransactions: resp.DefinesTransactions,
	}
	if err := json.Unmarshal(resp.Infos, &v.Infos); err != nil {
		return Validation{}, protocolErrorf("validate: %w", err)
	}
	for _, i := range v.Infos {
		if i.Value == nil {
			return Validation{}, protocolErrorf("validate: a key without an evaluation")
		}
	}
	return v, nil
}

// Plan is the division of a connector into tasks.
type Plan struct {
	stream grpc.ServerStreamingClient[PlanResponse]
	cancel context.CancelFunc
}

// OpenPlan asks a connector for its tasks' configurations, at most max. The
// Plan lives until Close, whatever becomes of ctx.
func OpenPlan(ctx context.Context, conn grpc.ClientConnInterface, class string, config map[string]string, max int) (*Plan, error) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	req := &PlanRequest{Class: class, Config: config, MaxTasks: int32(min(max, maxTasks))}
	stream, err := NewConnectorClient(conn).Plan(ctx, req, callOptions()...)
	if err != nil {
		cancel()
		return nil, fmt.Errorf("plan tasks: %w", err)
	}
	return &Plan{stream, cancel}, nil
}

// Next returns the tasks' configurations: the first at once, later ones
// whenever the connector divides itself anew. io.EOF says that it never will
// again. It blocks until ctx or the Plan ends; a Plan whose Next was cut short
// is closed.
func (p *Plan) Next(ctx context.Context) ([]map[string]string, error) {
	stop := context.AfterFunc(ctx, p.cancel)
	defer stop()
	resp, err := p.stream.Recv()
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case errors.Is(err, io.EOF):
		return nil, io.EOF
	case err != nil:
		return nil, &StreamError{err}
	case resp.Failure != nil:
		return nil, fmt.Errorf("plan tasks: %w", failed(resp.Failure))
	case len(resp.Tasks) > maxTasks:
		return nil, protocolErrorf("a plan of %d tasks where %d are allowed", len(resp.Tasks), maxTasks)
	}
	tasks := make([]map[string]string, len(resp.Tasks))
	for i, t := range resp.Tasks {
		tasks[i] = t.Config
		if t.Config == nil {
			tasks[i] = map[string]string{}
		}
	}
	return tasks, nil
}

// Close ends the Plan. It may be called twice.
func (p *Plan) Close() { p.cancel() }

// AlterOffsets asks a source whether its offsets may be changed as described,
// which it takes note of. known is false when the connector does not care. In
// a position whose offset is nil the stored offset is removed.
func AlterOffsets(ctx context.Context, conn grpc.ClientConnInterface, class string, config map[string]string,
	changes []OffsetPair, sink Offsets) (known bool, err error) {
	req := &AlterOffsetsRequest{Class: class, Config: config, SinkChanges: sink.message()}
	for _, c := range changes {
		req.Changes = append(req.Changes, &OffsetChange{Partition: c.Partition, Offset: c.Offset})
	}
	resp, err := NewConnectorClient(conn).AlterOffsets(ctx, req, callOptions()...)
	if err == nil {
		err = failed(resp.Failure)
	}
	if err != nil {
		return false, fmt.Errorf("alter offsets: %w", err)
	}
	return resp.Known, nil
}
