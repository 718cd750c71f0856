package catalog

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"
)

// cache keeps what executables said of themselves, so that a start of the
// worker does not start them all. An entry holds for a file as long as its
// size and modification time are the same.
type cache struct {
	entries  map[string]cached
	failures map[string]failure // of this process only
	changed  bool
}

// failure is an executable that could not be described. It is not asked again
// for a while, since the directories are looked at often.
type failure struct {
	size    int64
	modTime time.Time
	at      time.Time
}

// failurePause is how long an executable that could not be described is let
// be, unless it changes.
const failurePause = time.Minute

// failed reports whether an executable could not be described a short while ago
// and is still the same.
func (c *cache) failed(path string, info fs.FileInfo, now time.Time) bool {
	f, ok := c.failures[path]
	return ok && f.size == info.Size() && f.modTime.Equal(info.ModTime()) && now.Sub(f.at) < failurePause
}

type cached struct {
	Size    int64     `json:"size"`
	ModTime time.Time `json:"mtime"`
	Plugins []Plugin  `json:"plugins"`
}

// loadCache reads a cache file. One that is missing or damaged is as good as
// empty.
func loadCache(path string, log *slog.Logger) cache {
	c := cache{entries: make(map[string]cached), failures: make(map[string]failure)}
	if path == "" {
		return c
	}
	text, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(text, &c.entries)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		log.Warn("cached plugin descriptions not readable, asking again", "file", path, "err", err)
	}
	if err != nil || c.entries == nil {
		c.entries = make(map[string]cached)
	}
	return c
}

func (c *cache) get(path string, info fs.FileInfo) ([]Plugin, bool) {
	e, ok := c.entries[path]
	if !ok || e.Size != info.Size() || !e.ModTime.Equal(info.ModTime()) {
		return nil, false
	}
	return e.Plugins, true
}

func (c *cache) put(path string, info fs.FileInfo, plugins []Plugin) {
	c.entries[path] = cached{info.Size(), info.ModTime(), plugins}
	c.changed = true
}

// save writes the cache if it changed, by way of a second file, so that a
// crash leaves the old one.
func (c *cache) save(path string) error {
	if path == "" || !c.changed {
		return nil
	}
	text, err := json.Marshal(c.entries)
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = tmp.Write(text)
	if err = errors.Join(err, tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("%w", errors.Join(err, os.Remove(tmp.Name())))
	}
	c.changed = false
	return nil
}
