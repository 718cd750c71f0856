package api

import (
	"context"
	"crypto/rand"
	"encoding/binary"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/millrace/millrace/broker/metadata"
	"github.com/millrace/millrace/broker/replica"
)

// Where coordinators keep their state.
const (
	offsetsTopic = "__consumer_offsets"
	txnTopic     = "__transaction_state"
)

// internal reports whether clients may not write to a topic.
func internal(topic string) bool { return topic == offsetsTopic || topic == txnTopic }

// named returns a topic's name, which is what was given or, in versions that
// name topics by id, what the id stands for; the error is UNKNOWN_TOPIC_ID.
func (a *API) named(name string, id [16]byte, byID bool) (string, error) {
	if !byID {
		return name, nil
	}
	if t := a.cfg.Controller.Image().TopicByID(id); t != nil {
		return t.Name, nil
	}
	return "", kerr.UnknownTopicID
}

// partition finds a partition by its topic's name. The error is
// UNKNOWN_TOPIC_OR_PARTITION, or why the partition cannot be used here.
func (a *API) partition(topic string, id int32) (*replica.Partition, error) {
	t := a.cfg.Controller.Image().Topic(topic)
	if t == nil {
		return nil, kerr.UnknownTopicOrPartition
	}
	return a.partitionOf(t, id)
}

func (a *API) partitionOf(t *metadata.Topic, id int32) (*replica.Partition, error) {
	if id < 0 || int(id) >= len(t.Partitions) {
		return nil, kerr.UnknownTopicOrPartition
	}
	p := a.cfg.Replicas.Partition(t.ID, id)
	if p == nil {
		return nil, kerr.NotLeaderForPartition // led elsewhere, or being opened
	}
	return p, p.Err()
}

// place chooses replicas for n partitions of a topic that has first already.
func (a *API) place(n, factor, first int) ([][]int32, error) {
	var brokers []int32
	for _, b := range a.cfg.Controller.Image().Brokers() {
		brokers = append(brokers, b.ID)
	}
	var start [4]byte
	if first == 0 {
		rand.Read(start[:]) // never fails since Go 1.24
	}
	return metadata.Place(brokers, n, factor, uint32(first), binary.BigEndian.Uint32(start[:]))
}

// createTopic commits a new topic and waits until this broker can serve it. A
// wait that ctx cuts short is not an error: the topic exists.
func (a *API) createTopic(ctx context.Context, c *metadata.CreateTopic) error {
	_, index, err := a.cfg.Controller.Propose(ctx, c)
	if err != nil {
		return err
	}
	a.cfg.Controller.WaitPublished(ctx, index) // see above
	return nil
}

// autoCreate creates a topic that a client named but nobody created.
func (a *API) autoCreate(ctx context.Context, topic string) error {
	c := &metadata.CreateTopic{ID: metadata.NewID(), Name: topic}
	n, factor := a.cfg.Broker.Int("num.partitions"), a.cfg.Broker.Int("default.replication.factor")
	if internal(topic) {
		n, factor, c.Configs = a.coordinatorTopic(topic)
	}
	var err error
	if c.Replicas, err = a.place(n, factor, 0); err != nil {
		return err
	}
	return a.createTopic(ctx, c)
}

// coordinatorTopic returns the partitions, replicas and configs of a
// coordinator's topic.
func (a *API) coordinatorTopic(topic string) (n, factor int, configs map[string]string) {
	b := a.cfg.Broker
	configs = map[string]string{
		"cleanup.policy":   "compact",
		"compression.type": "producer",
		"flush.before.ack": string(metadata.FlushAlways), // whatever the broker's default is
	}
	prefix := "offsets.topic."
	if topic == txnTopic {
		prefix = "transaction.state.log."
		configs["min.insync.replicas"] = b.String(prefix + "min.isr")
	}
	configs["segment.bytes"] = b.String(prefix + "segment.bytes")
	return b.Int(prefix + "num.partitions"), b.Int(prefix + "replication.factor"), configs
}
