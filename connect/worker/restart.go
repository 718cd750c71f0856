package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/millrace/millrace/connect/connector"
	"github.com/millrace/millrace/connect/task"
)

// restartPolicy says how what failed is started again (errors.restart).
type restartPolicy struct {
	enabled bool
	longest time.Duration
}

// The first pause before a restart, and how long something must have run for
// its earlier failures to be forgotten.
const (
	firstRestart = time.Second
	healthyAfter = 2 * time.Minute
)

// pause is the time before the nth restart in a row, from 0: one second,
// doubled each time, less a random part of up to a quarter so that what failed
// together does not come back together.
func (p restartPolicy) pause(n int) time.Duration {
	d := p.longest
	if n < 30 && firstRestart<<n < d {
		d = firstRestart << n
	}
	return d - time.Duration(rand.Int64N(int64(d)/4+1))
}

// supervise runs op until ctx ends, and again when it fails. Each failure is
// reported with its reason and when the next try comes. It returns when ctx
// ends, after a failure that is not to be mended too.
func supervise(ctx context.Context, p restartPolicy, log *slog.Logger, report func(connector.State, string), restarted func(), op func(context.Context) error) {
	for n := 0; ; n++ {
		began := time.Now()
		err := op(ctx)
		if ctx.Err() != nil {
			if err != nil {
				log.Warn("stopped with an error", "err", err)
			}
			report(connector.Unassigned, "")
			return
		}
		if err == nil {
			err = fmt.Errorf("ended by itself, which it must not before it is stopped")
		}
		if time.Since(began) >= healthyAfter {
			n = 0
		}
		if errors.Is(err, task.ErrTakenOver) {
			// Not the connector's failure, and errors.restart has no say in it. If
			// the task is another worker's by now, ctx ends before long; a worker
			// that is not sure of its place does not get as far as writing.
			log.Warn("ended by another producer, starting again", "err", err)
			report(connector.Unassigned, "")
			if !sleep(ctx, firstRestart) {
				return
			}
			restarted()
			continue
		}
		if !p.enabled {
			log.Error("failed; errors.restart is off", "err", err)
			report(connector.Failed, err.Error())
			<-ctx.Done()
			return
		}
		pause := p.pause(n)
		log.Error("failed, starting again", "err", err, "pause", pause, "failures", n+1)
		report(connector.Failed, fmt.Sprintf("%v\nIt is started again in %s (failure %d in a row).", err, pause.Round(time.Millisecond), n+1))
		if !sleep(ctx, pause) {
			return // FAILED is the last word
		}
		restarted()
	}
}

// sleep waits, and reports whether ctx let it.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
