package logtail

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"io/fs"
	"os"
	"slices"
	"time"
)

// sighting is a file that a scan found.
type sighting struct {
	path  string
	node  inode
	size  int64
	mtime int64
	// origin is the followed path that a file was rotated away from, "" if it is
	// at a followed path.
	origin string
}

func newSighting(path string, fi os.FileInfo) sighting {
	return sighting{path: path, node: inodeOf(fi), size: fi.Size(), mtime: fi.ModTime().UnixMilli()}
}

// scan looks for files and matches them with those that are known: first by
// inode, then, what is left, by what they hold.
func (t *task) scan() error {
	first := t.scanned.IsZero() && t.atEnd
	start := t.now()
	t.scanned, t.wanted = start, false
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
	t.paths = make(map[string]*file, len(before))
	clear(t.listed)
	var strange []sighting
	for _, s := range sights {
		f, ok := t.pick(s)
		switch {
		case !ok:
			t.wanted = true
		case f == nil:
			strange = append(strange, s)
		case f.found: // a second name of the same file
		default:
			if t.sightAgain(f, s) {
				strange = append(strange, s)
			}
		}
	}
	strange = append(strange, t.rotatedUnseen(strange)...)
	// What was written last comes last, and the copy of a file after it.
	slices.SortStableFunc(strange, func(a, b sighting) int { return cmp.Compare(a.mtime, b.mtime) })
	for _, s := range strange {
		if err := t.meet(s, before[s.path], first); err != nil {
			t.failPath(s.path, err)
		}
	}
	t.settle()
	t.deleteRead()
	t.files = slices.DeleteFunc(t.files, t.forget)
	if t.atEnd = false; first {
		t.shards[0].changed = true // so that the next task knows this was not the first
	}
	t.watchDirs(sights)
	t.measure()
	t.cost = t.now().Sub(start)
	return nil
}

// look lists the files to follow. What matches and is no regular file, as a
// directory or a pipe, is passed over.
func (t *task) look() ([]sighting, error) {
	var out []sighting
	seen := make(map[string]bool)
	for i := range t.include {
		err := t.include[i].find(func(path string) {
			if seen[path] || t.excluded(path) {
				return
			}
			seen[path] = true
			fi, err := os.Stat(path)
			switch {
			case errors.Is(err, fs.ErrNotExist): // gone since
			case err != nil:
				t.failPath(path, err)
			case !fi.Mode().IsRegular():
				t.failPath(path, errors.New("it is no regular file, and is not read: a "+fi.Mode().Type().String()))
			default:
				out = append(out, newSighting(path, fi))
			}
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (t *task) excluded(path string) bool {
	return slices.ContainsFunc(t.exclude, func(g glob) bool { return g.match(path) })
}

// maxFailed bounds the paths that are remembered for having been logged.
const maxFailed = 10000

// failPath logs what is wrong with a path, once.
func (t *task) failPath(path string, err error) {
	if len(t.failed) >= maxFailed {
		clear(t.failed) // each may be logged once more
	}
	if !t.failed[path] {
		t.failed[path] = true
		t.count.errors.Add(1)
		t.log.Warn("file cannot be followed", "path", path, "err", err)
	}
}

// add takes a file into the lists.
func (t *task) add(f *file) {
	t.files = append(t.files, f)
	t.heads.add(f)
	t.setNode(f)
}

// setNode says that the file with an inode is f, and so no other any more.
func (t *task) setNode(f *file) {
	if f.node == (inode{}) {
		return
	}
	if old := t.nodes[f.node]; old != nil && old != f {
		t.homeless(old)
	}
	t.nodes[f.node] = f
}

// homeless notes that a file has no inode. That is stored: in a later life it
// would be taken for what has the inode then.
func (t *task) homeless(f *file) {
	if t.nodes[f.node] == f {
		delete(t.nodes, f.node)
	}
	if f.node = (inode{}); f.partition != nil {
		f.changed = true
		t.dirty = append(t.dirty, f)
	}
}

// pick returns the known file that has an inode. Where a crash left several,
// it is the one that holds what was read; ok is false if nobody can tell now.
func (t *task) pick(s sighting) (f *file, ok bool) {
	twins := t.twins[s.node]
	if len(twins) == 0 {
		return t.nodes[s.node], true
	}
	best, most := t.nodes[s.node], int64(-1)
	for _, f := range twins {
		if f.pos <= most || f.pos == 0 && f.head.size == 0 {
			continue
		}
		switch t.stillHolds(f, s) {
		case unknown:
			return nil, false
		case alike:
			best, most = f, f.pos
		}
	}
	delete(t.twins, s.node)
	for _, f := range twins {
		if f != best {
			t.homeless(f)
		}
	}
	t.nodes[s.node] = best
	return best, true
}

// sight notes where a known file is.
func (t *task) sight(f *file, s sighting) {
	if f.path != s.path && f.pos > 0 {
		f.changed = true
		t.dirty = append(t.dirty, f)
	}
	if f.size != s.size {
		f.suspect = t.now() // a copy that is being made takes its time
		f.done = false
	}
	t.place(f, s)
	f.origin = cmp.Or(s.origin, s.path)
	if f.packed == plain && s.size == f.pos { // changedUnread has seen to it
		f.confirmed = s.mtime
	}
	if f.original == nil && !f.done && (f.size > f.pos || f.packed != plain) {
		t.enqueue(f)
	}
}

// place gives a file its place on the disk.
func (t *task) place(f *file, s sighting) {
	if f.node != s.node {
		if t.nodes[f.node] == f {
			delete(t.nodes, f.node)
		}
		f.node = s.node
		t.setNode(f)
	}
	t.setPath(f, s.path)
	f.size, f.mtime = s.size, s.mtime
	f.found, f.readable, f.lost, f.final = true, true, time.Time{}, false
}

// sightAgain looks at what has the inode of a known file, and reports whether it
// is another file. While nobody can tell, what is known of its size and times
// stays: they say whether it has to be looked into.
func (t *task) sightAgain(f *file, s sighting) (strange bool) {
	switch t.changedUnread(f, s) {
	case differs:
		t.detach(f)
		return true
	case unknown:
		f.found, f.readable, t.wanted = true, true, true
	default:
		t.sight(f, s)
	}
	return false
}

// changedUnread says whether a file is not what it was: shorter than what was
// read of it, or written anew at the same size. What grew is checked when it is
// read.
func (t *task) changedUnread(f *file, s sighting) likeness {
	switch {
	case f.packed != plain && (s.size != f.size || s.mtime != f.mtime):
		return t.stillHolds(f, s)
	case f.packed == plain && s.size < f.pos:
		t.count.rewritten.Add(1)
		return differs
	case f.packed == plain && s.size == f.pos && s.mtime != f.mtime && f.mtime > 0:
		return t.stillHolds(f, s)
	}
	return alike
}

// stillHolds says whether the file at a place holds what was read of f. Of a
// compressed one the beginning tells; the rest is compared when it is read.
func (t *task) stillHolds(f *file, s sighting) likeness {
	h, err := openSighting(s.path, s.node)
	if err != nil {
		return unknown // reading it will tell
	}
	packed := t.sniff(h)
	c := newContent(h, packed)
	defer c.close()
	if packed != f.packed {
		return differs
	}
	if packed == plain {
		return likenessOf(f.holds(c))
	}
	b := make([]byte, f.head.size)
	n, err := c.readAt(b, 0)
	return likenessOf(errors.Is(err, errUnfinished) || err == nil && f.begins(b[:n]))
}

func likenessOf(same bool) likeness {
	if same {
		return alike
	}
	return differs
}

// errMoved is a path that leads to another file than it did a moment ago, as
// when rotation gives each file the name of the next.
var errMoved = errors.New("another file has the path now")

// openSighting opens a file that was seen at a path, and only that.
func openSighting(path string, node inode) (*os.File, error) {
	h, fi, err := openPath(path)
	if err == nil && inodeOf(fi) != node {
		_ = h.Close() // nothing was written
		err = errMoved
	}
	return h, err
}

// rewritten deals with a file whose content is not what was read, which is
// noticed when it is read on: it begins anew. What was read may turn up in a
// copy, as the one that logrotate makes before it truncates.
func (t *task) rewritten(f *file, shorter bool) {
	t.count.rewritten.Add(1)
	f.refused = f.version()
	t.log.Info("file was truncated or written anew and is read from its beginning", "path", f.path, "position", f.pos, "shorter", shorter)
	t.closeFile(f)
	t.detach(f)
	t.wanted = true
}

// detach makes a file one that has no place any more.
func (t *task) detach(f *file) {
	t.closeFile(f)
	t.homeless(f)
	f.ended, f.found, f.readable, f.lost = true, false, false, t.now()
}

// meet takes in a file of an unknown inode: one that is known under another,
// the copy of one, or a new one. before is what was at its path.
func (t *task) meet(s sighting, before *file, first bool) error {
	if t.ignoreOlder > 0 && t.now().UnixMilli()-s.mtime > t.ignoreOlder.Milliseconds() {
		return nil
	}
	h, err := openSighting(s.path, s.node)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errMoved) {
		t.wanted = true // it is met where it is then
		return nil
	}
	if err != nil {
		return err
	}
	fi, err := h.Stat()
	if err != nil {
		return errors.Join(err, h.Close())
	}
	s.size = fi.Size()
	packed := t.sniff(h)
	c := newContent(h, packed)
	defer c.close()
	begin := make([]byte, t.fingerprint)
	n, err := c.readAt(begin, 0)
	if err != nil {
		return err
	}
	known, original := t.recognise(c, begin[:n], s, packed)
	if known != nil {
		t.adopt(known, s, packed)
		return nil
	}
	f := &file{id: newID(), path: s.path, node: s.node, size: s.size, last: -1, packed: packed, original: original, suspect: t.now(), confirmed: s.mtime}
	if n > 0 {
		f.head = head{int64(n), sha256.Sum256(begin[:n])}
	}
	if before != nil && before != original && !(before.found && before.path == s.path) {
		f.after = before
		if before.content != nil || before.readable {
			before.ended = false // there may be more since it was renamed
			t.enqueue(before)
		}
	}
	if first {
		f.original = nil
		if err := t.toEnd(f, c, s.size); err != nil {
			return err
		}
	}
	t.add(f)
	if err := t.register(f); err != nil {
		return err
	}
	t.sight(f, s)
	if !f.changed {
		// Its offset says where it is: it may have another name, and one that is
		// not included, before anything of it is stored.
		f.changed = true
		t.dirty = append(t.dirty, f)
	}
	return nil
}

// toEnd puts a file that is there at the very first start to its end.
func (t *task) toEnd(f *file, c content, size int64) error {
	if f.packed != plain {
		f.done, f.changed = true, true
		t.dirty = append(t.dirty, f)
		return nil
	}
	size -= size % int64(t.encoding.Unit())
	b := make([]byte, min(size, tailBytes))
	n, err := c.readAt(b, size-int64(len(b)))
	if err != nil || n < len(b) || size == 0 {
		return err
	}
	f.moveTo(size, b)
	// What is at the end may be half a line, whose rest is passed over.
	_, _, _, f.skip = t.cutter.Cut(b[max(0, len(b)-len(t.cutter.Delimiter)):], 0, true)
	t.dirty = append(t.dirty, f)
	return nil
}

// recognise finds the file that another one holds what was read of: one that
// has no place any more is the same; of one that has it is a copy.
func (t *task) recognise(c content, begin []byte, s sighting, packed compression) (same, original *file) {
	if t.byInode {
		return nil, nil
	}
	for _, f := range t.heads.find(begin) {
		// One that was lost before anything was read of it is nothing to go on with:
		// what it was may have been read since under another name.
		// And one that was deleted may be found compressed, while another file may
		// begin as it did.
		if f.original != nil || f.node == s.node || !f.found && f.pos == 0 || f.deleted && packed == plain || packed != plain && f.refused == (version{s.node, s.size, s.mtime}) {
			continue
		}
		// What a compressed file holds is compared when it has been read that far,
		// and a shorter one may be a copy that is being made.
		if packed == plain && s.size >= f.pos && !f.holds(c) {
			continue
		}
		switch {
		case !f.found && (packed == plain && s.size >= f.pos || packed != plain && f.content == nil):
			if same == nil || f.pos > same.pos {
				same = f
			}
		case original == nil:
			original = f
		}
	}
	if same != nil {
		return same, nil
	}
	return nil, original
}

// adopt gives a known file the place of one that holds the same.
func (t *task) adopt(f *file, s sighting, packed compression) {
	t.closeFile(f)
	f.packed, f.done = packed, f.done && packed != plain
	f.ended, f.deleted, f.searched = false, false, false
	t.place(f, s)
	if f.pos > 0 {
		f.changed = true
		t.dirty = append(t.dirty, f)
	}
	t.enqueue(f)
}

// measure sets the figures of what there is to read.
func (t *task) measure() {
	var behind int64
	for _, f := range t.files {
		if f.found && f.packed == plain && f.original == nil {
			behind += max(0, f.size-f.pos)
		}
	}
	t.count.watched.Set(int64(len(t.paths)))
	t.count.behind.Set(behind)
}
