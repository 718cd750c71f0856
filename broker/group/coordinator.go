package group

import (
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// Store is the log of __consumer_offsets.
type Store interface {
	// Append appends the records as one batch to a partition of
	// __consumer_offsets, as acks=all does, and calls done exactly once: with
	// nil when they are committed and durable, else with the reason, a kerr
	// value where there is one. Appends to a partition come one after another,
	// in the order that must be kept. done may be called from any goroutine,
	// also before Append returns. Append does not keep the slice of records.
	Append(partition int32, records []Record, done func(error))
}

// Coordinator keeps the groups of the partitions of __consumer_offsets that
// this broker leads. All methods are safe for concurrent use and none blocks
// on the log or on other members: Join, Sync and the others that take a
// function call it exactly once, now or later, from any goroutine; it must not
// block. Errors are kerr values.
type Coordinator struct {
	cfg    Config
	parts  []*partition
	timers sync.WaitGroup // armed or running
}

// New returns a coordinator that leads no partition yet.
func New(cfg Config) (*Coordinator, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	if cfg.Store == nil {
		panic("group: New without a Store")
	}
	c := &Coordinator{cfg: cfg, parts: make([]*partition, cfg.Partitions)}
	for i := range c.parts {
		c.parts[i] = &partition{c: c, id: int32(i)}
	}
	return c, nil
}

// Partition returns the partition of __consumer_offsets of a group.
func (c *Coordinator) Partition(group string) int32 { return Partition(group, c.cfg.Partitions) }

// Close gives up all partitions and waits for timers that run.
func (c *Coordinator) Close() {
	for i := range c.parts {
		c.Unload(int32(i))
	}
	c.timers.Wait()
}

// partition is one partition of __consumer_offsets and its groups.
type partition struct {
	c  *Coordinator
	id int32

	mu       sync.Mutex // guards below; never held over an action
	term     int        // counts loads and unloads
	loading  bool
	groups   map[string]*entry // nil unless led
	queue    []step
	draining bool // a goroutine performs the queue
}

// entry is a group with its timer, which may be early: deadlines that move
// back do not touch it.
type entry struct {
	group *Group
	timer *time.Timer
	armed time.Time // zero if no timer runs
}

// step is an action of a group.
type step struct {
	e *entry
	a Action
}

// led returns an error unless this broker leads the partition and has loaded it.
func (p *partition) led() error {
	switch {
	case p.loading:
		return kerr.CoordinatorLoadInProgress
	case p.groups == nil:
		return kerr.NotCoordinator
	}
	return nil
}

// do runs an event of a group and performs what follows from it. event gets
// nil if there is no such group and create is false; it runs with mu held.
func (c *Coordinator) do(id string, create bool, event func(g *Group, now time.Time) []Action) error {
	if len(id) > maxString {
		return kerr.InvalidGroupID
	}
	p := c.parts[c.Partition(id)]
	p.mu.Lock()
	if err := p.led(); err != nil {
		p.mu.Unlock()
		return err
	}
	now := time.Now()
	e := p.groups[id]
	if e == nil && create {
		e = &entry{group: newGroup(id, &c.cfg, now)}
		p.groups[id] = e
	}
	if e == nil {
		event(nil, now)
		p.mu.Unlock()
		return nil
	}
	p.settle(e, now, event(e.group, now))
	p.drain()
	return nil
}

// settle queues an event's actions and brings the timer, and the list of
// groups, up to date; with mu held.
func (p *partition) settle(e *entry, now time.Time, actions []Action) {
	for _, a := range actions {
		p.queue = append(p.queue, step{e, a})
	}
	if e.group.state == Dead || e.group.blank() {
		if p.groups[e.group.id] == e {
			delete(p.groups, e.group.id)
		}
		p.disarm(e)
		return
	}
	if at, ok := e.group.Deadline(); ok && (e.armed.IsZero() || at.Before(e.armed)) {
		p.disarm(e)
		p.arm(e, at, at.Sub(now))
	}
}

func (p *partition) arm(e *entry, at time.Time, d time.Duration) {
	e.armed = at
	p.c.timers.Add(1)
	e.timer = time.AfterFunc(max(d, 0), func() {
		defer p.c.timers.Done()
		p.tick(e, at)
	})
}

func (p *partition) disarm(e *entry) {
	if !e.armed.IsZero() && e.timer.Stop() {
		p.c.timers.Done()
	}
	e.armed = time.Time{}
}

// tick is the timer that was armed for a time.
func (p *partition) tick(e *entry, armed time.Time) {
	p.mu.Lock()
	if !e.armed.Equal(armed) {
		p.mu.Unlock()
		return // stopped too late
	}
	e.armed = time.Time{}
	now := time.Now()
	p.settle(e, now, e.group.Tick(now))
	p.drain()
}

// drain performs the queue in order, without mu, which it takes over and
// releases. If another goroutine does so already it performs these too.
func (p *partition) drain() {
	for !p.draining && len(p.queue) > 0 {
		p.draining = true
		steps := p.queue
		p.queue = nil
		p.mu.Unlock()
		for _, s := range steps {
			p.perform(s)
		}
		p.mu.Lock()
		p.draining = false
	}
	p.mu.Unlock()
}

func (p *partition) perform(s step) {
	if s.a.Reply != nil {
		s.a.Reply()
		return
	}
	done := func(err error) {
		p.mu.Lock()
		now := time.Now()
		p.settle(s.e, now, s.a.Then(now, err))
		p.drain()
	}
	if s.a.Via != nil {
		s.a.Via(s.a.Append, done)
		return
	}
	p.c.cfg.Store.Append(p.id, s.a.Append, done)
}

// Join is JoinGroup. The result comes when the rebalance completes.
func (c *Coordinator) Join(r JoinRequest, done func(JoinResult)) {
	fail := func(err error) { done(JoinResult{Err: err, MemberID: r.MemberID, Generation: -1}) }
	if r.Group == "" {
		fail(kerr.InvalidGroupID)
		return
	}
	if r.SessionTimeout < c.cfg.MinSessionTimeout || r.SessionTimeout > c.cfg.MaxSessionTimeout {
		fail(kerr.InvalidSessionTimeout)
		return
	}
	if !r.storable() {
		fail(kerr.InvalidRequest)
		return
	}
	known := true
	err := c.do(r.Group, r.MemberID == "", func(g *Group, now time.Time) []Action {
		if known = g != nil; !known {
			return nil
		}
		return g.Join(now, r, done)
	})
	if err == nil && !known {
		err = kerr.UnknownMemberID
	}
	if err != nil {
		fail(err)
	}
}

// Sync is SyncGroup. The result comes when the leader's assignment is durable.
func (c *Coordinator) Sync(r SyncRequest, done func(SyncResult)) {
	known := true
	err := c.existing(r.Group, func(g *Group, now time.Time) []Action {
		if known = g != nil; !known {
			return nil
		}
		return g.Sync(now, r, done)
	})
	if err == nil && !known {
		err = kerr.UnknownMemberID
	}
	if err != nil {
		done(SyncResult{Err: err})
	}
}

// existing is do for APIs that need a group id and do not create the group.
func (c *Coordinator) existing(group string, event func(*Group, time.Time) []Action) error {
	if group == "" {
		return kerr.InvalidGroupID
	}
	return c.do(group, false, event)
}

// Heartbeat is Heartbeat.
func (c *Coordinator) Heartbeat(r HeartbeatRequest) error {
	var result error
	err := c.existing(r.Group, func(g *Group, now time.Time) []Action {
		if result = kerr.UnknownMemberID; g != nil {
			result = g.Heartbeat(now, r)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return result
}

// Leave is LeaveGroup: one error for each member, nil for those that left, or
// the one that all share.
func (c *Coordinator) Leave(r LeaveRequest) ([]error, error) {
	errs := make([]error, len(r.Members))
	err := c.existing(r.Group, func(g *Group, now time.Time) []Action {
		if g == nil {
			for i := range errs {
				errs[i] = kerr.UnknownMemberID
			}
			return nil
		}
		var actions []Action
		actions, errs = g.Leave(now, r.Members)
		return actions
	})
	return errs, err
}

// Commit is OffsetCommit. done gets one error for each offset, in order, nil
// for those that are durable.
func (c *Coordinator) Commit(r CommitRequest, done func([]error)) {
	known := true
	err := c.do(r.Group, r.Generation < 0, func(g *Group, now time.Time) []Action {
		if known = g != nil; !known {
			return nil
		}
		return g.Commit(now, r, done)
	})
	if err == nil && !known {
		if err = kerr.IllegalGeneration; r.GroupIDNotFound {
			err = kerr.GroupIDNotFound
		}
	}
	if err != nil {
		replyCommit(done, r, err).Reply()
	}
}

// Fetch is OffsetFetch of the partitions, or of all that have an offset if
// they are nil. A group that does not exist has none.
func (c *Coordinator) Fetch(group string, tps []TopicPartition) ([]CommittedOffset, error) {
	var out []CommittedOffset
	err := c.do(group, false, func(g *Group, now time.Time) []Action {
		if g == nil {
			g = newGroup(group, &c.cfg, now)
		}
		out = g.Fetch(tps)
		return nil
	})
	return out, err
}

// DeleteOffsets is OffsetDelete: one error for each partition, in order, or
// the one that all share.
func (c *Coordinator) DeleteOffsets(group string, tps []TopicPartition, done func([]error, error)) {
	known := true
	err := c.do(group, false, func(g *Group, _ time.Time) []Action {
		if known = g != nil; !known {
			return nil
		}
		return g.DeleteOffsets(tps, done)
	})
	if err == nil && !known {
		err = kerr.GroupIDNotFound
	}
	if err != nil {
		done(nil, err)
	}
}

// Delete is DeleteGroups of one group.
func (c *Coordinator) Delete(group string, done func(error)) {
	known := true
	err := c.existing(group, func(g *Group, _ time.Time) []Action {
		if known = g != nil; !known {
			return nil
		}
		return g.Delete(done)
	})
	if err == nil && !known {
		err = kerr.GroupIDNotFound
	}
	if err != nil {
		done(err)
	}
}
