package commitlog

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// FS is what a log asks of the file system, so that tests can put faults
// between. Implementations are safe for concurrent use.
type FS interface {
	// OpenFile is os.OpenFile.
	OpenFile(path string, flag int, perm fs.FileMode) (File, error)
	// ReadDir is os.ReadDir.
	ReadDir(path string) ([]fs.DirEntry, error)
	// MkdirAll is os.MkdirAll.
	MkdirAll(path string, perm fs.FileMode) error
	// Rename is os.Rename.
	Rename(from, to string) error
	// Remove is os.Remove.
	Remove(path string) error
	// RemoveAll is os.RemoveAll.
	RemoveAll(path string) error
	// SyncDir makes creations, renames and removals in a directory durable.
	SyncDir(path string) error
	// ModTime returns when a file was last written.
	ModTime(path string) (time.Time, error)
	// SetModTime changes what ModTime returns.
	SetModTime(path string, t time.Time) error
}

// File is an open file. ReadAt and WriteAt may run at the same time.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	// Truncate sets the size in bytes.
	Truncate(size int64) error
	// Datasync makes the content and size durable (fdatasync).
	Datasync() error
	// Size returns the size in bytes.
	Size() (int64, error)
	// OS returns the operating system's file for sendfile, nil if there is none.
	OS() *os.File
}

// OSFS is the operating system's file system.
type OSFS struct{}

type osFile struct{ *os.File }

func (f osFile) OS() *os.File { return f.File }

func (f osFile) Datasync() error { return datasync(f.File) }

func (f osFile) Size() (int64, error) {
	fi, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return fi.Size(), nil
}

// OpenFile implements FS.
func (OSFS) OpenFile(path string, flag int, perm fs.FileMode) (File, error) {
	f, err := os.OpenFile(path, flag, perm)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

// ReadDir implements FS.
func (OSFS) ReadDir(path string) ([]fs.DirEntry, error) { return os.ReadDir(path) }

// MkdirAll implements FS.
func (OSFS) MkdirAll(path string, perm fs.FileMode) error { return os.MkdirAll(path, perm) }

// Rename implements FS.
func (OSFS) Rename(from, to string) error { return os.Rename(from, to) }

// Remove implements FS.
func (OSFS) Remove(path string) error { return os.Remove(path) }

// RemoveAll implements FS.
func (OSFS) RemoveAll(path string) error { return os.RemoveAll(path) }

// SyncDir implements FS.
func (OSFS) SyncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// ModTime implements FS.
func (OSFS) ModTime(path string) (time.Time, error) {
	fi, err := os.Stat(path)
	if err != nil {
		return time.Time{}, err
	}
	return fi.ModTime(), nil
}

// SetModTime implements FS.
func (OSFS) SetModTime(path string, t time.Time) error { return os.Chtimes(path, t, t) }

const (
	filePerm = 0o644
	dirPerm  = 0o755
)

// maxSmallFile bounds what readFile takes in: checkpoints and snapshots.
const maxSmallFile = 1 << 30

// readFile returns the whole of a small file.
func readFile(fsys FS, path string) ([]byte, error) {
	f, err := fsys.OpenFile(path, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	if size > maxSmallFile {
		return nil, fmt.Errorf("%s has %d bytes, more than %d", path, size, maxSmallFile)
	}
	b := make([]byte, size)
	if n, err := f.ReadAt(b, 0); n < len(b) {
		return nil, err
	}
	return b, nil
}

// writeFile writes a whole file and, if durable, fdatasyncs it.
func writeFile(fsys FS, path string, b []byte, durable bool) (err error) {
	f, err := fsys.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, filePerm)
	if err != nil {
		return storage("create", path, err)
	}
	defer func() {
		if cerr := f.Close(); err == nil {
			err = storage("close", path, cerr)
		}
	}()
	if _, err := f.WriteAt(b, 0); err != nil {
		return storage("write", path, err)
	}
	if durable {
		return storage("fdatasync", path, f.Datasync())
	}
	return nil
}

// replaceFile writes a file so that a crash leaves the old one or the new one,
// whole: write beside it, fdatasync, rename, sync the directory.
func replaceFile(fsys FS, path string, b []byte) error {
	tmp := path + ".tmp"
	if err := writeFile(fsys, tmp, b, true); err != nil {
		return err
	}
	if err := fsys.Rename(tmp, path); err != nil {
		return storage("rename", tmp, err)
	}
	dir := filepath.Dir(path)
	return storage("sync directory", dir, fsys.SyncDir(dir))
}

// syncFile fdatasyncs a file by name; one that is gone needs none.
func syncFile(fsys FS, path string) error {
	f, err := fsys.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return storage("open", path, err)
	}
	return storage("fdatasync", path, errors.Join(f.Datasync(), f.Close()))
}

// removeFile removes a file that may be gone already.
func removeFile(fsys FS, path string) error {
	if err := fsys.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return storage("remove", path, err)
	}
	return nil
}

// readOptional returns the whole of a small file, nothing if there is none.
func readOptional(fsys FS, path string) ([]byte, error) {
	b, err := readFile(fsys, path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return b, storage("read", path, err)
}
