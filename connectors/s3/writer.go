package s3

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/millrace/millrace/connectors/objectfile/format"
	"github.com/millrace/millrace/connectors/objectfile/rotation"
	"github.com/millrace/millrace/plugins/data"
	"github.com/millrace/millrace/plugins/sdk"
)

// maxFiles bounds the files that a partition has open, where
// partitioner.max.open.files does not.
//
// Differs from Confluent's, which has no bound.
const maxFiles = 1000

// writer is what one partition of the log has open. At most one rotation is on
// its way to the store while the next is being filled.
//
//	committed                         next
//	    | in the flight | in the files | to come
type writer struct {
	task  *task
	tp    sdk.TopicPartition
	life  context.Context
	end   context.CancelFunc
	state *rotation.State
	// next is the offset after the last record that was taken or passed over.
	next int64
	// committed is the offset up to which everything is in the store, -1 before
	// anything is known.
	committed int64
	last      int64 // offset of the last record in the open files
	files     map[string]*files
	order     []*files        // in the order in which they were opened
	due       rotation.Reason // a rotation that has to come before anything else
	keySchema *data.Schema    // of the keys in the open files, if hasKeys
	hasKeys   bool
	flight    *flight // nil when nothing is on its way
	failing   bool    // it has been logged that uploads fail
	redo      *redo   // not nil while records are read again
	schemas   schemaRotations
	latest    string // what directory returned last
}

func newWriter(t *task, tp sdk.TopicPartition, offset int64) *writer {
	w := &writer{task: t, tp: tp, next: offset, committed: offset, files: make(map[string]*files)}
	cfg := t.cfg.rotation
	if cfg.MaxFiles == 0 {
		cfg.MaxFiles = maxFiles
	}
	w.state = rotation.New(cfg, t.now())
	w.life, w.end = context.WithCancel(t.life)
	return w
}

// take writes a record, or reports it and passes on. After an error that may
// pass the same record comes again.
func (w *writer) take(ctx context.Context, now time.Time, r *data.Record) error {
	if w.due != rotation.None {
		if err := w.rotate(ctx, now, w.due); err != nil {
			return err
		}
	}
	if !w.wants(r.OriginalOffset) {
		return nil
	}
	if err := w.limit(ctx, now, r.OriginalOffset); err != nil || w.behind() {
		return err
	}
	reason, err := w.write(ctx, now, r)
	if format.IsData(err) {
		w.task.control.Report(r, err)
		err = nil
	}
	if errors.Is(err, errAgain) {
		return nil // this one as well
	}
	if err != nil {
		return err
	}
	w.next = r.OriginalOffset + 1
	if reason != rotation.None {
		return w.rotate(ctx, now, reason)
	}
	return nil
}

// errAgain is a record that was about to be written when it turned out that
// the records before it have to be read again.
var errAgain = errors.New("records are read again")

// wants passes over what was taken before, and what is in the pipe while
// records are read again.
func (w *writer) wants(offset int64) bool {
	if w.behind() {
		if offset >= w.redo.high {
			return false
		}
		w.redo.begun = true
	}
	return offset >= w.next
}

// write writes a record, if there is something to write, and says whether the
// open files are to be committed then.
func (w *writer) write(ctx context.Context, now time.Time, r *data.Record) (rotation.Reason, error) {
	skip, err := w.nulls(r)
	if skip || err != nil {
		return rotation.None, err
	}
	in, err := w.place(r, now)
	if err != nil {
		return rotation.None, err
	}
	reason, err := w.state.Before(now, in)
	if err != nil {
		return rotation.None, &format.DataError{Err: err}
	}
	if reason == rotation.None && w.keysDiffer(r) {
		reason = rotation.Schema
	}
	if reason != rotation.None && (w.redo == nil || reason != rotation.Schedule) {
		if err := w.rotate(ctx, now, reason); err != nil {
			return rotation.None, err
		}
		if w.behind() {
			return rotation.None, errAgain
		}
	}
	if err := w.append(r, in); err != nil {
		return rotation.None, err
	}
	w.last = r.OriginalOffset
	return w.state.Wrote(in), nil
}

// behind reports whether records are to be read again and have not come yet.
func (w *writer) behind() bool { return w.redo != nil && !w.redo.begun }

// nulls deals with records without a value. skip says that there is nothing to
// write.
func (w *writer) nulls(r *data.Record) (skip bool, err error) {
	cfg := w.task.cfg
	if cfg.nulls == keepNulls {
		return false, nil
	}
	if r.Value.IsNull() {
		switch cfg.nulls {
		case failNulls:
			return false, sdk.Fatal(fmt.Errorf("record %s-%d offset %d has no value, which cannot be written: set behavior.on.null.values to ignore, or to write with store.kafka.keys",
				r.OriginalTopic, r.OriginalPartition, r.OriginalOffset))
		case ignoreNulls:
			if cfg.reportNulls && w.task.deadLetters {
				w.task.control.Report(r, errors.New("the record has no value (behavior.on.null.values=ignore)"))
			}
			return true, nil
		}
	}
	switch {
	case cfg.metadata != nil: // which says what there is
	case cfg.keys != nil && r.Key.IsNull():
		return false, badRecord("the record has no key, which store.kafka.keys needs")
	case cfg.headers != nil && len(r.Headers) == 0:
		return false, badRecord("the record has no headers, which store.kafka.headers needs")
	}
	return false, nil
}

func badRecord(text string) error { return &format.DataError{Err: errors.New(text)} }

// place says which file a record goes to.
func (w *writer) place(r *data.Record, now time.Time) (rotation.Input, error) {
	if w.task.cfg.names != nil {
		return w.named(r, now)
	}
	if r.Value.IsNull() {
		if in, ok := w.inPlace(r, now); ok {
			return in, nil
		}
		ms, timed := w.task.places.Time(r, now)
		return rotation.Input{Directory: r.Topic + "\x00" + w.task.cfg.tombstones, Millis: ms, Timed: timed, Tombstone: true}, nil
	}
	p, err := w.task.places.Place(r, now)
	if err != nil {
		return rotation.Input{}, &format.DataError{Err: fmt.Errorf("find the directory of the record: %w", err)}
	}
	return rotation.Input{Directory: w.directory(r.Topic, p.Directory), Millis: p.Millis, Timed: p.Timed, Schema: r.Value.Schema}, nil
}

// named says which file of Aiven's sink a record goes to: those of a group, and
// of a schema where files have one.
func (w *writer) named(r *data.Record, now time.Time) (rotation.Input, error) {
	group, err := w.task.cfg.names.Group(r, now)
	if err != nil {
		return rotation.Input{}, &format.DataError{Err: err}
	}
	schema, err := w.task.schema(r)
	if err != nil {
		return rotation.Input{}, &format.DataError{Err: err}
	}
	return rotation.Input{Directory: w.directory(r.Topic, group), Schema: schema}, nil
}

// directory names a topic's directory. Records in a row are often of one.
func (w *writer) directory(topic, dir string) string {
	if l := len(topic); len(w.latest) != l+1+len(dir) || w.latest[:l] != topic || w.latest[l] != 0 || w.latest[l+1:] != dir {
		w.latest = topic + "\x00" + dir
	}
	return w.latest
}

// inPlace puts a record without a value where those with one are, which can be
// done if there is metadata, and if its place does not depend on the value.
func (w *writer) inPlace(r *data.Record, now time.Time) (rotation.Input, bool) {
	if w.task.cfg.metadata == nil {
		return rotation.Input{}, false
	}
	p, err := w.task.places.Place(r, now)
	if err != nil {
		return rotation.Input{}, false
	}
	return rotation.Input{Directory: w.directory(r.Topic, p.Directory), Millis: p.Millis, Timed: p.Timed, Tombstone: true}, true
}

// keysDiffer reports whether the files of keys that are open cannot take a
// record's key because of its schema.
func (w *writer) keysDiffer(r *data.Record) bool {
	if w.task.cfg.metadata != nil && (r.Key.IsNull() || !w.hasKeys) {
		return false // nulls are not in the files of keys
	}
	return w.task.cfg.keys != nil && w.state.Count() > 0 && !w.keySchema.Equal(r.Key.Schema)
}

// append writes a record to its files, which it opens where they are not.
func (w *writer) append(r *data.Record, in rotation.Input) error {
	f := w.files[in.Directory]
	if f != nil && w.latestOnly() {
		return w.replace(f, r, in)
	}
	if f != nil {
		err := f.append(r)
		if err == nil && !w.hasKeys {
			w.sawKey(r)
		}
		return err
	}
	f, err := w.open(r, in)
	if err != nil {
		return err
	}
	if err := f.append(r); err != nil {
		f.forget()
		return err
	}
	w.files[in.Directory], f.at = f, len(w.order)
	w.order = append(w.order, f)
	w.sawKey(r)
	return nil
}

// latestOnly reports whether a file holds the latest record of its group alone.
func (w *writer) latestOnly() bool { return w.task.cfg.names != nil && w.task.cfg.names.Latest() }

// replace puts a file of a record in the place of one with an earlier record.
func (w *writer) replace(old *files, r *data.Record, in rotation.Input) error {
	f, err := w.open(r, in)
	if err != nil {
		return err
	}
	if err := f.append(r); err != nil {
		f.forget()
		return err
	}
	old.forget()
	f.at = old.at
	w.files[in.Directory], w.order[f.at] = f, f
	return nil
}

// sawKey remembers the schema of the keys in the files.
func (w *writer) sawKey(r *data.Record) {
	if w.task.cfg.metadata == nil || !r.Key.IsNull() {
		w.keySchema, w.hasKeys = r.Key.Schema, true
	}
}

// tick does what is due by the clock.
func (w *writer) tick(ctx context.Context, now time.Time) error {
	if w.due != rotation.None {
		return w.rotate(ctx, now, w.due)
	}
	if w.redo != nil {
		return w.redo.check(now)
	}
	if reason := w.state.Due(now); reason != rotation.None {
		return w.rotate(ctx, now, reason)
	}
	return nil
}

// nextDue returns when tick or land has something to do, zero for never.
func (w *writer) nextDue() time.Time {
	at := w.state.NextDue()
	if w.flight != nil && w.flight.failed && (at.IsZero() || w.flight.retryAt.Before(at)) {
		at = w.flight.retryAt
	}
	return at
}

// durable returns the offset to commit. With nothing open and nothing on its
// way that is after all that was passed over.
func (w *writer) durable() (int64, bool) {
	if w.flight == nil && w.state.Count() == 0 && w.due == rotation.None && w.redo == nil {
		return w.next, w.next >= 0
	}
	return w.committed, w.committed >= 0
}

// abort forgets everything that is not in the store.
func (w *writer) abort(ctx context.Context) {
	w.end()
	if w.flight != nil {
		<-w.flight.done // its requests end with w.life
		abortAll(ctx, w.task.log, w.flight.files)
		w.flight = nil
	}
	w.forget(ctx)
}

// forget drops the open files.
func (w *writer) forget(ctx context.Context) {
	abortAll(ctx, w.task.log, w.order)
	w.order = nil
	clear(w.files)
}
