package worker

import "github.com/twmb/franz-go/pkg/kgo"

// partitioner sends a record to the partition that its connector chose, and
// any other as Kafka's default partitioner does.
type partitioner struct{ kgo.Partitioner }

func newPartitioner() kgo.Partitioner { return partitioner{kgo.StickyKeyPartitioner(nil)} }

// ForTopic implements kgo.Partitioner.
func (p partitioner) ForTopic(topic string) kgo.TopicPartitioner {
	return topicPartitioner{p.Partitioner.ForTopic(topic)}
}

type topicPartitioner struct{ kgo.TopicPartitioner }

// RequiresConsistency implements kgo.TopicPartitioner.
func (p topicPartitioner) RequiresConsistency(r *kgo.Record) bool {
	return r.Partition >= 0 || p.TopicPartitioner.RequiresConsistency(r)
}

// Partition implements kgo.TopicPartitioner. A partition that the topic does
// not have comes back as it is, and the client fails the record.
func (p topicPartitioner) Partition(r *kgo.Record, n int) int {
	if r.Partition >= 0 {
		return int(r.Partition)
	}
	return p.TopicPartitioner.Partition(r, n)
}

// OnNewBatch tells the sticky partitioner that a batch is full, so that it
// moves to another partition.
func (p topicPartitioner) OnNewBatch() {
	if s, ok := p.TopicPartitioner.(kgo.TopicPartitionerOnNewBatch); ok {
		s.OnNewBatch()
	}
}
