package sdk

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/plugins/proto"
)

// Counter counts something that a task does, from its start on. The worker
// shows it as the metric millrace_connect_task_events_total. It may be used by
// any goroutine.
type Counter struct{ n atomic.Int64 }

// Add adds to the count.
func (c *Counter) Add(n uint64) { c.n.Add(int64(n)) }

// Value returns the count.
func (c *Counter) Value() int64 { return c.n.Load() }

// Gauge is something that a task measures. The worker shows it as the metric
// millrace_connect_task_figure. It may be used by any goroutine.
type Gauge struct{ n atomic.Int64 }

// Set sets the value.
func (g *Gauge) Set(n int64) { g.n.Store(n) }

// Value returns the value.
func (g *Gauge) Value() int64 { return g.n.Load() }

// NewCounter returns the counter of that name of the task whose Open was called
// with ctx. A name is of lower case letters, digits and _; NewCounter panics for
// another, and for more than 64 figures. Without a task it counts for nobody.
func NewCounter(ctx context.Context, name string) *Counter {
	c := &Counter{}
	registerFigure(ctx, name, false, &c.n)
	return c
}

// NewGauge is NewCounter for a value that may fall as well.
func NewGauge(ctx context.Context, name string) *Gauge {
	g := &Gauge{}
	registerFigure(ctx, name, true, &g.n)
	return g
}

// figures are what a task counts.
type figures struct {
	mu  sync.Mutex // guards below
	all []figure
}

type figure struct {
	name  string
	gauge bool
	value *atomic.Int64
	told  int64
	known bool // to the worker
}

type figuresKey struct{}

func registerFigure(ctx context.Context, name string, gauge bool, value *atomic.Int64) {
	if !proto.ValidFigureName(name) {
		panic(fmt.Sprintf("sdk: %q is no name of a figure", name))
	}
	f, ok := ctx.Value(figuresKey{}).(*figures)
	if !ok {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.all) == proto.MaxFigures {
		panic(fmt.Sprintf("sdk: figure %q is one more than %d", name, proto.MaxFigures))
	}
	f.all = append(f.all, figure{name: name, gauge: gauge, value: value})
}

// news returns the figures that have changed since it was called last.
func (f *figures) news() []proto.Figure {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []proto.Figure
	for i := range f.all {
		g := &f.all[i]
		if v := g.value.Load(); v != g.told || !g.known {
			g.told, g.known = v, true
			out = append(out, proto.Figure{Name: g.name, Gauge: g.gauge, Value: v})
		}
	}
	return out
}

// figureInterval is how often changes of figures are told.
const figureInterval = time.Second

// reporting tells changes of the figures of the task that ctx is of, until stop,
// which waits for the last.
func reporting(ctx context.Context, tell func(*proto.FigureList)) (stop func()) {
	f, ok := ctx.Value(figuresKey{}).(*figures)
	if !ok {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		f.report(ctx, func(list []proto.Figure) { tell(proto.NewFigureList(list)) })
	}()
	return func() { cancel(); <-done }
}

// report tells changes from time to time until ctx ends, and then once more.
func (f *figures) report(ctx context.Context, tell func([]proto.Figure)) {
	tick := time.NewTicker(figureInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			f.tell(tell)
			return
		case <-tick.C:
			f.tell(tell)
		}
	}
}

func (f *figures) tell(tell func([]proto.Figure)) {
	if news := f.news(); len(news) > 0 {
		tell(news)
	}
}
