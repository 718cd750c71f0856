package worker

import (
	"math"
	"sync"
	"time"

	"github.com/millrace/millrace/connect/connector"
	"github.com/millrace/millrace/plugins/host"
)

const (
	// lookEvery is how often a task's progress is looked at, for metrics.
	lookEvery = time.Second
	// tellEvery is how often it is written to the status topic, at most.
	tellEvery = 5 * time.Second
)

// follow keeps the progress of a source task's life, and reports it as a part
// of its status, until the function that it returns is called.
func (t *taskRun) follow(progress func() host.Progress) (stop func()) {
	done := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		tick := time.NewTicker(lookEvery)
		defer tick.Stop()
		var told host.Progress
		var at time.Time
		for {
			select {
			case <-done:
				t.setWork(host.Progress{})
				return
			case <-tick.C:
			}
			now := progress()
			state := t.setWork(now)
			over := now.Work == "" && told.Work != ""
			if state == connector.Running && (over || now != told && time.Since(at) >= tellEvery) {
				told, at = now, time.Now()
				t.tell(connector.Running, "")
			}
		}
	})
	return func() { close(done); running.Wait() }
}

// setWork notes the progress and returns the task's state.
func (r *running) setWork(p host.Progress) connector.State {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.work = p
	return r.states.now()
}

// progressOf is a progress as statuses have it, nil for none.
func progressOf(p host.Progress) *connector.Progress {
	if p.Work == "" {
		return nil
	}
	out := &connector.Progress{Work: p.Work, Records: p.Records, PerSecond: math.Round(p.PerSecond)}
	if p.Done >= 0 {
		percent := math.Round(p.Done*1000) / 10
		out.Percent = &percent
	}
	if p.Left >= 0 {
		left := math.Round(p.Left.Seconds())
		out.SecondsLeft = &left
	}
	return out
}
