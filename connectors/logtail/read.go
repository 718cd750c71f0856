package logtail

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/millrace/millrace/connectors/logtail/line"
	"github.com/millrace/millrace/plugins/sdk"
)

// window is the part of a file that was read last. All files share one, so that
// memory does not grow with their number; what is left of it at the end of a
// turn is read again at the next.
type window struct {
	file  *file
	start int64
	data  []byte
}

// readStep is how much is read at once at least.
const readStep = 64 << 10

// turn reads on in one file and hands over its records. more says that it is
// not at its end.
func (t *task) turn(f *file) (more bool, err error) {
	now := t.now()
	t.stamp = now.UnixMilli()
	if now.Before(f.retry) {
		return false, nil
	}
	if ok, err := t.open(f); !ok || err != nil {
		return false, err
	}
	f.ended = false
	for budget := t.maxRead; budget > 0 && f.original == nil; {
		used, enough := t.take(f)
		budget -= used
		if enough {
			return t.fatal == nil, nil
		}
		n, err := t.fill(f, budget)
		switch {
		case errors.Is(err, errSeeking):
			return true, nil
		case errors.Is(err, errUnfinished):
			f.ended, f.retry = true, now.Add(firstRetry)
			t.closeFile(f)
			return false, nil
		}
		if err != nil || f.content == nil {
			return false, err
		}
		if n == 0 {
			f.ended = true
			t.atEndOf(f)
			return false, nil
		}
		f.read, f.partial, f.failures = t.now(), time.Time{}, 0
		t.count.bytes.Add(uint64(n))
	}
	return true, nil
}

// rest is what of the window lies behind the position of a file and its
// unfinished group.
func (t *task) rest(f *file) []byte {
	if t.window.file != f {
		return nil
	}
	return t.window.data[min(int64(len(t.window.data)), f.pos+int64(f.group.Size)-t.window.start):]
}

// fill reads what follows the window, or begins it anew at the position of the
// file. It returns how many bytes are new, 0 at the end of the file.
func (t *task) fill(f *file, budget int) (int, error) {
	w, from := &t.window, f.pos-int64(f.tailSize)
	kept := 0
	if w.file == f && from >= w.start && from <= w.start+int64(len(w.data)) {
		w.data = append(w.data[:0], w.data[from-w.start:]...)
		kept = len(w.data)
	} else {
		w.data = w.data[:0]
	}
	w.file, w.start = f, from
	want := max(kept, f.tailSize+f.group.Size+f.scanned) + max(readStep, min(budget, t.maxRead))
	w.data = slices.Grow(w.data, want-len(w.data))[:want]
	n, err := f.content.readAt(w.data, from)
	w.data = w.data[:n]
	if err != nil {
		w.file = nil
		return 0, err
	}
	if n < f.tailSize || !f.sameTail(w.data[:f.tailSize]) || f.pos == 0 && !f.begins(w.data) {
		t.rewritten(f, n < f.tailSize)
		return 0, nil
	}
	f.confirmed = max(f.confirmed, f.mtime)
	if f.head.size == 0 && n > 0 && t.becameCopy(f, w.data) {
		return 0, nil
	}
	if f.head.size < int64(t.fingerprint) && from == 0 {
		t.extendHead(f, w.data[:min(n, t.fingerprint)])
	} else if f.head.size < int64(t.fingerprint) {
		if err := t.readHead(f); err != nil {
			return 0, err
		}
	}
	if f.pos == 0 {
		t.mark(f)
	}
	if f.scanned > len(t.rest(f)) { // shorter than it was, behind the position
		f.scanned = 0
	}
	return max(0, len(t.rest(f))-f.scanned), nil
}

// becameCopy looks whether a file that was empty when it was met is a copy of
// another: it may have been seen while the copy was being made. Nothing is read
// of it then until that is settled.
func (t *task) becameCopy(f *file, begin []byte) bool {
	s := sighting{path: f.path, node: f.node, size: f.size}
	if fi, err := f.content.stat(); err == nil {
		s.size = fi.Size()
	}
	known, original := t.recognise(f.content, begin[:min(len(begin), t.fingerprint)], s, f.packed)
	if known == nil {
		known = original
	}
	if known == nil {
		return false
	}
	t.extendHead(f, begin[:min(len(begin), t.fingerprint)])
	t.closeFile(f)
	f.original, f.suspect, f.ended, t.wanted = known, t.now(), true, true
	return true
}

// mark passes over what says how a file is encoded.
func (t *task) mark(f *file) {
	enc, n := t.encoding.ForFile(t.window.data)
	t.setEncoding(f, enc)
	if n > 0 {
		f.moveTo(int64(n), t.window.data[:n])
	}
}

// readHead reads the beginning of a file anew.
func (t *task) readHead(f *file) error {
	if f.packed != plain {
		return nil // known from the start: it does not grow
	}
	b := make([]byte, t.fingerprint)
	n, err := f.content.readAt(b, 0)
	if err != nil {
		return err
	}
	t.extendHead(f, b[:n])
	return nil
}

// take hands over the records of the window. used is how far the position
// moved; enough says that the batch is full.
func (t *task) take(f *file) (used int, enough bool) {
	from := f.pos
	at := f.pos // after what is handed over
	for !t.full() {
		b := t.rest(f)
		if len(b) <= f.scanned {
			break
		}
		text, size, kind, skip := f.cutter.Cut(b, f.scanned, f.skip)
		if f.scanned = 0; kind == line.None {
			f.scanned = len(b)
			break
		}
		if kind == line.TooLong {
			t.fatal = sdk.Fatal(fmt.Errorf("%s has a line of more than %d bytes at %d: raise max.line.bytes, or set long.line to truncate, skip or split",
				f.path, f.cutter.Max, f.pos+int64(f.group.Size)))
			break
		}
		if t.grouping != nil && kind == line.Whole && !f.skip {
			t.collect(f, text, size)
		} else {
			t.endGroup(f)
			t.single(f, text, size, kind)
			f.skip = skip
		}
		at = f.pos
	}
	if at != from {
		f.moveTo(at, t.window.data[:at-t.window.start])
	}
	return int(at - from), t.full() || t.fatal != nil
}

// single hands over a line that is in no group, or passes over it.
func (t *task) single(f *file, text []byte, size int, kind line.Kind) {
	switch kind {
	case line.Whole, line.Piece:
		t.emit(f, text, f.pos)
	case line.Truncated:
		t.count.truncated.Add(1)
		t.emit(f, text, f.pos)
	case line.Dropped:
		t.count.dropped.Add(1)
		t.count.oversized.Add(uint64(size))
	case line.Passed:
		t.count.oversized.Add(uint64(size))
	}
	f.pos += int64(size)
}

// collect adds a line to the file's group, or hands over the group that it does
// not belong to. The text of a group stays in the file until it is whole.
func (t *task) collect(f *file, text []byte, size int) {
	g := &f.group
	plainText, _ := f.decoder.Decode(text)
	verdict := t.grouping.Next(g, t.trimmed(plainText))
	if (verdict == line.Joins || verdict == line.Finishes) && g.Size+size > t.cutter.Max {
		verdict = line.Begins
	}
	switch verdict {
	case line.Joins, line.Finishes:
		g.Lines++
		g.Size += size
		g.Since = t.now()
		if verdict == line.Finishes {
			t.endGroup(f)
		}
	case line.Begins:
		t.endGroup(f)
		g.Lines, g.Size, g.Since = 1, size, t.now()
	default:
		t.endGroup(f)
		t.emit(f, text, f.pos)
		f.pos += int64(size)
	}
}

// endGroup hands over the group. The window holds it: what is read begins at
// the position.
func (t *task) endGroup(f *file) {
	if f.group.Lines == 0 {
		return
	}
	at := f.pos - t.window.start
	text := bytes.TrimSuffix(t.window.data[at:at+int64(f.group.Size)], f.cutter.Delimiter)
	t.emit(f, text, f.pos)
	f.pos += int64(f.group.Size)
	f.group.Lines, f.group.Size = 0, 0
}

// atEndOf looks after what is left at the end of a file: a group or a line that
// has waited long enough, and the last line of a file that will not grow.
func (t *task) atEndOf(f *file) {
	now, final := t.now(), f.final || f.content.complete()
	from := f.pos
	if f.group.Lines > 0 && (final || now.Sub(f.group.Since) >= t.grouping.Timeout) {
		t.endGroup(f)
	}
	left := t.rest(f)
	switch {
	case len(left) == 0 || f.skip:
		f.partial = time.Time{}
	case f.partial.IsZero():
		f.partial = now
	}
	waited := t.flushPartial >= 0 && !f.partial.IsZero() && now.Sub(f.partial) >= t.flushPartial
	if len(left) > 0 && f.group.Lines == 0 && !f.skip && (final || waited) {
		t.emit(f, left, f.pos)
		f.pos += int64(len(left))
		f.scanned, f.partial = 0, time.Time{}
	}
	if f.pos != from {
		f.moveTo(f.pos, t.window.data[:f.pos-t.window.start])
	}
	if final {
		if f.packed != plain {
			f.done, f.changed = true, true
		}
		t.closeFile(f)
	}
}

// open opens a file unless it is, or reports that it cannot be read just now.
func (t *task) open(f *file) (bool, error) {
	if f.content != nil {
		return true, nil
	}
	if !f.readable || f.done {
		f.ended = true // nobody need wait for it
		return false, nil
	}
	if !t.room(f) {
		return false, nil
	}
	h, fi, err := openPath(f.path)
	moved := errors.Is(err, fs.ErrNotExist)
	if err != nil && !moved {
		return false, err
	}
	if moved || inodeOf(fi) != f.node {
		if !moved {
			_ = h.Close() // nothing was written
		}
		// It was renamed or replaced just now: a scan finds out.
		t.wanted, f.ended = true, true
		return false, nil
	}
	if t.sniff(h) != f.packed {
		_ = h.Close() // nothing was written
		t.rewritten(f, false)
		return false, nil
	}
	f.content = newContent(h, f.packed)
	t.opened = append(t.opened, f)
	if f.packed != plain {
		t.packed = f
	}
	delete(t.failed, f.path)
	return true, t.encodingOf(f)
}

// sniff says how an open file is compressed, if it is to be read uncompressed.
func (t *task) sniff(h *os.File) compression {
	var magic [4]byte
	n, _ := h.ReadAt(magic[:], 0) // a short file has less
	if packed := sniff(magic[:n]); t.decompress[packed] {
		return packed
	}
	return plain
}

// encodingOf finds a file's encoding again, where its beginning tells it.
func (t *task) encodingOf(f *file) error {
	if f.decoder != nil || f.pos == 0 {
		return nil
	}
	var b [line.MarkSize]byte
	n, err := f.content.readAt(b[:], 0)
	if err == nil {
		enc, _ := t.encoding.ForFile(b[:n])
		t.setEncoding(f, enc)
	}
	return err
}

// setEncoding sets how a file's text is written, and so what ends its lines.
func (t *task) setEncoding(f *file, enc line.Encoding) {
	f.decoder, f.cutter = enc.NewDecoder(), &t.cutter
	if enc.Name() == t.encoding.Name() {
		return
	}
	// It differs in the order of bytes alone, and so has what ends lines.
	if delimiter, err := enc.Encode(t.delimiter); err == nil {
		c := t.cutter
		c.Delimiter, f.cutter = delimiter, &c
	}
}

// room makes sure that one more file may be opened. One compressed file is read
// at a time, since a decoder takes much memory.
func (t *task) room(f *file) bool {
	if f.packed != plain && t.packed != nil {
		if !t.packed.ended {
			return false
		}
		t.closeFile(t.packed)
	}
	if len(t.opened) < t.maxOpen {
		return true
	}
	// One that is there can be opened again, best one that has nothing to read.
	i := slices.IndexFunc(t.opened, func(f *file) bool { return f.ended && f.found && f.group.Lines == 0 })
	if i < 0 {
		i = slices.IndexFunc(t.opened, func(f *file) bool { return f.found && f.packed == plain })
	}
	if i < 0 {
		return false
	}
	t.closeFile(t.opened[i])
	return true
}

func (t *task) closeFile(f *file) {
	if f.content == nil {
		return
	}
	f.content.close()
	f.content, f.scanned, f.group = nil, 0, line.Group{}
	if t.window.file == f {
		t.window.file = nil
	}
	if t.packed == f {
		t.packed = nil
		for _, next := range t.files {
			if next.packed != plain && !next.done && next.found && next != f {
				t.enqueue(next)
			}
		}
	}
	if i := slices.Index(t.opened, f); i >= 0 {
		t.opened = slices.Delete(t.opened, i, i+1)
	}
}
