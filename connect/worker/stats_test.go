package worker

import (
	"errors"
	"testing"
	"time"

	"github.com/millrace/millrace/connect/connector"
)

func TestSharesOfStates(t *testing.T) {
	var s states
	began := time.Unix(1000, 0)
	at := func(seconds int) time.Time { return began.Add(time.Duration(seconds) * time.Second) }
	if s.now() != connector.Unassigned || s.share(began, connector.Running) != 0 {
		t.Errorf("before any state: %s", s.now())
	}
	s.enter(at(0), connector.Running)
	for _, tt := range []struct {
		at              int
		enter           connector.State
		running, paused float64
	}{
		{0, "", 1, 0},
		{10, "", 1, 0},
		{10, connector.Paused, 1, 0},
		{20, "", 0.5, 0.5},
		{30, "", 1.0 / 3, 2.0 / 3},
		{40, "", 0, 1},
		{40, connector.Failed, 0, 1},
		{55, "", 0, 0.5},
		{55, connector.Running, 0, 0.5},
		{85, "", 1, 0},
	} {
		if tt.enter != "" {
			s.enter(at(tt.at), tt.enter)
		}
		if r, p := s.share(at(tt.at), connector.Running), s.share(at(tt.at), connector.Paused); !near(r, tt.running) || !near(p, tt.paused) {
			t.Errorf("at %d s after %q: running %v, paused %v; want %v and %v", tt.at, tt.enter, r, p, tt.running, tt.paused)
		}
	}
	for n := range 10_000 {
		s.enter(at(100+n), connector.Running)
	}
	if len(s.past) > 32 {
		t.Errorf("%d states are remembered", len(s.past))
	}
}

func near(a, b float64) bool { return a-b < 1e-9 && b-a < 1e-9 }

func TestStartsAreCountedOnce(t *testing.T) {
	var s starts
	for _, life := range []struct {
		ups int
		err error
	}{{2, errors.New("later")}, {0, errors.New("at start")}, {1, nil}, {0, nil}} {
		up, ended := s.begin()
		for range life.ups {
			up()
		}
		ended(life.err)
	}
	if got := s.count(); got != (Starts{Attempts: 4, Successes: 2, Failures: 1}) {
		t.Errorf("%+v", got)
	}
}
