package metadata

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
)

// MaxPartitions bounds the partitions of one topic, so that a mistyped count
// does not fill the disk with directories.
const MaxPartitions = 10000

func (c *RegisterBroker) apply(m *Image, index uint64) (any, error) {
	b := c.Broker
	b.Epoch = int64(index)
	at, found := slices.BinarySearchFunc(m.brokers, b.ID, func(x *Broker, id int32) int { return cmp.Compare(x.ID, id) })
	brokers := slices.Clone(m.brokers)
	if found {
		brokers[at] = &b
	} else {
		brokers = slices.Insert(brokers, at, &b)
	}
	m.brokers = brokers
	if c.Unclean {
		for _, t := range m.sortedTopics() {
			m.put(t.withNewEpochs(b.ID))
		}
	}
	return b.Epoch, nil
}

// withNewEpochs returns t with a new leader epoch for the partitions that a
// broker leads; t itself if there are none.
func (t *Topic) withNewEpochs(leader int32) *Topic {
	if !slices.ContainsFunc(t.Partitions, func(p Partition) bool { return p.Leader == leader }) {
		return t
	}
	next := *t
	next.Partitions = slices.Clone(t.Partitions)
	for i := range next.Partitions {
		if p := &next.Partitions[i]; p.Leader == leader {
			p.LeaderEpoch++
			p.Epoch++
		}
	}
	return &next
}

func (c *CreateTopic) apply(m *Image, _ uint64) (any, error) {
	if err := m.CheckNewTopic(c.Name); err != nil {
		return nil, err
	}
	if m.TopicByID(c.ID) != nil || c.ID == (ID{}) {
		return nil, fmt.Errorf("topic id %s of %s is taken: %w", c.ID, c.Name, ErrTopicExists)
	}
	if n := len(c.Replicas); n == 0 || n > MaxPartitions {
		return nil, fmt.Errorf("topic %s: %d partitions, must be 1 to %d: %w", c.Name, n, MaxPartitions, ErrPartitions)
	}
	if err := m.checkReplicas(c.Replicas, len(c.Replicas[0])); err != nil {
		return nil, fmt.Errorf("topic %s: %w", c.Name, err)
	}
	m.put(&Topic{ID: c.ID, Name: c.Name, Partitions: newPartitions(nil, c.Replicas), Configs: maps.Clone(c.Configs)})
	return nil, nil
}

func (c *DeleteTopic) apply(m *Image, _ uint64) (any, error) {
	t := m.TopicByID(c.ID)
	if t == nil {
		return nil, fmt.Errorf("topic id %s: %w", c.ID, ErrUnknownTopic)
	}
	m.byName = m.byName.without(t.Name)
	m.byID = m.byID.without(string(t.ID[:]))
	m.folded = m.folded.without(fold(t.Name))
	return nil, nil
}

func (c *CreatePartitions) apply(m *Image, _ uint64) (any, error) {
	t := m.TopicByID(c.ID)
	if t == nil {
		return nil, fmt.Errorf("topic id %s: %w", c.ID, ErrUnknownTopic)
	}
	total := len(t.Partitions) + len(c.Replicas)
	switch {
	case int(c.From) != len(t.Partitions):
		return nil, fmt.Errorf("topic %s has %d partitions, not %d any more: %w", t.Name, len(t.Partitions), c.From, ErrPartitions)
	case len(c.Replicas) == 0 || total > MaxPartitions:
		return nil, fmt.Errorf("topic %s: %d partitions, must be above %d and at most %d: %w", t.Name, total, c.From, MaxPartitions, ErrPartitions)
	}
	if err := m.checkReplicas(c.Replicas, len(t.Partitions[0].Replicas)); err != nil {
		return nil, fmt.Errorf("topic %s: %w", t.Name, err)
	}
	next := *t
	next.Partitions = newPartitions(t.Partitions, c.Replicas)
	m.put(&next)
	return nil, nil
}

func (c *AlterTopicConfigs) apply(m *Image, _ uint64) (any, error) {
	t := m.TopicByID(c.ID)
	if t == nil {
		return nil, fmt.Errorf("topic id %s: %w", c.ID, ErrUnknownTopic)
	}
	next := *t
	next.Configs = changed(t.Configs, c.Replace, c.Set, c.Remove)
	m.put(&next)
	return nil, nil
}

func (c *AllocateProducerIDs) apply(m *Image, _ uint64) (any, error) {
	if c.Count <= 0 || c.Count > math.MaxInt64-m.NextProducerID {
		return nil, fmt.Errorf("%d ids from %d: %w", c.Count, m.NextProducerID, ErrProducerIDs)
	}
	first := m.NextProducerID
	m.NextProducerID += c.Count
	return first, nil
}

// put stores a topic in an image under construction.
func (m *Image) put(t *Topic) {
	if m.Topic(t.Name) == t {
		return
	}
	m.byName = m.byName.with(t.Name, t)
	m.byID = m.byID.with(string(t.ID[:]), t)
	m.folded = m.folded.with(fold(t.Name), t.Name)
}

func newPartitions(have []Partition, replicas [][]int32) []Partition {
	out := slices.Clone(have)
	for _, r := range replicas {
		out = append(out, Partition{Replicas: slices.Clone(r), ISR: slices.Clone(r), Leader: r[0]})
	}
	return out
}

// checkReplicas checks that every partition has factor distinct, known
// replicas.
func (m *Image) checkReplicas(replicas [][]int32, factor int) error {
	if factor == 0 {
		return fmt.Errorf("partition 0 has no replicas: %w", ErrAssignment)
	}
	for p, r := range replicas {
		if len(r) != factor {
			return fmt.Errorf("partition %d has %d replicas, others %d: %w", p, len(r), factor, ErrAssignment)
		}
		for i, id := range r {
			if m.Broker(id) == nil {
				return fmt.Errorf("partition %d: broker %d is unknown: %w", p, id, ErrAssignment)
			}
			if slices.Contains(r[:i], id) {
				return fmt.Errorf("partition %d: broker %d is repeated: %w", p, id, ErrAssignment)
			}
		}
	}
	return nil
}

// CheckNewTopic returns why a topic of that name cannot be created:
// ErrTopicName, ErrTopicExists or ErrTopicCollides.
func (m *Image) CheckNewTopic(name string) error {
	if err := CheckTopicName(name); err != nil {
		return err
	}
	if m.Topic(name) != nil {
		return fmt.Errorf("topic %s: %w", name, ErrTopicExists)
	}
	if other := m.folded.get(fold(name)); other != "" {
		return fmt.Errorf("topic %s differs from %s only in '.' and '_': %w", name, other, ErrTopicCollides)
	}
	return nil
}

// CheckTopicName applies Kafka's rules: 1 to 249 characters of a-z, A-Z, 0-9,
// '.', '_' and '-', and neither "." nor "..".
func CheckTopicName(name string) error {
	if name == "" || len(name) > 249 || name == "." || name == ".." {
		return fmt.Errorf("%.260q must have 1 to 249 characters and not be . or ..: %w", name, ErrTopicName)
	}
	for _, c := range []byte(name) {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == '-') {
			return fmt.Errorf("%q may only contain a-z, A-Z, 0-9, '.', '_' and '-': %w", name, ErrTopicName)
		}
	}
	return nil
}

func fold(name string) string { return strings.ReplaceAll(name, ".", "_") }
