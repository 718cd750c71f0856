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
	"github.com/millrace/millrace/plugins/host"
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
		supervise(ctx, restartPolicy{enabled: true, longest: 5 * time.Second}, slog.New(slog.DiscardHandler), r.report, func() { restarts++ },
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
		supervise(ctx, restartPolicy{enabled: true, longest: time.Hour}, slog.New(slog.DiscardHandler), func(connector.State, string) {}, func() {},
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

// A process that crashes again and again and gets nothing done stays failed,
// with what it printed in the trace; one that gets something done goes on, and
// errors that the connector reports do not count.
func TestSuperviseEndsACrashLoop(t *testing.T) {
	crash := &host.ExitError{Plugin: "p", PID: 7, Code: 2, Last: []string{"one", "panic: out of ideas", "goroutine 1 [running]:"}}
	for _, tt := range []struct {
		name  string
		err   func(life int) error
		moves bool
		lives int
	}{
		{"crashes", func(int) error { return crash }, false, 3},
		{"hidden crashes", func(int) error { return &hiddenError{"hidden", crash} }, false, 3},
		{"dies at start", func(int) error { return &host.StartError{Reason: host.DiedAtStart} }, false, 3},
		{"gets on", func(int) error { return crash }, true, 20},
		{"reports", func(int) error { return errors.New("database is away") }, false, 20},
		{"reports in between", func(life int) error {
			if life%3 == 0 {
				return errors.New("database is away")
			}
			return crash
		}, false, 20},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, stop := context.WithTimeout(t.Context(), 24*time.Hour)
				defer stop()
				var r trail
				lives := 0
				p := restartPolicy{enabled: true, longest: 5 * time.Second, crashes: 3, progress: func() int64 {
					if tt.moves {
						return int64(lives)
					}
					return 0
				}}
				supervise(ctx, p, slog.New(slog.DiscardHandler), r.report, func() {}, func(context.Context) error {
					if lives++; lives == 20 {
						stop()
					}
					return withOutput(tt.err(lives))
				})
				if lives != tt.lives {
					t.Fatalf("%d lives, want %d", lives, tt.lives)
				}
				if last := len(r.states) - 1; tt.lives == 3 && (r.states[last] != connector.Failed || !strings.Contains(r.traces[last], "3 times in a row")) {
					t.Errorf("it ends %s: %s", r.states[last], r.traces[last])
				}
				if tt.name == "crashes" && !strings.Contains(r.traces[0], "goroutine 1 [running]:") {
					t.Errorf("the trace lacks the last output: %s", r.traces[0])
				}
			})
		})
	}
}
