package txn

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// world is one transactional id with its coordinator, partitions that do what
// Kafka's leaders do, and producers, over a network that loses, repeats and
// delays messages. Every write may be the last one before a crash.
type world struct {
	t   *testing.T
	rnd *rand.Rand
	cfg *Config
	now time.Time

	txn      *Txn
	log      []Record // of the coordinator
	term     int      // of the coordinator
	nextID   int64
	under    []action // under way, of any term
	net      []func()
	parts    []*leader
	producer []*producer

	serial  int
	acked   map[int][]int // values of each transaction that were acknowledged, by partition
	outcome map[int]fate
}

// fate is what the producer of a transaction knows of it.
type fate int8

const (
	noCommit  fate = iota // a commit was never asked for
	asked                 // asked, no answer
	committed             // answered
)

// action is an action of the coordinator that is not performed yet.
type action struct {
	Action
	term int
}

func TestSimulation(t *testing.T) {
	fates := map[fate]int{}
	for range 150 {
		seed := rand.Uint64()
		if !t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) { simulate(t, seed, fates) }) {
			return
		}
	}
	t.Logf("fates: %v", fates)
	for f, n := range map[fate]int{noCommit: 500, asked: 5, committed: 300} {
		if fates[f] < n {
			t.Errorf("%d transactions had fate %d, fewer than %d: nothing is tried", fates[f], f, n)
		}
	}
}

func simulate(t *testing.T, seed uint64, fates map[fate]int) {
	cfg, err := Config{}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	w := &world{
		t: t, rnd: rand.New(rand.NewPCG(seed, 0)), cfg: &cfg, now: t0, txn: newTxn("id", &cfg, 0), nextID: 1,
		acked: map[int][]int{}, outcome: map[int]fate{},
	}
	for i := range 1 + w.rnd.IntN(4) {
		w.parts = append(w.parts, &leader{w: w, id: int32(i), of: map[int64]*state{}, verified: map[int64]*guard{}})
	}
	version := V1
	if w.rnd.IntN(3) > 0 {
		version = V2
	}
	for range 1 + w.rnd.IntN(2) { // the second is a zombie's rival
		w.producer = append(w.producer, &producer{w: w, version: version, pid: -1, epoch: -1})
	}
	if w.rnd.IntN(4) == 0 {
		w.txn.meta = meta{state: Empty, producer: 1, previous: -1, next: -1, epoch: lastEpoch - 3, last: -1, timeout: time.Minute}
		r := w.txn.encode("id")
		w.log, w.nextID = []Record{r}, 2 // epochs will run out
	}
	for range 2000 {
		w.step()
		w.check()
	}
	w.settle()
	for _, f := range w.outcome {
		fates[f]++
	}
}

func (w *world) step() {
	switch n := w.rnd.IntN(100); {
	case n < 40 && len(w.net) > 0:
		i := w.rnd.IntN(len(w.net))
		f := w.net[i]
		w.net = slices.Delete(w.net, i, i+1)
		f()
	case n < 70 && len(w.under) > 0:
		w.perform(w.rnd.IntN(len(w.under)), w.rnd.IntN(12) == 0)
	case n < 96:
		p := w.producer[0]
		if len(w.producer) > 1 && w.rnd.IntN(20) == 0 {
			p = w.producer[1] // or the two do nothing but fence each other
		}
		p.act()
	case n < 97 && w.rnd.IntN(2) == 0:
		w.crash()
	case n < 98:
		w.now = w.now.Add(time.Duration(w.rnd.IntN(4)) * time.Second)
		w.run(w.txn.Tick(w.now))
	default:
		w.run(w.txn.Resume(w.now))
	}
}

// send delivers a message some time, never, or twice.
func (w *world) send(f func()) {
	for range []int{1, 1, 1, 1, 1, 1, 0, 2}[w.rnd.IntN(8)] {
		w.net = append(w.net, f)
	}
}

func (w *world) run(actions []Action) {
	for _, a := range actions {
		if a.Reply != nil {
			a.Reply()
			continue
		}
		w.under = append(w.under, action{a, w.term})
	}
}

// perform carries out one write. Its result goes to the coordinator that asked
// for it, if that is still there.
func (w *world) perform(i int, fail bool) {
	a := w.under[i]
	w.under = slices.Delete(w.under, i, i+1)
	err, id := error(nil), w.nextID
	switch {
	case fail:
		err = kerr.NotEnoughReplicas
	case a.NewID != nil:
		w.nextID++
	case a.Mark != nil:
		err = w.parts[a.Partition.Partition].marker(*a.Mark)
	case a.term == w.term: // an old leader cannot append
		w.log = append(w.log, *a.Append)
	}
	switch {
	case a.term != w.term:
	case a.NewID != nil:
		w.run(a.NewID(w.now, id, err))
	default:
		w.run(a.Then(w.now, err))
	}
}

// crash ends the coordinator. What it was writing may have been written.
func (w *world) crash() {
	for _, a := range w.under {
		if a.Append != nil && a.term == w.term && w.rnd.IntN(2) == 0 {
			w.log = append(w.log, *a.Append)
		}
	}
	w.under = slices.DeleteFunc(w.under, func(a action) bool { return a.Mark == nil })
	w.run(w.txn.kill(w.now))
	w.term++
	c := &Coordinator{cfg: *w.cfg}
	txns, err := c.replay(int32(w.term), func(yield func(Record, error) bool) {
		for _, r := range w.log {
			if !yield(r, nil) {
				return
			}
		}
	})
	if err != nil {
		w.t.Fatal(err)
	}
	if w.txn = txns["id"]; w.txn == nil {
		w.txn = newTxn("id", w.cfg, int32(w.term))
	}
	if w.txn.state.decided() {
		w.run(w.txn.mark(w.now))
	}
}

// settle lets everything come to an end: no more faults, and whatever
// transaction is open takes too long.
func (w *world) settle() {
	for range 10000 {
		switch {
		case len(w.net) > 0:
			f := w.net[0]
			w.net = w.net[1:]
			f()
		case len(w.under) > 0:
			w.perform(0, false)
		case w.txn.stalled():
			w.run(w.txn.Resume(w.now))
		case w.txn.state == Ongoing:
			w.now = w.now.Add(time.Hour)
			w.run(w.txn.Tick(w.now))
		default:
			w.verdict()
			return
		}
	}
	w.t.Fatalf("no end: %v, pending %v, %d messages, %d writes", w.txn.state, w.txn.pending, len(w.net), len(w.under))
}

// visible counts the values of each transaction that read_committed consumers
// see, in all partitions.
func (w *world) visible() map[int]int {
	out := map[int]int{}
	for _, p := range w.parts {
		open := map[int64][]int{}
		for _, e := range p.entries {
			switch {
			case !e.control:
				open[e.pid] = append(open[e.pid], e.txn)
			case e.commit:
				for _, txn := range open[e.pid] {
					out[txn]++
				}
				fallthrough
			default:
				delete(open, e.pid)
			}
		}
	}
	return out
}

// check holds at every moment: nothing is seen whose commit was not asked for.
func (w *world) check() {
	for txn := range w.visible() {
		if w.outcome[txn] == noCommit {
			w.t.Fatalf("transaction %d is visible, its commit was never asked for", txn)
		}
	}
}

// verdict holds in the end.
func (w *world) verdict() {
	for _, p := range w.parts {
		for pid, s := range p.of {
			if s.open {
				w.t.Errorf("partition %d: the transaction of producer %d hangs, no consumer gets past it", p.id, pid)
			}
		}
	}
	seen := w.visible()
	for txn, values := range w.acked {
		switch got := seen[txn]; {
		case w.outcome[txn] == committed && got != len(values):
			w.t.Errorf("transaction %d was committed with %d values, %d are visible", txn, len(values), got)
		case w.outcome[txn] == asked && got != 0 && got != len(values):
			w.t.Errorf("transaction %d is torn: %d of %d values are visible", txn, got, len(values))
		case w.outcome[txn] == noCommit && got != 0:
			w.t.Errorf("transaction %d was not committed, %d values are visible", txn, got)
		}
	}
}

// leader is a partition that keeps Kafka's rules for batches and markers.
type leader struct {
	w        *world
	id       int32
	entries  []entry
	of       map[int64]*state
	verified map[int64]*guard
}

type entry struct {
	pid     int64
	txn     int
	control bool
	commit  bool
}

type state struct {
	epoch       int16
	next        int32 // sequence
	open        bool
	coordinator int32
}

type guard struct{ _ int } // not empty: pointers to nothing may be equal

func (l *leader) marker(m Marker) error {
	s := l.of[m.ProducerID]
	if s == nil {
		s = &state{epoch: -1, coordinator: -1}
		l.of[m.ProducerID] = s
	}
	switch {
	case m.Epoch < s.epoch:
		return kerr.InvalidProducerEpoch
	case m.CoordinatorEpoch < s.coordinator:
		return kerr.TransactionCoordinatorFenced
	}
	if m.Epoch > s.epoch {
		s.next = 0
	}
	s.epoch, s.coordinator, s.open = m.Epoch, m.CoordinatorEpoch, false
	delete(l.verified, m.ProducerID)
	l.entries = append(l.entries, entry{m.ProducerID, -1, true, m.Commit})
	return nil
}

// batch is one record of a producer.
type batch struct {
	pid     int64
	epoch   int16
	seq     int32
	txn     int
	version int16
}

// produce appends a batch once the coordinator says that it may.
func (l *leader) produce(b batch, done func(error)) {
	s := l.of[b.pid]
	if s != nil && s.epoch == b.epoch && (s.open || b.seq < s.next) {
		done(l.append(b, nil))
		return
	}
	g := l.verified[b.pid]
	if g == nil {
		g = new(guard)
		l.verified[b.pid] = g
	}
	tps := []TopicPartition{{"t", l.id}}
	if b.version < V2 {
		err := l.w.txn.Verify(VerifyRequest{ProducerID: b.pid, Epoch: b.epoch, Partitions: tps})[0]
		if err != nil {
			done(err)
			return
		}
		l.w.net = append(l.w.net, func() { done(l.append(b, g)) }) // much may happen before
		return
	}
	r := AddRequest{ProducerID: b.pid, Epoch: b.epoch, Partitions: tps, Version: V2, Wait: true}
	l.w.run(l.w.txn.Add(l.w.now, r, func(err error) {
		switch {
		case err != nil:
			done(err)
		case l.verified[b.pid] != g && !(l.of[b.pid] != nil && l.of[b.pid].open && l.of[b.pid].epoch == b.epoch):
			l.produce(b, done) // a marker came in between
		default:
			l.w.net = append(l.w.net, func() { done(l.append(b, g)) }) // as above
		}
	}))
}

func (l *leader) append(b batch, g *guard) error {
	s := l.of[b.pid]
	if s == nil {
		s = &state{epoch: b.epoch, coordinator: -1}
		l.of[b.pid] = s
	}
	switch {
	case b.epoch < s.epoch:
		return kerr.InvalidProducerEpoch
	case b.epoch == s.epoch && b.seq < s.next:
		return nil // a duplicate
	case !(s.open && s.epoch == b.epoch) && (g == nil || l.verified[b.pid] != g):
		return kerr.InvalidTxnState
	}
	if b.epoch > s.epoch {
		s.epoch, s.next = b.epoch, 0
	}
	if b.seq != s.next {
		return kerr.OutOfOrderSequenceNumber
	}
	s.next, s.open = b.seq+1, true
	delete(l.verified, b.pid)
	l.entries = append(l.entries, entry{b.pid, b.txn, false, false})
	return nil
}

// producer is a client that sends one request at a time, again if there is no
// answer, and starts over when it is fenced.
type producer struct {
	w       *world
	version int16
	pid     int64
	epoch   int16
	seq     map[int32]int32 // next, by partition
	txn     int             // serial number, 0 outside of one
	added   map[int32]bool
	writing bool // the present request is a batch
	unsure  bool // of the sequence, which a new epoch begins anew

	request func(seq int) // sends the present request
	waiting int           // number of the present request, 0 for none
	count   int
}

// act begins something, or sends the present request again.
func (p *producer) act() {
	switch {
	case p.waiting > 0 && p.writing && p.w.rnd.IntN(30) == 0:
		p.writing, p.unsure = false, true // whether it was written, and may be yet
		p.ask(func(n int) { p.sendEnd(n, false) })
	case p.waiting > 0 && p.w.rnd.IntN(4) == 0:
		p.request(p.waiting)
	case p.waiting > 0: // patient
	case p.unsure && p.txn == 0: // KIP-360
		pid, epoch := p.pid, p.epoch
		p.ask(func(n int) { p.sendInit(n, pid, epoch) })
	case p.pid < 0 || p.w.rnd.IntN(100) == 0:
		p.restart()
		p.ask(func(n int) { p.sendInit(n, -1, -1) })
	case p.txn == 0:
		p.w.serial++
		p.txn, p.added = p.w.serial, map[int32]bool{}
		p.w.acked[p.txn], p.w.outcome[p.txn] = nil, noCommit
	case p.w.rnd.IntN(4) > 0 || len(p.w.acked[p.txn]) == 0:
		p.write()
	default:
		commit := p.w.rnd.IntN(3) > 0
		if commit {
			p.w.outcome[p.txn] = asked
		}
		p.ask(func(n int) { p.sendEnd(n, commit) })
	}
}

// restart forgets everything, as a new process.
func (p *producer) restart() {
	*p = producer{w: p.w, version: p.version, pid: -1, epoch: -1, count: p.count}
}

func (p *producer) ask(send func(n int)) {
	p.count++
	p.waiting, p.request = p.count, send
	send(p.waiting)
}

// answered takes the answer to request n, unless it had one, and reports
// whether the producer goes on. What will pass is asked again.
func (p *producer) answered(n int, err error) bool {
	if p.waiting != n {
		return false
	}
	switch {
	case err == nil:
		p.waiting, p.writing = 0, false
		return true
	case errors.Is(err, kerr.ConcurrentTransactions), errors.Is(err, kerr.CoordinatorNotAvailable), errors.Is(err, kerr.NotCoordinator):
		return false
	}
	p.restart() // fenced, or its transaction cannot go on
	return false
}

// reply sends an answer back over the network.
func (p *producer) reply(f func()) { p.w.send(f) }

func (p *producer) sendInit(n int, pid int64, epoch int16) {
	w := p.w
	w.send(func() {
		if p.waiting != n {
			return // a new process would not be asked twice
		}
		r := InitRequest{Timeout: 30 * time.Second, ProducerID: pid, Epoch: epoch}
		w.run(w.txn.Init(w.now, r, func(out InitResult) {
			p.reply(func() {
				if p.answered(n, out.Err) {
					p.pid, p.epoch, p.seq, p.txn = out.ProducerID, out.Epoch, map[int32]int32{}, 0
					p.unsure = false
				}
			})
		}))
	})
}

// write adds a partition, if need be, or writes to it.
func (p *producer) write() {
	w, id := p.w, int32(p.w.rnd.IntN(len(p.w.parts)))
	pid, epoch := p.pid, p.epoch
	if p.version < V2 && !p.added[id] {
		p.ask(func(n int) {
			w.send(func() {
				r := AddRequest{ProducerID: pid, Epoch: epoch, Partitions: []TopicPartition{{"t", id}}}
				if p.waiting != n {
					return // a producer of version 1 is not proof against this
				}
				w.run(w.txn.Add(w.now, r, func(err error) {
					p.reply(func() {
						if p.answered(n, err) {
							p.added[id] = true
						}
					})
				}))
			})
		})
		return
	}
	b := batch{pid, epoch, p.seq[id], p.txn, p.version}
	p.writing = true
	p.ask(func(n int) {
		w.send(func() {
			w.parts[id].produce(b, func(err error) {
				p.reply(func() {
					if p.answered(n, err) {
						p.seq[id]++
						w.acked[p.txn] = append(w.acked[p.txn], int(id))
					}
				})
			})
		})
	})
}

func (p *producer) sendEnd(n int, commit bool) {
	w := p.w
	r := EndRequest{ProducerID: p.pid, Epoch: p.epoch, Commit: commit, Version: p.version}
	w.send(func() {
		if p.version < V2 && p.waiting != n {
			return // a late EndTxn would end the next transaction: what version 2 is for
		}
		w.run(w.txn.End(w.now, r, func(out EndResult) {
			p.reply(func() {
				if !p.answered(n, out.Err) {
					return
				}
				if commit {
					w.outcome[p.txn] = committed
				}
				p.txn = 0
				if p.version >= V2 {
					if out.ProducerID != p.pid || out.Epoch != p.epoch {
						p.seq = map[int32]int32{}
					}
					p.pid, p.epoch = out.ProducerID, out.Epoch
				}
			})
		}))
	})
}
