// Package chaos kills real processes under load and checks, against what the
// clients were told, that nothing acknowledged was lost and nothing was
// doubled.
package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/bench/harness"
)

// Config says what to kill and how often.
type Config struct {
	Bin   string // the millrace binary
	Dir   string // for the nodes' state; must exist
	Kills int
	Seed  uint64
	// Logf reports progress.
	Logf func(format string, args ...any)
}

// A kill comes within these bounds after the node is ready, so that some fall
// into recovery's aftermath and some into full load.
const (
	minLife = 20 * time.Millisecond
	maxLife = 700 * time.Millisecond
	// settleTimeout bounds how long clients may take to end after the last kill.
	settleTimeout = 3 * time.Minute
)

// mortal is a node that is killed again and again, on one address and one data
// directory.
type mortal struct {
	cfg  Config
	addr string
	args []string
	rng  *rand.Rand
	node *harness.Node
}

func newMortal(cfg Config, args ...string) (*mortal, error) {
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	if cfg.Logf == nil {
		cfg.Logf = func(string, ...any) {}
	}
	return &mortal{cfg: cfg, addr: addr, args: append([]string{"--kafka-addr", addr, "--log-level", "info"}, args...), rng: rand.New(rand.NewPCG(cfg.Seed, 1))}, nil
}

func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

func (m *mortal) start(ctx context.Context) (err error) {
	dir := filepath.Join(m.cfg.Dir, "node")
	// What a killed node left would be taken for this one's.
	if err := os.Remove(filepath.Join(dir, "addresses.json")); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	m.node, err = harness.StartNode(ctx, m.cfg.Bin, dir, m.args...)
	return err
}

// killing starts the node, kills it as often as wanted, and leaves it running.
func (m *mortal) killing(ctx context.Context) error {
	for n := range m.cfg.Kills {
		life := minLife + time.Duration(m.rng.Int64N(int64(maxLife-minLife)))
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(life):
		}
		m.node.Kill()
		if err := m.start(ctx); err != nil {
			return fmt.Errorf("start after kill %d: %w", n+1, err)
		}
		if (n+1)%20 == 0 {
			m.cfg.Logf("%d of %d kills, last recovery %s", n+1, m.cfg.Kills, m.node.StartTime.Round(time.Millisecond))
		}
	}
	return nil
}

// load is work that clients do until stop is closed, and a check of it once the
// node is left alone.
type load interface {
	run(ctx context.Context, stop <-chan struct{}) error
	verify(ctx context.Context) error
}

// under runs the loads while the node is killed, lets them end, and verifies.
func (m *mortal) under(ctx context.Context, loads map[string]load) error {
	stop := make(chan struct{})
	g, gctx := errgroup.WithContext(ctx)
	for name, l := range loads {
		g.Go(func() error {
			if err := l.run(gctx, stop); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			return nil
		})
	}
	killed := m.killing(gctx)
	close(stop)
	settled := time.AfterFunc(settleTimeout, func() { m.cfg.Logf("clients have not ended %s after the last kill", settleTimeout) })
	err := errors.Join(killed, g.Wait())
	settled.Stop()
	if err != nil {
		return err
	}
	var all []error
	for name, l := range loads {
		if err := l.verify(ctx); err != nil {
			all = append(all, fmt.Errorf("%s: %w", name, err))
		}
	}
	return errors.Join(all...)
}

func stopped(stop <-chan struct{}) bool {
	select {
	case <-stop:
		return true
	default:
		return false
	}
}
