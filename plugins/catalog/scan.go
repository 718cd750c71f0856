package catalog

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	manifestFile = "manifest.json"
	// maxManifest bounds the size of a manifest in bytes.
	maxManifest = 1 << 20
	// protocol is the version of the plugin protocol that manifests name.
	protocol = 1
)

// manifest is a plugin's description in a file. Its command is relative to the
// file's directory.
type manifest struct {
	Plugin
	Protocol int `json:"protocol"`
}

// scanDir looks at the children of one directory of plugin.path: executables,
// each with an optional manifest NAME.json, and directories that have a
// manifest.json or hold executables themselves.
func (c *Catalog) scanDir(ctx context.Context, dir string) ([]Plugin, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		c.cfg.Logger.Warn("directory of plugin.path does not exist", "dir", dir)
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read plugin.path: %w", err)
	}
	var out []Plugin
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		info, err := os.Stat(path) // follows links, which package managers make
		if err != nil {
			c.cfg.Logger.Warn("plugin not readable", "file", path, "err", err)
			continue
		}
		if info.IsDir() {
			out = append(out, c.scanBundle(ctx, path)...)
		} else {
			out = append(out, c.scanFile(ctx, path, info)...)
		}
	}
	return out, nil
}

// scanBundle looks at a directory that holds one plugin.
func (c *Catalog) scanBundle(ctx context.Context, dir string) []Plugin {
	path := filepath.Join(dir, manifestFile)
	if _, err := os.Stat(path); err == nil {
		return c.fromManifest(path, nil)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		c.cfg.Logger.Warn("plugin not readable", "file", dir, "err", err)
		return nil
	}
	var out []Plugin
	for _, e := range entries {
		file := filepath.Join(dir, e.Name())
		if info, err := os.Stat(file); err == nil && !info.IsDir() {
			out = append(out, c.scanFile(ctx, file, info)...)
		}
	}
	return out
}

// scanFile looks at one file: an executable is a plugin, anything else is not
// our business.
func (c *Catalog) scanFile(ctx context.Context, path string, info fs.FileInfo) []Plugin {
	if !info.Mode().IsRegular() || info.Mode()&0o111 == 0 {
		return nil
	}
	beside := strings.TrimSuffix(path, filepath.Ext(path)) + ".json"
	if _, err := os.Stat(beside); err == nil {
		return c.fromManifest(beside, []string{path})
	}
	if c.cache.failed(path, info, time.Now()) {
		return c.known(path) // said so when it was asked
	}
	plugins, err := c.describe(ctx, path, info)
	if err == nil {
		return plugins
	}
	if ctx.Err() == nil {
		c.cache.failures[path] = failure{info.Size(), info.ModTime(), time.Now()}
	}
	if plugins = c.known(path); plugins != nil {
		c.cfg.Logger.Error("plugin has changed and cannot be described, it is taken for what it was", "file", path, "err", err)
		return plugins
	}
	c.cfg.Logger.Error("plugin left out", "file", path, "err", err)
	return nil
}

// known returns what is known of an executable from an earlier scan: one that
// is broken now is tried by whoever starts it, and its error told there.
func (c *Catalog) known(path string) []Plugin {
	ix := c.index.Load()
	if ix == nil {
		return nil
	}
	var out []Plugin
	for _, p := range ix.plugins {
		if p.Origin == path {
			out = append(out, *p)
		}
	}
	return out
}

// describe asks an executable what it holds, unless the same file was asked
// before.
func (c *Catalog) describe(ctx context.Context, path string, info fs.FileInfo) ([]Plugin, error) {
	plugins, ok := c.cache.get(path, info)
	if !ok {
		if c.cfg.Describe == nil {
			return nil, errors.New("an executable without a manifest")
		}
		var err error
		if plugins, err = c.cfg.Describe(ctx, []string{path}); err != nil {
			return nil, err
		}
		c.cache.put(path, info, plugins)
	}
	out := make([]Plugin, len(plugins))
	for i, p := range plugins {
		p.Command, p.Origin = []string{path}, path
		if err := p.check(); err != nil {
			return nil, err
		}
		out[i] = p
	}
	return out, nil
}

// fromManifest reads a manifest: one plugin or a list of them. command is how
// to start them when the manifest does not say.
func (c *Catalog) fromManifest(path string, command []string) []Plugin {
	list, err := readManifest(path)
	if err != nil {
		c.cfg.Logger.Error("plugin left out", "file", path, "err", err)
		return nil
	}
	var out []Plugin
	for _, m := range list {
		p := m.Plugin
		p.Origin = path
		if len(p.Command) == 0 {
			p.Command = command
		} else if !filepath.IsAbs(p.Command[0]) {
			p.Command[0] = filepath.Join(filepath.Dir(path), p.Command[0])
		}
		if err := p.check(); err != nil {
			c.cfg.Logger.Error("plugin left out", "file", path, "err", err)
			continue
		}
		out = append(out, p)
	}
	return out
}

func readManifest(path string) ([]manifest, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() // only read
	text, err := io.ReadAll(io.LimitReader(f, maxManifest+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxManifest {
		return nil, fmt.Errorf("manifest is larger than %d bytes", maxManifest)
	}
	return parseManifest(text)
}

func parseManifest(text []byte) ([]manifest, error) {
	var list []manifest
	if text = bytes.TrimSpace(text); !bytes.HasPrefix(text, []byte("[")) {
		text = append(append([]byte("["), text...), ']')
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&list); err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("manifest: more follows its end")
	}
	for _, m := range list {
		if m.Protocol != protocol {
			return nil, fmt.Errorf("manifest: plugin %q is for protocol %d, this worker speaks %d: "+
				"get a version of the plugin for this worker", m.Name, m.Protocol, protocol)
		}
		if err := m.Config.Check(); err != nil {
			return nil, fmt.Errorf("manifest: configuration keys of %q: %w", m.Name, err)
		}
	}
	return list, nil
}
