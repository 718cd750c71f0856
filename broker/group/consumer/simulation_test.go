package consumer

import (
	"errors"
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/millrace/millrace/broker/group/assignor"
)

// cluster is the topics of a test.
type cluster struct {
	version uint64
	topics  map[string]Topic
	ids     byte
}

func newCluster() *cluster { return &cluster{version: 1, topics: map[string]Topic{}} }

func (c *cluster) set(name string, partitions int32) {
	t, ok := c.topics[name]
	if !ok {
		c.ids++
		t.ID = TopicID{c.ids}
	}
	t.Partitions = partitions
	c.topics[name] = t
	c.version++
}

func (c *cluster) drop(name string) {
	delete(c.topics, name)
	c.version++
}

func (c *cluster) Version() uint64                 { return c.version }
func (c *cluster) Topic(name string) (Topic, bool) { t, ok := c.topics[name]; return t, ok }
func (c *cluster) Names() iter.Seq[string]         { return maps.Keys(c.topics) }
func (c *cluster) Name(id TopicID) (string, bool) {
	for name, t := range c.topics {
		if t.ID == id {
			return name, true
		}
	}
	return "", false
}

const session = 45 * time.Second

func testConfig() *Config {
	ids := 0
	return &Config{
		MaxSize: 100, Assignors: assignor.Names(),
		Timing: func(string) Timing { return Timing{Session: session, Heartbeat: 5 * time.Second} },
		NewID:  func() string { ids++; return fmt.Sprint("id-", ids) },
	}
}

// client is a consumer that does what Kafka's do. It uses partitions that it
// is to let go of until it has finished with them.
type client struct {
	name, instance string
	id             string
	epoch          int32
	assigned       Assignment
	using          Assignment
	names          []string
	regex          string
	sent           time.Time // of the last heartbeat that was answered
	lives          int
	away           bool // a static member that left for a while
}

// sim is a group, its log, its topics and its clients.
type sim struct {
	t       *testing.T
	rnd     *rand.Rand
	now     time.Time
	cfg     *Config
	g       *Group
	log     []Record
	topics  *cluster
	clients []*client
}

// TestSimulation lets clients come, go, crash and change their minds while
// topics come and go, answers are lost, records are not stored and the group
// moves between brokers. No two clients may ever use the same partition, and in
// the end every partition must be used.
func TestSimulation(t *testing.T) {
	for range 40 {
		seed := rand.Uint64()
		if !t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) { simulate(t, seed) }) {
			return
		}
	}
}

func simulate(t *testing.T, seed uint64) {
	s := &sim{t: t, rnd: rand.New(rand.NewPCG(seed, 0)), now: time.UnixMilli(1e9), cfg: testConfig(), topics: newCluster()}
	s.g = New("g", s.cfg)
	s.topics.set("a", 4)
	s.topics.set("b", 7)
	for i := range 2 + s.rnd.IntN(5) {
		c := &client{name: fmt.Sprint("c", i)}
		if s.rnd.IntN(3) == 0 {
			c.instance = c.name
		}
		c.restart()
		c.subscribe(s.rnd)
		s.clients = append(s.clients, c)
	}
	for range 500 {
		s.step()
		s.check()
	}
	s.settle()
}

func (c *client) restart() {
	c.lives++
	c.id = fmt.Sprint(c.name, "-", c.lives)
	c.forget()
}

// forget is what a client does that is fenced.
func (c *client) forget() { c.epoch, c.assigned, c.using = 0, Assignment{}, Assignment{} }

func (c *client) subscribe(rnd *rand.Rand) {
	c.names, c.regex = []string{}, ""
	for _, n := range []string{"a", "b", "c"} {
		if rnd.IntN(3) > 0 {
			c.names = append(c.names, n)
		}
	}
	if rnd.IntN(4) == 0 {
		c.regex = "b|d.*"
	}
}

func (s *sim) step() {
	c := s.clients[s.rnd.IntN(len(s.clients))]
	switch n := s.rnd.IntN(100); {
	case n < 60:
		s.heartbeat(c, s.rnd.IntN(10) == 0, s.rnd.IntN(10) == 0)
	case n < 75:
		c.finish()
	case n < 85:
		s.advance(time.Duration(s.rnd.IntN(4000)) * time.Millisecond)
	case n < 87:
		c.restart() // a crash: the group is to notice
	case n < 90:
		s.leave(c)
	case n < 93:
		c.subscribe(s.rnd)
	case n < 96:
		s.change()
	default:
		s.move()
	}
}

func (s *sim) change() {
	name := []string{"a", "b", "c", "d1", "d2"}[s.rnd.IntN(5)]
	if t, ok := s.topics.Topic(name); !ok || s.rnd.IntN(2) == 0 {
		s.topics.set(name, t.Partitions+1+int32(s.rnd.IntN(4)))
		return
	}
	s.topics.drop(name)
}

// move loads the group from its log, as another broker would.
func (s *sim) move() {
	s.g = load(s.t, s.cfg, s.log)
	s.g.Restart(s.now)
}

func load(t testing.TB, cfg *Config, log []Record) *Group {
	t.Helper()
	g := New("g", cfg)
	for _, r := range log {
		d, err := Decode(r)
		if err != nil {
			t.Fatal(err)
		}
		g.Replay(d)
	}
	return g
}

// finish lets go of what the client has to, and begins with what it got.
func (c *client) finish() { c.using = maps.Clone(c.assigned) }

func (s *sim) heartbeat(c *client, lost, fail bool) {
	r := Heartbeat{MemberID: c.id, Epoch: c.epoch, InstanceID: c.instance, Rebalance: -1, MustHaveID: true}
	if c.epoch == 0 || s.rnd.IntN(2) == 0 {
		r.Rebalance = time.Hour
		r.Names, r.Regex = c.names, &c.regex
		r.Owned, r.OwnedGiven = maps.Clone(c.using), true
	}
	if err := s.cfg.Check(&r); err != nil {
		s.t.Fatalf("%s: %v", c.name, err)
	}
	before := s.g.Describe()
	answer, change, err := s.g.Heartbeat(s.now, r, s.topics)
	if err == nil && fail {
		s.g.Undo(s.now, change)
		if after := s.g.Describe(); !reflect.DeepEqual(before, after) {
			s.t.Fatalf("undone group is %+v, was %+v", after, before)
		}
		return
	}
	s.log = append(s.log, change.Records...)
	switch {
	case lost:
		c.finish() // it goes on with what it has, and tries again
	case err == nil:
		c.away, c.sent, c.epoch = false, s.now, answer.Epoch
		if answer.Assignment != nil {
			c.assigned = answer.Assignment
			if s.rnd.IntN(2) == 0 {
				c.finish()
			}
		}
	case errors.Is(err, kerr.UnknownMemberID):
		c.restart()
	case errors.Is(err, kerr.FencedMemberEpoch):
		c.forget()
	case errors.Is(err, kerr.UnreleasedInstanceID):
	default:
		s.t.Fatalf("%s hears %v", c.name, err)
	}
}

func (s *sim) leave(c *client) {
	if c.epoch == 0 {
		return
	}
	r := Heartbeat{MemberID: c.id, Epoch: epochLeave, InstanceID: c.instance}
	if c.instance != "" && s.rnd.IntN(2) == 0 {
		r.Epoch = epochLeaveStatic
	}
	_, change, err := s.g.Heartbeat(s.now, r, s.topics)
	if err != nil && !errors.Is(err, kerr.UnknownMemberID) {
		s.t.Fatalf("%s leaves: %v", c.name, err)
	}
	s.log = append(s.log, change.Records...)
	c.restart()
}

// advance ends sessions; a client that has not been answered for as long knows
// that it is out.
func (s *sim) advance(d time.Duration) {
	for end := s.now.Add(d); ; {
		at, ok := s.g.Deadline()
		if !ok || at.After(end) {
			s.now = end
			break
		}
		if at.After(s.now) {
			s.now = at
		}
		s.fence()
		_, change := s.g.Tick(s.now)
		s.log = append(s.log, change.Records...)
	}
	s.fence()
}

func (s *sim) fence() {
	for _, c := range s.clients {
		if c.epoch > 0 && s.now.Sub(c.sent) >= session {
			c.restart()
		}
	}
}

// check holds the clients and the group to what must always be true.
func (s *sim) check() {
	users := map[partition]string{}
	for _, c := range s.clients {
		each(&current{assigned: c.using}, func(p partition) {
			if other := users[p]; other != "" {
				s.t.Fatalf("%v is used by %s and %s", p, other, c.name)
			}
			users[p] = c.name
		})
	}
	owners := map[partition]string{}
	for id, cur := range s.g.currents {
		if s.g.members[id] == nil {
			s.t.Fatalf("%s owns something but is no member", id)
		}
		each(cur, func(p partition) {
			if other := owners[p]; other != "" {
				s.t.Fatalf("%v is owned by %s and %s", p, other, id)
			}
			owners[p] = id
		})
	}
	if !maps.EqualFunc(owners, s.g.owners, func(id string, o owner) bool { return id == o.member }) {
		s.t.Fatalf("index of owners is %v, want %v", s.g.owners, owners)
	}
	if s.rnd.IntN(20) > 0 {
		return
	}
	if got := load(s.t, s.cfg, s.log).Describe(); !reflect.DeepEqual(got, s.g.Describe()) {
		s.t.Fatalf("the log says %+v, the group is %+v", got, s.g.Describe())
	}
}

// settle lets all clients work until nothing changes any more.
func (s *sim) settle() {
	for range 200 {
		for _, c := range s.clients {
			s.heartbeat(c, false, false)
			c.finish()
			s.check()
		}
		if s.settled() {
			return
		}
		s.advance(5 * time.Second)
	}
	s.t.Fatalf("group does not settle: %+v", s.g.Describe())
}

// settled reports whether every client is a member, and every partition of a
// topic that one subscribes to is used by one that does.
func (s *sim) settled() bool {
	if s.g.State() != Stable || s.g.Size() != len(s.clients) {
		return false
	}
	wanted := map[partition]bool{}
	for _, c := range s.clients {
		p, err := compile(c.regex)
		if err != nil {
			s.t.Fatal(err)
		}
		for name, t := range s.topics.topics {
			if slices.Contains(c.names, name) || c.regex != "" && p.matches(name) {
				for i := range t.Partitions {
					wanted[partition{t.ID, i}] = true
				}
			}
		}
		if m := s.g.members[c.id]; m == nil || !slices.Equal(m.names, c.names) || m.regex != c.regex {
			return false // its subscription is yet to be told
		}
	}
	used := map[partition]bool{}
	for _, c := range s.clients {
		each(&current{assigned: c.using}, func(p partition) { used[p] = true })
	}
	return maps.Equal(wanted, used)
}
