package host

import (
	"time"

	"google.golang.org/grpc"
)

// Inside connects to a plugin that runs in the worker's own process, for tests.
// end closes the connection, and returns when no call of the connector runs any
// more.
type Inside func() (conn *grpc.ClientConn, end func() error, err error)

// startInside connects to a plugin of Config.InProcess. Nothing separates it
// from the worker: it cannot be killed, and has neither memory nor output of
// its own.
func (h *Host) startInside(l launch, connect Inside) (*process, error) {
	conn, end, err := connect()
	if err != nil {
		return nil, &StartError{Plugin: l.name, Command: "in this process", Reason: NoPlugin, Err: err}
	}
	p := &process{
		host: h, launch: l, inside: end, conn: conn, started: time.Now(), exited: make(chan struct{}), gone: make(chan struct{}),
		out: newOutput(l.log, time.Now()),
	}
	if err := h.add(p); err != nil {
		_ = end() // the host is closed, which says more
		return nil, err
	}
	return p, nil
}

// endInside cuts the streams of a plugin in this process, once.
func (p *process) endInside() {
	p.mu.Lock()
	ended := p.reaped
	p.reaped, p.ended = true, time.Now()
	p.mu.Unlock()
	if ended {
		<-p.exited
		return
	}
	if err := p.inside(); err != nil {
		p.launch.log.Warn("plugin in this process", "err", err)
	}
	close(p.gone)
	close(p.exited)
	p.host.remove(p)
}
