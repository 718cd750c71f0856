package replica

import (
	"github.com/millrace/millrace/broker/commitlog"
	"github.com/millrace/millrace/broker/recordbatch"
)

// Verification is the leave to begin a transaction in a partition.
type Verification = commitlog.Verification

// AbortedTxn is an aborted transaction in a partition.
type AbortedTxn = commitlog.AbortedTxn

// ProducerState is what a partition remembers of a producer.
type ProducerState = commitlog.ProducerState

// Verify returns what AppendVerified needs for a batch of the producer, nil if
// a transaction of that epoch is open in the partition. It is called before the
// transaction's coordinator is asked. fresh says that the producer's sequence
// begins at 0 with each transaction.
func (p *Partition) Verify(id int64, epoch int16, sequence int32, fresh bool) (*Verification, error) {
	if err := p.Err(); err != nil {
		return nil, err
	}
	return p.log.Verify(id, epoch, sequence, fresh)
}

// Unverify gives up what Verify returned.
func (p *Partition) Unverify(id int64, g *Verification) { p.log.Unverify(id, g) }

// AppendVerified is Append for a batch of a transaction, ErrTxnState if that
// is over.
func (p *Partition) AppendVerified(v recordbatch.View, all bool, g *Verification) (Appended, error) {
	if err := p.admit(v, all); err != nil {
		return Appended{}, err
	}
	return p.append(v, p.LeaderEpoch(), commitlog.AppendOptions{Verified: true, Verification: g})
}

// AppendOwnVerified is AppendVerified for a batch that the broker made itself.
func (p *Partition) AppendOwnVerified(v recordbatch.View, g *Verification) (Appended, error) {
	if err := p.Err(); err != nil {
		return Appended{}, err
	}
	return p.append(v, p.LeaderEpoch(), commitlog.AppendOptions{Verified: true, Verification: g, NoWait: true})
}

// AppendOwnIn is AppendOwn as the leader of an epoch: ErrNotLeader if that is
// over.
func (p *Partition) AppendOwnIn(epoch int32, v recordbatch.View) (Appended, error) {
	if err := p.Err(); err != nil {
		return Appended{}, err
	}
	if p.LeaderEpoch() != epoch {
		return Appended{}, ErrNotLeader
	}
	return p.append(v, epoch, commitlog.AppendOptions{NoWait: true})
}

// NotifyDurable is NotifyCommitted for what must survive a crash whatever
// flush.before.ack says.
func (p *Partition) NotifyDurable(offset int64, fn func(error)) {
	p.log.NotifyHighWatermark(offset, func(err error) {
		if err != nil {
			fn(err)
			return
		}
		p.log.NotifyDurable(offset, fn)
	})
}

// ReadCommitted is Read up to the last stable offset, with the aborted
// transactions whose records a reader must leave out.
func (p *Partition) ReadCommitted(offset int64, maxBytes int, bound int64, minOne bool) (Chunk, []AbortedTxn, error) {
	return p.log.ReadCommitted(offset, maxBytes, bound, minOne)
}

// Producers returns the state of every producer that the partition remembers.
func (p *Partition) Producers() []ProducerState { return p.log.Producers() }
