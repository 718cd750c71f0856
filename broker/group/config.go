package group

import (
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"time"

	"github.com/millrace/millrace/broker/group/assignor"
	"github.com/millrace/millrace/broker/group/consumer"
)

// NoDelay is a delay of nothing where the zero value means the default.
const NoDelay = -1

// Config is a coordinator's settings. The zero value of a field means its
// default, which is Kafka's. Store is required by New.
type Config struct {
	Partitions            int32         // offsets.topic.num.partitions, 50
	MinSessionTimeout     time.Duration // group.min.session.timeout.ms, 6 s
	MaxSessionTimeout     time.Duration // group.max.session.timeout.ms, 30 min
	InitialRebalanceDelay time.Duration // group.initial.rebalance.delay.ms, 3 s; NoDelay
	MaxSize               int           // group.max.size, 2147483647
	MaxMetadataBytes      int           // offset.metadata.max.bytes, 4096
	OffsetsRetention      time.Duration // offsets.retention.minutes, 7 days

	// Topics returns the cluster's topics at this moment; without it there are
	// none. Consumer is for groups of the consumer protocol: MaxSize 2147483647,
	// Assignors all, Timing 45 s and 5 s; NewID is the one below.
	Topics   func() consumer.Topics
	Consumer consumer.Config

	Store  Store
	NewID  func() string // the unique part of member ids; a random UUID
	Logger *slog.Logger  // discards
}

func (c Config) withDefaults() (Config, error) {
	setDefault(&c.Partitions, 50)
	setDefault(&c.MinSessionTimeout, 6*time.Second)
	setDefault(&c.MaxSessionTimeout, 30*time.Minute)
	setDefault(&c.InitialRebalanceDelay, 3*time.Second)
	setDefault(&c.MaxSize, math.MaxInt32)
	setDefault(&c.MaxMetadataBytes, 4096)
	setDefault(&c.OffsetsRetention, 7*24*time.Hour)
	c.InitialRebalanceDelay = max(c.InitialRebalanceDelay, 0)
	if c.NewID == nil {
		c.NewID = newUUID
	}
	c.consumerDefaults()
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	check(c.Partitions > 0, "offsets.topic.num.partitions is %d: must be at least 1", c.Partitions)
	check(c.MinSessionTimeout > 0 && c.MinSessionTimeout <= c.MaxSessionTimeout,
		"group.min.session.timeout.ms is %d, group.max.session.timeout.ms is %d: must be positive and in this order",
		c.MinSessionTimeout.Milliseconds(), c.MaxSessionTimeout.Milliseconds())
	check(c.MaxSize > 0, "group.max.size is %d: must be at least 1", c.MaxSize)
	check(c.MaxMetadataBytes >= 0, "offset.metadata.max.bytes is %d: must be at least 0", c.MaxMetadataBytes)
	check(c.OffsetsRetention > 0, "offsets.retention.minutes is %v: must be positive", c.OffsetsRetention.Minutes())
	return c, errors.Join(errs...)
}

func (c *Config) consumerDefaults() {
	setDefault(&c.Consumer.MaxSize, math.MaxInt32)
	c.Consumer.NewID = c.NewID
	if c.Consumer.Assignors == nil {
		c.Consumer.Assignors = assignor.Names()
	}
	if c.Consumer.Timing == nil {
		c.Consumer.Timing = func(string) consumer.Timing {
			return consumer.Timing{Session: 45 * time.Second, Heartbeat: 5 * time.Second}
		}
	}
	if c.Topics == nil {
		c.Topics = func() consumer.Topics { return noTopics{} }
	}
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// newUUID returns a random UUID (RFC 9562 version 4).
func newUUID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
