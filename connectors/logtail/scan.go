package logtail

import (
	"os"
	"path/filepath"
	"slices"
	"time"
)

// sighting is a file that a scan found.
type sighting struct {
	path string
	node inode
	size int64
}

// scan looks for files and matches them with those that are known: first by
// inode, then, what is left, by their first bytes.
func (t *task) scan() error {
	first := t.scanned.IsZero() && t.atEnd
	t.scanned = time.Now()
	sights, err := t.look()
	if err != nil {
		return err
	}
	before := make(map[string]*file, len(t.files))
	for _, f := range t.files {
		if f.found || before[f.path] == nil {
			before[f.path] = f
		}
		f.found, f.readable = false, false
	}
	var strange []sighting
	for _, s := range sights {
		f := t.byNode(s.node)
		switch {
		case f == nil:
			strange = append(strange, s)
		case f.found: // a second name of the same file
		case t.truncated(f, s):
			strange = append(strange, s)
			t.detach(f)
		default:
			t.sight(f, s)
		}
	}
	for _, s := range strange {
		t.meet(s, before[s.path], first)
	}
	t.files = slices.DeleteFunc(t.files, t.forget)
	if t.atEnd = false; first {
		t.reindex = true // so that the next task knows this was not the first
	}
	t.watchDirs(sights)
	return nil
}

// look lists the files to follow.
func (t *task) look() ([]sighting, error) {
	var out []sighting
	seen := make(map[string]bool)
	for i := range t.include {
		err := t.include[i].find(func(path string) {
			if seen[path] || slices.ContainsFunc(t.exclude, func(g glob) bool { return g.re.MatchString(path) }) {
				return
			}
			seen[path] = true
			fi, err := os.Stat(path)
			if err != nil || !fi.Mode().IsRegular() { // gone since, or not a log
				return
			}
			out = append(out, sighting{path, inodeOf(fi), fi.Size()})
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (t *task) byNode(n inode) *file {
	for _, f := range t.files {
		if f.node == n {
			return f
		}
	}
	return nil
}

// sight notes where a known file is.
func (t *task) sight(f *file, s sighting) {
	if f.path != s.path && f.partition != nil {
		f.changed = true
	}
	f.path, f.node, f.seen = s.path, s.node, s.size
	f.found, f.readable, f.lost = true, true, time.Time{}
	if !f.suspect.IsZero() && time.Since(f.suspect) >= t.rotateWait {
		f.suspect = time.Time{} // two files that begin alike
	}
	if f.seen > f.pos {
		f.ended = f.ended && f.handle != nil
	}
}

// truncated reports whether a file is not what it was: shorter than what was
// read of it, or with another beginning.
func (t *task) truncated(f *file, s sighting) bool {
	if s.size < f.pos {
		return true
	}
	if t.byInode || f.size == 0 || f.handle != nil && s.size == f.seen {
		return false
	}
	h, err := os.Open(s.path)
	if err != nil {
		t.fail(s.path, err)
		return false
	}
	same := f.sameHead(h)
	_ = h.Close() // nothing was written
	return !same
}

// detach makes a file one that has no place any more. A copy of it may still
// turn up, as the copy that logrotate makes before it truncates.
func (t *task) detach(f *file) {
	t.closeFile(f)
	f.node, f.ended, f.lost = inode{}, true, time.Now()
}

// meet takes in a file of an unknown inode: one that is known under another,
// the copy of one, or a new one. before is what was at its path.
func (t *task) meet(s sighting, before *file, first bool) {
	known, copied := t.byHead(s)
	if known != nil {
		t.closeFile(known)
		t.sight(known, s)
		known.ended, known.changed = false, known.partition != nil
		return
	}
	f := &file{id: newID(), path: s.path, node: s.node, seen: s.size, found: true, readable: true, last: -1}
	if copied {
		f.suspect = time.Now()
	}
	if before != nil && !(before.found && before.path == s.path) {
		f.after = before
		if before.handle != nil || before.readable {
			before.ended = false // there may be more since it was renamed
		}
	}
	if first && s.size > 0 {
		f.pos, f.changed = s.size, true
		f.skip = !endsLine(s)
		if err := t.headOfNew(f); err != nil {
			t.fail(s.path, err)
		}
	}
	t.files = append(t.files, f)
}

// headOfNew hashes the beginning of a file that is read from its end.
func (t *task) headOfNew(f *file) error {
	if err := t.openFile(f); err != nil {
		return err
	}
	defer t.closeFile(f)
	return f.extendHead(int64(t.fingerprint), f.seen)
}

// endsLine reports whether the last byte of a file ends a line.
func endsLine(s sighting) bool {
	h, err := os.Open(s.path)
	if err != nil {
		return false
	}
	defer h.Close()
	b := make([]byte, 1)
	_, err = h.ReadAt(b, s.size-1)
	return err == nil && b[0] == '\n'
}

// byHead finds the file that another begins like: one that has no place any
// more is the same; one that has makes the other its copy.
func (t *task) byHead(s sighting) (same *file, copied bool) {
	if t.byInode || s.size == 0 {
		return nil, false
	}
	h, err := os.Open(s.path)
	if err != nil {
		return nil, false
	}
	defer h.Close()
	for _, f := range t.files {
		if f.size > s.size || !f.sameHead(h) {
			continue
		}
		if !f.found && s.size >= f.pos {
			return f, false
		}
		copied = copied || f.found
	}
	return nil, copied
}

// forget looks after a file that was not found: it is read to its end while
// that is possible, and forgotten when it is gone.
func (t *task) forget(f *file) bool {
	if f.found {
		// A suspect whose original has lost its place since is that one.
		return !f.suspect.IsZero() && t.adopt(f)
	}
	if f.lost.IsZero() {
		f.lost = time.Now()
	}
	if f.handle == nil && f.node != (inode{}) {
		if s, ok := t.nearby(f); ok {
			f.readable, f.path, f.seen = true, s.path, s.size
			if f.seen > f.pos {
				f.ended = false
			}
		}
	}
	lost := time.Since(f.lost)
	deleted := false
	if f.handle != nil && f.ended && lost >= t.rotateWait {
		fi, err := f.handle.Stat()
		deleted = err == nil && links(fi) == 0
		t.flushGroup(f, true) // nothing more will come
		t.closeFile(f)
	}
	if !deleted && lost < t.forgetAfter {
		return false
	}
	t.closeFile(f)
	if f.partition != nil {
		t.gone = append(t.gone, f)
		t.reindex = true
	}
	return true
}

// adopt gives the file that a copy was made of the place of the copy, and
// reports whether there was one.
func (t *task) adopt(f *file) bool {
	h, err := os.Open(f.path)
	if err != nil {
		return false
	}
	defer h.Close()
	for _, old := range t.files {
		if old != f && !old.found && old.pos <= f.seen && old.sameHead(h) {
			t.closeFile(old)
			t.sight(old, sighting{f.path, f.node, f.seen})
			old.ended, old.changed = false, old.partition != nil
			return true
		}
	}
	return false
}

// nearby finds a file that was renamed to a name that is not followed, by its
// inode and beginning, in the directory where it was.
func (t *task) nearby(f *file) (sighting, bool) {
	dir := filepath.Dir(f.path)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return sighting{}, false
	}
	for _, e := range entries {
		fi, err := e.Info()
		if err != nil || !fi.Mode().IsRegular() || inodeOf(fi) != f.node || fi.Size() < f.pos {
			continue
		}
		s := sighting{filepath.Join(dir, e.Name()), f.node, fi.Size()}
		if t.byInode || f.size == 0 || !t.truncated(f, s) {
			return s, true
		}
	}
	return sighting{}, false
}

// watchDirs asks the kernel to tell of changes where files were found.
func (t *task) watchDirs(sights []sighting) {
	if t.watcher == nil {
		return
	}
	for _, s := range sights {
		dir := filepath.Dir(s.path)
		if t.watched[dir] {
			continue
		}
		t.watched[dir] = true
		if err := t.watcher.Add(dir); err != nil {
			t.log.Warn("changes in a directory are polled for", "path", dir, "err", err)
		}
	}
	for _, g := range t.include {
		if !t.watched[g.root] && t.watcher.Add(g.root) == nil {
			t.watched[g.root] = true
		}
	}
}
