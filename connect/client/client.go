// Package client turns the connection settings of Kafka's Java clients into
// those of the client used here: TLS and SASL under Kafka's property names, key
// and trust stores of Java's formats, and a gate that a worker which has lost
// its membership writes nothing through.
package client

import (
	"context"
	"crypto/tls"
	"errors"
	"maps"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"

	"github.com/millrace/millrace/plugins/configdef"
)

// Dial opens a connection to a broker at host:port.
type Dial = func(ctx context.Context, network, addr string) (net.Conn, error)

// Target is how to reach a cluster. It is not changed once made.
type Target struct {
	// Seeds are the brokers to start from.
	Seeds []string
	// Dial opens connections to a broker in this process, which need no
	// security. Nil is TCP.
	Dial Dial
	// Public are addresses of the same brokers for other processes, where Seeds
	// are for Dial.
	Public []string
	// Security is spoken over them.
	Security Security
	// SetupTimeout bounds the opening of a connection, 0 for 10 s.
	SetupTimeout time.Duration
	// ReceiveBuffer and SendBuffer are the sizes of a connection's buffers in
	// the kernel, in bytes; 0 or less leaves them to it.
	ReceiveBuffer, SendBuffer int
	// Options are further settings of the client.
	Options []kgo.Opt
}

// Security is what is spoken over a connection. The zero Security is plain.
type Security struct {
	TLS  *tls.Config // nil for none
	SASL []sasl.Mechanism
}

// dialTimeout bounds the opening of a connection, as
// socket.connection.setup.timeout.ms does by default.
const dialTimeout = 10 * time.Second

// Addresses are those by which another process reaches the brokers.
func (t Target) Addresses() []string {
	if t.Dial != nil {
		return t.Public
	}
	return t.Seeds
}

// Opts returns the client options that lead to the cluster. Through open, if it
// is not nil, each write to a broker is asked for: what is false is not sent,
// and the connection fails.
func (t Target) Opts(open func() bool) []kgo.Opt {
	opts := []kgo.Opt{kgo.SeedBrokers(t.Seeds...), kgo.Dialer(t.dialer(open))}
	opts = append(opts, t.Options...)
	if len(t.Security.SASL) > 0 {
		opts = append(opts, kgo.SASL(t.Security.SASL...))
	}
	return opts
}

func (t Target) dialer(open func() bool) Dial {
	dial := t.Dial
	if dial == nil {
		dial = t.dialTCP
	}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		if open != nil {
			conn = &gated{conn, open}
		}
		if t.Security.TLS == nil {
			return conn, nil
		}
		return handshake(ctx, conn, addr, t.Security.TLS)
	}
}

// dialTCP opens a connection with the buffers that are asked for.
func (t Target) dialTCP(ctx context.Context, network, addr string) (net.Conn, error) {
	timeout := t.SetupTimeout
	if timeout <= 0 {
		timeout = dialTimeout
	}
	conn, err := (&net.Dialer{Timeout: timeout}).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		err = errors.Join(setBuffer(tcp.SetReadBuffer, t.ReceiveBuffer), setBuffer(tcp.SetWriteBuffer, t.SendBuffer))
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

func setBuffer(set func(int) error, size int) error {
	if size <= 0 {
		return nil
	}
	return set(size)
}

// handshake speaks TLS over conn, which it closes if that fails.
func handshake(ctx context.Context, conn net.Conn, addr string, cfg *tls.Config) (net.Conn, error) {
	cfg = cfg.Clone()
	if host, _, err := net.SplitHostPort(addr); err == nil {
		cfg.ServerName = host
	}
	secure := tls.Client(conn, cfg)
	ctx, stop := context.WithTimeout(ctx, dialTimeout)
	defer stop()
	if err := secure.HandshakeContext(ctx); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return secure, nil
}

// ErrShut is what a write through a shut gate fails with.
var ErrShut = errors.New("the worker is not sure of its membership of the group; nothing is sent to the brokers")

// gated is a connection through a gate.
type gated struct {
	net.Conn
	open func() bool
}

// Write fails when the gate is shut.
func (g *gated) Write(b []byte) (int, error) {
	if !g.open() {
		return 0, ErrShut
	}
	return g.Conn.Write(b)
}

// With returns the target as connection settings among properties change it:
// bootstrap.servers, security, sockets. Those of props win over the target's
// only where they are given.
func (t Target) With(props map[string]string) (Target, []configdef.Problem) {
	servers, problems := brokers(props["bootstrap.servers"])
	if len(problems) > 0 {
		return t, problems
	}
	if len(servers) > 0 && !slices.Equal(servers, t.Seeds) {
		t.Seeds, t.Dial, t.Public = servers, nil, nil
	}
	if t.Security, problems = Parse(props); len(problems) > 0 {
		return t, problems
	}
	cfg, problems := sockets.Parse(pick(props, sockets))
	t.SetupTimeout, t.ReceiveBuffer, t.SendBuffer = cfg.Millis("socket.connection.setup.timeout.ms"), cfg.Int("receive.buffer.bytes"), cfg.Int("send.buffer.bytes")
	t.Options = nil
	for _, name := range slices.Sorted(maps.Keys(options)) {
		if cfg.Given(name) {
			t.Options = append(t.Options, options[name](cfg.Millis(name))...)
		}
	}
	if t.Dial != nil && (t.Security.TLS != nil || len(t.Security.SASL) > 0) {
		problems = append(problems, problem("security.protocol", "the broker is in this process, and is reached without TLS and SASL; "+
			"remove the key, or name another cluster with bootstrap.servers"))
	}
	return t, problems
}

// brokers reads bootstrap.servers. Kafka's clients skip a protocol before an
// address, and so does this.
func brokers(servers string) ([]string, []configdef.Problem) {
	var out []string
	for p := range strings.SplitSeq(servers, ",") {
		if p = strings.TrimSpace(p); p == "" {
			continue
		}
		if _, addr, ok := strings.Cut(p, "://"); ok {
			p = addr
		}
		_, port, err := net.SplitHostPort(p)
		if n, perr := strconv.Atoi(port); err != nil || perr != nil || n < 1 || n > 65535 {
			return nil, []configdef.Problem{problem("bootstrap.servers", "%q is not of the form HOST:PORT", p)}
		}
		out = append(out, p)
	}
	return out, nil
}

// readFile reads a store, of at most maxStore bytes.
func readFile(path string) ([]byte, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if st.Size() > maxStore {
		return nil, &os.PathError{Op: "read", Path: path, Err: errors.New("larger than 16 MiB, which is no key or trust store")}
	}
	return os.ReadFile(path)
}

const maxStore = 16 << 20
