package host

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/millrace/millrace/plugins/proto"
)

// inherited are the environment variables that programs need to run and that
// hold no secrets. A trailing star stands for any rest.
var inherited = []string{
	"PATH", "HOME", "USER", "LOGNAME", "SHELL", "TMPDIR", "TZ", "ZONEINFO", "LANG", "LC_*",
	"SSL_CERT_FILE", "SSL_CERT_DIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "GOTRACEBACK", "GOMAXPROCS",
}

// environment is what a process gets from the worker's, and its memory limit
// as Go's runtime understands it: that makes the collector work harder before
// the watchdog has to kill.
func (h *Host) environment(l launch) []string {
	var out []string
	for _, kv := range os.Environ() {
		name, _, _ := strings.Cut(kv, "=")
		named := func(p string) bool { return matches(p, name) }
		if slices.ContainsFunc(inherited, named) || slices.ContainsFunc(l.environment, named) || slices.Contains(h.cfg.PassEnv, name) {
			out = append(out, kv)
		}
	}
	if limit := cmp.Or(l.memoryLimit, h.cfg.MemoryLimit); limit > 0 {
		out = append(out, fmt.Sprintf("GOMEMLIMIT=%d", limit/10*9))
	}
	return append(out, proto.EnvLogLevel+"="+h.logLevel().String())
}

func matches(pattern, name string) bool {
	if prefix, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(name, prefix)
	}
	return pattern == name
}

// logLevel is the least level that the worker's log takes, so that plugins
// need not write what nobody reads.
func (h *Host) logLevel() slog.Level {
	for _, l := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn} {
		if h.cfg.Logger.Enabled(context.Background(), l) {
			return l
		}
	}
	return slog.LevelError
}

func (p *process) limit() int64 { return cmp.Or(p.launch.memoryLimit, p.host.cfg.MemoryLimit) }

// watchMemory kills the process when its resident memory is above its limit.
func (p *process) watchMemory() {
	tick := time.NewTicker(p.host.cfg.memoryPeriod)
	defer tick.Stop()
	for {
		select {
		case <-p.gone:
			return
		case <-tick.C:
		}
		rss, err := readRSS(p.cmd.Process.Pid)
		if err != nil {
			select {
			case <-p.gone: // it ended meanwhile
			default:
				p.launch.log.Warn("memory of a plugin is not watched", "err", err)
			}
			return
		}
		if rss > p.limit() {
			p.kill(fmt.Sprintf("it used %d MiB of memory where its limit is %d MiB: raise the limit, or lower "+
				"what the connector buffers", rss>>20, p.limit()>>20))
			return
		}
	}
}

// Stats are figures of a task's process.
type Stats struct {
	PID    int
	RSS    int64         // resident memory in bytes
	CPU    time.Duration // processor time used
	Uptime time.Duration
	// Figures are what the connector itself counts, in the order of names.
	Figures []proto.Figure
}

// stats reads the figures; those that cannot be had, as after the process's
// end, are zero.
func (p *process) stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock() // keeps it from being reaped meanwhile
	if p.inside != nil {
		return Stats{Uptime: time.Since(p.started)} // the rest is the worker's
	}
	s := Stats{PID: p.cmd.Process.Pid, Uptime: time.Since(p.started)}
	if p.reaped {
		s.Uptime, s.CPU = p.ended.Sub(p.started), p.state.UserTime()+p.state.SystemTime()
		return s
	}
	var err error
	if s.RSS, err = readRSS(s.PID); err != nil {
		s.RSS = 0
	}
	if s.CPU, err = readCPU(s.PID); err != nil {
		s.CPU = 0
	}
	return s
}
