// Package brokertest runs brokers in the process of a test. Any Kafka client
// can use them over TCP on the loopback interface.
//
//	c := brokertest.Start(t)
//	client := c.Client(t, kgo.ConsumeTopics("orders"))
package brokertest

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/broker"
)

// patience is how long a broker may take to start or stop.
const patience = 30 * time.Second

// Option changes how a cluster is started.
type Option func(*options)

type options struct {
	properties map[string]string
	dir        string
	logs       bool
	tls        *tls.Config
}

// With sets a broker config under Kafka's name.
func With(key, value string) Option {
	return func(o *options) { o.properties[key] = value }
}

// Dir keeps the data in a directory of the caller's instead of t.TempDir.
func Dir(path string) Option { return func(o *options) { o.dir = path } }

// Logs sends the broker's log lines, at Debug, to the test's output.
func Logs() Option { return func(o *options) { o.logs = true } }

// TLS has the broker speak TLS on its TCP connections.
func TLS(cfg *tls.Config) Option { return func(o *options) { o.tls = cfg } }

// Cluster is a running broker and its data directory. Its methods are called
// from the test's goroutine.
type Cluster struct {
	opts options
	addr string

	broker atomic.Pointer[broker.Broker] // memory clients dial whichever runs
	cancel context.CancelCauseFunc
	done   chan error
}

// Start starts a broker on a fresh data directory and stops it when the test
// ends. The first rebalance of a group is not delayed, unless an option sets
// group.initial.rebalance.delay.ms.
func Start(t testing.TB, opts ...Option) *Cluster {
	t.Helper()
	o := options{properties: map[string]string{"group.initial.rebalance.delay.ms": "0"}}
	for _, opt := range opts {
		opt(&o)
	}
	if o.dir == "" {
		o.dir = t.TempDir()
	}
	c := &Cluster{opts: o, addr: "127.0.0.1:0"}
	c.start(t)
	t.Cleanup(func() { c.stop(t, nil) })
	return c
}

func (c *Cluster) start(t testing.TB) {
	t.Helper()
	l, err := net.Listen("tcp", c.addr)
	if err != nil {
		t.Fatalf("listen on %s: %v", c.addr, err)
	}
	c.addr = l.Addr().String()
	if c.opts.tls != nil {
		l = tls.NewListener(l, c.opts.tls)
	}
	logger := slog.New(slog.DiscardHandler)
	if c.opts.logs {
		logger = slog.New(slog.NewTextHandler(testWriter(t), &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	b, err := broker.New(broker.Config{
		DataDir: c.opts.dir, NodeID: 1, Properties: maps.Clone(c.opts.properties), Logger: logger,
		Listeners: []broker.Listener{{Name: "PLAINTEXT", Listener: l}},
	})
	if err != nil {
		l.Close()
		t.Fatalf("new broker: %v", err)
	}
	c.broker.Store(b)
	ctx, cancel := context.WithCancelCause(context.Background())
	c.cancel, c.done = cancel, make(chan error, 1)
	go func() { c.done <- b.Run(ctx) }()
	select {
	case <-b.Ready():
	case err := <-c.done:
		c.done = nil
		t.Fatalf("broker did not start: %v", err)
	case <-time.After(patience):
		t.Fatalf("broker not ready after %v", patience)
	}
}

// stop ends the broker, with a cause for a crash, and fails the test if it
// does not stop in order. A broker that is not running is left alone.
func (c *Cluster) stop(t testing.TB, cause error) {
	t.Helper()
	if c.done == nil {
		return
	}
	c.cancel(cause)
	select {
	case err := <-c.done:
		c.done = nil
		if err != nil {
			t.Errorf("broker stopped with %v", err)
		}
	case <-time.After(patience):
		t.Fatalf("broker still running %v after it was told to stop", patience)
	}
}

// Addr returns the broker's host:port. It stays the same over restarts.
func (c *Cluster) Addr() string { return c.addr }

// Dir returns the data directory.
func (c *Cluster) Dir() string { return c.opts.dir }

// Broker returns the running broker, for its Stats and Dial.
func (c *Cluster) Broker() *broker.Broker { return c.broker.Load() }

// Restart stops the broker in order and starts it on the same data and
// address.
func (c *Cluster) Restart(t testing.TB) {
	t.Helper()
	c.Stop(t)
	c.start(t)
}

// Stop stops the broker in order. Start it again with Resume.
func (c *Cluster) Stop(t testing.TB) {
	t.Helper()
	c.stop(t, nil)
}

// Kill stops the broker as kill -9 would, as far as one process can: requests
// are dropped, nothing is flushed and no file says that the stop was clean.
// Start it again with Resume.
func (c *Cluster) Kill(t testing.TB) {
	t.Helper()
	c.stop(t, broker.ErrCrash)
}

// Resume starts a stopped broker on its data and address.
func (c *Cluster) Resume(t testing.TB) {
	t.Helper()
	c.start(t)
}

// Client returns a client of the broker that is closed when the test ends.
func (c *Cluster) Client(t testing.TB, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(c.addr)}, opts...)...)
	if err != nil {
		t.Fatalf("new client: %v", err)
	}
	t.Cleanup(cl.Close)
	return cl
}

// MemoryClient is Client over connections in memory.
func (c *Cluster) MemoryClient(t testing.TB, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	return c.Client(t, append([]kgo.Opt{
		kgo.SeedBrokers(c.broker.Load().MemoryAddr()),
		kgo.Dialer(func(ctx context.Context, _, _ string) (net.Conn, error) { return c.broker.Load().Dial(ctx) }),
	}, opts...)...)
}

// CreateTopic creates a topic with some partitions and configs, given as key
// and value in turn.
func (c *Cluster) CreateTopic(t testing.TB, topic string, partitions int32, configs ...string) {
	t.Helper()
	set := make(map[string]*string)
	for i := 0; i+1 < len(configs); i += 2 {
		set[configs[i]] = &configs[i+1]
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.addr))
	if err != nil {
		t.Fatalf("new client: %v", err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	resp, err := kadm.NewClient(cl).CreateTopic(ctx, partitions, 1, set, topic)
	if err = errors.Join(err, resp.Err); err != nil {
		t.Fatalf("create topic %s: %v", topic, err)
	}
}

// testWriter writes lines to a test's log until the test has ended.
func testWriter(t testing.TB) io.Writer {
	w := &logWriter{t: t}
	t.Cleanup(func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.t = nil
	})
	return w
}

type logWriter struct {
	mu sync.Mutex // guards below
	t  testing.TB
}

func (w *logWriter) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.t != nil {
		w.t.Logf("%s", b)
	}
	return len(b), nil
}
