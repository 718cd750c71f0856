package httpsink

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/millrace/millrace/plugins/data"
	"github.com/millrace/millrace/plugins/sdk"
)

// task is a running sink task.
type task struct {
	*settings
	service *service
	control sdk.Control
	log     *slog.Logger

	// sent is where each partition stands: what a Put that failed has sent is
	// not sent again when its records come again.
	sent     sdk.Offsets
	failures int // in a row
}

// OpenPartitions forgets where partitions stood: they may begin anywhere.
func (t *task) OpenPartitions(_ context.Context, offsets sdk.Offsets) error {
	for tp := range offsets {
		delete(t.sent, tp)
	}
	return nil
}

// ClosePartitions forgets partitions.
func (t *task) ClosePartitions(_ context.Context, tps []sdk.TopicPartition, _ bool) error {
	for _, tp := range tps {
		delete(t.sent, tp)
	}
	return nil
}

// Close ends idle connections.
func (t *task) Close() error {
	t.service.client.CloseIdleConnections()
	return nil
}

// item is a record in its form for a body.
type item struct {
	record *data.Record
	text   []byte
}

// batch is the records of one request: of one partition and in order.
type batch struct {
	partition          sdk.TopicPartition
	method, url, group string
	json               bool
	items              []item
	bytes              int
}

// maxBatchBytes bounds the text of a batch; a record may be larger.
const maxBatchBytes = 8 << 20

// putBudget is how long one Put sends before it lets the worker do other things,
// such as stopping the task. The worker waits minutes for a Put, and a request
// may take 4 of them (maxTimeout).
const putBudget = 20 * time.Second

func partitionOf(r *data.Record) sdk.TopicPartition {
	return sdk.TopicPartition{Topic: r.OriginalTopic, Partition: r.OriginalPartition}
}

// Put sends all records, in order for each partition.
func (t *task) Put(ctx context.Context, b *data.Batch) error {
	var open batch
	began := time.Now()
	for i := range b.Records {
		r := &b.Records[i]
		tp := partitionOf(r)
		if next, ok := t.sent[tp]; ok && r.OriginalOffset < next {
			continue
		}
		one, err := t.prepare(r)
		if err == nil && one == nil {
			err = t.flush(ctx, &open)
			if err != nil {
				return err
			}
			t.sent[tp] = r.OriginalOffset + 1
			continue
		}
		if err != nil {
			if failed := t.flush(ctx, &open); failed != nil {
				return failed
			}
			t.refused(r, err)
			t.sent[tp] = r.OriginalOffset + 1
			continue
		}
		if !open.takes(one, t.batch) {
			if err := t.flush(ctx, &open); err != nil {
				return err
			}
			if took := time.Since(began); took > putBudget {
				return sdk.Retry(fmt.Errorf("the service is slow: %d of %d records were sent in %s; the rest follows", i, len(b.Records), took.Round(time.Second)), time.Millisecond)
			}
		}
		open.add(one)
	}
	return t.flush(ctx, &open)
}

// takes reports whether a record's batch can be part of another.
func (b *batch) takes(one *batch, most int) bool {
	return len(b.items) < most && b.bytes+one.bytes <= maxBatchBytes && b.partition == one.partition &&
		b.method == one.method && b.url == one.url && b.group == one.group && b.json == one.json
}

func (b *batch) add(one *batch) {
	if len(b.items) == 0 {
		*b = *one
		return
	}
	b.items, b.bytes = append(b.items, one.items...), b.bytes+one.bytes
}

// prepare makes a batch of one record, nil if it is passed over.
func (t *task) prepare(r *data.Record) (*batch, error) {
	out := &batch{partition: partitionOf(r), method: t.method}
	it := item{record: r}
	if r.Value.IsNull() {
		switch t.nulls {
		case ignore:
			return nil, nil
		case logIt:
			t.log.Warn("record without a value passed over", "topic", r.OriginalTopic, "partition", r.OriginalPartition, "offset", r.OriginalOffset)
			return nil, nil
		case report:
			return nil, errors.New("the record has no value")
		}
		out.method = http.MethodDelete
	}
	var err error
	if out.method != http.MethodDelete || !r.Value.IsNull() {
		out.json = t.isJSON(r.Value)
		if it.text, err = t.appendText(nil, r); err != nil {
			return nil, err
		}
	}
	if out.url, err = t.address(r); err != nil {
		return nil, err
	}
	out.group, err = t.group(r)
	out.items, out.bytes = []item{it}, len(it.text)
	return out, err
}

// flush sends a batch and empties it. What it returns is a Retry, or fatal.
func (t *task) flush(ctx context.Context, b *batch) error {
	if len(b.items) == 0 {
		return nil
	}
	err := t.deliver(ctx, b, b.items)
	b.items, b.bytes = nil, 0
	return err
}

// deliver sends records, which the service may refuse: then in two halves, until
// the culprits are alone.
func (t *task) deliver(ctx context.Context, b *batch, items []item) error {
	err := t.service.send(ctx, t.request(b, items))
	if cause := context.Cause(ctx); cause != nil && err != nil {
		return sdk.Retry(cause, 0)
	}
	bad := (*refusal)(nil)
	if errors.As(err, &bad) {
		t.failures = 0
		if half := len(items) / 2; half > 0 {
			if err := t.deliver(ctx, b, items[:half]); err != nil {
				return err
			}
			return t.deliver(ctx, b, items[half:])
		}
		t.refused(items[0].record, bad)
		err = nil
	}
	if err != nil {
		return t.later(err)
	}
	t.failures = 0
	t.sent[b.partition] = items[len(items)-1].record.OriginalOffset + 1
	return nil
}

// request makes the request of some of a batch's records.
func (t *task) request(b *batch, items []item) *request {
	first, last := items[0].record, items[len(items)-1].record
	id := fmt.Sprintf("%s-%d-%d", b.partition.Topic, b.partition.Partition, first.OriginalOffset)
	if t.batch > 1 {
		id = fmt.Sprintf("%s-%d", id, last.OriginalOffset)
	}
	var body bytes.Buffer
	if b.method == http.MethodDelete && items[0].text == nil {
		return &request{method: b.method, url: b.url, id: id}
	}
	body.WriteString(t.prefix)
	for i, it := range items {
		if i > 0 {
			body.WriteString(t.separator)
		}
		body.Write(it.text)
	}
	body.WriteString(t.suffix)
	return &request{method: b.method, url: b.url, id: id, body: body.Bytes(), json: b.json}
}

// refused does with a record what behavior.on.error says.
func (t *task) refused(r *data.Record, err error) {
	switch t.errs {
	case report:
		t.control.Report(r, err)
	case logIt:
		t.log.Error("record refused (behavior.on.error=log)", "topic", r.OriginalTopic, "partition", r.OriginalPartition, "offset", r.OriginalOffset, "err", err)
	case ignore:
		t.log.Debug("record refused (behavior.on.error=ignore)", "topic", r.OriginalTopic, "partition", r.OriginalPartition, "offset", r.OriginalOffset, "err", err)
	}
}

// maxBackoff bounds the wait between two retries.
const maxBackoff = 5 * time.Minute

// later asks for another try, or gives up after as many as are configured.
func (t *task) later(err error) error {
	passes := (*transient)(nil)
	if !errors.As(err, &passes) {
		return sdk.Fatal(err)
	}
	t.failures++
	if t.retries >= 0 && t.failures > t.retries {
		t.failures = 0
		if t.outageBackoff > 0 {
			return sdk.Retry(err, t.outageBackoff)
		}
		return sdk.Fatal(fmt.Errorf("%w (after %d retries: max.retries=-1 goes on without end)", err, t.retries))
	}
	wait := passes.after
	if wait == 0 {
		wait = min(t.backoff<<min(t.failures-1, 16), maxBackoff)
		wait = wait/2 + time.Duration(rand.Int64N(int64(wait/2)+1))
	}
	return sdk.Retry(err, max(wait, time.Millisecond))
}
