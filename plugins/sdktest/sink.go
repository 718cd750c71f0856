package sdktest

import (
	"sync"
	"testing"
	"time"

	"github.com/millrace/millrace/plugins/data"
	"github.com/millrace/millrace/plugins/proto"
	"github.com/millrace/millrace/plugins/sdk"
)

// SinkRun is a running sink task.
type SinkRun struct {
	t      testing.TB
	sink   *proto.Sink
	end    func()
	closed bool

	mu     sync.Mutex // guards below
	events Events
}

// Events is what a sink task has asked for.
type Events struct {
	Errant         map[sdk.TopicPartition][]int64 // offsets of records set aside
	Rewind         sdk.Offsets
	Pause, Resume  []sdk.TopicPartition
	Timeout        time.Duration
	CommitRequests int
}

// StartSink opens a task of a sink. The test fails if it does not open. It is
// closed with the test, or by Close.
func StartSink(t testing.TB, c sdk.Connector, config map[string]string) *SinkRun {
	t.Helper()
	r, err := OpenSink(t, c, config)
	if err != nil {
		t.Fatalf("open the sink: %v", err)
	}
	return r
}

// OpenSink is StartSink for tests of what must not open.
func OpenSink(t testing.TB, c sdk.Connector, config map[string]string) (*SinkRun, error) {
	t.Helper()
	conn, end := connect(t, c)
	r := &SinkRun{t: t, end: end}
	r.events = Events{Errant: make(map[sdk.TopicPartition][]int64), Rewind: make(sdk.Offsets)}
	ctx, cancel := patiently(t)
	defer cancel()
	var err error
	r.sink, err = proto.OpenSink(ctx, conn, proto.SinkSpec{
		Class: c.Classes[0], Config: config, Connector: c.Name, BatchBytes: 8 << 10, Events: r.listen(),
	})
	if err != nil {
		end()
		return nil, err
	}
	t.Cleanup(r.Close)
	return r, nil
}

func (r *SinkRun) listen() proto.SinkEvents {
	locked := func(change func(*Events)) {
		r.mu.Lock()
		defer r.mu.Unlock()
		change(&r.events)
	}
	return proto.SinkEvents{
		Errant: func(tp sdk.TopicPartition, offset int64, _ error) {
			locked(func(e *Events) { e.Errant[tp] = append(e.Errant[tp], offset) })
		},
		Rewind: func(o sdk.Offsets) {
			locked(func(e *Events) {
				for tp, offset := range o {
					e.Rewind[tp] = offset
				}
			})
		},
		Pause:         func(tps []sdk.TopicPartition) { locked(func(e *Events) { e.Pause = append(e.Pause, tps...) }) },
		Resume:        func(tps []sdk.TopicPartition) { locked(func(e *Events) { e.Resume = append(e.Resume, tps...) }) },
		Timeout:       func(d time.Duration) { locked(func(e *Events) { e.Timeout = d }) },
		RequestCommit: func() { locked(func(e *Events) { e.CommitRequests++ }) },
	}
}

// Events returns what the task has asked for so far. After a call everything
// that was asked for during it is there.
func (r *SinkRun) Events() Events {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.events
}

// Put puts records. It returns how many the task took, and its error.
func (r *SinkRun) Put(records ...data.Record) (int, error) {
	r.t.Helper()
	ctx, cancel := patiently(r.t)
	defer cancel()
	return r.sink.Put(ctx, &data.Batch{Records: records})
}

// MustPut puts records; the test fails if the task does not take them all.
func (r *SinkRun) MustPut(records ...data.Record) {
	r.t.Helper()
	if n, err := r.Put(records...); err != nil {
		r.t.Fatalf("put took %d of %d records: %v", n, len(records), err)
	}
}

// Assign gives the task partitions.
func (r *SinkRun) Assign(starts sdk.Offsets) {
	r.t.Helper()
	ctx, cancel := patiently(r.t)
	defer cancel()
	if err := r.sink.Assign(ctx, starts); err != nil {
		r.t.Fatalf("%v", err)
	}
}

// Revoke takes partitions away.
func (r *SinkRun) Revoke(lost bool, tps ...sdk.TopicPartition) {
	r.t.Helper()
	ctx, cancel := patiently(r.t)
	defer cancel()
	if err := r.sink.Revoke(ctx, tps, lost); err != nil {
		r.t.Fatalf("%v", err)
	}
}

// PreCommit asks which offsets may be committed.
func (r *SinkRun) PreCommit(current sdk.Offsets) sdk.Offsets {
	r.t.Helper()
	ctx, cancel := patiently(r.t)
	defer cancel()
	o, err := r.sink.PreCommit(ctx, current)
	if err != nil {
		r.t.Fatalf("%v", err)
	}
	return o
}

// Close closes the task. It may be called twice.
func (r *SinkRun) Close() {
	r.t.Helper()
	if r.closed {
		return
	}
	r.closed = true
	ctx, cancel := patiently(r.t)
	defer cancel()
	if err := r.sink.Close(ctx); err != nil {
		r.t.Errorf("close the sink: %v", err)
	}
	r.end()
}

// LogRecord is a record as it comes from the log, of a value with a schema or
// without.
func LogRecord(t testing.TB, topic string, partition int32, offset int64, s *sdk.Schema, value any) data.Record {
	t.Helper()
	d, err := data.NewDatum(s, value)
	if err != nil {
		t.Fatalf("record %d: %v", offset, err)
	}
	return data.Record{
		Topic: topic, Partition: partition, Offset: offset, Value: d, Position: data.NoPosition,
		OriginalTopic: topic, OriginalPartition: partition, OriginalOffset: offset,
		Timestamp: 1_700_000_000_000 + offset,
	}
}
