package logtail

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// settle decides about files that seem to be copies of others.
//
// A copy is not read while its original is there, since all that it holds comes
// from there. If the original loses its place, by being truncated as after
// logrotate's copy or by being removed after it was compressed, the copy takes
// it over. If the copy outgrows the original it is read from where that is. And
// where both are shorter than a fingerprint they may be alike by chance: then
// each is read.
func (t *task) settle() {
	clear(t.originals)
	for _, f := range slices.Clone(t.files) {
		if f.original == nil {
			continue
		}
		if !f.found { // it may have moved on to a name that is not included
			t.lookNearby(f)
		}
		if f.readable {
			t.settleOne(f, f.original)
		}
	}
	for _, f := range t.files {
		if f.original != nil {
			t.originals[f.original] = true
		}
	}
}

func (t *task) settleOne(f, old *file) {
	waited := t.now().Sub(f.suspect) >= t.rotateWait
	long := old.head.size >= int64(t.fingerprint)
	if old.found && long && f.copied == f.version() && f.size <= old.size {
		return
	}
	switch t.compare(f, old) {
	case differs:
		t.independent(f, old, long)
	case shorter:
		if waited && f.copied != f.version() {
			t.independent(f, old, long)
		}
	case alike:
		f.copied = f.version()
		switch {
		case !old.found && (old.node == (inode{}) || waited):
			t.replace(f, old)
		case waited && (!long || f.packed == plain && f.size > old.size):
			t.independent(f, old, long)
		}
	}
}

// likeness is how a file compares with what was read of another.
type likeness int

const (
	differs likeness = iota
	shorter          // it is less than what was read, and begins like it
	alike            // it holds all of it
	unknown          // it cannot be read just now
)

// compare compares a file with what was read of another. A compressed one is
// compared when it is read.
func (t *task) compare(f, old *file) likeness {
	if f.packed != plain {
		return alike
	}
	h, err := openSighting(f.path, f.node)
	if err != nil {
		return unknown
	}
	c := newContent(h, plain)
	defer c.close()
	fi, err := c.stat()
	if err != nil {
		return unknown
	}
	if fi.Size() >= old.head.size {
		b := make([]byte, old.head.size)
		if n, err := c.readAt(b, 0); err != nil || n < len(b) || sha256.Sum256(b) != old.head.sum {
			return differs
		}
	}
	switch {
	case fi.Size() < old.pos:
		return shorter
	case old.holds(c):
		return alike
	}
	return differs
}

// independent has a file read that seemed to be a copy: where it is one, from
// the first line on that the original does not have.
func (t *task) independent(f, old *file, copied bool) {
	if copied && f.packed == plain && old.packed == plain && old.found {
		if err := t.skipCommon(f, old); err != nil { // the next scan tries again
			if t.wanted = errors.Is(err, errMoved); !t.wanted {
				t.failPath(f.path, err)
			}
			return
		}
	}
	f.original = nil
	f.changed = true
	t.dirty = append(t.dirty, f)
	t.enqueue(f)
}

// skipCommon moves a file behind the lines that another one has, too, and that
// were read there or will be.
func (t *task) skipCommon(f, old *file) error {
	own, err := openSighting(f.path, f.node)
	if err != nil {
		return err
	}
	a := newContent(own, plain)
	defer a.close()
	other, err := openSighting(old.path, old.node)
	if err != nil {
		return err
	}
	b := newContent(other, plain)
	defer b.close()
	var at, end int64 // how far they are the same, and the last line in it
	x, y := make([]byte, readStep), make([]byte, readStep)
	var before []byte // up to end
	for {
		n, err := a.readAt(x, at)
		if err != nil {
			return err
		}
		m, err := b.readAt(y[:n], at)
		if err != nil {
			return err
		}
		same := 0
		for same < m && x[same] == y[same] {
			same++
		}
		if i := bytes.LastIndex(x[:same], t.cutter.Delimiter); i >= 0 {
			i += len(t.cutter.Delimiter)
			end = at + int64(i)
			before = bytes.Clone(x[max(0, i-tailBytes):i])
		}
		if at += int64(same); same < readStep {
			break
		}
	}
	if want := int(min(end, tailBytes)); len(before) < want {
		before = make([]byte, want)
		if n, err := a.readAt(before, end-int64(want)); err != nil || n < want {
			return errors.Join(err, io.ErrUnexpectedEOF)
		}
	}
	if end > 0 {
		f.moveTo(end, before)
	}
	return nil
}

// replace gives a file that lost its place the place of its copy.
func (t *task) replace(f, old *file) {
	s := sighting{path: f.path, node: f.node, size: f.size, mtime: f.mtime}
	t.remove(f)
	t.files = slices.DeleteFunc(t.files, func(o *file) bool { return o == f })
	t.adopt(old, s, f.packed)
}

// remove takes a file out of the lists but for files.
func (t *task) remove(f *file) {
	t.closeFile(f)
	t.heads.remove(f)
	if t.nodes[f.node] == f {
		delete(t.nodes, f.node)
	}
	if t.paths[f.path] == f {
		delete(t.paths, f.path)
	}
	t.unregister(f)
	f.changed = false
	f.original, f.ended = f, true // whoever has it in a queue passes over it
}

// lostTime is how long a file is looked for that was not read to its end, and
// how long one that was deleted is remembered.
const lostTime = time.Minute

// forget looks after a file that was not found: it is read to its end while
// that is possible, and forgotten when it is gone. It reports whether it is.
func (t *task) forget(f *file) bool {
	if f.found {
		return false
	}
	if f.lost.IsZero() {
		f.lost = t.now()
	}
	if f.original != nil {
		if f.readable {
			return false
		}
		t.remove(f)
		return true
	}
	lost := t.now().Sub(f.lost)
	unread := f.size > f.pos || f.packed != plain && !f.done
	if f.content == nil && f.node != (inode{}) && !f.final && (!f.searched || lost < t.rotateWait || unread && lost < lostTime) {
		t.lookNearby(f)
	}
	if f.content != nil && f.ended && lost >= t.rotateWait && !f.final {
		fi, err := f.content.stat()
		if f.deleted = err == nil && links(fi) == 0; f.deleted {
			t.homeless(f) // another file will have the inode
		}
		f.final = true // its next turn hands over what is left, and closes it
		t.enqueue(f)
	}
	keep := t.forgetAfter
	if f.deleted { // what was made of it, as a compressed file, may not have been seen yet
		keep = min(keep, lostTime)
	}
	if f.content != nil || t.originals[f] || lost < keep {
		return false
	}
	t.remove(f)
	return true
}

// lookNearby finds a file that was renamed to a name that is not followed, by
// its inode and content, in the directory where it was.
func (t *task) lookNearby(f *file) {
	f.searched = true
	for _, s := range t.siblings(f.origin) {
		if s.node != f.node {
			continue
		}
		if f.packed == plain && s.size < f.pos || !t.byInode && t.stillHolds(f, s) != alike {
			continue
		}
		lost := f.lost
		t.place(f, s)
		f.found, f.lost, f.retry = false, lost, time.Time{}
		if f.size > f.pos || f.packed != plain && !f.done {
			f.ended = false
			t.enqueue(f)
		}
		return
	}
}

// siblings are the regular files in a path's directory whose names are the
// path's own or begin with it, but for its extension, as rotation makes them.
func (t *task) siblings(path string) []sighting {
	dir, base := filepath.Split(path)
	entries, ok := t.listed[dir]
	if !ok {
		var err error
		if entries, err = os.ReadDir(dir); err != nil {
			entries = nil // gone, with what was in it
		}
		t.listed[dir] = entries
	}
	stem := strings.TrimSuffix(base, filepath.Ext(base))
	var out []sighting
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), stem) {
			continue
		}
		fi, err := e.Info()
		if err == nil && fi.Mode().IsRegular() {
			out = append(out, newSighting(filepath.Join(dir, e.Name()), fi))
		}
	}
	return out
}

// isRotated reports whether a name is one that rotation gives a file: app.log.1,
// app.log-20240131, app.log.old, app-20240131.log or app.1.log for app.log.
func isRotated(name, base string) bool {
	ext := filepath.Ext(base)
	stem := strings.TrimSuffix(base, ext)
	more, ok := strings.CutPrefix(name, base)
	if !ok {
		if more, ok = strings.CutPrefix(name, stem); !ok || !strings.HasSuffix(more, ext) {
			return false
		}
	}
	if len(more) < 2 || more[0] != '.' && more[0] != '-' {
		return false
	}
	return more[1] >= '0' && more[1] <= '9' || strings.HasPrefix(more[1:], "old")
}

// rotatedUnseen finds files that were written and rotated away between two
// scans, under names that are not included: where a followed path has another
// file now or none, those files beside it that are named like it with something
// behind and were written since it was seen last.
func (t *task) rotatedUnseen(strange []sighting) []sighting {
	paths := make(map[string]bool) // where something has changed
	for _, s := range strange {
		paths[s.path] = true
	}
	for _, f := range t.files {
		if !f.found && f.original == nil && (f.lost.IsZero() || t.now().Sub(f.lost) < lostTime) {
			paths[f.origin] = true
		}
	}
	if len(paths) == 0 {
		return nil
	}
	seen := make(map[string]int64) // when the files at a path were seen last
	for _, f := range t.files {
		if paths[f.origin] {
			seen[f.origin] = max(seen[f.origin], f.confirmed)
		}
	}
	var out []sighting
	for path, since := range seen {
		base := filepath.Base(path)
		for _, sib := range t.siblings(path) {
			known := t.known(sib) || slices.ContainsFunc(strange, func(o sighting) bool { return o.node == sib.node }) ||
				slices.ContainsFunc(out, func(o sighting) bool { return o.node == sib.node })
			if !known && isRotated(filepath.Base(sib.path), base) && sib.mtime >= since && !t.excluded(sib.path) {
				sib.origin = path
				out = append(out, sib)
			}
		}
	}
	return out
}

// known reports whether a file is one that is followed. What has the inode of
// one that is lost may be another.
func (t *task) known(s sighting) bool {
	f := t.nodes[s.node]
	return f != nil && (f.found || f.content != nil || (f.packed != plain || s.size >= f.pos) && t.stillHolds(f, s) != differs)
}
