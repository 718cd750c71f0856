package logtail

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"

	"github.com/millrace/millrace/plugins/sdk"
)

// deleting is a task that deletes what it has read (delete.after.ms). Only such
// a one hears which offsets are stored, which costs something for each batch.
type deleting struct{ *task }

var _ sdk.Committer = deleting{}

// durable is how far files were read by their stored offsets. The task's
// goroutine asks, another one tells.
type durable struct {
	mu    sync.Mutex // guards below
	files map[string]progress
}

// progress is what a stored offset says of a file.
type progress struct {
	pos  int64
	done bool // of a compressed one: to its end
}

func (d *durable) note(id string, o sdk.Offset) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if o == nil {
		delete(d.files, id)
		return
	}
	d.files[id] = progress{o.Int64("position"), o.Bool("done")}
}

// covers reports whether all that was read of a file is stored.
func (d *durable) covers(f *file) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	p, ok := d.files[f.id]
	return ok && p.pos == f.pos && p.done == f.done
}

// Committed implements sdk.Committer.
func (t deleting) Committed(_ context.Context, positions []sdk.Position) error {
	for _, p := range positions {
		if id, ok := p.Partition["file"].(string); ok {
			t.durable.note(id, p.Offset)
		}
	}
	return nil
}

// deleteRead deletes the files of which everything is stored and that nobody
// has written to for long enough.
func (t *task) deleteRead() {
	if t.deleteAfter < 0 {
		return
	}
	for _, f := range t.files {
		whole := f.packed == plain && f.size == f.pos && f.pos > 0 || f.packed != plain && f.done
		old := t.now().Sub(time.UnixMilli(f.mtime)) >= t.deleteAfter
		if !whole || !old || !f.found || f.original != nil || !t.durable.covers(f) {
			continue
		}
		if err := t.deleteFile(f); err != nil {
			t.failPath(f.path, err)
		}
	}
}

// deleteFile deletes a file and goes on with it like with one that somebody
// else deleted: what is written to it by who has it open is still read for
// rotate.wait.ms.
//
// Another file may take the path at any time. So it is first renamed, to a name
// as rotation gives them, and looked at: what turns out to be another file, or
// to have grown, gets its name back or is found as one that was rotated.
func (t *task) deleteFile(f *file) error {
	if f.packed == plain { // nobody adds to one that was compressed
		if ok, err := t.open(f); !ok || err != nil {
			return err
		}
	}
	aside := f.path + ".old-" + f.id[:8]
	if err := os.Rename(f.path, aside); err != nil {
		return err
	}
	fi, err := os.Lstat(aside)
	if err != nil {
		return err
	}
	if (version{inodeOf(fi), fi.Size(), fi.ModTime().UnixMilli()}) != f.version() {
		t.wanted = true
		if err := os.Link(aside, f.path); errors.Is(err, os.ErrExist) {
			return nil // it stays beside the one that has the path now
		} else if err != nil {
			return err
		}
		return os.Remove(aside)
	}
	if err := os.Remove(aside); err != nil {
		return err
	}
	t.count.deleted.Add(1)
	t.log.Info("file was read and is deleted", "path", f.path, "bytes", f.size)
	f.found, f.readable = false, false
	if f.packed != plain {
		f.deleted = true
		t.homeless(f)
	}
	return nil
}
