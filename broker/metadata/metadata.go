// Package metadata is what a cluster agrees on: its brokers, topics,
// partitions, configs, client quotas and producer id blocks. It is pure: commands go
// in, one after the other, and each gives a new immutable Image. Equal
// commands in equal order give equal images on every node, so applying one
// reads no clock, draws no random number and looks at no node's own
// configuration; whoever proposes a command resolves those first.
package metadata

import (
	"cmp"
	"crypto/rand"
	"encoding/base64"
	"iter"
	"slices"
)

// ID is a topic id or broker incarnation, a random UUID. The zero ID means
// none.
type ID [16]byte

// NewID draws a random UUID, version 4, for the proposer of a command.
func NewID() ID {
	var id ID
	rand.Read(id[:]) // never fails
	id[6] = id[6]&0x0f | 0x40
	id[8] = id[8]&0x3f | 0x80
	return id
}

// String returns the form that Kafka's tools and partition.metadata use:
// base64url without padding, 22 characters.
func (id ID) String() string { return base64.RawURLEncoding.EncodeToString(id[:]) }

// Endpoint is where clients of one listener reach a broker.
type Endpoint struct {
	Listener string
	Host     string
	Port     int32
}

// Broker is a registered broker. It is immutable.
type Broker struct {
	ID          int32
	Incarnation ID    // of the running process
	Epoch       int64 // index of its registration in the metadata log
	Rack        string
	Endpoints   []Endpoint
}

// Endpoint returns the broker's endpoint on a listener.
func (b *Broker) Endpoint(listener string) (Endpoint, bool) {
	i := slices.IndexFunc(b.Endpoints, func(e Endpoint) bool { return e.Listener == listener })
	if i < 0 {
		return Endpoint{}, false
	}
	return b.Endpoints[i], true
}

// Partition is the state of one partition that the quorum owns.
type Partition struct {
	Replicas    []int32 // in order of preference, not empty
	ISR         []int32 // subset of Replicas
	Leader      int32   // -1 for none
	LeaderEpoch int32   // grows when the leader changes or restarts uncleanly
	Epoch       int32   // grows with every change of the partition
}

// Topic is a topic with its partitions, indexed by partition id. It is
// immutable.
type Topic struct {
	ID         ID
	Name       string
	Partitions []Partition
	Configs    map[string]string // only what was set on the topic
}

// Image is the cluster's metadata after one entry of the log. It is immutable
// and shares what did not change with the image before it.
type Image struct {
	// Index is the log index of the last command that is part of the image.
	Index uint64
	// NextProducerID is the first producer id that no block covers.
	NextProducerID int64

	brokers []*Broker // by id
	byName  shards[*Topic]
	byID    shards[*Topic]
	folded  shards[string] // topic name by its name with '.' as '_'

	resources shards[*Resource]
	quotas    shards[*Quota]
}

// Topic returns the topic of that name, nil if there is none.
func (m *Image) Topic(name string) *Topic { return m.byName.get(name) }

// TopicByID returns the topic with that id, nil if there is none.
func (m *Image) TopicByID(id ID) *Topic { return m.byID.get(string(id[:])) }

// Topics iterates over all topics in no particular order.
func (m *Image) Topics() iter.Seq[*Topic] { return m.byName.values() }

// NumTopics returns how many topics there are.
func (m *Image) NumTopics() int { return m.byName.n }

// Broker returns the broker with that id, nil if it never registered.
func (m *Image) Broker(id int32) *Broker {
	i, ok := slices.BinarySearchFunc(m.brokers, id, func(b *Broker, id int32) int { return cmp.Compare(b.ID, id) })
	if !ok {
		return nil
	}
	return m.brokers[i]
}

// Brokers returns all brokers by id. The slice is the image's own.
func (m *Image) Brokers() []*Broker { return m.brokers }

// sortedTopics returns all topics by name, for encodings that must not depend
// on the order of a map.
func (m *Image) sortedTopics() []*Topic {
	return slices.SortedFunc(m.Topics(), func(a, b *Topic) int { return cmp.Compare(a.Name, b.Name) })
}
