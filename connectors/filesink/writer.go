package filesink

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/connectors/objectfile/format"
	"github.com/millrace/millrace/connectors/objectfile/rotation"
	"github.com/millrace/millrace/plugins/data"
	"github.com/millrace/millrace/plugins/sdk"
)

// writer is what one partition of the log has open.
//
//	committed          next
//	    | in the files  | to come
type writer struct {
	task      *task
	tp        sdk.TopicPartition
	state     *rotation.State
	committed int64   // everything before it is in complete files
	next      int64   // after the last record that was taken or passed over
	first     int64   // of the records taken since the last commit, -1 for none
	behind    bool    // records are read again, and first has not come yet
	limits    []int64 // where files of an earlier life end, that are written again
	base      int64   // first record that was taken since that was looked for, -1 for none
	bytes     int64
	since     time.Time // when first came
	stage     string    // directory of files in the making, "" while it cannot be made
	made      int       // files, in it
	open      map[string]*openFile
	order     []*openFile
}

// openFile is a file in the making, in the task's own directory.
type openFile struct {
	dir, temp string
	start     int64
	file      file
	out       *bufio.Writer
	content   format.Writer
}

// take writes a record, or reports it and passes on.
func (w *writer) take(r *data.Record) error {
	offset := r.OriginalOffset
	if w.behind && offset > w.first || offset < w.next {
		return nil // it comes again, after those before it or as one that was taken
	}
	if w.behind {
		w.behind, w.first = false, -1
	}
	if w.stage == "" {
		if err := w.claim(); err != nil {
			return w.fail(offset, err)
		}
	}
	if w.base < 0 {
		w.base = offset
	}
	// Files of an earlier life end here, and so must these, which take their
	// places.
	for len(w.limits) > 0 && offset >= w.limits[0] {
		if err := w.commitAt(w.limits[0]); err != nil {
			return err
		}
	}
	err := w.write(r)
	if format.IsData(err) {
		w.task.control.Report(r, err)
		err = nil
	}
	if err != nil {
		return w.fail(offset, err)
	}
	w.next = offset + 1
	return w.full()
}

// full ends the files when they hold enough.
func (w *writer) full() error {
	limit := len(w.limits) > 0 // an earlier life has decided
	if !limit && (w.state.Count() >= w.task.rotation.FlushSize || w.bytes >= w.task.settings.bytes) {
		return w.commit()
	}
	if limit && w.next >= w.limits[0] {
		return w.commitAt(w.limits[0])
	}
	return nil
}

func (w *writer) write(r *data.Record) error {
	place, err := w.task.places.Place(r, w.task.now())
	if err != nil {
		return &format.DataError{Err: fmt.Errorf("find the directory of the record: %w", err)}
	}
	dir := r.Topic + "/" + place.Directory
	if filepath.Clean(dir) != dir || !filepath.IsLocal(dir) { // as by .. in a field
		return &format.DataError{Err: fmt.Errorf("%.80q is no directory below %s", dir, w.task.root)}
	}
	in := rotation.Input{Directory: dir, Schema: r.Value.Schema}
	reason, err := w.state.Before(w.task.now(), in)
	if err != nil {
		return &format.DataError{Err: err}
	}
	if reason != rotation.None {
		if err := w.commit(); err != nil {
			return err
		}
	}
	f := w.open[dir]
	if f == nil {
		if f, err = w.openFile(dir, r); err != nil {
			return err
		}
	}
	if err := f.content.Prepare(r.Value); err != nil {
		return w.drop(f, err)
	}
	if err := f.content.Append(); err != nil {
		return err
	}
	if w.first < 0 {
		w.first, w.since = r.OriginalOffset, w.task.now()
	}
	w.bytes += int64(len(r.Value.Row))
	w.state.Wrote(in)
	w.task.records.Add(1)
	return nil
}

// drop forgets a file that the first record was refused by.
func (w *writer) drop(f *openFile, cause error) error {
	if _, written := w.state.Open(f.dir); written {
		return cause
	}
	delete(w.open, f.dir)
	w.order = slices.DeleteFunc(w.order, func(o *openFile) bool { return o == f })
	f.abort(w.task.fs)
	return cause
}

func (w *writer) name(start, next int64) string {
	return fmt.Sprintf("%s+%d+%010d+%010d%s", w.tp.Topic, w.tp.Partition, start, next, w.task.format.Extension())
}

func (w *writer) openFile(dir string, r *data.Record) (*openFile, error) {
	t := w.task
	f := &openFile{dir: dir, start: r.OriginalOffset}
	f.temp = filepath.Join(w.stage, fmt.Sprintf(".%d.tmp", w.made))
	w.made++
	var err error
	if f.file, err = t.fs.create(f.temp); err != nil {
		return nil, err
	}
	f.out = bufio.NewWriterSize(f.file, 64<<10)
	if err = t.fs.makeDir(filepath.Join(t.root, dir)); err == nil {
		f.content, err = t.format.Open(f.out, r.Value.Schema)
	}
	if err != nil {
		f.abort(t.fs)
		return nil, err
	}
	w.open[dir] = f
	w.order = append(w.order, f)
	return f, nil
}

func (f *openFile) abort(disk fileSystem) {
	_ = f.file.Close() // it goes
	_ = disk.remove(f.temp)
}

// commit ends the open files after the last record that was taken.
func (w *writer) commit() error { return w.commitAt(w.next) }

// commitAt ends the open files, each under a name with the offset of its first
// record and next, after the last of the rotation, and then removes files of the
// same end that an earlier life has left elsewhere.
func (w *writer) commitAt(next int64) error {
	kept := make(map[string]bool)
	for _, f := range w.order {
		name, err := w.finish(f, next)
		if err != nil {
			return w.fail(next-1, err)
		}
		kept[name] = true
	}
	if len(w.limits) > 0 && w.limits[0] <= next {
		if len(w.order) > 0 {
			if err := w.removeLeft(next, kept); err != nil {
				return w.fail(next-1, err)
			}
		}
		w.limits = slices.DeleteFunc(w.limits, func(l int64) bool { return l <= next })
	}
	if len(w.order) > 0 {
		w.task.control.RequestCommit()
	}
	w.task.files.Add(uint64(len(w.order)))
	w.committed, w.next, w.first, w.bytes = next, max(w.next, next), -1, 0
	w.order = nil
	clear(w.open)
	w.state.Rotated(w.task.now())
	return nil
}

// finish makes a file complete and visible: content, sync, rename, sync of the
// directory.
func (w *writer) finish(f *openFile, next int64) (string, error) {
	t := w.task
	path := filepath.Join(t.root, f.dir, w.name(f.start, next))
	if err := errors.Join(f.content.Close(), f.out.Flush()); err != nil {
		return "", err
	}
	if t.sync {
		if err := f.file.Sync(); err != nil {
			return "", err
		}
	}
	if err := f.file.Close(); err != nil {
		return "", err
	}
	if err := w.publish(f, path); err != nil {
		return "", err
	}
	if t.sync {
		return path, t.fs.syncDir(filepath.Dir(path))
	}
	return path, nil
}

// fail drops the open files after an error of the disk, which may be full for a
// while, and has everything since the last commit read again. What is complete
// of the rotation is written over then.
func (w *writer) fail(offset int64, err error) error {
	if e := (*sdk.Error)(nil); errors.As(err, &e) {
		return err // of a commit within
	}
	if w.evicted() {
		return sdk.Fatal(fmt.Errorf("write the files of %s-%d below %s: %w", w.tp.Topic, w.tp.Partition, w.task.root, errTakenOver))
	}
	w.task.failures.Add(1)
	if w.first < 0 {
		w.first = offset
	}
	first, from := w.first, w.committed
	if from < 0 {
		from = first // nothing came before
	}
	w.forget()
	if w.stage != "" { // files that are complete already must find their end again
		err = errors.Join(err, w.recover())
	}
	w.first, w.behind, w.next = first, true, w.committed
	w.task.control.Rewind(sdk.Offsets{w.tp: from})
	return sdk.Retry(fmt.Errorf("write the files of %s-%d below %s: %w: the records since offset %d are read again when the disk takes them", w.tp.Topic, w.tp.Partition, w.task.root, err, from), w.task.retry)
}

// forget drops the open files.
func (w *writer) forget() {
	for _, f := range w.order {
		f.abort(w.task.fs)
	}
	w.order, w.first, w.bytes = nil, -1, 0
	clear(w.open)
	w.state.Rotated(w.task.now())
}

// close drops the open files, and gives the partition up.
func (w *writer) close() {
	w.forget()
	w.leave()
}

// recover looks for complete files that an earlier life has left behind the
// offset to begin from: where they end, those to come will end as well.
func (w *writer) recover() error {
	w.limits, w.base = nil, -1
	return w.each(func(_ string, _, next int64) error {
		if next > w.committed && !slices.Contains(w.limits, next) {
			w.limits = append(w.limits, next)
			slices.Sort(w.limits)
		}
		return nil
	})
}

// removeLeft removes complete files that end at next and are none of those
// that were just written. One that begins before what was read again holds
// records that the log has no more.
func (w *writer) removeLeft(next int64, kept map[string]bool) error {
	return w.each(func(path string, start, end int64) error {
		if end == next && start >= w.base && !kept[path] {
			return w.takeAway(path)
		}
		return nil
	})
}

// each visits the complete files of the partition, with the offsets in their
// names.
func (w *writer) each(visit func(path string, start, next int64) error) error {
	prefix := fmt.Sprintf("%s+%d+", w.tp.Topic, w.tp.Partition)
	return w.task.fs.walk(w.task.root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil:
			return err
		case d.IsDir() && d.Name()[0] == '.' && path != w.task.root:
			return fs.SkipDir
		case d.IsDir():
			return nil
		}
		rest, ok := strings.CutPrefix(d.Name(), prefix)
		if !ok {
			return nil
		}
		begin, end, _ := strings.Cut(strings.TrimSuffix(rest, w.task.format.Extension()), "+")
		start, err1 := strconv.ParseInt(begin, 10, 64)
		next, err2 := strconv.ParseInt(end, 10, 64)
		if err1 != nil || err2 != nil {
			return nil // not one of ours
		}
		return visit(path, start, next)
	})
}
