package proto

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/millrace/millrace/plugins/data"
	"google.golang.org/grpc"
)

// SinkSpec says which task to run and who hears of what it asks for.
type SinkSpec struct {
	Class     string
	Config    map[string]string // the task's
	Connector string
	Task      int
	// BatchBytes is the size of the pieces that a put is sent in, more or
	// less. 0 is DefaultBatchBytes.
	BatchBytes int
	// Events hears of the task's requests.
	Events SinkEvents
}

// SinkEvents are what a sink task may ask for, each optional. They are called
// in the order in which the task asked, before the answer to whatever call it
// did so in, from one goroutine; they must not block.
type SinkEvents struct {
	// Errant says that the record with these original coordinates is bad, and
	// why. The task goes on without it.
	Errant func(tp TopicPartition, offset int64, err error)
	// Rewind asks for the records from these offsets on again.
	Rewind func(Offsets)
	// Pause and Resume ask for no records of some partitions, and for them
	// again.
	Pause, Resume func([]TopicPartition)
	// Timeout asks for the next put, or the repetition of one that failed,
	// after this time at the latest.
	Timeout func(time.Duration)
	// RequestCommit asks for a commit of offsets soon.
	RequestCommit func()
}

// Sink is the worker's end of a running sink task. Put and all other calls are
// made by one goroutine, one at a time.
type Sink struct {
	stream   grpc.BidiStreamingClient[ToSink, FromSink]
	cancel   context.CancelCauseFunc
	received chan struct{} // closed when the receiver is gone
	spec     SinkSpec
	table    Table
	put      uint64
	request  uint64

	sendMu sync.Mutex // guards stream.Send

	mu      sync.Mutex // guards below
	opened  bool
	closed  bool
	ended   error
	credit  int64
	answer  any // the latest PutDone, Done or OffsetList
	changed chan struct{}
	figures figureSet
}

// OpenSink starts a task and waits until its connector has opened it. ctx
// bounds the opening alone; the task lives until Close.
func OpenSink(ctx context.Context, conn grpc.ClientConnInterface, spec SinkSpec) (*Sink, error) {
	if spec.BatchBytes <= 0 {
		spec.BatchBytes = DefaultBatchBytes
	}
	life, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stream, err := NewConnectorClient(conn).SinkTask(life, callOptions()...)
	if err != nil {
		cancel(err)
		return nil, &StreamError{err}
	}
	s := &Sink{
		stream: stream, cancel: cancel, received: make(chan struct{}), spec: spec,
		table: Table{Log: true}, changed: make(chan struct{}),
	}
	go s.receive()
	s.send(&ToSink{Message: &ToSink_Open{Open: &OpenTask{
		Class: spec.Class, Config: spec.Config, Connector: spec.Connector, Task: int32(spec.Task),
	}}})
	if err := s.wait(ctx, func() bool { return s.opened }); err != nil {
		s.Abort(err)
		return nil, fmt.Errorf("open: %w", err)
	}
	return s, nil
}

// send sends a message: a *ToSink, or a *handover.
func (s *Sink) send(m any) {
	s.sendMu.Lock()
	defer s.sendMu.Unlock()
	if err := s.stream.SendMsg(m); err != nil && !errors.Is(err, io.EOF) {
		s.cancel(err)
	}
}

// receive is the goroutine that reads the stream until it ends.
func (s *Sink) receive() {
	defer close(s.received)
	for {
		m, err := s.stream.Recv()
		if err == nil {
			err = s.handle(m)
		}
		if err != nil {
			s.update(func() {
				if s.ended == nil {
					s.ended = &StreamError{err}
				}
			})
			s.cancel(err)
			return
		}
	}
}

func (s *Sink) update(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
	close(s.changed)
	s.changed = make(chan struct{})
}

// wait blocks until ready, which is called under the lock, or the end of the
// task or ctx.
func (s *Sink) wait(ctx context.Context, ready func() bool) error {
	for {
		s.mu.Lock()
		ok, ended, changed := ready(), s.ended, s.changed
		s.mu.Unlock()
		switch {
		case ok:
			return nil
		case ended != nil:
			return ended
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-changed:
		}
	}
}

func (s *Sink) handle(m *FromSink) error {
	switch m := m.Message.(type) {
	case *FromSink_Opened:
		s.update(func() { s.opened, s.credit = true, clampCredit(s.credit, m.Opened) })
	case *FromSink_Credit:
		s.update(func() { s.credit = clampCredit(s.credit, m.Credit) })
	case *FromSink_PutDone:
		s.update(func() { s.answer = m.PutDone })
	case *FromSink_PreCommitted:
		s.update(func() { s.answer = m.PreCommitted })
	case *FromSink_Done:
		s.update(func() { s.answer = m.Done })
	case *FromSink_Failed:
		s.update(func() { s.ended = failed(m.Failed) })
	case *FromSink_Closed:
		s.update(func() { s.closed = true })
	case *FromSink_Figures:
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.figures.take(m.Figures)
	default:
		return s.spec.Events.handle(m)
	}
	return nil
}

// Figures returns what the task has counted, in the order of names. It may be
// called any time.
func (s *Sink) Figures() []Figure {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.figures.list()
}

// maxCredit bounds the bytes that a sink may ask to have in flight.
const maxCredit = MaxPayload

func clampCredit(have int64, more uint64) int64 {
	return min(have+int64(min(more, maxCredit)), maxCredit)
}

func (e *SinkEvents) handle(m isFromSink_Message) error {
	switch m := m.(type) {
	case *FromSink_Errant:
		if e.Errant != nil {
			tp := TopicPartition{m.Errant.GetTopic(), m.Errant.GetPartition()}
			e.Errant(tp, m.Errant.GetOffset(), &Error{Class: Record, Err: errors.New(m.Errant.GetText()), Index: -1})
		}
	case *FromSink_Rewind:
		if e.Rewind != nil {
			e.Rewind(m.Rewind.Map())
		}
	case *FromSink_Pause:
		if e.Pause != nil {
			e.Pause(m.Pause.Slice())
		}
	case *FromSink_Resume:
		if e.Resume != nil {
			e.Resume(m.Resume.Slice())
		}
	case *FromSink_TimeoutMs:
		if e.Timeout != nil {
			e.Timeout(time.Duration(min(max(m.TimeoutMs, 0), maxWaitMs)) * time.Millisecond)
		}
	case *FromSink_RequestCommit:
		if e.RequestCommit != nil {
			e.RequestCommit()
		}
	default:
		return protocolErrorf("a message of an unknown kind")
	}
	return nil
}

// Put hands a batch to the task and returns when the task has taken it, with
// the number of records taken, from the first: all of them, or on an error
// those before the piece that failed. The caller repeats a put that failed
// with the rest. An error's Index counts from the batch's first record.
//
// A batch without records tells the task that time has passed. When ctx ends
// first, the task cannot be used any more.
func (s *Sink) Put(ctx context.Context, b *data.Batch) (int, error) {
	s.put++
	for from, last := 0, false; !last; {
		if err := s.wait(ctx, func() bool { return s.credit > 0 || s.putDone() != nil }); err != nil {
			return 0, s.broken(err)
		}
		if s.answered() {
			break // it failed: the task has no use for the rest
		}
		payload, next, err := AppendBatch((*recycled.Get(s.spec.BatchBytes + s.spec.BatchBytes/8))[:0], b, from, &s.table, s.spec.BatchBytes)
		if err != nil {
			s.Abort(err)
			return 0, fmt.Errorf("put: %w", err)
		}
		from, last = next, next == len(b.Records)
		s.mu.Lock()
		s.credit -= int64(len(payload))
		s.mu.Unlock()
		s.send(&handover{&Payload{Sequence: s.put, Payload: payload, Last: last}})
	}
	var done *PutDone
	err := s.wait(ctx, func() bool { done = s.putDone(); return done != nil })
	if err != nil {
		return 0, s.broken(err)
	}
	return putResult(done, len(b.Records))
}

// putResult reads the answer to a put of n records.
func putResult(done *PutDone, n int) (int, error) {
	accepted := int(min(done.Accepted, uint64(n)))
	err := failed(done.Failure)
	if err == nil && accepted < n {
		return accepted, protocolErrorf("it took %d of %d records without saying why", accepted, n)
	}
	if e := (*Error)(nil); errors.As(err, &e) && e.Index >= n {
		e.Index = -1
	}
	return accepted, err
}

// putDone returns the answer to the current put. It is called under the lock.
func (s *Sink) putDone() *PutDone {
	if done, ok := s.answer.(*PutDone); ok && done.Sequence == s.put {
		return done
	}
	return nil
}

func (s *Sink) answered() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.putDone() != nil
}

// broken ends a task that a call gave up on: its answer may still come, and be
// taken for that of another call.
func (s *Sink) broken(err error) error {
	s.Abort(err)
	return err
}

// call sends a request and waits for the answer that match accepts.
func (s *Sink) call(ctx context.Context, m *ToSink, match func(answer any) bool) error {
	s.send(m)
	if err := s.wait(ctx, func() bool { return match(s.answer) }); err != nil {
		return s.broken(err)
	}
	return nil
}

// PreCommit asks the task which offsets may be committed, given that it was
// handed everything before offsets. What it returns is at most that, for
// partitions among them; it may be less, or nothing.
func (s *Sink) PreCommit(ctx context.Context, offsets Offsets) (Offsets, error) {
	s.request++
	var list *OffsetList
	m := &ToSink{Message: &ToSink_PreCommit{PreCommit: NewOffsetList(s.request, offsets, nil)}}
	err := s.call(ctx, m, func(a any) (ok bool) {
		list, ok = a.(*OffsetList)
		return ok && list.Request == s.request
	})
	if err == nil {
		err = failed(list.Failure)
	}
	if err != nil {
		return nil, fmt.Errorf("pre-commit: %w", err)
	}
	return list.Map(), nil
}

// Assign tells the task of partitions that it now gets records of, with the
// offsets at which it starts.
func (s *Sink) Assign(ctx context.Context, offsets Offsets) error {
	s.request++
	m := &ToSink{Message: &ToSink_Assigned{Assigned: NewOffsetList(s.request, offsets, nil)}}
	return s.done(ctx, m, "assign partitions")
}

// Revoke tells the task of partitions that it gets no more records of. lost
// says that somebody else may have them already, so that nothing can be
// committed.
func (s *Sink) Revoke(ctx context.Context, tps []TopicPartition, lost bool) error {
	s.request++
	m := &ToSink{Message: &ToSink_Revoked{Revoked: NewPartitionList(s.request, tps, lost)}}
	return s.done(ctx, m, "revoke partitions")
}

func (s *Sink) done(ctx context.Context, m *ToSink, what string) error {
	var done *Done
	err := s.call(ctx, m, func(a any) (ok bool) {
		done, ok = a.(*Done)
		return ok && done.Request == s.request
	})
	if err == nil {
		err = failed(done.Failure)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// Close has the connector release what it holds and ends the stream. Offsets
// are committed before it. When ctx ends first, the stream is cut.
func (s *Sink) Close(ctx context.Context) error {
	s.send(&ToSink{Message: &ToSink_Close{Close: &Empty{}}})
	err := waitClosed(ctx, s.received, func() (bool, <-chan struct{}) {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.closed, s.changed
	})
	s.Abort(errClosed)
	if err != nil {
		return fmt.Errorf("close: %w", err)
	}
	return nil
}

// Abort cuts the stream. It waits until nothing of the Sink runs any more.
func (s *Sink) Abort(cause error) {
	s.cancel(cause)
	<-s.received
}
