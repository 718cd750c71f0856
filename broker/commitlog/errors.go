package commitlog

import (
	"errors"
	"fmt"
)

// Errors of a log's life cycle.
var (
	// ErrClosed means that the log was closed or deleted.
	ErrClosed = errors.New("log is closed")
	// ErrTopicID means that the directory belongs to another topic of the
	// same name. Kafka answers INCONSISTENT_TOPIC_ID.
	ErrTopicID = errors.New("log belongs to another topic id")
	// ErrStorage is what every StorageError is. Kafka answers
	// KAFKA_STORAGE_ERROR.
	ErrStorage = errors.New("storage error")
)

// Errors of offsets.
var (
	// ErrOffsetOutOfRange means an offset below the start or above the end of
	// the log. Kafka answers OFFSET_OUT_OF_RANGE.
	ErrOffsetOutOfRange = errors.New("offset out of range")
	// ErrTruncated tells a waiter that the offset it waits for was cut off.
	ErrTruncated = errors.New("log was truncated")
	// ErrNotContiguous means that a follower's batch starts below the end of
	// its log.
	ErrNotContiguous = errors.New("batch does not follow the log end offset")
)

// Errors of appended batches.
var (
	// ErrBatchTooLarge means more than max.message.bytes. Kafka answers
	// MESSAGE_TOO_LARGE.
	ErrBatchTooLarge = errors.New("batch exceeds max.message.bytes")
	// ErrBatchExceedsSegment means more than segment.bytes. Kafka answers
	// RECORD_LIST_TOO_LARGE.
	ErrBatchExceedsSegment = errors.New("batch exceeds segment.bytes")
	// ErrFencedEpoch means a leader epoch older than one the log has seen.
	// Kafka answers NOT_LEADER_OR_FOLLOWER to clients.
	ErrFencedEpoch = errors.New("leader epoch is fenced")
	// ErrOutOfOrderSequence means a gap in a producer's sequence. Kafka
	// answers OUT_OF_ORDER_SEQUENCE_NUMBER.
	ErrOutOfOrderSequence = errors.New("out of order sequence number")
	// ErrProducerEpoch means an epoch older than the producer's last. Kafka
	// answers INVALID_PRODUCER_EPOCH.
	ErrProducerEpoch = errors.New("invalid producer epoch")
	// ErrTxnState means a plain batch within a transaction. Kafka answers
	// INVALID_TXN_STATE.
	ErrTxnState = errors.New("invalid transaction state")
	// ErrCoordinatorFenced means a marker of an old transaction coordinator.
	// Kafka answers TRANSACTION_COORDINATOR_FENCED.
	ErrCoordinatorFenced = errors.New("transaction coordinator is fenced")
)

// StorageError is a failed file operation. A write that failed and was undone
// may be tried again, for example when the disk is no longer full; a Fatal one
// leaves the log unusable until it is opened again.
type StorageError struct {
	Op    string // such as "write"
	Path  string
	Fatal bool
	Err   error
}

// Error says what was done to which file, and the cause.
func (e *StorageError) Error() string { return fmt.Sprintf("%s %s: %v", e.Op, e.Path, e.Err) }

// Unwrap returns the cause.
func (e *StorageError) Unwrap() error { return e.Err }

// Is reports true for ErrStorage.
func (e *StorageError) Is(target error) bool { return target == ErrStorage }

// SafeToRetry reports whether the same call may succeed later.
func (e *StorageError) SafeToRetry() bool { return !e.Fatal }

func storage(op, path string, err error) error {
	if err == nil {
		return nil
	}
	return &StorageError{Op: op, Path: path, Err: err}
}
