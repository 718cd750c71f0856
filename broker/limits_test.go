package broker

import (
	"context"
	"net"
	"os"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// closedAtOnce reports whether the broker closes a new connection instead of
// waiting for a request.
func closedAtOnce(t *testing.T, addr string, wait time.Duration) bool {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetReadDeadline(time.Now().Add(wait))
	n, err := c.Read(make([]byte, 1))
	if n != 0 {
		t.Fatalf("the broker speaks first: %d bytes", n)
	}
	return !os.IsTimeout(err)
}

func TestMaxConnectionsPerIP(t *testing.T) {
	for _, tt := range []struct {
		name       string
		properties map[string]string
		want       int
	}{
		{"of all", map[string]string{"max.connections.per.ip": "2"}, 2},
		{"of this one", map[string]string{"max.connections.per.ip": "1", "max.connections.per.ip.overrides": "10.0.0.1:7, 127.0.0.1:3"}, 3},
		{"of another", map[string]string{"max.connections.per.ip": "1", "max.connections.per.ip.overrides": "::1:3"}, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := listen(t)
			b, _ := run(t, Config{DataDir: t.TempDir(), NodeID: 1, Listeners: []Listener{l}, Properties: tt.properties})
			addr := l.Addr().String()
			for i := range tt.want {
				if closedAtOnce(t, addr, 20*time.Millisecond) {
					t.Fatalf("connection %d of %d was closed", i+1, tt.want)
				}
			}
			if !closedAtOnce(t, addr, 10*time.Second) {
				t.Error("one connection more was let in")
			}
			if got := b.Stats().ConnectionsRefused; got != 1 {
				t.Errorf("%d connections are counted as refused", got)
			}
		})
	}
}

// The limit can be changed while the broker runs.
func TestMaxConnectionsPerIPIsDynamic(t *testing.T) {
	l := listen(t)
	b, _ := run(t, Config{DataDir: t.TempDir(), NodeID: 1, Listeners: []Listener{l}})
	if closedAtOnce(t, l.Addr().String(), 20*time.Millisecond) {
		t.Fatal("a connection was closed without a limit")
	}
	one := "1"
	_, err := kadm.NewClient(client(t, b)).AlterBrokerConfigs(within(t), []kadm.AlterConfig{{Name: "max.connections.per.ip", Value: &one}}, 1)
	if err != nil {
		t.Fatal(err)
	}
	if !closedAtOnce(t, l.Addr().String(), 10*time.Second) {
		t.Error("a second connection was let in after the limit became one")
	}
}

// An address that connects too often is held for a while and then closed.
func TestConnectionRate(t *testing.T) {
	l := listen(t)
	b, _ := run(t, Config{DataDir: t.TempDir(), NodeID: 1, Listeners: []Listener{l}})
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.MemoryAddr()), kgo.Dialer(func(ctx context.Context, _, _ string) (net.Conn, error) { return b.Dial(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	req := kmsg.NewPtrAlterClientQuotasRequest()
	e := kmsg.NewAlterClientQuotasRequestEntry()
	ip := kmsg.NewAlterClientQuotasRequestEntryEntity()
	ip.Type = "ip"
	op := kmsg.NewAlterClientQuotasRequestEntryOp()
	op.Key, op.Value = "connection_creation_rate", 0.5
	e.Entity, e.Ops = append(e.Entity, ip), append(e.Ops, op)
	req.Entries = append(req.Entries, e)
	if resp, err := req.RequestWith(within(t), cl); err != nil || resp.Entries[0].ErrorCode != 0 {
		t.Fatalf("alter quotas: %+v, %v", resp, err)
	}
	for range 5 { // half of one a second, ten seconds of it at once
		if closedAtOnce(t, l.Addr().String(), 10*time.Millisecond) {
			t.Fatal("a connection within the rate was closed")
		}
	}
	began := time.Now()
	if !closedAtOnce(t, l.Addr().String(), 20*time.Second) {
		t.Error("a connection above the rate was let in")
	}
	if took := time.Since(began); took < 1500*time.Millisecond {
		t.Errorf("it was closed after %v, want about two seconds", took)
	}
}
