package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/millrace/millrace/connect/connector"
	"github.com/millrace/millrace/connect/task"
	"github.com/millrace/millrace/plugins/host"
)

// restartPolicy says how what failed is started again (errors.restart).
type restartPolicy struct {
	enabled bool
	longest time.Duration
	// crashes in a row that get nothing done end the restarts, unless it is
	// below 1; progress counts what got done, nil for nothing.
	crashes  int
	progress func() int64
}

// done is what got done so far.
func (p restartPolicy) done() int64 {
	if p.progress == nil {
		return 0
	}
	return p.progress()
}

// crashed reports whether an error is the end of a process that was not told to
// end.
func crashed(err error) bool {
	var start *host.StartError
	return errors.As(err, new(*host.ExitError)) || errors.As(err, &start) && start.Reason == host.DiedAtStart
}

// withOutput adds to an error what the process that ended printed last, so that
// it is in the trace.
func withOutput(err error) error {
	var exit *host.ExitError
	if !errors.As(err, &exit) || len(exit.Last) < 2 {
		return err
	}
	return fmt.Errorf("%w\nIts last output:\n%s", err, strings.Join(exit.Last, "\n"))
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
	crashes := 0
	for n := 0; ; n++ {
		began, before := time.Now(), p.done()
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
			n, crashes = 0, 0
		}
		if crashes++; !crashed(err) || p.done() != before {
			crashes = 0
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
		if p.crashes > 0 && crashes >= p.crashes {
			log.Error("crashed too often; it is not started again", "err", err, "crashes", crashes)
			report(connector.Failed, fmt.Sprintf("%v\nIt has crashed %d times in a row without getting anything done, and is not started again by itself "+
				"(errors.restart.crashes.max). Mend the cause, and restart it or change its config.", err, crashes))
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
