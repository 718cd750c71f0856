package spooldir

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/millrace/millrace/plugins/data"
	"github.com/millrace/millrace/plugins/sdk"
)

// candidate is a file that may be read.
type candidate struct {
	path, name string
	info       fs.FileInfo
}

// next opens the next file. found says that there was one to look at; the batch
// has a position if that was done with before.
func (t *task) next(ctx context.Context, b *data.Batch) (found bool, err error) {
	list, err := t.look()
	if err != nil {
		return false, sdk.Retry(fmt.Errorf("look for files: %w", err), 0)
	}
	for _, c := range list {
		t.mu.Lock()
		_, ending := t.ended[c.name]
		seen, passed := t.passed[c.name]
		t.mu.Unlock()
		if ending || passed && seen.size == c.info.Size() && seen.modified == c.info.ModTime().UnixMilli() {
			continue
		}
		if err := t.start(ctx, b, c); errors.Is(err, os.ErrNotExist) {
			continue // taken away meanwhile
		} else if err != nil {
			return true, err
		}
		return true, nil
	}
	return false, nil
}

// look lists the files of this task in their order.
func (t *task) look() ([]candidate, error) {
	var out []candidate
	now := t.now()
	err := filepath.WalkDir(t.input, func(path string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil:
			return err
		case d.IsDir() && path != t.input && (!t.recursive || t.isTarget(path)):
			return fs.SkipDir
		case !d.Type().IsRegular() || !t.pattern.MatchString(d.Name()) || t.marker != "" && strings.HasSuffix(d.Name(), t.marker):
			return nil
		}
		fi, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		name, err := filepath.Rel(t.input, path)
		if err == nil && now.Sub(fi.ModTime()) >= t.age && t.tasks > 0 && int(hashOf(name)%uint32(t.tasks)) == t.index {
			out = append(out, candidate{path, name, fi})
		}
		return err
	})
	slices.SortStableFunc(out, t.compare)
	return out, err
}

// isTarget keeps directories for files that were read from being read.
func (t *task) isTarget(path string) bool {
	return path == filepath.Clean(t.finished) || path == filepath.Clean(t.failed)
}

// hashOf is Java's hash of a string, by which files are shared among tasks.
func hashOf(s string) uint32 {
	var h int32
	for _, c := range s {
		h = 31*h + c
	}
	if h < 0 {
		h = -h
	}
	return uint32(h)
}

func (t *task) compare(a, b candidate) int {
	for _, o := range t.order {
		var c int
		switch {
		case strings.HasPrefix(o, "Name"):
			c = strings.Compare(a.name, b.name)
		case strings.HasPrefix(o, "Length"):
			c = cmp.Compare(a.info.Size(), b.info.Size())
		default:
			c = a.info.ModTime().Compare(b.info.ModTime())
		}
		if strings.HasSuffix(o, "Desc") {
			c = -c
		}
		if c != 0 {
			return c
		}
	}
	return 0
}

// start opens a file where it was left. One that was done with is moved, or left
// alone.
func (t *task) start(ctx context.Context, b *data.Batch, c candidate) error {
	f, err := os.OpenFile(c.path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	s := &source{file: f, name: c.name, path: c.path}
	t.open = s
	fi, err := f.Stat()
	if err == nil {
		s.identity, err = identify(f, fi)
	}
	if err != nil {
		return t.end(b, err)
	}
	stored, err := t.offsets.Offset(ctx, map[string]any{"fileName": s.name})
	if err != nil {
		t.close()
		return err
	}
	if again, ok := t.resume[s.name]; ok {
		stored = again
		delete(t.resume, s.name)
	}
	if !s.same(stored) {
		stored = nil
	}
	if stored.Bool("done") {
		t.close()
		t.mu.Lock()
		defer t.mu.Unlock()
		t.passed[s.name] = s.identity
		t.ended[s.name] = ending{path: s.path, failed: stored.Bool("failed"), stored: true}
		t.finish(s.name, t.ended[s.name])
		return nil
	}
	if err := t.prepare(s, stored.Int64("offset")); err != nil {
		return t.end(b, err)
	}
	return nil
}

// same reports whether a stored offset is of this file, and not of another of
// its name. Offsets of Java's connector have no more than a number.
func (s *source) same(o sdk.Offset) bool {
	if o == nil {
		return false
	}
	if _, ok := o["head"]; !ok {
		return true
	}
	return o.Int64("size") == s.identity.size && o.Int64("modified") == s.identity.modified && o.String("head") == s.identity.head
}

// prepare makes the reader, past what was read before.
func (t *task) prepare(s *source, count int64) error {
	c := t.settings
	if c.valueSchema == nil && c.generate != nil {
		var err error
		if c.valueSchema, err = c.inferSchema(s.path); err != nil {
			return err
		}
	}
	var err error
	if s.reader, err = c.openReader(s.file); err != nil {
		return err
	}
	if c.valueSchema != nil && (c.kind == csvFiles || c.kind == jsonFiles) {
		if err := s.bind(&c); err != nil {
			return &fileError{err}
		}
	}
	if c.timestamp == "FIELD" {
		s.field = &fieldTime{name: c.timeField}
	}
	if err := s.reader.skip(count); err != nil {
		return err
	}
	s.count = count
	t.describe(s)
	return nil
}

// bind finds the key in the value.
func (s *source) bind(c *settings) (err error) {
	key := c.keySchema
	if key == nil && c.generate != nil {
		if key, err = c.generate.generatedKey(c.valueSchema); err != nil {
			return err
		}
	}
	if key != nil {
		s.keys, err = newKeyMaker(c.valueSchema, key)
	}
	return err
}

// describe makes the headers that all records of a file have.
func (t *task) describe(s *source) {
	text := func(name, v string) {
		row := appendText(nil, t.text, []byte(v))
		s.headers = append(s.headers, data.Header{Name: name, Value: data.Datum{Schema: data.StringSchema, State: data.Present, Row: row}})
		s.size += len(row)
	}
	number := func(name string, w *data.RowWriter, schema *data.Schema, v int64) {
		w.Reset(nil)
		w.Int64(v)
		row, _, _ := w.Finish() // one number in a number schema cannot fail
		s.headers = append(s.headers, data.Header{Name: name, Value: data.Datum{Schema: schema, State: data.Present, Row: row}})
	}
	base := filepath.Base(s.path)
	text("file.path", s.path)
	text("file.parent.dir.name", filepath.Base(filepath.Dir(s.path)))
	text("file.name", base)
	text("file.name.without.extension", strings.TrimSuffix(base, filepath.Ext(base)))
	text("file.relative.path", s.name)
	number("file.last.modified", t.when, data.TimestampSchema, s.identity.modified)
	number("file.length", t.number, data.Int64Schema, s.identity.size)
}

// fieldTime reads the timestamp of a record from one of its fields.
type fieldTime struct {
	name   string
	schema *data.Schema
	index  int
	reader *data.RowReader
}

func (f *fieldTime) of(d data.Datum) (int64, error) {
	if d.Schema == nil || d.Schema != f.schema {
		if d.Schema == nil || d.Schema.Type() != data.TypeStruct {
			return 0, errors.New("timestamp.mode=FIELD needs records with fields")
		}
		field, ok := d.Schema.Field(f.name)
		if !ok || field.Schema.Name() != data.TimestampName {
			return 0, fmt.Errorf("timestamp.field: the file has no field %q of type Timestamp", f.name)
		}
		f.schema, f.index, f.reader = d.Schema, field.Index, data.NewRowReader(d.Schema)
	}
	f.reader.Reset(d.Row)
	f.reader.EnterStruct()
	for range f.index {
		f.reader.Skip()
	}
	if f.reader.Null() {
		return 0, fmt.Errorf("timestamp.field: field %q has no value", f.name)
	}
	v := f.reader.Int64()
	return v, f.reader.Err()
}

func isCrossDevice(err error) bool { return errors.Is(err, syscall.EXDEV) }

// copyFile copies a file to another disk, where it appears when it is whole.
func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close() // nothing is written
	out, err := os.CreateTemp(filepath.Dir(to), ".spool-*")
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	if err = errors.Join(err, out.Sync(), out.Close()); err == nil {
		err = os.Rename(out.Name(), to)
	}
	if err != nil {
		return errors.Join(err, os.Remove(out.Name()))
	}
	return nil
}
