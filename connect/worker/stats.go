package worker

import (
	"sort"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/connect/connector"
	"github.com/millrace/millrace/connect/task"
	"github.com/millrace/millrace/plugins/host"
)

// Stats are a worker's figures at one moment. Connectors and tasks are in
// order.
type Stats struct {
	Connectors      []ConnectorStats
	Tasks           []TaskStats
	ConnectorStarts Starts
	TaskStarts      Starts
}

// Starts counts lives: those begun, those that came as far as to run, and those
// that failed before.
type Starts struct{ Attempts, Successes, Failures int64 }

// ConnectorStats are the figures of one connector object.
type ConnectorStats struct {
	Name    string
	Kind    connector.Kind
	Class   string
	Version string // of its plugin, "" before it was found
	State   connector.State
}

// TaskStats are the figures of one task.
type TaskStats struct {
	ID     connector.TaskID
	Sink   bool
	State  connector.State
	Counts task.Counts
	// Running and Paused are the shares of the last 30 seconds.
	Running, Paused float64
	Restarts        int64
	Version         string        // of the plugin that runs, "" while none does
	PID             int           // of its process, 0 while it has none
	MemoryBytes     int64         // resident memory of its process
	MemoryLimit     int64         // at which the process is killed, 0 for none
	CPU             time.Duration // of its present process
	Uptime          time.Duration // of its present process
	Figures         []Figure      // what its connector counts, in the order of names
	Progress        host.Progress // Work is "" while there is none
}

// Figure is something that a connector counts of its own work.
type Figure struct {
	Name  string
	Gauge bool // it may fall as well; else it counts from the start of the task
	Value int64
}

// Stats returns the worker's figures.
func (w *Worker) Stats() Stats {
	w.mu.Lock()
	var s Stats
	for _, c := range w.connectors {
		s.Connectors = append(s.Connectors, c.stats())
	}
	var all []*running
	for _, r := range w.tasks {
		all = append(all, r)
	}
	w.mu.Unlock()
	now := time.Now()
	for _, r := range all {
		s.Tasks = append(s.Tasks, r.figures(now))
	}
	s.ConnectorStarts, s.TaskStarts = w.connectorStarts.count(), w.taskStarts.count()
	sort.Slice(s.Connectors, func(i, j int) bool { return s.Connectors[i].Name < s.Connectors[j].Name })
	sort.Slice(s.Tasks, func(i, j int) bool {
		a, b := s.Tasks[i].ID, s.Tasks[j].ID
		return a.Connector < b.Connector || a.Connector == b.Connector && a.Task < b.Task
	})
	return s
}

// starts counts lives.
type starts struct{ attempts, successes, failures atomic.Int64 }

func (s *starts) count() Starts {
	return Starts{s.attempts.Load(), s.successes.Load(), s.failures.Load()}
}

// begin counts a life and returns what is to be called when it has come as far
// as to run, and when it has ended.
func (s *starts) begin() (up func(), ended func(error)) {
	s.attempts.Add(1)
	var ran atomic.Bool
	return func() {
			if !ran.Swap(true) {
				s.successes.Add(1)
			}
		}, func(err error) {
			if err != nil && !ran.Load() {
				s.failures.Add(1)
			}
		}
}

// object is a connector object of this worker, through all its restarts.
type object struct {
	name, class string
	kind        connector.Kind
	states      states
	version     atomic.Pointer[string] // of the plugin of its last life, nil before any
}

func (o *object) stats() ConnectorStats {
	c := ConnectorStats{Name: o.name, Kind: o.kind, Class: o.class, State: o.states.now()}
	if v := o.version.Load(); v != nil {
		c.Version = *v
	}
	return c
}

// running is a task of this worker, through all its restarts.
type running struct {
	id       connector.TaskID
	sink     bool
	stats    task.Stats
	restarts atomic.Int64
	states   states

	mu      sync.Mutex    // guards below
	process *taskProcess  // nil while there is none
	work    host.Progress // of a source; Work is "" for none
}

// progress is what goes with a state.
func (r *running) progress(s connector.State) *connector.Progress {
	if s != connector.Running {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return progressOf(r.work)
}

// taskProcess is the process of a task's present life.
type taskProcess struct {
	stats   func() host.Stats
	version string // of the plugin
	limit   int64  // of its memory, in bytes, 0 for none
}

func (r *running) setProcess(p *taskProcess) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.process = p
}

func (r *running) figures(now time.Time) TaskStats {
	t := TaskStats{
		ID: r.id, Sink: r.sink, State: r.states.now(), Counts: r.stats.Counts(), Restarts: r.restarts.Load(),
		Running: r.states.share(now, connector.Running), Paused: r.states.share(now, connector.Paused),
	}
	r.mu.Lock()
	process := r.process
	t.Progress = r.work
	r.mu.Unlock()
	if process != nil {
		p := process.stats()
		t.PID, t.MemoryBytes, t.CPU, t.Uptime = p.PID, p.RSS, p.CPU, p.Uptime
		t.Version, t.MemoryLimit = process.version, process.limit
		for _, f := range p.Figures {
			t.Figures = append(t.Figures, Figure(f))
		}
	}
	return t
}

// shareWindow is the time that shares of states are of.
const shareWindow = 30 * time.Second

// states remembers the states of the last shareWindow. It is safe for
// concurrent use.
type states struct {
	mu   sync.Mutex // guards below
	past []spell    // in order; the last one lasts
}

// spell is a time in one state.
type spell struct {
	state connector.State
	began time.Time
}

// enter notes a state.
func (s *states) enter(now time.Time, state connector.State) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.past = append(s.past, spell{state, now})
	for len(s.past) > 1 && now.Sub(s.past[1].began) >= shareWindow {
		s.past = s.past[1:]
	}
}

// now returns the present state, UNASSIGNED before any.
func (s *states) now() connector.State {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.past) == 0 {
		return connector.Unassigned
	}
	return s.past[len(s.past)-1].state
}

// share returns which part of the last shareWindow, or of the time since the
// first state if that is less, was spent in a state.
func (s *states) share(now time.Time, state connector.State) float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.past) == 0 {
		return 0
	}
	from := now.Add(-shareWindow)
	if s.past[0].began.After(from) {
		from = s.past[0].began
	}
	var spent time.Duration
	for i, p := range s.past {
		end := now
		if i+1 < len(s.past) {
			end = s.past[i+1].began
		}
		if p.state == state && end.After(from) {
			began := p.began
			if began.Before(from) {
				began = from
			}
			spent += end.Sub(began)
		}
	}
	if total := now.Sub(from); total > 0 {
		return float64(spent) / float64(total)
	}
	if s.past[len(s.past)-1].state == state {
		return 1
	}
	return 0
}
