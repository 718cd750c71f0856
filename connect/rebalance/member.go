package rebalance

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/connect/connector"
)

// Client sends a request to the group's coordinator, which it finds.
// *kgo.Client is one. It is called from two goroutines at once.
type Client interface {
	Request(context.Context, kmsg.Request) (kmsg.Response, error)
}

// Owner is the worker that a Member speaks for.
type Owner interface {
	// Configured returns all there is to run. fresh reads the config topic to
	// its end before.
	Configured(ctx context.Context, fresh bool) (c Configured, err error)
	// Revoke stops what w names and returns what has stopped: all of it, or what
	// has after a while that the owner sets. It calls Rejoin when more has.
	Revoke(ctx context.Context, w Work) (stopped Work, err error)
	// Lost says that the membership is no more, or may not be: everything must
	// stop without writing anything, now. It does not wait and must not block.
	Lost()
	// Take makes a round's outcome known: what v assigns is to run, and nothing
	// else. It must not block.
	Take(v View)
}

// Configured is what an Owner knows of the config topic.
type Configured struct {
	Work   Work
	Offset int64
	// Last says at which worker, as host:port, each item was last known to be.
	Last map[connector.TaskID]string
}

// View is a worker's place in the group after a round.
type View struct {
	Member     string
	Generation int32
	Protocol   Protocol
	Leader     bool
	LeaderURL  string
	Offset     int64 // of the config topic that the round divided by
	Assigned   Work
	// Owners are the URLs of the workers that run each item. Only the leader
	// knows them.
	Owners map[connector.TaskID]string
	// Running is what the members said they ran when the round began. Only the
	// leader knows it.
	Running Work
	// Due is when work that waits for its worker is given to others, zero if
	// none waits.
	Due time.Time
}

// Config is what a Member is made of.
type Config struct {
	Client Client
	// Group is group.id, URL where other workers reach this one, Storage the
	// topics that the cluster keeps its state in.
	Group, URL, Storage string
	Protocols           []Protocol // offered, preferred first
	// Session is session.timeout.ms, Heartbeat heartbeat.interval.ms, Rebalance
	// rebalance.timeout.ms, MaxDelay scheduled.rebalance.max.delay.ms.
	Session, Heartbeat, Rebalance, MaxDelay time.Duration
	// SyncTimeout and UnsyncBackoff are worker.sync.timeout.ms and
	// worker.unsync.backoff.ms.
	SyncTimeout, UnsyncBackoff time.Duration
	// Previous is the id that this worker had when its process ended without
	// leaving, "" if unknown. That member is removed first, so that nobody
	// waits for its session to end.
	Previous string
	// Named is told each id that the worker gets, if it is not nil.
	Named  func(member string)
	Logger *slog.Logger // nil discards
}

// Member is one worker's membership.
type Member struct {
	cfg      Config
	owner    Owner
	log      *slog.Logger
	again    chan struct{}               // cap 1: rejoin
	assignor *Assignor                   // of Run's goroutine
	running  Work                        // of Run's goroutine
	stopping Work                        // the part of running that is revoked and still stops
	last     Protocol                    // of the last round
	complete int32                       // the last generation that got its assignment
	lost     int                         // the last epoch whose work is known to have stopped
	view     place                       // of the last round
	owners   map[connector.TaskID]string // of the last round, if this member led it
	active   Work                        // likewise
	delayed  *time.Timer                 // nil, or the next round that is due by itself

	heard      atomic.Int64 // contact as nanoseconds since clockStart, 0 for none
	mu         sync.Mutex   // guards below, and is held while Lost and Take are called
	id         string
	generation int32
	joining    bool
	contact    time.Time // when the last request that the coordinator answered was sent
	epoch      int       // counts losses
	began      time.Time // of the round under way, zero between rounds
	stats      Stats
}

// place is what a round's assignment said of the group.
type place struct {
	leader, url string
	offset      int64
}

// New returns a member that does nothing until Run.
func New(cfg Config, owner Owner) *Member {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Member{
		cfg: cfg, owner: owner, log: cfg.Logger, again: make(chan struct{}, 1),
		assignor: &Assignor{MaxDelay: cfg.MaxDelay}, running: Work{}, stopping: Work{}, generation: -1, complete: -1,
	}
}

// Rejoin asks for another round. It may be called from any goroutine and does
// not block.
func (m *Member) Rejoin() {
	select {
	case m.again <- struct{}{}:
	default:
	}
}

// Run takes part in the group until ctx ends, and then leaves it. The caller
// stops its work first. An error is one that joining again would not mend.
func (m *Member) Run(ctx context.Context) error {
	if m.cfg.Previous != "" {
		m.leave(ctx, m.cfg.Previous, "the worker's process was started again")
	}
	var beating sync.WaitGroup
	bctx, stop := context.WithCancel(ctx)
	beating.Go(func() { m.beat(bctx) })
	defer beating.Wait()
	defer stop()
	err := m.take(ctx)
	if m.delayed != nil {
		m.delayed.Stop()
	}
	stop()
	beating.Wait()
	lctx, done := context.WithTimeout(context.WithoutCancel(ctx), leaveTimeout)
	defer done()
	m.leave(lctx, m.identity(), "the worker is stopping")
	return err
}

// leaveTimeout bounds the goodbye.
const leaveTimeout = 5 * time.Second

// identity returns the member id, "" while there is none.
func (m *Member) identity() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.id
}

// take goes from round to round.
func (m *Member) take(ctx context.Context) error {
	failures := 0
	for ctx.Err() == nil {
		m.begin()
		err := m.round(ctx)
		var stranger *StrangerError
		var fatal *fatalError
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil:
			failures = 0
			m.linger(ctx)
		case errors.Is(err, errAgain):
			failures = 0
		case errors.As(err, &stranger) || errors.As(err, &fatal):
			return err
		case errors.Is(err, errUnsynced):
			m.withdraw(ctx)
		default:
			m.log.Warn("no round of the group, trying again", "group", m.cfg.Group, "err", err)
			pause(ctx, backoff(failures))
			failures++
		}
	}
	return nil
}

// Stats are the figures of a membership.
type Stats struct {
	Rounds      int64         // settled
	Rebalancing bool          // a round is under way
	Last        time.Time     // when the last one settled
	Longest     time.Duration // of all rounds
	Total       time.Duration // of all rounds together
}

// Stats returns the membership's figures. It is safe for concurrent use.
func (m *Member) Stats() Stats {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.stats
	s.Rebalancing = !m.began.IsZero()
	return s
}

func (m *Member) begin() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.began.IsZero() {
		m.began = time.Now()
	}
}

// settled notes the end of a round. The caller holds mu.
func (m *Member) settled() {
	now := time.Now()
	took := now.Sub(m.began)
	m.stats.Rounds++
	m.stats.Last, m.stats.Longest, m.stats.Total = now, max(m.stats.Longest, took), m.stats.Total+took
	m.began = time.Time{}
}

// fatalError is a refusal that joining again would not mend.
type fatalError struct{ error }

func (e *fatalError) Unwrap() error { return e.error }

// backoff is the pause after the nth failure in a row: from 100 ms to 5 s, less
// a random part.
func backoff(n int) time.Duration {
	d := min(100*time.Millisecond<<min(n, 10), 5*time.Second)
	return d - rand.N(d/4)
}

// pause waits unless ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// linger waits until there is reason for another round.
func (m *Member) linger(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-m.again:
	}
}

// withdraw stops everything, leaves the group and waits.
func (m *Member) withdraw(ctx context.Context) {
	m.log.Error("leaving the group for a while: the config topic was not read in time; worker.unsync.backoff.ms is how long",
		"group", m.cfg.Group, "pause", m.cfg.UnsyncBackoff)
	m.stopAll(ctx)
	m.leave(ctx, m.identity(), "the config topic was not read in time")
	m.lose("left")
	pause(ctx, m.cfg.UnsyncBackoff)
}

// stopAll stops what runs and returns when it has stopped, or ctx ends.
func (m *Member) stopAll(ctx context.Context) {
	for len(m.running) > 0 && ctx.Err() == nil {
		stopped, err := m.owner.Revoke(ctx, m.running)
		m.running = m.running.minus(stopped)
		if err == nil && len(m.running) == 0 {
			break
		}
		if ctx.Err() == nil {
			m.log.Warn("work does not stop; the group is not joined before it has", "work", m.running.Sorted(), "err", err)
		}
	}
	m.running, m.stopping = Work{}, Work{}
}

// leave takes a member out of the group. That it could not is no failure: its
// session will end.
func (m *Member) leave(ctx context.Context, id, reason string) {
	if id == "" {
		return
	}
	req := kmsg.NewPtrLeaveGroupRequest()
	req.Group, req.MemberID = m.cfg.Group, id
	lm := kmsg.NewLeaveGroupRequestMember()
	lm.MemberID, lm.Reason = id, &reason
	req.Members = append(req.Members, lm)
	if _, err := m.cfg.Client.Request(ctx, req); err != nil {
		m.log.Warn("group not left; the member's session will end", "group", m.cfg.Group, "member", id, "err", err)
	}
}

// lose gives the membership up, and with it all work.
func (m *Member) lose(why string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.log.Warn("membership lost, work stops", "group", m.cfg.Group, "member", m.id, "generation", m.generation, "why", why)
	m.id, m.generation = "", -1
	m.abandon()
}

// abandon has all work stopped. The caller holds mu.
func (m *Member) abandon() {
	m.contact = time.Time{}
	m.heard.Store(0)
	m.epoch++
	m.owner.Lost()
	m.Rejoin()
}
