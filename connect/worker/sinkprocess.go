package worker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/millrace/millrace/connect/connector"
	"github.com/millrace/millrace/connect/task"
	"github.com/millrace/millrace/plugins/data"
	"github.com/millrace/millrace/plugins/host"
)

// How long a sink's process may take to answer. A put may take as long as the
// group lets its member stay away (max.poll.interval.ms).
const (
	putTimeout  = 5 * time.Minute
	callTimeout = time.Minute
)

// sinkProcess is a task.Sink over a sink's process. When the task is stopped,
// a call under way gets the grace to end, and is then cut off.
type sinkProcess struct {
	process *host.Sink
	stopped context.Context // ends when the task is stopped
	grace   time.Duration
	open    func() bool // whether the task is this worker's at this moment; nil is always

	mu       sync.Mutex // guards below
	requests task.SinkRequests
}

func newSinkProcess(stopped context.Context, grace time.Duration, open func() bool) *sinkProcess {
	return &sinkProcess{stopped: stopped, grace: grace, open: open}
}

// gatePoll is how often a shut gate is looked at.
const gatePoll = 10 * time.Millisecond

// admit holds a call back while the worker cannot be sure that the task is its
// own: one whose process was frozen may not know yet that it is another's, and
// what it has consumed must not reach the sink. It ends with the answer that
// shows that the worker is still a member, or with the task.
func (s *sinkProcess) admit(ctx context.Context) error {
	for s.open != nil && !s.open() {
		select {
		case <-s.stopped.Done():
			return context.Cause(s.stopped)
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(gatePoll):
		}
	}
	return nil
}

// call bounds one call: by its own limit, and by the grace once the task is
// stopped.
func (s *sinkProcess) call(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	ctx, stop := context.WithTimeoutCause(context.WithoutCancel(ctx), limit, fmt.Errorf("no answer within %s", limit))
	ctx, cut := context.WithCancelCause(ctx)
	unhook := context.AfterFunc(s.stopped, func() {
		if connector.Fenced(s.stopped) {
			cut(connector.ErrFenced)
			return
		}
		timer := time.AfterFunc(s.grace, func() {
			cut(fmt.Errorf("no answer within %s of being stopped (task.shutdown.graceful.timeout.ms)", s.grace))
		})
		context.AfterFunc(ctx, func() { timer.Stop() })
	})
	return ctx, func() { unhook(); cut(nil); stop() }
}

// Assigned implements task.Sink.
func (s *sinkProcess) Assigned(ctx context.Context, starts map[task.TopicPartition]int64) error {
	ctx, stop := s.call(ctx, callTimeout)
	defer stop()
	if err := s.admit(ctx); err != nil {
		return err
	}
	return s.process.Assigned(ctx, toHost(starts))
}

// Revoked implements task.Sink.
func (s *sinkProcess) Revoked(ctx context.Context, parts []task.TopicPartition, lost bool) error {
	ctx, stop := s.call(ctx, callTimeout)
	defer stop()
	out := make([]host.TopicPartition, len(parts))
	for i, p := range parts {
		out[i] = host.TopicPartition(p)
	}
	return s.process.Revoked(ctx, out, lost)
}

// Put implements task.Sink.
func (s *sinkProcess) Put(ctx context.Context, records []data.Record) error {
	ctx, stop := s.call(ctx, putTimeout)
	defer stop()
	if err := s.admit(ctx); err != nil {
		return err
	}
	n, err := s.process.Put(ctx, records)
	var failure *host.Error
	if err == nil || !errors.As(err, &failure) || failure.Class == host.Fatal {
		return err
	}
	return &task.PutError{
		Accepted: n, Transient: failure.Class == host.Transient, RetryAfter: failure.RetryAfter,
		Known: failure.Index >= 0, Record: failure.Index, Err: failure.Err,
	}
}

// PreCommit implements task.Sink.
func (s *sinkProcess) PreCommit(ctx context.Context, current map[task.TopicPartition]int64) (map[task.TopicPartition]int64, error) {
	ctx, stop := s.call(ctx, callTimeout)
	defer stop()
	offsets, err := s.process.PreCommit(ctx, toHost(current))
	return toTask(offsets), err
}

// Requests implements task.Sink.
func (s *sinkProcess) Requests() task.SinkRequests {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.requests
	s.requests = task.SinkRequests{}
	return r
}

// note changes the requests that the loop has not seen yet.
func (s *sinkProcess) note(change func(*task.SinkRequests)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.requests)
}

func (s *sinkProcess) events() host.SinkEvents {
	return host.SinkEvents{
		Errant: func(tp host.TopicPartition, offset int64, err error) {
			s.note(func(r *task.SinkRequests) {
				where := task.Coordinates{Topic: tp.Topic, Partition: tp.Partition, Offset: offset}
				r.Errant = append(r.Errant, task.Errant{Record: where, Text: err.Error()})
			})
		},
		Rewind: func(offsets host.Offsets) {
			s.note(func(r *task.SinkRequests) {
				if r.Rewind == nil {
					r.Rewind = map[task.TopicPartition]int64{}
				}
				maps.Copy(r.Rewind, toTask(offsets))
			})
		},
		Pause: func(parts []host.TopicPartition) {
			s.note(func(r *task.SinkRequests) { move(parts, &r.Resume, &r.Pause) })
		},
		Resume: func(parts []host.TopicPartition) {
			s.note(func(r *task.SinkRequests) { move(parts, &r.Pause, &r.Resume) })
		},
		Timeout:       func(d time.Duration) { s.note(func(r *task.SinkRequests) { r.Wake = d }) },
		RequestCommit: func() { s.note(func(r *task.SinkRequests) { r.Commit = true }) },
	}
}

// move notes partitions in one list and takes them out of the other: the last
// word counts.
func move(parts []host.TopicPartition, from, to *[]task.TopicPartition) {
	for _, p := range parts {
		tp := task.TopicPartition(p)
		*from = slices.DeleteFunc(*from, func(x task.TopicPartition) bool { return x == tp })
		*to = append(*to, tp)
	}
}

func toHost(in map[task.TopicPartition]int64) host.Offsets {
	out := make(host.Offsets, len(in))
	for tp, o := range in {
		out[host.TopicPartition(tp)] = o
	}
	return out
}

func toTask(in host.Offsets) map[task.TopicPartition]int64 {
	out := make(map[task.TopicPartition]int64, len(in))
	for tp, o := range in {
		out[task.TopicPartition(tp)] = o
	}
	return out
}
