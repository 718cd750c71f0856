package proto

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/millrace/millrace/plugins/data"
	"google.golang.org/grpc"
)

// The sizes that a SourceSpec may leave open.
const (
	DefaultWindow     = 4 << 20
	DefaultBatchBytes = 256 << 10
)

// SourceSpec says which task to run and what it may count on.
type SourceSpec struct {
	Class     string
	Config    map[string]string // the task's
	Connector string
	Task      int
	// Window bounds the bytes of batches that were sent and not released, but
	// for one batch beyond it. 0 is DefaultWindow.
	Window int
	// BatchBytes is the size at which the task sends a batch, more or less. 0
	// is DefaultBatchBytes.
	BatchBytes int
	// DefinesTransactions has the connector say where transactions end.
	DefinesTransactions bool
	// Brokers are the addresses of the worker's log.
	Brokers []string
	// Offsets returns what is stored for source partitions (JSON objects), one
	// each, nil where nothing is. It must heed ctx. Nil means that nothing is
	// stored at all.
	Offsets func(ctx context.Context, partitions [][]byte) ([][]byte, error)
	// Retrying, when set, learns of transient errors that the task retries by
	// itself. It must not block.
	Retrying func(error)
}

// SourceBatch is a batch on its way from a source. Its records and positions
// are valid until Release.
type SourceBatch struct {
	data.Batch
	// Sequence counts the batches of a stream from 1.
	Sequence uint64

	// Free is Release as a value, made once.
	Free func()

	payload []byte
	source  *Source
}

// Source is the worker's end of a running source task. Next belongs to one
// goroutine; everything else may be called from any.
type Source struct {
	stream   grpc.BidiStreamingClient[ToSource, FromSource]
	cancel   context.CancelCauseFunc
	received chan struct{} // closed when the receiver is gone
	spec     SourceSpec
	table    Table // Next's

	sendMu sync.Mutex // guards stream.Send

	mu        sync.Mutex // guards below
	queue     []*Payload // received and not taken
	free      []*SourceBatch
	granted   uint64 // bytes ever allowed
	total     uint64 // bytes ever received
	owed      uint64 // bytes released and not yet granted again
	sequence  uint64
	stopping  bool // a stop was asked for
	opened    bool
	stopped   bool
	closed    bool
	ended     error // why no more will come
	changed   chan struct{}
	finalSent bool
	figures   figureSet
	progress  WorkProgress
}

// OpenSource starts a task and waits until its connector has opened it. ctx
// bounds the opening alone; the task lives until Close.
func OpenSource(ctx context.Context, conn grpc.ClientConnInterface, spec SourceSpec) (*Source, error) {
	if spec.Window <= 0 {
		spec.Window = DefaultWindow
	}
	if spec.BatchBytes <= 0 {
		spec.BatchBytes = DefaultBatchBytes
	}
	life, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stream, err := NewConnectorClient(conn).SourceTask(life, callOptions()...)
	if err != nil {
		cancel(err)
		return nil, &StreamError{err}
	}
	s := &Source{
		stream: stream, cancel: cancel, received: make(chan struct{}), spec: spec,
		granted: uint64(spec.Window), changed: make(chan struct{}),
	}
	go s.receive(life)
	open := &OpenTask{
		Class: spec.Class, Config: spec.Config, Connector: spec.Connector, Task: int32(spec.Task),
		Credit: uint64(spec.Window), BatchBytes: uint32(spec.BatchBytes), DefinesTransactions: spec.DefinesTransactions,
		Brokers: spec.Brokers,
	}
	s.send(&ToSource{Message: &ToSource_Open{Open: open}})
	if err := s.wait(ctx, func() bool { return s.opened }); err != nil {
		s.Abort(err)
		return nil, fmt.Errorf("open: %w", err)
	}
	return s, nil
}

// send sends a message. An error of the stream shows at the receiver, which
// knows the reason for it.
func (s *Source) send(m *ToSource) {
	s.sendMu.Lock()
	defer s.sendMu.Unlock()
	if err := s.stream.Send(m); err != nil && !errors.Is(err, io.EOF) {
		s.cancel(err)
	}
}

// receive is the goroutine that reads the stream until it ends.
func (s *Source) receive(life context.Context) {
	defer close(s.received)
	for {
		m, err := s.stream.Recv()
		if err == nil {
			err = s.handle(life, m)
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

// update changes the state under the lock and wakes all who wait.
func (s *Source) update(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
	close(s.changed)
	s.changed = make(chan struct{})
}

// wait blocks until ready, which is called under the lock, or the end of the
// task or ctx.
func (s *Source) wait(ctx context.Context, ready func() bool) error {
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

func (s *Source) handle(life context.Context, m *FromSource) error {
	switch m := m.Message.(type) {
	case *FromSource_Opened:
		s.update(func() { s.opened = true })
	case *FromSource_Batch:
		return s.enqueue(m.Batch)
	case *FromSource_Offsets:
		return s.answerOffsets(life, m.Offsets)
	case *FromSource_Retrying:
		if s.spec.Retrying != nil {
			s.spec.Retrying(failed(m.Retrying))
		}
	case *FromSource_Failed:
		s.update(func() { s.ended = failed(m.Failed) })
	case *FromSource_Stopped:
		s.update(func() { s.stopped = true })
	case *FromSource_Closed:
		s.update(func() { s.closed = true })
	case *FromSource_Figures:
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.figures.take(m.Figures)
	case *FromSource_Progress:
		s.mu.Lock()
		s.progress = workProgress(m.Progress)
		s.mu.Unlock()
	default:
		return protocolErrorf("a message of an unknown kind")
	}
	return nil
}

func (s *Source) enqueue(p *Payload) error {
	s.mu.Lock()
	sequence, overdrawn, opened := s.sequence+1, s.total >= s.granted, s.opened && !s.stopped
	s.mu.Unlock()
	switch {
	case !opened:
		return protocolErrorf("a batch before the task is open or after it stopped")
	case p.GetSequence() != sequence:
		return protocolErrorf("batch %d where %d is expected", p.GetSequence(), sequence)
	case overdrawn:
		return protocolErrorf("batch %d is beyond the credit of %d bytes", sequence, s.spec.Window)
	}
	s.update(func() {
		s.sequence = sequence
		s.total += uint64(len(p.Payload))
		s.queue = append(s.queue, p)
	})
	return nil
}

// answerOffsets asks the worker for stored offsets. It holds up the stream,
// which is harmless: sources ask when they open or meet something new.
func (s *Source) answerOffsets(life context.Context, req *OffsetsRequest) error {
	reply := &OffsetsReply{Request: req.GetRequest()}
	n := len(req.GetPartitions())
	if n > MaxRecords {
		return protocolErrorf("it asks for the offsets of %d partitions where %d are allowed", n, MaxRecords)
	}
	offsets := make([][]byte, n)
	var err error
	if s.spec.Offsets != nil {
		if offsets, err = s.spec.Offsets(life, req.GetPartitions()); err == nil && len(offsets) != n {
			err = fmt.Errorf("%d offsets for %d partitions", len(offsets), n)
		}
	}
	reply.Offsets, reply.Failure = offsets, NewFailure(err)
	s.send(&ToSource{Message: &ToSource_Offsets{Offsets: reply}})
	return nil
}

// Next returns the next batch. It returns io.EOF after Stop, once all batches
// were returned; an *Error when the task failed; a *StreamError when its
// process is gone or broke the protocol. Batches that came before are returned
// first.
func (s *Source) Next(ctx context.Context) (*SourceBatch, error) {
	err := s.wait(ctx, func() bool { return len(s.queue) > 0 || s.stopped })
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	if len(s.queue) == 0 {
		s.mu.Unlock()
		return nil, io.EOF
	}
	p := s.queue[0]
	s.queue = slices.Delete(s.queue, 0, 1)
	var b *SourceBatch
	if n := len(s.free); n > 0 {
		b, s.free = s.free[n-1], s.free[:n-1]
	} else {
		b = &SourceBatch{source: s}
		b.Free = b.Release
	}
	s.mu.Unlock()
	b.Sequence, b.payload = p.Sequence, p.Payload
	if err := DecodeBatch(p.Payload, &s.table, &b.Batch); err != nil {
		s.Abort(err)
		return nil, &StreamError{err}
	}
	if b.More, b.End = p.More, data.TransactionEnd(p.End); b.End > data.Abort {
		err := protocolErrorf("batch %d ends a transaction in an unknown way", p.Sequence)
		s.Abort(err)
		return nil, &StreamError{err}
	}
	return b, nil
}

// maxFree bounds the batches that are kept for their capacity.
const maxFree = 16

// Release gives the batch's memory back and lets the task send as much again.
// The batch must not be touched after it.
func (b *SourceBatch) Release() {
	s, n := b.source, uint64(len(b.payload))
	b.payload = nil
	s.mu.Lock()
	if len(s.free) < maxFree {
		s.free = append(s.free, b)
	}
	s.owed += n
	credit := uint64(0)
	if s.owed >= uint64(s.spec.Window)/4 {
		credit, s.owed = s.owed, 0
		s.granted += credit
	}
	s.mu.Unlock()
	if credit > 0 {
		s.send(&ToSource{Message: &ToSource_Credit{Credit: credit}})
	}
}

// Ack tells the task that all records of the batches up to sequence are
// durably in the log.
func (s *Source) Ack(sequence uint64) {
	s.send(&ToSource{Message: &ToSource_Acked{Acked: sequence}})
}

// OffsetsStored tells the task that the source offsets of the batches up to
// sequence are durably stored as well. Only now may it acknowledge upstream.
func (s *Source) OffsetsStored(sequence uint64) {
	s.send(&ToSource{Message: &ToSource_OffsetsStored{OffsetsStored: sequence}})
}

// Received returns the bytes of batches that have ever arrived.
func (s *Source) Received() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.total
}

// Figures returns what the task has counted, in the order of names.
func (s *Source) Figures() []Figure {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.figures.list()
}

// Err returns why the task has ended, nil while it runs.
func (s *Source) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ended
}

// Pause keeps the task from polling until Resume. Batches that are on their
// way still arrive.
func (s *Source) Pause() { s.send(&ToSource{Message: &ToSource_Pause{Pause: &Empty{}}}) }

// Resume undoes Pause.
func (s *Source) Resume() { s.send(&ToSource{Message: &ToSource_Resume{Resume: &Empty{}}}) }

// Stop has the task stop polling and returns when it has. Next then returns
// the batches that were on their way, and io.EOF. Acknowledge them, then Close.
func (s *Source) Stop(ctx context.Context) error {
	s.mu.Lock()
	again := s.stopping
	s.stopping = true
	s.mu.Unlock()
	if !again {
		s.send(&ToSource{Message: &ToSource_Stop{Stop: &Empty{}}})
	}
	if err := s.wait(ctx, func() bool { return s.stopped }); err != nil {
		return fmt.Errorf("stop: %w", err)
	}
	return nil
}

// Close has the connector release what it holds and ends the stream. It is
// called once no more acknowledgements will come, and may be called without
// Stop and after a failure. When ctx ends first, the stream is cut.
func (s *Source) Close(ctx context.Context) error {
	s.mu.Lock()
	again := s.finalSent
	s.finalSent = true
	s.mu.Unlock()
	if !again {
		s.send(&ToSource{Message: &ToSource_Close{Close: &Empty{}}})
	}
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

var errClosed = errors.New("the task is closed")

// Abort cuts the stream. It waits until nothing of the Source runs any more.
func (s *Source) Abort(cause error) {
	s.cancel(cause)
	<-s.received
}

// waitClosed waits until a task has answered that it is closed, which it does
// after a failure as well, or its stream or ctx ends.
func waitClosed(ctx context.Context, received <-chan struct{}, state func() (bool, <-chan struct{})) error {
	for {
		closed, changed := state()
		if closed {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-changed:
		case <-received:
			if closed, _ := state(); !closed {
				return &StreamError{errors.New("it ended before the task was closed")}
			}
		}
	}
}
