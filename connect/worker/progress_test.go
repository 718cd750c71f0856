package worker

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace/millrace/connect/connector"
	"github.com/millrace/millrace/plugins/host"
)

func TestProgressIsAPartOfTheStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &running{}
		r.states.enter(time.Now(), connector.Running)
		var now atomic.Pointer[host.Progress]
		now.Store(&host.Progress{})
		var told []*connector.Progress
		run := &taskRun{running: r, tell: func(s connector.State, _ string) { told = append(told, r.progress(s)) }}
		stop := run.follow(func() host.Progress { return *now.Load() })
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if len(told) > 0 {
			t.Fatalf("statuses %v of a task without progress", told)
		}
		for i := range 12 {
			now.Store(&host.Progress{Work: "snapshot", Records: int64(i), Done: float64(i) / 16, PerSecond: 1, Left: time.Minute})
			time.Sleep(time.Second)
		}
		synctest.Wait()
		if len(told) < 2 || len(told) > 3 {
			t.Errorf("%d statuses in 12 seconds", len(told))
		}
		if p := told[0]; p == nil || p.Work != "snapshot" || p.Percent == nil || *p.SecondsLeft != 60 {
			t.Errorf("status has %+v", told[0])
		}
		now.Store(&host.Progress{})
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if told[len(told)-1] != nil {
			t.Errorf("the last status has %+v after the end", told[len(told)-1])
		}
		stop()
	})
}
