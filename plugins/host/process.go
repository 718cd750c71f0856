package host

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"github.com/hashicorp/go-plugin/runner"
	"github.com/millrace/millrace/plugins/proto"
	"google.golang.org/grpc"
)

// launch says what to start and on whose behalf.
type launch struct {
	name        string // the plugin's, for errors
	command     []string
	environment []string // variables beside those that every process gets
	memoryLimit int64
	log         *slog.Logger
}

// process is one running plugin.
type process struct {
	host    *Host
	launch  launch
	cmd     *exec.Cmd
	client  *plugin.Client
	conn    grpc.ClientConnInterface
	inside  func() error // ends it if it is in this process, instead of cmd and client
	started time.Time
	out     *output
	// socketDir is where go-plugin has the process put its socket.
	socketDir string
	// exited is closed when the process is gone and all that it printed was
	// read.
	exited chan struct{}
	// gone is closed a little earlier: when there is nothing left to kill.
	gone chan struct{}
	// handshake carries go-plugin its first line.
	handshake  *io.PipeReader
	handshakeW *io.PipeWriter

	mu     sync.Mutex // guards below
	reaped bool
	killed string // why the host killed it
	first  string // the first line on stdout
	state  *os.ProcessState
	ended  time.Time
}

// start starts a plugin and connects to it, within the start timeout. The
// process lives until stop, whatever becomes of ctx.
func (h *Host) start(ctx context.Context, l launch) (*process, error) {
	if connect := h.cfg.InProcess[l.name]; connect != nil {
		return h.startInside(l, connect)
	}
	p := &process{
		host: h, launch: l, exited: make(chan struct{}), gone: make(chan struct{}),
		out: newOutput(l.log, time.Now()),
	}
	p.handshake, p.handshakeW = io.Pipe()
	p.client = plugin.NewClient(p.clientConfig())
	if err := h.add(p); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, h.cfg.StartTimeout, errStartTimeout)
	defer cancel()
	// Whatever go-plugin waits for, the death of the process ends it.
	stop := context.AfterFunc(ctx, func() { p.kill(context.Cause(ctx).Error()) })
	defer stop()
	err := p.connect()
	if err == nil && stop() {
		return p, nil
	}
	if err == nil {
		err = context.Cause(ctx)
	}
	return nil, p.abandon(ctx, err)
}

var errStartTimeout = errors.New("it was not ready in time")

// clientConfig is what go-plugin is told. It gets a runner instead of a
// command, so that it has no part in starting, reading and ending processes.
func (p *process) clientConfig() *plugin.ClientConfig {
	return &plugin.ClientConfig{
		HandshakeConfig: proto.Handshake,
		VersionedPlugins: map[int]plugin.PluginSet{
			proto.ProtocolVersion: {proto.PluginName: &proto.Glue{}},
		},
		RunnerFunc: func(_ hclog.Logger, cmd *exec.Cmd, dir string) (runner.Runner, error) {
			p.socketDir = dir
			return &pluginRunner{process: p, env: cmd.Env, dir: dir}, nil
		},
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		StartTimeout:     p.host.cfg.StartTimeout + time.Second, // the context comes first
		SyncStdout:       &lineWriter{out: p.out},
		SyncStderr:       &lineWriter{out: p.out},
		Logger:           hclog.NewNullLogger(),
		SkipHostEnv:      true,
		UnixSocketConfig: &plugin.UnixSocketConfig{TempDir: p.host.dir.path},
		GRPCDialOptions:  proto.DialOptions(),
	}
}

// connect has go-plugin start the process and shake hands.
func (p *process) connect() error {
	rpc, err := p.client.Client()
	if err != nil {
		return err
	}
	conn, err := rpc.Dispense(proto.PluginName)
	if err != nil {
		return err
	}
	p.conn = conn.(grpc.ClientConnInterface) // Glue returns nothing else
	return nil
}

// abandon cleans up after a failed start and says why it failed.
func (p *process) abandon(ctx context.Context, err error) error {
	e := &StartError{Plugin: p.launch.name, Command: strings.Join(p.launch.command, " ")}
	defer p.removeSocket()
	if p.cmd == nil {
		p.host.remove(p)
		e.Reason, e.Err = NotExecutable, err
		return e
	}
	p.mu.Lock()
	killed := p.killed
	p.mu.Unlock()
	p.kill("it could not be used")
	<-p.exited
	p.client.Kill()
	e.Last = p.out.lines()
	p.mu.Lock()
	first, state := p.first, p.state
	p.mu.Unlock()
	switch version, handshake := handshakeVersion(first); {
	case handshake && version != proto.ProtocolVersion:
		e.Reason, e.Detail = Incompatible, fmt.Sprintf("it speaks version %d, this worker %d", version, proto.ProtocolVersion)
	case killed != "" && context.Cause(ctx) == errStartTimeout:
		e.Reason, e.Detail = Hangs, fmt.Sprintf("it was given %v", p.host.cfg.StartTimeout)
	case killed != "":
		return fmt.Errorf("start plugin %s: %w", p.launch.name, errors.Join(context.Cause(ctx), errors.New(killed)))
	case first == "" && !wasKilled(state):
		e.Reason, e.Detail = DiedAtStart, "it ended with "+state.String()
	case handshake:
		e.Reason, e.Err = NoPlugin, err
	default:
		e.Reason, e.Detail = NoPlugin, fmt.Sprintf("it printed %.200q to stdout", first)
	}
	return e
}

// removeSocket removes the socket's directory, which go-plugin leaves behind
// when a start fails.
func (p *process) removeSocket() {
	if err := os.RemoveAll(p.socketDir); err != nil {
		p.launch.log.Warn("socket of a plugin not removed", "err", err)
	}
}

func wasKilled(state *os.ProcessState) bool {
	status, ok := state.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}

// handshakeVersion reads the protocol version off a handshake line.
func handshakeVersion(line string) (version int, ok bool) {
	parts := strings.Split(strings.TrimSpace(line), "|")
	if len(parts) < 4 || parts[0] != strconv.Itoa(plugin.CoreProtocolVersion) {
		return 0, false
	}
	version, err := strconv.Atoi(parts[1])
	return version, err == nil
}

// spawn starts the operating system's process. go-plugin calls it, by way of
// the runner.
func (p *process) spawn(env []string) error {
	outR, outW, err := os.Pipe()
	if err != nil {
		return err
	}
	errR, errW, err := os.Pipe()
	if err != nil {
		return errors.Join(err, outR.Close(), outW.Close())
	}
	h := p.host
	cmd := exec.Command(cmp.Or(p.launch.command[0], h.cfg.SelfExe), p.launch.command[1:]...)
	cmd.Env = append(h.environment(p.launch), env...)
	cmd.Stdout, cmd.Stderr = outW, errW // files, so that no goroutine copies
	cmd.SysProcAttr = processAttributes(!h.cfg.noDeathSignal)
	if !h.cfg.noDeathPipe {
		cmd.ExtraFiles = []*os.File{h.deathRead}
		cmd.Env = append(cmd.Env, proto.EnvDeathPipe+"=3")
	}
	err = h.spawner.start(cmd)
	err = errors.Join(err, outW.Close(), errW.Close())
	if err != nil {
		return errors.Join(err, outR.Close(), errR.Close())
	}
	p.mu.Lock()
	p.cmd, p.started = cmd, time.Now()
	pending := p.killed
	p.mu.Unlock()
	if pending != "" {
		p.kill(pending) // asked for while it was being started
	}
	go p.supervise(outR, errR)
	return nil
}

// supervise is the goroutine that sees a process through: it reads what it
// prints, watches its memory, and waits for its end.
func (p *process) supervise(stdout, stderr *os.File) {
	var readers sync.WaitGroup
	readers.Go(func() { p.readStdout(stdout) })
	readers.Go(func() { p.readStderr(stderr) })
	if p.limit() > 0 {
		readers.Go(p.watchMemory)
	}
	err := p.reap()
	close(p.gone)
	// A grandchild that escaped the group may hold the pipes; it is not waited
	// for.
	deadline := time.Now().Add(time.Second)
	setErr := errors.Join(stdout.SetReadDeadline(deadline), stderr.SetReadDeadline(deadline))
	readers.Wait()
	if err := errors.Join(setErr, stdout.Close(), stderr.Close()); err != nil {
		p.launch.log.Warn("pipes of a plugin", "err", err)
	}
	p.launch.log.Debug("plugin process ended", "pid", p.cmd.Process.Pid, "err", err, "took", p.ended.Sub(p.started))
	close(p.exited)
	p.host.remove(p)
}

// reap waits for the process, kills what it left behind in its group, and
// notes how it ended.
func (p *process) reap() error {
	if awaitExit(p.cmd.Process.Pid) {
		p.killGroup()
		p.mu.Lock()
		p.reaped = true // from here on its number may be given away
		p.mu.Unlock()
	}
	err := p.cmd.Wait()
	p.killGroup() // where it could not be done before
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reaped, p.state, p.ended = true, p.cmd.ProcessState, time.Now()
	return err
}

// maxHandshake bounds the first line on stdout.
const maxHandshake = 4 << 10

// readStdout passes the first line on to go-plugin and logs the rest, which
// should not be there.
func (p *process) readStdout(r *os.File) {
	b := bufio.NewReaderSize(r, maxHandshake)
	line, err := b.ReadSlice('\n') // at most what the buffer holds
	p.mu.Lock()
	p.first = strings.TrimSpace(string(line))
	p.mu.Unlock()
	if len(line) > 0 {
		fmt.Fprintf(p.handshakeW, "%s\n", strings.TrimSpace(string(line))) // the far end may have given up
	}
	p.handshakeW.Close() // never fails
	if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
		return
	}
	p.copyLines(b)
}

func (p *process) readStderr(r *os.File) { p.copyLines(r) }

func (p *process) copyLines(r io.Reader) {
	w := &lineWriter{out: p.out}
	_, err := io.Copy(w, r)
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		p.launch.log.Warn("read what a plugin prints", "err", err)
	}
	w.flush()
}

// kill ends the process at once, and notes the first reason given.
func (p *process) kill(reason string) {
	p.mu.Lock()
	if p.killed == "" {
		p.killed = reason
	}
	p.mu.Unlock()
	if p.inside != nil {
		p.endInside()
		return
	}
	p.killGroup()
}

// killGroup kills the process and all of its group, unless it was reaped
// already: then its number may be somebody else's.
func (p *process) killGroup() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil || p.reaped {
		return
	}
	if err := syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		p.launch.log.Error("plugin process not killed", "pid", p.cmd.Process.Pid, "err", err)
	}
}

// stop ends the process: it is asked to, and killed if it does not within the
// grace or when ctx ends. It returns when the process is gone.
func (p *process) stop(ctx context.Context) {
	if p.inside != nil {
		p.endInside()
		return
	}
	ctx, cancel := context.WithTimeoutCause(ctx, p.host.cfg.StopGrace,
		fmt.Errorf("it did not end within %v", p.host.cfg.StopGrace))
	defer cancel()
	unwatch := context.AfterFunc(ctx, func() { p.kill(context.Cause(ctx).Error()) })
	defer unwatch()
	p.client.Kill() // asks first, and kills by way of the runner after two seconds
	<-p.exited
}

// exitError describes the end of a process that has ended.
func (p *process) exitError() *ExitError {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := &ExitError{
		Plugin: p.launch.name, PID: p.cmd.Process.Pid, Code: p.state.ExitCode(),
		Ran: p.ended.Sub(p.started), Killed: p.killed, Last: p.out.lines(),
	}
	if status, ok := p.state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		e.Signal = status.Signal()
	}
	return e
}

// lostWait is how long an end of the stream is held back for the end of the
// process, which says more.
const lostWait = 2 * time.Second

// explain replaces the error of a broken stream by that of the process, if it
// has ended.
func (p *process) explain(err error) error {
	if err == nil || !lost(err) || p.inside != nil {
		return err
	}
	if errors.Is(err, proto.ErrProtocol) || errors.Is(err, proto.ErrPayload) {
		return fmt.Errorf("plugin %s: %w", p.launch.name, err)
	}
	t := time.NewTimer(lostWait)
	defer t.Stop()
	select {
	case <-p.exited:
		return p.exitError()
	case <-t.C:
		return fmt.Errorf("plugin %s: %w%s", p.launch.name, err, printed(p.out.lines()))
	}
}
