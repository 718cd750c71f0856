package task

import (
	"testing"
	"time"
)

func TestWindow(t *testing.T) {
	var w window
	now := time.Unix(1000, 0)
	at := func(seconds int) time.Time { return now.Add(time.Duration(seconds) * time.Second) }
	if got := w.spread(now); got != (Spread{}) || w.rate(now) != 0 {
		t.Errorf("an empty window has %v, rate %v", got, w.rate(now))
	}
	w.add(at(0), 30)
	w.add(at(10), 60)
	if got, rate := w.spread(at(10)), w.rate(at(10)); got != (Spread{45, 60}) || rate != 3 {
		t.Errorf("in the first slot %v, rate %v", got, rate)
	}
	w.add(at(40), 0) // the second slot
	if got, rate := w.spread(at(45)), w.rate(at(45)); got != (Spread{30, 60}) || rate != 2 {
		t.Errorf("over two slots %v, rate %v", got, rate)
	}
	if got := w.spread(at(61)); got != (Spread{0, 0}) {
		t.Errorf("when the first is over %v", got)
	}
	w.add(at(75), 7)
	if got := w.spread(at(80)); got != (Spread{3.5, 7}) {
		t.Errorf("in the third slot %v", got)
	}
	if got := w.rate(at(200)); got != 0 {
		t.Errorf("long after all rate %v", got)
	}
}
