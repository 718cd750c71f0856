package group

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// client is a consumer that does what Kafka's do, and may crash at any point.
type client struct {
	name       string
	instance   string
	id         string
	generation int32
	phase      string // "", joining, leading, following, syncing, stable
	members    []JoinMember
	moved      bool // the group moved to another broker since the client joined
	life       int  // counts crashes; answers to an earlier life are lost
}

// world is a group, its clients, and what was promised to them.
type world struct {
	*harness
	rnd     *rand.Rand
	clients []*client
	leaders map[int32]string // leader of each generation
	proto   map[int32]string // protocol of each generation
	acked   map[TopicPartition]int64
	next    int64
}

func TestSimulation(t *testing.T) {
	for range 200 {
		seed := rand.Uint64()
		if !t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) { simulate(t, seed) }) {
			return
		}
	}
}

func simulate(t *testing.T, seed uint64) {
	w := &world{
		harness: newHarness(t), rnd: rand.New(rand.NewPCG(seed, 0)),
		leaders: map[int32]string{}, proto: map[int32]string{}, acked: map[TopicPartition]int64{},
	}
	w.hold = true
	for i := range 2 + w.rnd.IntN(4) {
		c := &client{name: fmt.Sprint("c", i)}
		if w.rnd.IntN(2) == 0 {
			c.instance = c.name
		}
		w.clients = append(w.clients, c)
	}
	for range 400 {
		w.step()
		w.check()
	}
	w.settleDown()
}

func (w *world) step() {
	c := w.clients[w.rnd.IntN(len(w.clients))]
	switch n := w.rnd.IntN(100); {
	case n < 50:
		w.act(c)
	case n < 75:
		w.complete(w.rnd.IntN(10) == 0)
	case n < 90:
		w.advance(time.Duration(w.rnd.IntN(2000)) * time.Millisecond)
	case n < 93:
		c.crash()
	case n < 96 && c.id != "" && c.instance == "":
		actions, _ := w.g.Leave(w.now, []LeaveMember{{MemberID: c.id}})
		w.run(actions)
		c.crash()
	default:
		w.reloaded()
	}
}

func (c *client) crash() { *c = client{name: c.name, instance: c.instance, life: c.life + 1} }

// complete finishes the oldest append.
func (w *world) complete(fail bool) {
	if len(w.held) == 0 {
		return
	}
	a := w.held[0]
	w.held = w.held[1:]
	if w.fail = nil; fail {
		w.fail = kerr.NotEnoughReplicas
	}
	w.run(w.store(a))
	w.fail = nil
}

// act lets a client do what is next.
func (w *world) act(c *client) {
	switch c.phase {
	case "":
		w.actJoin(c)
	case "leading", "following":
		w.actSync(c)
	case "stable":
		if w.rnd.IntN(3) == 0 {
			w.actCommit(c)
			return
		}
		err := w.g.Heartbeat(w.now, HeartbeatRequest{MemberID: c.id, InstanceID: c.instance, Generation: c.generation})
		w.heed(c, err)
	}
}

// heed does what a client does about an error.
func (w *world) heed(c *client, err error) {
	switch {
	case err == nil:
	case errors.Is(err, kerr.RebalanceInProgress), errors.Is(err, kerr.CoordinatorNotAvailable), errors.Is(err, kerr.NotCoordinator):
		c.phase = ""
	case errors.Is(err, kerr.UnknownMemberID), errors.Is(err, kerr.IllegalGeneration):
		c.phase, c.id = "", ""
	case errors.Is(err, kerr.FencedInstanceID) && c.moved:
		c.crash() // its id was not durable; as with Kafka it must start again
	case errors.Is(err, kerr.FencedInstanceID):
		w.t.Fatalf("%s is fenced, yet nobody shares its instance id", c.name)
	default:
		w.t.Fatalf("%s hears %v", c.name, err)
	}
}

func (w *world) actJoin(c *client) {
	r := joinRequest(c.id, c.instance)
	r.RequireMemberID = true
	r.SkipAssignment = true
	c.phase = "joining"
	life := c.life
	w.run(w.g.Join(w.now, r, func(res JoinResult) {
		if c.life != life || c.phase != "joining" {
			return
		}
		if errors.Is(res.Err, kerr.MemberIDRequired) {
			c.id, c.phase = res.MemberID, ""
			return
		}
		if res.Err != nil {
			w.heed(c, res.Err)
			return
		}
		w.joinedGeneration(c, res)
	}))
}

func (w *world) joinedGeneration(c *client, res JoinResult) {
	c.moved = false
	c.id, c.generation, c.members = res.MemberID, res.Generation, res.Members
	if p, ok := w.proto[res.Generation]; ok && p != res.Protocol {
		w.t.Fatalf("generation %d has protocols %q and %q", res.Generation, p, res.Protocol)
	}
	w.proto[res.Generation] = res.Protocol
	if c.phase = "following"; res.Leader != res.MemberID || res.SkipAssignment {
		return
	}
	c.phase = "leading"
	if l, ok := w.leaders[res.Generation]; ok && l != c.name {
		w.t.Fatalf("generation %d is led by %s and %s", res.Generation, l, c.name)
	}
	w.leaders[res.Generation] = c.name
}

func (w *world) actSync(c *client) {
	var assignments map[string][]byte
	if c.phase == "leading" {
		assignments = map[string][]byte{}
		for _, m := range c.members {
			assignments[m.MemberID] = fmt.Appendf(nil, "%d for %s", c.generation, m.MemberID)
		}
	}
	c.phase = "syncing"
	life, generation, id := c.life, c.generation, c.id
	w.run(w.g.Sync(w.now, SyncRequest{MemberID: c.id, InstanceID: c.instance, Generation: generation, Assignments: assignments}, func(res SyncResult) {
		if c.life != life || c.phase != "syncing" {
			return
		}
		if res.Err != nil {
			w.heed(c, res.Err)
			return
		}
		if want := fmt.Sprintf("%d for %s", generation, id); c.instance == "" && string(res.Assignment) != want {
			w.t.Fatalf("%s is assigned %q, want %q", c.name, res.Assignment, want)
		}
		c.phase = "stable"
	}))
}

func (w *world) actCommit(c *client) {
	tp := TopicPartition{"orders", int32(w.rnd.IntN(3))}
	w.next++
	offset := w.next
	life := c.life
	r := CommitRequest{MemberID: c.id, InstanceID: c.instance, Generation: c.generation, Offsets: commitOf(tp, offset)}
	w.run(w.g.Commit(w.now, r, func(errs []error) {
		if errs[0] == nil {
			w.acked[tp] = max(w.acked[tp], offset)
		} else if c.life == life && c.phase == "stable" {
			w.heed(c, errs[0])
		}
	}))
}

// check holds the group to what must always be true.
func (w *world) check() {
	g := w.g
	if len(g.members) > 0 && g.members[g.leader] == nil {
		w.t.Fatalf("leader %q is no member", g.leader)
	}
	waits := g.state == PreparingRebalance && len(g.pending) > 0 // for ids it has given out
	if (g.state == Empty) != (len(g.members) == 0) && !(waits && len(g.members) == 0) {
		w.t.Fatalf("state %v with %d members", g.state, len(g.members))
	}
	if len(g.order) != len(g.members) {
		w.t.Fatalf("order has %d of %d members", len(g.order), len(g.members))
	}
	for instance, id := range g.static {
		if m := g.members[id]; m == nil || m.instance != instance {
			w.t.Fatalf("instance %s is %q, who is no such member", instance, id)
		}
	}
	for _, m := range g.members {
		if m.join != nil && g.state != PreparingRebalance || m.sync != nil && g.state != CompletingRebalance {
			w.t.Fatalf("member waits for join %t, sync %t in %v", m.join != nil, m.sync != nil, g.state)
		}
	}
	if at, ok := g.Deadline(); len(g.members) > 0 && !ok {
		w.t.Fatalf("no deadline (%v) in %v with %d members: nothing would end a wait", at, g.state, len(g.members))
	}
	for tp, offset := range w.acked {
		if got := w.committed(tp); got < offset {
			w.t.Fatalf("acknowledged offset %d of %v is lost: %d", offset, tp, got)
		}
	}
}

// reloaded moves the group to another broker: what was not durable is lost.
func (w *world) reloaded() {
	held := w.held
	w.held = nil
	w.run(w.g.kill(w.now))
	for _, a := range held {
		w.fail = kerr.NotLeaderForPartition
		w.run(w.store(a))
	}
	w.fail = nil
	g := w.reload()
	if g == nil {
		g = newGroup("g", w.g.cfg, w.now)
	}
	for _, m := range g.members {
		m.touch(w.now)
	}
	w.g = g
	for _, c := range w.clients {
		c.moved = true
		if c.phase == "joining" || c.phase == "syncing" {
			c.phase = ""
		}
		// Generations that were never stored begin again on the new broker.
		for generation := range w.proto {
			if generation > g.generation {
				delete(w.proto, generation)
				delete(w.leaders, generation)
			}
		}
	}
}

// settleDown lets everybody do their work until all are stable.
func (w *world) settleDown() {
	for range 4000 {
		stable := w.g.state == Stable && len(w.g.members) == len(w.clients)
		for _, c := range w.clients {
			w.act(c)
			stable = stable && c.phase == "stable"
		}
		for len(w.held) > 0 {
			w.complete(false)
		}
		if stable {
			w.checkReload()
			return
		}
		w.advance(100 * time.Millisecond)
		w.check()
	}
	w.t.Fatalf("group does not become stable: %+v", w.g.describe())
}

func (w *world) checkReload() {
	if got, want := w.reload().Fetch(nil), w.g.Fetch(nil); !reflect.DeepEqual(got, want) {
		w.t.Fatalf("reloaded offsets are %+v, want %+v", got, want)
	}
	if w.g.state != Stable {
		return // a last heartbeat or commit has met a rebalance
	}
	if got, want := w.reload().describe(), w.g.describe(); !reflect.DeepEqual(got, want) {
		w.t.Fatalf("reloaded group is %+v, want %+v", got, want)
	}
}
