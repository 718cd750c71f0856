package spooldir

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/millrace/millrace/plugins/data"
	"github.com/millrace/millrace/plugins/sdk"
)

// batchBytes ends a batch. It is small enough for the batch to cross the
// plugin boundary in one piece, so that its one position covers it.
const batchBytes = 160 << 10

// task reads one file after the other. Polling owns all of it but what is
// under the lock.
type task struct {
	sdk.UnimplementedTask
	settings
	log                 *slog.Logger
	offsets             sdk.OffsetReader
	now                 func() time.Time
	records, files, bad *sdk.Counter

	resume             map[string]sdk.Offset // of files that the disk failed to read
	open               *source               // the file that is being read, nil for none
	arena              []byte
	text, number, when *data.RowWriter

	mu     sync.Mutex // guards below
	ended  map[string]ending
	gone   []string            // names of files that were moved, whose offsets are to be removed
	passed map[string]identity // files that stay where they are, and were read
}

var _ sdk.Committer = (*task)(nil)

// ending is a file whose last position was handed over: it is moved when that
// is stored.
type ending struct {
	path   string
	failed bool
	stored bool
}

// identity tells a file from another of the same name.
type identity struct {
	size, modified int64
	head           string
}

// identityBytes is how much of a file's beginning is in its identity.
const identityBytes = 1024

// source is a file that is being read.
type source struct {
	reader   reader
	file     *os.File
	name     string // in offsets
	path     string
	identity identity
	count    int64 // records handed over
	keys     *keyMaker
	headers  []data.Header
	size     int // of headers
	field    *fieldTime
}

// PollBatch hands over the next records, and waits for files.
func (t *task) PollBatch(ctx context.Context, b *data.Batch) error {
	t.arena = t.arena[:0]
	for {
		if err := t.tidy(b); err != nil || len(b.Positions) > 0 {
			return err
		}
		if t.open == nil {
			found, err := t.next(ctx, b)
			switch {
			case err != nil:
				return err
			case len(b.Positions) > 0:
				return nil
			case !found:
				if err := wait(ctx, t.wait); err != nil {
					return err
				}
				continue
			case t.open == nil: // it was done with before
				continue
			}
		}
		if err := t.read(b); err != nil || len(b.Records)+len(b.Positions) > 0 {
			return err
		}
	}
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

// read hands over records of the open file.
func (t *task) read(b *data.Batch) error {
	s := t.open
	from := len(b.Records)
	for size := 0; size < batchBytes && len(b.Records)-from < t.batch; {
		d, err := s.reader.next()
		if errors.Is(err, io.EOF) {
			return t.end(b, nil)
		}
		if err != nil {
			return t.end(b, err)
		}
		n, err := t.emit(b, d)
		if err != nil {
			return t.end(b, err)
		}
		size += n
	}
	return t.position(b, s.name, s.offset())
}

// emit appends a record and returns about how large it is.
func (t *task) emit(b *data.Batch, d data.Datum) (int, error) {
	s := t.open
	start := len(t.arena)
	t.arena = append(t.arena, d.Row...)
	d.Row = t.arena[start:len(t.arena):len(t.arena)]
	r := data.Record{Topic: t.topic, Partition: data.NoPartition, Position: data.NoPosition, Value: d, Timestamp: t.now().UnixMilli()}
	if t.timestamp == "FILE_TIME" {
		r.Timestamp = s.identity.modified
	}
	var err error
	if s.field != nil {
		if r.Timestamp, err = s.field.of(d); err != nil {
			return 0, &fileError{err}
		}
	}
	if s.keys != nil {
		if t.arena, r.Key, err = s.keys.key(t.arena, d); err != nil {
			return 0, &fileError{err}
		}
	}
	start = len(t.arena)
	t.number.Reset(t.arena)
	t.number.Int64(s.count)
	t.arena, _, _ = t.number.Finish() // one number in a number schema cannot fail
	offset := data.Datum{Schema: data.Int64Schema, State: data.Present, Row: t.arena[start:len(t.arena):len(t.arena)]}
	r.Headers = append(s.headers[:len(s.headers):len(s.headers)], data.Header{Name: "file.offset", Value: offset})
	b.Records = append(b.Records, r)
	s.count++
	t.records.Add(1)
	return len(d.Row) + len(r.Key.Row) + s.size + 48, nil
}

// offset is where the task stands in a file.
func (s *source) offset() sdk.Offset {
	return sdk.Offset{"offset": s.count, "size": s.identity.size, "modified": s.identity.modified, "head": s.identity.head}
}

// position gives the last record of a batch an offset, or the batch as a whole
// if it has none.
func (t *task) position(b *data.Batch, name string, o sdk.Offset) error {
	p := data.Position{}
	var err error
	if p.Partition, err = sdk.EncodeMap(map[string]any{"fileName": name}); err != nil {
		return err
	}
	if o != nil {
		if p.Offset, err = sdk.EncodeMap(o); err != nil {
			return err
		}
	}
	b.Positions = append(b.Positions, p)
	if n := len(b.Records); n > 0 && o != nil {
		b.Records[n-1].Position = int32(len(b.Positions) - 1)
	}
	return nil
}

// end closes the open file after its last record or what broke it, and says in
// its offset that it is done with.
func (t *task) end(b *data.Batch, cause error) error {
	s := t.open
	if cause == nil {
		cause = s.unchanged()
	}
	e := (*fileError)(nil)
	switch {
	case cause == nil:
		t.files.Add(1)
		t.log.Info("file was read", "path", s.path, "records", s.count)
	case !errors.As(cause, &e):
		// The disk may answer another time: the file is read again from where
		// it was left, which is further than what is stored.
		again := s.offset()
		again["offset"] = s.count - int64(len(b.Records))
		t.resume[s.name] = again
		t.close()
		clear(b.Records)
		b.Records = b.Records[:0]
		return sdk.Retry(fmt.Errorf("read %s: %w", s.path, cause), 0)
	case t.halt:
		t.close()
		return sdk.Fatal(fmt.Errorf("%s, after %d records: %w: repair or remove the file, or set halt.on.error=false", s.path, s.count, cause))
	default:
		t.bad.Add(1)
		t.log.Warn("file cannot be read and is put aside", "path", s.path, "records", s.count, "err", cause)
	}
	o := s.offset()
	o["done"] = true
	if cause != nil {
		o["failed"] = true
	}
	t.mu.Lock()
	t.ended[s.name] = ending{path: s.path, failed: cause != nil}
	t.passed[s.name] = s.identity
	t.mu.Unlock()
	t.close()
	return t.position(b, s.name, o)
}

// unchanged reports a file that was written to while it was read.
func (s *source) unchanged() error {
	fi, err := s.file.Stat()
	if err != nil {
		return err
	}
	if fi.Size() != s.identity.size {
		return badFile("it was written to while it was read: put files into the directory by renaming them, or set file.minimum.age.ms")
	}
	return nil
}

func (t *task) close() {
	if t.open == nil {
		return
	}
	if p, ok := t.open.reader.(parquetReader); ok {
		_ = p.file.Close() // nothing was written
	}
	_ = t.open.file.Close() // nothing was written
	t.open = nil
}

// Committed implements sdk.Committer: files whose end is stored are moved.
func (t *task) Committed(_ context.Context, positions []sdk.Position) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, p := range positions {
		name, _ := p.Partition["fileName"].(string)
		if e, ok := t.ended[name]; ok && p.Offset.Bool("done") {
			e.stored = true
			t.ended[name] = e
			t.finish(name, e)
		}
	}
	return nil
}

// tidy moves what could not be moved before, and has the offsets of files that
// are gone removed.
func (t *task) tidy(b *data.Batch) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	for name, e := range t.ended {
		if e.stored {
			t.finish(name, e)
		}
	}
	for _, name := range t.gone {
		if err := t.position(b, name, nil); err != nil {
			return err
		}
	}
	t.gone = t.gone[:0]
	return nil
}

// finish moves or removes a file, or leaves it. The caller has the lock.
func (t *task) finish(name string, e ending) {
	to := ""
	switch {
	case e.failed:
		to = t.target(t.failed, name, e.path, false)
	case t.cleanup == "MOVE":
		to = t.target(t.finished, name, e.path, false)
	case t.cleanup == "MOVEBYDATE":
		to = t.target(t.finished, name, e.path, true)
	case t.cleanup == "NONE":
		delete(t.ended, name)
		return
	}
	err := remove(e.path, to)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.log.Warn("file that was read cannot be moved, trying again", "path", e.path, "to", to, "err", err)
		return
	}
	delete(t.ended, name)
	delete(t.passed, name)
	t.gone = append(t.gone, name)
}

// target is where a file is moved to.
func (t *task) target(dir, name, path string, byDate bool) string {
	if byDate {
		if fi, err := os.Stat(path); err == nil {
			dir = filepath.Join(dir, fi.ModTime().UTC().Format("2006-01-02"))
		}
	}
	if t.relative {
		return filepath.Join(dir, name)
	}
	return filepath.Join(dir, filepath.Base(path))
}

// remove moves a file, also to another disk, or deletes it where there is no
// target. A file that is there under the name is kept: the moved one gets a
// number.
func remove(path, to string) error {
	if to == "" {
		return os.Remove(path)
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	for n := 1; ; n++ {
		if _, err := os.Lstat(to); errors.Is(err, os.ErrNotExist) {
			break
		} else if err != nil {
			return err
		}
		ext := filepath.Ext(to)
		to = fmt.Sprintf("%s.%d%s", strings.TrimSuffix(to, ext), n, ext)
	}
	err := os.Rename(path, to)
	if !isCrossDevice(err) {
		return err
	}
	if err := copyFile(path, to); err != nil {
		return err
	}
	return os.Remove(path)
}

// Close closes the file that is being read. What was not stored is read again.
func (t *task) Close() error {
	t.close()
	return nil
}

// identify tells which file an open one is.
func identify(f *os.File, fi os.FileInfo) (identity, error) {
	b := make([]byte, identityBytes)
	n, err := f.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return identity{}, err
	}
	sum := sha256.Sum256(bytes.Clone(b[:n]))
	return identity{size: fi.Size(), modified: fi.ModTime().UnixMilli(), head: hex.EncodeToString(sum[:16])}, nil
}
