package worker

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace/millrace/connect/connector"
	"github.com/millrace/millrace/connect/task"
)

// TestSinkOfAWorkerThatMayBeGone gives a sink nothing while the worker cannot be
// sure of its membership: neither partitions nor records. The process is nil, so
// that any call that reaches it fails the test.
func TestSinkOfAWorkerThatMayBeGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stopped, fence := context.WithCancelCause(t.Context())
		s := newSinkProcess(stopped, time.Second, func() bool { return false })
		errs := make(chan error, 2)
		go func() { errs <- s.Put(t.Context(), nil) }()
		go func() { errs <- s.Assigned(t.Context(), map[task.TopicPartition]int64{}) }()
		time.Sleep(30 * time.Second)
		select {
		case err := <-errs:
			t.Fatalf("a call ended with %v before anybody knew", err)
		default:
		}
		fence(connector.ErrFenced)
		for range 2 {
			if err := <-errs; !errors.Is(err, connector.ErrFenced) {
				t.Errorf("a call ended with %v", err)
			}
		}
	})
}

// TestSinkGoesOnWithItsWorker holds a call back only until the coordinator has
// answered.
func TestSinkGoesOnWithItsWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var open atomic.Bool
		s := newSinkProcess(t.Context(), time.Second, open.Load)
		began := time.Now()
		time.AfterFunc(time.Second, func() { open.Store(true) })
		if err := s.admit(t.Context()); err != nil || time.Since(began) > time.Second+gatePoll {
			t.Errorf("admitted with %v after %s", err, time.Since(began))
		}
	})
}
