package rebalance

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/millrace/millrace/connect/connector"
)

// leader drives an Assignor with members that do what they are told.
type leader struct {
	t        *testing.T
	a        *Assignor
	now      time.Time
	gen      int32
	complete int32
	members  map[string]Peer
}

func newLeader(t *testing.T, delay time.Duration) *leader {
	return &leader{t: t, a: &Assignor{MaxDelay: delay}, now: time.Unix(1000, 0), complete: -1, members: map[string]Peer{}}
}

func (l *leader) join(id, url string) { l.members[id] = Peer{ID: id, URL: url, Running: Work{}} }

// round runs one round and applies it. arrived says whether the assignments
// reach the members.
func (l *leader) round(configured Work, arrived bool) Plan {
	l.gen++
	r := Round{Now: l.now, Generation: l.gen, Completed: l.complete, Configured: configured}
	for _, m := range l.members {
		r.Members = append(r.Members, m)
	}
	plan := l.a.Assign(r)
	if !arrived {
		return plan
	}
	l.complete = l.gen
	for id, m := range l.members {
		c := plan.Changes[id]
		m.Running = m.Running.minus(c.Revoked)
		m.Running.add(c.Assigned)
		l.members[id] = m
	}
	return plan
}

// settle runs rounds until none revokes anything.
func (l *leader) settle(configured Work) Plan {
	l.t.Helper()
	for range 20 {
		plan := l.round(configured, true)
		revoked := false
		for _, c := range plan.Changes {
			revoked = revoked || len(c.Revoked) > 0
		}
		if !revoked {
			return plan
		}
	}
	l.t.Fatal("no end of revocations after 20 rounds")
	return Plan{}
}

func (l *leader) want(id string, w Work) {
	l.t.Helper()
	if got := l.members[id].Running; !reflect.DeepEqual(got, w) {
		l.t.Errorf("%s runs %v, want %v", id, got.Sorted(), w.Sorted())
	}
}

const delay = 5 * time.Minute

func TestFirstMemberTakesEverything(t *testing.T) {
	l := newLeader(t, delay)
	l.join("a", "A")
	plan := l.settle(workOf("c", "c-0", "c-1"))
	l.want("a", workOf("c", "c-0", "c-1"))
	if plan.Delay != 0 {
		t.Errorf("delay %v, want none", plan.Delay)
	}
}

// A member that joins gets its share in two rounds; the others keep theirs.
func TestJoinMovesOnlyTheSurplus(t *testing.T) {
	l := newLeader(t, delay)
	all := workOf("c", "c-0", "c-1", "c-2", "d", "d-0")
	l.join("a", "A")
	l.settle(all)
	l.join("b", "B")
	first := l.round(all, true)
	if got := first.Changes["a"].Revoked; !reflect.DeepEqual(got, workOf("c", "c-0", "c-1")) {
		t.Errorf("revoked %v, want one object of two and two tasks of four", got.Sorted())
	}
	if got := first.Changes["b"].Assigned; len(got) != 0 {
		t.Errorf("b is given %v in the round that revokes it elsewhere", got.Sorted())
	}
	l.settle(all)
	l.want("a", workOf("c-2", "d", "d-0"))
	l.want("b", workOf("c", "c-0", "c-1"))
}

func TestWorkOfALostMemberWaits(t *testing.T) {
	l := newLeader(t, delay)
	all := workOf("c", "c-0", "c-1", "d", "d-0", "d-1")
	l.join("a", "A")
	l.join("b", "B")
	l.settle(all)
	keeps, lost := l.members["a"].Running.Clone(), l.members["b"].Running.Clone()
	delete(l.members, "b")
	if plan := l.settle(all); plan.Delay != delay {
		t.Errorf("delay %v, want %v", plan.Delay, delay)
	}
	l.want("a", keeps)
	l.now = l.now.Add(2 * time.Minute)
	if plan := l.settle(all); plan.Delay != 3*time.Minute {
		t.Errorf("delay two minutes later %v, want 3m", plan.Delay)
	}
	// A connector that is new does not wait.
	all = all.Clone()
	all.add(workOf("e"))
	l.settle(all)
	if !l.members["a"].Running[ObjectOf("e")] {
		t.Error("a connector made meanwhile was not assigned")
	}
	l.now = l.now.Add(3 * time.Minute)
	if plan := l.settle(all); plan.Delay != 0 {
		t.Errorf("delay at the end %v, want none", plan.Delay)
	}
	keeps.add(lost)
	keeps.add(workOf("e"))
	l.want("a", keeps)
}

// A worker that comes back within the delay, under a new member id, has its own
// work at once, and nobody else is disturbed.
func TestReturningWorkerGetsItsOwnWorkAtOnce(t *testing.T) {
	l := newLeader(t, delay)
	all := workOf("c", "c-0", "c-1", "c-2", "d", "d-0", "d-1", "d-2")
	for _, id := range []string{"a", "b", "c"} {
		l.join(id, "url-"+id)
	}
	l.settle(all)
	before := map[string]Work{}
	for id, m := range l.members {
		before[id] = m.Running.Clone()
	}
	delete(l.members, "b")
	l.settle(all)
	l.now = l.now.Add(20 * time.Second)
	l.join("b2", "url-b")
	plan := l.round(all, true)
	l.want("b2", before["b"])
	l.want("a", before["a"])
	l.want("c", before["c"])
	if plan.Delay != 0 || len(plan.Changes["a"].Revoked)+len(plan.Changes["c"].Revoked) > 0 {
		t.Errorf("plan %+v: want no delay and nothing revoked", plan)
	}
}

// A new worker that joins empty while work waits is the one to get it.
func TestWorkerThatJoinedMeanwhileIsTheCandidate(t *testing.T) {
	l := newLeader(t, delay)
	all := workOf("c", "c-0", "c-1", "d", "d-0", "d-1")
	l.join("a", "A")
	l.join("b", "B")
	l.settle(all)
	keeps, lost := l.members["a"].Running.Clone(), l.members["b"].Running.Clone()
	delete(l.members, "b")
	l.settle(all)
	l.join("n", "N")
	l.settle(all)
	l.want("n", Work{})
	l.now = l.now.Add(delay)
	l.settle(all)
	l.want("n", lost)
	l.want("a", keeps)
}

func TestNoDelayReassignsAtOnce(t *testing.T) {
	l := newLeader(t, 0)
	all := workOf("c", "c-0", "c-1", "c-2")
	l.join("a", "A")
	l.join("b", "B")
	l.settle(all)
	delete(l.members, "b")
	if plan := l.round(all, true); plan.Delay != 0 {
		t.Errorf("delay %v", plan.Delay)
	}
	l.want("a", all)
}

// A member that did not hear of its assignment has it again, without delay.
func TestMissedAssignmentIsRepeated(t *testing.T) {
	l := newLeader(t, delay)
	l.join("a", "A")
	l.join("b", "B")
	all := workOf("c", "c-0", "c-1")
	l.settle(all)
	had := l.members["b"].Running.Clone()
	m := l.members["b"]
	m.Running = Work{}
	l.members["b"] = m
	if plan := l.round(all, true); plan.Delay != 0 {
		t.Errorf("delay %v, want none: nobody left", plan.Delay)
	}
	l.want("b", had)
}

// A round that fails does not make the leader forget whose work waits.
func TestFailedRoundKeepsTheDelay(t *testing.T) {
	l := newLeader(t, delay)
	l.join("a", "A")
	l.join("b", "B")
	all := workOf("c", "c-0", "c-1", "c-2")
	l.settle(all)
	keeps := l.members["a"].Running.Clone()
	delete(l.members, "b")
	l.round(all, false)
	if plan := l.round(all, true); plan.Delay != delay {
		t.Errorf("delay %v after a failed round, want %v", plan.Delay, delay)
	}
	l.want("a", keeps)
}

func TestDuplicatesAreRevokedFromAll(t *testing.T) {
	l := newLeader(t, delay)
	l.join("a", "A")
	l.join("b", "B")
	all := workOf("c", "c-0", "d", "d-0")
	l.settle(all)
	for id, m := range l.members {
		m.Running.add(workOf("c-0"))
		l.members[id] = m
	}
	plan := l.round(all, true)
	for id, c := range plan.Changes {
		if !c.Revoked[workOf("c-0").Sorted()[0]] {
			t.Errorf("%s keeps c-0, which another has too", id)
		}
	}
	l.settle(all)
	n := 0
	for _, m := range l.members {
		n += len(m.Running.and(workOf("c-0")))
	}
	if n != 1 {
		t.Errorf("c-0 runs on %d members after that, want 1", n)
	}
}

func TestDeletedConnectorIsRevokedAndTouchesNoOther(t *testing.T) {
	l := newLeader(t, delay)
	l.join("a", "A")
	l.join("b", "B")
	l.settle(workOf("c", "c-0", "c-1", "d", "d-0", "d-1"))
	plan := l.settle(workOf("d", "d-0", "d-1"))
	if plan.Delay != 0 {
		t.Errorf("delay %v", plan.Delay)
	}
	total := Work{}
	for _, m := range l.members {
		total.add(m.Running)
	}
	if !reflect.DeepEqual(total, workOf("d", "d-0", "d-1")) {
		t.Errorf("%v runs", total.Sorted())
	}
}

func TestEagerDealsObjectsThenTasks(t *testing.T) {
	got := AssignEagerly([]Peer{{ID: "b"}, {ID: "a"}}, workOf("c", "c-0", "c-1", "d", "e", "e-0"))
	want := map[string]Change{
		"a": {Assigned: workOf("c", "e", "c-1")},
		"b": {Assigned: workOf("d", "c-0", "e-0")},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestThrottleOfSuccessiveRevocations(t *testing.T) {
	d := &division{Assignor: &Assignor{MaxDelay: delay}}
	for n, want := range []time.Duration{1: 40 * time.Millisecond, 2: 1600 * time.Millisecond, 3: 64 * time.Second, 4: delay, 40: delay} {
		if want == 0 {
			continue
		}
		d.memory.moves = n
		if got := d.pause(); got != want {
			t.Errorf("pause %d is %v, want %v", n, got, want)
		}
	}
}

func ExampleWork_Sorted() {
	fmt.Println(Work{ObjectOf("b"): true, ObjectOf("a"): true, {Connector: "a", Task: 1}: true}.Sorted())
	// Output: [a--1 a-1 b--1]
}

// Connectors that go, or come, or change their tasks, move nothing of others.
func TestChangesOfConnectorsMoveNothing(t *testing.T) {
	l := newLeader(t, delay)
	l.join("a", "http://a:1/")
	l.join("b", "http://b:1/")
	all := workOf("c", "c-0", "c-1", "c-2", "d", "d-0", "d-1", "d-2")
	l.settle(all)
	gone := l.members["a"].Running.and(workOf("c", "c-0", "c-1", "c-2", "d", "d-0", "d-1", "d-2"))
	all = all.minus(gone) // whatever a runs is deleted
	keeps := l.members["b"].Running.Clone()
	l.settle(all)
	l.want("b", keeps)
	l.want("a", Work{})
	all.add(workOf("e", "e-0"))
	l.settle(all)
	l.want("b", keeps)
	l.want("a", workOf("e", "e-0"))
}

// Workers that are restarted one after the other, the leader first, come back
// to their own work, and nobody else is disturbed.
func TestRollingRestartLeavesOthersAlone(t *testing.T) {
	l := newLeader(t, delay)
	all := workOf("a", "a-0", "a-1", "a-2", "b", "b-0", "b-1", "c", "c-0", "c-1", "c-2", "c-3", "c-4")
	last := map[connector.TaskID]string{}
	urls := []string{"http://w0:8083/", "http://w1:8083/", "http://w2:8083/"}
	settle := func() {
		l.t.Helper()
		for range 5 {
			l.gen++
			r := Round{Now: l.now, Generation: l.gen, Completed: l.complete, Configured: all, Last: last}
			for _, m := range l.members {
				r.Members = append(r.Members, m)
			}
			plan := l.a.Assign(r)
			l.complete = l.gen
			for id, m := range l.members {
				m.Running = m.Running.minus(plan.Changes[id].Revoked)
				m.Running.add(plan.Changes[id].Assigned)
				l.members[id] = m
				for item := range m.Running {
					last[item] = address(m.URL)
				}
			}
		}
	}
	for i, u := range urls {
		l.join(fmt.Sprint(i), u)
	}
	settle()
	before := map[string]Work{}
	for _, m := range l.members {
		before[m.URL] = m.Running.Clone()
	}
	for i, u := range urls {
		delete(l.members, fmt.Sprint(i))
		if i == 0 { // the leader: another takes over, with no memory
			l.a, l.complete = &Assignor{MaxDelay: delay}, -1
		}
		l.now = l.now.Add(time.Second)
		settle()
		for id, m := range l.members {
			l.want(id, before[m.URL])
		}
		l.now = l.now.Add(20 * time.Second)
		l.join(fmt.Sprint(i+10), u)
		settle()
		for id, m := range l.members {
			l.want(id, before[m.URL])
		}
	}
}

// The first worker of a cluster that was down does not wait for the others.
func TestColdStartWaitsForNobody(t *testing.T) {
	a := &Assignor{MaxDelay: delay}
	all := workOf("a", "a-0")
	plan := a.Assign(Round{Generation: 1, Completed: -1, Configured: all, Members: []Peer{{ID: "m", URL: "http://w0:1/", Running: Work{}}},
		Last: map[connector.TaskID]string{{Connector: "a", Task: 0}: "w9:1"}})
	if got := plan.Changes["m"].Assigned; !reflect.DeepEqual(got, all) || plan.Delay != 0 {
		t.Errorf("assigned %v with delay %v, want everything at once", got.Sorted(), plan.Delay)
	}
}
