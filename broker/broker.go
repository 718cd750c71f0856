// Package broker is one broker of a cluster: it opens a data directory, joins
// the metadata quorum, opens the partitions and serves the Kafka protocol on
// its listeners until it is told to stop.
package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/broker/commitlog"
	"github.com/millrace/millrace/broker/metadata"
	"github.com/millrace/millrace/broker/quota"
	"github.com/millrace/millrace/broker/wire"
)

// ErrCrash, as the cause with which Run's context is cancelled, stops the
// broker as kill -9 would: nothing is drained, flushed or marked clean. It is
// for tests of recovery.
var ErrCrash = errors.New("stop as in a crash")

// memoryListener is the name of the listener that Dial connects to.
const memoryListener = "MEMORY"

// Listener is a bound network listener under Kafka's name for it.
type Listener struct {
	// Name is the listener name, such as PLAINTEXT.
	Name string
	// Listener accepts the connections. Run closes it.
	net.Listener
	// Advertised is the host:port that clients are told to connect to. Empty
	// means the listener's own address, which must not be a wildcard then.
	Advertised string
}

// Config is what a broker needs. DataDir is mandatory.
type Config struct {
	// DataDir is the only state of the broker. A fresh directory is formatted.
	DataDir string
	// NodeID is node.id, from 0. It must be that of the data directory.
	NodeID int32
	// ClusterID is given to a fresh data directory; empty draws one. Else it
	// must be empty or that of the data directory.
	ClusterID string
	// Listeners are served beside Dial.
	Listeners []Listener
	// Properties is the configuration under Kafka's names, checked by New.
	Properties map[string]string
	// DrainTimeout bounds how long a stop waits for requests that are being
	// answered. Default 10 s.
	DrainTimeout time.Duration
	// FS is the file system of the logs; the operating system's unless a test
	// puts faults between.
	FS commitlog.FS
	// Logger defaults to slog.Default().
	Logger *slog.Logger
}

// Broker is one broker. New makes it and Run is its life; the other methods
// may be called from any goroutine at any time.
type Broker struct {
	cfg       Config
	broker    *metadata.BrokerConfig
	endpoints []metadata.Endpoint
	memory    *wire.PipeListener
	shared    wire.Shared
	quotas    *quota.Quotas
	refused   atomic.Int64
	conns     atomic.Pointer[connections]
	ready     chan struct{}
	node      node
}

// New checks the configuration and returns a broker that has not touched disk
// or network. All problems are reported at once, in the words of the keys.
func New(cfg Config) (*Broker, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	if cfg.DrainTimeout <= 0 {
		cfg.DrainTimeout = 10 * time.Second
	}
	b := &Broker{cfg: cfg, memory: wire.NewPipeListener(), quotas: quota.New(time.Now), ready: make(chan struct{})}
	var errs []error
	if cfg.DataDir == "" {
		errs = append(errs, errors.New("data directory is not set"))
	}
	if cfg.NodeID < 0 {
		errs = append(errs, fmt.Errorf("node.id is %d: must not be negative", cfg.NodeID))
	}
	var err error
	b.broker, err = metadata.NewBrokerConfig(cfg.Properties)
	errs = append(errs, err)
	names := map[string]bool{memoryListener: true}
	for _, l := range cfg.Listeners {
		if names[l.Name] || l.Name == "" {
			errs = append(errs, fmt.Errorf("listener name %q is empty, reserved or used twice", l.Name))
		}
		names[l.Name] = true
		e, err := l.endpoint()
		errs = append(errs, err)
		b.endpoints = append(b.endpoints, e)
	}
	b.endpoints = append(b.endpoints, metadata.Endpoint{Listener: memoryListener, Host: b.memoryHost(), Port: 9092})
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return b, nil
}

// endpoint returns what Metadata says about the listener.
func (l Listener) endpoint() (metadata.Endpoint, error) {
	address := l.Advertised
	if address == "" {
		address = l.Addr().String()
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return metadata.Endpoint{}, fmt.Errorf("advertised.listeners: %s: %w", l.Name, err)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return metadata.Endpoint{}, fmt.Errorf("advertised.listeners: %s: port %q: must be from 1 to 65535", l.Name, port)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		return metadata.Endpoint{}, fmt.Errorf("advertised.listeners: %s: clients cannot connect to %q: set an address that they can reach", l.Name, host)
	}
	return metadata.Endpoint{Listener: l.Name, Host: host, Port: int32(n)}, nil
}

func (b *Broker) memoryHost() string { return fmt.Sprintf("node-%d.memory", b.cfg.NodeID) }

// Ready is closed when the broker serves requests.
func (b *Broker) Ready() <-chan struct{} { return b.ready }

// MemoryAddr is the host:port that clients of Dial use as their seed. It
// means nothing to a network.
func (b *Broker) MemoryAddr() string { return net.JoinHostPort(b.memoryHost(), "9092") }

// Dial connects to the broker within this process, for kgo.Dialer and the
// like. It waits until the broker is ready, and fails with net.ErrClosed once
// it stops.
func (b *Broker) Dial(ctx context.Context) (net.Conn, error) { return b.memory.Dial(ctx) }

func (b *Broker) logDir() string { return filepath.Join(b.cfg.DataDir, "logs") }
