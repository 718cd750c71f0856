package filesink

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// fileSystem is what the sink does to the disk. Tests break it.
type fileSystem interface {
	create(path string) (file, error)
	rename(from, to string) error
	remove(path string) error
	makeDir(path string) error
	mkdir(path string) error
	readDir(path string) ([]os.DirEntry, error)
	walk(root string, visit fs.WalkDirFunc) error
	syncDir(path string) error
}

type file interface {
	io.Writer
	Sync() error
	Close() error
}

type disk struct{}

func (disk) create(path string) (file, error) {
	return os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
}
func (disk) rename(from, to string) error { return os.Rename(from, to) }
func (disk) remove(path string) error     { return os.Remove(path) }
func (disk) mkdir(path string) error      { return os.Mkdir(path, 0o755) }

func (disk) readDir(path string) ([]os.DirEntry, error)   { return os.ReadDir(path) }
func (disk) walk(root string, visit fs.WalkDirFunc) error { return filepath.WalkDir(root, visit) }

// makeDir makes a directory and those above it, each of which is synced into
// the one above: a directory that is lost takes its files with it.
func (d disk) makeDir(path string) error {
	err := os.Mkdir(path, 0o755)
	switch {
	case err == nil:
		return d.syncDir(filepath.Dir(path))
	case errors.Is(err, os.ErrExist):
		return nil
	case !errors.Is(err, os.ErrNotExist):
		return err
	}
	if err := d.makeDir(filepath.Dir(path)); err != nil {
		return err
	}
	return d.makeDir(path)
}

func (disk) syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// unescaped replaces escapes as \t, where there are any.
func unescaped(s string) string {
	if text, err := strconv.Unquote(`"` + strings.ReplaceAll(s, `"`, `\"`) + `"`); err == nil {
		return text
	}
	return s
}
