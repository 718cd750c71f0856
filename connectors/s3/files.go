package s3

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"log/slog"
	"maps"
	"net/url"
	"strconv"
	"strings"

	"github.com/millrace/millrace/connectors/objectfile/format"
	"github.com/millrace/millrace/connectors/objectfile/rotation"
	"github.com/millrace/millrace/connectors/s3/aiven"
	"github.com/millrace/millrace/connectors/s3/upload"
	"github.com/millrace/millrace/plugins/data"
)

// Metadata of objects, beside mr-writer. mr-next and mr-count are missing from
// objects whose upload was begun before they were known.
const (
	connectorMetadata = "mr-connector"
	startMetadata     = "mr-start"
	nextMetadata      = "mr-next" // the offset after the whole rotation
	countMetadata     = "mr-count"
)

// files are the open files of one directory: of values, and of keys, headers and
// metadata where these are stored. They hold the same records in the same order.
type files struct {
	writer     *writer
	start, end int64 // offsets of the first and last record
	count      int64
	at         int    // their place in the writer's order
	directory  string // without the topic
	base       string // of their names
	tombstones bool   // records have no values, and there is no file of them
	kinds      [4]fileKind
	kind       [4]*file // by kind, nil where there is none yet
	all        []*file
}

// fileKind is one of those that hold a record together: of values, keys, headers
// and metadata.
type fileKind struct {
	infix  string
	format format.Format // nil if it is not stored
	datum  func(*data.Record) (data.Datum, error)
}

// file is one object in the making.
type file struct {
	upload  *upload.File
	content format.Writer
	schema  *data.Schema
	project *projection // of values, if the file may take other schemas
	datum   func(*data.Record) (data.Datum, error)
}

// open starts the files of a record's directory.
func (w *writer) open(r *data.Record, in rotation.Input) (*files, error) {
	cfg := w.task.cfg
	f := &files{writer: w, start: r.OriginalOffset, tombstones: in.Tombstone && cfg.metadata == nil}
	_, f.directory, _ = strings.Cut(in.Directory, "\x00")
	f.base = cfg.layout.name(r.Topic, f.directory, r.OriginalPartition, r.OriginalOffset)
	value := valueOf
	if cfg.datum != nil {
		value = cfg.datum()
	}
	f.kinds = [...]fileKind{
		{"", cfg.value, value}, {".keys", cfg.keys, keyOf(cfg.keys)}, {".headers", cfg.headers, headersOf}, {".meta", cfg.metadata, metadataOf()},
	}
	if err := f.need(r); err != nil {
		f.forget()
		return nil, err
	}
	return f, nil
}

// need starts the files that a record has something for and that are not there.
func (f *files) need(r *data.Record) error {
	for i, k := range f.kinds {
		if f.kind[i] != nil || !f.holds(i, r) {
			continue
		}
		key := f.base + k.infix + k.format.Extension()
		if names := f.writer.task.cfg.names; names != nil {
			key = aiven.Name(f.directory, f.start)
		}
		one, err := f.writer.openFile(key, k.format, k.datum, r, f.start)
		if err != nil {
			return err
		}
		if i == 0 && f.writer.task.cfg.rotation.Compatibility != rotation.NoCompatibility && one.schema != nil {
			one.project = newProjection(one.schema)
		}
		f.kind[i] = one
		f.all = append(f.all, one)
	}
	return nil
}

// holds reports whether a record is in the files of a kind.
func (f *files) holds(kind int, r *data.Record) bool {
	metadata := f.writer.task.cfg.metadata != nil
	switch {
	case f.kinds[kind].format == nil, kind == 0 && f.tombstones:
		return false
	case kind == 0:
		return !metadata || !r.Value.IsNull()
	case kind == 1:
		return !metadata || !r.Key.IsNull()
	}
	return true
}

func (w *writer) openFile(key string, kind format.Format, datum func(*data.Record) (data.Datum, error), r *data.Record, start int64) (*file, error) {
	d, err := datum(r)
	if err != nil {
		return nil, &format.DataError{Err: err}
	}
	cfg := w.task.cfg
	var nonce [12]byte
	if _, err := rand.Read(nonce[:]); err != nil {
		return nil, err
	}
	one := &file{schema: d.Schema, datum: datum}
	one.upload = w.task.pool.NewFile(w.life, upload.Object{
		Key: key, IfAbsent: cfg.conditional,
		Metadata: map[string]string{
			writerMetadata: hex.EncodeToString(nonce[:]), connectorMetadata: url.PathEscape(cfg.connector),
			startMetadata: strconv.FormatInt(start, 10),
		},
	}, cfg.conditional)
	if one.content, err = kind.Open(one.upload, d.Schema); err != nil {
		return nil, errors.Join(err, one.upload.Abort(context.Background())) // nothing was sent
	}
	return one, nil
}

// append writes a record to all files, or to none and returns a *DataError.
func (f *files) append(r *data.Record) error {
	if err := f.need(r); err != nil {
		return err
	}
	for i, one := range f.kind {
		if one == nil || !f.holds(i, r) {
			continue
		}
		d, err := one.datum(r)
		if err == nil && one.project != nil {
			d, err = one.project.apply(d)
		}
		if err != nil {
			return &format.DataError{Err: err}
		}
		if err := one.content.Prepare(d); err != nil {
			return err
		}
	}
	for i, one := range f.kind {
		if one == nil || !f.holds(i, r) {
			continue
		}
		if err := one.content.Append(); err != nil {
			return err
		}
	}
	f.count++
	f.end = r.OriginalOffset
	return nil
}

// seal ends the files' content and says on the objects what is in them.
func (f *files) seal(next int64) error {
	cfg := f.writer.task.cfg
	metadata := map[string]string{nextMetadata: strconv.FormatInt(next, 10), countMetadata: strconv.FormatInt(f.count, 10)}
	tags := maps.Clone(cfg.tags)
	if cfg.tagged {
		tags["startOffset"], tags["endOffset"] = strconv.FormatInt(f.start, 10), strconv.FormatInt(f.end, 10)
		tags["recordCount"] = strconv.FormatInt(f.count, 10)
	}
	for _, one := range f.all {
		if err := one.content.Close(); err != nil {
			return err
		}
		one.upload.Seal(metadata, tags)
	}
	return nil
}

// forget drops files of which nothing was sent.
func (f *files) forget() { abortAll(context.Background(), f.writer.task.log, []*files{f}) }

// abortAll drops files. Parts that the store may keep are named in the log.
func abortAll(ctx context.Context, log *slog.Logger, list []*files) {
	for _, f := range list {
		for _, one := range f.all {
			if err := one.upload.Abort(ctx); err != nil {
				log.Warn("parts of an unfinished upload may be left; a lifecycle rule for incomplete multipart uploads removes them", "err", err)
			}
		}
	}
}
