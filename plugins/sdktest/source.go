package sdktest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/millrace/millrace/plugins/data"
	"github.com/millrace/millrace/plugins/proto"
	"github.com/millrace/millrace/plugins/sdk"
	"google.golang.org/grpc"
)

// Offsets are stored source offsets: JSON objects by source partition, which
// is a JSON object as well.
type Offsets map[string]string

// Record is a record of a source, which may be kept.
type Record struct {
	data.Record
	// Move is the source offset that is to be stored once this record is in
	// the log. It is nil for a record that moves none.
	Move *data.Position
	// Before are offsets that came without a record since the one before.
	Before []data.Position
}

// SourceRun is a running source task.
type SourceRun struct {
	t      testing.TB
	source *proto.Source
	conn   *grpc.ClientConn
	end    func()
	ready  []Record        // received and not taken
	loose  []data.Position // came without a record, and before the next one
	seq    uint64
	closed bool

	mu      sync.Mutex // guards below
	offsets Offsets
	retries []error
}

// StartSource opens a task of a source with a configuration, as if offsets had
// been stored. The test fails if it does not open. It is closed with the test,
// or by Close.
func StartSource(t testing.TB, c sdk.Connector, config map[string]string, offsets Offsets) *SourceRun {
	t.Helper()
	r, err := OpenSource(t, c, config, offsets)
	if err != nil {
		t.Fatalf("open the source: %v", err)
	}
	return r
}

// OpenSource is StartSource for tests of what must not open.
func OpenSource(t testing.TB, c sdk.Connector, config map[string]string, offsets Offsets) (*SourceRun, error) {
	t.Helper()
	conn, end := connect(t, c)
	r := &SourceRun{t: t, conn: conn, end: end, offsets: maps.Clone(offsets)}
	if r.offsets == nil {
		r.offsets = make(Offsets)
	}
	ctx, cancel := patiently(t)
	defer cancel()
	var err error
	r.source, err = proto.OpenSource(ctx, conn, proto.SourceSpec{
		Class: c.Classes[0], Config: config, Connector: c.Name, Offsets: r.lookUp, Retrying: r.retrying,
		Window: 64 << 10, BatchBytes: 8 << 10,
	})
	if err != nil {
		end()
		return nil, err
	}
	t.Cleanup(r.Close)
	return r, nil
}

func (r *SourceRun) lookUp(_ context.Context, partitions [][]byte) ([][]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([][]byte, len(partitions))
	for i, p := range partitions {
		if o, ok := r.offsets[string(p)]; ok {
			out[i] = []byte(o)
		}
	}
	return out, nil
}

func (r *SourceRun) retrying(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.retries = append(r.retries, err)
}

// Retries returns the transient errors that the task has retried by itself.
func (r *SourceRun) Retries() []error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.retries)
}

// Take returns the next n records, and fails the test if they do not come.
func (r *SourceRun) Take(n int) []Record {
	r.t.Helper()
	ctx, cancel := patiently(r.t)
	defer cancel()
	for len(r.ready) < n {
		if err := r.receive(ctx); err != nil {
			r.t.Fatalf("waiting for record %d of %d: %v", len(r.ready)+1, n, err)
		}
	}
	out := r.ready[:n:n]
	r.ready = r.ready[n:]
	return out
}

// TakeFor returns the records that come within a time.
func (r *SourceRun) TakeFor(d time.Duration) []Record {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.t.Context()), d)
	defer cancel()
	for {
		err := r.receive(ctx)
		if errors.Is(err, context.DeadlineExceeded) {
			break
		}
		if err != nil {
			r.t.Fatalf("waiting for records: %v", err)
		}
	}
	out := r.ready
	r.ready = nil
	return out
}

// Fail waits until the task fails and returns its error.
func (r *SourceRun) Fail() error {
	r.t.Helper()
	ctx, cancel := patiently(r.t)
	defer cancel()
	for {
		if err := r.receive(ctx); err != nil {
			if ctx.Err() != nil {
				r.t.Fatal("the task does not fail")
			}
			return err
		}
	}
}

// receive takes in one batch.
func (r *SourceRun) receive(ctx context.Context) error {
	b, err := r.source.Next(ctx)
	if err != nil {
		return err
	}
	defer b.Release()
	r.seq = b.Sequence
	used := make([]bool, len(b.Positions))
	for i := range b.Records {
		one := keep(&b.Batch, &b.Records[i])
		one.Before, r.loose = r.loose, nil
		r.ready = append(r.ready, one)
		if p := b.Records[i].Position; p != data.NoPosition {
			used[p] = true
		}
	}
	for i, p := range b.Positions {
		if !used[i] {
			r.loose = append(r.loose, data.Position{Partition: bytes.Clone(p.Partition), Offset: bytes.Clone(p.Offset)})
		}
	}
	return nil
}

// keep copies a record out of its batch.
func keep(b *data.Batch, from *data.Record) Record {
	out := Record{Record: *from}
	out.Key.Row, out.Value.Row = bytes.Clone(from.Key.Row), bytes.Clone(from.Value.Row)
	out.Headers = slices.Clone(from.Headers)
	for i := range out.Headers {
		out.Headers[i].Value.Row = bytes.Clone(out.Headers[i].Value.Row)
	}
	if p := from.Position; p != data.NoPosition {
		out.Move = &data.Position{
			Partition: bytes.Clone(b.Positions[p].Partition), Offset: bytes.Clone(b.Positions[p].Offset),
		}
	}
	return out
}

// Acknowledge tells the task that everything received is in the log and its
// offsets are stored.
func (r *SourceRun) Acknowledge() {
	r.source.Ack(r.seq)
	r.source.OffsetsStored(r.seq)
}

// Stop stops the polling and returns the records that were on their way. The
// test fails if the task does not stop.
func (r *SourceRun) Stop() []Record {
	r.t.Helper()
	ctx, cancel := patiently(r.t)
	defer cancel()
	if err := r.source.Stop(ctx); err != nil {
		r.t.Fatalf("stop the source: %v", err)
	}
	for {
		err := r.receive(ctx)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			r.t.Fatalf("records on their way at the stop: %v", err)
		}
	}
	out := r.ready
	r.ready = nil
	return out
}

// Close closes the task. It may be called twice.
func (r *SourceRun) Close() {
	r.t.Helper()
	if r.closed {
		return
	}
	r.closed = true
	ctx, cancel := patiently(r.t)
	defer cancel()
	if err := r.source.Close(ctx); err != nil {
		r.t.Errorf("close the source: %v", err)
	}
	r.end()
}

// Apply stores what records move, in their order.
func (o Offsets) Apply(records []Record) {
	for _, r := range records {
		for _, p := range r.Before {
			o.set(p)
		}
		if r.Move != nil {
			o.set(*r.Move)
		}
	}
}

func (o Offsets) set(p data.Position) {
	if p.Offset == nil {
		delete(o, string(p.Partition))
		return
	}
	o[string(p.Partition)] = string(p.Offset)
}

// Text is a record's content, for comparisons: its topic, key, value and
// headers, but not its timestamp.
func (r Record) Text() string {
	text := fmt.Sprintf("%s %s %s", r.Topic, datumText(r.Key), datumText(r.Value))
	for _, h := range r.Headers {
		text += fmt.Sprintf(" %s=%s", h.Name, datumText(h.Value))
	}
	return text
}

func datumText(d data.Datum) string {
	v, err := d.Value()
	if err != nil {
		return fmt.Sprintf("unreadable(%v)", err)
	}
	return data.Text(v)
}
