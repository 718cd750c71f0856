package sdk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"github.com/millrace/millrace/plugins/proto"
	"github.com/millrace/millrace/plugins/resident"
	"google.golang.org/grpc"
)

// Serve is all that a plugin's main function has to do. It returns when the
// worker is done with the process, and exits with status 1 if the connectors
// are malformed or the process was not started by a worker. Started by hand
// with the one argument "manifest" it prints the manifest to put beside the
// executable, which spares the worker a start to find out.
func Serve(connectors ...Connector) {
	err := error(nil)
	if len(os.Args) == 2 && os.Args[1] == "manifest" {
		err = writeManifest(os.Stdout, connectors)
	} else {
		err = Run(connectors...)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1) // this is main in all but name
	}
}

// ErrNoWorker is a plugin that was not started by a worker.
var ErrNoWorker = errors.New("this is a Millrace plugin, which a worker starts: " +
	"put it into a directory of plugin.path, or run it with the argument manifest")

// lastTasks is how long a process waits for its tasks to close when the worker
// ended it without closing them.
const lastTasks = 5 * time.Second

// Run is Serve for programs with a main function of their own: it returns its
// errors. It takes over stdout, and ignores SIGINT, SIGHUP and SIGTERM, which a
// terminal or service manager sends to every process at once: the worker stops
// its tasks itself, in order.
func Run(connectors ...Connector) error {
	if err := check(connectors); err != nil {
		return fmt.Errorf("plugin: %w", err)
	}
	if os.Getenv(proto.Handshake.MagicCookieKey) != proto.Handshake.MagicCookieValue {
		return ErrNoWorker
	}
	streams := &standardStreams{out: os.Stderr, err: os.Stderr}
	signal.Ignore(syscall.SIGINT, syscall.SIGHUP, syscall.SIGTERM)
	if err := watchWorker(os.Getenv(proto.EnvDeathPipe)); err != nil {
		return err
	}
	log := newLogger(os.Stderr) // before go-plugin puts a pipe in its place
	slog.SetDefault(log)
	s := &server{connectors: connectors, log: log}
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig: proto.Handshake,
		VersionedPlugins: map[int]plugin.PluginSet{
			proto.ProtocolVersion: {proto.PluginName: &proto.Glue{Service: s}},
		},
		GRPCServer: func(opts []grpc.ServerOption) *grpc.Server {
			opts = append(opts, proto.ServerOptions()...)
			return grpc.NewServer(append(opts, streams.options()...)...)
		},
		Logger: hclog.NewNullLogger(),
	})
	s.drain()
	return nil
}

// standardStreams puts os.Stdout and os.Stderr back after go-plugin has put
// pipes in their place, whose content it sends by gRPC and loses when the
// process ends. Both become the real stderr, which the worker reads to the
// last byte. It is done at the first call, before any connector runs.
type standardStreams struct {
	once     sync.Once
	out, err *os.File
}

func (s *standardStreams) restore() {
	s.once.Do(func() { os.Stdout, os.Stderr = s.out, s.err })
}

func (s *standardStreams) options() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.UnaryInterceptor(func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			s.restore()
			return next(ctx, req)
		}),
		grpc.StreamInterceptor(func(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
			s.restore()
			resident.TrimSoon() // a task or a plan, which stays
			return next(srv, stream)
		}),
	}
}

// drain waits for tasks to close, for a while.
func (s *server) drain() {
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.tasks.Wait()
	}()
	select {
	case <-done:
	case <-time.After(lastTasks):
		s.log.Warn("tasks did not close", "took", lastTasks)
	}
}

// watchWorker exits the process when the worker is gone: the worker holds the
// other end of a pipe on descriptor fd, and the system closes it however the
// worker ends. Nothing can be saved then, and another worker may be running
// the task already.
func watchWorker(fd string) error {
	if fd == "" {
		return nil
	}
	n, err := strconv.ParseUint(fd, 10, 16)
	if err != nil {
		return fmt.Errorf("%s: %w", proto.EnvDeathPipe, err)
	}
	syscall.CloseOnExec(int(n))
	pipe := os.NewFile(uintptr(n), "worker")
	if pipe == nil {
		return fmt.Errorf("%s: descriptor %d is not open", proto.EnvDeathPipe, n)
	}
	go func() {
		_, err := pipe.Read(make([]byte, 1))
		if errors.Is(err, io.EOF) {
			slog.Error("worker is gone, exiting")
		} else {
			slog.Error("pipe to the worker broke, exiting", "err", err)
		}
		os.Exit(exitWorkerGone)
	}()
	return nil
}

// exitWorkerGone is the exit status of a process whose worker is gone.
const exitWorkerGone = 3
