package sdk

import (
	"sync"
	"time"

	"github.com/millrace/millrace/plugins/proto"
)

// progressEvery is how often a task is asked for its progress.
const progressEvery = time.Second

// progress tells the worker of a task's progress, as long as it changes, until
// the function that it returns is called.
func (t *sourceTask) progress(task Task) (stop func()) {
	r, ok := task.(ProgressReporter)
	if !ok {
		return func() {}
	}
	done := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		tick := time.NewTicker(progressEvery)
		defer tick.Stop()
		var told Progress
		for {
			select {
			case <-done:
				return
			case <-t.life.Done():
				return
			case <-tick.C:
			}
			var now Progress
			err := guard(t.log, "Progress", func() error { now = r.Progress(); return nil })
			if err != nil {
				t.log.Warn("progress of the task", "err", err)
				return
			}
			if now != told {
				told = now
				t.tell(proto.ProgressMessage(now))
			}
		}
	})
	return func() { close(done); running.Wait() }
}
