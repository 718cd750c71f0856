package proto

import (
	"cmp"
	"slices"

	"github.com/millrace/millrace/plugins/data"
)

// OffsetPair is a source partition and an offset, as JSON objects; a nil
// offset is none.
type OffsetPair = data.Position

// TopicPartition names a partition of the log.
type TopicPartition struct {
	Topic     string
	Partition int32
}

// Offsets holds offsets by partition: each the next one to consume.
type Offsets map[TopicPartition]int64

// Partitions returns the partitions, sorted.
func (o Offsets) Partitions() []TopicPartition {
	out := make([]TopicPartition, 0, len(o))
	for tp := range o {
		out = append(out, tp)
	}
	slices.SortFunc(out, func(a, b TopicPartition) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	return out
}

func (o Offsets) message() []*PartitionOffset {
	out := make([]*PartitionOffset, 0, len(o))
	for _, tp := range o.Partitions() {
		out = append(out, &PartitionOffset{Topic: tp.Topic, Partition: tp.Partition, Offset: o[tp]})
	}
	return out
}

// NewOffsetList turns offsets into the message that answers a request, or
// announces them when request is 0.
func NewOffsetList(request uint64, o Offsets, err error) *OffsetList {
	return &OffsetList{Request: request, Offsets: o.message(), Failure: NewFailure(err)}
}

// Map returns the offsets of the message.
func (l *OffsetList) Map() Offsets {
	o := make(Offsets, len(l.GetOffsets()))
	for _, p := range l.GetOffsets() {
		o[TopicPartition{p.Topic, p.Partition}] = p.Offset
	}
	return o
}

// NewPartitionList turns partitions into a message.
func NewPartitionList(request uint64, tps []TopicPartition, lost bool) *PartitionList {
	l := &PartitionList{Request: request, Lost: lost}
	for _, tp := range tps {
		l.Partitions = append(l.Partitions, &PartitionName{Topic: tp.Topic, Partition: tp.Partition})
	}
	return l
}

// Slice returns the partitions of the message.
func (l *PartitionList) Slice() []TopicPartition {
	out := make([]TopicPartition, 0, len(l.GetPartitions()))
	for _, p := range l.GetPartitions() {
		out = append(out, TopicPartition{p.Topic, p.Partition})
	}
	return out
}
