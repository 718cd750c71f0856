package metadata

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"
)

// Flush says when a produce request waits for the disk, flush.before.ack.
type Flush string

// The values of flush.before.ack.
const (
	FlushAuto   Flush = "auto"
	FlushAlways Flush = "always"
	FlushNever  Flush = "never"
)

// Reasons of fixed keys.
const (
	noRecompress = "batches are stored as the producer compressed them"
	noTiering    = "tiered storage is not supported"
)

// topicKeys is every topic config there is, by name.
var topicKeys = []ConfigKey{
	{Name: "cleanup.policy", Broker: "log.cleanup.policy", Type: List, Default: "delete", oneOf: []string{"delete", "compact"},
		Doc: "delete removes old segments by retention.ms and retention.bytes. compact keeps the newest record of every key and demands a key of every record. Both can be set."},
	{Name: "compression.gzip.level", Broker: "compression.gzip.level", Type: Int, Default: "-1", fixed: noRecompress,
		Doc: "Level of gzip, if the broker compressed."},
	{Name: "compression.lz4.level", Broker: "compression.lz4.level", Type: Int, Default: "9", fixed: noRecompress,
		Doc: "Level of lz4, if the broker compressed."},
	{Name: "compression.zstd.level", Broker: "compression.zstd.level", Type: Int, Default: "3", fixed: noRecompress,
		Doc: "Level of zstd, if the broker compressed."},
	{Name: "compression.type", Broker: "compression.type", Type: String, Default: "producer", fixed: noRecompress,
		Doc: "producer keeps each batch as the producer compressed it."},
	{Name: "delete.retention.ms", Broker: "log.cleaner.delete.retention.ms", Type: Long, Default: "86400000", min: 0, max: maxInt64,
		Doc: "How long compaction keeps a tombstone after it first met it."},
	{Name: "file.delete.delay.ms", Broker: "log.segment.delete.delay.ms", Type: Long, Default: "60000", fixed: "a deleted segment stays open for those who read it and needs no delay",
		Doc: "How long a deleted segment's file stays."},
	{Name: "flush.before.ack", Broker: "flush.before.ack", Type: String, Default: string(FlushAuto), oneOf: []string{string(FlushAuto), string(FlushAlways), string(FlushNever)},
		Doc: "Whether acks=1 and acks=all wait until the records are on disk. auto waits with one replica, and with more relies on the in-sync replicas as Kafka does."},
	{Name: "flush.messages", Broker: "log.flush.interval.messages", Type: Long, Default: "9223372036854775807", min: 1, max: maxInt64,
		Doc: "Write to disk at the latest after so many records, whether or not a producer waits."},
	{Name: "flush.ms", Broker: "log.flush.interval.ms", Type: Long, Default: "9223372036854775807", min: 0, max: maxInt64,
		Doc: "Write to disk at the latest after so many milliseconds, whether or not a producer waits."},
	{Name: "follower.replication.throttled.replicas", Type: List, Default: "", fixed: "replication is not throttled",
		Doc: "Replicas whose followers are throttled."},
	{Name: "index.interval.bytes", Broker: "log.index.interval.bytes", Type: Int, Default: "4096", min: 1, max: maxInt32,
		Doc: "One index entry per so many bytes of records."},
	{Name: "leader.replication.throttled.replicas", Type: List, Default: "", fixed: "replication is not throttled",
		Doc: "Replicas whose leaders are throttled."},
	{Name: "local.retention.bytes", Type: Long, Default: "-2", fixed: noTiering,
		Doc: "Size of a partition above which segments that were moved to remote storage go from this disk; -2 for retention.bytes."},
	{Name: "local.retention.ms", Type: Long, Default: "-2", fixed: noTiering,
		Doc: "Age at which segments that were moved to remote storage go from this disk; -2 for retention.ms."},
	{Name: "max.compaction.lag.ms", Broker: "log.cleaner.max.compaction.lag.ms", Type: Long, Default: "9223372036854775807", min: 1, max: maxInt64,
		Doc: "How long a record may wait for compaction, whatever the dirty ratio. Segments are closed at that age."},
	{Name: "max.message.bytes", Broker: "message.max.bytes", Type: Int, Default: "1048588", min: 1, max: maxInt32,
		Doc: "Size of the largest batch, compressed and with its header."},
	{Name: "message.downconversion.enable", Type: Boolean, Default: "true",
		Doc: "Taken for the sake of tools that still set it, and without effect since Kafka 4.0: batches are not converted."},
	{Name: "message.format.version", Type: String, Default: "3.0-IV1",
		Doc: "Taken for the sake of tools that still set it, and without effect since Kafka 4.0: batches have one format."},
	{Name: "message.timestamp.after.max.ms", Broker: "log.message.timestamp.after.max.ms", Type: Long, Default: "3600000", min: 0, max: maxInt64,
		Doc: "How far ahead of the broker's clock a producer's timestamps may be. A record from the future would keep its segment from retention."},
	{Name: "message.timestamp.before.max.ms", Broker: "log.message.timestamp.before.max.ms", Type: Long, Default: "9223372036854775807", min: 0, max: maxInt64,
		Doc: "How far behind the broker's clock a producer's timestamps may be. Any limit makes the broker read the timestamp of every record."},
	{Name: "message.timestamp.type", Broker: "log.message.timestamp.type", Type: String, Default: "CreateTime", oneOf: []string{"CreateTime", "LogAppendTime"},
		Doc: "Whether timestamps are the producer's or the broker's."},
	{Name: "min.cleanable.dirty.ratio", Broker: "log.cleaner.min.cleanable.ratio", Type: Double, Default: "0.5", low: 0, high: 1,
		Doc: "Share of the log that must be new, in closed segments, before it is compacted."},
	{Name: "min.compaction.lag.ms", Broker: "log.cleaner.min.compaction.lag.ms", Type: Long, Default: "0", min: 0, max: maxInt64,
		Doc: "How long a record is safe from compaction. One that is above max.compaction.lag.ms counts as that."},
	{Name: "min.insync.replicas", Broker: "min.insync.replicas", Type: Int, Default: "1", min: 1, max: maxInt32,
		Doc: "How many replicas must be in sync for acks=all to succeed; at most the replication factor counts."},
	{Name: "preallocate", Broker: "log.preallocate", Type: Boolean, Default: "false", fixed: "segments are not preallocated",
		Doc: "Whether a segment's file gets its full size when it is created."},
	{Name: "retention.bytes", Broker: "log.retention.bytes", Type: Long, Default: "-1", min: -1, max: maxInt64,
		Doc: "Size of a partition above which its oldest segments go; -1 for no limit."},
	{Name: "retention.ms", Broker: "log.retention.ms", Type: Long, Default: "604800000", min: -1, max: maxInt64,
		Doc: "Age in milliseconds at which segments go; -1 for no limit."},
	{Name: "segment.bytes", Broker: "log.segment.bytes", Type: Int, Default: "1073741824", min: 1 << 10, max: maxInt32,
		Doc: "Size at which a segment is closed and the next one begun."},
	{Name: "segment.index.bytes", Broker: "log.index.size.max.bytes", Type: Int, Default: "10485760", min: 12, max: maxInt32,
		Doc: "Size of a segment's largest index; a full one closes the segment."},
	{Name: "segment.jitter.ms", Broker: "log.roll.jitter.ms", Type: Long, Default: "0", fixed: "segments are closed without jitter",
		Doc: "Spread of the age at which segments are closed."},
	{Name: "segment.ms", Broker: "log.roll.ms", Type: Long, Default: "604800000", min: 1, max: maxInt64,
		Doc: "Age in milliseconds at which a segment is closed and the next one begun."},
	{Name: "unclean.leader.election.enable", Broker: "unclean.leader.election.enable", Type: Boolean, Default: "false", fixed: "a replica that is not in sync never leads",
		Doc: "Whether a replica that is not in sync may lead."},
	{Name: "remote.log.copy.disable", Type: Boolean, Default: "false", fixed: noTiering,
		Doc: "Whether segments are no longer copied to remote storage."},
	{Name: "remote.log.delete.on.disable", Type: Boolean, Default: "false", fixed: noTiering,
		Doc: "Whether remote segments go when remote storage is turned off."},
	{Name: "remote.storage.enable", Type: Boolean, Default: "false", fixed: noTiering,
		Doc: "Whether old segments move to remote storage."},
}

// TopicKeys returns the table of topic configs. The slice is shared.
func TopicKeys() []ConfigKey { return topicKeys }

// TopicKey returns the description of a topic config, nil if there is none.
func TopicKey(name string) *ConfigKey {
	return find(topicKeys, name)
}

// TopicConfig is what a topic's configs and their defaults add up to.
type TopicConfig struct {
	Delete, Compact    bool
	MinDirtyRatio      float64       // from 0 to 1
	MinCompactionLag   time.Duration // -1 for ever
	MaxCompactionLag   time.Duration // -1 for never
	TombstoneRetention time.Duration // -1 for ever
	Flush              Flush
	FlushMessages      int64         // -1 for never
	FlushAge           time.Duration // -1 for never
	IndexIntervalBytes int
	MaxMessageBytes    int
	TimestampAfter     time.Duration // -1 for no bound
	TimestampBefore    time.Duration // -1 for no bound
	LogAppendTime      bool
	MinInsyncReplicas  int
	RetentionBytes     int64         // -1 for no limit
	RetentionAge       time.Duration // -1 for no limit
	SegmentBytes       int
	SegmentIndexBytes  int
	SegmentAge         time.Duration
}

// CheckTopicConfigs returns what is wrong with the configs of a topic, every
// problem at once; the error wraps ErrConfig.
func CheckTopicConfigs(set map[string]string) error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(set)) {
		k := TopicKey(name)
		if k == nil {
			errs = append(errs, fmt.Errorf("unknown topic config %s: %w", name, ErrConfig))
			continue
		}
		errs = append(errs, k.Check(set[name]))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return checkLags(set, "min.compaction.lag.ms", "max.compaction.lag.ms")
}

// checkLags compares two checked configs of which one must not be above the
// other, if both are set.
func checkLags(set values, low, high string) error {
	if set[low] == "" || set[high] == "" || set.number(low) <= set.number(high) {
		return nil
	}
	return fmt.Errorf("%s is %s: must not be above %s, which is %s: %w", low, set[low], high, set[high], ErrConfig)
}

// ResolveTopic returns the typed configs of a topic from what is set on it and
// on the broker, whose configs have been checked. An error means that set has
// not been checked either.
func ResolveTopic(set map[string]string, broker *BrokerConfig) (TopicConfig, error) {
	if err := CheckTopicConfigs(set); err != nil {
		return TopicConfig{}, err
	}
	v := make(values, len(topicKeys))
	for i := range topicKeys {
		v[topicKeys[i].Name], _ = TopicValue(&topicKeys[i], set, broker)
	}
	policy := v["cleanup.policy"]
	minLag, maxLag := v.age("min.compaction.lag.ms"), v.age("max.compaction.lag.ms")
	if maxLag >= 0 && (minLag < 0 || minLag > maxLag) { // one is the topic's, the other the broker's
		minLag = maxLag
	}
	return TopicConfig{
		MinDirtyRatio:      v.fraction("min.cleanable.dirty.ratio"),
		MinCompactionLag:   minLag,
		MaxCompactionLag:   maxLag,
		TombstoneRetention: v.age("delete.retention.ms"),
		Delete:             slices.Contains(Split(policy), "delete"),
		Compact:            slices.Contains(Split(policy), "compact"),
		Flush:              Flush(v["flush.before.ack"]),
		FlushMessages:      unlimited(v.number("flush.messages")),
		FlushAge:           v.age("flush.ms"),
		IndexIntervalBytes: int(v.number("index.interval.bytes")),
		MaxMessageBytes:    int(v.number("max.message.bytes")),
		TimestampAfter:     v.age("message.timestamp.after.max.ms"),
		TimestampBefore:    v.age("message.timestamp.before.max.ms"),
		LogAppendTime:      v["message.timestamp.type"] == "LogAppendTime",
		MinInsyncReplicas:  int(v.number("min.insync.replicas")),
		RetentionBytes:     v.number("retention.bytes"),
		RetentionAge:       v.age("retention.ms"),
		SegmentBytes:       int(v.number("segment.bytes")),
		SegmentIndexBytes:  int(v.number("segment.index.bytes")),
		SegmentAge:         v.age("segment.ms"),
	}, nil
}

// Source says where a config's value comes from, numbered as in
// DescribeConfigs.
type Source int8

// The sources in use.
const (
	FromTopic      Source = 1
	FromThisBroker Source = 2 // altered for one broker
	FromAllBrokers Source = 3 // altered for all brokers
	FromBroker     Source = 4 // the broker's static configuration
	FromDefault    Source = 5
	FromGroup      Source = 8
)

// TopicValue returns the value of a topic config and where it comes from.
func TopicValue(k *ConfigKey, set map[string]string, broker *BrokerConfig) (string, Source) {
	return Value(k, set, FromTopic, broker)
}

// Value returns the value of a config of a resource, on which some are set,
// and where it comes from.
func Value(k *ConfigKey, set map[string]string, own Source, broker *BrokerConfig) (string, Source) {
	if v, ok := set[k.Name]; ok {
		return v, own
	}
	if v, source, ok := broker.lookup(k.Broker); ok {
		return v, source
	}
	return k.Default, FromDefault
}

func unlimited(n int64) int64 {
	if n == math.MaxInt64 {
		return -1
	}
	return n
}

// age returns a number of milliseconds as a duration, -1 for none at all: -1
// itself, and whatever a duration cannot hold, which is above 292 years.
func (v values) age(name string) time.Duration {
	ms := v.number(name)
	if ms < 0 || ms > math.MaxInt64/int64(time.Millisecond) {
		return -1
	}
	return time.Duration(ms) * time.Millisecond
}
