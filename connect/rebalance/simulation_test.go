package rebalance

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/connect/connector"
)

// world is a Connect cluster under a random schedule. Its members do what the
// leader tells them, some do not hear of it, some crash and come back.
type world struct {
	t       *testing.T
	rng     *rand.Rand
	a       *Assignor
	now     time.Time
	gen     int32
	done    int32
	next    int
	lead    string
	running map[string]Peer // by member id
	all     Work
	last    map[connector.TaskID]string
	due     time.Time
	trace   []string
}

func (w *world) note(format string, args ...any) {
	w.trace = append(w.trace, fmt.Sprintf(format, args...))
}

func (w *world) fail(format string, args ...any) {
	w.t.Helper()
	w.t.Fatalf(format+"\nschedule:\n%s", append(args, joinLines(w.trace))...)
}

func joinLines(lines []string) string {
	s := ""
	for _, l := range lines[max(0, len(lines)-60):] {
		s += l + "\n"
	}
	return s
}

func (w *world) join(url string) {
	id := fmt.Sprintf("m%03d", w.next)
	w.next++
	w.running[id] = Peer{ID: id, URL: url, Running: Work{}}
	w.note("%s joins from %s", id, url)
	if w.lead == "" {
		w.lead, w.a, w.done = id, &Assignor{MaxDelay: time.Minute}, -1
	}
}

func (w *world) ids() []string {
	var out []string
	for id := range w.running {
		out = append(out, id)
	}
	slices.Sort(out)
	return out
}

// crash ends a member: what it ran runs no more.
func (w *world) crash(id string) string {
	url := w.running[id].URL
	w.note("%s at %s crashes with %v", id, url, w.running[id].Running.Sorted())
	delete(w.running, id)
	if id == w.lead {
		w.lead = ""
		if ids := w.ids(); len(ids) > 0 {
			w.lead, w.a, w.done = ids[0], &Assignor{MaxDelay: time.Minute}, -1
		}
	}
	return url
}

// round runs a round. deaf members do not hear of it, and with all set nobody
// does.
func (w *world) round(deaf func(string) bool, all bool) (revoked bool) {
	if len(w.running) == 0 {
		return false
	}
	w.gen++
	r := Round{Now: w.now, Generation: w.gen, Completed: w.done, Configured: w.all.Clone(), Last: maps.Clone(w.last)}
	for _, id := range w.ids() {
		r.Members = append(r.Members, w.running[id])
	}
	plan := w.a.Assign(r)
	w.due = time.Time{}
	if plan.Delay > 0 {
		w.due = w.now.Add(plan.Delay)
	}
	w.note("generation %d, delay %v", w.gen, plan.Delay)
	w.checkPlan(r, plan)
	if all {
		w.note("nobody hears of it")
		return true
	}
	w.done = w.gen
	for _, id := range w.ids() {
		c, m := plan.Changes[id], w.running[id]
		if id != w.lead && deaf(id) {
			w.note("%s does not hear of it", id)
			revoked = true
			continue
		}
		if len(c.Assigned)+len(c.Revoked) > 0 {
			w.note("%s: + %v - %v", id, c.Assigned.Sorted(), c.Revoked.Sorted())
		}
		m.Running = m.Running.minus(c.Revoked)
		m.Running.add(c.Assigned)
		w.running[id] = m
		for item := range c.Assigned {
			w.last[item] = strings.TrimPrefix(m.URL, "http://")
		}
		revoked = revoked || len(c.Revoked) > 0
	}
	w.checkRunning()
	return revoked
}

// checkPlan holds that a plan revokes nothing that it need not: an item goes
// because it is no longer configured, because several have it, or because its
// member has more than its even share, and then only after a worker has joined.
func (w *world) checkPlan(r Round, plan Plan) {
	w.t.Helper()
	holders := map[connector.TaskID]int{}
	for _, m := range r.Members {
		for id := range m.Running {
			holders[id]++
		}
	}
	for _, m := range r.Members {
		for _, k := range []kind{objects, tasks} {
			floor := r.Configured.count(k) / len(r.Members)
			left := m.Running.count(k)
			for id := range plan.Changes[m.ID].Revoked {
				if kindOf(id) != k {
					continue
				}
				left--
				if r.Configured[id] && holders[id] == 1 && left < floor {
					w.fail("%s loses %v, which leaves it below its share of %d", m.ID, id, floor)
				}
			}
		}
	}
}

// checkRunning holds that nothing runs on two members.
func (w *world) checkRunning() {
	w.t.Helper()
	at := map[connector.TaskID]string{}
	for _, id := range w.ids() {
		for item := range w.running[id].Running {
			if other, ok := at[item]; ok {
				w.fail("%v runs on %s and on %s", item, other, id)
			}
			at[item] = id
		}
	}
}

// change adds or deletes a connector, or changes its number of tasks.
func (w *world) change() {
	name := string(rune('a' + w.rng.IntN(5)))
	for id := range w.all.Clone() {
		if id.Connector == name {
			delete(w.all, id)
		}
	}
	n := w.rng.IntN(7) - 1
	w.note("connector %s: %d tasks", name, n)
	for task := Object; task < n; task++ {
		w.all[connector.TaskID{Connector: name, Task: task}] = true
	}
	if n < 0 {
		delete(w.all, ObjectOf(name))
	}
}

// step does one random thing.
func (w *world) step(down *[]string) {
	switch w.rng.IntN(6) {
	case 0:
		w.join(fmt.Sprintf("http://w%d", w.next))
	case 1:
		if ids := w.ids(); len(ids) > 1 {
			*down = append(*down, w.crash(ids[w.rng.IntN(len(ids))]))
		}
	case 2:
		if len(*down) > 0 {
			w.join((*down)[0])
			*down = (*down)[1:]
		}
	case 3:
		w.now = w.now.Add(time.Duration(w.rng.IntN(90)) * time.Second)
	default:
		w.change()
	}
	w.round(func(string) bool { return w.rng.IntN(10) == 0 }, w.rng.IntN(12) == 0)
}

// TestSimulation runs random schedules. After each, when the cluster is left
// alone, everything configured runs exactly once, evenly, and stays put.
func TestSimulation(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	for run := range 150 {
		w := &world{t: t, rng: rand.New(rand.NewPCG(seed, uint64(run))), now: time.Unix(0, 0), running: map[string]Peer{}, all: Work{}, last: map[connector.TaskID]string{}, done: -1}
		w.note("seed %d, run %d", seed, run)
		var down []string
		w.join("http://first")
		for range 40 {
			w.step(&down)
		}
		w.rest(false)
		w.join("http://last")
		w.rest(true)
	}
}

// rest runs rounds until nothing changes any more. even says whether the work
// must be spread evenly then, as it must once a worker has joined.
func (w *world) rest(even bool) {
	w.t.Helper()
	for n := 0; w.round(func(string) bool { return false }, false) || !w.due.IsZero(); n++ {
		if n > 60 {
			w.fail("no rest after %d rounds", n)
		}
		if w.due.After(w.now) {
			w.now = w.due
		}
	}
	total := Work{}
	for _, k := range []kind{objects, tasks} {
		low, high := 1<<30, 0
		for _, m := range w.running {
			low, high = min(low, m.Running.count(k)), max(high, m.Running.count(k))
			total.add(m.Running)
		}
		if even && high-low > 1 {
			w.fail("from %d to %d on a member (objects: %v)", low, high, k)
		}
	}
	if missing, extra := w.all.minus(total), total.minus(w.all); len(missing)+len(extra) > 0 {
		w.fail("at rest %v does not run, and %v runs", missing.Sorted(), extra.Sorted())
	}
	before := map[string]Work{}
	for id, m := range w.running {
		before[id] = m.Running.Clone()
	}
	w.round(func(string) bool { return false }, false)
	for id, m := range w.running {
		if len(m.Running.minus(before[id]))+len(before[id].minus(m.Running)) > 0 {
			w.fail("%s changes without a reason", id)
		}
	}
}
