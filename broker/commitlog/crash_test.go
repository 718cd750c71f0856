package commitlog

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

var errCrash = errors.New("the machine is off")

// crashFS loses power before the n-th change that it is asked for: that one
// and those after fail and do nothing, and what was written to compaction's
// files without an fdatasync is gone.
type crashFS struct {
	OSFS

	mu    sync.Mutex // guards below
	left  int        // changes until the power fails, negative for never
	loose map[string]bool
}

// change counts one change; false if the power is off.
func (c *crashFS) change(do func() error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left == 0 {
		return errCrash
	}
	c.left = max(c.left-1, -1)
	return do()
}

// lose empties the files whose content never reached the disk.
func (c *crashFS) lose() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for path := range c.loose {
		if err := os.Truncate(path, 0); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

type crashFile struct {
	File
	c    *crashFS
	path string
}

func (c *crashFS) OpenFile(path string, flag int, perm fs.FileMode) (f File, err error) {
	open := func() error {
		f, err = c.OSFS.OpenFile(path, flag, perm)
		return err
	}
	if flag&(os.O_CREATE|os.O_TRUNC) != 0 {
		err = c.change(open)
	} else {
		err = open()
	}
	if err != nil {
		return nil, err
	}
	return crashFile{f, c, path}, nil
}

func (c *crashFS) Rename(from, to string) error {
	return c.change(func() error {
		if err := os.Rename(from, to); err != nil {
			return err
		}
		if c.loose[from] {
			delete(c.loose, from)
			c.loose[to] = true
		} else {
			delete(c.loose, to)
		}
		return nil
	})
}

func (c *crashFS) Remove(path string) error {
	return c.change(func() error {
		delete(c.loose, path)
		return os.Remove(path)
	})
}

func (c *crashFS) SyncDir(path string) error {
	return c.change(func() error { return nil })
}

func (c *crashFS) SetModTime(path string, t time.Time) error {
	return c.change(func() error { return c.OSFS.SetModTime(path, t) })
}

func (f crashFile) WriteAt(b []byte, at int64) (n int, err error) {
	err = f.c.change(func() error {
		if strings.HasSuffix(f.path, cleanedSuffix) || strings.HasSuffix(f.path, ".tmp") {
			f.c.loose[f.path] = true
		}
		n, err = f.File.WriteAt(b, at)
		return err
	})
	return n, err
}

func (f crashFile) Datasync() error {
	return f.c.change(func() error {
		delete(f.c.loose, f.path)
		return nil
	})
}

func (f crashFile) Truncate(size int64) error {
	return f.c.change(func() error { return f.File.Truncate(size) })
}

// copyTo copies the files of a log's directory.
func copyTo(from, to string) error {
	if err := os.RemoveAll(to); err != nil {
		return err
	}
	return errors.Join(os.MkdirAll(filepath.Dir(to), 0o755), os.CopyFS(to, os.DirFS(from)))
}
