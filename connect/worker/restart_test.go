package worker

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace/millrace/connect/connector"
)

// trail records reported states; traces by index.
type trail struct {
	states []connector.State
	traces []string
}

func (r *trail) report(s connector.State, trace string) {
	r.states, r.traces = append(r.states, s), append(r.traces, trace)
}

func TestSuperviseRestartsWithGrowingPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		var r trail
		var starts []time.Time
		restarts := 0
		supervise(ctx, restartPolicy{true, 5 * time.Second}, slog.New(slog.DiscardHandler), r.report, func() { restarts++ },
			func(context.Context) error {
				if starts = append(starts, time.Now()); len(starts) == 6 {
					stop()
					return nil
				}
				return errors.New("boom")
			})
		if len(starts) != 6 || restarts != 5 {
			t.Fatalf("%d starts, %d restarts; want 6 and 5", len(starts), restarts)
		}
		for i, longest := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 5 * time.Second, 5 * time.Second} {
			if pause := starts[i+1].Sub(starts[i]); pause > longest || pause < longest*3/4 {
				t.Errorf("pause %d is %v, want between 3/4 of %v and all of it", i, pause, longest)
			}
		}
		if !strings.HasPrefix(r.traces[0], "boom\n") || r.states[0] != connector.Failed || r.states[5] != connector.Unassigned {
			t.Errorf("states %v, first trace %q", r.states, r.traces[0])
		}
	})
}

func TestSuperviseForgetsOldFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		var ends, starts []time.Time
		supervise(ctx, restartPolicy{true, time.Hour}, slog.New(slog.DiscardHandler), func(connector.State, string) {}, func() {},
			func(context.Context) error {
				starts = append(starts, time.Now())
				switch len(starts) {
				case 4:
					time.Sleep(healthyAfter) // virtual
				case 5:
					stop()
				}
				ends = append(ends, time.Now())
				return errors.New("boom")
			})
		if pause := starts[4].Sub(ends[3]); pause > firstRestart {
			t.Errorf("pause after a healthy run is %v, want at most %v", pause, firstRestart)
		}
	})
}

func TestSuperviseLeavesFailedIfToldTo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithTimeout(t.Context(), time.Hour)
		defer stop()
		var r trail
		tries := 0
		supervise(ctx, restartPolicy{}, slog.New(slog.DiscardHandler), r.report, func() {}, func(context.Context) error {
			tries++
			return errors.New("boom")
		})
		if tries != 1 || len(r.states) != 1 || r.states[0] != connector.Failed || r.traces[0] != "boom" {
			t.Errorf("%d tries, states %v, traces %q; want one try that stays FAILED", tries, r.states, r.traces)
		}
	})
}
