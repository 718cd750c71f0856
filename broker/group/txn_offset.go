package group

import (
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// TxnCommitRequest is TxnOffsetCommit: offsets that count once the producer's
// transaction commits.
type TxnCommitRequest struct {
	Group      string
	MemberID   string // with InstanceID and Generation "" and -1: not checked
	InstanceID string
	Generation int32
	ProducerID int64
	Offsets    []OffsetToCommit
	// Append appends the records to the group's partition as part of the
	// producer's transaction, as Store.Append does.
	Append func(records []Record, done func(error))
}

// Stored is a record of __consumer_offsets as it is in the log.
type Stored struct {
	Record
	Producer int64 // of the transaction that the record is part of, or that ends; -1 for none
	Marker   bool  // there is no record: the transaction ends
	Commit   bool  // how
}

// txnOffsets are the offsets of one transaction that is not decided here.
type txnOffsets struct {
	durable  map[TopicPartition]committed
	inFlight map[TopicPartition]int // appends that are not durable
	ended    bool
	commit   bool
}

// CommitTxn is TxnOffsetCommit. done gets one error for each offset, in order,
// nil for those that are durable.
func (c *Coordinator) CommitTxn(r TxnCommitRequest, done func([]error)) {
	plain := CommitRequest{Group: r.Group, MemberID: r.MemberID, InstanceID: r.InstanceID, Generation: r.Generation, Offsets: r.Offsets}
	if r.Group == "" {
		replyCommit(done, plain, kerr.InvalidGroupID).Reply()
		return
	}
	known := true
	err := c.do(r.Group, r.Generation < 0, func(g *Group, now time.Time) []Action {
		if known = g != nil; !known {
			return nil
		}
		return g.CommitTxn(now, r, done)
	})
	if err == nil && !known {
		err = kerr.IllegalGeneration
	}
	if err != nil {
		replyCommit(done, plain, err).Reply()
	}
}

// CommitTxn is a TxnOffsetCommit. The offsets are pending from now on, until
// EndTxn.
func (g *Group) CommitTxn(now time.Time, r TxnCommitRequest, done func([]error)) []Action {
	if err := g.checkTxnCommit(now, r); err != nil {
		return []Action{replyCommit(done, CommitRequest{Offsets: r.Offsets}, err)}
	}
	records, values, errs := g.encodeOffsets(now, r.Offsets)
	if len(records) == 0 {
		return []Action{{Reply: func() { done(errs) }}}
	}
	x := g.transaction(r.ProducerID)
	for tp := range values {
		x.inFlight[tp]++
	}
	g.inFlight++
	return []Action{{
		Append: records,
		Via:    r.Append,
		Then: func(_ time.Time, err error) []Action {
			g.inFlight--
			for i := range errs {
				if errs[i] == nil && err != nil {
					errs[i] = commitError(err)
				}
			}
			g.settleTxn(r.ProducerID, x, values, err)
			return []Action{{Reply: func() { done(errs) }}}
		},
	}}
}

// checkTxnCommit decides who may commit in a transaction: anyone who does not
// claim to be a member, and members of this generation, or epoch in a group of
// the consumer protocol.
func (g *Group) checkTxnCommit(now time.Time, r TxnCommitRequest) error {
	if g.dead() {
		return kerr.CoordinatorNotAvailable
	}
	if r.Generation < 0 && (g.vacant() || r.MemberID == "" && r.InstanceID == "") {
		return nil
	}
	if g.occupied() {
		err := g.consumer.CheckCommit(r.MemberID, r.Generation, committing(r.Offsets))
		if err == kerr.StaleMemberEpoch {
			err = kerr.IllegalGeneration // which every version of the request knows
		}
		return err
	}
	m, err := g.checkMember(r.MemberID, r.InstanceID)
	switch {
	case err != nil:
		return err
	case r.Generation != g.generation:
		return kerr.IllegalGeneration
	}
	m.touch(now)
	return nil
}

func (g *Group) transaction(producer int64) *txnOffsets {
	x := g.txns[producer]
	if x == nil {
		x = &txnOffsets{durable: make(map[TopicPartition]committed), inFlight: make(map[TopicPartition]int)}
		if g.txns == nil {
			g.txns = make(map[int64]*txnOffsets)
		}
		g.txns[producer] = x
	}
	return x
}

// settleTxn takes in the result of an append. If the transaction has ended
// meanwhile, its marker followed the append: who comes after the marker needs
// a new transaction, which begins when this one has ended everywhere.
func (g *Group) settleTxn(producer int64, x *txnOffsets, values map[TopicPartition]committed, err error) {
	for tp, c := range values {
		if x.inFlight[tp]--; x.inFlight[tp] == 0 {
			delete(x.inFlight, tp)
		}
		if err == nil && x.durable[tp].append <= c.append {
			x.durable[tp] = c
		}
	}
	switch {
	case x.ended && err == nil && x.commit:
		g.apply(values)
	case !x.ended && len(x.durable) == 0 && len(x.inFlight) == 0:
		delete(g.txns, producer)
	}
}

// EndTxn takes in the end of a producer's transaction: its offsets count, or
// are forgotten. The marker is durable.
func (g *Group) EndTxn(producer int64, commit bool) {
	x := g.txns[producer]
	if x == nil {
		return
	}
	delete(g.txns, producer)
	x.ended, x.commit = true, commit
	if commit {
		g.apply(x.durable)
	}
}

// unstable reports whether an open transaction has an offset for the
// partition.
func (g *Group) unstable(tp TopicPartition) bool {
	for _, x := range g.txns {
		if _, ok := x.durable[tp]; ok || x.inFlight[tp] > 0 {
			return true
		}
	}
	return false
}

// EndTxn takes in the marker, durable in a partition of __consumer_offsets,
// that ends a producer's transaction. An error says that this broker does not
// know the partition's groups (yet), and nothing was done.
func (c *Coordinator) EndTxn(id int32, producer int64, commit bool) error {
	if err := c.Led(id); err != nil {
		return err
	}
	p := c.parts[id]
	p.mu.Lock()
	if err := p.led(); err != nil {
		p.mu.Unlock()
		return err
	}
	now := time.Now()
	for _, e := range p.groups {
		if e.group.txns[producer] != nil {
			e.group.EndTxn(producer, commit)
			p.settle(e, now, nil)
		}
	}
	p.drain()
	return nil
}

// Led returns an error unless this broker leads a partition of
// __consumer_offsets and has loaded its groups.
func (c *Coordinator) Led(id int32) error {
	if id < 0 || int(id) >= len(c.parts) {
		return kerr.UnknownTopicOrPartition
	}
	p := c.parts[id]
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.led()
}

// endTxn is EndTxn while groups are loaded.
func endTxn(groups map[string]*Group, producer int64, commit bool) {
	for _, g := range groups {
		g.EndTxn(producer, commit)
	}
}

// restoreTxnOffset takes a loaded offset, nil for a tombstone, as pending.
func (g *Group) restoreTxnOffset(producer int64, d decoded) {
	x := g.transaction(producer)
	if d.offset == nil {
		delete(x.durable, d.tp)
		return
	}
	g.appends++
	x.durable[d.tp] = restoredOffset(d.offset, g.appends)
}
