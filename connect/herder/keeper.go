package herder

import (
	"context"
	"log/slog"
	"maps"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/connect/connector"
	"github.com/millrace/millrace/connect/rebalance"
	"github.com/millrace/millrace/connect/store"
)

// keeper makes one connector run as it is wanted. Its run method owns all
// fields but those under mu.
type keeper struct {
	h     *Herder
	name  string
	log   *slog.Logger
	wake  chan struct{} // cap 1
	conn  *instance
	tasks map[int]*instance
	busy  atomic.Bool // a connector object or tasks run

	mu       sync.Mutex // guards below
	restart  *connector.RestartRequest
	restarts map[int]bool  // tasks to restart whatever their state
	waiting  []chan error  // told when the requests above are carried out
	reached  int           // version of the seat that everything here agrees with
	moved    chan struct{} // closed and replaced whenever the keeper has mended what it found
}

// instance is a running connector object or task: what it was started with,
// and how to stop it.
type instance struct {
	settings connector.Config
	config   connector.Config
	pause    *connector.Switch // tasks only
	ctx      context.Context
	stop     context.CancelFunc
	done     chan struct{}
}

func (i *instance) halt() {
	i.stop()
	<-i.done
}

// ended reports whether the instance was told to stop, as all are when the
// membership is lost.
func (i *instance) ended() bool { return i.ctx.Err() != nil }

func newKeeper(h *Herder, name string) *keeper {
	return &keeper{
		h: h, name: name, log: h.log.With("connector", name),
		wake: make(chan struct{}, 1), tasks: map[int]*instance{}, restarts: map[int]bool{}, moved: make(chan struct{}),
	}
}

func (k *keeper) nudge() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// request asks for a restart; of several pending ones the widest counts.
func (k *keeper) request(req connector.RestartRequest) {
	k.mu.Lock()
	if k.restart == nil || k.restart.Impact() < req.Impact() {
		k.restart = &req
	}
	k.mu.Unlock()
	k.nudge()
}

// requestTask asks for the restart of one task and returns a channel that says
// when it is done.
func (k *keeper) requestTask(n int) <-chan error {
	done := make(chan error, 1)
	k.mu.Lock()
	k.restarts[n] = true
	k.waiting = append(k.waiting, done)
	k.mu.Unlock()
	k.nudge()
	return done
}

// requestConnector asks for the restart of the connector object, as requestTask.
func (k *keeper) requestConnector() <-chan error {
	done := make(chan error, 1)
	k.mu.Lock()
	k.waiting = append(k.waiting, done)
	k.mu.Unlock()
	k.request(connector.RestartRequest{Connector: k.name})
	return done
}

// run keeps the connector until it is deleted or ctx ends.
func (k *keeper) run(ctx context.Context) {
	defer k.reach(math.MaxInt)
	for {
		s, _ := k.h.here()
		snap := k.h.configs.Snapshot()
		cfg, wanted := snap.Connector(k.name)
		if !wanted {
			k.remove(ctx, s)
			return
		}
		k.carryOutRequests(ctx)
		k.reconcile(ctx, s, snap, cfg)
		k.busy.Store(k.conn != nil || len(k.tasks) > 0)
		k.reach(s.version)
		select {
		case <-ctx.Done():
			k.haltAll()
			k.answer(errStopping)
			return
		case <-k.wake:
		}
	}
}

var errStopping = connector.Errorf(connector.Unavailable, "the worker is stopping")

// reach notes that what runs agrees with a version of the seat.
func (k *keeper) reach(version int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.reached = version
	close(k.moved)
	k.moved = make(chan struct{})
}

// await waits until what runs agrees with a version of the seat, or a later
// one.
func (k *keeper) await(ctx context.Context, version int) error {
	for {
		k.mu.Lock()
		reached, moved := k.reached, k.moved
		k.mu.Unlock()
		if reached >= version {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-moved:
		}
	}
}

// remove stops the connector and takes its statuses away. All workers that ran
// a part of it do so, each after its part has stopped, and the leader.
func (k *keeper) remove(ctx context.Context, s seat) {
	ran := k.conn != nil || len(k.tasks) > 0
	k.haltAll()
	k.answer(connector.NotFoundError(k.name))
	if !ran && !s.Leader {
		return
	}
	if err := k.h.statuses.DeleteConnector(ctx, k.name); err != nil && ctx.Err() == nil {
		k.log.Error("statuses of a deleted connector remain", "err", err)
	}
	k.log.Info("connector removed")
}

// haltAll stops the connector object and all tasks, side by side: they share
// one deadline.
func (k *keeper) haltAll() {
	all := slices.Collect(maps.Values(k.tasks))
	if k.conn != nil {
		all = append(all, k.conn)
	}
	for _, i := range all {
		i.stop()
	}
	for _, i := range all {
		<-i.done
	}
	k.conn = nil
	clear(k.tasks)
}

// carryOutRequests stops what a pending request wants restarted. Reconciling
// starts it again.
func (k *keeper) carryOutRequests(ctx context.Context) {
	k.mu.Lock()
	req, tasks := k.restart, k.restarts
	k.restart, k.restarts = nil, map[int]bool{}
	k.mu.Unlock()
	if req != nil {
		st, _ := k.h.statuses.Connector(k.name)
		if k.conn != nil && req.Matches(st.State) {
			k.report(ctx)(connector.Restarting, "")
			k.conn.halt()
			k.conn = nil
		}
		for n := range k.tasks {
			st, _ := k.h.statuses.Task(k.taskID(n))
			if req.IncludeTasks && req.Matches(st.State) {
				tasks[n] = true
			}
		}
	}
	for n := range tasks {
		if i := k.tasks[n]; i != nil {
			k.reportTask(ctx, k.taskID(n))(connector.Restarting, "", nil)
			i.halt()
			delete(k.tasks, n)
		}
	}
	k.answer(nil)
}

// answer tells whoever waits for a request.
func (k *keeper) answer(err error) {
	k.mu.Lock()
	waiting := k.waiting
	k.waiting = nil
	k.mu.Unlock()
	for _, w := range waiting {
		w <- err
	}
}

func (k *keeper) taskID(n int) connector.TaskID {
	return connector.TaskID{Connector: k.name, Task: n}
}

// reconcile starts and stops what differs from what is wanted here.
func (k *keeper) reconcile(ctx context.Context, s seat, snap store.Snapshot, cfg connector.Config) {
	target := snap.Target(k.name)
	mine := s.has(rebalance.ObjectOf(k.name))
	if k.conn != nil && (!mine || k.conn.ended() || target != connector.TargetStarted || !k.conn.config.Equal(cfg)) {
		k.conn.halt()
		k.conn = nil
	}
	k.reconcileTasks(ctx, s, snap, target)
	if s.Leader {
		k.sweep(ctx)
	}
	if !mine {
		return
	}
	switch target {
	case connector.TargetStarted:
		if k.conn == nil {
			k.conn = k.startConnector(s.ctx, cfg)
		}
	case connector.TargetPaused:
		k.say(ctx, connector.Paused)
	case connector.TargetStopped:
		k.say(ctx, connector.Stopped)
	}
}

// say writes the connector's state when nobody but the keeper can know it.
func (k *keeper) say(ctx context.Context, state connector.State) {
	if st, ok := k.h.statuses.Connector(k.name); !ok || st.State != state || st.WorkerID != k.h.cfg.WorkerID {
		k.report(ctx)(state, "")
	}
}

// sweep removes the statuses of tasks that no longer exist.
func (k *keeper) sweep(ctx context.Context) {
	known := k.h.statuses.Tasks(k.name) // before the snapshot, which then knows them all
	tasks := len(k.h.configs.Snapshot().Tasks(k.name))
	for _, id := range known {
		if id.Task >= tasks {
			k.forget(ctx, id)
		}
	}
}

func (k *keeper) forget(ctx context.Context, id connector.TaskID) {
	if err := k.h.statuses.DeleteTask(ctx, id); err != nil && ctx.Err() == nil {
		k.log.Error("status of a former task remains", "task", id.Task, "err", err)
	}
}

func (k *keeper) reconcileTasks(ctx context.Context, s seat, snap store.Snapshot, target connector.TargetState) {
	want := snap.Tasks(k.name)
	if target == connector.TargetStopped {
		want = nil // the record that takes the tasks away is on its way
	}
	settings := k.h.cfg.Worker.Settings(snap.Applied(k.name))
	over := map[int]*instance{}
	for n, i := range k.tasks {
		if n < len(want) && s.has(k.taskID(n)) && !i.ended() && i.config.Equal(want[n]) && i.settings.Equal(settings) {
			continue
		}
		over[n] = i
		i.stop()
	}
	for n, i := range over {
		<-i.done
		delete(k.tasks, n)
		if n >= len(want) {
			k.forget(ctx, k.taskID(n))
		}
	}
	for n, cfg := range want {
		if !s.has(k.taskID(n)) {
			continue
		}
		if k.tasks[n] == nil {
			k.tasks[n] = k.startTask(s.ctx, n, settings, cfg, target == connector.TargetPaused)
		}
		k.tasks[n].pause.Set(target == connector.TargetPaused)
	}
}

func (k *keeper) startConnector(ctx context.Context, cfg connector.Config) *instance {
	ctx, stop := context.WithCancel(ctx)
	i := &instance{config: cfg, ctx: ctx, stop: stop, done: make(chan struct{})}
	go func() {
		defer close(i.done)
		plan := func(ctx context.Context, tasks []connector.Config) error { return k.h.publish(ctx, k.name, cfg, tasks) }
		k.h.cfg.Worker.RunConnector(ctx, k.name, cfg, plan, k.report(ctx))
	}()
	return i
}

func (k *keeper) startTask(ctx context.Context, n int, settings, cfg connector.Config, paused bool) *instance {
	ctx, stop := context.WithCancel(ctx)
	i := &instance{settings: settings, config: cfg, ctx: ctx, stop: stop, done: make(chan struct{}), pause: &connector.Switch{}}
	i.pause.Set(paused)
	id := k.taskID(n)
	go func() {
		defer close(i.done)
		k.h.cfg.Worker.RunTask(ctx, id, settings, cfg, i.pause, k.reportTask(ctx, id))
	}()
	return i
}

// lastWords is how long a stopping instance may take to write its last status.
const lastWords = 5 * time.Second

// report returns the writer of the connector's statuses.
func (k *keeper) report(ctx context.Context) Report {
	return func(state connector.State, trace string) {
		k.write(ctx, state, trace, func(ctx context.Context, st connector.Status, last bool) error {
			if last {
				return k.h.statuses.PutConnectorSafe(ctx, k.name, st)
			}
			return k.h.statuses.PutConnector(ctx, k.name, st)
		})
	}
}

// reportTask returns the writer of one task's statuses.
func (k *keeper) reportTask(ctx context.Context, id connector.TaskID) TaskReport {
	return func(state connector.State, trace string, progress *connector.Progress) {
		k.write(ctx, state, trace, func(ctx context.Context, st connector.Status, last bool) error {
			st.Progress = progress
			if last {
				return k.h.statuses.PutTaskSafe(ctx, id, st)
			}
			return k.h.statuses.PutTask(ctx, id, st)
		})
	}
}

// write stores a status. Last words, of failure and of stopping, come when ctx
// has often ended, and must not overwrite those of a later owner. One whose
// membership is lost says nothing.
func (k *keeper) write(ctx context.Context, state connector.State, trace string,
	put func(context.Context, connector.Status, bool) error,
) {
	task := ctx
	ctx, stop := context.WithTimeout(context.WithoutCancel(task), lastWords)
	defer stop()
	defer context.AfterFunc(task, func() {
		if connector.Fenced(task) {
			stop()
		}
	})()
	if connector.Fenced(task) {
		return
	}
	s, _ := k.h.here()
	last := state == connector.Failed || state == connector.Unassigned
	st := connector.Status{State: state, Trace: trace, WorkerID: k.h.cfg.WorkerID, Generation: int64(s.Generation)}
	if err := put(ctx, st, last); err != nil && !connector.Fenced(task) {
		k.log.Error("status not stored", "state", state, "err", err)
	}
}
