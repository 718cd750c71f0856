package broker

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/broker/api"
	"github.com/millrace/millrace/broker/commitlog"
	"github.com/millrace/millrace/broker/quorum"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashDir); dir != "" {
		crashBroker(dir) // this process is the broker of TestKillNine
		return
	}
	code := m.Run()
	for deadline := time.Now().Add(5 * time.Second); ; runtime.Gosched() {
		stacks := make([]byte, 1<<20)
		stacks = stacks[:runtime.Stack(stacks, true)]
		if !strings.Contains(string(stacks), "broker.(*") && !strings.Contains(string(stacks), "wire.(*Conn)") {
			break
		}
		if time.Now().After(deadline) {
			fmt.Fprintf(os.Stderr, "goroutines left:\n%s", stacks)
			code = 1
			break
		}
	}
	os.Exit(code)
}

func within(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// listen returns a listener on a free port of the loopback interface.
func listen(t testing.TB) Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return Listener{Name: "PLAINTEXT", Listener: l}
}

// run starts a broker and returns it when it is ready, with a function that
// stops it and returns what Run did.
func run(t testing.TB, cfg Config) (*Broker, func() error) {
	t.Helper()
	cfg.Logger = slog.New(slog.DiscardHandler)
	b, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	stop := func() error {
		cancel()
		err := <-done
		done <- err
		return err
	}
	t.Cleanup(func() { stop() })
	select {
	case <-b.Ready():
	case err := <-done:
		done <- err
		t.Fatalf("Run = %v", err)
	}
	return b, stop
}

func client(t testing.TB, b *Broker, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(b.MemoryAddr()),
		kgo.Dialer(func(ctx context.Context, _, _ string) (net.Conn, error) { return b.Dial(ctx) }),
	}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

func TestNewReportsEverything(t *testing.T) {
	l, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, err = New(Config{
		NodeID:     -1,
		Properties: map[string]string{"num.partitions": "none", "no.such.key": "1"},
		Listeners:  []Listener{{Name: "WIDE", Listener: l}, {Name: "BAD", Listener: l, Advertised: "host"}, {Name: "BAD", Listener: l, Advertised: "host:0"}},
	})
	for _, want := range []string{"data directory is not set", "node.id is -1", "num.partitions", "no.such.key", "clients cannot connect", "missing port", "used twice", `port "0"`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("New does not say %q:\n%v", want, err)
		}
	}
}

func TestDirectoryIsGuarded(t *testing.T) {
	dir := t.TempDir()
	_, stop := run(t, Config{DataDir: dir, NodeID: 3})
	second, err := New(Config{DataDir: dir, NodeID: 3, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Run(t.Context()); !errors.Is(err, quorum.ErrLocked) {
		t.Errorf("a second broker on the directory: %v", err)
	}
	if err := stop(); err != nil {
		t.Errorf("Run = %v", err)
	}
	for _, tt := range []struct {
		cfg  Config
		want string
	}{
		{Config{DataDir: dir, NodeID: 4}, "belongs to node 3"},
		{Config{DataDir: dir, NodeID: 3, ClusterID: "other"}, "belongs to cluster"},
	} {
		tt.cfg.Logger = slog.New(slog.DiscardHandler)
		b, err := New(tt.cfg)
		if err == nil {
			err = b.Run(t.Context())
		}
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("Run = %v, want %q", err, tt.want)
		}
	}
	if _, err := second.Dial(t.Context()); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Dial to a broker that did not start: %v", err)
	}
}

func TestStartsQuickly(t *testing.T) {
	began := time.Now()
	_, stop := run(t, Config{DataDir: t.TempDir(), NodeID: 1})
	took := time.Since(began)
	t.Logf("ready after %v", took)
	if took > 3*time.Second {
		t.Errorf("ready after %v", took)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

func TestStats(t *testing.T) {
	b, _ := run(t, Config{DataDir: t.TempDir(), NodeID: 1})
	cl := client(t, b, kgo.AllowAutoTopicCreation())
	if err := cl.ProduceSync(within(t), &kgo.Record{Topic: "t", Value: []byte("v")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	// A response is counted when it has been written, so its client may be ahead.
	var s Stats
	var produce api.RequestStats
	for limit := within(t); produce.Took.Count() == 0; runtime.Gosched() {
		if limit.Err() != nil {
			t.Fatalf("Produce is not counted: %+v", s)
		}
		s = b.Stats()
		for _, r := range s.Requests {
			if r.Name == "Produce" {
				produce = r
			}
		}
	}
	s = b.Stats()
	if s.Topics != 1 || s.Logs.Partitions != 1 || s.Logs.Bytes == 0 || s.Logs.Producers != 1 || s.Connections == 0 || s.BytesIn == 0 || s.BytesOut == 0 {
		t.Errorf("Stats = %+v", s)
	}
	if produce.Took.Count() != 1 || produce.BytesIn == 0 || produce.BytesOut == 0 || len(produce.Errors) != 0 {
		t.Errorf("Produce counts %+v", produce)
	}
}

// A frame that claims too much ends its connection before it is read, and
// nobody else's.
func TestOversizeFrame(t *testing.T) {
	l := listen(t)
	b, _ := run(t, Config{DataDir: t.TempDir(), NodeID: 1, Listeners: []Listener{l}, Properties: map[string]string{"socket.request.max.bytes": "5000"}})
	for _, size := range []uint32{5001, 1 << 30, 1<<32 - 1} {
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.Write(binary.BigEndian.AppendUint32(nil, size))
		conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		if n, err := conn.Read(make([]byte, 1)); n != 0 || err == nil || os.IsTimeout(err) {
			t.Errorf("a frame of %d bytes: %d bytes, %v; want the connection closed", size, n, err)
		}
	}
	if got := b.Stats().ConnectionsBroken; got != 3 {
		t.Errorf("%d broken connections, want 3", got)
	}
	if err := client(t, b).Ping(within(t)); err != nil {
		t.Errorf("another client: %v", err)
	}
}

func TestMaxConnections(t *testing.T) {
	l := listen(t)
	b, _ := run(t, Config{DataDir: t.TempDir(), NodeID: 1, Listeners: []Listener{l}, Properties: map[string]string{"max.connections": "2"}})
	var conns []net.Conn
	for range 3 {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		conns = append(conns, c)
	}
	conns[2].SetReadDeadline(time.Now().Add(10 * time.Second))
	if n, err := conns[2].Read(make([]byte, 1)); n != 0 || os.IsTimeout(err) {
		t.Errorf("the third connection gave %d bytes, %v; want it closed", n, err)
	}
	conns[0].Close()
	for limit := within(t); ; runtime.Gosched() { // there is room again
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		if _, err := c.Read(make([]byte, 1)); os.IsTimeout(err) {
			break
		}
		if limit.Err() != nil {
			t.Fatal("a closed connection made no room")
		}
	}
	if got := b.Stats().ConnectionsRefused; got < 1 {
		t.Errorf("%d refused connections", got)
	}
}

// fullDisk fails writes of segments with ENOSPC while it is full.
type fullDisk struct {
	commitlog.OSFS
	full atomic.Bool
}

type fullFile struct {
	commitlog.File
	d *fullDisk
}

func (d *fullDisk) OpenFile(path string, flag int, perm fs.FileMode) (commitlog.File, error) {
	f, err := d.OSFS.OpenFile(path, flag, perm)
	if err != nil || !strings.HasSuffix(path, ".log") {
		return f, err
	}
	return fullFile{f, d}, nil
}

func (f fullFile) WriteAt(b []byte, at int64) (int, error) {
	if f.d.full.Load() {
		return 0, syscall.ENOSPC
	}
	return f.File.WriteAt(b, at)
}

// A full disk is KAFKA_STORAGE_ERROR to the producer, and no more when there
// is room again.
func TestFullDisk(t *testing.T) {
	d := new(fullDisk)
	b, _ := run(t, Config{DataDir: t.TempDir(), NodeID: 1, FS: d})
	admin := kadm.NewClient(client(t, b))
	if _, err := admin.CreateTopic(within(t), 1, 1, nil, "t"); err != nil {
		t.Fatal(err)
	}
	send := func() error {
		cl := client(t, b, kgo.DefaultProduceTopic("t"), kgo.DisableIdempotentWrite(), kgo.RecordRetries(0))
		return cl.ProduceSync(within(t), &kgo.Record{Value: []byte("v")}).FirstErr()
	}
	if err := send(); err != nil {
		t.Fatal(err)
	}
	d.full.Store(true)
	if err := send(); !errors.Is(err, kerr.KafkaStorageError) {
		t.Errorf("produce on a full disk = %v", err)
	}
	d.full.Store(false)
	if err := send(); err != nil {
		t.Errorf("produce when there is room again = %v", err)
	}
	ends, err := admin.ListEndOffsets(within(t), "t")
	if o, _ := ends.Lookup("t", 0); err != nil || o.Offset != 2 {
		t.Errorf("the log ends at %d, %v; want 2", o.Offset, err)
	}
}
