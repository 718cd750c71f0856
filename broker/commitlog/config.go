package commitlog

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"time"
)

// Unlimited is the retention and flush setting for "never".
const Unlimited = -1

// TimestampType is message.timestamp.type.
type TimestampType int8

// Whose clock a record's timestamp is of.
const (
	CreateTime TimestampType = iota
	LogAppendTime
)

// Config is a log's settings. The zero value of a field means its default,
// which is Kafka's.
type Config struct {
	SegmentBytes       int           // segment.bytes, 1 GiB; one batch may not be larger
	SegmentAge         time.Duration // segment.ms, 7 days
	SegmentIndexBytes  int           // segment.index.bytes, 10 MiB
	IndexIntervalBytes int           // index.interval.bytes, 4096
	MaxMessageBytes    int           // max.message.bytes, 1048588
	RetentionAge       time.Duration // retention.ms, 7 days; Unlimited
	RetentionBytes     int64         // retention.bytes, Unlimited
	Compact            bool          // cleanup.policy has compact
	Delete             bool          // cleanup.policy has delete; assumed unless Compact
	MinCompactionLag   time.Duration // min.compaction.lag.ms, 0
	MaxCompactionLag   time.Duration // max.compaction.lag.ms, Unlimited
	TombstoneRetention time.Duration // delete.retention.ms, 1 day; Unlimited
	TimestampType      TimestampType // message.timestamp.type, CreateTime
	FlushMessages      int64         // flush.messages, Unlimited: Append fdatasyncs when so many records are not durable
	FlushAge           time.Duration // flush.ms, Unlimited; acted on by FlushDue
	ProducerExpiration time.Duration // producer.id.expiration.ms, 1 day

	TopicID [16]byte         // written to partition.metadata, or compared with it; zero for neither
	FS      FS               // the operating system's
	Syncer  *Syncer          // bounds concurrent fdatasyncs over many logs; nil for no bound
	Clock   func() time.Time // time.Now
	Logger  *slog.Logger     // discards
}

const day = 24 * time.Hour

// withDefaults fills in the defaults and reports every bad value at once.
func (c Config) withDefaults() (Config, error) {
	setDefault(&c.SegmentBytes, 1<<30)
	setDefault(&c.SegmentAge, 7*day)
	setDefault(&c.SegmentIndexBytes, 10<<20)
	setDefault(&c.IndexIntervalBytes, 4096)
	setDefault(&c.MaxMessageBytes, 1048588)
	setDefault(&c.RetentionAge, 7*day)
	setDefault(&c.RetentionBytes, Unlimited)
	setDefault(&c.FlushMessages, Unlimited)
	setDefault(&c.FlushAge, Unlimited)
	setDefault(&c.ProducerExpiration, day)
	setDefault(&c.MaxCompactionLag, Unlimited)
	setDefault(&c.TombstoneRetention, day)
	c.Delete = c.Delete || !c.Compact
	if c.FS == nil {
		c.FS = OSFS{}
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c, errors.Join(
		within("segment.bytes", int64(c.SegmentBytes), 14, math.MaxInt32),
		within("segment.ms", c.SegmentAge.Milliseconds(), 1, math.MaxInt64),
		within("segment.index.bytes", int64(c.SegmentIndexBytes), 12, math.MaxInt32),
		within("index.interval.bytes", int64(c.IndexIntervalBytes), 1, math.MaxInt32),
		within("max.message.bytes", int64(c.MaxMessageBytes), 1, math.MaxInt32),
		within("retention.bytes", c.RetentionBytes, Unlimited, math.MaxInt64),
		within("flush.messages", c.FlushMessages, Unlimited, math.MaxInt64),
		within("producer.id.expiration.ms", c.ProducerExpiration.Milliseconds(), 1, math.MaxInt64),
		within("min.compaction.lag.ms", int64(c.MinCompactionLag), 0, math.MaxInt64),
		within("message.timestamp.type", int64(c.TimestampType), 0, int64(LogAppendTime)),
	)
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func within(key string, v, low, high int64) error {
	if v < low || v > high {
		return fmt.Errorf("%s is %d: must be from %d to %d", key, v, low, high)
	}
	return nil
}
