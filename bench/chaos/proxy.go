package chaos

import (
	"net"
	"sync"
)

// proxy passes TCP connections on, until it is told to cut them or to stand
// still.
type proxy struct {
	listener net.Listener
	to       string
	wg       sync.WaitGroup

	mu     sync.Mutex // guards below
	conns  map[net.Conn]bool
	frozen chan struct{} // nil, or closed when bytes flow again
	closed bool
}

func startProxy(to string) (*proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &proxy{listener: l, to: to, conns: map[net.Conn]bool{}}
	p.wg.Go(p.accept)
	return p, nil
}

// port is where it listens.
func (p *proxy) port() int { return p.listener.Addr().(*net.TCPAddr).Port }

func (p *proxy) accept() {
	for {
		in, err := p.listener.Accept()
		if err != nil {
			return // closed
		}
		out, err := net.Dial("tcp", p.to)
		if err != nil {
			in.Close() // the server is down, and looks so
			continue
		}
		if !p.keep(in, out) {
			return
		}
		p.wg.Go(func() { p.pass(in, out) })
		p.wg.Go(func() { p.pass(out, in) })
	}
}

// keep remembers both ends, unless the proxy is closed.
func (p *proxy) keep(conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		if p.closed {
			c.Close()
			continue
		}
		p.conns[c] = true
	}
	return !p.closed
}

// pass copies bytes one way, and ends both when one end is gone.
func (p *proxy) pass(from, to net.Conn) {
	defer func() {
		from.Close()
		to.Close()
		p.mu.Lock()
		delete(p.conns, from)
		p.mu.Unlock()
	}()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			p.mu.Lock()
			frozen := p.frozen
			p.mu.Unlock()
			if frozen != nil {
				<-frozen
			}
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// cut ends all connections.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		c.Close()
	}
}

// freeze has bytes stay where they are, until the function that it returns is
// called.
func (p *proxy) freeze() (thaw func()) {
	frozen := make(chan struct{})
	p.mu.Lock()
	p.frozen = frozen
	p.mu.Unlock()
	return func() {
		p.mu.Lock()
		p.frozen = nil
		p.mu.Unlock()
		close(frozen)
	}
}

// close ends the proxy and waits for it.
func (p *proxy) close() error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	err := p.listener.Close()
	p.cut()
	p.wg.Wait()
	return err
}
