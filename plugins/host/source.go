package host

import (
	"context"

	"github.com/millrace/millrace/plugins/data"
	"github.com/millrace/millrace/plugins/proto"
)

// SourceSpec says which source task to run.
type SourceSpec struct {
	Target
	Config    map[string]string // the task's
	Connector string
	Task      int
	// MemoryLimit is the resident memory in bytes at which the process is
	// killed. 0 is the host's.
	MemoryLimit int64
	// Window bounds the bytes of batches that are on their way or not yet
	// released, but for one batch beyond. 0 is 4 MiB.
	Window int
	// BatchBytes is the size at which the task sends a batch, more or less. 0
	// is 256 KiB.
	BatchBytes int
	// DefinesTransactions has the connector say where transactions end
	// (Batch.End), which it can if Validation says so.
	DefinesTransactions bool
	// Brokers are the addresses of the worker's log, for a connector that reads
	// it by itself. It brings its own credentials where the log wants some.
	Brokers []string
	// Offsets returns what is stored for source partitions (JSON objects), one
	// each, nil where nothing is. It must heed ctx. Nil means that nothing is
	// stored.
	Offsets func(ctx context.Context, partitions [][]byte) ([][]byte, error)
	// Retrying, when set, learns of transient errors that the task retries by
	// itself, without end. It must not block.
	Retrying func(error)
}

// Source is a running source task. Next belongs to one goroutine; the rest may
// be called from any.
type Source struct {
	process *process
	source  *proto.Source
}

// OpenSource starts a source task and returns when its connector is ready. ctx
// bounds the opening alone; the task runs until Close.
func (h *Host) OpenSource(ctx context.Context, spec SourceSpec) (*Source, error) {
	ctx, cancel := h.withTimeout(ctx, h.cfg.CallTimeout)
	defer cancel()
	p, err := h.startTask(ctx, spec.Target, spec.Connector, spec.Task, spec.MemoryLimit)
	if err != nil {
		return nil, err
	}
	s, err := proto.OpenSource(ctx, p.conn, proto.SourceSpec{
		Class: spec.Class, Config: spec.Config, Connector: spec.Connector, Task: spec.Task,
		Window: spec.Window, BatchBytes: spec.BatchBytes, DefinesTransactions: spec.DefinesTransactions, Brokers: spec.Brokers, Offsets: spec.Offsets, Retrying: spec.Retrying,
	})
	if err != nil {
		return nil, p.failedOpen(ctx, err)
	}
	return &Source{p, s}, nil
}

// Next returns the next batch and its number, from 1. The batch is valid until
// release, which also lets the task send as much again. It returns io.EOF after
// Stop, when all batches have been returned; an *Error when the connector
// failed; an *ExitError when its process ended.
func (s *Source) Next(ctx context.Context) (b *data.Batch, seq uint64, release func(), err error) {
	sb, err := s.source.Next(ctx)
	if err != nil {
		return nil, 0, nil, s.process.explain(err)
	}
	return &sb.Batch, sb.Sequence, sb.Free, nil
}

// Acked tells the task that all records of the batches up to seq are durably
// in the log.
func (s *Source) Acked(seq uint64) error {
	s.source.Ack(seq)
	return s.err()
}

// Stored tells the task that the source offsets of the batches up to seq are
// durably stored as well: now it may acknowledge upstream.
func (s *Source) Stored(seq uint64) error {
	s.source.OffsetsStored(seq)
	return s.err()
}

// Pause keeps the task from polling, or lets it poll again. Batches that are on
// their way still arrive.
func (s *Source) Pause(paused bool) error {
	if paused {
		s.source.Pause()
	} else {
		s.source.Resume()
	}
	return s.err()
}

// err is nil while the task runs.
func (s *Source) err() error { return s.process.explain(s.source.Err()) }

// Stop has the task stop polling and returns when it has. Next then returns
// the batches on their way, and io.EOF. Acknowledge them, then Close. A task
// that does not stop within the grace is to be closed as well, which kills it.
func (s *Source) Stop(ctx context.Context) error {
	ctx, cancel := s.process.host.withTimeout(ctx, s.process.host.cfg.StopGrace)
	defer cancel()
	return s.process.explain(s.source.Stop(ctx))
}

// Close ends the task and its process, with or without Stop. It always does;
// the error says that the process had to be killed, or how it ended before.
func (s *Source) Close(ctx context.Context) error {
	return s.process.closeTask(ctx, s.source.Close)
}

// Stats returns figures of the task's process.
func (s *Source) Stats() Stats {
	st := s.process.stats()
	st.Figures = s.source.Figures()
	return st
}

// Progress returns how far the task is in a piece of work that has an end; Work
// is "" when there is none.
func (s *Source) Progress() Progress { return s.source.Progress() }

// Progress is what a task tells of its work.
type Progress = proto.WorkProgress

// Output returns the lines that the process printed last, oldest first.
func (s *Source) Output() []string { return s.process.out.lines() }

func (h *Host) startTask(ctx context.Context, t Target, connector string, task int, limit int64) (*process, error) {
	l := h.launch(t, connector)
	l.log = l.log.With("task", task)
	l.memoryLimit = limit
	return h.start(ctx, l)
}

// failedOpen ends the process of a task that did not open, and returns why.
func (p *process) failedOpen(ctx context.Context, err error) error {
	err = p.explain(err)
	if ctx.Err() != nil {
		p.kill("it did not open in time: " + context.Cause(ctx).Error())
	}
	p.stop(context.WithoutCancel(ctx))
	return err
}

// closeTask closes a task and ends its process, all within the grace.
func (p *process) closeTask(ctx context.Context, closeStream func(context.Context) error) error {
	graceCtx, cancel := p.host.withTimeout(ctx, p.host.cfg.StopGrace)
	defer cancel()
	err := p.explain(closeStream(graceCtx))
	if graceCtx.Err() != nil {
		p.kill("it did not close in time: " + context.Cause(graceCtx).Error())
	}
	p.stop(context.WithoutCancel(ctx))
	if graceCtx.Err() != nil && err != nil {
		return p.exitError()
	}
	return err
}
