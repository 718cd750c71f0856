package broker

import (
	"context"
	"net"
	"net/netip"
	"sync"

	"github.com/millrace/millrace/broker/metadata"
)

// peers counts the open connections of each address.
type peers struct {
	mu     sync.Mutex // guards below
	open   map[netip.Addr]int
	parsed string // value of max.connections.per.ip.overrides
	limits map[netip.Addr]int
}

// enter counts a connection from an address, or reports that there is no room
// for it.
func (p *peers) enter(addr netip.Addr, cfg *metadata.BrokerConfig) bool {
	limit, overrides := cfg.Int("max.connections.per.ip"), cfg.String("max.connections.per.ip.overrides")
	p.mu.Lock()
	defer p.mu.Unlock()
	if overrides != p.parsed {
		p.limits, _ = metadata.Overrides(overrides) // it was checked when it was set
		p.parsed = overrides
	}
	if n, ok := p.limits[addr]; ok {
		limit = n
	}
	if p.open[addr] >= limit {
		return false
	}
	if p.open == nil {
		p.open = make(map[netip.Addr]int)
	}
	p.open[addr]++
	return true
}

func (p *peers) leave(addr netip.Addr) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.open[addr]--; p.open[addr] <= 0 {
		delete(p.open, addr)
	}
}

// addrOf returns a peer's address; the zero Addr in memory.
func addrOf(conn net.Conn) netip.Addr {
	ap, err := netip.ParseAddrPort(conn.RemoteAddr().String())
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap()
}

// admit decides about a connection from outside, which is the nth that is open:
// whether it is served, and if so what is to be called when it ends.
func (c *connections) admit(ctx context.Context, conn net.Conn, nth int64, b *Broker) (leave func(), ok bool) {
	addr := addrOf(conn)
	if nth > int64(b.broker.Int("max.connections")) || !c.peers.enter(addr, b.broker) {
		b.refused.Add(1)
		return nil, false
	}
	leave = func() { c.peers.leave(addr) }
	if d := b.quotas.Connect(addr.String()); d > 0 {
		// Above connection_creation_rate: held without a word, so that a client
		// that connects in a loop does so more slowly (KIP-612).
		pause(ctx, d)
		b.refused.Add(1)
		leave()
		return nil, false
	}
	return leave, true
}
