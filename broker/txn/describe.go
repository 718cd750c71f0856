package txn

import (
	"cmp"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// Description is what DescribeTransactions returns of one id.
type Description struct {
	ID         string
	State      State
	ProducerID int64
	Epoch      int16
	Timeout    time.Duration
	Started    time.Time // zero if there is no transaction
	Partitions []TopicPartition
}

// Describe returns the state of an id; TRANSACTIONAL_ID_NOT_FOUND if it is not
// known.
func (c *Coordinator) Describe(id string) (Description, error) {
	var d Description
	err := c.do(id, false, func(t *Txn, _ time.Time) []Action {
		d = t.describe()
		return nil
	})
	if err == kerr.InvalidProducerIDMapping {
		err = kerr.TransactionalIDNotFound
	}
	return d, err
}

func (t *Txn) describe() Description {
	return Description{t.id, t.state, t.producer, t.epoch, t.timeout, t.started, t.partitions}
}

// List returns the ids that this broker coordinates, by name.
// COORDINATOR_LOAD_IN_PROGRESS means that there may be more.
func (c *Coordinator) List() ([]Description, error) {
	var out []Description
	var err error
	for _, p := range c.parts {
		p.mu.Lock()
		if p.loading {
			err = kerr.CoordinatorLoadInProgress
		}
		for _, t := range p.txns {
			out = append(out, t.describe())
		}
		p.mu.Unlock()
	}
	slices.SortFunc(out, func(a, b Description) int { return cmp.Compare(a.ID, b.ID) })
	return out, err
}

// Stats count transactional ids.
type Stats struct {
	IDs     int
	Ongoing int // with a transaction that is not decided
	Ending  int // with one that is, and is not complete
}

// Stats returns the counts of now.
func (c *Coordinator) Stats() Stats {
	var s Stats
	for _, p := range c.parts {
		p.mu.Lock()
		s.IDs += len(p.txns)
		for _, t := range p.txns {
			switch {
			case t.state == Ongoing:
				s.Ongoing++
			case t.state.decided():
				s.Ending++
			}
		}
		p.mu.Unlock()
	}
	return s
}
