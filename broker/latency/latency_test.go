package latency

import (
	"testing"
	"time"
)

func TestHistogram(t *testing.T) {
	var h Histogram
	for _, d := range []time.Duration{0, Bounds[0], Bounds[0] + 1, time.Hour} {
		h.Observe(d)
	}
	s := h.Snapshot()
	if s.Count() != 4 || s.Took[0] != 2 || s.Took[1] != 1 || s.Took[len(Bounds)] != 1 || s.Sum != time.Hour+2*Bounds[0]+1 {
		t.Errorf("Snapshot = %+v", s)
	}
	if n := testing.AllocsPerRun(100, func() { h.Observe(time.Second) }); n != 0 {
		t.Errorf("Observe allocates %g times", n)
	}
}
