package task

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/millrace/millrace/connect/converter"
)

// Stage says where in a task's loop an error arose, by Kafka Connect's names.
type Stage string

// The stages.
const (
	StageTransformation  Stage = "TRANSFORMATION"
	StageKeyConverter    Stage = "KEY_CONVERTER"
	StageValueConverter  Stage = "VALUE_CONVERTER"
	StageHeaderConverter Stage = "HEADER_CONVERTER"
	StageProduce         Stage = "KAFKA_PRODUCE"
	StagePut             Stage = "TASK_PUT"
)

// Coordinates name a record to a person.
type Coordinates struct {
	Topic     string
	Partition int32
	Offset    int64 // -1 for a source record, which has none yet
}

func (c Coordinates) String() string {
	if c.Offset < 0 {
		return fmt.Sprintf("record for topic %s", c.Topic)
	}
	return fmt.Sprintf("record at topic %s, partition %d, offset %d", c.Topic, c.Partition, c.Offset)
}

// RecordError is the failure of one record.
type RecordError struct {
	Stage  Stage
	Record Coordinates
	Err    error
}

func (e *RecordError) Error() string {
	return fmt.Sprintf("%s failed at stage %s: %v; set errors.tolerance=all to skip such records", e.Record, e.Stage, e.Err)
}

func (e *RecordError) Unwrap() error { return e.Err }

// Policy is a connector's errors.* configuration (KIP-298).
type Policy struct {
	// RetryTimeout bounds the retries of one operation; 0 is no retry, below
	// zero is no bound (errors.retry.timeout).
	RetryTimeout time.Duration
	// RetryDelayMax is the longest pause between two tries
	// (errors.retry.delay.max.ms).
	RetryDelayMax time.Duration
	// Tolerate skips records that fail (errors.tolerance=all).
	Tolerate bool
	// Log writes each failure to the log (errors.log.enable).
	Log bool
	// LogRecords says which record it was (errors.log.include.messages).
	LogRecords bool
}

// firstDelay is the pause before the first retry; it doubles from there.
const firstDelay = 300 * time.Millisecond

// IsTransient reports whether trying again may help, as when the schema
// registry cannot be reached.
func IsTransient(err error) bool {
	var t *converter.TransientError
	return errors.As(err, &t)
}

// retry runs op until it succeeds, fails for good, or the policy's time is up.
// Differs from Kafka: an error that is still transient when the retries end is
// subject to errors.tolerance like any other, where Kafka Connect drops the
// record silently.
// stats counts the retries.
func (p Policy) retry(ctx context.Context, stats *Stats, op func() error) error {
	return p.again(ctx, stats, op(), op)
}

// again is retry after a first try that returned err.
func (p Policy) again(ctx context.Context, stats *Stats, err error, op func() error) error {
	if err == nil || p.RetryTimeout == 0 || !IsTransient(err) {
		return err
	}
	deadline := time.Now().Add(p.RetryTimeout)
	for try := 0; ; try++ {
		pause := p.pause(try)
		if left := time.Until(deadline); p.RetryTimeout > 0 && pause > left {
			pause = left
		}
		if pause <= 0 {
			return err
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		case <-timer.C:
		}
		stats.retried()
		if err = op(); err == nil || !IsTransient(err) {
			return err
		}
	}
}

// pause is 300 ms doubled with each try, and beyond the longest delay a random
// part of it, so that many tasks do not come back at once.
func (p Policy) pause(try int) time.Duration {
	longest := max(p.RetryDelayMax, time.Millisecond)
	if try < 32 {
		if d := firstDelay << try; d <= longest {
			return d
		}
	}
	return time.Duration(rand.Int64N(int64(longest)))
}
