// Package loggers gives the loggers of a process names and levels that can be
// changed while it runs, as Kafka Connect's /admin/loggers does.
//
// A logger's name is made of attributes that it carries: role, and connector
// below it. "connect.orders" is what the Connect role says of connector orders.
package loggers

import (
	"context"
	"log/slog"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Root is the name of the logger above all others.
const Root = "root"

// levels are those of Kafka Connect, from the fewest lines to the most.
var levels = []struct {
	name  string
	level slog.Level
}{
	{"OFF", math.MaxInt32},
	{"FATAL", slog.LevelError + 4},
	{"ERROR", slog.LevelError},
	{"WARN", slog.LevelWarn},
	{"INFO", slog.LevelInfo},
	{"DEBUG", slog.LevelDebug},
	{"TRACE", slog.LevelDebug - 4},
	{"ALL", math.MinInt32},
}

// Parse returns the level of a name, in any case, and whether there is one.
func Parse(name string) (slog.Level, bool) {
	for _, l := range levels {
		if strings.EqualFold(l.name, name) {
			return l.level, true
		}
	}
	return 0, false
}

func nameOf(level slog.Level) string {
	for _, l := range levels {
		if level >= l.level {
			return l.name
		}
	}
	return "ALL"
}

// Level is what is known of a logger's level. LastModified is when it was
// changed through Set, in milliseconds since the epoch, nil if never.
type Level struct {
	Level        string `json:"level"`
	LastModified *int64 `json:"last_modified"`
}

// maxLoggers bounds the loggers that have a name. Those above it go by the
// level of the one above them.
const maxLoggers = 10_000

// Levels are the levels of a process's loggers. They are safe for concurrent
// use.
type Levels struct {
	mu    sync.Mutex // guards below
	nodes map[string]*node
}

// node is one logger.
type node struct {
	level    atomic.Int64
	modified *int64 // guarded by Levels.mu
}

// New returns levels of which the root's is given.
func New(root slog.Level) *Levels {
	l := &Levels{nodes: map[string]*node{Root: {}}}
	l.nodes[Root].level.Store(int64(root))
	return l
}

// Handler returns a handler that hands to next what the levels let pass. next
// must not drop records by level itself.
func (l *Levels) Handler(next slog.Handler) slog.Handler {
	return &handler{levels: l, next: next, node: l.named("")}
}

// named returns the logger of a name, "" for the root. One that is new has the
// level of the nearest above it.
func (l *Levels) named(name string) *node {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.find(name)
}

func (l *Levels) find(name string) *node {
	if name == "" {
		return l.nodes[Root]
	}
	if n := l.nodes[name]; n != nil {
		return n
	}
	above := l.find(name[:max(strings.LastIndexByte(name, '.'), 0)])
	if len(l.nodes) >= maxLoggers {
		return above
	}
	n := &node{}
	n.level.Store(above.level.Load())
	l.nodes[name] = n
	return n
}

// All returns the levels of all loggers.
func (l *Levels) All() map[string]Level {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make(map[string]Level, len(l.nodes))
	for name, n := range l.nodes {
		out[name] = n.read()
	}
	return out
}

func (n *node) read() Level {
	return Level{Level: nameOf(slog.Level(n.level.Load())), LastModified: n.modified}
}

// Get returns a logger's level and whether there is such a logger.
func (l *Levels) Get(name string) (Level, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n, ok := l.nodes[name]
	if !ok {
		return Level{}, false
	}
	return n.read(), true
}

// Set sets the level of every logger whose name begins with namespace, of all
// for the root, and returns their names, sorted. A namespace without a logger
// becomes one.
func (l *Levels) Set(namespace string, level slog.Level) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now().UnixMilli()
	affected := map[string]bool{}
	for name := range l.nodes {
		if namespace == Root || strings.HasPrefix(name, namespace) {
			affected[name] = true
		}
	}
	if len(affected) == 0 && len(l.nodes) < maxLoggers {
		l.find(namespace)
		affected[namespace] = true
	}
	for name := range affected {
		l.nodes[name].level.Store(int64(level))
		l.nodes[name].modified = &now
	}
	return slices.Sorted(maps.Keys(affected))
}

// handler passes on what its logger's level lets pass.
type handler struct {
	levels *Levels
	next   slog.Handler
	node   *node
	name   string
	group  bool // below a group attributes are not ours
}

// Enabled implements slog.Handler.
func (h *handler) Enabled(_ context.Context, level slog.Level) bool {
	return int64(level) >= h.node.level.Load()
}

// Handle implements slog.Handler.
func (h *handler) Handle(ctx context.Context, r slog.Record) error { return h.next.Handle(ctx, r) }

// WithAttrs implements slog.Handler.
func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	out := *h
	out.next = h.next.WithAttrs(attrs)
	for _, a := range attrs {
		if !h.group && (a.Key == "role" || a.Key == "connector") {
			if out.name != "" {
				out.name += "."
			}
			out.name += a.Value.String()
		}
	}
	if out.name != h.name {
		out.node = h.levels.named(out.name)
	}
	return &out
}

// WithGroup implements slog.Handler.
func (h *handler) WithGroup(name string) slog.Handler {
	out := *h
	out.next, out.group = h.next.WithGroup(name), true
	return &out
}
