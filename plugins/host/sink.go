package host

import (
	"context"
	"errors"
	"fmt"

	"github.com/millrace/millrace/plugins/data"
	"github.com/millrace/millrace/plugins/proto"
)

// TopicPartition names a partition of the log.
type TopicPartition = proto.TopicPartition

// Offsets holds by partition the next offset to consume.
type Offsets = proto.Offsets

// SinkEvents are what a sink task may ask for. See its fields.
type SinkEvents = proto.SinkEvents

// SinkSpec says which sink task to run and who hears of what it asks for.
type SinkSpec struct {
	Target
	Config    map[string]string // the task's
	Connector string
	Task      int
	// MemoryLimit is the resident memory in bytes at which the process is
	// killed. 0 is the host's.
	MemoryLimit int64
	// BatchBytes is the size of the pieces that a put crosses in, more or
	// less. 0 is 256 KiB.
	BatchBytes int
	// Events are called from a goroutine of the Sink's and must not block.
	Events SinkEvents
}

// Sink is a running sink task. Its calls are made by one goroutine, one at a
// time, but for Stats and Output. A call whose context ends first leaves the
// task unusable: close it.
type Sink struct {
	process *process
	sink    *proto.Sink
	batch   data.Batch
}

// OpenSink starts a sink task and returns when its connector is ready. ctx
// bounds the opening alone; the task runs until Close.
func (h *Host) OpenSink(ctx context.Context, spec SinkSpec) (*Sink, error) {
	ctx, cancel := h.withTimeout(ctx, h.cfg.CallTimeout)
	defer cancel()
	p, err := h.startTask(ctx, spec.Target, spec.Connector, spec.Task, spec.MemoryLimit)
	if err != nil {
		return nil, err
	}
	s, err := proto.OpenSink(ctx, p.conn, proto.SinkSpec{
		Class: spec.Class, Config: spec.Config, Connector: spec.Connector, Task: spec.Task,
		BatchBytes: spec.BatchBytes, Events: spec.Events,
	})
	if err != nil {
		return nil, p.failedOpen(ctx, err)
	}
	return &Sink{process: p, sink: s}, nil
}

// Put hands records to the task, in order within each partition, and returns
// when it has taken them: how many, from the first. On an error that is the
// records before the part that failed; repeat the rest. An *Error of class
// Record has in Index which one is bad, counted from the first, or -1. No
// records at all tell the task that time has passed.
func (s *Sink) Put(ctx context.Context, records []data.Record) (int, error) {
	s.batch.Records = records
	n, err := s.sink.Put(ctx, &s.batch)
	s.batch.Records = nil
	return n, s.failed(ctx, err)
}

// PreCommit asks which offsets may be committed, given those after the records
// that were put. The answer is never beyond them, and may be less or none.
func (s *Sink) PreCommit(ctx context.Context, current Offsets) (Offsets, error) {
	out, err := s.sink.PreCommit(ctx, current)
	if err != nil {
		return nil, s.failed(ctx, err)
	}
	for tp, offset := range out {
		if limit, ok := current[tp]; !ok || offset > limit {
			return nil, fmt.Errorf("plugin %s: %w: pre-commit of offset %d of %s-%d, which was not put",
				s.process.launch.name, ErrProtocol, offset, tp.Topic, tp.Partition)
		}
	}
	return out, nil
}

// Assigned tells the task of further partitions, each with the offset of the
// first record that it will get.
func (s *Sink) Assigned(ctx context.Context, starts Offsets) error {
	return s.failed(ctx, s.sink.Assign(ctx, starts))
}

// Revoked tells the task of partitions that it gets no more of. lost says that
// nothing more may be committed for them.
func (s *Sink) Revoked(ctx context.Context, parts []TopicPartition, lost bool) error {
	return s.failed(ctx, s.sink.Revoke(ctx, parts, lost))
}

// failed explains an error, and kills the process behind a call that was given
// up: it may hang, and its answer would be taken for another's.
func (s *Sink) failed(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil && errors.Is(err, context.Cause(ctx)) {
		s.process.kill("it did not answer in time: " + context.Cause(ctx).Error())
	}
	return s.process.explain(err)
}

// Close ends the task and its process. It always does; the error says that the
// process had to be killed, or how it ended before.
func (s *Sink) Close(ctx context.Context) error {
	return s.process.closeTask(ctx, s.sink.Close)
}

// Stats returns figures of the task's process. It may be called any time.
func (s *Sink) Stats() Stats {
	st := s.process.stats()
	st.Figures = s.sink.Figures()
	return st
}

// Output returns the lines that the process printed last, oldest first. It may
// be called any time.
func (s *Sink) Output() []string { return s.process.out.lines() }
