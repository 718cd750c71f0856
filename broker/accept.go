package broker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/broker/wire"
)

// connections are the connections of all listeners.
type connections struct {
	send    int // socket.send.buffer.bytes
	receive int // socket.receive.buffer.bytes
	open    atomic.Int64
	peers   peers
	running sync.WaitGroup
	cfg     wire.Config
	handler wire.Handler
}

// accept serves all listeners until ctx ends, then lets the connections answer
// what they have read, for as long as the drain timeout allows.
func (b *Broker) accept(ctx context.Context) error {
	handler := b.node.api.Load()
	hard, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	c := &connections{
		send: b.broker.Int("socket.send.buffer.bytes"), receive: b.broker.Int("socket.receive.buffer.bytes"),
		handler: handler,
		cfg: wire.Config{
			MaxRequestBytes: int32(b.broker.Int("socket.request.max.bytes")),
			IdleTimeout:     b.broker.Milliseconds("connections.max.idle.ms"),
			Logger:          b.cfg.Logger, Shared: &b.shared, Done: handler.Done,
		},
	}
	b.shared.LimitQueued(max(int64(b.broker.Int("queued.max.request.bytes")), 0))
	b.conns.Store(c)
	listeners := append([]Listener{{Name: memoryListener, Listener: b.memory}}, b.cfg.Listeners...)
	g, run := errgroup.WithContext(ctx)
	for _, l := range listeners {
		g.Go(func() error { return c.serveListener(run, hard, l, b) })
	}
	g.Go(func() error {
		<-run.Done()
		for _, l := range listeners {
			l.Close() // Accept tells
		}
		return nil
	})
	err := g.Wait()
	if errors.Is(context.Cause(ctx), ErrCrash) {
		cut()
	}
	handler.Stop()
	late := time.AfterFunc(b.cfg.DrainTimeout, cut)
	defer late.Stop()
	c.running.Wait()
	return err
}

// serveListener accepts connections until the listener is closed. hard ends
// when nothing more is to be answered.
func (c *connections) serveListener(ctx, hard context.Context, l Listener, b *Broker) error {
	delay := time.Duration(0)
	for {
		conn, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, net.ErrClosed) && l.Name == memoryListener {
				return nil
			}
			var temporary interface{ Temporary() bool }
			if !errors.As(err, &temporary) || !temporary.Temporary() {
				return fmt.Errorf("accept on %s: %w", l.Name, err)
			}
			// Out of file descriptors, most likely: wait for some to be closed.
			delay = min(max(2*delay, 5*time.Millisecond), time.Second)
			b.cfg.Logger.Warn("connection not accepted", "listener", l.Name, "err", err)
			pause(ctx, delay)
			continue
		}
		delay = 0
		nth := c.open.Add(1)
		if err := c.setBuffers(conn); err != nil {
			b.cfg.Logger.Warn("buffers of a connection not set", "listener", l.Name, "err", err)
		}
		c.running.Go(func() {
			defer c.open.Add(-1)
			// Connections of this process do not compete with those from outside.
			if l.Name != memoryListener {
				leave, ok := c.admit(ctx, conn, nth, b)
				if !ok {
					conn.Close() // it was not served
					return
				}
				defer leave()
			}
			wire.Serve(ctx, hard, conn, l.Name, c.handler, c.cfg) // Serve has logged it
		})
	}
}

// setBuffers sizes a TCP connection's buffers; -1 leaves them to the system.
func (c *connections) setBuffers(conn net.Conn) error {
	t, ok := conn.(*net.TCPConn)
	if !ok {
		return nil
	}
	var errs []error
	if c.send > 0 {
		errs = append(errs, t.SetWriteBuffer(c.send))
	}
	if c.receive > 0 {
		errs = append(errs, t.SetReadBuffer(c.receive))
	}
	return errors.Join(errs...)
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
