package s3

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"log/slog"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/millrace/millrace/connectors/objectfile/read"
	"github.com/millrace/millrace/plugins/data"
	"github.com/millrace/millrace/plugins/sdk"
)

// genericTask reads objects of any name, in the order of their names as they
// are found.
//
// It lists from the last name that it has seen on, and from the beginning every
// few listings, for objects that came later under smaller names. What was read
// of each object is in the stored offsets, so that one that is seen again is
// not read again.
type genericTask struct {
	sdk.UnimplementedTask
	cfg     *sourceConfig
	store   *store
	log     *slog.Logger
	offsets sdk.OffsetReader

	queue    []*found
	current  *reading // nil between two objects
	after    string   // the last name that was listed, "" to begin again
	listings int      // since one from the beginning
	listed   time.Time
	finished map[uint64]finished // objects that this task is done with, by a hash of their names
	horizons horizons
	now      func() time.Time
}

// finished is a version of an object: a hash of its etag, and when it was last
// modified, in milliseconds.
type finished struct {
	etag     uint64
	modified int64
}

// found is an object to be read, and how much of it was.
type found struct {
	key, etag, topic string
	modified         int64 // milliseconds
	records          int64
}

// source is the source partition of an object.
func (t *genericTask) source(key string) map[string]any {
	return map[string]any{"bucket": t.cfg.store.bucket, "objectKey": key}
}

func hashOf(text string) uint64 {
	h := fnv.New64a()
	io.WriteString(h, text) // a hash takes all it is given
	return h.Sum64()
}

// finish remembers that a version of an object needs no more reading.
func (t *genericTask) finish(f *found) {
	t.finished[hashOf(f.key)] = finished{hashOf(f.etag), f.modified}
}

// wanted reports whether an object may have records to read, as far as the task
// remembers.
func (t *genericTask) wanted(f *found) bool {
	last, done := t.finished[hashOf(f.key)]
	switch {
	case !done || t.cfg.reread && last.etag != hashOf(f.etag):
		return true
	case last.etag != hashOf(f.etag):
		t.changed(f)
	}
	return false
}

func (t *genericTask) changed(f *found) {
	t.log.Info("object has changed since it was read; the new one is left out (reread.on.change=false)", "object", f.key)
	t.finish(f)
}

// PollBatch appends records of one object, and waits for some.
func (t *genericTask) PollBatch(ctx context.Context, b *data.Batch) error {
	for {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		if t.current == nil {
			if err := t.advance(ctx); err != nil {
				return err
			}
			if b.Positions = append(b.Positions, t.horizons.pending...); len(b.Positions) > 0 {
				t.horizons.pending = nil
				return nil
			}
			continue
		}
		stop := context.AfterFunc(ctx, t.current.end) // a body that does not come holds nobody up
		err := t.current.fill(b, t.cfg.most)
		stop()
		if cause := context.Cause(ctx); cause != nil && len(b.Records) == 0 {
			return cause
		}
		if err != nil {
			err = t.ended(err)
		}
		if err != nil || len(b.Records) > 0 {
			return err
		}
	}
}

// advance opens the next object, after a listing where none is known.
func (t *genericTask) advance(ctx context.Context) error {
	if len(t.queue) > 0 {
		r, err := t.open(ctx, t.queue[0])
		if err != nil {
			return t.ended(err)
		}
		t.current = r
		return nil
	}
	if t.horizons.over {
		return t.moveHorizons()
	}
	if err := t.loadHorizons(ctx); err != nil {
		return err
	}
	if err := pause(ctx, time.Until(t.listed.Add(t.cfg.interval))); err != nil {
		return err
	}
	complete, err := t.list(ctx)
	if err != nil {
		return err
	}
	if complete {
		t.horizons.over, t.horizons.listing = t.horizons.listing, false
		t.listed = time.Now()
		if t.listings++; t.listings >= t.cfg.rescan {
			t.listings, t.after = 0, ""
		}
	}
	return nil
}

// list finds objects until some are to be read, one page of names at a time. It
// reports whether it came to the end.
func (t *genericTask) list(ctx context.Context) (complete bool, err error) {
	if t.after == "" {
		t.horizons.listing, t.horizons.began = true, t.now()
	}
	for len(t.queue) == 0 && len(t.horizons.pending) == 0 {
		prefix := t.cfg.prefixes()[0]
		page, err := t.store.client.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &t.cfg.store.bucket, Prefix: text(prefix), StartAfter: text(t.after)})
		if err != nil {
			return false, t.store.fail("list", prefix+"*", err)
		}
		if err := t.take(ctx, page.Contents); err != nil {
			return false, err
		}
		if n := len(page.Contents); n > 0 {
			t.after = aws.ToString(page.Contents[n-1].Key)
		}
		if !aws.ToBool(page.IsTruncated) {
			return true, nil
		}
	}
	return false, nil
}

// take queues the objects of a page that are to be read.
func (t *genericTask) take(ctx context.Context, page []types.Object) error {
	var list []*found
	var old []string
	var partitions []map[string]any
	for _, o := range page {
		key, etag := aws.ToString(o.Key), aws.ToString(o.ETag)
		if !t.mine(key) {
			continue
		}
		if past, forget := t.horizons.beyond(o); past {
			if forget {
				old = append(old, key)
			}
			continue
		}
		f := &found{key: key, etag: etag, topic: t.cfg.topicOf(key)}
		if o.LastModified != nil {
			f.modified = o.LastModified.UnixMilli()
		}
		if f.topic == "" || o.LastModified != nil && o.LastModified.Before(t.cfg.since) || !t.wanted(f) {
			continue
		}
		list = append(list, f)
		partitions = append(partitions, t.source(key))
	}
	if err := t.forget(ctx, old); err != nil || len(list) == 0 {
		return err
	}
	stored, err := t.offsets.Offsets(ctx, partitions)
	if err != nil {
		return fmt.Errorf("read the stored offsets of %d objects: %w", len(list), err)
	}
	for i, f := range list {
		o := stored[i]
		switch same := o.String("etag") == f.etag; {
		case o == nil: // from the first record on
		case !same && t.cfg.reread: // likewise
		case !same:
			t.changed(f)
			continue
		case o.Bool("eof"):
			t.finish(f)
			continue
		default:
			f.records = o.Int64("recordCount")
		}
		t.queue = append(t.queue, f)
	}
	return nil
}

// topicOf is the topic of the first pattern that an object's name matches, ""
// if none does.
func (c *sourceConfig) topicOf(key string) string {
	for _, r := range c.topics {
		if r.pattern.MatchString(key) {
			return r.topic
		}
	}
	return ""
}

// reading is an object that is being read.
type reading struct {
	*found
	partition []byte // the source partition
	body      io.Closer
	records   read.Reader
	end       context.CancelFunc
	next      data.Datum // read ahead: the last record's offset says that it is the last
	err       error      // io.EOF, or what came in the place of next
}

// open begins to read an object, after what was read of it before.
func (t *genericTask) open(ctx context.Context, f *found) (*reading, error) {
	r := &reading{found: f}
	var err error
	if r.partition, err = sdk.EncodeMap(t.source(f.key)); err != nil {
		return nil, err
	}
	life, end := context.WithCancel(context.WithoutCancel(ctx)) // bodies are read by later polls
	in := &s3.GetObjectInput{Bucket: &t.cfg.store.bucket, Key: &f.key, IfMatch: text(f.etag)}
	in.SSECustomerAlgorithm, in.SSECustomerKey, in.SSECustomerKeyMD5 = t.store.customer()
	out, err := t.store.client.GetObject(life, in)
	if err != nil {
		end()
		if c := code(err); c == "NoSuchKey" || c == "PreconditionFailed" {
			return nil, fmt.Errorf("object %s: %w", f.key, errGone)
		}
		return nil, t.store.fail("read", f.key, err)
	}
	r.body, r.end = out.Body, end
	stop := context.AfterFunc(ctx, end)
	defer stop()
	if r.records, err = read.Open(t.cfg.kind, f.key, t.cfg.readOptions(), out.Body); err == nil {
		for range f.records + 1 {
			if r.next, err = r.records.Next(); err != nil {
				break
			}
		}
	}
	if r.err = err; err != nil && !errors.Is(err, io.EOF) {
		return nil, errors.Join(fmt.Errorf("object %s: %w", f.key, err), r.close())
	}
	return r, nil
}

// fill appends up to most records. io.EOF is the end of the object.
func (r *reading) fill(b *data.Batch, most int) error {
	for len(b.Records) < most {
		if r.err != nil {
			if len(b.Records) > 0 {
				return nil // comes again with the next call
			}
			return r.err
		}
		record := data.Record{
			Topic: r.topic, Partition: data.NoPartition, Timestamp: data.NoTimestamp, Value: r.next, Position: int32(len(b.Positions)),
		}
		if r.next, r.err = r.records.Next(); r.err != nil && !errors.Is(r.err, io.EOF) {
			r.err = fmt.Errorf("object %s: %w", r.key, r.err)
		}
		r.found.records++
		offset, err := sdk.EncodeMap(map[string]any{"objectKey": r.key, "recordCount": r.found.records, "etag": r.etag, "eof": errors.Is(r.err, io.EOF)})
		if err != nil {
			return err
		}
		b.Positions = append(b.Positions, data.Position{Partition: r.partition, Offset: offset})
		b.Records = append(b.Records, record)
	}
	return nil
}

func (r *reading) close() error {
	r.end()
	var err error
	if c, ok := r.records.(io.Closer); ok {
		err = c.Close()
	}
	return errors.Join(err, r.body.Close())
}

// ended goes on after the end of an object, or after an error with it: what
// passes is tried again from the same record.
func (t *genericTask) ended(err error) error {
	f := t.queue[0]
	if t.current != nil {
		if closeErr := t.current.close(); closeErr != nil {
			t.log.Debug("object not closed cleanly", "object", f.key, "err", closeErr)
		}
		t.current = nil
	}
	if errors.Is(err, errGone) { // if another has its place, a later listing has it
		t.log.Warn("object passed over", "err", err)
		t.queue = t.queue[1:]
		return nil
	}
	if err = t.cfg.judge(t.log, f.key, err); err != nil {
		return err
	}
	t.finish(f)
	t.queue = t.queue[1:]
	return nil
}

// judge says what becomes of an object after an error with it, or its end: nil
// goes on with the next.
func (c *sourceConfig) judge(log *slog.Logger, object string, err error) error {
	broken := (*read.DataError)(nil)
	class := (*sdk.Error)(nil)
	switch {
	case errors.As(err, &broken) && c.ignore:
		log.Warn("object not read to its end (behavior.on.error=ignore)", "err", err)
		return nil
	case errors.As(err, &broken):
		return sdk.Fatal(fmt.Errorf("%w: repair or remove the object, or set behavior.on.error=ignore", err))
	case errors.As(err, &class):
		return err
	case !errors.Is(err, io.EOF):
		return sdk.Retry(fmt.Errorf("read %s in bucket %s: %w", object, c.store.bucket, err), 0)
	}
	return nil
}

// Close ends the requests of the current object.
func (t *genericTask) Close() error {
	defer t.store.release()
	if t.current == nil {
		return nil
	}
	return t.current.close()
}
