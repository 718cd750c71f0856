package host

import (
	"context"
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/millrace/millrace/plugins/catalog"
	"github.com/millrace/millrace/plugins/configdef"
	"github.com/millrace/millrace/plugins/data"
	"github.com/millrace/millrace/plugins/proto"
)

// Target is a plugin and the class that it is asked for.
type Target struct {
	Plugin *catalog.Plugin
	Class  string // one of the plugin's
}

// NewTarget takes what catalog.Resolve returns.
func NewTarget(p *catalog.Plugin, class string) Target { return Target{p, class} }

// SaysExactlyOnce reports whether the connector is a source that says whether
// it delivers exactly once.
func (t Target) SaysExactlyOnce() bool { return t.Plugin.Can(proto.AbilityExactlyOnce) }

func (h *Host) launch(t Target, connector string) launch {
	log := h.cfg.Logger.With("plugin", t.Plugin.Name)
	if connector != "" {
		log = log.With("connector", connector)
	}
	return launch{name: t.Plugin.Name, command: t.Plugin.Command, environment: t.Plugin.Environment, log: log}
}

// call starts a process for one call and ends it afterwards.
func (h *Host) call(ctx context.Context, l launch, do func(ctx context.Context, p *process) error) error {
	ctx, cancel := h.withTimeout(ctx, h.cfg.CallTimeout)
	defer cancel()
	p, err := h.start(ctx, l)
	if err != nil {
		return err
	}
	defer p.stop(context.WithoutCancel(ctx))
	// A call that is not answered in time gets its process killed; gRPC alone
	// would leave it running. The process has the same deadline, and may tell of
	// it a moment before ours is over.
	err = do(ctx, p)
	if late := status.Code(err) == codes.DeadlineExceeded; late || err != nil && ctx.Err() != nil {
		if late {
			<-ctx.Done()
		}
		err = fmt.Errorf("plugin %s: %w", l.name, context.Cause(ctx))
		p.kill(err.Error())
	}
	return err
}

// Describe starts an executable and asks what connectors it holds. It is what
// a catalog needs.
func (h *Host) Describe(ctx context.Context, command []string) ([]catalog.Plugin, error) {
	if len(command) == 0 {
		return nil, fmt.Errorf("describe: no command")
	}
	l := launch{name: command[0], command: command, log: h.cfg.Logger.With("plugin", command[0])}
	var out []catalog.Plugin
	err := h.call(ctx, l, func(ctx context.Context, p *process) error {
		list, err := proto.Describe(ctx, p.conn)
		for _, d := range list {
			out = append(out, fromDescription(d, command))
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// BuiltIn returns the catalog's entries for connectors of the worker's own
// executable. arguments are what makes it run as the plugin of a name, which
// is appended.
func BuiltIn(list []proto.Description, arguments ...string) []catalog.Plugin {
	var out []catalog.Plugin
	for _, d := range list {
		command := append(append([]string{""}, arguments...), d.Name)
		out = append(out, fromDescription(d, command))
	}
	return out
}

func fromDescription(d proto.Description, command []string) catalog.Plugin {
	p := catalog.Plugin{
		Name: d.Name, Kind: catalog.Source, Version: d.Version, API: d.API, Classes: d.Classes, Abilities: d.Abilities,
		Config: d.Config, Documentation: d.Documentation, Command: command, Origin: command[0],
	}
	if d.Sink {
		p.Kind = catalog.Sink
	}
	return p
}

// Validation is the evaluation of a configuration by its connector.
type Validation struct {
	// Infos are the connector's keys in Connect's form. One without a
	// definition is a problem with a key that the connector does not define.
	Infos []configdef.Info
	// ExactlyOnce says whether a source can deliver exactly once as
	// configured, where it says so at all.
	ExactlyOnce, ExactlyOnceKnown bool
	// DefinesTransactions says whether a source, as configured, can say where
	// transactions end.
	DefinesTransactions bool
}

// Validate has a connector check a configuration. What is wrong with it is in
// the result; an error means that the check could not be made.
func (h *Host) Validate(ctx context.Context, t Target, config map[string]string) (Validation, error) {
	var v proto.Validation
	err := h.call(ctx, h.launch(t, config["name"]), func(ctx context.Context, p *process) (err error) {
		v, err = proto.Validate(ctx, p.conn, t.Class, config)
		return err
	})
	return Validation{
		Infos: v.Infos, ExactlyOnce: v.ExactlyOnce, ExactlyOnceKnown: v.Known, DefinesTransactions: v.DefinesTransactions,
	}, err
}

// AlterOffsets asks a connector whether its offsets may be changed: positions
// for a source, log offsets for a sink, where -1 removes. known is false when
// the connector does not vouch for them. A connector without the ability is
// not asked.
func (h *Host) AlterOffsets(ctx context.Context, t Target, config map[string]string,
	source []data.Position, sink Offsets) (known bool, err error) {
	if !t.Plugin.Can(proto.AbilityAlterOffsets) {
		return false, nil
	}
	err = h.call(ctx, h.launch(t, config["name"]), func(ctx context.Context, p *process) (err error) {
		known, err = proto.AlterOffsets(ctx, p.conn, t.Class, config, source, sink)
		return err
	})
	return known, err
}

// Plan is the division of a connector into tasks, and the process that may
// change its mind about it.
type Plan struct {
	process *process
	plan    *proto.Plan
}

// Plan starts a connector to divide it into at most max tasks. ctx bounds the
// start alone. The Plan must be closed.
func (h *Host) Plan(ctx context.Context, t Target, config map[string]string, max int) (*Plan, error) {
	startCtx, cancel := h.withTimeout(ctx, h.cfg.CallTimeout)
	defer cancel()
	p, err := h.start(startCtx, h.launch(t, config["name"]))
	if err != nil {
		return nil, err
	}
	plan, err := proto.OpenPlan(ctx, p.conn, t.Class, config, max)
	if err != nil {
		p.stop(context.WithoutCancel(ctx))
		return nil, p.explain(err)
	}
	return &Plan{process: p, plan: plan}, nil
}

// Next returns the tasks' configurations: the first soon, so that ctx should
// have a deadline; later ones whenever the connector wants another division.
// io.EOF says that it never will, and that its process can be let go. A Plan
// whose Next was cut short is of no more use. One goroutine calls Next.
func (p *Plan) Next(ctx context.Context) ([]map[string]string, error) {
	tasks, err := p.plan.Next(ctx)
	return tasks, p.process.explain(err)
}

// Close ends the connector's process.
func (p *Plan) Close(ctx context.Context) {
	p.plan.Close()
	p.process.stop(ctx)
}
