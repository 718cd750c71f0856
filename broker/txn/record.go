package txn

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Record is one record of __transaction_state. A nil Value is a tombstone.
type Record struct {
	Key   []byte
	Value []byte
}

// valueVersion is the version that records are written in: the first flexible
// one, which has the fields of transaction.version 2.
const valueVersion = 1

var errRecord = errors.New("malformed record")

func recordKey(id string) []byte {
	return (&kmsg.TxnMetadataKey{TransactionalID: id}).AppendTo(nil)
}

// encode returns the record of an id in the state m.
func (m *meta) encode(id string) Record {
	v := kmsg.NewTxnMetadataValue()
	v.Version = valueVersion
	v.ProducerID, v.PreviousProducerID, v.NextProducerID = m.producer, m.previous, m.next
	v.ProducerEpoch, v.ClientTransactionVersion = m.epoch, m.version
	v.TimeoutMillis = int32(m.timeout.Milliseconds())
	v.State = kmsg.TransactionState(m.state)
	v.LastUpdateTimestamp, v.StartTimestamp = millis(m.updated), millis(m.started)
	for _, tp := range m.partitions {
		if n := len(v.Topics); n == 0 || v.Topics[n-1].Topic != tp.Topic {
			t := kmsg.NewTxnMetadataValueTopic()
			t.Topic = tp.Topic
			v.Topics = append(v.Topics, t)
		}
		t := &v.Topics[len(v.Topics)-1]
		t.Partitions = append(t.Partitions, tp.Partition)
	}
	return Record{recordKey(id), v.AppendTo(nil)}
}

// decodeRecord returns an id and its state, nil for a tombstone; false for
// records of other kinds, which are skipped.
func decodeRecord(r Record) (id string, m *meta, ok bool, err error) {
	if len(r.Key) < 2 {
		return "", nil, false, fmt.Errorf("key of %d bytes: %w", len(r.Key), errRecord)
	}
	if binary.BigEndian.Uint16(r.Key) != 0 {
		return "", nil, false, nil
	}
	var k kmsg.TxnMetadataKey
	if err := k.ReadFrom(r.Key); err != nil {
		return "", nil, false, fmt.Errorf("transactional id: %v: %w", err, errRecord)
	}
	if r.Value == nil {
		return k.TransactionalID, nil, true, nil
	}
	if len(r.Value) < 2 || binary.BigEndian.Uint16(r.Value) > valueVersion {
		return "", nil, false, fmt.Errorf("state of %q: value of %d bytes, or of a version above %d: %w",
			k.TransactionalID, len(r.Value), valueVersion, errRecord)
	}
	var v kmsg.TxnMetadataValue
	if err := v.ReadFrom(r.Value); err != nil {
		return "", nil, false, fmt.Errorf("state of %q: %v: %w", k.TransactionalID, err, errRecord)
	}
	if v.State < 0 || State(v.State) >= Dead {
		return "", nil, false, fmt.Errorf("state of %q: number %d: %w", k.TransactionalID, v.State, errRecord)
	}
	return k.TransactionalID, fromValue(&v), true, nil
}

func fromValue(v *kmsg.TxnMetadataValue) *meta {
	m := &meta{
		state: State(v.State), producer: v.ProducerID, previous: v.PreviousProducerID, next: v.NextProducerID,
		epoch: v.ProducerEpoch, last: noEpoch, version: v.ClientTransactionVersion,
		timeout: time.Duration(v.TimeoutMillis) * time.Millisecond,
		started: fromMillis(v.StartTimestamp), updated: fromMillis(v.LastUpdateTimestamp),
	}
	for _, t := range v.Topics {
		for _, id := range t.Partitions {
			m.partitions = append(m.partitions, TopicPartition{t.Topic, id})
		}
	}
	slices.SortFunc(m.partitions, compare)
	m.partitions = slices.Compact(m.partitions)
	return m
}

// millis is a time in a record: -1 for none.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return -1
	}
	return t.UnixMilli()
}

func fromMillis(ms int64) time.Time {
	if ms < 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}

// storeError is what a client hears when an append failed.
func storeError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, kerr.NotLeaderForPartition), errors.Is(err, kerr.KafkaStorageError), errors.Is(err, kerr.NotCoordinator):
		return kerr.NotCoordinator
	case errors.Is(err, kerr.UnknownTopicOrPartition), errors.Is(err, kerr.NotEnoughReplicas),
		errors.Is(err, kerr.NotEnoughReplicasAfterAppend), errors.Is(err, kerr.RequestTimedOut):
		return kerr.CoordinatorNotAvailable
	}
	return kerr.UnknownServerError
}
