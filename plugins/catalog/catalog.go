// Package catalog knows which connector plugins there are: those built in and
// those found in plugin.path, and which of them answers to a connector.class.
//
// Open reads manifests and asks executables that have none to describe
// themselves, by a function that it is given, since starting processes is not
// its business. Scan looks again. Look-ups go to an immutable list and may be
// made by any goroutine.
package catalog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/millrace/millrace/plugins/configdef"
)

// Kind says whether a connector is a source or a sink.
type Kind string

// The kinds.
const (
	Source Kind = "source"
	Sink   Kind = "sink"
)

// Plugin is one connector that can be started.
type Plugin struct {
	Name          string   `json:"name"`
	Kind          Kind     `json:"kind"`
	Version       string   `json:"version"`
	API           int      `json:"api,omitempty"` // of the SDK it was built with, 0 if unknown
	Classes       []string `json:"classes"`       // values of connector.class, the first its own
	Abilities     []string `json:"abilities,omitempty"`
	Documentation string   `json:"documentation,omitempty"`
	// Config defines the connector's keys. It is empty for a plugin that is
	// known from its manifest alone; Describe fills it.
	Config configdef.Def `json:"config,omitempty"`

	// Command starts it. An empty first element stands for the worker's own
	// executable.
	Command []string `json:"command"`
	// Environment names variables of the worker's environment that its processes
	// get beside what every program needs, a trailing star standing for any
	// rest. Only a worker's own connectors have it: a file cannot ask for
	// credentials.
	Environment []string `json:"-"`
	// Origin tells people where it comes from: a file, or "built in".
	Origin string `json:"-"`
	// Aliases are further names for classes, such as those that a cloud
	// service uses.
	Aliases map[string]string `json:"-"`
	// Marks holds for a class a configuration key by which it is told from
	// other classes with the same simple name.
	Marks map[string]string `json:"-"`
}

// Can reports whether the plugin declares an ability.
func (p *Plugin) Can(ability string) bool { return slices.Contains(p.Abilities, ability) }

// Config says where to look.
type Config struct {
	// BuiltIn are the connectors of the worker's own executable.
	BuiltIn []Plugin
	// Path are the directories of plugin.path. One that does not exist is
	// logged and passed over, as Kafka Connect does.
	Path []string
	// Describe starts an executable and asks what it holds; Command and Origin
	// are filled in by the catalog. It must keep a deadline of its own. Nil
	// refuses executables without a manifest.
	Describe func(ctx context.Context, command []string) ([]Plugin, error)
	// CacheFile, if set, keeps descriptions between runs of the worker.
	CacheFile string
	Logger    *slog.Logger
}

// Catalog is the set of plugins.
type Catalog struct {
	cfg   Config
	index atomic.Pointer[index]

	mu    sync.Mutex // guards below and serialises scans
	cache cache
}

// Open looks for plugins. An executable that cannot be described is logged and
// left out; two plugins that claim one class are an error.
func Open(ctx context.Context, cfg Config) (*Catalog, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	c := &Catalog{cfg: cfg, cache: loadCache(cfg.CacheFile, cfg.Logger)}
	return c, c.Scan(ctx)
}

// Scan looks for plugins again. On an error the catalog stays as it was.
func (c *Catalog) Scan(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	plugins := slices.Clone(c.cfg.BuiltIn)
	for i := range plugins {
		plugins[i].Origin = "built in"
	}
	for _, dir := range c.cfg.Path {
		found, err := c.scanDir(ctx, dir)
		if err != nil {
			return err
		}
		plugins = append(plugins, found...)
	}
	ix, err := newIndex(plugins)
	if err != nil {
		return fmt.Errorf("plugin.path: %w", err)
	}
	if err := c.cache.save(c.cfg.CacheFile); err != nil {
		c.cfg.Logger.Warn("plugin descriptions not cached", "file", c.cfg.CacheFile, "err", err)
	}
	c.index.Store(ix)
	return nil
}

// Plugins returns all plugins, sorted by name, the newest version first. The
// caller must not change them.
func (c *Catalog) Plugins() []*Plugin { return c.index.Load().plugins }

// ByName returns the plugin of a name, in its newest version.
func (c *Catalog) ByName(name string) (*Plugin, bool) {
	for _, p := range c.Plugins() {
		if p.Name == name {
			return p, true
		}
	}
	return nil, false
}

// ErrUnknownClass is a connector.class that no plugin answers to.
var ErrUnknownClass = errors.New("unknown connector class")

// VersionKey is the configuration key that says which version of a plugin is
// wanted (KIP-891); see Requirement.
const VersionKey = "connector.plugin.version"

// VersionError is a class that is here, but in no version that will do.
type VersionError struct {
	Class, Wanted string
	Available     []string // the newest first
	Newest        *Plugin
	Err           error // what is wrong with Wanted itself, nil if nothing is
}

// Error says what is wanted and what there is.
func (e *VersionError) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("version of %s: %v", e.Class, e.Err)
	}
	return fmt.Sprintf("no version of %s is %s: here are %s", e.Class, e.Wanted, strings.Join(e.Available, ", "))
}

// Unwrap returns what is wrong with the wish.
func (e *VersionError) Unwrap() error { return e.Err }

// Versions returns the versions of a plugin class, the newest first; none if
// the name stands for no class. config decides as in Resolve.
func (c *Catalog) Versions(class string, config map[string]string) []string {
	ix := c.index.Load()
	full, err := ix.class(strings.TrimSpace(class), config)
	if err != nil {
		return nil
	}
	var out []string
	for _, p := range ix.classes[full] {
		out = append(out, p.Version)
	}
	return out
}

// Resolve finds the plugin that answers to a connector.class: a full class
// name, its last part, that without Connector at its end, or an alias. It
// returns the full name as well, which is what the plugin is asked for. config
// decides where several classes have the same last part, and by VersionKey
// which version is taken: the newest that will do. If there is none the error
// is a *VersionError.
func (c *Catalog) Resolve(class string, config map[string]string) (*Plugin, string, error) {
	return c.index.Load().resolve(strings.TrimSpace(class), config)
}
