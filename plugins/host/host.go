// Package host runs connector plugins as subprocesses: it launches them, speaks
// to them, collects their logs, watches their memory and sees to it that they
// end.
//
// A Host is made once per worker. Describe, Validate, Plan and AlterOffsets
// start a process for the call; OpenSource and OpenSink start one that runs a
// task until it is closed. Everything has a deadline, and a process that does
// not keep to it is killed. Errors of a task carry a class (see Error); the end
// of its process is an *ExitError and a failed start a *StartError, whose texts
// say what happened and what to do.
package host

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"sync"
	"time"
)

// Config says how processes are run. Zero fields mean their defaults.
type Config struct {
	Logger *slog.Logger
	// SelfExe is the worker's own executable, which holds the built-in
	// connectors. The default is os.Executable.
	SelfExe string
	// StartTimeout is how long a process may take until it speaks: 15 s.
	StartTimeout time.Duration
	// CallTimeout bounds calls whose context has no deadline, and the opening
	// of tasks: 60 s.
	CallTimeout time.Duration
	// StopGrace is how long a task or process may take to end once it is told
	// to, before it is killed: 10 s.
	StopGrace time.Duration
	// MemoryLimit is the resident memory in bytes at which a task's process is
	// killed, where the task has no limit of its own. 0 is no limit.
	MemoryLimit int64
	// PassEnv names further environment variables that plugins get. Without
	// it they get only what programs need to run: no credentials.
	PassEnv []string
	// TempDir is where the private directory for sockets is made; what killed
	// workers left there is removed. Its path should be short, as those of
	// sockets must be. The default is the system's.
	TempDir string

	// InProcess are plugins, by their names, that run in the worker's own
	// process, for tests in which a debugger is to reach them.
	InProcess map[string]Inside

	// The two ways in which processes end with the worker; tests turn either
	// off to see the other work.
	noDeathPipe, noDeathSignal bool
	// memoryPeriod is the time between two looks at a process's memory.
	memoryPeriod time.Duration
}

// Host runs plugin processes. It is safe for concurrent use.
type Host struct {
	cfg     Config
	dir     *socketDir
	spawner *spawner
	// deathRead is inherited by every process; deathWrite is held by the worker
	// alone, and closed by the system when it dies.
	deathRead, deathWrite *os.File

	mu        sync.Mutex // guards below
	closed    bool
	processes map[*process]struct{}
	running   sync.WaitGroup
}

// ErrClosed is a call of a Host that is closed.
var ErrClosed = errors.New("the plugin host is closed")

// New makes a Host. Close must be called.
func New(cfg Config) (*Host, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.SelfExe == "" {
		exe, err := os.Executable()
		if err != nil {
			return nil, fmt.Errorf("find the worker's executable: %w", err)
		}
		cfg.SelfExe = exe
	}
	cfg.StartTimeout = cmp.Or(cfg.StartTimeout, 15*time.Second)
	cfg.CallTimeout = cmp.Or(cfg.CallTimeout, time.Minute)
	cfg.StopGrace = cmp.Or(cfg.StopGrace, 10*time.Second)
	cfg.memoryPeriod = cmp.Or(cfg.memoryPeriod, 250*time.Millisecond)
	dir, err := newSocketDir(cfg.TempDir, cfg.Logger)
	if err != nil {
		return nil, err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make the pipe to plugins: %w", err), dir.close())
	}
	return &Host{
		cfg: cfg, dir: dir, spawner: newSpawner(), deathRead: r, deathWrite: w,
		processes: make(map[*process]struct{}),
	}, nil
}

// Close kills what still runs, waits until it is gone and releases everything.
// Tasks should have been closed before. It may be called twice.
func (h *Host) Close() error {
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		return nil
	}
	h.closed = true
	left := slices.Collect(maps.Keys(h.processes))
	h.mu.Unlock()
	for _, p := range left {
		p.kill("the worker is shutting down")
	}
	h.running.Wait()
	for _, p := range left {
		if p.client != nil {
			p.client.Kill() // its connection
		}
	}
	h.spawner.close()
	return errors.Join(h.deathWrite.Close(), h.deathRead.Close(), h.dir.close())
}

// add counts a process in, unless the host is closed.
func (h *Host) add(p *process) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return ErrClosed
	}
	h.processes[p] = struct{}{}
	h.running.Add(1)
	return nil
}

func (h *Host) remove(p *process) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.processes, p)
	h.running.Done()
}

// withTimeout bounds a call whose context has no deadline.
func (h *Host) withTimeout(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeoutCause(ctx, d, fmt.Errorf("no answer within %v", d))
}
