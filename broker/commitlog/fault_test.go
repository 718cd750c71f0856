package commitlog

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
)

// faults says what goes wrong, and keeps a transcript of what must be in order.
type faults struct {
	noSync bool // fdatasync does nothing, for speed

	mu        sync.Mutex // guards below
	space     int64      // bytes that may still be written once limited
	limited   bool
	failSync  error // of the next fdatasync of a segment
	failTrunc error
	failOpen  string // suffix of files that cannot be created
	events    []string
}

func (f *faults) note(event, path string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.events = append(f.events, event+" "+filepath.Base(path))
}

// set changes the faults.
func (f *faults) set(change func(*faults)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
}

type faultFS struct {
	FS
	faults *faults
}

type faultFile struct {
	File
	path   string
	faults *faults
}

func (f faultFS) OpenFile(path string, flag int, perm fs.FileMode) (File, error) {
	f.faults.mu.Lock()
	refused := f.faults.failOpen != "" && flag&os.O_CREATE != 0 && strings.HasSuffix(path, f.faults.failOpen)
	f.faults.mu.Unlock()
	if refused {
		return nil, syscall.ENOSPC
	}
	file, err := f.FS.OpenFile(path, flag, perm)
	if err != nil {
		return nil, err
	}
	return faultFile{file, path, f.faults}, nil
}

func (f faultFS) Rename(from, to string) error {
	f.faults.note("rename", to)
	return f.FS.Rename(from, to)
}

func (f faultFS) SyncDir(path string) error {
	f.faults.note("sync dir", "")
	if f.faults.noSync {
		return nil
	}
	return f.FS.SyncDir(path)
}

func (f faultFile) WriteAt(b []byte, at int64) (int, error) {
	f.faults.mu.Lock()
	limited, room := f.faults.limited, f.faults.space
	if limited {
		f.faults.space = max(0, room-int64(len(b)))
	}
	f.faults.mu.Unlock()
	if !limited || int64(len(b)) <= room {
		return f.File.WriteAt(b, at)
	}
	n, err := f.File.WriteAt(b[:room], at)
	return n, errors.Join(err, syscall.ENOSPC)
}

func (f faultFile) Datasync() error {
	f.faults.note("fdatasync", f.path)
	f.faults.mu.Lock()
	err := f.faults.failSync
	f.faults.mu.Unlock()
	if err != nil && strings.HasSuffix(f.path, logSuffix) {
		return err
	}
	if f.faults.noSync {
		return nil
	}
	return f.File.Datasync()
}

func (f faultFile) Truncate(size int64) error {
	f.faults.mu.Lock()
	err := f.faults.failTrunc
	f.faults.mu.Unlock()
	if err != nil {
		return err
	}
	return f.File.Truncate(size)
}
