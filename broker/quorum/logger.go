package quorum

import (
	"context"
	"io"
	"log"
	"log/slog"
	"sync/atomic"

	"github.com/hashicorp/go-hclog"
)

// hcLog lets Raft log to slog. What Raft calls Info happens at every election
// and is Debug here, and so is what it warns of before the node first leads,
// because every start begins with the absence of a leader. Trace is left out.
type hcLog struct {
	*slog.Logger
	name    string
	args    []any
	started *atomic.Bool // shared by all loggers made from one
}

func newHCLog(l *slog.Logger) *hcLog {
	return &hcLog{Logger: l.With("component", "raft"), name: "raft", started: new(atomic.Bool)}
}

func discardLogger() hclog.Logger { return newHCLog(slog.New(slog.DiscardHandler)) }

var levels = map[hclog.Level]slog.Level{
	hclog.Debug: slog.LevelDebug - 4,
	hclog.Info:  slog.LevelDebug,
	hclog.Warn:  slog.LevelWarn,
	hclog.Error: slog.LevelError,
}

// Log implements hclog.Logger.
func (l *hcLog) Log(level hclog.Level, msg string, args ...any) {
	if level == hclog.Warn && !l.started.Load() {
		level = hclog.Info
	}
	if to, ok := levels[level]; ok {
		l.Logger.Log(context.Background(), to, msg, args...)
	}
}

// Trace implements hclog.Logger.
func (l *hcLog) Trace(msg string, args ...any) {}

// Debug implements hclog.Logger.
func (l *hcLog) Debug(msg string, args ...any) { l.Log(hclog.Debug, msg, args...) }

// Info implements hclog.Logger.
func (l *hcLog) Info(msg string, args ...any) { l.Log(hclog.Info, msg, args...) }

// Warn implements hclog.Logger.
func (l *hcLog) Warn(msg string, args ...any) { l.Log(hclog.Warn, msg, args...) }

// Error implements hclog.Logger.
func (l *hcLog) Error(msg string, args ...any) { l.Log(hclog.Error, msg, args...) }

func (l *hcLog) enabled(level hclog.Level) bool {
	return l.Logger.Enabled(context.Background(), levels[level])
}

// IsTrace implements hclog.Logger.
func (l *hcLog) IsTrace() bool { return false }

// IsDebug implements hclog.Logger.
func (l *hcLog) IsDebug() bool { return l.enabled(hclog.Debug) }

// IsInfo implements hclog.Logger.
func (l *hcLog) IsInfo() bool { return l.enabled(hclog.Info) }

// IsWarn implements hclog.Logger.
func (l *hcLog) IsWarn() bool { return l.enabled(hclog.Warn) }

// IsError implements hclog.Logger.
func (l *hcLog) IsError() bool { return l.enabled(hclog.Error) }

// ImpliedArgs implements hclog.Logger.
func (l *hcLog) ImpliedArgs() []any { return l.args }

// With implements hclog.Logger.
func (l *hcLog) With(args ...any) hclog.Logger {
	all := append(append([]any(nil), l.args...), args...)
	return &hcLog{Logger: l.Logger.With(args...), name: l.name, args: all, started: l.started}
}

// Name implements hclog.Logger.
func (l *hcLog) Name() string { return l.name }

// Named implements hclog.Logger.
func (l *hcLog) Named(name string) hclog.Logger { return l.ResetNamed(l.name + "." + name) }

// ResetNamed implements hclog.Logger.
func (l *hcLog) ResetNamed(name string) hclog.Logger {
	return &hcLog{Logger: l.Logger, name: name, args: l.args, started: l.started}
}

// SetLevel implements hclog.Logger; the level is that of the slog handler.
func (l *hcLog) SetLevel(hclog.Level) {}

// GetLevel implements hclog.Logger.
func (l *hcLog) GetLevel() hclog.Level {
	for _, level := range []hclog.Level{hclog.Debug, hclog.Info, hclog.Warn} {
		if l.enabled(level) {
			return level
		}
	}
	return hclog.Error
}

// StandardLogger implements hclog.Logger.
func (l *hcLog) StandardLogger(*hclog.StandardLoggerOptions) *log.Logger {
	return slog.NewLogLogger(l.Logger.Handler(), slog.LevelDebug)
}

// StandardWriter implements hclog.Logger.
func (l *hcLog) StandardWriter(o *hclog.StandardLoggerOptions) io.Writer {
	return l.StandardLogger(o).Writer()
}
