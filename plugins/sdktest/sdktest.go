// Package sdktest tests connectors without a worker: it runs them in the
// test's process, over the streams and the codec that a worker uses.
//
// TestSource and TestSink are conformance suites that every connector should
// pass. StartSource and StartSink run one task, for a connector's own tests.
package sdktest

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/plugins/proto"
	"github.com/millrace/millrace/plugins/sdk"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"
)

// Patience is how long the suites wait for anything that a connector must do.
const Patience = 30 * time.Second

// connect serves a connector and returns a connection to it and the way to end
// both.
func connect(t testing.TB, c sdk.Connector) (conn *grpc.ClientConn, end func()) {
	t.Helper()
	l := bufconn.Listen(1 << 20)
	s := grpc.NewServer(proto.ServerOptions()...)
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
	if err := sdk.Register(s, log, c); err != nil {
		t.Fatalf("register the connector: %v", err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	dial := func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }
	conn, err := grpc.NewClient("passthrough:///plugin", append(proto.DialOptions(),
		grpc.WithContextDialer(dial), grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		t.Fatalf("connect to the connector: %v", err)
	}
	return conn, func() {
		err := conn.Close()
		s.Stop()
		if err = errors.Join(err, <-served); err != nil {
			t.Errorf("end the connection: %v", err)
		}
	}
}

// patiently bounds a step.
func patiently(t testing.TB) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(context.WithoutCancel(t.Context()), Patience,
		errors.New("the connector took longer than the test has patience"))
}

// Validate returns what a connector finds wrong with a configuration.
func Validate(t testing.TB, c sdk.Connector, config map[string]string) []string {
	t.Helper()
	conn, end := connect(t, c)
	defer end()
	ctx, cancel := patiently(t)
	defer cancel()
	v, err := proto.Validate(ctx, conn, c.Classes[0], config)
	if err != nil {
		t.Fatalf("validate: %v", err)
	}
	return v.Errors()
}

// goroutines returns the stacks of all goroutines by their numbers.
func goroutines() map[string]string {
	buf := make([]byte, 4<<20)
	out := make(map[string]string)
	for _, s := range strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n")[1:] {
		head, stack, _ := strings.Cut(s, "\n")
		number, _, _ := strings.Cut(strings.TrimPrefix(head, "goroutine "), " ") // the state changes
		out[number] = stack
	}
	return out
}

// checkLeaks fails the test if goroutines are left that were not there before.
func checkLeaks(t testing.TB, before map[string]string) {
	t.Helper()
	deadline := time.Now().Add(2 * time.Second)
	for {
		var left []string
		for number, stack := range goroutines() {
			if _, was := before[number]; !was && !strings.Contains(stack, "testing.") && !strings.Contains(stack, "os/signal.loop") {
				left = append(left, stack)
			}
		}
		if len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Errorf("after Close goroutines are left:\n%s", strings.Join(left, "\n\n"))
			return
		}
		time.Sleep(10 * time.Millisecond) // polling for their end
	}
}
