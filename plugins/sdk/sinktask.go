package sdk

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/millrace/millrace/plugins/data"
	"github.com/millrace/millrace/plugins/proto"
	"google.golang.org/grpc"
)

// The bounds of what a sink task has waiting: the bytes that its credit
// allows, and a number of messages that a worker that waits for answers stays
// far below.
const (
	sinkCredit   = 2 << 20
	maxSinkQueue = 4096
)

// sinkTask is one running sink task: the stream's handler queues messages, run
// works them off in order.
type sinkTask struct {
	stream grpc.BidiStreamingServer[proto.ToSink, proto.FromSink]
	open   *proto.OpenTask
	log    *slog.Logger
	life   context.Context // ends with the stream, or when the task is to close
	end    context.CancelCauseFunc

	sendMu sync.Mutex // guards stream.Send

	mu    sync.Mutex // guards below
	queue []*proto.ToSink
	added chan struct{} // has room for one

	// run's own
	table    proto.Table
	batch    data.Batch
	put      uint64 // the put that accepted and failed are about
	accepted uint64
	failed   bool
}

// SinkTask implements the service.
func (s *server) SinkTask(stream grpc.BidiStreamingServer[proto.ToSink, proto.FromSink]) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	if first.GetOpen() == nil {
		return errors.New("a sink's stream must begin with open")
	}
	t := &sinkTask{
		stream: stream, open: first.GetOpen(), log: s.log,
		added: make(chan struct{}, 1), table: proto.Table{Log: true},
	}
	t.life, t.end = context.WithCancelCause(withTask(stream.Context(), s.log, t.open))
	s.tasks.Add(1)
	done := make(chan struct{})
	go func() {
		defer s.tasks.Done()
		defer close(done)
		t.run(s)
	}()
	for {
		m, err := stream.Recv()
		if err == nil {
			err = t.enqueue(m)
		}
		if err != nil {
			t.end(errGone)
			<-done
			return nil // the worker ended the stream and knows why
		}
	}
}

func (t *sinkTask) enqueue(m *proto.ToSink) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.queue) >= maxSinkQueue {
		return errors.New("the worker does not wait for answers")
	}
	t.queue = append(t.queue, m)
	select {
	case t.added <- struct{}{}:
	default:
	}
	return nil
}

// next returns the next message, nil when the stream has ended.
func (t *sinkTask) next() *proto.ToSink {
	for {
		t.mu.Lock()
		if len(t.queue) > 0 {
			m := t.queue[0]
			t.queue[0] = nil
			t.queue = t.queue[1:]
			t.mu.Unlock()
			return m
		}
		t.mu.Unlock()
		select {
		case <-t.life.Done():
			return nil
		case <-t.added:
		}
	}
}

// tell sends a message whose loss only means that the worker is gone, which
// the stream's handler sees.
func (t *sinkTask) tell(m *proto.FromSink) {
	t.sendMu.Lock()
	defer t.sendMu.Unlock()
	if err := t.stream.Send(m); err != nil {
		t.end(errGone)
	}
}

// run is the life of the task: open, serve calls until the close, close.
func (t *sinkTask) run(s *server) {
	task, err := t.start(s)
	reported := reporting(t.life, func(l *proto.FigureList) {
		t.tell(&proto.FromSink{Message: &proto.FromSink_Figures{Figures: l}})
	})
	if err == nil {
		t.tell(&proto.FromSink{Message: &proto.FromSink_Opened{Opened: sinkCredit}})
		err = t.serve(task)
	}
	if err != nil {
		t.tell(&proto.FromSink{Message: &proto.FromSink_Failed{Failed: proto.NewFailure(err)}})
		for m := t.next(); m != nil && m.GetClose() == nil; {
			m = t.next() // the worker closes a task that failed, too
		}
	}
	if task != nil {
		if err := guard(t.log, "Close", task.Close); err != nil {
			t.log.Warn("close of the task", "err", err)
		}
	}
	reported()
	if t.life.Err() == nil {
		t.tell(&proto.FromSink{Message: &proto.FromSink_Closed{Closed: &proto.Empty{}}})
	}
}

func (t *sinkTask) start(s *server) (task SinkTask, err error) {
	c, err := s.connector(t.open.Class)
	if err != nil {
		return nil, err
	}
	if c.Sink == nil {
		return nil, fmt.Errorf("%s is not a sink", c.Name)
	}
	cfg, err := c.parse(t.open.Config)
	if err != nil {
		return nil, err
	}
	err = guard(t.log, "Open", func() (err error) {
		task, err = c.Sink.Open(t.life, cfg, control{t})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("open the task: %w", err)
	}
	if task == nil {
		return nil, errors.New("open the task: the connector returned none")
	}
	return task, nil
}

// serve works off the worker's calls until it closes the task, or the stream
// breaks.
func (t *sinkTask) serve(task SinkTask) error {
	for {
		m := t.next()
		if m == nil {
			return nil
		}
		switch m := m.Message.(type) {
		case *proto.ToSink_Put:
			if err := t.piece(task, m.Put); err != nil {
				return err
			}
		case *proto.ToSink_PreCommit:
			offsets, err := t.preCommit(task, m.PreCommit.Map())
			list := proto.NewOffsetList(m.PreCommit.GetRequest(), offsets, err)
			t.tell(&proto.FromSink{Message: &proto.FromSink_PreCommitted{PreCommitted: list}})
		case *proto.ToSink_Assigned:
			t.done(m.Assigned.GetRequest(), t.partitions(task, func(p PartitionOpener) error {
				return p.OpenPartitions(t.life, m.Assigned.Map())
			}))
		case *proto.ToSink_Revoked:
			t.done(m.Revoked.GetRequest(), t.partitions(task, func(p PartitionOpener) error {
				return p.ClosePartitions(t.life, m.Revoked.Slice(), m.Revoked.GetLost())
			}))
		case *proto.ToSink_Close:
			return nil
		default:
			t.log.Warn("message of an unknown kind from the worker")
		}
	}
}

func (t *sinkTask) done(request uint64, err error) {
	done := &proto.Done{Request: request, Failure: proto.NewFailure(err)}
	t.tell(&proto.FromSink{Message: &proto.FromSink_Done{Done: done}})
}

func (t *sinkTask) partitions(task SinkTask, call func(PartitionOpener) error) error {
	p, ok := task.(PartitionOpener)
	if !ok {
		return nil
	}
	return guard(t.log, "OpenPartitions or ClosePartitions", func() error { return call(p) })
}

// piece puts one piece of a put. The first that fails ends the put: what the
// worker sent of it meanwhile is dropped. Only a broken stream is an error
// here.
func (t *sinkTask) piece(task SinkTask, p *proto.Payload) error {
	if p.GetSequence() != t.put {
		t.put, t.accepted, t.failed = p.GetSequence(), 0, false
	}
	if err := proto.DecodeBatch(p.GetPayload(), &t.table, &t.batch); err != nil {
		return fmt.Errorf("batch from the worker: %w", err)
	}
	var err error
	if !t.failed {
		err = guard(t.log, "Put", func() error { return task.Put(t.life, &t.batch) })
		if err == nil {
			t.accepted += uint64(len(t.batch.Records))
		}
	}
	t.tell(&proto.FromSink{Message: &proto.FromSink_Credit{Credit: uint64(len(p.GetPayload()))}})
	proto.Recycle(p)
	if t.failed || err == nil && !p.GetLast() {
		return nil
	}
	t.failed = err != nil
	t.tell(&proto.FromSink{Message: &proto.FromSink_PutDone{PutDone: t.putDone(err)}})
	return nil
}

// putDone is the answer to a put. The index of a bad record counts from the
// put's first; the records before it were taken.
func (t *sinkTask) putDone(err error) *proto.PutDone {
	done := &proto.PutDone{Sequence: t.put, Accepted: t.accepted}
	if e := (*Error)(nil); errors.As(err, &e) && e.Class == proto.Record && e.Index >= 0 && e.Index < len(t.batch.Records) {
		done.Accepted += uint64(e.Index)
		err = RecordError(int(done.Accepted), err)
	} else if errors.As(err, &e) && e.Class == proto.Record {
		err = RecordError(-1, err)
	}
	done.Failure = proto.NewFailure(err)
	return done
}

func (t *sinkTask) preCommit(task SinkTask, offsets Offsets) (out Offsets, err error) {
	err = guard(t.log, "PreCommit", func() (err error) {
		switch task := task.(type) {
		case PreCommitter:
			out, err = task.PreCommit(t.life, offsets)
		case Flusher:
			out, err = offsets, task.Flush(t.life, offsets)
		default:
			out = offsets
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	for tp, o := range out {
		if limit, ok := offsets[tp]; !ok || o > limit {
			return nil, fmt.Errorf("pre-commit returned offset %d of %s-%d, which was not put", o, tp.Topic, tp.Partition)
		}
	}
	return out, nil
}

// control sends a task's requests.
type control struct{ t *sinkTask }

// Report implements Control.
func (c control) Report(r *data.Record, err error) {
	if err == nil {
		err = errors.New("the connector set the record aside without saying why")
	}
	c.t.tell(&proto.FromSink{Message: &proto.FromSink_Errant{Errant: &proto.Errant{
		Topic: r.OriginalTopic, Partition: r.OriginalPartition, Offset: r.OriginalOffset,
		Text: proto.NewFailure(err).Text,
	}}})
}

// Rewind implements Control.
func (c control) Rewind(o Offsets) {
	c.t.tell(&proto.FromSink{Message: &proto.FromSink_Rewind{Rewind: proto.NewOffsetList(0, o, nil)}})
}

// Pause implements Control.
func (c control) Pause(tps ...TopicPartition) {
	c.t.tell(&proto.FromSink{Message: &proto.FromSink_Pause{Pause: proto.NewPartitionList(0, tps, false)}})
}

// Resume implements Control.
func (c control) Resume(tps ...TopicPartition) {
	c.t.tell(&proto.FromSink{Message: &proto.FromSink_Resume{Resume: proto.NewPartitionList(0, tps, false)}})
}

// Timeout implements Control.
func (c control) Timeout(d time.Duration) {
	c.t.tell(&proto.FromSink{Message: &proto.FromSink_TimeoutMs{TimeoutMs: d.Milliseconds()}})
}

// RequestCommit implements Control.
func (c control) RequestCommit() {
	c.t.tell(&proto.FromSink{Message: &proto.FromSink_RequestCommit{RequestCommit: &proto.Empty{}}})
}
