package txn

import (
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Config is a coordinator's settings. The zero value of a field means its
// default, which is Kafka's. Those without a default are required.
type Config struct {
	// Partition returns the partition of __transaction_state of an id, below
	// Partitions.
	Partition    func(id string) int32
	Partitions   int32         // transaction.state.log.num.partitions, 50
	MaxTimeout   time.Duration // transaction.max.timeout.ms, 15 min
	IDExpiration time.Duration // transactional.id.expiration.ms, 7 days
	RetryBackoff time.Duration // between attempts to write what must be written, 100 ms

	Store   Store
	Markers Markers
	// NewProducerID calls done exactly once with a producer id that was never
	// given out before, now or later, from any goroutine.
	NewProducerID func(done func(id int64, err error))
	Logger        *slog.Logger // discards
}

// Store is the log of __transaction_state.
type Store interface {
	// Append appends a record to a partition of __transaction_state as its
	// leader of that epoch, as acks=all does, and calls done exactly once:
	// with nil when it is committed and durable, else with the reason, a kerr
	// value where there is one. done may be called from any goroutine, also
	// before Append returns.
	Append(partition, epoch int32, r Record, done func(error))
}

// Markers writes the ends of transactions.
type Markers interface {
	// WriteMarker appends a marker to a partition, or has its leader do so,
	// and calls done exactly once: with nil when the marker is committed and
	// durable, and what it decides is done, or when the partition does not
	// exist any more. INVALID_PRODUCER_EPOCH and
	// TRANSACTION_COORDINATOR_FENCED are final; after any other error the
	// marker is written again. done may be called from any goroutine, also
	// before WriteMarker returns.
	WriteMarker(tp TopicPartition, m Marker, done func(error))
}

// Marker is the end of a transaction in one partition.
type Marker struct {
	ProducerID       int64
	Epoch            int16
	Commit           bool
	CoordinatorEpoch int32 // leader epoch of the coordinator's partition
}

func (c Config) withDefaults() (Config, error) {
	setDefault(&c.Partitions, 50)
	setDefault(&c.MaxTimeout, 15*time.Minute)
	setDefault(&c.IDExpiration, 7*24*time.Hour)
	setDefault(&c.RetryBackoff, 100*time.Millisecond)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	var errs []error
	if c.Partitions < 1 {
		errs = append(errs, fmt.Errorf("transaction.state.log.num.partitions is %d: must be at least 1", c.Partitions))
	}
	if c.MaxTimeout < 0 {
		errs = append(errs, fmt.Errorf("transaction.max.timeout.ms is %d: must be positive", c.MaxTimeout.Milliseconds()))
	}
	if c.IDExpiration < 0 {
		errs = append(errs, fmt.Errorf("transactional.id.expiration.ms is %d: must be positive", c.IDExpiration.Milliseconds()))
	}
	return c, errors.Join(errs...)
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
