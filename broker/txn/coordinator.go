package txn

import (
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// Coordinator keeps the transactional ids of the partitions of
// __transaction_state that this broker leads. All methods are safe for
// concurrent use and none blocks on a log: those that take a function call it
// exactly once, now or later, from any goroutine; it must not block. Errors
// are kerr values.
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
	if cfg.Partition == nil || cfg.Store == nil || cfg.Markers == nil || cfg.NewProducerID == nil {
		panic("txn: New without Partition, Store, Markers or NewProducerID")
	}
	c := &Coordinator{cfg: cfg, parts: make([]*partition, cfg.Partitions)}
	for i := range c.parts {
		c.parts[i] = &partition{c: c, id: int32(i)}
	}
	return c, nil
}

// Close gives up all partitions and waits for timers that run.
func (c *Coordinator) Close() {
	for i := range c.parts {
		c.Unload(int32(i))
	}
	c.timers.Wait()
}

// partition is one partition of __transaction_state and its ids.
type partition struct {
	c  *Coordinator
	id int32

	mu      sync.Mutex // guards below; never held over an action
	term    int        // counts loads and unloads
	loading bool
	epoch   int32           // leader epoch it was loaded in
	txns    map[string]*Txn // nil unless led
	stalled map[*Txn]bool   // waiting to be resumed
	timer   *time.Timer     // that resumes them, nil unless armed
}

// led returns an error unless this broker leads the partition and has loaded it.
func (p *partition) led() error {
	switch {
	case p.loading:
		return kerr.CoordinatorLoadInProgress
	case p.txns == nil:
		return kerr.NotCoordinator
	}
	return nil
}

// do runs an event of an id and performs what follows. Without create an id
// that is not known is INVALID_PRODUCER_ID_MAPPING. event runs with mu held.
func (c *Coordinator) do(id string, create bool, event func(t *Txn, now time.Time) []Action) error {
	if id == "" {
		return kerr.InvalidRequest
	}
	p := c.parts[c.cfg.Partition(id)]
	p.mu.Lock()
	if err := p.led(); err != nil {
		p.mu.Unlock()
		return err
	}
	t := p.txns[id]
	switch {
	case t == nil && !create:
		p.mu.Unlock()
		return kerr.InvalidProducerIDMapping
	case t == nil:
		t = newTxn(id, &p.c.cfg, p.epoch)
		p.txns[id] = t
	}
	p.run(t, event(t, time.Now()))
	return nil
}

// run brings what is known of an id up to date after an event and performs the
// actions. It is called with mu held and releases it.
func (p *partition) run(t *Txn, actions []Action) {
	term := p.term
	if p.txns[t.id] == t {
		if t.blank() {
			delete(p.txns, t.id)
		}
		if t.stalled() {
			p.stalled[t] = true
			p.arm()
		}
	}
	p.mu.Unlock()
	for _, a := range actions {
		p.perform(t, term, a)
	}
}

func (p *partition) perform(t *Txn, term int, a Action) {
	switch {
	case a.Reply != nil:
		a.Reply()
	case a.Append != nil:
		p.c.cfg.Store.Append(p.id, t.coordinatorEpoch, *a.Append, func(err error) { p.then(t, term, err, a.Then) })
	case a.Mark != nil:
		p.c.cfg.Markers.WriteMarker(a.Partition, *a.Mark, func(err error) { p.then(t, term, err, a.Then) })
	case a.NewID != nil:
		p.c.cfg.NewProducerID(func(id int64, err error) {
			p.then(t, term, err, func(now time.Time, err error) []Action { return a.NewID(now, id, err) })
		})
	}
}

// then feeds a result back. If the partition was given up meanwhile, it is
// NOT_COORDINATOR whatever came of it.
func (p *partition) then(t *Txn, term int, err error, f func(now time.Time, err error) []Action) {
	p.mu.Lock()
	if p.term != term {
		err = kerr.NotCoordinator
	}
	p.run(t, f(time.Now(), err))
}

// arm has what is stalled resumed after a while; with mu held.
func (p *partition) arm() {
	if p.timer != nil {
		return
	}
	p.c.timers.Add(1)
	term := p.term
	p.timer = time.AfterFunc(p.c.cfg.RetryBackoff, func() {
		defer p.c.timers.Done()
		p.resume(term)
	})
}

func (p *partition) disarm() {
	if p.timer != nil && p.timer.Stop() {
		p.c.timers.Done()
	}
	p.timer = nil
}

func (p *partition) resume(term int) {
	p.mu.Lock()
	if p.term != term {
		p.mu.Unlock()
		return
	}
	p.timer = nil
	stalled := p.stalled
	p.stalled = make(map[*Txn]bool)
	p.mu.Unlock()
	for t := range stalled {
		p.mu.Lock()
		p.run(t, t.Resume(time.Now()))
	}
}

// Init is InitProducerId with a transactional id.
func (c *Coordinator) Init(r InitRequest, done func(InitResult)) {
	err := error(nil)
	if r.Timeout <= 0 || r.Timeout > c.cfg.MaxTimeout {
		err = kerr.InvalidTransactionTimeout
	}
	if r.ID == "" || (r.ProducerID == noProducer) != (r.Epoch == noEpoch) {
		err = kerr.InvalidRequest
	}
	if err == nil {
		err = c.do(r.ID, true, func(t *Txn, now time.Time) []Action { return t.Init(now, r, done) })
	}
	if err != nil {
		done(InitResult{err, noProducer, noEpoch})
	}
}

// Add adds partitions to the transaction of an id.
func (c *Coordinator) Add(r AddRequest, done func(error)) {
	err := c.do(r.ID, false, func(t *Txn, now time.Time) []Action { return t.Add(now, r, done) })
	if err != nil {
		done(err)
	}
}

// Verify tells which partitions are in the transaction of an id, with one
// error for each.
func (c *Coordinator) Verify(r VerifyRequest) []error {
	var errs []error
	err := c.do(r.ID, false, func(t *Txn, _ time.Time) []Action {
		errs = t.Verify(r)
		return nil
	})
	if err != nil {
		return slices.Repeat([]error{err}, len(r.Partitions))
	}
	return errs
}

// End is EndTxn.
func (c *Coordinator) End(r EndRequest, done func(EndResult)) {
	err := c.do(r.ID, false, func(t *Txn, now time.Time) []Action { return t.End(now, r, done) })
	if err != nil {
		done(EndResult{err, noProducer, noEpoch})
	}
}

// AbortTimedOut aborts the transactions that have taken longer than their
// timeout. The owner calls it every
// transaction.abort.timed.out.transaction.cleanup.interval.ms.
func (c *Coordinator) AbortTimedOut() { c.each((*Txn).Tick) }

// ExpireIDs forgets ids that transactional.id.expiration.ms lets go. The owner
// calls it every transaction.remove.expired.transaction.cleanup.interval.ms.
func (c *Coordinator) ExpireIDs() { c.each((*Txn).Expire) }

// each runs an event of every id.
func (c *Coordinator) each(event func(*Txn, time.Time) []Action) {
	for _, p := range c.parts {
		p.mu.Lock()
		txns := make([]*Txn, 0, len(p.txns))
		for _, t := range p.txns {
			txns = append(txns, t)
		}
		p.mu.Unlock()
		for _, t := range txns {
			p.mu.Lock()
			p.run(t, event(t, time.Now()))
		}
	}
}
