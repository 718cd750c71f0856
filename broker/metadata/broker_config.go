package metadata

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// ownKeys is every broker config that is not the default of a topic config,
// by name.
var ownKeys = []ConfigKey{
	{Name: "auto.create.topics.enable", Type: Boolean, Default: "true",
		Doc: "Whether asking for the metadata of a topic that does not exist creates it."},
	{Name: "broker.rack", Type: String, Default: "", Doc: "The rack this broker is in."},
	{Name: "connections.max.idle.ms", Type: Long, Default: "600000", min: 1000, max: maxInt32,
		Doc: "Close connections that are silent for so many milliseconds."},
	{Name: "default.replication.factor", Type: Int, Default: "1", min: 1, max: 1000,
		Doc: "Replicas of a topic that is created without saying how many."},
	{Name: "delete.topic.enable", Type: Boolean, Default: "true", Doc: "Whether topics can be deleted."},
	{Name: "fetch.max.bytes", Type: Int, Default: "57671680", min: 1024, max: maxInt32,
		Doc: "Size of the largest fetch response."},
	{Name: "group.consumer.assignors", Type: List, Default: "uniform,range", oneOf: []string{"uniform", "range"},
		Doc: "How partitions of groups of the consumer protocol may be assigned; the first is for members that have no wish."},
	{Name: "group.consumer.heartbeat.interval.ms", Type: Int, Default: "5000", min: 1, max: maxInt32,
		Doc: "How often members of the consumer protocol show themselves, unless the group's consumer.heartbeat.interval.ms says otherwise."},
	{Name: "group.consumer.max.heartbeat.interval.ms", Type: Int, Default: "15000", min: 1, max: maxInt32,
		Doc: "Longest consumer.heartbeat.interval.ms of a group."},
	{Name: "group.consumer.max.session.timeout.ms", Type: Int, Default: "60000", min: 1, max: maxInt32,
		Doc: "Longest consumer.session.timeout.ms of a group."},
	{Name: "group.consumer.max.size", Type: Int, Default: "2147483647", min: 1, max: maxInt32,
		Doc: "Most members that a group of the consumer protocol may have."},
	{Name: "group.consumer.migration.policy", Type: String, Default: "disabled", fixed: "a group with members does not change its protocol",
		Doc: "Whether groups with members may change between the classic and the consumer protocol."},
	{Name: "group.consumer.min.heartbeat.interval.ms", Type: Int, Default: "5000", min: 1, max: maxInt32,
		Doc: "Shortest consumer.heartbeat.interval.ms of a group."},
	{Name: "group.consumer.min.session.timeout.ms", Type: Int, Default: "45000", min: 1, max: maxInt32,
		Doc: "Shortest consumer.session.timeout.ms of a group."},
	{Name: "group.consumer.session.timeout.ms", Type: Int, Default: "45000", min: 1, max: maxInt32,
		Doc: "After how long without a heartbeat a member of the consumer protocol is removed, unless the group's consumer.session.timeout.ms says otherwise."},
	{Name: "group.coordinator.rebalance.protocols", Type: List, Default: "classic,consumer", oneOf: []string{"classic", "consumer"},
		Doc: "Protocols that groups may use. The classic one cannot be left out."},
	{Name: "group.initial.rebalance.delay.ms", Type: Int, Default: "3000", min: 0, max: maxInt32,
		Doc: "How long an empty group waits for more members before its first generation."},
	{Name: "group.max.session.timeout.ms", Type: Int, Default: "1800000", min: 1, max: maxInt32,
		Doc: "Longest session timeout that a group member may ask for."},
	{Name: "group.max.size", Type: Int, Default: "2147483647", min: 1, max: maxInt32,
		Doc: "Most members that a group may have."},
	{Name: "group.min.session.timeout.ms", Type: Int, Default: "6000", min: 1, max: maxInt32,
		Doc: "Shortest session timeout that a group member may ask for."},
	{Name: "log.cleaner.backoff.ms", Type: Long, Default: "15000", min: 1, max: maxInt32,
		Doc: "How long to wait when no log needs compaction."},
	{Name: "log.cleaner.dedupe.buffer.size", Type: Long, Default: "134217728", min: 1 << 20, max: maxInt32,
		Doc: "Most memory for the keys of one round of compaction, at 24 bytes each. More keys take more rounds."},
	{Name: "log.cleaner.enable", Type: Boolean, Default: "true",
		Doc: "Whether topics with cleanup.policy=compact are compacted. Without it they grow for ever."},
	{Name: "log.cleaner.io.max.bytes.per.second", Type: Double, Default: "1.7976931348623157E308", low: 1, high: math.MaxFloat64,
		Doc: "How much compaction may read and write in a second, taken together."},
	{Name: "log.cleaner.threads", Type: Int, Default: "1", fixed: "logs are compacted one after the other",
		Doc: "How many logs are compacted at the same time."},
	{Name: "log.flush.offset.checkpoint.interval.ms", Type: Int, Default: "60000", min: 100, max: maxInt32,
		Doc: "How often the point up to which a log needs no recovery is written down."},
	{Name: "log.retention.check.interval.ms", Type: Long, Default: "300000", min: 1, max: maxInt32,
		Doc: "How often logs are checked for segments that retention lets go."},
	{Name: "max.connections", Type: Int, Default: "10000", min: 1, max: maxInt32,
		Doc: "Most connections at a time; further ones are closed at once."},
	{Name: "max.connections.per.ip", Type: Int, Default: "2147483647", min: 0, max: maxInt32,
		Doc: "Most connections at a time from one address; further ones are closed at once."},
	{Name: "max.connections.per.ip.overrides", Type: String, Default: "", check: checkOverrides,
		Doc: "Addresses for which max.connections.per.ip is another, as in 10.0.0.7:200,fd00::7:5."},
	{Name: "max.incremental.fetch.session.cache.slots", Type: Int, Default: "1000", min: 0, max: maxInt32,
		Doc: "How many fetch sessions are kept; fetches of further clients name all their partitions every time."},
	{Name: "num.partitions", Type: Int, Default: "1", min: 1, max: MaxPartitions,
		Doc: "Partitions of a topic that is created without saying how many."},
	{Name: "offset.metadata.max.bytes", Type: Int, Default: "4096", min: 0, max: maxInt32,
		Doc: "Longest text that may be committed with an offset."},
	{Name: "offsets.retention.check.interval.ms", Type: Long, Default: "600000", min: 1, max: maxInt32,
		Doc: "How often committed offsets are checked for expiry."},
	{Name: "offsets.retention.minutes", Type: Int, Default: "10080", min: 1, max: maxInt32,
		Doc: "How long the offsets of a group without members are kept."},
	{Name: "offsets.topic.num.partitions", Type: Int, Default: "50", min: 1, max: MaxPartitions,
		Doc: "Partitions of __consumer_offsets; has no effect once it exists."},
	{Name: "offsets.topic.replication.factor", Type: Int, Default: "1", min: 1, max: 1000,
		Doc: "Replicas of __consumer_offsets; has no effect once it exists."},
	{Name: "offsets.topic.segment.bytes", Type: Int, Default: "104857600", min: 1 << 10, max: maxInt32,
		Doc: "segment.bytes of __consumer_offsets; has no effect once it exists."},
	{Name: "producer.id.expiration.check.interval.ms", Type: Int, Default: "600000", min: 1, max: maxInt32,
		Doc: "How often idempotent producers are checked for expiry."},
	{Name: "producer.id.expiration.ms", Type: Int, Default: "86400000", min: 1, max: maxInt32,
		Doc: "How long a partition remembers an idempotent producer that is silent."},
	{Name: "queued.max.request.bytes", Type: Long, Default: "-1", min: -1, max: maxInt64,
		Doc: "Bytes of requests that may wait to be answered; above that no further ones are read. -1 for no limit."},
	{Name: "socket.receive.buffer.bytes", Type: Int, Default: "102400", min: -1, max: maxInt32,
		Doc: "Receive buffer of a connection (SO_RCVBUF). -1 leaves it to the system, which lets it grow for peers far away."},
	{Name: "socket.request.max.bytes", Type: Int, Default: "104857600", min: 1 << 10, max: maxInt32,
		Doc: "Size of the largest request; a larger one closes its connection."},
	{Name: "socket.send.buffer.bytes", Type: Int, Default: "102400", min: -1, max: maxInt32,
		Doc: "Send buffer of a connection (SO_SNDBUF). A small one keeps what is sent in the processor's cache; -1 leaves it to the system, which lets it grow for peers far away."},
	{Name: "transaction.abort.timed.out.transaction.cleanup.interval.ms", Type: Int, Default: "10000", min: 1, max: maxInt32,
		Doc: "How often transactions are checked for having taken longer than their timeout."},
	{Name: "transaction.max.timeout.ms", Type: Int, Default: "900000", min: 1, max: maxInt32,
		Doc: "Longest transaction timeout that a producer may ask for."},
	{Name: "transaction.partition.verification.enable", Type: Boolean, Default: "true",
		Doc: "Whether a partition asks the transaction's coordinator before it takes the first batch of a transaction from a producer of transaction.version 1. Without it a late batch can hold up read_committed consumers for ever."},
	{Name: "transaction.remove.expired.transaction.cleanup.interval.ms", Type: Int, Default: "3600000", min: 1, max: maxInt32,
		Doc: "How often transactional ids are checked for expiry."},
	{Name: "transaction.state.log.min.isr", Type: Int, Default: "2", min: 1, max: maxInt32,
		Doc: "min.insync.replicas of __transaction_state; never more are needed than it has replicas. Has no effect once it exists."},
	{Name: "transaction.state.log.num.partitions", Type: Int, Default: "50", min: 1, max: MaxPartitions,
		Doc: "Partitions of __transaction_state; has no effect once it exists."},
	{Name: "transaction.state.log.replication.factor", Type: Int, Default: "1", min: 1, max: 1000,
		Doc: "Replicas of __transaction_state; has no effect once it exists."},
	{Name: "transaction.state.log.segment.bytes", Type: Int, Default: "104857600", min: 1 << 10, max: maxInt32,
		Doc: "segment.bytes of __transaction_state; has no effect once it exists."},
	{Name: "transactional.id.expiration.ms", Type: Int, Default: "604800000", min: 1, max: maxInt32,
		Doc: "How long a transactional id is remembered that is not used."},
}

// Overrides reads the value of max.connections.per.ip.overrides: a limit by
// address.
func Overrides(value string) (map[netip.Addr]int, error) {
	out := make(map[netip.Addr]int)
	for _, v := range Split(value) {
		at := strings.LastIndexByte(v, ':')
		if at < 0 {
			return nil, fmt.Errorf("%q is not of the form address:number", v)
		}
		addr, err := netip.ParseAddr(strings.Trim(v[:at], "[]"))
		if err != nil {
			return nil, fmt.Errorf("%q is not an address", v[:at])
		}
		n, err := strconv.ParseInt(v[at+1:], 10, 32)
		if err != nil || n < 0 {
			return nil, fmt.Errorf("%q must be a number from 0", v[at+1:])
		}
		out[addr.Unmap()] = int(n)
	}
	return out, nil
}

func checkOverrides(value string) error {
	_, err := Overrides(value)
	return err
}

// coarse are configs in minutes or hours that set one in milliseconds, which
// wins over them; minutes win over hours.
var coarse = []struct {
	name, fine string
	unit       time.Duration
}{
	{"log.retention.minutes", "log.retention.ms", time.Minute},
	{"log.retention.hours", "log.retention.ms", time.Hour},
	{"log.roll.hours", "log.roll.ms", time.Hour},
}

var brokerKeys = allBrokerKeys()

func allBrokerKeys() []ConfigKey {
	keys := slices.Clone(ownKeys)
	for _, k := range topicKeys {
		if k.Broker != "" {
			k.Name, k.Broker = k.Broker, ""
			keys = append(keys, k)
		}
	}
	slices.SortFunc(keys, func(a, b ConfigKey) int { return strings.Compare(a.Name, b.Name) })
	return keys
}

// BrokerKeys returns the table of broker configs, by name. The slice is
// shared.
func BrokerKeys() []ConfigKey { return brokerKeys }

// BrokerConfig is a broker's configuration under Kafka's names: what it was
// started with, and over that what was altered since.
type BrokerConfig struct {
	set     map[string]string
	dynamic atomic.Pointer[layers]
}

// NewBrokerConfig checks a broker's configuration and returns it, or every
// problem at once; the error wraps ErrConfig.
func NewBrokerConfig(set map[string]string) (*BrokerConfig, error) {
	c := &BrokerConfig{set: maps.Clone(set)}
	if c.set == nil {
		c.set = make(map[string]string)
	}
	var errs []error
	for _, k := range coarse {
		errs = append(errs, c.refine(k.name, k.fine, k.unit))
	}
	for _, name := range slices.Sorted(maps.Keys(c.set)) {
		k := BrokerKey(name)
		if k == nil {
			errs = append(errs, fmt.Errorf("unknown broker config %s: %w", name, ErrConfig))
			continue
		}
		errs = append(errs, k.Check(c.set[name]))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if err := checkLags(c.set, "log.cleaner.min.compaction.lag.ms", "log.cleaner.max.compaction.lag.ms"); err != nil {
		return nil, err
	}
	if err := c.checkGroups(); err != nil {
		return nil, err
	}
	return c, nil
}

// checkGroups compares the configs of groups with each other.
func (c *BrokerConfig) checkGroups() error {
	var errs []error
	for _, names := range [][]string{
		{"group.min.session.timeout.ms", "group.max.session.timeout.ms"},
		{"group.consumer.min.session.timeout.ms", "group.consumer.session.timeout.ms", "group.consumer.max.session.timeout.ms"},
		{"group.consumer.min.heartbeat.interval.ms", "group.consumer.heartbeat.interval.ms", "group.consumer.max.heartbeat.interval.ms"},
		{"group.consumer.heartbeat.interval.ms", "group.consumer.session.timeout.ms"},
	} {
		for i, high := range names[1:] {
			if low := names[i]; c.Int(low) > c.Int(high) {
				errs = append(errs, fmt.Errorf("%s is %d: must not be above %s, which is %d: %w", low, c.Int(low), high, c.Int(high), ErrConfig))
			}
		}
	}
	if !slices.Contains(Split(c.String("group.coordinator.rebalance.protocols")), "classic") {
		errs = append(errs, fmt.Errorf("group.coordinator.rebalance.protocols is %q: must have classic: %w", c.String("group.coordinator.rebalance.protocols"), ErrConfig))
	}
	if len(Split(c.String("group.consumer.assignors"))) == 0 {
		errs = append(errs, fmt.Errorf("group.consumer.assignors is empty: must have uniform, range or both: %w", ErrConfig))
	}
	return errors.Join(errs...)
}

// refine replaces a config in minutes or hours by the one in milliseconds.
func (c *BrokerConfig) refine(name, fine string, unit time.Duration) error {
	value, ok := c.set[name]
	if !ok {
		return nil
	}
	delete(c.set, name)
	n, err := strconv.ParseInt(value, 10, 32)
	if err != nil || n < -1 || n == 0 {
		return fmt.Errorf("%s is %q: must be a positive number, or -1 for no limit: %w", name, value, ErrConfig)
	}
	if _, ok := c.set[fine]; !ok {
		ms := int64(-1)
		if n > 0 {
			ms = n * unit.Milliseconds()
		}
		c.set[fine] = strconv.FormatInt(ms, 10)
	}
	return nil
}

// Value returns a config's value and where it comes from. The name must be one
// of BrokerKeys.
func (c *BrokerConfig) Value(name string) (string, Source) {
	if v, source, ok := c.lookup(name); ok {
		return v, source
	}
	return BrokerKey(name).Default, FromDefault
}

// Int returns the value of a config of type Int or Long.
func (c *BrokerConfig) Int(name string) int {
	v, _ := c.Value(name)
	return int(values{name: v}.number(name))
}

// Milliseconds returns the value of a config whose name ends in ".ms".
func (c *BrokerConfig) Milliseconds(name string) time.Duration {
	return time.Duration(c.Int(name)) * time.Millisecond
}

// Float returns the value of a config of type Double.
func (c *BrokerConfig) Float(name string) float64 {
	v, _ := c.Value(name)
	return values{name: v}.fraction(name)
}

// Bool returns the value of a config of type Boolean.
func (c *BrokerConfig) Bool(name string) bool {
	v, _ := c.Value(name)
	return values{name: v}.flag(name)
}

// String returns the value of a config of type String or List.
func (c *BrokerConfig) String(name string) string {
	v, _ := c.Value(name)
	return v
}
