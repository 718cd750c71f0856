package s3

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/millrace/millrace/connectors/objectfile/read"
	"github.com/millrace/millrace/plugins/data"
	"github.com/millrace/millrace/plugins/sdk"
)

// restore reads the objects of one rotation in step.
type restore struct {
	*backup
	bucket   string
	position []byte // the source partition
	cursor   *cursor
	bodies   []io.Closer
	end      context.CancelFunc
	failed   error // to be returned by the next call

	values, keys, headers, meta read.Reader // nil where there is none
}

// errGone is an object that was listed and is not there any more, or is
// another.
var errGone = errors.New("it is not what was listed any more")

// restore opens the objects of a rotation and passes over what was read before.
func (t *sourceTask) restore(ctx context.Context, b *backup) (*restore, error) {
	c, err := t.cursor(ctx, b.stream)
	if err != nil {
		return nil, err
	}
	r := &restore{backup: b, bucket: t.cfg.store.bucket, cursor: c}
	if r.position, err = sdk.EncodeMap(b.source(r.bucket)); err != nil {
		return nil, err
	}
	life, end := context.WithCancel(context.WithoutCancel(ctx)) // bodies are read by later polls
	r.end = end
	if err = r.open(life, t); err == nil {
		err = r.skip()
	}
	if err != nil {
		return nil, errors.Join(err, r.close())
	}
	return r, nil
}

func (r *restore) open(ctx context.Context, t *sourceTask) error {
	for _, p := range []struct {
		ref  *objectRef
		into *read.Reader
	}{{r.value, &r.values}, {r.backup.keys, &r.keys}, {r.backup.headers, &r.headers}, {r.backup.meta, &r.meta}} {
		if p.ref == nil {
			continue
		}
		kind := t.cfg.kind
		if p.ref != r.value {
			var err error
			if kind, err = t.cfg.kindOf(p.ref.key); err != nil {
				return err
			}
		}
		in := &s3.GetObjectInput{Bucket: &r.bucket, Key: &p.ref.key, IfMatch: text(p.ref.etag)}
		in.SSECustomerAlgorithm, in.SSECustomerKey, in.SSECustomerKeyMD5 = t.store.customer()
		out, err := t.store.client.GetObject(ctx, in)
		if code(err) == "NoSuchKey" || code(err) == "PreconditionFailed" {
			return fmt.Errorf("object %s: %w", p.ref.key, errGone)
		}
		if err != nil {
			return t.store.fail("read", p.ref.key, err)
		}
		r.bodies = append(r.bodies, out.Body)
		if *p.into, err = read.Open(kind, p.ref.key, t.cfg.readOptions(), out.Body); err != nil {
			return fmt.Errorf("object %s: %w", p.ref.key, err)
		}
		if c, ok := (*p.into).(io.Closer); ok {
			r.bodies = append(r.bodies, c)
		}
	}
	return nil
}

// skip passes over the records that were read before.
func (r *restore) skip() error {
	if r.cursor.offset != r.offset || r.cursor.done {
		*r.cursor = cursor{offset: r.offset}
		return nil
	}
	for range r.cursor.records {
		if _, err := r.next(); err != nil {
			return err
		}
	}
	return nil
}

// fill appends up to most records. io.EOF is the end of the objects.
func (r *restore) fill(b *data.Batch, most int) error {
	for len(b.Records) < most {
		record, err := r.next()
		if errors.Is(err, io.EOF) && len(b.Records) > 0 {
			return nil // comes again with the next call
		}
		if err != nil {
			if len(b.Records) > 0 && !errors.Is(err, io.EOF) {
				return r.later(err)
			}
			return err
		}
		r.cursor.records++
		offset, err := sdk.EncodeMap(map[string]any{"objectKey": r.name(), "recordCount": r.cursor.records})
		if err != nil {
			return err
		}
		record.Position = int32(len(b.Positions))
		b.Positions = append(b.Positions, data.Position{Partition: r.position, Offset: offset})
		b.Records = append(b.Records, record)
	}
	return nil
}

// later returns what was read before an error, and the error with the next
// call.
func (r *restore) later(err error) error {
	r.failed = err
	return nil
}

// name is the object that positions name.
func (r *restore) name() string {
	for _, ref := range []*objectRef{r.value, r.backup.keys} {
		if ref != nil {
			return ref.key
		}
	}
	return r.backup.meta.key
}

// next reads one record: a value, or a key without one, and what belongs to it.
func (r *restore) next() (data.Record, error) {
	if r.failed != nil {
		return data.Record{}, r.failed
	}
	record := data.Record{Topic: r.topic, Partition: r.partition, Timestamp: data.NoTimestamp, Position: data.NoPosition}
	if r.meta != nil {
		err := r.exact(&record)
		return record, err
	}
	var headers data.Datum
	ends, files := 0, 0
	for _, p := range []struct {
		reader read.Reader
		into   *data.Datum
	}{{r.values, &record.Value}, {r.keys, &record.Key}, {r.headers, &headers}} {
		if p.reader == nil {
			continue
		}
		files++
		d, err := p.reader.Next()
		if errors.Is(err, io.EOF) {
			ends++
			continue
		}
		if err != nil {
			return record, fmt.Errorf("object %s: %w", r.name(), err)
		}
		*p.into = d
	}
	record.Key = unwrapped(record.Key)
	switch {
	case ends == files:
		return record, io.EOF
	case ends > 0:
		return record, &read.DataError{Err: fmt.Errorf("object %s and those of its keys and headers have different numbers of records", r.name())}
	}
	var err error
	if r.headers != nil {
		record.Headers, err = headersFrom(headers)
	}
	return record, err
}

// exact reads one record by its metadata, which says what there is of it.
func (r *restore) exact(record *data.Record) error {
	d, err := r.meta.Next()
	if errors.Is(err, io.EOF) {
		return io.EOF
	}
	var m recordMetadata
	if err == nil {
		m, err = parseMetadata(d)
	}
	if err != nil {
		return fmt.Errorf("object %s: %w", r.backup.meta.key, err)
	}
	record.Timestamp, record.Headers = m.timestamp, m.headers
	for _, p := range []struct {
		has    bool
		reader read.Reader
		what   string
		into   *data.Datum
	}{{m.hasKey, r.keys, "keys", &record.Key}, {m.hasValue, r.values, "values", &record.Value}} {
		if !p.has {
			continue
		}
		if p.reader == nil {
			return &read.DataError{Err: fmt.Errorf("object %s says that there are %s, and their object is not there", r.backup.meta.key, p.what)}
		}
		d, err := p.reader.Next()
		if errors.Is(err, io.EOF) {
			return &read.DataError{Err: fmt.Errorf("the object of %s beside %s ends before it", p.what, r.backup.meta.key)}
		}
		if err != nil {
			return fmt.Errorf("object %s, its %s: %w", r.base, p.what, err)
		}
		*p.into = d
	}
	record.Key = unwrapped(record.Key)
	return nil
}

// unwrapped is a key as it was before a Parquet file had it in a record.
func unwrapped(key data.Datum) data.Datum {
	if key.Schema == nil || key.Schema.Name() != "RecordKey" || len(key.Schema.Fields()) != 1 || key.Schema.Fields()[0].Name != "key" {
		return key
	}
	key.Schema = key.Schema.Fields()[0].Schema // the row of a record of one field is that of the field
	if data.IsNullRow(key.Schema, key.Row) {
		return data.Datum{Schema: key.Schema, State: data.Null}
	}
	return key
}

// headersFrom reads what the sink writes of headers.
func headersFrom(d data.Datum) ([]data.Header, error) {
	bad := func() error {
		return &read.DataError{Err: errors.New("an object of headers does not hold headers as the sink writes them")}
	}
	v, err := d.Value()
	if err != nil {
		return nil, &read.DataError{Err: err}
	}
	list, ok := field(v, "headers").([]any)
	if !ok {
		return nil, bad()
	}
	var out []data.Header
	for _, e := range list {
		name, ok := field(e, "key").(string)
		if !ok {
			return nil, bad()
		}
		h := data.Header{Name: name}
		if text, ok := field(e, "value").(string); ok {
			if h.Value, err = data.NewDatum(data.StringSchema, text); err != nil {
				return nil, err
			}
		}
		out = append(out, h)
	}
	return out, nil
}

// field returns a member of a struct or map, nil if there is none.
func field(v any, name string) any {
	switch v := v.(type) {
	case map[string]any:
		return v[name]
	case *data.Struct:
		x, err := v.Get(name)
		if err != nil {
			return nil
		}
		return x
	}
	return nil
}

func (r *restore) close() error {
	r.end()
	var errs []error
	for _, b := range r.bodies {
		errs = append(errs, b.Close())
	}
	r.bodies = nil
	return errors.Join(errs...)
}

// ended goes on after the end of an object, or after an error with it: what
// passes is tried again from the same record.
func (t *sourceTask) ended(err error) error {
	b := t.queue[0]
	if t.current != nil {
		if closeErr := t.current.close(); closeErr != nil {
			t.log.Debug("body of an object not closed cleanly", "object", b.base, "err", closeErr)
		}
		t.current = nil
	}
	if errors.Is(err, errGone) {
		t.log.Warn("object passed over", "err", err)
		t.queue = t.queue[1:]
		return nil
	}
	if err = t.cfg.judge(t.log, b.base, err); err != nil {
		return err
	}
	*t.cursors[b.stream] = cursor{offset: b.offset, done: true}
	t.queue = t.queue[1:]
	return nil
}
