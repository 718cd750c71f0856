package replica

import (
	"errors"
	"fmt"

	"github.com/millrace/millrace/broker/commitlog"
)

// Errors of the leader's role.
var (
	// ErrNotLeader means that another broker leads the partition, or none.
	ErrNotLeader = errors.New("not the leader of the partition")
	// ErrFencedEpoch means that the client's leader epoch is older than the
	// current one.
	ErrFencedEpoch = errors.New("leader epoch is older than the current one")
	// ErrUnknownEpoch means that it is newer.
	ErrUnknownEpoch = errors.New("leader epoch is newer than the current one")
	// ErrNotEnoughReplicas means fewer replicas in sync than
	// min.insync.replicas; nothing was appended.
	ErrNotEnoughReplicas = errors.New("fewer replicas in sync than min.insync.replicas")
	// ErrTimestamp means a record whose time is outside of what the topic
	// allows.
	ErrTimestamp = errors.New("timestamp out of range")
	// ErrKeyMissing means a record without key for a compacted topic.
	ErrKeyMissing = errors.New("record without key in a compacted topic")
)

// Errors of the log, under this package's name for those above it.
var (
	ErrClosed              = commitlog.ErrClosed              // the partition was closed or deleted
	ErrStorage             = commitlog.ErrStorage             // what every failure of the disk is
	ErrTopicID             = commitlog.ErrTopicID             // the directory is another topic's
	ErrOffsetOutOfRange    = commitlog.ErrOffsetOutOfRange    // below the log start or above the end offset
	ErrBatchTooLarge       = commitlog.ErrBatchTooLarge       // more than max.message.bytes
	ErrBatchExceedsSegment = commitlog.ErrBatchExceedsSegment // more than segment.bytes
	ErrLogFencedEpoch      = commitlog.ErrFencedEpoch         // the log has seen a newer leader
	ErrOutOfOrderSequence  = commitlog.ErrOutOfOrderSequence  // a gap in a producer's sequence
	ErrProducerEpoch       = commitlog.ErrProducerEpoch       // an older epoch of the producer
	ErrTxnState            = commitlog.ErrTxnState            // a plain batch within a transaction, or one after its end
	ErrCoordinatorFenced   = commitlog.ErrCoordinatorFenced   // a marker of a coordinator that was replaced
)

// RecordError says which record of a batch was refused, and why.
type RecordError struct {
	Index int32 // in the batch, from 0
	Err   error
}

// Error names the record.
func (e *RecordError) Error() string { return fmt.Sprintf("record %d: %v", e.Index, e.Err) }

// Unwrap returns the reason.
func (e *RecordError) Unwrap() error { return e.Err }
