package sdk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"sync"

	"github.com/millrace/millrace/plugins/configdef"
	"github.com/millrace/millrace/plugins/proto"
	"google.golang.org/grpc"
)

// Register adds connectors to a gRPC server. Plugins call Serve instead; this
// is for tests that run a connector in their own process.
func Register(r grpc.ServiceRegistrar, log *slog.Logger, connectors ...Connector) error {
	if err := check(connectors); err != nil {
		return err
	}
	proto.RegisterConnectorServer(r, &server{connectors: connectors, log: log})
	return nil
}

// server is the plugin's end of the service.
type server struct {
	proto.UnimplementedConnectorServer
	connectors []Connector
	log        *slog.Logger
	tasks      sync.WaitGroup // running tasks
}

// connector finds the one that answers to a class.
func (s *server) connector(class string) (*Connector, error) {
	for i := range s.connectors {
		if slices.Contains(s.connectors[i].Classes, class) {
			return &s.connectors[i], nil
		}
	}
	return nil, fmt.Errorf("this plugin has no connector of class %q", class)
}

// guard calls a connector's method and turns its panic into an error.
func guard(log *slog.Logger, what string, call func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			log.Error("connector panicked", "call", what, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			err = Fatal(fmt.Errorf("panic in %s: %v", what, p))
		}
	}()
	return call()
}

// Describe implements the service.
func (s *server) Describe(context.Context, *proto.DescribeRequest) (*proto.DescribeResponse, error) {
	resp := &proto.DescribeResponse{ApiVersion: proto.APIVersion}
	for i := range s.connectors {
		d, err := proto.NewDescription(s.connectors[i].description())
		if err != nil {
			return nil, err
		}
		resp.Connectors = append(resp.Connectors, d)
	}
	return resp, nil
}

// Validate implements the service.
func (s *server) Validate(ctx context.Context, req *proto.ValidateRequest) (*proto.ValidateResponse, error) {
	resp := &proto.ValidateResponse{}
	err := guard(s.log, "Validate", func() error {
		c, err := s.connector(req.Class)
		if err != nil {
			return err
		}
		infos := c.ownDef().Validate(req.Config)
		if cfg, problems := c.configDef().Parse(req.Config); len(problems) == 0 {
			infos = c.validate(withLogger(ctx, s.log), cfg, infos)
			if once, ok := c.impl().(ExactlyOncer); ok {
				resp.ExactlyOnce = proto.ExactlyOnce_UNSUPPORTED
				if once.ExactlyOnce(cfg) {
					resp.ExactlyOnce = proto.ExactlyOnce_SUPPORTED
				}
			}
			definer, ok := c.impl().(TransactionDefiner)
			resp.DefinesTransactions = ok && definer.DefinesTransactions(cfg)
		}
		resp.Infos, err = json.Marshal(infos)
		return err
	})
	resp.Failure = proto.NewFailure(err)
	return resp, nil
}

// validate adds what the connector itself finds. A problem with a key that it
// does not define becomes an entry without a definition.
func (c *Connector) validate(ctx context.Context, cfg Config, infos []configdef.Info) []configdef.Info {
	v, ok := c.impl().(Validator)
	if !ok {
		return infos
	}
	for _, p := range v.Validate(ctx, cfg) {
		i := slices.IndexFunc(infos, func(i configdef.Info) bool { return i.Value.Name == p.Key })
		if i < 0 {
			i = len(infos)
			infos = append(infos, configdef.Info{Value: &configdef.Value{
				Name: p.Key, RecommendedValues: []string{}, Errors: []string{}, Visible: true,
			}})
		}
		infos[i].Value.Errors = append(infos[i].Value.Errors, p.Text)
	}
	return infos
}

// Plan implements the service.
func (s *server) Plan(req *proto.PlanRequest, stream grpc.ServerStreamingServer[proto.PlanResponse]) error {
	c, err := s.connector(req.Class)
	var cfg Config
	if err == nil {
		cfg, err = c.parse(req.Config)
	}
	if err != nil {
		return stream.Send(&proto.PlanResponse{Failure: proto.NewFailure(err)})
	}
	ctx := withLogger(stream.Context(), s.log)
	send := func() error {
		tasks, err := s.plan(ctx, c, cfg, req)
		return errors.Join(err, stream.Send(&proto.PlanResponse{Tasks: tasks, Failure: proto.NewFailure(err)}))
	}
	w, ok := c.impl().(Watcher)
	if err := send(); err != nil || !ok {
		return nil // the stream's end or the failure says it all
	}
	if err := s.watch(ctx, w, cfg, send); err != nil {
		return stream.Send(&proto.PlanResponse{Failure: proto.NewFailure(err)})
	}
	return nil
}

// watch sends a new plan each time that the connector asks for it. Requests
// that come while one is being made are one.
func (s *server) watch(ctx context.Context, w Watcher, cfg Config, send func() error) error {
	ctx, cancel := context.WithCancel(ctx)
	wanted := make(chan struct{}, 1)
	ended := make(chan error, 1)
	go func() {
		ended <- guard(s.log, "Watch", func() error {
			return w.Watch(ctx, cfg, func() {
				select {
				case wanted <- struct{}{}:
				default:
				}
			})
		})
	}()
	for {
		select {
		case err := <-ended:
			cancel()
			if ctx.Err() != nil && errors.Is(err, context.Cause(ctx)) {
				return nil
			}
			return err
		case <-wanted:
			if err := send(); err != nil {
				cancel()
				<-ended
				return nil
			}
		}
	}
}

func (s *server) plan(ctx context.Context, c *Connector, cfg Config, req *proto.PlanRequest) (out []*proto.TaskConfig, err error) {
	p, ok := c.impl().(Planner)
	if !ok {
		return []*proto.TaskConfig{{Config: req.Config}}, nil
	}
	var tasks []map[string]string
	err = guard(s.log, "Plan", func() (err error) {
		tasks, err = p.Plan(ctx, cfg, int(req.MaxTasks))
		return err
	})
	if err == nil && len(tasks) > int(req.MaxTasks) {
		err = fmt.Errorf("the connector plans %d tasks where tasks.max is %d", len(tasks), req.MaxTasks)
	}
	if err != nil {
		return nil, err
	}
	for _, t := range tasks {
		out = append(out, &proto.TaskConfig{Config: t})
	}
	return out, nil
}

// AlterOffsets implements the service.
func (s *server) AlterOffsets(ctx context.Context, req *proto.AlterOffsetsRequest) (*proto.AlterOffsetsResponse, error) {
	resp := &proto.AlterOffsetsResponse{}
	err := guard(s.log, "AlterOffsets", func() error {
		c, err := s.connector(req.Class)
		if err != nil {
			return err
		}
		cfg, err := c.parse(req.Config)
		if err != nil {
			return err
		}
		ctx := withLogger(ctx, s.log)
		switch alterer := c.impl().(type) {
		case OffsetAlterer:
			var changes []proto.OffsetPair
			for _, ch := range req.Changes {
				changes = append(changes, proto.OffsetPair{Partition: ch.Partition, Offset: ch.Offset})
			}
			positions, err := decodePositions(changes)
			if err == nil {
				resp.Known, err = alterer.AlterOffsets(ctx, cfg, positions)
			}
			return err
		case SinkOffsetAlterer:
			resp.Known, err = alterer.AlterSinkOffsets(ctx, cfg, (&proto.OffsetList{Offsets: req.SinkChanges}).Map())
		}
		return err
	})
	resp.Failure = proto.NewFailure(err)
	return resp, nil
}
