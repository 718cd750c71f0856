// Package proto is the contract between a Connect worker and the processes of
// its connectors: the gRPC service, the packed batches that records cross in,
// and the worker's end of the service in Go's terms.
//
// A task is one stream. OpenSource and OpenSink start it and return a Source
// or Sink, which hide messages, credits and tables. The connector's end is in
// the SDK.
package proto

import (
	"context"

	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
)

// Handshake is what a worker and a plugin check of each other before they
// speak: a cookie, so that nobody starts a plugin by hand and waits.
var Handshake = plugin.HandshakeConfig{
	ProtocolVersion:  ProtocolVersion,
	MagicCookieKey:   "MILLRACE_PLUGIN",
	MagicCookieValue: "9b1c5f0f6c2e4a7d8e3b",
}

const (
	// ProtocolVersion changes when the messages do in a way that the other end
	// cannot ignore. go-plugin negotiates it.
	ProtocolVersion = 1
	// APIVersion counts additions within a protocol version.
	APIVersion = 1
	// PluginName is the name of the service in go-plugin's set.
	PluginName = "connector"
	// EnvDeathPipe names the environment variable with the number of a file
	// descriptor that reads end of file when the worker is gone.
	EnvDeathPipe = "MILLRACE_DEATH_PIPE"
	// EnvLogLevel names the environment variable with the least level of log
	// lines that the worker wants: DEBUG, INFO, WARN or ERROR.
	EnvLogLevel = "MILLRACE_LOG_LEVEL"
)

// Glue ties the service to go-plugin. Service is nil on the worker's side,
// where Dispense returns the grpc.ClientConnInterface of the plugin.
type Glue struct {
	plugin.NetRPCUnsupportedPlugin
	Service ConnectorServer
}

var _ plugin.GRPCPlugin = (*Glue)(nil)

// GRPCServer registers the connector's end of the service.
func (g *Glue) GRPCServer(_ *plugin.GRPCBroker, s *grpc.Server) error {
	RegisterConnectorServer(s, g.Service)
	return nil
}

// GRPCClient returns the connection itself.
func (g *Glue) GRPCClient(_ context.Context, _ *plugin.GRPCBroker, c *grpc.ClientConn) (any, error) {
	return c, nil
}

// The gRPC settings of both ends. A message is a payload and a few bytes. The
// windows are above what credits let into a stream, so that flow control is by
// credits alone.
const (
	maxMessage = MaxPayload + 1<<16
	window     = 16 << 20
	bufferSize = 256 << 10
)

// ServerOptions are for the gRPC server in the plugin.
func ServerOptions() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.MaxRecvMsgSize(maxMessage), grpc.MaxSendMsgSize(maxMessage),
		grpc.InitialWindowSize(window), grpc.InitialConnWindowSize(window),
		grpc.ReadBufferSize(bufferSize), grpc.WriteBufferSize(bufferSize),
		grpc.ForceServerCodecV2(newCodec()),
	}
}

// DialOptions are for the gRPC client in the worker.
func DialOptions() []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithInitialWindowSize(window), grpc.WithInitialConnWindowSize(window),
		grpc.WithReadBufferSize(bufferSize), grpc.WithWriteBufferSize(bufferSize),
	}
}

// callOptions bound what one call may bring; go-plugin dials without a bound.
func callOptions() []grpc.CallOption {
	return []grpc.CallOption{grpc.MaxCallRecvMsgSize(maxMessage), grpc.MaxCallSendMsgSize(maxMessage), grpc.ForceCodecV2(newCodec())}
}
