package api

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/broker/metadata"
	"github.com/millrace/millrace/broker/recordbatch"
	"github.com/millrace/millrace/broker/replica"
)

// codes says which Kafka error a Go error is. The first match counts.
var codes = []struct {
	err  error
	code *kerr.Error
}{
	{replica.ErrNotLeader, kerr.NotLeaderForPartition},
	{replica.ErrClosed, kerr.NotLeaderForPartition},
	{replica.ErrLogFencedEpoch, kerr.NotLeaderForPartition},
	{replica.ErrFencedEpoch, kerr.FencedLeaderEpoch},
	{replica.ErrUnknownEpoch, kerr.UnknownLeaderEpoch},
	{replica.ErrNotEnoughReplicas, kerr.NotEnoughReplicas},
	{replica.ErrKeyMissing, kerr.InvalidRecord},
	{replica.ErrTimestamp, kerr.InvalidTimestamp},
	{replica.ErrTopicID, kerr.InconsistentTopicID},
	{replica.ErrOffsetOutOfRange, kerr.OffsetOutOfRange},
	{replica.ErrBatchTooLarge, kerr.MessageTooLarge},
	{replica.ErrBatchExceedsSegment, kerr.RecordListTooLarge},
	{replica.ErrOutOfOrderSequence, kerr.OutOfOrderSequenceNumber},
	{replica.ErrProducerEpoch, kerr.InvalidProducerEpoch},
	{replica.ErrTxnState, kerr.InvalidTxnState},
	{replica.ErrCoordinatorFenced, kerr.TransactionCoordinatorFenced},
	{replica.ErrStorage, kerr.KafkaStorageError},
	{recordbatch.ErrInvalidRecord, kerr.InvalidRecord},
	{recordbatch.ErrInvalidTimestamp, kerr.InvalidTimestamp},
	{recordbatch.ErrCodec, kerr.UnsupportedCompressionType},
	{recordbatch.ErrTooLarge, kerr.MessageTooLarge},
	{recordbatch.ErrTooShort, kerr.CorruptMessage},
	{recordbatch.ErrMagic, kerr.CorruptMessage},
	{recordbatch.ErrCorrupt, kerr.CorruptMessage},
	{recordbatch.ErrCRC, kerr.CorruptMessage},
	{metadata.ErrTopicExists, kerr.TopicAlreadyExists},
	{metadata.ErrTopicCollides, kerr.InvalidTopicException},
	{metadata.ErrTopicName, kerr.InvalidTopicException},
	{metadata.ErrUnknownTopic, kerr.UnknownTopicOrPartition},
	{metadata.ErrPartitions, kerr.InvalidPartitions},
	{metadata.ErrReplication, kerr.InvalidReplicationFactor},
	{metadata.ErrAssignment, kerr.InvalidReplicaAssignment},
	{metadata.ErrConfig, kerr.InvalidConfig},
	{metadata.ErrQuota, kerr.InvalidRequest},
	{metadata.ErrNotController, kerr.NotController},
	{metadata.ErrOutcomeUnknown, kerr.RequestTimedOut},
	{context.DeadlineExceeded, kerr.RequestTimedOut},
}

// errorCode is the one place where Go errors become Kafka error codes.
func errorCode(err error) int16 {
	if err == nil {
		return 0
	}
	var ke *kerr.Error
	if errors.As(err, &ke) {
		return ke.Code
	}
	for _, c := range codes {
		if errors.Is(err, c.err) {
			return c.code.Code
		}
	}
	return kerr.UnknownServerError.Code
}

// code returns err's Kafka error code for a response of that key. It counts
// the error, and logs the one that no code explains.
func (a *API) code(key int16, err error) int16 {
	code := errorCode(err)
	if code != 0 {
		a.meters[key].fail(code)
	}
	if code == kerr.UnknownServerError.Code {
		a.cfg.Logger.Error("request failed", "api", kmsg.NameForKey(key), "err", err)
	}
	return code
}

// detailed is a Kafka error with a message for the client.
type detailed struct {
	code *kerr.Error
	text string
}

// refuse returns a Kafka error that says more than its code.
func refuse(e *kerr.Error, text string) error { return &detailed{e, text} }

// Error returns the message.
func (e *detailed) Error() string { return e.text }

// Unwrap returns the error whose code it is.
func (e *detailed) Unwrap() error { return e.code }

// message returns what a response's error_message says: nothing for success.
func message(err error) *string {
	if err == nil {
		return nil
	}
	s := err.Error()
	return &s
}
