package main

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// story records what happens to units, in order.
type story struct {
	mu    sync.Mutex
	lines []string
}

func (s *story) add(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, line)
}

// steady is a unit that runs until it is told to stop.
func (s *story) steady(name string) unit {
	return unit{name, func(ctx context.Context, ready func()) error {
		s.add("start " + name)
		ready()
		<-ctx.Done()
		s.add("stop " + name)
		return nil
	}}
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func TestUnitsStopInReverseOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s story
		ctx, cancel := context.WithCancel(t.Context())
		ready := func() error { s.add("ready"); cancel(); return nil }
		if err := runUnits(ctx, quiet(), []unit{s.steady("a"), s.steady("b")}, ready, time.Second); err != nil {
			t.Errorf("runUnits: %v", err)
		}
		want := []string{"start a", "start b", "ready", "stop b", "stop a"}
		if !slices.Equal(s.lines, want) {
			t.Errorf("got %v, want %v", s.lines, want)
		}
	})
}

func TestUnitsThatFailEndTheOthers(t *testing.T) {
	broken := errors.New("disk on fire")
	for _, tt := range []struct {
		name string
		run  func(ctx context.Context, ready func()) error
		want []string
	}{
		{"at start", func(context.Context, func()) error { return broken }, []string{"start a", "stop a"}},
		{"later", func(_ context.Context, ready func()) error {
			ready()
			time.Sleep(time.Second) // virtual
			return broken
		}, []string{"start a", "start c", "ready", "stop c", "stop a"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var s story
				units := []unit{s.steady("a"), {"b", tt.run}, s.steady("c")}
				err := runUnits(t.Context(), quiet(), units, func() error { s.add("ready"); return nil }, time.Second)
				if !errors.Is(err, broken) || !strings.Contains(err.Error(), "b: ") {
					t.Errorf("err %v, want b's", err)
				}
				if !slices.Equal(s.lines, tt.want) {
					t.Errorf("got %v, want %v", s.lines, tt.want)
				}
			})
		})
	}
}

func TestUnitThatDoesNotStopIsNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		stuck := unit{"stuck", func(_ context.Context, ready func()) error { ready(); <-release; return nil }}
		ctx, cancel := context.WithCancel(t.Context())
		err := runUnits(ctx, quiet(), []unit{stuck}, func() error { cancel(); return nil }, time.Minute)
		if err == nil || !strings.Contains(err.Error(), "stuck had not stopped after 1m0s") {
			t.Errorf("err %v, want one that names the unit and the deadline", err)
		}
		close(release)
	})
}

func TestUnitThatEndsByItselfIsAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		short := unit{"short", func(_ context.Context, ready func()) error { ready(); return nil }}
		err := runUnits(t.Context(), quiet(), []unit{short}, func() error { return nil }, time.Second)
		if err == nil || !strings.Contains(err.Error(), "short: ended by itself") {
			t.Errorf("err %v, want one about ending", err)
		}
	})
}
