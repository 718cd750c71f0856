package proto

import (
	"math"
	"strings"
	"testing"
	"time"
)

func TestProgressOfAnyConnector(t *testing.T) {
	for _, tt := range []struct {
		name string
		in   *Progress
		want WorkProgress
	}{
		{"none", &Progress{}, WorkProgress{}},
		{"half", &Progress{Work: "snapshot", Records: 5, Done: 0.5, PerSecond: 2, LeftMs: 1500}, WorkProgress{"snapshot", 5, 0.5, 2, 1500 * time.Millisecond}},
		{"unknown end", &Progress{Work: "w", Done: -1, LeftMs: -1}, WorkProgress{"w", 0, -1, 0, -1}},
		{"nonsense", &Progress{Work: "w", Records: -5, Done: math.NaN(), PerSecond: math.Inf(1), LeftMs: -5}, WorkProgress{"w", 0, -1, 0, -1}},
		{"too much", &Progress{Work: strings.Repeat("x", 1000), Done: 7, LeftMs: math.MaxInt64}, WorkProgress{strings.Repeat("x", maxWork), 0, 1, 0, math.MaxInt64 / time.Millisecond * time.Millisecond}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := workProgress(tt.in); got != tt.want {
				t.Errorf("progress is %+v, want %+v", got, tt.want)
			}
		})
	}
}
