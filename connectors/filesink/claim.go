package filesink

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/millrace/millrace/plugins/sdk"
)

// A task writes the files of a partition in a directory of its own, from where
// complete ones are renamed to their places:
//
//	directory / .topic+partition+random / .n.tmp
//
// A task that was frozen until its partition became another's may wake at any
// point and not know it. So whoever gets a partition first makes such a
// directory and then removes those of all others. From then on the others can
// neither make a file nor rename one into its place, whatever they were about
// to do: in a directory that is removed the file system finds no name. Only
// after that does the new owner look which files there are. Of two that do this
// at once each removes the other's, or one of them does: never do both stay.
//
// It takes a file system that has one order of names for all its users, as a
// local one has. One that answers from a cache for a while, as NFS does, leaves
// the former owner that long.

// errTakenOver ends a task. Its offsets may be old: if the partition is still
// its worker's, the next task takes it back with those that are committed.
var errTakenOver = errors.New("another task has taken them over, because this one was taken for dead or because two connectors " +
	"write one topic to one directory: give each connector its own")

// evictions bounds how often a directory is emptied that somebody still writes
// to.
const evictions = 1000

// claim makes this task the only one that writes the files of the partition,
// and looks which there are.
func (w *writer) claim() error {
	var token [8]byte
	// Read never returns an error (crypto/rand).
	_, _ = rand.Read(token[:])
	prefix := fmt.Sprintf(".%s+%d+", w.tp.Topic, w.tp.Partition)
	stage := filepath.Join(w.task.root, prefix+hex.EncodeToString(token[:]))
	if err := w.task.fs.mkdir(stage); err != nil {
		return err
	}
	w.stage = stage
	err := w.evictOthers(prefix)
	if err == nil {
		err = w.recover()
	}
	if err != nil {
		w.leave()
	}
	return err
}

// evictOthers removes the directories of other tasks and what they have in the
// making.
func (w *writer) evictOthers(prefix string) error {
	disk := w.task.fs
	entries, err := disk.readDir(w.task.root)
	if err != nil {
		return err
	}
	for _, e := range entries {
		path := filepath.Join(w.task.root, e.Name())
		if !e.IsDir() || !strings.HasPrefix(e.Name(), prefix) || path == w.stage {
			continue
		}
		if err := evict(disk, path); err != nil {
			return fmt.Errorf("take the files over from another task: %w", err)
		}
	}
	return nil
}

// evict removes a directory, emptying it as often as somebody puts something
// into it meanwhile.
func evict(disk fileSystem, dir string) error {
	for range evictions {
		entries, err := disk.readDir(dir)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		for _, e := range entries {
			if err := disk.remove(filepath.Join(dir, e.Name())); err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
		}
		err = disk.remove(dir)
		if err == nil || errors.Is(err, os.ErrNotExist) {
			return nil
		}
		if !errors.Is(err, syscall.ENOTEMPTY) && !errors.Is(err, syscall.EEXIST) {
			return err
		}
	}
	return fmt.Errorf("%s does not become empty: stop whoever else writes there", dir)
}

// evicted reports whether another task has claimed the partition since.
func (w *writer) evicted() bool {
	if w.stage == "" {
		return false
	}
	_, err := os.Lstat(w.stage)
	return errors.Is(err, os.ErrNotExist)
}

// leave gives the partition up. The next owner removes what cannot be removed.
func (w *writer) leave() {
	if w.stage != "" {
		_ = w.task.fs.remove(w.stage)
	}
	w.stage = ""
}

// publish gives a complete file its place, unless the partition is another
// task's.
func (w *writer) publish(f *openFile, path string) error {
	err := w.task.fs.rename(f.temp, path)
	if errors.Is(err, syscall.EXDEV) {
		return sdk.Fatal(fmt.Errorf("%w: all directories below %s must be on its file system, where files are made complete", err, w.task.root))
	}
	return err
}

// takeAway removes a complete file, unless the partition is another task's. It
// goes by way of this task's own directory.
func (w *writer) takeAway(path string) error {
	left := filepath.Join(w.stage, ".left.tmp")
	if err := w.task.fs.rename(path, left); err != nil {
		return err
	}
	return w.task.fs.remove(left)
}
