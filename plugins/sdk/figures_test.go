package sdk

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace/millrace/plugins/proto"
)

func TestFigures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := context.WithValue(t.Context(), figuresKey{}, &figures{})
		lines, behind := NewCounter(ctx, "lines"), NewGauge(ctx, "behind_bytes")
		var told []*proto.FigureList
		stop := reporting(ctx, func(l *proto.FigureList) { told = append(told, l) })
		lines.Add(2)
		behind.Set(7)
		time.Sleep(figureInterval + time.Millisecond) // of the bubble's clock
		synctest.Wait()
		behind.Set(3)
		lines.Add(1)
		behind.Set(7)
		stop()
		var got []string
		for _, l := range told {
			for _, f := range l.Figures {
				got = append(got, f.String())
			}
		}
		if len(told) != 2 || len(got) != 3 || told[0].Figures[0].Value != 2 || !told[0].Figures[1].Gauge || told[1].Figures[0].Value != 3 {
			t.Errorf("the worker was told %q", got)
		}
	})
}

func TestFiguresWithoutATask(t *testing.T) {
	c := NewCounter(t.Context(), "lines")
	if c.Add(3); c.Value() != 3 {
		t.Errorf("the count is %d", c.Value())
	}
}

func TestFigureNames(t *testing.T) {
	for name, want := range map[string]bool{"lines_total": true, "": false, "Lines": false, "a-b": false, "a\nb": false} {
		if proto.ValidFigureName(name) != want {
			t.Errorf("%q: %v", name, !want)
		}
	}
	panics := func(f func()) (did bool) {
		defer func() { did = recover() != nil }()
		f()
		return false
	}
	if !panics(func() { NewGauge(t.Context(), "A") }) {
		t.Error("a bad name is taken")
	}
	ctx := context.WithValue(t.Context(), figuresKey{}, &figures{})
	if !panics(func() {
		for range slices.Repeat([]int{0}, proto.MaxFigures+1) {
			NewCounter(ctx, "a")
		}
	}) {
		t.Error("there is no bound")
	}
}
