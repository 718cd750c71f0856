package logtail

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/fsnotify/fsnotify"
	"github.com/millrace/millrace/plugins/data"
	"github.com/millrace/millrace/plugins/sdk"
)

// batchBytes ends a batch. It is small enough for the batch to cross the
// plugin boundary in one piece, so that its positions cover all of it.
const batchBytes = 128 << 10

// task follows the files of one configuration. Polling owns all of it.
type task struct {
	sdk.UnimplementedTask
	log              *slog.Logger
	topic, keyMode   string
	host             string
	include, exclude []glob
	every            time.Duration
	maxRead, maxOpen int
	rotateWait       time.Duration
	forgetAfter      time.Duration
	fingerprint      int
	byInode          bool
	lines            lineRules
	group            *groupRules

	files   []*file // in the order they were found
	turn    int     // whose turn it is
	open    int
	atEnd   bool // files of the first scan are read from their end
	indexed bool
	reindex bool
	scanned time.Time
	watcher *fsnotify.Watcher
	watched map[string]bool
	failed  map[string]bool // paths that could not be read, and were logged

	batch              *data.Batch
	arena              []byte
	headers            []data.Header
	textRow, numberRow *data.RowWriter
	gone               []*file // whose offsets are to be removed
}

func (t *task) indexPartition() map[string]any {
	return map[string]any{"host": t.host, "index": true}
}

// load reads the offsets of the files of this host.
func (t *task) load(ctx context.Context, offsets sdk.OffsetReader) error {
	t.failed = make(map[string]bool)
	t.textRow, t.numberRow = data.NewRowWriter(data.StringSchema), data.NewRowWriter(data.Int64Schema)
	index, err := offsets.Offset(ctx, t.indexPartition())
	if err != nil || index == nil {
		return err
	}
	t.indexed = true
	var partitions []map[string]any
	var ids []string
	for id := range strings.SplitSeq(index.String("files"), ",") {
		if id != "" {
			ids, partitions = append(ids, id), append(partitions, t.partitionOf(id))
		}
	}
	stored, err := offsets.Offsets(ctx, partitions)
	if err != nil {
		return fmt.Errorf("read stored offsets: %w", err)
	}
	for i, o := range stored {
		if o == nil {
			continue
		}
		f := &file{id: ids[i], lost: time.Now(), ended: true, last: -1}
		if err := f.restore(o); err != nil {
			return sdk.Fatal(err)
		}
		if f.partition, err = sdk.EncodeMap(t.partitionOf(f.id)); err != nil {
			return err
		}
		t.files = append(t.files, f)
	}
	return nil
}

// watch has the kernel wake the task early. Polling finds everything without
// it, only later.
func (t *task) watch() {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		t.log.Warn("changes of files are polled for", "err", err)
		return
	}
	t.watcher, t.watched = w, make(map[string]bool)
}

// PollBatch appends the next lines, and waits for some.
func (t *task) PollBatch(ctx context.Context, b *data.Batch) error {
	t.batch, t.arena, t.headers = b, t.arena[:0], t.headers[:0]
	for {
		if time.Since(t.scanned) >= t.every {
			if err := t.scan(); err != nil {
				return sdk.Retry(fmt.Errorf("look for files: %w", err), 0)
			}
		}
		t.readAll()
		if err := t.positions(); err != nil {
			return err
		}
		if len(b.Records)+len(b.Positions) > 0 {
			return nil
		}
		if err := t.wait(ctx); err != nil {
			return err
		}
	}
}

func (t *task) wait(ctx context.Context) error {
	timer := time.NewTimer(min(idlePoll, t.every))
	defer timer.Stop()
	var events <-chan fsnotify.Event
	var errs <-chan error
	if t.watcher != nil {
		events, errs = t.watcher.Events, t.watcher.Errors
	}
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
	case e := <-events:
		if e.Has(fsnotify.Create) || e.Has(fsnotify.Rename) {
			t.scanned = time.Time{}
		}
	case err := <-errs: // as a queue that ran over: polling finds what was missed
		t.log.Debug("file watcher", "err", err)
	}
	return nil
}

// readAll gives every file a turn, beginning after the one that was last.
func (t *task) readAll() {
	for range len(t.files) {
		if len(t.arena) >= batchBytes {
			return
		}
		t.turn = (t.turn + 1) % len(t.files)
		f := t.files[t.turn]
		if f.after != nil && !f.after.ended || !f.suspect.IsZero() {
			continue
		}
		f.after = nil
		if err := t.read(f); err != nil {
			t.fail(f.path, err)
			f.ended = true // the files behind it need not wait
		}
	}
}

// fail logs what is wrong with one file, once; the others go on.
func (t *task) fail(path string, err error) {
	if !t.failed[path] {
		t.failed[path] = true
		t.log.Warn("file cannot be read, trying again", "path", path, "err", err)
	}
}

// read reads on in one file and hands over its lines.
func (t *task) read(f *file) error {
	if f.handle == nil {
		if !f.readable || f.seen <= f.pos && f.ended || !t.room() {
			return nil
		}
		if err := t.openFile(f); err != nil {
			return err
		}
	}
	f.ended = false
	for budget := t.maxRead; budget > 0 && len(t.arena) < batchBytes; {
		if t.takeLines(f) {
			continue
		}
		n, err := f.fill(min(budget, 64<<10))
		if err != nil {
			return err
		}
		if budget -= n; n == 0 {
			f.ended = true
			t.flushGroup(f, false)
			break
		}
		if err := f.extendHead(int64(t.fingerprint), f.pos+int64(len(f.rest()))); err != nil {
			return err
		}
	}
	return nil
}

// rest is what was read and not handed over.
func (f *file) rest() []byte { return f.buf[f.off:] }

// fill reads up to n more bytes, 0 at the end of the file.
func (f *file) fill(n int) (int, error) {
	f.buf = append(f.buf[:0], f.rest()...)
	f.off = 0
	have := len(f.buf)
	f.buf = slices.Grow(f.buf, n)
	got, err := f.handle.ReadAt(f.buf[have:have+n], f.pos+int64(have))
	f.buf = f.buf[:have+got]
	if got == 0 && err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	return got, nil
}

// takeLines hands over complete lines and reports whether it stopped because
// the batch is full.
func (t *task) takeLines(f *file) (full bool) {
	for len(t.arena) < batchBytes {
		line, size, ok, skip := t.lines.cut(f.rest()[f.grouped:], f.skip)
		if size == 0 {
			return false
		}
		switch {
		case ok && t.group != nil && !skip && !f.skip:
			t.collect(f, line, size)
			continue
		case t.group != nil:
			t.flushGroup(f, true)
		}
		if ok {
			t.emit(f, line, f.pos)
		}
		f.skip = skip
		f.advance(size)
	}
	return true
}

// advance moves the position over bytes of the buffer.
func (f *file) advance(n int) {
	f.pos += int64(n)
	f.off += n
	f.changed = true
}

// collect adds a line to the file's group, after handing over the group that
// it does not belong to.
func (t *task) collect(f *file, line []byte, size int) {
	g := &f.group
	if g.lines > 0 {
		joins, last := t.group.takes(g, line)
		if joins && len(g.text)+len(line) < t.lines.max && g.lines < t.group.maxLines {
			g.text = append(append(g.text, '\n'), line...)
			g.lines++
			g.since = time.Now()
			if f.grouped += size; last {
				t.flushGroup(f, true)
			}
			return
		}
		t.flushGroup(f, true)
	}
	if !t.group.start.Match(line) {
		t.emit(f, line, f.pos)
		f.advance(size)
		return
	}
	g.text = append(g.text[:0], line...)
	g.lines, g.begin, g.since = 1, f.pos, time.Now()
	f.grouped += size
}

// flushGroup hands the group over, when it must or has waited long enough.
func (t *task) flushGroup(f *file, must bool) {
	if f.group.lines == 0 || !must && time.Since(f.group.since) < t.group.timeout {
		return
	}
	t.emit(f, f.group.text, f.group.begin)
	f.group.lines = 0
	n := f.grouped
	f.grouped = 0
	f.advance(n)
}

// emit appends a record.
func (t *task) emit(f *file, line []byte, at int64) {
	r := data.Record{
		Topic: t.topicOf(f.path), Partition: data.NoPartition, Timestamp: time.Now().UnixMilli(), Position: data.NoPosition,
	}
	if !utf8.Valid(line) {
		line = bytes.ToValidUTF8(line, []byte("\uFFFD"))
	}
	start := len(t.arena)
	t.textRow.Reset(t.arena)
	t.textRow.TextBytes(line)
	t.arena, _, _ = t.textRow.Finish() // one text in a text schema cannot fail
	r.Value = data.Datum{Schema: data.StringSchema, State: data.Present, Row: t.arena[start:len(t.arena):len(t.arena)]}
	first := len(t.headers)
	t.headers = append(t.headers,
		data.Header{Name: "file.path", Value: t.text(f.path)}, data.Header{Name: "file.name", Value: t.text(filepath.Base(f.path))},
		data.Header{Name: "file.offset", Value: t.number(at)}, data.Header{Name: "host", Value: t.text(t.host)})
	r.Headers = t.headers[first:len(t.headers):len(t.headers)]
	switch t.keyMode {
	case "file.path":
		r.Key = r.Headers[0].Value
	case "host":
		r.Key = r.Headers[3].Value
	}
	f.last = len(t.batch.Records)
	t.batch.Records = append(t.batch.Records, r)
}

func (t *task) text(s string) data.Datum {
	start := len(t.arena)
	t.textRow.Reset(t.arena)
	t.textRow.Text(s)
	t.arena, _, _ = t.textRow.Finish() // one text in a text schema cannot fail
	return data.Datum{Schema: data.StringSchema, State: data.Present, Row: t.arena[start:len(t.arena):len(t.arena)]}
}

func (t *task) number(n int64) data.Datum {
	start := len(t.arena)
	t.numberRow.Reset(t.arena)
	t.numberRow.Int64(n)
	t.arena, _, _ = t.numberRow.Finish() // one number in a number schema cannot fail
	return data.Datum{Schema: data.Int64Schema, State: data.Present, Row: t.arena[start:len(t.arena):len(t.arena)]}
}

func (t *task) topicOf(path string) string {
	if !strings.Contains(t.topic, "${") {
		return t.topic
	}
	name := strings.NewReplacer("${file.name}", filepath.Base(path), "${dir}", filepath.Base(filepath.Dir(path))).Replace(t.topic)
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '_' || r == '-' {
			return r
		}
		return '_'
	}, name)
}

// positions gives the batch the offsets of the files it has lines of, each with
// the last of its lines. The list of files goes with the first record: what is
// not in it cannot be found again.
func (t *task) positions() error {
	for _, f := range t.files {
		if f.changed && f.partition == nil {
			var err error
			if f.partition, err = sdk.EncodeMap(t.partitionOf(f.id)); err != nil {
				return err
			}
			t.reindex = true
		}
	}
	if t.reindex {
		p, err := sdk.EncodeMap(t.indexPartition())
		if err != nil {
			return err
		}
		if err := t.position(p, t.indexOffset(), 0); err != nil {
			return err
		}
		t.reindex, t.indexed = false, true
	}
	for _, f := range t.files {
		if !f.changed {
			continue
		}
		if err := t.position(f.partition, f.position(), f.last); err != nil {
			return err
		}
		f.changed, f.last = false, -1
	}
	for _, f := range t.gone {
		if err := t.position(f.partition, nil, -1); err != nil {
			return err
		}
	}
	t.gone = t.gone[:0]
	return nil
}

// position adds an offset to the batch: with a record, or after all of them if
// there is none for it or it has another offset already.
func (t *task) position(partition []byte, o sdk.Offset, record int) error {
	p := data.Position{Partition: partition}
	if o != nil {
		var err error
		if p.Offset, err = sdk.EncodeMap(o); err != nil {
			return err
		}
	}
	t.batch.Positions = append(t.batch.Positions, p)
	if record >= 0 && record < len(t.batch.Records) && t.batch.Records[record].Position == data.NoPosition {
		t.batch.Records[record].Position = int32(len(t.batch.Positions) - 1)
	}
	return nil
}

// room makes sure that one more file may be opened.
func (t *task) room() bool {
	if t.open < t.maxOpen {
		return true
	}
	for _, f := range t.files {
		if f.handle != nil && f.ended && f.found && f.group.lines == 0 { // it can be opened again
			t.closeFile(f)
			return true
		}
	}
	return false
}

func (t *task) openFile(f *file) error {
	h, err := os.Open(f.path)
	if err != nil {
		return err
	}
	fi, err := h.Stat()
	if err == nil && inodeOf(fi) != f.node {
		err = fmt.Errorf("%s was replaced just now", f.path)
		t.scanned = time.Time{}
	}
	if err != nil {
		_ = h.Close() // nothing was written
		return err
	}
	f.handle = h
	t.open++
	delete(t.failed, f.path)
	return nil
}

func (t *task) closeFile(f *file) {
	if f.handle == nil {
		return
	}
	_ = f.handle.Close() // nothing was written
	f.handle, f.buf, f.off, f.grouped, f.group.lines = nil, nil, 0, 0, 0
	t.open--
}

// Close closes all files.
func (t *task) Close() error {
	for _, f := range t.files {
		t.closeFile(f)
	}
	if t.watcher != nil {
		return t.watcher.Close()
	}
	return nil
}
