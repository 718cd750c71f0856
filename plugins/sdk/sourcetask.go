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

// sourceTask is one running source task: the stream's handler reads messages
// into its state, run opens and polls the connector, acks passes on
// acknowledgements.
type sourceTask struct {
	stream grpc.BidiStreamingServer[proto.ToSource, proto.FromSource]
	open   *proto.OpenTask
	log    *slog.Logger

	life     context.Context // ends with the stream
	end      context.CancelCauseFunc
	polling  context.Context // ends with a stop as well
	stopPoll context.CancelCauseFunc

	sendMu sync.Mutex // guards stream.Send

	mu      sync.Mutex // guards below
	credit  int64
	paused  bool
	closing bool
	ledger  ledger
	pending map[uint64]chan *proto.OffsetsReply
	request uint64
	changed chan struct{}

	// run's own
	batch    data.Batch
	buf      []byte
	table    proto.Table
	sequence uint64
	records  uint64
}

// SourceTask implements the service.
func (s *server) SourceTask(stream grpc.BidiStreamingServer[proto.ToSource, proto.FromSource]) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	if first.GetOpen() == nil {
		return errors.New("a source's stream must begin with open")
	}
	t := &sourceTask{
		stream: stream, open: first.GetOpen(), log: s.log,
		credit:  int64(min(first.GetOpen().Credit, 1<<40)),
		pending: make(map[uint64]chan *proto.OffsetsReply), changed: make(chan struct{}),
	}
	t.life, t.end = context.WithCancelCause(withTask(stream.Context(), s.log, t.open))
	t.polling, t.stopPoll = context.WithCancelCause(context.WithValue(t.life, definesTransactions{}, t.open.DefinesTransactions))
	s.tasks.Add(1)
	done := make(chan struct{})
	go func() {
		defer s.tasks.Done()
		defer close(done)
		t.run(s)
	}()
	for {
		m, err := stream.Recv()
		if err != nil {
			t.end(errGone)
			<-done
			return nil // the worker ended the stream and knows why
		}
		t.handle(m)
	}
}

func (t *sourceTask) send(m *proto.FromSource) error {
	t.sendMu.Lock()
	defer t.sendMu.Unlock()
	return t.stream.Send(m)
}

// update changes the state under the lock and wakes all who wait.
func (t *sourceTask) update(change func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	change()
	close(t.changed)
	t.changed = make(chan struct{})
}

// wait blocks until ready, which is called under the lock, or the end of ctx.
func (t *sourceTask) wait(ctx context.Context, ready func() bool) error {
	for {
		t.mu.Lock()
		ok, changed := ready(), t.changed
		t.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-changed:
		}
	}
}

// handle takes in a message of the worker. It never blocks.
func (t *sourceTask) handle(m *proto.ToSource) {
	switch m := m.Message.(type) {
	case *proto.ToSource_Credit:
		t.update(func() { t.credit += int64(min(m.Credit, 1<<40)) })
	case *proto.ToSource_Acked:
		t.update(func() { t.ledger.acked = max(t.ledger.acked, m.Acked) })
	case *proto.ToSource_OffsetsStored:
		t.update(func() {
			t.ledger.stored = max(t.ledger.stored, m.OffsetsStored)
			t.ledger.acked = max(t.ledger.acked, m.OffsetsStored) // an offset is stored after its records
		})
	case *proto.ToSource_Pause:
		t.update(func() { t.paused = true })
	case *proto.ToSource_Resume:
		t.update(func() { t.paused = false })
	case *proto.ToSource_Stop:
		t.stopPoll(ErrStopping)
	case *proto.ToSource_Close:
		t.stopPoll(ErrStopping)
		t.update(func() { t.closing = true })
	case *proto.ToSource_Offsets:
		t.mu.Lock()
		reply := t.pending[m.Offsets.GetRequest()]
		delete(t.pending, m.Offsets.GetRequest())
		t.mu.Unlock()
		if reply != nil {
			reply <- m.Offsets // has room
		}
	default:
		t.log.Warn("message of an unknown kind from the worker")
	}
}

// run is the life of the task: open, poll until a stop, wait for the last
// acknowledgements, close.
func (t *sourceTask) run(s *server) {
	task, err := t.start(s)
	reported := reporting(t.life, func(l *proto.FigureList) {
		t.tell(&proto.FromSource{Message: &proto.FromSource_Figures{Figures: l}})
	})
	if err == nil {
		err = t.work(task)
	}
	if err != nil && t.life.Err() == nil {
		t.tell(&proto.FromSource{Message: &proto.FromSource_Failed{Failed: proto.NewFailure(err)}})
	}
	// After a failure, too, the worker says when it is done with the task.
	if err := t.wait(t.life, func() bool { return t.closing }); err != nil {
		t.log.Debug("task was cut off", "err", err)
	}
	if task != nil {
		if err := guard(t.log, "Close", task.Close); err != nil {
			t.log.Warn("close of the task", "err", err)
		}
	}
	reported()
	if t.life.Err() == nil {
		t.tell(&proto.FromSource{Message: &proto.FromSource_Closed{Closed: &proto.Empty{}}})
	}
}

// tell sends a message whose loss only means that the worker is gone, which
// the stream's handler sees.
func (t *sourceTask) tell(m *proto.FromSource) {
	if err := t.send(m); err != nil {
		t.end(errGone)
	}
}

func (t *sourceTask) start(s *server) (task Task, err error) {
	c, err := s.connector(t.open.Class)
	if err != nil {
		return nil, err
	}
	if c.Source == nil {
		return nil, fmt.Errorf("%s is not a source", c.Name)
	}
	cfg, err := c.parse(t.open.Config)
	if err != nil {
		return nil, err
	}
	err = guard(t.log, "Open", func() (err error) {
		task, err = c.Source.Open(t.polling, cfg, offsetReader{t})
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

// work runs the opened task until it is told to close.
func (t *sourceTask) work(task Task) error {
	acker, _ := task.(Acker)
	committer, _ := task.(Committer)
	t.update(func() { t.ledger.keepRecords, t.ledger.keepPositions = acker != nil, committer != nil })
	t.tell(&proto.FromSource{Message: &proto.FromSource_Opened{Opened: &proto.Empty{}}})
	defer t.progress(task)()
	acking := make(chan error, 1)
	go func() { acking <- t.acks(acker, committer) }()
	err := t.poll(task)
	if err == nil {
		t.tell(&proto.FromSource{Message: &proto.FromSource_Stopped{Stopped: &proto.Empty{}}})
		return <-acking
	}
	t.update(func() { t.ledger.over = true })
	if ackErr := <-acking; ackErr != nil && !errors.Is(err, ackErr) {
		err = errors.Join(err, ackErr)
	}
	return err
}

// poll asks the task for records until it is stopped, when it returns nil.
func (t *sourceTask) poll(task Task) error {
	failures := 0
	for {
		if err := t.wait(t.polling, func() bool { return !t.paused && t.credit > 0 }); err != nil {
			return t.stopCause()
		}
		err := t.fill(task)
		if t.polling.Err() != nil {
			// Stopping: what was polled just now has not left, and will be read
			// again from the stored offset.
			return t.stopCause()
		}
		if err == nil {
			failures = 0
			if err = t.sendBatch(); err != nil {
				return err
			}
			if len(t.batch.Records)+len(t.batch.Positions) == 0 {
				sleep(t.polling, idleWait)
			}
			continue
		}
		asked, ok := retryable(err)
		if !ok {
			return fmt.Errorf("poll: %w", err)
		}
		failures++
		t.tell(&proto.FromSource{Message: &proto.FromSource_Retrying{Retrying: proto.NewFailure(err)}})
		sleep(t.polling, retryWait(failures, asked))
	}
}

// stopCause is nil when polling ended because of a stop, else why an
// acknowledgement ended it.
func (t *sourceTask) stopCause() error {
	if cause := context.Cause(t.polling); !errors.Is(cause, ErrStopping) && t.life.Err() == nil {
		return cause
	}
	return nil
}

// fill polls once, into t.batch.
func (t *sourceTask) fill(task Task) error {
	clear(t.batch.Records)
	t.batch.Records, t.batch.Positions = t.batch.Records[:0], t.batch.Positions[:0]
	return guard(t.log, "Poll", func() error {
		if p, ok := task.(BatchPoller); ok {
			return p.PollBatch(t.polling, &t.batch)
		}
		records, err := task.Poll(t.polling)
		if err != nil {
			return err
		}
		for i := range records {
			if err := appendRecord(&t.batch, &records[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

// sendBatch sends t.batch in pieces, each when there is credit for it.
func (t *sourceTask) sendBatch() error {
	if len(t.batch.Records)+len(t.batch.Positions) == 0 {
		return nil
	}
	for from, first := 0, true; first || from < len(t.batch.Records); first = false {
		if err := t.wait(t.polling, func() bool { return t.credit > 0 }); err != nil {
			return t.stopCause() // the rest will be read again
		}
		payload, next, err := proto.AppendBatch(t.buf[:0], &t.batch, from, &t.table, int(t.open.BatchBytes))
		if err != nil {
			return err
		}
		t.buf = payload
		t.sequence++
		t.records += uint64(next - from)
		t.mu.Lock()
		t.credit -= int64(len(payload))
		t.ledger.add(t.sequence, t.records, &t.batch, from, next)
		t.mu.Unlock()
		p := &proto.Payload{Sequence: t.sequence, Payload: payload, More: next < len(t.batch.Records)}
		if next > from {
			p.End = proto.TransactionEnd(t.batch.Records[next-1].End)
		}
		m := &proto.FromSource_Batch{Batch: p}
		if err := t.send(&proto.FromSource{Message: m}); err != nil {
			t.end(errGone)
			return nil
		}
		from = next
	}
	return nil
}

// offsetReader asks the worker for stored offsets.
type offsetReader struct{ t *sourceTask }

// Offset implements OffsetReader.
func (r offsetReader) Offset(ctx context.Context, partition map[string]any) (Offset, error) {
	all, err := r.Offsets(ctx, []map[string]any{partition})
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

// Offsets implements OffsetReader.
func (r offsetReader) Offsets(ctx context.Context, partitions []map[string]any) ([]Offset, error) {
	if len(partitions) == 0 {
		return nil, nil
	}
	req := &proto.OffsetsRequest{}
	for _, p := range partitions {
		b, err := EncodeMap(p)
		if err != nil {
			return nil, fmt.Errorf("source partition: %w", err)
		}
		req.Partitions = append(req.Partitions, b)
	}
	reply, err := r.ask(ctx, req)
	if err != nil {
		return nil, fmt.Errorf("read stored offsets: %w", err)
	}
	if len(reply.Offsets) != len(partitions) {
		return nil, fmt.Errorf("read stored offsets: %d answers for %d partitions", len(reply.Offsets), len(partitions))
	}
	out := make([]Offset, len(partitions))
	for i, b := range reply.Offsets {
		if out[i], err = DecodeMap(b); err != nil {
			return nil, fmt.Errorf("stored offset: %w", err)
		}
	}
	return out, nil
}

func (r offsetReader) ask(ctx context.Context, req *proto.OffsetsRequest) (*proto.OffsetsReply, error) {
	t, reply := r.t, make(chan *proto.OffsetsReply, 1)
	t.mu.Lock()
	t.request++
	req.Request = t.request
	t.pending[req.Request] = reply
	t.mu.Unlock()
	defer func() {
		t.mu.Lock()
		delete(t.pending, req.Request)
		t.mu.Unlock()
	}()
	if err := t.send(&proto.FromSource{Message: &proto.FromSource_Offsets{Offsets: req}}); err != nil {
		return nil, err
	}
	select {
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-t.life.Done():
		return nil, context.Cause(t.life)
	case r := <-reply:
		if r.Failure != nil {
			// What the worker could not read now it may read later.
			return nil, Retry(errors.New(r.Failure.Text), time.Duration(0))
		}
		return r, nil
	}
}
