package api

import (
	"context"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/millrace/millrace/broker/group"
	"github.com/millrace/millrace/broker/recordbatch"
	"github.com/millrace/millrace/broker/replica"
	"github.com/millrace/millrace/broker/txn"
)

// txnPatience bounds how long something waits for the end of the last
// transaction of its id, or for a producer id.
const txnPatience = 5 * time.Second

// transactions connects the transaction coordinator with the partitions of
// __transaction_state: it loads those that this broker leads, and is the
// coordinator's Store and Markers.
type transactions struct {
	*txn.Coordinator
	*led
	asks sync.WaitGroup // for producer ids
}

// newTransactions makes the coordinator for as many partitions as the topic
// has, or will have.
func newTransactions(a *API) (*transactions, error) {
	b := a.cfg.Broker
	n := int32(b.Int("transaction.state.log.num.partitions"))
	if t := a.cfg.Controller.Image().Topic(txnTopic); t != nil {
		n = int32(len(t.Partitions))
	}
	x := &transactions{led: newLed(a)}
	var err error
	x.Coordinator, err = txn.New(txn.Config{
		Partition:     func(id string) int32 { return group.Partition(id, n) },
		Partitions:    n,
		MaxTimeout:    b.Milliseconds("transaction.max.timeout.ms"),
		IDExpiration:  b.Milliseconds("transactional.id.expiration.ms"),
		Store:         x,
		Markers:       x,
		NewProducerID: x.newProducerID,
		Logger:        a.cfg.Logger,
	})
	if err != nil {
		return nil, fmt.Errorf("transaction coordinator: %w", err)
	}
	return x, nil
}

// close ends the coordinator, and waits for loads, which end because the API
// stops.
func (x *transactions) close() {
	x.loads.Wait()
	x.Coordinator.Close()
	x.asks.Wait()
}

// records iterates over the records of a partition.
func (x *transactions) records(p *replica.Partition) iter.Seq2[txn.Record, error] {
	return func(yield func(txn.Record, error) bool) {
		for v, err := range x.batches(p) {
			if err != nil {
				yield(txn.Record{}, err)
				return
			}
			if v.Control() {
				continue
			}
			for r, err := range v.Records(loadRecordsBytes) {
				if !yield(txn.Record{Key: r.Key, Value: r.Value}, err) || err != nil {
					return
				}
			}
		}
	}
}

// Append implements txn.Store.
func (x *transactions) Append(partition, epoch int32, r txn.Record, done func(error)) {
	op := x.part(partition)
	if op == nil {
		done(kerr.NotCoordinator)
		return
	}
	var b recordbatch.Builder
	if err := b.Add(x.api.cfg.Now().UnixMilli(), r.Key, r.Value); err != nil {
		done(kerrOf(err))
		return
	}
	at, err := op.p.AppendOwnIn(epoch, b.Batch(recordbatch.NoProducer))
	if err != nil {
		x.api.cfg.Logger.Warn("transaction state not written", "topic", txnTopic, "partition", partition, "err", err)
		done(kerrOf(err))
		return
	}
	op.p.NotifyDurable(at.LastOffset+1, func(err error) { done(kerrOf(err)) })
}

// WriteMarker implements txn.Markers. A topic that is not in the metadata was
// deleted: partitions are only added to a transaction when they exist.
func (x *transactions) WriteMarker(tp txn.TopicPartition, m txn.Marker, done func(error)) {
	p, err := x.api.partition(tp.Topic, tp.Partition)
	switch err {
	case nil:
		x.api.endTransaction(p, m, done)
	case kerr.UnknownTopicOrPartition:
		done(nil)
	default:
		done(kerrOf(err))
	}
}

// endTransaction appends a marker and calls done once it is durable. In
// __consumer_offsets it decides about offsets, and groups that are still being
// loaded might miss it.
func (a *API) endTransaction(p *replica.Partition, m txn.Marker, done func(error)) {
	offsets := p.Topic == offsetsTopic
	if offsets {
		if err := a.groups.Led(p.ID); err != nil {
			done(err)
			return
		}
	}
	kind := recordbatch.Abort
	if m.Commit {
		kind = recordbatch.Commit
	}
	var b recordbatch.Builder
	v, err := b.Marker(a.cfg.Now().UnixMilli(), m.ProducerID, m.Epoch, recordbatch.Marker{Type: kind, CoordinatorEpoch: m.CoordinatorEpoch})
	var at replica.Appended
	if err == nil {
		at, err = p.AppendOwn(v)
	}
	if err != nil {
		done(kerrOf(err))
		return
	}
	p.NotifyDurable(at.LastOffset+1, func(err error) {
		if err == nil && offsets {
			err = a.groups.EndTxn(p.ID, m.ProducerID, m.Commit)
		}
		done(kerrOf(err))
	})
}

// newProducerID asks for a producer id on a goroutine of its own, because the
// quorum may have to be asked.
func (x *transactions) newProducerID(done func(int64, error)) {
	x.asks.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), txnPatience)
		defer cancel()
		id, err := x.api.producers.next(ctx)
		done(id, kerrOf(err))
	})
}

// offsetsPartition names the partition of __consumer_offsets that a group's
// offsets are in.
func (a *API) offsetsPartition(id string) txn.TopicPartition {
	return txn.TopicPartition{Topic: offsetsTopic, Partition: a.groups.Partition(id)}
}

// fenced is the code for a producer with an old epoch: versions before since
// know only INVALID_PRODUCER_EPOCH.
func fenced(err error, version, since int16) error {
	if err == kerr.ProducerFenced && version < since {
		return kerr.InvalidProducerEpoch
	}
	return err
}

// await returns what comes through a channel, or the error with which ctx
// ended.
func await[T any](ctx context.Context, c <-chan T) (T, error) {
	select {
	case v := <-c:
		return v, nil
	case <-ctx.Done():
		var zero T
		return zero, context.Cause(ctx)
	}
}
