package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/hashicorp/go-plugin/runner"
)

// pluginRunner is a process as go-plugin sees it: something to start, whose
// stdout begins with a handshake, and to kill. Everything else it prints goes
// past go-plugin.
type pluginRunner struct {
	process *process
	env     []string // what go-plugin tells the plugin
	dir     string   // where the plugin's socket will be
}

var _ runner.Runner = (*pluginRunner)(nil)

// Start implements runner.Runner.
func (r *pluginRunner) Start(context.Context) error { return r.process.spawn(r.env) }

// Wait returns when the process is gone.
func (r *pluginRunner) Wait(context.Context) error {
	<-r.process.gone
	return nil
}

// Kill kills the process; go-plugin calls it after a failed start, or when the
// process did not end when asked.
func (r *pluginRunner) Kill(context.Context) error {
	r.process.killGroup()
	return nil
}

// Stdout is the handshake line and then the end.
func (r *pluginRunner) Stdout() io.ReadCloser { return r.process.handshake }

// Stderr is empty: the process's is read elsewhere.
func (r *pluginRunner) Stderr() io.ReadCloser { return io.NopCloser(strings.NewReader("")) }

// Name implements runner.Runner.
func (r *pluginRunner) Name() string { return r.process.launch.name }

// ID implements runner.Runner.
func (r *pluginRunner) ID() string {
	if r.process.cmd == nil {
		return ""
	}
	return strconv.Itoa(r.process.cmd.Process.Pid)
}

// Diagnose implements runner.Runner; the StartError tells what was seen.
func (r *pluginRunner) Diagnose(context.Context) string { return "" }

// PluginToHost lets the plugin name a socket in its own directory only: an
// address of its choice would have the worker connect to anything.
func (r *pluginRunner) PluginToHost(network, address string) (string, string, error) {
	if network != "unix" {
		return "", "", fmt.Errorf("it listens on %q, not on a Unix socket", network)
	}
	if filepath.Dir(filepath.Clean(address)) != filepath.Clean(r.dir) {
		return "", "", errors.New("its socket is not in the directory it was given")
	}
	return network, address, nil
}

// HostToPlugin implements runner.Runner.
func (r *pluginRunner) HostToPlugin(network, address string) (string, string, error) {
	return network, address, nil
}
