package txn

import (
	"math"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

const (
	noProducer = int64(-1)
	noEpoch    = int16(-1)

	// lastEpoch is the last epoch that a producer is given. The one above is
	// left for a fence or an end of it.
	lastEpoch = math.MaxInt16 - 1
)

// Versions of the protocol between producer and brokers (transaction.version).
const (
	// V1 keeps a producer's epoch over transactions.
	V1 = int16(0)
	// V2 gives it a new one at the end of each (KIP-890 part 2).
	V2 = int16(2)
)

// TopicPartition names a partition.
type TopicPartition struct {
	Topic     string
	Partition int32
}

func compare(a, b TopicPartition) int {
	if c := strings.Compare(a.Topic, b.Topic); c != 0 {
		return c
	}
	return int(a.Partition) - int(b.Partition)
}

// Action is one thing for the shell to do, whose result it feeds back and
// whose further actions it performs: call Reply; or append Append to the id's
// partition of __transaction_state, then Then; or get a producer id, then
// NewID; or write Mark to Partition, then Then.
type Action struct {
	Reply     func()
	Append    *Record
	Mark      *Marker
	Partition TopicPartition
	Then      func(now time.Time, err error) []Action
	NewID     func(now time.Time, id int64, err error) []Action
}

func reply(f func()) []Action { return []Action{{Reply: f}} }

// meta is what is durable of a transactional id. It is replaced, never changed,
// and so are its partitions.
type meta struct {
	state      State
	producer   int64 // -1 before the first InitProducerId
	previous   int64 // producer id before it was changed for its epochs were used up
	next       int64 // producer id after the transaction, if its epochs are used up
	epoch      int16
	last       int16 // epoch before it, where a client knows it; not durable
	version    int16 // of the client, which says whether the end brings a new epoch
	timeout    time.Duration
	partitions []TopicPartition // of the transaction, sorted
	started    time.Time        // of the transaction, zero for none
	updated    time.Time
}

func (m *meta) has(tp TopicPartition) bool {
	_, ok := slices.BinarySearchFunc(m.partitions, tp, compare)
	return ok
}

// Txn is one transactional id. It is not safe for concurrent use.
type Txn struct {
	id  string
	cfg *Config
	meta
	coordinatorEpoch int32

	pending     State // that is being made durable, none for none
	failedFence bool  // epoch was raised for a fence that could not be written
	lost        bool  // another coordinator has the id
	waiting     []func(now time.Time) []Action

	unmarked   map[TopicPartition]bool // decided: partitions without a durable marker; true while one is being written
	superseded bool                    // a newer coordinator has written markers
	complained bool                    // of a marker that could not be written
}

func newTxn(id string, cfg *Config, coordinatorEpoch int32) *Txn {
	return &Txn{
		id: id, cfg: cfg, coordinatorEpoch: coordinatorEpoch, pending: none,
		meta: meta{state: Empty, producer: noProducer, previous: noProducer, next: noProducer, epoch: noEpoch, last: noEpoch},
	}
}

// blank reports whether the id is as if it had never been.
func (t *Txn) blank() bool { return t.producer == noProducer && t.pending == none }

// busy reports whether requests must come again, because something is being
// made durable, or the last transaction still ends.
func (t *Txn) busy() bool { return t.pending != none || t.state.decided() }

// enter moves the id to a durable state.
func (t *Txn) enter(m meta) {
	if !canEnter(t.state, m.state) {
		panic("txn: " + t.state.String() + " to " + m.state.String())
	}
	t.cfg.Logger.Debug("transaction moved", "transactional_id", t.id, "from", t.state.String(), "to", m.state.String(),
		"producer", m.producer, "epoch", m.epoch)
	t.meta = m
}

// move makes the next state durable and enters it. then gets what a client
// hears of a failure, after which nothing has changed.
func (t *Txn) move(next meta, then func(now time.Time, err error) []Action) []Action {
	t.pending = next.state
	r := next.encode(t.id)
	return []Action{{Append: &r, Then: func(now time.Time, err error) []Action {
		t.pending = none
		if err == nil {
			t.enter(next)
		}
		return append(then(now, storeError(err)), t.wake(now)...)
	}}}
}

// wake runs what waits for the id not to be busy.
func (t *Txn) wake(now time.Time) []Action {
	if t.busy() && !t.lost {
		return nil
	}
	waiting := t.waiting
	t.waiting = nil
	var out []Action
	for _, f := range waiting {
		out = append(out, f(now)...)
	}
	return out
}

// kill ends the id here; another coordinator has it.
func (t *Txn) kill(now time.Time) []Action {
	t.lost = true
	return t.wake(now)
}

// check compares the producer that a request comes from with the id's.
func (t *Txn) check(producer int64, epoch int16) error {
	switch {
	case t.lost:
		return kerr.NotCoordinator
	case t.producer != producer:
		return kerr.InvalidProducerIDMapping
	case t.epoch != epoch:
		return kerr.ProducerFenced
	}
	return nil
}
