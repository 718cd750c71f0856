package host

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

const (
	socketDirPrefix = "millrace-plugins-"
	// maxSocketDir leaves room for go-plugin's directory and file name below
	// the 104 bytes that a socket's path may have on some systems.
	maxSocketDir = 66
	// staleAge keeps a directory that is just being made from being swept.
	staleAge = time.Minute
)

// socketDir is the private directory for the sockets of a host's plugins. It
// is locked as long as the host lives, so that another host can tell what a
// killed one left behind, also across containers that share the parent, and
// systemd-tmpfiles to leave it alone.
type socketDir struct {
	path string
	lock *os.File
}

// newSocketDir makes a directory in parent, the system's if it is "".
func newSocketDir(parent string, log *slog.Logger) (*socketDir, error) {
	if parent == "" {
		parent = os.TempDir()
	}
	sweepSocketDirs(parent, time.Now(), log)
	path, err := os.MkdirTemp(parent, socketDirPrefix) // mode 0700
	if err != nil {
		return nil, fmt.Errorf("make the directory for plugin sockets: %w", err)
	}
	if len(path) > maxSocketDir {
		err := fmt.Errorf("directory for plugin sockets %s is longer than %d bytes: set a shorter TMPDIR", path, maxSocketDir)
		return nil, errors.Join(err, os.Remove(path))
	}
	lock, err := lockDir(path)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock the directory for plugin sockets: %w", err), os.Remove(path))
	}
	return &socketDir{path, lock}, nil
}

func (d *socketDir) close() error {
	return errors.Join(os.RemoveAll(d.path), d.lock.Close())
}

// lockDir locks a directory, or fails at once if somebody else has. The lock
// ends with the process, however it ends.
func lockDir(path string) (*os.File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// sweepSocketDirs removes directories whose hosts are gone. It only ever
// touches its own user's, since others' cannot be opened.
func sweepSocketDirs(parent string, now time.Time, log *slog.Logger) {
	paths, err := filepath.Glob(filepath.Join(parent, socketDirPrefix+"[0-9]*"))
	if err != nil {
		return // a parent that is no pattern has nothing to match
	}
	for _, path := range paths {
		info, err := os.Lstat(path)
		if err != nil || !info.IsDir() || info.Mode().Perm() != 0o700 || now.Sub(info.ModTime()) < staleAge {
			continue
		}
		lock, err := lockDir(path)
		if err != nil {
			continue // in use, or somebody else's
		}
		if err := errors.Join(os.RemoveAll(path), lock.Close()); err != nil {
			log.Warn("sockets of a worker that is gone not removed", "dir", path, "err", err)
		}
	}
}
