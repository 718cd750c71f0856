package elect

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/broker/brokertest"
)

func TestChoose(t *testing.T) {
	m := func(id, host string, eligible, leader bool) member {
		return member{id, Identity{Version: 1, Host: host, Port: 8081, Scheme: "http", Eligible: eligible, Leader: leader}}
	}
	for _, tt := range []struct {
		name    string
		members []member
		want    string // the primary's id
		bad     int
	}{
		{"one", []member{m("1", "a", true, false)}, "1", 0},
		{"the smallest address", []member{m("1", "b", true, false), m("2", "a", true, false)}, "2", 0},
		{"not one that may not", []member{m("1", "b", true, false), m("2", "a", false, false)}, "1", 0},
		{"nobody", []member{m("1", "b", false, false)}, "", 0},
		{"the one that is", []member{m("1", "b", true, true), m("2", "a", true, false)}, "1", 0},
		{"two that are", []member{m("1", "c", true, true), m("2", "b", true, true), m("3", "a", true, false)}, "3", 0},
		{"the same address", []member{m("1", "a", true, false), m("2", "a", true, false)}, "", duplicateURLs},
	} {
		got := choose(tt.members)
		if got.Primary != tt.want || got.Error != tt.bad || got.Members != len(tt.members) || (got.Identity == nil) != (tt.want == "") {
			t.Errorf("%s: %+v", tt.name, got)
		}
	}
}

func TestRoleOf(t *testing.T) {
	for _, tt := range []struct {
		raw  string
		want Role
		bad  string
	}{
		{`{"version":1,"error":0,"master":"me","master_identity":{"version":1,"host":"h","port":1,"master_eligibility":true,"scheme":"https","leader":false},"members":1}`, Role{true, "https://h:1", true}, ""},
		{`{"version":1,"error":0,"master":"other","master_identity":{"version":1,"host":"::1","port":1,"scheme":"http"}}`, Role{false, "http://[::1]:1", false}, ""}, // Confluent's does not tell how many
		{`{"version":1,"error":0}`, Role{}, ""},
		{`{"version":1,"error":1}`, Role{}, "the same address"},
		{`{"version":1,"error":7}`, Role{}, "error 7"},
		{``, Role{}, "read assignment"},
	} {
		got, err := roleOf("me", []byte(tt.raw))
		if got != tt.want || (err != nil) != (tt.bad != "") || err != nil && !strings.Contains(err.Error(), tt.bad) {
			t.Errorf("%s: %+v, %v", tt.raw, got, err)
		}
	}
}

// taker takes part in an election until it is stopped.
type taker struct {
	stop func()

	mu   sync.Mutex // guards below
	role Role
}

func (k *taker) now() Role {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.role
}

func take(t *testing.T, c *brokertest.Cluster, host string) *taker {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(c.Addr()))
	if err != nil {
		t.Fatal(err)
	}
	k := &taker{}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- Run(ctx, Config{
			Client: client, Group: "g", Logger: slog.New(slog.DiscardHandler), Session: 6 * time.Second,
			Identity: Identity{Host: host, Port: 1, Scheme: "http", Eligible: true},
		}, func(r Role) {
			k.mu.Lock()
			defer k.mu.Unlock()
			k.role = r
		})
	}()
	k.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		client.Close()
	})
	t.Cleanup(k.stop)
	return k
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(30 * time.Second); !ok(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

func TestElection(t *testing.T) {
	c := brokertest.Start(t)
	b := take(t, c, "b")
	eventually(t, "b is primary, alone", func() bool { return b.now() == Role{true, "http://b:1", true} })
	a := take(t, c, "a")
	eventually(t, "both know b, which stays", func() bool {
		return a.now() == Role{false, "http://b:1", false} && b.now() == Role{true, "http://b:1", false}
	})
	b.stop()
	eventually(t, "a is primary", func() bool { return a.now() == Role{true, "http://a:1", true} })
	if got := b.now(); got != (Role{}) {
		t.Error(fmt.Sprint("b, which left, is ", got))
	}
}
