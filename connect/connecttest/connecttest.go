// Package connecttest runs connectors as their users do, within a test: on a
// real worker and a real broker, both in the process of the test. Plugins are
// executables that the worker starts, or connectors in the test's own process,
// where a debugger reaches them.
//
//	func TestOnANode(t *testing.T) {
//		n := connecttest.Start(t, connecttest.Build(t, ".")) // or StartInProcess(t, plugin)
//		n.Create("c", map[string]string{"connector.class": "CounterSource", "topic": "t"})
//		for _, r := range n.Read("t", 3) {
//			...
//		}
//	}
//
// The suites of plugins/sdktest run a connector without a node.
package connecttest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"github.com/millrace/millrace/broker/brokertest"
	"github.com/millrace/millrace/connect"
	"github.com/millrace/millrace/connect/client"
	"github.com/millrace/millrace/connect/connector"
	"github.com/millrace/millrace/plugins/catalog"
	"github.com/millrace/millrace/plugins/host"
	"github.com/millrace/millrace/plugins/proto"
	"github.com/millrace/millrace/plugins/sdk"
)

// Patience is how long a node is waited for, whatever it is to do.
const Patience = time.Minute

// Node is a broker and a worker. Its methods fail the test where something
// does not come about, and are called by the test's goroutine.
type Node struct {
	t      testing.TB
	broker *brokertest.Cluster
	worker *connect.Connect
	dir    string // of plugins
	inside []sdk.Connector
	stop   context.CancelFunc
	done   chan error
}

// Build builds the plugin whose main package is in a directory, and returns its
// executable.
func Build(t testing.TB, dir string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "plugin")
	cmd := exec.Command("go", "build", "-o", path, ".")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the plugin: %v\n%s", err, out)
	}
	return path
}

// Start starts a node that has the plugins of some executables, and ends it
// with the test. Its log is the test's.
func Start(t testing.TB, executables ...string) *Node {
	t.Helper()
	n := &Node{t: t, broker: brokertest.Start(t), dir: t.TempDir()}
	for i, path := range executables {
		abs, err := filepath.Abs(path)
		if err == nil {
			err = os.Symlink(abs, filepath.Join(n.dir, fmt.Sprintf("%d-%s", i, filepath.Base(path))))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	n.start()
	t.Cleanup(n.end)
	return n
}

// StartInProcess starts a node whose worker runs connectors in the process of
// the test. They are not separated from it: one that panics ends the test, and
// one that does not stop holds it up.
func StartInProcess(t testing.TB, connectors ...sdk.Connector) *Node {
	t.Helper()
	n := &Node{t: t, broker: brokertest.Start(t), dir: t.TempDir(), inside: connectors}
	n.start()
	t.Cleanup(n.end)
	return n
}

// builtIn describes the connectors that run in this process, and how they are
// reached there.
func (n *Node) builtIn(log *slog.Logger) ([]catalog.Plugin, map[string]host.Inside) {
	n.t.Helper()
	if len(n.inside) == 0 {
		return nil, nil
	}
	list, err := sdk.Describe(n.inside...)
	if err != nil {
		n.t.Fatal(err)
	}
	reach := map[string]host.Inside{}
	for _, c := range n.inside {
		reach[c.Name] = func() (*grpc.ClientConn, func() error, error) { return serve(c, log) }
	}
	return host.BuiltIn(list, "in-process"), reach
}

// serve serves a connector in this process, over the streams that a worker
// uses.
func serve(c sdk.Connector, log *slog.Logger) (*grpc.ClientConn, func() error, error) {
	s := grpc.NewServer(proto.ServerOptions()...)
	if err := sdk.Register(s, log.With("plugin", c.Name), c); err != nil {
		return nil, nil, err
	}
	pipe := bufconn.Listen(1 << 20)
	dial := func(ctx context.Context, _ string) (net.Conn, error) { return pipe.DialContext(ctx) }
	conn, err := grpc.NewClient("passthrough:///"+c.Name, append(proto.DialOptions(),
		grpc.WithContextDialer(dial), grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		return nil, nil, err
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(pipe) }()
	return conn, func() error {
		err := conn.Close()
		s.Stop()
		return errors.Join(err, <-served)
	}, nil
}

func (n *Node) start() {
	n.t.Helper()
	log := slog.New(slog.NewTextHandler(n.t.Output(), &slog.HandlerOptions{Level: slog.LevelInfo}))
	builtIn, reach := n.builtIn(log)
	var err error
	n.worker, err = connect.New(connect.Config{
		Properties: map[string]string{"group.id": "test", "offset.flush.interval.ms": "500"},
		Brokers:    client.Target{Seeds: []string{n.broker.Addr()}}, Address: "127.0.0.1:8083", PluginPath: []string{n.dir}, BuiltIn: builtIn, InProcess: reach, Version: "0", Logger: log,
	})
	if err != nil {
		n.t.Fatal(err)
	}
	var ctx context.Context
	ctx, n.stop = context.WithCancel(context.Background())
	ready, done := make(chan struct{}), make(chan error, 1)
	n.done = done
	go func() { done <- n.worker.Run(ctx, func() { close(ready) }) }()
	select {
	case <-ready:
	case err := <-done:
		done <- err
		n.t.Fatalf("the worker did not start: %v", err)
	case <-time.After(Patience):
		n.t.Fatalf("the worker did not start within %s", Patience)
	}
}

func (n *Node) end() {
	n.stop()
	if err := <-n.done; err != nil {
		n.t.Errorf("the worker ended: %v", err)
	}
}

// Restart stops the worker in order and starts it again. Connectors go on from
// their stored offsets.
func (n *Node) Restart() {
	n.t.Helper()
	n.end()
	n.start()
}

// Brokers is the address of the node's broker, HOST:PORT.
func (n *Node) Brokers() string { return n.broker.Addr() }

// Client returns a Kafka client of the node's broker, closed with the test.
func (n *Node) Client(opts ...kgo.Opt) *kgo.Client { return n.broker.Client(n.t, opts...) }

// Create makes a connector and waits until all of its tasks run.
func (n *Node) Create(name string, config map[string]string) {
	n.t.Helper()
	cfg := connector.Config(config).Clone()
	cfg["name"] = name
	if _, err := n.worker.Create(n.t.Context(), name, cfg, ""); err != nil {
		n.t.Fatalf("create %s: %v", name, err)
	}
	n.Await(name, connector.Running)
}

// Refusal returns why a config is refused, "" if it is not; nothing is made.
func (n *Node) Refusal(config map[string]string) string {
	n.t.Helper()
	cfg := connector.Config(config).Clone()
	cfg["name"] = "refusal"
	p, err := n.worker.Preview(n.t.Context(), "refusal", cfg)
	if err != nil {
		return err.Error()
	}
	infos, ok := p.Validation.(interface{ Errors() []string })
	if p.Valid || !ok {
		return ""
	}
	return strings.Join(infos.Errors(), "\n")
}

// Delete removes a connector. Its offsets stay.
func (n *Node) Delete(name string) {
	n.t.Helper()
	if err := n.worker.Delete(n.t.Context(), name); err != nil {
		n.t.Fatalf("delete %s: %v", name, err)
	}
}

// Await waits until a connector and all of its tasks, at least one, are in a
// state, and returns their status.
func (n *Node) Await(name string, state connector.State) connector.StateInfo {
	n.t.Helper()
	deadline := time.Now().Add(Patience)
	for {
		st, err := n.worker.Status(n.t.Context(), name)
		there := err == nil && len(st.Tasks) > 0
		for _, task := range st.Tasks {
			there = there && task.State == state
		}
		if there {
			return st
		}
		if time.Now().After(deadline) {
			n.t.Fatalf("connector %s is not %s: %+v, %v", name, state, st, err)
		}
		time.Sleep(10 * time.Millisecond) // polling a condition
	}
}

// Write produces values to a topic, which is made if need be.
func (n *Node) Write(topic string, values ...string) {
	n.t.Helper()
	c := n.Client(kgo.AllowAutoTopicCreation())
	ctx, stop := context.WithTimeout(n.t.Context(), Patience)
	defer stop()
	for _, v := range values {
		if err := c.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: []byte(v)}).FirstErr(); err != nil {
			n.t.Fatalf("write to %s: %v", topic, err)
		}
	}
}

// Read returns the first records of a topic that were committed, at least so
// many.
func (n *Node) Read(topic string, records int) []*kgo.Record {
	n.t.Helper()
	c := n.Client(kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	ctx, stop := context.WithTimeout(n.t.Context(), Patience)
	defer stop()
	var out []*kgo.Record
	for len(out) < records {
		fetches := c.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			n.t.Fatalf("read %s: %v, after %d of %d records", topic, err, len(out), records)
		}
		out = append(out, fetches.Records()...)
	}
	return out
}
